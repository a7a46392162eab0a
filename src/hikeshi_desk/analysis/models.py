"""What the desk knows of a case's analysis, and by which signs two cases are alike."""

from __future__ import annotations

import uuid

from django.db import models

from hikeshi_desk.cases.models import Case


class State(models.TextChoices):
    IDLE = "idle", "未実施"
    WAITING = "waiting", "順番待ち"
    RUNNING = "running", "解析中"
    DONE = "done", "完了"
    FAILED = "failed", "失敗"


class Analysis(models.Model):
    """One row a case: where its analysis stands, and the newest result.

    `result` names the folder of the finished result (DATA/analysis/<result>), `run` that of the one under way;
    `knowledge`, `inputs` and `files` say what the finished one was made with (version, hashes in order, how
    many attachments). `attempts` counts the starts since the last end. `again` asks for one more when the
    running one ends. `problem` is a code of texts/analysis.toml. `summary` is what the case page shows, at most
    64 KiB (summary.py); `change` an answer that became another one and was not confirmed yet; `asked` the last
    quick look of a handler.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.OneToOneField(Case, models.CASCADE, related_name="analysis")
    state = models.CharField(max_length=8, choices=State.choices, default=State.IDLE, db_index=True)
    again = models.BooleanField(default=False)
    attempts = models.PositiveSmallIntegerField(default=0)
    wanted_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    step = models.CharField(max_length=16, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=32, blank=True)
    run = models.UUIDField(null=True, blank=True)
    result = models.UUIDField(null=True, blank=True)
    knowledge = models.CharField(max_length=64, blank=True)
    inputs = models.JSONField(default=list)
    files = models.PositiveIntegerField(default=0)
    words = models.PositiveIntegerField(default=0)
    summary = models.JSONField(default=dict)
    change = models.JSONField(default=dict)
    asked = models.JSONField(default=dict)


class Sign(models.Model):
    """One sign of an attack in a case: its family, or an address, name or hash of the attacker's side.

    `key` is "family:Medusa", "ipv4:198.51.100.7" and the like; long ones are hashed.
    """

    case = models.ForeignKey(Case, models.CASCADE, related_name="signs")
    kind = models.CharField(max_length=12)  # family, indicator
    key = models.CharField(max_length=200, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "key"], name="a_sign_once")]
