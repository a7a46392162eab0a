"""What came by mail, what went out, and the threads that join the two."""

from __future__ import annotations

import uuid

from django.db import models

from hikeshi_desk.accounts.models import User
from hikeshi_desk.cases.models import Message
from hikeshi_desk.intake.models import Submission


class MailThread(models.Model):
    """A correspondence with one address.

    `key` is what the intake knows the thread by (a receipt without a code). Whoever writes to the
    token or answers one of our message ids continues it: both hold 128 random bits or more. The
    token itself is stored nowhere, only its HMAC.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=64, unique=True)
    token_hmac = models.CharField(max_length=64, unique=True)
    address = models.CharField(max_length=320, blank=True)
    subject = models.CharField(max_length=998, blank=True)
    language = models.CharField(max_length=5, default="ja")
    created_at = models.DateTimeField(auto_now_add=True)


class ReceivedMail(models.Model):
    """One raw mail. Its bytes lie in the mail store under `sha256` before this row exists, and stay."""

    class State(models.TextChoices):
        KEPT = "kept", "未処理"
        OPENED = "opened", "受付済み"
        AUTOMATIC = "automatic", "自動送信"
        DUPLICATE = "duplicate", "重複"
        QUARANTINED = "quarantined", "隔離"
        DISCARDED = "discarded", "破棄"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sha256 = models.CharField(max_length=64, unique=True)
    size = models.PositiveBigIntegerField()
    received_at = models.DateTimeField()
    source = models.CharField(max_length=8)  # imap, smtp, lmtp, pipe
    null_envelope = models.BooleanField(default=False)
    envelope_to = models.JSONField(default=list)
    state = models.CharField(max_length=12, choices=State.choices, default=State.KEPT)
    reason_ja = models.CharField(max_length=500, blank=True)
    reason_en = models.CharField(max_length=500, blank=True)
    message_id = models.CharField(max_length=998, blank=True, db_index=True)
    digest = models.CharField(max_length=64, blank=True, db_index=True)
    sender = models.CharField(max_length=320, blank=True)
    subject = models.CharField(max_length=998, blank=True)
    sender_matches = models.BooleanField(default=True)
    # {"encrypted", "decrypted", "signature", "key", "problem_ja", "problem_en"}; empty for mail without OpenPGP
    pgp = models.JSONField(default=dict)
    guess = models.JSONField(default=dict)  # {"kind", "signs"}: words of the mail that name a kind of incident
    thread = models.ForeignKey(MailThread, models.SET_NULL, null=True, blank=True, related_name="received")
    submission = models.OneToOneField(Submission, models.PROTECT, null=True, blank=True, related_name="received_mail")

    class Meta:
        ordering = ["received_at"]
        indexes = [models.Index(fields=["state", "received_at"], name="mail_by_state")]


class SentMail(models.Model):
    """One mail of ours. It is written before it is sent, with its message id, so that a second try is the
    same mail. `recipient_key` is the address in one spelling, for the limit of automatic mail.

    A held mail answers an encrypted one and would go out in the clear: it waits until a person says so.
    `failed_at`: it did not arrive, or never will. A notice has no thread; `notice_key` makes it one however
    often it is asked for, and its words are gone once it is sent.
    """

    class Kind(models.TextChoices):
        ACKNOWLEDGEMENT = "ack", "受付通知"
        REPLY = "reply", "回答"
        NOTICE = "notice", "連絡"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    thread = models.ForeignKey(MailThread, models.CASCADE, null=True, blank=True, related_name="sent")
    mail_id = models.CharField(max_length=255, unique=True)
    recipient = models.CharField(max_length=320)
    recipient_key = models.CharField(max_length=320, db_index=True)
    subject = models.CharField(max_length=998)
    body = models.TextField()
    in_reply_to = models.CharField(max_length=998, blank=True)
    answers = models.OneToOneField(ReceivedMail, models.SET_NULL, null=True, blank=True, related_name="acknowledgement")
    message = models.OneToOneField(Message, models.PROTECT, null=True, blank=True, related_name="sent_mail")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    problem = models.CharField(max_length=500, blank=True)
    held = models.BooleanField(default=False)
    failed_at = models.DateTimeField(null=True, blank=True)
    sealed_for = models.CharField(max_length=64, blank=True)  # the key it was encrypted for
    notice_key = models.CharField(max_length=64, unique=True, null=True, blank=True)

    class Meta:
        ordering = ["created_at"]
        indexes = [models.Index(fields=["sent_at", "next_try_at"], name="mail_to_send")]


class CorrespondentKey(models.Model):
    """A public key of somebody who writes to the desk. Proposed by a mail, it counts only once a person confirmed it
    for this address; it is never deleted, so that what was encrypted for it can be told later."""

    class State(models.TextChoices):
        PROPOSED = "proposed", "未確認"
        CONFIRMED = "confirmed", "確認済み"
        REMOVED = "removed", "使わない"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    address = models.CharField(max_length=320, db_index=True)  # in the spelling of send.recipient_key
    fingerprint = models.CharField(max_length=64)
    user_ids = models.JSONField(default=list)
    armored = models.TextField()
    expires_at = models.DateTimeField(null=True, blank=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.PROPOSED)
    received = models.ForeignKey(ReceivedMail, models.SET_NULL, null=True, blank=True, related_name="proposed_keys")
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["address", "-created_at"]
        constraints = [models.UniqueConstraint(fields=["address", "fingerprint"], name="a_key_once")]


class Mailbox(models.Model):
    """How far a folder of an IMAP server was read. `uid_validity` changes when its numbers begin anew."""

    name = models.CharField(max_length=400, unique=True)  # user@host:port/folder
    uid_validity = models.PositiveBigIntegerField(default=0)
    last_uid = models.PositiveBigIntegerField(default=0)
    polled_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=500, blank=True)
