"""How the desk calls: `[oncall]` in desk.toml.

    [oncall]
    phone = "03-0000-0000"              # shown beside the public page's emergency line
    address = "https://desk.example.jp" # how people reach this desk: goes into the links of a call
    zone = "Asia/Tokyo"                 # the roster's times (default)
    minutes = 10                        # without an answer for so long, the next is called (default)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk import config

_KEYS = frozenset({"phone", "address", "zone", "minutes"})
LONGEST_WAIT_MIN = 240


@dataclass(frozen=True)
class Plan:
    """`is_told` says whether desk.toml speaks of on-call at all; `address` has no slash at its end."""

    zone: ZoneInfo
    minutes: int
    address: str
    phone: str
    is_told: bool


def load_plan(path: Path | None = None) -> Plan:
    """The table, checked. Raises ImproperlyConfigured."""
    table = config.table("oncall", path)
    if unknown := set(table) - _KEYS:
        raise ImproperlyConfigured(f"[oncall] does not know {', '.join(sorted(unknown))}; "
                                   f"it has {', '.join(sorted(_KEYS))}")
    zone, minutes = table.get("zone", "Asia/Tokyo"), table.get("minutes", 10)
    if not isinstance(zone, str) or zone not in available_timezones():
        raise ImproperlyConfigured(f"[oncall] zone is a name like Asia/Tokyo, not {zone!r}")
    if not isinstance(minutes, int) or isinstance(minutes, bool) or not 1 <= minutes <= LONGEST_WAIT_MIN:
        raise ImproperlyConfigured(f"[oncall] minutes is a whole number from 1 to {LONGEST_WAIT_MIN}, not {minutes!r}")
    phone = table.get("phone", "")
    if not isinstance(phone, str) or len(phone) > 40:
        raise ImproperlyConfigured("[oncall] phone is a short text")
    return Plan(ZoneInfo(zone), minutes, _address(table.get("address")), phone, bool(table))


def _address(given: object) -> str:
    if given is None:
        return f"{'https' if settings.HTTPS else 'http'}://{settings.ALLOWED_HOSTS[0].lstrip('.')}"
    try:
        parts = urlsplit(given if isinstance(given, str) else "")
        good = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and not (
            parts.query or parts.fragment or "@" in parts.netloc) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ImproperlyConfigured(f"[oncall] address is of the form https://desk.example.jp, not {given!r}")
    return str(given).rstrip("/")
