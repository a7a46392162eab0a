"""JSON of any product: one object a line, an array, or one document around a list.

Nested objects become dotted names; names known to data/field_names.toml become columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from hikeshi.events.schema import BY_NAME
from hikeshi.events.time import NO_TIME
from hikeshi.parse.context import CONFIDENCE, Context, Event
from hikeshi.parse.flat import flatten, load
from hikeshi.parse.hints import add_by_hint
from hikeshi.parse.keyvalue import timed_by_hint, with_header
from hikeshi.parse.names import map_record
from hikeshi.parse.pieces import Piece
from hikeshi.parse.prose import add_who_and_where
from hikeshi.parse.syslog import Header

_LONGEST_ITEM = 32 << 20
# A document around a list of records, as cloud services export them.
_WRAPPERS = frozenset(
    [
        "Records",
        "records",
        "value",
        "values",
        "events",
        "Events",
        "logs",
        "Logs",
        "items",
        "data",
        "results",
        "entries",
        "hits",
    ]
)


def claims(body: str, header: Header | None) -> bool:
    head = body.lstrip()[:1]
    return head == "{" and isinstance(load(body.strip()), dict)


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    value = load(body.strip())
    if not isinstance(value, dict):
        return None
    return parse_object(value, header, context)


def parse_object(value: dict[str, Any], header: Header | None, context: Context) -> Event:
    record = flatten(value)
    # A record in ECS already: its names are ours.
    own = {k: v for k, v in record.items() if k in BY_NAME and BY_NAME[k].type == "string" and v}
    event = map_record(record, context, dataset=_dataset(record))
    event.cells[CONFIDENCE] = "low" if add_by_hint(event.cells, record) else "medium"
    for name, text in own.items():
        event.cells[name] = text
        event.cells.pop(f"{name} (own)", None)
    event = with_header(event, header, context)
    return event if event.time != NO_TIME else timed_by_hint(event, record, context)


_SAYS = re.compile(
    r"(?:^|[._])?(?:\w*(?:message|description|summary|detail|details|text|msg|eventinfo))\Z", re.IGNORECASE
)


def add_by_sentence(cells: dict[str, Any], value: dict[str, Any]) -> None:
    """Who and from where, out of the record's own sentence, where no value of a name says it."""
    if "source.ip" in cells and "user.name" in cells:
        return
    for name, text in flatten(value).items():
        if text.count(" ") >= 3 and _SAYS.search(name) and len(text) < 4000:
            said: dict[str, Any] = {}
            add_who_and_where(said, text)
            for column, value in said.items():
                if column not in cells:
                    cells[column] = value
                    cells[CONFIDENCE] = "low"


def _dataset(record: dict[str, str]) -> str:
    for name in ("event.dataset", "data_stream.dataset", "sourcetype", "Workload", "eventSource", "category"):
        value = record.get(name)
        if value and len(value) < 60:
            return "json." + re.sub(r"[^\w.-]+", "_", value.lower())
    return "json"


# ---- documents of many lines ---------------------------------------------------------------

_SIGN = re.compile(r'["{}\[\]]')
_STRING_END = re.compile(r'(?:[^"\\]|\\.)*"', re.DOTALL)


def is_document(first_lines: list[str]) -> bool:
    """The file is one JSON text over several lines, not one object a line."""
    lines = [line.strip().lstrip("\ufeff") for line in first_lines if line.strip()]
    if not lines or lines[0][:1] not in ("[", "{"):
        return False
    if lines[0][:1] == "[":
        return bool(re.match(r"\[\s*(?:[{\[]|\Z|\])", lines[0]))
    first = load(lines[0])
    if isinstance(first, dict):
        # A wrapper in one line, as audit trails are stored. {"actor": {…}, "events": […]} is one record.
        return len(lines) == 1 and any(
            k in _WRAPPERS and isinstance(v, list) and v and isinstance(v[0], dict) for k, v in first.items()
        ) and not any(isinstance(v, dict) for v in first.values())
    return first is None and (len(lines) == 1 or lines[1][:1] in ('"', "}", "{", "]"))


def split_items(pieces: Iterator[Piece]) -> Iterator[tuple[str, int, int, str | None]]:
    """(text, line, offset, problem) of each object at the top, or in the array at the top.

    A wrapper like {"Records": [...]} is opened too. Memory: one object at a time.
    """
    depth, size = 0, 0
    begin = (0, 0)
    held: list[str] = []
    in_string = False
    for piece in pieces:
        text = piece.text
        at = start = 0
        while at < len(text):
            if in_string:
                ended = _STRING_END.match(text, at)
                if ended is None:
                    break
                at, in_string = ended.end(), False
                continue
            sign = _SIGN.search(text, at)
            if sign is None:
                break
            at, mark = sign.end(), sign[0]
            if mark == '"':
                # Between records only a wrapper's names can stand: they may not swallow what follows.
                in_string = depth > 0
            elif mark == "{":
                if depth == 0:
                    begin, start = piece.at(sign.start()), sign.start()
                depth += 1
            elif mark == "[" and depth == 1 and _opens_wrapper(held, text[start : sign.start()]):
                depth, held, size = 0, [], 0
            elif mark == "[":
                depth += 1 if depth else 0
            elif depth > 1:
                depth -= 1
            elif depth == 1 and mark == "}":
                depth = 0
                yield "".join([*held, text[start:at]]), *begin, None
                held, size, start = [], 0, at
        if depth:
            held.append(text[start:])
            size += len(text) - start
            if size > _LONGEST_ITEM:
                yield "".join(held)[:10_000], *begin, "a JSON object longer than 32 MiB"
                depth, held, size, in_string = 0, [], 0, False
    if held:
        yield "".join(held), *begin, "a JSON object that does not end"


def _opens_wrapper(parts: list[str], last: str) -> bool:
    """Whether the object begun so far is only a wrapper: its first list is what matters."""
    text = ("".join(parts) + last)[-4000:]
    match = re.search(r'"(\w+)"\s*:\s*\Z', text)
    return match is not None and match[1] in _WRAPPERS and len(text) < 4000
