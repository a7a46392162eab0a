"""What an attacker's step looks like in one record: signals.toml, checked and as objects."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hikeshi.errors import KnowledgeError
from hikeshi.model.case import TACTICS
from hikeshi.model.text import Text


@dataclass(frozen=True, slots=True)
class Signal:
    """A kind of step: its name in a digest, its weight (1 to 3), ATT&CK technique and tactic, and what it says."""

    name: str
    weight: int
    technique: str
    tactic: str
    says: Text


def _load() -> tuple[dict[str, Signal], dict[str, tuple[str, Text]]]:
    raw: dict[str, Any] = tomllib.loads(files(__package__).joinpath("signals.toml").read_text("utf-8"))
    signals = {
        name: Signal(name, s["weight"], s["technique"], s["tactic"], Text(s["ja"], s["en"]))
        for name, s in raw["signal"].items()
    }
    wrong = sorted(s.name for s in signals.values() if s.weight not in (1, 2, 3) or s.tactic not in TACTICS)
    if wrong:
        raise KnowledgeError(f"signals.toml: weight or tactic of {', '.join(wrong)}")
    return signals, {name: (m["technique"], Text(m["ja"], m["en"])) for name, m in raw["method"].items()}


SIGNALS, METHODS = _load()
