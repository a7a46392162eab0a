"""The case page, prepared: header, one stream of conversation and acts, and the column beside it."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import clocks, drafts, labels, rules
from hikeshi_desk.cases.access import is_desk, readable
from hikeshi_desk.cases.models import (
    Attachment,
    Case,
    Clock,
    Message,
    OpinionPoint,
    Phase,
    Task,
    TriageDecision,
    Urgency,
)
from hikeshi_desk.cases.queue import asker_of

# Acts that are a message of the stream already.
_SPOKEN = frozenset({"case.reply", "case.note", "case.continued", "case.opened"})
_MOST_ACTS = 300


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


def build(case: Case, viewer: Viewer, now: datetime | None = None) -> CasePage:
    """What this viewer may see of a case they may see."""
    now = now or timezone.now()
    desk = is_desk(viewer)
    files = _files(case, viewer)
    promises = _promises(case, viewer, now)
    urgency = Urgency.HIGH if case.rank == 0 else case.urgency
    return CasePage(
        case=case, title=case.title if case.pk in readable(viewer, [case]) else case.number, is_desk=desk,
        can_act=viewer.has(Role.HANDLER, Role.LEAD), is_finished=case.state in clocks.FINISHED,
        state=labels.label("state", case.state), urgency=urgency, urgency_word=labels.label("urgency", urgency),
        verdict=labels.label("verdict", case.verdict), rsit=_rsit(case.rsit),
        kind=labels.label("incident", case.incident), owner=owner_of(case),
        clock=next((promise.face for promise in promises if promise.is_running), labels.NO_CLOCK),
        phases=[PhaseStep(labels.label("phase", phase), phase == case.phase) for phase in Phase.values],
        stream=_stream(case, viewer, files, desk=desk), facts=_facts(case) if desk else [], promises=promises,
        steps=[Step(task, task_title(task), labels.moment(task.done_at),
                    "" if task.done_at else drafts.proposal(case, viewer, task.kind))
               for task in visible(Task, viewer).filter(case=case)],
        files=[file for group in files.values() for file in group],
        judgements=judgements(case, viewer), points=points(case, viewer))


def owner_of(case: Case) -> str:
    names = [case.owner.name if case.owner else "", case.team.name if case.team else ""]
    return " / ".join(filter(None, names)) or text("cases.owner.none")


def task_title(task: Task) -> str:
    known = rules.tasks().get(task.kind)
    return known.label if known else task.title


def _rsit(code: str) -> str:
    return rules.rsit()[code].label if code in rules.rsit() else code


def _files(case: Case, viewer: Viewer) -> Mapping[object, list[File]]:
    found: dict[object, list[File]] = defaultdict(list)
    for row in visible(Attachment, viewer).filter(case=case).order_by("message__at", "name"):
        found[row.message_id].append(File(row.pk, row.name, labels.size(row.size), row.sha256))
    return found


def _stream(case: Case, viewer: Viewer, files: Mapping[object, list[File]], *, desk: bool) -> list[Said]:
    rows: list[tuple[datetime, int, Said]] = []
    messages = visible(Message, viewer).filter(case=case).select_related("author")
    for number, message in enumerate(messages):
        rows.append((message.at, number, _said(case, message, files.get(message.pk, []), desk=desk)))
    if desk:
        acts = Entry.objects.filter(subject=f"case:{case.pk}").exclude(act__in=_SPOKEN).order_by("-sequence")
        names = {str(message.author_id): message.author.name for message in messages if message.author}
        if viewer.user:
            names[str(viewer.user.pk)] = viewer.user.name
        for entry in acts[:_MOST_ACTS]:
            who = names.get(entry.actor, "")
            rows.append((entry.at, entry.sequence, Said("act", who, act_words(entry.act), labels.moment(entry.at),
                                                        act_detail(entry.act, entry.detail))))
    return [row[2] for row in sorted(rows, key=lambda row: (row[0], row[1]))]


def _said(case: Case, message: Message, files: Sequence[File], *, desk: bool) -> Said:
    if message.kind == Message.Kind.ASKER:
        who = asker_of(case) if desk else text("cases.asker.hidden")
        heading = labels.label("channel", message.channel)
    else:
        who = message.author.name if message.author and desk else text("cases.owner.desk")
        heading = labels.label("role", message.author_role) if message.author_role else ""
    return Said(message.kind, who, heading, labels.moment(message.at), message.body, files)


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
            known = rules.tasks().get(get("task", ""))
            return known.label if known else str(get("task", ""))
        case "case.opine":
            return f"{get('point', '')}: {labels.label('stance', get('stance', ''))}"
    return str(get("reason") or get("into") or get("other") or get("organisation") or "")


def _facts(case: Case) -> list[Fact]:
    asked = {
        "asker": asker_of(case), "contact": "" if case.is_anonymous else case.contact,
        "asker_kind": labels.label("asker_kind", case.asker_kind) if case.asker_kind else "",
        "on_behalf": case.on_behalf, "request": labels.label("request", case.request),
        "opened": str(getattr(labels.moment(case.opened_at), "local", "")),
        "language": labels.label("language", case.language), "tlp": case.tlp,
        "merged": case.merged_into.number if case.merged_into else "", "close_reason": case.close_reason,
    }
    found = [Fact(text(f"cases.fact.{name}"), value) for name, value in asked.items() if value]
    return found + [Fact(labels.label("fact", str(name)), labels.label(str(name), str(value))) for name, value in case.facts.items() if value]


def _promises(case: Case, viewer: Viewer, now: datetime) -> list[Promise]:
    found = []
    for clock in visible(Clock, viewer).filter(case=case).order_by("stopped_at", "started_at"):
        rule = rules.clocks().get(clock.rule)
        running = clock.stopped_at is None
        end = clock.stopped_at or clock.paused_at or now
        late = end > clock.due_at
        outcome = "" if running else text("cases.clock.late" if late else "cases.clock.kept")
        found.append(Promise(clock, rule.label if rule else clock.rule,
                             labels.face(clock, now) if running else labels.ClockFace(
                                 "none", outcome, 0, labels.moment(clock.due_at)),
                             running, running and clock.paused_at is not None, late, outcome))
    return sorted(found, key=lambda promise: not promise.is_running)


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


def reply_draft(case: Case, viewer: Viewer, template: str) -> str:
    """The chosen template filled for this case, in the asker's language; empty without one."""
    written = drafts.written(case, viewer, template)
    if written is not None:
        return written
    chosen = rules.replies().get(template)
    if chosen is None:
        return ""
    language = "en" if case.language == "en" else "ja"
    if case.is_anonymous or not case.asker_name:
        asker = "Sir or Madam" if language == "en" else "ご相談者"
    else:
        asker = case.asker_name
    due = labels.moment(case.due_at)
    return chosen.filled(language, {"number": case.number, "title": case.title, "asker": asker,
                                    "due": due.local if due else "—"})
