"""A small company in which tests let things happen: every record is visible in the test."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC
from hashlib import sha256
from pathlib import Path

import pytest

from hikeshi.events.table import TableBuilder
from hikeshi.events.time import NO_TIME, parse_iso
from hikeshi.evidence.source import Source
from hikeshi.trace import Digest, build_story, digest

SYSMON = "Microsoft-Windows-Sysmon/Operational"
ADDRESSES = {
    "SRV1": "10.1.0.11",
    "SRV2": "10.1.0.12",
    "DC1": "10.1.0.10",
    "JUMP1": "10.1.0.41",
    "BACKUP1": "10.1.0.25",
    "PC1": "10.1.9.1",
    "PC2": "10.1.9.2",
    "PC3": "10.1.9.3",
}


class Scene:
    """Writes records as the parsers give them; `story` digests each file and tells the story."""

    def __init__(self) -> None:
        self.builders: dict[str, TableBuilder] = defaultdict(TableBuilder)
        self.numbers: dict[str, int] = defaultdict(int)
        self.lines: dict[str, int] = defaultdict(int)
        self.made: list[Digest] = []
        for name, address in ADDRESSES.items():
            self.windows(
                "DC1", "2026-06-01 00:00:01", 4624, TargetUserName=f"{name}$", LogonType="3", IpAddress=address
            )

    @staticmethod
    def at(time: str | None) -> int:
        return NO_TIME if time is None else parse_iso(time, UTC)

    def windows(
        self, host: str, time: str | None, code: int, channel: str = "Security", file: str | None = None, **fields: str
    ) -> None:
        file = file or f"{host}/{channel.split('/')[0]}.evtx"
        self.numbers[file] += 1
        self.builders[file].add(
            self.at(time),
            {
                "event.code": str(code),
                "winlog.channel": channel,
                "host.name": f"{host}.corp.example",
                "winlog.record_id": self.numbers[file],
                **fields,
            },
        )

    def line(self, file: str, time: str | None, **cells: object) -> None:
        self.lines[file] += 1
        self.builders[file].add(self.at(time), {"log.line": self.lines[file], **cells})

    # What people and programs do

    def logon(
        self, host: str, time: str, account: str, source: str, kind: str = "3", logon_id: str = "0x1234", **fields: str
    ) -> None:
        self.windows(
            host,
            time,
            4624,
            TargetUserName=account,
            TargetDomainName="CORP",
            LogonType=kind,
            IpAddress=ADDRESSES.get(source, source),
            WorkstationName="-",
            TargetLogonId=logon_id,
            **fields,
        )

    def rdp(self, host: str, time: str, account: str, source: str, logon_id: str = "0x1234") -> None:
        self.logon(host, time, account, source, "10", logon_id)

    def program(
        self,
        host: str,
        time: str,
        account: str,
        image: str,
        command: str,
        parent: str = "C:\\Windows\\explorer.exe",
        logon_id: str = "0x1234",
        **fields: str,
    ) -> None:
        self.windows(
            host,
            time,
            4688,
            SubjectUserName=account,
            SubjectDomainName="CORP",
            SubjectLogonId=logon_id,
            NewProcessName=image,
            CommandLine=command,
            ParentProcessName=parent,
            **fields,
        )

    def dump(self, host: str, time: str, account: str = "SYSTEM", logon_id: str = "0x3e7") -> None:
        self.program(
            host,
            time,
            account,
            "C:\\Windows\\System32\\rundll32.exe",
            "rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 640 C:\\x.dmp full",
            logon_id=logon_id,
        )

    def service(self, host: str, time: str, name: str, path: str) -> None:
        self.windows(host, time, 7045, "System", ServiceName=name, ImagePath=path, StartType="demand start")

    def psexec(self, source: str, host: str, time: str, account: str, logon_id: str = "0x99") -> None:
        self.logon(host, time, account, source, "3", logon_id)
        self.windows(
            host,
            time,
            5145,
            SubjectUserName=account,
            SubjectLogonId=logon_id,
            IpAddress=ADDRESSES[source],
            ShareName="\\\\*\\ADMIN$",
            RelativeTargetName="PSEXESVC.exe",
        )
        self.service(host, time, "PSEXESVC", "%SystemRoot%\\PSEXESVC.exe")

    def explicit(
        self, source: str, host: str, time: str, actor: str, account: str, program: str = "C:\\x\\PsExec.exe"
    ) -> None:
        self.windows(
            source,
            time,
            4648,
            SubjectUserName=actor,
            TargetUserName=account,
            TargetDomainName="CORP",
            TargetServerName=host,
            TargetInfo=f"cifs/{host}",
            ProcessName=program,
            SubjectLogonId="0x77",
        )

    def vpn_failure(self, time: str, account: str, source: str) -> None:
        self.line(
            "firewall.log",
            time,
            **{
                "event.dataset": "fortinet.event",
                "subtype": "vpn",
                "event.action": "ssl-login-fail",
                "action": "ssl-login-fail",
                "user.name": account,
                "source.ip": source,
                "observer.name": "FW1",
            },
        )

    def vpn(self, time: str, account: str, source: str, tunnel: str, until: str | None = None) -> None:
        for moment, action in ((time, "tunnel-up"), (until, "tunnel-down")):
            if moment:
                self.line(
                    "firewall.log",
                    moment,
                    **{
                        "event.dataset": "fortinet.event",
                        "subtype": "vpn",
                        "event.action": action,
                        "action": action,
                        "user.name": account,
                        "source.ip": source,
                        "tunnelip": tunnel,
                        "observer.name": "FW1",
                    },
                )

    def proxy(
        self, time: str, client: str, domain: str, sent: int = 500, got: int = 4000, ip: str = "203.0.113.200"
    ) -> None:
        self.line(
            "proxy.log",
            time,
            **{
                "event.dataset": "squid.access",
                "source.ip": ADDRESSES[client],
                "destination.domain": domain,
                "destination.ip": ip,
                "destination.port": 443,
                "url.full": f"{domain}:443",
                "source.bytes": sent,
                "destination.bytes": got,
            },
        )

    def web(self, time: str, client: str, method: str, path: str, status: int) -> None:
        self.line(
            "web.log",
            time,
            **{
                "event.dataset": "iis.access",
                "source.ip": client,
                "destination.ip": ADDRESSES["SRV1"],
                "url.full": path,
                "http.request.method": method,
                "http.response.status_code": status,
            },
        )

    # The answer

    def digests(self) -> list[Digest]:
        out = []
        for file, builder in self.builders.items():
            source = Source(Path(file), file, sha256(file.encode()).hexdigest(), 1, kind="text")
            out.append(digest(source, builder.build()))
        self.made = out
        return out

    def story(self, **more: object):  # type: ignore[no-untyped-def]
        return build_story(self.digests(), **more)  # type: ignore[arg-type]

    def story_of(self, note: str):  # type: ignore[no-untyped-def]
        """Only the clock offsets, with this note beside the same evidence."""
        return build_story(self.made or self.digests(), notes=[note]).clock_offsets


@pytest.fixture
def scene() -> Scene:
    return Scene()
