"""The case page, prepared: header, one stream of conversation and acts, and the column beside it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.models import OrganisationKind, Role
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import advising, around, clocks, drafts, labels, panels, rules, together, undoing
from hikeshi_desk.cases.access import is_desk, readable
from hikeshi_desk.cases.models import (
    Attachment,
    Case,
    Clock,
    Message,
    OpinionPoint,
    Party,
    Phase,
    Task,
    TriageDecision,
    Urgency,
)
from hikeshi_desk.cases.queue import asker_of

# Acts that are a message of the stream already.
_SPOKEN = frozenset({"case.reply", "case.note", "case.continued", "case.opened", "case.party_word",
                     # Many, and with a history of their own on the page of the response.
                     "case.mark_measures", "case.take_back_mark", "case.add_machine", "case.add_account",
                     "case.add_blocks", "case.add_protocol"})
_MOST_ACTS = 300
_MOST_LINKS = 50
_EMBARGO_WARNS = timedelta(days=7)


@dataclass(frozen=True)
class File:
    id: uuid.UUID
    name: str
    size: str
    sha256: str


@dataclass(frozen=True)
class Said:
    """One entry of the stream: asker, reply, note or act."""

    kind: str
    who: str
    heading: str
    at: labels.Moment | None
    body: str
    files: Sequence[File] = ()
    id: uuid.UUID | None = None
    can_relay: bool = False
    filing: str = ""  # says that large files follow these words, or can't


@dataclass(frozen=True)
class Fact:
    name: str
    value: str


@dataclass(frozen=True)
class Promise:
    clock: Clock
    name: str
    face: labels.ClockFace
    is_running: bool
    is_paused: bool
    needs_reason: bool
    outcome: str


@dataclass(frozen=True)
class Step:
    """`proposal` is a result somebody may take over."""

    task: Task
    title: str
    done: labels.Moment | None
    proposal: str = ""
    due: labels.Moment | None = None
    is_over: bool = False


@dataclass(frozen=True)
class PhaseStep:
    label: str
    is_current: bool


@dataclass(frozen=True)
class Judgement:
    verdict: str
    urgency: str
    rule: str
    rsit: str
    reason: str
    by: str
    at: labels.Moment | None


@dataclass(frozen=True)
class Point:
    point: OpinionPoint
    number: int
    stance: str


@dataclass(frozen=True)
class Sent:
    """A referral: where to, why, and what came back."""

    key: str
    kind: str
    name: str
    reason: str
    note: str
    answer: str
    answer_note: str
    by: str
    at: labels.Moment | None
    can_answer: bool


@dataclass(frozen=True)
class With:
    """A further party, with what it sees."""

    key: str
    name: str
    sees: str


@dataclass(frozen=True)
class Related:
    """Another case this one is linked to; `why` is the kind of link."""

    case: Case
    why: str


@dataclass(frozen=True)
class Embargo:
    """A vulnerability's facts; `warns` from seven days before the embargo ends."""

    product: str
    vendor: str
    until: str
    utc: str
    publication: str
    warning: str


@dataclass(frozen=True)
class Undo:
    sequence: int
    words: str


@dataclass(frozen=True)
class CasePage:
    case: Case
    title: str
    is_desk: bool
    can_act: bool
    is_finished: bool
    state: str
    urgency: str
    urgency_word: str
    verdict: str
    rsit: str
    kind: str
    owner: str
    clock: labels.ClockFace
    phases: Sequence[PhaseStep]
    stream: Sequence[Said]
    facts: Sequence[Fact]
    promises: Sequence[Promise]
    steps: Sequence[Step]
    files: Sequence[File]
    judgements: Sequence[Judgement]
    points: Sequence[Point]
    referrals: Sequence[Sent] = ()
    parties: Sequence[With] = ()
    related: Sequence[Related] = ()
    marks: Sequence[str] = ()
    embargo: Embargo | None = None
    undo: Undo | None = None
    speaks_through: str = ""
    utc_first: bool = False


