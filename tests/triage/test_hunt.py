"""From paths to hits: order, damage, dying children, figures."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import yaml

from hikeshi.errors import ChildKilled, UsageError
from hikeshi.evidence.source import Source
from hikeshi.triage import hunt as module
from hikeshi.triage.hunt import Hunt

SHARED = Path(__file__).parents[2].parent / "shared"
CLEARED = {"title": "Log cleared", "id": "00000000-0000-4000-8000-000000000001", "author": "Nobody", "level": "high",
           "logsource": {"product": "windows", "service": "security"},
           "detection": {"s": {"EventID": 1102}, "condition": "s"}}
ANY = {"title": "Any process", "id": "00000000-0000-4000-8000-000000000002", "level": "low",
       "logsource": {"product": "windows", "category": "process_creation"},
       "detection": {"s": {"Image|contains": "."}, "condition": "s"}}
NOWHERE = {**ANY, "title": "Nowhere", "id": "x", "logsource": {"product": "windows", "category": "no_such"}}

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def files():
    folder = SHARED / "data" / "evtx" / "files"
    if not folder.is_dir():
        pytest.skip("shared data not beside the checkout")
    return [p for p in sorted(folder.glob("*.evtx")) if p.stat().st_size == 69632][:40]


@pytest.fixture
def rules(tmp_path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for number, rule in enumerate((CLEARED, ANY, NOWHERE)):
        (folder / f"{number}.yml").write_text(yaml.safe_dump(rule), encoding="utf-8")
    return folder


@pytest.fixture
def evidence(tmp_path, files):
    folder = tmp_path / "evidence"
    folder.mkdir()
    for path in files:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def hits_of(hunt):
    return [json.loads(line) for line in hunt.lines()]


def test_hits_name_rule_record_and_file_and_come_in_the_same_order_each_time(evidence, rules, monkeypatch):
    hunt = Hunt([evidence], [rules], workers=2)
    rows = hits_of(hunt)
    assert rows
    assert set(rows[0]) == {"rule_id", "rule_title", "rule_author", "level", "file", "path", "sha256", "record_id", "event_id",
                            "channel", "host", "timestamp", "tactics", "techniques"}
    assert [r["path"] for r in rows] == sorted(r["path"] for r in rows)
    monkeypatch.setattr(module, "_GROUP_FILES", 3)
    assert hits_of(Hunt([evidence], [rules], workers=2)) == rows
    summary = hunt.summary
    assert (summary.rules_loaded, summary.rules_applicable) == (3, 2)
    assert summary.skipped[0].reason.endswith("unknown category")
    assert summary.hits == len(rows) == sum(r.count for r in summary.rules.values())
    assert len(summary.files) == len(list(evidence.iterdir()))


def test_each_hit_names_the_evidence_by_its_hash(evidence, rules):
    hits = hits_of(Hunt([evidence], [rules], workers=2))
    assert hits and all(hit["sha256"] == hashlib.sha256((evidence / hit["path"]).read_bytes()).hexdigest() for hit in hits)


def test_only_the_wanted_levels_are_reported(evidence, rules):
    assert {r["level"] for r in hits_of(Hunt([evidence], [rules], level="high", workers=1))} == {"high"}


def test_damaged_and_mislabelled_files_get_a_line_each_and_the_rest_is_hunted(evidence, rules):
    clean = hits_of(Hunt([evidence], [rules], workers=1))
    first = sorted(evidence.iterdir())[0]
    (evidence / "zz-empty.evtx").write_bytes(b"")
    (evidence / "zz-text.evtx").write_text("this is no event log\n" * 50)
    (evidence / "zz-cut.evtx").write_bytes(first.read_bytes()[:30_000])
    data = bytearray(first.read_bytes())
    data[:4096] = bytes(4096)
    (evidence / "zz-wiped.evtx").write_bytes(data)
    (evidence / "notes.txt").write_text("nothing to hunt here")
    hunt = Hunt([evidence], [rules], workers=1)
    found = hits_of(hunt)
    rows = [r for r in found if not r["file"].startswith("zz-")]
    assert rows == clean
    reports = {f.name: f for f in hunt.summary.files}
    assert "empty" in reports["zz-empty.evtx"].error
    assert "not a Windows event log" in reports["zz-text.evtx"].error
    assert reports["zz-cut.evtx"].rejected
    assert any("ends inside a chunk" in p for p in reports["zz-cut.evtx"].problems)
    assert reports["zz-wiped.evtx"].events == reports[first.name].events
    assert hunt.summary.other_files == 1


def test_a_dying_child_loses_only_the_file_that_kills_it(evidence, rules, monkeypatch):
    clean = hits_of(Hunt([evidence], [rules], workers=1))
    deadly = clean[0]["file"]

    class Answer:
        def __init__(self, key, value, error):
            self.key, self.value, self.error = key, value, error
            self.protection, self.cpu_s, self.peak_bytes = "none", 0.0, 0

    def run(function, tasks, *, setup_argument, **options):
        context = module.prepare(setup_argument)
        for task in tasks:
            if any(s.name == deadly for s, _ in task.argument[1]):
                yield Answer(task.key, None, ChildKilled("the child was killed by SIGSEGV"))
            else:
                yield Answer(task.key, module.hunt_files(context, task.argument), None)

    monkeypatch.setattr(module, "run", run)
    hunt = Hunt([evidence], [rules], workers=1)
    assert hits_of(hunt) == [r for r in clean if r["file"] != deadly]
    assert [f.name for f in hunt.summary.unreadable] == [deadly]
    assert "SIGSEGV" in hunt.summary.unreadable[0].error


def test_files_in_one_batch_keep_their_own_figures(files, rules, tmp_path):
    from hikeshi.detect.compile import compile_rules
    from hikeshi.detect.rules import load_rules

    compiled = compile_rules(load_rules([rules]))
    context = module.prepare({"rules": orjson.dumps(compiled.to_plain()), "levels": ["high", "low"],
                              "spool": str(tmp_path), "site": ((), [])})
    sources = [Source(p, p.name, "", p.stat().st_size, kind="evtx") for p in files]
    together = module.hunt_files(context, ["t", [(s, None) for s in sources]])
    alone = [module.hunt_files(context, [f"a{n}", [(s, None)]]) for n, s in enumerate(sources)]
    assert together["files"] == [a["files"][0] for a in alone]
    lines = b"".join(Path(a["spools"][0]).read_bytes() for a in alone)
    assert Path(together["spools"][0]).read_bytes() == lines


def cli(*arguments):
    code = "import sys; from hikeshi.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, "hunt", *map(str, arguments)], capture_output=True, text=True,
                          timeout=120, env={"PYTHONPATH": str(Path(module.__file__).parents[2]), "PATH": "/usr/bin:/bin"})


def test_the_command_prints_json_and_says_what_it_did(evidence, rules):
    done = cli(evidence, "--rules", rules, "--json", "--no-cache", "--workers", "1")
    assert done.returncode == 1, done.stderr
    assert all(json.loads(line)["rule_id"] for line in done.stdout.splitlines())
    assert "3 loaded, 2 applicable, 1 not applicable" in done.stderr
    assert "unknown category" in done.stderr


def test_exit_codes(evidence, rules, tmp_path):
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    (quiet / "r.yml").write_text(yaml.safe_dump({**CLEARED, "detection": {"s": {"EventID": 99}, "condition": "s"}}))
    one = sorted(evidence.iterdir())[0]
    bad = tmp_path / "bad.evtx"
    bad.write_text("no event log")
    assert cli(one, "--rules", quiet, "--no-cache").returncode == 0
    assert cli(bad, "--rules", rules, "--no-cache").returncode == 3
    assert cli(tmp_path / "gone", "--rules", rules, "--no-cache").returncode == 3
    assert cli(one, "--rules", tmp_path / "gone", "--no-cache").returncode == 2
    assert cli(one, "--level", "loud").returncode == 2


def test_an_unknown_level_or_worker_count_is_a_usage_error(evidence, rules):
    with pytest.raises((ValueError, UsageError)):
        Hunt([evidence], [rules], level="loud")
