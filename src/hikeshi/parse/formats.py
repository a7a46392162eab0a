"""Every format Hikeshi reads: one row a format, in the order they are asked.

Recognition looks at content only: the first lines, after a syslog header has been taken off. A file in which no
format holds nine lines of ten is "mixed": each line goes to the parser that claims it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hikeshi.events.table import EventTable
from hikeshi.model.text import Text
from hikeshi.parse import (
    access,
    balancers,
    bind,
    cef,
    cisco_asa,
    cisco_asa_block,
    delimited,
    dhcp,
    esxi,
    fileservers,
    filterlog,
    fortigate,
    fortigate_block,
    ifilter,
    ivanti,
    keyvalue,
    keyvalue_block,
    lease_files,
    linux,
    mail,
    mssql,
    nas,
    netscaler,
    openvpn,
    paloalto,
    postfix,
    radius,
    remotecontrol,
    rtx,
    skyhigh,
    sonicwall,
    squid,
    syslog,
    umbrella,
    vpcflow,
    w3c,
    windns,
    wtmp,
)
from hikeshi.parse.file import File
from hikeshi.parse.format import KNOWN, Claims, Format, LineParser, Reader
from hikeshi.parse.headed import behind_headers
from hikeshi.parse.json_reader import json_claims, json_event, json_share, read_json, records_of
from hikeshi.parse.readers import by_block, by_line
from hikeshi.parse.recognise import never, share
from hikeshi.parse.table_reader import read_csv, read_w3c
from hikeshi.parse.windows_reader import (
    read_evtx,
    read_windows_json,
    read_windows_xml,
    windows_json_share,
    windows_xml_claims,
    windows_xml_event,
    windows_xml_share,
)

# Lines with thirty values each: more at once would leave the processor's cache.
_WIDE_ROWS = 16_000


def dhcp_share(lines: Sequence[str]) -> float:
    return max(dhcp.detect(lines), share(dhcp.claims, dhcp.HEAD)(lines))


def read_wtmp(file: File) -> Iterator[EventTable]:
    return wtmp.parse_wtmp(file.source, batch_rows=file.batch_rows)


def line_format(
    name: str,
    ja: str,
    en: str,
    datasets: tuple[str, ...],
    claims: Claims,
    parse_line: LineParser,
    parse: Reader | None = None,
    heading: re.Pattern[str] | None = None,
) -> Format:
    detect = share(claims, heading)
    return Format(name, Text(ja, en), datasets, detect, parse or by_line(name, heading=heading), claims, parse_line)


# In the order they are asked: the more particular first.
FORMATS: tuple[Format, ...] = (
    Format(
        "evtx", Text("Windowsイベントログ(EVTX)", "Windows event log (EVTX)"), ("windows.*",), never, read_evtx
    ),
    Format(
        "wtmp",
        Text("Linuxのログイン記録(wtmp、btmp)", "Linux logon records (wtmp, btmp)"),
        ("linux.wtmp", "linux.btmp"),
        never,
        read_wtmp,
    ),
    line_format(
        "nps",
        "Windows RADIUS(NPS、IAS)",
        "Windows RADIUS server (NPS, IAS: CSV and XML)",
        ("windows.nps",),
        radius.claims,
        radius.parse_line,
    ),
    Format(
        "windows-xml",
        Text("Windowsイベント(XML)", "Windows events as XML"),
        ("windows.*",),
        windows_xml_share,
        read_windows_xml,
        windows_xml_claims,
        windows_xml_event,
    ),
    Format(
        "windows-json",
        Text("Windowsイベント(JSON)", "Windows events as JSON"),
        ("windows.*",),
        windows_json_share,
        read_windows_json,
    ),
    Format(
        "w3c",
        Text("W3C形式(IIS、プロキシほか)", "W3C extended log (IIS, proxies and others with #Fields)"),
        ("iis.access", "w3c.access", "windows.firewall", "exchange.tracking", "zeek"),
        w3c.detect,
        read_w3c,
    ),
    line_format("cef", "CEF", "CEF (Common Event Format)", ("cef.*",), cef.claims, cef.parse_line),
    line_format("leef", "LEEF", "LEEF (QRadar)", ("leef.*",), cef.claims_leef, cef.parse_leef),
    line_format(
        "fortigate",
        "FortiGate",
        "FortiGate (FortiOS key=value)",
        ("fortinet.traffic", "fortinet.utm", "fortinet.event"),
        fortigate.claims,
        fortigate.parse_line,
        by_block("fortigate", fortigate_block.parse_block, _WIDE_ROWS),
    ),
    line_format(
        "paloalto",
        "Palo Alto(CSV)",
        "Palo Alto Networks firewall (CSV syslog)",
        ("paloalto.traffic", "paloalto.threat", "paloalto.system", "paloalto.globalprotect"),
        paloalto.claims,
        paloalto.parse_line,
        by_block("paloalto", behind_headers(paloalto.parse_block)),
    ),
    line_format(
        "squid",
        "Squid(標準形式)",
        "Squid access log (native)",
        ("squid.access",),
        squid.claims,
        squid.parse_line,
        by_block("squid", behind_headers(squid.parse_block)),
    ),
    line_format(
        "access",
        "Webアクセスログ(Apache、nginx)",
        "Web access log (Apache, nginx, combined)",
        ("web.access", "squid.access"),
        access.claims,
        access.parse_line,
        by_block("access", behind_headers(access.parse_block)),
    ),
    line_format(
        "web-error",
        "Webエラーログ(Apache、nginx)",
        "Web error log (Apache, nginx)",
        ("web.error",),
        access.claims_error,
        access.parse_error,
    ),
    line_format(
        "cisco-asa",
        "Cisco ASA、FTD",
        "Cisco ASA and Firepower",
        ("cisco.asa", "cisco.ftd"),
        cisco_asa.claims,
        cisco_asa.parse_line,
        by_block("cisco-asa", cisco_asa_block.parse_block, _WIDE_ROWS),
    ),
    line_format(
        "netscaler",
        "NetScaler",
        "NetScaler (Citrix ADC)",
        ("netscaler",),
        netscaler.claims,
        netscaler.parse_line,
    ),
    line_format(
        "ivanti",
        "Ivanti Connect Secure(Pulse)",
        "Ivanti Connect Secure (Pulse)",
        ("ivanti.connect_secure",),
        ivanti.claims,
        ivanti.parse_line,
    ),
    line_format(
        "sonicwall", "SonicWall", "SonicWall (syslog)", ("sonicwall",), sonicwall.claims, sonicwall.parse_line
    ),
    line_format(
        "skyhigh",
        "Skyhigh(McAfee)Web Gateway",
        "Skyhigh (McAfee) Web Gateway",
        ("skyhigh.web",),
        skyhigh.claims,
        skyhigh.parse_line,
    ),
    line_format(
        "umbrella", "Cisco Umbrella(CSV)", "Cisco Umbrella (CSV)", ("umbrella.*",), umbrella.claims, umbrella.parse_line
    ),
    line_format(
        "ifilter",
        "i-FILTER、D-SPA",
        "i-FILTER and D-SPA",
        ("ifilter.access", "ifilter.block"),
        ifilter.claims,
        ifilter.parse_line,
    ),
    line_format("rtx", "ヤマハRTX", "YAMAHA RTX", ("yamaha.rtx", "dhcp.rtx"), rtx.claims, rtx.parse_line),
    line_format(
        "windows-dns",
        "Windows DNSサーバー(デバッグログ)",
        "Windows DNS server (debug log)",
        ("windows.dns",),
        windns.claims,
        windns.parse_line,
        heading=windns.HEAD,
    ),
    Format(
        "dhcp",
        Text("DHCP(Windows、ISC、dnsmasq、Kea)", "DHCP (Windows, ISC, dnsmasq, Kea)"),
        ("dhcp.*",),
        dhcp_share,
        by_line("dhcp", heading=dhcp.HEAD),
        dhcp.claims,
        dhcp.parse_line,
    ),
    Format(
        "dhcp-leases",
        Text("DHCPリースファイル(ISC、Kea)", "DHCP leases files (ISC, Kea)"),
        ("dhcp.isc", "dhcp.kea"),
        lease_files.detect,
        lease_files.read_leases,
    ),
    line_format(
        "nas",
        "NAS(Synology、QNAP)",
        "Network storage (Synology, QNAP)",
        ("synology", "qnap.conn", "qnap.event"),
        nas.claims,
        nas.parse_line,
    ),
    line_format(
        "remote-control",
        "遠隔操作(AnyDesk、TeamViewer)",
        "Remote control (AnyDesk, TeamViewer)",
        ("anydesk.connections", "anydesk.trace", "teamviewer.connections", "teamviewer.log"),
        remotecontrol.claims,
        remotecontrol.parse_line,
        heading=remotecontrol.HEAD,
    ),
    line_format("openvpn", "OpenVPN", "OpenVPN server", ("openvpn",), openvpn.claims, openvpn.parse_line),
    line_format(
        "mssql", "SQL Server(ERRORLOG)", "SQL Server error log", ("mssql.errorlog",), mssql.claims, mssql.parse_line
    ),
    line_format("bind", "BIND(DNS)", "BIND name server", ("bind",), bind.claims, bind.parse_line),
    line_format("postfix", "Postfix", "Postfix mail server", ("postfix",), postfix.claims, postfix.parse_line),
    line_format(
        "vpcflow", "AWS VPCフローログ", "AWS VPC flow log", ("aws.vpcflow",), vpcflow.claims, vpcflow.parse_line
    ),
    line_format(
        "filterlog",
        "pfSense、OPNsense(filterlog)",
        "pfSense and OPNsense packet filter (filterlog)",
        ("pfsense.filterlog",),
        filterlog.claims,
        filterlog.parse_line,
    ),
    line_format("haproxy", "HAProxy", "HAProxy", ("haproxy",), balancers.claims_haproxy, balancers.parse_haproxy),
    line_format(
        "aws-elb",
        "AWSロードバランサー",
        "AWS load balancer access log (ALB, ELB)",
        ("aws.elb",),
        balancers.claims_balancer,
        balancers.parse_balancer,
    ),
    line_format(
        "aws-s3", "AWS S3アクセスログ", "AWS S3 access log", ("aws.s3",), balancers.claims_s3, balancers.parse_s3
    ),
    line_format(
        "sendmail", "Sendmail", "Sendmail mail server", ("mail.sendmail",), mail.claims_sendmail, mail.parse_sendmail
    ),
    line_format("exim", "Exim", "Exim mail server", ("mail.exim",), mail.claims_exim, mail.parse_exim),
    line_format(
        "samba",
        "Samba監査ログ(full_audit)",
        "Samba audit log (full_audit)",
        ("samba.audit",),
        fileservers.claims_samba,
        fileservers.parse_samba,
    ),
    line_format(
        "xferlog",
        "FTP転送ログ(xferlog)",
        "FTP transfer log (xferlog)",
        ("ftp.xferlog",),
        fileservers.claims_xfer,
        fileservers.parse_xfer,
    ),
    line_format("esxi", "VMware ESXi", "VMware ESXi", ("esxi",), esxi.claims, esxi.parse_line),
    line_format(
        "linux",
        "Linux認証ログ(auth.log、secure)",
        "Linux authentication log (auth.log, secure)",
        ("linux.sshd", "linux.sudo", "linux.auth"),
        linux.claims,
        linux.parse_line,
    ),
    *(
        Format(name, Text(ja, en), datasets, records_of(name), read_json)
        for name, ja, en, datasets in (
            ("m365", "Microsoft 365監査ログ", "Microsoft 365 unified audit log", ("m365.*",)),
            (
                "entra",
                "Entra IDサインイン・監査ログ",
                "Entra ID sign-in and audit logs",
                ("entra.signin", "entra.audit"),
            ),
            ("azure-activity", "Azureアクティビティログ", "Azure activity log", ("azure.activity",)),
            ("cloudtrail", "AWS CloudTrail", "AWS CloudTrail", ("aws.cloudtrail",)),
            ("zscaler", "Zscaler(NSS)", "Zscaler log feed (NSS)", ("zscaler.*",)),
            ("paloalto-json", "Palo Alto(JSON)", "Palo Alto Networks log forwarding (JSON)", ("paloalto.*",)),
            ("zeek-json", "Zeek(JSON)", "Zeek (JSON)", ("zeek.*",)),
        )
    ),
    Format(
        "json",
        Text("JSON", "JSON (lines, array or document)"),
        ("json", "json.*"),
        json_share,
        read_json,
        json_claims,
        json_event,
    ),
    line_format(
        "keyvalue",
        "キー=値",
        "key=value of any device",
        ("keyvalue",),
        keyvalue.claims,
        keyvalue.parse_line,
        by_block("keyvalue", keyvalue_block.parse_block, _WIDE_ROWS),
    ),
    Format("csv", Text("CSV、TSV", "CSV and tab-separated text"), ("csv",), delimited.detect, read_csv),
    Format(
        "syslog",
        Text("syslog", "syslog (RFC 3164, RFC 5424)"),
        ("syslog",),
        share(syslog.claims),
        by_line("mixed", lenient=True),
        syslog.claims,
        syslog.parse_line,
    ),
    Format(
        "mixed",
        Text("混在(行ごとに判定)", "mixed: each line by its own format"),
        (),
        never,
        by_line("mixed", lenient=True),
    ),
    Format("text", Text("その他のテキスト", "any other text"), ("text",), never, by_line("text", lenient=True)),
)
BY_NAME: dict[str, Format] = {row.name: row for row in FORMATS}
KNOWN.fill(FORMATS)
