"""CEF, LEEF, key=value, CSV, JSON and syslog of any product."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest

JST = timezone(timedelta(hours=9))


def test_cef_with_escapes_labels_and_spaces(read):
    line = (
        "CEF:0|Vendor|Pro\\|duct|1|100|Login \\| failed|5|rt=1726000000123 src=203.0.113.9 spt=50001 dst=192.0.2.7 dpt=443 suser=CORP\\\\alice "
        "request=https://evil.example/a?b\\=c act=blocked out=900 in=10 cs1Label=Rule Name cs1=no entry msg=two words here\n"
    )
    row = read(line).rows[0]
    assert row["@timestamp"] == "2024-09-10T20:26:40.123000Z"
    assert (row["source.ip"], row["source.port"], row["destination.port"]) == ("203.0.113.9", 50001, 443)
    assert (row["user.domain"], row["user.name"]) == ("CORP", "alice")
    assert (row["url.full"], row["destination.domain"]) == ("https://evil.example/a?b=c", "evil.example")
    assert (row["source.bytes"], row["destination.bytes"], row["event.outcome"]) == (900, 10, "failure")
    assert row["message"] == "two words here"
    assert row["rule.name"] == "no entry"
    assert (row["cef.product"], row["cef.name"]) == ("Pro|duct", "Login | failed")


def test_cef_times_with_a_zone_of_their_own(read):
    row = read("CEF:0|V|P|1|1|n|5|dtz=UTC rt=Mar 01 2021 20:35:54 src=203.0.113.9\n", zone=JST).rows[0]
    assert row["@timestamp"] == "2021-03-01T20:35:54Z"


@pytest.mark.parametrize(
    "line",
    [
        "LEEF:1.0|V|P|1|login|src=203.0.113.9\tdst=192.0.2.7\tusrName=alice\tdevTime=2024-09-10 11:26:40",
        "LEEF:2.0|V|P|1|login|^|src=203.0.113.9^dst=192.0.2.7^usrName=alice^devTime=2024-09-10 11:26:40",
        "LEEF:2.0|V|P|1|login|x5E|src=203.0.113.9^dst=192.0.2.7^usrName=alice^devTime=2024-09-10 11:26:40",
    ],
)
def test_leef(read, line):
    row = read("<13>Sep 10 20:26:40 relay " + line + "\n").rows[0]
    assert (row["source.ip"], row["destination.ip"], row["user.name"], row["event.code"]) == (
        "203.0.113.9",
        "192.0.2.7",
        "alice",
        "login",
    )
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"


def test_key_value_with_spaces_in_unquoted_values(read):
    row = read(
        "user=alice smith source_ip=203.0.113.9 category=Business, Software destination_port=443 note=a=b x\n"
    ).rows[0]
    assert (row["user.name"], row["source.ip"], row["destination.port"]) == ("alice smith", "203.0.113.9", 443)
    assert row["category"] == "Business, Software"
    assert row["note"] == "a=b x"


def test_csv_with_quotes_line_ends_in_values_and_a_bad_row(read):
    text = (
        "Timestamp,Source IP,User,Message\n"
        '2024-09-10T11:26:40Z,203.0.113.9,alice,"one, two"\n'
        '2024-09-10T11:26:41Z,203.0.113.9,bob,"first\nsecond ""quoted"""\n'
        "2024-09-10T11:26:42Z,203.0.113.9\n"
        "2024-09-10T11:26:43Z,203.0.113.8,carol,end\n"
    )
    got = read(text)
    assert [r.get("user.name") for r in got.rows] == ["alice", "bob", None, "carol"]
    assert got.rows[0]["message"] == "one, two"
    assert got.rows[1]["message"] == 'first\nsecond "quoted"'
    assert [r["log.line"] for r in got.rows] == [2, 3, 5, 6]
    assert text.encode()[got.rows[3]["log.offset"] :].startswith(b"2024-09-10T11:26:43Z")
    assert [r.line for r in got.rejects] == [5]


def test_a_quote_that_never_closes_costs_one_row(read):
    rows = [f"2024-09-10T11:26:{n % 60:02d}Z,203.0.113.{n % 250},u{n},x" for n in range(200)]
    rows[3] = '2024-09-10T11:26:03Z,203.0.113.3,u3,"open'
    got = read("Timestamp,Source IP,User,Message\n" + "\n".join(rows) + "\n")
    users = [r.get("user.name") for r in got.rows]
    assert [u for u in users if u] == [f"u{n}" for n in range(200)]


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_other_separators(read, sign):
    text = (
        sign.join(["日付", "時刻", "送信元IP", "宛先ホスト名", "ユーザー"])
        + "\n"
        + sign.join(["2024/09/10", "20:26:40", "10.1.2.3", "Evil.Example", "yamada"])
        + "\n"
    )
    row = read(text, zone=JST).rows[0]
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"
    assert (row["source.ip"], row["destination.domain"], row["user.name"]) == ("10.1.2.3", "evil.example", "yamada")


