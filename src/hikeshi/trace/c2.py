"""Addresses the attacker controls: named by a list, or betrayed by how they are called.

A beacon calls at regular times, to a place that only held machines know, and that nobody called
before the attack. Time servers, updates and widgets are called by machines that are not held, or
were called before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC

import numpy as np

from hikeshi.events.time import parse_iso
from hikeshi.model.case import C2
from hikeshi.model.evidence import RecordRef
from hikeshi.model.sighting import Sighting
from hikeshi.trace.flows import Flows, Talk, Use
from hikeshi.trace.identity import Identity, host_name
from hikeshi.trace.infection import Infection
from hikeshi.trace.network import is_address, public
from hikeshi.trace.programs import ODD_FOLDER, file_name
from hikeshi.trace.rows import HOUR, MINUTE, when

_SCRIPTS = frozenset(
    (
        "powershell.exe",
        "pwsh.exe",
        "mshta.exe",
        "rundll32.exe",
        "regsvr32.exe",
        "wscript.exe",
        "cscript.exe",
        "certutil.exe",
        "bitsadmin.exe",
        "msbuild.exe",
        "installutil.exe",
        "winword.exe",
        "excel.exe",
    )
)
_FEWEST = 8


def regular(times: Sequence[int]) -> bool:
    """Whether calls (in seconds) come as a beacon's do: eight or more, most gaps near the usual one.

    Jitter of a third is allowed, and pauses (a machine asleep) don't count against it.
    """
    unique = np.unique(np.asarray(times, dtype=np.int64))
    if len(unique) < _FEWEST:
        return False
    gaps = np.diff(unique)
    gaps = gaps[gaps > 1]
    if len(gaps) < _FEWEST - 1:
        return False
    usual = float(np.median(gaps))
    if usual < 5:
        return False
    near = np.abs(gaps - usual) <= 0.35 * usual
    return bool(near.mean() >= 0.7)


def by_list(sightings: Sequence[Sighting]) -> list[Sighting]:
    """Sightings that accuse: a destination, on no warning list."""
    return [
        s
        for s in sightings
        if s.role == "destination"
        and not s.warning_lists
        and s.indicator_type in ("ipv4", "ipv6", "cidr", "domain", "url")
    ]


def find(
    infection: Infection,
    flows: Flows,
    who: Identity,
    sightings: Sequence[Sighting],
    uploads: frozenset[str],
    sources: frozenset[str],
) -> list[C2]:
    """C2 addresses, known ones first; `uploads` are destinations already told as exfiltration, `sources`
    the outside addresses the attacker came from: a held machine that calls one is controlled from there."""
    found: dict[str, C2] = {}
    grouped: dict[str, list[Sighting]] = defaultdict(list)
    for sighting in by_list(sightings):
        grouped[sighting.indicator].append(sighting)
    for value, seen in grouped.items():
        # A listed address that was the destination of an upload is told there.
        firsts = [s.first_seen for s in seen if s.first_seen]
        lasts = [s.last_seen for s in seen if s.last_seen]
        clients = {client_of(s, who) for s in seen if s.client}
        records = places(seen)
        found[value] = C2(
            value=value,
            type=seen[0].indicator_type,
            known=True,
            first=min(firsts, default=None),
            last=max(lasts, default=None),
            clients=tuple(sorted(clients)),
            confidence="high" if clients & set(infection.hosts) else "medium",
            records=tuple(records[:20]),
        )
    behaving: dict[str, list[tuple[Talk, bool]]] = defaultdict(list)
    held = flows.held({h.name: h.first for h in infection.hosts.values()})
    for host, hold in sorted(infection.hosts.items()):
        for talk, use in held.calls(host, _FEWEST, HOUR, sources):
            reason = _behaves(talk, hold.first, infection, use)
            if talk.destination in sources and talk.last >= hold.first - MINUTE:
                reason = True
            if reason is not None and talk.destination not in uploads:
                behaving[talk.destination].append((talk, reason))
    told = {name for value in found for name in flows.names_of_ip(value)}
    for value, talks in sorted(behaving.items()):
        if value in found or value in told:
            continue
        told |= flows.names_of_ip(value)
        beacon = any(strong for _, strong in talks)
        found[value] = C2(
            value=value,
            type=("ipv6" if ":" in value else "ipv4") if is_address(value) else "domain",
            known=False,
            first=when(min(t.first for t, _ in talks)),
            last=when(max(t.last for t, _ in talks)),
            clients=tuple(sorted({t.client for t, _ in talks})),
            confidence="high" if beacon and len(talks) > 1 else "medium" if beacon else "low",
            records=tuple(dict.fromkeys(r for t, _ in talks for r in t.records()))[:20],
        )
    return list(found.values())


def _behaves(talk: Talk, since: int, infection: Infection, use: Use) -> bool | None:
    """True: a beacon; False: called by a script on a held machine; None: neither."""
    if talk.count == 0 or (is_address(talk.destination) and not public(talk.destination)):
        return None
    if use.others or use.first < min(since, use.held_since) - HOUR:
        return None
    if regular(talk.times):
        return True
    by_script = any(file_name(p) in _SCRIPTS or ODD_FOLDER.search(p) for p in talk.programs)
    near = any(
        -MINUTE <= talk.first - m.time <= 10 * MINUTE and m.weight >= 2 for m in infection.marks_of.get(talk.client, ())
    )
    return False if by_script and near else None


def client_of(sighting: Sighting, who: Identity) -> str:
    client = sighting.client or ""
    if not is_address(client):
        return host_name(client)
    return who.at(client, parse_iso(sighting.first_seen, UTC) if sighting.first_seen else 0)


def places(sightings: Sequence[Sighting]) -> list[RecordRef]:
    """The first lines or records of each sighting."""
    return [
        RecordRef(s.file, s.sha256, record_id=n)
        if s.file.lower().endswith(".evtx")
        else RecordRef(s.file, s.sha256, line=n)
        for s in sightings
        for n in s.lines[:5]
    ]
