"""One case that is two incidents: what belongs to the other one goes into a case of its own."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from hikeshi_desk.accounts.models import User
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks, rules, search, signals
from hikeshi_desk.cases.acting import Refused, said
from hikeshi_desk.cases.models import Attachment, Case, Message, State, Task
from hikeshi_desk.cases.opening import next_serial, number_of

_TRIES = 5
CHOSEN = (Message.Kind.ASKER, Message.Kind.NOTE)  # a reply was said to the asker once and is not said again


def split(case: Case, by: User, *, new_id: UUID, title: str, incident: str, messages: Sequence[str],
          files: Sequence[str], with_thread: bool, reason: str) -> Case:
    """The new case, linked both ways, with copies of the chosen messages and files, its own clock and tasks.

    Copies, because the asker must still find in their own thread what they wrote. The thread stays with `case`
    unless `with_thread`. The same `new_id` twice is one case. Raises acting.Refused.
    """
    title, reason = said(title, "cases.refused.title")[:120], said(reason, "cases.refused.reason")[:500]
    for _ in range(_TRIES - 1):
        try:
            return _split(case, by, new_id, title, incident, messages, files, reason, with_thread=with_thread)
        except IntegrityError:  # another case took the number, or the same form was sent twice at once
            continue
    return _split(case, by, new_id, title, incident, messages, files, reason, with_thread=with_thread)


def _split(case: Case, by: User, new_id: UUID, title: str, incident: str, messages: Sequence[str],
           files: Sequence[str], reason: str, *, with_thread: bool) -> Case:
    with transaction.atomic():
        first = Case.objects.select_for_update().get(pk=case.pk)
        known = Case.objects.filter(pk=new_id).first()
        if known is not None:
            if known.split_from_id != first.pk:
                raise Refused("cases.refused.choice")
            return known
        words = _chosen(first, messages)
        kept = _chosen_files(first, files, words)
        if not words and not kept:
            raise Refused("cases.refused.nothing_chosen")
        if first.state == State.MERGED:
            raise Refused("cases.refused.finished")
        new = _new_case(first, new_id, title, incident)
        if with_thread:
            # A receipt leads to one case: the asker's thread is whole in one place, never in two.
            first_receipt, first.receipt = first.receipt, ""
            first.save(update_fields=["receipt"])
            new.receipt = first_receipt
        new.save(force_insert=True)
        _copy(new, words, kept, by)
        _begin(new)
        detail = {"reason": reason, "messages": len(words), "files": len(kept), "thread": with_thread}
        record(str(by.pk), "case.split", f"case:{first.pk}", number=first.number, into=new.number, **detail)
        record(str(by.pk), "case.split_here", f"case:{new.pk}", number=new.number, other=first.number, **detail)
        signals.after_commit(signals.case_opened, new.pk)
        return new


def _chosen(case: Case, ids: Sequence[str]) -> list[Message]:
    wanted = set(ids)
    rows = [row for row in case.messages.filter(kind__in=CHOSEN).order_by("at") if str(row.pk) in wanted]
    if len(rows) != len(wanted):
        raise Refused("cases.refused.choice")
    return rows


def _chosen_files(case: Case, ids: Sequence[str], words: Sequence[Message]) -> list[Attachment]:
    """Exactly the files that were ticked: a message may be taken without them."""
    wanted = set(ids)
    rows = [row for row in case.attachments.select_related("message") if str(row.pk) in wanted]
    if len(rows) != len(wanted):
        raise Refused("cases.refused.choice")
    return rows


def _new_case(first: Case, new_id: UUID, title: str, incident: str) -> Case:
    from hikeshi_desk.cases.choices import INCIDENTS

    if incident and incident not in INCIDENTS:
        raise Refused("cases.refused.choice")
    at = timezone.now()
    serial = next_serial(at)
    return Case(
        pk=new_id, number=number_of(serial), serial=serial, title=title, request=first.request,
        incident=incident, asker_kind=first.asker_kind, asker_name=first.asker_name, contact=first.contact,
        is_anonymous=first.is_anonymous, on_behalf=first.on_behalf, language=first.language, tlp=first.tlp,
        pap=first.pap, basis=first.basis, organisation=first.organisation, owner=first.owner, team=first.team,
        detected_by=first.detected_by, split_from=first, state=State.OPEN, opened_at=at, last_word_at=at, order_at=at)


def _copy(new: Case, words: Sequence[Message], files: Sequence[Attachment], by: User) -> None:
    copies = {row.pk: Message(case=new, kind=row.kind, channel=row.channel, author=row.author,
                              author_role=row.author_role, body=row.body, at=row.at, copied_from=row)
              for row in words}
    Message.objects.bulk_create(copies.values())
    bare = [file for file in files if file.message_id not in copies]
    holder = None
    if bare:
        holder = Message.objects.create(case=new, kind=Message.Kind.NOTE, author=by, at=timezone.now(),
                                        body="\n".join(file.name for file in bare))
    Attachment.objects.bulk_create([
        Attachment(case=new, message=copies.get(file.message_id) or holder, name=file.name, sha256=file.sha256,
                   size=file.size) for file in files])
    search.index(new, [row.body for row in words if row.kind == Message.Kind.ASKER] + [file.name for file in files],
                 internal=False)
    search.index(new, [row.body for row in words if row.kind != Message.Kind.ASKER], internal=True)


def _begin(new: Case) -> None:
    clocks.start(new, rules.first_clock(new.incident, new.request), new.opened_at)
    Task.objects.bulk_create([
        Task(case=new, kind=rule.id, title=rule.en if new.language == "en" else rule.ja, position=position)
        for position, rule in enumerate(rules.first_tasks(new.incident, new.request))])
    search.index_case(new)
    clocks.settle(new)
    new.save()
