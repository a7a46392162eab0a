"""Microsoft 365: Tenant Allow/Block List, connection filter and mail flow rules, by Exchange Online PowerShell.

Source: Microsoft, "New-TenantAllowBlockListItems", "Set-HostedConnectionFilterPolicy", "New-TransportRule".
"""

from __future__ import annotations

import ipaddress

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import Device, File, Job, LeftOut, chunks, header, lines
from hikeshi.respond.devices.windows import ps, ps_list
from hikeshi.respond.targets import of_type, topmost, url_parts

_ENTRIES = 20  # the cmdlet takes so many at once


def render(job: Job) -> Device:
    names, mails = topmost(of_type(job.targets, "domain")), of_type(job.targets, "email")
    hashes, urls = of_type(job.targets, "sha256"), of_type(job.targets, "url")
    nets = of_type(job.targets, "ipv4", "ipv6", "cidr")
    v6 = [n for n in nets if ":" in n]
    v4 = [n for n in nets if ":" not in n and ("/" not in n or ipaddress.ip_network(n).prefixlen >= 24)]
    links = sorted({*(p for n in names for p in (f"{n}/*", f"*.{n}/*")), *(_link(u) for u in urls)})
    links = [u for u in links if len(u) <= 250]
    lists = [("Sender", mails + names), ("Url", links), ("FileHash", hashes), ("IP", v6)]
    block, undo = ["$ErrorActionPreference = 'Stop'"], ["$ErrorActionPreference = 'Continue'"]
    for kind, values in lists:
        for part in chunks(values, _ENTRIES):
            block.append(
                f"New-TenantAllowBlockListItems -ListType {kind} -Block -NoExpiration -Notes {ps(job.name)} "
                f"-Entries {ps_list(part)}"
            )
            undo.append(f"Remove-TenantAllowBlockListItems -ListType {kind} -Entries {ps_list(part)}")
    if v4:
        block.append(f"Set-HostedConnectionFilterPolicy -Identity Default -IPBlockList @{{Add = {ps_list(v4)}}}")
        undo.append(f"Set-HostedConnectionFilterPolicy -Identity Default -IPBlockList @{{Remove = {ps_list(v4)}}}")
    if names or mails:
        words = [f"{w}" for w in names + mails]
        block += [
            f"New-TransportRule -Name {ps(job.name)} -Comments {ps('Hikeshi block list ' + job.id)} -Priority 0 "
            f"-SubjectOrBodyContainsWords {ps_list(words[:200])} -Quarantine $true",
            f"New-TransportRule -Name {ps(job.name + ' out')} -Priority 0 -RecipientAddressContainsWords "
            f"{ps_list([*mails, *('@' + n for n in names)][:200])} "
            "-RejectMessageReasonText 'Blocked by incident response'",
        ]
        undo += [
            f"Remove-TransportRule -Identity {ps(job.name)} -Confirm:$false",
            f"Remove-TransportRule -Identity {ps(job.name + ' out')} -Confirm:$false",
        ]
    how = "Connect-ExchangeOnline, then run block.ps1; check with Get-TenantAllowBlockListItems -Block"
    files = (
        File(
            "block.ps1",
            lines(header(job, "Microsoft 365", how, "run undo.ps1", entries=len(job.targets)), block, end="\r\n"),
        ),
        File(
            "undo.ps1",
            lines(
                header(
                    job,
                    "Microsoft 365, undo",
                    "Connect-ExchangeOnline, then run undo.ps1",
                    "run block.ps1",
                    entries=len(job.targets),
                ),
                undo,
                end="\r\n",
            ),
        ),
    )
    said = {*names, *mails, *hashes, *v6, *v4, *(u for u in urls if _link(u) in links)}
    broad = Text(
        "接続フィルタが受け付けるのは /24 以上です。長すぎるURLも入りません",
        "the connection filter takes /24 and narrower; URLs of more than 250 signs don't fit",
    )
    return Device(
        "microsoft365",
        "Microsoft 365",
        ("mail",),
        files,
        (
            Text("Connect-ExchangeOnline の後に block.ps1 を実行します", "Connect-ExchangeOnline, then run block.ps1"),
            Text(
                "外部への自動転送が止まっていることを確かめます(Get-RemoteDomain Default の AutoForwardEnabled)",
                "Check that automatic forwarding to the outside is off (Get-RemoteDomain Default, AutoForwardEnabled)",
            ),
        ),
        (Text("undo.ps1 を実行します", "Run undo.ps1"),),
        Text(
            "該当の送信者・リンクを含むメールは隔離され、該当宛ての送信は拒否されます",
            "Mail from them or with such links is quarantined; mail to them is rejected",
        ),
        tuple(
            LeftOut(t.value, broad) for t in job.targets if t.value not in said and t.type in ("cidr", "url", "ipv4")
        ),
    )


def _link(url: str) -> str:
    """The list has its own wildcards: ~ and *. Those of the URL itself are percent-encoded."""
    _, host, port, path = url_parts(url)
    shown = f"[{host}]" if ":" in host else host
    rest = path.replace("*", "%2A").replace("~", "%7E")
    return f"{shown}{':' + port if port else ''}{rest or '/'}*"
