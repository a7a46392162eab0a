"""The same events as EVTX, as JSON Lines, as XML, whole and in parts: the same hits."""

import json
from pathlib import Path

import evtx
import orjson
import pytest
import yaml

from hikeshi.demo.evtx_writer import EvtxWriter, Template
from hikeshi.errors import ChildKilled
from hikeshi.evidence.source import Source
from hikeshi.parse import evtx as parser
from hikeshi.triage import hunt as module
from hikeshi.triage.hunt import Hunt

SHARED = Path(__file__).parents[2].parent / "shared"
START = 1_790_000_000_000_000
PROCESS = Template("Microsoft-Windows-Sysmon", "{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
                   "Microsoft-Windows-Sysmon/Operational", 1,
                   (("Image", "string"), ("CommandLine", "string"), ("ProcessId", "uint32"), ("ParentImage", "string")),
                   keywords=1 << 63)
CLEARED = Template("Microsoft-Windows-Eventlog", "{FC65DDD8-D6EF-4962-83D5-6E5CFE9CE148}", "Security", 1102,
                   (("SubjectUserName", "string"), ("SubjectLogonId", "hex64")),
                   user_data=("LogFileCleared", "http://manifests.microsoft.com/win/2004/08/windows/eventlog"))
SERVICE = Template("Service Control Manager", "{555908D1-A6D7-4695-8E1E-26931D2012F4}", "System", 7045,
                   (("ServiceName", "string"), ("ImagePath", "string")), qualifiers=16384)
RULES = [
    {"title": "Cleared", "id": "1", "level": "high", "logsource": {"product": "windows", "service": "security"},
     "detection": {"s": {"EventID": 1102, "SubjectUserName": "mallory"}, "condition": "s"}},
    {"title": "Whoami", "id": "2", "level": "low", "logsource": {"product": "windows", "category": "process_creation"},
     "detection": {"s": {"Image|endswith": "\\whoami.exe", "CommandLine|re": "/(all|priv)$"}, "condition": "s"}},
    {"title": "No parent", "id": "3", "level": "low",
     "logsource": {"product": "windows", "category": "process_creation"},
     "detection": {"s": {"ParentImage": None, "ProcessId": 4096}, "condition": "s"}},
    {"title": "Service", "id": "4", "level": "medium", "logsource": {"product": "windows", "service": "system"},
     "detection": {"s": {"EventID": 7045, "ImagePath|contains": "日本語"}, "condition": "s"}},
    {"title": "Word", "id": "5", "level": "medium", "logsource": {"product": "windows", "service": "system"},
     "detection": {"keywords": ["beacon"], "condition": "keywords"}},
]


def event_log(count: int = 40) -> bytes:
    writer = EvtxWriter(first_record_id=700)
    for n in range(count):
        at = {"computer": f"WS{n % 3}.kaede.example", "time": START + n * 1_000_000}
        image = "C:\\Windows\\System32\\whoami.exe" if n % 4 == 0 else "C:\\Windows\\System32\\notwhoami.exe.txt"
        writer.add(PROCESS, values=[image, "whoami /all" if n % 8 == 0 else "whoami \"&\" <b> /allow", 4096 + n % 2,
                                    None if n % 5 == 0 else "C:\\explorer.exe"], **at)
        if n % 7 == 0:
            writer.add(CLEARED, values=["mallory" if n % 2 else "mallory2", 0x3e7], **at)
        if n % 9 == 0:
            writer.add(SERVICE, values=["beacon" if n % 2 else "quiet", f"C:\\日本語\\{n}.exe" if n else "C:\\x.exe"], **at)
    return writer.to_bytes()


def as_json(path: Path) -> bytes:
    records = evtx.PyEvtxParser(str(path), number_of_threads=1).records_json()
    return b"".join(orjson.dumps(orjson.loads(r["data"])) + b"\n" for r in records)


def as_xml(path: Path, *, document: bool) -> bytes:
    texts = [r["data"].split("?>", 1)[1].strip() for r in evtx.PyEvtxParser(str(path), number_of_threads=1).records()]
    if document:
        return ('<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<Events>' + "".join(texts) + "</Events>").encode()
    return "".join(" ".join(t.split()) + "\n" for t in texts).encode()


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for rule in RULES:
        (folder / f"{rule['id']}.yml").write_text(yaml.safe_dump(rule), encoding="utf-8")
    return folder


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "sample.evtx"
    path.write_bytes(event_log())
    return path


def run(path, rules, **options):
    hunt = Hunt([path], [rules], workers=options.pop("workers", 1), **options)
    return [json.loads(line) for line in hunt.lines()], hunt.summary


def without_file(rows):
    return [{k: v for k, v in row.items() if k not in ("file", "path", "sha256")} for row in rows]


