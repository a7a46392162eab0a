"""triage(): everything in one run, honest about what it could not read, and unbreakable by a kill."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from hikeshi.demo import write_scenario
from hikeshi.errors import InputError, UsageError
from hikeshi.events.table import ARROW_SCHEMA
from hikeshi.triage.run import triage

SRC = Path(__file__).parents[2] / "src"
MADE_AT = datetime(2026, 10, 6, tzinfo=UTC)


def squid(lines: int = 40, host: str = "www.business.example") -> str:
    return "".join(f"{1726000000 + n}.002    524 10.1.15.58 TCP_MISS/200 1863 GET http://{host}/a{n} u1 HIER_DIRECT/192.0.2.7 text/html\n"
                   for n in range(lines))


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    folder = tmp_path / "evidence"
    (folder / "proxy").mkdir(parents=True)
    (folder / "proxy" / "access.log").write_text(squid() + "this line is no request\n" + squid(2, "c2.bad.example"))
    with gzip.open(folder / "proxy" / "access.log.1.gz", "wt") as file:
        file.write(squid(7))
    (folder / "LNX01").mkdir()
    (folder / "LNX01" / "auth.log").write_text(
        "Sep 10 20:26:40 lnx01 sshd[1]: Accepted password for u1 from 192.0.2.9 port 5000 ssh2\n" * 5)
    return folder


def run(evidence: Path, out: Path, **options: object):
    return triage([evidence], out, zone="Asia/Tokyo", made_at=MADE_AT, **options)  # type: ignore[arg-type]


def digest(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.rglob("*")) if p.is_file()}


def test_it_writes_everything_it_promises(evidence, tmp_path):
    result = run(evidence, tmp_path / "out")
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"report.html", "report.pdf", "findings.jsonl", "case.json", "events", "manifest.json"}
    case = json.loads((tmp_path / "out" / "case.json").read_text())
    assert case["identification"]["verdict"] == "unknown" and case["compromised_hosts"] == []
    assert sum(item.records for item in result.items) == 40 + 1 + 2 + 7 + 5


def test_the_manifest_names_every_file_with_its_hash(evidence, tmp_path):
    run(evidence, tmp_path / "out")
    told = {e["path"]: e for e in json.loads((tmp_path / "out" / "manifest.json").read_text())["evidence"]}
    log = told["proxy/access.log"]
    assert log["sha256"] == hashlib.sha256((evidence / "proxy" / "access.log").read_bytes()).hexdigest()
    assert log["format"] == "squid" and log["records"] == 43 and log["rejected"] == 1
    assert told["LNX01/auth.log"]["zone"] == "Asia/Tokyo"
    assert any(path.startswith("proxy/access.log.1.gz") for path in told)


def test_events_are_one_schema_in_parquet(evidence, tmp_path):
    run(evidence, tmp_path / "out")
    files = sorted((tmp_path / "out" / "events").glob("*.parquet"))
    assert len(files) == 3
    assert all(pq.read_schema(f).names == ARROW_SCHEMA.names for f in files)
    assert sum(pq.read_metadata(f).num_rows for f in files) == 55


def test_a_listed_address_becomes_a_finding_with_its_lines(evidence, tmp_path):
    (tmp_path / "list.txt").write_text("c2[.]bad[.]example\n")
    result = run(evidence, tmp_path / "out", indicators=[tmp_path / "list.txt"])
    (found,) = [f for f in result.findings if f.kind == "sighting"]
    assert found.hosts == ("10.1.15.58",) and found.count == 2 and [r.line for r in found.records] == [42, 43]
    sightings = [json.loads(line) for line in (tmp_path / "out" / "sightings.jsonl").read_text().splitlines()]
    assert sightings[0]["indicator"] == "c2.bad.example" and sightings[0]["role"] == "destination"


def test_two_runs_over_the_same_evidence_are_byte_equal(evidence, tmp_path):
    run(evidence, tmp_path / "one", workers=1)
    run(evidence, tmp_path / "two", workers=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


def test_the_evidence_is_not_changed(evidence, tmp_path):
    before = digest(evidence)
    run(evidence, tmp_path / "out")
    assert digest(evidence) == before


def test_results_inside_the_evidence_are_refused(evidence):
    with pytest.raises(UsageError, match="inside the evidence"):
        run(evidence, evidence / "out")


def test_an_empty_folder_gives_an_honest_empty_report(tmp_path):
    (tmp_path / "evidence").mkdir()
    result = run(tmp_path / "evidence", tmp_path / "out")
    assert not result.found and not result.items
    assert "イベントは1件も読み取れませんでした。" in (tmp_path / "out" / "report.html").read_text()


def test_broken_files_cost_only_themselves(evidence, tmp_path):
    (evidence / "empty.evtx").write_bytes(b"")
    (evidence / "cut.evtx").write_bytes(b"ElfFile\0" + b"\x01" * 900)
    (evidence / "mislabelled.evtx").write_text(squid(3))
    (evidence / "report.docx").write_bytes(b"PK\x03\x04 not a zip at all")
    (evidence / "junk.log").write_bytes(bytes(range(256)) * 64)
    (evidence / "wrong.log").write_bytes("ログイン失敗 利用者=山田\n".encode("cp932") * 20)
    (evidence / "endless.log").write_bytes(b"x" * (8 << 20))
    with (evidence / "sparse.log").open("wb") as file:
        file.truncate(5 << 30)
    with zipfile.ZipFile(evidence / "up.zip", "w") as archive:
        archive.writestr("../../../escaped.log", squid(1))
    began = time.monotonic()
    result = run(evidence, tmp_path / "out")
    assert time.monotonic() - began < 120
    told = {i.path: i for i in result.items}
    missing = {n.path for n in result.case.not_read}
    assert told["proxy/access.log"].records == 43
    assert told["mislabelled.evtx"].format == "squid" and told["mislabelled.evtx"].records == 3
    assert told["wrong.log"].encoding in ("cp932", "shift_jis")
    unreadable = {"empty", "sparse", "binary"}
    for name in ("empty.evtx", "cut.evtx", "sparse.log", "junk.log"):
        assert name in missing or told[name].format in unreadable or told[name].problems, name
    assert not (tmp_path / "escaped.log").exists() and not list(tmp_path.glob("**/escaped.log"))


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process tree by signal")
def test_killed_at_any_moment_it_completes_when_run_again(tmp_path):
    evidence = tmp_path / "evidence"
    write_scenario("webshell", tmp_path / "made")
    kept = sorted(p for p in (tmp_path / "made").rglob("*") if p.is_file() and ("WEB01" in str(p) or "proxy" in str(p)))[:8]
    for path in kept:
        target = evidence / path.relative_to(tmp_path / "made")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    run(evidence, tmp_path / "whole")
    out = tmp_path / "out"
    code = ("import sys; from datetime import UTC, datetime; from pathlib import Path; from hikeshi.triage.run import triage\n"
            "triage([Path(sys.argv[1])], Path(sys.argv[2]), zone='Asia/Tokyo', made_at=datetime(2026, 10, 6, tzinfo=UTC))")
    call = [sys.executable, "-c", code, str(evidence), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    for moment in (0.6, 1.2, 1.8, 2.4, 3.2, 4.2):
        running = subprocess.Popen(call, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment)
        tree = psutil.Process(running.pid).children(recursive=True) if running.poll() is None else []
        running.kill()
        running.wait()
        _, alive = psutil.wait_procs(tree, timeout=60)
        assert not alive, "children outlive their parent"
        if (out / "manifest.json").exists():
            assert digest(out / "events") == digest(tmp_path / "whole" / "events")
    assert subprocess.run(call, env=environment, check=False).returncode == 0
    assert digest(out) == digest(tmp_path / "whole")


def _guessed(folder: Path) -> Path:
    """An SSH password guessed at night, then a root shell; from 203.0.113.50."""
    (folder / "LNX01").mkdir(parents=True)
    lines = [f"Sep 10 01:{n // 6:02d}:{n % 6 * 10:02d} lnx01 sshd[{n}]: Failed password for backup from 203.0.113.50 port {4000 + n} ssh2"
             for n in range(120)]
    lines += ["Sep 10 01:25:00 lnx01 sshd[900]: Accepted password for backup from 203.0.113.50 port 5000 ssh2",
              "Sep 10 01:26:00 lnx01 sudo:   backup : TTY=pts/0 ; PWD=/tmp ; USER=root ; COMMAND=/bin/bash"]
    (folder / "LNX01" / "auth.log").write_text("\n".join(lines) + "\n")
    return folder


def test_what_the_company_lists_as_its_own_is_not_accused(tmp_path):
    evidence = _guessed(tmp_path / "evidence")
    accused = run(evidence, tmp_path / "one").case.story
    assert [h.name for h in accused.compromised_hosts] == ["LNX01"]
    known = tmp_path / "known.csv"
    known.write_text("kind,value,why\naddress,203.0.113.50,ordered test\n")
    story = run(evidence, tmp_path / "two", known=known).case.story
    assert not story.compromised_hosts and any("ordered test" in r.reason.en for r in story.explained)


def test_a_wrong_list_is_refused_before_anything_is_read(evidence, tmp_path):
    (tmp_path / "known.csv").write_text("kind,value,why\nmachine,SRV1,x\n")
    with pytest.raises(InputError, match="kind"):
        run(evidence, tmp_path / "out", known=tmp_path / "known.csv")
    assert not (tmp_path / "out").exists()


def test_archives_among_the_evidence_reach_the_story(tmp_path):
    evidence = _guessed(tmp_path / "evidence")
    odd = evidence / "LNX01" / "C" / "PerfLogs"
    odd.mkdir(parents=True)
    with zipfile.ZipFile(odd / "q.zip", "w") as file:
        file.writestr("顧客/一覧.csv", "x" * 500)
    story = run(evidence, tmp_path / "out").case.story
    assert [(s.host, s.content[0].en) for s in story.staging] == [("LNX01", "data of customers and partners")]
    assert (story.leak.least, story.leak.most) == (0, (odd / "q.zip").stat().st_size)
