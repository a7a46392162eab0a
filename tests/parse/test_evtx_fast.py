"""The machine code and the `evtx` package: the same records, fields and rejects, whatever the file holds."""

import gc
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import orjson
import pytest

from hikeshi.demo.evtx_writer import EvtxWriter, Template
from hikeshi.errors import UnsupportedFormat
from hikeshi.events.texts import Texts
from hikeshi.evidence.source import Source
from hikeshi.parse import evtx, evtx_fast, evtx_native
from hikeshi.parse.evtx import Part, _read_by_package, parse_evtx, read_records
from hikeshi.parse.evtx_batch import EvtxBatch
from hikeshi.parse.evtx_plans import body_plan, event_plan

SHARED = Path(__file__).parents[2].parent / "shared"
GUID = "11111111-2222-3333-4444-555555555555"
EVERYTHING = Template("Kaede-Test", GUID, "Kaede/Operational", 7, (
    ("Text", "string"), ("Small", "uint8"), ("Short", "uint16"), ("Number", "uint32"), ("Large", "uint64"),
    ("Truth", "boolean"), ("Blob", "binary"), ("Id", "guid"), ("Size", "size"), ("When", "filetime"), ("Who", "sid"),
    ("Mask", "hex32"), ("Wide", "hex64")))
PROCESS = Template("Kaede-Audit", GUID, "Security", 4688, (("NewProcessName", "string"), ("ProcessId", "hex64"),
                                                           ("CommandLine", "string")), version=2, literal_provider=True)
CLEARED = Template("Kaede-Log", GUID, "Security", 1102, (("SubjectUserName", "string"), ("SubjectLogonId", "hex64")),
                   user_data=("LogFileCleared", "http://example.com/ns"))
TWICE = Template("Kaede-Log", GUID, "Application", 1, (("Same", "string"), ("Same", "string"), ("Other", "uint32")))
NAMES = Template("Kaede-Log", GUID, "Application", 2, (("Same", "string"), ("Same", "string"), ("Other", "uint32")),
                 user_data=("Part", "http://example.com/ns"), source_name="Old", literal_provider=True, qualifiers=16384)
