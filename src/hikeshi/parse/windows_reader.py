"""Windows events as tools export them, XML and JSON: recognised and read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from hikeshi.events.table import EventTable
from hikeshi.parse import jsonlines, keyvalue, windows_records, windows_xml
from hikeshi.parse.context import Context, Event
from hikeshi.parse.evtx import parse_evtx
from hikeshi.parse.file import File
from hikeshi.parse.flat import load
from hikeshi.parse.one_line import any_line
from hikeshi.parse.pieces import Piece
from hikeshi.parse.readers import Rows, is_blank
from hikeshi.parse.syslog import Header


def windows_json_share(lines: Sequence[str]) -> float:
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


def windows_xml_share(lines: Sequence[str]) -> float:
    return 1.0 if windows_xml.claims("\n".join(lines[:20])) else 0.0


def windows_xml_event(body: str, header: Header | None, context: Context) -> Event | None:
    start = body.find("<Event")
    shaped = windows_xml.read_event(body[start:]) if start >= 0 else ""
    if isinstance(shaped, str):
        return None
    event = windows_records.single(shaped)
    return keyvalue.with_header(event, header, context) if event else None


def windows_xml_claims(body: str, header: Header | None) -> bool:
    return (
        body.lstrip("\ufeff ").startswith("<Event") and body.rstrip().endswith("</Event>") and windows_xml.claims(body)
    )


def read_windows_json(file: File) -> Iterator[EventTable]:
    document = jsonlines.is_document([t for t, _, _ in islice(file.lines(), 50)])
    items: Iterator[tuple[str, int, int, str | None]] = (
        jsonlines.split_items(file.pieces("}"))
        if document
        else ((text, line, offset, None) for text, line, offset in file.lines())
    )
    batch, others = windows_records.WindowsBatch(), Rows(file)
    for text, line, offset, problem in items:
        if is_blank(text):
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


def read_windows_xml(file: File) -> Iterator[EventTable]:
    batch, others = windows_records.WindowsBatch(), Rows(file)
    for text, line, offset, problem in windows_xml.split_events(file.pieces("</Event>")):
        shaped = windows_xml.read_event(text) if problem is None else problem
        if isinstance(shaped, str):
            others.reject(text, shaped, line, offset)
        elif not batch.add(shaped, line, offset):
            others.reject(text, "an event without its System part", line, offset)
        if len(batch) >= file.batch_rows or others.full():
            yield from _windows_batch(batch, others)
    yield from _windows_batch(batch, others)


def _windows_batch(batch: windows_records.WindowsBatch, others: Rows) -> Iterator[EventTable]:
    if len(batch):
        yield batch.build()
    yield from others.build()


def read_evtx(file: File) -> Iterator[EventTable]:
    return parse_evtx(file.source, batch_rows=file.batch_rows, recover=file.recover)
