"""An indicator seen in the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["destination", "source", "mention"]
"""The client went there; it came to us (then `client` is the indicator's own address); it is only named."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One indicator × client × file, with times in UTC ISO 8601 and `bytes_out` in bytes the
    client sent (None where the log does not say). `lines` holds the first thousand, from 1
    (record ids for event logs); `count` is exact. `action` is the most frequent one (as the log
    names it); `client_host` and `client_mac` the machine that had the address at that time, by DHCP."""

    indicator: str
    indicator_type: str
    role: Role
    client: str | None
    user: str | None
    first_seen: str | None
    last_seen: str | None
    count: int
    bytes_out: int | None
    file: str
    sha256: str
    lines: tuple[int, ...]
    warning_lists: tuple[str, ...] = ()
    action: str | None = None
    client_host: str | None = None
    client_mac: str | None = None

    def to_dict(self) -> dict[str, object]:
        return {
            "indicator": self.indicator, "indicator_type": self.indicator_type, "role": self.role,
            "client": self.client, "user": self.user, "first_seen": self.first_seen,
            "last_seen": self.last_seen, "count": self.count, "bytes_out": self.bytes_out,
            "file": self.file, "sha256": self.sha256, "lines": list(self.lines),
            "warning_lists": list(self.warning_lists), "action": self.action, "client_host": self.client_host,
            "client_mac": self.client_mac,
        }