def build(case: Case, viewer: Viewer, now: datetime | None = None) -> CasePage:
    """What this viewer may see of a case they may see (fetched by access.fetch_case)."""
    now = now or timezone.now()
    desk = is_desk(viewer)
    abroad = is_abroad(case)
    together.read_ahead(case, viewer, panels.reads(case, viewer) | {
        "clocks": _clocks(case, viewer), "tasks": _tasks(case, viewer), "links": _links(case, viewer)})
    files = _files(case, viewer)
    promises = _promises(case, viewer, now, abroad=abroad)
    beside = around.of(case, viewer)
    acts = _acts(case) if desk else []
    urgency = Urgency.HIGH if case.rank == 0 else case.urgency
    can_act = viewer.has(Role.HANDLER, Role.LEAD)
    return CasePage(
        case=case, title=case.title if case.pk in readable(viewer, [case]) else case.number, is_desk=desk,
        can_act=can_act, is_finished=case.state in clocks.FINISHED,
        state=labels.label("state", case.state), urgency=urgency, urgency_word=labels.label("urgency", urgency),
        verdict=labels.label("verdict", case.verdict), rsit=_rsit(case.rsit),
        kind=labels.label("incident", case.incident), owner=owner_of(case),
        clock=next((promise.face for promise in promises if promise.is_running), labels.NO_CLOCK),
        phases=[PhaseStep(labels.label("phase", phase), phase == case.phase) for phase in Phase.values],
        stream=_stream(case, viewer, files, acts, desk=desk, can_act=can_act, abroad=abroad),
        facts=_facts(case, abroad=abroad) if desk else [], promises=promises,
        steps=_steps(case, viewer, now, abroad=abroad),
        files=[file for group in files.values() for file in group],
        judgements=[_judgement(row, abroad=abroad) for row in beside["judgement"]],
        points=[_point(row) for row in beside["point"]],
        referrals=[_sent(row, abroad=abroad) for row in beside["referral"]],
        parties=[_with(row) for row in beside["party"]], related=_related(case, viewer) if desk else [],
        marks=_marks(case) if desk else [], embargo=embargo_of(case, now) if desk else None,
        undo=_undo(acts, viewer, now) if can_act else None,
        speaks_through=case.split_from.number if case.split_from and not case.receipt and desk else "",
        utc_first=abroad)


def is_abroad(case: Case) -> bool:
    """A case of a coordination centre abroad: its times are told in UTC first, its templates are English."""
    return case.asker_kind == OrganisationKind.FOREIGN_CSIRT


def _steps(case: Case, viewer: Viewer, now: datetime, *, abroad: bool) -> list[Step]:
    return [Step(task, task_title(task), labels.moment(task.done_at, utc_first=abroad),
                 "" if task.done_at else drafts.proposal(case, viewer, task.kind),
                 labels.moment(task.due_at, utc_first=abroad),
                 task.due_at is not None and task.done_at is None and task.due_at < now)
            for task in together.rows(case, viewer, "tasks", _tasks(case, viewer))]


def _tasks(case: Case, viewer: Viewer) -> QuerySet[Any]:
    return visible(Task, viewer).filter(case=case)


def _judgement(row: around.Row, *, abroad: bool) -> Judgement:
    verdict, urgency, rule, rsit, reason, *_ = row.words
    known = rules.urgency_rules().get(rule)
    return Judgement(labels.label("verdict", verdict), labels.label("urgency", urgency),
                     known.label if known else rule, _rsit(rsit), reason, row.who,
                     labels.moment(row.at, utc_first=abroad))


def _point(row: around.Row) -> Point:
    position, claim, stance, comment, *_ = row.words
    point = OpinionPoint(pk=int(row.key), position=int(position), claim=claim, stance=stance, comment=comment)
    return Point(point, point.position + 1, labels.label("stance", stance))


def _sent(row: around.Row, *, abroad: bool) -> Sent:
    kind, name, reason, note, accepted, answer_note = row.words
    known = rules.reasons().get(reason)
    answer = "" if kind == "decline" else "waiting" if not accepted else "accepted" if row.is_true(4) else "refused"
    return Sent(row.key, labels.label("referral", kind), name or "—", known.label if known else "", note,
                text(f"cases.referral.{answer}") if answer else "", answer_note, row.who,
                labels.moment(row.at, utc_first=abroad), kind != "decline")


