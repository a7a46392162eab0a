"""How far containment has come: a small file of marks, one JSON line each, only ever added to.

Subjects are targets (× firewall, proxy, dns, mail), hosts (isolation), accounts (reset) and decisions (cut-off).
The present state is what the marks add up to; an undo is a mark too, so who did what and when stays.

A line: at (UTC), by, subject, control, state, device, note; `undoes` names the line it takes back. A mark's
number is its line, so that two people who write at once never get the same one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import DamagedInput, Location, OutputError, UsageError
from hikeshi.events.time import format_utc, from_datetime
from hikeshi.respond.targets import CONTROLS

STATES = ("open", "requested", "applied", "verified", "failed", "not_needed")
ALL_CONTROLS = (*CONTROLS, "isolation", "reset", "decision")
DONE = frozenset({"verified", "not_needed"})
_MOST = 64 << 20


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of the file. `id` is its number, `at` UTC ISO 8601."""

    id: int
    at: str
    by: str
    subject: str
    control: str
    state: str
    device: str = ""
    note: str = ""
    undoes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {
            "id": self.id,
            "at": self.at,
            "by": self.by,
            "subject": self.subject,
            "control": self.control,
            "state": self.state,
        }
        out |= {"device": self.device} if self.device else {}
        out |= {"note": self.note} if self.note else {}
        return out | ({"undoes": self.undoes} if self.undoes is not None else {})


@dataclass(slots=True)
class State:
    """All marks in order, and what could not be read of the file."""

    path: Path
    marks: list[Mark] = field(default_factory=list)
    broken_lines: list[int] = field(default_factory=list)

    def current(self) -> dict[tuple[str, str], Mark]:
        """The mark in force for each subject and control: the last that was not taken back."""
        undone = {m.undoes for m in self.marks if m.undoes is not None}
        out: dict[tuple[str, str], Mark] = {}
        for mark in self.marks:
            if mark.undoes is None and mark.id not in undone:
                out[mark.subject, mark.control] = mark
        return out

    def applied_at(self, subject: str, control: str) -> str | None:
        """When it was last reported as applied, whatever was found since; None if never or taken back."""
        undone = {m.undoes for m in self.marks if m.undoes is not None}
        times = [
            m.at
            for m in self.marks
            if (m.subject, m.control, m.state) == (subject, control, "applied")
            and m.id not in undone
            and m.undoes is None
        ]
        return times[-1] if times else None

    def open_items(self) -> list[Mark]:
        return [m for m in self.current().values() if m.state not in DONE]


def load_state(path: Path) -> State:
    """An empty state where there is no file. A broken line is skipped and told (a torn write); a file of
    nothing but broken lines is refused."""
    state = State(path)
    try:
        if path.stat().st_size > _MOST:
            raise DamagedInput("larger than any state file", source=Location(str(path)))
        data = path.read_bytes()
    except FileNotFoundError:
        return state
    except OSError as error:
        raise DamagedInput(f"can't be read: {error.strerror}", source=Location(str(path))) from error
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        mark = _mark(number, line)
        if mark is None:
            state.broken_lines.append(number)
        else:
            state.marks.append(mark)
    if state.broken_lines and not state.marks:
        raise DamagedInput("no state file of Hikeshi", source=Location(str(path), line=state.broken_lines[0]))
    return state


def _mark(number: int, line: bytes) -> Mark | None:
    try:
        row = orjson.loads(line)
        mark = Mark(
            number,
            str(row["at"]),
            str(row["by"]),
            str(row["subject"]),
            str(row["control"]),
            str(row["state"]),
            str(row.get("device", "")),
            str(row.get("note", "")),
            row.get("undoes"),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    known = mark.control in ALL_CONTROLS and mark.state in STATES
    return mark if known and (mark.undoes is None or isinstance(mark.undoes, int)) else None


def add_marks(
    state: State, wanted: Iterable[tuple[str, str, str]], *, by: str, at: datetime, device: str = "", note: str = ""
) -> list[Mark]:
    """Adds (subject, control, state) marks. Raises UsageError where a name or a reason is missing."""
    rows = list(wanted)
    if not by.strip():
        raise UsageError("who did it?", hint="--by NAME")
    for _, control, name in rows:
        if control not in ALL_CONTROLS:
            raise UsageError(f"unknown control '{control}'", hint=", ".join(ALL_CONTROLS))
        if name not in STATES:
            raise UsageError(f"unknown state '{name}'", hint=", ".join(STATES))
        if name == "not_needed" and not note.strip():
            raise UsageError("leaving something out needs a reason", hint="--note REASON")
    when = format_utc(from_datetime(at))
    return _append(
        state, [Mark(0, when, by, subject, control, name, device, note) for subject, control, name in rows]
    )


def undo(state: State, mark_id: int, *, by: str, at: datetime, note: str = "") -> Mark:
    """Takes one mark back; what was in force before it is in force again."""
    known = {m.id: m for m in state.marks}
    taken = known.get(mark_id)
    if taken is None or taken.undoes is not None:
        raise UsageError(f"no mark {mark_id} to take back", hint="hikeshi contain status --history shows the numbers")
    if any(m.undoes == mark_id for m in state.marks):
        raise UsageError(f"mark {mark_id} was taken back before")
    return _append(
        state,
        [
            Mark(
                0,
                format_utc(from_datetime(at)),
                by,
                taken.subject,
                taken.control,
                taken.state,
                note=note,
                undoes=mark_id,
            )
        ],
    )[0]


def _append(state: State, marks: list[Mark]) -> list[Mark]:
    """Writes the marks and gives them with their numbers; `state` then holds what others wrote too."""
    data = b"".join(
        orjson.dumps({k: v for k, v in m.to_dict().items() if k != "id"}, option=orjson.OPT_APPEND_NEWLINE)
        for m in marks
    )
    try:
        # A write that a crash cut short leaves no line end; ours must not be glued to it.
        before = state.path.read_bytes()[-1:] if state.path.exists() else b""
        torn = before not in (b"", b"\n")
        # One write at the end of the file: two people at once both keep their marks.
        with state.path.open("ab") as file:
            file.write((b"\n" if torn else b"") + data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"can't be written: {error.strerror}", source=Location(str(state.path))) from error
    again = load_state(state.path)
    state.marks, state.broken_lines = again.marks, again.broken_lines
    found = []
    for mark in reversed(marks):
        found.append(next(m for m in reversed(state.marks) if replace(m, id=0) == mark and m not in found))
    return found[::-1]
