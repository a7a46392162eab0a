"""Something to look for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

IndicatorType = Literal[
    "ipv4", "ipv6", "cidr", "domain", "url", "email", "md5", "sha1", "sha256", "sha512", "cve", "btc"
]


@dataclass(frozen=True, slots=True)
class Indicator:
    """A normalised indicator: refanged, lower case where case means nothing, IDNA names in
    their ASCII form; `written` is how the list wrote it, `source` the list and line."""

    value: str
    type: IndicatorType
    written: str = ""
    source: str = ""
    note: str = ""
    warning_lists: tuple[str, ...] = ()
