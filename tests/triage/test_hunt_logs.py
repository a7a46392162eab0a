"""Rules on logs that are no Windows event logs: each log source finds its line and not the one beside it."""

import json

import pytest
import yaml

from hikeshi.triage.hunt import Hunt

SQUID = """\
1767225600.123    120 10.0.0.5 TCP_MISS/200 1024 GET http://evil.example/a/load.EXE?x=1 bob HIER_DIRECT/203.0.113.9 -
1767225601.123    120 10.0.0.5 TCP_TUNNEL/200 1024 CONNECT c2.evil.example:443 eve HIER_DIRECT/203.0.113.9 -
1767225602.123    120 10.0.0.6 TCP_MISS/404 99 POST http://good.example/load.exe.txt eve HIER_DIRECT/203.0.113.9 -
"""
ACCESS = """\
203.0.113.5 - - [03/May/2026:01:02:03 +0900] "GET /cgi-bin/x.php?cmd=whoami HTTP/1.1" 200 512 "-" "Mozilla/5.0 sqlmap"
203.0.113.5 - - [03/May/2026:01:02:04 +0900] "GET /index.html HTTP/1.1" 404 512 "http://ref.example/" "Mozilla/5.0"
"""
AUTH = """\
May  3 01:02:03 web1 sshd[123]: Failed password for invalid user admin from 203.0.113.5 port 2222 ssh2
May  3 01:02:04 web1 sudo:  bob : TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/bash
May  3 01:02:05 web1 CRON[12]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)
"""
AUDIT = """\
type=SYSCALL msg=audit(1767225600.123:456): arch=c000003e syscall=59 success=yes exit=0 a0=55d a1=55e ppid=1 pid=2 auid=1000 uid=0 comm="whoami" exe="/usr/bin/whoami" key="exec"
type=EXECVE msg=audit(1767225600.123:456): argc=2 a0="chmod" a1="u+s"
type=PATH msg=audit(1767225600.123:456): item=0 name="/etc/passwd" inode=1 nametype=NORMAL
"""
FORTI = """\
date=2026-05-03 time=01:02:03 devname="FG" logid="0100032001" type="event" subtype="system" level="information" vd="root" user="admin" action="login" status="success" srcip=203.0.113.5
date=2026-05-03 time=01:02:03 devname="FG" logid="0000000013" type="traffic" subtype="forward" srcip=10.0.0.5 srcport=1234 dstip=203.0.113.9 dstport=4444 action="accept" proto=6 sentbyte=10 rcvdbyte=20
"""
NAMED = """\
03-May-2026 01:02:03.123 queries: info: client @0x7f 10.0.0.5#5555 (evil.example): query: evil.example IN TXT +E(0)K (10.0.0.1)
03-May-2026 01:02:04.123 queries: info: client @0x7f 10.0.0.5#5555 (good.example): query: good.example IN A +E(0)K (10.0.0.1)
"""


def trail(name, **more):
    return json.dumps({"eventVersion": "1.08", "userIdentity": {"type": "IAMUser", "userName": "bob"},
                       "eventTime": "2026-05-03T01:02:03Z", "eventSource": "cloudtrail.amazonaws.com",
                       "eventName": name, "sourceIPAddress": "203.0.113.5", "userAgent": "aws-cli", **more}) + "\n"


def office(operation, **more):
    return json.dumps({"CreationTime": "2026-05-03T01:02:03", "Operation": operation, "Workload": "Exchange",
                       "RecordType": 1, "UserId": "bob@example.com", "ClientIP": "203.0.113.5", **more}) + "\n"


def sign_in(code, **more):
    return json.dumps({"time": "2026-05-03T01:02:03Z", "category": "SignInLogs", "tenantId": "x",
                       "resultType": str(code), "properties": {
                           "userPrincipalName": "bob@example.com", "createdDateTime": "2026-05-03T01:02:03Z",
                           "appDisplayName": "Office", "ipAddress": "203.0.113.5",
                           "status": {"errorCode": code}, **more}}) + "\n"


ACTIVITY = "".join(json.dumps({
    "time": "2026-05-03T01:02:03Z", "resourceId": "/SUBSCRIPTIONS/1", "category": "Administrative", "operationName": name,
    "resultType": "Success", "callerIpAddress": "203.0.113.5", "properties": {"message": name}}) + "\n" for name in (
        "MICROSOFT.COMPUTE/SNAPSHOTS/DELETE", "MICROSOFT.COMPUTE/SNAPSHOTS/READ"))
