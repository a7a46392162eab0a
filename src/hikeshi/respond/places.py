"""Names with all below them, addresses and networks, each leading to what it stands for."""

from __future__ import annotations

import ipaddress
from collections.abc import Hashable, Iterable
from functools import lru_cache

# What is never "outside", whatever a plan says: private, shared, loopback, link-local, multicast, reserved, ULA.
# The ranges for documentation (192.0.2.0/24 and so on) are not here: examples and drills use them as "the Internet".
INSIDE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "0.0.0.0/8",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)


class Places:
    """`of(name, address)` gives every label under which either was added."""

    def __init__(self, entries: Iterable[tuple[str, Hashable]] = ()) -> None:
        self._names: dict[str, list[Hashable]] = {}
        self._networks: dict[tuple[int, int], dict[int, list[Hashable]]] = {}
        for value, label in entries:
            self.add(value, label)

    def __bool__(self) -> bool:
        return bool(self._names or self._networks)

    def add(self, value: str, label: Hashable) -> None:
        """A name (covers all below it), an address or a network, in normal form."""
        try:
            net = ipaddress.ip_network(value)
        except ValueError:
            self._names.setdefault(value.lower().rstrip("."), []).append(label)
            return
        nets = self._networks.setdefault((net.version, net.prefixlen), {})
        nets.setdefault(int(net.network_address), []).append(label)

    def names(self) -> Iterable[str]:
        return self._names

    def of_name(self, name: str) -> list[Hashable]:
        if not name or not self._names:
            return []
        out = list(self._names.get(name, ()))
        at = name.find(".")
        while at >= 0:
            out += self._names.get(name[at + 1 :], ())
            at = name.find(".", at + 1)
        return out

    def of_address(self, text: str) -> list[Hashable]:
        if not text or not self._networks:
            return []
        number = number_of(text)
        if number is None:
            return []
        out: list[Hashable] = []
        version, value = number
        width = 32 if version == 4 else 128
        for (kind, length), nets in self._networks.items():
            if kind == version:
                out += nets.get(value >> (width - length) << (width - length), ())
        return out

    def of(self, name: str, address: str) -> list[Hashable]:
        """Labels of the name and of the address; a name that is written as an address counts as one."""
        found = self.of_name(name) + self.of_address(address)
        if name and name != address and (name[-1].isdigit() or ":" in name):
            found += self.of_address(name)
        return found

    def overlaps(self, network: str) -> list[Hashable]:
        """Labels of the networks that share an address with this one."""
        wanted = ipaddress.ip_network(network)
        out: list[Hashable] = []
        for (kind, length), nets in self._networks.items():
            if kind != wanted.version:
                continue
            for first, labels in nets.items():
                net: ipaddress.IPv4Network | ipaddress.IPv6Network = (
                    ipaddress.IPv4Network((first, length)) if kind == 4 else ipaddress.IPv6Network((first, length))
                )
                if net.overlaps(wanted):
                    out += labels
        return out


@lru_cache(maxsize=100_000)
def number_of(text: str) -> tuple[int, int] | None:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.version, int(found)


INSIDE = Places((n, n) for n in INSIDE_NETWORKS)
