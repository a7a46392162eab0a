"""A week of ordinary life: what hides an attack, and what must not be taken for one.

Logons of people, machines and backup jobs; administrators who work by remote desktop from the jump
host; updates that install services; mistyped passwords; people who work from home over VPN;
browsing, uploads to the business service, a widget that calls home at regular times; scanners that
try the VPN and the web site.
"""

from __future__ import annotations

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, EXPLORER, POWERSHELL, SERVICES, SVCHOST, Actions
from hikeshi.demo.evidence_set import SYSTEM, Record
from hikeshi.demo.world import (
    AUTH,
    CLIENTS_WITH_LOGS,
    DAY,
    FIREWALL_LAN,
    FORTIGATE,
    HOUR,
    IIS,
    MINUTE,
    PROXY,
    SECOND,
    SQUID,
    User,
    World,
)

_SERVER_NAMES = ("DC01", "DC02", "FS01", "FS02", "BK01", "RDS01", "APP01", "SQL01", "MAIL01", "JUMP01", "WEB01")
_OFFICE = "C:\\Program Files\\Microsoft Office\\root\\Office16\\"
_BROWSER = "C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe"
_PROGRAMS = (
    (_OFFICE + "OUTLOOK.EXE", f'"{_OFFICE}OUTLOOK.EXE"', EXPLORER),
    (_OFFICE + "EXCEL.EXE", f'"{_OFFICE}EXCEL.EXE" "F:\\共有\\見積\\見積書_%04d.xlsx"', EXPLORER),
    (_OFFICE + "WINWORD.EXE", f'"{_OFFICE}WINWORD.EXE" /n "F:\\共有\\議事録\\定例会_%04d.docx"', EXPLORER),
    ("C:\\Windows\\splwow64.exe", "C:\\Windows\\splwow64.exe 12288", _OFFICE + "EXCEL.EXE"),
    (_BROWSER, f'"{_BROWSER}" --profile-directory=Default', EXPLORER),
    (_BROWSER, f'"{_BROWSER}" --type=renderer --renderer-client-id=%d', _BROWSER),
    ("C:\\Windows\\System32\\notepad.exe", '"C:\\Windows\\System32\\notepad.exe" F:\\共有\\メモ_%04d.txt', EXPLORER),
    ("C:\\Windows\\System32\\conhost.exe", "\\??\\C:\\Windows\\system32\\conhost.exe 0xffffffff -ForceV1", CMD),
)
_SYSTEM_PROGRAMS = (
    ("C:\\Windows\\System32\\svchost.exe", "C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s wuauserv", SERVICES),
    ("C:\\Windows\\System32\\taskhostw.exe", "taskhostw.exe", SVCHOST),
    ("C:\\Windows\\System32\\backgroundTaskHost.exe", "backgroundTaskHost.exe -ServerName:App.AppX%04d.mca", SVCHOST),
    ("C:\\Windows\\System32\\wbem\\WmiPrvSE.exe",
     "C:\\Windows\\system32\\wbem\\wmiprvse.exe -secured -Embedding", SVCHOST),
    ("C:\\Windows\\System32\\SearchProtocolHost.exe",
     "SearchProtocolHost.exe Global\\UsGthrFltPipeMssGthrPipe%d_", SERVICES),
    ("C:\\ProgramData\\KaedeAgent\\agent.exe", "C:\\ProgramData\\KaedeAgent\\agent.exe --inventory", SERVICES),
)
_SERVICES = (("WSearch", "Windows Search"), ("BITS", "Background Intelligent Transfer Service"),
             ("wuauserv", "Windows Update"), ("AppXSvc", "AppX Deployment Service (AppXSVC)"),
             ("WinHttpAutoProxySvc", "WinHTTP Web Proxy Auto-Discovery Service"), ("sppsvc", "Software Protection"),
             ("TrustedInstaller", "Windows Modules Installer"), ("VSS", "Volume Shadow Copy"))
