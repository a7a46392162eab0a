"""What people and programs do, as the records Windows and the devices write about it.

Each action takes a time and returns the records it caused. Ordinary life and attack call the same
actions: what tells them apart is who, from where, when and what next, as in real evidence.
"""

from __future__ import annotations

import uuid
from hashlib import md5, sha256

from hikeshi.demo import logs
from hikeshi.demo.evidence_set import (
    CONNECTIONS,
    SECURITY,
    SESSIONS,
    SYSMON,
    SYSTEM,
    Record,
    WindowsRecord,
)
from hikeshi.demo.evtx_writer import Value
from hikeshi.demo.world import ADMINS, DOMAIN, FORTIGATE, HOUR, MINUTE, SECOND, Host, World
from hikeshi.events.time import to_datetime

_SYSTEM32 = "C:\\Windows\\System32\\"
SERVICES, WMI_HOST = _SYSTEM32 + "services.exe", _SYSTEM32 + "wbem\\WmiPrvSE.exe"
SVCHOST, CMD, EXPLORER = _SYSTEM32 + "svchost.exe", _SYSTEM32 + "cmd.exe", "C:\\Windows\\explorer.exe"
POWERSHELL = _SYSTEM32 + "WindowsPowerShell\\v1.0\\powershell.exe"
_ADMIN_PRIVILEGES = "\n\t\t\t".join((
    "SeSecurityPrivilege", "SeBackupPrivilege", "SeRestorePrivilege", "SeTakeOwnershipPrivilege", "SeDebugPrivilege",
    "SeSystemEnvironmentPrivilege", "SeLoadDriverPrivilege", "SeImpersonatePrivilege",
    "SeDelegateSessionUserImpersonatePrivilege"))
_NULL_GUID = "00000000-0000-0000-0000-000000000000"


