"""Every format's line, damaged in all the ways that logs are: counted, kept, never the end of the run."""

from __future__ import annotations

import random

import orjson
import pytest

from hikeshi.parse.registry import FORMATS, detect_lines

LINES = {
    "ifilter": 'Sep 19 19:26:56 4872 1000/01/ - 192.0.2.9:443 10.0.0.5 10.0.0.5 - user01 [19/Sep/2024:19:26:56 +0900] 503 0 1207 block 63 87 87/127/151 -1 0 1518 0 group01 - 0 - "GET https://c2.example/ HTTP/1.1" - Chrome text%2Fhtml A667FEFF',
    "skyhigh": 'date="2024-09-10T11:26:40.000Z" username="u1" source_ip=10.1.2.3 destination_host="c2.example" http_status_code=200 source_bytes=131',
    "umbrella": '"2024-09-10 11:26:40","Alice","Alice,HQ","10.10.1.100","203.0.113.5","Blocked","1 (A)","NOERROR","c2.example.","Malware","AD Users","AD Users,Networks","Malware"',
    "ivanti": 'id=firewall time="2024-01-19 10:19:35" pri=6 fw=192.0.2.1 vpn=pcs user=u1 realm="R" roles="S" proto=auth src=203.0.113.9 dst= msg="AUT24326: Primary authentication successful for u1/R from 203.0.113.9"',
    "sonicwall": 'id=firewall sn=0006B1 time="2024-09-10 11:26:40 UTC" fw=192.0.2.1 pri=6 m=97 msg="Web site hit" src=10.0.0.5:51000:X0 dst=192.0.2.7:443:X1 proto=tcp/https dstname=c2.example arg=/a',
    "rtx": "[INSPECT] PP[01][out][101099] TCP 10.0.0.5:51000 > 192.0.2.7:443 (2024/09/10 20:26:30)",
    "windows-dns": "2024/09/10 20:26:40 0A1C PACKET  000001D2 UDP Rcv 10.1.2.3 1a2b   Q [0001   D   NOERROR] A (2)c2(7)example(0)",
    "dhcp": "10,09/10/24,20:26:40,Assign,10.1.2.3,WS-14.corp.example,AABBCCDDEEFF,,1234,0,,,",
    "nas": "Connection: User [admin] from [203.0.113.9] failed to log in via [DSM] due to authorization failure.",
    "remote-control": "Incoming    2024-09-10, 20:26    User    123456789    123456789",
    "netscaler": '01/24/2025:12:06:37 GMT ns 0-PPE-0 : default AAA LOGIN_FAILED 73 0 : User u1 - Client_ip 192.0.2.9 - Failure_reason "x"',
    "cisco-asa": "%ASA-6-302013: Built inbound TCP connection 18 for outside:203.0.113.9/40454 (203.0.113.9/40454) to inside:10.0.0.1/53 (10.0.0.1/53)",
    "mssql": "2026-10-05 14:03:03.45 Logon       Login failed for user 'sa'. Reason: Password did not match. [CLIENT: 203.0.113.9]",
    "bind": "client @0x7f62 192.0.2.70#55575 (docs.example): query: docs.example IN AAAA + (192.0.2.53)",
    "postfix": "7B3643F820: to=<jdoe@example.org>, relay=mx.example[192.0.2.1]:25, delay=0.08, dsn=2.0.0, status=sent (250 2.0.0 Ok)",
    "vpcflow": "2 123456789012 eni-0f06 212.83.179.156 10.0.0.96 123 123 17 2 152 1599665193 1599665488 ACCEPT OK",
    "esxi": "[Originator@6876 sub=Vimsvc.ha-eventmgr] Event 12 : User root@192.0.2.9 logged in",
    "openvpn": "Tue Aug 12 08:26:30 2025 us=340080 192.0.2.12:65244 TLS: Username/Password authentication succeeded for username 'u1'",
    "nps": '"NPS1","IAS",09/10/2024,20:26:40,1,"CORP\\u1","corp.example/Users/u1","192.0.2.1","203.0.113.9",,,"vpn1","10.1.0.1",5,0,"10.1.0.1","vpn1",,,19,,,1,"VPN policy",0',
    "filterlog": "5,,,1000000103,igb0,match,block,in,4,0x0,,64,0,0,DF,6,tcp,60,203.0.113.9,192.0.2.7,51000,22,0,S,1234567890,,64240,,mss",
    "haproxy": '203.0.113.9:51000 [10/Sep/2024:20:26:40.123] fe1 be1/srv1 0/0/1/2/3 200 131 - - ---- 1/1/0/0/0 0/0 "GET /a?b=1 HTTP/1.1"',
    "aws-elb": '2024-09-10T11:26:40.123456Z elb1 203.0.113.9:51000 10.2.0.1:80 0.00007 0.001 0.00004 200 200 900 131 "GET http://c2.example:80/a HTTP/1.1" "curl/8" - -',
    "aws-s3": '79a59df900b949e5 bucket1 [10/Sep/2024:11:26:40 +0000] 203.0.113.9 - 3E57427F3EXAMPLE REST.GET.OBJECT a/b.txt "GET /bucket1/a/b.txt HTTP/1.1" 200 - 131 131 7 6 "-" "S3Console/0.4" -',
    "exim": "2024-09-10 20:26:40 1sABCD-000001-2B <= bad@c2.example H=mail.c2.example [203.0.113.9] P=esmtps X=TLS1.2 S=131 id=1@c2.example",
    "xferlog": "Tue Sep 10 20:26:40 2024 1 203.0.113.9 131 /a/b.txt b _ o r u1 ftp 0 * c",
    "squid": "1726000000.002    559 10.2.23.164 TCP_MISS/200 22500 GET http://a.example/ u17 HIER_DIRECT/192.0.2.7 image/png",
    "access": '203.0.113.9 - frank [10/Sep/2024:20:26:40 +0900] "GET / HTTP/1.1" 200 2326 "-" "x"',
    "fortigate": 'date=2024-10-14 time=13:46:40 logid="0000000013" type="traffic" subtype="forward" level="notice" srcip=10.0.0.5 srcport=1 dstip=192.0.2.7 msg="a b"',
    "paloalto": '1,2024/09/11 05:26:40,0011C106739,TRAFFIC,end,2561,2024/09/11 05:26:40,10.0.13.25,192.0.2.43,0.0.0.0,0.0.0.0,r,u,,ssl,"a,b"',
    "cef": "CEF:0|V|P|1|1|n|5|src=10.1.2.3 dst=192.0.2.7 out=900",
    "leef": "LEEF:2.0|V|P|1|login|^|src=203.0.113.9^dst=192.0.2.7^usrName=u1",
    "m365": '{"CreationTime":"2024-09-10T11:26:40","Operation":"UserLoggedIn","Workload":"AzureActiveDirectory","ClientIP":"203.0.113.9","UserId":"u@x.example"}',
    "entra": '{"createdDateTime":"2024-09-10T11:26:40Z","userPrincipalName":"u@x.example","appDisplayName":"Office","ipAddress":"203.0.113.9","status":{"errorCode":0}}',
    "azure-activity": '{"time":"2024-09-10T11:26:40Z","resourceId":"/SUBSCRIPTIONS/1","operationName":"MICROSOFT.COMPUTE/VIRTUALMACHINES/DELETE","category":"Administrative","resultType":"Start","callerIpAddress":"203.0.113.9"}',
    "cloudtrail": '{"eventVersion":"1.08","eventTime":"2024-09-10T11:26:40Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser","sourceIPAddress":"203.0.113.9","userIdentity":{"userName":"a"}}',
    "zscaler": '{"sourcetype":"zscalernss-web","event":{"datetime":"2024-09-10 11:26:40","user":"u@x.example","ClientIP":"10.0.0.5","url":"c2.example/a"}}',
    "paloalto-json": '{"LogType":"TRAFFIC","DeviceSN":"007","TimeGenerated":"2024-09-10T11:26:40Z","SourceAddress":"10.0.0.5","DestinationAddress":"192.0.2.7"}',
    "zeek-json": '{"ts":1725967600.5,"uid":"C1","id.orig_h":"10.0.0.5","id.orig_p":51000,"id.resp_h":"192.0.2.7","id.resp_p":80}',
}
# Formats of a file, not of a line, and lines that other formats share.
OTHERS = {"evtx", "wtmp", "windows-xml", "windows-json", "w3c", "web-error", "linux", "dhcp-leases", "json", "keyvalue", "csv", "syslog", "mixed", "text", "samba", "sendmail"}


