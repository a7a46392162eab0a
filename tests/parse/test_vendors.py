"""One line of each maker as its documentation has it, and what must come of it; a near miss beside it."""

from __future__ import annotations

import json
from datetime import timedelta, timezone

import pytest

from hikeshi.parse.registry import detect_lines

JST = timezone(timedelta(hours=9))


def has(row: dict, **expected: object) -> None:
    """Keyword names with _ for . (source_ip, url_full)."""
    for name, want in expected.items():
        column = name.replace("__", "@").replace("_", ".").replace("@", "_")
        assert row.get(column) == want, f"{column}: {row.get(column)!r}, not {want!r}; {row}"


# ---- proxies and web gateways ----------------------------------------------------------------

IFILTER = (
    "Sep 19 19:26:56 4872 1000/01/ - 192.0.2.9:443 10.0.0.5 10.0.0.7 pc7 user01 [19/Sep/2024:19:26:56 +0900] "
    "503 0 1207 block 63 87 87/127/151 -1 0 1518 0 group01 - 0 - "
    '"GET https://c2.example/a?b=1 HTTP/1.1" - Chrome text%2Fhtml A667FEFF'
)


def test_ifilter_10_and_dspa_4(read):
    row = read(IFILTER + "\n").rows[0]
    assert row["@timestamp"] == "2024-09-19T10:26:56Z"
    has(row, event_dataset="ifilter.access", source_ip="10.0.0.7", user_name="user01", source_domain="pc7")
    has(row, destination_ip="192.0.2.9", destination_port=443, destination_domain="c2.example", event_action="block")
    has(row, url_full="https://c2.example/a?b=1", event_outcome="failure", destination_bytes=1207)
    assert row["http.response.status_code"] == 503


def test_dspa_1_has_the_request_before_the_status(read):
    row = read(
        "Dec 10 18:32:48 5207 104/01/ 192.168.1.91:8000 192.168.1.24 - hanako [10/Dec/2010:18:32:48 +0900] "
        '"GET http://www.shop.example/ HTTP/1.1" "http://www.shop.example/search" Mozilla%2F4.0 503 0 886 block 25 19 108 G text%2Fhtml 0 - - 951ACEEA\n'
    ).rows[0]
    has(row, source_ip="192.168.1.24", user_name="hanako", url_full="http://www.shop.example/", destination_bytes=886)
    assert "destination.ip" not in row  # the pair in front is the parent proxy
    assert row["ifilter.parent_proxy"] == "192.168.1.91:8000"


def test_ifilter_block_log(read):
    row = read(
        "4582 192.168.1.100 user000 group 7 06/Oct/2014:11:26:21 +0900 http://www.sns.example/ block 43 3 99 28 0 -1 0 EICAR-Test-File\n"
    ).rows[0]
    has(row, event_dataset="ifilter.block", source_ip="192.168.1.100", user_name="user000", rule_name="EICAR-Test-File")
    assert row["@timestamp"] == "2014-10-06T02:26:21Z"


def test_skyhigh(read):
    row = read(
        'date="2024-09-10T11:26:40.000Z" username="CORP\\u1" source_ip=10.1.2.3 destination_host="c2.example" http_method=POST '
        'url="/a/b" uri_scheme=https http_status_code=200 client_to_server_bytes=900 server_to_client_bytes=131\n'
    ).rows[0]
    has(row, event_dataset="skyhigh.web", source_ip="10.1.2.3", user_name="u1", user_domain="CORP")
    has(row, url_full="https://c2.example/a/b", url_original="/a/b", source_bytes=900, destination_bytes=131)
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"


UMBRELLA_DNS = (
    '"2024-09-10 11:26:40","Alice Example (alice@corp.example)","Alice Example (alice@corp.example),HQ","10.10.1.100",'
    '"203.0.113.5","Blocked","1 (A)","NOERROR","c2.example.","Malware","AD Users","AD Users,Networks","Malware"'
)
UMBRELLA_WEB = (
    '"2024-09-10 11:26:41","WS-14","192.168.7.4","203.0.113.5","192.0.2.7","text/html","ALLOWED",'
    '"https://c2.example/a.js","","Mozilla/5.0 (X11)","200","562","1489","","","Search Engines","","","","","","Roaming Computers",""'
)


