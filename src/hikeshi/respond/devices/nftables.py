"""nftables: a table of its own with two sets; deleting the table undoes everything.

Source: nftables wiki, "Sets", "Quick reference".
"""

from __future__ import annotations

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import ONLY_ADDRESSES, Device, File, Job, header, lines, without
from hikeshi.respond.targets import of_type


def render(job: Job) -> Device:
    nets = of_type(job.targets, "ipv4", "ipv6", "cidr")
    table = f"hikeshi_{job.id}"
    load, undo = "nft -f hikeshi.nft", "nft -f undo.nft"
    body = [f"table inet {table}", f"delete table inet {table}", f"table inet {table} {{"]  # loads twice all the same
    for name, kind, values in (
        ("addresses4", "ipv4_addr", [n for n in nets if ":" not in n]),
        ("addresses6", "ipv6_addr", [n for n in nets if ":" in n]),
    ):
        body += [f"    set {name} {{", f"        type {kind}", "        flags interval", "        auto-merge"]
        if values:
            body += ["        elements = {", *(f"            {v}," for v in values), "        }"]
        body += ["    }"]
    for hook in ("output", "forward"):
        body += [
            f"    chain {hook} {{",
            f"        type filter hook {hook} priority -10; policy accept;",
            # A reset ends a connection at once; told by ICMP alone, a program of this machine goes on trying.
            "        ip daddr @addresses4 meta l4proto tcp counter reject with tcp reset",
            "        ip6 daddr @addresses6 meta l4proto tcp counter reject with tcp reset",
            "        ip daddr @addresses4 counter reject with icmpx type admin-prohibited",
            "        ip6 daddr @addresses6 counter reject with icmpx type admin-prohibited",
            "    }",
        ]
    body += [
        "    chain input {",
        "        type filter hook input priority -10; policy accept;",
        "        ip saddr @addresses4 ct state new counter drop",
        "        ip6 saddr @addresses6 ct state new counter drop",
        "    }",
        "}",
    ]
    return Device(
        "nftables",
        "Linux nftables",
        ("firewall",),
        (
            File("hikeshi.nft", lines(header(job, "nftables", load, undo, entries=len(nets)), body)),
            File(
                "undo.nft",
                lines(
                    header(job, "nftables, undo", undo, load, entries=0),
                    [f"table inet {table}", f"delete table inet {table}"],
                ),
            ),
        ),
        (
            Text(
                "nft -c -f hikeshi.nft で確かめ、nft -f hikeshi.nft で読み込みます",
                "Check with nft -c -f hikeshi.nft, load with nft -f hikeshi.nft",
            ),
        ),
        (Text("nft -f undo.nft を実行します", "nft -f undo.nft"),),
        Text("該当アドレスへの通信がすぐに拒否されます", "Connections to these addresses are refused at once"),
        without(job.targets, ("ipv4", "ipv6", "cidr"), ONLY_ADDRESSES),
    )
