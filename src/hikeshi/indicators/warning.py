"""Say on which MISP warning lists an indicator stands: it is probably harmless, or shared by many.

The lists come from the installed package pymispwarninglists; nothing is fetched. A hit marks, it never
drops: attackers use public resolvers, file shares and cloud addresses too. Left out by default are the
lists of a million popular names (their ten-thousand editions are in) and those that match nearly
everything. Compact forms lie in the user's private cache folder.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import KnowledgeError, Location
from hikeshi.indicators.names import package_lists
from hikeshi.knowledge.cache import cached

# Megabytes each for a mark that the smaller editions give as well; or no mark at all: every domain
# stands under a top-level domain, and the phone lists match no indicator of ours.
LEFT_OUT = frozenset(
    {"tranco", "google-chrome-crux-1million", "nioc-filehash", "tlds", "phone_numbers", "cisco_top20k"})

_KINDS = {
    "ip": {"ip-src", "ip-dst", "domain|ip", "ip-src|port", "ip-dst|port"},
    "domain": {"domain", "hostname", "domain|ip", "hostname|port"},
    "url": {"url", "uri", "link"},
    "email": {"email-src", "email-dst", "email", "target-email", "whois-registrant-email"},
    "hash": {"md5", "sha1", "sha224", "sha256", "sha512", "filename|md5", "filename|sha1", "filename|sha256"},
}
_KIND_OF = {"ipv4": "ip", "ipv6": "ip", "cidr": "ip", "domain": "domain", "url": "url", "email": "email",
            "md5": "hash", "sha1": "hash", "sha256": "hash", "sha512": "hash"}
_FORMAT = "2"  # of the cached form


@dataclass(slots=True)
class _Ranges:
    """Address ranges of one IP version: sorted by start; `reach` is the highest end so far, so that
    a search from the right can stop."""

    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    lists: list[int] = field(default_factory=list)
    reach: list[int] = field(default_factory=list)

    def find(self, first: int, last: int) -> set[int]:
        """Lists with a range that holds all of first..last."""
        out: set[int] = set()
        at = bisect_right(self.starts, first) - 1
        while at >= 0 and self.reach[at] >= last:
            if self.ends[at] >= last:
                out.add(self.lists[at])
            at -= 1
        return out


class WarningLists:
    """Indexed lists; `of(type, value)` gives the names of those that hold a normalised indicator."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.names: list[str] = data["names"]
        self._kinds: list[set[str]] = [set(k) for k in data["kinds"]]
        self._exact: dict[str, list[int]] = data["exact"]
        self._suffix: dict[str, list[int]] = data["suffix"]
        self._parts: list[tuple[str, int]] = [(p, n) for p, n in data["parts"]]
        self._mail: list[tuple[str, int]] = [(p, n) for p, n in data["mail"]]
        self._ranges = {4: _ranges(data["v4"]), 6: _ranges(data["v6"])}

    def of(self, type: str, value: str) -> tuple[str, ...]:
        """Names of the lists, sorted; empty for types that no list covers."""
        kind = _KIND_OF.get(type)
        if kind is None:
            return ()
        hits: set[int] = set()
        if kind == "ip":
            hits |= self._addresses(value)
        elif kind == "domain":
            hits |= self._hosts(value)
        elif kind == "hash":
            hits.update(self._exact.get(value, ()))
        elif kind == "email":
            domain = value.rpartition("@")[2]
            hits.update(n for part, n in self._mail if domain == part or domain.endswith("." + part))
            hits.update(n for part, n in self._parts if part in value)
            hits |= self._contact(value)
        else:
            host = _host_of(value)
            hits |= self._hosts(host)
            hits.update(self._exact.get(value, ()))
        return tuple(sorted(self.names[n] for n in hits if kind in self._kinds[n]))

    def _addresses(self, value: str) -> set[int]:
        try:
            if "/" not in value:
                one = ipaddress.ip_address(value)
                return self._ranges[one.version].find(int(one), int(one))
            net = ipaddress.ip_network(value)
        except ValueError:
            return set()
        return self._ranges[net.version].find(int(net.network_address), int(net.broadcast_address))

    def _hosts(self, name: str) -> set[int]:
        hits = set(self._exact.get(name, ()))
        rest = name
        while rest:
            if found := self._suffix.get(rest):
                hits.update(found)
            rest = rest.partition(".")[2]
        for part, n in self._parts:
            if part in name:
                hits.add(n)
        return hits

    def _contact(self, value: str) -> set[int]:
        # The list "common-contact-emails" is one regular expression; foreign patterns are never run.
        if value.partition("@")[0] in ("security", "noc", "soc", "abuse") and "common-contact-emails" in self.names:
            return {self.names.index("common-contact-emails")}
        return set()