def test_umbrella_dns_and_web(read):
    dns, web = read(UMBRELLA_DNS + "\n" + UMBRELLA_WEB + "\n", zone=JST).rows
    has(dns, event_dataset="umbrella.dns", source_ip="10.10.1.100", user_name="alice@corp.example", event_outcome="failure")
    assert dns["dns.question.name"] == "c2.example"
    assert dns["source.nat.ip"] == "203.0.113.5"
    assert dns["@timestamp"] == "2024-09-10T11:26:40Z"  # UTC, whatever the zone
    has(web, event_dataset="umbrella.web", source_ip="192.168.7.4", source_domain="WS-14", destination_ip="192.0.2.7")
    has(web, url_full="https://c2.example/a.js", source_bytes=562, destination_bytes=1489, destination_domain="c2.example")
    assert "user.name" not in web


def test_umbrella_firewall(read):
    row = read(
        '"2024-09-10 11:26:40","[211039844]","Passive Monitor","CDFW Tunnel Device","OUTBOUND","6","84","172.17.3.4","51000","192.0.2.7","443","ams1.edc","12","ALLOW"\n'
    ).rows[0]
    has(row, event_dataset="umbrella.firewall", source_ip="172.17.3.4", destination_ip="192.0.2.7", destination_port=443, event_outcome="success")


def test_a_quoted_csv_of_another_kind_is_not_umbrellas():
    line = '"2024-09-10 11:26:40","alice","10.0.0.5","opened","report.xlsx","12","share","yes","no"'
    assert detect_lines([line] * 5)[0] != "umbrella"


# ---- VPN and firewalls -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        'id=firewall time="2024-01-19 10:19:35" pri=6 fw=192.0.2.1 vpn=pcs ivs=Root user=u1 realm="R" roles="S" proto=auth src=203.0.113.9 '
        'dst= dstname= type=vpn op= arg="" result= sent= rcvd= agent="" duration= msg="AUT24326: Primary authentication successful for u1/R from 203.0.113.9"',
        "PulseSecure: - - - 2024-01-19 10:19:35 - pcs - [203.0.113.9] u1(R)[S] - Primary authentication successful for u1/R from 203.0.113.9",
        "2024-01-19 10:19:35 - ive - [203.0.113.9] Root::u1(R)[S] - AUT24326: Primary authentication successful for u1/R from 203.0.113.9",
    ],
)
def test_ivanti(read, line):
    row = read(line + "\n", zone=JST, assumed=False).rows[0]
    has(row, event_dataset="ivanti.connect_secure", source_ip="203.0.113.9", event_action="logged-in", event_outcome="success")
    assert row["user.name"].endswith("u1")
    assert row["@timestamp"] == "2024-01-19T01:19:35Z"


def test_ivanti_takes_the_headers_zone(read):
    line = "<174>1 2024-01-19T10:19:35+09:00 192.0.2.1 PulseSecure: - - - 2024-01-19 10:19:35 - pcs - [203.0.113.9] u1(R)[S] - Login failed using auth server X. Reason: Failed"
    row = read(line + "\n").rows[0]
    assert row["@timestamp"] == "2024-01-19T01:19:35Z"
    has(row, event_action="logon-failed", event_outcome="failure")


def test_sonicwall(read):
    row = read(
        'id=firewall sn=0006B1000000 time="2024-09-10 11:26:40 UTC" fw=192.0.2.1 pri=6 c=1024 m=97 msg="Web site hit" n=5 '
        "src=10.0.0.5:51000:X0:pc5.corp.example dst=192.0.2.7:443:X1 proto=tcp/https op=GET sent=900 rcvd=131 result=200 dstname=c2.example arg=/a?b=1 usr=CORP\\u1\n"
    ).rows[0]
    has(row, event_dataset="sonicwall", source_ip="10.0.0.5", source_port=51000, destination_ip="192.0.2.7", destination_port=443)
    has(row, url_full="https://c2.example/a?b=1", user_name="u1", source_bytes=900, destination_bytes=131)
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"


