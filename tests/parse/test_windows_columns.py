"""add_ecs_columns: who, from where, what, by channel and event code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hikeshi.events.table import TableBuilder
from hikeshi.evidence.source import Source
from hikeshi.parse.registry import parse_source
from hikeshi.parse.windows import add_ecs_columns, dataset_of

SYSMON = "Microsoft-Windows-Sysmon/Operational"
LOCAL_SESSIONS = "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational"
REMOTE_SESSIONS = "Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational"


def ecs(channel, code, fields, provider="P"):
    return many([(channel, code, fields, provider)])[0]


def many(events):
    builder = TableBuilder()
    for channel, code, fields, provider in events:
        builder.add(0, {"winlog.channel": channel, "event.code": code, "event.provider": provider, **fields})
    table = builder.build()
    add_ecs_columns(table)
    return list(table.iter_rows())


@pytest.mark.parametrize(
    ("channel", "code", "fields", "wanted"),
    [
        (
            "Security",
            "4624",
            {
                "SubjectUserName": "DC1$",
                "TargetUserName": "alice",
                "TargetDomainName": "CORP",
                "IpAddress": "::ffff:203.0.113.9",
                "IpPort": "50001",
                "WorkstationName": "WS9",
            },
            {
                "event.action": "logged-in",
                "event.outcome": "success",
                "user.name": "alice",
                "user.domain": "CORP",
                "source.ip": "203.0.113.9",
                "source.port": 50001,
                "source.domain": "WS9",
                "event.category": "authentication",
                "event.dataset": "windows.security",
            },
        ),
        (
            "Security",
            "4625",
            {"TargetUserName": "root", "IpAddress": "203.0.113.9"},
            {
                "event.action": "logon-failed",
                "event.outcome": "failure",
                "user.name": "root",
                "source.ip": "203.0.113.9",
            },
        ),
        (
            "Security",
            "4648",
            {"SubjectUserName": "bob", "TargetUserName": "admin", "TargetServerName": "fs1", "IpAddress": "-"},
            {"user.name": "admin", "destination.domain": "fs1"},
        ),
        (
            "Security",
            "4688",
            {
                "SubjectUserName": "bob",
                "NewProcessName": "C:\\Windows\\cmd.exe",
                "CommandLine": "cmd /c x",
                "NewProcessId": "0x1c8",
                "ParentProcessName": "C:\\a\\winword.exe",
            },
            {
                "process.executable": "C:\\Windows\\cmd.exe",
                "process.name": "cmd.exe",
                "process.pid": 456,
                "process.parent.name": "winword.exe",
                "process.command_line": "cmd /c x",
                "event.action": "process-started",
            },
        ),
        (
            "Security",
            "4698",
            {
                "SubjectUserName": "bob",
                "TaskName": "\\x",
                "TaskContent": "<?xml version='1.0'?><Task><Exec><Command>cmd.exe</Command><Arguments>/c a &amp; b</Arguments></Exec></Task>",
            },
            {"event.action": "task-created", "process.command_line": "cmd.exe /c a & b"},
        ),
        (
            "Security",
            "4720",
            {"SubjectUserName": "bob", "TargetUserName": "evil"},
            {"event.action": "user-created", "user.name": "bob"},
        ),
        (
            "Security",
            "4732",
            {"SubjectUserName": "bob"},
            {"event.action": "group-member-added", "event.category": "iam"},
        ),
        (
            "Security",
            "4768",
            {"TargetUserName": "alice", "Status": "0x0", "IpAddress": "::1"},
            {"event.outcome": "success", "source.ip": "::1"},
        ),
        ("Security", "4768", {"TargetUserName": "alice", "Status": "0x6"}, {"event.outcome": "failure"}),
        (
            "Security",
            "4776",
            {"TargetUserName": "alice", "Workstation": "\\\\WS9", "Status": "0xC000006A"},
            {"source.domain": "WS9", "event.outcome": "failure"},
        ),
        (
            "Security",
            "4778",
            {"AccountName": "alice", "ClientAddress": "LOCAL", "ClientName": "WS9"},
            {"user.name": "alice", "source.domain": "WS9"},
        ),
        (
            "Security",
            "5145",
            {"SubjectUserName": "bob", "IpAddress": "10.0.0.5", "RelativeTargetName": "a\\b.exe"},
            {"file.path": "a\\b.exe", "source.ip": "10.0.0.5"},
        ),
        (
            "Security",
            "5156",
            {
                "SourceAddress": "10.0.0.5",
                "SourcePort": "50001",
                "DestAddress": "198.51.100.7",
                "DestPort": "443",
                "Application": "\\d\\x.exe",
            },
            {
                "destination.ip": "198.51.100.7",
                "destination.port": 443,
                "source.ip": "10.0.0.5",
                "process.name": "x.exe",
            },
        ),
        (
            "Security",
            "1102",
            {"SubjectUserName": "bob", "SubjectDomainName": "CORP"},
            {"event.action": "log-cleared", "user.name": "bob"},
        ),
        (
            REMOTE_SESSIONS,
            "1149",
            {"Param1": "alice", "Param2": "CORP", "Param3": "203.0.113.9"},
            {"user.name": "alice", "user.domain": "CORP", "source.ip": "203.0.113.9"},
        ),
        (
            LOCAL_SESSIONS,
            "21",
            {"User": "CORP\\alice", "Address": "203.0.113.9"},
            {"user.name": "alice", "user.domain": "CORP", "source.ip": "203.0.113.9", "event.action": "logged-in"},
        ),
        (
            SYSMON,
            "1",
            {
                "Image": "C:\\x.exe",
                "CommandLine": "x -y",
                "ParentImage": "C:\\p.exe",
                "ParentCommandLine": "p",
                "User": "CORP\\bob",
                "ProcessId": "12",
                "Hashes": "SHA1=" + "A" * 40 + ",MD5=" + "B" * 32 + ",SHA256=" + "C" * 64 + ",IMPHASH=0",
            },
            {
                "process.name": "x.exe",
                "user.name": "bob",
                "file.hash.sha1": "a" * 40,
                "file.hash.md5": "b" * 32,
                "file.hash.sha256": "c" * 64,
                "process.parent.command_line": "p",
                "event.dataset": "windows.sysmon",
            },
        ),
        (
            SYSMON,
            "3",
            {
                "SourceIp": "10.0.0.5",
                "DestinationIp": "198.51.100.7",
                "DestinationPort": "443",
                "DestinationHostname": "c2.example",
                "Protocol": "tcp",
            },
            {"destination.domain": "c2.example", "destination.ip": "198.51.100.7", "network.protocol": "tcp"},
        ),
        (SYSMON, "22", {"QueryName": "c2.example", "Image": "C:\\x.exe"}, {"dns.question.name": "c2.example"}),
        (SYSMON, "11", {"TargetFilename": "C:\\a.txt"}, {"file.path": "C:\\a.txt", "event.action": "file-created"}),
        (
            "Microsoft-Windows-PowerShell/Operational",
            "4103",
            {
                "ContextInfo": "  Severity = Informational\r\n  Host Application = powershell -enc X=\r\n  User = CORP\\bob\r\n"
            },
            {"user.name": "bob", "user.domain": "CORP", "process.command_line": "powershell -enc X="},
        ),
        (
            "Windows PowerShell",
            "400",
            {"Data": "Available\nNone\n\tHostApplication=powershell.exe -w hidden\n"},
            {"process.command_line": "powershell.exe -w hidden", "event.action": "engine-started"},
        ),
    ],
)
def test_columns_by_event(channel, code, fields, wanted):
    row = ecs(channel, code, fields)
    assert {k: row.get(k) for k in wanted} == wanted


@pytest.mark.parametrize("value", ["-", "LOCAL", "", "::", "0.0.0.0", "no address"])
def test_what_is_no_address_gives_no_address(value):
    assert "source.ip" not in ecs("Security", "4624", {"TargetUserName": "a", "IpAddress": value})


def test_a_service_is_new_only_where_the_service_control_manager_says_so():
    real, other = many(
        [
            ("System", "7045", {"ImagePath": "C:\\s.exe", "AccountName": "LocalSystem"}, "Service Control Manager"),
            ("System", "7045", {"ImagePath": "C:\\s.exe"}, "Some Driver"),
        ]
    )
    assert real["event.action"] == "service-installed"
    assert "event.action" not in other


def test_the_same_code_in_another_channel_means_something_else():
    assert "event.action" not in ecs("Application", "4624", {"TargetUserName": "a"})


def test_mixed_channels_and_codes_keep_their_rows():
    events = [
        ("Security", "4624", {"TargetUserName": f"u{i}", "IpAddress": f"10.0.0.{i}"}, "P")
        if i % 2
        else (SYSMON, "3", {"DestinationIp": f"198.51.100.{i}", "User": f"C\\s{i}"}, "P")
        for i in range(40)
    ]
    for i, row in enumerate(many(events)):
        if i % 2:
            assert (row["user.name"], row["source.ip"], row["event.action"]) == (f"u{i}", f"10.0.0.{i}", "logged-in")
            assert "destination.ip" not in row
        else:
            assert (row["user.name"], row["destination.ip"], row["event.action"]) == (
                f"s{i}",
                f"198.51.100.{i}",
                "connection",
            )


def test_event_data_stays_as_it_was():
    row = ecs("Security", "4624", {"TargetUserName": "alice", "IpAddress": "::ffff:203.0.113.9"})
    assert row["IpAddress"] == "::ffff:203.0.113.9"


def test_a_table_without_windows_events_is_left_alone():
    builder = TableBuilder()
    builder.add(0, {"message": "x"})
    table = builder.build()
    add_ecs_columns(table)
    assert set(table.columns) == {"message"}


def test_rendered_messages_help_where_event_data_is_missing():
    row = ecs(
        "Security",
        "4825",
        {
            "Message": "Denied.\r\n\r\nSubject:\r\n\tUser Name:\tjane\r\n\r\nAdditional:\r\n\tClient Address:\t203.0.113.9\r\n"
        },
    )
    assert (row["user.name"], row["source.ip"]) == ("jane", "203.0.113.9")
    row = ecs(
        "Security",
        "9999",
        {"Message": "x\r\n\tアカウント名:\t\tyamada\r\n\tソース ネットワーク アドレス:\t203.0.113.8\r\n"},
    )
    assert (row["user.name"], row["source.ip"]) == ("yamada", "203.0.113.8")


def test_dataset_names():
    assert dataset_of("Security") == "windows.security"
    assert dataset_of(SYSMON) == "windows.sysmon"
    assert dataset_of("Microsoft-Windows-Some-Thing/Operational") == "windows.some-thing"
    assert dataset_of(None) == "windows"


def test_columns_of_real_event_logs_agree_with_their_event_data():
    files = sorted((Path(__file__).parents[2].parent / "shared" / "data" / "evtx" / "files").glob("*.evtx"))[::25]
    if not files:
        pytest.skip("shared data not beside the checkout")
    from datetime import UTC

    seen = 0
    for path in files:
        source = Source(path, path.name, "", path.stat().st_size, kind="evtx")
        for table in parse_source(source, zone=UTC, zone_assumed=True):
            before = {k: np.array(c.codes) for k, c in table.fields.items()}
            add_ecs_columns(table)
            assert all(np.array_equal(before[k], table.fields[k].codes) for k in before)
            for row in table.iter_rows():
                seen += 1
                assert row["event.dataset"].startswith("windows")
                assert row["log.file.path"] == path.name
                if (
                    row["event.code"] == "4624"
                    and row["winlog.channel"] == "Security"
                    and row.get("TargetUserName", "-") not in ("-", "")
                ):
                    assert row["user.name"] == row["TargetUserName"].rpartition("\\")[2]
                    assert row["event.action"] == "logged-in"
                json.dumps(row)
    assert seen > 50