def test_nothing_of_a_row_is_lost(read):
    row = read("Time,Source IP,Weird Column,Bytes In\n2024-09-10 11:26:40,203.0.113.9,some value,12\n").rows[0]
    assert row["Weird Column"] == "some value"
    assert row["destination.bytes"] == 12


def test_json_nested_and_lists(read):
    record = {
        "createdDateTime": "2024-09-10T11:26:40Z",
        "userPrincipalName": "u@x.example",
        "ipAddress": "203.0.113.9",
        "status": {"errorCode": 50126},
        "tags": ["a", "b"],
        "details": [{"Name": "UserAgent", "Value": "curl"}],
        "big": 2**70,
        "none": None,
    }
    row = read(json.dumps(record) + "\n").rows[0]
    assert (row["source.ip"], row["user.name"], row["@timestamp"]) == (
        "203.0.113.9",
        "u@x.example",
        "2024-09-10T11:26:40Z",
    )
    assert (row["status.errorCode"], row["tags"]) == ("50126", "a, b")
    assert row["user_agent.original"] == "curl"
    assert row["big"] == str(2**70)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda rows: json.dumps(rows),
        lambda rows: json.dumps(rows, indent=2),
        lambda rows: json.dumps({"Records": rows}),
        lambda rows: json.dumps({"x": {"y": 1}, "value": rows}, indent=1),
        lambda rows: "\n".join(json.dumps(r, indent=2) for r in rows),
    ],
)
def test_json_documents_give_one_event_a_record(read, wrap):
    rows = [
        {
            "time": "2024-09-10T11:26:40Z",
            "src": f"203.0.113.{n}",
            "note": 'brace } and "quote" [',
            "deep": {"a": [1, {"b": 2}]},
        }
        for n in range(1, 6)
    ]
    got = read(wrap(rows) + "\n")
    assert [r.get("source.ip") for r in got.rows if "source.ip" in r] == [f"203.0.113.{n}" for n in range(1, 6)]


def test_a_json_document_cut_off_keeps_what_was_whole(read):
    rows = [{"src": f"203.0.113.{n}"} for n in range(1, 6)]
    got = read(json.dumps(rows, indent=2)[:-30])
    assert [r["source.ip"] for r in got.rows if "source.ip" in r][:4] == [f"203.0.113.{n}" for n in range(1, 5)]
    assert got.rejects


def test_a_log_line_inside_json_is_read_too(read):
    inner = "Sep 10 20:26:40 web1 sshd[1]: Accepted password for u1 from 203.0.113.9 port 5000 ssh2"
    row = read(
        json.dumps({"@timestamp": "2024-09-10T11:26:40Z", "message": inner, "agent": {"type": "filebeat"}}) + "\n"
    ).rows[0]
    assert (row["user.name"], row["source.ip"], row["event.dataset"]) == ("u1", "203.0.113.9", "linux.sshd")
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"
    assert row["agent.type"] == "filebeat"


def test_host_is_the_machine_unless_the_record_is_about_the_web(read):
    machine = read('{"time":"2024-09-10T11:26:40Z","host":"ws1","src":"10.0.0.5"}\n').rows[0]
    assert machine["host.name"] == "ws1"
    assert "destination.domain" not in machine
    web = read(
        '{"time":"2024-09-10T11:26:40Z","host":"evil.example","src":"10.0.0.5","request_method":"GET","request":"/x"}\n'
    ).rows[0]
    assert web["destination.domain"] == "evil.example"


def test_syslog_of_all_kinds(read):
    text = (
        '<34>1 2024-09-10T20:26:40.003+09:00 fw1 app 99 ID47 [x@1 k="v ] \\" w"] \ufeffhello world\n'
        "<34>Sep 10 20:26:40 fw1 app[99]: hello world\n"
        "Sep 10 20:26:40 192.0.2.1 app: hello world\n"
    )
    rows = read(text, zone=JST).rows
    assert [r["message"] for r in rows] == ["hello world"] * 3
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:40.003000Z"
    assert (rows[0]["process.name"], rows[0]["process.pid"], rows[0]["observer.name"]) == ("app", 99, "fw1")
    assert rows[2]["host.name"] == "192.0.2.1"


def test_plain_text_keeps_lines_and_finds_leading_times(read):
    rows = read("some words\n[2024-09-10 20:26:40] 日本語の行\n", zone=JST).rows
    assert [r["message"] for r in rows] == ["some words", "[2024-09-10 20:26:40] 日本語の行"]
    assert "@timestamp" not in rows[0]
    assert rows[1]["@timestamp"] == "2024-09-10T11:26:40Z"


def test_the_unified_audit_log_is_utc_whatever_the_zone(read):
    record = {
        "CreationTime": "2024-09-10T11:26:40",
        "Operation": "UserLoggedIn",
        "Workload": "AzureActiveDirectory",
        "ClientIP": "[2001:db8::1]:50001",
        "UserId": "u@x.example",
    }
    row = read(json.dumps(record) + "\n", zone=JST).rows[0]
    assert (row["@timestamp"], row["event.timezone"]) == ("2024-09-10T11:26:40Z", "UTC")
    assert (row["source.ip"], row["source.port"], row["user.name"]) == ("2001:db8::1", 50001, "u@x.example")
