"""More verbs for attackers and decoys: work from outside machines, group policy, ESXi, remote tools, devices."""

from __future__ import annotations

from hikeshi.demo import logs
from hikeshi.demo.actions import CMD, POWERSHELL, SERVICES, SVCHOST, WMI_HOST, Actions
from hikeshi.demo.evidence_set import SCRIPTS, Record, TextLog
from hikeshi.demo.world import DOMAIN, FORTIGATE, MINUTE, SECOND, World
from hikeshi.events.time import to_datetime

ESXI_AUTH, ESXI_SHELL, DHCP, ASA, APACHE = "esxi auth", "esxi shell", "dhcp", "asa", "apache"
_SYSTEM32 = "C:\\Windows\\System32\\"


def add_logs(world: World) -> None:
    """The text logs only generated incidents have."""
    world.evidence.text |= {
        ESXI_AUTH: TextLog(lambda _: "ESX01/auth.log"),
        ESXI_SHELL: TextLog(lambda _: "ESX01/shell.log"),
        DHCP: TextLog(lambda _: "dhcp/DhcpSrvLog.log", lambda _: [_DHCP_HEAD]),
        ASA: TextLog(lambda _: "firewall/asa.log"),
        APACHE: TextLog(lambda _: "WEB01/access.log"),
    }


_DHCP_HEAD = "ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name, TransactionID, QResult"


