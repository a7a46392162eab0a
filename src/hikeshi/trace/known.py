"""What a company says is its own doing: a penetration test, a scanner, an administrator's planned work.

A CSV with a head: kind,value,why[,from,to]. kind is host, account or address; from and to (ISO 8601, UTC
where no zone stands) limit it to a span. What it names is looked at, told as explained, and not accused.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from hikeshi.errors import InputError, Location
from hikeshi.events.time import NO_TIME, parse_iso

_KINDS = ("host", "account", "address")
_ALWAYS = (-(2**62), 2**62)


@dataclass(frozen=True, slots=True)
class Own:
    """One line: what, why, and when (microseconds UTC)."""

    kind: str
    value: str
    why: str
    start: int = _ALWAYS[0]
    end: int = _ALWAYS[1]


@dataclass(slots=True)
class Known:
    entries: list[Own] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def find(self, kind: str, value: str, time: int) -> Own | None:
        """The entry that covers this host (short upper-case name), account (lower case) or address then."""
        wanted = value.casefold()
        return next(
            (e for e in self.entries if e.kind == kind and e.value == wanted and e.start <= time <= e.end), None
        )

    def covers(self, time: int, *, hosts: tuple[str, ...] = (), account: str = "") -> Own | None:
        for host in hosts:
            found = self.find("host", host, time) or self.find("address", host, time)
            if found is not None:
                return found
        return self.find("account", account, time) if account else None


def read_known(path: Path) -> Known:
    """The list in a file; raises InputError with the line that can't be read."""
    out = Known()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, raw in enumerate(csv.reader(file), 1):
                cells = [c.strip() for c in raw] + [""] * 5
                if not any(cells) or cells[0].startswith("#") or cells[:2] == ["kind", "value"]:
                    continue
                kind = cells[0].lower()
                if kind not in _KINDS or not cells[1]:
                    raise InputError(
                        f"'{cells[0][:40]}' is none of {', '.join(_KINDS)}, or its value is missing",
                        source=Location(str(path), line=number),
                        hint="write kind,value,why,from,to, for example account,pt-tester,penetration test",
                    )
                value = cells[1].rsplit("\\", 1)[-1].casefold()
                value = value.split(".", 1)[0] if kind == "host" else value.split("@", 1)[0]
                start, end = (_moment(c, path, number) for c in cells[3:5])
                out.entries.append(
                    Own(
                        kind,
                        value,
                        cells[2][:200],
                        _ALWAYS[0] if start is None else start,
                        _ALWAYS[1] if end is None else end,
                    )
                )
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"the list of known work can't be read: {error}", source=Location(str(path))) from error
    return out


def _moment(text: str, path: Path, line: int) -> int | None:
    if not text:
        return None
    time = parse_iso(text, UTC)
    if time == NO_TIME:
        raise InputError(
            f"'{text[:40]}' is no time", source=Location(str(path), line=line), hint="e.g. 2026-10-05T09:00:00Z"
        )
    return time
