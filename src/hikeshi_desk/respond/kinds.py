"""What kinds of measures there are, and those that every response begins with.

Controls, states, orders and words are those of hikeshi.respond; the desk only adds the lists that people tick.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from hikeshi.model.text import Text
from hikeshi.respond import words
from hikeshi.respond.accounts import KINDS as ACCOUNT_KINDS
from hikeshi.respond.state import DONE, STATES
from hikeshi.respond.targets import CONTROLS as BLOCKING
from hikeshi_desk.respond.models import Measure

__all__ = ["ACCOUNT_KINDS", "BLOCKING", "CONTROLS", "FIXED", "KINDS", "MARKABLE", "MOST", "PAGE", "STEP", "STEP_STATES",
           "Kind"]
MARKABLE = tuple(state for state in STATES if state != "open")
MOST = 5_000  # measures of one case; an attacker's list must not become our work
STEP_STATES = ("requested", "applied", "not_needed")  # begun, done, left out
PAGE = 50  # subjects on one page: with four controls each, a form stays below the most fields a request may have


@dataclass(frozen=True)
class Kind:
    """A page of measures. `fixed` are items every response has; else subjects are entered or proposed."""

    id: str
    controls: tuple[str, ...]
    steps: tuple[str, ...]
    fixed: Mapping[str, Text] | None = None


KINDS: dict[str, Kind] = {kind.id: kind for kind in (
    Kind("machines", ("isolation",), ("isolate",)),
    Kind("blocks", BLOCKING, ("block",)),
    Kind("accounts", ("reset",), ("accounts",)),
    Kind("mail", ("mailwork",), ("mail",), words.MAIL),
    Kind("protocols", ("protocol",), ("mail",), words.PROTOCOLS),
)}
STEP = "step"
CONTROLS = (STEP, *(control for kind in KINDS.values() for control in kind.controls))
FIXED: dict[str, Mapping[str, Text]] = {STEP: words.STEPS, "mailwork": words.MAIL, "protocol": words.PROTOCOLS}


def kind_of(control: str) -> Kind | None:
    return next((kind for kind in KINDS.values() if control in kind.controls), None)


def of_step(step: str) -> tuple[str, ...]:
    """The controls whose measures a step of the plan consists of; "check" is all of them."""
    return tuple(control for kind in KINDS.values() if step == "check" or step in kind.steps
                 for control in kind.controls)


def key_of(control: str, subject: str) -> str:
    return hashlib.sha256(f"{control}\0{subject.lower()}".encode("utf-8", "surrogatepass")).hexdigest()


def is_done(state: str) -> bool:
    return state in DONE


def fixed_measures() -> list[Measure]:
    """Steps, mail and protocol items, without their case."""
    return [Measure(control=control, subject=subject, key=key_of(control, subject), position=number,
                    origin=Measure.Origin.PLAN)
            for control, items in FIXED.items() for number, subject in enumerate(items, 1)]
