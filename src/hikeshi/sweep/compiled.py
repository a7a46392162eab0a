"""An IndicatorSet as look-up tables.

A name matches itself and what is below it, an address itself, a network what is inside, a URL its
path and what is below that (at a path border; its query only if the indicator has one), a hash itself.
Everything here is plain data and numpy arrays, so that it can be given to other processes.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np

from hikeshi.indicators import IndicatorSet
from hikeshi.indicators.normalise import DEFAULT_PORTS, split_port
from hikeshi.sweep.scan import Filter, Wanted, fingerprints_of

_DEFAULT = frozenset(DEFAULT_PORTS.values()) | {""}
_HASHES = ("md5", "sha1", "sha256", "sha512")


@dataclass(frozen=True, slots=True)
class UrlRule:
    """One URL indicator below its host: port ("" = any usual one), path and query ("" = any)."""

    number: int
    port: str
    path: str
    query: str

    def matches(self, port: str, rest: str) -> bool:
        """Whether what stands behind a host ("/a/b?x=1") lies at or below this URL."""
        if port != self.port and not (not self.port and port in _DEFAULT):
            return False
        if "%" in rest or "%" in self.path:
            rest, own = unquote(rest), unquote(self.path)
        else:
            own = self.path
        rest = rest.partition("#")[0]
        if self.query:
            return _begins(rest, f"{own or '/'}?{self.query}", "&")
        if own in ("", "/"):
            return True
        return _begins(rest, own, "/?;")


def _begins(text: str, start: str, borders: str) -> bool:
    return text.startswith(start) and (len(text) == len(start) or start[-1] in borders or text[len(start)] in borders)


@dataclass(slots=True)
class Compiled:
    """Look-up tables; an indicator is known by its number in `values` and `types`."""

    values: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)  # hashes, CVE numbers, coins; lower case
    mails: dict[str, dict[str, int]] = field(default_factory=dict)  # by domain, then local part
    urls: dict[str, list[UrlRule]] = field(default_factory=dict)  # by host
    networks: list[tuple[int, int, int, int]] = field(default_factory=list)  # version, first, last, number
    reach: list[int] = field(default_factory=list)  # per network: the highest last address so far (per version)
    has_v6: bool = False
    wanted: Wanted | None = None

    def __len__(self) -> int:
        return len(self.values)

    def networks_of(self, address: str) -> list[int]:
        """Numbers of the networks an address lies in."""
        if not self.networks:
            return []
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return []
        out = []
        at = bisect_right(self.networks, (found.version, int(found), 1 << 129, 0)) - 1
        while at >= 0 and self.networks[at][0] == found.version and self.reach[at] >= int(found):
            if self.networks[at][2] >= int(found):
                out.append(self.networks[at][3])
            at -= 1
        return out


def compile_indicators(indicators: IndicatorSet) -> Compiled:
    """Tables of a set; a million indicators take some seconds and a few hundred MiB."""
    out = Compiled()
    for kind, values in indicators.values.items():
        for value in values:
            number = len(out.values)
            out.values.append(value)
            out.types.append(kind)
            if kind == "domain":
                out.names[value] = number
            elif kind in ("ipv4", "ipv6"):
                out.addresses[value] = number
                out.has_v6 |= kind == "ipv6"
            elif kind == "cidr":
                net = ipaddress.ip_network(value)
                out.networks.append((net.version, int(net.network_address), int(net.broadcast_address), number))
                out.has_v6 |= net.version == 6
            elif kind == "url":
                _add_url(out, value, number)
            elif kind == "email":
                local, _, domain = value.rpartition("@")
                out.mails.setdefault(domain, {})[local] = number
            else:
                out.tokens[value.lower()] = number
    out.networks.sort()
    version = highest = -1
    for network in out.networks:
        highest = network[2] if network[0] != version else max(highest, network[2])
        version = network[0]
        out.reach.append(highest)
    out.wanted = _wanted(out)
    return out


def _add_url(out: Compiled, value: str, number: int) -> None:
    scheme, mark, rest = value.partition("://")
    if not mark:
        scheme, rest = "", value
    cut = next((i for i, c in enumerate(rest) if c in "/?#"), len(rest))
    place, below = rest[:cut].rpartition("@")[2], rest[cut:].partition("#")[0]
    host, port = split_port(place)
    path, _, query = below.partition("?")
    rule = UrlRule(number, "" if port == DEFAULT_PORTS.get(scheme) else port, path, query)
    out.urls.setdefault(host.strip("[]"), []).append(rule)
    out.has_v6 |= ":" in host


def _wanted(out: Compiled) -> Wanted:
    keys = list(out.names)
    keys += [k for k in out.addresses if ":" not in k]
    keys += [k for k in (*out.tokens, *out.mails, *out.urls) if ":" not in k]
    runs = sorted({len(v) for v, t in zip(out.values, out.types, strict=True) if t in _HASHES})
    plain = sorted({len(k) for k in keys if "." not in k} - set(runs))
    merged: list[list[int]] = []
    for version, first, last, _ in out.networks:
        if version != 4:
            continue
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    ranges: Any = np.array(merged, dtype=np.int64).reshape(-1, 2)
    return Wanted(Filter.of(fingerprints_of(keys)) if keys else None, np.array(plain, dtype=np.int64),
                  np.array(runs, dtype=np.int64), ranges[:, 0].copy(), ranges[:, 1].copy())
