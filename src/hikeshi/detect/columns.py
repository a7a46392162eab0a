"""The columns of an event table as rules name them.

A key is a field's name as the rule writes it; with a prefix:
    @name          a System column (ECS name)
    ?name@column   the record's own field, else the System column
    =name          made of several fields, see DERIVED
A rule's field also finds a record field that differs only in case, spaces or punctuation
("ThreatName", "Threat Name"): Windows and its documentation don't agree with themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hikeshi.events.schema import BY_NAME
from hikeshi.events.table import Codes, Column, EventTable, Rows
from hikeshi.events.texts import Texts
from hikeshi.events.time import NO_TIME


@dataclass(slots=True)
class View:
    """A column's unique texts and its codes; `dense` has one more, empty place for null (-1)."""

    values: Sequence[str]
    codes: Codes
    rows: Rows | None
    row_count: int
    _dense: Codes | None = None
    _counts: npt.NDArray[np.int64] | None = None
    _empty: int | None = None

    @property
    def empty(self) -> int:
        """The code of the empty text, or -2."""
        if self._empty is None:
            if isinstance(self.values, Texts):
                self._empty = self.values.empty if self.values.empty >= 0 else -2
            else:
                self._empty = self.values.index("") if "" in self.values else -2
        return self._empty

    def texts(self, numbers: npt.NDArray[np.int64]) -> list[str]:
        """Some of the values."""
        if isinstance(self.values, Texts):
            return self.values.take(numbers)
        return [self.values[n] for n in numbers.tolist()]

    def used(self, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64] | None:
        """The numbers of the values in some of this column's rows (one bool each); None for all."""
        if where.all():
            return None
        marks = np.zeros(len(self.values) + 1, dtype=np.bool_)
        marks[self.codes[where]] = True
        return np.flatnonzero(marks[:-1])

    @property
    def dense(self) -> Codes:
        if self._dense is None:
            if self.rows is None:
                self._dense = self.codes
            else:
                self._dense = np.full(self.row_count, -1, dtype=np.int32)
                self._dense[self.rows] = self.codes
        return self._dense

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows have each value."""
        if self._counts is None:
            self._counts = np.bincount(self.codes + 1, minlength=len(self.values) + 1)[1:]
        return self._counts

    def rows_where(self, wanted: npt.NDArray[np.bool_]) -> Rows:
        """Rows whose value is wanted; `wanted` ends with False for null."""
        hit = wanted[self.codes]
        return np.flatnonzero(hit).astype(np.int32) if self.rows is None else self.rows[hit]


class Columns:
    """Looks a rule's keys up in one table."""

    def __init__(self, table: EventTable) -> None:
        self.table = table
        self._views: dict[str, View | None] = {}
        self._spellings: dict[str, list[str]] = {}
        for name in table.fields:
            self._spellings.setdefault(plain_name(name), []).append(name)

    def view(self, key: str) -> View | None:
        """The column of a key, or None where no row has it."""
        if key not in self._views:
            self._views[key] = self._make(key)
        return self._views[key]

    def payload(self) -> list[View]:
        """Every field and the message: where keywords are looked for."""
        views = [self.view(name) for name in self.table.fields]
        if "winlog.channel" not in self.table.columns:
            # Other logs' own words are in ECS columns, too.
            views += [self.view(f"@{name}") for name in self.table.columns
                      if name not in _NOT_SAID and BY_NAME[name].type == "string"]
        return [v for v in (*views, self.view("@message")) if v is not None]

    def _make(self, key: str) -> View | None:
        if key[0] == "@":
            return self._plain(self.table.columns.get(key[1:]))
        if key[0] == "?":
            own, _, column = key[1:].partition("@")
            return self.merged([self.view(own), self.view(f"@{column}")])
        if key[0] == "=":
            return DERIVED[key[1:]](self)
        names = self._spellings.get(plain_name(key), [])
        exact = [n for n in names if n == key]
        others = [n for n in names if n != key]
        return self.merged([self._plain(self.table.fields[n]) for n in (*exact, *others)])

    def _plain(self, column: Column | None) -> View | None:
        if column is None or not column.values:
            return None
        values: Sequence[str] = column.values
        if not isinstance(values, Texts) and values[0].__class__ is not str:
            values = [str(v) for v in values]
        return View(values, column.codes, column.rows, self.table.row_count)

    def merged(self, views: list[View | None]) -> View | None:
        """One column of several: a row takes the first that has a value."""
        present = [v for v in views if v is not None]
        if len(present) < 2:
            return present[0] if present else None
        values: list[str] = []
        dense = np.full(self.table.row_count, -1, dtype=np.int32)
        for view in present:
            take = (dense < 0) & (view.dense >= 0)
            dense[take] = view.dense[take] + len(values)
            values = [*values, *view.values]
        if values.count("") > 1:             # one code for the empty text, see View.empty
            first = values.index("")
            for code in [c for c, v in enumerate(values) if v == "" and c != first]:
                dense[dense == code] = first
        return View(values, dense, None, self.table.row_count)

    def combine(self, names: tuple[str, ...], make: Callable[..., str | None]) -> View | None:
        """A column made row by row, but once for each combination of the named columns' values."""
        views = [self.view(name) for name in names]
        if views[0] is None:
            return None
        rows = np.flatnonzero(views[0].dense >= 0).astype(np.int32)
        if not len(rows):
            return None
        codes = np.stack([np.full(len(rows), -1, np.int32) if v is None else v.dense[rows] for v in views])
        unique, where = np.unique(codes, axis=1, return_inverse=True)
        values: list[str] = []
        numbers = np.full(unique.shape[1], -1, dtype=np.int32)
        for number, combination in enumerate(unique.T.tolist()):
            text = make(*(v.values[c] if v is not None and c >= 0 else None
                          for v, c in zip(views, combination, strict=True)))
            if text is not None:
                numbers[number] = len(values)
                values.append(text)
        return View(values, numbers[where.ravel()], rows, self.table.row_count)


