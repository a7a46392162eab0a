"""Who asks leaves no trace: not the address, not the browser, in no file that the desk writes.

A real desk is used by a real client whose every identifying detail carries a mark. Afterwards everything the
desk has written (database with its log, spool, evidence, sessions opened up, output, temporary files, files that
are held open without a name) is searched for the marks. A desk with a middleware that does keep them shows
that the search would find them.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import os
import re
import socket
import sqlite3
import struct
import sys
import textwrap
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.cookies import SimpleCookie
from pathlib import Path

import psutil
import pytest

from serving import Served, served

pytestmark = [pytest.mark.any_database,
              pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the desk runs on Linux")]

ADDRESS = "127.77.66.55"
MARKS = {
    "address": ADDRESS, "browser": "MarkedBrowser-5e1f", "forwarded": "203.0.113.199", "proxy": "marked-proxy-77aa",
    "referrer": "marked-referrer-4d2c", "language": "xq-markedtongue", "cookie": "markedcookie9b3e",
    "client hint": "MarkedHint-31ab", "host": "marked-host-6f6f.example", "mail": "marked-from-8c8c",
}
HEADERS = {
    "User-Agent": f"{MARKS['browser']}/1.0 (X11)", "X-Forwarded-For": f"{MARKS['forwarded']}, 10.0.0.1",
    "X-Real-IP": MARKS["forwarded"], "True-Client-IP": MARKS["forwarded"],
    "Forwarded": f"for={MARKS['forwarded']};by={MARKS['proxy']}", "Via": f"1.1 {MARKS['proxy']}",
    "Accept-Language": f"{MARKS['language']},en;q=0.5", "Sec-CH-UA": f'"{MARKS["client hint"]}";v="1"',
    "From": f"{MARKS['mail']}@example.jp",
}


class Visitor:
    """Somebody with cookies, from a marked address, who sends marked headers with everything."""

    def __init__(self, desk: Served) -> None:
        self.desk, self.cookies = desk, {"seen": MARKS["cookie"]}

    def send(self, method: str, path: str, body: bytes = b"", **more: str) -> tuple[int, str, str]:
        """Status, place to go to and page."""
        headers = HEADERS | {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
                             "Referer": f"{self.desk.url}/?{MARKS['referrer']}"} | more
        with closing(http.client.HTTPConnection("127.0.0.1", self.desk.port, timeout=60,
                                                source_address=(ADDRESS, 0))) as line:
            line.request(method, path, body or None, headers)
            answer = line.getresponse()
            page = answer.read().decode(errors="replace")
        for header, value in answer.getheaders():
            if header.lower() == "set-cookie":
                for name, morsel in SimpleCookie(value).items():
                    self.cookies[name] = morsel.value
        return answer.status, answer.getheader("Location", ""), page

    def fill(self, path: str, fields: dict[str, str], files: dict[str, bytes] | None = None, *, page: str = "") -> (
            tuple[int, str, str]):
        """Opens the page with the form, then sends it."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.send("GET", page or path)[2])[1]
        body, kind = multipart({"csrfmiddlewaretoken": token, **fields}, files or {})
        return self.send("POST", path, body, **{"Content-Type": kind})


def multipart(fields: dict[str, str], files: dict[str, bytes]) -> tuple[bytes, str]:
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in fields.items()]
    parts += [f'--edge\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
              "Content-Type: application/octet-stream\r\n\r\n".encode() + content + b"\r\n"
              for name, content in files.items()]
    return b"".join(parts) + b"--edge--\r\n", "multipart/form-data; boundary=edge"


def raw(desk: Served, content: bytes, *, reset: bool = False) -> None:
    """Bytes as they are, then a look at the answer or a hard break."""
    with socket.create_connection(("127.0.0.1", desk.port), 10, source_address=(ADDRESS, 0)) as line:
        line.sendall(content)
        if reset:
            time.sleep(0.3)
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        line.settimeout(1)  # some of it leaves the server waiting for more
        with suppress(OSError):
            line.recv(4096)


