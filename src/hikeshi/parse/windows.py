"""Common columns for Windows events: who, from where, what, by the table data/windows_events.toml.

Hunting needs EventData only; the timeline, the sweep and the story need these.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from hikeshi.events.table import Column, EventTable
from hikeshi.parse.addresses import account, ip, port, url_host, whole

_NOTHING = frozenset({"", "-", "N/A", "LOCAL", "local", "?", "localhost", "::", "0.0.0.0"})
_CONSTANTS = ("action", "category", "outcome")


@dataclass(frozen=True, slots=True)
class _Entry:
    constants: tuple[tuple[str, str], ...]
    fields: tuple[tuple[str, tuple[str, ...]], ...]
    outcome_field: str | None = None
    success: frozenset[str] = frozenset()
    provider: str | None = None


@cache
def _table() -> tuple[dict[str, str], _Entry, dict[tuple[str, str], _Entry]]:
    data = tomllib.loads(resources.files("hikeshi.parse").joinpath("data/windows_events.toml").read_text("utf-8"))
    entries: dict[tuple[str, str], _Entry] = {}
    for row in data["event"]:
        entry = _entry(row)
        for code in row["codes"]:
            entries[(row["channel"].lower(), code)] = entry
    return data["datasets"], _entry(data["default"]), entries


def _entry(row: dict[str, Any]) -> _Entry:
    skip = {"channel", "codes", "outcome_field", "success", "provider", *_CONSTANTS}
    return _Entry(
        tuple((f"event.{name}", row[name]) for name in _CONSTANTS if name in row),
        tuple((target, tuple(names)) for target, names in row.items() if target not in skip),
        row.get("outcome_field"),
        frozenset(row.get("success", ())),
        row.get("provider"),
    )


@lru_cache(maxsize=2_000)
def dataset_of(channel: str | None) -> str:
    """windows.security, windows.sysmon, …: from the channel's name."""
    if not channel:
        return "windows"
    found = _table()[0].get(channel)
    if found:
        return found
    name = channel.rpartition("/")[0] or channel
    last = name.removeprefix("Microsoft-Windows-")
    return "windows." + re.sub(r"[^a-z0-9]+", "-", last.lower()).strip("-")[:60]


def add_ecs_columns(table: EventTable) -> None:
    """Add event.action, user.name, source.ip and the like to a table of Windows events.

    Works on unique values; rows that are no Windows events stay as they are.
    """
    channel, code = table.columns.get("winlog.channel"), table.columns.get("event.code")
    if channel is None or code is None or not table.row_count:
        return
    count = table.row_count
    target = _Targets(table)
    codes = code.dense(count).astype(np.int64)
    channels = channel.dense(count).astype(np.int64)
    pairs = (channels + 1) * (len(code.values) + 1) + codes + 1
    _, default, entries = _table()
    inner = len(code.values) + 1
    for pair in np.unique(pairs).tolist():
        rows = np.flatnonzero(pairs == pair)
        channel_number, code_number = pair // inner - 1, pair % inner - 1
        if code_number < 0:
            continue
        channel_name = str(channel.values[channel_number]) if channel_number >= 0 else ""
        entry = entries.get((channel_name.lower(), str(code.values[code_number])))
        if entry is not None and entry.provider is not None:
            rows, entry = _of_provider(table, rows, entry, target, default)
        if entry is not None:
            target.apply(entry, rows)
        target.apply(default, rows)
    _names(target, "process.executable", "process.name")
    _names(target, "process.parent.executable", "process.parent.name")
    lists_of = target.finished()
    table.columns.update(lists_of)
    if "event.dataset" not in table.columns:
        made = _Made(count)
        values = [dataset_of(str(v)) for v in channel.values]
        made.set(np.arange(count), channels.astype(np.int32), values)
        made.constant(np.flatnonzero(channels < 0), "windows")
        table.columns["event.dataset"] = made.column()


def _of_provider(
    table: EventTable,
    rows: npt.NDArray[Any],
    entry: _Entry,
    target: _Targets,
    default: _Entry,
) -> tuple[npt.NDArray[Any], _Entry | None]:
    """System 7045 is a new service only where the Service Control Manager says so."""
    provider = table.columns.get("event.provider")
    if provider is None:
        return rows, entry
    wanted = np.array([str(v).lower() == str(entry.provider).lower() for v in provider.values] + [False], dtype=bool)
    matches = wanted[provider.dense(table.row_count)[rows]]
    target.apply(default, rows[~matches])
    return rows[matches], entry


class _Made:
    """A column while it grows: a code per row and the values."""

    __slots__ = ("codes", "numbers")

    def __init__(self, count: int) -> None:
        self.codes: npt.NDArray[np.int32] = np.full(count, -1, dtype=np.int32)
        self.numbers: dict[Any, int] = {}

    def set(self, rows: npt.NDArray[Any], codes: npt.NDArray[Any], values: list[Any]) -> None:
        """Fill rows that are still empty: row rows[i] gets values[codes[i]], None leaves it empty."""
        renumber = np.full(len(values) + 1, -1, dtype=np.int32)
        for number in np.unique(codes).tolist():
            value = values[number] if number >= 0 else None
            if value is not None:
                renumber[number] = self.numbers.setdefault(value, len(self.numbers))
        renumber[len(values)] = -1
        empty = self.codes[rows] < 0
        where = rows[empty]
        self.codes[where] = renumber[codes[empty]]

    def constant(self, rows: npt.NDArray[Any], value: Any) -> None:
        where = rows[self.codes[rows] < 0]
        if len(where):
            self.codes[where] = self.numbers.setdefault(value, len(self.numbers))

    def column(self) -> Column:
        return Column(list(self.numbers), self.codes)


