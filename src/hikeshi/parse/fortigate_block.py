"""FortiGate lines in bulk: the same events as fortigate.parse_line, many lines at once.

Lines of one kind have the same names in the same order: for each such layout one regular expression
is made from the first line that has it, and its values become columns. A line that fits no layout
(escaped quotes, another device, damage) is told as odd and goes the slow way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hikeshi.events.table import Column, encode
from hikeshi.events.time import NO_TIME
from hikeshi.parse import fortigate, syslog
from hikeshi.parse.addresses import account, host_port, ip, port, url_host, whole
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context
from hikeshi.parse.names import rebuild_url
from hikeshi.parse.stamps import Stamp, own_zone, stamp

_START = re.compile(r"(?:^|[> ])(?=(?:date|time|eventtime|timestamp|logver|itime|devname|devid|vd|logid|type)=)")
_PIECE = re.compile(r'([\w-]+)=(?:"([^"\\]*)"|([^\s",\\]*))(,? +|\Z)')
# More layouts than any firewall has: such a file is something else, and goes the slow way.
_MOST_LAYOUTS = 400
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(slots=True)
class _Layout:
    names: tuple[str, ...]
    match: Callable[[str, int], re.Match[str] | None]
    rows: list[int]
    values: list[tuple[str, ...]]


class _Layouts:
    """Layouts by the number of "=" in a line, latest first."""

    def __init__(self) -> None:
        self.by_count: dict[int, list[_Layout]] = {}
        self.all: list[_Layout] = []

    def put(self, row: int, text: str, start: int) -> bool:
        count = text.count("=")
        held = self.by_count.get(count)
        if held is None:
            held = self.by_count[count] = []
        for number, layout in enumerate(held):
            found = layout.match(text, start)
            if found is not None:
                layout.rows.append(row)
                layout.values.append(found.groups())
                if number > 2:
                    held.insert(0, held.pop(number))
                return True
        layout_made = self._make(text, start) if len(self.all) < _MOST_LAYOUTS else None
        if layout_made is None:
            return False
        found = layout_made.match(text, start)
        if found is None:
            return False
        held.insert(0, layout_made)
        self.all.append(layout_made)
        layout_made.rows.append(row)
        layout_made.values.append(found.groups())
        return True

    def _make(self, text: str, start: int) -> _Layout | None:
        names: list[str] = []
        parts: list[str] = []
        at = start
        text = text.rstrip()
        while at < len(text):
            piece = _PIECE.match(text, at)
            if piece is None or piece.end() == at:
                return None
            names.append(piece[1])
            value = r'"([^"\\]*)"' if piece[2] is not None else r'([^\s",\\]*)'
            parts.append(re.escape(piece[1]) + "=" + value)
            at = piece.end()
        if len(set(names)) != len(names) or not fortigate.claims(text[start:], None):
            return None
        pattern = re.compile(r",? +".join(parts) + r"\s*\Z")
        return _Layout(tuple(names), pattern.match, [], [])


def parse_block(texts: Sequence[str], context: Context) -> tuple[Lists, list[int]]:
    """Many lines at once: columns, and the numbers of lines that go the slow way."""
    lists = Lists(len(texts))
    layouts = _Layouts()
    odd: set[int] = set()
    heads: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        start = 0
        if text[:5] != "date=" and text[:5] != "time=":
            begun = _START.search(text, 0, 200)
            if begun is None:
                odd.add(row)
                continue
            start = begun.end()
        if not layouts.put(row, text, start):
            odd.add(row)
        elif start:
            heads.setdefault(text[:start], []).append(row)
    for layout in layouts.all:
        odd |= _Part(lists, layout, context).fill()
    _headers(lists, heads, context)
    lists.clear(sorted(odd))
    return lists, sorted(odd)


def _headers(lists: Lists, heads: dict[str, list[int]], context: Context) -> None:
    """What stood before the record: as keyvalue.with_header adds it, after the record's own values."""
    for head, numbers in heads.items():
        header, _ = syslog.split(head + "x=1")
        when, cells = syslog.header_cells(header, context)
        rows = np.array(numbers, dtype=np.int64)
        same = np.zeros(len(rows), dtype=np.int32)
        for name, value in cells.items():
            lists.fill(name, rows, same, [value])
        timeless = rows[lists.times[rows] == NO_TIME]
        if when is not None and len(timeless):
            lists.times[timeless] = when.time
            same = np.zeros(len(timeless), dtype=np.int32)
            lists.fill("event.timezone", timeless, same, [when.zone])
            lists.fill("time.note", timeless, same, [when.note])


