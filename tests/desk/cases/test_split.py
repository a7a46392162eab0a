"""Split and merge: two incidents apart, two askers never together."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from hikeshi_desk.accounts.models import Role
from hikeshi_desk.audit.log import verify
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import acts
from hikeshi_desk.cases.models import Case, Message, State
from hikeshi_desk.consult import thread as asker_s

pytestmark = pytest.mark.django_db


def url(name: str, case: Case) -> str:
    return reverse(f"cases:{name}", args=[case.pk])


def do(client, case: Case, act: str, **fields):
    return client.post(url(f"do-{act}", case), fields, follow=True)


@pytest.fixture
def two_incidents(consult, thread, incoming_file):
    case = consult("最初の事案", [incoming_file("一.log", b"1")], anonymous=False, asker_name="被害工業")
    consult("別の事案の話", [incoming_file("二.log", b"2")], thread=thread(case))
    case.refresh_from_db()
    return case


def split(client, case: Case, **more):
    other = case.messages.get(body="別の事案の話")
    return do(client, case, "split", **{"new_id": str(uuid.uuid4()), "messages": str(other.pk), "title": "別の事案",
                                        "files": str(other.attachments.get().pk), "reason": "別の攻撃者", **more})


def test_a_split_case_has_its_own_clock_tasks_and_copies_and_is_linked_both_ways(
        two_incidents, handler, sign_in) -> None:
    client = sign_in(handler)
    split(client, two_incidents, incident="ransomware")
    new = Case.objects.get(title="別の事案")
    assert new.split_from == two_incidents and new.clocks.get().rule == "urgent_answer"
    assert new.tasks.filter(kind="identify_ransomware").exists()
    assert [row.body for row in new.messages.all()] == ["別の事案の話"]
    assert [row.name for row in new.attachments.all()] == ["二.log"]
    assert two_incidents.messages.count() == 2 and two_incidents.clocks.get().rule == "first_answer"
    assert new.number in client.get(url("case", two_incidents)).content.decode()
    assert two_incidents.number in client.get(url("case", new)).content.decode()
    assert verify() is None


def test_the_asker_s_thread_stays_whole_with_the_first_case_unless_it_is_moved(
        two_incidents, handler, sign_in, thread) -> None:
    client, receipt = sign_in(handler), two_incidents.receipt
    split(client, two_incidents)
    assert asker_s.find(receipt) == two_incidents
    assert [row.body for row in asker_s.entries(two_incidents, None)] == ["最初の事案", "別の事案の話"]
    split(client, two_incidents, thread="new", title="移した事案")
    moved = Case.objects.get(title="移した事案")
    assert asker_s.find(receipt) == moved and [row.body for row in asker_s.entries(moved, None)] == ["別の事案の話"]
    assert Case.objects.filter(receipt=receipt).count() == 1


def test_an_answer_in_the_split_case_reaches_its_asker_through_the_first(two_incidents, handler, sign_in) -> None:
    client = sign_in(handler)
    split(client, two_incidents)
    new = Case.objects.get(title="別の事案")
    assert two_incidents.number in client.get(url("case", new)).content.decode().split("reply-title")[-1]
    do(client, new, "reply", body="別件への答え")
    assert "別件への答え" in [row.body for row in asker_s.entries(two_incidents, None)]
    assert new.clocks.get().stopped_at and two_incidents.clocks.get().stopped_at is None


def test_the_same_form_twice_is_one_case(two_incidents, handler, sign_in) -> None:
    token = str(uuid.uuid4())
    for _ in range(2):
        split(sign_in(handler), two_incidents, new_id=token)
    assert Case.objects.count() == 2 and Entry.objects.filter(act="case.split").count() == 1


def test_nothing_of_another_case_can_be_split_off(two_incidents, consult, handler, sign_in, incoming_file) -> None:
    foreign = consult("他人の秘密", [incoming_file("秘密.log", b"s")])
    client = sign_in(handler)
    for fields in ({"messages": str(foreign.messages.get().pk)}, {"files": str(foreign.attachments.get().pk)},
                   {"messages": "'; DROP TABLE", "files": ""}):
        assert split(client, two_incidents, **fields).status_code == 404
    # The id of a case that is there already opens nothing and shows nothing.
    answer = split(client, two_incidents, new_id=str(foreign.pk))
    assert "選び直して" in answer.content.decode() and Case.objects.count() == 2


@pytest.mark.parametrize(("fields", "words"), [
    ({"messages": "", "files": ""}, "分けるものを選んで"), ({"title": " "}, "件名を書いて"), ({"reason": ""}, "理由を書いて"),
    ({"incident": "invented"}, "選び直して")])
def test_a_split_that_lacks_something_says_so(two_incidents, handler, sign_in, fields, words) -> None:
    client = sign_in(handler)
    if fields.get("messages") == "":
        answer = do(client, two_incidents, "split", title="x", reason="y")
    else:
        answer = split(client, two_incidents, **fields)
    assert words in answer.content.decode() and Case.objects.count() == 1


def test_replies_are_not_said_twice_and_notes_stay_notes(two_incidents, handler, sign_in) -> None:
    client = sign_in(handler)
    acts.reply(two_incidents, handler, body="以前の回答")
    acts.note(two_incidents, handler, body="内部の話")
    reply, note = (two_incidents.messages.get(kind=kind) for kind in ("reply", "note"))
    assert "選び直して" in split(client, two_incidents, messages=str(reply.pk)).content.decode()
    split(client, two_incidents, messages=str(note.pk), thread="new")
    assert "内部の話" not in str(asker_s.entries(Case.objects.get(title="別の事案"), None))


def test_a_party_of_the_first_case_is_no_party_of_the_second(two_incidents, handler, sign_in, partner_of) -> None:
    partner = sign_in(partner_of(two_incidents, sees_conversation=True, sees_files=True))
    split(sign_in(handler), two_incidents)
    assert partner.get(url("case", Case.objects.get(title="別の事案"))).status_code == 404


def test_undoing_a_merge_gives_back_the_promise_that_ended_with_it(consult, handler, sign_in, thread) -> None:
    first, second, client = consult("一"), consult("二"), sign_in(handler)
    for case in (first, second):
        acts.reply(case, handler, body="答え")
    consult("続き", thread=thread(second))
    second.refresh_from_db()
    due = second.due_at
    do(client, second, "merge", into=first.number)
    second.refresh_from_db()
    assert second.rank == 9 and second.due_at is None
    assert "理由を書いて" in do(client, second, "unmerge", reason="").content.decode()
    do(client, second, "unmerge", reason="別の事案だった")
    second.refresh_from_db()
    assert (second.state, second.merged_into, second.due_at) == (State.OPEN, None, due)
    assert Entry.objects.filter(act="case.unmerged_here", subject=f"case:{first.pk}").exists()
    assert "統合されていません" in do(client, second, "unmerge", reason="もう一度").content.decode()


def test_a_merged_case_that_was_written_to_again_keeps_its_new_promise(consult, handler, sign_in, thread) -> None:
    first, second = consult("一"), consult("二")
    acts.reply(second, handler, body="答え")
    acts.merge(second, handler, into=first)
    consult("また書きます", thread=thread(second))
    second.refresh_from_db()
    assert [row.body for row in asker_s.entries(first, None)] == ["一"]
    do(sign_in(handler), second, "unmerge", reason="別件")
    second.refresh_from_db()
    assert second.merged_into is None and second.clocks.filter(stopped_at=None).count() == 1


def test_a_reader_can_not_split(two_incidents, member, sign_in) -> None:
    assert sign_in(member(Role.READER)).get(url("split", two_incidents)).status_code == 404
    assert Message.objects.count() == 2
