"""Windows event logs: every record, in the right column, and every loss named."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from hikeshi.errors import UnsupportedFormat
from hikeshi.events.table import EventTable
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.parse import evtx as module
from hikeshi.parse.evtx import parse_evtx
from hikeshi.parse.evtx_batch import EvtxBatch

SHARED = Path(__file__).parents[2].parent / "shared"


class Records:
    """What the evtx package yields, from plain dicts; an exception in the list is raised."""

    def __init__(self, *events):
        self.events = iter(events)

    def __iter__(self):
        return self

    def __next__(self):
        import orjson

        event = next(self.events)
        if isinstance(event, BaseException):
            raise event
        number = event.get("System", {}).get("EventRecordID", 7) if isinstance(event, dict) else 7
        return {"event_record_id": number if isinstance(number, int) else 7,
                "timestamp": "2024-01-02 03:04:05.678901 UTC",
                "data": orjson.dumps({"Event": event}).decode() if isinstance(event, dict) else event}


def system(number=1, **more):
    return {"Provider": {"#attributes": {"Name": "P", "Guid": "g"}}, "EventID": 4624, "Level": 4,
            "TimeCreated": {"#attributes": {"SystemTime": "2024-05-06T07:08:09.123456Z"}}, "EventRecordID": number,
            "Execution": {"#attributes": {"ProcessID": 12, "ThreadID": 34}}, "Channel": "Security",
            "Computer": "WS-14", "Security": None, **more}


def read(*events) -> EventTable:
    batch = EvtxBatch()
    for _ in batch.consume(Records(*events)):
        pass
    return batch.build()


def test_the_system_part_becomes_columns():
    table = read({"System": system(security=1, Security={"#attributes": {"UserID": "S-1-5-18"}}), "EventData": None})
    assert table.row(0) == {
        "@timestamp": "2024-05-06T07:08:09.123456Z", "event.timezone": "UTC", "event.code": "4624",
        "event.provider": "P", "winlog.channel": "Security", "winlog.record_id": 1, "winlog.level": "4",
        "winlog.user.identifier": "S-1-5-18", "winlog.process.pid": "12", "winlog.process.thread.id": "34",
        "host.name": "WS-14"}


def test_an_event_id_with_qualifiers_is_its_number():
    table = read({"System": system(EventID={"#attributes": {"Qualifiers": 16384}, "#text": 7045})})
    assert table.row(0)["event.code"] == "7045"


def test_event_data_keeps_its_names_and_values_become_text():
    data = {"LogonType": 3, "Flag": True, "Off": False, "Mask": "0x10", "Share": "\\\\*\\C$", "Empty": "",
            "None": None, "Ratio": 1.5}
    row = read({"System": system(), "EventData": data}).row(0)
    assert {k: row.get(k) for k in data} == {"LogonType": "3", "Flag": "true", "Off": "false", "Mask": "0x10",
                                            "Share": "\\\\*\\C$", "Empty": "", "None": None, "Ratio": "1.5"}


def test_a_field_of_several_sorts_keeps_every_value():
    table = read(*({"System": system(n), "EventData": {"V": v}} for n, v in enumerate((1, "x", True, 2**64 - 1, None))))
    assert [row.get("V") for row in table.iter_rows()] == ["1", "x", "true", str(2**64 - 1), None]


def test_unnamed_data_elements_lie_one_a_line():
    table = read({"System": system(), "EventData": {"Data": {"#text": ["a", "b"]}, "Binary": None}},
                 {"System": system(2), "EventData": {"Data": {"#text": "c"}}})
    assert [row["Data"] for row in table.iter_rows()] == ["a\nb", "c"]


def test_user_data_gives_its_leaves_and_never_the_records_channel():
    user = {"LogFileCleared": {"#attributes": {"xmlns": "x"}, "Channel": "System", "Deep": {"Er": {"#text": "9"}},
                               "Files": {"File": "a", "File_1": "b"}}}
    row = read({"System": system(), "UserData": user}).row(0)
    assert (row["winlog.channel"], row["Channel"], row["Er"], row["File"], row["File_1"]) == (
        "Security", "System", "9", "a", "b")
    assert not any("xmlns" in name for name in row)


def test_attributes_of_event_data_become_fields():
    row = read({"System": system(), "EventData": {"#attributes": {"Name": "EVENT_HIVE_LEAK"}, "param1": "x"}}).row(0)
    assert (row["Name"], row["param1"]) == ("EVENT_HIVE_LEAK", "x")


def test_a_rendered_message_is_kept_beside_the_data():
    row = read({"System": system(), "EventData": {"A": "1"},
                "RenderingInfo": {"Message": "said", "Level": "Information"}}).row(0)
    assert (row["A"], row["Message"], row["RenderingInfo.Level"], row["winlog.level"]) == (
        "1", "said", "Information", "4")


def test_records_of_different_shapes_stay_in_order():
    events = [{"System": system(n), "EventData": {f"F{n % 3}": str(n)}} for n in range(1000)]
    table = read(*events)
    assert [row[f"F{n % 3}"] for n, row in enumerate(table.iter_rows())] == [str(n) for n in range(1000)]
    assert table.columns["winlog.record_id"].to_list(table.row_count) == list(range(1000))


def test_the_records_header_dates_an_event_without_a_readable_time():
    table = read({"System": system(TimeCreated={"#attributes": {"SystemTime": "not a time"}})},
                 {"System": {k: v for k, v in system(2).items() if k != "TimeCreated"}})
    assert [row["@timestamp"] for row in table.iter_rows()] == ["2024-01-02T03:04:05.678901Z"] * 2
    assert NO_TIME not in table.times


def test_a_bad_record_is_counted_and_the_next_is_read():
    table = read({"System": system(1)}, RuntimeError("bad   record"), {"System": system(2)}, {"NoSystem": 1}, "{",
                 {"System": system(3)})
    assert table.columns["winlog.record_id"].to_list(3) == [1, 2, 3]
    assert len(table.rejects) == 3
    assert table.rejects[0].reason == "bad record"


def test_a_panic_of_the_decoder_ends_the_file_but_not_the_run():
    panic = type("PanicException", (BaseException,), {})
    table = read({"System": system(1)}, panic("index out of bounds"))
    assert table.columns["winlog.record_id"].to_list(1) == [1]
    assert "gave up" in table.rejects[0].reason
    with pytest.raises(KeyboardInterrupt):
        read({"System": system(1)}, KeyboardInterrupt())


def test_a_lone_surrogate_does_not_end_the_file():
    class Odd(Records):
        def __next__(self):
            record = super().__next__()
            record["data"] = record["data"].replace("WEIRD", "\\ud800x")
            return record

    batch = EvtxBatch()
    for _ in batch.consume(Odd({"System": system(1), "EventData": {"A": "WEIRD"}}, {"System": system(2)})):
        pass
    table = batch.build()
    assert table.row_count + len(table.rejects) == 2
    assert 2 in table.columns["winlog.record_id"].values


def test_only_the_wanted_fields_are_kept():
    batch = EvtxBatch(want={"A", "Data"}, columns={"event.code"})
    for _ in batch.consume(Records({"System": system(), "EventData": {"A": "1", "B": "2", "Data": {"#text": ["x"]}}})):
        pass
    table = batch.build()
    assert set(table.fields) == {"A", "Data"}
    assert set(table.columns) == {"event.code", "winlog.record_id", "event.timezone"}


# ---- damaged files -------------------------------------------------------------------------


def source(path: Path) -> Source:
    return Source(path, path.name, "", path.stat().st_size, kind="evtx")


def test_an_empty_file_and_a_text_file_are_refused(tmp_path):
    for name, data in (("empty.evtx", b""), ("text.evtx", b"hello " * 2000)):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UnsupportedFormat):
            list(parse_evtx(source(path)))


def header(chunks: int, *, flags: int = 0) -> bytes:
    start = struct.pack("<8s3QI4H76x", b"ElfFile\0", 0, max(chunks - 1, 0), 1, 128, 1, 3, 4096, chunks)
    return start + struct.pack("<II", flags, zlib.crc32(start)) + bytes(4096 - 128)


def test_a_log_with_only_a_header_is_read_and_holds_nothing(tmp_path):
    path = tmp_path / "new.evtx"
    path.write_bytes(header(0))
    assert list(parse_evtx(source(path))) == []


def test_a_header_that_announces_chunks_which_are_not_there_is_a_reject(tmp_path):
    path = tmp_path / "cut.evtx"
    path.write_bytes(header(5))
    (table,) = parse_evtx(source(path))
    assert "announces 5 chunks, 0 are there" in table.rejects[0].reason


@pytest.fixture(scope="module")
def real_file():
    folder = SHARED / "data" / "evtx" / "files"
    if not folder.is_dir():
        pytest.skip("shared data not beside the checkout")
    whole = [p for p in sorted(folder.glob("*.evtx")) if p.stat().st_size >= 4096 + 4 * 65536]
    for path in whole:
        layout = module.read_layout(path)
        # An exported log numbers its records anew; here the ids must be the chunks' own.
        if not layout.problems and ids(path)[0][0] == layout.chunks[0].first_id:
            return path
    raise AssertionError("no whole file among the samples")


def ids(path: Path) -> tuple[list[int], list]:
    tables = list(parse_evtx(source(path)))
    found = [i for t in tables for i in t.columns["winlog.record_id"].to_list(t.row_count)] if tables else []
    return found, [r for t in tables for r in t.rejects]


@pytest.mark.shared
def test_a_truncated_file_gives_every_record_before_the_cut(real_file, tmp_path):
    whole, _ = ids(real_file)
    path = tmp_path / "cut.evtx"
    path.write_bytes(real_file.read_bytes()[:4096 + 65536 + 30_000])
    found, rejects = ids(path)
    assert found == whole[:len(found)]
    first_chunk = module.read_layout(real_file).chunks[0]
    assert len(found) > first_chunk.last_id - first_chunk.first_id + 1      # some of the cut chunk, too
    assert any("ends inside a chunk" in r.reason for r in rejects)


@pytest.mark.shared
@pytest.mark.parametrize("damage", ["file magic", "whole header", "dirty", "stale count"])
def test_a_damaged_file_header_loses_no_record(real_file, tmp_path, damage):
    whole, clean = ids(real_file)
    assert clean == []
    data = bytearray(real_file.read_bytes())
    if damage == "file magic":
        data[:8] = b"XXXXXXXX"
    elif damage == "whole header":
        data[:4096] = bytes(4096)
    elif damage == "dirty":
        struct.pack_into("<I", data, 120, 1)
    else:
        struct.pack_into("<H", data, 42, 1)
    path = tmp_path / "bad.evtx"
    path.write_bytes(data)
    found, rejects = ids(path)
    assert found == whole
    assert damage == "dirty" or rejects


@pytest.mark.shared
def test_a_chunk_without_magic_loses_only_itself_and_is_named(real_file, tmp_path):
    whole, _ = ids(real_file)
    lost = module.read_layout(real_file).chunks[1]
    data = bytearray(real_file.read_bytes())
    data[lost.offset:lost.offset + 8] = b"ElfChnX\0"
    path = tmp_path / "bad.evtx"
    path.write_bytes(data)
    found, rejects = ids(path)
    assert found == [i for i in whole if not lost.first_id <= i <= lost.last_id]
    assert any(r.offset == lost.offset for r in rejects)


@pytest.mark.shared
def test_what_a_chunk_announces_but_does_not_give_is_a_reject_each(real_file, tmp_path):
    whole, _ = ids(real_file)
    chunk = module.read_layout(real_file).chunks[0]
    data = bytearray(real_file.read_bytes())
    second = chunk.offset + 512 + struct.unpack_from("<I", data, chunk.offset + 516)[0]
    struct.pack_into("<I", data, second + 4, 0)                       # a record of size zero
    path = tmp_path / "bad.evtx"
    path.write_bytes(data)
    found, rejects = ids(path)
    named = {r.record for r in rejects if r.record is not None}
    assert set(found) | named == set(whole)
    assert not set(found) & named


@pytest.mark.shared
def test_batches_are_cut_at_the_wanted_size_and_hold_the_same(real_file):
    whole, _ = ids(real_file)
    tables = list(parse_evtx(source(real_file), batch_rows=100))
    assert len(tables) > 1
    assert [i for t in tables for i in t.columns["winlog.record_id"].to_list(t.row_count)] == whole
    for table in tables:
        for column in (*table.columns.values(), *table.fields.values()):
            assert column.rows is None or bool((np.diff(column.rows) > 0).all())


@pytest.mark.shared
def test_awkward_files_of_others_are_read_or_refused_in_words():
    folder = SHARED / "data" / "hostile" / "evtx"
    if not folder.is_dir():
        pytest.skip("shared data not beside the checkout")
    events = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        try:
            tables = list(parse_evtx(source(path)))
        except UnsupportedFormat:
            continue
        events[path.name] = sum(t.row_count for t in tables)
    assert len(events) == 10
    assert sum(events.values()) >= 6560
