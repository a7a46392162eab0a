"""Where the desk's mail comes from and goes to: `[mail]` in desk.toml, or the environment.

address          the desk's own address; without it nothing is sent      HIKESHI_MAIL_ADDRESS
name             the name beside it (default: インシデント相談窓口)
smtp             smtp://user:password@host:587 (STARTTLS), smtps://…     HIKESHI_SMTP
                 smtp+plain://… only to this machine
imap             imaps://user:password@host/INBOX, imap+starttls://…     HIKESHI_IMAP
                 imap+plain://… only to this machine
imap_after       seen (default) or delete, once the mail is kept
every_s          seconds between two looks (default 60)
listen, lmtp     127.0.0.1:port of our own SMTP or LMTP listener         HIKESHI_SMTP_LISTEN, HIKESHI_LMTP_LISTEN
site             https://… of this desk's pages, for the code page's address in   HIKESHI_MAIL_SITE
                 acknowledgements; without it they name the page in words
automatic_per_hour  most acknowledgements an hour in all (default 100)
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk import config

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_ENVIRONMENT = {"address": "HIKESHI_MAIL_ADDRESS", "smtp": "HIKESHI_SMTP", "imap": "HIKESHI_IMAP",
                "listen": "HIKESHI_SMTP_LISTEN", "lmtp": "HIKESHI_LMTP_LISTEN", "site": "HIKESHI_MAIL_SITE"}
_NAME = "インシデント相談窓口"
_KEYS = frozenset((*_ENVIRONMENT, "name", "imap_after", "every_s", "automatic_per_hour"))


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server: `security` is tls, starttls or plain."""

    host: str
    port: int
    security: str
    user: str = ""
    password: str = ""
    folder: str = "INBOX"

    def __repr__(self) -> str:  # never with its password
        return f"Server({self.security} {self.user}@{self.host}:{self.port}/{self.folder})"


@dataclass(frozen=True, slots=True)
class Post:
    """The desk's mail as configured; what is None is not used."""

    address: str = ""
    name: str = _NAME
    smtp: Server | None = None
    imap: Server | None = None
    imap_after: str = "seen"
    every_s: float = 60
    listen: tuple[str, int] | None = None
    lmtp: tuple[str, int] | None = None
    automatic_per_hour: int = 100
    site: str = ""  # without a slash at its end

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]

    def is_ours(self, address: str) -> bool:
        """Whether mail to or from `address` is the desk's own; a plus part does not matter."""
        local, _, domain = address.lower().rpartition("@")
        ours, _, home = self.address.lower().rpartition("@")
        return bool(ours) and (local.partition("+")[0], domain) == (ours, home)


def load_post(path: Path | None = None) -> Post:
    """The configuration, checked. Raises ImproperlyConfigured."""
    table = dict(config.table("mail", path))
    table |= {key: os.environ[name] for key, name in _ENVIRONMENT.items() if os.environ.get(name)}
    if unknown := set(table) - _KEYS:
        raise ImproperlyConfigured(f"[mail] does not know {', '.join(sorted(unknown))}; "
                                   f"it has {', '.join(sorted(_KEYS))}")
    address = str(table.get("address", ""))
    if address and not is_plain_address(address):
        raise ImproperlyConfigured(f"mail address '{address}' is not of the form desk@example.org")
    if table.get("imap_after", "seen") not in ("seen", "delete"):
        raise ImproperlyConfigured("[mail] imap_after is 'seen' or 'delete'")
    return Post(
        address=address, name=str(table.get("name", _NAME)),
        smtp=_server(table.get("smtp"), {"smtp": ("starttls", 587), "smtps": ("tls", 465),
                                         "smtp+plain": ("plain", 25)}),
        imap=_server(table.get("imap"), {"imaps": ("tls", 993), "imap+starttls": ("starttls", 143),
                                         "imap+plain": ("plain", 143)}),
        imap_after=table.get("imap_after", "seen"), every_s=float(table.get("every_s", 60)),
        listen=_listener(table.get("listen")), lmtp=_listener(table.get("lmtp")),
        automatic_per_hour=int(table.get("automatic_per_hour", 100)), site=_site(table.get("site")))


def is_plain_address(address: str) -> bool:
    """One ASCII address without quotes, comments or blanks: the only kind we send to."""
    return len(address) <= 254 and _ADDRESS.fullmatch(address) is not None and ".." not in address


def _server(url: str | None, schemes: dict[str, tuple[str, int]]) -> Server | None:
    if not url:
        return None
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ImproperlyConfigured(f"a mail server is given as {'://, '.join(schemes)}://user:password@host")
    security, port = schemes[parts.scheme]
    if security == "plain" and not _is_loopback(parts.hostname):
        raise ImproperlyConfigured(f"{parts.scheme}:// would send words and password in the clear to {parts.hostname}")
    return Server(parts.hostname, parts.port or port, security, unquote(parts.username or ""),
                  unquote(parts.password or ""), unquote(parts.path.lstrip("/")) or "INBOX")


def _listener(text: str | None) -> tuple[str, int] | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not _is_loopback(host.strip("[]")):
        raise ImproperlyConfigured(f"the mail listener is 127.0.0.1:port, behind a mail server, not '{text}'")
    return host.strip("[]"), int(port)


def _site(given: object) -> str:
    """Only https, because a code is typed in there; plain http only on this machine."""
    if not given:
        return ""
    try:
        parts = urlsplit(given if isinstance(given, str) else "")
        safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
        good = (safe and parts.hostname and parts.path in ("", "/") and not (parts.query or parts.fragment)
                and "@" not in parts.netloc and parts.port != 0 and str(given).isascii() and str(given).isprintable())
    except ValueError:
        good = False
    if not good:
        raise ImproperlyConfigured(f"[mail] site is of the form https://desk.example.jp, not {given!r}")
    return str(given).rstrip("/")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
