"""One value in the form in which it is compared.

Case is dropped where it means nothing, names take their IDNA form, default ports and the final dot go,
networks and IPv6 take their canonical form, defanged forms are put back.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

import idna

from hikeshi.indicators.names import INTERNAL, is_host_name, is_public_name, top_level_domains
from hikeshi.indicators.refang import refang
from hikeshi.knowledge.coins import bitcoin, looks_like_bitcoin
from hikeshi.model.indicator import Indicator, IndicatorType

HASH_TYPES: dict[int, IndicatorType] = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21", "ws": "80", "wss": "443"}

_HEX = re.compile(r"[0-9A-Fa-f]+\Z")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{1,15})://")
_CVE = re.compile(r"CVE-(?:19|20)\d\d-\d{4,7}\Z", re.IGNORECASE)
_LOCAL_PART = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}\Z")
_SAME_TYPE: dict[str, IndicatorType] = {
    "ip": "ipv4", "ip-src": "ipv4", "ip-dst": "ipv4", "ipv4-addr": "ipv4", "ipv6-addr": "ipv6", "domain-name": "domain",
    "hostname": "domain", "host": "domain", "fqdn": "domain", "onion": "domain", "email-addr": "email", "uri": "url",
    "email-src": "email", "email-dst": "email", "vulnerability": "cve", "bitcoin": "btc", "sha-256": "sha256",
    "sha-1": "sha1", "sha-512": "sha512", "network": "cidr", "subnet": "cidr",
}
TYPES: frozenset[str] = frozenset(
    {"ipv4", "ipv6", "cidr", "domain", "url", "email", "md5", "sha1", "sha256", "sha512", "cve", "btc"})


def known_type(name: str) -> IndicatorType | None:
    """Our type for a type name of MISP, STIX or a feed; None if it is none of ours."""
    name = name.strip().lower().replace("_", "-")
    if name in TYPES:
        return name  # type: ignore[return-value]
    return _SAME_TYPE.get(name)


def normalise(value: str, type: str | None = None) -> Indicator | None:
    """The indicator that `value` is, or None.

    With a type (ours, or MISP's and STIX's names for it) only that is tried, and a name may end in any
    label; without one a name must end in a top-level domain that exists or is internal by custom.
    """
    written = value
    if len(value) > 8192:
        return None
    kind = known_type(type) if type else None
    if type and kind is None:
        return None
    text = refang(value.strip().strip("\"'`").strip()).text.strip()
    if not text or "\x00" in text:
        return None
    found = _typed(text, kind) if kind else _guessed(text)
    if found is None:
        return None
    return Indicator(value=found[1], type=found[0], written=written)


_Pair = tuple[IndicatorType, str]


def _typed(text: str, kind: IndicatorType) -> _Pair | None:
    if kind in ("ipv4", "ipv6", "cidr"):
        return address(text)
    if kind == "domain":
        name = host(text)
        return address(text) if name is None else ("domain", name)
    if kind == "url":
        link = url(text)
        return ("url", link) if link else None
    if kind == "email":
        mail = email(text)
        return ("email", mail) if mail else None
    if kind == "cve":
        return ("cve", text.upper()) if _CVE.match(text) else None
    if kind == "btc":
        return ("btc", coin(text) or text) if looks_like_coin(text) else None
    return digest(text)


def _guessed(text: str) -> _Pair | None:
    if _HEX.match(text) and len(text) in HASH_TYPES:
        return digest(text)
    if "://" in text:
        link = url(text)
        return ("url", link) if link else None
    if _CVE.match(text):
        return "cve", text.upper()
    if "@" in text:
        mail = email(text)
        return ("email", mail) if mail else None
    found = address(text)
    if found:
        return found
    if "/" in text:
        if re.fullmatch(r"[\d.:]+/\d+", text):
            return None  # a network with an impossible prefix, not a path on a host
        link = url(text)
        return ("url", link) if link else None
    if "." in text:
        name = host(text)
        if name and (is_public_name(name) or name.rpartition(".")[2] in INTERNAL):
            return "domain", name
        return None
    money = coin(text)
    return ("btc", money) if money else None


def digest(text: str) -> _Pair | None:
    """MD5, SHA-1, SHA-256 or SHA-512 by length, lower case."""
    text = text.strip().lower()
    kind = HASH_TYPES.get(len(text))
    # Thirty-two decimal digits are a receipt number; a hash has letters.
    if kind is None or not _HEX.match(text) or text.isdigit():
        return None
    return kind, text


def address(text: str) -> _Pair | None:
    """An IP address (with or without port, brackets, zone) or a network in canonical form."""
    text = text.strip()
    if text.startswith("["):
        inside, close, rest = text[1:].partition("]")
        if not close or (rest and not re.fullmatch(r":\d{1,5}|/\d{1,3}", rest)):
            return None
        text = inside + (rest if rest.startswith("/") else "")
    elif text.count(":") == 1 and text.count(".") == 3:
        before, _, port = text.partition(":")
        if not port.isdigit():
            return None
        text = before
    if "%" in text:
        text = text.partition("%")[0]
    if not text or text[0] not in "0123456789abcdefABCDEF:":
        return None
    try:
        if "/" in text:
            net = ipaddress.ip_network(text, strict=False)
            if net.prefixlen == net.max_prefixlen:
                return _plain_address(net.network_address)
            return "cidr", str(net)
        return _plain_address(ipaddress.ip_address(text.rstrip(".")))
    except ValueError:
        return None


def _plain_address(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> _Pair:
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return "ipv4", str(found.ipv4_mapped)
        return "ipv6", str(found)
    return "ipv4", str(found)


@lru_cache(maxsize=100_000)
def host(text: str) -> str | None:
    """A host name of two labels or more, lower case, IDNA, without wildcard and final dot."""
    name = text.strip().lower().rstrip(".")
    if name.startswith("*."):
        name = name[2:]
    name = name.lstrip(".")
    if name.isascii():
        return name if is_host_name(name) else None
    try:
        name = idna.encode(name, uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError, ValueError):
        return None
    return name if is_host_name(name) else None


def url(text: str) -> str | None:
    """Scheme and host lower case, default port gone; path and query as written. The scheme may be absent."""
    text = text.strip()
    scheme = ""
    match = _SCHEME.match(text)
    if match:
        scheme, text = match[1].lower(), text[match.end():]
    elif "/" not in text:
        return None
    cut = re.search(r"[/?#]", text)
    where, rest = (text[:cut.start()], text[cut.start():]) if cut else (text, "")
    user, at, where = where.rpartition("@")
    place, port = split_port(where)
    found = _url_host(place, bare=not scheme)
    if found is None or re.search(r"[\s\x00-\x1f]", rest):
        return None
    if port and port != DEFAULT_PORTS.get(scheme):
        found = f"{found}:{port}"
    return (f"{scheme}://" if scheme else "") + user + at + found + rest


def _url_host(place: str, *, bare: bool) -> str | None:
    found = address(place)
    if found and found[0] != "cidr":
        return f"[{found[1]}]" if found[0] == "ipv6" else found[1]
    name = host(place)
    if name:
        return None if bare and not _exists(name) else name
    single = place.lower().rstrip(".")
    return single if not bare and re.fullmatch(r"[a-z0-9_](?:[a-z0-9_-]{0,62})", single) else None


def _exists(name: str) -> bool:
    return name.rpartition(".")[2] in top_level_domains() or name.rpartition(".")[2] in INTERNAL


def split_port(where: str) -> tuple[str, str]:
    """"host:8080" and "[::1]:8080" as host and port; no port is ""."""
    if where.startswith("["):
        inside, close, rest = where.partition("]")
        return inside + close, rest[1:] if rest.startswith(":") and rest[1:].isdigit() else ""
    name, colon, port = where.rpartition(":")
    if colon and port.isdigit() and ":" not in name:
        return name, port
    return (name, "") if colon and not port and ":" not in name else (where, "")


def email(text: str) -> str | None:
    """A mail address, lower case, its domain in IDNA form."""
    text = text.strip().strip("<>").removeprefix("mailto:")
    local, _, domain = text.rpartition("@")
    name = host(domain)
    if name is None or not _LOCAL_PART.match(local) or local[0] == "." or local[-1] == "." or ".." in local:
        return None
    return f"{local.lower()}@{name}"


# Bitcoin addresses; the second looks at the shape only.
coin, looks_like_coin = bitcoin, looks_like_bitcoin