def test_sonicwall_logon(read):
    row = read('id=firewall sn=00A1 time="2024-09-10 11:26:40 UTC" fw=192.0.2.1 pri=6 m=1080 msg="SSL VPN zone remote user login allowed" usr="u1" src=203.0.113.9\n').rows[0]
    has(row, event_category="authentication", event_outcome="success", user_name="u1", source_ip="203.0.113.9")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[INSPECT] PP[01][out][101099] TCP 10.0.0.5:51000 > 192.0.2.7:443 (2024/09/10 20:26:30)",
         {"source_ip": "10.0.0.5", "source_port": 51000, "destination_ip": "192.0.2.7", "destination_port": 443, "rule_name": "101099"}),
        ("PP[01] Rejected at IN(200003) filter: TCP 203.0.113.9:50001 > 192.0.2.1:22",
         {"source_ip": "203.0.113.9", "destination_port": 22, "event_outcome": "failure", "event_action": "rejected"}),
        ("LAN2 Passed at OUT(100) filter: UDP 10.0.0.5:137 > 10.0.0.255:netbios_ns",
         {"destination_ip": "10.0.0.255", "destination_port": 137, "event_outcome": "success"}),
        ("LAN1 Rejected at IN(1) filter: ICMP 203.0.113.9 > 192.0.2.1 : echo request", {"source_ip": "203.0.113.9", "destination_ip": "192.0.2.1"}),
        ("Login succeeded for TELNET: 192.168.100.2 admin", {"source_ip": "192.168.100.2", "user_name": "admin", "event_outcome": "success"}),
        ("Login failed for SSH: 203.0.113.9", {"source_ip": "203.0.113.9", "event_action": "logon-failed"}),
        ("'administrator' succeeded for HTTP: 192.168.100.2", {"user_name": "administrator", "event_action": "logged-in"}),
        ("[L2TP] TUNNEL[1] connected from 203.0.113.9", {"source_ip": "203.0.113.9", "event_action": "vpn-up"}),
        ("PP[ANONYMOUS01] Call detected from user 'remote1'", {"user_name": "remote1", "event_action": "vpn-up"}),
        ("[DHCPD] LAN1(port1) Allocates 192.168.100.5: 00:a0:de:01:02:03",
         {"event_dataset": "dhcp.rtx", "source_ip": "192.168.100.5", "dhcp_mac": "00:a0:de:01:02:03", "event_action": "assigned"}),
    ],
)
def test_yamaha(read, line, expected):
    row = read(f"2024/09/10 20:26:40: {line}\n", zone=JST).rows[0]
    has(row, **expected)
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"
    forwarded = read(f"<134>Sep 10 20:26:40 rtx1 {line}\n", zone=JST).rows[0]
    has(forwarded, **expected)


# ---- names and addresses ---------------------------------------------------------------------


@pytest.mark.parametrize("when", ["2024/09/10 20:26:40", "9/10/2024 8:26:40 PM"])
def test_windows_dns(read, when):
    text = (
        f"{when} 0A1C PACKET  00000000033397A0 UDP Rcv 10.1.2.3        5b47   Q [0001   D   NOERROR] A      (2)c2(7)Example(0)\n"
        f"{when} 0A1C PACKET  00000000033397A0 UDP Snd 8.8.8.8         1a2b   Q [0001   D   NOERROR] AAAA   (2)c2(7)example(0)\n"
        f"{when} 0A1C PACKET  00000000033397A0 UDP Rcv 8.8.8.8         1a2b R Q [8081   DR  NOERROR] AAAA   (2)c2(7)example(0)\n"
        f"{when} 0A1C PACKET  00000000033397A0 UDP Snd 10.1.2.3        5b47 R Q [8385 A DR NXDOMAIN] A      (2)c2(7)example(0)\n"
    )
    rows = read("DNS Server log file creation at 9/10/2024 8:00:00 PM\n" + text, zone=JST).rows[1:]
    assert [r["dns.question.name"] for r in rows] == ["c2.example"] * 4
    assert [r.get("source.ip") for r in rows] == ["10.1.2.3", None, None, "10.1.2.3"]
    assert [r.get("destination.ip") for r in rows] == [None, "8.8.8.8", "8.8.8.8", None]
    assert rows[3]["event.outcome"] == "failure"
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:40Z"


def test_a_label_with_brackets_is_read_by_its_length(read):
    row = read("2024/09/10 20:26:40 0A1C PACKET  000001D2 UDP Rcv 10.1.2.3 1a2b   Q [0001   D   NOERROR] A (6)a(3)bc(7)example(0)\n").rows[0]
    assert row["dns.question.name"] == "a(3)bc.example"