HOME_USERS = ("t.mori", "k.ogawa", "m.matsumoto", "y.saito", "n.sasaki", "a.hasegawa")
_RDS_USERS = 14
UPDATE_SITE = ("update.antivirus-vendor.example", "192.0.2.30")
BUSINESS_UPLOAD = ("kaede.filebox-business.example", "192.0.2.40")
WIDGET = ("tenki-widget.example", "192.0.2.41")


def sites() -> list[tuple[str, str]]:
    """80 places people visit, most popular first, each with its address."""
    words = ("news", "portal", "maps", "mail", "search", "shop", "bank", "weather", "wiki", "travel", "video", "parts",
             "steel", "logistics", "tax", "cad", "forum", "paper", "tools", "school")
    kinds = ("", "-japan", "-online", "-cdn")
    return [(f"{'www' if n % 3 else 'static'}.{words[n % 20]}{kinds[n // 20]}.example", f"192.0.2.{100 + n}")
            for n in range(80)]


def live(world: World) -> None:
    """Fill the evidence of `world` with an ordinary week."""
    for part in (_people, _machines, _sensors, _services, _backups, _administration, _newcomer, _terminal_server,
                 _home_work, _proxy, _firewall, _web_site, _linux):
        part(world, Actions(world, part.__name__))


def _before_end(world: World, time: int) -> bool:
    return time < world.end - 2 * MINUTE


def home_address(user: str) -> str:
    return f"192.0.2.{201 + HOME_USERS.index(user)}"


def _people(world: World, do: Actions) -> None:
    """Users sign in, open files on the file servers, mistype passwords now and then."""
    rng = do.rng
    for day in world.days():
        if not world.is_workday(day):
            continue
        for user in world.users:
            address = world.host(user.computer).address
            time = world.at(day, "08:20") + rng.randrange(70 * MINUTE)
            if rng.random() < 0.07 or not _before_end(world, time):
                continue
            if rng.random() < 0.06:
                do.ticket_request(user.account, address, time - 15 * SECOND, wrong_password=True)
            do.ticket_request(user.account, address, time)
            dc = "DC01" if rng.random() < 0.6 else "DC02"
            do.logon(dc, user.account, 3, time + SECOND, address=address, stay_s=12)
            for _ in range(3):
                moment = time + rng.randrange(8 * HOUR)
                server = "FS01" if rng.random() < 0.6 else "FS02"
                if not _before_end(world, moment):
                    continue
                do.service_ticket(user.account, address, server, moment - SECOND)
                logon_id, _ = do.logon(server, user.account, 3, moment, address=address, stay_s=rng.randrange(60, 1800))
                if rng.random() < 0.5:
                    do.share_access(server, user.account, logon_id, moment + 200_000, address, "共有",
                                    path="\\??\\D:\\Shares\\共有")
                if rng.random() < 0.15:
                    do.share_access(server, user.account, logon_id, moment + 400_000, address, "共有",
                                    f"{user.department}\\メモ_{rng.randrange(1, 999):03d}.xlsx",
                                    path="\\??\\D:\\Shares\\共有")
            if user.computer in CLIENTS_WITH_LOGS:
                _desk_work(world, do, user, time)