def test_every_format_has_a_line_here_or_is_told_apart():
    assert {row.name for row in FORMATS} == LINES.keys() | OTHERS


@pytest.mark.parametrize("name", LINES)
def test_recognised_alone_and_behind_a_header(name):
    assert detect_lines([LINES[name]] * 5)[0] == name
    program = "postfix/smtp[9]: " if name == "postfix" else ""
    assert detect_lines(["<13>Sep 10 20:26:40 relay1 " + program + LINES[name]] * 5)[0] == name


def dataset(read, name):
    """What a whole line of the format is called."""
    return read(LINES[name] + "\n").rows[0]["event.dataset"]


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("ending", ["\r\n", "\n", "\r\n\r\n"])
def test_line_ends(read, name, ending):
    want = dataset(read, name)
    rows = read(ending.join([LINES[name]] * 12) + ending).rows
    assert [r["event.dataset"] for r in rows] == [want] * 12


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-8-sig", "cp932"])
def test_encodings(read, name, encoding):
    want = dataset(read, name)
    rows = read("\n".join([LINES[name]] * 5) + "\n", encoding=encoding).rows
    assert [r["event.dataset"] for r in rows] == [want] * 5


@pytest.mark.parametrize("name", LINES)
def test_cut_off_overwritten_and_foreign_lines(read, name):
    want = dataset(read, name)
    line = LINES[name]
    bad = [line[: len(line) // 2], "\0" * 300, line[:20] + "\0\0\0\0" + line[24:], "これは別の行です", '{"a": "' + "[" * 5000, line[::-1]]
    text = "\n".join([line] * 40 + bad + [line] * 40) + "\n"
    got = read(text)
    assert sum(r["event.dataset"] == want for r in got.rows) >= 80
    # Each is a row of its own, at its own place; only the line of zeros is nothing.
    assert len(got.rows) == 80 + len(bad) - 1
    places = [r["log.offset"] for r in got.rows]
    assert places == sorted(set(places))
    assert text.encode()[places[-1] :].startswith(line.encode()[:20])


@pytest.mark.parametrize("name", LINES)
def test_a_line_of_two_megabytes(read, name):
    line = LINES[name]
    got = read(line + "\n" + line + " " + "a=b " * (1 << 19) + "\n" + line + "\n")
    assert got.rows[0]["event.dataset"] == got.rows[-1]["event.dataset"]
    assert any("longer than" in r.reason for r in got.rejects)


@pytest.mark.parametrize("name", LINES)
def test_a_comment_head_in_the_middle(read, name):
    want = dataset(read, name)
    rows = read("\n".join([LINES[name]] * 20 + ["#Version: 2", "# rotated"] + [LINES[name]] * 20) + "\n").rows
    assert sum(r["event.dataset"] == want for r in rows) == 40
    assert len(rows) == 42


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_gives_one_event_a_line(read, seed):
    rng = random.Random(seed)
    lines = []
    for _ in range(500):
        line = list(rng.choice(list(LINES.values())))
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(line))
            line[at : at + rng.randrange(3)] = rng.choice(["", '"', "\\", "\0", "é", "\t", ",", "=", "[", "9" * 30, "{", " " * 9, "Ａ"])
        lines.append("x" + "".join(line).replace("\n", ""))
    text = "\n".join(lines) + "\n"
    rows = read(text).rows
    assert len(rows) == len(lines)
    for row in rows:
        orjson.dumps(row)
        assert len(row["event.dataset"]) > 0
