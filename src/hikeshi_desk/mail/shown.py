"""What pages show of mail, ready for templates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.utils import timezone, translation

from hikeshi.evidence.mail_text import decode_header, one_line
from hikeshi.evidence.member_names import shown
from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import labels
from hikeshi_desk.cases.models import Case
from hikeshi_desk.mail import keys, send, store
from hikeshi_desk.mail.models import CorrespondentKey, MailThread, ReceivedMail, SentMail

_FROM = re.compile(rb"^From:[ \t]*([^\r\n]{0,300})", re.I | re.M)
_MOST = 200


@dataclass(frozen=True)
class Apart:
    mail: ReceivedMail
    at: labels.Moment | None
    reason: str
    sender: str
    size: str


def apart(viewer: Viewer) -> list[Apart]:
    """Mails in quarantine, oldest first, at most 200."""
    rows = visible(ReceivedMail, viewer).filter(state=ReceivedMail.State.QUARANTINED).order_by("received_at")[:_MOST]
    return [Apart(row, labels.moment(row.received_at), _reason(row), _sender(row), f"{row.size:,}") for row in rows]


def _reason(row: ReceivedMail) -> str:
    return row.reason_en if translation.get_language() == "en" else row.reason_ja


def _sender(row: ReceivedMail) -> str:
    """The line as it stands in the first bytes: a look, no parsing, because parsing is what failed."""
    if row.sender:
        return row.sender
    try:
        with store.path_of(row.sha256).open("rb") as raw:
            found = _FROM.search(raw.read(65_536))
    except OSError:
        return ""
    return shown(one_line(decode_header(found[1], "", 200))) if found else ""


@dataclass(frozen=True)
class ShownKey:
    row: CorrespondentKey
    fingerprint: str
    user_ids: list[str]
    state: str
    is_over: bool
    expires: labels.Moment | None
    is_confirmed: bool
    is_removed: bool


def key_rows(viewer: Viewer, address: str = "") -> list[ShownKey]:
    rows = visible(CorrespondentKey, viewer)
    rows = rows.filter(address=keys.one_spelling(address)) if address else rows
    now, state = timezone.now(), CorrespondentKey.State
    return [ShownKey(row, " ".join(row.fingerprint[at:at + 4] for at in range(0, len(row.fingerprint), 4)),
                     [str(one) for one in row.user_ids], text(f"mail.keys.state_{row.state}"),
                     bool(row.expires_at and row.expires_at <= now),
                     labels.moment(row.expires_at) if row.expires_at else None,
                     row.state == state.CONFIRMED, row.state == state.REMOVED) for row in rows[:_MOST]]


def panel(case: Case, viewer: Viewer) -> dict[str, Any] | None:
    """How the case's mail came and how the next reply goes; None for a case that does not live by mail."""
    if not viewer.is_desk or not case.receipt:
        return None
    thread = MailThread.objects.filter(key=case.receipt).first()
    if thread is None:
        return None
    newest = thread.received.filter(state=ReceivedMail.State.OPENED).order_by("-received_at").first()
    first = thread.received.filter(state=ReceivedMail.State.OPENED).order_by("received_at").first()
    key = keys.key_for(thread.address)
    held = visible(SentMail, viewer).filter(message__case=case, held=True)
    problems = thread.sent.exclude(problem="").filter(sent_at=None, failed_at=None)
    return {
        "case": case, "address": thread.address, "pgp": _pgp(newest), "guess": _guess(first, case),
        "reply": "sealed" if key else "clear_warning" if send.is_in_clear(thread) else "clear",
        "fingerprint": key.fingerprint if key else "", "signs": keys.own() is not None, "held": list(held),
        "failing": [one.problem for one in problems[:3]],
        "proposed": CorrespondentKey.objects.filter(address=keys.one_spelling(thread.address),
                                                    state=CorrespondentKey.State.PROPOSED).count()}


def _pgp(newest: ReceivedMail | None) -> dict[str, str] | None:
    if newest is None or not newest.pgp:
        return None
    told = newest.pgp
    state = "opened" if told.get("decrypted") else "closed" if told.get("encrypted") else "no"
    english = translation.get_language() == "en"
    return {"encrypted": text(f"mail.panel.encrypted_{state}"),
            "signature": text(f"mail.panel.signature_{told.get('signature') or 'none'}"),
            "key": str(told.get("key", "")), "is_good": "yes" if told.get("signature") == "good" else "",
            "problem": str(told.get("problem_en" if english else "problem_ja", ""))}


def _guess(first: ReceivedMail | None, case: Case) -> dict[str, Any] | None:
    """Until somebody has judged."""
    if first is None or not first.guess or case.verdict:
        return None
    kind = str(first.guess["kind"])
    return {"kind": labels.label("incident", kind), "signs": first.guess["signs"], "is_taken": case.incident == kind}
