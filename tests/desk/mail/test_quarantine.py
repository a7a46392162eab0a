"""Mail set apart: who sees it, what may be done with it, and that the raw bytes stay."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.urls import reverse

from hikeshi_desk.accounts.models import Membership, Organisation, User
from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases.models import Attachment, Case
from hikeshi_desk.mail import store
from hikeshi_desk.mail.models import CorrespondentKey, ReceivedMail
from hikeshi_desk.mail.receive import receive

pytestmark = pytest.mark.django_db
HUGE = b"From: =?utf-8?B?PHNjcmlwdD4=?= <a@example.jp>\nX-Big: " + b"a" * 70_000 + b"\n\nx"


@pytest.fixture
def handler():
    desk = Organisation.objects.create(name="窓口", is_desk=True)
    user = User.objects.create(email=f"{uuid.uuid4().hex[:8]}@example.jp", name="山田", password="!")
    Membership.objects.create(user=user, organisation=desk, role="handler")
    client = Client()
    client.force_login(user)
    return client


def _apart() -> ReceivedMail:
    received = receive([HUGE], source="pipe")
    assert received.state == "quarantined"
    return received


def _do(client, act, mail, **data):
    return client.post(reverse(f"mail:{act}", args=[mail.pk]), data)


def test_the_list_says_why_and_from_whom_and_the_head_counts(handler):
    _apart()
    page = handler.get(reverse("mail:quarantine")).content.decode()
    assert "&lt;script&gt;" in page and "<script>" not in page and "70,0" in page
    assert "隔離メール <b>1</b>" in handler.get("/desk/").content.decode()
    ReceivedMail.objects.update(state="discarded")
    assert "隔離メール" not in handler.get("/desk/").content.decode()


def test_the_raw_mail_is_only_saved_and_it_is_recorded(handler):
    mail = _apart()
    answer = handler.get(reverse("mail:raw", args=[mail.pk]))
    assert b"".join(answer.streaming_content) == HUGE and answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment") and Entry.objects.filter(act="mail.raw_taken").exists()


def test_a_mail_opens_a_case_once(handler):
    mail = _apart()
    assert _do(handler, "open", mail).status_code == 302
    assert _do(handler, "open", mail).status_code == 404
    assert Case.objects.count() == 1 and Attachment.objects.get().sha256 == mail.sha256
    assert Entry.objects.filter(act="mail.taken_in").count() == 1


def test_a_mail_joins_the_case_with_that_number_and_no_other(handler, a_mail):
    receive([a_mail()], source="pipe")
    case, mail = Case.objects.get(), _apart()
    assert _do(handler, "attach", mail, number="2026-999999").status_code == 302
    mail.refresh_from_db()
    assert mail.state == "quarantined"
    _do(handler, "attach", mail, number=case.number)
    assert Case.objects.count() == 1 and case.messages.count() == 2


def test_discarding_needs_a_reason_and_keeps_the_bytes(handler):
    mail = _apart()
    _do(handler, "discard", mail, reason="  ")
    mail.refresh_from_db()
    assert mail.state == "quarantined"
    _do(handler, "discard", mail, reason="迷惑メール")
    mail.refresh_from_db()
    assert mail.state == "discarded" and store.path_of(mail.sha256).read_bytes() == HUGE
    assert Entry.objects.get(act="mail.discarded").detail["reason"] == "迷惑メール"


def test_reading_again_says_how_it_went(handler):
    mail = _apart()
    _do(handler, "retry", mail)
    mail.refresh_from_db()
    assert mail.state == "quarantined" and mail.reason_ja and not Case.objects.exists()


def test_a_mail_that_is_not_apart_is_not_there(handler, a_mail):
    mail = receive([a_mail()], source="pipe")
    assert handler.get(reverse("mail:raw", args=[mail.pk])).status_code == 404
    assert all(_do(handler, act, mail, reason="x", number="1").status_code == 404 for act in ("open", "attach", "retry", "discard"))


def test_a_key_is_confirmed_only_after_comparing(handler):
    import pysequoia
    from django.core.files.uploadedfile import SimpleUploadedFile

    tsk = pysequoia.Tsk.generate("H <h@example.jp>", profile=pysequoia.Profile.RFC4880)
    public = SimpleUploadedFile("k.asc", str(tsk.extract_certificate()).encode())
    handler.post(reverse("mail:key-add"), {"address": "h@example.jp", "key": public})
    row = CorrespondentKey.objects.get()
    assert row.state == "proposed"
    handler.post(reverse("mail:key-confirm", args=[row.pk]))
    row.refresh_from_db()
    assert row.state == "proposed"
    handler.post(reverse("mail:key-confirm", args=[row.pk]), {"compared": "1"})
    row.refresh_from_db()
    assert row.state == "confirmed" and row.decided_by
    handler.post(reverse("mail:key-remove", args=[row.pk]))
    row.refresh_from_db()
    assert row.state == "removed"
    secret = SimpleUploadedFile("k.asc", bytes(tsk))
    handler.post(reverse("mail:key-add"), {"address": "i@example.jp", "key": secret})
    assert CorrespondentKey.objects.count() == 1, "a secret key is not taken"
