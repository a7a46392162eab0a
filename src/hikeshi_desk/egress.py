"""The only way the desk calls out: to addresses the operator named, and to nobody else.

    [egress]                                  # desk.toml; without it every call is refused
    allow = ["https://hooks.example.org"]     # scheme, host and port; reached only at public addresses
    private = ["http://127.0.0.1:9000"]       # this machine or the house's own net; the only way to plain http
    ca = "house-ca.pem"                       # a further authority's certificate, beside desk.toml

A host is looked up once, every address found is judged, and the connection goes to a judged address under the
host's name: a name that changes its mind between the look and the call reaches nothing. No redirect is followed,
no proxy of the environment is used, certificates are always checked. Time is limited over the whole call, size
before and after any coding. Errors and log lines name scheme, host and port, never path, header or body: a
webhook's path is its password.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk import config

log = logging.getLogger(__name__)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT"})
_PORTS = {"http": 80, "https": 443}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "te", "trailer",
                   "upgrade", "expect"})
_HEAD = 64 * 1024  # bytes of an answer that are not its body
_STEP = 16 * 1024
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Ways to write a v4 address that no public service has any more: 6to4, Teredo, "compatible", local NAT64.
_ODD = tuple(map(ipaddress.IPv6Network, ("2002::/16", "2001::/32", "::/96", "64:ff9b:1::/48", "fec0::/10")))
_HOUSE = tuple(map(ipaddress.ip_network,
                   ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
_OLD_RELAY = ipaddress.IPv4Network("192.88.99.0/24")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(Exception):
    """The call was not made, or not finished. `reason` is a key of texts/egress.toml; `origin` who was meant."""

    def __init__(self, reason: str, origin: str = "") -> None:
        self.reason = f"egress.refused.{reason}"
        self.origin = origin
        super().__init__(f"{reason} {origin}".strip())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, redirects and errors of the other side included. Header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.shown_host}"

    @property
    def shown_host(self) -> str:
        """Host and port as a URL and the Host header spell them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Ways:
    """Where the desk may call."""

    allow: frozenset[Origin] = frozenset()
    private: frozenset[Origin] = frozenset()
    ca: Path | None = None


def call(method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None,
         timeout_s: float = 10, most: int = 1_000_000) -> Answer:
    """One request to a named address; the answer as it came. Raises Refused.

    `timeout_s` is for everything from look-up to last byte, `most` the largest body in bytes.
    """
    until = time.monotonic() + timeout_s
    parts, origin = _read(url)
    ways = load_ways()
    if origin not in ways.allow | ways.private:
        raise Refused("not_named", str(origin))
    if method not in METHODS:
        raise Refused("request", str(origin))
    sent = _headers(headers or {}, origin)
    addresses = _judged(_look_up(origin, until), origin, private=origin in ways.private)
    try:
        with _connect(addresses, origin, ways, until) as connection:
            answer = _ask(connection, method, parts, sent, body, origin, until, most)
    except TimeoutError as slow:
        raise Refused("too_slow", str(origin)) from slow
    except ssl.SSLCertVerificationError as untrusted:
        raise Refused("certificate", str(origin)) from untrusted
    except (OSError, http.client.HTTPException, ValueError) as broken:
        raise Refused("no_answer", str(origin)) from broken
    log.info("%s %s: %d", method, origin, answer.status)
    return answer


def may_call(url: str) -> bool:
    """Is this address one of those named? Nothing is looked up."""
    try:
        _, origin = _read(url)
    except Refused:
        return False
    ways = load_ways()
    return origin in ways.allow | ways.private


# -------------------------------------------------------------------------------- what is named


def load_ways(path: Path | None = None) -> Ways:
    """`[egress]` of desk.toml, checked. Raises ImproperlyConfigured."""
    table = config.table("egress", path)
    if unknown := set(table) - {"allow", "private", "ca"}:
        raise ImproperlyConfigured(f"[egress] does not know {', '.join(sorted(unknown))}; it has allow, private, ca")
    allow, private = (_origins(table, name) for name in ("allow", "private"))
    if open_ways := [str(one) for one in allow if one.scheme != "https"]:
        raise ImproperlyConfigured(f"[egress] allow takes https:// only, not {', '.join(sorted(open_ways))}; "
                                   "plain http is for addresses of the house, in private")
    if both := allow & private:
        raise ImproperlyConfigured(f"[egress] {', '.join(sorted(map(str, both)))} is in allow or in private, not both")
    return Ways(allow, private, _authority(table.get("ca"), (path or Path(settings.DATA) / "desk.toml").parent))


def _origins(table: Mapping[str, Any], name: str) -> frozenset[Origin]:
    given = table.get(name, [])
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise ImproperlyConfigured(f"[egress] {name} is a list of addresses")
    found = set()
    for one in given:
        try:
            parts, origin = _read(one)
        except Refused as wrong:
            raise ImproperlyConfigured(f"[egress] {name}: '{one}' is not of the form https://host:port") from wrong
        if parts.path not in ("", "/") or parts.query:
            raise ImproperlyConfigured(f"[egress] {name}: '{one}' has a path; name scheme, host and port")
        found.add(origin)
    return frozenset(found)


def _authority(given: Any, folder: Path) -> Path | None:
    if given is None:
        return None
    if not isinstance(given, str) or not given or Path(given).name != given:
        raise ImproperlyConfigured("[egress] ca names a file beside desk.toml")
    path = folder / given
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        raise ImproperlyConfigured(f"[egress] ca: {path.name} is no readable certificate (PEM)") from error
    return path