LOGS = {
    "activity.json": ACTIVITY,
    "squid.log": SQUID, "access.log": ACCESS, "auth.log": AUTH, "audit.log": AUDIT, "fg.log": FORTI, "named.log": NAMED,
    "trail.json": trail("StopLogging") + trail("GetTrail"),
    "m365.json": office("New-InboxRule", ResultStatus="True") + office("Set-Mailbox", ResultStatus="False"),
    "entra.json": sign_in(50126, conditionalAccessStatus="failure") + sign_in(0, conditionalAccessStatus="success"),
}
CASES = [
    ({"category": "proxy"}, {"c-uri-extension": "exe"}, ["squid.log:1"]),
    ({"category": "proxy"}, {"c-uri|contains": "/a/load"}, ["squid.log:1"]),
    ({"category": "proxy"}, {"c-uri-stem|endswith": "/load.exe"}, ["squid.log:1"]),
    ({"category": "proxy"}, {"c-uri-query": "x=1"}, ["squid.log:1"]),
    ({"category": "proxy"}, {"r-dns|endswith": ".evil.example"}, ["squid.log:2"]),
    ({"category": "proxy"}, {"cs-host": "evil.example"}, ["squid.log:1"]),
    ({"category": "proxy"}, {"cs-method": "POST", "sc-status": 404}, ["squid.log:3"]),
    ({"category": "proxy"}, {"cs-username": "eve", "src_ip|cidr": "10.0.0.4/31"}, ["squid.log:2"]),
    ({"category": "proxy"}, {"c-uri-query": None}, ["squid.log:2"]),   # a path without a query: it has a stem
    ({"category": "webserver"}, {"cs-uri-query|contains": "cmd="}, ["access.log:1"]),
    ({"category": "webserver"}, {"cs-uri-query|contains": "/cgi-bin/"}, ["access.log:1"]),
    ({"category": "webserver"}, {"cs-user-agent|endswith": "sqlmap"}, ["access.log:1"]),
    ({"category": "webserver"}, {"sc-status": 404, "cs-referer|contains": "ref.example"}, ["access.log:2"]),
    ({"category": "webserver"}, ["sqlmap", "nikto"], ["access.log:1"]),
    ({"product": "linux", "service": "sshd"}, ["invalid user"], ["auth.log:1"]),
    ({"product": "linux", "service": "auth"}, ["session opened"], ["auth.log:3"]),
    ({"product": "linux", "service": "sudo"}, {"USER": "root"}, ["auth.log:2"]),
    ({"product": "linux", "service": "cron"}, ["session opened for user root"], ["auth.log:3"]),
    ({"product": "linux", "service": "auditd"}, {"type": "EXECVE", "a0": "chmod", "a1|contains": "+s"}, ["audit.log:2"]),
    ({"product": "linux", "service": "auditd"}, {"exe|endswith": "/whoami"}, ["audit.log:1"]),
    ({"product": "linux", "service": "auditd"}, {"type": "PATH", "name": "/etc/passwd"}, ["audit.log:3"]),
    ({"category": "firewall"}, {"dst_port": 4444, "action": "accept"}, ["fg.log:2"]),
    ({"product": "fortigate", "service": "event"}, {"action": "login", "user": "admin"}, ["fg.log:1"]),
    ({"category": "vpn"}, {"src_ip": "203.0.113.5"}, ["fg.log:1"]),
    ({"category": "dns"}, {"query|startswith": "evil.", "record_type": "TXT"}, ["named.log:1"]),
    ({"category": "dns"}, {"query|endswith": "good.example"}, ["named.log:2"]),
    ({"product": "aws", "service": "cloudtrail"}, {"eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging"},
     ["trail.json:1"]),
    ({"product": "aws", "service": "cloudtrail"}, {"userIdentity.type": "IAMUser", "eventName|startswith": "Get"},
     ["trail.json:2"]),
    ({"product": "m365", "service": "exchange"}, {"eventName": "New-InboxRule", "status": "success"}, ["m365.json:1"]),
    ({"product": "m365", "service": "audit"}, {"Operation": "Set-Mailbox"}, ["m365.json:2"]),
    ({"product": "azure", "service": "activitylogs"}, {"operationName|endswith": "SNAPSHOTS/DELETE"}, ["activity.json:1"]),
    ({"product": "azure", "service": "activitylogs"}, {"properties.message|contains": "/READ"}, ["activity.json:2"]),
    ({"product": "azure", "service": "signinlogs"}, {"ResultType": 50126}, ["entra.json:1"]),
    ({"product": "azure", "service": "signinlogs"}, {"conditionalAccessStatus": "success"}, ["entra.json:2"]),
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """One hunt for all cases: rule number → the lines it found."""
    folder = tmp_path_factory.mktemp("logs")
    for name, text in LOGS.items():
        (folder / name).write_text(text, encoding="utf-8")
    rules = tmp_path_factory.mktemp("rules")
    for number, (source, detection, _) in enumerate(CASES):
        (rules / f"{number}.yml").write_text(yaml.safe_dump({
            "title": f"Case {number}", "id": str(number), "logsource": source,
            "detection": {"s": detection, "condition": "s"}}), encoding="utf-8")
    hunt = Hunt([folder], [rules], workers=1)
    found = {}
    for line in hunt.lines():
        row = json.loads(line)
        found.setdefault(int(row["rule_id"]), []).append(f"{row['file']}:{row['line']}")
    return found, hunt.summary


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{c[0]} {c[1]}" for c in CASES])
def test_a_rule_finds_its_line_and_no_other(answers, number):
    found, summary = answers
    assert not summary.skipped, summary.skipped
    assert sorted(found.get(number, [])) == CASES[number][2]


def test_the_files_are_counted_and_a_plain_text_is_only_named(answers, tmp_path):
    _, summary = answers
    assert sum(f.events for f in summary.files) == summary.events >= 17
    assert not summary.unreadable
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "note.txt").write_text("Dear all,\nthe files are gone.\n")
    hunt = Hunt([evidence], [_rule(tmp_path, {"category": "proxy"})], workers=1)
    assert list(hunt.lines()) == []
    assert (hunt.summary.files, hunt.summary.other_files) == ([], 1)


def test_with_rules_for_windows_only_no_other_log_is_read(tmp_path):
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "squid.log").write_text(SQUID)
    hunt = Hunt([evidence], [_rule(tmp_path, {"product": "windows", "service": "security"})], workers=1)
    assert list(hunt.lines()) == []
    assert (hunt.summary.files, hunt.summary.other_files) == ([], 1)


def _rule(folder, source):
    folder = folder / "own-rules"
    folder.mkdir()
    (folder / "r.yml").write_text(yaml.safe_dump({"title": "R", "logsource": source,
                                                  "detection": {"s": {"c-uri": "*"}, "condition": "s"}}))
    return folder
