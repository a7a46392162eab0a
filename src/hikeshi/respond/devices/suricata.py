"""Suricata: rules on DNS, TLS, HTTP and addresses. They drop in IPS mode and alert in IDS mode.

Source: Suricata documentation, "Rules format", "DNS keywords", "TLS keywords", "HTTP keywords".
"""

from __future__ import annotations

import re

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import NO_MAIL, Device, File, Job, header, lines, without
from hikeshi.respond.targets import of_type, topmost, url_parts

_PLAIN = re.compile(r"[A-Za-z0-9._/@-]")


def render(job: Job) -> Device:
    nets, names, urls = (
        of_type(job.targets, "ipv4", "ipv6", "cidr"),
        topmost(of_type(job.targets, "domain")),
        of_type(job.targets, "url"),
    )
    rows: list[str] = []
    # Private sids; the list's own number keeps two lists apart.
    sid = 1_000_000_000 + (job.number - 900_000) * 10_000

    def rule(protocol: str, destination: str, text: str, options: str) -> None:
        number = sid + len(rows)
        rows.append(
            f'drop {protocol} $HOME_NET any -> {destination} any (msg:"HIKESHI {job.id} {text}"; {options}'
            f"classtype:trojan-activity; sid:{number}; rev:1;)"
        )

    for net in nets:
        rule("ip", f"[{net}]", "listed address", "")
    for name in names:
        suffix = f'content:"{content("." + name)}"; nocase; endswith; '
        rule("dns", "any", "listed name asked for", f"dns.query; dotprefix; {suffix}")
        rule("tls", "any", "listed name in TLS", f"flow:established,to_server; tls.sni; dotprefix; {suffix}")
        # http.host is lower case already; nocase would make the rule invalid there.
        rule(
            "http",
            "any",
            "listed name in HTTP",
            f'flow:established,to_server; http.host; dotprefix; content:"{content("." + name)}"; endswith; ',
        )
    for url in urls:
        _, host, _, path = url_parts(url)
        rule(
            "http",
            "any",
            "listed URL",
            f'flow:established,to_server; http.host; content:"{content(host)}"; bsize:'
            f'{len(host)}; http.uri; content:"{content(path or "/")}"; startswith; ',
        )
    head = header(
        job,
        "Suricata rules",
        "copy to the rules folder, add to rule-files in suricata.yaml, suricata -T, suricatasc -c reload-rules",
        "remove it from rule-files and reload",
        entries=len(rows),
    )
    disable = [f"{sid + number}" for number in range(len(rows))]
    return Device(
        "suricata",
        "Suricata",
        ("firewall", "dns"),
        (
            File("hikeshi.rules", lines(head, rows)),
            File(
                "undo-disable.conf",
                lines(
                    header(
                        job,
                        "suricata-update disable list",
                        "append to disable.conf, suricata-update",
                        "remove it again",
                        entries=len(rows),
                    ),
                    disable,
                ),
            ),
        ),
        (
            Text(
                "hikeshi.rules を rule-files に加え、suricata -T で確かめて再読み込みします",
                "Add hikeshi.rules to rule-files, check with suricata -T, reload the rules",
            ),
        ),
        (Text("rule-files から外して再読み込みします", "Take it out of rule-files and reload"),),
        Text(
            "IPSモードでは通信が切れ、IDSモードでは警報だけが出ます",
            "Traffic is dropped in IPS mode; IDS mode only alerts",
        ),
        without(job.targets, ("ipv4", "ipv6", "cidr", "domain", "url"), NO_MAIL),
    )


def content(text: str) -> str:
    """A content match: everything but letters, digits and a few signs as hexadecimal bytes."""
    out, raw = "", bytearray()
    for byte in text.encode():
        if _PLAIN.fullmatch(chr(byte)):
            if raw:
                out, raw = out + f"|{raw.hex(' ')}|", bytearray()
            out += chr(byte)
        else:
            raw.append(byte)
    return out + (f"|{raw.hex(' ')}|" if raw else "")
