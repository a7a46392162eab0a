"""Files to rows of events through limited children, and the command on top."""

from __future__ import annotations

import gzip
import json

import pytest
from click.testing import CliRunner

from hikeshi.errors import UsageError
from hikeshi.triage.parse import parse_evidence

SQUID = (
    "1726000000.002    559 10.2.23.164 TCP_MISS/200 22500 GET http://a.example/ u17 HIER_DIRECT/192.0.2.7 image/png\n"
)
AUTH = "2024-09-10 20:26:40 web1 sshd[1]: Accepted password for u1 from 203.0.113.9 port 5000 ssh2\n"


@pytest.fixture
def folder(tmp_path):
    given = tmp_path / "evidence"
    (given / "sub").mkdir(parents=True)
    (given / "b.log").write_text(SQUID * 3 + "broken line\n" + SQUID * 30)
    (given / "sub" / "auth.log.gz").write_bytes(gzip.compress((AUTH * 2).encode()))
    (given / "picture.bin").write_bytes(bytes(range(256)) * 50)
    (given / "empty.log").write_bytes(b"")
    return given


def test_rows_of_all_files_in_name_order_and_what_was_not_read(folder):
    rows, files = [], []
    with parse_evidence([folder], rows=True, zone="Asia/Tokyo") as parsed:
        for file in parsed.files:
            files.append(file)
            rows += [json.loads(line) for line in file.rows.read_bytes().splitlines()]
    assert [f.name for f in files] == sorted(f.name for f in files)
    assert [(f.events, f.rejected) for f in files] == [(34, 1), (2, 0)]
    assert rows[0]["source.ip"] == "10.2.23.164"
    assert rows[3]["event.dataset"] == "unparsed"
    assert rows[-1]["@timestamp"] == "2024-09-10T11:26:40Z"
    assert rows[-1]["event.timezone"] == "Asia/Tokyo"
    assert {n.path for n in parsed.not_read} == {"empty.log", "picture.bin"}


def test_a_summary_counts_without_keeping_rows(folder):
    with parse_evidence([folder]) as parsed:
        first = next(iter(parsed.files))
    assert first.datasets == {"squid.access": 33, "unparsed": 1}
    assert first.rows is None
    assert len(first.first_rows) == 5
    assert first.rejects[0].line == 4


def test_an_unknown_format_is_refused_before_anything_is_read(folder):
    with pytest.raises(UsageError), parse_evidence([folder], format="nonsense"):
        raise AssertionError("not reached")


def test_the_command_prints_json_lines_and_counts_rejects_on_stderr(folder):
    from hikeshi.cli.parse import command

    done = CliRunner().invoke(command, [str(folder), "--json"])
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    assert len(rows) == 36
    assert all(r["log.file.path"] for r in rows)
    assert "1 rejected" in done.stderr
    assert "line 4" in done.stderr


def test_the_command_without_json_shows_a_table_and_a_summary(folder):
    from hikeshi.cli.parse import command

    done = CliRunner().invoke(command, [str(folder / "b.log")])
    assert done.exit_code == 0
    assert "squid.access" in done.stdout
    assert "source.ip=10.2.23.164" in done.stdout


def test_the_command_lists_formats_in_both_languages():
    from hikeshi.cli.parse import command

    done = CliRunner().invoke(command, ["--formats"])
    assert done.exit_code == 0
    assert "Squid access log" in done.stdout
    assert "Linux認証ログ" in done.stdout


def test_only_unreadable_input_gives_exit_code_3(folder):
    from hikeshi.cli.parse import command

    done = CliRunner().invoke(command, [str(folder / "picture.bin"), "--json"])
    assert done.exit_code == 3
    assert "not read: picture.bin" in done.stderr
