from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import tempfile
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hikeshi.errors import ChildKilled, DamagedInput, Location
from hikeshi.events.table import EventTable, Reject, encode
from hikeshi.evidence.sandbox import Protection, Task, run, wire
from hikeshi.evidence.source import Source
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.model.tlp import Tlp

HERE = Path(__file__).parent
OWNED = Path(tempfile.gettempdir()) / f"hikeshi-owned-{os.getpid():010}"
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner), max_leaves=20)


@given(plain)
def test_plain_values_cross_unchanged(value: Any) -> None:
    assert wire.load(wire.dump(value)) == value


@pytest.mark.parametrize("value", [
    RecordRef("a", "b", line=3), Source(Path("/x/y"), "y", "0" * 64, 5, problems=("a",)), Text("あ", "a"), Tlp.RED,
    Protection(rlimits=True), Reject("why", line=1), {1, 2}, frozenset("ab"), bytearray(b"x"), 1 + 2j, range(3), slice(1, 2),
    Counter("aab"), OrderedDict(b=1, a=2), defaultdict(list, {"a": [1]}), deque([1, 2], 5),
    datetime(2026, 1, 2, 3, 4, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=ZoneInfo("Asia/Tokyo")), date(2026, 1, 2),
    timedelta(seconds=3), timezone(timedelta(hours=9)), ZoneInfo("Asia/Tokyo"), Decimal("1.50"),
    ip_address("192.0.2.1"), ip_network("2001:db8::/32"), Path("/a/b"), PurePosixPath("a"), PureWindowsPath("C:\\a"),
    "lone \udc80 surrogate"], ids=lambda v: type(v).__name__)
def test_records_and_values_keep_type_and_content(value: Any) -> None:
    back = wire.load(wire.dump([value, value]))
    assert back == [value, value] and type(back[0]) is type(value)


@pytest.mark.parametrize("array", [
    np.arange(6, dtype=np.int32).reshape(2, 3), np.array([True, False]), np.array(["あ", "b"]), np.array([], dtype=np.int64),
    np.array(["2026-01-01"], dtype="datetime64[us]"), np.arange(10)[::2], np.zeros((0, 3)), np.array([1.5, np.nan])])
def test_arrays_cross_and_can_be_written_to(array: np.ndarray[Any, Any]) -> None:
    back = wire.load(wire.dump(array))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype and back.shape == array.shape and back.flags.writeable


def test_numpy_scalars_keep_their_type() -> None:
    back = wire.load(wire.dump(np.int64(7)))
    assert back == 7 and type(back) is np.int64


def test_an_event_table_crosses() -> None:
    table = EventTable(2, np.array([1, 2]), {"host.name": encode(["a", "b"])}, {"x": encode(["1"], np.array([1], np.int32))},
                       [Reject("bad", line=3)])
    assert list(wire.load(wire.dump(table)).iter_rows()) == list(table.iter_rows())


def test_errors_cross_with_place_and_hint() -> None:
    error = wire.load(wire.dump(DamagedInput("broken", source=Location("a", line=3), hint="try")))
    assert (type(error), error.what, error.source, error.hint) == (DamagedInput, "broken", Location("a", line=3), "try")


@pytest.mark.parametrize("value", [
    lambda: 1, open, os.system, object(), io.StringIO(), np.array([object()], dtype=object), Task, type, sys, (i for i in "a"),
    defaultdict(lambda: 1), ValueError("x"), int])
def test_what_is_not_data_is_not_written(value: Any) -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        wire.dump(value)


# ------------------------------------------------------------------------------ hostile pickles


class Evil:
    """Pickles to a call of anything with anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def by_name(module: str, name: str) -> bytes:
    """A pickle that looks a name up, as protocol 4 does: dots reach into things."""
    return b"\x80\x04" + b"".join(b"\x8c" + bytes([len(p)]) + p.encode() for p in (module, name)) + b"\x93."


def make_call(*arguments: Any) -> bytes:
    """The one call that is allowed, with arguments of the attacker's choice."""
    out = io.BytesIO()
    pickler = pickle.Pickler(out, protocol=5)
    pickler.dump(Evil(wire.make, *arguments))
    return out.getvalue()


