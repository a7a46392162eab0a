"""From a submission to a case, or into the case it continues.

`open_submission` may be called any number of times, at once or after a crash at any point: files go into the
content store first (keeping twice is keeping once), then one transaction writes message, case, clock and
tasks and marks the submission opened. What is left in the spool afterwards is only payload.json.

Sealing takes about four seconds per GB, and nobody waits for that: of a submission above AT_ONCE the words come
first, with case and clock, and its files follow one by one, each leaving the spool once it is sealed and recorded.
Until the last one is, the submission counts as not opened.
"""

from __future__ import annotations

import logging
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import partial

from django.db import IntegrityError, transaction
from django.utils import timezone

from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, rules, search, signals, store
from hikeshi_desk.cases.models import Attachment, Case, Message, OpinionPoint, Source, State, Task, Urgency
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Channel, Submission
from hikeshi_desk.intake.submit import IncomingFile, Payload

log = logging.getLogger(__name__)
_TITLE = 120  # signs of the first line that make a title
_LONGEST_NAME = 255
_TRIES = 5
URGENT_INCIDENTS = frozenset({"ransomware"})
AT_ONCE = 32 << 20  # bytes that are sealed while the sender waits


def open_waiting() -> int:
    """Opens what was received but not opened, oldest first; gives how many. One that can't be is noted and left.

    Of large submissions the words: their files are `file_large`'s.
    """
    waiting = Submission.objects.filter(opened_at=None).exclude(size__gt=AT_ONCE, message__isnull=False)
    return sum([_tried(begin, one) for one in waiting.order_by("received_at")])


def file_large(*, stuck: bool = False) -> int:
    """Seals what no sender waited for, oldest first; gives how many submissions. `stuck`: those with a problem too."""
    waiting = Submission.objects.filter(opened_at=None, size__gt=AT_ONCE)
    if not stuck:
        waiting = waiting.filter(problem="")
    return sum([_tried(open_submission, one) for one in waiting.order_by("received_at")])


def _tried(act: Callable[[Submission], Message], submission: Submission) -> bool:
    try:
        act(submission)
    except Exception as error:  # the edge of the stage: the others must still be opened
        log.exception("submission %s could not be opened", submission.pk)
        Submission.objects.filter(pk=submission.pk).update(problem=f"{type(error).__name__}: {error}"[:500])
        return False
    return True


def clear_opened() -> int:
    """Removes from the spool what a kill between the commit and the clearing left there plain; gives how many.

    Called at start. The files are in the content store: a submission is opened only after they are.
    """
    left = {path.parent.name: path for path in spool.left_files()}
    opened = Submission.objects.filter(pk__in=list(left)).exclude(opened_at=None).values_list("pk", flat=True)
    for one in opened:
        shutil.rmtree(left[str(one)], ignore_errors=True)
    return len(opened)


def begin(submission: Submission) -> Message:
    """What its sender waits for: a small submission whole, a large one's words."""
    if submission.size <= AT_ONCE:
        return open_submission(submission)
    payload, files = _read(submission)
    return _once_more(partial(_open_words, submission, payload, files))


def open_submission(submission: Submission) -> Message:
    """The message this submission became: the first of a new case, or the next of its thread's case."""
    payload, files = _read(submission)
    if submission.size <= AT_ONCE:
        for file in files:
            store.keep(file.path, file.sha256, file.size)
        return _once_more(partial(_open, submission, payload, files))
    message = _once_more(partial(_open_words, submission, payload, files))
    for number, file in enumerate(files):
        store.keep(file.path, file.sha256, file.size)
        _open_file(message, number, file)
    return _open(submission, payload, files)


def _read(submission: Submission) -> tuple[Payload, Sequence[IncomingFile]]:
    sent, files = spool.read(submission.pk)
    return storable(sent), files


def _once_more(write: Callable[[], Message]) -> Message:
    for _ in range(_TRIES - 1):
        try:
            return write()
        except IntegrityError:  # another one took the same case number at the same moment
            continue
    return write()


