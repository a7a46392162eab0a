"""What a template definition of binary XML does with its substitutions: asked of the `evtx` package itself.

A definition, written out with its names (`canonical`, as evtx_native makes it), is put into a small log of our
own whose substitutions are marks. Where the marks come out tells which substitution is which column; nothing
of the package's rules is written down a second time. A definition that does anything else than put a value
whole into a place of its own has no plan: its records stay with the package.

Canonical form, little endian, sizes in UTF-16 units:
    0x01/0x41 dependency:2 name          element, with attributes
    0x06/0x46 name                       attribute
    0x05/0x45 name                       text
    0x0D/0x0E index:2 type:1             substitution
    0x02 0x03 0x04                       as they are
where a name is length:2 and the UTF-16 text.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import evtx
import orjson

from hikeshi.parse.evtx_batch import EvtxBatch

CHUNK_BYTES, _DATA_START = 65536, 512
NOTHING, EMPTY = -1, 0                # what a null or an empty text leaves in a column
# What becomes of an array of texts: not known; all of them, one a line; the last
ODD_ARRAY, JOINED, LAST = 0, 0x81, 0x82
_FRAGMENT = b"\x0f\x01\x01\x00"
_TWICE = "\0"
_OPEN, _CLOSE, _WORD = "\ue0f0", "\ue0f1", "\ue0f2"
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")        # nothing that a reader could trim or fold


@dataclass(frozen=True, slots=True)
class Step:
    """A substitution's value is the text of a column; `null`, `empty`: what the null type and "" leave there;
    `array`: what an array of texts does."""

    index: int
    column: str
    null: int
    empty: int
    array: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Columns are field names, or "@" and a System column.

    `time`, `record_id`: substitutions that are the record's time and number; `body` the one that holds
    EventData or UserData as a fragment, or, with `user`, what lies in UserData; -1 for none.
    """

    steps: tuple[Step, ...]
    constants: tuple[tuple[str, str], ...]
    time: int = -1
    record_id: int = -1
    body: int = -1
    user: bool = False


class _Odd(Exception):
    """This definition has no plan."""


def event_plan(canonical: bytes) -> Plan | None:
    """The plan of a record's outermost template, or None.

    Templates that differ only in the words written into them (each machine has its own) are asked about once.
    """
    bare, words = _without_words(canonical)
    plan = _bare_event_plan(bare)
    if plan is not None:
        constants = tuple((name, words.get(text, text)) for name, text in plan.constants)
        if not any(_WORD in text for pair in constants for text in pair) and not any(
                _WORD in step.column for step in plan.steps):
            return replace(plan, constants=constants)
    # Words that are names of columns, or parts of a text.
    return _bare_event_plan(canonical)


@lru_cache(maxsize=4096)
def _bare_event_plan(canonical: bytes) -> Plan | None:
    return _asked(_event_plan, canonical)


def _without_words(canonical: bytes) -> tuple[bytes, dict[str, str]]:
    """The form with a sign for each plain word of its text, and the words by their signs."""
    out, at, words = bytearray(), 0, dict[str, str]()
    while at < len(canonical):
        begin, kind = at, canonical[at] & 0xBF
        if kind in (0x01, 0x05, 0x06):
            at += 3 if kind == 0x01 else 1
            end = at + 2 + 2 * int.from_bytes(canonical[at:at + 2], "little")
            text = canonical[at + 2:end].decode("utf-16-le") if kind == 0x05 else ""
            at = end
            if _PLAIN.fullmatch(text):
                sign = f"{_WORD}{len(words)}."
                words[sign] = text
                out += canonical[begin:begin + 1] + struct.pack("<H", len(sign)) + sign.encode("utf-16-le")
                continue
        else:
            at += 4 if kind in (0x0D, 0x0E) else 1
        out += canonical[begin:at]
    return bytes(out), words


@lru_cache(maxsize=8192)
def body_plan(canonical: bytes, *, user: bool = False) -> Plan | None:
    """The plan of a template that stands in a record's body (or in its UserData), or None."""
    return _asked(_body_plan, canonical, _IN_USER_DATA if user else _STANDARD)


def _asked(question: Callable[..., Plan], *about: bytes) -> Plan | None:
    try:
        return question(*about)
    except (_Odd, struct.error, ValueError, KeyError, TypeError, IndexError, RuntimeError, OSError):
        return None
    except BaseException as error:
        # A panic of the Rust decoder is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        return None


