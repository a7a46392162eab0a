"""The block list as a folder: one folder a device, what was held back, and a table for programs.

blocklist.json says what was blocked and what was not; `verify` and `status` read it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import DamagedInput, Location, OutputError
from hikeshi.evidence.atomic import write_atomic
from hikeshi.model.text import Text
from hikeshi.respond.devices import DEVICES, Device, Job
from hikeshi.respond.holding import Sorted
from hikeshi.respond.targets import Target, target

INDEX = "blocklist.json"


@dataclass(frozen=True, slots=True)
class BlockList:
    job: Job
    sorted: Sorted
    devices: tuple[Device, ...]


def make(found: Sorted, made_at: datetime, *, wanted: Collection[str] = (), zone_name: str = "UTC") -> BlockList:
    """`wanted` are ids of DEVICES; none: all. A device that can stop none of the targets is left out."""
    job = Job(list_id(found.block), made_at, found.block, zone_name)
    devices = [render(job) for name, render in DEVICES.items() if not wanted or name in wanted]
    return BlockList(job, found, tuple(d for d in devices if stopped(job.targets, d)))


def list_id(targets: Sequence[Target]) -> str:
    """The same targets give the same id: loading a list twice changes nothing."""
    digest = hashlib.sha256("\n".join(sorted(f"{t.type} {t.value}" for t in targets)).encode()).digest()
    number, out = int.from_bytes(digest[:8], "big"), ""
    for _ in range(6):
        number, digit = divmod(number, 36)
        out += "0123456789abcdefghijklmnopqrstuvwxyz"[digit]
    return out


def stopped(targets: Sequence[Target], device: Device) -> list[Target]:
    """Targets that this device stops."""
    left = {entry.value for entry in device.left_out}
    return [t for t in targets if t.value not in left and set(t.where) & set(device.controls)]


def write(made: BlockList, out: Path) -> list[Path]:
    """Writes the devices' files and the index; gives the paths. Raises OutputError."""
    paths = []
    for device in made.devices:
        for file in device.files:
            path = out / device.id / file.path
            _folder(path.parent)
            # PowerShell 5 reads a file without a mark in the machine's code page; ours are ASCII, so it needs none.
            write_atomic(path, file.text)
            paths.append(path)
    _folder(out)
    write_atomic(out / INDEX, orjson.dumps(index(made), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return [*paths, out / INDEX]


def _folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"can't be made: {error.strerror}", source=Location(str(path)),
                          hint="choose another folder with --out") from error


def rows(made: BlockList) -> list[dict[str, Any]]:
    """One object a target: value, type, state (block, held, forced), where, devices, confidence, reasons, records."""
    out = []
    for one in made.sorted.block:
        forced = made.sorted.forced.get(one.value, ())
        out.append({**_target(one), "state": "forced" if forced else "block",
                    "devices": [d.id for d in made.devices if one in stopped(made.job.targets, d)],
                    "cautions": _texts((*forced, *made.sorted.cautions.get(one.value, ())))})
    out += [{**_target(h.target), "state": "held", "devices": [], "cautions": _texts(h.reasons)}
            for h in made.sorted.held]
    return out


def index(made: BlockList) -> dict[str, Any]:
    return {"id": made.job.id, "made_at": made.job.made_at.isoformat(), "targets": rows(made), "devices": [
        {"id": d.id, "title": d.title, "controls": list(d.controls), "files": [f"{d.id}/{f.path}" for f in d.files],
         "load": _texts(d.load), "undo": _texts(d.undo), "effect": d.effect.to_dict(),
         "left_out": [{"value": e.value, "reason": e.reason.to_dict()} for e in d.left_out]} for d in made.devices]}


def _target(one: Target) -> dict[str, Any]:
    return {"value": one.value, "type": one.type, "where": list(one.where), "confidence": one.confidence,
            "reasons": _texts(one.reasons), "records": [r.to_dict() for r in one.records]}


def _texts(texts: Sequence[Text]) -> list[dict[str, str]]:
    return [t.to_dict() for t in texts]


def blocked_targets(path: Path) -> tuple[Target, ...]:
    """The targets of a block list that was written before (its folder, or the index itself)."""
    file = path / INDEX if path.is_dir() else path
    try:
        tree = orjson.loads(file.read_bytes())
        found = [target(str(t["value"]), str(t["type"])) for t in tree["targets"] if t["state"] != "held"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise DamagedInput("no block list of Hikeshi", source=Location(str(file)),
                           hint="give the folder that `hikeshi contain blocklist --out` wrote") from error
    return tuple(t for t in found if t is not None)
