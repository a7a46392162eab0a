"""Which side of a connection called, where a record only tells a local and a remote one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from hikeshi.parse.addresses import host_port, ip, port
from hikeshi.parse.plainnames import plain_name


def bare(value: str) -> str:
    """Without Samba's "ipv4:" in front."""
    return value[5:] if value[:5] in ("ipv4:", "ipv6:") else value


def _by_endpoint(targets: dict[str, tuple[str, ...]], record: Mapping[str, str]) -> None:
    """A program on a host writes its own side as local, a server its client as remote."""
    at = {plain_name(name): name for name in record}
    if "remoteip" not in at or "localip" not in at:
        return
    if not any(
        k.startswith("initiatingprocess") or k in ("actiontype", "remoteurl", "processname", "image") for k in at
    ):
        return
    targets["source"], targets["destination"] = (at["localip"],), (at["remoteip"],)
    if "localport" in at and "remoteport" in at:
        targets["source.port"], targets["destination.port"] = (at["localport"],), (at["remoteport"],)


_ROLE = re.compile(r"(local|remote)(?!ion|e)")


@lru_cache(maxsize=5_000)
def _two_sided(names: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    """(name, how it is compared, "local" or "remote"); empty unless there are both."""
    found = [(n, key, m[1]) for n in names if (m := _ROLE.search(key := plain_name(n))) and "mac" not in key]
    return tuple(found) if len({role for _, _, role in found}) == 2 else ()


def put_sides(targets: dict[str, tuple[str, ...]], record: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Which of the record's `names` tell source and destination, where they only say local and remote."""
    if sided := _two_sided(names):
        _by_endpoint(targets, record)
        _by_direction(targets, record, sided)


def _by_direction(
    targets: dict[str, tuple[str, ...]], record: Mapping[str, str], sided: tuple[tuple[str, str, str], ...]
) -> None:
    """Local and remote sides of one connection: who called is told by the direction, without one by the host."""
    ends: dict[tuple[str, str], str] = {}
    for name, key, role in sided:
        value = record[name]
        if ip(host_port(bare(value))[0]):
            ends.setdefault((role, "ip"), name)
        elif key.endswith(("port", "portnumber")) and port(value) is not None:
            ends.setdefault((role, "port"), name)
    if ("local", "ip") not in ends or ("remote", "ip") not in ends:
        return
    said = next((w for n, v in record.items() if _SAYS_WAY.search(plain_name(n)) and (w := _way(v))), None)
    if said is None and (word := _WAY.search(record.get("rest", ""))):
        said = _way(word[0])
    if said is None:
        # A program on a host tells what it called; so do plain IPv4 names of the same host.
        if any("LocalAddress" in n and "RemoteAddress" in "".join(record) for n in record):
            said = "out"
        else:
            return
    inner, outer = ("source", "destination") if said == "out" else ("destination", "source")
    for role, side in (("local", inner), ("remote", outer)):
        targets[side] = (ends[role, "ip"],)
        if (role, "port") in ends:
            targets[f"{side}.port"] = (ends[role, "port"],)
        else:
            targets.pop(f"{side}.port", None)


_WAY = re.compile(r"\b(?:In|Out)bound\b")
_SAYS_WAY = re.compile(r"direction\Z|\Adir\Z")


def _way(text: str) -> str | None:
    word = text.strip().lower()
    if word in ("inbound", "ingress", "incoming", "in", "1", "受信", "内向き"):
        return "in"
    return "out" if word in ("outbound", "egress", "outgoing", "out", "0", "送信", "外向き") else None
