"""Lines of makers that have no parser: names and looks, with a confidence shown."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest

JST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # key=value with quotes, escapes and odd separators
        ('ts="2024-09-10T20:26:40+09:00" src_ip=10.0.0.5 src_port=51000 dst_ip=192.0.2.7 dst_port=443 user_name="u1" sent_bytes=900 recv_bytes=131',
         {"source.ip": "10.0.0.5", "destination.port": 443, "user.name": "u1", "source.bytes": 900, "destination.bytes": 131}),
        ("time=2024-09-10 20:26:40|ipsrc=10.0.0.5|ipdst=192.0.2.7|uname=CORP\\u1", {"source.ip": "10.0.0.5", "destination.ip": "192.0.2.7", "user.name": "u1"}),
        ('applianceName=a, tenantName=t, userName=u1@x.example, racIP=203.0.113.9, racEventType=create', {"source.ip": "203.0.113.9", "user.name": "u1@x.example"}),
        ("SRC=203.0.113.9 DST=192.0.2.1 LEN=60 PROTO=TCP SPT=50001 DPT=22 SYN", {"source.ip": "203.0.113.9", "destination.ip": "192.0.2.1", "source.port": 50001, "destination.port": 22}),
        ('msg="say \\"hi\\"" clientaddr=203.0.113.9:50001 weburl=https://c2.example/a loginuser=u1', {"source.ip": "203.0.113.9", "source.port": 50001, "url.full": "https://c2.example/a"}),
    ],
)
def test_key_value(read, line, expected):
    row = read(line + "\n", zone=JST).rows[0]
    assert {k: row.get(k) for k in expected} == expected
    assert row["parser.confidence"] == "medium"


def test_a_name_that_only_hints_is_less_sure(read):
    row = read("when=2024-09-10T11:26:40Z my_remote_client_v4=203.0.113.9 far_server_v4=192.0.2.7 the_login_text=u1 x=1\n").rows[0]
    assert (row["source.ip"], row["destination.ip"], row["user.name"]) == ("203.0.113.9", "192.0.2.7", "u1")
    assert row["parser.confidence"] == "low"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"timestamp": "2024-09-10T11:26:40.1+0000", "event_type": "http", "src_ip": "10.0.0.5", "dest_ip": "192.0.2.7", "dest_port": 80,
          "http": {"hostname": "c2.example", "url": "/a", "http_method": "GET", "http_user_agent": "curl"}},
         {"source.ip": "10.0.0.5", "destination.ip": "192.0.2.7", "destination.domain": "c2.example", "http.request.method": "GET", "user_agent.original": "curl"}),
        ({"protoPayload": {"requestMetadata": {"callerIp": "203.0.113.9"}, "authenticationInfo": {"principalEmail": "u@x.example"}, "methodName": "m"}, "timestamp": "2024-09-10T11:26:40Z"},
         {"source.ip": "203.0.113.9", "user.name": "u@x.example"}),
        ({"actor": {"alternateId": "u@x.example"}, "client": {"ipAddress": "203.0.113.9"}, "published": "2024-09-10T11:26:40.000Z", "outcome": {"result": "FAILURE"}},
         {"source.ip": "203.0.113.9", "user.name": "u@x.example", "event.outcome": "failure"}),
        ({"ClientIP": "203.0.113.9", "ClientRequestHost": "c2.example", "ClientRequestURI": "/a", "EdgeStartTimestamp": "2024-09-10T11:26:40Z", "EdgeResponseBytes": 131},
         {"source.ip": "203.0.113.9", "destination.domain": "c2.example", "destination.bytes": 131}),
        ({"outer": json.dumps({"inner": {"source_ip": "203.0.113.9", "username": "u1"}}), "time": "2024-09-10T11:26:40Z"},
         {"source.ip": "203.0.113.9", "user.name": "u1"}),
    ],
)
def test_json(read, record, expected):
    row = read(json.dumps(record) + "\n").rows[0]
    assert {k: row.get(k) for k in expected} == expected
    assert row["@timestamp"].startswith("2024-09-10T11:26:40")
    assert row["parser.confidence"] in ("medium", "low")


def test_text_that_only_looks_like_json_stays_text(read):
    row = read(json.dumps({"time": "2024-09-10T11:26:40Z", "note": "{not json}", "list": "[1, 2]"}) + "\n").rows[0]
    assert (row["note"], row["list"]) == ("{not json}", "[1, 2]")


def test_csv_without_a_heading_by_what_the_values_are(read):
    line = '2024/09/10 20:26:40,"10.0.0.5",51000,"192.0.2.7",443,TCP,c2.example,GET,"https://c2.example/a,b",CORP\\u1,Allowed,"Mozilla/5.0 (X11)",131,900'
    row = read("\n".join([line] * 5) + "\n", zone=JST).rows[0]
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"
    expected = {
        "source.ip": "10.0.0.5", "source.port": 51000, "destination.ip": "192.0.2.7", "destination.port": 443, "destination.domain": "c2.example",
        "url.full": "https://c2.example/a,b", "user.name": "u1", "user.domain": "CORP", "event.outcome": "success", "http.request.method": "GET",
    }
    assert {k: row.get(k) for k in expected} == expected
    assert row["parser.confidence"] == "low"
    assert row["column_13"] == "131"


def test_csv_without_addresses_guesses_none(read):
    row = read("\n".join(["alice,sales,12,open,blue,yes"] * 5) + "\n").rows[0]
    assert not {"source.ip", "destination.ip", "url.full", "user.name"} & row.keys()


def test_a_row_of_values_behind_a_syslog_header(read):
    row = read("<134>Sep 10 20:26:40 fw1 fwlog[9]: 5,,,1000000103,igb0,match,block,in,4,0x0,,64,0,0,DF,6,tcp,60,203.0.113.9,192.0.2.1,50001,22,0,S\n").rows[0]
    assert (row["source.ip"], row["destination.ip"], row["source.port"], row["destination.port"]) == ("203.0.113.9", "192.0.2.1", 50001, 22)
    assert (row["event.outcome"], row["parser.confidence"]) == ("failure", "low")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Connection 10.0.0.5:51000 -> 192.0.2.7:443 allowed", {"source.ip": "10.0.0.5", "source.port": 51000, "destination.ip": "192.0.2.7", "destination.port": 443}),
        ("connect from mail.example.org[203.0.113.9]:33620 to port 25", {"source.ip": "203.0.113.9", "destination.port": 25}),
        ("User 'u1' logged in from 203.0.113.9", {"source.ip": "203.0.113.9", "user.name": "u1"}),
        ("the address 203.0.113.9 was seen", {"source.ip": None}),
        ("version 1.2.3.4 -> 1.2.3 installed", {"source.ip": None}),
    ],
)
def test_sentences(read, text, expected):
    row = read(f"Sep 10 20:26:40 box1 daemon[1]: {text}\n").rows[0]
    assert {k: row.get(k) for k in expected} == expected


def test_a_tag_without_the_rest_of_the_header(read):
    row = read("sshd[2102280]: Disconnected from authenticating user root 203.0.113.9 port 21289 [preauth]\n").rows[0]
    assert (row["event.dataset"], row["user.name"], row["source.ip"]) == ("linux.sshd", "root", "203.0.113.9")


def test_a_line_that_is_no_record_still_tells_what_it_plainly_says(read):
    good = '203.0.113.9 - frank [10/Sep/2024:20:26:40 +0900] "GET / HTTP/1.1" 200 2326 "-" "x"\n'
    row = read(good * 20 + "worker died, last client was 203.0.113.77\n" + good).rows[20]
    assert (row["event.dataset"], row.get("source.ip")) == ("unparsed", None)
    row = read(good * 20 + "refused connection from 203.0.113.77 port 50001\n" + good).rows[20]
    assert (row["event.dataset"], row.get("source.ip"), row.get("source.port")) == ("unparsed", "203.0.113.77", 50001)


def test_days_before_months_where_the_file_shows_it(read):
    rows = read("Date,Source IP,User\n09/10/2024 20:26:40,10.0.0.5,u1\n25/10/2024 20:26:40,10.0.0.5,u1\n").rows
    assert [r["@timestamp"] for r in rows] == ["2024-10-09T20:26:40Z", "2024-10-25T20:26:40Z"]
    rows = read("Date,Source IP,User\n09/10/2024 20:26:40,10.0.0.5,u1\n09/25/2024 20:26:40,10.0.0.5,u1\n").rows
    assert [r["@timestamp"] for r in rows] == ["2024-09-10T20:26:40Z", "2024-09-25T20:26:40Z"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('<14>1 2024-09-10T20:26:40.123+09:00 srx1 RT_FLOW - RT_FLOW_SESSION_CREATE [junos@2636 source-address="10.0.0.5" source-port="51000" destination-address="192.0.2.7" destination-port="443" username="u1"]',
         {"source.ip": "10.0.0.5", "source.port": 51000, "destination.ip": "192.0.2.7", "destination.port": 443, "user.name": "u1", "@timestamp": "2024-09-10T11:26:40.123000Z"}),
        ('<134>1 2024-09-10T11:26:40Z cp1 gateway 1234 - [action:"Accept"; src:"10.0.0.5"; dst:"192.0.2.7"; s_port:"51000"; user:"u1"]',
         {"source.ip": "10.0.0.5", "destination.ip": "192.0.2.7", "user.name": "u1", "event.outcome": "success"}),
        ("<134>1 1725967600.5 mx1 urls src=10.0.0.5:51000 dst=192.0.2.7:443 mac=AA:BB:CC:DD:EE:FF request: GET https://c2.example/a",
         {"source.ip": "10.0.0.5", "source.port": 51000, "url.full": "https://c2.example/a", "@timestamp": "2024-09-10T11:26:40.500000Z"}),
        ("type=USER_LOGIN msg=audit(1725967600.123:99): pid=1 uid=0 auid=1000 msg='op=login acct=\"u1\" addr=203.0.113.9 res=success'",
         {"source.ip": "203.0.113.9", "user.name": "u1", "@timestamp": "2024-09-10T11:26:40.123000Z"}),
        ("Sep 10 20:26:40 mail dovecot: imap-login: Login: user=<u1>, method=PLAIN, rip=203.0.113.9, lip=192.0.2.1, mpid=9, TLS",
         {"source.ip": "203.0.113.9", "destination.ip": "192.0.2.1", "user.name": "u1"}),
        ("Sep 10 20:26:40 sw1 99: %SEC_LOGIN-5-LOGIN_SUCCESS: Login Success [user: u1] [Source: 10.0.0.5] [localport: 22] at 20:26:40 JST", {"source.ip": "10.0.0.5", "user.name": "u1"}),
        ("Sep 10 20:26:40 sw1 99: %SEC-6-IPACCESSLOGP: list 101 denied tcp 203.0.113.9(50001) -> 192.0.2.1(22), 1 packet",
         {"source.ip": "203.0.113.9", "source.port": 50001, "destination.ip": "192.0.2.1", "destination.port": 22}),
        ("Sep 10 20:26:40 wg firewall: Allow 1-Trusted 0-External 60 tcp 20 63 10.0.0.5 192.0.2.7 51000 443 offset 10", {"source.ip": "10.0.0.5", "destination.port": 443}),
        ("Sep 10 20:26:40 dns dnsmasq[9]: query[A] Evil.Example from 10.0.0.5", {"source.ip": "10.0.0.5", "dns.question.name": "evil.example"}),
        ("Sep 10 20:26:40 dns unbound: [9:0] info: 10.0.0.5 evil.example. A IN", {"source.ip": "10.0.0.5", "dns.question.name": "evil.example"}),
        ("Sep 10 20:26:40 ldap slapd[9]: conn=1000 fd=12 ACCEPT from IP=203.0.113.9:50001 (IP=0.0.0.0:389)", {"source.ip": "203.0.113.9", "source.port": 50001}),
        ('{"ActionType":"ConnectionSuccess","LocalIP":"10.0.0.5","LocalPort":51000,"RemoteIP":"192.0.2.7","RemotePort":443,"RemoteUrl":"https://c2.example/","InitiatingProcessAccountName":"u1","Timestamp":"2024-09-10T11:26:40Z"}',
         {"source.ip": "10.0.0.5", "destination.ip": "192.0.2.7", "destination.port": 443, "user.name": "u1"}),
        ("Sep 10 20:26:40 ha haproxy[9]: 10.0.0.5:51000 [10/Sep/2024:20:26:40.123] fe be/srv 0/0/0/1/1 200 131 - - ---- 1/1/0/0/0 0/0 \"GET /a HTTP/1.1\"",
         {"source.ip": "10.0.0.5", "source.port": 51000, "url.full": "/a"}),
    ],
)
def test_shapes_of_many_devices(read, line, expected):
    row = read(line + "\n", zone=JST).rows[0]
    assert {k: row.get(k) for k in expected} == expected


def test_a_server_has_its_client_on_the_remote_side(read):
    row = read('{"LocalIP":"192.0.2.7","RemoteIP":"203.0.113.9","Timestamp":"2024-09-10T11:26:40Z","UserName":"u1"}\n').rows[0]
    assert (row["source.ip"], row["destination.ip"]) == ("203.0.113.9", "192.0.2.7")
