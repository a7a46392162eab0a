"""`hikeshi trace`: from files to the printed story."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hikeshi.cli.trace import command

HEAD = (
    'date={day} time={clock} devname="FW1" devid="FGT1" tz="+0900" type="event" subtype="vpn" level="alert" vd="root" '
)


def vpn_line(day, clock, action, user, source, tunnel=""):
    logid, extra = ("0101039426", "") if action == "ssl-login-fail" else ("0101039947", f"tunnelip={tunnel} ")
    return (
        HEAD.format(day=day, clock=clock) + f'logid="{logid}" action="{action}" tunneltype="ssl-tunnel" remip={source} '
        f'{extra}user="{user}" reason="x" msg="y"'
    )


@pytest.fixture
def evidence(tmp_path):
    lines = [
        vpn_line(f"2026-06-0{day}", "09:10:00", "tunnel-up", "t.mori", "192.0.2.50", "10.212.134.9")
        for day in range(1, 8)
    ]
    lines += [
        vpn_line("2026-06-08", f"01:00:{second}", "ssl-login-fail", "t.mori", "203.0.113.7") for second in range(10, 40)
    ]
    lines.append(vpn_line("2026-06-08", "01:02:00", "tunnel-up", "t.mori", "203.0.113.7", "10.212.134.20"))
    (tmp_path / "fortigate.log").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(command, [str(a) for a in arguments])


def test_it_prints_the_answer_first_and_the_next_step_last(evidence):
    result = run(evidence, "--workers", "1")
    assert result.exit_code == 1, result.output
    lines = result.stdout.strip().splitlines()
    assert lines[0].startswith("侵入経路 Entry: vpn_credential  203[.]0[.]113[.]7")
    assert lines[-1].startswith("次 Next:")
    assert "Windows event logs would tell" in result.stdout


def test_json_lines_have_the_promised_keys_and_cite_lines(evidence):
    result = run(evidence, "--json", "--workers", "1")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows
    for row in rows:
        assert {"kind", "time", "source", "destination", "account", "technique", "confidence", "records"} <= row.keys()
        assert row["records"] and all(r["path"] == "fortigate.log" and r["line"] > 0 for r in row["records"])
    (entry,) = [r for r in rows if r["kind"] == "entry"]
    assert (entry["time"], entry["source"], entry["account"]) == ("2026-06-07T16:02:00Z", "203.0.113.7", "t.mori")


def test_nothing_found_says_so_and_exits_0(tmp_path):
    (tmp_path / "fortigate.log").write_text(
        vpn_line("2026-06-01", "09:10:00", "tunnel-up", "t.mori", "192.0.2.50", "10.9.9.9") + "\n"
    )
    result = run(tmp_path, "--workers", "1")
    assert result.exit_code == 0, result.output
    assert "No trace of an intrusion" in result.stdout


def test_evidence_that_can_not_be_read_exits_3(tmp_path):
    (tmp_path / "x.evtx").write_bytes(b"ElfFile\0" + b"\0" * 100)
    result = run(tmp_path, "--workers", "1")
    assert result.exit_code == 3, result.output