class _Targets:
    """The columns being made, on top of those the table has."""

    def __init__(self, table: EventTable) -> None:
        self.table = table
        self.count = table.row_count
        self.made: dict[str, _Made] = {}
        self.dense: dict[str, npt.NDArray[np.int32]] = {}

    def _column(self, name: str) -> _Made:
        made = self.made.get(name)
        if made is None:
            made = self.made[name] = _Made(self.count)
            held = self.table.columns.get(name)
            if held is not None:
                made.set(np.arange(self.count), held.dense(self.count), held.values)
        return made

    def apply(self, entry: _Entry, rows: npt.NDArray[Any]) -> None:
        if not len(rows):
            return
        for name, value in entry.constants:
            self._column(name).constant(rows, value)
        if entry.outcome_field is not None:
            self._fill(
                "event.outcome",
                entry.outcome_field,
                rows,
                lambda v: "success" if v.lower() in entry.success else "failure",
            )
        for target, names in entry.fields:
            for name in names:
                self._from(target, name, rows)

    def _from(self, target: str, name: str, rows: npt.NDArray[Any]) -> None:
        if target in ("source", "destination"):
            self._fill(f"{target}.ip", name, rows, _address)
            self._fill(f"{target}.domain", name, rows, _host)
        elif target == "user.name":
            self._fill("user.name", name, rows, lambda v: account(v)[0])
            self._fill("user.domain", name, rows, lambda v: account(v)[1])
        elif target == "hashes":
            for kind in ("md5", "sha1", "sha256"):
                self._fill(f"file.hash.{kind}", name, rows, lambda v, kind=kind: _hash(v, kind))  # type: ignore[misc]
        elif target in ("source.port", "destination.port"):
            self._fill(target, name, rows, lambda v: port(v) or None)
        elif target == "process.pid":
            self._fill(target, name, rows, whole)
        elif target in ("source.domain", "destination.domain"):
            self._fill(target, name, rows, _host)
        elif target == "process.command_line":
            self._fill(target, name, rows, _command)
        else:
            self._fill(target, name, rows, _said)

    def _fill(self, target: str, name: str, rows: npt.NDArray[Any], change: Callable[[str], Any]) -> None:
        name, tilde, key = name.partition("~")
        column = self.table.fields.get(name)
        if column is None or not len(column.values):
            return
        dense = self.dense.get(name)
        if dense is None:
            dense = self.dense[name] = column.dense(self.count)
        codes = dense[rows]
        used = np.unique(codes[codes >= 0]).tolist()
        if not used:
            return
        values: list[Any] = [None] * len(column.values)
        for number in used:
            text = str(column.values[number])
            if tilde:
                text = _inside(text, key)
            if text in _NOTHING:
                continue
            values[number] = change(text)
        self._column(target).set(rows, codes, values)

    def finished(self) -> dict[str, Column]:
        return {name: made.column() for name, made in self.made.items() if made.numbers}


def _names(target: _Targets, path: str, name: str) -> None:
    """File names from paths, on unique values."""
    made = target.made.get(path)
    if made is None:
        return
    values = list(made.numbers)
    target._column(name).set(np.arange(target.count), made.codes, [_last(str(v)) for v in values])


def _last(path: str) -> str | None:
    return path.replace("/", "\\").rpartition("\\")[2] or None


def _said(text: str) -> str | None:
    return text


def _address(text: str) -> str | None:
    return ip(text.strip().lstrip("\\"))


def _host(text: str) -> str | None:
    """A machine's name; not an address, not a phone number or text."""
    text = text.strip().strip("\\")
    if "://" in text:
        text = url_host(text)[0] or ""
    if (
        not text
        or _address(text)
        or not re.fullmatch(r"[\w.-]{1,255}", text)
        or re.fullmatch(r"(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}", text)
    ):
        return None
    return text


def _hash(text: str, kind: str) -> str | None:
    match = re.search(rf"(?i)\b{kind}=([0-9a-f]+)", text)
    return match[1].lower() if match and int(match[1], 16) else None


_TASK = re.compile(r"(?:<|&lt;)Command(?:>|&gt;)(.*?)(?:<|&lt;)/Command", re.DOTALL)
_ARGUMENTS = re.compile(r"(?:<|&lt;)Arguments(?:>|&gt;)(.*?)(?:<|&lt;)/Arguments", re.DOTALL)


def _command(text: str) -> str | None:
    """A command line; from a task's XML its command and arguments."""
    if "Task" in text[:400] and ("<" in text[:5] or "&lt;" in text[:8]):
        command, arguments = _TASK.search(text), _ARGUMENTS.search(text)
        if command is None:
            return None
        return _unescape(f"{command[1].strip()} {arguments[1].strip()}" if arguments else command[1].strip())
    return text


def _unescape(text: str) -> str:
    for _ in range(2):
        for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&amp;", "&")):
            text = text.replace(name, sign)
    return text


def _inside(text: str, key: str) -> str:
    """The value of the line "key = value" or "key: value" in a longer text, or of its <key>."""
    element = re.search(rf"<{re.escape(key)}>\s*([^<]*?)\s*</", text)
    if element:
        value = element[1].split(",", 1)[0] if "ip" in key.lower() else element[1]
        return "" if value in _NOTHING else value
    for line in _lines_of(text):
        name, sign, value = line.partition("=") if "=" in line.partition(":")[0] else line.partition(":")
        if sign and name.strip() == key and value.strip() not in _NOTHING:
            return value.strip()
    return ""


def _lines_of(text: str) -> Iterator[str]:
    yield from text.splitlines()
