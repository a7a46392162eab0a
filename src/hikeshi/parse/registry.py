"""Every format Hikeshi reads, how it is recognised, and the way from a file to its events.

`FORMATS` is the table: one row a format. Recognition looks at content only: the first lines,
after a syslog header has been taken off. A file in which no format holds nine lines of ten is
"mixed": each line goes to the parser that claims it.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache, partial
from itertools import islice
from typing import Any

import numpy as np

from hikeshi.errors import UnsupportedFormat, UsageError
from hikeshi.events.table import Column, EventTable, Reject, TableBuilder, constant, encode
from hikeshi.events.time import NO_TIME, to_datetime
from hikeshi.evidence.source import Source
from hikeshi.evidence.text import Block, detect_encoding, read_blocks
from hikeshi.model.text import Text
from hikeshi.parse import (
    access,
    bind,
    cef,
    cisco_asa,
    cloud,
    delimited,
    dhcp,
    esxi,
    fortigate,
    fortigate_block,
    ifilter,
    ivanti,
    jsonlines,
    keyvalue,
    lease_files,
    linux,
    nas,
    netscaler,
    openvpn,
    paloalto,
    plaintext,
    postfix,
    remotecontrol,
    rtx,
    skyhigh,
    sonicwall,
    squid,
    syslog,
    umbrella,
    vpcflow,
    w3c,
    windns,
    windows_records,
    windows_xml,
    wtmp,
)
from hikeshi.parse.block import Lists
from hikeshi.parse.context import Context, Event
from hikeshi.parse.evtx import parse_evtx
from hikeshi.parse.flat import load
from hikeshi.parse.headed import BlockParser, behind_headers
from hikeshi.parse.pieces import Piece, read_pieces
from hikeshi.parse.prose import add_who_and_where
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header
from hikeshi.parse.windows import dataset_of

SAMPLE_LINES = 200
AGREEMENT = 0.9
_SAMPLED_RECORDS = 50
# Lines with thirty values each: more at once would leave the processor's cache.
_WIDE_ROWS = 16_000
_SHOWN = 200

Claims = Callable[[str, Header | None], bool]
LineParser = Callable[[str, Header | None, Context], Event | None]


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table.

    `detect` gives the share (0 to 1) of sample lines the format holds; `parse` reads a file.
    `claims` and `parse_line` are there for formats whose lines can stand alone in a mixed file.
    """

    name: str
    title: Text
    datasets: tuple[str, ...]
    detect: Callable[[Sequence[str]], float]
    parse: Callable[[File], Iterator[EventTable]]
    claims: Claims | None = None
    parse_line: LineParser | None = None


@dataclass(slots=True)
class File:
    """A text file as parsers receive it."""

    source: Source
    encoding: str
    context: Context
    batch_rows: int
    problems: list[str]

    def blocks(self) -> Iterator[Block]:
        return read_blocks(self.source.path, self.encoding, problems=self.problems)

    def large_blocks(self) -> Iterator[Block]:
        """Blocks of at least half a batch: unique values pay off in larger tables."""
        held: list[Block] = []
        count = 0
        for block in self.blocks():
            held.append(block)
            count += len(block.lines)
            if count * 2 >= self.batch_rows or len(held) >= _MOST_BLOCKS:
                yield _joined(held)
                held, count = [], 0
        if held:
            yield _joined(held)

    def pieces(self, mark: str) -> Iterator[Piece]:
        """The file as a document, in pieces that end with `mark`."""
        return read_pieces(self.source.path, self.encoding, mark)

    def lines(self) -> Iterator[tuple[str, int, int]]:
        """(text, line, offset)."""
        for block in self.blocks():
            yield from zip(
                block.lines,
                range(block.first_number, block.first_number + len(block.lines)),
                block.offsets.tolist(),
                strict=True,
            )


_MOST_BLOCKS = 16


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    lines: list[str] = []
    cut: list[int] = []
    for block in blocks:
        cut += [i + len(lines) for i in block.truncated]
        lines += block.lines
    return Block(lines, blocks[0].first_number, np.concatenate([b.offsets for b in blocks]), tuple(cut))


# ---- recognising ---------------------------------------------------------------------------


