"""Hosts, addresses, ports and accounts as logs write them."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4 = re.compile(rf"(?:{_OCTET}\.){{3}}{_OCTET}\Z", re.ASCII)
_MAYBE = re.compile(r"\s*\[?[0-9A-Fa-f.:]+(?:%[^\s\]]*)?\]?\s*\Z", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://(?:[^/?#@\s]*@)?([^/?#:\[\]]+)(?::(\d{1,5}))?(?=[/?#]|\Z)", re.ASCII)
_CONNECT = re.compile(r"([A-Za-z0-9._-]+):(\d{1,5})\Z", re.ASCII)


def ip(text: str) -> str | None:
    """The address in `text`, without brackets, IPv6 zone and the ::ffff: of a mapped IPv4;
    None if it is none. "LOCAL" and "-" are none."""
    if _IPV4.match(text):
        return text
    return _other_ip(text) if _MAYBE.match(text) else None


@lru_cache(maxsize=50_000)
def _other_ip(text: str) -> str | None:
    text = text.strip().strip("[]")
    if text[:7].lower() == "::ffff:":
        text = text[7:]
    if "%" in text:
        text = text.split("%", 1)[0]
    if not text or not (text[0].isalnum() or text[0] == ":"):
        return None
    if not ("." in text or ":" in text):
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


@lru_cache(maxsize=50_000)
def host_port(text: str) -> tuple[str, int | None]:
    """ "name:443", "192.0.2.1:443" and "[2001:db8::1]:443" as host and port."""
    text = text.strip()
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, port(rest[1:]) if rest.startswith(":") else None
    if text.count(":") == 1:
        host, _, number = text.partition(":")
        found = port(number)
        if found is not None or not number:
            return host, found
    return text, None


def port(text: object) -> int | None:
    """A port number, or None; "0x35" is read too."""
    number = whole(text)
    return number if number is not None and 0 <= number <= 65_535 else None


def whole(text: object) -> int | None:
    """A whole number that a column can hold; None for anything else."""
    if type(text) is str and len(text) < 19 and text.isascii() and text.isdigit():
        return int(text)
    if isinstance(text, bool):
        return None
    if isinstance(text, int):
        number = text
    elif isinstance(text, float):
        if text != text or text in (float("inf"), float("-inf")) or text != int(text):
            return None
        number = int(text)
    else:
        digits = str(text).strip()
        if digits[:2].lower() == "0x" and len(digits) <= 18:
            try:
                number = int(digits, 16)
            except ValueError:
                return None
        else:
            digits = digits.replace(",", "") if digits[-4:-3] == "," else digits
            body = digits[1:] if digits[:1] == "-" else digits
            if not (body.isascii() and body.isdigit() and len(body) <= 19):
                return None
            number = int(digits)
    return number if -(2**63) <= number < 2**63 else None


def put_host(cells: dict[str, object], side: str, text: str) -> None:
    """Write a host into `side`.ip or `side`.domain (and its port, if it has one)."""
    host, number = host_port(text)
    address = ip(host)
    if address:
        cells.setdefault(f"{side}.ip", address)
    elif host and host != "-":
        cells.setdefault(f"{side}.domain", host.rstrip(".").lower() if host.isascii() else host)
    if number is not None:
        cells.setdefault(f"{side}.port", number)


@lru_cache(maxsize=50_000)
def account(text: str) -> tuple[str | None, str | None]:
    """Account name and domain of "DOMAIN\\name"; a mail-like name stays whole."""
    text = text.strip()
    if text in ("", "-", "N/A", "n/a", "(none)", "null"):
        return None, None
    domain, slash, name = text.rpartition("\\")
    if slash and name:
        return name, domain.strip("\\") or None
    return text, None


# What Windows and directories call a user principal name; an address behind the @ is none.
_PRINCIPAL = re.compile(r"([^\s@\\/:=,;<>()\"']{1,256})@((?:[\w-]+\.)+[^\W\d_][\w-]*)")


def directory_account(text: str) -> tuple[str | None, str | None]:
    """Like account(), for logs whose accounts are a directory's: there name@domain is a name and its domain."""
    name, domain = account(text)
    match = _PRINCIPAL.fullmatch(name) if name and not domain and len(name) <= 512 else None
    return (match[1], match[2]) if match else (name, domain)


def url_host(url: str) -> tuple[str | None, int | None]:
    """Host and port of a URL, or of the `host:port` of a CONNECT; (None, None) for a mere path."""
    match = _URL.match(url) or _CONNECT.match(url)
    if match is not None:
        host, number = match.groups()
        return host.rstrip(".").lower() or None, port(number) if number else None
    return _odd_url_host(url)


def _odd_url_host(url: str) -> tuple[str | None, int | None]:
    _, mark, rest = url.partition("://")
    if mark:
        rest = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0].rpartition("@")[2]
    elif url[:1] in ("/", "", "-", "*"):
        return None, None
    else:
        rest = url.split("/", 1)[0].split("?", 1)[0]
    host, number = host_port(rest)
    host = host.strip("[]").rstrip(".").lower()
    return (host or None), number
