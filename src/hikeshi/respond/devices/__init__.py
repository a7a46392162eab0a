"""Block lists ready to load, one module a device.

base.py   what each gives: files, steps to load and to undo, what it can't express
Each module takes a Job and renders it; values are normalised before (targets.py), each module quotes for its syntax.
"""

from hikeshi.respond.devices import (
    bluecoat,
    cisco,
    dns,
    fortigate,
    microsoft365,
    nftables,
    paloalto,
    squid,
    suricata,
    windows,
)
from hikeshi.respond.devices.base import Device, File, Job, LeftOut, Render

DEVICES: dict[str, Render] = {
    "fortigate": fortigate.render,
    "paloalto": paloalto.render,
    "cisco": cisco.render,
    "squid": squid.render,
    "bluecoat": bluecoat.render,
    "rpz": dns.render_rpz,
    "hosts": dns.render_hosts,
    "windows": windows.render,
    "microsoft365": microsoft365.render,
    "suricata": suricata.render,
    "nftables": nftables.render,
}

__all__ = ["DEVICES", "Device", "File", "Job", "LeftOut", "Render"]