# ---- storage and remote control --------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<14>Sep 10 20:26:40 nas1 Connection: User [admin] from [203.0.113.9] failed to log in via [DSM] due to authorization failure.",
         {"event_dataset": "synology", "user_name": "admin", "source_ip": "203.0.113.9", "event_outcome": "failure", "network_protocol": "dsm"}),
        ("<14>Sep 10 20:26:40 nas1 Connection: User [CORP\\u1] from [10.0.0.5] logged in successfully via [SMB].",
         {"user_name": "u1", "user_domain": "CORP", "event_action": "logged-in"}),
        ("<14>Sep 10 20:26:40 nas1 WinFileService Event: delete, Path: /share/a b.docx, File/Folder: File, Size: 12.00 KB, User: u1, IP: 10.0.0.5",
         {"file_path": "/share/a b.docx", "event_action": "delete", "source_ip": "10.0.0.5", "user_name": "u1", "event_category": "file"}),
        ("<14>Sep 10 20:26:40 nas1 System: Host [203.0.113.9] was blocked via [SSH].", {"source_ip": "203.0.113.9", "event_action": "blocked"}),
        ("2024-02-09T20:53:37+09:00 nas synoscgi_SYNO.API.Auth_7_login[21]: pam_unix(webui:auth): authentication failure; logname= uid=0 euid=0 tty= ruser= rhost=192.0.2.9",
         {"event_dataset": "synology", "source_ip": "192.0.2.9", "event_outcome": "failure"}),
        ("<30>Sep 10 20:26:40 NAS2 qulogd[1234]: conn log: Users: admin, Source IP: 203.0.113.9, Computer name: ---, Connection type: SSH, Accessed resources: ---, Action: Login Fail",
         {"event_dataset": "qnap.conn", "user_name": "admin", "source_ip": "203.0.113.9", "event_outcome": "failure", "network_protocol": "ssh"}),
        ("<30>Sep 10 20:26:40 NAS2 qulogd[1234]: conn log: Users: u1, Source IP: 10.0.0.5, Computer name: pc5, Connection type: SAMBA, Accessed resources: Public/a.txt, Action: Delete",
         {"file_path": "Public/a.txt", "event_action": "delete", "source_domain": "pc5"}),
    ],
)
def test_network_storage(read, line, expected):
    has(read(line + "\n").rows[0], **expected)


def test_anydesk_connections(read):
    rows = read(
        "Incoming    2024-09-10, 20:26    User    123456789    123456789\n"
        "Incoming\t2024-09-10, 20:30\tREJECTED\tmallory@ad\t987654321\n", zone=JST
    ).rows
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:00Z"
    has(rows[0], event_dataset="anydesk.connections", remote_id="123456789", event_outcome="success")
    has(rows[1], remote_alias="mallory@ad", remote_id="987654321", event_outcome="failure")


def test_anydesk_trace_is_utc(read):
    row = read(
        "   info 2024-09-10 11:26:40.123       lsvc   5868   4652   26                anynet.any_socket - Logged in from 203.0.113.9:50001 on relay 1.\n",
        zone=JST,
    ).rows[0]
    assert row["@timestamp"] == "2024-09-10T11:26:40.123000Z"
    has(row, event_dataset="anydesk.trace", source_ip="203.0.113.9", source_port=50001)


def test_teamviewer(read):
    incoming, outgoing = read(
        "123456789\tATTACKER-PC\t10-09-2024 11:26:40\t10-09-2024 11:40:00\tsuzuki\tRemoteControl\t{0aa2c8d1-7c07-4b3c-9f0e-2f2a6d2b9a11}\n"
        "987654321\t10-09-2024 12:00:00\t10-09-2024 12:01:00\tsuzuki\tFileTransfer\t{0aa2c8d1-7c07-4b3c-9f0e-2f2a6d2b9a12}\n", zone=JST
    ).rows
    assert incoming["@timestamp"] == "2024-09-10T11:26:40Z"
    has(incoming, source_domain="ATTACKER-PC", remote_id="123456789", user_name="suzuki", event_action="incoming-session")
    assert incoming["event.end"] == "2024-09-10T11:40:00Z"
    has(outgoing, remote_id="987654321", event_action="outgoing-session", remote_mode="FileTransfer")


def test_screenconnect_export(read):
    row = read(
        "SessionID,Time,EventType,ParticipantName,NetworkAddress,Host,Data\n"
        "0aa2c8d1,2024-09-10T11:26:40Z,Connected,suzuki,203.0.113.9,WS-14,\n"
    ).rows[0]
    has(row, source_ip="203.0.113.9", user_name="suzuki", event_action="Connected")


