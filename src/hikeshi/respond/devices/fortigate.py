"""FortiGate: address objects with a deny policy for the command line, and files for external threat feeds.

Source: Fortinet, "FortiOS Administration Guide", threat feeds and address objects.
"""

from __future__ import annotations

import ipaddress

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import NO_MAIL, Device, File, Job, LeftOut, chunks, header, lines, without
from hikeshi.respond.targets import of_type, topmost, url_parts

_MEMBERS = 250  # of one group: below every model's limit


def render(job: Job) -> Device:
    nets = of_type(job.targets, "ipv4", "cidr", "ipv6")
    v4 = [n for n in nets if ":" not in n]
    v6 = [n for n in nets if ":" in n]
    names = topmost(of_type(job.targets, "domain"))
    urls = of_type(job.targets, "url")
    typed = [u for u in urls if "?" not in u]
    policy = str(job.number)
    block: list[str] = []
    members4: list[str] = []
    members6: list[str] = []
    block.append("config firewall address")
    for number, value in enumerate(v4, 1):
        net = ipaddress.ip_network(value)
        members4.append(_object(block, f"{job.name}-ip{number}", f"set subnet {net.network_address} {net.netmask}"))
    for number, name in enumerate(names, 1):
        for label, written in (("d", name), ("w", f"*.{name}")):
            block += [
                f'    edit "{job.name}-{label}{number}"',
                "        set type fqdn",
                f'        set fqdn "{written}"',
                "    next",
            ]
            members4.append(f"{job.name}-{label}{number}")
    block.append("end")
    if v6:
        block.append("config firewall address6")
        for number, value in enumerate(v6, 1):
            net = ipaddress.ip_network(value)
            members6.append(_object(block, f"{job.name}-six{number}", f"set ip6 {net}"))
        block.append("end")
    groups4, groups6 = _groups(block, "addrgrp", job.name, members4), _groups(block, "addrgrp6", job.name, members6)
    if typed:
        block += [
            "config webfilter urlfilter",
            f"    edit {policy}",
            f'        set name "{job.name}"',
            "        config entries",
        ]
        for number, url in enumerate(typed, 1):
            block += [
                f"            edit {number}",
                f'                set url "{_bare(url)}"',
                "                set type simple",
                "                set action block",
                "            next",
            ]
        block += ["        end", "    next", "end"]
    if groups4 or groups6:
        block += [
            "config firewall policy",
            f"    edit {policy}",
            f'        set name "{job.name}"',
            '        set srcintf "any"',
            '        set dstintf "any"',
        ]
        block += ['        set srcaddr "all"', f"        set dstaddr {_quoted(groups4)}"] if groups4 else []
        block += ['        set srcaddr6 "all"', f"        set dstaddr6 {_quoted(groups6)}"] if groups6 else []
        block += [
            "        set action deny",
            '        set schedule "always"',
            '        set service "ALL"',
            "        set logtraffic all",
            "    next",
            "end",
        ]
    undo = _undo(job, policy, members4, members6, groups4, groups6, bool(typed))
    head = header(
        job,
        "FortiGate CLI",
        f"paste into the CLI (or restore as a script), then move policy {policy} to the top of the policy list",
        "paste undo.conf",
        entries=len(job.targets),
    )
    feed = [
        ("feed-addresses.txt", "external IP address feed", nets),
        ("feed-domains.txt", "external domain feed", [n for name in names for n in (name, f"*.{name}")]),
        ("feed-urls.txt", "external category (URL) feed", [_bare(u) for u in urls]),
    ]
    how = "serve by HTTPS, Security Fabric > External Connectors > Threat Feeds"
    files = [
        File("block.conf", lines(head, block)),
        File(
            "undo.conf",
            lines(
                header(
                    job, "FortiGate CLI, undo", "paste into the CLI", "load block.conf again", entries=len(job.targets)
                ),
                undo,
            ),
        ),
    ]
    files += [
        File(path, lines(header(job, title, how, "empty the file or remove the connector", entries=len(v)), v))
        for path, title, v in feed
        if v
    ]
    left = (
        *without(job.targets, ("ipv4", "ipv6", "cidr", "domain", "url"), NO_MAIL),
        *(
            LeftOut(
                u,
                Text(
                    "「?」を含むURLはCLIに貼れません。feed-urls.txt にはあります",
                    "a URL with '?' can't be pasted into the CLI; it is in feed-urls.txt",
                ),
            )
            for u in urls
            if u not in typed
        ),
    )
    return Device(
        "fortigate",
        "FortiGate",
        ("firewall", "proxy"),
        tuple(files),
        (
            Text("block.conf をCLIに貼り付けます", "Paste block.conf into the CLI"),
            Text(
                f"ポリシー {policy} を一覧の一番上へ移します(move {policy} before 先頭のID)",
                f"Move policy {policy} to the top (move {policy} before FIRST-ID)",
            ),
            Text(
                "URLは Webフィルタのプロファイルに urlfilter を割り当てます。feed-*.txt を脅威フィードにもできます",
                "Attach the urlfilter to the web filter profile, or register feed-*.txt as threat feeds",
            ),
        ),
        (Text("undo.conf をCLIに貼り付けます", "Paste undo.conf into the CLI"),),
        Text(
            "該当の宛先への通信がすべて切れます。開いている接続は残ることがあります",
            "Every connection to these destinations fails; sessions already open may live on",
        ),
        left,
    )


def _object(block: list[str], name: str, body: str) -> str:
    block += [f'    edit "{name}"', f"        {body}", "    next"]
    return name


def _groups(block: list[str], kind: str, name: str, members: list[str]) -> list[str]:
    made = []
    if members:
        block.append(f"config firewall {kind}")
        for number, part in enumerate(chunks(members, _MEMBERS), 1):
            made.append(f"{name}-{'six-' if kind.endswith('6') else ''}group{number}")
            block += [f'    edit "{made[-1]}"', f"        set member {_quoted(part)}", "    next"]
        block.append("end")
    return made


def _undo(
    job: Job, policy: str, members4: list[str], members6: list[str], groups4: list[str], groups6: list[str], urls: bool
) -> list[str]:
    out: list[str] = []
    for kind, objects in (
        ("policy", [policy] if groups4 or groups6 else []),
        ("addrgrp", groups4),
        ("addrgrp6", groups6),
        ("address", members4),
        ("address6", members6),
    ):
        if objects:
            deletions = [f"    delete {o if kind == 'policy' else chr(34) + o + chr(34)}" for o in objects]
            out += [f"config firewall {kind}", *deletions, "end"]
    if urls:
        out += ["config webfilter urlfilter", f"    delete {policy}", "end"]
    return out


def _quoted(names: object) -> str:
    return " ".join(f'"{n}"' for n in names)  # type: ignore[attr-defined]


def _bare(url: str) -> str:
    """Web filters and feeds take URLs without scheme."""
    _, host, port, path = url_parts(url)
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}{':' + port if port else ''}{path}"