def detect_lines(lines: Sequence[str]) -> tuple[str, float]:
    """The format's name and how much of the sample it holds; "mixed" where none holds enough."""
    sample = [line for line in lines if line.strip(" \t\r\ufeff\0")][:SAMPLE_LINES]
    if not sample:
        return "text", 0.0
    best, best_share = "mixed", 0.0
    for row in FORMATS:
        share = row.detect(sample)
        if share >= AGREEMENT:
            return row.name, share
        if share > best_share:
            best_share = share
            # Values without names: nothing signs such a file, but its rows all have one width.
            best = "csv" if row.name == "csv" else "mixed"
    return best, best_share


def detect_format(source: Source) -> tuple[str, float]:
    """Like detect_lines, for a file. Raises UnsupportedFormat for what is not text or EVTX."""
    if source.kind in ("evtx", "wtmp"):
        return source.kind, 1.0
    return detect_lines(_sample(_opened(source, Context(), 1)))


def _sample(file: File) -> list[str]:
    return [text for text, _, _ in islice(file.lines(), SAMPLE_LINES * 2)]


def _opened(source: Source, context: Context, batch_rows: int) -> File:
    if source.kind not in ("text", "empty"):
        raise UnsupportedFormat(
            f"{source.name}: {source.kind} is not a log Hikeshi reads",
            hint="`hikeshi parse --formats` lists what it reads",
        )
    encoding = source.encoding
    if encoding is None:
        with source.path.open("rb") as stream:
            encoding = detect_encoding(stream.read(1 << 20))
    return File(source, encoding, context, batch_rows, [])


def _share(claims: Claims, heading: re.Pattern[str] | None = None) -> Callable[[Sequence[str]], float]:
    def detect(lines: Sequence[str]) -> float:
        counted = [
            line for line in lines if not (line.startswith("#") or (heading is not None and heading.match(line)))
        ]
        if not counted:
            return 0.0
        return sum(_claimed(claims, line) for line in counted) / len(counted)

    return detect


def _claimed(claims: Claims, line: str) -> bool:
    if claims(line, None):
        return True
    header, body = syslog.split(line)
    return header is not None and claims(body, header)


def _windows_json_share(lines: Sequence[str]) -> float:
    if not lines or lines[0].lstrip(" \ufeff")[:1] not in ("{", "["):
        return 0.0
    if jsonlines.is_document(list(lines)):
        items = list(islice(jsonlines.split_items(iter([Piece("\n".join(lines), 1, 0)])), 20))
        values = [load(item[0]) for item in items if item[3] is None]
    else:
        values = [load(line.lstrip("\ufeff")) for line in lines]
    if not values:
        return 0.0
    return sum(isinstance(v, dict) and windows_records.is_windows(v) for v in values) / len(values)


def _records_of(maker: str) -> Callable[[Sequence[str]], float]:
    """The share of JSON records that are this maker's."""

    def detect(lines: Sequence[str]) -> float:
        values = _json_sample(tuple(lines))
        owners = [cloud.maker_of(value) for value in values]
        return sum(owner is not None and owner.name == maker for owner in owners) / max(1, len(owners))

    return detect


@lru_cache(maxsize=1)
def _json_sample(lines: tuple[str, ...]) -> list[Any]:
    """The first records of a file, be they one a line or in a document."""
    if not lines or lines[0].lstrip(" \ufeff")[:1] not in ("{", "["):
        bodies = [syslog.split(line)[1] for line in lines[:_SAMPLED_RECORDS]]
        if not any(body[:1] == "{" for body in bodies):
            return []
        return [load(body) for body in bodies]
    if jsonlines.is_document(list(lines)):
        items = islice(jsonlines.split_items(iter([Piece("\n".join(lines), 1, 0)])), _SAMPLED_RECORDS)
        return [load(item[0]) for item in items if item[3] is None]
    return [load(line.lstrip("\ufeff")) for line in lines[:_SAMPLED_RECORDS]]


def _json_share(lines: Sequence[str]) -> float:
    if jsonlines.is_document(list(lines)):
        return 1.0
    return _share(jsonlines.claims)(lines)


def _dhcp_share(lines: Sequence[str]) -> float:
    return max(dhcp.detect(lines), _share(dhcp.claims, dhcp.HEAD)(lines))


def _xml_share(lines: Sequence[str]) -> float:
    return 1.0 if windows_xml.claims("\n".join(lines[:20])) else 0.0


# ---- one line, whatever it is --------------------------------------------------------------


