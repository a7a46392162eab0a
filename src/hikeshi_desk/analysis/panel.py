"""The part of the case page that tells what the evidence says: prepared values, no queries of the template's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hikeshi.knowledge.advice import advice_by_id, advice_for
from hikeshi.model.finding import SEVERITIES
from hikeshi.model.text import plain
from hikeshi.report.words import Words
from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis import attribution, change, groups, lessons, warm
from hikeshi_desk.analysis.about import About, about
from hikeshi_desk.analysis.about import reads as about_reads
from hikeshi_desk.analysis.change import by_words
from hikeshi_desk.analysis.elsewhere import Elsewhere, elsewhere
from hikeshi_desk.analysis.models import Analysis, State
from hikeshi_desk.analysis.shown import advice_of, analysis_of, answer_for, language, said, steps_of, when
from hikeshi_desk.cases import labels, together
from hikeshi_desk.cases.access import is_desk
from hikeshi_desk.cases.models import Case

FIRST_STEPS, MOST_ABOUT = 6, 3


@dataclass(frozen=True)
class Place:
    """Where a statement can be checked."""

    path: str
    where: str
    sha256: str


@dataclass(frozen=True)
class Reasoned:
    """A family, a way in or another statement: `name`, how sure, why, and the records."""

    name: str
    sure: str
    reasons: Sequence[str]
    places: Sequence[Place]
    detail: str = ""
    at: labels.Moment | None = None
    against: Sequence[str] = ()


@dataclass(frozen=True)
class Family:
    """The answer to "which ransomware?"; `tone` is identified, candidates, unknown or not_ransomware."""

    tone: str
    headline: str
    source: str
    rows: Sequence[Reasoned]
    places: Sequence[Place]
    other: str
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """One finding of a list."""

    id: str
    level: str
    level_word: str
    title: str
    why: str
    next: str
    hosts: str
    accounts: str
    count: int
    at: labels.Moment | None
    places: Sequence[Place]
    more: int
    techniques: str
    author: str


@dataclass(frozen=True)
class Panel:
    case: Case
    is_desk: bool
    can_act: bool
    state: str
    state_words: str
    next_step: str
    progress: tuple[int, int] | None
    finished: labels.Moment | None
    has_result: bool
    has_files: bool
    result_at: labels.Moment | None
    family: Family | None
    steps: Sequence[str]
    more_steps: Sequence[str]
    avoid: Sequence[str]
    facts: Sequence[str]
    entry: Sequence[Reasoned]
    hosts: Sequence[Mapping[str, Any]]
    accounts: str
    spread: Sequence[Mapping[str, Any]]
    has_picture: bool
    unknown: Sequence[str]
    levels: Sequence[tuple[str, str, int]]
    findings: Sequence[Row]
    findings_in_all: int
    has_timeline: bool
    lessons: Sequence[tuple[object, str]]
    not_read: Sequence[Mapping[str, str]]
    not_read_more: int
    read_words: str
    changes: Sequence[Mapping[str, Any]]
    elsewhere: Elsewhere | None
    asked: Mapping[str, Any] | None
    can_write: bool
    by: str
    abouts: Sequence[About]
    group: groups.InGroup | None
    confirmed: Sequence[Mapping[str, Any]]
    confirm_form: Mapping[str, Any] | None


def build(case: Case, viewer: Viewer) -> Mapping[str, Any] | None:
    """The panel for this viewer, or None where there is nothing for them."""
    row, desk = analysis_of(case, viewer), is_desk(viewer)
    if row is None:
        if not desk:
            return None
        row = Analysis(case=case)
    elif not desk and not row.summary.get("evidence"):
        return None
    panel = _panel(case, row, viewer, desk=desk)
    if panel.can_act:
        warm.start()  # whoever works on a case may paste a note next
    return {"panel": panel}


def _panel(case: Case, row: Analysis, viewer: Viewer, *, desk: bool) -> Panel:
    told, answer = row.summary, answer_for(row, viewer)
    has_result = row.result is not None
    steps, avoid, facts = steps_of(advice_of(row, answer, case.incident), language()) if (
        has_result or case.incident == "ransomware") else ([], [], [])
    counts = told.get("counts", {})
    state_words, next_step = _state(row)
    can_act = viewer.has(Role.HANDLER, Role.LEAD)
    asked_about = answer if has_result and answer.get("verdict") in ("identified", "candidates") else {}
    near = abouts(asked_about, together.rows(case, viewer, "analysis_ways", about_reads(case)), desk=desk)
    group = groups.build(case, viewer, together.rows(case, viewer, "analysis_group", groups.reads(case, viewer))
                         ) if row.group else None
    return Panel(
        case=case, is_desk=desk, can_act=can_act, state=row.state,
        state_words=state_words, next_step=next_step,
        progress=(row.done, row.total) if row.state == State.RUNNING and row.total else None,
        finished=labels.moment(row.finished_at) if has_result else None, has_result=has_result,
        has_files=has_result and bool(told.get("evidence")), result_at=when(told.get("made_at")),
        family=family_of(answer, desk=desk) if has_result else None, steps=steps[:FIRST_STEPS],
        more_steps=steps[FIRST_STEPS:], avoid=avoid, facts=facts,
        entry=[_entry(one) for one in told.get("entry", [])], hosts=[_host(one) for one in told.get("hosts", [])],
        accounts=", ".join(plain(one["name"]) for one in told.get("accounts", [])),
        spread=[_step(one) for one in told.get("spread", [])], has_picture=bool(told.get("has_spread")),
        unknown=[said(one) for one in told.get("unknown", [])],
        levels=[(level, text(f"analysis.level.{level}"), told.get("levels", {}).get(level, 0))
                for level in SEVERITIES if told.get("levels", {}).get(level)],
        findings=[finding(one) for one in told.get("top", [])], findings_in_all=counts.get("findings", 0),
        has_timeline=bool(told.get("has_timeline")),
        lessons=[(one.pk, one.title_en if language() == "en" and one.title_en else one.title)
                 for one in together.rows(case, viewer, "analysis_lessons", lessons.reads(case, viewer))],
        not_read=[{"name": plain(one["name"]), "why": plain(said(one))} for one in told.get("not_read", [])],
        not_read_more=max(0, counts.get("not_read", 0) - len(told.get("not_read", []))),
        read_words=text("analysis.read", given=f"{counts.get('given', 0):,}", files=f"{counts.get('files', 0):,}",
                        records=f"{counts.get('records', 0):,}") if counts.get("given") else "",
        changes=change.all_of(row) if desk else [],
        elsewhere=elsewhere(case, viewer) if desk and has_result else None,
        asked=_asked(row.asked) if desk and row.asked else None,
        can_write=desk and has_result and can_act, by=by_words(_by(row)) if desk else "", abouts=near,
        group=group, confirmed=_confirmed(row, viewer),
        confirm_form=_confirm_form(told, near) if can_act and (has_result or row.asked) else None)


def _state(row: Analysis) -> tuple[str, str]:
    """The state in words and what comes next."""
    match row.state:
        case State.WAITING:
            return text("analysis.state.waiting"), text("analysis.next.waiting")
        case State.RUNNING:
            words = text("analysis.state.running", step=_step_word(row.step),
                         done=f"{row.done:,}", total=f"{row.total:,}") if row.total else text("analysis.state.begun")
            return words, text("analysis.next.running")
        case State.FAILED:
            return text(f"analysis.problem.{row.problem or 'fault'}"), text("analysis.next.failed")
        case State.DONE:
            return text("analysis.state.done"), ""
    return text("analysis.state.idle"), text("analysis.next.idle")


def _step_word(step: str) -> str:
    return text(f"analysis.step.{step if step in ('evidence', 'files', 'logs', 'story', 'report') else 'evidence'}")


def family_of(answer: Mapping[str, Any], *, desk: bool = False) -> Family:
    verdict = str(answer.get("verdict") or "none")
    rows = [Reasoned(plain(one["family"]), text("analysis.score", score=f"{one['score']:.2f}"),
                     [said(reason) for reason in one["reasons"]], places(one.get("records", [])))
            for one in answer.get("candidates", [])]
    if verdict == "identified":
        # The family that was named, not those it was told from.
        rows = [one for one in rows if one.name == plain(answer["family"])] or rows[:1]
    return Family(
        verdict, text(f"analysis.family.{verdict}", **({"family": plain(answer["family"])} if verdict == "identified"
                                                      else {})),
        text(f"analysis.source.{answer['from']}") if desk and answer.get("from") else "", rows[:3],
        places(answer.get("records", [])),
        plain(answer.get("other") or "") if desk else "", [said(one) for one in answer.get("notes", [])])


def _entry(one: Mapping[str, Any]) -> Reasoned:
    words = Words("en" if language() == "en" else "ja")
    detail = " → ".join(plain(part) for part in (one["source"], one["host"]) if part)
    account = f" ({plain(one['account'])})" if one["account"] else ""
    return Reasoned(f"{one['rank']}. {words.of('kind', one['kind'])}", text(f"analysis.sure.{one['confidence']}"),
                    [said(reason) for reason in one["reasons"]], places(one["records"]), detail + account,
                    when(one["time"]), [said(reason) for reason in one["against"]])


def _host(one: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": plain(one["name"]), "first": when(one["first"]), "encrypted": one["encrypted"],
            "sure": text(f"analysis.sure.{one['confidence']}"), "why": " ".join(said(r) for r in one["reasons"])}


def _step(one: Mapping[str, Any]) -> dict[str, Any]:
    words = Words("en" if language() == "en" else "ja")
    return {"at": when(one["time"]), "source": plain(one["source"] or "?"), "destination": plain(one["destination"]),
            "method": words.of("method", one["method"]), "account": plain(one["account"] or ""),
            "sure": text(f"analysis.sure.{one['confidence']}"), "places": places(one["records"])}


def finding(one: Mapping[str, Any]) -> Row:
    shown = places(one.get("records", []))
    return Row(one["id"], one["level"], text(f"analysis.level.{one['level']}"), plain(said(one)),
               plain(said(one["why"])), plain(said(one["next"])), ", ".join(map(plain, one["hosts"])),
               ", ".join(map(plain, one["accounts"])), one["count"], when(one["when"]), shown,
               max(0, one.get("records_in_all", 0) - len(shown)), ", ".join(map(plain, one["techniques"])),
               plain(one.get("author", "")))


def places(records: Sequence[Mapping[str, Any]]) -> list[Place]:
    found = []
    for one in records:
        where = ""
        if one.get("record_id") is not None:
            where = text("analysis.place.record", number=one["record_id"])
        elif one.get("line") is not None:
            where = text("analysis.place.line", number=one["line"])
        found.append(Place(plain(one["path"]), where, str(one.get("sha256", ""))))
    return found


def _asked(asked: Mapping[str, Any]) -> dict[str, Any]:
    answer = asked["answer"]
    steps: list[str] = []
    if answer.get("verdict") not in ("not_ransomware", None):
        known = [a for a in map(advice_by_id, answer.get("advice_ids", [])) if a is not None]
        steps = steps_of(known or advice_for(None, "ransomware"), language())[0][:FIRST_STEPS]
    return {"given": plain(asked["given"]), "at": when(asked["at"]), "family": family_of(answer),
            "about": abouts(answer), "steps": steps, "by": by_words(answer.get("by", {}))}


def abouts(answer: Mapping[str, Any], own: Sequence[Any] = (), *, desk: bool = True) -> list[About]:
    """Who and how, of the family that was named; of the first candidates where none was."""
    if answer.get("verdict") == "identified":
        return [about(str(answer["family"]), own, for_desk=desk)]
    if answer.get("verdict") != "candidates":
        return []
    return [about(str(one["family"])) for one in answer.get("candidates", [])[:MOST_ABOUT]]


def _by(row: Analysis) -> Mapping[str, Any]:
    """The knowledge behind the answer that stands: an older one while a newer answer waits for a person."""
    held: Mapping[str, Any] = row.change.get("by_before", {}) if row.change.get("held") else row.summary.get("by", {})
    return held


def _confirmed(row: Analysis, viewer: Viewer) -> list[dict[str, Any]]:
    """What people of the desk stand for; a party sees what, not who."""
    return [{"what": what, "words": attribution.words(what, told), "at": when(told["at"]),
             **({"reason": plain(told["reason"]), "name": told["name"]} if is_desk(viewer) else {})}
            for what, told in sorted(row.confirmed.items())]


def _confirm_form(told: Mapping[str, Any], abouts: Sequence[About]) -> dict[str, Any]:
    kinds = [one["kind"] for one in told.get("entry", [])]
    return {"actors": list(dict.fromkeys(a.name for one in abouts for a in one.actors))[:12],
            "sure": [(one, text(f"analysis.sure.{one}")) for one in attribution.SURE],
            "kinds": [(one, text(f"knowledge.way.{one}"), one in kinds[:1]) for one in attribution.KINDS]}
