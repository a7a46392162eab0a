"""The plots by name, and writing one incident."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from hikeshi.demo import ordinary
from hikeshi.demo.incidents import decoys, ends, fourth, moves, third, ways
from hikeshi.demo.incidents.incident import Incident
from hikeshi.demo.incidents.verbs import add_logs
from hikeshi.demo.truth import Truth
from hikeshi.demo.world import World
from hikeshi.errors import OutputError, UsageError

_FIRST, _END = date(2026, 10, 5), datetime(2026, 10, 11, 11, 0)  # noqa: DTZ001 (local time of the company)
_DECOYS_EACH = 6


@dataclass(frozen=True, slots=True)
class Plot:
    """One course of events. `theft`: administrator's password is stolen first; `own`: an account he makes or wakes."""

    name: str
    way: Callable[[Incident], None]
    moves: tuple[str, ...]
    ends: tuple[Callable[[Incident], None], ...]
    own: Callable[[Incident], None] | None = None
    theft: bool = True
    held_back: bool = False
    wave: int = 1  # the third and the fourth were played once before anything was changed for it
    lost: tuple[str, ...] = ()  # "programs": nobody logs started programs; or a host that hands in nothing


_PLOTS = (
    Plot("vpn-stolen", ways.vpn_stolen, ("psexec", "rdp_onward", "wmi"), (ends.steal_data, ends.encrypt)),
    Plot("vpn-guessed", ways.vpn_guessed, ("wmi", "winrm", "psexec"), (ends.steal_data, ends.clear_logs)),
    Plot("vpn-sprayed", ways.vpn_sprayed, ("task", "service", "rdp"), (ends.encrypt,)),
    Plot("rdp-guessed", ways.rdp_guessed, ("psexec", "task", "rdp"), (ends.encrypt, ends.clear_logs), theft=False),
    Plot("maintenance-port", ways.maintenance_port, ("rdp_onward", "service", "winrm"), (ends.steal_data,)),
    Plot("web-shell", ways.web_shell, ("service", "wmi", "rdp"), (ends.steal_data,)),
    Plot("mail", ways.mail_attachment, ("psexec", "wmi", "winrm"), (ends.steal_data,)),
    Plot("remote-tool", ways.remote_tool, ("rdp_onward", "psexec", "smb"), (ends.steal_data, ends.encrypt)),
    Plot("supplier", ways.supply_chain, ("wmi", "psexec", "rdp"), (ends.steal_data,)),
    Plot("edge-device", ways.edge_device, ("psexec", "wmi", "task"), (ends.encrypt,)),
    Plot("group-policy", ways.vpn_stolen, ("gpo",), (ends.clear_logs,)),
    Plot("hypervisor", ways.vpn_guessed, ("rdp_onward", "esxi"), (ends.steal_data,)),
    Plot("many-tools", ways.rdp_known_password, ("anydesk", "psexec"), (ends.steal_data,)),
    Plot("own-account", ways.vpn_stolen, ("winrm",), (ends.steal_data,), own=moves.new_account),
    Plot("tools-only", ways.vpn_tools, (), (), theft=False),
    # Not looked at while the story is tuned.
    Plot("vpn-daytime", ways.vpn_daytime, ("winrm_script", "smb", "task"), (ends.steal_data,), held_back=True),
    Plot("vpn-other-maker", ways.vpn_other_maker, ("service", "rdp_onward", "psexec"), (ends.encrypt,),
         held_back=True),
    Plot("web-shell-php", ways.web_shell_php, ("psexec", "winrm"), (ends.encrypt,), held_back=True),
    Plot("mail-shortcut", ways.mail_shortcut, ("rdp_onward", "wmi", "task"), (ends.encrypt, ends.clear_logs),
         held_back=True),
    Plot("remote-tool-service", ways.remote_tool_service, ("wmi", "service"), (ends.encrypt,), held_back=True),
    Plot("supplier-app", ways.supply_chain_app, ("psexec", "rdp_onward", "esxi"), (ends.steal_data,),
         held_back=True),
    Plot("edge-device-tools", ways.edge_device_tools, ("winrm", "psexec"), (ends.steal_data,), held_back=True),
    Plot("jump-host", ways.vpn_stolen, ("jump_host",), (ends.steal_data,)),
    Plot("spray-inside", ways.web_shell, ("spray", "psexec"), (ends.encrypt,)),
    Plot("plain-service", ways.vpn_guessed, ("plain_service", "smb"), (ends.steal_data,)),
    Plot("no-controllers", ways.rdp_known_password, ("psexec", "rdp_onward", "wmi"), (ends.encrypt,),
         lost=("DC01", "DC02")),
    Plot("no-programs", ways.vpn_guessed, ("psexec", "rdp_onward", "service"), (ends.encrypt,), lost=("programs",)),
    Plot("dormant-account", ways.rdp_known_password, ("service",), (ends.steal_data,), own=moves.dormant_account,
         held_back=True),
    # The third wave: written without a look at the story's code.
    Plot("vpn-tested-first", third.vpn_tested_first, ("beacon_service", "rdp_onward"), (ends.encrypt,), wave=3),
    Plot("vpn-slow-spray", third.vpn_slow_spray, ("wmi", "far_clock"), (ends.steal_data,), wave=3),
    Plot("former-employee", third.vpn_former_employee, ("smb",), (ends.steal_data,), wave=3),
    Plot("rdp-ipv6", third.rdp_ipv6, ("psexec", "winrm"), (ends.encrypt, ends.clear_logs), theft=False, wave=3),
    Plot("mail-disc-image", third.mail_disc_image, ("beacon_service", "beacon_service"), (ends.encrypt,), wave=3),
    Plot("support-fraud", third.support_fraud, ("rdp_onward", "wmi"), (ends.steal_data,), wave=3),
    Plot("mail-server-shell", third.mail_server_shell, ("beacon_service", "rdp"), (ends.steal_data,), wave=3),
    Plot("managed-agent", third.managed_agent, ("psexec",), (ends.encrypt,), wave=3),
    Plot("database-guessed", third.database_guessed, ("service", "rdp_onward"), (ends.encrypt,), wave=3),
    Plot("ssh-guessed", third.ssh_guessed, ("wmi",), (ends.steal_data,), theft=False, wave=3),
    Plot("border-logs-only", third.border_logs_only, (), (), theft=False, wave=3),
    Plot("backup-hypervisor", ways.rdp_known_password, ("backup_server",), (ends.clear_logs,), wave=3),
    Plot("roasted-policy", third.mail_disc_image, ("roast", "gpo"), (), wave=3),
    Plot("cleared-far-clock", ways.vpn_daytime, ("far_clock", "psexec"), (ends.clear_logs,), wave=3),
    # The fourth, likewise.
    Plot("slow-desktop", fourth.slow_desktop, (), (ends.steal_data,), theft=False, wave=4),
    Plot("usb-shortcut", fourth.usb_shortcut, ("smb", "smb"), (), wave=4),
    Plot("support-server", fourth.support_server, ("winrm", "winrm"), (ends.encrypt,), wave=4),
    Plot("printer-foothold", fourth.printer_foothold, (), (ends.encrypt,), theft=False, wave=4),
    Plot("ssh-key", fourth.ssh_key, (), (ends.steal_data,), theft=False, wave=4),
    Plot("policy-far-clock", ways.vpn_other_maker, ("far_clock", "gpo"), (), wave=4),
)  # fmt: skip