def _event_plan(canonical: bytes) -> Plan:
    outline = _outline(canonical)
    if outline.root != "Event" or len(outline.bodies) > 1:
        raise _Odd
    body = outline.bodies[0][0] if outline.bodies else -1
    indexes = outline.indexes - {body}
    forms = _forms(indexes)
    nothing = {body: _NULL} if body >= 0 else {}
    events = _read([(canonical, _values(form) | nothing) for form in forms])
    marked = events[0]["System"]
    time = _marked(marked["TimeCreated"]["#attributes"]["SystemTime"])
    record_id = _marked(marked["EventRecordID"])
    steps, constants = _compare(_rows(events), forms, {time, record_id})
    if body >= 0 and any(name[:1] != "@" for name in (*(s.column for s in steps), *(n for n, _ in constants))):
        raise _Odd
    return Plan(steps, constants, time, record_id, body, body >= 0 and outline.bodies[0][1])


def _body_plan(canonical: bytes, around: bytes) -> Plan:
    outline = _outline(canonical)
    if outline.bodies or outline.root in ("System", "Event"):
        raise _Odd
    forms = [*_forms(outline.indexes), dict.fromkeys(outline.indexes, "array")]
    events = _read([(around, {0: _NULL}), *((around, {0: (0x21, canonical, _values(form))}) for form in forms)])
    empty, *rows = _rows(events)
    for row in rows:
        for name, text in empty.items():
            if row.pop(name, None) != text:
                raise _Odd
    return Plan(*_compare(rows, forms, set()))


# ---- reading marks -------------------------------------------------------------------------

_Form = dict[int, str]            # per substitution: "mark", "null", "empty", other empty values, "array"
_Row = dict[str, str]             # a record as flat names, System columns with "@"
_NULL = (0x00, b"")


def _mark(index: int) -> str:
    return f"{_OPEN}{index}{_CLOSE}"


def _marked(text: Any) -> int:
    if not isinstance(text, str) or text[:1] != _OPEN or text[-1:] != _CLOSE or not text[1:-1].isdecimal():
        raise _Odd
    return int(text[1:-1])


