"""Archives among the evidence, for what the intruder gathered: their size and the names in them."""

from __future__ import annotations

from collections import defaultdict

from hikeshi.evidence.acquire import Acquired
from hikeshi.model.evidence import RecordRef
from hikeshi.trace import Package

_NAMES = 20_000  # of one archive; a guess needs no more


def packages(acquired: Acquired) -> list[Package]:
    """By name; an archive that could not be opened has no names."""
    members: dict[str, list[str]] = defaultdict(list)
    for source in acquired.sources:
        if source.origin is not None and len(members[source.origin]) < _NAMES:
            members[source.origin].append(source.name.removeprefix(f"{source.origin}!/"))
    closed = [s for s in acquired.sources if s.kind == "archive"]
    return [Package(RecordRef(s.name, s.sha256), s.size, tuple(members.get(s.name, ())))
            for s in sorted((*acquired.opened, *closed), key=lambda s: s.name)]