# ---- clouds ----------------------------------------------------------------------------------


def test_microsoft_365_opens_inner_json_and_names_the_person(read):
    alert = {
        "CreationTime": "2024-09-10T11:26:40", "Operation": "AlertTriggered", "Workload": "SecurityComplianceCenter", "RecordType": 40,
        "UserId": "SecurityComplianceAlerts", "Data": json.dumps({"f3u": "hanako@corp.example", "an": "x", "ecip": "10.0.0.5"}),
    }
    mail = {
        "CreationTime": "2024-09-10T11:26:41", "Operation": "AirInvestigationData", "Workload": "AirInvestigation", "RecordType": 64, "UserId": "AirInvestigation",
        "Data": json.dumps({"Entities": [{"Urls": ["https://c2.example/a"], "Sender": "x@y.example"}]}),
    }
    guest = {
        "CreationTime": "2024-09-10T11:26:42", "Operation": "FileDownloaded", "Workload": "OneDrive", "UserId": "urn:spo:guest#eve@evil.example",
        "ClientIP": "[2001:db8::9]:50001", "ObjectId": "https://corp.example/a.zip", "SiteUrl": "https://corp.example/",
    }
    rows = read("\n".join(map(json.dumps, (alert, mail, guest))) + "\n", zone=JST).rows
    has(rows[0], event_dataset="m365.securitycompliancecenter", user_name="hanako", user_domain="corp.example")
    has(rows[1], url_full="https://c2.example/a", destination_domain="c2.example")
    has(rows[2], user_name="eve@evil.example", source_ip="2001:db8::9", url_full="https://corp.example/a.zip")
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:40Z"


def test_microsoft_365_csv_export(read):
    inner = json.dumps({"CreationTime": "2024-09-10T11:26:40", "Operation": "UserLoggedIn", "Workload": "AzureActiveDirectory", "UserId": "u@x.example", "ClientIP": "203.0.113.9"})
    quoted = inner.replace('"', '""')
    row = read(f'RecordId,CreationDate,RecordType,Operation,UserId,AuditData\n1,2024-09-10T11:26:40.0000000Z,15,UserLoggedIn,u@x.example,"{quoted}"\n', zone=JST).rows[0]
    has(row, source_ip="203.0.113.9", user_name="u@x.example", event_category="authentication", event_outcome="success")
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"


def test_entra_sign_in(read):
    row = read(json.dumps({
        "id": "1", "createdDateTime": "2024-09-10T11:26:40Z", "userPrincipalName": "u@x.example", "appDisplayName": "Office", "ipAddress": "203.0.113.9",
        "status": {"errorCode": 50126, "failureReason": "Invalid username or password"},
    }) + "\n").rows[0]
    has(row, event_dataset="entra.signin", event_outcome="failure", event_code="50126", source_ip="203.0.113.9", user_name="u@x.example")


def activity(shape, **more):
    """One deletion of a machine, as three ways of getting the log write it."""
    return {
        "export": {"time": "2024-09-10T11:26:40.5Z", "resourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/G", "category": "Administrative",
                   "operationName": "MICROSOFT.COMPUTE/VIRTUALMACHINES/DELETE", "resultType": "Success", "callerIpAddress": "203.0.113.9",
                   "identity": {"claims": {"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn": "u@x.example"}}, "properties": {"message": "deleted"}},
        "list": {"eventTimestamp": "2024-09-10T11:26:40.5Z", "resourceId": "/subscriptions/1/resourceGroups/g", "category": {"value": "Administrative"},
                 "operationName": {"value": "Microsoft.Compute/virtualMachines/delete", "localizedValue": "Delete"}, "status": {"value": "Succeeded"},
                 "caller": "u@x.example", "httpRequest": {"clientIpAddress": "203.0.113.9"}},
        "table": {"TimeGenerated": "2024-09-10T11:26:40.5Z", "OperationNameValue": "MICROSOFT.COMPUTE/VIRTUALMACHINES/DELETE", "Caller": "u@x.example",
                  "CallerIpAddress": "203.0.113.9", "ActivityStatusValue": "Success", "CategoryValue": "Administrative"},
    }[shape] | more


