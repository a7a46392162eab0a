"""The fourth wave: ways in, moves and decoys that the first three don't have. Written before its first run."""

from __future__ import annotations

from hikeshi.demo.actions import CMD, EXPLORER, POWERSHELL, SERVICES
from hikeshi.demo.incidents.incident import SERVERS, Incident
from hikeshi.demo.ordinary import HOME_USERS, ssh_session, vpn_session
from hikeshi.demo.world import HOUR, MINUTE, SECOND, Host

_SYSTEM32 = "C:\\Windows\\System32\\"


def slow_desktop(inc: Incident) -> None:
    """VPN and remote desktop alone, built-in tools alone, one server an evening for days, nothing dropped."""
    user, tunnel = inc.rng.choice(HOME_USERS), "10.212.134.77"
    hosts = [inc.server() for _ in range(3)]
    for day, host in enumerate(hosts, start=1):
        time = inc.world.at(day, "18:40") + inc.rng.randrange(HOUR)
        records = vpn_session(inc.do, user, inc.outside, tunnel, time, minutes=80)
        if day == 1:
            inc.story.entry("vpn_credential", time, records, source=inc.outside, account=user, host=host)
            inc.story.aliases[tunnel] = [inc.outside]
        moment = time + inc.rng.randrange(2, 8) * MINUTE
        session, records = inc.do.rdp(tunnel, host, user, moment, minutes=60, client_name=inc.workstation)
        inc.story.spread(tunnel, host, user, "rdp", moment, records)
        inc.settle(host, user, session)
        inc.now = moment + 5 * MINUTE
        inc.run(_SYSTEM32 + "notepad.exe", "notepad.exe D:\\Shares\\readme.txt", EXPLORER)
    inc.tunnel = tunnel


def usb_shortcut(inc: Incident) -> None:
    """A shortcut on a USB stick starts a library from the removable drive; at the desk, at noon."""
    inc.now = inc.world.at(inc.day, "12:10") + inc.rng.randrange(2 * HOUR)
    host = inc.client()
    user, session, time = inc.owner(host), inc.world.next_logon_id(), inc.now
    records = inc.do.process(host, user, session, time, CMD,
                             '"C:\\Windows\\System32\\cmd.exe" /q /c start rundll32 F:\\RECYCLER\\desk.cpl,Go',
                             EXPLORER)  # fmt: skip
    records += inc.do.process(host, user, session, time + SECOND, _SYSTEM32 + "rundll32.exe",
                              "rundll32 F:\\RECYCLER\\desk.cpl,Go", CMD)  # fmt: skip
    inc.story.entry("unknown", time, records, source=None, account=user, host=host)
    inc.settle(host, user, session)
    inc.run(_SYSTEM32 + "net.exe", "net view /all", _SYSTEM32 + "rundll32.exe")


def support_server(inc: Incident) -> None:
    """The company's own ScreenConnect server has a hole: its service starts shells."""
    host = inc.take("APP01")
    tool = "C:\\Program Files (x86)\\ScreenConnect\\ScreenConnect.Service.exe"
    time = inc.now
    records = inc.do.traffic(inc.outside, inc.address(host), 8040, time - 20 * SECOND, duration=1500,
                             interfaces=("wan1", "lan"), service="tcp/8040")  # fmt: skip
    for n, command in enumerate(("whoami", "net user", "ipconfig /all")):
        records += inc.do.process(host, "SYSTEM", 0x3E7, time + n * 30 * SECOND, CMD, f"cmd.exe /c {command}", tool)
    inc.story.entry("vulnerability", time, records, source=inc.outside, account=None, host=host)
    inc.settle(host, "SYSTEM", 0x3E7)
    inc.now = time + 3 * MINUTE