TIME = 1_790_000_000_123_456


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The machine code, made for these tests where the user has none."""
    found = evtx_fast.code.location(make=True)
    if found is None:
        pytest.skip("no machine code here: numba or the cache folder is missing")
    evtx_fast.code.forget()
    yield evtx_fast.code.load()
    evtx_fast.code.forget()


def read(path, fast, *, want=None, limit=1 << 40):
    source = Source(name=path.name, path=path, size=path.stat().st_size, sha256="", kind="evtx", zone_hint=None)
    evtx_fast.code._loaded = [fast]
    tables = []
    batch = EvtxBatch(limit=limit, want=want)
    try:
        tables += [batch.build() for _ in read_records(source, batch) if batch.full]
    finally:
        evtx_fast.code.forget()
    return [*tables, batch.build()]


def told(tables):
    return ([row for t in tables for row in t.iter_rows()],
            sorted((r.reason, r.record, r.offset) for t in tables for r in t.rejects if "checksum" not in r.reason)
            if tables else [])


def same(path, loaded, **more):
    slow, fast = told(read(path, None, **more)), told(read(path, loaded, **more))
    assert fast[0] == slow[0]
    # One says more than the other only about how, not about what.
    assert [r[1:] for r in fast[1] if r[1] is not None] == [r[1:] for r in slow[1] if r[1] is not None]
    return fast[0]


def used(path, loaded, monkeypatch):
    """How many chunks went to the package."""
    count = 0

    def counting(path, part, batch):
        nonlocal count
        count += part.stop - part.first
        return _read_by_package(path, part, batch)

    monkeypatch.setattr("hikeshi.parse.evtx._read_by_package", counting)
    read(path, loaded)
    return count


def sample(seed, records=400):
    draw = random.Random(seed)
    writer = EvtxWriter(first_record_id=draw.choice([1, 7, 1 << 33]))
    words = ["", "a", "C:\\Windows\\System32\\cmd.exe", "日本語の値", "😀 pair", "x\0hidden", "tail\0", " spaces ",
             "line\nbreak", "<tag attr='1'>&amp;", "\x01\x1f control", "Z" * 3000]
    for number in range(records):
        kind = draw.choice([EVERYTHING, PROCESS, CLEARED, TWICE, NAMES])
        values: list = []
        for _, sort in kind.fields:
            value = {"string": draw.choice(words), "uint8": draw.randrange(256), "uint16": draw.randrange(1 << 16),
                     "uint32": draw.choice([0, 5, 1 << 31, (1 << 32) - 1]), "uint64": draw.choice([0, 9, (1 << 64) - 1]),
                     "boolean": draw.random() < .5, "binary": draw.choice([b"", b"\0", bytes(range(40))]),
                     "guid": GUID, "size": draw.randrange(1 << 40), "filetime": TIME - draw.randrange(10**15),
                     "sid": draw.choice(["S-1-5-18", "S-1-5-21-1-2-3-500"]), "hex32": draw.randrange(1 << 32),
                     "hex64": draw.choice([0, 0xFFFFFFFFFFFFFFFF])}[sort]
            values.append(None if draw.random() < .15 else value)
        writer.add(kind, computer=draw.choice(["WS-14.kaede.example", "FS01"]), time=TIME + number * 1_000_001,
                   values=values, user=draw.choice([None, "S-1-5-18"]), activity=draw.choice([None, GUID]))
    return writer.to_bytes()


def repaired(data):
    """Every chunk with the checksums that its content needs: damage that only the reading itself can notice."""
    out = bytearray(data)
    for at in range(4096, len(out) - 65535, 65536):
        chunk = out[at:at + 65536]
        free = struct.unpack_from("<I", chunk, 48)[0]
        if chunk[:8] == b"ElfChnk\0" and 512 <= free <= 65536:
            struct.pack_into("<I", out, at + 52, zlib.crc32(chunk[512:free]))
            struct.pack_into("<I", out, at + 124, zlib.crc32(chunk[128:512], zlib.crc32(out[at:at + 120])))
    return bytes(out)


@pytest.mark.parametrize("seed", range(4))
def test_both_ways_give_the_same(loaded, tmp_path, monkeypatch, seed):
    path = tmp_path / "a.evtx"
    path.write_bytes(sample(seed))
    rows = same(path, loaded)
    assert len(rows) == 400
    assert used(path, loaded, monkeypatch) == 0


def test_only_wanted_fields_come_out(loaded, tmp_path):
    path = tmp_path / "a.evtx"
    path.write_bytes(sample(9))
    rows = same(path, loaded, want={"CommandLine", "Other"})
    assert {k for r in rows for k in r} & {"Text", "ProcessId", "Same"} == set()
    assert any("CommandLine" in r for r in rows)


def test_small_batches_hold_the_same(loaded, tmp_path):
    path = tmp_path / "a.evtx"
    path.write_bytes(sample(3))
    tables = read(path, loaded, limit=50)
    assert len(tables) > 3
    assert told(tables)[0] == told(read(path, None))[0]
    for table in tables:
        for column in (*table.columns.values(), *table.fields.values()):
            assert column.rows is None or bool((np.diff(column.rows) > 0).all())
            assert len(set(column.values)) == len(column.values)


def test_a_store_that_is_full_pauses_and_goes_on(loaded, tmp_path, monkeypatch):
    path = tmp_path / "a.evtx"
    path.write_bytes(sample(5))
    monkeypatch.setattr(evtx_fast, "_ENTRIES", 256)
    monkeypatch.setattr(evtx_fast, "_ARENA", 1 << 17)
    tables = read(path, loaded)
    assert len(tables) > 1
    assert told(tables)[0] == told(read(path, None))[0]


def test_a_caller_that_never_builds_gets_all_the_same(loaded, tmp_path, monkeypatch):
    path = tmp_path / "a.evtx"
    path.write_bytes(sample(5))
    monkeypatch.setattr(evtx_fast, "_ENTRIES", 256)
    evtx_fast.code._loaded = [loaded]
    batch = EvtxBatch(limit=1 << 40)
    source = Source(name="a", path=path, size=path.stat().st_size, sha256="", kind="evtx", zone_hint=None)
    for _ in read_records(source, batch):
        pass
    assert told([batch.build()])[0] == told(read(path, None))[0]


def test_many_templates_are_forgotten_and_learnt_again(loaded, tmp_path, monkeypatch):
    path = tmp_path / "a.evtx"
    path.write_bytes(sample(6))
    monkeypatch.setattr(evtx_fast, "_TEMPLATES", 8)
    assert told(read(path, loaded, limit=20))[0] == told(read(path, None))[0]


@pytest.mark.parametrize("seed", range(40))
def test_damaged_chunks_are_read_alike(loaded, tmp_path, seed):
    """Bytes changed anywhere: the checksums send the chunk to the package."""
    draw = random.Random(seed)
    data = bytearray(sample(seed % 5, 150))
    for _ in range(draw.choice([1, 3, 30])):
        data[draw.randrange(4096, len(data))] = draw.randrange(256)
    path = tmp_path / "a.evtx"
    path.write_bytes(data)
    same(path, loaded)


@pytest.mark.parametrize("seed", range(60))
def test_forged_chunks_neither_crash_nor_invent(loaded, tmp_path, seed):
    """Bytes changed and the checksums made right again: what the package reads without a reject, we read alike."""
    draw = random.Random(1000 + seed)
    data = bytearray(sample(seed % 5, 120))
    for _ in range(draw.choice([1, 2, 8])):
        at = draw.randrange(4096 + 512, 4096 + 40_000)
        data[at] = draw.choice([0, 1, 0x21, 0x7F, 0x80, 0xFF, draw.randrange(256)])
    path = tmp_path / "a.evtx"
    path.write_bytes(repaired(data))
    slow, fast = told(read(path, None)), told(read(path, loaded))
    assert fast == slow


def test_zeros_and_rubbish_between_chunks(loaded, tmp_path):
    data = sample(2, 300)
    chunks = [data[at:at + 65536] for at in range(4096, len(data), 65536)]
    path = tmp_path / "a.evtx"
    rubbish = random.Random(1).randbytes(65536)
    path.write_bytes(data[:4096] + b"".join(
        part for chunk in chunks for part in (chunk, bytes(65536), rubbish)) + chunks[0][:30_000])
    assert len(same(path, loaded)) >= 300


def test_a_lazy_batch_says_the_same_and_only_until_it_goes_on(loaded, tmp_path):
    path = tmp_path / "a.evtx"
    path.write_bytes(sample(7))
    source = Source(name="a", path=path, size=path.stat().st_size, sha256="", kind="evtx", zone_hint=None)
    evtx_fast.code._loaded = [loaded]
    batch = EvtxBatch(limit=100, lazy=True)
    rows, old = [], None
    for _ in read_records(source, batch):
        if batch.full:
            table = batch.build()
            rows += table.iter_rows()
            old = table.fields["Text"]
    last = batch.build()
    unread = last.fields["Text"]
    rows += last.iter_rows()
    assert rows == told(read(path, None))[0]
    assert isinstance(unread.values, Texts) or len(set(unread.values)) == len(unread.values)
    assert old is not None and old.values[0] is not None        # decoded in time: still there
    evtx_fast.code._loaded = [loaded]
    batch = EvtxBatch(limit=100, lazy=True)
    kept = [batch.build().columns["winlog.activity_id"] for _ in read_records(source, batch) if batch.full]
    with pytest.raises(RuntimeError, match="went on"):
        list(kept[0].values)


def test_a_template_is_asked_about_once_for_all_machines():
    def event(computer):
        from hikeshi.parse.evtx_plans import _element

        text = b"\x05" + struct.pack("<H", len(computer)) + computer.encode("utf-16-le")
        time = (b"\x41\xff\xff\x0b\x00" + "TimeCreated".encode("utf-16-le") + b"\x06\x0a\x00"
                + "SystemTime".encode("utf-16-le") + b"\x0e\x01\x00\x11" + b"\x03")
        return _element("Event", _element("System", _element("EventID", b"\x0e\x02\x00\x06"), time,
                                          _element("EventRecordID", b"\x0e\x00\x00\x0a"), _element("Computer", text)),
                        b"\x0e\x03\x00\x21")

    first, second = event_plan(event("WS-1")), event_plan(event("ws-2.kaede.example"))
    assert first is not None and second is not None
    assert first.constants == (("@host.name", "WS-1"),)
    assert second.constants == (("@host.name", "ws-2.kaede.example"),)
    assert (first.time, first.record_id, first.body) == (1, 0, 3)
    assert [(s.index, s.column) for s in first.steps] == [(2, "@event.code")]


def test_a_hostile_form_has_no_plan():
    for form in (b"", b"\x01", b"\x0d\x00\x00\x01", b"\xff" * 20, b"\x01\xff\xff\x03\x00a\x00b\x00c\x00\x02\x04"):
        assert event_plan(form) is None
        assert body_plan(form) is None or form[:1] == b"\x01"


def renamed(data, most):
    """The log with one element or attribute of a definition under another name of its chunk, for up to `most` other
    names each; sums made right again."""
    words = {n for t in (PROCESS, TWICE, NAMES) for n, _ in t.fields} | {
        "Data", "Name", "Level", "Task", "System", "Event", "EventData", "UserData", "Computer", "UserID", "Part"}
    names = {}
    for word in sorted(words):
        text = struct.pack("<H", len(word)) + word.encode("utf-16-le") + b"\0\0"
        at = data.find(text, 4096)
        while at >= 0:
            names[at - 6 - 4096] = word
            at = data.find(text, at + 1)
    for place in range(4096 + 512, len(data) - 12):
        step = {0x01: 7, 0x41: 7, 0x06: 1, 0x46: 1}.get(data[place])
        if step is None:
            continue
        old = struct.unpack_from("<I", data, place + step)[0]
        if old not in names or old == place + step + 4 - 4096:       # the name itself follows: it must stay
            continue
        others = [o for o in names if names[o] != names[old] and o < place - 4096]
        for other in random.Random(place).sample(others, min(most, len(others))):
            out = bytearray(data)
            struct.pack_into("<I", out, place + step, other)
            yield names[old], names[other], repaired(out)


@pytest.mark.parametrize("kind", [PROCESS, TWICE, NAMES], ids=["process", "twice", "user data"])
def test_elements_under_other_names_are_read_alike(loaded, tmp_path, kind):
    """Such an element keeps its attributes, which the package tells as fields of their own."""
    writer = EvtxWriter()
    for number, text in enumerate(["value", "", None]):
        writer.add(kind, computer="A", time=TIME + number, values=[
            text if sort == "string" else 7 for _, sort in kind.fields])
    path, count = tmp_path / "a.evtx", 0
    for old, new, data in renamed(writer.to_bytes(), 4):
        path.write_bytes(data)
        slow, fast = told(read(path, None)), told(read(path, loaded))
        assert fast[0] == slow[0], f"{old} called {new}"
        count += old == "Data" and any("Name" in row for row in slow[0])
    assert count or kind is NAMES


def test_a_definition_in_which_two_parts_claim_a_name_stays_with_the_package(loaded, tmp_path, monkeypatch):
    writer = EvtxWriter()
    for number in range(3):
        writer.add(TWICE, computer="A", time=TIME + number, values=["a", "b", 7])
    path, sent = tmp_path / "a.evtx", []
    for old, new, once in renamed(writer.to_bytes(), 3):
        if old == "Data" and new in ("Level", "Task", "Computer", "UserID"):
            for again, other, twice in renamed(once, 3):
                path.write_bytes(twice)
                rows = same(path, loaded)
                if again == "Data" and other in ("Level", "Task", "Computer", "UserID"):
                    sent.append((used(path, loaded, monkeypatch), sum("Name" in row for row in rows)))
    assert (1, 3) in sent, "two elements keep their attribute"


def test_a_name_that_two_parts_claim_stays_in_its_row():
    """Two elements with one attribute each, in half of the records: as many values as there are rows."""
    batch = EvtxBatch()
    plain = {"A": "1"}
    twice = {"X": {"#attributes": {"Name": "first"}, "#text": "x"}, "Y": {"#attributes": {"Name": "second"}}}
    events = [{"System": {"EventID": 1}, "EventData": e} for e in (plain, twice, plain, twice)]
    records = [{"data": orjson.dumps({"Event": e}).decode(), "event_record_id": n, "timestamp": "2026-01-01T00:00:00Z"}
               for n, e in enumerate(events)]
    for _ in batch.consume(iter(records)):
        pass
    table, doubled = batch.build_told()
    assert doubled == {1, 3}
    assert table.fields["Name"].to_list(4) == [None, "first", None, "first"]
    assert table.fields["X"].to_list(4) == [None, "x", None, "x"]


def tables_of(path, **more):
    source = Source(name=path.name, path=path, size=path.stat().st_size, sha256="", kind="evtx", zone_hint=None)
    return parse_evtx(source, **more)


def test_what_was_read_before_changes_nothing(loaded, tmp_path):
    """One file after the other goes through the same memory: rows and the order of columns are the file's own."""
    a, b = tmp_path / "a.evtx", tmp_path / "b.evtx"
    a.write_bytes(sample(1))
    b.write_bytes(sample(2))
    evtx_fast.code._loaded = [loaded]
    evtx._kept.clear()
    try:
        first, = tables_of(a)
        alone = [*first.columns], [*first.fields], list(first.iter_rows())
        evtx._kept.clear()
        list(tables_of(b))
        kept, = evtx._kept
        again, = tables_of(a)
        assert evtx._kept == [kept]
        assert ([*again.columns], [*again.fields], list(again.iter_rows())) == alone
        list(tables_of(b))
        assert list(again.iter_rows()) == alone[2], "a table lasts longer than the memory it came from"
    finally:
        evtx_fast.code.forget()


