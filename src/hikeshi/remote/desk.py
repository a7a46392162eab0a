"""A desk's API over HTTPS: the server's certificate is always checked; plain HTTP only to this machine.

No proxy is taken from the environment, no redirect is followed, nothing is sent but what the caller says.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hikeshi.errors import RemoteError, UsageError

TIMEOUT_S = 60.0
_LONGEST_ANSWER = 4 << 20


class Unreachable(RemoteError):
    """The line, not the desk: trying again may help."""


class Declined(RemoteError):
    """The desk answered with a problem; `status` and `problem` say which."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        what = str(problem.get("title") or f"the desk answered {status}")
        detail = str(problem.get("detail") or "")
        super().__init__(f"{what}{': ' if detail else ''}{detail}", hint=str(problem.get("next") or "") or None)
        self.status, self.problem = status, problem

    def __reduce__(self) -> tuple[object, ...]:
        return Declined, (self.status, dict(self.problem))


@dataclass(frozen=True)
class Address:
    """Where the desk is. `path` is what stands before /api/v1, without a slash at its end."""

    is_secure: bool
    host: str
    port: int
    path: str


def address_of(url: str) -> Address:
    """The desk's address. Raises UsageError for anything but https://, or http:// to this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"'{url}' is no address: {error}", hint="--to https://desk.example") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UsageError(f"'{url}' is no desk's address", hint="--to https://desk.example")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise UsageError("evidence is not sent unencrypted", hint="use https://; http:// is for this machine only")
    return Address(parts.scheme == "https", parts.hostname, port or (443 if parts.scheme == "https" else 80),
                   parts.path.rstrip("/"))


class Desk:
    """One connection, opened again when it broke. `ca` is a PEM file of the desk's own authority."""

    def __init__(self, url: str, *, ca: Path | None = None, token: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self.address, self._token, self._timeout_s = address_of(url), token, timeout_s
        try:
            self._context = ssl.create_default_context(cafile=str(ca) if ca else None)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"'{ca}' is no PEM file with certificates",
                             hint="--ca takes the authority's file") from error
        self._line: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        """JSON there and back. Raises Declined or Unreachable."""
        data = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self._send(method, path, data, headers | kind)

    def put_bytes(self, method: str, path: str, pieces: Iterable[bytes], length: int, **headers: str) -> dict[str, Any]:
        """Bytes of a known length there, JSON back."""
        return self._send(method, path, pieces, headers | {"Content-Type": "application/octet-stream",
                                                            "Content-Length": str(length)})

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _send(self, method: str, path: str, body: bytes | Iterable[bytes] | None,
              given: Mapping[str, str]) -> dict[str, Any]:
        headers = {name.replace("_", "-"): value for name, value in given.items()} | {
            "Accept": "application/json", "User-Agent": "hikeshi-submit"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        line = self._connected()
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                # Who refuses early closes early: its answer may still be there to read.
                line.request(method, f"{self.address.path}/api/v1{path}", body=body, headers=headers)
            answer = line.getresponse()
            content = answer.read(_LONGEST_ANSWER)
            if answer.length and len(content) < _LONGEST_ANSWER:
                raise http.client.IncompleteRead(content, answer.length)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise RemoteError(f"the server's certificate can't be trusted: {error.verify_message}",
                              hint="check the address; --ca names the file of the desk's own authority") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"no connection to {self.address.host}: {error or type(error).__name__}",
                              hint="check the line; with --resume it goes on where it stopped") from error
        except BaseException:
            self.close()  # half a request can't be finished
            raise
        if answer.will_close:
            self.close()
        return _told(answer.status, content)

    def _connected(self) -> http.client.HTTPConnection:
        if self._line is None:
            where = self.address
            if where.is_secure:
                self._line = http.client.HTTPSConnection(where.host, where.port, timeout=self._timeout_s,
                                                         context=self._context)
            else:
                self._line = http.client.HTTPConnection(where.host, where.port, timeout=self._timeout_s)
        return self._line


def _told(status: int, content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content) if content else {}
    except ValueError:
        told = {}
    if not isinstance(told, dict):
        told = {}
    if 200 <= status < 300:
        if content and not told:
            raise RemoteError("this is no Hikeshi desk: its answer can't be read", hint="check the address")
        return told
    raise Declined(status, told or {"title": f"the server answered {status}",
                                    "next": "check the address; is it a Hikeshi desk?"})


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
