"""What goes in and out, written down: an unknown field is refused, nothing is assigned that does not stand here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

Text = Annotated[str, StringConstraints(min_length=1, max_length=100_000, pattern=r"\S")]
Line = Annotated[str, StringConstraints(max_length=200)]
Short = Annotated[str, StringConstraints(max_length=500)]
Facts = Annotated[str, StringConstraints(max_length=5000)]
Incident = Literal["ransomware", "targeted", "unauthorised_access", "malware", "web_compromise", "data_leak",
                   "phishing", "fraud", "lost_device", "supply_chain", "ddos", "spam", "vulnerability",
                   "information", "other", "unknown"]
Request = Literal["first_steps", "elsewhere", "beyond_us", "second_opinion", "information", "vulnerability", "other"]
Asker = Literal["", "victim", "first_responder", "expert", "researcher", "foreign_csirt"]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _In(Schema):
    model_config = ConfigDict(extra="forbid", strict=True)


class UploadUse(_In):
    """A finished upload and the name its file had."""

    id: Annotated[UUID, Field(strict=False)]
    key: Annotated[str, StringConstraints(min_length=43, max_length=43)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=255)]


class FactsIn(_In):
    noticed_at: Short = ""
    affected: Facts = ""
    ongoing: Facts = ""
    done_so_far: Facts = ""
    other_bodies: Facts = ""


class ConsultationIn(_In):
    """`contact` (mail or telephone) unless `anonymous` is true; an anonymous asker's name and contact are not kept."""

    what: Text
    incident: Incident = "unknown"
    request: Request = "first_steps"
    anonymous: bool = False
    contact: Annotated[str, StringConstraints(max_length=254)] = ""
    asker_name: Line = ""
    asker_kind: Asker = ""
    on_behalf: Line = ""
    hypothesis: Annotated[list[Facts], Field(max_length=20)] = []
    facts: FactsIn = FactsIn()
    uploads: Annotated[list[UploadUse], Field(max_length=20)] = []
    language: Literal["ja", "en"] = "ja"


class FirstSteps(Schema):
    steps: list[str]
    never: list[str]


class ConsultationOut(Schema):
    """`receipt_code` is the only key to the conversation; it can't be asked for again except by sending the same
    thing with the same Idempotency-Key."""

    receipt_code: str
    received_at: datetime
    answer_by: datetime | None
    urgent: bool
    duplicate: bool
    first_steps: FirstSteps


class FollowUpIn(_In):
    what: Text
    uploads: Annotated[list[UploadUse], Field(max_length=20)] = []


class Received(Schema):
    received_at: datetime
    duplicate: bool


class FileOut(Schema):
    name: str
    size: int
    sha256: str


class EntryOut(Schema):
    by: Literal["asker", "desk"]
    at: datetime
    text: str
    files: list[FileOut]


class ThreadOut(Schema):
    """`state` is "new" until a case is open."""

    state: Literal["new", "open", "waiting", "closed", "declined", "merged"]
    answer_by: datetime | None
    entries: list[EntryOut]


class AlertIn(_In):
    """`id` is the sender's own number of the alert: sent twice, it is one. Alerts with the same `correlation` are one
    case; without it those with the same host and first line."""

    source: Literal["utm", "firewall", "epp", "edr", "siem", "other"]
    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    time: Annotated[AwareDatetime, Field(strict=False)]
    severity: Literal["info", "low", "medium", "high", "critical"]
    text: Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")]
    host: Annotated[str, StringConstraints(max_length=253)] = ""
    correlation: Line = ""
    incident: Incident = "unknown"
    indicators: Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=2000)]],
                          Field(max_length=100)] = []


class AlertsIn(_In):
    alerts: Annotated[list[AlertIn], Field(min_length=1, max_length=500)]


class AlertOut(Schema):
    """`case` is null when it could not be opened yet; it will be. `count` is how many alerts the case has."""

    id: str
    duplicate: bool
    case: UUID | None
    number: str | None
    count: int


class AlertsOut(Schema):
    alerts: list[AlertOut]


class CaseRow(Schema):
    """`title`, `due_at` are null where the viewer may not see them."""

    id: UUID
    number: str
    title: str | None
    state: Literal["new", "open", "waiting", "closed", "declined", "merged"]
    phase: str
    incident: str
    urgency: str
    verdict: str
    opened_at: datetime
    due_at: datetime | None
    last_word_at: datetime
    last_word_by: str
    owner: str | None


class CasesOut(Schema):
    cases: list[CaseRow]
    page: int
    next_page: int | None


class CaseOut(CaseRow):
    """`asker`, `contact` and `facts` are for the desk only; null for everybody else."""

    request: str
    tlp: str
    team: str | None
    asker: str | None
    contact: str | None
    facts: dict[str, str] | None
    closed_at: datetime | None


class MessageOut(Schema):
    id: UUID
    kind: Literal["asker", "reply", "note", "system"]
    at: datetime
    author: str | None
    text: str
    files: list[FileOut]


class MessagesOut(Schema):
    messages: list[MessageOut]


class NoteIn(_In):
    text: Text


class ReplyIn(_In):
    """`wait`: the case waits for the asker afterwards."""

    text: Text
    wait: bool = False


class AssignIn(_In):
    """`owner` is a person's e-mail address ("me" for the token's), `team` a group's name; null for nobody."""

    owner: Annotated[str, StringConstraints(min_length=1, max_length=254)] | None
    team: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None
    reason: Short = ""


class StateIn(_In):
    """Close or open again. A reason is needed to open, and to close what was not answered."""

    state: Literal["closed", "open"]
    reason: Short = ""


class UploadIn(_In):
    size: Annotated[int, Field(ge=0, le=1 << 50)]
    sha256: Sha256


class UploadOut(Schema):
    """Send parts of up to `part_bytes` to `offset` on. After `expires_at` without a part the upload is removed."""

    id: UUID
    size: int
    offset: int
    finished: bool
    part_bytes: int
    expires_at: datetime


class UploadBegun(UploadOut):
    """`key` opens the upload and is told only now; it goes into the header Upload-Key."""

    key: str


class ProblemOut(Schema):
    """RFC 9457. `next` says what to do."""

    type: str
    title: str
    status: int
    next: str
    detail: str | None = None