def _forms(indexes: set[int]) -> list[_Form]:
    """All marked; all null; all empty; then mixtures in which neighbours differ."""
    kinds, places = ("mark", "null", "empty"), sorted(indexes)
    forms: list[_Form] = [dict.fromkeys(places, kind) for kind in (*kinds, "no bytes", "no texts")]
    forms += [{n: kinds[(i + i // 3 + shift) % 3] for i, n in enumerate(places)} for shift in range(3)]
    return forms


def _values(form: _Form) -> dict[int, Any]:
    plain = {"null": _NULL, "empty": (0x01, b""), "no bytes": (0x0E, b""), "no texts": (0x81, b"")}
    out: dict[int, Any] = {}
    for index, kind in form.items():
        mark = _mark(index)
        out[index] = plain[kind] if kind in plain else (0x01, mark.encode("utf-16-le")) if kind == "mark" else (
            0x81, f"{mark}1\0{mark}2\0".encode("utf-16-le"))
    return out


def _compare(rows: list[_Row], forms: list[_Form], apart: set[int]) -> tuple[tuple[Step, ...],
                                                                             tuple[tuple[str, str], ...]]:
    """What the rows of the forms say, if it is as simple as a plan can say."""
    full, nulls, empties = rows[:3]
    arrays: _Row = {}
    if "array" in forms[-1].values():
        *rows, arrays = rows
        *forms, _ = forms
    if any(_TWICE in row for row in rows):
        raise _Odd
    left = {None: NOTHING, "": EMPTY}
    steps: list[Step] = []
    constants: list[tuple[str, str]] = []
    for name, text in sorted(full.items()):
        if _OPEN not in text and _CLOSE not in text:
            constants.append((name, text))
            continue
        index = _marked(text)
        if index not in forms[0] or index in apart:
            raise _Odd
        array = {f"{text}1\n{text}2": JOINED, f"{text}2": LAST}.get(arrays.get(name, ""), ODD_ARRAY)
        steps.append(Step(index, name, left[nulls.get(name)], left[empties.get(name)], array))
    for row, form in zip(rows, forms, strict=True):
        expected = dict(constants)
        for step in steps:
            kind = form[step.index]
            if kind == "mark":
                expected[step.column] = _mark(step.index)
            elif (step.null if kind == "null" else step.empty) == EMPTY:
                expected[step.column] = ""
        if row != expected:
            raise _Odd
    return tuple(steps), tuple(constants)


def _rows(events: list[dict[str, Any]]) -> list[_Row]:
    """The rows that EvtxBatch makes of the events, without time and number."""
    batch = EvtxBatch()
    texts = [{"data": orjson.dumps({"Event": e}).decode(), "event_record_id": 1, "timestamp": ""} for e in events]
    for _ in batch.consume(iter(texts)):
        pass
    table, doubled = batch.build_told()
    if table.row_count != len(events):
        raise _Odd
    out: list[_Row] = [{} for _ in events]
    columns = {f"@{n}": c for n, c in table.columns.items() if n not in ("winlog.record_id", "event.timezone")}
    for name, column in (*columns.items(), *table.fields.items()):
        for row, value in zip(out, column.to_list(table.row_count), strict=True):
            if value is not None:
                row[name] = value
    for number in doubled:
        out[number][_TWICE] = ""        # no plan says which part has the name
    return out


def _read(records: list[_Record]) -> list[dict[str, Any]]:
    parser: Any = evtx.PyEvtxParser(io.BytesIO(log_of(records)), number_of_threads=1)
    found = [orjson.loads(record["data"])["Event"] for record in parser.records_json()]
    if len(found) != len(records):
        raise _Odd
    return found


# ---- writing a log with marks ---------------------------------------------------------------


_Record = tuple[bytes, dict[int, Any]]    # a template and its values: type, bytes; or 0x21, a template, its values


@dataclass(slots=True)
class _Outline:
    """The root element, the substitutions, and those that are fragments: (index, whether within UserData)."""

    root: str
    indexes: set[int]
    bodies: list[tuple[int, bool]]


def _outline(canonical: bytes) -> _Outline:
    at, tag = 0, False
    open_names: list[str] = []
    out = _Outline("", set(), [])
    while at < len(canonical):
        token = canonical[at]
        kind = token & 0xBF
        at += 1
        if kind in (0x01, 0x05, 0x06):
            at += 2 * (kind == 0x01)
            length = 2 * int.from_bytes(canonical[at:at + 2], "little")
            name = canonical[at + 2:at + 2 + length].decode("utf-16-le")
            at += 2 + length
            if kind == 0x01:
                out.root = out.root or name
                open_names.append(name)
                tag = True
        elif kind in (0x0D, 0x0E):
            index = int.from_bytes(canonical[at:at + 2], "little")
            if canonical[at + 2] == 0x21:
                if tag or open_names not in (["Event"], ["Event", "UserData"]) or index in out.indexes:
                    raise _Odd
                out.bodies.append((index, len(open_names) == 2))
            elif any(index == body for body, _ in out.bodies):
                raise _Odd
            out.indexes.add(index)
            at += 3
        else:
            tag = False
            if kind in (0x03, 0x04):
                open_names.pop()
    return out


def log_of(records: list[_Record]) -> bytes:
    """Chunks without tables of names and templates: in each record everything stands where it is used."""
    chunks: list[bytes] = []
    data = bytearray(_DATA_START)
    first = last = 0
    for number, (canonical, values) in enumerate(records, 1):
        record = _record(len(data), number, canonical, values)
        if len(data) + len(record) > CHUNK_BYTES:
            chunks.append(_sealed(data, first + 1, number - 1, last))
            data, first = bytearray(_DATA_START), number - 1
            record = _record(len(data), number, canonical, values)
            if len(data) + len(record) > CHUNK_BYTES:
                raise _Odd
        last = len(data)
        data += record
    chunks.append(_sealed(data, first + 1, len(records), last))
    start = struct.pack("<8s3QI4H76x", b"ElfFile\0", 0, len(chunks) - 1, len(records) + 1, 128, 1, 3, 4096, len(chunks))
    return (start + struct.pack("<II", 0, zlib.crc32(start))).ljust(4096, b"\0") + b"".join(chunks)


def _sealed(data: bytearray, first: int, last: int, last_offset: int) -> bytes:
    head = struct.pack("<8s4Q4I", b"ElfChnk\0", first, last, first, last, 128, last_offset, len(data),
                       zlib.crc32(data[_DATA_START:])).ljust(120, b"\0")
    data[:128] = head + struct.pack("<II", 0, zlib.crc32(data[128:_DATA_START], zlib.crc32(head)))
    return bytes(data).ljust(CHUNK_BYTES, b"\0")


def _record(place: int, number: int, canonical: bytes, values: dict[int, Any]) -> bytes:
    """A record that is to stand at `place` of its chunk."""
    data = bytearray(struct.pack("<4sIQQ", b"**\0\0", 0, number, 133_485_408_000_000_000))
    _instance(data, place, canonical, values)
    data += b"\0"
    data += bytes(-(len(data) + 4) % 8)
    data += struct.pack("<I", len(data) + 4)
    struct.pack_into("<I", data, 4, len(data))
    return bytes(data)


def _instance(data: bytearray, place: int, canonical: bytes, values: dict[int, Any]) -> None:
    here = place + len(data) + 14
    data += _FRAGMENT + struct.pack("<BBII", 0x0C, 1, 1, here) + struct.pack("<I16sI", 0, bytes(16), 0)
    definition, names = _rendered(canonical)
    for offset in names:
        struct.pack_into("<I", definition, offset, here + 24 + offset + 4)
    struct.pack_into("<I", data, len(data) - 4, len(definition))
    data += definition
    count = 1 + max(values, default=-1)
    data += struct.pack("<I", count)
    table = len(data)
    data += bytes(4 * count)
    for index in range(count):
        kind, raw, *nested = values.get(index, (0, b""))
        begin = len(data)
        if nested:
            _instance(data, place, raw, nested[0])
            data += b"\0"
        else:
            data += raw
        struct.pack_into("<HBB", data, table + 4 * index, len(data) - begin, kind, 0)


@lru_cache(maxsize=4)
def _parts(canonical: bytes) -> tuple[bytes, tuple[int, ...]]:
    data, names = bytearray(_FRAGMENT), list[int]()
    at = 0
    sizes: list[int] = []                 # where the byte counts of open elements stand
    attributes = 0                        # where that of the attribute list stands, 0 for none
    while at < len(canonical):
        token = canonical[at]
        kind = token & 0xBF
        if kind == 0x01:
            data += canonical[at:at + 3] + bytes(4)
            sizes.append(len(data))
            at = _name(data, names, canonical, at + 3)
            if token & 0x40:
                data += bytes(4)
                attributes = len(data)
        elif kind == 0x06:
            data.append(token)
            at = _name(data, names, canonical, at + 1)
        elif kind == 0x05:
            length = 2 * int.from_bytes(canonical[at + 1:at + 3], "little")
            data += bytes((token, 0x01)) + canonical[at + 1:at + 3 + length]
            at += 3 + length
        elif kind in (0x0D, 0x0E):
            data += canonical[at:at + 4]
            at += 4
        else:
            if attributes and kind in (0x02, 0x03):
                struct.pack_into("<I", data, attributes - 4, len(data) - attributes)
                attributes = 0
            data.append(token)
            at += 1
            if kind in (0x03, 0x04):
                start = sizes.pop()
                struct.pack_into("<I", data, start - 4, len(data) - start)
    return bytes(data) + b"\0", tuple(names)


def _rendered(canonical: bytes) -> tuple[bytearray, tuple[int, ...]]:
    """The definition as it stands in a chunk, and where in it the offsets of names stand: each is its own place."""
    data, names = _parts(canonical)
    return bytearray(data), names


def _name(data: bytearray, names: list[int], canonical: bytes, at: int) -> int:
    length = 2 * int.from_bytes(canonical[at:at + 2], "little")
    text = canonical[at + 2:at + 2 + length]
    names.append(len(data))
    data += struct.pack("<IIHH", 0, 0, name_hash(text), length // 2) + text + b"\0\0"
    return at + 2 + length


def name_hash(text: bytes) -> int:
    value = 0
    for unit in struct.unpack(f"<{len(text) // 2}H", text):
        value = (value * 65599 + unit) & 0xFFFFFFFF
    return value & 0xFFFF


def _element(name: str, *parts: bytes) -> bytes:
    raw = name.encode("utf-16-le")
    return b"\x01\xff\xff" + struct.pack("<H", len(name)) + raw + b"\x02" + b"".join(parts) + b"\x04"


_SYSTEM = _element("System", *(_element(name, b"\x05\x01\x00" + b"1\x00") for name in ("EventID", "Channel")))
_FRAGMENT_HERE = b"\x0e\x00\x00\x21"
# What stands around a body while it is asked about.
_STANDARD = _element("Event", _SYSTEM, _FRAGMENT_HERE)
_IN_USER_DATA = _element("Event", _SYSTEM, _element("UserData", _FRAGMENT_HERE))
