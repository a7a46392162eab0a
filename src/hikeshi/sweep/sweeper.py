"""Event tables × indicators → sightings.

Each column is searched once per unique value. The column, and the place in it, decide the role:

destination  the client went there: the indicator is the host in destination.domain, destination.ip,
             dns.question.name or the host of url.full (an e-mail or hash indicator never is)
source       it came to us: the indicator is source.ip or source.domain (a VPN logon, a web server's log);
             then `client` is that address itself
mention      everything else: a query string, a referrer, a command line, a hash, a raw line

A row counts once for an indicator, under its stronger role. A client is source.ip, else
source.domain, else host.name, else the first private address in the raw line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from hikeshi.events.leases import Leases
from hikeshi.events.table import Column, EventTable
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.indicators import IndicatorSet, WarningLists
from hikeshi.indicators.normalise import address, host
from hikeshi.model.sighting import Sighting
from hikeshi.sweep.compiled import Compiled, compile_indicators, url_parts
from hikeshi.sweep.native import ADDRESS, MAIL, NAME, RANGE_SLOT, TOKEN, URL
from hikeshi.sweep.scan import chunks, scan
from hikeshi.sweep.sightings import DESTINATION, MENTION, SOURCE, merge, sightings_of
from hikeshi.sweep.tallies import Part, Tallies

_HOST_COLUMNS = frozenset({"destination.domain", "destination.ip", "dns.question.name"})
_SOURCE_COLUMNS = frozenset({"source.ip", "source.domain"})
_URL_COLUMNS = frozenset({"url.full"})
# Columns that never hold foreign words.
_NOT_SEARCHED = frozenset(
    {"event.timezone", "event.dataset", "event.category", "event.outcome", "winlog.channel", "event.provider",
     "winlog.keywords", "winlog.activity_id", "log.file.path", "http.request.method", "event.original_time"})
# Names of the same things in records that no parser of ours knows (letters only, lower case).
_HOST_FIELDS = frozenset(
    {"dst", "dstip", "dstaddr", "dstaddress", "dsthost", "dsthostname", "dstname", "dest", "destip", "desthost",
     "destname", "destaddress", "destinationip", "destinationaddress", "destinationhost", "destinationhostname",
     "destinationname", "destinationdomain", "destinationipaddress", "serverip", "queryname", "qname", "cshost", "rip"})
_URL_FIELDS = frozenset({"url", "requesturl", "requestedurl", "uri", "csuri", "desturl", "destinationurl"})

_HOST_VALUE = re.compile(r"\[?[A-Za-z0-9._:-]+\]?(?::\d{1,5})?\Z")
_BEHIND_HOST = re.compile(r"(?::(\d{1,5}))?((?:\\?[/?#;][^\s\"'<>|^`\x00-\x1f]*)?)")
_AUTHORITY_END = re.compile(r"[/?#\\]")
_LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@\Z")
_V6 = re.compile(
    r"(?<![0-9A-Za-z:.])(?:[0-9A-Fa-f]{0,4}:){2,7}(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4})(?![0-9A-Za-z:])")
_PRIVATE = re.compile(
    r"(?<![0-9A-Za-z.])(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}"
    r"(?![0-9A-Za-z]|\.\d)")

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Hits:
    """Unique values of one column that hold indicators: value number, indicator, role, ascending by value."""

    values: Ints
    numbers: Ints
    roles: Ints


class Sweeper:
    """Takes the tables of one file after another; memory grows with the sightings, not with the logs."""

    def __init__(self, indicators: Compiled | IndicatorSet, leases: Leases | None = None) -> None:
        self.compiled = indicators if isinstance(indicators, Compiled) else compile_indicators(indicators)
        self.leases = (leases or Leases()).spans()
        self._files: dict[tuple[str, str], Tallies] = {}

    def add(self, source: Source, table: EventTable) -> None:
        """Search one batch of events of a file."""
        found = [self._rows(table, column, self._search(name, column))
                 for name, column in _searched(table) if column.values]
        found = [f for f in found if len(f[0])]
        if found:
            tallies = self._files.setdefault((source.name, source.sha256), Tallies())
            self._count(table, tallies, *(np.concatenate(part) for part in zip(*found, strict=True)))

    def part(self, source: Source) -> Part:
        """What one file has given so far, for another process."""
        return self._files.get((source.name, source.sha256), Tallies()).part()

    def sightings(self, warnings: WarningLists | None = None) -> list[Sighting]:
        """Everything seen so far; with `warnings` each carries the lists its indicator stands on."""
        return merge(sightings_of(tallies, self.compiled, self.leases.rows, name, sha256, warnings)
                     for (name, sha256), tallies in self._files.items())

    # Which values hold which indicators

    def _search(self, name: str, column: Column) -> _Hits:
        """Hits in the unique values of a column."""
        kind = _kind(name)
        values: Sequence[str] = column.values
        hits: set[tuple[int, int, int]] = set()
        for chunk in chunks(values):
            if not chunk.ascii and kind != "text":
                self._search_idna(kind, values[chunk.first:chunk.first + len(chunk.starts)], chunk.first, hits)
            found = scan(chunk.data, self.compiled.tables)
            if not len(found.starts):
                continue
            owner = np.searchsorted(chunk.starts, found.starts, side="right") - 1
            begin, end = found.starts - chunk.starts[owner], found.ends - chunk.starts[owner]
            for at, a, b, slot in zip((owner + chunk.first).tolist(), begin.tolist(), end.tolist(),
                                      found.slots.tolist(), strict=True):
                # Offsets are in bytes; Latin-1 keeps them and ASCII keys unchanged.
                text = values[at] if chunk.ascii else values[at].encode("utf-8", "replace").decode("latin-1")
                for number, role in self._judge(kind, text, a, b, slot):
                    hits.add((at, number, role))
        if self.compiled.has_v6:
            self._search_v6(kind, values, hits)
        rows = np.array(sorted(hits), dtype=np.int64).reshape(-1, 3)
        return _Hits(rows[:, 0], rows[:, 1], rows[:, 2])

    def _judge(self, kind: str, text: str, start: int, end: int, slot: int) -> Iterable[tuple[int, int]]:
        """The indicators that really stand at a candidate stretch, each with its role."""
        tables = self.compiled
        key = text[start:end].lower()
        if slot == RANGE_SLOT:
            role = _role(kind, text, start, end)
            for number in tables.networks_of(_plain_address(key)):
                yield number, role
            return
        whole = not start or (text[start - 1] not in "._-" and not _is_token(text[start - 1]))
        for key_kind, number, value in tables.keys(slot):
            if key_kind == TOKEN:
                if value.lower() == key and not (
                        start and text[start - 1].isascii() and text[start - 1].isalnum()) and _same_case(
                        tables, number, text[start:end]):
                    yield number, MENTION
            elif key_kind == NAME:
                if value == key:
                    yield number, _role(kind, text, start, end)
            elif not whole:
                continue
            elif key_kind == ADDRESS:
                if value == key or value == _plain_address(key):
                    yield number, _role(kind, text, start, end)
            elif key_kind == MAIL:
                local, _, domain = value.rpartition("@")
                if domain == key and start and text[start - 1] == "@":
                    found = _LOCAL_PART.search(text, max(0, start - 65), start)
                    if found and found[0][:-1].lower() == local:
                        yield number, MENTION
            elif key_kind == URL:
                yield from self._url(kind, text, start, end, key, number)

    def _url(self, kind: str, text: str, start: int, end: int, key: str, number: int) -> Iterable[tuple[int, int]]:
        host = url_parts(self.compiled.value(number))[0]
        if host not in (key, _plain_address(key)):
            return
        behind = _BEHIND_HOST.match(text, end + (text[end:end + 1] == "."))
        port, rest = (behind[1] or "", behind[2].replace("\\/", "/")) if behind else ("", "")
        # A bare host name outside a URL is no sighting of "http://host/": that needs a request.
        if self.compiled.url(number).matches(port, rest) and (
                rest or kind != "text" or text[max(0, start - 3):start] == "://"):
            yield number, _role(kind, text, start, end)

    def _search_v6(self, kind: str, values: Sequence[str], hits: set[tuple[int, int, int]]) -> None:
        for at, value in enumerate(values):
            if value.count(":") < 2:
                continue
            for match in _V6.finditer(value):
                found = address(match[0])
                if found is None:
                    continue
                start, end, key = match.start(), match.end(), found[1]
                role = _role(kind, value, start, end)
                for key_kind, number in self.compiled.address_entries(key):
                    if key_kind == ADDRESS:
                        hits.add((at, number, role))
                    elif value[start - 1:start] == "[" and value[end:end + 1] == "]":
                        hits.update((at, *hit) for hit in self._url(kind, value, start - 1, end + 1, key, number))
                for number in self.compiled.networks_of(key):
                    hits.add((at, number, role))

    def _search_idna(self, kind: str, values: Sequence[str], first: int, hits: set[tuple[int, int, int]]) -> None:
        """Names written in their own script: compared in IDNA form, in columns that hold hosts or URLs."""
        for at, value in enumerate(values, first):
            if value.isascii():
                continue
            _, start, end = _authority(value)
            name = host(value[start:end])
            for number in self.compiled.names_above(name or ""):
                hits.add((at, number, SOURCE if kind == "source" else DESTINATION))

    # From values to rows to clients

    @staticmethod
    def _rows(table: EventTable, column: Column, hits: _Hits) -> tuple[Ints, Ints, Ints]:
        """Row, indicator and role of every hit."""
        if not len(hits.values):
            return hits.values, hits.numbers, hits.roles
        per_value = np.bincount(hits.values, minlength=len(column.values))
        begin = np.cumsum(per_value) - per_value
        rows = column.rows_where(per_value > 0).astype(np.int64)
        held = (column.codes >= 0) & (per_value[column.codes] > 0)
        codes = column.codes[held]
        repeats = per_value[codes]
        offsets = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        pick = np.repeat(begin[codes], repeats) + offsets
        return np.repeat(rows, repeats), hits.numbers[pick], hits.roles[pick]

    def _count(self, table: EventTable, tallies: Tallies, rows: Ints, numbers: Ints, roles: Ints) -> None:
        """Add rows to the tallies: once per row and indicator, under the stronger role."""
        order = np.lexsort((roles, numbers, rows))
        rows, numbers, roles = rows[order], numbers[order], roles[order]
        first = np.ones(len(rows), dtype=np.bool_)
        first[1:] = (rows[1:] != rows[:-1]) | (numbers[1:] != numbers[:-1])
        rows, numbers, roles = rows[first], numbers[first], roles[first]
        clients, client_codes = _clients(table, rows)
        times = table.times[rows]
        user_names, users = _texts(table, "user.name", rows)
        action_names, actions = _texts(table, "event.action", rows)
        known = np.array([tallies.clients.number(c) if c is not None else -1 for c in clients], dtype=np.int32)
        lines = _lines(table, rows)
        columns: dict[str, Any] = {
            "number": numbers, "role": roles, "client": known[client_codes],
            "lease": self.leases.of(clients, client_codes, times) if self.leases.rows else np.full(len(rows), -1),
            "user": tallies.users.renumber(user_names)[users],
            "action": tallies.actions.renumber(action_names)[actions],
            "first": np.where(times != NO_TIME, times, np.iinfo(np.int64).max), "last": times,
            "count": np.ones(len(rows), dtype=np.int64), "size": _numbers(table, "source.bytes", rows)}
        known_lines = np.flatnonzero(lines >= 0)
        tallies.add(columns, known_lines, lines[known_lines])


def _searched(table: EventTable) -> Iterable[tuple[str, Column]]:
    for name, column in table.columns.items():
        if name not in _NOT_SEARCHED and column.values and isinstance(column.values[0], str):
            yield name, column
    yield from table.fields.items()


@lru_cache(maxsize=10_000)
def _kind(name: str) -> str:
    """host, source, url or text: what a column's values are."""
    if name in _SOURCE_COLUMNS:
        return "source"
    if name in _HOST_COLUMNS:
        return "host"
    if name in _URL_COLUMNS:
        return "url"
    plain = re.sub("[^a-z]", "", name.rpartition(".")[2].lower())
    return "host" if plain in _HOST_FIELDS else "url" if plain in _URL_FIELDS else "text"