def any_line(line: str, context: Context, first: Format | None = None, *, lenient: bool = True) -> Event | None:
    """The event of one line by the first format that claims it; None if only text is left.

    Not `lenient`: mere syslog counts only with a program's name, since the damaged line of a
    web log may begin like a syslog header too.
    """
    header, body = syslog.split(line)
    for row in (first, *_LINE_FORMATS) if first else _LINE_FORMATS:
        if row.name == "syslog" and not lenient and (header is None or header.app is None):
            continue
        claims, parse = row.claims, row.parse_line
        assert claims is not None and parse is not None
        if header is not None and claims(body, header):
            event = parse(body, header, context)
            if event is not None:
                return event
        if claims(line, None):
            event = parse(line, None, context)
            if event is not None:
                return event
    return None


def _json_event(body: str, header: Header | None, context: Context) -> Event | None:
    """A JSON line: a Windows event, a record around another log's line, or any other record."""
    value = load(body.strip())
    if not isinstance(value, dict):
        return None
    shaped = windows_records.shape(value, context)
    if shaped is not None:
        event = windows_records.single(shaped)
        if event is not None:
            return keyvalue.with_header(event, header, context)
    known = cloud.read(value, header, context)
    if known is not None:
        return known
    outer = jsonlines.parse_object(value, header, context)
    inner_text = next(
        (value[k] for k in ("message", "log", "_raw", "msg", "MESSAGE") if isinstance(value.get(k), str)), None
    )
    if (
        inner_text
        and "source.ip" not in outer.cells
        and len(inner_text) > 20
        and not inner_text.lstrip().startswith("{")
    ):
        inner = _wrapped(inner_text, context)
        if inner is not None:
            cells = {**{k: v for k, v in outer.cells.items() if k not in ("event.dataset", "message")}, **inner.cells}
            time = inner.time if outer.time == NO_TIME else outer.time
            if time == outer.time and "event.timezone" in outer.cells:
                cells["event.timezone"] = outer.cells["event.timezone"]
            return Event(time, cells)
    return outer


def _wrapped(text: str, context: Context) -> Event | None:
    header, body = syslog.split(text)
    for row in _LINE_FORMATS:
        if row.name in ("json", "keyvalue", "windows-xml"):
            continue
        assert row.claims is not None and row.parse_line is not None
        for part, head in ((text, None), (body, header)):
            if row.claims(part, head):
                return row.parse_line(part, head, context)
    return None


def _xml_event(body: str, header: Header | None, context: Context) -> Event | None:
    start = body.find("<Event")
    shaped = windows_xml.read_event(body[start:]) if start >= 0 else ""
    if isinstance(shaped, str):
        return None
    event = windows_records.single(shaped)
    return keyvalue.with_header(event, header, context) if event else None


def _xml_line_claims(body: str, header: Header | None) -> bool:
    return (
        body.lstrip("\ufeff ").startswith("<Event") and body.rstrip().endswith("</Event>") and windows_xml.claims(body)
    )


def _json_claims(body: str, header: Header | None) -> bool:
    return jsonlines.claims(body, header)


# ---- files ---------------------------------------------------------------------------------


class _Rows:
    """Collects events one at a time and gives batches."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._builder = TableBuilder()
        self._lines: list[int] = []
        self._offsets: list[int] = []

    def add(self, event: Event, line: int, offset: int) -> None:
        self._builder.add(event.time, event.cells)
        self._lines.append(line)
        self._offsets.append(offset)

    def reject(self, text: str, reason: str, line: int, offset: int) -> None:
        """Kept in `rejects` and, so that it is still swept, as an event of its own."""
        self._builder.reject(Reject(reason, line=line, offset=offset, raw=text[:_SHOWN]))
        self.add(unparsed(text), line, offset)

    def note(self, reject: Reject) -> None:
        self._builder.reject(reject)

    def full(self) -> bool:
        return len(self._lines) >= self._file.batch_rows

    def build(self) -> Iterator[EventTable]:
        table = self._builder.build()
        if table.row_count or table.rejects:
            _place(table, self._lines, self._offsets)
            yield table
        self._lines, self._offsets = [], []


def unparsed(text: str) -> Event:
    """A line that is no record of its file's format: swept as text, with what it plainly says."""
    cells: dict[str, Any] = {"event.dataset": "unparsed", "message": text}
    add_who_and_where(cells, text)
    return Event(NO_TIME, cells)


def _place(table: EventTable, lines: Sequence[int], offsets: Sequence[int]) -> None:
    if table.row_count:
        table.columns["log.line"] = encode(list(lines))
        table.columns["log.offset"] = encode(list(offsets))


def _is_blank(text: str) -> bool:
    return not text or not text.strip(" \t\r\ufeff\0\x1a")


