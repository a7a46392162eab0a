"""The worked incidents by name, and writing one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hikeshi.demo import ordinary
from hikeshi.demo.scenarios import mail_c2_exfil, vpn_ransomware, webshell
from hikeshi.demo.truth import Truth
from hikeshi.demo.world import SHOWN_SEED, World
from hikeshi.errors import OutputError, UsageError
from hikeshi.model.text import Text

_MODULES: tuple[ModuleType, ...] = (vpn_ransomware, mail_c2_exfil, webshell)


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    title: Text
    description: Text


def scenarios() -> tuple[Scenario, ...]:
    return tuple(Scenario(m.NAME, m.TITLE, m.DESCRIPTION) for m in _MODULES)


def write_scenario(name: str, folder: Path, *, seed: int = SHOWN_SEED) -> Truth:
    """Write the evidence into `folder`, and truth.json (indicators.txt, if there is one) beside it.

    The same name and seed give the same bytes; another seed gives another week and another cast
    (who is hit, from where, with whose account, how late) in the same plot. `folder` is made; it must be empty.
    Raises UsageError for an unknown name, OutputError where the folder can't be written.
    """
    module = next((m for m in _MODULES if name == m.NAME), None)
    if module is None:
        raise UsageError(f"no worked incident is called '{name}'",
                         hint="one of " + ", ".join(m.NAME for m in _MODULES))
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty", hint="name a new or an empty folder")
    world = World(name, seed, first=module.FIRST, end=module.END)
    ordinary.live(world)
    story = module.happen(world)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        world.evidence.write(folder)
        truth: Truth = story.truth()
        (folder.parent / "truth.json").write_text(
            json.dumps(truth.to_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        indicators = getattr(module, "INDICATORS", None)
        if indicators is not None:
            (folder.parent / "indicators.txt").write_text(indicators, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"the worked incident can't be written: {error}",
                          hint="check space and permissions") from error
    return truth
