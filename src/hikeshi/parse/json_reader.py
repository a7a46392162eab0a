"""JSON as files have it: records one a line, in an array or in a document; makers' records among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME
from hikeshi.parse import cloud, jsonlines, keyvalue, syslog, windows_records
from hikeshi.parse.context import Context, Event
from hikeshi.parse.file import File
from hikeshi.parse.flat import load
from hikeshi.parse.one_line import wrapped_line
from hikeshi.parse.pieces import Piece
from hikeshi.parse.readers import Rows, by_line, unparsed
from hikeshi.parse.recognise import share
from hikeshi.parse.syslog import Header

_SAMPLED_RECORDS = 50

def records_of(maker: str) -> Callable[[Sequence[str]], float]:
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


def json_share(lines: Sequence[str]) -> float:
    if jsonlines.is_document(list(lines)):
        return 1.0
    return share(jsonlines.claims)(lines)


def json_event(body: str, header: Header | None, context: Context) -> Event | None:
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
        inner = wrapped_line(inner_text, context)
        if inner is not None:
            cells = {**{k: v for k, v in outer.cells.items() if k not in ("event.dataset", "message")}, **inner.cells}
            time = inner.time if outer.time == NO_TIME else outer.time
            if time == outer.time and "event.timezone" in outer.cells:
                cells["event.timezone"] = outer.cells["event.timezone"]
            return Event(time, cells)
    jsonlines.add_by_sentence(outer.cells, value)
    return outer


def json_claims(body: str, header: Header | None) -> bool:
    return jsonlines.claims(body, header)


def read_json(file: File) -> Iterator[EventTable]:
    if not jsonlines.is_document([t for t, _, _ in islice(file.lines(), 50)]):
        yield from by_line("json")(file)
        return
    rows = Rows(file)
    for text, line, offset, problem in jsonlines.split_items(file.pieces("}")):
        value = load(text) if problem is None else None
        if not isinstance(value, dict):
            rows.reject(text, problem or "not well-formed JSON", line, offset)
        else:
            event = json_event(text, None, file.context)
            rows.add(event or unparsed(text), line, offset)
        if rows.full():
            yield from rows.build()
    yield from rows.build()
