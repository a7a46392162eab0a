"""Records that no reader shows: found, marked, complete or said to lack something, and never twice."""

import random
import struct
import zlib

import pytest

from hikeshi.demo.evtx_writer import EvtxWriter, Template
from hikeshi.errors import UnsupportedFormat
from hikeshi.evidence.source import Source
from hikeshi.parse.evtx import parse_evtx
from hikeshi.parse.evtx_recover import recover

GUID = "11111111-2222-3333-4444-555555555555"
PROCESS = Template("Kaede-Audit", GUID, "Security", 4688, (("NewProcessName", "string"), ("ProcessId", "hex64"),
                                                           ("CommandLine", "string")), version=2)
CLEARED = Template("Kaede-Log", GUID, "Security", 1102, (("SubjectUserName", "string"), ("SubjectLogonId", "hex64")),
                   user_data=("LogFileCleared", "http://example.com/ns"))
TIME = 1_790_000_000_000_000
MARKS = ("hikeshi.recovered", "hikeshi.lacks", "log.offset")


def log(count, *, first=1, host="FS01", template=PROCESS, word="whoami"):
    writer = EvtxWriter(first_record_id=first)
    for number in range(first, first + count):
        values = [f"C:\\Windows\\{word}.exe", number, f"{word} /{number}"] if template is PROCESS else ["ito", number]
        writer.add(template, computer=host, time=TIME + number * 1_000_000, values=values)
    return writer.to_bytes()


def sealed(chunk, free):
    """The chunk with this end and checksums that fit."""
    out = bytearray(chunk)
    struct.pack_into("<II", out, 48, free, zlib.crc32(out[512:free]))
    struct.pack_into("<I", out, 124, zlib.crc32(out[128:512], zlib.crc32(out[:120])))
    return bytes(out)


def reused(old, new):
    """A log whose chunk was begun anew: the new records at its beginning, what is left of the old ones behind them."""
    free, = struct.unpack_from("<I", new, 4096 + 48)
    return new[:4096] + sealed(new[4096:4096 + free] + old[4096 + free:4096 + 65536], free) + new[4096 + 65536:]


def read(tmp_path, data, *, kind="evtx", name="a.evtx", recovering=True):
    path = tmp_path / name
    path.write_bytes(data)
    source = Source(name=name, path=path, size=len(data), sha256="", kind=kind, zone_hint=None)
    rows = [row for table in parse_evtx(source, recover=recovering) for row in table.iter_rows()]
    return [r for r in rows if "hikeshi.recovered" not in r], [r for r in rows if "hikeshi.recovered" in r]


def plain(rows):
    return sorted(({k: v for k, v in row.items() if k not in MARKS} for row in rows), key=lambda r: r["@timestamp"])


def test_a_cleared_log_still_holds_what_was_in_its_chunk(tmp_path):
    old, new = log(60, word="vssadmin"), log(1, first=61, template=CLEARED)
    live, found = read(tmp_path, reused(old, new))
    assert [r["event.code"] for r in live] == ["1102"]
    assert {r["hikeshi.recovered"] for r in found} == {"slack"}
    assert found[-1]["winlog.record_id"] == 60 and found[-1]["@timestamp"].endswith("Z")
    assert len(found) > 40
    # The definition of their body lay where the new records are: values only, and it is said.
    told = found[-1]
    assert "names of fields are missing" in told["hikeshi.lacks"]
    assert told["value 2"] == "vssadmin /60"
    data = reused(old, new)
    assert all(data[r["log.offset"]:r["log.offset"] + 4] == b"**\0\0" for r in found)


