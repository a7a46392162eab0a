"""What the writer writes, the evtx package reads back: same values, no errors, sound checksums."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import evtx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.demo.evtx_writer import CHUNK_SIZE, EvtxWriter, Template
from hikeshi.errors import OutputError

COMPUTER, TIME = "FS01.kaede.example", 1_790_000_000_123_456
GUID = "54849625-5478-4994-A5BA-3E3B0328C30D"


def template(*fields: tuple[str, str], event_id: int = 4624, **more: object) -> Template:
    return Template("Microsoft-Windows-Security-Auditing", GUID, "Security", event_id, tuple(fields),
                    **more)  # type: ignore[arg-type]


def read(content: bytes, folder: Path) -> list[dict]:
    path = folder / "log.evtx"
    path.write_bytes(content)
    return [json.loads(r["data"])["Event"] for r in evtx.PyEvtxParser(str(path)).records_json()]


def one(tmp_path: Path, event: Template, values: list, **more: object) -> dict:
    writer = EvtxWriter()
    writer.add(event, computer=COMPUTER, time=TIME, values=values, **more)  # type: ignore[arg-type]
    (record,) = read(writer.to_bytes(), tmp_path)
    return record


@pytest.mark.parametrize(("kind", "value", "shown"), [
    ("string", "経理 ①②③ 髙﨑", "経理 ①②③ 髙﨑"), ("string", "", ""), ("string", "<a href=\"x\">&amp;", "<a href=\"x\">&amp;"),
    ("string", "a" * 30_000, "a" * 30_000), ("string", "𠮷野家 🔥", "𠮷野家 🔥"),
    ("uint8", 255, 255), ("uint16", 65535, 65535), ("uint32", 2**32 - 1, 2**32 - 1), ("uint64", 2**53, 2**53),
    ("hex32", 0xC000006D, "0xc000006d"), ("hex64", 0x8020000000000000, "0x8020000000000000"), ("size", 0x2F4, "0x2f4"),
    ("boolean", True, True), ("boolean", False, False), ("guid", GUID, GUID),
    ("sid", "S-1-5-21-1804289383-846930886-1681692777-1101", "S-1-5-21-1804289383-846930886-1681692777-1101"),
    ("sid", "S-1-5-18", "S-1-5-18"), ("filetime", TIME, "2026-09-21T14:13:20.123456Z"),
])
def test_a_value_is_read_back_as_it_was_written(tmp_path: Path, kind: str, value: object, shown: object) -> None:
    record = one(tmp_path, template(("Before", "string"), ("Value", kind), ("After", "string")), ["x", value, "y"])
    assert record["EventData"]["Before"] == "x"
    assert record["EventData"]["Value"] == shown
    assert record["EventData"]["After"] == "y"


def test_the_system_part_holds_every_constant_and_attribute(tmp_path: Path) -> None:
    event = Template("Service Control Manager", "555908D1-A6D7-4695-8E1E-26931D2012F4", "System", 7045,
                     (("ServiceName", "string"),), version=3, level=4, task=7, opcode=2, keywords=0x8080000000000000,
                     qualifiers=16384, literal_provider=True, source_name="Service Control Manager")
    system = one(tmp_path, event, ["x"], user="S-1-5-18", activity=GUID, process_id=660, thread_id=904)["System"]
    assert system["Provider"]["#attributes"] == {
        "Name": "Service Control Manager", "Guid": "{555908d1-a6d7-4695-8e1e-26931d2012f4}",
        "EventSourceName": "Service Control Manager"}
    assert system["EventID"] == {"#attributes": {"Qualifiers": 16384}, "#text": 7045}
    assert (system["Version"], system["Level"], system["Task"], system["Opcode"]) == (3, 4, 7, 2)
    assert system["Keywords"] == "0x8080000000000000"
    assert system["TimeCreated"]["#attributes"]["SystemTime"] == "2026-09-21T14:13:20.123456Z"
    assert system["Execution"]["#attributes"] == {"ProcessID": 660, "ThreadID": 904}
    assert system["Security"]["#attributes"]["UserID"] == "S-1-5-18"
    assert system["Correlation"]["#attributes"]["ActivityID"] == GUID
    assert (system["Channel"], system["Computer"]) == ("System", COMPUTER)


def test_user_data_nests_its_own_element(tmp_path: Path) -> None:
    event = template(("Param1", "string"), ("Param2", "string"), event_id=1149, user_data=("EventXML", "Event_NS"))
    record = one(tmp_path, event, ["t.mori", "KAEDE"])
    assert record["UserData"]["EventXML"]["Param1"] == "t.mori"
    assert record["UserData"]["EventXML"]["#attributes"]["xmlns"] == "Event_NS"


def test_records_go_on_over_chunk_borders_with_rising_ids(tmp_path: Path) -> None:
    writer, event = EvtxWriter(first_record_id=5000), template(("N", "uint32"), ("Text", "string"))
    for n in range(4000):
        assert writer.add(event, computer=COMPUTER, time=TIME + n, values=[n, "日本" * (n % 97)]) == 5000 + n
    content = writer.to_bytes()
    assert len(content) > 4096 + 10 * CHUNK_SIZE
    records = read(content, tmp_path)
    assert [r["System"]["EventRecordID"] for r in records] == list(range(5000, 9000))
    assert [r["EventData"]["N"] for r in records] == list(range(4000))
    assert all(r["EventData"]["Text"] == "日本" * (n % 97) for n, r in enumerate(records))


def test_a_thousand_templates_are_all_read(tmp_path: Path) -> None:
    writer = EvtxWriter()
    for turn in range(2):
        for n in range(1000):
            writer.add(template((f"Field{n}", "string"), ("Common", "uint32"), event_id=n + 1), computer=COMPUTER,
                       time=TIME, values=[f"v{turn}", n])
    records = read(writer.to_bytes(), tmp_path)
    assert [r["EventData"][f"Field{n % 1000}"] for n, r in enumerate(records)] == ["v0"] * 1000 + ["v1"] * 1000


def test_a_definition_is_written_once_a_chunk_and_pointed_to_afterwards() -> None:
    writer, event = EvtxWriter(), template(("OnlyHere", "string"))
    for _ in range(50):
        writer.add(event, computer=COMPUTER, time=TIME, values=["x"])
    assert writer.to_bytes().count("OnlyHere".encode("utf-16-le")) == 1


def test_all_checksums_and_flags_are_those_of_a_clean_file() -> None:
    writer, event = EvtxWriter(first_record_id=70), template(("A", "string"))
    for _ in range(900):
        writer.add(event, computer=COMPUTER, time=TIME, values=["x" * 100])
    content = writer.to_bytes()
    _, first, last, next_id, _, minor, major, _, count = struct.unpack_from("<8sQQQIHHHH", content)
    assert (first, last, next_id, minor, major) == (0, count - 1, 970, 1, 3)
    assert struct.unpack_from("<II", content, 120) == (0, zlib.crc32(content[:120]))
    assert len(content) == 4096 + count * CHUNK_SIZE
    for number in range(count):
        chunk = content[4096 + number * CHUNK_SIZE:][:CHUNK_SIZE]
        _, end, records_crc = struct.unpack_from("<III", chunk, 44)
        assert records_crc == zlib.crc32(chunk[512:end])
        assert struct.unpack_from("<II", chunk, 120) == (0, zlib.crc32(chunk[128:512], zlib.crc32(chunk[:120])))


def test_same_calls_give_the_same_bytes() -> None:
    def build() -> bytes:
        writer = EvtxWriter()
        for n in range(300):
            writer.add(template(("A", "string"), ("B", "sid")), computer=COMPUTER, time=TIME + n, values=[str(n), "S-1-5-18"])
        return writer.to_bytes()

    assert build() == build()


@pytest.mark.parametrize(("kind", "value"), [
    ("uint8", 256), ("uint32", -1), ("uint32", "12"), ("guid", "no guid"), ("string", 5), ("string", "x" * 33_000)])
def test_a_value_that_does_not_fit_is_refused(kind: str, value: object) -> None:
    with pytest.raises(OutputError):
        EvtxWriter().add(template(("A", kind)), computer=COMPUTER, time=TIME, values=[value])  # type: ignore[list-item]


def test_a_record_larger_than_a_chunk_is_refused_and_the_file_stays_whole(tmp_path: Path) -> None:
    writer = EvtxWriter()
    writer.add(template(("A", "string")), computer=COMPUTER, time=TIME, values=["small"])
    with pytest.raises(OutputError):
        writer.add(template(("A", "string"), ("B", "string")), computer=COMPUTER, time=TIME,
                   values=["a" * 30_000, "b" * 30_000])
    assert [r["EventData"]["A"] for r in read(writer.to_bytes(), tmp_path)] == ["small"]


def test_an_empty_log_is_a_valid_file(tmp_path: Path) -> None:
    assert read(EvtxWriter().to_bytes(), tmp_path) == []


# XML has no place for the other control characters; Windows does not put them there either.
TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=("Cs",), exclude_characters="\x7f"), max_size=300)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, st.integers(0, 2**32 - 1), TEXT), min_size=1, max_size=30))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, str]]) -> None:
    writer, event = EvtxWriter(), template(("A", "string"), ("N", "uint32"), ("B", "string"))
    for row in rows:
        writer.add(event, computer=COMPUTER, time=TIME, values=list(row))
    records = read(writer.to_bytes(), tmp_path_factory.mktemp("fuzz"))
    assert [(r["EventData"]["A"], r["EventData"]["N"], r["EventData"]["B"]) for r in records] == rows


def test_names_and_templates_are_found_through_the_tables_of_the_chunk() -> None:
    writer = EvtxWriter()
    for n in range(60):
        writer.add(template((f"Name{n}", "string"), event_id=n, user_data=("Wrap", "ns")), computer=COMPUTER, time=TIME,
                   values=["x"])
    chunk = writer.to_bytes()[4096:4096 + CHUNK_SIZE]

    def chain(offset: int) -> list[int]:
        out = []
        while offset:
            out.append(offset)
            (offset,) = struct.unpack_from("<I", chunk, offset)
        return out

    names = {}
    for bucket in range(64):
        for offset in chain(*struct.unpack_from("<I", chunk, 128 + 4 * bucket)):
            value, length = struct.unpack_from("<HH", chunk, offset + 4)
            assert value % 64 == bucket
            names[chunk[offset + 8:offset + 8 + 2 * length].decode("utf-16-le")] = value
    assert {"Event", "System", "Provider", "Wrap", "Name0", "Name59"} <= set(names)
    assert (names["Event"], names["System"], names["Provider"]) == (0x0CBA, 0x546F, 0x7BF1)  # as Windows computes them
    templates = [(bucket, offset) for bucket in range(32)
                 for offset in chain(*struct.unpack_from("<I", chunk, 384 + 4 * bucket))]
    assert len(templates) == 61
    assert all(struct.unpack_from("<I", chunk, offset + 4)[0] % 32 == bucket for bucket, offset in templates)
