"""The response of a case. Marks are only ever added; what they add up to is kept beside each measure."""

from __future__ import annotations

import uuid

from django.db import models

from hikeshi_desk.accounts.models import User
from hikeshi_desk.cases.models import Case


class Response(models.Model):
    """One row a case, from when its response began.

    `plan` holds the victim's own facts under the keys of hikeshi.respond.plan; `result` names the analysis result that
    the proposals came from. `cut_off` are reasons to propose a full cut-off and `held` values that must not be blocked
    unseen, both as the analysis told them ({"ja", "en"}). `counts` is what the case page shows: {control: {state: n}},
    besides "asked" and "reported". `left_out` says how many proposals were too many;
    `is_unreadable` that the result could not be read, so that there are none.
    """

    case = models.OneToOneField(Case, models.CASCADE, related_name="response")
    begun_at = models.DateTimeField()
    begun_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    plan = models.JSONField(default=dict)
    result = models.UUIDField(null=True, blank=True)
    cut_off = models.JSONField(default=list)
    held = models.JSONField(default=list)
    counts = models.JSONField(default=dict)
    left_out = models.PositiveIntegerField(default=0)
    is_unreadable = models.BooleanField(default=False)


class Measure(models.Model):
    """One thing to do in one place: a machine to isolate, a value to block at one control, an account to change on one
    machine, an item of the mail or protocol list, a step of the plan.

    `control` is one of kinds.CONTROLS; `key` is control and subject, hashed, so that each stands once. `told` holds
    what the page shows beside it (reasons, cause, type, kind of account, records). `state` repeats what the marks add
    up to (hikeshi.respond.state), `is_reported` that the last word is the asker's, `asked_at` that the asker sees it.
    """

    class Origin(models.TextChoices):
        PLAN = "plan", "計画"
        ANALYSIS = "analysis", "解析"
        HAND = "hand", "手入力"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.CASCADE, related_name="measures")
    control = models.CharField(max_length=12)
    key = models.CharField(max_length=64, editable=False)
    subject = models.TextField()
    position = models.PositiveIntegerField(default=0)
    origin = models.CharField(max_length=8, choices=Origin.choices, default=Origin.HAND)
    told = models.JSONField(default=dict)
    state = models.CharField(max_length=12, default="open")
    is_reported = models.BooleanField(default=False)
    asked_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    withdrawn_why = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["position", "subject"]
        constraints = [models.UniqueConstraint(fields=["case", "key"], name="a_measure_once")]
        indexes = [models.Index(fields=["case", "control", "position"], name="measures_in_order")]


class Mark(models.Model):
    """One word about a measure: who, when, which state. `undoes` takes another one back; each only once.

    `by` is empty for what the asker reported. `evidence` says what shows it: needed for "verified".
    """

    measure = models.ForeignKey(Measure, models.CASCADE, related_name="marks")
    at = models.DateTimeField()
    by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    is_reported = models.BooleanField(default=False)
    state = models.CharField(max_length=12)
    device = models.CharField(max_length=200, blank=True, default="")
    note = models.TextField(blank=True, default="")
    evidence = models.TextField(blank=True, default="")
    undoes = models.OneToOneField("self", models.CASCADE, null=True, blank=True, related_name="undone")

    class Meta:
        ordering = ["pk"]


class Decision(models.Model):
    """What was decided on a full cut-off, by whom of the victim's side, and which lead approved it.

    `role` is the plan's decider or a deputy, as the plan named it then; `name` the person.
    """

    class Answer(models.TextChoices):
        FULL = "full", "全面遮断する"
        PARTIAL = "partial", "一部だけ遮断する"
        NONE = "none", "全面遮断しない"

    case = models.ForeignKey(Case, models.CASCADE, related_name="cut_offs")
    answer = models.CharField(max_length=8, choices=Answer.choices)
    role = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    at = models.DateTimeField()
    reason = models.TextField()
    by = models.ForeignKey(User, models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()
    approved_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_why = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        ordering = ["-pk"]
