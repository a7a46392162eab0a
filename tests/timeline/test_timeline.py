"""The timeline of a small result that is written here: order, filters, marks, logons, values, exports, hostile content."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from hikeshi.cli.timeline import command
from hikeshi.errors import DamagedInput, InputError, UsageError
from hikeshi.events.table import TableBuilder
from hikeshi.events.time import NO_TIME, parse_iso
from hikeshi.timeline.export import as_csv, as_jsonl, as_timesketch
from hikeshi.timeline.logons import logons
from hikeshi.timeline.opened import Opened
from hikeshi.timeline.pivots import pivots
from hikeshi.timeline.rows import Filter, event_of, rows

DC, WEB = "DC/Security.evtx", "web/access.log"


def windows(time: str | None, record: int, code: str, host: str = "DC01.kaede.example", **more: Any) -> dict[str, Any]:
    return {"@timestamp": time, "event.dataset": "windows.security", "winlog.channel": "Security", "event.code": code,
            "winlog.record_id": record, "host.name": host, "log.file.path": DC, **more}


def web(time: str, line: int, **more: Any) -> dict[str, Any]:
    return {"@timestamp": time, "event.dataset": "apache.access", "event.category": "web", "observer.name": "WEB01",
            "log.file.path": WEB, "log.line": line, "log.offset": line * 100, **more}


def finding(number: str, places: Sequence[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"id": number, "kind": "detection", "severity": "high", "title": {"ja": "見つけたもの", "en": f"Found {number}"},
            "when": None, "hosts": [], "accounts": [], "indicators": [], "techniques": ["T1021.001"], "confidence": "high",
            "count": len(places), "records": list(places), "reason": {"ja": "", "en": ""},
            "next_action": {"ja": "", "en": ""}, **more}


@pytest.fixture
def result(tmp_path: Path):
    def make(events: Sequence[dict[str, Any]], findings: Sequence[Any] = (), story: Sequence[Any] = (),
             name: str = "result") -> Path:
        folder = tmp_path / name
        (folder / "events").mkdir(parents=True)
        by_file: dict[str, list[dict[str, Any]]] = {}
        for one in events:
            by_file.setdefault(one["log.file.path"], []).append(one)
        for number, kept in enumerate(by_file.values()):
            builder = TableBuilder()
            for one in kept:
                cells = {k: v for k, v in one.items() if k not in ("@timestamp", "fields")}
                time = NO_TIME if one["@timestamp"] is None else parse_iso(one["@timestamp"], UTC)
                builder.add(time, {**cells, **one.get("fields", {})})
            pq.write_table(builder.build().to_arrow(), folder / "events" / f"{number:04}.parquet")
        (folder / "findings.jsonl").write_text("".join(json.dumps(f) + "\n" for f in findings))
        (folder / "case.json").write_text(json.dumps({"timeline": list(story)}))
        return folder
    return make


EVENTS = (
    windows("2026-10-09T00:00:03Z", 3, "4624", **{"user.name": "t.mori", "user.domain": "KAEDE", "source.ip": "10.0.0.9",
            "event.category": "authentication", "event.outcome": "success", "fields": {"LogonType": "10"}}),
    web("2026-10-09T00:00:01Z", 7, **{"source.ip": "203.0.113.9", "url.full": "http://web01/cmd.aspx?c=whoami"}),
    windows("2026-10-09T00:00:02Z", 2, "4688", **{"user.name": "t.mori", "process.command_line": "vssadmin delete shadows"}),
    windows(None, 9, "1102"),
    windows("2026-10-09T00:00:05Z", 5, "4634", host="DC010.kaede.example", **{"user.name": "t.morita"}),
)
FINDINGS = (
    finding("a", [{"path": DC, "record_id": 3}, {"path": DC, "record_id": 2}]),
    finding("b", [{"path": DC, "record_id": 2}], severity="critical", techniques=["T1490"]),
    finding("c", [{"path": WEB, "line": 7}], severity="low", techniques=[]),
    finding("d", [{"path": "files/READ_ME.txt"}], kind="identification", severity="critical", techniques=[],
            when="2026-10-09T00:00:04Z", hosts=["FS01"]),
    finding("e", [{"path": DC, "record_id": 9}], severity="medium"),
)


def seen(folder: Path, **wanted: Any) -> list[str]:
    with Opened([folder]) as opened:
        return [row.place for row in rows(opened, Filter(**wanted))]


def test_marked_records_come_in_time_order_and_the_timeless_one_last(result):
    folder = result(EVENTS, FINDINGS)
    assert seen(folder) == [f"{WEB}:7", f"{DC} #2", f"{DC} #3", "files/READ_ME.txt", f"{DC} #9"]
    assert seen(folder, every=True) == [f"{WEB}:7", f"{DC} #2", f"{DC} #3", "files/READ_ME.txt", f"{DC} #5", f"{DC} #9"]


def test_a_record_with_two_findings_is_one_row_with_the_graver_level(result):
    with Opened([result(EVENTS, FINDINGS)]) as opened:
        row = next(r for r in rows(opened) if r.record_id == 2)
    assert row.level == "critical" and row.findings == ("b", "a")
    assert {"impact", "lateral-movement"} <= set(row.tactics) and "vssadmin delete shadows" in row.detail


def test_the_same_number_in_another_file_is_not_marked(result):
    other = {**windows("2026-10-09T00:00:02Z", 2, "4688"), "log.file.path": "FS/Security.evtx"}
    line = {**web("2026-10-09T00:00:02Z", 2), "log.file.path": DC + ".log"}
    assert seen(result([*EVENTS, other, line], FINDINGS)) == seen(result(EVENTS, FINDINGS, name="without"))


@pytest.mark.parametrize(("wanted", "numbers"), [
    ({"level": "high"}, [2, 3]), ({"level": "critical"}, [2]), ({"tactics": ("impact",)}, [2]),
    ({"tactics": ("exfiltration",)}, []), ({"hosts": ("dc01",)}, [2, 3, 9]), ({"hosts": ("DC01.kaede.example",)}, [2, 3, 9]),
    ({"hosts": ("dc0",)}, []), ({"accounts": ("KAEDE\\T.Mori",)}, [2, 3]), ({"accounts": ("mori",)}, []),
    ({"search": ("VSSADMIN", "shadows")}, [2]), ({"search": ("vssadmin", "cmd.aspx")}, []), ({"search": ("security", "mori"), "level": "high"}, [2, 3]),
    ({"since": parse_iso("2026-10-09T00:00:03Z", UTC)}, [3]), ({"until": parse_iso("2026-10-09T00:00:03Z", UTC)}, [2]),
    ({"hosts": ("dc01",), "every": True}, [2, 3, 9]), ({"hosts": ("dc010",), "every": True}, [5]),
])
def test_filters_keep_what_fits_and_nothing_beside_it(result, wanted, numbers):
    with Opened([result(EVENTS, FINDINGS)]) as opened:
        assert [r.record_id for r in rows(opened, Filter(**wanted)) if r.path == DC] == numbers


def test_a_whole_file_is_filtered_by_host_and_time_like_a_record(result):
    folder = result(EVENTS, FINDINGS)
    assert seen(folder, hosts=("fs01",)) == ["files/READ_ME.txt"]
    assert "files/READ_ME.txt" not in seen(folder, until=parse_iso("2026-10-09T00:00:04Z", UTC))
    assert "files/READ_ME.txt" in seen(folder, search=("read_me",)) and "files/READ_ME.txt" not in seen(folder, search=("readme",))


def test_steps_of_the_story_stand_on_their_records(result):
    step = {"time": "2026-10-09T00:00:05Z", "ja": "離れた", "en": "They left.", "records": [{"path": DC, "record_id": 5}]}
    with Opened([result(EVENTS, FINDINGS, [step, "no step", {"ja": "?"}])]) as opened:
        row = next(r for r in rows(opened) if r.record_id == 5)
    assert row.kinds == ("story",) and row.level == "info" and row.titles[0].en == "They left."


def test_a_record_can_be_read_whole(result):
    with Opened([result(EVENTS, FINDINGS)]) as opened:
        one, = event_of(opened, DC, record_id=3)
        assert one["fields"] == {"LogonType": "10"} and one["@timestamp"] == "2026-10-09T00:00:03Z"
        assert event_of(opened, DC, record_id=4) == [] == event_of(opened, DC, line=3) and event_of(opened, "' OR 1=1 --", line=7) == []


def signed(time: str, number: int, code: str, account: str, outcome: str | None, **fields: str) -> dict[str, Any]:
    more = {"event.outcome": outcome} if outcome else {}
    return windows(time, number, code, **{"event.category": "authentication", "user.name": account, "source.ip": "10.0.0.9",
                                          "fields": fields, **more})


def test_logons_are_counted_by_who_where_whence_and_how(result):
    events = [
        signed("2026-10-09T00:00:01Z", 1, "4625", "t.mori", "failure", LogonType="3"),
        signed("2026-10-09T00:00:02Z", 2, "4625", "T.MORI", "failure", LogonType="3"),
        signed("2026-10-09T00:00:03Z", 3, "4624", "t.mori", "success", LogonType="3"),
        signed("2026-10-09T00:00:04Z", 4, "4624", "t.mori", "success", LogonType="10"),
        signed("2026-10-09T00:00:05Z", 5, "4776", "t.mori", None, Status="0xc000006a"),
        signed("2026-10-09T00:00:06Z", 6, "4768", "t.mori", "success", Status="0x18"),
        signed("2026-10-09T00:00:07Z", 7, "4624", "DC01$", "success", LogonType="3"),
        signed("2026-10-09T00:00:08Z", 8, "4634", "t.mori", "success", LogonType="3"),  # a logoff is no logon
        {"@timestamp": "2026-10-09T00:00:09Z", "event.category": "authentication", "event.dataset": "linux.sshd",
         "event.outcome": "failure", "user.name": "root", "source.ip": "198.51.100.2", "observer.name": "GW",
         "log.file.path": "gw/auth.log", "log.line": 1},
    ]
    with Opened([result(events)]) as opened:
        found = {(one.account, one.way): one for one in logons(opened)}
        with_machines = {one.account for one in logons(opened, machines=True)}
    assert set(found) == {("t.mori", "3"), ("t.mori", "10"), ("t.mori", "ntlm"), ("t.mori", "kerberos"), ("root", "ssh")}
    network = found["t.mori", "3"]
    assert (network.failures, network.successes) == (2, 1)
    assert network.to_dict()["first_failure"] == "2026-10-09T00:00:01Z" and network.to_dict()["last_failure"] == "2026-10-09T00:00:02Z"
    assert found["t.mori", "ntlm"].failures == 1 == found["t.mori", "kerberos"].failures
    assert found["root", "ssh"].host == "gw" and with_machines == {"t.mori", "root", "dc01$"}


def test_values_of_marked_records_are_ranked_by_how_rare_they_are(result):
    common = [web(f"2026-10-08T00:00:{n:02}Z", 100 + n, **{"source.ip": "10.0.0.9"}) for n in range(20)]
    with Opened([result([*EVENTS, *common], FINDINGS)]) as opened:
        found = [(p.value, p.marked, p.everywhere) for p in pivots(opened) if p.kind == "source"]
    assert found == [("203.0.113.9", 1, 1), ("10.0.0.9", 1, 21)]


def test_exports_hold_the_same_rows(result):
    with Opened([result(EVENTS, FINDINGS)]) as opened:
        kept = list(rows(opened))
    table = list(csv.DictReader(io.StringIO(b"".join(as_csv(kept)).decode("utf-8-sig"))))
    assert [r["record_id"] for r in table] == ["", "2", "3", "", "9"] and table[1]["finding_ja"] == "見つけたもの"
    lines = [json.loads(line) for line in as_jsonl(kept)]
    assert [one["record_id"] for one in lines] == [None, 2, 3, None, 9] and lines[2]["event"]["fields"]["LogonType"] == "10"
    sketch = [json.loads(line) for line in as_timesketch(kept)]
    assert len(sketch) == 4  # without the timeless one
    assert all(one["message"] and one["datetime"] and one["timestamp_desc"] for one in sketch)
    assert sketch[2]["timestamp"] == 1791504003000000 and "lateral-movement" in sketch[2]["tag"]


def test_strangers_words_start_nothing_in_a_spreadsheet_or_a_terminal(result):
    bad = windows("2026-10-09T00:00:02Z", 2, "4688", host="=HYPERLINK(1)", **{"user.name": "@x\x1b[31m\u202e"})
    folder = result([bad], FINDINGS[:2])
    with Opened([folder]) as opened:
        table = b"".join(as_csv(rows(opened))).decode("utf-8-sig")
    row = next(csv.DictReader(io.StringIO(table)))
    assert row["host"] == "'=HYPERLINK(1)" and row["account"].startswith("'@x\\x1b") and "\u202e" not in table
    said = CliRunner().invoke(command, [str(folder)])
    assert "\x1b" not in said.output and said.exit_code == 0


def test_broken_results_are_told(result, tmp_path):
    with pytest.raises(InputError, match="no result"):
        Opened([tmp_path])
    folder = result(EVENTS, FINDINGS)
    for name, content in (("findings.jsonl", b"{"), ("findings.jsonl", b'{"id": 1}\n'), ("case.json", b"[1"),
                          ("events/0000.parquet", b"PAR1 no")):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(DamagedInput):
            Opened([folder])
        (folder / name).write_bytes(before)
    assert seen(folder)


def test_several_results_are_one_timeline(result):
    one = result(EVENTS[:1], FINDINGS[:1], name="one")
    two = result(EVENTS[1:2], FINDINGS[2:3], name="two")
    with Opened([one, two]) as opened:
        assert [r.place for r in rows(opened)] == [f"{WEB}:7", f"{DC} #3"]


def test_the_command_writes_whole_files_and_says_when_nothing_fits(result, tmp_path):
    folder, out = result(EVENTS, FINDINGS), tmp_path / "t.csv"
    run = CliRunner()
    assert run.invoke(command, [str(folder), "--format", "csv", "--out", str(out)]).exit_code == 0
    assert len(out.read_bytes().splitlines()) == 6 and not list(tmp_path.glob(".t.csv*"))
    nothing = run.invoke(command, [str(folder), "--search", "nosuchword"])
    assert nothing.exit_code == 3 and "Nothing fits" in nothing.output
    sketch = run.invoke(command, [str(folder), "--format", "timesketch"])
    assert "1 row without a time left out" in sketch.output
    assert "t.mori" in run.invoke(command, [str(folder), "--logons"]).output
    assert "203.0.113.9" in run.invoke(command, [str(folder), "--pivots", "--format", "csv"]).output
    local = run.invoke(command, [str(folder), "--zone", "Asia/Tokyo", "--from", "2026-10-09T09:00:03"])
    assert "2026-10-09 09:00:03" in local.output and "cmd.aspx" not in local.output
    for wrong in (["--from", "yesterday"], ["--logons", "--pivots"], ["--machines"], ["--logons", "--host", "x"],
                  ["--pivots", "--format", "timesketch"]):
        said = run.invoke(command, [str(folder), *wrong])
        assert isinstance(said.exception, UsageError), wrong


def test_a_recovered_record_carries_its_mark_in_every_form(result):
    found = {"hikeshi.recovered": "slack", "hikeshi.lacks": "names of fields are missing"}
    with Opened([result([windows("2026-10-09T00:00:01Z", 5, "4688", **found),
                         windows("2026-10-09T00:00:02Z", 6, "4688")])]) as opened:
        listed = list(rows(opened, Filter(every=True)))
        assert [r.recovered for r in listed] == ["slack", ""]
        assert "recovered: slack; names of fields are missing" in listed[0].detail
        assert "recovered" not in listed[1].detail
        table = list(csv.DictReader(io.StringIO(b"".join(as_csv(listed)).decode("utf-8-sig"))))
        assert [r["recovered"] for r in table] == ["slack", ""]
        assert [json.loads(r)["recovered"] for r in as_jsonl(listed)] == ["slack", None]
        assert [json.loads(r)["tag"] for r in as_timesketch(listed)] == [["recovered-slack"], []]
