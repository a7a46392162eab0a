"""By which signs two cases are alike: only what the analysis holds to be the attacker's."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping
from typing import Any

from hikeshi.triage.run import Triage

_INSIDE = [ipaddress.ip_network(one) for one in
           ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")]
_INSIDE_NAMES = (".local", ".lan", ".internal", ".corp", ".home", ".localdomain", ".intra", ".invalid")


def of(run: Triage | None, whole: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(kind, key) of the family, when it is sure, and of each address of the attacker."""
    found: set[tuple[str, str]] = set()
    if whole.get("verdict") == "identified":
        found.add(("family", key_of("family", str(whole["family"]))))
    if run is None:
        return found
    story = run.case.story
    values = [one.value for one in (*story.c2, *story.block_list)]
    values += [e.source or "" for e in story.entry_candidates if e.confidence != "low"]
    return found | {("indicator", key_of("indicator", value)) for value in values if is_foreign(value)}


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
