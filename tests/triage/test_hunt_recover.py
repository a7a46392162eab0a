"""An attack's record that only recovery shows: hits carry the mark, the figures tell them apart."""

import json
import struct
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from hikeshi.cli.main import main
from hikeshi.triage.hunt import Hunt

sys.path.insert(0, str(Path(__file__).parents[1] / "parse"))
from test_evtx_recover import CLEARED, log, reused

RULE = {"title": "Shadow copies deleted", "id": "00000000-0000-4000-8000-000000000007", "level": "high",
        "author": "Nobody", "logsource": {"product": "windows", "category": "process_creation"},
        "detection": {"s": {"CommandLine|contains": "vssadmin /130"}, "condition": "s"}}


@pytest.fixture
def evidence(tmp_path):
    """A log cleared after the attack: its last chunk was begun anew, the attack's record is in the slack."""
    old = log(400, word="vssadmin")
    first = reused(old, log(1, first=900, template=CLEARED))[:4096 + 65536]
    second = old[4096 + 65536:4096 + 2 * 65536]
    low, high = struct.unpack_from("<2Q", second, 24)
    rule = tmp_path / "rules" / "r.yml"
    rule.parent.mkdir()
    wanted = low - 5
    text = yaml.safe_dump(RULE).replace("/130", f"/{wanted}")
    rule.write_text(text, encoding="utf-8")
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / "Security.evtx").write_bytes(first + second)
    assert wanted < low <= high
    return folder, rule.parent, wanted


def test_the_record_is_found_only_by_recovery_and_carries_its_mark(evidence):
    folder, rules, wanted = evidence
    usual = Hunt([folder], [rules], workers=1)
    assert list(usual.lines()) == [] and usual.summary.recovered == 0
    hunt = Hunt([folder], [rules], workers=1, recover=True)
    (hit,) = map(orjson.loads, hunt.lines())
    data = (folder / "Security.evtx").read_bytes()
    assert hit["record_id"] == wanted and hit["recovered"] == "slack"
    assert data[hit["offset"]:hit["offset"] + 4] == b"**\0\0"
    assert hit["lacks"] == "its names are from another place in the log"
    assert hunt.summary.recovered_hits == 1 and hunt.summary.hits == 1
    assert hunt.summary.recovered == hunt.summary.files[0].recovered > 100
    assert next(iter(hunt.summary.rules.values())).recovered == 1


def test_memory_and_disk_images_are_searched_and_other_files_are_none(evidence):
    folder, rules, _ = evidence
    data = (folder / "Security.evtx").read_bytes()
    (folder / "Security.evtx").unlink()
    (folder / "memory.raw").write_bytes(bytes(range(256)) * 99 + data[4096:] + b"\x01\x80" * 9000)
    (folder / "program.bin").write_bytes(b"\x00\x81\xfe\x07" * 5000)
    assert list(Hunt([folder], [rules], workers=1).lines()) == []
    hunt = Hunt([folder], [rules], workers=1, recover=True)
    # Here the chunk's own definition is gone, and there is no log to ask.
    assert {orjson.loads(line)["recovered"] for line in hunt.lines()} <= {"carved"}
    assert [f.name.rpartition("/")[2] for f in hunt.summary.files] == ["memory.raw"]
    assert hunt.summary.recovered > 200 and hunt.summary.other_files == 1 and not hunt.summary.unreadable


def test_the_commands_say_it(evidence, capfd):
    folder, rules, _ = evidence
    assert main(["hunt", str(folder), "--rules", str(rules), "--recover", "--no-cache"]) == 1
    said = capfd.readouterr()
    assert "復元した記録 on recovered records: 1" in said.out and "空き領域などから復元" in said.err
    assert main(["parse", str(folder), "--json", "--recover"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {"slack"} == {t["hikeshi.recovered"] for t in told if "hikeshi.recovered" in t}
