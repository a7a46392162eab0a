"""What the story needs of a file's events: small columnar tables, made in the parsing child.

events   kept records, one row each, with the record's number or line
flows    client × destination × port: how often, how many bytes, when
web      client × path of a web server
spans    host × log × hour: how many records, for gaps
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.errors import InputError, Location, OutputError
from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.trace import network, windows
from hikeshi.trace.combine import combine_flows
from hikeshi.trace.rows import text_column
from hikeshi.trace.slices import EVENT_SCHEMA, Collector, Slice, groups, mapped, to_dictionary

_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
SPAN_SCHEMA = pa.schema(
    [
        ("host", _DICTIONARY),
        ("log", _DICTIONARY),
        ("path", _DICTIONARY),
        ("sha256", _DICTIONARY),
        ("hour", pa.int64()),
        ("count", pa.int64()),
        ("first", pa.int64()),
        ("last", pa.int64()),
        ("first_record", pa.int64()),
        ("last_record", pa.int64()),
        ("lines", pa.bool_()),
        ("recovered", pa.bool_()),
    ]
)
_SCHEMAS = {"events": EVENT_SCHEMA, "flows": network.FLOW_SCHEMA, "web": network.WEB_SCHEMA, "spans": SPAN_SCHEMA}


@dataclass(slots=True)
class Digest:
    """The story's raw material from one or more files."""

    events: pa.Table = field(default_factory=lambda: EVENT_SCHEMA.empty_table())
    flows: pa.Table = field(default_factory=lambda: network.FLOW_SCHEMA.empty_table())
    web: pa.Table = field(default_factory=lambda: network.WEB_SCHEMA.empty_table())
    spans: pa.Table = field(default_factory=lambda: SPAN_SCHEMA.empty_table())

    @staticmethod
    def merge(digests: Iterable[Digest]) -> Digest:
        """One digest of all; equal flows of one file become one row."""
        tables: dict[str, list[pa.Table]] = {name: [schema.empty_table()] for name, schema in _SCHEMAS.items()}
        for part in digests:
            for name, kept in tables.items():
                kept.append(getattr(part, name))
        flows = tables["flows"]
        made = {"flows": combine_flows(flows) if _share_a_file(flows) else _joined(flows)}
        return Digest(**made, **{name: _joined(tables[name]) for name in _SCHEMAS if name != "flows"})

    def without_copies(self) -> Digest:
        """Each file's rows once: a log that lies in the evidence twice must not count twice."""
        return Digest(*(_without_copies(getattr(self, name)) for name in _SCHEMAS))

    def save(self, path: Path) -> None:
        """Write as four Arrow streams, one after the other; raises OutputError."""
        try:
            with pa.OSFile(str(path), "wb") as sink:
                for name, schema in _SCHEMAS.items():
                    table = getattr(self, name).unify_dictionaries().combine_chunks()
                    with pa.ipc.new_stream(sink, schema) as writer:
                        writer.write_table(table)
        except (OSError, pa.ArrowInvalid) as error:
            raise OutputError(
                f"the digest can't be written: {error}",
                source=Location(str(path)),
                hint="check free space and permissions of the folder",
            ) from error

    @staticmethod
    def load(path: Path) -> Digest:
        """Read what `save` wrote; raises InputError when it is damaged or of another shape."""
        try:
            with pa.OSFile(str(path), "rb") as file:
                tables = {}
                for name, schema in _SCHEMAS.items():
                    table = pa.ipc.open_stream(file).read_all()
                    if table.schema != schema:
                        raise InputError(f"'{name}' has other columns than expected", source=Location(str(path)))
                    table.validate(full=True)
                    tables[name] = table
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"the digest can't be read: {error}",
                source=Location(str(path)),
                hint="run the command again; the file is made anew",
            ) from error
        return Digest(**tables)


class Gathered:
    """The digests of one file's batches, joined whenever they have doubled: as large as what differs."""

    def __init__(self, join_after: int = 500_000) -> None:
        """`join_after`: flows that may wait before the first joining."""
        self._join_after = join_after
        self._parts: list[Digest] = []
        self._joined = self._waiting = 0

    def append(self, part: Digest) -> None:
        """Take the next batch's digest."""
        self._parts.append(part)
        self._waiting += part.flows.num_rows
        if self._waiting > max(self._joined, self._join_after):
            whole = Digest.merge(self)
            self._parts, self._joined = [whole], whole.flows.num_rows

    def __iter__(self) -> Iterator[Digest]:
        """Hands the parts over: nothing is kept here."""
        parts, self._parts, self._joined, self._waiting = self._parts, [], 0, 0
        while parts:
            yield parts.pop(0)


