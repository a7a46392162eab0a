"""What looks like an attack and is none; each names whom nobody may accuse."""

from __future__ import annotations

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, EXPLORER, POWERSHELL, SERVICES
from hikeshi.demo.incidents.incident import SERVERS, Incident
from hikeshi.demo.ordinary import HOME_USERS, home_address, vpn_session
from hikeshi.demo.world import CLIENTS_WITH_LOGS, FORTIGATE, HOUR, MINUTE, SECOND, Host

_SYSTEM32 = "C:\\Windows\\System32\\"


def night_work(inc: Incident) -> None:
    """The other administrator patches at night from the jump host: PsExec, services, tasks, scripts."""
    do, admin = inc.do, inc.other_admin
    night = inc.world.at(inc.day - 1, "22:40") + inc.rng.randrange(100 * MINUTE)
    for number, target in enumerate(("SQL01", "MAIL01", "APP01")):
        time = night + number * 14 * MINUTE
        do.psexec("JUMP01", target, admin, time, tool="C:\\Tools\\PsExec64.exe", options="-accepteula",
                  remote_command="cmd.exe /c C:\\Windows\\System32\\wusa.exe D:\\patch\\KB5041234.msu /quiet",
                  used_by=admin, remote_image=CMD)  # fmt: skip
    session, _ = do.rdp(inc.address("JUMP01"), "MAIL01", admin, night + 50 * MINUTE, minutes=40, used_by=admin,
                        client_name="JUMP01")  # fmt: skip
    do.process("MAIL01", admin, session, night + 53 * MINUTE, POWERSHELL,
               "powershell.exe -ExecutionPolicy Bypass -File C:\\Scripts\\mailbox-report.ps1", CMD)  # fmt: skip
    do.service_installed("MAIL01", admin, session, night + 56 * MINUTE, "KaedeMailFilter",
                         '"C:\\Program Files\\KaedeMail\\filter.exe"', start="auto start")  # fmt: skip
    inc.story.decoy_accounts += [admin]
    inc.story.decoy_hosts += ["JUMP01"]


def scanner(inc: Incident) -> None:
    """A vulnerability scanner tries names and its own account on every server, twice in the week."""
    inc.world.hosts["SCAN01"] = Host("SCAN01", "10.20.1.81", "server")
    account, do = inc.add_account("svc_vscan"), inc.do
    for day in (1, inc.day):
        start = inc.world.at(day, "02:00")
        for number, target in enumerate(SERVERS):
            time = start + number * 6 * MINUTE
            for n, user in enumerate(("administrator", "guest", "admin", "test", "oracle", "sa", "root", "user")):
                do.failed_logon(target, user, 3, time + n * 2 * SECOND, address="10.20.1.81", unknown=True)
            session, _ = do.logon(target, account, 3, time + 40 * SECOND, address="10.20.1.81", ntlm=True,
                                  workstation="SCAN01", stay_s=60, admin=True)  # fmt: skip
            for n, pipe in enumerate(("winreg", "svcctl", "srvsvc")):
                do.share_access(target, account, session, time + (41 + n) * SECOND, "10.20.1.81", "IPC$", pipe)
            do.share_access(target, account, session, time + 45 * SECOND, "10.20.1.81", "ADMIN$")
    inc.story.decoy_hosts += ["SCAN01"]
    inc.story.decoy_accounts += [account]


def red_team(inc: Incident) -> None:
    """A penetration test that was ordered: everything an attacker does, from its own machine and account."""
    inc.world.hosts["PT01"] = Host("PT01", "10.20.1.91", "server")
    account, do = inc.add_account("pt-tester"), inc.do
    target = inc.clients.pop()
    time = inc.world.at(inc.day - 1, "13:20") + inc.rng.randrange(90 * MINUTE)
    do.from_outside("10.20.1.91", target, account, time, "wmi", workstation="PT01")
    do.from_outside("10.20.1.91", target, account, time + 9 * MINUTE, "service", workstation="PT01")
    do.process(
        target,
        "SYSTEM",
        0x3E7,
        time + 12 * MINUTE,
        _SYSTEM32 + "rundll32.exe",
        "rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 712 C:\\Windows\\Temp\\pt.dmp full",
        CMD,
    )
    inc.known += [("host", "PT01", "penetration test"), ("address", "10.20.1.91", "penetration test"),
                  ("account", account, "penetration test"), ("host", target, "penetration test")]  # fmt: skip
    inc.story.decoy_hosts += ["PT01", target]
    inc.story.decoy_accounts += [account]


def traveller(inc: Incident) -> None:
    """Somebody works from a hotel: a new address, in the evening, one mistyped password."""
    user = next(u for u in HOME_USERS if u not in _accused(inc))
    time = inc.world.at(inc.day - 1, "21:05") + inc.rng.randrange(HOUR)
    line = logs.fortigate_vpn_failure(time - 30 * SECOND, source="192.0.2.199", user=user)
    inc.do.evidence.line(FORTIGATE, time - 30 * SECOND, line)
    vpn_session(inc.do, user, "192.0.2.199", "10.212.134.52", time, minutes=70)
    inc.do.rdp("10.212.134.52", "RDS01", user, time + 2 * MINUTE, minutes=45,
               client_name=f"NOTE-{user.split('.')[1].upper()}")  # fmt: skip
    inc.story.decoy_accounts += [user]