class Actions:
    """The verbs of a world."""

    def __init__(self, world: World, purpose: str) -> None:
        self.world = world
        self.evidence = world.evidence
        self.rng = world.random(purpose)
        self._guid_rng = world.random(purpose + " guids")
        self._started: dict[tuple[str, str], tuple[int, int, str]] = {}  # (host, image): time, pid, GUID

    # --- small parts ---

    def _guid(self) -> str:
        return str(uuid.UUID(int=self._guid_rng.getrandbits(128)))

    def _port(self) -> int:
        return self.rng.randrange(49152, 65500)

    def _domain(self, account: str, host: str) -> str:
        if (host, account) in self.world.local_sids:
            return host
        return "NT AUTHORITY" if account == "SYSTEM" else DOMAIN

    def _machine(self, host: str) -> dict[str, Value]:
        return {"SubjectUserSid": "S-1-5-18", "SubjectUserName": f"{host}$", "SubjectDomainName": DOMAIN,
                "SubjectLogonId": 0x3E7}

    def subject(self, account: str, host: str, logon_id: int) -> dict[str, Value]:
        if account == "SYSTEM":
            return self._machine(host)
        if "\\" in account:  # IIS APPPOOL\PortalPool
            domain, name = account.split("\\")
            return {"SubjectUserSid": self.world.sid(account), "SubjectUserName": name, "SubjectDomainName": domain,
                    "SubjectLogonId": logon_id}
        return {"SubjectUserSid": self.world.sid(account, host), "SubjectUserName": account,
                "SubjectDomainName": self._domain(account, host), "SubjectLogonId": logon_id}

    def _target(self, account: str, host: str, logon_id: int) -> dict[str, Value]:
        return {"TargetUserSid": self.world.sid(account, host), "TargetUserName": account,
                "TargetDomainName": self._domain(account, host), "TargetLogonId": logon_id}

    def _security(self, host: str, event_id: int, time: int, **values: Value) -> WindowsRecord:
        return self.evidence.event(host, SECURITY, event_id, time, None, 712, **values)

    def is_admin(self, account: str, host: str) -> bool:
        return account in ADMINS or account == "SYSTEM" or (host, account) in self.world.local_sids

    # --- logons ---

    def logon(self, host: str, account: str, kind: int, time: int, *, address: str = "127.0.0.1",
              workstation: str | None = None, ntlm: bool = False, stay_s: int = 20,
              admin: bool | None = None) -> tuple[int, list[Record]]:
        """4624 (and 4672, 4634) on `host`; the logon id and the records."""
        logon_id = self.world.next_logon_id()
        values = self._target(account, host, logon_id) | {"LogonType": kind}
        if kind == 3:
            package: dict[str, Value] = (
                {"LogonProcessName": "NtLmSsp ", "AuthenticationPackageName": "NTLM", "LmPackageName": "NTLM V2",
                 "KeyLength": 128, "WorkstationName": workstation or self.world.name_of(address)} if ntlm else
                {"LogonProcessName": "Kerberos", "AuthenticationPackageName": "Kerberos", "LogonGuid": self._guid()})
            values |= package | {"IpAddress": address, "IpPort": str(self._port())}
        else:
            process = {2: "winlogon.exe", 7: "lsass.exe", 5: "services.exe"}.get(kind, "svchost.exe")
            values |= self._machine(host) | {
                "LogonProcessName": "Advapi  " if kind == 5 else "User32 ", "AuthenticationPackageName": "Negotiate",
                "WorkstationName": host, "ProcessId": 0x300 + kind * 4, "ProcessName": _SYSTEM32 + process}
            if kind != 5:
                values |= {"IpAddress": address, "IpPort": "0"}
        is_admin = self.is_admin(account, host) if admin is None else admin
        if is_admin:
            values["ElevatedToken"] = "%%1842"
        records: list[Record] = [self._security(host, 4624, time, **values)]
        if kind == 3 and ntlm and (host, account) not in self.world.local_sids:
            self._security(self._dc(), 4776, time - 4000, TargetUserName=account,
                           Workstation=workstation or self.world.name_of(address))
        if is_admin:
            records.append(self._security(host, 4672, time + 20, PrivilegeList=_ADMIN_PRIVILEGES,
                                          **self.subject(account, host, logon_id)))
        if stay_s and time + stay_s * SECOND < self.world.end:
            self._security(host, 4634, time + stay_s * SECOND, LogonType=kind, **self._target(account, host, logon_id))
        return logon_id, records

    def failed_logon(self, host: str, account: str, kind: int, time: int, *, address: str = "127.0.0.1",
                     unknown: bool = False) -> list[Record]:
        values: dict[str, Value] = {
            "TargetUserName": account, "TargetDomainName": DOMAIN, "Status": 0xC000006D,
            "SubStatus": 0xC0000064 if unknown else 0xC000006A, "LogonType": kind, "IpAddress": address,
            "IpPort": str(self._port()) if kind == 3 else "0"}
        if kind == 3:
            values |= {"LogonProcessName": "NtLmSsp ", "AuthenticationPackageName": "NTLM",
                       "WorkstationName": self.world.name_of(address)}
        else:
            values |= self._machine(host) | {"LogonProcessName": "User32 ", "AuthenticationPackageName": "Negotiate",
                                             "WorkstationName": host, "ProcessName": SVCHOST, "ProcessId": 0x31C}
        return [self._security(host, 4625, time, **values)]

    def ticket_request(self, account: str, address: str, time: int, *, wrong_password: bool = False) -> list[Record]:
        """4768 (or 4771) on a domain controller: someone signs in somewhere."""
        dc = self._dc()
        values: dict[str, Value] = {"TargetUserName": account, "IpAddress": f"::ffff:{address}",
                                    "IpPort": str(self._port())}
        if wrong_password:
            return [self._security(dc, 4771, time, TargetSid=self.world.sid(account),
                                   ServiceName=f"krbtgt/{DOMAIN}", **values)]
        return [self._security(dc, 4768, time, TargetDomainName=DOMAIN, TargetSid=self.world.sid(account),
                               ServiceSid="S-1-5-21-1804289383-846930886-1681692777-502", **values)]

    def service_ticket(self, account: str, address: str, service: str, time: int) -> list[Record]:
        realm = "KAEDE.EXAMPLE"
        return [self._security(self._dc(), 4769, time, TargetUserName=f"{account}@{realm}", TargetDomainName=realm,
                               ServiceName=f"{service}$", ServiceSid="S-1-5-21-1804289383-846930886-1681692777-1000",
                               IpAddress=f"::ffff:{address}", IpPort=str(self._port()), LogonGuid=self._guid())]

    def _dc(self) -> str:
        return "DC01" if self.rng.random() < 0.6 else "DC02"

    def explicit_credentials(self, host: str, account: str, logon_id: int, used: str, target: Host, time: int,
                             process: str, info: str) -> list[Record]:
        """4648 on the host from which the credentials were used."""
        return [self._security(
            host, 4648, time, **self.subject(account, host, logon_id), TargetUserName=used, TargetDomainName=DOMAIN,
            TargetServerName=target.fqdn, TargetInfo=info, ProcessId=self._pid(), ProcessName=process)]

    # --- programs ---

    def _pid(self) -> int:
        return self.rng.randrange(1000, 16000) // 4 * 4

    def _running(self, host: str, image: str, time: int) -> tuple[int, str]:
        """Process number and GUID of a program on a host: those of its start, if that was seen."""
        known = self._started.get((host, image.lower()))
        if known is None or not 0 <= time - known[0] < 8 * HOUR:
            known = self._started[host, image.lower()] = (time, self._pid(), self._guid())
        return known[1], known[2]

    def process(self, host: str, account: str, logon_id: int, time: int, image: str, command: str, parent: str,
                parent_command: str = "") -> list[Record]:
        """4688 with command line, and Sysmon 1 where Sysmon is installed."""
        parent_pid, parent_guid = self._running(host, parent, time)
        pid, guid = self._pid(), self._guid()
        self._started[host, image.lower()] = (time, pid, guid)
        system = account == "SYSTEM" or account.endswith("$")
        subject = self._machine(host) if system else self.subject(account, host, logon_id)
        records: list[Record] = [self.evidence.event(
            host, SECURITY, 4688, time, None, 4, **subject, NewProcessId=pid, NewProcessName=image,
            ProcessId=parent_pid, CommandLine=command, ParentProcessName=parent,
            TokenElevationType="%%1936" if system or self.is_admin(account, host) else "%%1938",
            MandatoryLabel="S-1-16-16384" if system else
            "S-1-16-12288" if self.is_admin(account, host) else "S-1-16-8192")]
        if self.world.host(host).sysmon:
            records.append(self._sysmon(
                host, 1, time + 900, ProcessGuid=guid, ProcessId=pid, Image=image, CommandLine=command,
                OriginalFileName=image.rsplit("\\", 1)[-1], User=self.user_name(account, host),
                LogonGuid=self._guid(), LogonId=logon_id, TerminalSessionId=0 if system else 2,
                IntegrityLevel="System" if system else "High" if self.is_admin(account, host) else "Medium",
                Hashes=_hashes(image), ParentProcessGuid=parent_guid, ParentProcessId=parent_pid,
                ParentImage=parent, ParentCommandLine=parent_command or parent,
                ParentUser=self.user_name(account, host)))
        return records

    def user_name(self, account: str, host: str) -> str:
        if "\\" in account:
            return account
        return "NT AUTHORITY\\SYSTEM" if account == "SYSTEM" else f"{self._domain(account, host)}\\{account}"

    def _sysmon(self, host: str, event_id: int, time: int, **values: Value) -> WindowsRecord:
        moment = to_datetime(time)
        return self.evidence.event(
            host, SYSMON, event_id, time, "S-1-5-18", 2796,
            UtcTime=f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}", **values)

    def process_access(self, host: str, account: str, time: int, image: str, target: str, access: str) -> list[Record]:
        if not self.world.host(host).sysmon:
            return []
        trace = "C:\\Windows\\SYSTEM32\\ntdll.dll+9d9d4|C:\\Windows\\System32\\KERNELBASE.dll+2c13e"
        if access == "0x1fffff":
            trace += "|C:\\Windows\\System32\\comsvcs.dll+261d|C:\\Windows\\System32\\rundll32.exe+3b9f"
        pid, guid = self._running(host, image, time)
        return [self._sysmon(host, 10, time, SourceProcessGUID=guid, SourceProcessId=pid,
                             SourceThreadId=self._pid(), SourceImage=image, TargetProcessGUID=self._guid(),
                             TargetProcessId=712, TargetImage=target, GrantedAccess=access, CallTrace=trace,
                             SourceUser=self.user_name(account, host), TargetUser="NT AUTHORITY\\SYSTEM")]

    def connection(self, host: str, account: str, time: int, image: str, address: str, port: int,
                   name: str = "-") -> list[Record]:
        computer = self.world.host(host)
        if not computer.sysmon:
            return []
        pid, guid = self._running(host, image, time)
        return [self._sysmon(host, 3, time, ProcessGuid=guid, ProcessId=pid, Image=image,
                             User=self.user_name(account, host), SourceIp=computer.address,
                             SourceHostname=computer.fqdn, SourcePort=self._port(), DestinationIp=address,
                             DestinationHostname=name, DestinationPort=port)]

    def name_lookup(self, host: str, account: str, time: int, image: str, name: str, address: str) -> list[Record]:
        if not self.world.host(host).sysmon:
            return []
        pid, guid = self._running(host, image, time)
        return [self._sysmon(host, 22, time, ProcessGuid=guid, ProcessId=pid, QueryName=name, Image=image,
                             QueryResults=f"::ffff:{address};", User=self.user_name(account, host))]

    def file_created(self, host: str, account: str, time: int, image: str, path: str) -> list[Record]:
        if not self.world.host(host).sysmon:
            return []
        moment = to_datetime(time)
        pid, guid = self._running(host, image, time)
        return [self._sysmon(host, 11, time, ProcessGuid=guid, ProcessId=pid, Image=image,
                             TargetFilename=path, User=self.user_name(account, host),
                             CreationUtcTime=f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}")]

    def registry_set(self, host: str, account: str, time: int, image: str, key: str, details: str) -> list[Record]:
        if not self.world.host(host).sysmon:
            return []
        pid, guid = self._running(host, image, time)
        return [self._sysmon(host, 13, time, ProcessGuid=guid, ProcessId=pid, Image=image,
                             TargetObject=key, Details=details, User=self.user_name(account, host))]

    def account_created(self, host: str, account: str, logon_id: int, time: int, name: str, sid: str) -> list[Record]:
        """4720, 4722 and 4724: an account made, enabled and given its password."""
        subject = self.subject(account, host, logon_id)
        target: dict[str, Value] = {"TargetUserName": name, "TargetSid": sid,
                                    "TargetDomainName": self._domain(name, host)}
        return [
            self._security(host, 4720, time, **target, **subject, SamAccountName=name,
                           UserAccountControl="\n\t\t%%2080\n\t\t%%2082\n\t\t%%2084"),
            self._security(host, 4722, time + 10_000, **target, **subject),
            self._security(host, 4724, time + 20_000, **target, **subject)]

    # --- services and tasks ---

    def service_state(self, host: str, name: str, display: str, time: int, *, running: bool = True) -> list[Record]:
        return [self.evidence.event(
            host, SYSTEM, 7036, time, None, 660, param1=display, param2="running" if running else "stopped",
            Binary=f"{name}/{4 if running else 1}\0".encode("utf-16-le"))]

    def service_installed(self, host: str, account: str, logon_id: int, time: int, name: str, image: str, *,
                          start: str = "demand start", run_as: str = "LocalSystem") -> list[Record]:
        """7045 in the System log and 4697 in the Security log."""
        return [
            self.evidence.event(host, SYSTEM, 7045, time, self.world.sid(account, host), 660,
                                ServiceName=name, ImagePath=image, ServiceType="user mode service", StartType=start,
                                AccountName=run_as),
            self._security(host, 4697, time + 300, **self.subject(account, host, logon_id), ServiceName=name,
                           ServiceFileName=image, ServiceStartType=2 if start == "auto start" else 3,
                           ServiceAccount=run_as)]

    def task_registered(self, host: str, account: str, logon_id: int, time: int, name: str, command: str,
                        arguments: str, *, run_as: str = "S-1-5-18") -> list[Record]:
        begin = to_datetime(time + 2 * MINUTE).astimezone(logs.JST)
        content = (
            '<?xml version="1.0" encoding="UTF-16"?>\r\n'
            '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">\r\n'
            f"  <RegistrationInfo>\r\n    <Author>{self.user_name(account, host)}</Author>\r\n"
            f"    <URI>{name}</URI>\r\n  </RegistrationInfo>\r\n  <Triggers>\r\n    <TimeTrigger>\r\n"
            f"      <StartBoundary>{begin:%Y-%m-%dT%H:%M:%S}</StartBoundary>\r\n      <Enabled>true</Enabled>\r\n"
            "    </TimeTrigger>\r\n  </Triggers>\r\n  <Principals>\r\n    <Principal id=\"Author\">\r\n"
            f"      <UserId>{run_as}</UserId>\r\n      <RunLevel>HighestAvailable</RunLevel>\r\n"
            "    </Principal>\r\n  </Principals>\r\n  <Actions Context=\"Author\">\r\n    <Exec>\r\n"
            f"      <Command>{_xml(command)}</Command>\r\n      <Arguments>{_xml(arguments)}</Arguments>\r\n"
            "    </Exec>\r\n  </Actions>\r\n</Task>")
        return [self._security(host, 4698, time, **self.subject(account, host, logon_id), TaskName=name,
                               TaskContent=content)]

    def log_cleared(self, host: str, account: str, logon_id: int, time: int, log: str = SECURITY) -> list[Record]:
        self.evidence.clear(host, log, time)
        if log == SYSTEM:
            return [self.evidence.event(host, SYSTEM, 104, time, self.world.sid(account, host),
                                        SubjectUserName=account, SubjectDomainName=self._domain(account, host),
                                        Channel="System")]
        return [self.evidence.event(host, SECURITY, 1102, time, None, 1108,
                                    **self.subject(account, host, logon_id))]

    # --- from host to host ---

    def rdp(self, source_address: str, target: str, account: str, time: int, *, minutes: int,
            used_by: str | None = None, client_name: str | None = None) -> tuple[int, list[Record]]:
        """A remote desktop session; `used_by`: the account at the source, if the source is one of ours."""
        source = self.world.name_of(source_address)
        computer = self.world.host(target)
        records: list[Record] = []
        if source != "-":
            if used_by is not None:
                own = self.world.next_logon_id()
                records += self.process(source, used_by, own, time - 9 * SECOND, _SYSTEM32 + "mstsc.exe",
                                        f'"C:\\Windows\\system32\\mstsc.exe" /v:{target}', EXPLORER)
                if used_by != account or self.is_admin(account, source):
                    records += self.explicit_credentials(source, used_by, own, account, computer, time - 3 * SECOND,
                                                         _SYSTEM32 + "mstsc.exe", f"TERMSRV/{computer.fqdn}")
                records += self.connection(source, used_by, time - 2 * SECOND, _SYSTEM32 + "mstsc.exe",
                                           computer.address, 3389, computer.fqdn)
            if (target, account) not in self.world.local_sids:
                self.service_ticket(account, source_address, target, time - 2 * SECOND)
        _, network = self.logon(target, account, 3, time - SECOND, address=source_address, ntlm=source == "-",
                                workstation=client_name, stay_s=2)
        logon_id, interactive = self.logon(target, account, 10, time + 2 * SECOND, address=source_address, stay_s=0)
        name = self.user_name(account, target)
        number = self.rng.randrange(2, 60)
        records += [*network, *interactive]
        records.append(self.evidence.event(
            target, CONNECTIONS, 1149, time, "S-1-5-20", 1040, Param1=account,
            Param2=self._domain(account, target), Param3=source_address))
        records += [self.evidence.event(target, SESSIONS, event_id, time + after, "S-1-5-18", 1224,
                                        User=name, SessionID=number, Address=source_address)
                    for event_id, after in ((21, 3 * SECOND), (22, 4 * SECOND))]
        end = time + minutes * MINUTE
        if end < self.world.end:
            self.evidence.event(target, SESSIONS, 24, end, "S-1-5-18", 1224, User=name,
                                SessionID=number, Address=source_address)
            self._security(target, 4779, end + 100, AccountName=account, AccountDomain=self._domain(account, target),
                           LogonID=logon_id, SessionName=f"RDP-Tcp#{number}", ClientName=client_name or source,
                           ClientAddress=source_address)
            self.evidence.event(target, SESSIONS, 23, end + 2 * SECOND, "S-1-5-18", 1224, User=name,
                                SessionID=number)
            self._security(target, 4634, end + 2 * SECOND, LogonType=10, **self._target(account, target, logon_id))
        return logon_id, records

    def share_access(self, target: str, account: str, logon_id: int, time: int, address: str, share: str,
                     file: str | None = None, path: str = "") -> list[Record]:
        values: dict[str, Value] = {"IpAddress": address, "IpPort": str(self._port()), "ShareName": f"\\\\*\\{share}",
                                    "ShareLocalPath": path or ("\\??\\C:\\Windows" if share == "ADMIN$" else "")}
        subject = self.subject(account, target, logon_id)
        if file is None:
            return [self._security(target, 5140, time, **subject, **values)]
        return [self._security(target, 5145, time, **subject, **values, RelativeTargetName=file)]

    def _network_logon(self, source: Host, target: str, account: str, time: int, *,
                       stay_s: int = 60) -> tuple[int, list[Record]]:
        ticket = self.service_ticket(account, source.address, target, time - 40_000)
        logon_id, records = self.logon(target, account, 3, time, address=source.address, stay_s=stay_s)
        return logon_id, [*ticket, *records]

    def psexec(self, source: str, target: str, account: str, time: int, *, tool: str, options: str,
               remote_command: str, used_by: str, remote_image: str) -> tuple[int, list[Record]]:
        """PsExec from `source`: service PSEXESVC on `target` runs a command there."""
        here, there, own = self.world.host(source), self.world.host(target), self.world.next_logon_id()
        records = self.process(source, used_by, own, time - 2 * SECOND, tool,
                               f"{tool.rsplit(chr(92), 1)[-1]} \\\\{target} {options} {remote_command}", CMD)
        records += self.explicit_credentials(source, used_by, own, account, there, time - SECOND, tool,
                                             f"cifs/{there.fqdn}")
        records += self.connection(source, used_by, time - SECOND, tool, there.address, 445, there.fqdn)
        logon_id, logon = self._network_logon(here, target, account, time)
        records += logon
        records += self.share_access(target, account, logon_id, time + 100_000, here.address, "ADMIN$")
        records += self.share_access(target, account, logon_id, time + 160_000, here.address, "ADMIN$", "PSEXESVC.exe")
        records += self.share_access(target, account, logon_id, time + 300_000, here.address, "IPC$", "svcctl")
        records += self.file_created(target, "SYSTEM", time + 200_000, "System", "C:\\Windows\\PSEXESVC.exe")
        records += self.service_installed(target, account, logon_id, time + 500_000, "PSEXESVC",
                                          "%SystemRoot%\\PSEXESVC.exe")
        records += self.service_state(target, "PSEXESVC", "PSEXESVC", time + 700_000)
        records += self.process(target, "SYSTEM", 0x3E7, time + 650_000, "C:\\Windows\\PSEXESVC.exe",
                                "C:\\Windows\\PSEXESVC.exe", SERVICES)
        records += self.share_access(target, account, logon_id, time + 800_000, here.address, "IPC$",
                                     f"PSEXESVC-{source}-{self._pid()}-stdin")
        records += self.process(target, "SYSTEM" if "-s" in options.split() else account, logon_id, time + SECOND,
                                remote_image, remote_command, "C:\\Windows\\PSEXESVC.exe")
        return logon_id, records

    def remote_service(self, source: str, target: str, account: str, time: int, *, used_by: str, name: str,
                       image: str, drop: str) -> tuple[int, list[Record]]:
        """A file copied to ADMIN$ and a service made with sc.exe from `source`."""
        here, there, own = self.world.host(source), self.world.host(target), self.world.next_logon_id()
        records = self.process(source, used_by, own, time - SECOND, _SYSTEM32 + "sc.exe",
                               f'sc.exe \\\\{target} create {name} binPath= "{image}" start= auto', CMD)
        records += self.explicit_credentials(source, used_by, own, account, there, time - 30 * SECOND,
                                             _SYSTEM32 + "net.exe", f"cifs/{there.fqdn}")
        logon_id, logon = self._network_logon(here, target, account, time - 29 * SECOND, stay_s=180)
        records += logon
        records += self.share_access(target, account, logon_id, time - 28 * SECOND, here.address, "ADMIN$")
        records += self.share_access(target, account, logon_id, time - 27 * SECOND, here.address, "ADMIN$", drop)
        records += self.share_access(target, account, logon_id, time, here.address, "IPC$", "svcctl")
        records += self.service_installed(target, account, logon_id, time + 200_000, name, image, start="auto start")
        records += self.service_state(target, name, name, time + SECOND)
        records += self.process(target, "SYSTEM", 0x3E7, time + SECOND, image.split(" -")[0], image, SERVICES)
        return logon_id, records

    def remote_task(self, source: str, target: str, account: str, time: int, *, used_by: str, name: str,
                    command: str, arguments: str) -> tuple[int, list[Record]]:
        here, there, own = self.world.host(source), self.world.host(target), self.world.next_logon_id()
        records = self.process(
            source, used_by, own, time - SECOND, _SYSTEM32 + "schtasks.exe",
            f'schtasks /create /s {target} /tn {name} /tr "{command} {arguments}" /sc once /st 23:59 /ru SYSTEM /f',
            CMD)
        records += self.explicit_credentials(source, used_by, own, account, there, time - 500_000,
                                             _SYSTEM32 + "schtasks.exe", f"host/{there.fqdn}")
        logon_id, logon = self._network_logon(here, target, account, time)
        records += logon
        records += self.share_access(target, account, logon_id, time + 200_000, here.address, "IPC$", "atsvc")
        records += self.task_registered(target, account, logon_id, time + 400_000, f"\\{name}", command, arguments)
        records += self.process(target, "SYSTEM", 0x3E7, time + 20 * SECOND, command, f"{command} {arguments}",
                                SVCHOST, SVCHOST + " -k netsvcs -p -s Schedule")
        return logon_id, records

    def wmi(self, source: str, target: str, account: str, time: int, *, used_by: str, image: str,
            command: str) -> tuple[int, list[Record]]:
        """A process made through WMI: a child of WmiPrvSE.exe on `target`."""
        here, there, own = self.world.host(source), self.world.host(target), self.world.next_logon_id()
        wmic = _SYSTEM32 + "wbem\\WMIC.exe"
        records = self.process(source, used_by, own, time - 2 * SECOND, wmic,
                               f'wmic /node:{target} /user:{DOMAIN}\\{account} process call create "{command}"', CMD)
        records += self.explicit_credentials(source, used_by, own, account, there, time - SECOND, wmic,
                                             f"RPCSS/{there.fqdn}")
        records += self.connection(source, used_by, time - SECOND, wmic, there.address, 135, there.fqdn)
        logon_id, logon = self._network_logon(here, target, account, time)
        records += logon
        records += self.process(target, account, logon_id, time + SECOND, image, command, WMI_HOST,
                                WMI_HOST + " -secured -Embedding")
        return logon_id, records

    def winrm(self, source: str, target: str, account: str, time: int, *, used_by: str, image: str,
              command: str) -> tuple[int, list[Record]]:
        """A PowerShell remoting session: wsmprovhost.exe and its child on `target`."""
        here, there, own = self.world.host(source), self.world.host(target), self.world.next_logon_id()
        records = self.process(source, used_by, own, time - 2 * SECOND, POWERSHELL,
                               f"powershell.exe -nop -c Invoke-Command -ComputerName {target} -Credential $c "
                               "-ScriptBlock $b", CMD)
        records += self.explicit_credentials(source, used_by, own, account, there, time - SECOND, POWERSHELL,
                                             f"HTTP/{there.fqdn}")
        records += self.connection(source, used_by, time - SECOND, POWERSHELL, there.address, 5985, there.fqdn)
        logon_id, logon = self._network_logon(here, target, account, time, stay_s=600)
        records += logon
        records += self.process(target, account, logon_id, time + SECOND, _SYSTEM32 + "wsmprovhost.exe",
                                "C:\\Windows\\system32\\wsmprovhost.exe -Embedding", SVCHOST,
                                SVCHOST + " -k DcomLaunch -p")
        records += self.process(target, account, logon_id, time + 3 * SECOND, image, command,
                                _SYSTEM32 + "wsmprovhost.exe", "C:\\Windows\\system32\\wsmprovhost.exe -Embedding")
        return logon_id, records

    # --- the firewall ---

    def traffic(self, source: str, destination: str, port: int, time: int, *, duration: int = 5, sent: int = 2000,
                received: int = 6000, interfaces: tuple[str, str] = ("lan", "wan1"), service: str = "HTTPS",
                user: str | None = None, action: str = "close") -> list[Record]:
        """A FortiGate traffic line, written when the session ends."""
        if time + duration * SECOND >= self.world.end:
            return []
        return [self.evidence.line(FORTIGATE, time + duration * SECOND, logs.fortigate_traffic(
            time + duration * SECOND, source=source, source_port=self._port(), source_interface=interfaces[0],
            destination=destination, destination_port=port, destination_interface=interfaces[1], service=service,
            sent=sent, received=received, duration=duration, policy=0 if action == "deny" else 12,
            session=self.world.next_session(), user=user, action=action))]


def _hashes(image: str) -> str:
    name = image.lower().encode()
    return (f"MD5={md5(name, usedforsecurity=False).hexdigest().upper()},SHA256={sha256(name).hexdigest().upper()},"
            f"IMPHASH={md5(name + b'i', usedforsecurity=False).hexdigest().upper()}")


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
