"""Windows events as XML and JSON give the same columns as the event log itself."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest

from hikeshi.parse.windows_xml import read_event

JST = timezone(timedelta(hours=9))
NS = 'xmlns="http://schemas.microsoft.com/win/2004/08/events/event"'

LOGON = {
    "SubjectUserSid": "S-1-0-0",
    "TargetUserName": "alice",
    "TargetDomainName": "CORP",
    "LogonType": "10",
    "IpAddress": "::ffff:203.0.113.9",
    "IpPort": "50001",
    "WorkstationName": "WS-9",
    "ProcessName": "-",
}


def xml_event(
    code="4624", channel="Security", data=LOGON, time="2024-09-10T11:26:40.1234567Z", record=77, extra="", pretty=False
):
    rows = "".join(f'<Data Name="{k}">{v}</Data>' for k, v in data.items())
    text = (
        f'<Event {NS}><System><Provider Name="Microsoft-Windows-Security-Auditing" Guid="{{1}}"/><EventID>{code}</EventID><Version>2</Version>'
        f'<Level>0</Level><Task>12544</Task><Opcode>0</Opcode><Keywords>0x8020000000000000</Keywords><TimeCreated SystemTime="{time}"/>'
        f'<EventRecordID>{record}</EventRecordID><Correlation/><Execution ProcessID="4" ThreadID="8"/><Channel>{channel}</Channel>'
        f"<Computer>dc1.corp.example</Computer><Security/></System><EventData>{rows}</EventData>{extra}</Event>"
    )
    return text.replace("><", ">\n  <") if pretty else text


def evtx_json(data=LOGON, record=77):
    return {
        "Event": {
            "#attributes": {"xmlns": "x"},
            "System": {
                "Provider": {"#attributes": {"Name": "Microsoft-Windows-Security-Auditing", "Guid": "1"}},
                "EventID": 4624,
                "Version": 2,
                "Level": 0,
                "Task": 12544,
                "Opcode": 0,
                "Keywords": "0x8020000000000000",
                "TimeCreated": {"#attributes": {"SystemTime": "2024-09-10T11:26:40.123456Z"}},
                "EventRecordID": record,
                "Correlation": None,
                "Execution": {"#attributes": {"ProcessID": 4, "ThreadID": 8}},
                "Channel": "Security",
                "Computer": "dc1.corp.example",
                "Security": None,
            },
            "EventData": dict(data),
        }
    }


def winlogbeat(data=LOGON):
    return {
        "@timestamp": "2024-09-10T11:26:40.123456Z",
        "event": {"code": "4624"},
        "host": {"name": "x"},
        "winlog": {
            "channel": "Security",
            "event_id": "4624",
            "provider_name": "Microsoft-Windows-Security-Auditing",
            "computer_name": "dc1.corp.example",
            "record_id": 77,
            "version": 2,
            "level": "0",
            "task": "12544",
            "opcode": "0",
            "keywords": "0x8020000000000000",
            "process": {"pid": 4, "thread": {"id": 8}},
            "event_data": dict(data),
        },
    }


def flattened(data=LOGON):
    return {
        "EventID": 4624,
        "Channel": "Security",
        "Computer": "dc1.corp.example",
        "Provider_Name": "Microsoft-Windows-Security-Auditing",
        "EventRecordID": 77,
        "SystemTime": "2024-09-10T11:26:40.123456Z",
        "Version": 2,
        "Level": 0,
        "Task": 12544,
        "Opcode": 0,
        "Keywords": "0x8020000000000000",
        "Execution_ProcessID": 4,
        "Execution_ThreadID": 8,
        **data,
    }


def nxlog(data=LOGON):
    return {
        "EventTime": "2024-09-10T11:26:40.123456Z",
        "Hostname": "dc1.corp.example",
        "EventID": 4624,
        "Channel": "Security",
        "SourceName": "Microsoft-Windows-Security-Auditing",
        "RecordNumber": 77,
        "Version": 2,
        "Task": 12544,
        "OpcodeValue": 0,
        "Keywords": -9214364837600034816,
        "ProcessID": 4,
        "ThreadID": 8,
        **data,
    }


PLACE = ("log.line", "log.offset", "log.file.path")


def without_place(row):
    return {k: v for k, v in row.items() if k not in PLACE}


def test_xml_and_every_json_shape_give_the_same_row(read):
    shapes = [
        xml_event(),
        json.dumps(evtx_json()),
        json.dumps(winlogbeat()),
        json.dumps(flattened()),
        json.dumps(nxlog()),
    ]
    rows = [without_place(read(text + "\n").rows[0]) for text in shapes]
    first = rows[0]
    assert first["event.code"] == "4624"
    assert first["winlog.record_id"] == 77
    assert first["winlog.keywords"] == "0x8020000000000000"
    assert first["IpAddress"] == "::ffff:203.0.113.9"
    assert first["@timestamp"] == "2024-09-10T11:26:40.123456Z"
    assert first["event.dataset"] == "windows.security"
    for row in rows[1:4]:
        assert row == first
    # NXLog's collector does not hand on the level.
    assert rows[4] == {k: v for k, v in first.items() if k != "winlog.level"}


def test_system_and_event_data_do_not_collide(read):
    row = read(xml_event(data={"EventID": "9", "Channel": "x", "Computer": "y"}) + "\n").tables[0]
    assert row.columns["event.code"].values == ["4624"]
    assert row.fields["EventID"].values == ["9"]
    assert row.fields["Channel"].values == ["x"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_a_whole_document_is_read_event_by_event(read, encoding):
    text = (
        '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\r\n<Events>'
        + "".join(xml_event(record=n, pretty=n % 2 == 0) for n in range(1, 21))
        + "</Events>\r\n"
    )
    bom = "\ufeff" if encoding.startswith("utf-16") else ""
    got = read((bom + text).encode(encoding), encoding=encoding)
    assert [r["winlog.record_id"] for r in got.rows] == list(range(1, 21))
    assert not got.rejects
    assert got.rows[0]["log.line"] == 2


def test_user_data_leaves_keep_their_names(read):
    text = (
        f'<Event {NS}><System><Provider Name="P"/><EventID>1149</EventID><TimeCreated SystemTime="2024-09-10T11:26:40Z"/>'
        "<EventRecordID>1</EventRecordID><Channel>Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational</Channel>"
        "<Computer>ts1</Computer></System><UserData><EventXML xmlns='Event_NS'><Param1>alice</Param1><Param2>CORP</Param2>"
        "<Param3>203.0.113.9</Param3></EventXML></UserData></Event>"
    )
    row = read(text + "\n").rows[0]
    assert (row["Param1"], row["Param2"], row["Param3"]) == ("alice", "CORP", "203.0.113.9")


def test_unnamed_data_stays_one_a_line(read):
    text = xml_event(code="400", channel="Windows PowerShell", data={}).replace(
        "<EventData></EventData>", "<EventData><Data>Available</Data><Data>None</Data></EventData>"
    )
    assert read(text + "\n").rows[0]["Data"] == "Available\nNone"


def test_a_document_type_or_entity_is_refused_and_the_rest_is_read(read):
    laughs = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>' + xml_event(data={"X": "&b;"})
    xxe = xml_event(data={"X": "&xxe;"})
    got = read(laughs + "\n" + xxe + "\n" + xml_event(record=5) + "\n", format="windows-xml")
    good = [r for r in got.rows if r["event.dataset"] != "unparsed"]
    assert [r["winlog.record_id"] for r in good] == [5]
    assert len(got.rejects) == 3  # the declaration, and both events that use what it would declare
    assert all("hahaha" not in str(r) for r in got.rows)


def test_a_declaration_inside_an_event_is_refused(read):
    text = xml_event().replace("<System>", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><System>')
    got = read(text + "\n", format="windows-xml")
    assert got.rows[0]["event.dataset"] == "unparsed"
    assert got.rejects


def test_cut_and_broken_events_are_kept_with_their_place(read):
    text = (
        xml_event(record=1)[:300]
        + "\n"
        + xml_event(record=2)
        + "\n"
        + xml_event(record=3).replace("</System>", "")
        + "\n"
        + xml_event(record=4)
    )
    got = read(text + "\n")
    assert [r.get("winlog.record_id") for r in got.rows if r["event.dataset"] == "windows.security"] == [2, 4]
    assert [r.line for r in got.rejects] == [1, 3]


def test_control_characters_in_event_data_do_not_stop_the_event(read):
    row = read(xml_event(data={"X": "a\x01b&#x1;c", "Y": "é&amp;"}) + "\n").rows[0]
    assert row["X"] == "a\ufffdb\ufffdc"
    assert row["Y"] == "é&"


def test_nested_far_too_deep_is_refused(read):
    got = read(xml_event(extra="<UserData>" + "<a>" * 2000 + "</a>" * 2000 + "</UserData>") + "\n" + xml_event() + "\n")
    assert len(got.rejects) == 1
    assert sum(r["event.dataset"] == "windows.security" for r in got.rows) == 1


def test_broken_json_lines_are_kept(read):
    good = json.dumps(evtx_json())
    got = read("\n".join([good] * 10 + [good[:50]]) + "\n")
    assert len(got.rows) == 11
    assert got.rows[10]["event.dataset"] == "unparsed"
    assert [r.line for r in got.rejects] == [11]


def test_half_a_surrogate_pair_in_json_does_not_stop_the_file(read):
    text = json.dumps(evtx_json({"CommandLine": "X"})).replace('"X"', '"a\\ud800b"')
    row = read(text + "\n").rows[0]
    assert row["CommandLine"].startswith("a")
    row["CommandLine"].encode()


def test_collectors_local_times_take_the_zone_and_sysmons_own_time_wins(read):
    local = nxlog() | {"EventTime": "2024-09-10 20:26:40"}
    row = read(json.dumps(local) + "\n", zone=JST).rows[0]
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"
    assert row["event.timezone"].endswith("(assumed)")
    sysmon = local | {"Channel": "Microsoft-Windows-Sysmon/Operational", "UtcTime": "2024-09-10 10:00:00.500"}
    row = read(json.dumps(sysmon) + "\n", zone=JST).rows[0]
    assert row["@timestamp"] == "2024-09-10T10:00:00.500000Z"
    assert row["event.timezone"] == "UTC"


def test_an_array_of_events_is_read_like_lines(read):
    text = json.dumps([evtx_json(record=n) for n in (1, 2, 3)], indent=2)
    got = read(text + "\n")
    assert [r["winlog.record_id"] for r in got.rows] == [1, 2, 3]
    assert got.rows[0]["log.line"] == 2


def test_powershells_converted_events(read):
    record = {
        "Id": 4624,
        "ProviderName": "Microsoft-Windows-Security-Auditing",
        "LogName": "Security",
        "MachineName": "dc1",
        "RecordId": 9,
        "TimeCreated": "/Date(1725967600123)/",
        "Level": 0,
        "Properties": [{"Value": "a"}, {"Value": 5}],
        "Message": "An account",
    }
    row = read(json.dumps([record]) + "\n").rows[0]
    assert (row["event.code"], row["winlog.channel"], row["winlog.record_id"], row["host.name"]) == (
        "4624",
        "Security",
        9,
        "dc1",
    )
    assert row["@timestamp"] == "2024-09-10T11:26:40.123000Z"
    assert row["Data"] == "a\n5"


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE Event SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE Event [<!ENTITY a "b">]>',
        "<!DOCTYPE Event [<!ELEMENT Event ANY>]>",
    ],
)
def test_the_reader_itself_refuses_declarations(declaration):
    assert "refused" in str(read_event(declaration + xml_event()))


def test_lines_are_counted_over_the_pieces_of_a_large_document(read):
    text = "<Events>\n" + "\n".join(xml_event(record=n, data={"X": "y" * 3000}) for n in range(900)) + "\n</Events>\n"
    assert len(text) > 2 << 20
    got = read(text)
    assert [r["log.line"] for r in got.rows] == list(range(2, 902))
