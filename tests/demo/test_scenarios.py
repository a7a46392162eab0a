"""The worked incidents: whole, repeatable, harmless to the outside world, and true to their truth."""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import evtx
import pytest

import hikeshi
from hikeshi.demo import scenarios, write_scenario
from hikeshi.errors import OutputError, UsageError

SQUID = re.compile(r"\d{10}\.\d{3} +\d+ 10\.20\.\d+\.\d+ TCP_[A-Z_]+/\d{3} \d+ (GET|POST|CONNECT) \S+ - "
                   r"HIER_(DIRECT/[\d.]+|NONE/-) (-|[a-z]+/[a-z-]+)\Z")
FORTIGATE = re.compile(r'date=\d{4}-\d\d-\d\d time=\d\d:\d\d:\d\d devname="[^"]+" devid="\w+" eventtime=\d{19} tz="\+0900" '
                       r'logid="\d{10}" type="(traffic|event)" subtype="(forward|vpn)" ([a-z_]+=("[^"]*"|[\w.:-]+)( |\Z))+')
IIS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ (GET|POST) /\S* \S+ \d+ \S+ [\d.]+ \S+ \S+ \d{3} \d+ \d+ \d+\Z")
SYSLOG = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+09:00 LNX01 [A-Za-z]+(\[\d+\])?: .+\Z")
ADDRESS = re.compile(r"(?<![\d.\-+/])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])")
ALLOWED = [ipaddress.ip_network(n) for n in ("10.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",
                                             "127.0.0.0/8")]


