"""The company's own facts, as a TOML file the user keeps: what must never be blocked, what a cut-off may leave
open, when it may happen, who decides, and how people are reached when mail is down.

    zone = "Asia/Tokyo"
    own_domains = ["corp.example"]
    own_networks = ["198.51.100.0/24"]        # beside the private ranges
    never_block = ["bank.example"]
    proxies = ["10.0.0.10"]
    domain_controllers = ["DC01"]
    decider = "CISO"
    deputies = ["Head of IT"]                 # in this order, when the decider can't be reached
    criteria = "personal data leaves, or five hosts and more"

    [[allow]]                                  # what stays open in a full cut-off
    destination = "bank.example"               # with what is below it; or an address or network
    ports = [443]                              # none: all
    from = 2026-10-01T00:00:00+09:00           # optional
    until = 2026-12-01T00:00:00+09:00
    why = "payroll"

    [[window]]                                 # when a cut-off may happen
    name = "night"
    days = ["mon", "tue", "wed", "thu", "fri"] # none: every day
    start = "22:00"
    end = "06:00"

    [[system]]                                 # a business system and where it lives
    name = "orders"
    destinations = ["order.partner.example"]
    impact_per_hour = "300,000 JPY"
    windows = ["night"]                        # when it may be cut off

    [[contact]]                                # reached without mail
    name = "Incident lead"
    by = "090-0000-0000"
"""

from __future__ import annotations

import ipaddress
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path
from typing import Any

from hikeshi.errors import InputError, Location, UsageError
from hikeshi.events.time import from_datetime, parse_zone
from hikeshi.indicators import normalise
from hikeshi.respond.places import Places

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_KEYS = {
    "zone",
    "own_domains",
    "own_networks",
    "never_block",
    "proxies",
    "domain_controllers",
    "decider",
    "deputies",
    "criteria",
    "allow",
    "window",
    "system",
    "contact",
}


@dataclass(frozen=True, slots=True)
class Allow:
    """One destination that stays open; `ports` empty: all; `since` and `until` are UTC microseconds or None."""

    destination: str
    ports: frozenset[int] = frozenset()
    since: int | None = None
    until: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A time span of the week, in the plan's zone; `end` before `start` goes on past midnight."""

    name: str
    days: frozenset[int]
    start: time
    end: time

    def minutes(self) -> list[bool]:
        """For each of the week's 10,080 minutes from Monday 00:00, whether it lies inside."""
        out = [False] * (7 * 1440)
        first, last = self.start.hour * 60 + self.start.minute, self.end.hour * 60 + self.end.minute
        length = (last - first) % 1440 or 1440
        for day in self.days:
            for minute in range(length):
                out[(day * 1440 + first + minute) % len(out)] = True
        return out


@dataclass(frozen=True, slots=True)
class System:
    name: str
    destinations: tuple[str, ...]
    impact_per_hour: str = ""
    windows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contact:
    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Plan:
    zone: tzinfo = UTC
    zone_name: str = "UTC"
    own: Places = field(default_factory=Places)
    own_networks: tuple[str, ...] = ()
    never_block: Places = field(default_factory=Places)
    proxies: frozenset[str] = frozenset()
    domain_controllers: frozenset[str] = frozenset()
    decider: str = ""
    deputies: tuple[str, ...] = ()
    criteria: str = ""
    allow: tuple[Allow, ...] = ()
    windows: tuple[Window, ...] = ()
    systems: tuple[System, ...] = ()
    contacts: tuple[Contact, ...] = ()


def load_plan(path: Path | None, zone: str | None = None) -> Plan:
    """The plan of a file, or one that knows nothing. Raises InputError with the place of what is wrong."""
    if path is None:
        name = zone or "Asia/Tokyo"
        return Plan(zone=parse_zone(name), zone_name=name)
    try:
        tree = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(
            f"the plan can't be read: {error}", source=Location(str(path)), hint="docs/containment.md shows one"
        ) from error
    try:
        return _plan(tree, zone)
    except _Wrong as wrong:
        raise InputError(str(wrong), source=Location(str(path)), hint="docs/containment.md shows a plan") from wrong


def plan_of(tree: dict[str, Any]) -> Plan:
    """The plan of a table that was read already. Raises InputError with what is wrong."""
    try:
        return _plan(tree, None)
    except _Wrong as wrong:
        raise InputError(str(wrong), hint="docs/containment.md shows a plan") from wrong


class _Wrong(ValueError):
    pass