def _with(row: around.Row) -> With:
    scopes = ("conversation", "files", "findings", "indicators")
    sees = [text(f"cases.scope.{scope}") for place, scope in enumerate(scopes, 1) if row.is_true(place)]
    return With(row.key, row.words[0], text("cases.list_comma").join(sees) or "—")


def _related(case: Case, viewer: Viewer) -> list[Related]:
    """Both directions of every link."""
    found = [Related(other, text("cases.link.split_to" if other.split_from_id == case.pk else "cases.link.merged_here"))
             for other in together.rows(case, viewer, "links", _links(case, viewer))]
    if case.merged_into:
        found.insert(0, Related(case.merged_into, text("cases.link.merged_into")))
    if case.split_from:
        found.insert(0, Related(case.split_from, text("cases.link.split_from")))
    return found


def _links(case: Case, viewer: Viewer) -> QuerySet[Any]:
    if not is_desk(viewer):
        return Case.objects.none()
    return visible(Case, viewer).filter(Q(split_from=case) | Q(merged_into=case)).order_by("serial")[:_MOST_LINKS]


def _marks(case: Case) -> list[str]:
    """Kind of attack, flags and who noticed it, as far as said."""
    found = [labels.label("attack", case.attack)] if case.attack else []
    return found + [labels.label("flag", flag) for flag in case.flags]


def embargo_of(case: Case, now: datetime) -> Embargo | None:
    row = getattr(case, "vulnerability", None)
    if row is None:
        return None
    until = utc = warning = ""
    if row.embargo_at:
        zone = ZoneInfo(row.zone)
        until = f"{row.embargo_at.astimezone(zone):%Y-%m-%d %H:%M} {row.zone}"
        utc = f"{row.embargo_at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
        left = row.embargo_at - now
        if left < timedelta(0):
            warning = text("cases.embargo.over")
        elif left <= _EMBARGO_WARNS:
            warning = text("cases.embargo.soon", time=labels.length(left))
    return Embargo(row.product, row.vendor.organisation.name if row.vendor else "", until, utc,
                   labels.label("publication", row.publication), warning)


def vendors_embargo(case: Case, party: Party | None, now: datetime) -> Embargo | None:
    """The vendor whose vulnerability is coordinated sees until when; no other party does."""
    row = getattr(case, "vulnerability", None)
    return embargo_of(case, now) if row and party and row.vendor_id == party.pk else None


def _acts(case: Case) -> list[Entry]:
    """The acts of the case, newest first."""
    return list(Entry.objects.filter(subject=f"case:{case.pk}").order_by("-sequence")[:_MOST_ACTS])


def _undo(acts: Sequence[Entry], viewer: Viewer, now: datetime) -> Undo | None:
    newest = next((entry for entry in acts if entry.act not in undoing.LOOKING), None)
    if newest is None or viewer.user is None or not undoing.may_undo(newest, viewer.user, now):
        return None
    return Undo(newest.sequence, act_words(newest.act))


def colour(marking: str) -> str:
    """The style of a TLP or PAP label: "TLP:AMBER+STRICT" is amber."""
    return marking.partition(":")[2].partition("+")[0].lower()


def owner_of(case: Case) -> str:
    names = [case.owner.name if case.owner else "", case.team.name if case.team else ""]
    return " / ".join(filter(None, names)) or text("cases.owner.none")


def task_title(task: Task) -> str:
    return rules.task_label(task.kind) or task.title


def _rsit(code: str) -> str:
    return rules.rsit()[code].label if code in rules.rsit() else code


def _files(case: Case, viewer: Viewer) -> Mapping[object, list[File]]:
    found: dict[object, list[File]] = defaultdict(list)
    for row in visible(Attachment, viewer).filter(case=case).order_by("message__at", "name"):
        found[row.message_id].append(File(row.pk, row.name, labels.size(row.size), row.sha256))
    return found


