"""Shifts, ways to a person, and the calls that were made."""

from __future__ import annotations

import uuid

from django.db import models

from hikeshi_desk.accounts.models import User
from hikeshi_desk.cases.models import Case


class Shift(models.Model):
    """A person is on call from one wall-clock time to another, in the roster's zone; `weekly` repeats it.

    Wall-clock, because "Mondays from nine" stays nine when the clocks change. `place` 1 is called first, 2 next.
    `last_day` ends a repetition (its last beginning).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(User, models.CASCADE, related_name="shifts")
    place = models.PositiveSmallIntegerField(default=1)
    first_day = models.DateField()
    begins = models.TimeField()
    end_day = models.DateField()
    ends = models.TimeField()
    weekly = models.BooleanField(default=False)
    last_day = models.DateField(null=True, blank=True)

    class Meta:
        ordering = ["first_day", "begins", "place"]


class Way(models.Model):
    """How a person is reached, besides the address they sign in with. `value` is sealed: a webhook is a password."""

    class Kind(models.TextChoices):
        MAIL = "mail", "メール"
        WEBHOOK = "webhook", "チームチャット（Webhook）"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    person = models.ForeignKey(User, models.CASCADE, related_name="ways")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    value = models.TextField()
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["added_at"]


class Call(models.Model):
    """One urgent case (or a test, without a case) for which people are called until somebody has it.

    `next_at` is when the next person's turn comes. `round` counts how often everybody was asked;
    `nobody_at` is set while all have been called and none has answered. `owner_before` owned the case when the
    call began: another owner later is an answer too.
    """

    class State(models.TextChoices):
        CALLING = "calling", "呼び出し中"
        TAKEN = "taken", "対応者あり"
        OVER = "over", "終了"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.OneToOneField(Case, models.CASCADE, null=True, blank=True, related_name="call")
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")  # of a test
    state = models.CharField(max_length=8, choices=State.choices, default=State.CALLING, db_index=True)
    began_at = models.DateTimeField()
    next_at = models.DateTimeField(null=True, blank=True)
    round = models.PositiveSmallIntegerField(default=1)
    nobody_at = models.DateTimeField(null=True, blank=True)
    owner_before = models.UUIDField(null=True, blank=True)
    taken_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    taken_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-began_at"]

    @property
    def subject(self) -> str:
        """What the audit log calls it."""
        return f"case:{self.case_id}" if self.case_id else f"call:{self.pk}"


class Notice(models.Model):
    """One message of a call to one person by one way. `token` is the HMAC of what its link carries (mail only).

    `problem` is a key of texts/oncall.toml or texts/egress.toml.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "送信待ち"
        SENT = "sent", "送信済み"
        FAILED = "failed", "届かず"
        STOPPED = "stopped", "不要"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    call = models.ForeignKey(Call, models.CASCADE, related_name="notices")
    person = models.ForeignKey(User, models.CASCADE, related_name="+")
    way = models.ForeignKey(Way, models.SET_NULL, null=True, blank=True)  # None: the address they sign in with
    kind = models.CharField(max_length=8, choices=Way.Kind.choices)
    round = models.PositiveSmallIntegerField(default=1)
    key = models.CharField(max_length=120, unique=True)
    token = models.CharField(max_length=64, blank=True, db_index=True)
    made_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING, db_index=True)
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["made_at"]