def _role(kind: str, text: str, start: int, end: int) -> int:
    if kind == "text":
        return MENTION
    if kind in ("host", "source"):
        if end - start != len(text) and not _HOST_VALUE.match(text.strip()):
            return MENTION
        return DESTINATION if kind == "host" else SOURCE
    # The usual URL: the host stands behind the scheme, before the path.
    if text[end:end + 1] in ("/", "") and text.find("://") == start - 3 and start > 3 and text[:start - 3].isalnum():
        return DESTINATION
    scheme, first, last = _authority(text)
    if first <= start and end <= last and (scheme or "." in text[first:last] or ":" in text[first:last]):
        return DESTINATION
    return MENTION


def _authority(text: str) -> tuple[str, int, int]:
    """Scheme of a URL and where its host and port stand; a missing scheme is ""."""
    scheme, mark, _ = text.partition("://")
    start = len(scheme) + 3 if mark and scheme.isalnum() else 0
    found = _AUTHORITY_END.search(text, start)
    end = found.start() if found else len(text)
    at = text.rfind("@", start, end)
    return scheme if start else "", at + 1 if at >= 0 else start, end


def _is_token(char: str) -> bool:
    return char.isascii() and char.isalnum()


def _same_case(tables: Compiled, number: int, text: str) -> bool:
    if tables.type(number) != "btc":
        return True
    value = tables.value(number)
    return text == value or value.startswith("bc1")


