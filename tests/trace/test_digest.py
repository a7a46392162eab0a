"""What a child keeps of a file, and that neither order nor hostile values change or break the story."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from hikeshi.errors import InputError
from hikeshi.events.table import EventTable, TableBuilder
from hikeshi.evidence.source import Source
from hikeshi.model.case import Case, Identification
from hikeshi.trace import Digest, build_story, digest

SOURCE = Source(Path("x"), "x.evtx", "0" * 64, 1, kind="evtx")


def busy(scene):
    for second in range(10, 34, 2):
        scene.vpn_failure(f"2026-06-08 01:00:{second}", "t.mori", "203.0.113.7")
    scene.vpn("2026-06-08 01:02:00", "t.mori", "203.0.113.7", "10.212.134.20")
    scene.rdp("SRV1", "2026-06-08 01:05:00", "t.mori", "10.212.134.20", "0xabc")
    scene.dump("SRV1", "2026-06-08 01:20:00")
    scene.explicit("SRV1", "SRV2", "2026-06-08 01:30:00", "t.mori", "adm")
    scene.psexec("SRV1", "SRV2", "2026-06-08 01:30:02", "adm")
    scene.proxy("2026-06-08 02:00:00", "SRV2", "drop.example", sent=900_000_000, got=900)
    scene.windows("SRV2", "2026-06-08 02:30:00", 1102, SubjectUserName="adm")
    return scene


def answer(story):
    return Case(Identification(verdict="unknown", confidence="low"), story).to_dict()


def test_the_order_of_files_does_not_change_the_story(scene):
    digests = busy(scene).digests()
    first = answer(build_story(digests))
    for seed in range(4):
        random.Random(seed).shuffle(digests)
        assert answer(build_story(digests)) == first


def test_records_out_of_order_inside_a_file_tell_the_same_steps(scene):
    digests = busy(scene).digests()
    turned = [
        Digest(
            pa.concat_tables([d.events.slice(n, 1) for n in reversed(range(d.events.num_rows))] or [d.events]),
            d.flows,
            d.web,
            d.spans,
        )
        for d in digests
    ]
    assert answer(build_story(turned)) == answer(build_story(digests))


def test_a_file_that_lies_there_twice_counts_once(scene):
    digests = busy(scene).digests()
    copies = []
    for part in digests:
        tables = []
        for table in (part.events, part.flows, part.web, part.spans):
            at = table.schema.get_field_index("path")
            named = pa.array(
                [f"zz-copy/{p}" for p in table.column("path").to_pylist()], pa.string()
            ).dictionary_encode()
            tables.append(table.set_column(at, table.schema.field(at), named))
        copies.append(Digest(*tables))
    once, twice = build_story(digests), build_story([*copies, *digests])
    assert answer(once) == answer(twice)
    assert [s.destination for s in once.spread] == [s.destination for s in twice.spread]
    assert once.exfiltration[0].bytes == twice.exfiltration[0].bytes


def test_saved_and_loaded_it_is_the_same(scene, tmp_path):
    digests = busy(scene).digests()
    loaded = []
    for number, part in enumerate(digests):
        part.save(tmp_path / str(number))
        loaded.append(Digest.load(tmp_path / str(number)))
    assert answer(build_story(loaded)) == answer(build_story(digests))


@pytest.mark.parametrize("content", [b"", b"nothing", b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"\0" * 40])
def test_a_damaged_digest_is_refused(tmp_path, content):
    (tmp_path / "d").write_bytes(content)
    with pytest.raises(InputError):
        Digest.load(tmp_path / "d")


def test_a_cut_digest_is_refused(scene, tmp_path):
    part = Digest.merge(busy(scene).digests())
    part.save(tmp_path / "d")
    whole = (tmp_path / "d").read_bytes()
    for size in (len(whole) // 3, len(whole) // 2, len(whole) - 9):
        (tmp_path / "d").write_bytes(whole[:size])
        with pytest.raises(InputError):
            Digest.load(tmp_path / "d")


HOSTILE = [
    "",
    "\0",
    "a\0b",
    "x" * 10_000,
    "\ud800",
    "DOM\\",
    "\\",
    "@",
    "$",
    "$$",
    "../../etc",
    "<b>",
    "🔥" * 3000,
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "999.1.1.1",
    "fe80::1%eth0",
    "-",
    "0x",
    "名前",
]


@pytest.mark.parametrize(
    "code",
    [
        "4624",
        "4625",
        "4648",
        "4688",
        "4698",
        "4720",
        "4732",
        "4768",
        "4776",
        "4778",
        "5145",
        "1102",
        "4656",
        "5156",
        "4697",
        "4672",
        "4771",
    ],
)
def test_hostile_values_are_taken_as_they_come(code):
    builder = TableBuilder()
    names = (
        "TargetUserName",
        "SubjectUserName",
        "IpAddress",
        "WorkstationName",
        "TargetServerName",
        "NewProcessName",
        "CommandLine",
        "ParentProcessName",
        "TaskName",
        "TaskContent",
        "ShareName",
        "RelativeTargetName",
        "LogonType",
        "ServiceName",
        "ServiceFileName",
        "ClientAddress",
        "AccountName",
        "MemberName",
        "Status",
        "Workstation",
        "ObjectName",
        "ProcessName",
        "AccessMask",
        "SourceAddress",
        "DestAddress",
        "Direction",
        "SourcePort",
        "DestPort",
    )
    for number, value in enumerate(HOSTILE):
        safe = value.encode("utf-8", "replace").decode()
        builder.add(
            (number - 3) * 10**15 if number % 4 else -(2**63),
            {
                "event.code": code,
                "winlog.channel": "Security",
                "host.name": safe,
                "winlog.record_id": number,
                **dict.fromkeys(names, safe),
                "LogonType": ("3", "10", safe)[number % 3],
            },
        )
    part = digest(SOURCE, builder.build())
    assert not any("\0" in v for row in part.events.to_pylist() for v in row.values() if isinstance(v, str))
    answer(build_story([part]))


def test_hostile_network_rows_are_taken_as_they_come():
    builder = TableBuilder()
    for number, value in enumerate(HOSTILE):
        safe = value.encode("utf-8", "replace").decode()
        for dataset in (
            "fortinet.event",
            "fortinet.traffic",
            "squid.access",
            "iis.access",
            "linux.sshd",
            "paloalto.globalprotect",
            "",
        ):
            builder.add(
                -(2**63) if number % 5 == 0 else number * 10**12,
                {
                    "event.dataset": dataset,
                    "subtype": "vpn",
                    "action": ("tunnel-up", "ssl-login-fail", safe)[number % 3],
                    "event.category": "authentication",
                    "event.outcome": ("success", "failure")[number % 2],
                    "user.name": safe,
                    "source.ip": safe,
                    "tunnelip": safe,
                    "destination.domain": safe,
                    "destination.ip": safe,
                    "url.full": safe,
                    "source.bytes": 2**60 if number % 2 else -5,
                    "message": f"Accepted password for {safe} from {safe} port 1",
                },
            )
    answer(build_story([digest(SOURCE, builder.build())]))


def test_records_without_a_time_are_left_out_and_break_nothing(scene):
    busy(scene)
    scene.windows("SRV1", None, 4624, TargetUserName="ghost", LogonType="10", IpAddress="10.212.134.20")
    story = scene.story()
    assert "ghost" not in {a.name for a in story.compromised_accounts}


def test_an_empty_table_gives_an_empty_digest():
    empty = digest(SOURCE, EventTable(0, TableBuilder().build().times))
    assert empty.events.num_rows == empty.flows.num_rows == empty.web.num_rows == empty.spans.num_rows == 0


def test_every_kept_row_keeps_its_place(scene):
    for part in busy(scene).digests():
        for row in part.events.to_pylist():
            assert (row["record"] >= 0) != (row["line"] >= 0)
            assert row["path"] and len(row["sha256"]) == 64


def test_equal_rows_in_one_bucket_are_counted(scene):
    for second in range(30):
        scene.windows(
            "SRV1",
            f"2026-06-08 05:00:{second:02d}",
            5145,
            SubjectUserName="adm",
            IpAddress="10.1.0.41",
            ShareName="\\\\*\\C$",
            RelativeTargetName="x.txt",
        )
    (row,) = [r for d in scene.digests() for r in d.events.to_pylist() if r["kind"] == "share"]
    assert row["count"] == 30 and row["record"] == 1
