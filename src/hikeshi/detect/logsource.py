"""From a Sigma log source to its places: in Windows event logs as logsource.toml says, in others as logs.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """One way in which a log source appears: which records, and what rule fields are called there.

    `channels` lower case, empty for any; `codes` event ids as text, empty for any.
    `values`: for a renamed field, what an exact value of the rule (lower case) is called.
    `derive`: rule fields made of several record fields, see columns.DERIVED.
    `require`: fields and the values one of which the record must have; "text*" for a beginning.
    A channel "#name" is a dataset of logs other than Windows event logs, see place.py.
    """

    channels: tuple[str, ...]
    codes: tuple[str, ...] = ()
    map: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str | tuple[str, ...]]] = field(default_factory=dict)
    derive: Mapping[str, str] = field(default_factory=dict)
    require: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ()
    name: str = ""

    def homes(self, field_name: str) -> tuple[str, ...]:
        """Where the record may hold a rule's field, best first."""
        if field_name in self.derive:
            return (f"={self.derive[field_name]}",)
        own = self.map.get(field_name)
        if own is not None:
            return (own,) if isinstance(own, str) else own
        return (field_name, *(f"{prefix}{field_name}" for prefix in self.prefixes))

    def called(self, home: str, text: str) -> tuple[str, ...]:
        """What an exact value of a rule (lower case) is called in that field."""
        found = self.values.get(home, {}).get(text, ())
        return (found,) if isinstance(found, str) else tuple(found)

    @property
    def windows(self) -> bool:
        """Windows event logs, not datasets of other logs ("#squid.access", see place.py)."""
        return not any(c[:1] == "#" for c in self.channels)


@dataclass(frozen=True, slots=True)
class LogSources:
    services: Mapping[str, tuple[str, ...]]
    categories: Mapping[str, tuple[Place, ...]]
    system: Mapping[str, str]
    payload_first: Mapping[str, str]
    logs: tuple[tuple[Mapping[str, str], Place], ...] = ()     # (product?, category?, service?) → place

    def others(self, product: str | None, category: str | None, service: str | None) -> list[Place]:
        """The places in logs other than Windows event logs."""
        asked = {"category": category, "service": service}
        return [place for source, place in self.logs
                if all((source.get(key) or None) == (value.lower() if value else None)
                       for key, value in asked.items())
                and (source["product"] == (product or "").lower() if "product" in source
                     else (product or "").lower() != "windows")]

    def resolve(self, product: str | None, category: str | None, service: str | None) -> list[Place] | str:
        """The places of a log source, or the reason why there are none."""
        named = "/".join(f"{k}={v}" for k, v in (("product", product), ("category", category), ("service", service))
                         if v)
        others = self.others(product, category, service)
        if others:
            return others
        if (product or "windows").lower() != "windows":
            return f"log source {named}: not a Windows log, and no other log that is read holds it"
        if service is None and category is None:
            return f"log source {named or '(empty)'}: names neither category nor service"
        places: list[Place] | None = None
        if category is not None:
            known = self.categories.get(category.lower())
            if known is None:
                return f"log source {named}: unknown category"
            places = list(known)
        if service is not None:
            channels = self.services.get(service.lower())
            if channels is None:
                return f"log source {named}: unknown service"
            if places is None:
                return [Place(channels)]
            places = [p for p in places if set(p.channels) & set(channels)]
            if not places:
                return f"log source {named}: this service never holds this category"
        if product is None and category is not None and category.lower() not in _PRODUCTLESS:
            return f"log source {named}: no product named"
        return places or f"log source {named}: unknown"


# Categories that Sigma defines without a product and that Windows logs can answer.
_PRODUCTLESS = frozenset(("antivirus", "process_creation", "file_event", "dns_query"))


@cache
def load_log_sources() -> LogSources:
    data = resources.files("hikeshi.detect").joinpath("logsource.toml").read_bytes()
    raw: dict[str, Any] = tomllib.loads(data.decode())
    services = {name: tuple(c.lower() for c in channels) for name, channels in raw["services"].items()}
    categories: dict[str, list[Place]] = {}
    for entry in raw["categories"]:
        channels = services[entry["service"]] if "service" in entry else tuple(c.lower() for c in entry["channels"])
        categories.setdefault(entry["name"], []).append(Place(
            channels, tuple(str(i) for i in entry.get("ids", ())), entry.get("map", {}), entry.get("values", {}),
            entry.get("derive", {}), {k: tuple(v) for k, v in entry.get("require", {}).items()}))
    return LogSources(services, {k: tuple(v) for k, v in categories.items()}, raw["system"], raw["payload_first"],
                      tuple(_load_logs()))


def _load_logs() -> Iterator[tuple[Mapping[str, str], Place]]:
    data = resources.files("hikeshi.detect").joinpath("logs.toml").read_bytes()
    for entry in tomllib.loads(data.decode())["logs"]:
        place = Place(
            tuple(f"#{d}" for d in entry["datasets"]), map={k: _several(v) for k, v in entry.get("map", {}).items()},
            values={k: {text: _several(v) for text, v in told.items()} for k, told in entry.get("values", {}).items()},
            require={k: tuple(v) for k, v in entry.get("require", {}).items()},
            prefixes=tuple(entry.get("prefixes", ())), name=entry["name"])
        for source in entry["sources"]:
            yield source, place


def _several(value: str | list[str]) -> str | tuple[str, ...]:
    return value if isinstance(value, str) else tuple(value)
