"""The case and what belongs to it."""

from __future__ import annotations

import uuid

from django.db import models

from hikeshi_desk.accounts.models import Organisation, Team, User
from hikeshi_desk.intake.models import Submission


class State(models.TextChoices):
    NEW = "new", "受付"
    OPEN = "open", "対応中"
    WAITING = "waiting", "相談者の返信待ち"
    CLOSED = "closed", "終了"
    DECLINED = "declined", "対応不可"
    MERGED = "merged", "統合済み"


class Verdict(models.TextChoices):
    """Is it a security incident at all? Decided, with a reason, before urgency."""

    UNJUDGED = "", "未判定"
    TRUE = "true", "セキュリティ事案"
    FAILURE = "failure", "機器の故障"
    FALSE_POSITIVE = "false_positive", "誤検知"
    UNDETERMINED = "undetermined", "判断できない"


class Urgency(models.TextChoices):
    UNJUDGED = "", "未判定"
    HIGH = "high", "高"
    NORMAL = "normal", "中"
    LOW = "low", "低"


class Phase(models.TextChoices):
    DETECTION = "detection", "検知・受付"
    TRIAGE = "triage", "トリアージ"
    RESPONSE = "response", "対応"
    REPORTING = "reporting", "レポーティング"
    PREVENTION = "prevention", "再発防止"


class Rank(models.IntegerChoices):
    """What must be answered next; kept by `cases.clocks.settle`, the queue's first order."""

    URGENT = 0, "至急"
    OWED = 1, "回答待ち"
    NOT_OWED = 2, "相談者の番"
    FINISHED = 9, "終了"


class Case(models.Model):
    """One consultation. Fields that the queue shows are kept here, so that a list is one query.

    `number` is for people ("2026-000123"); nothing is opened by it alone. `request` is what was
    asked (first_steps, elsewhere, beyond_us, second_opinion, information, vulnerability, other),
    `incident` the kind of incident (ransomware, targeted, …). `asker_kind` is an OrganisationKind
    value or "" for an anonymous person.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.CharField(max_length=16, unique=True)
    serial = models.BigIntegerField(unique=True, editable=False)  # the number as one: 2026-000123 is 2026000123
    rank = models.PositiveSmallIntegerField(default=1, choices=Rank.choices)
    order_at = models.DateTimeField()  # when the next answer is due, else the last word
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State.choices, default=State.NEW)
    phase = models.CharField(max_length=12, choices=Phase.choices, default=Phase.DETECTION)
    request = models.CharField(max_length=32)
    incident = models.CharField(max_length=32, blank=True)
    asker_kind = models.CharField(max_length=32, blank=True)
    asker_name = models.CharField(max_length=200, blank=True)
    contact = models.CharField(max_length=254, blank=True)
    is_anonymous = models.BooleanField(default=False)
    on_behalf = models.CharField(max_length=200, blank=True)
    language = models.CharField(max_length=5, default="ja")
    verdict = models.CharField(max_length=16, choices=Verdict.choices, default=Verdict.UNJUDGED, blank=True)
    urgency = models.CharField(max_length=8, choices=Urgency.choices, default=Urgency.UNJUDGED, blank=True)
    rsit = models.CharField(max_length=64, blank=True)
    facts = models.JSONField(default=dict)  # what the form asked for, by its own keys
    tlp = models.CharField(max_length=20, default="TLP:AMBER")
    basis = models.CharField(max_length=24, default="none")
    organisation = models.ForeignKey(Organisation, models.SET_NULL, null=True, blank=True, related_name="cases")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="cases")
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="cases")
    merged_into = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="merged")
    receipt = models.CharField(max_length=64, blank=True, db_index=True)
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    close_reason = models.CharField(max_length=500, blank=True)
    last_word_at = models.DateTimeField()
    last_word_by = models.CharField(max_length=12, default="asker")  # asker, desk

    class Meta:
        ordering = ["-opened_at"]
        indexes = [
            models.Index(fields=["rank", "order_at"], name="queue_order"),
            models.Index(fields=["-last_word_at"], name="newest_word"),
            models.Index(fields=["owner", "state"], name="by_owner"),
        ]

    def __str__(self) -> str:
        return self.number


class Message(models.Model):
    """One entry of the conversation. `kind`: asker (from outside), reply (to the asker), note (internal),
    system. A note never leaves the desk."""

    class Kind(models.TextChoices):
        ASKER = "asker", "相談者"
        REPLY = "reply", "回答"
        NOTE = "note", "内部メモ"
        SYSTEM = "system", "記録"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.CASCADE, related_name="messages")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    channel = models.CharField(max_length=8, blank=True)
    author = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    author_role = models.CharField(max_length=32, blank=True)
    body = models.TextField()
    at = models.DateTimeField()
    submission = models.OneToOneField(Submission, models.PROTECT, null=True, blank=True, related_name="message")
    mail_id = models.CharField(max_length=998, blank=True, db_index=True)

    class Meta:
        ordering = ["at"]


class Attachment(models.Model):
    """A file that came with a message. Content is found by its hash; there is no path column."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    case = models.ForeignKey(Case, models.CASCADE, related_name="attachments")
    message = models.ForeignKey(Message, models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64, db_index=True)
    size = models.PositiveBigIntegerField()


