"""Tokens of people, and alerts of their machines in groups that are one case each."""

from __future__ import annotations

import uuid

from django.db import models

from hikeshi_desk.accounts.models import User
from hikeshi_desk.cases.models import Case


class Token(models.Model):
    """What a program shows instead of its person. Only an HMAC is kept; it allows no more than the person."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_on = models.DateField(null=True, blank=True)  # a day is enough to find the forgotten ones

    class Meta:
        ordering = ["-created_at"]


class AlertGroup(models.Model):
    """Alerts that say the same: one case, however many they are. `key` is a hash of sender, source and correlation.

    What the case is opened with stands here, so that opening it again after a stop gives the same case.
    `is_open` becomes null once its case is finished: the next alert begins a new group.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=64)
    is_open = models.BooleanField(null=True, default=True)
    source = models.CharField(max_length=12)
    user = models.ForeignKey(User, models.PROTECT, related_name="alert_groups")
    case = models.ForeignKey(Case, models.CASCADE, null=True, blank=True, related_name="alert_groups")
    opening = models.JSONField(default=dict)  # the first alert, as it was sent
    count = models.PositiveIntegerField(default=0)
    severity = models.CharField(max_length=8)  # the worst so far
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "is_open"], name="one_open_group_each")]


class Alert(models.Model):
    """One alert as its machine sent it. `key` is a hash of sender, source and the machine's own id: once each."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    group = models.ForeignKey(AlertGroup, models.CASCADE, related_name="alerts")
    key = models.CharField(max_length=64, unique=True)
    vendor_id = models.CharField(max_length=200)
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    severity = models.CharField(max_length=8)
    host = models.CharField(max_length=253, blank=True)
    text = models.TextField()
    indicators = models.JSONField(default=list)

    class Meta:
        ordering = ["at"]