@pytest.mark.parametrize("shape", ["jsonl", "xml lines", "xml document", "utf-16"])
def test_an_export_gives_the_hits_of_the_log_itself(log, rules, tmp_path, shape):
    wanted, before = run(log, rules)
    assert {row["rule_title"] for row in wanted} == {"Cleared", "Whoami", "No parent", "Service", "Word"}
    data = as_json(log) if shape == "jsonl" else as_xml(log, document=shape != "xml lines")
    if shape == "utf-16":
        data = data.decode().replace("utf-8", "utf-16").encode("utf-16")
    path = tmp_path / "export.txt"
    path.write_bytes(data)
    rows, summary = run(path, rules)
    assert without_file(rows) == without_file(wanted)
    assert {row["path"] for row in rows} == {"export.txt"}
    assert (summary.events, summary.rejected, summary.other_files) == (before.events, 0, 0)
    assert [(f.name, f.hits, f.error) for f in summary.files] == [("export.txt", len(rows), None)]


def test_other_texts_are_counted_and_no_event_log(log, rules, tmp_path):
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "a.log").write_text("Jan  5 01:02:03 host sshd[5]: Failed password for root from 203.0.113.5\n" * 30)
    (folder / "b.jsonl").write_text('{"EventID": 1102, "what": "no Windows event"}\n' * 30)
    (folder / "c.xml").write_text("<Events><Item>1102</Item></Events>")
    (folder / "d.evtx").write_text("whoami /all\n" * 30)
    (folder / "e.evtx").write_bytes(log.read_bytes())
    rows, summary = run(folder, rules)
    assert {row["file"] for row in rows} == {"e.evtx"}
    assert summary.other_files == 3
    assert "not a Windows event log (its content: text)" in {f.name: f for f in summary.files}["d.evtx"].error
    assert len(summary.files) == 2


def test_a_folder_of_logs_and_exports_keeps_the_order_of_file_names(log, rules, tmp_path):
    folder = tmp_path / "evidence"
    folder.mkdir()
    for name in ("a.evtx", "b.jsonl", "c.evtx", "d.xml", "e.evtx"):
        data = log.read_bytes() if name.endswith("evtx") else as_json(log) if name.endswith("jsonl") else \
            as_xml(log, document=True)
        (folder / name).write_bytes(data)
    alone, _ = run(log, rules)
    rows, summary = run(folder, rules)
    assert [row["file"] for row in rows] == [name for name in sorted(p.name for p in folder.iterdir()) for _ in alone]
    assert without_file(rows) == without_file(alone) * 5
    assert {f.hits for f in summary.files} == {len(alone)}
    assert all(rule.count == 5 * sum(r["rule_title"] == rule.title for r in alone) for rule in summary.rules.values())