def _stream(case: Case, viewer: Viewer, files: Mapping[object, list[File]], acts: Sequence[Entry], *, desk: bool,
            can_act: bool, abroad: bool) -> list[Said]:
    rows: list[tuple[datetime, int, Said]] = []
    messages = visible(Message, viewer).filter(case=case).select_related("author", "party__organisation",
                                                                                "submission")
    for number, message in enumerate(messages):
        rows.append((message.at, number, _said(case, message, files.get(message.pk, []), desk=desk, can_act=can_act,
                                               abroad=abroad)))
    names = {str(message.author_id): message.author.name for message in messages if message.author}
    if viewer.user:
        names[str(viewer.user.pk)] = viewer.user.name
    rows += [(entry.at, entry.sequence, Said(
        "act", names.get(entry.actor, ""), act_words(entry.act), labels.moment(entry.at, utc_first=abroad),
        act_detail(entry.act, entry.detail))) for entry in acts if entry.act not in _SPOKEN]
    return [row[2] for row in sorted(rows, key=lambda row: (row[0], row[1]))]


def _said(case: Case, message: Message, files: Sequence[File], *, desk: bool, can_act: bool, abroad: bool) -> Said:
    party = message.party.organisation.name if message.party else ""
    if message.kind == Message.Kind.ASKER:
        who = asker_of(case) if desk else text("cases.asker.hidden")
        heading = labels.label("channel", message.channel)
    elif message.kind == Message.Kind.PARTY:
        who, heading = party, message.author.name if message.author else ""
    else:
        who = message.author.name if message.author and desk else text("cases.owner.desk")
        heading = labels.label("role", message.author_role) if message.author_role else ""
        if message.kind == Message.Kind.TO_PARTY and desk:
            heading = f"→ {party}"
    if message.copied_from_id:
        heading = " · ".join(filter(None, (heading, text("cases.stream.copied"))))
    passed_on = can_act and message.kind in (Message.Kind.ASKER, Message.Kind.PARTY)
    return Said(message.kind, who, heading, labels.moment(message.at, utc_first=abroad), message.body, files,
                message.pk, passed_on, _filing(message))


def _filing(message: Message) -> str:
    sent = message.submission
    if sent is None or sent.opened_at:
        return ""
    return text("cases.stream.filing_stuck" if sent.problem else "cases.stream.filing")


def act_words(act: str) -> str:
    return labels.label("act", act.removeprefix("case."))


def act_detail(act: str, detail: Mapping[str, Any]) -> str:
    """The part of an act's record that people want to read."""
    get = detail.get
    match act:
        case "case.triage":
            return " · ".join(filter(None, (labels.label("verdict", get("verdict", "")),
                                            labels.label("urgency", get("urgency", "")), _rsit(get("rsit", "")))))
        case "case.assign":
            return " · ".join(filter(None, (get("owner") or get("team") or text("cases.owner.none"), get("reason"))))
        case "case.decline":
            reason = rules.reasons().get(get("reason", ""))
            body = rules.bodies().get(get("body", ""))
            return " → ".join(filter(None, (reason.label if reason else "",
                                            body.name_on(timezone.localdate()) if body else "")))
        case "case.finish":
            return rules.task_label(str(get("task", ""))) or str(get("task", ""))
        case "case.hand_over" | "case.escalate" | "case.route":
            known = rules.bodies().get(str(get("body", "")))
            to = [get("owner"), get("team"), known.name_on(timezone.localdate()) if known else get("body")]
            return "→ " + " / ".join(str(name) for name in to if name)
        case "case.answer_referral":
            answer = "accepted" if get("accepted") else "refused"
            return f"{get('to', '')}: " + text(f"cases.referral.{answer}")
        case "case.close":
            asked = [f"{labels.label('gap', str(name))}: {why}" for name, why in (get("missing") or {}).items()]
            return " / ".join(asked) or str(get("reason") or "")
        case "case.describe":
            return " · ".join(_described(name, value) for name, value in (get("to") or {}).items())
        case "case.coordinate":
            at = labels.moment(datetime.fromisoformat(get("embargo"))) if get("embargo") else None
            told = (str(get("product") or ""), str(get("vendor") or ""), at.local if at else "")
            return " · ".join(filter(None, told))
        case "case.undo":
            return act_words(str(get("of", "")))
        case "case.opine":
            return f"{get('point', '')}: {labels.label('stance', get('stance', ''))}"
    return str(get("reason") or get("into") or get("other") or get("organisation") or "")


