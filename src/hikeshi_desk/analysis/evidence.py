"""A case's attachments as a folder that triage can read, under names that are only data.

The files are copies out of the content store (which checks them on the way) and go again when the run ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hikeshi.errors import OutputError
from hikeshi.model.text import Text
from hikeshi_desk.cases import store

_LONGEST = 180  # bytes of a file name: room for what unpacking adds
_SPARE = 1 << 30
_GONE = Text("保管した内容を取り出せませんでした。担当者に知らせてください。",
             "its stored content could not be taken out; tell the desk's operator")


@dataclass
class LaidOut:
    """`names` gives the sender's name of each file name; `missing` what the store could not give, with why."""

    names: dict[str, str] = field(default_factory=dict)
    missing: list[tuple[str, Text]] = field(default_factory=list)


def lay_out(files: Iterable[tuple[str, str, int]], folder: Path) -> LaidOut:
    """Put (name, sha256, size) into `folder`, which is emptied first. The same content under the same name is one
    file. Raises OutputError where the disk is too full."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    wanted = list(files)
    need = sum(size for _, _, size in wanted)
    if shutil.disk_usage(folder).free < need + _SPARE:
        raise OutputError(f"{need:,} bytes of evidence do not fit on the disk",
                          hint="free some space on the desk's disk and run the analysis again")
    out, seen = LaidOut(), set()
    for name, sha256, _ in wanted:
        if (name, sha256) in seen:
            continue
        seen.add((name, sha256))
        safe = _free(safe_name(name), out.names)
        try:
            store.materialise(sha256, folder / safe)
        except (FileNotFoundError, store.NotTheSame):
            out.missing.append((name, _GONE))
        else:
            out.names[safe] = name
    return out


def safe_name(name: str) -> str:
    """One path part: no separator, no control sign, nothing hidden, short enough; endings stay, they tell much."""
    kept = "".join("_" if sign in '/\\:*?"<>|' or not sign.isprintable() else sign for sign in name).strip(" ")
    kept = kept.lstrip(".") if kept.strip(".") else ""
    encoded = (kept or "file").encode("utf-8", "replace")
    if len(encoded) <= _LONGEST:
        return encoded.decode("utf-8")
    # The start and the ending: both may name a family.
    return f"{encoded[:_LONGEST // 2].decode('utf-8', 'ignore')}~{encoded[-_LONGEST // 3:].decode('utf-8', 'ignore')}"


def _free(name: str, taken: dict[str, str]) -> str:
    if name not in taken:
        return name
    stem, dot, ending = name.partition(".")
    number = 2
    while (other := f"{stem} ({number}){dot}{ending}") in taken:
        number += 1
    return other

