"""What pages show of mail, ready for templates."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Lower, Trim
from django.utils import timezone, translation

from hikeshi.evidence.mail_text import decode_header, one_line
from hikeshi.evidence.member_names import shown
from hikeshi_desk.accounts.access import Viewer, visible
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.cases import labels
from hikeshi_desk.cases.models import Case
from hikeshi_desk.cases.together import rows
from hikeshi_desk.mail import keys, store
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
    told = {name: rows(case, viewer, name, query) for name, query in reads(case, viewer).items()}
    if not told or not told["mail.thread"]:
        return None
    thread, known = told["mail.thread"][0], told["mail.keys"]
    newest, first = (next(iter(told[f"mail.{name}"]), None) for name in ("newest", "first"))
    key = keys.newest_alive(thread.address, known)
    in_clear = newest is not None and newest.pgp.get("encrypted") == "pgp"
    return {
        "case": case, "address": thread.address, "pgp": _pgp(newest), "guess": _guess(first, case),
        "reply": "sealed" if key else "clear_warning" if in_clear else "clear",
        "fingerprint": key.fingerprint if key else "", "signs": keys.own() is not None, "held": told["mail.held"],
        "failing": [one.problem for one in told["mail.failing"]],
        "proposed": sum(one.state == CorrespondentKey.State.PROPOSED for one in known)}


def reads(case: Case, viewer: Viewer) -> dict[str, QuerySet[Any]]:
    if not viewer.is_desk or not case.receipt:
        return {}
    thread = MailThread.objects.filter(key=case.receipt)
    opened = ReceivedMail.objects.filter(thread__in=thread, state=ReceivedMail.State.OPENED)
    # Capitals of ASCII only, as in any address that may have a key.
    address = thread.annotate(spelled=Lower(Trim("address"))).values("spelled")
    failing = SentMail.objects.filter(thread__in=thread, sent_at=None, failed_at=None).exclude(problem="")
    return {
        "mail.thread": thread, "mail.newest": opened.order_by("-received_at")[:1],
        "mail.first": opened.order_by("received_at")[:1],
        "mail.keys": CorrespondentKey.objects.filter(address__in=address),
        "mail.held": visible(SentMail, viewer).filter(message__case=case, held=True),
        "mail.failing": failing[:3]}


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
