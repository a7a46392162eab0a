"""Palo Alto: external dynamic lists. Only the list of addresses may hold comments, and only behind an address;
what the others would say in a header stands in HOW-TO.txt beside them.

Source: Palo Alto Networks, "Formatting Guidelines for an External Dynamic List".
"""

from __future__ import annotations

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import NO_MAIL, Device, File, Job, header, lines, without
from hikeshi.respond.targets import of_type, topmost, url_parts


def render(job: Job) -> Device:
    nets, names, urls = (
        of_type(job.targets, "ipv4", "ipv6", "cidr"),
        topmost(of_type(job.targets, "domain")),
        of_type(job.targets, "url"),
    )
    # A URL list matches from the start and token by token: the end is marked, or evil.example/a would miss /a/b.
    written = sorted({*(p for name in names for p in (f"{name}/", f"*.{name}/")), *(_entry(u) for u in urls)})
    how = header(
        job,
        "Palo Alto external dynamic lists",
        "serve these files by HTTPS; Objects > External Dynamic Lists (IP, Domain, URL); use them as "
        "destination of a deny rule at the top, as sinkhole in Anti-Spyware, in URL Filtering; commit",
        "serve undo/*.txt in their place, or disable the rule; commit",
        entries=len(job.targets),
    )
    stamp = f"# hikeshi {job.id}"
    named = {
        "edl-addresses.txt": [f"{n} {stamp}" for n in nets],
        "edl-domains.txt": [p for n in names for p in (n, f"*.{n}")],
        "edl-urls.txt": written,
    }
    files = [File("HOW-TO.txt", lines(how))]
    files += [File(path, lines(rows)) for path, rows in named.items() if rows]
    # An empty list keeps the rule and blocks nothing; a missing file keeps the last one.
    files += [File(f"undo/{path}", "") for path, rows in named.items() if rows]
    return Device(
        "paloalto",
        "Palo Alto (EDL)",
        ("firewall", "proxy", "dns"),
        tuple(files),
        (
            Text(
                "edl-*.txt をHTTPSで配り、Objects > External Dynamic Lists に種別ごとに登録します",
                "Serve edl-*.txt by HTTPS and register each under Objects > External Dynamic Lists",
            ),
            Text(
                "拒否ルールの宛先、Anti-Spyware のシンクホール、URL Filtering に割り当てて commit します",
                "Use them in a deny rule at the top, as DNS sinkhole and in URL Filtering, then commit",
            ),
        ),
        (
            Text(
                "undo/ の空のリストを配ります(または規則を無効にします)。commit します",
                "Serve the empty lists in undo/ (or disable the rule); commit",
            ),
        ),
        Text(
            "該当の宛先へ接続できません。名前はシンクホールに解決されます",
            "Connections fail; names resolve to the sinkhole",
        ),
        without(job.targets, ("ipv4", "ipv6", "cidr", "domain", "url"), NO_MAIL),
    )


def _entry(url: str) -> str:
    _, host, port, path = url_parts(url)
    shown = f"[{host}]" if ":" in host else host
    # "*", "^" are placeholders in this list: percent-encoded they are just characters.
    return f"{shown}{':' + port if port else ''}{path.replace('*', '%2A') or '/'}"