def _desk_work(world: World, do: Actions, user: User, time: int) -> None:
    rng, host = do.rng, user.computer
    if rng.random() < 0.15:
        do.failed_logon(host, user.account, 2, time - 12 * SECOND)
    logon_id, _ = do.logon(host, user.account, 2, time, stay_s=rng.randrange(8 * 3600, 10 * 3600))
    for _ in range(rng.randrange(28, 44)):
        moment = time + rng.randrange(9 * HOUR)
        if not _before_end(world, moment):
            continue
        image, command, parent = rng.choice(_PROGRAMS)
        if "%" in command:
            command = command % rng.randrange(1, 9999)
        do.process(host, user.account, logon_id, moment, image, command, parent)
        if image == _BROWSER:
            do.name_lookup(host, user.account, moment + SECOND // 2, image, "proxy.kaede.example", PROXY)
            do.connection(host, user.account, moment + SECOND, image, PROXY, 3128, "proxy.kaede.example")
        elif rng.random() < 0.3:
            do.file_created(host, user.account, moment + 2 * SECOND, image,
                            f"C:\\Users\\{user.account}\\AppData\\Local\\Temp\\{rng.randrange(16**6):06X}.tmp")
    for _ in range(rng.randrange(1, 4)):
        moment = time + rng.randrange(9 * HOUR)
        if _before_end(world, moment):
            do.logon(host, user.account, 7, moment, stay_s=2)


def _machines(world: World, do: Actions) -> None:
    """Computer accounts at the domain controllers; programs of the system itself."""
    rng = do.rng
    for day in world.days():
        for user in world.users:
            for _ in range(1):
                time = world.at(day, "00:00") + rng.randrange(DAY)
                if _before_end(world, time) and world.is_workday(day):
                    host = world.host(user.computer)
                    do.logon("DC01" if rng.random() < 0.6 else "DC02", f"{host.name}$", 3, time, address=host.address,
                             stay_s=10, admin=False)
        for name in (*_SERVER_NAMES, *CLIENTS_WITH_LOGS):
            busy = 16 if name in _SERVER_NAMES else 12
            for _ in range(busy):
                time = world.at(day, "00:00") + rng.randrange(DAY)
                if not _before_end(world, time) or (name.startswith("PC") and not world.is_workday(day)):
                    continue
                image, command, parent = rng.choice(_SYSTEM_PROGRAMS)
                do.process(name, "SYSTEM", 0x3E7, time, image, command % rng.randrange(1, 9999) if "%" in command
                           else command, parent)
                if rng.random() < 0.3:
                    do.logon(name, "SYSTEM", 5, time - 200_000, stay_s=0)


def _sensors(world: World, do: Actions) -> None:
    """What Sysmon also notes on a quiet day: the scanner looks at lsass, services keep their settings."""
    rng = do.rng
    scanner = "C:\\ProgramData\\Microsoft\\Windows Defender\\Platform\\4.18.26080.5-0\\MsMpEng.exe"
    drive = "C:\\Program Files\\Microsoft OneDrive\\OneDrive.exe"
    for host in [h for h in world.hosts.values() if h.sysmon]:
        for day in world.days():
            for _ in range(5 if host.role == "server" or world.is_workday(day) else 0):
                time = world.at(day, "08:40") + rng.randrange(9 * HOUR)
                if not _before_end(world, time):
                    continue
                image, access = rng.choice(((scanner, "0x1410"), (SVCHOST, "0x1000"), (SVCHOST, "0x1400")))
                do.process_access(host.name, "SYSTEM", time, image, "C:\\Windows\\system32\\lsass.exe", access)
                service = rng.choice(_SERVICES)[0]
                do.registry_set(host.name, "SYSTEM", time + 20 * SECOND, SERVICES,
                                f"HKLM\\System\\CurrentControlSet\\Services\\{service}\\Start", "DWORD (0x00000003)")
    for user in world.users:
        if user.computer in ("PC-A004", "PC-B005"):  # an update renews its own start entry
            do.registry_set(user.computer, user.account, world.at(2, "13:07:21"), drive,
                            f"HKU\\{user.sid}\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\OneDrive",
                            f'"{drive}" /background')


def _services(world: World, do: Actions) -> None:
    """Services start and stop; one night Windows and the inventory agent are updated everywhere."""
    rng = do.rng
    patch_day = 2
    for name in (*_SERVER_NAMES, *CLIENTS_WITH_LOGS):
        client = name.startswith("PC")
        for day in world.days():
            for _ in range(6 if client else 14):
                time = world.at(day, "08:00" if client else "00:00") + rng.randrange(10 * HOUR if client else DAY)
                if _before_end(world, time):
                    service, display = rng.choice(_SERVICES)
                    do.service_state(name, service, display, time, running=rng.random() < 0.5)
        time = world.at(patch_day, "12:10" if client else "03:30") + rng.randrange(25 * MINUTE)
        title = (f"2026-{world.first.month:02d} x64 ベース システム用累積更新プログラム "
                 f"(KB50{rng.randrange(10000, 99999)})")
        do.evidence.event(name, SYSTEM, 43, time, "S-1-5-18", updateTitle=title)
        do.evidence.event(name, SYSTEM, 19, time + 8 * MINUTE, "S-1-5-18", updateTitle=title)
        do.service_installed(name, "SYSTEM", 0x3E7, time + 20 * MINUTE, "KaedeAgentUpdater",
                             '"C:\\ProgramData\\KaedeAgent\\updater.exe" --service', start="auto start")
        if rng.random() < 0.5:
            do.service_installed(name, "SYSTEM", 0x3E7, time + 26 * MINUTE,
                                 "Microsoft Edge Update Service (edgeupdate)",
                                 '"C:\\Program Files (x86)\\Microsoft\\EdgeUpdate\\MicrosoftEdgeUpdate.exe" /svc',
                                 start="auto start")
        if not client:
            do.task_registered(name, "SYSTEM", 0x3E7, time + 30 * MINUTE,
                               "\\Microsoft\\Windows\\SoftwareProtectionPlatform\\SvcRestartTask",
                               "C:\\Windows\\System32\\sc.exe", "start sppsvc")


def _backups(world: World, do: Actions) -> None:
    """The backup server signs in to every server each night with its service account."""
    rng = do.rng
    address = world.host("BK01").address
    for day in world.days():
        start = world.at(day, "01:00")
        if not _before_end(world, start + 3 * HOUR):
            continue
        do.logon("BK01", "svc_backup", 5, start, stay_s=3 * 3600)
        do.process("BK01", "svc_backup", 0x51000, start + 2 * SECOND, "C:\\Program Files\\KuraBackup\\kurajob.exe",
                   "kurajob.exe --plan nightly --all-servers", SERVICES)
        for number, name in enumerate(n for n in _SERVER_NAMES if n != "BK01"):
            time = start + number * 11 * MINUTE + rng.randrange(4 * MINUTE)
            do.service_ticket("svc_backup", address, name, time - SECOND)
            logon_id, _ = do.logon(name, "svc_backup", 3, time, address=address, stay_s=rng.randrange(300, 2400))
            do.share_access(name, "svc_backup", logon_id, time + 300_000, address, "ADMIN$")
            do.logon(name, "svc_backup", 3, time + 30 * SECOND, address=address, stay_s=rng.randrange(60, 300))
            do.service_state(name, "VSS", "Volume Shadow Copy", time + 40 * SECOND)


def _administration(world: World, do: Actions) -> None:
    """Administrators work from the jump host in the daytime."""
    rng = do.rng
    jump = world.host("JUMP01")
    for day in world.days():
        if not world.is_workday(day):
            continue
        for account, person in (("adm-sato", "s.sato"), ("adm-kobayashi", "y.kobayashi")):
            own = world.host(world.by_account[person].computer).address
            time = world.at(day, "09:30") + rng.randrange(40 * MINUTE)
            if not _before_end(world, time):
                continue
            do.ticket_request(account, own, time - 2 * SECOND)
            do.rdp(own, "JUMP01", account, time, minutes=420)
            for name in rng.sample([n for n in _SERVER_NAMES if n not in ("JUMP01", "DC02")], 3):
                moment = time + rng.randrange(10 * MINUTE, 6 * HOUR)
                if not _before_end(world, moment):
                    continue
                logon_id, _ = do.rdp(jump.address, name, account, moment, minutes=rng.randrange(5, 50),
                                     used_by=account, client_name="JUMP01")
                do.process(name, account, logon_id, moment + MINUTE, "C:\\Windows\\System32\\mmc.exe",
                           '"C:\\Windows\\system32\\mmc.exe" "C:\\Windows\\system32\\eventvwr.msc" /s', EXPLORER)
                do.process(name, account, logon_id, moment + 2 * MINUTE, CMD, '"C:\\Windows\\system32\\cmd.exe"',
                           EXPLORER)
                do.process(name, account, logon_id, moment + 130 * SECOND, "C:\\Windows\\System32\\ipconfig.exe",
                           "ipconfig /all", CMD)
        moment = world.at(day, "11:00") + rng.randrange(3 * HOUR)
        if day == 1 and _before_end(world, moment):
            logon_id, _ = do.rdp(jump.address, "FS01", "adm-sato", moment, minutes=20, used_by="adm-sato",
                                 client_name="JUMP01")
            do.process("FS01", "adm-sato", logon_id, moment + 3 * MINUTE, POWERSHELL,
                       "powershell.exe -File C:\\Scripts\\quota-report.ps1", CMD)
            do.task_registered("FS01", "adm-sato", logon_id, moment + 5 * MINUTE, "\\Kaede\\QuotaReport",
                               "powershell.exe", "-File C:\\Scripts\\quota-report.ps1")


def _newcomer(world: World, do: Actions) -> None:
    """A new employee gets an account: made on a domain controller by the help desk, in the daytime."""
    time = world.at(3, "14:12:09")
    logon_id, _ = do.rdp(world.host("JUMP01").address, "DC02", "adm-kobayashi", time - 3 * MINUTE, minutes=9,
                         used_by="adm-kobayashi", client_name="JUMP01")
    do.account_created("DC02", "adm-kobayashi", logon_id, time, "m.nishida",
                       "S-1-5-21-1804289383-846930886-1681692777-1290")


def _terminal_server(world: World, do: Actions) -> None:
    """Part of the staff works on the terminal server, from their desks."""
    rng = do.rng
    for day in world.days():
        if not world.is_workday(day):
            continue
        for user in world.users[3:3 + _RDS_USERS]:
            time = world.at(day, "09:00") + rng.randrange(7 * HOUR)
            if rng.random() < 0.5 or not _before_end(world, time):
                continue
            if rng.random() < 0.1:
                do.failed_logon("RDS01", user.account, 3, time - 20 * SECOND,
                                address=world.host(user.computer).address)
            logon_id, _ = do.rdp(world.host(user.computer).address, "RDS01", user.account, time,
                                 minutes=rng.randrange(15, 200), client_name=user.computer)
            do.process("RDS01", user.account, logon_id, time + MINUTE, _OFFICE + "EXCEL.EXE",
                       f'"{_OFFICE}EXCEL.EXE" "\\\\FS01\\共有\\原価表.xlsx"', EXPLORER)


def _home_work(world: World, do: Actions) -> None:
    """VPN from home in the evening, then the terminal server; and strangers who try the VPN."""
    rng = do.rng
    for day in world.days():
        for number, account in enumerate(HOME_USERS):
            time = world.at(day, "18:30") + rng.randrange(3 * HOUR)
            if not world.is_workday(day) or rng.random() < 0.4 or not _before_end(world, time + 3 * HOUR):
                continue
            source, tunnel = home_address(account), f"10.212.134.{20 + number}"
            if rng.random() < 0.15:
                do.evidence.line(FORTIGATE, time - 20 * SECOND,
                                 logs.fortigate_vpn_failure(time - 20 * SECOND, source=source, user=account))
            vpn_session(do, account, source, tunnel, time, minutes=rng.randrange(30, 150))
            do.rdp(tunnel, "RDS01", account, time + 2 * MINUTE, minutes=25,
                   client_name=f"NOTE-{account.split('.')[1].upper()}")
            do.traffic(tunnel, world.host("RDS01").address, 3389, time + 2 * MINUTE, duration=1500, sent=900_000,
                       received=9_000_000, interfaces=("ssl.root", "lan"), service="RDP", user=account)
        for _ in range(26):
            time = world.at(day, "00:00") + rng.randrange(DAY)
            if _before_end(world, time):
                user = rng.choice(("admin", "test", "vpn", "guest", "sales", "info", "backup",
                                   rng.choice(world.users).account))
                do.evidence.line(FORTIGATE, time, logs.fortigate_vpn_failure(
                    time, source=f"198.51.100.{rng.randrange(200, 250)}", user=user,
                    reason="sslvpn_login_unknown_user"))


def vpn_session(do: Actions, account: str, source: str, tunnel: str, time: int, *, minutes: int) -> list[Record]:
    """New connection, tunnel up and down; the records of the first two."""
    tunnel_id = do.rng.randrange(10**8, 2 * 10**9)
    records: list[Record] = [
        do.evidence.line(FORTIGATE, time, logs.fortigate_vpn_connection(time, source=source)),
        do.evidence.line(FORTIGATE, time + 2 * SECOND, logs.fortigate_vpn_tunnel(
            time + 2 * SECOND, source=source, user=account, tunnel=tunnel, tunnel_id=tunnel_id, up=True))]
    end = time + minutes * MINUTE
    if end < do.world.end:
        do.evidence.line(FORTIGATE, end, logs.fortigate_vpn_tunnel(
            end, source=source, user=account, tunnel=tunnel, tunnel_id=tunnel_id, up=False, duration=minutes * 60,
            sent=minutes * 400_000, received=minutes * 90_000))
    return records


def _proxy(world: World, do: Actions) -> None:
    """Browsing, updates, uploads to the business service, and a widget that calls every ten minutes."""
    rng, places = do.rng, sites()
    weights = [1 / (n + 2) for n in range(len(places))]
    for day in world.days():
        if world.is_workday(day):
            for user in world.users:
                address = world.host(user.computer).address
                for _ in range(rng.randrange(18, 44)):
                    time = world.at(day, "08:30") + rng.randrange(9 * HOUR)
                    host, outside = rng.choices(places, weights)[0]
                    _request(world, do, time, address, host, outside)
                if rng.random() < 0.12:
                    time = world.at(day, "10:00") + rng.randrange(6 * HOUR)
                    upload(do, address, *BUSINESS_UPLOAD, time, duration=rng.randrange(20, 400),
                           sent=rng.randrange(5_000_000, 400_000_000))
        for number, user in enumerate(world.users):
            address = world.host(user.computer).address
            for step in range(4):
                time = world.at(day, "00:00") + (step * 6 * HOUR) + number * 5 * MINUTE + rng.randrange(9 * SECOND)
                if _before_end(world, time):
                    do.evidence.line(SQUID, time, logs.squid(
                        time, client=address, host=UPDATE_SITE[0], address=UPDATE_SITE[1], method="GET",
                        path=f"/sig/{day:03d}.cab", received=rng.randrange(900, 2400),
                        content="application/octet-stream"))
        if world.is_workday(day):  # the clock of a widget: regular and rare, and harmless
            address = world.host("PC-B015").address
            for step in range(54):
                time = world.at(day, "08:45") + step * 10 * MINUTE + rng.randrange(3 * SECOND)
                if _before_end(world, time):
                    do.evidence.line(SQUID, time, logs.squid(
                        time, client=address, host=WIDGET[0], address=WIDGET[1], method="GET",
                        path="/v2/now.json?city=kawasaki", received=734, content="application/json"))


def _request(world: World, do: Actions, time: int, client: str, host: str, outside: str) -> None:
    rng = do.rng
    if not _before_end(world, time):
        return
    plain, received = rng.random() < 0.12, int(rng.lognormvariate(9, 1.4))
    do.evidence.line(SQUID, time, logs.squid(
        time, client=client, host=host, address=outside, method="GET" if plain else "CONNECT",
        path=f"/p/{rng.randrange(999)}.html", status=200 if rng.random() < 0.98 else 403,
        elapsed_ms=rng.randrange(40, 60_000), received=received))
    if rng.random() < 0.25:
        do.traffic(PROXY, outside, 80 if plain else 443, time, duration=rng.randrange(1, 90),
                   sent=rng.randrange(900, 20_000), received=received, service="HTTP" if plain else "HTTPS")


def upload(do: Actions, client: str, host: str, outside: str, time: int, *, duration: int, sent: int) -> list[Record]:
    """A long CONNECT at the proxy, and the proxy's own session at the firewall with the bytes sent."""
    end = time + duration * SECOND
    if end >= do.world.end:
        return []
    return [
        do.evidence.line(SQUID, end, logs.squid(end, client=client, host=host, address=outside,
                                                elapsed_ms=duration * 1000, received=39_000 + duration * 90)),
        *do.traffic(PROXY, outside, 443, time, duration=duration, sent=sent, received=60_000 + duration * 100)]


def _firewall(world: World, do: Actions) -> None:
    """The rest of the firewall's day: mail, time, name service, and what it denies."""
    rng = do.rng
    mail = world.host("MAIL01").address
    for day in world.days():
        for _ in range(90):
            time = world.at(day, "00:00") + rng.randrange(DAY)
            do.traffic(mail, f"192.0.2.{rng.randrange(60, 90)}", 25, time, duration=rng.randrange(1, 20),
                       sent=rng.randrange(2000, 900_000), received=3000, service="SMTP")
        for _ in range(150):
            time = world.at(day, "00:00") + rng.randrange(DAY)
            do.traffic(f"198.51.100.{rng.randrange(200, 250)}", "192.0.2.2",
                       rng.choice((22, 23, 445, 3389, 8080, 5900)), time, duration=0, sent=0, received=0,
                       interfaces=("wan1", "dmz"), service="tcp", action="deny")
        for _ in range(40):
            time = world.at(day, "00:00") + rng.randrange(DAY)
            server, port, service = rng.choice(
                (("SQL01", 1433, "MS-SQL"), ("DC01", 389, "LDAP"), ("DC02", 88, "KERBEROS")))
            do.traffic(world.host("WEB01").address, world.host(server).address, port, time,
                       duration=rng.randrange(1, 120), sent=rng.randrange(900, 60_000),
                       received=rng.randrange(900, 90_000), interfaces=("dmz", "lan"), service=service)
        for _ in range(40):
            time = world.at(day, "00:00") + rng.randrange(DAY)
            do.traffic(rng.choice(list(world.hosts.values())).address, FIREWALL_LAN, 123, time, duration=1, sent=76,
                       received=76, interfaces=("lan", "lan"), service="NTP")


def _web_site(world: World, do: Actions) -> None:
    """Visitors, a partner's machine that posts every quarter of an hour, and scanners."""
    rng, server = do.rng, world.host("WEB01")
    pages = ("/", "/index.html", "/portal/login.aspx", "/portal/news.aspx", "/portal/css/site.css",
             "/portal/img/logo.png", "/portal/contact.aspx", "/recruit/index.html")
    probes = ("/wp-login.php", "/.env", "/phpmyadmin/", "/shell.aspx", "/portal/upload/cmd.aspx", "/owa/",
              "/manager/html", "/.git/config", "/aspnet_client/system_web/shell.aspx", "/cgi-bin/test.cgi")

    def hit(time: int, client: str, method: str, path: str, status: int, agent: str, taken: int = 30) -> None:
        if _before_end(world, time):
            do.evidence.line(IIS, time, logs.iis(time, server=server.address, client=client, method=method, path=path,
                                                 status=status, agent=agent, taken_ms=taken))

    browser = "Mozilla/5.0+(Windows+NT+10.0;+Win64;+x64)+AppleWebKit/537.36+Chrome/128.0+Safari/537.36"
    for day in world.days():
        for _ in range(170 if world.is_workday(day) else 60):
            time = world.at(day, "00:00") + rng.randrange(DAY)
            client = f"192.0.2.{rng.randrange(210, 254)}"
            for path in rng.sample(pages, 2):
                hit(time, client, "GET", path, 200 if rng.random() < 0.9 else 304, browser, rng.randrange(3, 200))
            if rng.random() < 0.08:
                hit(time + 8 * SECOND, client, "POST", "/portal/contact.aspx", 302, browser, 150)
        for step in range(96):
            hit(world.at(day, "00:07") + step * 15 * MINUTE + rng.randrange(4 * SECOND), "203.0.113.201", "POST",
                "/portal/api/stock.aspx", 200, "KaedePartner/2.1", 45)
        for _ in range(5):
            time, client = world.at(day, "00:00") + rng.randrange(DAY), f"198.51.100.{rng.randrange(200, 250)}"
            for number, path in enumerate(rng.sample(probes, 6)):
                hit(time + number * SECOND, client, "GET", path, 404, "Mozilla/5.0+zgrab/0.x")
        for _ in range(8):
            do.traffic(f"192.0.2.{rng.randrange(210, 254)}", server.address, 443,
                       world.at(day, "08:00") + rng.randrange(12 * HOUR), interfaces=("wan1", "dmz"),
                       duration=rng.randrange(1, 40), sent=3000, received=48_000)


def _linux(world: World, do: Actions) -> None:
    """cron, and the administrator's own sessions from the jump host."""
    rng = do.rng
    jump = world.host("JUMP01").address
    for day in world.days():
        for hour in range(24):
            time = world.at(day, f"{hour:02d}:17") + rng.randrange(SECOND)
            if _before_end(world, time):
                for after, what in ((0, "opened for user root(uid=0) by (uid=0)"), (300_000, "closed for user root")):
                    do.evidence.line(AUTH, time + after, logs.syslog(
                        time + after, "LNX01", f"CRON[{2000 + hour * 31 + day}]",
                        f"pam_unix(cron:session): session {what}"))
        time = world.at(day, "10:00") + rng.randrange(5 * HOUR)
        if world.is_workday(day) and _before_end(world, time + 20 * MINUTE):
            ssh_session(do, "adm-kobayashi", jump, time, method="publickey", minutes=15)
            do.evidence.line(AUTH, time + MINUTE, logs.syslog(
                time + MINUTE, "LNX01", "sudo",
                "adm-kobayashi : TTY=pts/0 ; PWD=/home/adm-kobayashi ; USER=root ; COMMAND=/usr/bin/apt-get update"))


def ssh_session(do: Actions, account: str, address: str, time: int, *, method: str, minutes: int) -> list[Record]:
    """An accepted sshd logon and its session."""
    program = f"sshd[{do.rng.randrange(3000, 60000)}]"
    key = ": ED25519 SHA256:q7n3vVxkHh0d3mC1Jc8mXnqk0pW6yqv0wK7m1n2o3p4" if method == "publickey" else ""
    records: list[Record] = [
        do.evidence.line(AUTH, time, logs.syslog(
            time, "LNX01", program,
            f"Accepted {method} for {account} from {address} port {do.rng.randrange(49152, 65500)} ssh2{key}")),
        do.evidence.line(AUTH, time + 40_000, logs.syslog(
            time + 40_000, "LNX01", program,
            f"pam_unix(sshd:session): session opened for user {account}(uid=1001) by (uid=0)"))]
    do.evidence.line(AUTH, time + minutes * MINUTE, logs.syslog(
        time + minutes * MINUTE, "LNX01", program, f"pam_unix(sshd:session): session closed for user {account}"))
    return records


