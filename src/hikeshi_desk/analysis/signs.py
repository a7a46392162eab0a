"""By which signs two cases are alike: only what the analysis holds to be the attacker's."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any

from hikeshi.triage.run import Triage
from hikeshi_desk.analysis.models import Analysis, Sign
from hikeshi_desk.cases.models import Case

_INSIDE = [ipaddress.ip_network(one) for one in
           ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]
_INSIDE_NAMES = (".local", ".lan", ".internal", ".corp", ".home", ".localdomain", ".intra", ".invalid")


Signs = set[tuple[str, str]]
_MOST_TECHNIQUES = 40


def of(run: Triage | None, whole: Mapping[str, Any], words: Mapping[str, Any] | None = None) -> Signs:
    """(kind, key) of the family, when it is sure, and of each address of the attacker; of techniques where it isn't."""
    found = of_answer(words or {}) - {sign for sign in of_answer(words or {}) if sign[0] == "family"}
    if whole.get("verdict") == "identified":
        found.add(("family", key_of("family", str(whole["family"]))))
    elif run is not None:
        told = {t for f in run.findings if f.severity in ("critical", "high") for t in f.techniques}
        told |= {e.technique for e in run.case.story.entry_candidates if e.confidence != "low"}
        found |= {("technique", key_of("technique", one)) for one in sorted(told)[:_MOST_TECHNIQUES]}
    if run is None:
        return found
    story = run.case.story
    values = [one.value for one in (*story.c2, *story.block_list)]
    values += [e.source or "" for e in story.entry_candidates if e.confidence != "low"]
    return found | {("indicator", key_of("indicator", value)) for value in values if is_foreign(value)}


def of_answer(answer: Mapping[str, Any]) -> Signs:
    """What stands in words: the family, when it is sure, and the addresses in a note."""
    found = {("indicator", key_of("indicator", one.partition(":")[2])) for one in answer.get("addresses", ())}
    if answer.get("verdict") == "identified":
        found.add(("family", key_of("family", str(answer["family"]))))
    return found


def of_row(row: Analysis) -> Signs:
    """What a case knows beside its evidence: the quick look of a handler, and what a person confirmed."""
    found, way, actor = of_answer(row.asked.get("answer", {})), row.confirmed.get("way"), row.confirmed.get("actor")
    if way:
        found.add(("way", way_key(way)))
    if actor:
        found.add(("actor", key_of("actor", str(actor["value"]))))
    return found


def way_key(way: Mapping[str, Any]) -> str:
    """"way:vpn_credential|CVE-2024-40766|SonicWall SonicOS": no part has a bar in it."""
    return f"way:{way['kind']}|{way['cve']}|{way['product'][:100]}"


def keep(case: Case, wanted: Signs) -> bool:
    """Make these the case's signs, its asker's own address left out; were they others before?"""
    own = case.contact.strip().casefold()
    domain = own.rpartition("@")[2]
    wanted = {sign for sign in wanted
              if not own or not sign[1].endswith(f"@{domain}") or (domain in FREE_MAIL and own not in sign[1])}
    before = set(Sign.objects.filter(case=case).values_list("kind", "key"))
    if wanted == before:
        return False
    # One key stands once; what a family's name and a value have in common is told by the kind before it.
    Sign.objects.filter(case=case, key__in=[key for _, key in before - wanted]).delete()
    Sign.objects.bulk_create([Sign(case=case, kind=kind, key=key) for kind, key in sorted(wanted - before)])
    return True


def add(case: Case, more: Signs) -> bool:
    """The same with what is there already."""
    return keep(case, set(Sign.objects.filter(case=case).values_list("kind", "key")) | more)


def keep_confirmed(case: Case, row: Analysis) -> None:
    """The confirmed actor and way in as they are now."""
    kinds = ("actor", "way")
    others = set(Sign.objects.filter(case=case).exclude(kind__in=kinds).values_list("kind", "key"))
    keep(case, others | {sign for sign in of_row(row) if sign[0] in kinds})


# Many organisations write from these: the address says nothing about who it is.
FREE_MAIL = frozenset({"gmail.com", "yahoo.co.jp", "outlook.com", "outlook.jp", "hotmail.com", "icloud.com",
                       "hotmail.co.jp", "live.jp", "me.com", "proton.me", "protonmail.com", "docomo.ne.jp",
                       "ezweb.ne.jp", "softbank.ne.jp", "au.com"})


def key_of(kind: str, value: str) -> str:
    key = f"{kind}:{value.strip().casefold()}"
    return key if len(key) <= 190 else f"{kind}#{hashlib.sha256(key.encode()).hexdigest()}"


def is_foreign(value: str) -> bool:
    """Not an address of the inside: two victims with a 192.168.0.5 have nothing in common."""
    host = value.strip().split("://")[-1].split("/")[0].rsplit("@")[-1]
    if not host or host in ("-", "?"):
        return False
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "." in host and not host.casefold().endswith(_INSIDE_NAMES)
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        return False
    return not any(address in network for network in _INSIDE if network.version == address.version)
