"""The pages of a response, prepared: no template asks anything itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from hikeshi.model.text import defang, plain
from hikeshi.respond import words
from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.shown import language, said, when
from hikeshi_desk.cases import labels
from hikeshi_desk.cases.choices import Choice
from hikeshi_desk.cases.models import Case, Source
from hikeshi_desk.respond import asked, counting, kinds, lists, panel, plans, propose
from hikeshi_desk.respond.models import Decision, Mark, Measure, Response

_OUTSIDE = (Source.OUTSIDE_MAIL, Source.OUTSIDE_PHONE, Source.POLICE, Source.MEDIA)
_SPREAD = 5  # machines: as in hikeshi.triage.contain.severity
SHOWS = ("standing", "open", "reported", "done", "withdrawn")
HISTORY = 100


@dataclass(frozen=True)
class Told:
    """A mark as people read it."""

    id: int
    state: str
    word: str
    who: str
    at: labels.Moment | None
    device: str
    note: str
    evidence: str
    what: str = ""
    control: str = ""
    undoes: str = ""
    is_undone: bool = False
    can_undo: bool = False


@dataclass(frozen=True)
class Cell:
    """One measure at one control, with the mark in force."""

    id: str
    control: str
    name: str
    state: str
    word: str
    is_asked: bool
    mark: Told | None
    is_chosen: bool = False
    withdrawn: str = ""


@dataclass(frozen=True)
class Row:
    """One subject with its measures."""

    what: str
    title: str
    detail: str
    why: Sequence[str]
    places: Sequence[str]
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Step:
    number: int
    name: str
    cell: Cell
    parts: Sequence[panel.Progress]


def response_of(case: Case, viewer: Viewer) -> Response | None:
    return visible(Response, viewer).filter(case=case).select_related("begun_by").first()


def overview(case: Case, viewer: Viewer, typed: Mapping[str, Any]) -> dict[str, Any]:
    row = response_of(case, viewer)
    can_act = viewer.has(Role.HANDLER, Role.LEAD)
    is_new_result = propose.waits(case.pk)
    if row is None:
        return {"row": None, "can_act": can_act, "is_new_result": is_new_result, "tabs": tabs(None, "overview")}
    progress = panel.progress(row.counts)
    return {
        "row": row, "can_act": can_act, "is_new_result": is_new_result, "tabs": tabs(row, "overview"),
        "states": _by_state(row), "steps": _steps(case, row, progress, typed), "warnings": panel.warnings(row),
        "step_states": _choices(kinds.STEP_STATES, typed.get("mark", {}).get("state", ("",))[0], area="step_state"),
        "cut_off": _cut_off(case, row, viewer, typed), "contacts": plans.contacts(row.plan),
        "plan": row.plan, "left_out": row.left_out, "is_unreadable": row.is_unreadable,
        "begun": labels.moment(row.begun_at)}


def _by_state(row: Response) -> list[dict[str, Any]]:
    """The table of progress: a row a kind, a number a state."""
    names = ("open", "requested", "applied", "verified", "failed", "not_needed")
    return [{"part": one, "numbers": [sum(row.counts.get(control, {}).get(name, 0)
                                        for control in kinds.KINDS[one.id].controls) for name in names]}
            for one in panel.progress(row.counts)]


def state_names() -> list[str]:
    return [text(f"respond.state.{name}") for name in ("open", "requested", "applied", "verified", "failed",
                                                       "not_needed")]


def _steps(case: Case, row: Response, progress: Sequence[panel.Progress], typed: Mapping[str, Any]) -> list[Step]:
    rows = list(Measure.objects.filter(case=case, control=kinds.STEP))
    cells = _cells(rows, typed.get("mark", {}).get("ids", ()))
    return [Step(number, asked.what(one), cells[one.pk],
                 [part for part in progress if one.subject in kinds.KINDS[part.id].steps])
            for number, one in enumerate(rows, 1)]


def _cut_off(case: Case, row: Response, viewer: Viewer, typed: Mapping[str, Any]) -> dict[str, Any]:
    """The proposal with its reasons, and what was decided."""
    reasons = [said(reason) for reason in row.cut_off]
    if case.incident == "data_leak" and case.detected_by in _OUTSIDE:
        reasons.append(text("respond.cut_off.told_from_outside"))
    machines = sum(n for name, n in row.counts.get("isolation", {}).items() if name != "not_needed")
    if machines >= _SPREAD and not row.cut_off:
        reasons.append(text("respond.cut_off.spread", count=machines))
    rows = visible(Decision, viewer).filter(case=case).select_related("by", "approved_by", "withdrawn_by")
    decided = [_decision(one) for one in rows[:20]]
    given = typed.get("decide", {})
    standing = next((one for one in decided if not one["withdrawn"]), None)
    return {"reasons": reasons, "standing": standing, "earlier": [one for one in decided if one is not standing],
            "criteria": row.plan.get("criteria", ""),
            "deciders": [Choice(one, one, one == given.get("role", ("",))[0]) for one in plans.deciders(row.plan)],
            "answers": [Choice(one, text(f"respond.answer.{one}"), one == given.get("answer", ("",))[0])
                        for one in Decision.Answer.values],
            "can_approve": viewer.has(Role.LEAD) and standing is not None and not standing["approved"]
            and standing["by_id"] != (viewer.user.pk if viewer.user else None),
            "needs_other": standing is not None and not standing["approved"]}


def _decision(one: Decision) -> dict[str, Any]:
    return {"id": one.pk, "answer": one.answer, "word": text(f"respond.answer.{one.answer}"), "role": one.role,
            "name": one.name, "at": labels.moment(one.at), "reason": one.reason, "by": one.by.name, "by_id": one.by_id,
            "approved": labels.moment(one.approved_at), "approved_by": one.approved_by.name if one.approved_by else "",
            "withdrawn": labels.moment(one.withdrawn_at), "why": one.withdrawn_why,
            "withdrawn_by": one.withdrawn_by.name if one.withdrawn_by else ""}


# ------------------------------------------------------------------------------------------------ one kind of measures


def measures(case: Case, viewer: Viewer, kind: kinds.Kind, query: Mapping[str, str], typed: Mapping[str, Any],
             ) -> dict[str, Any]:
    row = response_of(case, viewer)
    show = query.get("show", "") if query.get("show", "") in SHOWS else "standing"
    rows = visible(Measure, viewer).filter(case=case, control__in=kind.controls)
    chosen = rows.filter(_shown(show))
    subjects = chosen.order_by().values("subject").annotate(first=Min("position")).order_by("first", "subject")
    in_all = subjects.count()
    page = min(max(1, _number(query.get("page", ""))), max(1, -(-in_all // kinds.PAGE)))
    names = [one["subject"] for one in subjects[(page - 1) * kinds.PAGE:page * kinds.PAGE]]
    given = typed.get("mark", typed.get("ask", typed.get("withdraw", {})))
    shown = list(chosen.filter(subject__in=names).order_by("position", "subject"))
    cells = _cells(shown, given.get("ids", ()))
    by_subject: dict[str, list[Measure]] = {name: [] for name in names}
    for one in shown:
        by_subject[one.subject].append(one)
    can_act = viewer.has(Role.HANDLER, Role.LEAD)
    is_withdrawn = show == "withdrawn"
    return {
        "row": row, "kind": kind.id, "title": text(f"respond.kind.{kind.id}"), "lead": text(f"respond.lead.{kind.id}"),
        "can_act": can_act, "is_withdrawn": is_withdrawn, "is_fixed": kind.fixed is not None, "rows": [
            _row(kind, same, cells) for same in by_subject.values()],
        "in_all": f"{in_all:,}", "first": f"{(page - 1) * kinds.PAGE + 1:,}",
        "last": f"{min(page * kinds.PAGE, in_all):,}",
        "previous": f"?show={show}&page={page - 1}" if page > 1 else "",
        "following": f"?show={show}&page={page + 1}" if page * kinds.PAGE < in_all else "",
        "shows": [(one, text(f"respond.show.{one}"), one == show) for one in SHOWS],
        "columns": [text(f"respond.control.{control}") for control in kind.controls] if len(kind.controls) > 1 else [],
        "whole": _whole(rows, kind) if not is_withdrawn and len(kind.controls) > 1 else [],
        "states": _choices(kinds.MARKABLE, given.get("state", ("",))[0]), "given": given,
        "account_kinds": [(one, _say(words.KIND[one])) for one in kinds.ACCOUNT_KINDS] if kind.id == "accounts" else [],
        "typed_add": typed.get("add", {}), "held": _held(row, case) if kind.id == "blocks" and row else [],
        "devices": _devices(case) if kind.id == "blocks" and row and can_act else [],
        "tabs": tabs(row, kind.id), "has_thread": bool(case.receipt), "show": show, "page": page}


def tabs(row: Response | None, current: str) -> list[dict[str, Any]]:
    told = row.counts if row else {}
    found = []
    for kind in kinds.KINDS.values():
        done, of = counting.share(dict(told), kind.controls)
        found.append({"id": kind.id, "name": text(f"respond.kind.{kind.id}"), "is_current": kind.id == current,
                      "share": f"{done:,}/{of:,}" if of else ""})
    return found


def _shown(show: str) -> Q:
    standing = Q(withdrawn_at=None)
    return {"open": standing & Q(state__in=("open", "requested", "applied", "failed")),
            "reported": standing & Q(is_reported=True),
            "done": standing & Q(state__in=("verified", "not_needed")),
            "withdrawn": Q(withdrawn_at__isnull=False)}.get(show, standing)


def _whole(rows: QuerySet[Measure], kind: kinds.Kind) -> list[dict[str, Any]]:
    """Whole columns to choose: all that stands at one control, not only what this page shows."""
    counted = dict(rows.filter(withdrawn_at=None).order_by().values_list("control").annotate(n=Count("pk")))
    return [{"id": control, "name": text("respond.whole", control=text(f"respond.control.{control}"),
                                         count=f"{counted[control]:,}")}
            for control in kind.controls if counted.get(control)]


def _row(kind: kinds.Kind, same: Sequence[Measure], cells: Mapping[Any, Cell]) -> Row:
    one = same[0]
    told = one.told
    why = [plain(said(reason)) for reason in told.get("reasons", [])]
    if told.get("forced"):
        why.append(text("respond.forced"))
    return Row(asked.what(one), _title(one), _detail(one), why, [_place(record) for record in told.get("records", [])],
               [cells[row.pk] for control in kind.controls for row in same if row.control == control])


def _title(one: Measure) -> str:
    """What decided, or what kind it is."""
    if one.told.get("cause") in words.CAUSE:
        return _say(words.CAUSE[one.told["cause"]])
    if one.told.get("kind") in words.KIND:
        return _say(words.KIND[one.told["kind"]])
    return ""


def _detail(one: Measure) -> str:
    last = when(one.told.get("last"))
    parts = [", ".join(map(plain, one.told.get("addresses", []))),
             text("respond.last_seen", time=last.local) if last else "",
             text(f"analysis.sure.{one.told['sure']}") if one.told.get("sure") in ("high", "medium", "low") else ""]
    return " · ".join(filter(None, parts))


def _place(record: Mapping[str, Any]) -> str:
    if record.get("record_id") is not None:
        return f"{plain(record['path'])} {text('analysis.place.record', number=record['record_id'])}"
    if record.get("line") is not None:
        return f"{plain(record['path'])} {text('analysis.place.line', number=record['line'])}"
    return plain(record["path"])


def _cells(rows: Sequence[Measure], chosen: Collection[str]) -> dict[Any, Cell]:
    marks = counting.in_force(Mark.objects.filter(measure__in=[one.pk for one in rows]).select_related("by"))
    found = {}
    for one in rows:
        mark = marks.get(one.pk)
        withdrawn = labels.moment(one.withdrawn_at)
        found[one.pk] = Cell(
            str(one.pk), one.control, text(f"respond.control.{one.control}"), _tone(one), _word(one),
            one.asked_at is not None, _told(mark) if mark else None,
            str(one.pk) in chosen, f"{withdrawn.local}: {one.withdrawn_why}" if withdrawn else "")
    return found


def _tone(one: Measure) -> str:
    if one.control == kinds.STEP and one.state == "applied":
        return "verified"  # a step that is done is done
    return "reported" if one.is_reported else one.state


def _word(one: Measure) -> str:
    if one.control == kinds.STEP:
        return text(f"respond.step.{one.state}")
    return text("respond.state.reported" if one.is_reported else f"respond.state.{one.state}")


def _told(mark: Mark) -> Told:
    return Told(mark.pk, mark.state, text(f"respond.state.{mark.state}"), _who(mark), labels.moment(mark.at),
                mark.device, mark.note, mark.evidence)


def _mark_word(mark: Mark) -> str:
    if mark.measure.control == kinds.STEP:
        return text(f"respond.step.{mark.state}")
    return text("respond.state.reported" if mark.is_reported else f"respond.state.{mark.state}")


def _who(mark: Mark) -> str:
    if mark.is_reported:
        return text("respond.who.asker")
    return mark.by.name if mark.by else text("respond.who.gone")


def _held(row: Response, case: Case) -> list[dict[str, Any]]:
    """What the analysis would block but must not be blocked unseen; those that stand in a list by now aside."""
    standing = set(Measure.objects.filter(case=case, control__in=kinds.BLOCKING, withdrawn_at=None).values_list(
        "subject", flat=True)) if row.held else set()
    found = [{"value": defang(plain(one["value"])), "why": [plain(said(reason)) for reason in one["reasons"]]}
             for one in row.held if one["value"] not in standing]
    now = {held.target.value: held for held in lists.wanted(case).held}
    found += [{"value": defang(plain(value)), "why": [_say(reason) for reason in one.reasons]}
              for value, one in now.items()]
    return found[:200]


def _devices(case: Case) -> list[dict[str, str]]:
    """The block lists that there are something for."""
    counted = set(Measure.objects.filter(
        case=case, control__in=kinds.BLOCKING, withdrawn_at=None).exclude(state="not_needed").order_by().values_list(
        "control", flat=True).distinct())
    return [{"id": one.id, "title": one.title, "where": ", ".join(text(f"respond.control.{c}") for c in one.controls),
             "effect": _say(one.effect)} for one in lists.devices() if counted & set(one.controls)]


def _choices(states: Sequence[str], chosen: str, area: str = "state") -> list[Choice]:
    return [Choice(one, text(f"respond.{area}.{one}"), one == chosen) for one in states]


def _say(both: Any) -> str:
    return str(getattr(both, language()))


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 1


# --------------------------------------------------------------------------------------------------------- history


def history(case: Case, viewer: Viewer, query: Mapping[str, str]) -> dict[str, Any]:
    """Every mark, the newest first, with what took it back."""
    marks = visible(Mark, viewer).filter(measure__case=case).select_related("measure", "by", "undoes").order_by("-pk")
    in_all = marks.count()
    page = min(max(1, _number(query.get("page", ""))), max(1, -(-in_all // HISTORY)))
    rows = list(marks[(page - 1) * HISTORY:page * HISTORY])
    gone = set(Mark.objects.filter(undoes__in=[row.pk for row in rows]).values_list("undoes", flat=True))
    can_act = viewer.has(Role.HANDLER, Role.LEAD)
    told = []
    for row in rows:
        is_undone = row.pk in gone
        told.append(Told(
            row.pk, "reported" if row.is_reported else row.state,
            text("respond.history.taken_back") if row.undoes_id else _mark_word(row),
            _who(row), labels.moment(row.at), row.device, row.note, row.evidence, asked.what(row.measure),
            text(f"respond.control.{row.measure.control}"),
            text("respond.history.undoes", number=row.undoes_id) if row.undoes_id else "", is_undone,
            can_act and not is_undone and row.undoes_id is None and row.measure.withdrawn_at is None))
    return {"rows": told, "in_all": in_all, "previous": f"?page={page - 1}" if page > 1 else "",
            "following": f"?page={page + 1}" if page * HISTORY < in_all else ""}