def test_names_come_from_another_chunk_that_has_the_same_definition(tmp_path):
    old = log(400, word="vssadmin")
    assert len(old) > 4096 + 2 * 65536
    first = reused(old, log(1, first=900, template=CLEARED))[:4096 + 65536]
    _, found = read(tmp_path, first + old[4096 + 65536:])
    assert found and {r["hikeshi.recovered"] for r in found} == {"slack"}
    known = {r["winlog.record_id"]: r for r in plain(read(tmp_path, old)[0])}
    assert all(r["hikeshi.lacks"] == "its names are from another place in the log" for r in found)
    assert plain(found) == [known[r["winlog.record_id"]] for r in found]


def test_two_definitions_of_one_id_are_no_definition(tmp_path):
    old = log(400, word="vssadmin")
    first = reused(old, log(1, first=900, template=CLEARED))[:4096 + 65536]
    rest = bytearray(old[4096 + 65536:])
    spot = rest.find("CommandLine".encode("utf-16-le"))
    rest[spot:spot + 22] = "CommandLina".encode("utf-16-le")
    free, = struct.unpack_from("<I", rest, 48)
    _, found = read(tmp_path, first + sealed(bytes(rest[:65536]), free) + bytes(rest[65536:]))
    assert found and all("names of fields are missing" in r["hikeshi.lacks"] for r in found)
    assert not any("CommandLine" in r or "CommandLina" in r for r in found)


@pytest.mark.parametrize("damage", ["magic", "header", "free", "shifted", "no file header", "cut off"])
def test_damaged_logs_give_every_record_once(tmp_path, damage):
    whole = log(150)
    data = bytearray(whole)
    if damage == "magic":
        data[4096:4104] = bytes(8)
    elif damage == "header":
        data[4096:4096 + 512] = random.Random(1).randbytes(512)
    elif damage == "free":
        struct.pack_into("<I", data, 4096 + 48, 2000)
    elif damage == "shifted":
        data[4096:4096] = b"lost and found again" * 33
    elif damage == "no file header":
        data = data[4096 + 7:]
    elif damage == "cut off":
        data = data[:4096 + 30_000]
    wanted = plain(read(tmp_path, whole, recovering=False)[0])
    live, found = read(tmp_path, bytes(data))
    numbers = [r["winlog.record_id"] for r in live + found]
    assert len(numbers) == len(set(numbers))
    assert {r["hikeshi.recovered"] for r in found} <= {"damaged"}
    complete = [r for r in found if "hikeshi.lacks" not in r]
    by_number = {r["winlog.record_id"]: r for r in wanted}
    if damage == "cut off":
        assert found == [] and len(live) > 40             # the package fills the last one up
    else:
        assert all(r == by_number[r["winlog.record_id"]] for r in plain(live + complete))
        assert len(complete) > 0 and set(numbers) >= {r["winlog.record_id"] for r in wanted[len(live):]} - {1}


def test_records_in_a_piece_of_memory_are_carved(tmp_path):
    draw = random.Random(4)
    wanted = plain(read(tmp_path, log(80), recovering=False)[0])
    chunk = log(80)[4096:]
    blob = draw.randbytes(70_001) + chunk + draw.randbytes(9_000) + b"ElfChnk\0" + draw.randbytes(50_000)
    live, found = read(tmp_path, blob, kind="binary", name="memory.raw")
    assert live == [] and plain(found) == wanted
    assert {r["hikeshi.recovered"] for r in found} == {"carved"} and not any("hikeshi.lacks" in r for r in found)
    with pytest.raises(UnsupportedFormat):
        read(tmp_path, draw.randbytes(200_000) + b"**\0\0" * 100, kind="binary", name="memory.raw")


def test_a_fragment_without_its_chunk_header_is_read_by_what_its_records_say(tmp_path):
    chunk = log(80)[4096:]
    _, found = read(tmp_path, bytes(333) + chunk[512:40_000], kind="binary", name="unallocated")
    whole = [r for r in found if "hikeshi.lacks" not in r]
    assert len(whole) > 40 and whole[0]["CommandLine"] == "whoami /1"