def _by_line(
    name: str, *, lenient: bool = False, heading: re.Pattern[str] | None = None
) -> Callable[[File], Iterator[EventTable]]:
    """A reader for formats of one event a line; a line of another format goes to its own parser."""

    def parse(file: File) -> Iterator[EventTable]:
        # Pairs are in the lines of many makers: theirs are asked first, line by line.
        own = BY_NAME.get(name) if name != "keyvalue" else None
        first = own if own is not None and own.parse_line is not None else None
        rows = _Rows(file)
        for block in file.blocks():
            cut = set(block.truncated)
            for i, (text, offset) in enumerate(zip(block.lines, block.offsets.tolist(), strict=True)):
                if _is_blank(text):
                    continue
                number = block.first_number + i
                event = any_line(text, file.context, first, lenient=lenient)
                if event is None:
                    if not lenient and (text.startswith("#") or (heading is not None and heading.match(text))):
                        event = _comment(text)
                    elif lenient:
                        event = plaintext.parse_line(text, file.context)
                    else:
                        rows.reject(text, f"no {name} record", number, offset)
                        continue
                rows.add(event, number, offset)
                if i in cut:
                    rows.note(_cut(text, number, offset))
                if rows.full():
                    yield from rows.build()
        yield from rows.build()

    return parse


def _comment(text: str) -> Event:
    return Event(NO_TIME, {"event.dataset": "comment", "message": text})


def _cut(text: str, line: int, offset: int) -> Reject:
    return Reject("the line is longer than 1 MiB; its end was not read", line=line, offset=offset, raw=text[:_SHOWN])


def _by_block(name: str, parse_block: BlockParser, rows: int = 1 << 20) -> Callable[[File], Iterator[EventTable]]:
    """A reader for formats that are parsed as columns; odd lines go the slow way, in their place."""

    def parse(file: File) -> Iterator[EventTable]:
        for block in file.large_blocks():
            step = min(rows, file.batch_rows)
            for start in range(0, len(block.lines), step):
                yield from _columns(file, block, slice(start, start + step), name, parse_block)

    return parse


