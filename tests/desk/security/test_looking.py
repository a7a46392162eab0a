"""GET and HEAD change nothing, whoever asks; every answer carries every header."""

from __future__ import annotations

import socket
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.handlers.wsgi import WSGIHandler
from two_worlds import ROUTES, Visitor, everything, make_secret, paths, signed_in

HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
           "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"}
pytestmark = pytest.mark.django_db


def test_looking_as_anybody_changes_no_table_and_no_answer_lacks_a_header(world):
    secret = make_secret(world, overwritten=False)
    pools = {"case": [secret.case.pk], "uuid": [pk for pks in secret.rows.values() for pk in pks[:1] if not isinstance(pk, int)][:6],
             "int": [1]}
    people = [Visitor("lead", signed_in(world.lead)), Visitor("handler", signed_in(world.handler)), world.visitors[1], world.visitors[0]]
    before = everything()
    for visitor in people:
        for name, entry in ROUTES.items():
            for path in paths(name, entry, pools)[:8]:
                for method in ("GET", "HEAD"):
                    answer = visitor.ask(method, path)
                    where = f"{visitor.name} {method} {path} {answer.status_code}"
                    assert answer.status_code < 500, where
                    for header, value in HEADERS.items():
                        assert answer.headers.get(header) == value, f"{where}: {header}"
                    assert "default-src 'none'" in answer.headers["Content-Security-Policy"], where
                    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"], where
                    assert "no-store" in answer.headers["Cache-Control"] or "max-age" in answer.headers["Cache-Control"], where
        assert everything() == before, visitor.name


class _Silent(WSGIRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


def _said(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while more := line.recv(65536):
            answer += more
    return answer


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("request_line, headers, body", [
    ("POST /consult/", "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000", b"--x\r\nContent-Disposition: form-data"),
    ("POST /consult/", "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 99999999999999", b""),
    ("POST /consult/", "Content-Type: multipart/form-data\r\nContent-Length: 3", b"abc"),
    ("POST /desk/account/sign-in/", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 900", b"email=a"),
    ("GET /no/such", "", b""), ("GET /static/none.css", "", b""), ("GET /static/css/tokens.css", "", b""), ("PUT /", "", b""),
    ("GET /desk/account/link/%00/", "", b""), ("GET /%ff", "", b""),
])
def test_aborted_odd_and_static_answers_carry_the_headers_too(request_line, headers, body):
    server = make_server("127.0.0.1", 0, WSGIHandler(), handler_class=_Silent)
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    lines = f"{request_line} HTTP/1.0\r\nHost: localhost\r\n{headers}{chr(13) + chr(10) if headers else ''}\r\n"
    answer = _said(server.server_address[1], lines.encode() + body).decode("latin-1")
    thread.join(10)
    server.server_close()
    assert answer.startswith("HTTP/1."), request_line
    head = answer.split("\r\n\r\n")[0].lower()
    for header, value in HEADERS.items():
        assert f"{header.lower()}: {value.lower()}" in head, (header, head)
    assert "default-src 'none'" in head