def _read(url: str) -> tuple[SplitResult, Origin]:
    """The URL in parts, and whom it names, in one spelling. Raises Refused."""
    # urlsplit drops tabs and line ends and lets a backslash pass; another reader of the same URL may not.
    if len(url) > 8000 or any(ord(sign) <= 0x20 or sign in "\\\x7f" for sign in url):
        raise Refused("url")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as wrong:
        raise Refused("url") from wrong
    if parts.scheme not in _PORTS or "@" in parts.netloc or parts.fragment or not (parts.path + parts.query).isascii():
        raise Refused("url")
    return parts, Origin(parts.scheme, _host(host), _PORTS[parts.scheme] if port is None else port)


def _host(given: str) -> str:
    """A host as the certificate would spell it: an address in its shortest form, or an ASCII name."""
    if ":" in given:
        try:
            return str(ipaddress.IPv6Address(given))  # a scope ("%eth0") stays and is never a public address
        except ValueError:
            raise Refused("url") from None
    try:
        name = given if given.isascii() else given.encode("idna").decode("ascii")
    except UnicodeError:
        raise Refused("url") from None
    name = name.lower().removesuffix(".")
    labels = name.split(".")
    if not name or len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("url")
    # "0177.1", "2130706433", "0x7f.1": the system reads these as addresses, people do not.
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise Refused("url") from None
    return name


# -------------------------------------------------------------------------------- whom it reaches


def _look_up(origin: Origin, until: float) -> list[Address]:
    """Every address of the host, asked once. The system's resolver knows no time limit: it waits in a thread."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    thread = threading.Thread(target=ask, daemon=True, name="egress-look-up")
    thread.start()
    thread.join(max(0.0, until - time.monotonic()))
    if not found:
        raise Refused("too_slow", str(origin))
    if isinstance(found[0], Exception):
        raise Refused("no_host", str(origin)) from found[0]
    return [ipaddress.ip_address(row[4][0]) for row in found[0] if row[0] in (socket.AF_INET, socket.AF_INET6)]


def _judged(addresses: list[Address], origin: Origin, *, private: bool) -> list[Address]:
    """All of them, if every single one is where this origin may be; else Refused."""
    fits = is_of_the_house if private else is_public
    if not addresses:
        raise Refused("no_host", str(origin))
    if not all(map(fits, addresses)):
        raise Refused("address", str(origin))
    return list(dict.fromkeys(addresses))


def is_public(address: Address) -> bool:
    """An address of the open internet, however it is written."""
    inner = _inner(address)
    if inner is None or inner.is_multicast or inner.is_reserved or inner in _OLD_RELAY:
        return False
    return bool(inner.is_global) and not inner.is_private


def is_of_the_house(address: Address) -> bool:
    """This machine or a private net; not link-local, where clouds keep their machines' keys."""
    inner = _inner(address)
    if inner is None:
        return False
    return inner.is_loopback or any(inner in net for net in _HOUSE if net.version == inner.version)


def _inner(address: Address) -> Address | None:
    """The address that is really reached; None for spellings nobody needs."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address == ipaddress.IPv6Address("::1"):
        return address
    if address.scope_id or any(address in net for net in _ODD):
        return None
    return address


# -------------------------------------------------------------------------------- the call


def _connect(addresses: list[Address], origin: Origin, ways: Ways, until: float) -> socket.socket:
    """A connection to the first address that takes one; under TLS proven to be the host of that name."""
    for number, address in enumerate(addresses):
        try:
            plain = socket.create_connection((str(address), origin.port), timeout=_left(until))
            break
        except TimeoutError:
            raise
        except OSError:
            if number == len(addresses) - 1:
                raise
    if origin.scheme == "http":
        return plain
    try:
        secure = _context(ways.ca).wrap_socket(plain, server_hostname=origin.host, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    try:
        secure.settimeout(_left(until))
        secure.do_handshake()
    except BaseException:
        secure.close()
        raise
    return secure


def _context(ca: Path | None) -> ssl.SSLContext:
    # Not create_default_context: it would write the keys where SSLKEYLOGFILE says.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    if ca:
        context.load_verify_locations(ca)
    return context


def _headers(given: Mapping[str, str], origin: Origin) -> dict[str, str]:
    for name, value in given.items():
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("proxy-"):
            raise Refused("request", str(origin))
        if not value.isascii() or not all(sign.isprintable() or sign == "\t" for sign in value):
            raise Refused("request", str(origin))
    return {"Host": origin.shown_host, "Accept-Encoding": "identity", "Connection": "close", **given}


def _ask(connection: socket.socket, method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes | None,
         origin: Origin, until: float, most: int) -> Answer:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body or b'')}")
    _send(connection, "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b""), until)
    came = _Came(connection, until, most + _HEAD)
    answer = http.client.HTTPResponse(came, method=method)  # type: ignore[arg-type]
    try:
        answer.begin()
        if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
            raise Refused("coded", str(origin))
        found = answer.read(most + 1)
        if len(found) > most:
            raise Refused("too_large", str(origin))
        if answer.length:
            raise http.client.IncompleteRead(found, answer.length)
    except _TooMuch as much:
        raise Refused("too_large", str(origin)) from much
    finally:
        answer.close()
    return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, found)


def _send(connection: socket.socket, data: bytes, until: float) -> None:
    rest = memoryview(data)
    while rest:
        connection.settimeout(_left(until))
        rest = rest[connection.send(rest[:_STEP]):]


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _TooMuch(Exception):
    pass


class _Came(io.RawIOBase):
    """What comes from the other side, against one clock and one measure for the whole answer."""

    def __init__(self, connection: socket.socket, until: float, most: int) -> None:
        self._connection, self._until, self._left = connection, until, most

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, _STEP)

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int:
        if self._left <= 0:
            raise _TooMuch
        self._connection.settimeout(_left(self._until))
        count = self._connection.recv_into(room)
        self._left -= count
        return count

