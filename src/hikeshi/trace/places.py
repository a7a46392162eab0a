"""Where networks are, from a list the user gives: for logons from new places, and from two places at once.

A CSV with a head: network,place[,latitude,longitude]; the longest network that holds an address counts.
"""

from __future__ import annotations

import csv
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

from hikeshi.errors import InputError, Location
from hikeshi.trace.rows import HOUR

_PLANE_KM_H, _NEAR_KM = 900.0, 150.0
_LONGEST_FIELD, _MOST_LINES = 200, 2_000_000


@dataclass(frozen=True, slots=True)
class Place:
    name: str
    latitude: float | None = None
    longitude: float | None = None

    def kilometres(self, other: Place) -> float | None:
        """Great-circle distance; None where a place has no coordinates."""
        if None in (self.latitude, self.longitude, other.latitude, other.longitude):
            return None
        a, b, c, d = (radians(float(v or 0)) for v in (self.latitude, self.longitude, other.latitude, other.longitude))
        return 2 * 6371.0 * asin(sqrt(sin((c - a) / 2) ** 2 + cos(a) * cos(c) * sin((d - b) / 2) ** 2))

    def faster_than_a_plane(self, other: Place, time: int) -> bool:
        """Whether nobody gets from one to the other in `time` microseconds."""
        far = self.kilometres(other)
        return far is not None and far > _NEAR_KM and far / max(abs(time) / HOUR, 1e-6) > _PLANE_KM_H


@dataclass(slots=True)
class Places:
    """Networks by length of prefix; `of` gives an address's place or None."""

    by_length: dict[tuple[int, int], dict[int, Place]] = field(default_factory=dict)

    def add(self, network: str, place: Place) -> None:
        net = ipaddress.ip_network(network.strip(), strict=False)
        shift = net.max_prefixlen - net.prefixlen
        self.by_length.setdefault((net.version, shift), {})[int(net.network_address) >> shift] = place

    def of(self, address: str) -> Place | None:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return None
        for version, shift in sorted(self.by_length):
            if version == ip.version and (found := self.by_length[version, shift].get(int(ip) >> shift)):
                return found
        return None


def read_places(path: Path) -> Places:
    """The list in a file; raises InputError with the line that can't be read."""
    out = Places()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, cells in enumerate(_rows(file), 1):
                if not cells or cells[0].lower() in ("network", "cidr", "ネットワーク") or cells[0].startswith("#"):
                    continue
                try:
                    latitude, longitude = (
                        (float(c) for c in cells[2:4]) if len(cells) >= 4 and cells[3] else (None, None)
                    )
                    out.add(cells[0], Place(cells[1][:_LONGEST_FIELD], latitude, longitude))
                except (ValueError, IndexError) as error:
                    raise InputError(
                        f"not a network and a place: {error}",
                        source=Location(str(path), line=number),
                        hint="write network,place,latitude,longitude, for example 192.0.2.0/24,Tokyo,35.7,139.7",
                    ) from error
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"the list of places can't be read: {error}", source=Location(str(path))) from error
    return out


def _rows(file: Iterable[str]) -> Iterable[list[str]]:
    for number, cells in enumerate(csv.reader(file)):
        if number >= _MOST_LINES:
            break
        yield [c.strip() for c in cells]
