"""utmp records: written here, sniffed by their bytes, read, and damaged."""

from __future__ import annotations

import random
import struct
from datetime import UTC
from ipaddress import ip_address

from hikeshi.evidence.sniff import sniff
from hikeshi.evidence.source import Source
from hikeshi.parse.registry import detect_format, parse_source

_RECORD = struct.Struct("<hxxi32s4s32s256shhiii16s20x")


def record(kind=7, user=b"alice", host=b"ws1.corp.example", address="203.0.113.9", second=1725967600, line=b"pts/0", micro=250_000):
    raw = ip_address(address).packed if address else b""
    return _RECORD.pack(kind, 4242, line, b"ts/0", user, host, 0, 0, 0, second, micro, raw.ljust(16, b"\0"))


def rows_of(path, name):
    sniffed = sniff(path)
    source = Source(path, name, "", path.stat().st_size, kind=sniffed.kind)
    assert detect_format(source) == ("wtmp", 1.0)
    tables = list(parse_source(source, zone=UTC, zone_assumed=True))
    return [r for t in tables for r in t.iter_rows()], [r for t in tables for r in t.rejects]


def test_logons_logouts_and_boots(tmp_path):
    path = tmp_path / "wtmp"
    path.write_bytes(
        record(2, b"reboot", b"6.1.0", None, line=b"~")
        + record()
        + record(8, b"", b"", None)
        + record(address="2001:db8::9", host=b"")
        + record(host=b":0", address=None, line=b"tty7")
    )
    rows, rejects = rows_of(path, "var/log/wtmp")
    assert not rejects
    assert [r["event.action"] for r in rows] == ["booted", "logged-in", "logged-out", "logged-in", "logged-in"]
    logon = rows[1]
    assert (logon["user.name"], logon["source.ip"], logon["source.domain"]) == ("alice", "203.0.113.9", "ws1.corp.example")
    assert (logon["@timestamp"], logon["event.outcome"], logon["event.timezone"]) == ("2024-09-10T11:26:40.250000Z", "success", "UTC")
    assert rows[3]["source.ip"] == "2001:db8::9"
    assert "source.ip" not in rows[4]
    assert [r["log.offset"] for r in rows] == [0, 384, 768, 1152, 1536]


def test_btmp_holds_failures(tmp_path):
    path = tmp_path / "btmp"
    path.write_bytes(record(6, b"root", b"203.0.113.9", "203.0.113.9", line=b"ssh:notty") * 3)
    rows, _ = rows_of(path, "var/log/btmp")
    assert [(r["event.action"], r["event.outcome"], r["user.name"]) for r in rows] == [("logon-failed", "failure", "root")] * 3


def test_a_record_cut_off_and_one_overwritten_are_told(tmp_path):
    path = tmp_path / "wtmp"
    path.write_bytes(record() * 20 + b"\xff" * 384 + record() + record()[:100])
    rows, rejects = rows_of(path, "wtmp")
    assert len(rows) == 21
    assert [r.offset for r in rejects] == [20 * 384, 22 * 384]


def test_other_binaries_of_that_size_are_not_taken_for_it(tmp_path):
    noise = random.Random(1)
    for number, data in enumerate((bytes(384 * 3), noise.randbytes(384 * 4), b"\x07\0\0\0" + b"A" * 380, b"text\n" * 384)):
        path = tmp_path / f"f{number}"
        path.write_bytes(data)
        assert sniff(path).kind != "wtmp"
