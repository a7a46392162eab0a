"""Windows Firewall: outbound and inbound block rules by PowerShell, or netsh on old systems.

Source: Microsoft, "New-NetFirewallRule", "netsh advfirewall firewall".
"""

from __future__ import annotations

from collections.abc import Sequence

from hikeshi.model.text import Text
from hikeshi.respond.devices.base import ONLY_ADDRESSES, Device, File, Job, chunks, header, lines, without
from hikeshi.respond.targets import of_type

_PER_RULE = 100  # remote addresses of one rule; a command line of cmd.exe ends at 8,191 signs


def render(job: Job) -> Device:
    nets = of_type(job.targets, "ipv4", "ipv6", "cidr")
    block, netsh = ["$ErrorActionPreference = 'Stop'"], ["@echo off"]
    for number, part in enumerate(chunks(nets, _PER_RULE), 1):
        for way, short in (("Outbound", "out"), ("Inbound", "in")):
            block += [
                f"New-NetFirewallRule -DisplayName {ps(f'{job.name} {short} {number}')} -Group {ps(job.name)} "
                f"-Direction {way} -Action Block -Profile Any -RemoteAddress {ps_list(part)} | Out-Null"
            ]
            netsh += [
                f'netsh advfirewall firewall add rule name="{job.name}" dir={short} action=block '
                f"remoteip={','.join(part)}"
            ]
    block += [f"Get-NetFirewallRule -Group {ps(job.name)} | Format-Table DisplayName, Direction, Action, Enabled"]
    how = "PowerShell as administrator: powershell -ExecutionPolicy Bypass -File block.ps1 (many hosts: by GPO)"
    cmd = "as administrator: block.cmd (Windows 7 / Server 2008 R2)"
    end = "\r\n"
    files = (
        File(
            "block.ps1", lines(header(job, "Windows Firewall", how, "run undo.ps1", entries=len(nets)), block, end=end)
        ),
        File(
            "undo.ps1",
            lines(
                header(job, "Windows Firewall, undo", how.replace("block", "undo"), "run block.ps1", entries=len(nets)),
                [f"Remove-NetFirewallRule -Group {ps(job.name)} -ErrorAction SilentlyContinue"],
                end=end,
            ),
        ),
        File(
            "block.cmd",
            lines(
                netsh[:1],
                header(job, "Windows Firewall by netsh", cmd, "undo.cmd", mark="rem", entries=len(nets)),
                netsh[1:],
                end=end,
            ),
        ),
        File(
            "undo.cmd",
            lines(
                ["@echo off"],
                header(
                    job,
                    "Windows Firewall by netsh, undo",
                    "as administrator",
                    "block.cmd",
                    mark="rem",
                    entries=len(nets),
                ),
                [f'netsh advfirewall firewall delete rule name="{job.name}"'],
                end=end,
            ),
        ),
    )
    return Device(
        "windows",
        "Windows Firewall",
        ("firewall",),
        files,
        (
            Text(
                "管理者のPowerShellで block.ps1 を実行します(多数の端末はGPOで配ります)",
                "Run block.ps1 in PowerShell as administrator (many machines: by GPO)",
            ),
        ),
        (Text("undo.ps1 を実行します", "Run undo.ps1"),),
        Text("その端末から該当アドレスへ接続できません", "These machines can't reach the addresses"),
        without(job.targets, ("ipv4", "ipv6", "cidr"), ONLY_ADDRESSES),
    )


def ps(text: str) -> str:
    """A PowerShell text that stands for itself. Typographic quotes end such a text as well as the plain one."""
    for mark in "'\u2018\u2019\u201a\u201b":
        text = text.replace(mark, mark * 2)
    return f"'{text}'"


def ps_list(values: Sequence[str]) -> str:
    return "@(" + ", ".join(ps(v) for v in values) + ")"