class TriageDecision(models.Model):
    """One judgement; the newest counts, the others are its history."""

    case = models.ForeignKey(Case, models.CASCADE, related_name="triage")
    verdict = models.CharField(max_length=16, choices=Verdict.choices)
    reason = models.TextField()
    urgency = models.CharField(max_length=8, choices=Urgency.choices, blank=True)
    urgency_rule = models.CharField(max_length=64, blank=True)
    rsit = models.CharField(max_length=64, blank=True)
    by = models.ForeignKey(User, models.PROTECT)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]


class Clock(models.Model):
    """A promise with a deadline. `rule` names the clock's rule ("first_answer", "urgent_answer").

    `paused_at` is set while it stands still; `breach_reason` is asked for when it ran out.
    """

    case = models.ForeignKey(Case, models.CASCADE, related_name="clocks")
    rule = models.CharField(max_length=32)
    amount = models.PositiveSmallIntegerField()
    unit = models.CharField(max_length=16)  # business_days, hours
    started_at = models.DateTimeField()
    due_at = models.DateTimeField()
    paused_at = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=200, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    breach_reason = models.CharField(max_length=500, blank=True)


class Task(models.Model):
    """Something to do in a case; `kind` says which page helps ("identify_ransomware")."""

    case = models.ForeignKey(Case, models.CASCADE, related_name="tasks")
    kind = models.CharField(max_length=48)
    title = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    result = models.TextField(blank=True)

    class Meta:
        ordering = ["position", "id"]


class Party(models.Model):
    """A further organisation in a case, with what it may see there. Without any it sees number and state."""

    case = models.ForeignKey(Case, models.CASCADE, related_name="parties")
    organisation = models.ForeignKey(Organisation, models.CASCADE)
    sees_conversation = models.BooleanField(default=False)
    sees_files = models.BooleanField(default=False)
    sees_findings = models.BooleanField(default=False)
    sees_indicators = models.BooleanField(default=False)
    added_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case", "organisation"], name="a_party_once")]


class Referral(models.Model):
    """A case, or part of it, sent to another body: declined, escalated or routed."""

    case = models.ForeignKey(Case, models.CASCADE, related_name="referrals")
    kind = models.CharField(max_length=12)  # decline, escalate, route
    body = models.CharField(max_length=64)
    reason_code = models.CharField(max_length=48)
    note = models.TextField(blank=True)
    at = models.DateTimeField()
    by = models.ForeignKey(User, models.PROTECT)
    accepted = models.BooleanField(null=True)
    answered_at = models.DateTimeField(null=True, blank=True)


class OpinionPoint(models.Model):
    """One point of the asker's hypothesis, and what the desk thinks of it."""

    class Stance(models.TextChoices):
        OPEN = "", "未回答"
        AGREE = "agree", "同意"
        DISAGREE = "disagree", "不同意"
        MISSING = "missing", "根拠が不足"

    case = models.ForeignKey(Case, models.CASCADE, related_name="points")
    position = models.PositiveSmallIntegerField()
    claim = models.TextField()
    stance = models.CharField(max_length=8, choices=Stance.choices, default=Stance.OPEN, blank=True)
    comment = models.TextField(blank=True)
    by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["case", "position"], name="a_point_once")]


class SearchGram(models.Model):
    """Pairs of signs of everything searchable of a case: Japanese has no spaces, so a word is its pairs.

    `internal` is true for what only the desk may find (notes, contact, reasons).
    The serial stands for the case, so that the newest come first out of the key itself.
    """

    pk = models.CompositePrimaryKey("gram", "internal", "serial")
    gram = models.CharField(max_length=2)
    internal = models.BooleanField()
    serial = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["serial"], name="grams_of_a_case")]
