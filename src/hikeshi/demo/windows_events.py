"""The kinds of Windows events the demo writes, from windows_events.toml.

`KINDS["Security", 4624]` gives the template, the log file's name and the default of every field.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hikeshi.demo.evtx_writer import Template, Value
from hikeshi.errors import KnowledgeError

_DEFAULTS: dict[str, Value] = {
    "string": "-", "sid": "S-1-0-0", "guid": "00000000-0000-0000-0000-000000000000", "binary": b"",
}


@dataclass(frozen=True, slots=True)
class EventKind:
    template: Template
    file: str
    defaults: dict[str, Value]

    def values(self, given: dict[str, Value]) -> list[Value]:
        """The values of one record in field order; an unknown field name raises KnowledgeError."""
        merged = self.defaults | given
        if len(merged) != len(self.defaults):
            unknown = sorted(set(given) - set(self.defaults))
            raise KnowledgeError(f"event {self.template.event_id} has no field {', '.join(unknown)}")
        return list(merged.values())


def _field(text: str) -> tuple[str, str, Value]:
    name, _, default = text.partition("=")
    name, _, kind = name.partition(":")
    kind = kind or "string"
    if "=" not in text:
        return name, kind, _DEFAULTS.get(kind, 0)
    return name, kind, default if kind in _DEFAULTS else int(default)


def _load() -> dict[tuple[str, int], EventKind]:
    raw: dict[str, Any] = tomllib.loads(files(__package__).joinpath("windows_events.toml").read_text("utf-8"))
    kinds: dict[tuple[str, int], EventKind] = {}
    for provider in raw["providers"].values():
        user_data = provider.get("user_data")
        for number, (version, task, field_text) in provider["events"].items():
            fields = [_field(f) for f in field_text.split()]
            template = Template(
                provider["provider"], provider["guid"], provider["channel"], int(number),
                tuple((name, kind) for name, kind, _ in fields), version=version, level=provider.get("level", 0),
                task=task, keywords=int(provider["keywords"], 16), qualifiers=provider.get("qualifiers"),
                literal_provider=provider.get("literal", False), source_name=provider.get("source_name"),
                user_data=(user_data[0], user_data[1]) if user_data else None)
            kinds[provider["file"], int(number)] = EventKind(
                template, provider["file"], {name: default for name, _, default in fields})
    return kinds


KINDS = _load()