def test_a_file_that_is_left_half_read_leaves_no_memory_behind(loaded, tmp_path):
    """Some hundred megabytes a file would be taken, though not touched: children are limited in both."""
    path, broken = tmp_path / "a.evtx", tmp_path / "b.evtx"
    path.write_bytes(sample(1))
    broken.write_bytes(b"no event log at all" * 1000)
    evtx_fast.code._loaded = [loaded]
    evtx._kept.clear()
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            rest = tables_of(path, batch_rows=50)
            next(rest)
            rest.close()
            with pytest.raises(UnsupportedFormat):
                list(tables_of(broken))
        assert not [o for o in gc.get_objects() if type(o) is evtx_fast.FastRows]
    finally:
        gc.enable()
        evtx_fast.code.forget()


@pytest.mark.shared
def test_every_real_log_is_read_alike(loaded):
    folder = SHARED / "data" / "evtx" / "files"
    if not folder.is_dir():
        pytest.skip("shared data not beside the checkout")
    for path in sorted(folder.rglob("*.evtx")):
        assert told(read(path, loaded)) == told(read(path, None)), path.name


@pytest.mark.shared
def test_mutated_real_logs_are_read_alike(loaded, tmp_path):
    folder = SHARED / "data" / "evtx" / "files"
    if not folder.is_dir():
        pytest.skip("shared data not beside the checkout")
    files = sorted(folder.rglob("*.evtx"))
    path = tmp_path / "a.evtx"
    for seed in range(40):
        draw = random.Random(seed)
        data = bytearray(draw.choice(files).read_bytes()[:4096 + 3 * 65536])
        for _ in range(draw.choice([1, 5, 50])):
            data[draw.randrange(4096 + 512, len(data))] = draw.randrange(256)
        path.write_bytes(data if seed % 2 else repaired(data))
        assert told(read(path, loaded)) == told(read(path, None)), seed


def test_numbers_of_the_machine_code_fit_its_arrays():
    assert evtx_native.STATE > evtx_native.LOCALS
    assert evtx_native.TEMPLATE > evtx_native.T_BODY_ROLE
    assert Part(0, 1).end == 4096 + 65536