def test_a_cut_export_gives_what_it_holds_and_names_what_is_lost(log, rules, tmp_path):
    data = as_xml(log, document=True)
    path = tmp_path / "cut.xml"
    path.write_bytes(data[:len(data) // 2])
    rows, summary = run(path, rules)
    wanted, whole = run(log, rules)
    assert rows
    assert without_file(rows) == without_file(wanted)[:len(rows)]
    assert 0 < summary.events < whole.events
    assert summary.rejected == 1
    assert "does not end" in summary.files[0].problems[0]


def test_an_entity_of_its_own_in_an_export_is_refused_and_counted(log, rules, tmp_path):
    event = as_xml(log, document=False).decode().splitlines()[0]
    kind = '<!DOCTYPE Event [<!ENTITY b "/all">]>'
    path = tmp_path / "bomb.xml"
    path.write_text(f"{event}\n{kind}{event.replace('/all', '&b;')}\n{event}\n")
    _, summary = run(path, rules)
    assert (summary.events, summary.rejected) == (2, 2)


# ---- large logs in parts ---------------------------------------------------------------------


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.evtx"
    path.write_bytes(event_log(1500))
    assert path.stat().st_size > 4096 + 8 * 65536
    return path


def figures(summary):
    return [(f.name, f.events, f.rejected, f.hits, sorted(f.problems), f.error) for f in summary.files]


def counts(summary):
    return {k: (r.count, r.first, r.last, r.hosts) for k, r in summary.rules.items()}


@pytest.fixture
def parted(monkeypatch):
    monkeypatch.setattr(module, "_PART_CHUNKS", (3, 3))
    monkeypatch.setattr(module, "_SPLIT_BYTES", 100_000)


def damaged(data: bytearray, damage: str) -> bytearray:
    if damage == "header":
        data[:4096] = bytes(4096)
    elif damage == "checksum":
        data[124] ^= 255
    elif damage == "cut":
        del data[-30_000:]
    elif damage == "magic":
        data[4096 + 5 * 65536] ^= 255
    elif damage == "chunk":
        data[4096 + 4 * 65536 + 520:4096 + 4 * 65536 + 3000] = b"\xff" * 2480
    elif damage == "header and end":
        data[:4096] = bytes(4096)
        data[4096 + 2 * 65536:] = bytes(len(data) - 4096 - 2 * 65536)
    elif damage == "wiped end":
        data[4096 + 6 * 65536:] = bytes(len(data) - 4096 - 6 * 65536)
    return data


@pytest.mark.parametrize("damage", ["none", "header", "checksum", "cut", "magic", "chunk", "wiped end",
                                    "header and end"])
def test_a_log_in_parts_gives_what_it_gives_whole(large, rules, damage, request):
    large.write_bytes(damaged(bytearray(large.read_bytes()), damage))
    rows, whole = run(large, rules)
    assert rows and whole.rejected == sum(f.rejected for f in whole.files)
    assert bool(whole.rejected) == (damage != "none")
    request.getfixturevalue("parted")
    calls = []
    original = module.run

    def counting(function, tasks, **options):
        listed = list(tasks)
        calls.append(len(listed))
        return original(function, iter(listed), **options)

    request.getfixturevalue("monkeypatch").setattr(module, "run", counting)
    again, parts = run(large, rules, workers=2)
    assert calls == [-(-(large.stat().st_size - 4096) // (3 * 65536))]
    assert again == rows
    assert figures(parts) == figures(whole)
    assert counts(parts) == counts(whole)


def test_the_records_of_a_last_chunk_that_is_cut_off_are_read(large, rules):
    data = large.read_bytes()
    large.write_bytes(data[:4096 + 3 * 65536])
    _, three = run(large, rules)
    large.write_bytes(data[:4096 + 3 * 65536 + 40_000])
    _, cut = run(large, rules)
    large.write_bytes(data[:4096 + 4 * 65536])
    _, four = run(large, rules)
    assert three.events + 20 < cut.events < four.events
    assert any("ends inside a chunk" in problem for problem in cut.files[0].problems)


def test_a_part_that_kills_its_child_is_the_only_one_lost(large, rules, parted, monkeypatch):
    rows, whole = run(large, rules)

    class Answer:
        protection, cpu_s, peak_bytes = "none", 0.0, 0

        def __init__(self, key, value, error):
            self.key, self.value, self.error = key, value, error

    def deadly(function, tasks, *, setup_argument, **options):
        context = module.prepare(setup_argument)
        for task in tasks:
            if any(part.first == 3 for _, part in task.argument[1]):
                yield Answer(task.key, None, ChildKilled("the child was killed by SIGSEGV"))
            else:
                yield Answer(task.key, module.hunt_files(context, task.argument), None)

    monkeypatch.setattr(module, "run", deadly)
    left, summary = run(large, rules)
    assert 0 < len(left) < len(rows)
    assert [r for r in rows if r in left] == left
    (report,) = summary.files
    assert report.error == "bytes 200,704 to 397,312: the child was killed by SIGSEGV"
    assert 0 < report.events < whole.events


def test_the_decoder_s_chunk_numbers_are_those_of_the_file(large, monkeypatch):
    large.write_bytes(damaged(bytearray(large.read_bytes()), "magic"))
    source = Source(large, "large.evtx", "", large.stat().st_size, kind="evtx")
    whole = [(r.reason, r.record, r.offset) for t in parser.parse_evtx(source) for r in t.rejects]
    assert any("chunk number 5" in reason for reason, _, _ in whole)
    monkeypatch.setattr(parser, "_PART_CHUNKS", 3)
    assert sorted(map(str, whole)) == sorted(str((r.reason, r.record, r.offset))
                                             for t in parser.parse_evtx(source) for r in t.rejects)


@pytest.mark.shared
def test_real_logs_exported_as_json_lines_give_the_same_rules_and_records(rules, tmp_path):
    folder, real_rules = SHARED / "data" / "evtx" / "files", SHARED / "data" / "sigma" / "rules" / "windows"
    if not folder.is_dir() or not real_rules.is_dir():
        pytest.skip("shared data not beside the checkout")
    chosen = [p for p in sorted(folder.glob("*.evtx")) if p.stat().st_size == 69632][::6][:40]
    logs, exports = tmp_path / "logs", tmp_path / "exports"
    logs.mkdir()
    exports.mkdir()
    for path in chosen:
        (logs / path.name).write_bytes(path.read_bytes())
        (exports / f"{path.name}.jsonl").write_bytes(as_json(path))
    cache = tmp_path / "cache"
    wanted, _ = run(logs, real_rules, cache=cache)
    rows, summary = run(exports, real_rules, cache=cache)
    assert len(wanted) > 50
    assert {(r["rule_id"], r["path"].removesuffix(".jsonl"), r["record_id"]) for r in rows} == \
           {(r["rule_id"], r["path"], r["record_id"]) for r in wanted}
    assert summary.rejected == 0