def _host_of(url: str) -> str:
    rest = url.partition("://")[2] or url
    for mark in "/?#":
        rest = rest.partition(mark)[0]
    rest = rest.rpartition("@")[2]
    name, colon, port = rest.rpartition(":")
    return name if colon and port.isdigit() else rest


def _ranges(rows: list[list[Any]]) -> _Ranges:
    out = _Ranges()
    reach = -1
    for start, end, number in rows:
        first, last = int(start), int(end)
        reach = max(reach, last)
        out.starts.append(first)
        out.ends.append(last)
        out.lists.append(number)
        out.reach.append(reach)
    return out


@lru_cache(maxsize=1)
def warning_lists() -> WarningLists:
    """The default lists, indexed (built once, then read from the cache)."""
    folder = package_lists()
    # JSON has no integers beyond 64 bits: IPv6 ends travel as text, see _build.
    return WarningLists(cached("warning-lists", f"{_FORMAT}:{_state(folder)}", lambda: _build(folder)))


def _state(folder: Path) -> str:
    """Changes whenever the package was updated."""
    parts = [f"{f.parent.name}:{f.stat().st_size}:{f.stat().st_mtime_ns}" for f in sorted(folder.glob("*/list.json"))]
    if not parts:
        raise KnowledgeError("no warning lists in the package pymispwarninglists", source=Location(folder.name),
                             hint="install requirements.txt again")
    return "|".join(parts)


def _build(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = {
        "names": [], "kinds": [], "exact": {}, "suffix": {}, "parts": [], "mail": [], "v4": [], "v6": []}
    nets: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
    for path in sorted(folder.glob("*/list.json")):
        if path.parent.name in LEFT_OUT:
            continue
        try:
            entry = orjson.loads(path.read_bytes())
            values, way = [str(v) for v in entry["list"]], entry["type"]
        except (OSError, KeyError, TypeError, orjson.JSONDecodeError):
            continue  # one broken list must not take the others away
        attributes = set(entry.get("matching_attributes") or ())
        kinds = [k for k, names in _KINDS.items() if names & attributes or not attributes]
        if not kinds:
            continue
        number = len(data["names"])
        data["names"].append(path.parent.name)
        data["kinds"].append(kinds)
        for value in values:
            _index(data, nets, value.strip().lower(), way, kinds, number)
    for version, name in ((4, "v4"), (6, "v6")):
        data[name] = [[str(a), str(b), n] for a, b, n in sorted(nets[version])]
    return data


def _index(data: dict[str, Any], nets: dict[int, list[tuple[int, int, int]]], value: str, way: str,
           kinds: list[str], number: int) -> None:
    if not value:
        return
    if "ip" in kinds and (value[0].isdigit() or ":" in value):
        try:
            net = ipaddress.ip_network(value, strict=False)
        except ValueError:
            pass
        else:
            nets[net.version].append((int(net.network_address), int(net.broadcast_address), number))
            return
    if way == "hostname" or value.startswith("."):
        # MISP: a leading dot, and any entry of a hostname list, also covers what is below it.
        data["suffix"].setdefault(value.strip("."), []).append(number)
    elif way == "string":
        data["exact"].setdefault(value, []).append(number)
    elif way == "substring" and set(kinds) & {"email"} and "@" not in value:
        data["mail"].append([value, number])
    elif way == "substring":
        data["parts"].append([value, number])