def digest(source: Source, table: EventTable) -> Digest:
    """What the story needs of one batch of events.

    Raw Windows fields are preferred to the ECS columns made of them; text logs need
    `event.dataset` and the ECS columns.
    """
    if not table.row_count:
        return Digest()
    collector = Collector(source)
    windows_rows, others = _split(table)
    flows: list[pa.Table] = []
    web: list[pa.Table] = []
    if len(windows_rows):
        flows += windows.collect(collector, windows_rows)
    if len(others):
        more, web = network.collect(collector, others)
        flows += more
    return Digest(
        pa.concat_tables(collector.tables) if collector.tables else EVENT_SCHEMA.empty_table(),
        pa.concat_tables(flows) if flows else network.FLOW_SCHEMA.empty_table(),
        pa.concat_tables(web) if web else network.WEB_SCHEMA.empty_table(),
        _spans(source, table),
    )


def _joined(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables).unify_dictionaries().combine_chunks()


def _share_a_file(tables: list[pa.Table]) -> bool:
    """Whether any two of these tables hold rows of the same file."""
    seen: set[str] = set()
    for table in tables:
        paths = set(pc.unique(table.column("path")).to_pylist()) if table.num_rows else set()
        if seen & paths:
            return True
        seen |= paths
    return False


def _without_copies(table: pa.Table) -> pa.Table:
    if not table.num_rows:
        return table
    sha, path = text_column(table.column("sha256")), text_column(table.column("path"))
    room = len(path.values) + 1
    both = np.unique((sha.codes.astype(np.int64) + 1) * room + path.codes + 1)
    pairs = np.stack([both // room - 1, both % room - 1])
    shas, first = np.unique(pairs[0], return_index=True)
    if len(shas) == pairs.shape[1]:
        return table
    # Pairs are sorted, and codes follow the texts: the first path by name stands for its copies.
    chosen = np.full(len(sha.values) + 1, -1, dtype=np.int64)
    chosen[shas] = pairs[1][first]
    return table.filter(pa.array(chosen[sha.codes] == path.codes))


def _split(table: EventTable) -> tuple[Slice, Slice]:
    channel = table.columns.get("winlog.channel")
    here = channel.dense(table.row_count) >= 0 if channel is not None else np.zeros(table.row_count, dtype=bool)
    return Slice(table, np.flatnonzero(here)), Slice(table, np.flatnonzero(~here))


def _spans(source: Source, table: EventTable) -> pa.Table:
    timed = Slice(table, np.flatnonzero(table.times != NO_TIME))
    if not len(timed):
        return SPAN_SCHEMA.empty_table()
    host = mapped(timed.col("host.name", "observer.name"), str)
    log = mapped(timed.col("winlog.channel", "event.dataset"), str)
    hours = timed.times // 3_600_000_000
    recovered = timed.col("hikeshi.recovered").codes >= 0
    number, total = groups([host.codes, log.codes, hours, recovered])
    order = np.lexsort((timed.times, number))
    starts = np.unique(number[order], return_index=True)[1]
    ends = np.append(starts[1:], len(order)) - 1
    first, last = order[starts], order[ends]
    records = timed.ints("winlog.record_id")
    is_line = bool(len(records)) and bool((records < 0).all())
    places = timed.ints("log.line") if is_line else records
    host.codes, log.codes = host.codes[first], log.codes[first]

    def same(text: str) -> pa.Array:
        return pa.array([text] * total, pa.string()).dictionary_encode().cast(_DICTIONARY)

    return pa.Table.from_arrays(
        [
            to_dictionary(host),
            to_dictionary(log),
            same(source.name),
            same(source.sha256),
            pa.array(hours[first]),
            pa.array(np.bincount(number, minlength=total).astype(np.int64)),
            pa.array(timed.times[first]),
            pa.array(timed.times[last]),
            pa.array(places[first]),
            pa.array(places[last]),
            pa.array(np.full(total, is_line)),
            pa.array(recovered[first]),
        ],
        schema=SPAN_SCHEMA,
    )