def consult(desk: Served) -> None:
    """Everything an anonymous person may do, and everything that may go wrong with it."""
    visitor = Visitor(desk)
    for path in ("/", "/consult/", "/code/", "/privacy/", "/words/", "/static/css/site.css", "/logo/"):
        visitor.send("GET", path)
    steps = [("what", {"what": "朝から開けません", "incident": "malware"}), ("request", {"request": "elsewhere"}),
             ("who", {"asker_kind": "victim", "anonymous": "1"}), ("facts", {"machines": "3台"})]
    for step, fields in steps:
        assert visitor.fill(f"/consult/guided/{step}/", fields)[0] == 302
    assert visitor.fill("/consult/guided/send/", {})[:2] == (302, "/receipt/")
    assert visitor.fill("/consult/", {"what": ""})[0] == 422
    status, place, _ = visitor.fill("/consult/", {"what": "開けません", "incident": "ransomware", "anonymous": "1",
                                                  "key": "k" * 43},
                                    {"small.log": b"one line\n", "large.bin": os.urandom(4_000_000)})
    assert (status, place) == (302, "/receipt/")
    code = re.sub("<[^>]+>", "", re.search(r'class="receipt-code"[^>]*>(.*?)</p>', visitor.send("GET", "/receipt/")[2])[1])
    for wrong in ("", "ABCD", code[:-1] + ("0" if code[-1] != "0" else "1"), *(f"{n:028d}" for n in range(12))):
        assert visitor.fill("/code/", {"code": wrong})[0] in (422, 429)
    assert visitor.fill("/code/", {"code": code.lower()})[1] == "/thread/"
    assert visitor.fill("/thread/reply/", {"what": "追加です", "key": "r" * 43}, {"more.log": b"x"}, page="/thread/")[0] == 302
    visitor.fill("/language/", {"language": "en", "next": "/thread/"}, page="/")
    visitor.fill("/thread/close/", {}, page="/thread/")
    for method, path in (("GET", "/no/such/page/"), ("PUT", "/consult/"), ("POST", "/consult/"), ("GET", "/desk/"),
                         ("POST", "/desk/account/sign-in/"), ("GET", "/thread/file/nonsense/"), ("GET", "/%00%ff"),
                         ("GET", "/api/"), ("GET", "/api/v1/cases"), ("POST", "/api/v1/consultations"),
                         ("GET", "/desk/account/link/xxxx/")):
        visitor.send(method, path)
    visitor.send("POST", "/api/v1/consultations", b'{"what": 1', **{"Content-Type": "application/json"})
    visitor.fill("/desk/account/sign-in/", {"email": "nobody@example.jp", "password": "wrong"})
    visitor.fill("/leave/", {}, page="/thread/")
    break_things(desk, visitor)


def break_things(desk: Served, visitor: Visitor) -> None:
    """What servers and frameworks like to write about."""
    marked = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()).encode()
    local = f"Host: 127.0.0.1:{desk.port}\r\n".encode()
    opening = b"POST /consult/ HTTP/1.1\r\n" + local + marked
    body, kind = multipart({"what": "あ"}, {"cut.log": b"y" * 100_000})
    typed = f"Content-Type: {kind}\r\n".encode()
    raw(desk, opening + typed + b"Content-Length: 900000\r\n\r\n" + body[:60_000], reset=True)
    raw(desk, opening + typed + b"Content-Length: 99999999999999\r\n\r\n" + body)
    for line in (b"NONSENSE\0\r\n\r\n", b"GET / HTTP/9.9\r\n" + marked + b"\r\n", b"GET / HTTP/1.1\r\n" + marked + b"\r\n",
                 b"GET /" + MARKS["browser"].encode() * 800 + b" HTTP/1.1\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + local + MARKS["browser"].encode() + b"\r\n\r\n",
                 b"GET / HTTP/1.1\r\n" + local + b"X-" + MARKS["browser"].encode() + b" \x01: a\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: " + MARKS["host"].encode() + b"\r\n" + marked + b"\r\n",
                 opening + b"Transfer-Encoding: chunked\r\n\r\n" + MARKS["browser"].encode() + b"\r\n",
                 opening + b"Content-Type: multipart/form-data\r\nContent-Length: 4\r\n\r\nabcd",
                 opening + b"Content-Length: -" + MARKS["browser"].encode() + b"\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + MARKS["browser"].encode(),
                 b"PROXY TCP4 " + MARKS["forwarded"].encode() + b" 127.0.0.1 1 2\r\nGET / HTTP/1.1\r\n" + local + b"\r\n"):
        raw(desk, line)
    visitor.send("POST", "/consult/", "&".join(f"a{n}=1" for n in range(400)).encode(),
                 **{"Content-Type": "application/x-www-form-urlencoded"})
    with suppress(OSError):  # it is refused before it is read
        visitor.send("POST", "/consult/", b"what=" + b"a" * 11_000_000,
                     **{"Content-Type": "application/x-www-form-urlencoded"})
    # The desk itself fails: what it writes about that must not say for whom.
    rename = "ALTER TABLE intake_submission RENAME TO {}"
    with closing(sqlite3.connect(desk.data / "desk.sqlite3", timeout=30)) as broken:
        broken.execute(rename.format("away"))
        assert visitor.fill("/code/", {"code": "0" * 28})[0] == 500
        broken.execute("ALTER TABLE away RENAME TO intake_submission")
    assert visitor.send("GET", "/code/")[0] == 200