def test_sound_logs_are_what_they_were(tmp_path):
    data = log(300)
    assert read(tmp_path, data)[1] == []
    assert read(tmp_path, data)[0] == read(tmp_path, data, recovering=False)[0]


def test_a_copy_of_a_live_record_is_no_find(tmp_path):
    data = log(5)
    free, = struct.unpack_from("<I", data, 4096 + 48)
    record = data[4096 + struct.unpack_from("<I", data, 4096 + 44)[0]:4096 + free]
    slack = record + bytes(16) + record[:-30] + bytes(7)
    chunk = sealed(data[4096:4096 + free] + slack + data[4096 + free + len(slack):4096 + 65536], free)
    live, found = read(tmp_path, data[:4096] + chunk)
    assert len(live) == 5 and found == []
    # Its near miss: the same record with another word in it.
    other = slack.replace("whoami /5".encode("utf-16-le"), "whoamj /5".encode("utf-16-le"))
    chunk = sealed(data[4096:4096 + free] + other + data[4096 + free + len(slack):4096 + 65536], free)
    live, found = read(tmp_path, data[:4096] + chunk)
    assert len(live) == 5 and [r["CommandLine"] for r in found] == ["whoamj /5"]


def slack_of(tmp_path, piece):
    data = log(5)
    free, = struct.unpack_from("<I", data, 4096 + 48)
    return read(tmp_path, data[:4096] + sealed(
        data[4096:4096 + free] + piece + bytes(65536 - free - len(piece)), free))[1]


def test_near_misses_give_nothing_or_say_what_they_lack(tmp_path):
    data = log(6)
    last = 4096 + struct.unpack_from("<I", data, 4096 + 44)[0]
    record = data[last:4096 + struct.unpack_from("<I", data, 4096 + 48)[0]]
    (whole,) = slack_of(tmp_path, record)
    assert "hikeshi.lacks" not in whole and whole["CommandLine"] == "whoami /6"
    assert slack_of(tmp_path, b"**\0\0" + random.Random(2).randbytes(600)) == []
    assert slack_of(tmp_path, record[:24] + random.Random(3).randbytes(600)) == []
    assert slack_of(tmp_path, record[:60]) == []
    for size in (0, 8, len(record) - 8, len(record) + 8, 65_000, 0xFFFFFFFF):
        (lying,) = slack_of(tmp_path, record[:4] + struct.pack("<I", size) + record[8:])
        assert (lying["CommandLine"] == "whoami /6" and "wrong" in lying["hikeshi.lacks"]) or (
            "end" in lying["hikeshi.lacks"])
    (cut,) = slack_of(tmp_path, record[:-40] + b"**\0\0")
    assert "its end is missing" in cut["hikeshi.lacks"] and cut.get("CommandLine", "") != "whoami /6"
    old = record[:16] + struct.pack("<Q", 1) + record[24:]              # the year 1601
    assert slack_of(tmp_path, old) == []


@pytest.mark.parametrize("seed", range(60))
def test_hostile_bytes_end(seed):
    draw = random.Random(seed)
    data = bytearray(log(40)[4096:])
    for _ in range(draw.choice([1, 30, 3000])):
        data[draw.randrange(len(data))] = draw.randrange(256)
    for one in recover(bytes(data), bases=(0, -5)):
        assert 0 <= one.offset < len(data)


def test_many_small_records_that_ask_for_large_definitions_cost_little():
    record = log(6)
    at = 4096 + struct.unpack_from("<I", record, 4096 + 44)[0]
    head = record[at:at + 28]
    piece = head + struct.pack("<BBII", 0x0C, 1, 7, 600) + struct.pack("<I", 250) + bytes(1000)
    assert list(recover(piece * 4000, bases=(0,))) is not None
    nested = head + (b"\x0c\x01\x07\0\0\0\x58\x02\0\0\x01\0\0\0\xff\xff\x21\0") * 4000
    assert list(recover(nested * 10)) is not None
