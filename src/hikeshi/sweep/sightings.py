"""Sums as sightings, in order, and several lists of them as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hikeshi.events.time import NO_TIME, format_utc
from hikeshi.model.sighting import Role, Sighting
from hikeshi.sweep.tallies import MAX_LINES, Tallies

if TYPE_CHECKING:
    from hikeshi.events.leases import Lease
    from hikeshi.indicators import WarningLists
    from hikeshi.sweep.compiled import Compiled

DESTINATION, SOURCE, MENTION = 0, 1, 2
ROLES: tuple[Role, ...] = ("destination", "source", "mention")


def _time(time: int) -> str | None:
    return None if time == NO_TIME else format_utc(time)


def sightings_of(tallies: Tallies, compiled: Compiled, leases: Sequence[Lease], name: str, sha256: str,
                 warnings: WarningLists | None = None) -> Iterator[Sighting]:
    """One file's sums as sightings, in no particular order; with `warnings` each carries its lists."""
    marks: dict[int, tuple[str, ...]] = {}
    for one in tallies.sums():
        value, kind = compiled.value(one.number), compiled.type(one.number)
        if warnings and one.number not in marks:
            marks[one.number] = warnings.of(kind, value)
        lease = leases[one.lease] if one.lease >= 0 else None
        yield Sighting(
            value, kind, ROLES[one.role], one.client, one.user, _time(one.first), _time(one.last), one.count,
            one.size if one.size >= 0 else None, name, sha256, one.lines, marks.get(one.number, ()), one.action,
            (lease.host or None) if lease else None, (lease.mac or None) if lease else None)


def merge(parts: Iterable[Iterable[Sighting]]) -> list[Sighting]:
    """One list from many: the same indicator, client, machine, role and file become one sighting.
    Destinations first, then by first time seen."""
    by_key: dict[tuple[str | None, ...], Sighting] = {}
    for part in parts:
        for one in part:
            key = (one.indicator, one.role, one.client, one.file, one.sha256, one.client_host, one.client_mac)
            other = by_key.get(key)
            by_key[key] = one if other is None else _both(other, one)
    return sorted(by_key.values(), key=in_order)


def in_order(s: Sighting) -> tuple[object, ...]:
    return (ROLES.index(s.role), s.first_seen is None, s.first_seen or "", s.indicator, s.client or "", s.file,
            s.client_host or "", s.client_mac or "")


def _both(a: Sighting, b: Sighting) -> Sighting:
    firsts = [t for t in (a.first_seen, b.first_seen) if t]
    lasts = [t for t in (a.last_seen, b.last_seen) if t]
    sizes = [n for n in (a.bytes_out, b.bytes_out) if n is not None]
    more = a if a.count >= b.count else b
    return replace(
        a, user=more.user or a.user or b.user, first_seen=min(firsts, default=None), last_seen=max(lasts, default=None),
        count=a.count + b.count, bytes_out=sum(sizes) if sizes else None, action=more.action or a.action or b.action,
        lines=tuple(sorted({*a.lines, *b.lines})[:MAX_LINES]), warning_lists=a.warning_lists or b.warning_lists)