class Verbs(Actions):
    """What `Actions` can do, and what the generated incidents need beside it."""

    def from_outside(
        self,
        address: str,
        target: str,
        account: str,
        time: int,
        method: str,
        *,
        workstation: str = "-",
        command: str = "whoami",
    ) -> tuple[int, list[Record]]:
        """Remote execution by tools on a machine that is not ours: only the target and its domain tell."""
        logon_id, records = self.logon(
            target, account, 3, time, address=address, ntlm=True, workstation=workstation, stay_s=30
        )
        if method == "wmi":
            line = f"cmd.exe /Q /c {command} 1> \\\\127.0.0.1\\ADMIN$\\__{time // SECOND}.{time % 997} 2>&1"
            records += self.process(target, account, logon_id, time + SECOND, CMD, line, WMI_HOST)
        elif method == "service":
            name = "".join(self.rng.choice("BCDFGHKLMNPRSTVZbcdfghklmnprstvz") for _ in range(8))
            line = (
                f"%COMSPEC% /Q /c echo {command} ^> \\\\127.0.0.1\\C$\\__output 2^>^&1 > %TEMP%\\{name}.bat & "
                f"%COMSPEC% /Q /c %TEMP%\\{name}.bat & del %TEMP%\\{name}.bat"
            )
            records += self.share_access(target, account, logon_id, time + 300_000, address, "IPC$", "svcctl")
            records += self.service_installed(target, account, logon_id, time + 500_000, name, line)
        elif method == "psexec_service":
            name = "".join(self.rng.choice("BCDFGHKLMNPRSTVZ") for _ in range(4))
            image = f"%systemroot%\\{name}xQfT.exe"
            records += self.share_access(
                target, account, logon_id, time + 200_000, address, "ADMIN$", f"{name}xQfT.exe"
            )
            records += self.share_access(target, account, logon_id, time + 300_000, address, "IPC$", "svcctl")
            records += self.service_installed(target, account, logon_id, time + 500_000, name, image)
            records += self.process(target, "SYSTEM", 0x3E7, time + SECOND, CMD, f"cmd.exe /c {command}", SERVICES)
        elif method == "winrm":
            host = _SYSTEM32 + "wsmprovhost.exe"
            records += self.process(target, account, logon_id, time + SECOND, host, host + " -Embedding", SVCHOST)
            records += self.process(
                target, account, logon_id, time + 3 * SECOND, CMD, f'"cmd.exe" /C "{command}"', host
            )
        elif method == "scheduled_task":
            name = "".join(self.rng.choice("BCDFGHKLMNPRSTVZbcdfghkl") for _ in range(8))
            arguments = f"/C {command} > C:\\Windows\\Temp\\{name}.tmp 2>&1"
            records += self.share_access(target, account, logon_id, time + 200_000, address, "IPC$", "atsvc")
            records += self.task_registered(
                target, account, logon_id, time + 400_000, f"\\{name}", "cmd.exe", arguments
            )
            records += self.process(target, "SYSTEM", 0x3E7, time + 2 * SECOND, CMD, f"cmd.exe {arguments}", SVCHOST)
        return logon_id, records

    def script(self, host: str, account: str, time: int, text: str) -> list[Record]:
        """4104: the text of a PowerShell script that ran."""
        return [
            self.evidence.event(
                host, SCRIPTS, 4104, time, self.world.sid(account, host), 4120, ScriptBlockText=text,
                ScriptBlockId=self._guid(),
            )
        ]  # fmt: skip

    def group_member(self, host: str, account: str, logon_id: int, time: int, name: str, group: str) -> list[Record]:
        """4728: an account became a member of a global group."""
        return [
            self._security(
                host, 4728, time, **self.subject(account, host, logon_id), TargetUserName=group,
                TargetDomainName=DOMAIN, MemberName=f"CN={name},CN=Users,DC=kaede,DC=example",
                MemberSid=self.world.sid(name),
            )
        ]  # fmt: skip

    def account_enabled(self, host: str, account: str, logon_id: int, time: int, name: str) -> list[Record]:
        """4722 and 4724: an old account works again, with a new password."""
        target = {"TargetUserName": name, "TargetSid": self.world.sid(name), "TargetDomainName": DOMAIN}
        subject = self.subject(account, host, logon_id)
        return [
            self._security(host, 4722, time, **target, **subject),
            self._security(host, 4724, time + 10_000, **target, **subject),
        ]

    def policy_changed(self, account: str, logon_id: int, time: int, policy: str) -> list[Record]:
        """5136: a group policy object changed, as the domain controller notes it."""
        name = f"CN={{{policy}}},CN=POLICIES,CN=SYSTEM,DC=KAEDE,DC=EXAMPLE"
        return [
            self._security(
                "DC01", 5136, time + n * 1000, **self.subject(account, "DC01", logon_id), ObjectDN=name,
                ObjectClass="groupPolicyContainer", AttributeLDAPDisplayName=attribute, AttributeValue=value,
                OpCorrelationID=self._guid(), ObjectGUID=self._guid(),
            )
            for n, (attribute, value) in enumerate(
                (("versionNumber", "65539"), ("gPCMachineExtensionNames", "[{AADCED64-746C-4633-A97C-D61349046527}]"))
            )
        ]  # fmt: skip

    def esxi_session(self, address: str, time: int, commands: tuple[str, ...], *, failures: int = 0) -> list[Record]:
        """An SSH session of root on ESX01 and what was typed in it."""
        records: list[Record] = []
        for number in range(failures):
            moment = time - (failures - number) * 9 * SECOND
            records += self._esxi(
                ESXI_AUTH, moment, "sshd", f"error: PAM: Authentication failure for root from {address}"
            )
        records += self._esxi(
            ESXI_AUTH,
            time,
            "sshd",
            f"Accepted keyboard-interactive/pam for root from {address} port {self._port()} ssh2",
        )
        for number, command in enumerate(commands):
            records += self._esxi(ESXI_SHELL, time + (number + 1) * 14 * SECOND, "shell", f"[root]: {command}")
        return records

    def _esxi(self, log: str, time: int, program: str, text: str) -> list[Record]:
        moment = to_datetime(time)
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
        return [self.evidence.line(log, time, f"{stamp} ESX01 {program}[{2_100_000 + time % 89_000}]: {text}")]

    def anydesk_trace(self, host: str, address: str, number: int, time: int) -> list[Record]:
        """What AnyDesk itself notes of an incoming session: the caller's number and address."""
        log = f"anydesk {host}"
        self.evidence.text.setdefault(log, TextLog(lambda _: f"{host}/ad_svc.trace"))
        records: list[Record] = []
        for after, text in (
            (0, f"Client-ID: {number} (FPR: 5df2a91c)."),
            (80_000, f"Logged in from {address}:{self._port()} on relay 1e2f."),
        ):
            stamp = f"{to_datetime(time + after):%Y-%m-%d %H:%M:%S.%f}"[:-3]
            records.append(
                self.evidence.line(
                    log, time + after, f"   info {stamp}       back   1868   3952            anynet.any_socket - {text}"
                )
            )
        return records

    def dhcp(self, time: int, address: str, host: str, *, renew: bool = False) -> list[Record]:
        local = to_datetime(time).astimezone(logs.JST)
        code, word = ("11", "Renew") if renew else ("10", "Assign")
        mac = f"0A1B2C{sum(map(ord, host)) * 7919 % 0xFFFFFF:06X}"
        return [
            self.evidence.line(
                DHCP, time, f"{code},{local:%m/%d/%y},{local:%H:%M:%S},{word},{address},{host}.kaede.example,{mac},,0,0"
            )
        ]

    def device_login(self, time: int, user: str, address: str) -> list[Record]:
        """An administrator signs in to the firewall itself."""
        return [
            self._device(
                time, "0100032001", "Admin login successful",
                f'user="{user}" ui="https({address})" method="https" srcip={address} dstip=192.0.2.2 action="login" '
                f'status="success" reason="none" profile="super_admin" '
                f'msg="Administrator {user} logged in successfully from https({address})"',
            )
        ]  # fmt: skip

    def device_user_added(self, time: int, name: str, address: str) -> list[Record]:
        """The firewall gets another administrator, through its web console."""
        return [
            self._device(
                time, "0100044547", "Object attribute configured",
                f'user="Local_Process_Access" ui="jsconsole({address})" action="Add" cfgtid=1398800384 '
                f'cfgpath="system.admin" cfgobj="{name}" cfgattr="accprofile[super_admin]vdom[root]" '
                f'msg="Add system.admin {name}"',
            )
        ]  # fmt: skip

    def _device(self, time: int, number: str, what: str, rest: str) -> Record:
        local = to_datetime(time).astimezone(logs.JST)
        return self.evidence.line(
            FORTIGATE, time,
            f'date={local:%Y-%m-%d} time={local:%H:%M:%S} devname="FW-KAEDE-01" devid="FGT60FTK26000001" '
            f'eventtime={time * 1000} tz="+0900" logid="{number}" type="event" subtype="system" level="information" '
            f'vd="root" logdesc="{what}" {rest}',
        )  # fmt: skip

    def asa_vpn(self, account: str, source: str, tunnel: str, time: int, *, minutes: int) -> list[Record]:
        """The same VPN session as another maker's firewall writes it."""
        records: list[Record] = [
            self._asa(
                time, "6-113039", f"Group <KAEDE> User <{account}> IP <{source}> AnyConnect parent session started."
            ),
            self._asa(
                time + SECOND, "4-722051",
                f"Group <KAEDE> User <{account}> IP <{source}> IPv4 Address <{tunnel}> IPv6 address <::> "
                "assigned to session",
            ),
        ]  # fmt: skip
        self._asa(
            time + minutes * MINUTE, "4-113019",
            f"Group = KAEDE, Username = {account}, IP = {source}, Session disconnected. Session Type: SSL, "
            f"Duration: 0h:{minutes:02d}m:00s, Bytes xmt: 912000, Bytes rcv: 81000, Reason: User Requested",
        )  # fmt: skip
        return records

    def asa_failure(self, account: str, source: str, time: int) -> list[Record]:
        return [
            self._asa(
                time, "6-113015",
                "AAA user authentication Rejected : reason = Invalid password : local database : "
                f"user = {account} : user IP = {source}",
            )
        ]  # fmt: skip

    def _asa(self, time: int, number: str, text: str) -> Record:
        local = to_datetime(time).astimezone(logs.JST)
        return self.evidence.line(ASA, time, f"{local:%b %d %Y %H:%M:%S} asa1 : %ASA-{number}: {text}")

    def powershell(
        self, host: str, account: str, logon_id: int, time: int, arguments: str, parent: str
    ) -> list[Record]:
        return self.process(host, account, logon_id, time, POWERSHELL, f"powershell.exe {arguments}", parent)