# Named by length: the first frame differs from process to process.
@pytest.mark.parametrize("frame", ids=lambda frame: f"{len(frame)} bytes", argvalues=[
    pickle.dumps(Evil(os.system, f"touch {OWNED}")),
    pickle.dumps(Evil(eval, "1+1")), pickle.dumps(Evil(exec, "x=1")), pickle.dumps(Evil(getattr, "a", "upper")),
    pickle.dumps(Evil(os.system, "true"), protocol=0), pickle.dumps(Evil(__import__, "os")),
    pickle.dumps(RecordRef("a", "b", line=1)), pickle.dumps(np.arange(3)), pickle.dumps(Path("/a")),
    by_name("hikeshi.evidence.sandbox.pool", "run"),
    by_name("hikeshi.evidence.sandbox.pool", "subprocess.Popen"),
    by_name("hikeshi.evidence.sandbox.wire", "make.__globals__"),
    by_name("hikeshi.evidence.sandbox.wire", "importlib.import_module"),
    by_name("hikeshi.errors", "HikeshiError"), by_name("builtins", "list"),
    b"cos\nsystem\n(S'true'\ntR.", b"(S'true'\nios\nsystem\n.", b"\x80\x02\x82\x01.", b"Pid\n.", b"",
    b"garbage", b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", b"\x80\x04]\x94(" + b"]" * 100])
def test_a_pickle_that_names_anything_else_is_refused(frame: bytes) -> None:
    with pytest.raises(wire.Refused):
        wire.load(frame)
    assert not OWNED.exists()


@pytest.mark.parametrize("arguments", [
    ("os.system", "true"), ("builtins.eval", "1"), ("record", "os:stat_result", (1,)),
    ("record", "hikeshi.evidence.sandbox.pool:_Pool", ()), ("record", "hikeshi.model.evidence:RecordRef", ("too few",)),
    ("record", "hikeshi.model.evidence:field", ()), ("record", "hikeshi.remote.client:Client", ()),
    ("record", "hikeshi.cli.main:Options", ()), ("record", "hikeshi.errors:HikeshiError", ()),
    ("record", "hikeshi.model.evidence:RecordRef.__init__", ()), ("record", "hikeshi.model._secret:X", ()),
    ("record", "hikeshi.modelled:X", ()), ("record", ["hikeshi.model"], ()), ("record", "subprocess:Popen", (["true"],)),
    ("named", "hikeshi.model.text:Text", ("only one",)), ("named", "hikeshi.model.evidence:RecordRef", ("a", "b", 1, 2)),
    ("enum", "hikeshi.model.text:Text", "TLP:RED"), ("enum", "hikeshi.model.tlp:Tlp", "TLP:PINK"),
    ("error", "hikeshi.model.tlp:Tlp", "a", None, None), ("error", "hikeshi.errors:UsageError", "a", "not a place", None),
    ("array", "O", (1,), bytearray(8)), ("array", "i4", (10**9,), bytearray(4)), ("array", "U9999999999", None, bytearray(1)),
    ("zone", "../../etc/passwd"), ("defaultdict", "eval", {}), ("path",), (1, 2), (), (None,)])
def test_the_one_allowed_call_builds_nothing_but_data(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(wire.Refused):
        wire.load(make_call(*arguments))


def test_the_reader_cannot_be_altered_by_a_pickle() -> None:
    head = b"\x80\x04\x8c\x1dhikeshi.evidence.sandbox.wire\x8c\x04make\x93"
    assert wire.load(head + b".") is not None
    for state in (b"}\x8c\x01a\x8c\x01bsb", b"N}\x8c\x05_MAKE\x8c\x01bs\x86b"):  # BUILD with a dict, with slots
        with pytest.raises(wire.Refused):
            wire.load(head + state + b".")
    with pytest.raises(wire.Refused):  # NEWOBJ wants a class
        wire.load(head + b")\x81.")


def test_a_frame_longer_than_the_limit_is_not_read() -> None:
    stream = io.BytesIO(struct.pack("<Q", 2**62) + b"x")
    with pytest.raises(wire.Refused, match="allowed"):
        wire.read_frame(stream)
    assert wire.read_frame(io.BytesIO(b"\x05\0\0\0\0\0\0\0abc")) is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the taken-over child finds its pipe in /proc")
@pytest.mark.parametrize("said", ["code", "length", "shape", "noise"])
def test_a_taken_over_child_cannot_reach_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    owned = tmp_path / "owned"
    evil = pickle.dumps(Evil(os.system, f"touch {owned}"))
    inner = wire.dump(("done", evil, None, 0.0, 0, False))
    frame = {"code": struct.pack("<Q", len(inner)) + inner, "length": struct.pack("<Q", 2**50),
             "shape": (lambda d: struct.pack("<Q", len(d)) + d)(wire.dump(["done", 1])),
             "noise": struct.pack("<Q", 100) + b"\xff" * 100}[said]
    tasks = [Task("evil", ("speak", frame)), *(Task(str(n), ("echo", n)) for n in range(4))]
    outcomes = {o.key: o for o in run("sandbox_victims:act", tasks, workers=2)}
    evil_outcome = outcomes.pop("evil")
    assert isinstance(evil_outcome.error, ChildKilled) and evil_outcome.value is None
    assert sorted(o.value for o in outcomes.values()) == [0, 1, 2, 3]
    assert not owned.exists()