class _Part:
    """The rows of one layout on their way into the block's columns."""

    def __init__(self, lists: Lists, layout: _Layout, context: Context) -> None:
        self.lists, self.context = lists, context
        self.rows = np.array(layout.rows, dtype=np.int64)
        self.count = len(layout.rows)
        self.columns: dict[str, Column] = {
            name: _encoded(values) for name, values in zip(layout.names, zip(*layout.values, strict=True), strict=True)
        }
        self.used: dict[str, Bools] = {}
        self.odd: Bools = np.zeros(self.count, dtype=bool)

    def fill(self) -> set[int]:
        """Puts the columns; gives the rows that must go the slow way."""
        self._datasets()
        for side, keys in (("source", ("srcip", "remip", "remote_ip", "userip")), ("destination", ("dstip", "locip"))):
            for key in keys:
                self._address(f"{side}.ip", key)
        if "ui" in self.columns:
            self._put("source.ip", "ui", _interface, take=False)
        self._first("source.port", ("srcport", "remport"), port)
        self._first("destination.port", ("dstport", "locport"), port)
        self._first("source.bytes", ("sentdelta", "sentbyte"), whole, take=False)
        self._first("destination.bytes", ("rcvddelta", "rcvdbyte"), whole, take=False)
        self._destination()
        self._user()
        for key, column in fortigate.PLAIN:
            self._put(column, key, _said)
        self._category()
        for key in ("status", "action", "result"):
            self._put("event.outcome", key, fortigate.outcome_of, take=False)
        self._time()
        self._rest()
        return set(self.rows[self.odd].tolist())

    def _put(self, target: str, key: str, change: Callable[[str], Any], *, take: bool = True) -> None:
        """rows still without `target` get what `change` makes of `key`."""
        column = self.columns.get(key)
        if column is None:
            return
        values = [change(v) for v in column.values]
        told = np.array([v is not None for v in values] or [False], dtype=bool)[column.codes]
        if not told.any():
            return
        if take:
            held = self.lists.columns.get(target)
            free = told & (held.codes[self.rows] < 0) if held is not None else told
            before = self.used.get(key)
            self.used[key] = free if before is None else before | free
        self.lists.fill(target, self.rows, column.codes, values)

    def _first(self, target: str, keys: Sequence[str], change: Callable[[str], Any], *, take: bool = True) -> None:
        for key in keys:
            self._put(target, key, change, take=take)

    def _address(self, target: str, key: str) -> None:
        column = self.columns.get(key)
        if column is None:
            return
        # A name where an address belongs is rare: such rows go the slow way.
        named = [v not in fortigate.NONE and ip(v) is None for v in column.values]
        if any(named):
            self.odd |= np.array(named, dtype=bool)[column.codes]
        self._put(target, key, lambda v: None if v in fortigate.NONE else ip(v))

    def _datasets(self) -> None:
        kinds = self.columns.get("type")
        if kinds is None:
            self.odd[:] = True
            return
        known = np.array([v in fortigate.KINDS for v in kinds.values], dtype=bool)[kinds.codes]
        self.odd |= ~known
        self.lists.fill("event.dataset", self.rows, kinds.codes, [f"fortinet.{v or 'log'}" for v in kinds.values])

    def _destination(self) -> None:
        self._host("hostname", take=True)
        column = self.columns.get("qname")
        if column is not None:
            names = [None if (n := v.strip("[]")) in fortigate.NONE else n.rstrip(".").lower() for v in column.values]
            self.lists.fill("dns.question.name", self.rows, column.codes, names)
            same = np.array([n == v for n, v in zip(names, column.values, strict=True)], dtype=bool)
            self.used["qname"] = same[column.codes]
            self.lists.fill(
                "event.category", self.rows, column.codes, [None if n is None else "network" for n in names]
            )
        column = self.columns.get("url")
        if column is not None:
            self._put("url.full", "url", _said)
            ends = [url_host(v) if "://" in v else (None, None) for v in column.values]
            hosts = [(h, ip(h)) if h else (None, None) for h, _ in ends]
            self._fill_free_host(column, hosts)
            self.lists.fill("destination.port", self.rows, column.codes, [n for _, n in ends])
        for key in ("dstname", "dst_host"):
            column = self.columns.get(key)
            if column is not None:
                said = [_host(v) for v in column.values]
                self._fill_free_host(column, [(h, ip(h)) if h else (None, None) for h, _ in said])
        if "url" in self.columns:
            self._rebuild()

    def _fill_free_host(self, column: Column, hosts: Sequence[tuple[str | None, str | None]]) -> None:
        """As put_host, for rows without a destination's name."""
        held = self.lists.columns.get("destination.domain")
        free = held.codes[self.rows] < 0 if held is not None else np.ones(self.count, dtype=bool)
        rows, codes = self.rows[free], column.codes[free]
        self.lists.fill("destination.ip", rows, codes, [a for _, a in hosts])
        names = [None if h is None or a else h.rstrip(".").lower() if h.isascii() else h for h, a in hosts]
        self.lists.fill("destination.domain", rows, codes, names)

    def _host(self, key: str, *, take: bool) -> None:
        column = self.columns.get(key)
        if column is None:
            return
        said = [_host(v) for v in column.values]
        self._fill_free_host(column, [(h, ip(h)) if h else (None, None) for h, _ in said])
        self.lists.fill("destination.port", self.rows, column.codes, [n for _, n in said])
        if take:
            self.used[key] = np.array([v not in fortigate.NONE for v in column.values], dtype=bool)[column.codes]

    def _rebuild(self) -> None:
        column = self.columns["url"]
        paths = np.array([v.startswith("/") for v in column.values], dtype=bool)[column.codes]
        where = np.flatnonzero(paths)
        if not len(where):
            return
        service = self.columns.get("service")
        wholes: list[str | None] = []
        for i in where.tolist():
            row = int(self.rows[i])
            cells = {
                name: self._cell(name, row) for name in ("destination.domain", "destination.ip", "destination.port")
            }
            cells["url.full"] = column.values[column.codes[i]]
            said = service.values[service.codes[i]] if service is not None else ""
            rebuild_url(cells, fortigate.scheme(cells["destination.port"], said))
            wholes.append(cells["url.full"] if "url.original" in cells else None)
        made = [w is not None for w in wholes]
        rows = self.rows[where[np.array(made, dtype=bool)]]
        if not len(rows):
            return
        logged = self.lists.columns["url.full"].codes
        self.lists.fill("url.original", rows, logged[rows], self.lists.columns["url.full"].values)
        logged[rows] = -1
        new = encode([w for w in wholes if w is not None])
        self.lists.fill("url.full", rows, new.codes, new.values)

    def _cell(self, name: str, row: int) -> Any:
        column = self.lists.columns.get(name)
        return column.values[column.codes[row]] if column is not None and column.codes[row] >= 0 else None

    def _user(self) -> None:
        for key in ("user", "unauthuser", "xauthuser", "login", "admin", "dstuser"):
            column = self.columns.get(key)
            if column is None:
                continue
            said = [
                account(v.split(",cn=", 1)[0]) if v not in fortigate.NONE and v != "-" else (None, None)
                for v in column.values
            ]
            held = self.lists.columns.get("user.name")
            free = held.codes[self.rows] < 0 if held is not None else np.ones(self.count, dtype=bool)
            self.lists.fill("user.name", self.rows, column.codes, [n for n, _ in said])
            self.lists.fill("user.domain", self.rows[free], column.codes[free], [d if n else None for n, d in said])

    def _category(self) -> None:
        kinds, subtypes = self.columns["type"], self.columns.get("subtype")
        kind = np.array(kinds.values, dtype=object)[kinds.codes]
        subtype = (
            np.array(subtypes.values, dtype=object)[subtypes.codes] if subtypes is not None else np.full(self.count, "")
        )
        user, action = self._texts("user"), self._texts("action")
        logon = (
            (kind == "event")
            & np.isin(subtype, ["vpn", "user", "system"])
            & ((user != "") | np.array(["login" in a for a in action]))
        )
        web = (self._texts("cat") != "") & (self._texts("reqtype") != "")
        if "logdesc" in self.columns:
            web[:] = False
        method = self.lists.columns.get("http.request.method")
        if method is not None:
            web &= method.codes[self.rows] < 0
        for where, word in (
            (logon, "authentication"),
            (~logon & (kind == "traffic"), "network"),
            (~logon & (kind != "traffic") & web, "web"),
        ):
            rows = self.rows[where]
            if len(rows):
                held = self.lists.columns.get("event.category")
                if held is not None:
                    held.codes[rows] = -1
                self.lists.fill("event.category", rows, np.zeros(len(rows), dtype=np.int32), [word])

    def _texts(self, key: str) -> np.ndarray[Any, Any]:
        column = self.columns.get(key)
        if column is None:
            return np.full(self.count, "", dtype=object)
        return np.array(column.values, dtype=object)[column.codes]

    def _time(self) -> None:
        epochs = self.columns.get("eventtime")
        missing = np.ones(self.count, dtype=bool)
        if epochs is not None:
            missing &= ~self._stamps(epochs, [fortigate.epoch(v, self.context) for v in epochs.values], missing)
        dates, clocks = self.columns.get("date"), self.columns.get("time")
        if missing.any() and dates is not None and clocks is not None:
            zones = self._texts("tz")
            whole_ones = encode(
                [f"{d} {c}|{z}" for d, c, z in zip(self._texts("date"), self._texts("time"), zones, strict=True)]
            )
            found = [self._clock(*v.rsplit("|", 1)) for v in whole_ones.values]
            done = self._stamps(whole_ones, found, missing)
            for key in ("date", "time"):
                self.used[key] = done
            missing &= ~done
        for key in ("timestamp", "itime"):
            column = self.columns.get(key)
            if column is not None and missing.any():
                missing &= ~self._stamps(column, [fortigate.epoch(v, self.context) for v in column.values], missing)
        # Without a time that can be read: told as written, by the slow way.
        self.odd |= missing

    def _clock(self, text: str, zone: str) -> Stamp | None:
        return stamp(f"{text} {zone}" if own_zone(zone) else text, self.context) or stamp(text, self.context)

    def _stamps(self, column: Column, found: Sequence[Stamp | None], missing: Bools) -> Bools:
        good = np.array([f is not None for f in found] or [False], dtype=bool)[column.codes] & missing
        times = np.array([NO_TIME if f is None else f.time for f in found] or [NO_TIME], dtype=np.int64)
        self.lists.times[self.rows[good]] = times[column.codes[good]]
        self.lists.fill(
            "event.timezone", self.rows[good], column.codes[good], [None if f is None else f.zone for f in found]
        )
        return good

    def _rest(self) -> None:
        for key, column in self.columns.items():
            used = self.used.get(key)
            if (used is None or key in fortigate.BOTH) and key not in self.lists.columns and "" not in column.values:
                codes = np.full(self.lists.count, -1, dtype=np.int32)
                codes[self.rows] = column.codes
                self.lists.keep(key, Column(list(column.values), codes))
                continue
            values = [v if v != "" else None for v in column.values]
            if used is None or key in fortigate.BOTH:
                self.lists.fill(key, self.rows, column.codes, values)
            elif not used.all():
                self.lists.fill(key, self.rows[~used], column.codes[~used], values)


def _encoded(values: tuple[str, ...]) -> Column:
    """As `encode`, quicker for the many columns that say the same in every line."""
    first = values[0]
    if values[-1] == first and values.count(first) == len(values):
        return Column([first], np.zeros(len(values), dtype=np.int32))
    return encode(values)


def _said(text: str) -> str | None:
    return None if text in fortigate.NONE else text


def _host(text: str) -> tuple[str | None, int | None]:
    if text in fortigate.NONE or text == "-":
        return None, None
    host, number = host_port(text)
    return (host if host and host != "-" else None), number


def _interface(text: str) -> str | None:
    name, bracket, rest = text.partition("(")
    return ip(rest.rstrip(")")) if bracket and name else None