def _open(submission: Submission, payload: Payload, files: Sequence[IncomingFile]) -> Message:
    """All of it; of what is there already, the rest. The files are in the content store."""
    with transaction.atomic():
        locked = Submission.objects.select_for_update().get(pk=submission.pk)
        known = Message.objects.filter(submission=locked).first()
        message = known or _write(locked, payload, files)
        if locked.opened_at is None:
            for number, file in enumerate(files):
                _attach(message, number, file)
            if known:
                signals.after_commit(signals.case_filed, message.case_id)
        if locked.opened_at is None or locked.problem:
            locked.opened_at, locked.problem = locked.opened_at or timezone.now(), ""
            locked.save(update_fields=["opened_at", "problem"])
        # Not before the commit: until then the spool's is the copy that counts. The raw words stay there.
        transaction.on_commit(partial(shutil.rmtree, spool.folder_of(submission.pk) / "files", ignore_errors=True))
    return message


def _open_words(submission: Submission, payload: Payload, files: Sequence[IncomingFile]) -> Message:
    with transaction.atomic():
        locked = Submission.objects.select_for_update().get(pk=submission.pk)
        return Message.objects.filter(submission=locked).first() or _write(locked, payload, files)


def _open_file(message: Message, number: int, file: IncomingFile) -> None:
    """One file of a large submission is shown, and gives its place in the spool back."""
    with transaction.atomic():
        locked = Submission.objects.select_for_update().get(pk=message.submission_id)
        if locked.opened_at is None:
            _attach(message, number, file)
        transaction.on_commit(partial(file.path.unlink, missing_ok=True))


def _attach(message: Message, number: int, file: IncomingFile) -> None:
    """The id is the file's place in its submission: whoever comes second finds it."""
    name = clean(file.name)[:_LONGEST_NAME]
    Attachment.objects.get_or_create(
        pk=uuid.uuid5(message.submission_id, f"file {number}"),
        defaults={"case": message.case, "message": message, "name": name, "sha256": file.sha256, "size": file.size})


def _write(submission: Submission, payload: Payload, files: Sequence[IncomingFile]) -> Message:
    case = _thread_case(payload)
    is_new = case is None
    if case is None:
        case = _new_case(submission, payload)
    message = Message.objects.create(
        case=case, kind=Message.Kind.ASKER, channel=submission.channel, body=payload.what,
        at=submission.received_at, submission=submission, mail_id=payload.mail.get("message_id", "")[:998])
    if is_new:
        _begin(case, payload, submission.received_at)
        signals.after_commit(signals.case_opened, case.pk)
        if case.urgency == Urgency.HIGH:
            signals.after_commit(signals.case_urgent, case.pk)
    else:
        _continue(case, payload, submission.received_at)
        signals.after_commit(signals.case_heard, case.pk)
    search.index(case, [payload.what, *(clean(file.name)[:_LONGEST_NAME] for file in files)], internal=False)
    record("consultee", "case.opened" if is_new else "case.continued", f"case:{case.pk}",
           number=case.number, channel=submission.channel, submission=str(submission.pk), files=len(files))
    return message


def make_urgent(case: Case, by: str, rule: str) -> bool:
    """Urgent by a rule, before anybody judged: the urgent promise, the top of the queue, on-call is told.

    False, and nothing done, once the urgency is judged or the case is finished: a person's word counts.
    """
    with transaction.atomic():
        held = Case.objects.select_for_update().get(pk=case.pk)
        if held.urgency != Urgency.UNJUDGED or held.state in clocks.FINISHED:
            return False
        held.urgency = Urgency.HIGH
        clocks.hasten(held, timezone.now())
        clocks.settle(held)
        held.save()
        signals.after_commit(signals.case_urgent, held.pk)
        record(by, "case.made_urgent", f"case:{held.pk}", number=held.number, rule=rule)
    return True


def _thread_case(payload: Payload) -> Case | None:
    """The case a follow-up belongs to. Only the receipt leads there, never a number or a subject."""
    if not payload.thread:
        return None
    return Case.objects.select_for_update().filter(receipt=payload.thread).first()


def _new_case(submission: Submission, payload: Payload) -> Case:
    at = submission.received_at
    serial = next_serial(at)
    case = Case(
        number=number_of(serial), serial=serial, title=title_of(payload), request=(payload.request or "other")[:32],
        incident=payload.incident[:32], asker_kind=payload.asker_kind[:32], is_anonymous=payload.anonymous,
        asker_name="" if payload.anonymous else payload.asker_name[:200],
        contact="" if payload.anonymous else payload.contact[:254],
        on_behalf=payload.on_behalf[:200], language=(payload.language or "ja")[:5], facts=dict(payload.facts),
        # A continuing thread whose case is unknown here keeps its receipt, so that its next word finds this case.
        receipt=payload.thread or submission.receipt,
        opened_at=at, last_word_at=at, order_at=at,
        detected_by=_source(payload),
        urgency=Urgency.HIGH if payload.incident in URGENT_INCIDENTS else Urgency.UNJUDGED)
    case.save(force_insert=True)
    return case