@pytest.mark.parametrize("shape", ["export", "list", "table"])
def test_azure_activity(read, shape):
    found = read("".join(json.dumps(activity(shape)) + "\n" for _ in range(3)) + json.dumps(activity(shape))[:-30] + "\n")
    has(found.rows[0], event_dataset="azure.activity", user_name="u@x.example", source_ip="203.0.113.9", event_outcome="success", event_category="configuration")
    assert found.rows[0]["@timestamp"].startswith("2024-09-10T11:26:40.5") and found.rows[0]["event.action"].lower().endswith("virtualmachines/delete")
    assert [row["event.dataset"] == "azure.activity" for row in found.rows] == [True, True, True, False]      # the last is cut off


def test_azure_records_that_are_none_or_say_less(read):
    other = {"time": "2024-09-10T11:26:40Z", "resourceId": "/x", "category": "ApplicationGatewayAccessLog", "operationName": "ApplicationGatewayAccess"}
    assert read(json.dumps(other) + "\n").rows[0]["event.dataset"] != "azure.activity"
    begun = read(json.dumps(activity("export", resultType="Start", callerIpAddress=None, identity=None)) + "\n").rows[0]
    assert begun["event.dataset"] == "azure.activity" and not {"event.outcome", "source.ip", "user.name"} & begun.keys()
    granted = read(json.dumps(activity("export", operationName="MICROSOFT.AUTHORIZATION/ROLEASSIGNMENTS/WRITE", resultType="Failure")) + "\n").rows[0]
    has(granted, event_category="iam", event_outcome="failure")


@pytest.mark.parametrize("place", ["203.0.113.9", "cloudformation.amazonaws.com"])
def test_cloudtrail(read, place):
    row = read(json.dumps({"Records": [{
        "eventVersion": "1.08", "eventTime": "2024-09-10T11:26:40Z", "eventSource": "iam.amazonaws.com", "eventName": "CreateUser", "sourceIPAddress": place,
        "userIdentity": {"type": "IAMUser", "userName": "admin"}, "errorCode": "AccessDenied"}]}) + "\n").rows[0]
    has(row, event_dataset="aws.cloudtrail", user_name="admin", event_action="CreateUser", event_outcome="failure")
    assert row.get("source.ip") == (place if place[0].isdigit() else None)


def test_zscaler_web_and_firewall(read):
    web = {"sourcetype": "zscalernss-web", "event": {"datetime": "2024-09-10 11:26:40", "user": "u%40x.example", "ClientIP": "10.0.0.5", "url": "c2.example/a",
           "hostname": "c2.example", "serverip": "192.0.2.7", "requestsize": "900", "responsesize": "131", "action": "Allowed", "status": "NA"}}
    firewall = {"sourcetype": "zscalernss-fw", "event": {"datetime": "Tue Sep 10 11:26:41 2024", "user": "u@x.example", "csip": "10.0.0.5", "csport": "51000",
                "cdip": "192.0.2.8", "sdip": "192.0.2.7", "cdport": "443", "inbytes": "5000", "outbytes": "700", "action": "Allow", "proto": "TCP"}}
    first, second = read(json.dumps(web) + "\n" + json.dumps(firewall) + "\n").rows
    has(first, event_dataset="zscaler.web", user_name="u@x.example", source_ip="10.0.0.5", destination_domain="c2.example", source_bytes=900, url_full="c2.example/a")
    has(second, event_dataset="zscaler.fw", destination_ip="192.0.2.7", destination_port=443, source_bytes=700, destination_bytes=5000)


def test_zeek_json_and_tabs(read):
    row = read(json.dumps({"ts": 1725967600.5, "uid": "C1", "id.orig_h": "10.0.0.5", "id.orig_p": 51000, "id.resp_h": "192.0.2.7", "id.resp_p": 80,
                           "method": "GET", "host": "c2.example", "uri": "/a?b=1", "status_code": 200, "request_body_len": 0, "orig_bytes": 900, "resp_bytes": 131}) + "\n").rows[0]
    has(row, source_ip="10.0.0.5", destination_ip="192.0.2.7", url_full="http://c2.example/a?b=1", source_bytes=900)
    text = ("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
            "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\torig_bytes\tresp_bytes\n"
            "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tcount\tcount\n"
            "1725967600.500000\tC1\t10.0.0.5\t51000\t192.0.2.7\t443\ttcp\t900\t-\n")
    row = read(text).rows[0]
    has(row, source_ip="10.0.0.5", destination_port=443, source_bytes=900)
    assert row["@timestamp"] == "2024-09-10T11:26:40.500000Z"


