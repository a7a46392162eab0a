"""What was sent, as it was kept."""

from __future__ import annotations

import uuid

from django.db import models


class Channel(models.TextChoices):
    WEB = "web", "Webフォーム"
    MAIL = "mail", "メール"
    API = "api", "API"
    PHONE = "phone", "電話"
    CLI = "cli", "コマンド"


class Submission(models.Model):
    """One thing a consultee sent. Its bytes lie in the spool under its id before this row exists.

    `idempotency_key` makes sending twice one submission. `receipt` is the HMAC of the receipt
    code that opens the thread (a follow-up carries the thread's), empty where there is none.
    `opened_at` is set once a case holds it; `problem` says why it could not be read further.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    idempotency_key = models.CharField(max_length=64, unique=True)
    channel = models.CharField(max_length=8, choices=Channel.choices)
    received_at = models.DateTimeField()
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    receipt = models.CharField(max_length=64, blank=True, db_index=True)
    opened_at = models.DateTimeField(null=True, blank=True)
    problem = models.TextField(blank=True)

    class Meta:
        indexes = [models.Index(fields=["opened_at", "received_at"], name="waiting_submissions")]


class Upload(models.Model):
    """A file that arrives in parts. `offset` bytes of it are on the disk for certain; `key` is an HMAC.

    `used_at` is set once a submission holds it. Nothing here says who sends it or from where.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    offset = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField()
    touched_at = models.DateTimeField(db_index=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)