def forgetful(inc: Incident) -> None:
    """Seven wrong passwords from home, then the right one."""
    user = next(u for u in reversed(HOME_USERS) if u not in _accused(inc))
    time = inc.world.at(inc.day - 1, "19:40") + inc.rng.randrange(30 * MINUTE)
    for number in range(7):
        moment = time - (7 - number) * 25 * SECOND
        line = logs.fortigate_vpn_failure(moment, source=home_address(user), user=user)
        inc.do.evidence.line(FORTIGATE, moment, line)
    vpn_session(inc.do, user, home_address(user), "10.212.134.55", time, minutes=60)
    inc.do.rdp("10.212.134.55", "RDS01", user, time + 2 * MINUTE, minutes=40,
               client_name=f"NOTE-{user.split('.')[1].upper()}")  # fmt: skip
    inc.story.decoy_accounts += [user]


def helper_tool(inc: Incident) -> None:
    """The help desk uses TeamViewer on a client all week; its address is always the same."""
    host = inc.clients.pop()
    tool = "C:\\Program Files\\TeamViewer\\TeamViewer_Service.exe"
    for day in inc.world.days():
        if inc.world.is_workday(day):
            time = inc.world.at(day, "11:10") + inc.rng.randrange(HOUR)
            if time < inc.world.end - HOUR:
                inc.do.process(host, "SYSTEM", 0x3E7, time, tool, f'"{tool}"', SERVICES)
    inc.story.decoy_hosts += [host]


def wrong_clock(inc: Incident) -> None:
    """The clock of one server of the attack is minutes off."""
    host = next((h for h in inc.held if h not in ("WEB01", "ESX01", inc.held[0]) and not h.startswith("PC")), None)
    if host is None or inc.do.evidence.is_cleared(host):
        return
    fast = inc.rng.choice((-420, -190, 210, 600))
    inc.do.evidence.clock_runs_fast(host, fast)
    way = ("進んで", "fast") if fast > 0 else ("遅れて", "slow")
    minutes, seconds = divmod(abs(fast), 60)
    inc.remarks += [f"{host} の時計は実際の時刻より {minutes} 分 {seconds} 秒{way[0]}いました。",
                    f"The clock of {host} runs {minutes} minutes {seconds} seconds {way[1]}."]  # fmt: skip


def moved_addresses(inc: Incident) -> None:
    """Two clients that have no part swap their addresses by DHCP on the second day."""
    others = [h.name for h in inc.world.hosts.values() if h.role == "client" and h.name not in CLIENTS_WITH_LOGS][:12]
    for number, name in enumerate((*others, *CLIENTS_WITH_LOGS)):
        for day in inc.world.days():
            time = inc.world.at(day, "08:05") + number * 9 * SECOND
            if inc.world.is_workday(day) and time < inc.world.end:
                inc.do.dhcp(time, inc.address(name), name, renew=day > 0)
    inc.story.decoy_hosts += others[:2]


def missing_logs(inc: Incident) -> None:
    """One server that has no part, and sometimes one that has, hands in nothing."""
    inc.do.evidence.withhold(next(h for h in SERVERS if h not in inc.held))
    late = [h for h in inc.held[2:] if h not in ("WEB01", "ESX01", "DC01", inc.base)]
    if late and inc.rng.random() < 0.5:
        inc.do.evidence.withhold(late[-1])


def software_rollout(inc: Incident) -> None:
    """The deployment server puts a program on five clients in the afternoon: copy, service, start."""
    inc.world.hosts["DEP01"] = Host("DEP01", "10.20.1.85", "server")
    do, time = inc.do, inc.world.at(inc.day - 1, "15:30")
    for number, target in enumerate(CLIENTS_WITH_LOGS[:5]):
        moment = time + number * 3 * MINUTE
        session, _ = do.logon(target, "svc_deploy", 3, moment, address="10.20.1.85", stay_s=90)
        do.share_access(target, "svc_deploy", session, moment + SECOND, "10.20.1.85", "ADMIN$", "Temp\\setup.exe")
        do.service_installed(target, "svc_deploy", session, moment + 2 * SECOND, "KaedeDeploy",
                             "C:\\Windows\\KaedeDeploy\\deploy.exe /silent")  # fmt: skip
        do.process(target, "SYSTEM", 0x3E7, moment + 4 * SECOND, "C:\\Windows\\KaedeDeploy\\deploy.exe",
                   "C:\\Windows\\KaedeDeploy\\deploy.exe /silent", SERVICES)  # fmt: skip
    inc.story.decoy_hosts += ["DEP01"]
    inc.story.decoy_accounts += ["svc_deploy"]


def script_user(inc: Incident) -> None:
    """A power user runs his own PowerShell and packs a folder for a customer."""
    host = inc.clients.pop()
    user, session = inc.owner(host), inc.world.next_logon_id()
    time = inc.world.at(inc.day - 1, "16:10")
    inc.do.powershell(host, user, session, time, "-ExecutionPolicy Bypass -File C:\\Users\\Public\\zip.ps1", EXPLORER)
    inc.do.process(
        host,
        user,
        session,
        time + MINUTE,
        "C:\\Program Files\\7-Zip\\7z.exe",
        f"7z.exe a C:\\Users\\{user}\\Documents\\customer.zip C:\\Users\\{user}\\Documents\\q",
        CMD,
    )
    inc.story.decoy_hosts += [host]


def _accused(inc: Incident) -> set[str]:
    return {c.value for c in inc.story.claims if c.key == "compromised_accounts"} | set(inc.story.decoy_accounts)


DECOYS = (night_work, scanner, red_team, traveller, forgetful, helper_tool, software_rollout, script_user,
          moved_addresses, missing_logs, wrong_clock)  # fmt: skip