@contextmanager
def _uncollected() -> Iterator[None]:
    """A block makes a hundred thousand lists and no cycle: the collector would find nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _columns(file: File, block: Block, part: slice, name: str, parse_block: BlockParser) -> Iterator[EventTable]:
    texts, offsets = block.lines[part], block.offsets[part]
    first = block.first_number + (part.start or 0)
    with _uncollected():
        lists, odd = parse_block(texts, file.context)
    others: dict[int, Event] = {}
    rejects: list[Reject] = []
    blank: list[int] = []
    row = BY_NAME.get(name)
    for i in odd:
        text = texts[i]
        if _is_blank(text):
            blank.append(i)
            continue
        first_tried = row if row is not None and row.parse_line is not None else None
        event = any_line(text, file.context, first_tried, lenient=False)
        if event is None:
            if text.startswith("#"):
                event = _comment(text)
            else:
                rejects.append(Reject(f"no {name} record", line=first + i, offset=int(offsets[i]), raw=text[:_SHOWN]))
                event = unparsed(text)
        others[i] = event
    rejects += [
        _cut(block.lines[i], block.first_number + i, int(block.offsets[i]))
        for i in block.truncated
        if part.start <= i < part.stop
    ]
    table = lists.table(others, rejects)
    order = np.arange(table.row_count, dtype=np.int32)
    table.columns["log.line"] = Column(list(range(first, first + table.row_count)), order)
    table.columns["log.offset"] = Column(offsets.tolist(), order.copy())
    if blank:
        keep = np.setdiff1d(order, np.array(blank, dtype=np.int32))
        kept = table.take(keep)
        kept.rejects = table.rejects
        table = kept
    if table.row_count or table.rejects:
        yield table


def _parse_w3c(file: File) -> Iterator[EventTable]:
    layout = w3c.Layout()
    for block in file.large_blocks():
        start, count = 0, len(block.lines)
        while start < count:
            text = block.lines[start]
            if text.startswith("#"):
                layout.header(text.lstrip("\ufeff"))
                start += 1
                continue
            end = start
            limit = min(count, start + file.batch_rows)
            while end < limit and not block.lines[end].startswith("#"):
                end += 1
            if layout.standard:
                reader = partial(w3c.parse_block, layout=layout)
                yield from _columns(file, block, slice(start, end), "w3c", reader)
            else:
                yield from _w3c_rows(file, block, start, end, layout)
            start = end


def _w3c_rows(file: File, block: Block, start: int, end: int, layout: w3c.Layout) -> Iterator[EventTable]:
    rows = _Rows(file)
    for i in range(start, end):
        text, number, offset = block.lines[i], block.first_number + i, int(block.offsets[i])
        if _is_blank(text):
            continue
        event = w3c.parse_other(text, layout, file.context) if layout.names else any_line(text, file.context)
        if event is None:
            rows.reject(text, "another number of values than the #Fields line", number, offset)
        else:
            rows.add(event, number, offset)
    yield from rows.build()


def _parse_json(file: File) -> Iterator[EventTable]:
    if not jsonlines.is_document([t for t, _, _ in islice(file.lines(), 50)]):
        yield from _by_line("json")(file)
        return
    rows = _Rows(file)
    for text, line, offset, problem in jsonlines.split_items(file.pieces("}")):
        value = load(text) if problem is None else None
        if not isinstance(value, dict):
            rows.reject(text, problem or "not well-formed JSON", line, offset)
        else:
            event = _json_event(text, None, file.context)
            rows.add(event or unparsed(text), line, offset)
        if rows.full():
            yield from rows.build()
    yield from rows.build()


def _parse_windows_json(file: File) -> Iterator[EventTable]:
    document = jsonlines.is_document([t for t, _, _ in islice(file.lines(), 50)])
    items: Iterator[tuple[str, int, int, str | None]] = (
        jsonlines.split_items(file.pieces("}"))
        if document
        else ((text, line, offset, None) for text, line, offset in file.lines())
    )
    batch, others = windows_records.WindowsBatch(), _Rows(file)
    for text, line, offset, problem in items:
        if _is_blank(text):
            continue
        value = load(text.lstrip("\ufeff")) if problem is None else None
        shaped = windows_records.shape(value, file.context) if isinstance(value, dict) else None
        if shaped is None or not batch.add(shaped, line, offset):
            event = any_line(text, file.context) if problem is None else None
            if event is None:
                others.reject(text, problem or "not well-formed JSON", line, offset)
            else:
                others.add(event, line, offset)
        if len(batch) >= file.batch_rows or others.full():
            yield from _windows_batch(batch, others)
    yield from _windows_batch(batch, others)


def _parse_windows_xml(file: File) -> Iterator[EventTable]:
    batch, others = windows_records.WindowsBatch(), _Rows(file)
    for text, line, offset, problem in windows_xml.split_events(file.pieces("</Event>")):
        shaped = windows_xml.read_event(text) if problem is None else problem
        if isinstance(shaped, str):
            others.reject(text, shaped, line, offset)
        elif not batch.add(shaped, line, offset):
            others.reject(text, "an event without its System part", line, offset)
        if len(batch) >= file.batch_rows or others.full():
            yield from _windows_batch(batch, others)
    yield from _windows_batch(batch, others)


def _windows_batch(batch: windows_records.WindowsBatch, others: _Rows) -> Iterator[EventTable]:
    if len(batch):
        yield batch.build()
    yield from others.build()


def _parse_csv(file: File) -> Iterator[EventTable]:
    layout = delimited.sniff(_sample(file))
    if layout is None:
        yield from _by_line("mixed", lenient=True)(file)
        return
    rows = _Rows(file)
    seen = 0
    for values, text, line, offset in delimited.records(file.lines(), layout.separator):
        if _is_blank(text):
            continue
        seen += 1
        if seen <= layout.skip:
            if seen < layout.skip:
                rows.add(plaintext.parse_line(text, file.context), line, offset)
            continue
        event = delimited.parse_record(values, layout, file.context)
        if event is None:
            if tuple(v.strip() for v in values) == layout.headings:
                continue
            rows.reject(text, "another number of values than the heading", line, offset)
        else:
            rows.add(event, line, offset)
        if rows.full():
            yield from rows.build()
    yield from rows.build()


def _parse_leases(file: File) -> Iterator[EventTable]:
    rows = _Rows(file)
    for event, text, line, offset in lease_files.lease_events(file.lines()):
        if event is None:
            rows.reject(text, "no whole lease", line, offset)
        else:
            rows.add(event, line, offset)
        if rows.full():
            yield from rows.build()
    yield from rows.build()


def _parse_wtmp(file: File) -> Iterator[EventTable]:
    return wtmp.parse_wtmp(file.source, batch_rows=file.batch_rows)


def _parse_evtx_file(file: File) -> Iterator[EventTable]:
    return parse_evtx(file.source, batch_rows=file.batch_rows)


def _never(lines: Sequence[str]) -> float:
    return 0.0


def _anything(lines: Sequence[str]) -> float:
    return 1.0


def _line_format(
    name: str,
    ja: str,
    en: str,
    datasets: tuple[str, ...],
    claims: Claims,
    parse_line: LineParser,
    parse: Callable[[File], Iterator[EventTable]] | None = None,
    heading: re.Pattern[str] | None = None,
) -> Format:
    detect = _share(claims, heading)
    return Format(name, Text(ja, en), datasets, detect, parse or _by_line(name, heading=heading), claims, parse_line)


# In the order they are asked: the more particular first.
FORMATS: tuple[Format, ...] = (
    Format(
        "evtx", Text("Windowsイベントログ(EVTX)", "Windows event log (EVTX)"), ("windows.*",), _never, _parse_evtx_file
    ),
    Format(
        "wtmp",
        Text("Linuxのログイン記録(wtmp、btmp)", "Linux logon records (wtmp, btmp)"),
        ("linux.wtmp", "linux.btmp"),
        _never,
        _parse_wtmp,
    ),
    Format(
        "windows-xml",
        Text("Windowsイベント(XML)", "Windows events as XML"),
        ("windows.*",),
        _xml_share,
        _parse_windows_xml,
        _xml_line_claims,
        _xml_event,
    ),
    Format(
        "windows-json",
        Text("Windowsイベント(JSON)", "Windows events as JSON"),
        ("windows.*",),
        _windows_json_share,
        _parse_windows_json,
    ),
    Format(
        "w3c",
        Text("W3C形式(IIS、プロキシほか)", "W3C extended log (IIS, proxies and others with #Fields)"),
        ("iis.access", "w3c.access", "windows.firewall", "exchange.tracking", "zeek"),
        w3c.detect,
        _parse_w3c,
    ),
    _line_format("cef", "CEF", "CEF (Common Event Format)", ("cef.*",), cef.claims, cef.parse_line),
    _line_format("leef", "LEEF", "LEEF (QRadar)", ("leef.*",), cef.claims_leef, cef.parse_leef),
    _line_format(
        "fortigate",
        "FortiGate",
        "FortiGate (FortiOS key=value)",
        ("fortinet.traffic", "fortinet.utm", "fortinet.event"),
        fortigate.claims,
        fortigate.parse_line,
        _by_block("fortigate", fortigate_block.parse_block, _WIDE_ROWS),
    ),
    _line_format(
        "paloalto",
        "Palo Alto(CSV)",
        "Palo Alto Networks firewall (CSV syslog)",
        ("paloalto.traffic", "paloalto.threat", "paloalto.system", "paloalto.globalprotect"),
        paloalto.claims,
        paloalto.parse_line,
        _by_block("paloalto", behind_headers(paloalto.parse_block)),
    ),
    _line_format(
        "squid",
        "Squid(標準形式)",
        "Squid access log (native)",
        ("squid.access",),
        squid.claims,
        squid.parse_line,
        _by_block("squid", behind_headers(squid.parse_block)),
    ),
    _line_format(
        "access",
        "Webアクセスログ(Apache、nginx)",
        "Web access log (Apache, nginx, combined)",
        ("web.access", "squid.access"),
        access.claims,
        access.parse_line,
        _by_block("access", behind_headers(access.parse_block)),
    ),
    _line_format(
        "web-error",
        "Webエラーログ(Apache、nginx)",
        "Web error log (Apache, nginx)",
        ("web.error",),
        access.claims_error,
        access.parse_error,
    ),
    _line_format(
        "cisco-asa",
        "Cisco ASA、FTD",
        "Cisco ASA and Firepower",
        ("cisco.asa", "cisco.ftd"),
        cisco_asa.claims,
        cisco_asa.parse_line,
    ),
    _line_format(
        "netscaler",
        "NetScaler",
        "NetScaler (Citrix ADC)",
        ("netscaler",),
        netscaler.claims,
        netscaler.parse_line,
    ),
    _line_format(
        "ivanti",
        "Ivanti Connect Secure(Pulse)",
        "Ivanti Connect Secure (Pulse)",
        ("ivanti.connect_secure",),
        ivanti.claims,
        ivanti.parse_line,
    ),
    _line_format(
        "sonicwall", "SonicWall", "SonicWall (syslog)", ("sonicwall",), sonicwall.claims, sonicwall.parse_line
    ),
    _line_format(
        "skyhigh",
        "Skyhigh(McAfee)Web Gateway",
        "Skyhigh (McAfee) Web Gateway",
        ("skyhigh.web",),
        skyhigh.claims,
        skyhigh.parse_line,
    ),
    _line_format(
        "umbrella", "Cisco Umbrella(CSV)", "Cisco Umbrella (CSV)", ("umbrella.*",), umbrella.claims, umbrella.parse_line
    ),
    _line_format(
        "ifilter",
        "i-FILTER、D-SPA",
        "i-FILTER and D-SPA",
        ("ifilter.access", "ifilter.block"),
        ifilter.claims,
        ifilter.parse_line,
    ),
    _line_format("rtx", "ヤマハRTX", "YAMAHA RTX", ("yamaha.rtx", "dhcp.rtx"), rtx.claims, rtx.parse_line),
    _line_format(
        "windows-dns",
        "Windows DNSサーバー(デバッグログ)",
        "Windows DNS server (debug log)",
        ("windows.dns",),
        windns.claims,
        windns.parse_line,
        heading=windns.HEAD,
    ),
    Format(
        "dhcp",
        Text("DHCP(Windows、ISC、dnsmasq、Kea)", "DHCP (Windows, ISC, dnsmasq, Kea)"),
        ("dhcp.*",),
        _dhcp_share,
        _by_line("dhcp", heading=dhcp.HEAD),
        dhcp.claims,
        dhcp.parse_line,
    ),
    Format(
        "dhcp-leases",
        Text("DHCPリースファイル(ISC、Kea)", "DHCP leases files (ISC, Kea)"),
        ("dhcp.isc", "dhcp.kea"),
        lease_files.detect,
        _parse_leases,
    ),
    _line_format(
        "nas",
        "NAS(Synology、QNAP)",
        "Network storage (Synology, QNAP)",
        ("synology", "qnap.conn", "qnap.event"),
        nas.claims,
        nas.parse_line,
    ),
    _line_format(
        "remote-control",
        "遠隔操作(AnyDesk、TeamViewer)",
        "Remote control (AnyDesk, TeamViewer)",
        ("anydesk.connections", "anydesk.trace", "teamviewer.connections", "teamviewer.log"),
        remotecontrol.claims,
        remotecontrol.parse_line,
        heading=remotecontrol.HEAD,
    ),
    _line_format("openvpn", "OpenVPN", "OpenVPN server", ("openvpn",), openvpn.claims, openvpn.parse_line),
    _line_format("bind", "BIND(DNS)", "BIND name server", ("bind",), bind.claims, bind.parse_line),
    _line_format("postfix", "Postfix", "Postfix mail server", ("postfix",), postfix.claims, postfix.parse_line),
    _line_format(
        "vpcflow", "AWS VPCフローログ", "AWS VPC flow log", ("aws.vpcflow",), vpcflow.claims, vpcflow.parse_line
    ),
    _line_format("esxi", "VMware ESXi", "VMware ESXi", ("esxi",), esxi.claims, esxi.parse_line),
    _line_format(
        "linux",
        "Linux認証ログ(auth.log、secure)",
        "Linux authentication log (auth.log, secure)",
        ("linux.sshd", "linux.sudo", "linux.auth"),
        linux.claims,
        linux.parse_line,
    ),
    *(
        Format(name, Text(ja, en), datasets, _records_of(name), _parse_json)
        for name, ja, en, datasets in (
            ("m365", "Microsoft 365監査ログ", "Microsoft 365 unified audit log", ("m365.*",)),
            (
                "entra",
                "Entra IDサインイン・監査ログ",
                "Entra ID sign-in and audit logs",
                ("entra.signin", "entra.audit"),
            ),
            ("cloudtrail", "AWS CloudTrail", "AWS CloudTrail", ("aws.cloudtrail",)),
            ("zscaler", "Zscaler(NSS)", "Zscaler log feed (NSS)", ("zscaler.*",)),
            ("paloalto-json", "Palo Alto(JSON)", "Palo Alto Networks log forwarding (JSON)", ("paloalto.*",)),
            ("zeek-json", "Zeek(JSON)", "Zeek (JSON)", ("zeek.*",)),
        )
    ),
    Format(
        "json",
        Text("JSON", "JSON (lines, array or document)"),
        ("json", "json.*"),
        _json_share,
        _parse_json,
        _json_claims,
        _json_event,
    ),
    _line_format("keyvalue", "キー=値", "key=value of any device", ("keyvalue",), keyvalue.claims, keyvalue.parse_line),
    Format("csv", Text("CSV、TSV", "CSV and tab-separated text"), ("csv",), delimited.detect, _parse_csv),
    Format(
        "syslog",
        Text("syslog", "syslog (RFC 3164, RFC 5424)"),
        ("syslog",),
        _share(syslog.claims),
        _by_line("mixed", lenient=True),
        syslog.claims,
        syslog.parse_line,
    ),
    Format(
        "mixed",
        Text("混在(行ごとに判定)", "mixed: each line by its own format"),
        (),
        _never,
        _by_line("mixed", lenient=True),
    ),
    Format("text", Text("その他のテキスト", "any other text"), ("text",), _never, _by_line("text", lenient=True)),
)
BY_NAME: dict[str, Format] = {row.name: row for row in FORMATS}
_LINE_FORMATS: tuple[Format, ...] = tuple(row for row in FORMATS if row.claims is not None)


# ---- the way in ----------------------------------------------------------------------------


# Formats that are no text.
_BINARY = frozenset({"evtx", "wtmp"})


def parse_source(
    source: Source,
    *,
    zone: tzinfo,
    zone_assumed: bool,
    format: str | None = None,
    batch_rows: int = 50_000,
) -> Iterator[EventTable]:
    """The events of one file as batches in file order, in memory that does not grow with the file.

    Every row has event.dataset, event.timezone (where it has a time), log.file.path, log.offset
    and log.line (text logs). `zone` reads times that name none; `zone_assumed` marks it so.
    What can't be read stays as a row of dataset "unparsed" and as a Reject.
    Raises UnsupportedFormat for what is neither text nor EVTX, UsageError for an unknown format.
    """
    if format is not None and format not in BY_NAME:
        raise UsageError(f"unknown format '{format}'", hint="`hikeshi parse --formats` lists them")
    written = int(source.path.stat().st_mtime * 1_000_000)
    context = Context(zone, zone_assumed, written)
    if source.kind in _BINARY or format in _BINARY:
        name, file = format or source.kind, File(source, "", context, batch_rows, [])
    else:
        file = _opened(source, context, batch_rows)
        if source.kind == "empty" or source.size == 0:
            return
        sample = _sample(file)
        name = format or detect_lines(sample)[0]
        _prime(context, sample)
    yield from _finished(BY_NAME[name].parse(file), file)


_SLASHED_DATE = re.compile(r"(?<![\d/.-])([0-3]?\d)[/.-]([0-3]?\d)[/.-](?:19|20)\d\d(?=[ T:,])")


def _prime(context: Context, sample: Sequence[str]) -> None:
    """Times without a year lean on a time nearby that has one, if the sample holds any; dates with
    the day in front show themselves by a day after the twelfth."""
    dates = [m for line in sample[:SAMPLE_LINES] for m in _SLASHED_DATE.findall(line)]
    context.day_first = any(int(a) > 12 for a, _ in dates) and not any(int(b) > 12 for _, b in dates)
    for line in sample[:SAMPLE_LINES]:
        match = re.search(r"\b(20\d\d)[-/](0[1-9]|1[0-2])[-/]([0-2]\d|3[01])[T ]\d\d:\d\d:\d\d", line)
        if match and abs(to_datetime(context.written).year - int(match[1])) < 60:
            stamp(match[0], context)
            return


def _finished(tables: Iterator[EventTable], file: File) -> Iterator[EventTable]:
    last: EventTable | None = None
    for table in tables:
        if last is not None:
            yield last
        if table.row_count:
            table.columns["log.file.path"] = constant(file.source.name, table.row_count)
            channel = table.columns.get("winlog.channel")
            if "event.dataset" not in table.columns and channel is not None:
                _windows_dataset(table, channel)
        last = table
    if file.problems:
        last = last if last is not None else EventTable(0, np.empty(0, dtype=np.int64))
        last.rejects.extend(Reject(problem) for problem in file.problems)
    if last is not None:
        yield last


def _windows_dataset(table: EventTable, channel: Column) -> None:
    lists = Lists(table.row_count)
    dense: Any = channel.dense(table.row_count)
    lists.put_column("event.dataset", Column(channel.values, dense), [dataset_of(v) for v in channel.values])
    column = lists.columns.get("event.dataset")
    if column is None:
        table.columns["event.dataset"] = constant("windows", table.row_count)
        return
    if (column.codes < 0).any():
        column = Column(
            [*column.values, "windows"], np.where(column.codes < 0, len(column.values), column.codes).astype(np.int32)
        )
    table.columns["event.dataset"] = column
