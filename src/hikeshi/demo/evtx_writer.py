"""Windows event logs (.evtx), written from scratch as Windows writes them.

    writer = EvtxWriter()
    writer.add(template, computer="FS01.kaede.example", time=1_790_000_000_000_000, values=[...])
    path.write_bytes(writer.to_bytes())

A file is a header and chunks of 64 KiB. A chunk holds its own element names (chained in 64 buckets)
and template definitions (chained in 32): the first record that needs one carries it, later records
of the chunk point to its offset. A record is one instance of the System template whose substitution 17
is a nested fragment: EventData or UserData, with a template of its own.

Source of the layout: Joachim Metz, "Windows XML Event Log (EVTX) format", and real files.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from hikeshi.errors import OutputError

CHUNK_SIZE = 65536
_DATA_START = 512
_FILETIME_EPOCH_US = 11_644_473_600_000_000  # 1601 to 1970
_EVENT_XMLNS = "http://schemas.microsoft.com/win/2004/08/events/event"
_FRAGMENT = b"\x0f\x01\x01\x00"
_END_OF_STREAM, _CLOSE_START, _CLOSE_EMPTY, _END_ELEMENT = b"\x00", b"\x02", b"\x03", b"\x04"

# Substitutions of the System template, numbered as Windows numbers them.
_LEVEL, _OPCODE, _TASK, _EVENT_ID, _QUALIFIERS, _KEYWORDS, _TIME, _ACTIVITY, _PID, _TID = range(10)
_RECORD_ID, _VERSION, _USER, _RELATED, _PROVIDER, _PROVIDER_GUID, _CHANNEL, _BODY = range(10, 18)

# name: the type byte of the binary XML
VALUE_TYPES = {
    "string": 0x01, "uint8": 0x04, "uint16": 0x06, "uint32": 0x08, "uint64": 0x0A, "boolean": 0x0D,
    "binary": 0x0E, "guid": 0x0F, "size": 0x10, "filetime": 0x11, "sid": 0x13, "hex32": 0x14, "hex64": 0x15,
}
_NULL, _FRAGMENT_TYPE = 0x00, 0x21
_STRING = VALUE_TYPES["string"]


@dataclass(frozen=True, slots=True)
class Template:
    """One kind of event: the constant part of its System element, and its fields.

    `fields` are (name, type) with the types of VALUE_TYPES; a field of type "binary" becomes the
    Binary element. `user_data` is (element, xmlns): the fields become its children instead of
    EventData/Data. `source_name` set: provider name and GUID are written as literal text, as the
    service control manager and the event log service do.
    """

    provider: str
    guid: str
    channel: str
    event_id: int
    fields: tuple[tuple[str, str], ...]
    version: int = 0
    level: int = 0
    task: int = 0
    opcode: int = 0
    keywords: int = 0
    qualifiers: int | None = None
    literal_provider: bool = False
    source_name: str | None = None
    user_data: tuple[str, str] | None = None


Value = str | int | bytes | bool | None


@dataclass(frozen=True, slots=True)
class _Substitution:
    index: int
    type: int
    optional: bool


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    attributes: tuple[tuple[str, str | _Substitution], ...] = ()
    children: tuple[_Element | _Substitution | str, ...] = ()
    dependency: int = 0xFFFF


@dataclass(frozen=True, slots=True)
class _Definition:
    """A template with its GUID, its tree and the most bytes it can take in a chunk."""

    guid: bytes
    id: int
    root: _Element
    largest: int


@dataclass(slots=True)
class _Chunk:
    first_record: int
    data: bytearray = field(default_factory=lambda: bytearray(_DATA_START))
    names: dict[str, int] = field(default_factory=dict)
    name_heads: list[int] = field(default_factory=lambda: [0] * 64)
    templates: dict[bytes, int] = field(default_factory=dict)
    template_heads: list[int] = field(default_factory=lambda: [0] * 32)
    last_offset: int = _DATA_START

    def sealed(self, first_id: int, last_id: int) -> bytes:
        """The 64 KiB of the chunk with its three checksums."""
        end = len(self.data)
        tables = struct.pack("<64I32I", *self.name_heads, *self.template_heads)
        head = struct.pack("<8sQQQQIIII", b"ElfChnk\0", first_id, last_id, first_id, last_id, 128,
                           self.last_offset, end, zlib.crc32(self.data[_DATA_START:]))
        head = head.ljust(120, b"\0")
        head += struct.pack("<II", 0, zlib.crc32(tables, zlib.crc32(head)))
        self.data[:_DATA_START] = head + tables
        return bytes(self.data).ljust(CHUNK_SIZE, b"\0")


class EvtxWriter:
    """Collects records, oldest first, and gives the bytes of the file."""

    def __init__(self, *, first_record_id: int = 1) -> None:
        self._next_id = first_record_id
        self._chunks: list[bytes] = []
        self._chunk = _Chunk(first_record_id)
        self._last_time = 0

    def add(self, template: Template, *, computer: str, time: int, values: Sequence[Value], process_id: int = 4,
            thread_id: int = 4, user: str | None = None, activity: str | None = None) -> int:
        """Append one record and return its record id.

        `time` in microseconds since 1970 UTC. `user` a SID, `activity` a GUID. A value of None is
        the null type, which readers show as an empty element.
        Raises OutputError for a value that does not fit its type or a record larger than a chunk.
        """
        if len(values) != len(template.fields):
            raise OutputError(f"event {template.event_id} has {len(template.fields)} fields, got {len(values)} values")
        system, body = _system_definition(computer, _literal(template)), _body_definition(template)
        body_values = _encode_values(_field_types(template), values)
        largest = (64 + len(body_values) + system.largest + body.largest + 400
                   + 2 * (len(template.provider) + len(template.channel)))
        if len(self._chunk.data) + largest > CHUNK_SIZE:
            if largest > CHUNK_SIZE - _DATA_START:
                raise OutputError("the record does not fit into a chunk of 64 KiB",
                                  hint="shorten its longest string to 30,000 characters or less")
            self._seal()
        record_id = self._next_id
        self._append(template, system, body, body_values, record_id, time, process_id, thread_id, user, activity)
        self._next_id += 1
        return record_id

    def _append(self, template: Template, system: _Definition, body: _Definition, body_values: bytes, record_id: int,
                time: int, process_id: int, thread_id: int, user: str | None, activity: str | None) -> None:
        chunk = self._chunk
        data = chunk.data
        start = len(data)
        filetime = (time + _FILETIME_EPOCH_US) * 10
        data += struct.pack("<4sIQQ", b"**\0\0", 0, record_id, filetime)
        data += _FRAGMENT
        _instance(chunk, system)

        # The length of the nested fragment is known only after it is placed: a definition it
        # carries depends on which names the chunk already has.
        head, tail = _system_values(template, record_id, filetime, process_id, thread_id, user, activity)
        length_at = len(data) + 4 + 4 * _BODY
        data += head + tail
        body_start = len(data)
        data += _FRAGMENT
        _instance(chunk, body)
        data += body_values
        data += _END_OF_STREAM
        struct.pack_into("<H", data, length_at, len(data) - body_start)
        data += _END_OF_STREAM
        data += b"\0" * (-(len(data) + 4 - start) % 8)
        size = len(data) + 4 - start
        data += struct.pack("<I", size)
        struct.pack_into("<I", data, start + 4, size)
        chunk.last_offset = start

    def _seal(self) -> None:
        self._chunks.append(self._chunk.sealed(self._chunk.first_record, self._next_id - 1))
        self._chunk = _Chunk(self._next_id)

    def to_bytes(self) -> bytes:
        """The whole file: header, sealed chunks, clean flags. Nothing can be added afterwards."""
        if self._next_id > self._chunk.first_record:
            self._seal()
        count = len(self._chunks)
        head = struct.pack("<8sQQQIHHHH", b"ElfFile\0", 0, max(count - 1, 0), self._next_id, 128, 1, 3, 4096, count)
        head = head.ljust(120, b"\0")
        head += struct.pack("<II", 0, zlib.crc32(head))
        return head.ljust(4096, b"\0") + b"".join(self._chunks)


# --- values -----------------------------------------------------------------------------------


def sid_bytes(sid: str) -> bytes:
    """The binary form of "S-1-5-21-…"."""
    parts = [int(p) for p in sid.split("-")[1:]]
    return struct.pack(">BBHI", parts[0], len(parts) - 2, parts[1] >> 32, parts[1] & 0xFFFFFFFF) + struct.pack(
        f"<{len(parts) - 2}I", *parts[2:])


_sid = lru_cache(maxsize=4096)(sid_bytes)


@lru_cache(maxsize=4096)
def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le


@lru_cache(maxsize=65536)
def _short_text(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _text(text: str) -> bytes:
    return _short_text(text) if len(text) < 200 else text.encode("utf-16-le", "surrogatepass")


_ENCODERS: dict[int, Callable[..., bytes]] = {
    VALUE_TYPES["string"]: _text,
    VALUE_TYPES["uint8"]: struct.Struct("<B").pack,
    VALUE_TYPES["uint16"]: struct.Struct("<H").pack,
    VALUE_TYPES["uint32"]: struct.Struct("<I").pack,
    VALUE_TYPES["uint64"]: struct.Struct("<Q").pack,
    VALUE_TYPES["boolean"]: struct.Struct("<I").pack,
    VALUE_TYPES["binary"]: bytes,
    VALUE_TYPES["guid"]: _guid,
    VALUE_TYPES["size"]: struct.Struct("<Q").pack,
    VALUE_TYPES["filetime"]: lambda time: struct.pack("<Q", (time + _FILETIME_EPOCH_US) * 10),
    VALUE_TYPES["sid"]: _sid,
    VALUE_TYPES["hex32"]: struct.Struct("<I").pack,
    VALUE_TYPES["hex64"]: struct.Struct("<Q").pack,
}


@lru_cache(maxsize=4096)
def _field_types(template: Template) -> tuple[int, ...]:
    return tuple(VALUE_TYPES[kind] for _, kind in template.fields)


def _encode_values(types: Sequence[int], values: Sequence[Value]) -> bytes:
    """Count, descriptors (size, type) and the values themselves."""
    encoded: list[bytes] = []
    descriptors: list[int] = [len(values)]
    encoders = _ENCODERS
    for kind, value in zip(types, values, strict=True):
        if value is None:
            descriptors.append(_NULL << 16)
            continue
        try:
            raw = encoders[kind](value)
        except (struct.error, TypeError, ValueError, AttributeError) as error:
            raise OutputError(f"{value!r} is no value of type 0x{kind:02x}: {error}") from error
        encoded.append(raw)
        descriptors.append(len(raw) | kind << 16)
    return struct.pack(f"<{len(descriptors)}I", *descriptors) + b"".join(encoded)


_SYSTEM_FIXED = struct.Struct("<18I")


def _system_values(template: Template, record_id: int, filetime: int, process_id: int, thread_id: int,
                   user: str | None, activity: str | None) -> tuple[bytes, bytes]:
    constant, after_time, provider, guid, channel = _system_constants(template)
    user_raw = _sid(user) if user else b""
    activity_raw = _guid(activity) if activity else b""
    descriptors = [18, *constant]
    descriptors[1 + _ACTIVITY] = len(activity_raw) | (VALUE_TYPES["guid"] << 16 if activity else 0)
    descriptors[1 + _USER] = len(user_raw) | (VALUE_TYPES["sid"] << 16 if user else 0)
    body = b"".join((
        after_time, struct.pack("<Q", filetime), activity_raw,
        struct.pack("<IIQB", process_id, thread_id, record_id, template.version), user_raw,
        provider, guid, channel))
    return struct.pack("<19I", *descriptors), body


@lru_cache(maxsize=4096)
def _system_constants(template: Template) -> tuple[tuple[int, ...], bytes, bytes, bytes, bytes]:
    provider = b"" if template.literal_provider else _text(template.provider)
    guid = b"" if template.literal_provider else _guid(template.guid)
    channel = _text(template.channel)
    types = VALUE_TYPES
    descriptors = [
        1 | types["uint8"] << 16, 1 | types["uint8"] << 16, 2 | types["uint16"] << 16, 2 | types["uint16"] << 16,
        0 if template.qualifiers is None else 2 | types["uint16"] << 16,
        8 | types["hex64"] << 16, 8 | types["filetime"] << 16, 0,
        4 | types["uint32"] << 16, 4 | types["uint32"] << 16, 8 | types["uint64"] << 16, 1 | types["uint8"] << 16,
        0, 0,
        len(provider) | (_STRING << 16 if provider else 0), len(guid) | (types["guid"] << 16 if guid else 0),
        len(channel) | _STRING << 16, _FRAGMENT_TYPE << 16,
    ]
    fixed = struct.pack("<BBHH", template.level, template.opcode, template.task, template.event_id)
    if template.qualifiers is not None:
        fixed += struct.pack("<H", template.qualifiers)
    return tuple(descriptors), fixed + struct.pack("<Q", template.keywords), provider, guid, channel


# --- templates --------------------------------------------------------------------------------


def _literal(template: Template) -> tuple[str, str, str | None] | None:
    return (template.provider, template.guid, template.source_name) if template.literal_provider else None


@lru_cache(maxsize=1024)
def _system_definition(computer: str, literal: tuple[str, str, str | None] | None) -> _Definition:
    def sub(index: int, kind: str) -> _Substitution:
        return _Substitution(index, VALUE_TYPES[kind], optional=True)

    def one(name: str, index: int, kind: str) -> _Element:
        return _Element(name, children=(sub(index, kind),), dependency=index)

    provider: list[tuple[str, str | _Substitution]]
    if literal is None:
        provider = [("Name", sub(_PROVIDER, "string")), ("Guid", sub(_PROVIDER_GUID, "guid"))]
    else:
        provider = [("Name", literal[0]), ("Guid", "{" + literal[1].lower() + "}")]
        if literal[2] is not None:
            provider.append(("EventSourceName", literal[2]))
    system = _Element("System", children=(
        _Element("Provider", tuple(provider)),
        _Element("EventID", (("Qualifiers", sub(_QUALIFIERS, "uint16")),), (sub(_EVENT_ID, "uint16"),), _EVENT_ID),
        one("Version", _VERSION, "uint8"),
        one("Level", _LEVEL, "uint8"),
        one("Task", _TASK, "uint16"),
        one("Opcode", _OPCODE, "uint8"),
        one("Keywords", _KEYWORDS, "hex64"),
        _Element("TimeCreated", (("SystemTime", sub(_TIME, "filetime")),)),
        one("EventRecordID", _RECORD_ID, "uint64"),
        _Element("Correlation", (("ActivityID", sub(_ACTIVITY, "guid")),
                                 ("RelatedActivityID", sub(_RELATED, "guid")))),
        _Element("Execution", (("ProcessID", sub(_PID, "uint32")), ("ThreadID", sub(_TID, "uint32")))),
        one("Channel", _CHANNEL, "string"),
        _Element("Computer", children=(computer,)),
        _Element("Security", (("UserID", sub(_USER, "sid")),)),
    ))
    root = _Element("Event", (("xmlns", _EVENT_XMLNS),),
                    (system, _Substitution(_BODY, _FRAGMENT_TYPE, optional=True)))
    return _definition(root)


@lru_cache(maxsize=8192)
def _body_definition(template: Template) -> _Definition:
    types = _field_types(template)

    def value(index: int) -> _Substitution:
        return _Substitution(index, types[index], optional=False)

    if template.user_data is not None:
        name, xmlns = template.user_data
        inner = tuple(_Element(f, children=(value(i),)) for i, (f, _) in enumerate(template.fields))
        return _definition(_Element("UserData", children=(_Element(name, (("xmlns", xmlns),), inner),)))
    return _definition(_Element("EventData", children=tuple(
        _Element("Binary", children=(value(i),)) if kind == "binary"
        else _Element("Data", (("Name", f),), (value(i),))
        for i, (f, kind) in enumerate(template.fields))))


def _definition(root: _Element) -> _Definition:
    # The same tree must get the same GUID in every run.
    guid = uuid.uuid5(uuid.NAMESPACE_OID, repr(root)).bytes_le
    return _Definition(guid, int.from_bytes(guid[:4], "little"), root, _largest(root) + 40)


def _largest(element: _Element) -> int:
    size = 32 + 2 * len(element.name)
    for name, value in element.attributes:
        size += 24 + 2 * len(name) + (2 * len(value) if isinstance(value, str) else 0)
    for child in element.children:
        if isinstance(child, _Element):
            size += _largest(child)
        else:
            size += 4 + (2 * len(child) if isinstance(child, str) else 0)
    return size


def _instance(chunk: _Chunk, definition: _Definition) -> None:
    """A template instance; the definition follows it where the chunk has none yet."""
    data = chunk.data
    known = chunk.templates.get(definition.guid)
    if known is not None:
        data += struct.pack("<BBII", 0x0C, 1, definition.id, known)
        return
    offset = len(data) + 10
    data += struct.pack("<BBII", 0x0C, 1, definition.id, offset)
    bucket = definition.id % 32
    data += struct.pack("<I16sI", chunk.template_heads[bucket], definition.guid, 0)
    chunk.template_heads[bucket] = offset
    chunk.templates[definition.guid] = offset
    start = len(data)
    data += _FRAGMENT
    _render(chunk, definition.root)
    data += _END_OF_STREAM
    struct.pack_into("<I", data, start - 4, len(data) - start)


def _render(chunk: _Chunk, element: _Element) -> None:
    data = chunk.data
    data += struct.pack("<BHI", 0x41 if element.attributes else 0x01, element.dependency, 0)
    start = len(data)
    _name(chunk, element.name)
    if element.attributes:
        data += b"\0\0\0\0"
        list_start = len(data)
        last = len(element.attributes) - 1
        for number, (name, value) in enumerate(element.attributes):
            data.append(0x06 if number == last else 0x46)
            _name(chunk, name)
            _content(data, value)
        struct.pack_into("<I", data, list_start - 4, len(data) - list_start)
    if element.children:
        data += _CLOSE_START
        for child in element.children:
            if isinstance(child, _Element):
                _render(chunk, child)
            else:
                _content(data, child)
        data += _END_ELEMENT
    else:
        data += _CLOSE_EMPTY
    struct.pack_into("<I", data, start - 4, len(data) - start)


def _content(data: bytearray, value: str | _Substitution) -> None:
    if isinstance(value, str):
        data += struct.pack("<BBH", 0x05, 0x01, len(_text(value)) // 2) + _text(value)
    else:
        data += struct.pack("<BHB", 0x0E if value.optional else 0x0D, value.index, value.type)


def _name(chunk: _Chunk, name: str) -> None:
    """An element or attribute name: its offset, and the name itself at first use in the chunk."""
    data = chunk.data
    known = chunk.names.get(name)
    if known is not None:
        data += struct.pack("<I", known)
        return
    offset = len(data) + 4
    value = _name_hash(name)
    raw = name.encode("utf-16-le")
    data += struct.pack("<IIHH", offset, chunk.name_heads[value % 64], value, len(raw) // 2) + raw + b"\0\0"
    chunk.name_heads[value % 64] = offset
    chunk.names[name] = offset


@lru_cache(maxsize=4096)
def _name_hash(name: str) -> int:
    value = 0
    for unit in name:
        value = (value * 65599 + ord(unit)) & 0xFFFFFFFF
    return value & 0xFFFF