def plain_name(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _registry_path(key: str, value: str | None) -> str:
    r"""The path as Sysmon writes it: \REGISTRY\MACHINE is HKLM, \REGISTRY\USER is HKU."""
    low = key.lower()
    if low.startswith("\\registry\\machine"):
        key = "HKLM" + key[17:]
    elif low.startswith("\\registry\\user"):
        key = "HKU" + key[14:]
    head, mark, tail = key.partition("\\ControlSet00")
    if mark and tail[:1].isdigit():
        key = f"{head}\\CurrentControlSet{tail[1:]}"
    return f"{key}\\{value}" if value else key


def _account(name: str, domain: str | None) -> str:
    return f"{domain}\\{name}" if domain and domain != "-" else name


def _outbound(direction: str) -> str:
    return {"%%14593": "true", "%%14592": "false"}.get(direction, direction)


def _application_path(path: str) -> str:
    r"""\device\harddiskvolume3\… as a drive path; which letter the volume has, the event doesn't say: C is usual."""
    low = path.lower()
    if not low.startswith("\\device\\harddiskvolume"):
        return path
    volume, mark, rest = path[22:].partition("\\")
    return f"C:\\{rest}" if mark and volume.isdigit() else path


def _url(text: str) -> tuple[str, str, str]:
    """Host, path and query of a URL, of a path, or of CONNECT's host:port."""
    head, mark, rest = text.partition("://")
    if mark and "/" not in head and "?" not in head:
        host, slash, rest = rest.partition("/")
        host, question, query = host.partition("?")
        path = f"/{rest}" if slash else f"?{query}" if question else ""
    elif text[:1] in ("/", "?", "*") or not text:
        host, path = "", text
    else:
        host, slash, rest = text.partition("/")
        path = f"/{rest}" if slash else ""
    host = host.rpartition("@")[2]
    name, colon, port = host.rpartition(":")
    host = name if colon and port.isdigit() else host
    path, _, query = path.partition("?")
    return host.strip("[]").lower(), path, query


def _url_extension(text: str) -> str | None:
    last = _url(text)[1].rpartition("/")[2]
    return last.rpartition(".")[2] if "." in last else None


def _url_host(columns: Columns) -> View | None:
    named = columns.combine(("@url.full",), lambda text: _url(text)[0] or None)
    return columns.merged([named, columns.view("@destination.domain"), columns.view("@destination.ip")])


def _event_time(columns: Columns) -> View | None:
    """The record's own time to the minute, as text."""
    times = columns.table.times
    known = np.flatnonzero(times != NO_TIME).astype(np.int32)
    if not len(known):
        return None
    minutes, codes = np.unique(times[known] // 60_000_000, return_inverse=True)
    texts = np.datetime_as_string(minutes.astype("datetime64[m]")).tolist()
    return View(texts, codes.astype(np.int32), known, columns.table.row_count)


DERIVED: dict[str, Callable[[Columns], View | None]] = {
    "registry_path": lambda c: c.combine(("ObjectName", "ObjectValueName"), _registry_path),
    "subject": lambda c: c.combine(("SubjectUserName", "SubjectDomainName"), _account),
    "outbound": lambda c: c.combine(("Direction",), _outbound),
    "application_path": lambda c: c.combine(("Application",), _application_path),
    "event_time": _event_time,
    "url_host": _url_host,
    "url_path": lambda c: c.combine(("@url.full",), lambda text: _url(text)[1] or None),
    "url_query": lambda c: c.combine(("@url.full",), lambda text: _url(text)[2] or None),
    "url_path_query": lambda c: c.combine(("@url.full",), lambda text: "?".join(filter(None, _url(text)[1:])) or None),
    "url_extension": lambda c: c.combine(("@url.full",), _url_extension),
}
NEEDED: dict[str, tuple[str, ...]] = {
    "registry_path": ("ObjectName", "ObjectValueName"),
    "subject": ("SubjectUserName", "SubjectDomainName"),
    "outbound": ("Direction",),
    "application_path": ("Application",),
    "event_time": (),
    "url_host": ("url.full", "destination.domain", "destination.ip"),
    "url_path": ("url.full",), "url_query": ("url.full",), "url_path_query": ("url.full",),
    "url_extension": ("url.full",),
}
_NOT_SAID = frozenset(("message", "event.dataset", "event.timezone", "event.category", "log.file.path",
                       "event.original_time"))
