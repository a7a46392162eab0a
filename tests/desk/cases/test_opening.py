"""From submission to case."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings

from hikeshi_desk.audit.log import verify
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import opening, store
from hikeshi_desk.cases.models import Case, Message, Rank, SearchGram, State
from hikeshi_desk.cases.opening import clean, next_serial, open_submission, open_waiting, title_of
from hikeshi_desk.intake import spool
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import Payload, submit

pytestmark = pytest.mark.django_db


def test_a_consultation_becomes_a_numbered_case_with_its_words_clock_and_first_tasks(consult) -> None:
    case = consult("業務用サーバーが暗号化された\n拡張子は .abc です", incident="ransomware")
    assert case.number.endswith("-000001") and case.title == "業務用サーバーが暗号化された"
    assert case.messages.get().body == "業務用サーバーが暗号化された\n拡張子は .abc です"
    assert case.tasks.first().kind == "identify_ransomware"
    assert case.state == State.NEW and case.last_word_by == "asker"
    assert verify() is None and Entry.objects.get(act="case.opened").subject == f"case:{case.pk}"


def test_ransomware_has_a_clock_in_hours_and_goes_to_the_top_and_nothing_else_does(consult) -> None:
    calm, urgent = consult(incident="phishing"), consult(incident="ransomware")
    assert urgent.rank == Rank.URGENT and urgent.clocks.get().rule == "urgent_answer"
    assert urgent.due_at == urgent.opened_at + timedelta(hours=2)
    assert calm.rank == Rank.OWED and calm.clocks.get().rule == "first_answer" and calm.due_at > urgent.due_at
    assert not calm.tasks.filter(kind="identify_ransomware").exists()


def test_opening_twice_is_opening_once(consult) -> None:
    case = consult()
    submission = Submission.objects.get()
    before = SearchGram.objects.count()
    assert open_submission(submission).case == case
    assert (Case.objects.count(), Message.objects.count(), Entry.objects.count()) == (1, 1, 1)
    assert SearchGram.objects.count() == before and case.clocks.count() == 1


def test_a_follow_up_by_receipt_joins_its_case_and_only_by_receipt(consult, thread) -> None:
    case = consult("最初の相談")
    consult(f"続きです {case.number}", thread=thread(case))
    stranger = consult(f"Re: {case.number}")
    assert [message.body for message in case.messages.all()] == ["最初の相談", f"続きです {case.number}"]
    assert stranger.pk != case.pk and Case.objects.count() == 2


def test_a_follow_up_to_a_closed_case_opens_it_again_with_a_new_promise(consult, thread, handler) -> None:
    from hikeshi_desk.cases import acts

    case = consult()
    acts.reply(case, handler, body="回答です")
    acts.close(case, handler, reason="確認済み")
    consult("まだ困っています", thread=thread(case))
    case.refresh_from_db()
    assert case.state == State.OPEN and case.closed_at is None and case.rank == Rank.OWED
    assert case.clocks.get(stopped_at=None).rule == "next_answer"


def test_a_follow_up_to_a_merged_case_never_shows_in_the_other_case(consult, thread, handler) -> None:
    from hikeshi_desk.cases import acts

    first, second = consult("甲社です"), consult("乙社です")
    acts.reply(second, handler, body="同じ事案です")
    acts.merge(second, handler, into=first)
    consult("乙社の秘密", thread=thread(second))
    assert not first.messages.filter(body="乙社の秘密").exists()
    assert second.messages.filter(body="乙社の秘密").exists()


def test_an_unknown_thread_still_opens_a_case_that_its_next_word_finds(consult) -> None:
    case = consult("前の続き", thread="f" * 64)
    again = consult("さらに続き", thread="f" * 64)
    assert again.pk == case.pk and case.messages.count() == 2


def test_files_lie_under_their_hash_and_leave_the_spool_after_the_commit(
        consult, incoming_file, django_capture_on_commit_callbacks) -> None:
    file = incoming_file("../../etc/ノート.txt", "金を払え".encode())
    with django_capture_on_commit_callbacks(execute=True):
        case = consult(files=[file])
    kept = case.attachments.get()
    assert kept.name == "../../etc/ノート.txt" and store.open_content(kept.sha256).read() == "金を払え".encode()
    assert [path.name for path in Path(settings.EVIDENCE).rglob("*") if path.is_file()] == [f"{kept.sha256}.age"]
    folder = spool.folder_of(Submission.objects.get().pk)
    assert (folder / "payload.json").exists() and not (folder / "files").exists()
    assert open_submission(Submission.objects.get()).case == case  # again, with the files gone from the spool


def test_a_crash_between_files_and_rows_is_made_good_by_the_next_start(incoming_file, monkeypatch) -> None:
    submit(Payload(channel="web", what="助けて"), [incoming_file("a.log", b"x" * 10)], idempotency_key="k" * 16)
    with monkeypatch.context() as broken:
        broken.setattr(opening, "record", lambda *a, **k: 1 / 0)
        assert open_waiting() == 0
    assert Case.objects.count() == 0 and "ZeroDivisionError" in Submission.objects.get().problem
    assert open_waiting() == 1 and Case.objects.get().attachments.count() == 1
    assert Submission.objects.get().problem == "" and open_waiting() == 0


def test_one_that_can_not_be_opened_does_not_hold_up_the_others(incoming_file) -> None:
    first = submit(Payload(channel="web", what="一"), idempotency_key="1" * 16)
    submit(Payload(channel="web", what="二"), idempotency_key="2" * 16)
    (spool.folder_of(first.submission_id) / "payload.json").write_text("{")
    assert open_waiting() == 1 and Case.objects.get().title == "二"
    assert "Damaged" in Submission.objects.get(pk=first.submission_id).problem


def test_a_file_with_another_size_than_announced_opens_nothing(incoming_file) -> None:
    accepted = submit(Payload(channel="web", what="一"), [incoming_file("a", b"abc")], idempotency_key="1" * 16)
    (spool.folder_of(accepted.submission_id) / "files" / "0001").write_bytes(b"ab")
    with pytest.raises(store.NotTheSame):
        open_submission(Submission.objects.get())
    assert Case.objects.count() == 0


def test_an_anonymous_asker_leaves_no_name_and_may_give_one_later(consult, thread) -> None:
    case = consult(anonymous=True, asker_name="漏れた名前", contact="a@example.jp")
    assert (case.asker_name, case.contact) == ("", "")
    consult("名乗ります", thread=thread(case), anonymous=False, asker_name="山田", contact="y@example.jp")
    case.refresh_from_db()
    assert (case.is_anonymous, case.asker_name, case.contact) == (False, "山田", "y@example.jp")


def test_half_characters_and_nul_are_kept_as_a_case_and_not_refused(consult) -> None:
    case = consult("壊れた\udce3文字\0です", facts={"extension": ".x\0\ud800"})
    assert "\0" not in case.messages.get().body and case.messages.get().body.startswith("壊れた")
    assert clean("普通の文") == "普通の文"


def test_a_hypothesis_becomes_points_to_answer_one_by_one(consult) -> None:
    case = consult(request="second_opinion", hypothesis=("VPN経由の侵入", " ", "内部犯ではない"))
    assert [point.claim for point in case.points.all()] == ["VPN経由の侵入", "内部犯ではない"]
    assert case.tasks.filter(kind="second_opinion").exists()


def test_numbers_begin_anew_with_the_year_in_japan(consult) -> None:
    case = consult()
    Case.objects.filter(pk=case.pk).update(serial=2026000041)
    tokyo = ZoneInfo("Asia/Tokyo")
    assert next_serial(datetime(2026, 12, 31, 23, 59, tzinfo=tokyo)) == 2026000042
    assert next_serial(datetime(2027, 1, 1, 0, 0, tzinfo=tokyo)) == 2027000001


def test_two_at_once_that_take_the_same_number_get_two_numbers(consult, monkeypatch) -> None:
    first = consult()
    answers = iter([first.serial, first.serial + 1])
    monkeypatch.setattr(opening, "next_serial", lambda at: next(answers))
    assert consult().serial == first.serial + 1


def test_a_title_is_the_subject_or_the_first_line_and_is_never_empty() -> None:
    assert title_of(Payload(channel="mail", what="本文", mail={"subject": " 件名\u3000です "})) == "件名 です"
    assert title_of(Payload(channel="web", what="\n\n  二行目\n三行目")) == "二行目"
    assert title_of(Payload(channel="web", what=" \n")) == "（本文なし）"
    assert len(title_of(Payload(channel="web", what="長" * 500))) == 120