def written_by(desk: Served) -> Iterator[tuple[str, bytes]]:
    """Everything the desk has put down anywhere, by the name of the place; packed things opened."""
    for path in desk.folder.rglob("*"):
        if path.is_file():
            with suppress(FileNotFoundError):
                yield str(path.relative_to(desk.folder)), path.read_bytes()
    with closing(sqlite3.connect(desk.data / "desk.sqlite3", timeout=30)) as database:
        for key, value in database.execute("SELECT session_key, session_data FROM django_session"):
            yield f"session {key[:6]}", opened(value)
    if desk.process.poll() is None:
        for process in [psutil.Process(desk.process.pid), *psutil.Process(desk.process.pid).children(recursive=True)]:
            for handle in Path(f"/proc/{process.pid}/fd").iterdir():
                with suppress(OSError):
                    target = str(handle.readlink())
                    if target.startswith("/") and ("deleted" in target or str(desk.folder) in target):
                        yield f"held open: {target}", handle.read_bytes()


def opened(session: str) -> bytes:
    """What Django packed into a session's row."""
    packed = session.split(":")[0]
    content = base64.urlsafe_b64decode(packed.lstrip(".") + "=" * (-len(packed.lstrip(".")) % 4))
    return zlib.decompress(content) if packed.startswith(".") else content


def forms(mark: str) -> Iterator[bytes]:
    """A mark as it may be written: plain, other case, UTF-16, packed, or as a hash that nobody needs to break."""
    plain = mark.encode()
    yield plain
    yield plain.lower()
    yield mark.encode("utf-16-le")
    yield base64.b64encode(plain).rstrip(b"=")[:-1]
    for name in ("md5", "sha1", "sha256"):
        digest = hashlib.new(name, plain)
        yield digest.digest()
        yield digest.hexdigest().encode()


def traces(desk: Served) -> set[tuple[str, str]]:
    """Mark and place of everything that was found."""
    found = set()
    for place, content in written_by(desk):
        with suppress(OSError, EOFError, zlib.error):
            content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        found |= {(name, place) for name, mark in MARKS.items() if any(form in content for form in forms(mark))}
    return found


def test_an_anonymous_consultation_leaves_no_trace_of_who_sent_it(tmp_path):
    with served(tmp_path) as desk:
        consult(desk)
        assert traces(desk) == set()
        with closing(sqlite3.connect(desk.data / "desk.sqlite3")) as database:
            assert database.execute("SELECT count(*) FROM cases_case WHERE is_anonymous").fetchone() == (2,)
            assert database.execute("SELECT count(*) FROM cases_attachment").fetchone() == (3,)
    assert traces(desk) == set()
    assert "Traceback" in desk.text  # the desk did write about its own failure


LEAKS: dict[str, Callable[[str], bool]] = {
    "serve.log": lambda place: place == "serve.log", "session": lambda place: place.startswith("session"),
    "temporary file": lambda place: place.startswith("tmp/"), "audit": lambda place: place.startswith("data/desk.sqlite3"),
    "held open": lambda place: place.startswith("held open"),
}


def test_the_search_finds_what_a_careless_desk_would_keep(tmp_path):
    (tmp_path / "careless.py").write_text(textwrap.dedent("""
        import logging, tempfile
        from hikeshi_desk.settings import *
        MIDDLEWARE = [*MIDDLEWARE, "careless.keep"]
        HELD = tempfile.TemporaryFile()

        def keep(get_response):
            def kept(request):
                meta = request.META
                logging.getLogger("careless").warning("%s %s", meta["REMOTE_ADDR"], meta.get("HTTP_USER_AGENT"))
                request.session["seen"] = ("padding " * 40) + meta.get("HTTP_ACCEPT_LANGUAGE", "")
                with tempfile.NamedTemporaryFile("w", delete=False) as out:
                    out.write(meta.get("HTTP_REFERER", ""))
                HELD.write(meta.get("HTTP_VIA", "").encode())
                HELD.flush()
                from hikeshi_desk.audit.log import record
                record("consultee", "seen", "", who=meta.get("HTTP_X_FORWARDED_FOR", ""))
                return get_response(request)
            return kept
        """))
    paths = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[3] / "src")))
    with served(tmp_path, DJANGO_SETTINGS_MODULE="careless", PYTHONPATH=paths) as desk:
        assert Visitor(desk).send("GET", "/code/")[0] == 200, desk.text
        found = traces(desk)
    found |= traces(desk)  # what stood in the database's own log has been moved meanwhile
    expected = {"serve.log": {"address", "browser"}, "session": {"language"}, "temporary file": {"referrer"},
                "audit": {"forwarded"}, "held open": {"proxy"}}
    for name, at in LEAKS.items():
        assert {mark for mark, place in found if at(place)} >= expected[name], (name, found)