def plots() -> tuple[Plot, ...]:
    return _PLOTS


def write_incident(name: str, folder: Path, *, seed: int) -> Truth:
    """Write one incident's evidence into `folder`, truth.json and known.csv beside it.

    The same name and seed give the same bytes. known.csv holds what the company says is its own
    (kind, value, why): a penetration test it ordered. Raises UsageError, OutputError.
    """
    plot = next((p for p in _PLOTS if p.name == name), None)
    if plot is None:
        raise UsageError(f"no plot is called '{name}'", hint="one of " + ", ".join(p.name for p in _PLOTS))
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty", hint="name a new or an empty folder")
    world = World(f"incident {name}", seed, first=_FIRST, end=_END)
    add_logs(world)
    ordinary.live(world)
    incident = happen(world, plot)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        world.evidence.write(folder)
        truth = incident.story.truth()
        (folder.parent / "truth.json").write_text(
            json.dumps(truth.to_dict(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        with (folder.parent / "known.csv").open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("kind", "value", "why"), *incident.known])
    except OSError as error:
        raise OutputError(f"the incident can't be written: {error}", hint="check space and permissions") from error
    return truth


def happen(world: World, plot: Plot) -> Incident:
    """The attack and its decoys in `world`."""
    incident = Incident(world, plot.name)
    plot.way(incident)
    if plot.theft:
        moves.steal(incident)
    for name in plot.moves:
        (moves.MOVES | third.MOVES)[name](incident, incident.server())
    if plot.own is not None:
        plot.own(incident)
    for end in plot.ends:
        end(incident)
    if plot.wave == 3:
        for number in sorted(incident.rng.sample(range(len(third.DECOYS)), 3)):
            third.DECOYS[number](incident)
    if plot.wave == 4:
        for plays in fourth.DECOYS:
            plays(incident)
    each = _DECOYS_EACH if plot.wave == 1 else 3
    for decoy in sorted(incident.rng.sample(range(len(decoys.DECOYS)), each)):
        decoys.DECOYS[decoy](incident)
    incident.story.decoy_hosts = [h for h in incident.story.decoy_hosts if h not in incident.held]
    for what in plot.lost:
        if what == "programs":
            world.evidence.drop({4688, 1, 3, 10, 11, 13, 22})
        else:
            world.evidence.withhold(what)
    world.evidence.files["notes.txt"] = "\n".join((*incident.remarks, "")).encode()
    return incident
