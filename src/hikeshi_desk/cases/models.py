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


class Attack(models.TextChoices):
    """What kind of attack it is, in the three kinds the desk counts by."""

    UNJUDGED = "", "未判定"
    MASS_MALWARE = "mass_malware", "マルウェア大量送信"
    DISRUPTION = "disruption", "システムダウンによる営業妨害"
    TARGETED = "targeted", "標的型"


class Flag(models.TextChoices):
    STATE_SPONSORED = "state_sponsored", "国家の支援が疑われる"
    ZERO_DAY = "zero_day", "ゼロデイ"
    NO_ORIGIN = "no_origin", "攻撃元を特定できない"


class Source(models.TextChoices):
    """What noticed it first."""

    UNKNOWN = "", "不明"
    UTM = "utm", "UTM"
    FIREWALL = "firewall", "ファイアウォール"
    EPP = "epp", "EPP"
    EDR = "edr", "EDR"
    SIEM = "siem", "SIEM"
    OUTSIDE_MAIL = "outside_mail", "外部からの連絡（メール）"
    OUTSIDE_PHONE = "outside_phone", "外部からの連絡（電話）"
    POLICE = "police", "警察"
    MEDIA = "media", "報道"
    OTHER = "other", "その他"


TLPS = ("TLP:CLEAR", "TLP:GREEN", "TLP:AMBER", "TLP:AMBER+STRICT", "TLP:RED")  # FIRST, TLP 2.0
PAPS = ("PAP:CLEAR", "PAP:GREEN", "PAP:AMBER", "PAP:RED")


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
    order_at = models.DateTimeField()  # when the next answer or task of an owed case is due, else the last word
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
    rsit = models.CharField(max_length=100, blank=True)
    facts = models.JSONField(default=dict)  # what the form asked for, by its own keys
    tlp = models.CharField(max_length=20, default="TLP:AMBER")
    basis = models.CharField(max_length=24, default="none")
    organisation = models.ForeignKey(Organisation, models.SET_NULL, null=True, blank=True, related_name="cases")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="cases")
    owner = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="cases")
    merged_into = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="merged")
    split_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="splits")
    handed_at = models.DateTimeField(null=True, blank=True)  # set while a hand-over waits for somebody to take it
    task_due_at = models.DateTimeField(null=True, blank=True)  # the earliest open task with a time of its own
    attack = models.CharField(max_length=16, choices=Attack.choices, blank=True, default="")
    flags = models.JSONField(default=list, blank=True)  # of Flag
    detected_by = models.CharField(max_length=24, choices=Source.choices, blank=True, default="")
    pap = models.CharField(max_length=12, default="PAP:AMBER")
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
            models.Index(fields=["task_due_at"], name="task_due"),
            # All that the counts of the queue's views ask for: they never read the rows.
            models.Index(fields=["rank", "due_at", "task_due_at", "owner", "team", "handed_at"], name="queue_counts"),
        ]

    def __str__(self) -> str:
        return self.number


class Message(models.Model):
    """One entry of the conversation. `kind`: asker (from outside), reply (to the asker), note (internal),
    party (from a further party), to_party (to one), system.

    A note never leaves the desk. What a party writes and gets is its own lane, named by `party`: neither the
    asker nor another party sees it. `parts` says what a reply holds ("findings", "advice"). A copy made by
    a split names its original in `copied_from`.
    """

    class Kind(models.TextChoices):
        ASKER = "asker", "相談者"
        REPLY = "reply", "回答"
        NOTE = "note", "内部メモ"
        PARTY = "party", "関係組織"
        TO_PARTY = "to_party", "関係組織へ"
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
    party = models.ForeignKey("Party", models.SET_NULL, null=True, blank=True, related_name="messages")
    copied_from = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="copies")
    parts = models.JSONField(default=list, blank=True)

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
    rsit = models.CharField(max_length=100, blank=True)
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
    """Something to do in a case; `kind` says which page helps ("identify_ransomware").

    With `due_at` it comes into the queue when that time is there, even in a closed case. `is_skipped`: ended
    because the urgency makes it needless; a later judgement may open it again.
    """

    case = models.ForeignKey(Case, models.CASCADE, related_name="tasks")
    kind = models.CharField(max_length=48)
    title = models.CharField(max_length=200)
    position = models.PositiveSmallIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)
    done_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    result = models.TextField(blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    is_skipped = models.BooleanField(default=False)

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
    """A case, or part of it, sent elsewhere: declined, escalated (inside or outside) or routed.

    `body` is an id of the routing table; inside the desk it is empty, and `team` or `person` is set.
    `name` is what the body was called on that day. `accepted` is None until its answer is recorded.
    """

    case = models.ForeignKey(Case, models.CASCADE, related_name="referrals")
    kind = models.CharField(max_length=12)  # decline, escalate, route
    body = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True, default="")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="+")
    person = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    reason_code = models.CharField(max_length=48)
    note = models.TextField(blank=True)
    is_asker_told = models.BooleanField(default=False)
    at = models.DateTimeField()
    by = models.ForeignKey(User, models.PROTECT)
    accepted = models.BooleanField(null=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    answer_note = models.TextField(blank=True, default="")


class Vulnerability(models.Model):
    """What the coordination of a vulnerability turns on; `zone` is the one the embargo was agreed in."""

    class Publication(models.TextChoices):
        OPEN = "", "未定"
        AGREED = "agreed", "合意済み"
        NOT_AGREED = "not_agreed", "合意なし"

    case = models.OneToOneField(Case, models.CASCADE, related_name="vulnerability")
    product = models.CharField(max_length=200, blank=True)
    vendor = models.ForeignKey(Party, models.SET_NULL, null=True, blank=True, related_name="+")
    embargo_at = models.DateTimeField(null=True, blank=True)
    zone = models.CharField(max_length=64, default="Asia/Tokyo")
    publication = models.CharField(max_length=12, choices=Publication.choices, blank=True, default="")


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