def text_of(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8")


def text_logs(folder: Path) -> Iterator[Path]:
    for part in ("proxy", "firewall", "web", "linux"):
        yield from sorted(p for p in (folder / part).rglob("*") if p.is_file())


def records_of(path: Path) -> list[dict]:
    return list(evtx.PyEvtxParser(str(path)).records_json())


def digest(folder: Path) -> str:
    out = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        out.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return out.hexdigest()


def test_three_incidents_are_offered_with_text_in_both_languages() -> None:
    assert [s.name for s in scenarios()] == ["vpn-ransomware", "mail-c2-exfil", "webshell"]
    for scenario in scenarios():
        assert all((*scenario.title, *scenario.description))


def test_every_event_log_is_read_without_errors(written) -> None:
    paths = sorted(written.folder.rglob("*.evtx"))
    assert len(paths) > 40
    for path in paths:
        if path.relative_to(written.folder).as_posix() in written.truth["damaged"]:
            continue
        records = records_of(path)
        ids = [r["event_record_id"] for r in records]
        times = [r["timestamp"].removesuffix("Z UTC") for r in records]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert times == sorted(times)
        assert {json.loads(r["data"])["Event"]["System"]["Computer"] for r in records} == {
            f"{path.parent.name}.kaede.example"}
        size = path.stat().st_size
        assert (size - 4096) % 65536 == 0


def test_the_damaged_log_still_gives_its_whole_chunks(all_written) -> None:
    incident = all_written["vpn-ransomware"]
    (name,) = incident.truth["damaged"]
    path = incident.file(name)
    assert (path.stat().st_size - 4096) % 65536 != 0
    records = records_of(path)
    assert len(records) > 100
    # The header still promises the record after the last one: some are missing.
    next_id = int.from_bytes(path.read_bytes()[24:32], "little")
    assert records[-1]["event_record_id"] + 1 < next_id


def test_every_log_line_has_the_shape_its_device_gives_it(written) -> None:
    shapes = {"proxy": SQUID, "firewall": FORTIGATE, "web": IIS, "linux": SYSLOG}
    seen: Counter[str] = Counter()
    for path in text_logs(written.folder):
        part = path.relative_to(written.folder).parts[0]
        for number, line in enumerate(text_of(path).splitlines(), 1):
            if part == "web" and number <= 4:
                assert line.startswith("#")
                continue
            assert shapes[part].match(line), (path, number, line)
            seen[part] += 1
    assert min(seen[p] for p in shapes) > 200


def test_lines_are_in_the_order_of_time_and_in_the_file_of_their_day(written) -> None:
    for path in text_logs(written.folder):
        lines = [line for line in text_of(path).splitlines() if not line.startswith("#")]
        key = {"firewall": 41, "proxy": 14, "web": 19, "linux": 26}[path.relative_to(written.folder).parts[0]]
        stamps = [line[:key] for line in lines]
        if "fortigate" in path.name:
            stamps = [re.sub(r"date=(\S+) time=(\S+).*", r"\1\2", s) for s in stamps]
            assert {s[:10].replace("-", "") for s in stamps} == {path.stem.removeprefix("fortigate-")}
        assert stamps == sorted(stamps)
    assert [p.name for p in (written.folder / "proxy").iterdir() if p.suffix == ".gz"]


def test_outside_addresses_come_only_from_documentation_ranges(written) -> None:
    texts = [text_of(p) for p in text_logs(written.folder)]
    texts += [r["data"] for p in written.folder.rglob("*.evtx") for r in records_of(p)]
    versions = {"1.0.0.0", "10.0.0.0"}
    found = {a for text in texts for a in ADDRESS.findall(text)} - versions
    assert len(found) > 100
    for address in found:
        assert any(ipaddress.ip_address(address) in network for network in ALLOWED), address


def test_names_outside_the_company_end_in_example(written) -> None:
    for path in (written.folder / "proxy").iterdir():
        for line in text_of(path).splitlines():
            host = re.sub(r"^https?://", "", line.split()[6]).split("/")[0].split(":")[0]
            assert host.endswith(".example") or ADDRESS.fullmatch(host), line


def test_the_number_of_events_lets_triage_end_in_minutes(all_written) -> None:
    total = 0
    for incident in all_written.values():
        total += sum(text_of(p).count("\n") for p in text_logs(incident.folder))
        total += sum(len(records_of(p)) for p in incident.folder.rglob("*.evtx"))
    assert 60_000 < total < 130_000


def test_each_answer_of_the_truth_is_shown_by_records_that_exist(written) -> None:
    ids: dict[str, set[int]] = {}
    lines: dict[str, int] = {}
    for claim in written.truth["proof"]:
        if claim["what"] != "encrypted_hosts":
            assert claim["records"], claim
        for record in claim["records"]:
            path = written.file(record["path"])
            if "line" in record:
                if record["path"] not in lines:
                    lines[record["path"]] = len(text_of(path).splitlines())
                assert 1 <= record["line"] <= lines[record["path"]]
            else:
                if record["path"] not in ids:
                    ids[record["path"]] = {r["event_record_id"] for r in records_of(path)}
                assert record["record_id"] in ids[record["path"]], record
    proved = [c["value"] for c in written.truth["proof"] if c["what"] == "spread"]
    assert proved == written.truth["spread"]
    assert written.truth["unseen"] == []


def test_the_records_behind_an_answer_say_what_it_claims(all_written) -> None:
    incident = all_written["vpn-ransomware"]
    claims = {str(c["value"]): c["records"] for c in incident.truth["proof"] if c["what"] in ("spread", "entry")}
    entry = claims[str(incident.truth["entry"])]
    lines = [text_of(incident.file(r["path"])).splitlines()[r["line"] - 1] for r in entry]
    assert sum('action="tunnel-up"' in line and 'user="t.mori"' in line for line in lines) == 1
    assert sum('action="ssl-login-fail"' in line for line in lines) >= 10
    assert all("remip=203.0.113.77" in line for line in lines)
    by_path = {p: {r["event_record_id"]: json.loads(r["data"])["Event"] for r in records_of(incident.file(p))}
               for p in ("FS01/System.evtx", "RDS01/Security.evtx")}
    records = claims[str(["RDS01", "FS01", "adm-sato", "psexec_service"])]
    events = [by_path[r["path"]][r["record_id"]] for r in records if r["path"] in by_path]
    numbers = Counter(e["System"]["EventID"] if isinstance(e["System"]["EventID"], int)
                      else e["System"]["EventID"]["#text"] for e in events)
    assert numbers[7045] == 1 and numbers[4648] == 1
    assert any(e["EventData"].get("TargetUserName") == "adm-sato" for e in events)


def test_a_child_names_the_process_that_started_it(all_written) -> None:
    records = records_of(all_written["mail-c2-exfil"].file("PC-A031/Microsoft-Windows-Sysmon%4Operational.evtx"))
    data = [json.loads(r["data"])["Event"]["EventData"] for r in records]
    excel = next(d for d in data if ".xlsm" in d.get("CommandLine", "") and d["Image"].endswith("EXCEL.EXE"))
    child = next(d for d in data if d.get("ParentProcessGuid") == excel["ProcessGuid"])
    assert child["Image"].endswith("powershell.exe") and child["ParentProcessId"] == excel["ProcessId"]
    calls = [d for d in data if d.get("ProcessGuid") == child["ProcessGuid"] and "DestinationIp" in d]
    assert [d["DestinationIp"] for d in calls] == ["10.20.1.250"]


def test_a_cleared_log_begins_with_the_clearing(all_written) -> None:
    incident = all_written["vpn-ransomware"]
    for host in ("DC01", "PC-A014"):
        first, *rest = records_of(incident.file(f"{host}/Security.evtx"))
        assert '"EventID": 1102' in json.dumps(json.loads(first["data"]))
        assert first["event_record_id"] > 20_000 and rest


def test_a_host_with_a_wrong_clock_is_off_by_what_the_notes_say(all_written) -> None:
    incident = all_written["vpn-ransomware"]
    assert incident.truth["clock_offsets"] == [{"host": "APP01", "seconds": -270}]
    assert "4 分 30 秒" in incident.file("notes.txt").read_text("utf-8")

    def installed(host: str) -> list[str]:
        return [r["timestamp"][11:16] for r in records_of(incident.file(f"{host}/System.evtx"))
                if "PSEXESVC.exe" in r["data"]]

    # Deployed 74 s apart, 18:30 UTC: the fast clock makes the second one look 4.5 minutes later.
    assert installed("FS01")[-1] == "18:30"
    assert installed("APP01") == ["18:35"]


def test_encrypted_samples_have_the_family_extension_and_a_note_beside_them(all_written) -> None:
    incident = all_written["vpn-ransomware"]
    hosts = {p.relative_to(incident.folder).parts[0] for p in incident.folder.rglob("*.MEDUSA")}
    assert sorted(hosts) == incident.truth["encrypted_hosts"]
    for host in hosts:
        samples = sorted((incident.folder / host).rglob("*.MEDUSA"))
        assert len(samples) >= 4
        assert all(len(set(s.read_bytes())) > 200 for s in samples)
        assert len(list((incident.folder / host).rglob("!!!READ_ME_MEDUSA!!!.txt"))) == 1


def test_the_facts_of_the_family_are_those_of_the_installed_cluster() -> None:
    pymispgalaxies = pytest.importorskip("pymispgalaxies")
    from hikeshi.demo.scenarios import vpn_ransomware

    meta = pymispgalaxies.Clusters()["ransomware"].get(vpn_ransomware.FAMILY).to_dict()["meta"]
    assert vpn_ransomware.EXTENSION in meta["extensions"]
    assert vpn_ransomware.NOTE in meta["ransomnotes-filenames"]
    assert any(vpn_ransomware.ONION in link for link in meta["links"])


def test_only_the_incident_without_ransomware_brings_indicators(all_written) -> None:
    given = {n: (w.folder.parent / "indicators.txt").is_file() for n, w in all_written.items()}
    assert given == {"vpn-ransomware": False, "mail-c2-exfil": True, "webshell": False}
    text = (all_written["mail-c2-exfil"].folder.parent / "indicators.txt").read_text("utf-8")
    known, hidden = "telemetry-sync.example", "assets-eu-static.example"
    assert sorted([known, hidden]) == sorted(all_written["mail-c2-exfil"].truth["c2"])
    assert known.replace(".", "[.]") in text and "assets-eu" not in text


def test_decoys_are_present_in_the_evidence_and_absent_from_the_answers(written) -> None:
    truth = written.truth
    assert len(truth["not_compromised"]["hosts"]) >= 8
    assert not set(truth["not_compromised"]["hosts"]) & set(truth["compromised_hosts"])
    assert not set(truth["not_compromised"]["accounts"]) & set(truth["compromised_accounts"])
    jump_host = [r["data"] for r in records_of(written.file("JUMP01/Security.evtx"))]
    assert any("TERMSRV/" in data for data in jump_host)


def test_same_seed_gives_the_same_bytes_whatever_the_hash_seed(tmp_path: Path, written) -> None:
    script = ("import sys; from pathlib import Path; from hikeshi.demo import write_scenario; "
              "write_scenario(sys.argv[1], Path(sys.argv[2]))")
    source = str(Path(hikeshi.__file__).parents[1])
    for hash_seed in ("1", "4242"):
        folder = tmp_path / hash_seed / "evidence"
        subprocess.run([sys.executable, "-c", script, written.name, str(folder)], check=True, timeout=120,
                       env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": source})
        assert digest(tmp_path / hash_seed) == digest(written.folder.parent)


@pytest.mark.parametrize("seed", [2, 3])
def test_another_seed_gives_another_cast_in_the_same_plot(tmp_path: Path, written, seed: int) -> None:
    truth = write_scenario(written.name, tmp_path / "evidence", seed=seed).to_dict()
    assert digest(tmp_path / "evidence") != digest(written.folder)
    assert (truth["entry"], truth["spread"]) != (written.truth["entry"], written.truth["spread"])
    assert truth["entry"]["kind"] == written.truth["entry"]["kind"]
    assert [edge[3] for edge in truth["spread"]] == [edge[3] for edge in written.truth["spread"]]
    assert truth["unseen"] == []
    assert not set(truth["not_compromised"]["hosts"]) & set(truth["compromised_hosts"])
    assert not set(truth["not_compromised"]["accounts"]) & set(truth["compromised_accounts"])


def test_an_unknown_name_and_a_full_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no worked incident"):
        write_scenario("vpn", tmp_path / "evidence")
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        write_scenario("webshell", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.txt"]