def _plan(tree: dict[str, Any], zone: str | None) -> Plan:
    unknown = sorted(set(tree) - _KEYS)
    if unknown:
        # A mistyped key would leave a bank unprotected without a word.
        raise _Wrong(f"unknown key '{unknown[0]}'; known: {', '.join(sorted(_KEYS))}")
    name = zone or _string(tree, "zone") or "Asia/Tokyo"
    try:
        where = parse_zone(name)
    except UsageError as error:
        raise _Wrong(error.what) from error
    networks = tuple(_strings(tree, "own_networks"))
    windows = tuple(_window(t) for t in _tables(tree, "window"))
    known = {w.name for w in windows}
    systems = tuple(_system(t, known) for t in _tables(tree, "system"))
    return Plan(
        zone=where,
        zone_name=name,
        own=_places((*_strings(tree, "own_domains"), *networks), "own_domains"),
        own_networks=networks,
        never_block=_places(_strings(tree, "never_block"), "never_block"),
        proxies=frozenset(_address(a) for a in _strings(tree, "proxies")),
        domain_controllers=frozenset(n.lower() for n in _strings(tree, "domain_controllers")),
        decider=_string(tree, "decider"),
        deputies=tuple(_strings(tree, "deputies")),
        criteria=_string(tree, "criteria"),
        allow=tuple(_allow(t, where) for t in _tables(tree, "allow")),
        windows=windows,
        systems=systems,
        contacts=tuple(
            Contact(_needed(t, "name", "contact"), _needed(t, "by", "contact")) for t in _tables(tree, "contact")
        ),
    )


def _places(values: tuple[str, ...] | list[str], key: str) -> Places:
    out = Places()
    for value in values:
        out.add(_destination(value, key), value)
    return out


def _destination(value: str, key: str) -> str:
    text = value.strip().lower().removeprefix("*.").lstrip(".")
    if "." not in text and ":" not in text and text.replace("-", "").isalnum():
        return text  # one label: an internal name
    found = normalise(text, "domain") or normalise(text, "cidr")
    if found is None:
        raise _Wrong(f"{key}: '{value}' is no name, address or network")
    return found.value


def _allow(table: dict[str, Any], zone: tzinfo) -> Allow:
    ports = table.get("ports", [])
    if not isinstance(ports, list) or not all(isinstance(p, int) and 0 < p < 65536 for p in ports):
        raise _Wrong("allow: ports is a list of numbers from 1 to 65535")
    return Allow(
        _destination(_needed(table, "destination", "allow"), "allow"),
        frozenset(ports),
        _moment(table.get("from"), zone),
        _moment(table.get("until"), zone),
        _string(table, "why"),
    )


def _moment(value: object, zone: tzinfo) -> int | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return from_datetime(value if value.tzinfo else value.replace(tzinfo=zone))
    if isinstance(value, date):
        return from_datetime(datetime.combine(value, time(), zone))
    raise _Wrong("allow: from and until are TOML times, without quotes")


def _window(table: dict[str, Any]) -> Window:
    name = _needed(table, "name", "window")
    days = [d.lower()[:3] for d in _strings(table, "days")] or list(_DAYS)
    if any(d not in _DAYS for d in days):
        raise _Wrong(f"window '{name}': days are {', '.join(_DAYS)}")
    return Window(
        name, frozenset(_DAYS.index(d) for d in days), _clock(table, "start", name), _clock(table, "end", name)
    )


def _clock(table: dict[str, Any], key: str, name: str) -> time:
    value = table.get(key)
    try:
        return value if isinstance(value, time) else time.fromisoformat("" if value == "24:00" else str(value))
    except ValueError as error:
        if value == "24:00":
            return time()
        raise _Wrong(f"window '{name}': {key} is a time such as \"22:00\"") from error


def _system(table: dict[str, Any], windows: set[str]) -> System:
    name = _needed(table, "name", "system")
    used = tuple(_strings(table, "windows"))
    missing = [w for w in used if w not in windows]
    if missing:
        raise _Wrong(f"system '{name}': no window is called '{missing[0]}'")
    places = tuple(_destination(d, f"system '{name}'") for d in _strings(table, "destinations"))
    if not places:
        raise _Wrong(f"system '{name}': destinations is empty")
    return System(name, places, str(table.get("impact_per_hour", "")), used)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError as error:
        raise _Wrong(f"proxies: '{text}' is no address") from error


def _tables(tree: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = tree.get(key, [])
    if not isinstance(value, list) or not all(isinstance(t, dict) for t in value):
        raise _Wrong(f"write [[{key}]] once for each {key}")
    return value


def _strings(tree: dict[str, Any], key: str) -> list[str]:
    value = tree.get(key, [])
    if not isinstance(value, list) or not all(isinstance(t, str) for t in value):
        raise _Wrong(f"{key} is a list of texts")
    return value


def _string(tree: dict[str, Any], key: str) -> str:
    value = tree.get(key, "")
    if not isinstance(value, str):
        raise _Wrong(f"{key} is a text")
    return value


def _needed(table: dict[str, Any], key: str, kind: str) -> str:
    value = _string(table, key)
    if not value:
        raise _Wrong(f"{kind}: {key} is missing")
    return value