def test_palo_alto_json_and_cef(read):
    record = {"LogType": "TRAFFIC", "DeviceSN": "007", "TimeGenerated": "2024-09-10T11:26:40.000000Z", "SourceAddress": "10.0.0.5", "DestinationAddress": "192.0.2.7",
              "DestinationPort": 443, "SourceUser": "corp\\u1", "SourceUserName": "u1", "SourceUserDomain": "corp", "BytesSent": 900, "BytesReceived": 131, "Action": "allow"}
    said = {"LogType": "SYSTEM", "LogSourceID": "007", "TimeGenerated": "2024-09-10T11:26:40.000000Z",
            "EventDescription": "failed authentication for user 'admin'.  Reason: Invalid username/password. From: 203.0.113.9."}
    first, second = read(json.dumps(record) + "\n" + json.dumps(said) + "\n").rows
    has(first, source_ip="10.0.0.5", destination_ip="192.0.2.7", user_name="u1", user_domain="corp", source_bytes=900, destination_bytes=131)
    has(second, source_ip="203.0.113.9", user_name="admin")
    cef = read("CEF:0|Palo Alto Networks|PAN-OS|10.2|end|TRAFFIC|1|rt=1725967600000 src=10.0.0.5 dst=192.0.2.7 in=900 out=131\n").rows[0]
    has(cef, source_bytes=900, destination_bytes=131)
    other = read("CEF:0|Other|Box|1|end|TRAFFIC|1|rt=1725967600000 src=10.0.0.5 dst=192.0.2.7 in=131 out=900\n").rows[0]
    has(other, source_bytes=900, destination_bytes=131)


def test_exchange_tracking_and_windows_firewall(read):
    row = read(
        "#Software: Microsoft Exchange Server\n#Version: 15.02.1118.007\n#Log-type: Message Tracking Log\n#Date: 2024-09-10T11:00:00.000Z\n"
        "#Fields: date-time,client-ip,client-hostname,server-ip,server-hostname,source-context,connector-id,source,event-id,internal-message-id,message-id,network-message-id,recipient-address,recipient-status,total-bytes,recipient-count,related-recipient-address,reference,message-subject,sender-address\n"
        '2024-09-10T11:26:40.123Z,10.0.0.5,pc5,10.0.0.2,ex1,,,SMTP,SEND,1,<a@x>,2,b@partner.example,,900,1,,,"a, b",a@corp.example\n', zone=JST
    ).rows[0]
    has(row, event_dataset="exchange.tracking", source_ip="10.0.0.5", destination_ip="10.0.0.2", user_name="a@corp.example", event_action="SEND")
    assert row["@timestamp"] == "2024-09-10T11:26:40.123000Z"
    row = read(
        "#Version: 1.5\n#Software: Microsoft Windows Firewall\n#Time Format: Local\n#Fields: date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path\n\n"
        "2024-09-10 20:26:40 ALLOW TCP 10.1.2.3 192.0.2.7 51000 443 0 - 0 0 0 - - - SEND\n", zone=JST
    ).rows[0]
    has(row, event_dataset="windows.firewall", source_ip="10.1.2.3", destination_ip="192.0.2.7", destination_port=443, event_outcome="success")
    assert row["@timestamp"] == "2024-09-10T11:26:40Z"


@pytest.mark.parametrize(("said", "name", "domain"), [
    ("t.mori@corp.example", "t.mori", "corp.example"), ("CORP\\t.mori", "t.mori", "CORP"), ("t.mori", "t.mori", None),
    ("t.mori@192.0.2.9", "t.mori@192.0.2.9", None), ("a@b@corp.example", "a@b@corp.example", None), ("@corp.example", "@corp.example", None),
    ("t.mori@corp", "t.mori@corp", None)])
def test_palo_alto_json_has_directory_accounts(read, said, name, domain):
    record = {"TimeReceived": "2024-09-10T11:26:40.000000Z", "DeviceSN": "0011", "LogType": "THREAT", "SourceUser": said,
              "SourceAddress": "10.1.2.3", "DestinationAddress": "192.0.2.7"}
    row = read(json.dumps(record) + "\n").rows[0]
    has(row, user_name=name, user_domain=domain, source_ip="10.1.2.3")
    assert said in row.values() or "\\" in said  # whole too, for the sweep
