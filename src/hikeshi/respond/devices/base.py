"""What every device's module gives: files to load, how to load them, how to undo it, and what it can't express."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from hikeshi.model.text import Text
from hikeshi.respond.targets import Control, Target

_ASCII = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Job:
    """One block list: `id` is in every object's name, so that two lists never meet and undo removes just one."""

    id: str
    made_at: datetime
    targets: tuple[Target, ...]
    zone_name: str = "UTC"

    @property
    def name(self) -> str:
        return f"hikeshi-{self.id}"

    @property
    def number(self) -> int:
        """A number of its own between 900000 and 999999, for devices that count."""
        return 900_000 + int(self.id, 36) % 100_000


@dataclass(frozen=True, slots=True)
class File:
    path: str  # inside the device's folder
    text: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    value: str
    reason: Text


@dataclass(frozen=True, slots=True)
class Device:
    """`load` and `undo` are steps for a person, in order; `effect` is what users will notice."""

    id: str
    title: str
    controls: tuple[Control, ...]
    files: tuple[File, ...]
    load: tuple[Text, ...]
    undo: tuple[Text, ...]
    effect: Text
    left_out: tuple[LeftOut, ...] = ()


Render = Callable[[Job], Device]


def header(job: Job, title: str, load: str, undo: str, *, mark: str = "#", entries: int) -> list[str]:
    """The comment every file begins with: what, when, how to load, how to undo. ASCII, whatever it is given."""
    rows = [
        f"Hikeshi block list {job.id}: {title}, {entries} entries",
        f"Made {job.made_at.strftime('%Y-%m-%d %H:%M')} UTC. Test on one device first; keep the undo file.",
        f"Load: {load}",
        f"Undo: {undo}",
    ]
    return [f"{mark} {_ASCII.sub('?', row)}" for row in rows]


def lines(*parts: Sequence[str], end: str = "\n") -> str:
    return end.join(line for part in parts for line in part) + end


def without(targets: Iterable[Target], kinds: Sequence[str], reason: Text) -> tuple[LeftOut, ...]:
    """Targets of other types than these, each with the reason."""
    return tuple(LeftOut(t.value, reason) for t in targets if t.type not in kinds)


def chunks(values: Sequence[str], size: int) -> list[Sequence[str]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


NO_MAIL = Text("この機器はメールアドレスやハッシュを止められません", "this device stops no mail addresses or hashes")
ONLY_ADDRESSES = Text("この機器はIPアドレスだけを止めます", "this device stops addresses only")
