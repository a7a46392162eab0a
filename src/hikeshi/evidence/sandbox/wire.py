"""Frames on the pipe between parent and child; what a child says is read as data only.

A frame is a length (8 bytes, little endian) and a pickle. The parent trusts nothing in it: the
only name the pickle machine can look up is `make`, and what it gets is an object that cannot
be altered or subclassed, only asked to build a value from a name on a short list and plain
arguments. No class and no function of the parent is ever in the machine's hands.

What may cross: None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set,
frozenset, range, slice, Counter, OrderedDict, defaultdict, deque; datetime, date, time,
timedelta, timezone, ZoneInfo; Decimal; IP addresses; paths; numpy arrays and scalars without
objects; and from Hikeshi's own modules (MODULES) dataclasses, named tuples, enums, errors.
Dataclasses are rebuilt field by field, without their __init__.

Left over: a hostile child can send deeply nested or oddly typed values. They are data, at worst
an exception or too much memory in the parent (FRAME_LIMIT bounds the bytes).
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import io
import pickle
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import IO, Any, NoReturn
from zoneinfo import ZoneInfo

from hikeshi.errors import ChildKilled, HikeshiError, Location

FRAME_LIMIT = 2**30
MODULES = ("hikeshi.errors", "hikeshi.model", "hikeshi.events", "hikeshi.evidence", "hikeshi.indicators",
           "hikeshi.parse", "hikeshi.detect", "hikeshi.sweep", "hikeshi.identify", "hikeshi.trace",
           "hikeshi.malware", "hikeshi.triage")
_LENGTH = struct.Struct("<Q")
# Built by calling them with the arguments their own __reduce__ gives; none has a side effect.
_BY_CALL: dict[str, Callable[..., Any]] = {
    f"{kind.__module__}.{kind.__name__}": kind
    for kind in (complex, range, slice, datetime, date, time, timedelta, timezone, Decimal,
                 IPv4Address, IPv4Network, IPv6Address, IPv6Network)
}
_FACTORIES = {"list": list, "dict": dict, "set": set, "int": int, "float": float, "str": str}
_ARRAY_KINDS = "biufcmMSU"


class Refused(ChildKilled):
    """A child sent something that is not plain data."""


# --------------------------------------------------------------------------------- frames


def write_frame(out: IO[bytes], data: bytes) -> None:
    out.write(_LENGTH.pack(len(data)))
    out.write(data)
    out.flush()


def read_frame(source: IO[bytes], limit: int = FRAME_LIMIT) -> bytes | None:
    """The next frame, None at the end of the stream; raises Refused if it claims too much."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise Refused(f"the parsing child sent an answer of {length:,} bytes, more than the {limit:,} allowed",
                      hint="this file is listed as not read; the others are not affected")
    data = source.read(length)
    return data if len(data) == length else None


# --------------------------------------------------------------------------------- writing