def _begin(case: Case, payload: Payload, at: datetime) -> None:
    clocks.start(case, rules.first_clock(case.incident, case.request), at)
    english = case.language == "en"
    Task.objects.bulk_create([
        Task(case=case, kind=rule.id, title=rule.en if english else rule.ja, position=position)
        for position, rule in enumerate(rules.first_tasks(case.incident, case.request))])
    OpinionPoint.objects.bulk_create([
        OpinionPoint(case=case, position=position, claim=claim)
        for position, claim in enumerate(filter(None, map(str.strip, payload.hypothesis)))])
    call_back = _call_back(payload)
    if call_back:
        rule = rules.other_tasks()["call_back"]
        Task.objects.create(case=case, kind=rule.id, title=rule.en if english else rule.ja, due_at=call_back)
    search.index_case(case)
    search.index(case, payload.hypothesis, internal=True)
    clocks.settle(case)
    case.save()


def _source(payload: Payload) -> str:
    told = payload.facts.get("detected_by", "")
    return told if told in Source.values else ""


def _call_back(payload: Payload) -> datetime | None:
    """When somebody who called wants to be called, from a phone note: nobody else promises that."""
    if payload.channel != Channel.PHONE:
        return None
    try:
        at = datetime.fromisoformat(payload.facts.get("call_back_at", ""))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=rules.calendar().zone)


def _continue(case: Case, payload: Payload, at: datetime) -> None:
    """The asker wrote again: a closed case opens, a paused promise goes on, an answered one begins anew.

    A merged case keeps its own conversation: two askers of one incident must not read each other.
    """
    running = clocks.running_of(case)
    if running is None:
        clocks.start_next(case, at)
    elif running.paused_at and running.paused_at <= at:
        clocks.resume(running, at)
    if case.state != State.NEW:
        case.state = State.OPEN
    case.closed_at = None
    case.last_word_at, case.last_word_by = max(at, case.last_word_at), "asker"
    if case.is_anonymous and not payload.anonymous and (payload.asker_name or payload.contact):
        case.is_anonymous = False
    if not case.is_anonymous:
        case.asker_name = (payload.asker_name or case.asker_name)[:200]
        case.contact = (payload.contact or case.contact)[:254]
        search.index_case(case)
    case.facts = {**case.facts, **payload.facts}
    clocks.settle(case)
    case.save()


def storable(payload: Payload) -> Payload:
    """The same words as every database takes them: no NUL, no half characters. The spool keeps the original."""
    changes: dict[str, object] = {}
    for one in fields(payload):
        value = getattr(payload, one.name)
        if isinstance(value, str):
            changes[one.name] = clean(value)
        elif isinstance(value, Mapping):
            changes[one.name] = {clean(str(key)): clean(str(item)) for key, item in value.items()}
        elif isinstance(value, tuple):
            changes[one.name] = tuple(clean(str(item)) for item in value)
    return replace(payload, **changes)  # type: ignore[arg-type]


def clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def title_of(payload: Payload) -> str:
    """The subject of a mail, else the first line that says something."""
    lines = [payload.mail.get("subject", ""), *payload.what.splitlines()]
    first = next((" ".join(line.split()) for line in lines if line.strip()), "（本文なし）")
    return first if len(first) <= _TITLE else first[:_TITLE - 1] + "…"


def next_serial(at: datetime) -> int:
    """The next number of that year in Japan. Unique by constraint: two at once means one is tried again."""
    year = timezone.localtime(at, rules.calendar().zone).year
    first, last = year * 1_000_000, (year + 1) * 1_000_000
    newest = Case.objects.filter(serial__gt=first, serial__lt=last).order_by("-serial").values_list("serial", flat=True)
    return (newest.first() or first) + 1


def number_of(serial: int) -> str:
    return f"{serial // 1_000_000}-{serial % 1_000_000:06d}"
