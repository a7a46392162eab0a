"""A call, written down by who took it: through the one door like everything else, and a case at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hikeshi_desk.accounts.models import OrganisationKind, User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import choices, rules
from hikeshi_desk.cases.models import Case, Source
from hikeshi_desk.cases.opening import open_submission
from hikeshi_desk.intake.models import Submission
from hikeshi_desk.intake.submit import Payload, submit

FIELDS = ("caller", "organisation", "called_at", "number", "call_back_at", "anonymous", "what", "incident", "request",
          "asker_kind", "detected_by", "urgency_hint", "language")
_LONGEST = {"caller": 200, "organisation": 200, "number": 100, "what": 100_000}
HINTS = ("", "high", "normal", "low")


@dataclass(frozen=True)
class Note:
    """What was said, checked. Times are in Japan's zone."""

    what: str
    called_at: datetime
    caller: str = ""
    organisation: str = ""
    number: str = ""
    call_back_at: datetime | None = None
    is_anonymous: bool = False
    codes: Mapping[str, str] = field(default_factory=dict)  # incident, request, asker_kind, detected_by, …


def checked(told: Mapping[str, str]) -> tuple[Note | None, dict[str, str]]:
    """The note, or None with what is wrong by field."""
    problems: dict[str, str] = {}
    if not told["what"].strip():
        problems["what"] = text("cases.phone.error.what")
    for name, most in _LONGEST.items():
        if len(told[name]) > most:
            problems[name] = text("cases.phone.error.long", most=f"{most:,}")
    called_at = _time(told["called_at"])
    if called_at is None:
        problems["called_at"] = text("cases.phone.error.time")
    call_back_at = _time(told["call_back_at"])
    if told["call_back_at"] and call_back_at is None:
        problems["call_back_at"] = text("cases.phone.error.time")
    if call_back_at and not told["number"].strip():
        problems["number"] = text("cases.phone.error.number")
    allowed = {"incident": choices.INCIDENTS, "request": choices.REQUESTS, "asker_kind": ("", *OrganisationKind.values),
               "detected_by": tuple(Source.values), "urgency_hint": HINTS, "language": ("", "ja", "en")}
    for name, codes in allowed.items():
        if told[name] not in codes:
            problems[name] = text("cases.phone.error.choice")
    if problems or called_at is None:
        return None, problems
    return Note(what=told["what"].strip(), called_at=called_at, caller=told["caller"].strip(),
                organisation=told["organisation"].strip(), number=told["number"].strip(), call_back_at=call_back_at,
                is_anonymous=told["anonymous"] == "1", codes={name: told[name] for name in allowed}), {}


def open_case(note: Note, by: User, *, key: str) -> tuple[Case, str]:
    """The case and the code to read out. The same `key` with the same words twice is one case."""
    name = "" if note.is_anonymous else " ".join(filter(None, (note.organisation, note.caller)))
    facts = {
        "called_at": f"{note.called_at:%Y-%m-%d %H:%M} JST",
        "call_back_number": note.number,  # who asks to be called says where, also unnamed
        "call_back_at": note.call_back_at.isoformat() if note.call_back_at else "",
        "detected_by": note.codes["detected_by"], "urgency_hint": note.codes["urgency_hint"], "taken_by": by.name,
    }
    payload = Payload(
        channel="phone", language=note.codes["language"] or "ja", what=note.what, request=note.codes["request"],
        incident=note.codes["incident"], asker_kind=note.codes["asker_kind"], asker_name=name,
        contact="" if note.is_anonymous else note.number, anonymous=note.is_anonymous,
        facts={fact: value for fact, value in facts.items() if value})
    accepted = submit(payload, idempotency_key=f"phone-{by.pk}-{key}")
    message = open_submission(Submission.objects.get(pk=accepted.submission_id))
    if not accepted.duplicate:
        record(str(by.pk), "case.phone_note", f"case:{message.case_id}", number=message.case.number)
    return message.case, accepted.receipt_code or ""


def _time(written: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return None
    zone = rules.calendar().zone
    return at.replace(tzinfo=zone) if at.tzinfo is None else at.astimezone(zone)
