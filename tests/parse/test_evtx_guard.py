"""Hostile chunks: no endless reading and no gigabytes, by machine code and by the `evtx` package; sound ones as before."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzz.compare import repaired

from hikeshi.demo.evtx_writer import EvtxWriter, Template
from hikeshi.evidence.source import Source
from hikeshi.parse import evtx_fast
from hikeshi.parse.evtx import parse_evtx
from hikeshi.parse.evtx_guard import blanks, guarded
from hikeshi.parse.evtx_plans import _element, log_of

ROOT = Path(__file__).parents[2]
GUID = "11111111-2222-3333-4444-555555555555"
_CHILD = """
import json, resource, sys
from hikeshi.evidence.sandbox.child import peak_bytes
from hikeshi.evidence.source import Source
from hikeshi.parse import evtx_fast
from hikeshi.parse.evtx import parse_evtx
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
if sys.argv[1] == "package":
    evtx_fast.code._loaded = [None]
for name in sys.argv[2:]:
    path = Path(name)
    source = Source(name="a", path=path, size=path.stat().st_size, sha256="", kind="evtx", zone_hint=None)
    rows, why = 0, []
    for table in parse_evtx(source):
        rows += table.row_count
        why += [r.reason for r in table.rejects]
    print(json.dumps([path.stem, rows, why, peak_bytes() // 2**20]), flush=True)
"""


def sub(index, kind):
    return struct.pack("<BHB", 0x0E, index, kind)


def event(*body):
    time = (b"\x41\xff\xff\x0b\x00" + "TimeCreated".encode("utf-16-le") + b"\x06\x0a\x00"
            + "SystemTime".encode("utf-16-le") + sub(1, 0x11) + b"\x03")
    return _element("Event", _element("System", _element("EventID", sub(2, 0x06)), time,
                                      _element("EventRecordID", sub(0, 0x0A))), *body)


def log(body, *values):
    given = {0: (0x0A, struct.pack("<Q", 1)), 1: (0x11, struct.pack("<Q", 133_485_408_000_000_000)), 2: (0x06, b"\1\0")}
    return log_of([(event(body), given | dict(enumerate(values, 3)))])


def nested(levels, times):
    """A fragment in a fragment in a fragment, each asked for several times."""
    value = (0x01, "x".encode("utf-16-le") * 4000)
    for _ in range(levels):
        value = (0x21, _element("Part", *[sub(3, value[0])] * times), {3: value})
    return value


def bombs():
    data, text = _element, "x".encode("utf-16-le")
    return {
        "one text many times": log(data("EventData", data("Data", *[sub(3, 0x01)] * 6000)), (0x01, text * 18000)),
        "one array many times": log(data("EventData", data("Data", *[sub(3, 0x81)] * 2000)), (0x81, b"x\0\0\0" * 9000)),
        "one array in many elements": log(data("EventData", *[data("D", sub(3, 0x81))] * 700), (0x81, b"\0\0" * 15000)),
        "bytes many times": log(data("EventData", data("Data", *[sub(3, 0x84)] * 2000)), (0x84, b"\1" * 30000)),
        "two arrays in one element": log(data("EventData", data("Data", sub(3, 0x84), sub(4, 0x84))),
                                         (0x84, b"\1" * 20000), (0x84, b"\1" * 20000)),
        "an array in an attribute and one inside": log(
            data("EventData", b"\x41" + data("Data")[1:3] + struct.pack("<H", 4) + "Data".encode("utf-16-le")
                 + b"\x06\x01\x00n\x00" + sub(3, 0x84) + b"\x02" + sub(4, 0x81) + b"\x04"),
            (0x84, b"\1" * 9000), (0x81, b"x\0\0\0" * 5000)),
        "an array beside a long text": log(data("EventData", data("Data", sub(3, 0x84), sub(4, 0x01))),
                                           (0x84, b"\1" * 20000), (0x01, text * 9000)),
        "an array around a long text": log(data("EventData", sub(3, 0x84), data("Data", sub(4, 0x01))),
                                           (0x84, b"\1" * 20000), (0x01, text * 9000)),
        "fragments in fragments": log(data("EventData", *[sub(3, 0x21)] * 30), nested(4, 30)),
    }


def ordinary(count=40):
    template = Template("Kaede", GUID, "Security", 4104, (("Text", "string"), ("Other", "uint32")))
    writer = EvtxWriter()
    for number in range(count):
        writer.add(template, computer="FS01", time=1_790_000_000_000_000 + number, values=["x" * 500, number])
    return writer.to_bytes()


def in_circle():
    """Each bucket of the table of names leads to itself."""
    out = bytearray(ordinary())
    for bucket in range(4096 + 128, 4096 + 384, 4):
        place, = struct.unpack_from("<I", out, bucket)
        if place:
            struct.pack_into("<I", out, 4096 + place, place)
    return bytes(out[:4096]) + repaired(bytes(out[4096:]))


@pytest.mark.parametrize("way", ["machine", "package"])
def test_hostile_chunks_cost_little(tmp_path, way):
    if way == "machine" and evtx_fast.code.location(make=True) is None:
        pytest.skip("no machine code here: numba or the cache folder is missing")
    files = bombs() | {"circle": in_circle()}
    for name, content in files.items():
        (tmp_path / f"{name}.evtx").write_bytes(content)
    done = subprocess.run([sys.executable, "-c", _CHILD, way, *(str(tmp_path / f"{n}.evtx") for n in files)],
                          capture_output=True, text=True, cwd=ROOT / "src", check=False)
    told = {name: rest for name, *rest in map(json.loads, done.stdout.splitlines())}
    assert [*told] == [*files], done.stderr[-2000:]
    for name in bombs():
        rows, why, _ = told[name]
        assert rows == 0 and any("MiB of text" in w for w in why), name
    assert told["circle"][0] == 40
    assert any("circle" in w for w in told["circle"][1])
    assert max(peak for _, _, peak in told.values()) < 512


def test_a_chunk_with_a_bomb_takes_no_other_along(tmp_path):
    good, bomb = ordinary(), bombs()["one text many times"]
    path = tmp_path / "a.evtx"
    path.write_bytes(good[:4096 + 65536] + bomb[4096:4096 + 65536] + good[4096:4096 + 65536])
    evtx_fast.code._loaded = [None]
    try:
        tables = list(parse_evtx(Source(name="a", path=path, size=path.stat().st_size, sha256="", kind="evtx",
                                        zone_hint=None)))
    finally:
        evtx_fast.code.forget()
    assert sum(t.row_count for t in tables) == 80
    assert [r.offset for t in tables for r in t.rejects if "MiB" in r.reason] == [4096 + 65536]


def test_near_misses_are_left_as_they_are():
    data, text = _element, "x".encode("utf-16-le")
    logs = [ordinary(), ordinary(1),
            log(data("EventData", data("Data", *[sub(3, 0x01)] * 300)), (0x01, text * 5000)),
            log(data("EventData", *[data("D", sub(3, 0x81))] * 3), (0x81, b"x\0\0\0" * 3000)),
            log(data("EventData", sub(3, 0x21)), nested(2, 2)),
            log(data("EventData", data("Data", sub(3, 0x84), sub(4, 0x84))), (0x84, b"\1" * 60), (0x84, b"\1" * 60)),
            log(data("EventData", data("Data", sub(3, 0x84)), data("Data", sub(4, 0x84))),
                (0x84, b"\1" * 2000), (0x84, b"\1" * 2000)),
            log(data("EventData", data("Data", sub(3, 0x81)), data("Data", sub(4, 0x01))),
                (0x81, b"word\0\0\0\0"[:8] * 400), (0x01, text * 9000)),
            bytes(4096 + 65536), b"ElfChnk\0" * 9000]
    for content in logs:
        assert guarded(content) == content
        assert blanks(content[4096:4096 + 65536]) == ([], "")


def test_what_lies_behind_the_records_is_not_looked_at():
    """Windows leaves an older chunk's records there, whose templates are gone."""
    chunk = bytearray(bombs()["one text many times"][4096:4096 + 65536])
    assert blanks(bytes(chunk))[0]
    struct.pack_into("<I", chunk, 48, 512)
    assert blanks(bytes(chunk)) == ([], "")


def test_records_behind_the_last_one_do_not_count():
    """The package stops at the record whose number the chunk's header names."""
    chunk = bytearray(log(_element("EventData", _element("Data", sub(3, 0x01))), (0x01, b"a\0"))[4096:4096 + 65536])
    bomb = bombs()["two arrays in one element"][4096 + 512:4096 + 65536]
    free, = struct.unpack_from("<I", chunk, 48)
    size, = struct.unpack_from("<I", bomb, 4)
    chunk[free:free + size] = bomb[:size]
    struct.pack_into("<I", chunk, 48, free + size)
    chunk[free + 8:free + 16] = b"\2" + bytes(7)
    assert blanks(bytes(chunk)) == ([], "")


def test_chains_that_meet_are_no_circle():
    chunk = bytearray(ordinary()[4096:4096 + 65536])
    places = [b for b in range(128, 384, 4) if chunk[b:b + 4] != bytes(4)]
    chunk[places[0]:places[0] + 4] = chunk[places[1]:places[1] + 4]
    assert blanks(bytes(chunk)) == ([], "")
