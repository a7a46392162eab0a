"""What the desk knows of a case's analysis, by which signs cases are alike, and which packs of knowledge were used."""

from __future__ import annotations

import uuid

from django.db import models

from hikeshi_desk.accounts.models import User
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
    64 KiB (summary.py); `change` an answer that became another one and was not confirmed yet, since `changed_at`;
    `asked` the last quick look of a handler. `group` is the provisional name of a group of cases that nobody could
    name (groups.py). `confirmed` is what a person stands for: "actor" and "way", see attribution.py.
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
    changed_at = models.DateTimeField(null=True, blank=True, db_index=True)
    asked = models.JSONField(default=dict)
    group = models.CharField(max_length=16, blank=True, default="", db_index=True)
    confirmed = models.JSONField(default=dict)


class Sign(models.Model):
    """One sign of an attack in a case: its family, an address, name or hash of the attacker's side, the actor and
    the way in that a person confirmed; techniques and tools only where nobody could name the family.

    `key` is "family:Medusa", "ipv4:198.51.100.7" and the like; long ones are hashed.
    """

    case = models.ForeignKey(Case, models.CASCADE, related_name="signs")
    kind = models.CharField(max_length=12)  # family, indicator, actor, way, technique, tool
    key = models.CharField(max_length=200, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "key"], name="a_sign_once")]


class Pasted(models.Model):
    """The text of a case's last quick look, so that newer knowledge can look again; `knowledge` as in Analysis."""

    case = models.OneToOneField(Case, models.CASCADE, related_name="pasted")
    text = models.TextField()
    knowledge = models.CharField(max_length=64, db_index=True)


class Group(models.Model):
    """A provisional name that was given once to cases nobody could name; a number is never given twice.

    `formerly` are names that went up in this one.
    """

    name = models.CharField(max_length=16, unique=True)
    formerly = models.JSONField(default=list)
    made_at = models.DateTimeField(auto_now_add=True)


class PackUse(models.Model):
    """A knowledge pack was in use from then to then. `pack` is its id, `signer` a public key, both in hex.

    `began_by` is empty for a pack that was imported on the command line. `replaced` is the use that this one
    followed, and that an undo goes back to; none: the built-in knowledge.
    """

    pack = models.CharField(max_length=64)
    name = models.CharField(max_length=120)
    serial = models.BigIntegerField()
    signer = models.CharField(max_length=64)
    began_at = models.DateTimeField()
    began_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    replaced = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        ordering = ["-began_at", "-pk"]


class Lesson(models.Model):
    """What a finished case taught, in words that name nobody of it. `family` and `way` (attribution.KINDS) say where
    it belongs; `family_key` is the family's sign. Readers and partners see released ones, without the case.

    `override` is why it was released although something in it looked like a name. A released one is not changed any
    more: it is withdrawn, and a new one written.
    """

    class State(models.TextChoices):
        DRAFT = "draft", "下書き"
        RELEASED = "released", "公開"
        WITHDRAWN = "withdrawn", "取り下げ"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.CASCADE, related_name="lessons")
    title = models.CharField(max_length=200)
    body = models.TextField()
    title_en = models.CharField(max_length=200, blank=True)
    body_en = models.TextField(blank=True)
    family = models.CharField(max_length=120, blank=True)
    family_key = models.CharField(max_length=200, blank=True, db_index=True)
    way = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.DRAFT, db_index=True)
    written_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    written_at = models.DateTimeField()
    released_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    released_at = models.DateTimeField(null=True, blank=True)
    override = models.CharField(max_length=500, blank=True)
    withdrawn_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_for = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-written_at", "pk"]
