"""Cisco ASA and IOS: object groups of addresses, and the lines that use them.

Names are left to DNS and proxy: an FQDN object of these devices resolves on its own and has no subdomains.
Source: Cisco, "ASA General Operations CLI Configuration Guide" and "IOS Security Configuration Guide".
"""

from __future__ import annotations

import ipaddress

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import ONLY_ADDRESSES, Device, File, Job, header, lines, without
from hikeshi.respond.targets import of_type


def render(job: Job) -> Device:
    nets = [ipaddress.ip_network(n) for n in of_type(job.targets, "ipv4", "ipv6", "cidr")]
    v4 = [n for n in nets if isinstance(n, ipaddress.IPv4Network)]
    v6 = [n for n in nets if isinstance(n, ipaddress.IPv6Network)]
    name = f"HIKESHI-{job.id.upper()}"
    asa = [f"object-group network {name}"]
    for net in nets:
        single = net.prefixlen == net.max_prefixlen
        asa.append(f" network-object {'host ' + str(net.network_address) if single else _asa(net)}")
    asa += [" exit", f"access-list INSIDE-IN line 1 extended deny ip any object-group {name} log"] if nets else []
    undo_asa = (
        [f"no access-list INSIDE-IN extended deny ip any object-group {name} log", f"no object-group network {name}"]
        if nets
        else []
    )
    ios = [f"object-group network {name}"] if v4 else []
    ios += [f" host {n.network_address}" if n.prefixlen == 32 else f" {n.network_address} {n.netmask}" for n in v4]
    ios += (
        [" exit", "ip access-list extended INSIDE-IN", f" 1 deny ip any object-group {name} log", " exit"] if v4 else []
    )
    ios += [f"ipv6 access-list INSIDE-IN-6-{job.id.upper()}"] if v6 else []
    ios += [f" sequence {number} deny ipv6 any {n} log" for number, n in enumerate(v6, 1)]
    ios += [" permit ipv6 any any", " exit"] if v6 else []
    undo_ios = ["ip access-list extended INSIDE-IN", " no 1", " exit", f"no object-group network {name}"] if v4 else []
    undo_ios += [f"no ipv6 access-list INSIDE-IN-6-{job.id.upper()}"] if v6 else []
    how = "replace INSIDE-IN by the name of your list on the inside interface; configure terminal; paste; write memory"
    files = [
        File(
            f"{kind}{suffix}.txt",
            lines(
                header(
                    job, f"Cisco {kind.upper()}{suffix}", how, f"paste {kind}-undo.txt", mark="!", entries=len(nets)
                ),
                rows,
            ),
        )
        for kind, suffix, rows in (
            ("asa", "", asa),
            ("asa", "-undo", undo_asa),
            ("ios", "", ios),
            ("ios", "-undo", undo_ios),
        )
    ]
    return Device(
        "cisco",
        "Cisco ASA / IOS",
        ("firewall",),
        tuple(files),
        (
            Text(
                "INSIDE-IN を内側インタフェースで使っているACLの名前に置き換えます",
                "Replace INSIDE-IN by the name of the access list on your inside interface",
            ),
            Text(
                "configure terminal で貼り付け、show access-list で当たりを確かめます",
                "Paste in configure terminal; check the hits with show access-list",
            ),
            Text(
                "残っている接続は clear conn address で切ります",
                "Drop connections that are open with clear conn address",
            ),
        ),
        (Text("*-undo.txt を貼り付けます", "Paste the *-undo.txt file"),),
        Text("該当アドレスへの通信がすべて切れます", "Every connection to these addresses fails"),
        without(job.targets, ("ipv4", "ipv6", "cidr"), ONLY_ADDRESSES),
    )


def _asa(net: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    return f"{net.network_address} {net.netmask}" if net.version == 4 else str(net)