def printer_foothold(inc: Incident) -> None:
    """A printer nobody patched: from its address tools run on servers; the printer itself logs nothing."""
    printer = "10.20.3.240"
    inc.world.hosts["PRN07"] = Host("PRN07", printer, "linux")
    hosts, time = [inc.server(), inc.server()], inc.now
    for n, (host, method) in enumerate(zip(hosts, ("winrm", "scheduled_task"), strict=True)):
        moment = time + n * 40 * MINUTE
        session, records = inc.do.from_outside(printer, host, inc.admin, moment, method, workstation="PRN07")
        if not n:
            inc.story.entry("unknown", moment, records, source=printer, account=inc.admin, host=host)
        inc.story.aliases[printer] = ["PRN07"]
        inc.story.spread(printer, host, inc.admin, method, moment, records)
        inc.settle(host, inc.admin, session)
        inc.now = moment + MINUTE
    inc.story.may("compromised_hosts", "PRN07")


def ssh_key(inc: Incident) -> None:
    """A stolen SSH key from an address nobody knows, no failure before it; then remote tools from there."""
    account = inc.add_account("deploy")
    records = ssh_session(inc.do, account, inc.outside, inc.now, method="publickey", minutes=120)
    inc.story.entry("unknown", inc.now, records, source=inc.outside, account=account, host="LNX01")
    inc.story.may("spread", [inc.outside, "LNX01", account, "ssh"])
    target, moment = inc.take("SQL01"), inc.wait(400, 900)
    session, more = inc.do.from_outside(inc.address("LNX01"), target, inc.admin, moment, "winrm", workstation="LNX01")
    inc.story.spread("LNX01", target, inc.admin, "winrm", moment, more)
    inc.settle(target, inc.admin, session)
    inc.held.insert(0, "LNX01")


# --- decoys ---


def database_keeper(inc: Incident) -> None:
    """The database's own job runs its shell procedure each night: one command, the same."""
    sql = "C:\\Program Files\\Microsoft SQL Server\\MSSQL15.MSSQLSERVER\\MSSQL\\Binn\\sqlservr.exe"
    if "SQL01" in inc.held:
        return
    for day in range(inc.day):
        inc.do.process("SQL01", "SYSTEM", 0x3E7, inc.world.at(day, "04:30"), CMD,
                       '"C:\\Windows\\system32\\cmd.exe" /c forfiles /p E:\\Backup /d -14 /c "cmd /c del @path"',
                       sql)  # fmt: skip
    inc.story.decoy_hosts += ["SQL01"]


def new_protection(inc: Incident) -> None:
    """Another maker's protection is rolled out; its agent switches Defender off on all clients."""
    agent = "C:\\Program Files\\MamoriEDR\\mamori-agent.exe"
    for n, host in enumerate(inc.clients[-3:]):
        time = inc.world.at(1, "11:00") + n * 3 * MINUTE
        inc.do.service_installed(host, "SYSTEM", 0x3E7, time, "MamoriAgent", f'"{agent}"', start="auto start")
        inc.do.process(host, "SYSTEM", 0x3E7, time + 5 * SECOND, agent, f'"{agent}"', SERVICES)
        inc.do.process(host, "SYSTEM", 0x3E7, time + 20 * SECOND, POWERSHELL,
                       "powershell.exe Set-MpPreference -DisableRealtimeMonitoring $true", agent)  # fmt: skip
        inc.story.decoy_hosts += [host]


def monitoring(inc: Incident) -> None:
    """A monitoring server signs in to every server by the network, every two hours."""
    inc.world.hosts["MON01"] = Host("MON01", "10.20.1.83", "server")
    account = inc.add_account("svc_monitor")
    for day in range(inc.day):
        for hour in range(0, 24, 2):
            for n, host in enumerate(SERVERS):
                inc.do.logon(host, account, 3, inc.world.at(day, f"{hour:02d}:07") + n * 4 * SECOND,
                             address="10.20.1.83", ntlm=True, workstation="MON01", admin=True)  # fmt: skip
    inc.story.decoy_accounts += [account]
    inc.story.decoy_hosts += ["MON01"]


DECOYS = (database_keeper, new_protection, monitoring)