def _described(name: str, value: Any) -> str:
    area = {"attack": "attack", "flags": "flag", "detected_by": "source"}.get(name, "")
    given = value if isinstance(value, list) else [value]
    return ", ".join(labels.label(area, str(one)) if area else str(one) for one in given) or "—"


def _facts(case: Case, *, abroad: bool) -> list[Fact]:
    asked = {
        "asker": asker_of(case), "contact": "" if case.is_anonymous else case.contact,
        "asker_kind": labels.label("asker_kind", case.asker_kind) if case.asker_kind else "",
        "on_behalf": case.on_behalf, "request": labels.label("request", case.request),
        "opened": str(getattr(labels.moment(case.opened_at, utc_first=abroad), "local", "")),
        "language": labels.label("language", case.language), "source": labels.label("source", case.detected_by),
        "close_reason": case.close_reason,
    }
    found = [Fact(text(f"cases.fact.{name}"), value) for name, value in asked.items() if value]
    return found + [Fact(labels.label("fact", str(name)), labels.label(str(name), str(value)))
                    for name, value in case.facts.items() if value and name != "detected_by"]


def _promises(case: Case, viewer: Viewer, now: datetime, *, abroad: bool = False) -> list[Promise]:
    found = []
    for clock in together.rows(case, viewer, "clocks", _clocks(case, viewer)):
        rule = rules.clocks().get(clock.rule)
        running = clock.stopped_at is None
        end = clock.stopped_at or clock.paused_at or now
        late = end > clock.due_at
        outcome = "" if running else text("cases.clock.late" if late else "cases.clock.kept")
        found.append(Promise(clock, rule.label if rule else clock.rule,
                             labels.face(clock, now, utc_first=abroad) if running else labels.ClockFace(
                                 "none", outcome, 0, labels.moment(clock.due_at, utc_first=abroad)),
                             running, running and clock.paused_at is not None, late, outcome))
    return sorted(found, key=lambda promise: not promise.is_running)


def _clocks(case: Case, viewer: Viewer) -> QuerySet[Any]:
    return visible(Clock, viewer).filter(case=case).order_by("stopped_at", "started_at")


def judgements(case: Case, viewer: Viewer) -> list[Judgement]:
    found = []
    for row in visible(TriageDecision, viewer).filter(case=case).select_related("by"):
        rule = rules.urgency_rules().get(row.urgency_rule)
        found.append(Judgement(labels.label("verdict", row.verdict), labels.label("urgency", row.urgency),
                               rule.label if rule else row.urgency_rule, _rsit(row.rsit), row.reason,
                               row.by.name, labels.moment(row.at)))
    return found


def points(case: Case, viewer: Viewer) -> list[Point]:
    return [Point(point, point.position + 1, labels.label("stance", point.stance))
            for point in visible(OpinionPoint, viewer).filter(case=case)]


def reply_draft(case: Case, viewer: Viewer, template: str, parts: Collection[str]) -> str:
    """The chosen template filled for this case, in the asker's language, with these of its parts; empty without one."""
    written = drafts.written(case, viewer, template, parts)
    if written is not None:
        return written
    chosen = rules.replies().get(template)
    if chosen is None:
        return ""
    language = advising.language_of(case)
    if case.is_anonymous or not case.asker_name:
        asker = "Sir or Madam" if language == "en" else "ご相談者"
    else:
        asker = case.asker_name
    due = labels.moment(case.due_at, utc_first=is_abroad(case))
    return chosen.filled(language, {"number": case.number, "title": case.title, "asker": asker,
                                    "due": due.local if due else "—"})
