"""What a person stands for in a case: who it was (a family is not an actor), and how they got in.

Kept in Analysis.confirmed as {"actor": {"value", "sure", …}, "way": {"kind", "cve", "product", …}}, each with
reason, by (a user's id), name and at. Confirmed ways of released cases are what the desk counts as its own data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from hikeshi_desk.accounts.models import User
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis import groups, service, signs
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import acts
from hikeshi_desk.cases.models import Case

# The kinds that hikeshi.trace.entry tells apart, and those that people know from elsewhere.
KINDS = ("vpn_credential", "exposed_rdp", "brute_force", "web_shell", "mail_attachment", "remote_tool", "vulnerability",
         "supplier", "remote_maintenance", "web_defacement")
SURE = ("low", "medium", "high")
_CVE = re.compile(r"CVE-(\d{4})-(\d{4,7})", re.ASCII | re.IGNORECASE)
_LONGEST_NAME, _LONGEST_PRODUCT, _LONGEST_REASON = 100, 100, 500


class Refused(Exception):
    """What is missing or wrong; `key` of the texts."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def confirm_actor(case: Case, by: User, given: Mapping[str, str]) -> None:
    """This person holds that this actor is behind the case. Raises Refused."""
    name = _line(given.get("actor", "") or given.get("other", ""))[:_LONGEST_NAME]
    sure = given.get("sure", "")
    if not name:
        raise Refused("knowledge.confirm.no_actor")
    if sure not in SURE:
        raise Refused("knowledge.confirm.no_sure")
    _confirm(case, by, "actor", {"value": name, "sure": sure}, _reason(given))


def confirm_way(case: Case, by: User, given: Mapping[str, str]) -> None:
    """This person holds that this was the way in. Raises Refused."""
    kind, cve = given.get("kind", ""), _line(given.get("cve", ""))
    if kind not in KINDS:
        raise Refused("knowledge.confirm.no_kind")
    if cve and not _CVE.fullmatch(cve):
        raise Refused("knowledge.confirm.no_cve")
    product = _line(given.get("product", "")).replace("|", "/")[:_LONGEST_PRODUCT]
    _confirm(case, by, "way", {"kind": kind, "cve": cve.upper(), "product": product}, _reason(given))


def withdraw(case: Case, by: User, what: str) -> bool:
    """Nobody stands for it any more; was there anything?"""
    with transaction.atomic():
        row = service.row_of(Case.objects.select_for_update().get(pk=case.pk))
        told = row.confirmed.pop(what, None) if what in ("actor", "way") else None
        if told is None:
            return False
        _settle(case, row)
        acts.note(case, by, body=text(f"knowledge.confirm.note_{what}_withdrawn", told=words(what, told)))
        record(str(by.pk), f"analysis.{what}_withdrawn", f"case:{case.pk}", number=case.number, **_told(told))
    return True


def words(what: str, told: Mapping[str, Any], language: str | None = None) -> str:
    """What was confirmed in one phrase."""
    if what == "actor":
        return f"{told['value']} ({text('analysis.sure.' + told['sure'], language=language)})"
    return way_words(told["kind"], told["cve"], told["product"], language)


def way_words(kind: str, cve: str, product: str, language: str | None = None) -> str:
    detail = " ".join(part for part in (cve, product) if part)
    name = text(f"knowledge.way.{kind}", language=language) if kind in KINDS else kind
    return f"{name}: {detail}" if detail else name


def _confirm(case: Case, by: User, what: str, told: dict[str, str], reason: str) -> None:
    with transaction.atomic():
        row = service.row_of(Case.objects.select_for_update().get(pk=case.pk))
        row.confirmed[what] = {**told, "reason": reason, "by": str(by.pk), "name": by.name,
                               "at": timezone.now().isoformat()}
        _settle(case, row)
        acts.note(case, by, body=text(f"knowledge.confirm.note_{what}", told=words(what, told), reason=reason))
        record(str(by.pk), f"analysis.{what}_confirmed", f"case:{case.pk}", number=case.number, **_told(told))


def _settle(case: Case, row: Any) -> None:
    row.save(update_fields=["confirmed"])
    signs.keep_confirmed(case, row)
    transaction.on_commit(groups.regroup_soon)


def _told(told: Mapping[str, str]) -> dict[str, str]:
    return {key: told[key] for key in ("value", "sure", "kind", "cve", "product") if key in told}


def _reason(given: Mapping[str, str]) -> str:
    reason = given.get("reason", "").replace("\0", "").strip()[:_LONGEST_REASON]
    if not reason:
        raise Refused("knowledge.confirm.no_reason")
    return reason


def _line(given: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in given).split())
