"""What the desk says a case is: kind of attack, flags, who noticed it, how far it may be shared; a vulnerability."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hikeshi_desk.accounts.models import User
from hikeshi_desk.cases import search
from hikeshi_desk.cases.acting import UNCHANGED, Refused, act
from hikeshi_desk.cases.models import PAPS, TLPS, Attack, Case, Flag, Party, Source, Vulnerability


@act
def describe(case: Case, by: User, *, attack: str, flags: Sequence[str], detected_by: str, tlp: str,
             pap: str) -> dict[str, Any]:
    chosen = sorted(set(flags))
    if (attack not in Attack.values or detected_by not in Source.values or tlp not in TLPS or pap not in PAPS
            or not set(chosen) <= set(Flag.values)):
        raise Refused("cases.refused.choice")
    told = {"attack": attack, "flags": chosen, "detected_by": detected_by, "tlp": tlp, "pap": pap}
    changed = {name: value for name, value in told.items() if getattr(case, name) != value}
    if not changed:
        return UNCHANGED
    before = {name: getattr(case, name) for name in changed}
    for name, value in changed.items():
        setattr(case, name, value)
    return {"from": before, "to": changed}


@act
def coordinate(case: Case, by: User, *, product: str, vendor: Party | None, embargo_at: datetime | None, zone: str,
               publication: str) -> dict[str, Any]:
    """The facts of a vulnerability. The vendor is a party of this case and sees it through its scope alone."""
    if publication not in Vulnerability.Publication.values:
        raise Refused("cases.refused.choice")
    if vendor is not None and (vendor.case_id != case.pk or not case.parties.filter(
            pk=vendor.pk, removed_at=None).exists()):
        raise Refused("cases.refused.party_gone")
    row, _ = Vulnerability.objects.get_or_create(case=case)
    row.product, row.vendor, row.embargo_at = product.strip()[:200], vendor, embargo_at
    row.zone, row.publication = zone, publication
    row.save()
    search.index(case, [row.product], internal=True)
    return {"product": row.product, "vendor": vendor.organisation.name if vendor else "", "embargo": embargo_at,
            "zone": zone, "publication": publication}