def dump(value: Any) -> bytes:
    """A pickle that `load` will read; raises TypeError naming the first type that may not cross."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(value)
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if obj is make:
            return NotImplemented
        described = _describe(obj)
        if described is None:
            kind = type(obj)
            raise TypeError(f"a {kind.__module__}.{kind.__qualname__} cannot leave the parsing child; "
                            "return dataclasses, arrays and plain values")
        return make, described


def _describe(obj: Any) -> tuple[Any, ...] | None:
    """Name and arguments from which `make` builds an equal value; None if it may not cross."""
    kind = type(obj)
    name = f"{kind.__module__}.{kind.__name__}"
    if is_ours(kind.__module__):
        return _describe_ours(obj, kind)
    if kind is complex:
        return name, obj.real, obj.imag
    if name in _BY_CALL:
        return (name, *obj.__reduce_ex__(5)[1])
    if isinstance(obj, PurePath):
        flavour = "windows" if isinstance(obj, PureWindowsPath) else "posix"
        return "path", flavour, isinstance(obj, Path), str(obj)
    if kind is ZoneInfo and obj.key:
        return "zone", obj.key
    if kind is Counter or kind is OrderedDict:
        return kind.__name__, dict(obj)
    if kind is deque:
        return "deque", list(obj), obj.maxlen
    if kind is defaultdict and obj.default_factory in _FACTORIES.values():
        return "defaultdict", obj.default_factory.__name__, dict(obj)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(obj, numpy.ndarray | numpy.generic) and obj.dtype.kind in _ARRAY_KINDS:
        shape = obj.shape if isinstance(obj, numpy.ndarray) else None
        return "array", obj.dtype.str, shape, bytearray(numpy.ascontiguousarray(obj).tobytes())
    return None


def _describe_ours(obj: Any, kind: type) -> tuple[Any, ...] | None:
    where = f"{kind.__module__}:{kind.__qualname__}"
    if isinstance(obj, HikeshiError):
        return "error", where, obj.what, obj.source, obj.hint
    if isinstance(obj, enum.Enum):
        return "enum", where, obj.value
    if isinstance(obj, tuple) and hasattr(kind, "_fields"):
        return "named", where, tuple(obj)
    if dataclasses.is_dataclass(obj):
        return "record", where, tuple([getattr(obj, name) for name in _field_names(kind)])
    return None


@lru_cache(maxsize=1024)
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


@lru_cache(maxsize=1024)
def is_ours(module: str) -> bool:
    """Whether records of this module may cross: one of MODULES or inside one, nothing private."""
    return any(module == m or module.startswith(m + ".") for m in MODULES) and "._" not in module


# --------------------------------------------------------------------------------- reading


def load(data: bytes) -> Any:
    """The value in a frame; raises Refused for anything that is not on the list above."""
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001  hostile bytes can raise anything: all of it means "refused"
        raise Refused(f"the parsing child's answer could not be read ({type(error).__name__}: {_short(error)})",
                      hint="this file is listed as not read; the others are not affected") from None


def _short(error: Exception) -> str:
    return "".join(c if c.isprintable() else " " for c in str(error))[:200]


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) != (__name__, "make"):
            _refuse(f"{module}.{name}")
        return _MAKER

    def persistent_load(self, _: Any) -> NoReturn:
        _refuse("a persistent id")


def _refuse(what: str) -> NoReturn:
    clean = "".join(c if c.isprintable() else "?" for c in what)[:120]
    raise Refused(f"the parsing child's answer asked for {clean}, which is not plain data",
                  hint="treat the file as hostile; it is listed as not read")


class _Maker:
    """`make` as the pickle machine sees it: callable, without attributes, closed to BUILD."""

    __slots__ = ()

    def __call__(self, name: str, *arguments: Any) -> Any:
        return make(name, *arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        _refuse(f"changing {name}")

    def __setstate__(self, state: Any) -> NoReturn:
        _refuse("changing the reader")


_MAKER = _Maker()


def make(name: str, *arguments: Any) -> Any:
    """Build one value from its name and plain arguments."""
    if type(name) is not str:
        _refuse("a value without a name")
    plain = _BY_CALL.get(name)
    if plain is not None:
        return plain(*arguments)
    builder = _BUILDERS.get(name)
    if builder is None:
        _refuse(name)
    return builder(*arguments)


@lru_cache(maxsize=1024)
def _our_class(where: str) -> type:
    module, _, name = where.partition(":")
    if not is_ours(module) or not name.isidentifier() or name.startswith("__"):
        _refuse(where)
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, type) or found.__module__ != module:
        _refuse(where)
    return found


def _record(where: str, values: tuple[Any, ...]) -> Any:
    kind = _our_class(where)
    if not dataclasses.is_dataclass(kind) or issubclass(kind, BaseException):
        _refuse(where)
    names = _field_names(kind)
    if len(names) != len(values):
        _refuse(f"{where} with {len(values)} fields")
    out = object.__new__(kind)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(out, name, value)
    return out


def _named(where: str, values: tuple[Any, ...]) -> Any:
    kind = _our_class(where)
    if not (issubclass(kind, tuple) and len(getattr(kind, "_fields", ())) == len(values)):
        _refuse(where)
    return tuple.__new__(kind, values)


def _enum(where: str, value: Any) -> Any:
    kind = _our_class(where)
    if not issubclass(kind, enum.Enum):
        _refuse(where)
    return kind(value)


def _error(where: str, what: Any, source: Any, hint: Any) -> HikeshiError:
    kind = _our_class(where)
    if not issubclass(kind, HikeshiError) or not (source is None or isinstance(source, Location)):
        _refuse(where)
    return kind(str(what), source=source, hint=None if hint is None else str(hint))


def _path(flavour: str, concrete: bool, text: str) -> PurePath:
    if concrete and (flavour == "windows") == (sys.platform == "win32"):
        return Path(text)
    return PureWindowsPath(text) if flavour == "windows" else PurePosixPath(text)


def _array(dtype: str, shape: tuple[int, ...] | None, data: bytearray) -> Any:
    import numpy as np

    kind = np.dtype(str(dtype))
    if kind.kind not in _ARRAY_KINDS or kind.hasobject:
        _refuse(f"an array of {dtype}")
    if not kind.itemsize:
        return np.zeros(shape or (), kind)
    flat = np.frombuffer(data, kind)
    return flat[0] if shape is None else flat.reshape(shape)


_BUILDERS: dict[str, Callable[..., Any]] = {
    "record": _record, "named": _named, "enum": _enum, "error": _error, "path": _path, "array": _array,
    "zone": lambda key: ZoneInfo(str(key)),
    "Counter": lambda items: Counter(dict(items)),
    "OrderedDict": lambda items: OrderedDict(dict(items)),
    "deque": lambda items, maxlen: deque(list(items), maxlen),
    "defaultdict": lambda factory, items: defaultdict(_FACTORIES[factory], dict(items)),
}