def _plain_address(text: str) -> str:
    """An IPv4 address without leading zeros ("010.001.002.003", as some products write); else the text."""
    if text[:1].isdigit() and text.count(".") == 3 and text.replace(".", "").isdigit():
        return ".".join(part.lstrip("0") or "0" for part in text.split("."))
    return text


def _clients(table: EventTable, rows: Ints) -> tuple[list[str | None], Ints]:
    """A client for each row: numbers into the returned list."""
    out = np.full(len(rows), -1, dtype=np.int64)
    values: list[str | None] = []
    for name in ("source.ip", "source.domain", "host.name"):
        texts, codes = _texts(table, name, rows)
        use = (out < 0) & (codes >= 0)
        out[use] = codes[use] + len(values)
        values += texts
    if (out < 0).any():
        _private_clients(table, rows, out, values)
        values.append(None)
        out[out < 0] = len(values) - 1
    # The same name in two columns is one client.
    numbers = {v: i for i, v in reversed(list(enumerate(values)))}
    return values, np.array([numbers[v] for v in values] or [0], dtype=np.int64)[out]


def _private_clients(table: EventTable, rows: Ints, out: Ints, values: list[str | None]) -> None:
    """Records of unknown make: the first private address that stands in the line, or in a value of its own."""
    columns = [c for n, c in table.columns.items() if n == "message"] + list(table.fields.values())
    for column in columns:
        open_rows = np.flatnonzero(out < 0)
        if not len(open_rows):
            return
        codes = column.dense(table.row_count)[rows[open_rows]]
        for code in np.unique(codes[codes >= 0]).tolist():
            client = _first_private(column.values[code])
            if client is not None:
                out[open_rows[codes == code]] = len(values)
                values.append(client)


def _first_private(text: str) -> str | None:
    found = _PRIVATE.search(text)
    return found[0] if found else None


def _texts(table: EventTable, name: str, rows: Ints) -> tuple[list[str], Ints]:
    column = table.columns.get(name)
    if column is None or not column.values:
        return [], np.full(len(rows), -1, dtype=np.int64)
    return column.values, column.dense(table.row_count)[rows].astype(np.int64)


def _numbers(table: EventTable, name: str, rows: Ints) -> Ints:
    """An integer column in the given rows, -1 where it has no value."""
    values, codes = _texts(table, name, rows)
    if not values:
        return codes
    table_of: Any = np.array([*values, -1], dtype=np.int64)
    out: Ints = table_of[codes]
    return out


def _lines(table: EventTable, rows: Ints) -> Ints:
    lines = _numbers(table, "log.line", rows)
    records = _numbers(table, "winlog.record_id", rows)
    return np.where(lines >= 0, lines, records)
