"""Name servers: a response policy zone (BIND, Unbound, PowerDNS, Knot) and a hosts file for single machines.

Source: Vixie and Schryver, "DNS Response Policy Zones", draft-vixie-dnsop-dns-rpz.
"""

from __future__ import annotations

import ipaddress

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import Device, File, Job, LeftOut, header, lines
from hikeshi.respond.targets import of_type, topmost

_LONGEST = 220  # of a name, so that it still fits below the zone's own name
_URL_OR_MAIL = Text("DNSではURLやメールアドレスを止められません", "DNS can't stop URLs, mail addresses or hashes")
_HOSTS_NAMES_ONLY = Text(
    "hostsファイルは名前だけを、書かれた名前ちょうどで止めます(下位の名前は止まりません)",
    "a hosts file stops names only, exactly as written, nothing below them",
)


def render_rpz(job: Job) -> Device:
    zone = f"{job.name}.rpz"
    every = topmost(of_type(job.targets, "domain"))
    names = [n for n in every if len(n) + len(zone) <= _LONGEST]
    nets = of_type(job.targets, "ipv4", "ipv6", "cidr")
    rows = [f"{owner} CNAME ." for n in names for owner in (n, f"*.{n}")]
    rows += [f"{rpz_ip(n)}.rpz-ip CNAME ." for n in nets]
    load = f"copy to the name server, add named.conf.hikeshi to named.conf, rndc reconfig (zone {zone})"
    undo = "remove what named.conf.hikeshi added; rndc reconfig"
    serial = int(job.made_at.timestamp())
    soa = "@ IN SOA localhost. hostmaster.localhost. {} 3600 600 86400 60"
    zone_text = lines(
        header(job, "DNS response policy zone", load, undo, mark=";", entries=len(names) + len(nets)),
        ["$TTL 60", soa.format(serial), "@ IN NS localhost.", *rows],
    )
    conf = lines(
        header(job, "BIND configuration", "copy each part to where its comment says", undo, mark="//", entries=2),
        [
            "// inside options { }:",
            f'response-policy {{ zone "{zone}" policy given; }} qname-wait-recurse no break-dnssec yes;',
            "// outside of it:",
            f'zone "{zone}" {{ type primary; file "rpz.zone"; allow-query {{ none; }}; }};',
        ],
    )
    empty = lines(
        header(
            job,
            "DNS response policy zone, undo",
            "copy over rpz.zone; rndc reload",
            "copy rpz.zone back",
            mark=";",
            entries=0,
        ),
        ["$TTL 60", soa.format(serial + 1), "@ IN NS localhost."],
    )
    left = [LeftOut(t.value, _URL_OR_MAIL) for t in job.targets if t.type in ("url", "email", "sha256")]
    left += [LeftOut(n, Text("名前が長すぎます", "the name is too long for the zone")) for n in every if n not in names]
    return Device(
        "rpz",
        "DNS RPZ (BIND)",
        ("dns",),
        (File("rpz.zone", zone_text), File("named.conf.hikeshi", conf), File("undo.zone", empty)),
        (
            Text(
                "rpz.zone をDNSサーバに置き、named.conf.hikeshi の2か所を named.conf に加えます",
                "Copy rpz.zone to the name server; add both parts of named.conf.hikeshi to named.conf",
            ),
            Text(
                "named-checkconf で確かめ、rndc reconfig します。端末のDNSキャッシュが残ります(ipconfig /flushdns)",
                "Check with named-checkconf, then rndc reconfig; clients keep their cache (ipconfig /flushdns)",
            ),
        ),
        (
            Text(
                "加えた2か所を消して rndc reconfig します。急ぐ時は undo.zone を rpz.zone に上書きして rndc reload",
                "Remove both parts and rndc reconfig; in a hurry copy undo.zone over rpz.zone and rndc reload",
            ),
        ),
        Text("名前が「存在しない」になります(NXDOMAIN)", "The names no longer exist (NXDOMAIN)"),
        tuple(left),
    )


def rpz_ip(network: str) -> str:
    """The owner name of an address trigger: prefix length, then the address backwards; "zz" stands for "::"."""
    net = ipaddress.ip_network(network)
    if net.version == 4:
        return ".".join([str(net.prefixlen), *reversed(str(net.network_address).split("."))])
    text = str(net.network_address)
    if text.startswith("::"):
        text = text[1:] if text == "::" else "zz" + text[1:]
    if text.endswith("::"):
        text = text[:-1] + "zz"
    words = [w or "zz" for w in text.split(":")] if text != ":" else ["zz"]
    return ".".join([str(net.prefixlen), *reversed(words)])


def render_hosts(job: Job) -> Device:
    names = of_type(job.targets, "domain")
    rows = [f"0.0.0.0 {n}" for n in names] + [f":: {n}" for n in names]
    more = sorted({f"www.{n}" for n in names if not n.startswith("www.")} - set(names))
    rows += [f"0.0.0.0 {n}" for n in more] + [f":: {n}" for n in more]
    begin, end = f"# BEGIN {job.name}", f"# END {job.name}"
    head = header(
        job,
        "hosts file",
        "append to /etc/hosts or C:\\Windows\\System32\\drivers\\etc\\hosts",
        f"delete from BEGIN to END of {job.name}",
        entries=len(names),
    )
    undo = lines(
        ["#!/bin/sh"],
        header(job, "hosts file, undo", "sh undo.sh, as root", "append hosts again", entries=0),
        [f"sed -i.before-hikeshi '/^{begin}$/,/^{end}$/d' /etc/hosts"],
    )
    ps = lines(
        header(job, "hosts file, undo on Windows", "PowerShell as administrator", "append hosts again", entries=0),
        [
            '$file = "$env:SystemRoot\\System32\\drivers\\etc\\hosts"',
            f"$text = [IO.File]::ReadAllText($file) -replace '(?s){begin}\\r?\\n.*?{end}\\r?\\n?', ''",
            "[IO.File]::WriteAllText($file, $text)",
        ],
        end="\r\n",
    )
    return Device(
        "hosts",
        "hosts",
        ("dns",),
        (File("hosts", lines([begin], head, rows, [end])), File("undo.sh", undo), File("undo.ps1", ps)),
        (
            Text(
                "DNSサーバで止められない端末だけ、hosts の内容を末尾に加えます",
                "Only on machines that your name server can't cover: append it to the hosts file",
            ),
        ),
        (Text("BEGIN から END までを消します(undo.sh、undo.ps1)", "Delete from BEGIN to END (undo.sh, undo.ps1)"),),
        Text("その端末では名前が自分自身を指します", "On that machine the names lead nowhere"),
        tuple(LeftOut(t.value, _HOSTS_NAMES_ONLY) for t in job.targets if t.type != "domain"),
    )
