"""The line to a desk: the certificate is checked, nothing goes unencrypted, answers are judged."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hikeshi.errors import RemoteError, UsageError
from hikeshi.remote.desk import Declined, Desk, Unreachable, address_of


@pytest.mark.parametrize("url", ["http://desk.example", "ftp://desk.example", "desk.example", "https://", "", "https://u:p@d.example",
                                 "http://127.0.0.1.evil.example", "http://localhost.evil.example", "https://d.example:99999",
                                 "https://d.example/?q=1", "http://10.0.0.1", "http://[::2]"])
def test_only_https_or_this_machine(url):
    with pytest.raises(UsageError):
        address_of(url)


@pytest.mark.parametrize("url", ["https://desk.example", "http://127.0.0.1:8000/", "http://localhost:1", "http://[::1]:8000",
                                 "https://desk.example:8443/hikeshi/"])
def test_these_are_addresses(url):
    assert address_of(url).host


def _certificate(tmp_path, name: str):
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
            .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256()))
    path = tmp_path / f"{name}.pem"
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                       serialization.NoEncryption()) + made.public_bytes(serialization.Encoding.PEM))
    return path


@contextlib.contextmanager
def answering(status: int, content: bytes, certificate=None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            return

    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1], asked
    server.shutdown()
    server.server_close()


def test_a_certificate_nobody_vouches_for_ends_it_before_a_word_is_sent(tmp_path):
    own, other = _certificate(tmp_path, "localhost"), _certificate(tmp_path, "other.example")
    with answering(200, b'{"a": 1}', own) as (port, asked):
        for ca in (None, other):
            with pytest.raises(RemoteError, match="certificate"):
                Desk(f"https://localhost:{port}", ca=ca, token="SECRET").ask("GET", "/x")
        assert asked == []
        assert Desk(f"https://localhost:{port}", ca=own).ask("GET", "/x") == {"a": 1} and asked == ["/api/v1/x"]
    with answering(200, b"{}", other) as (port, asked), pytest.raises(RemoteError, match="certificate"):
        Desk(f"https://localhost:{port}", ca=other).ask("GET", "/x")


def test_no_authority_in_the_file_is_told(tmp_path):
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(UsageError, match="PEM"):
        Desk("https://desk.example", ca=tmp_path / "no.pem")


def test_a_redirect_is_not_followed_and_another_server_is_told():
    with answering(302, b"") as (port, _), pytest.raises(Declined) as told:
        Desk(f"http://127.0.0.1:{port}").ask("GET", "/x")
    assert told.value.status == 302 and "Hikeshi desk" in told.value.hint
    for content in (b"<html>", b"[]", b'"x"', b"\xff"):
        with answering(200, content) as (port, _), pytest.raises(RemoteError, match="no Hikeshi desk"):
            Desk(f"http://127.0.0.1:{port}").ask("GET", "/x")


def test_nobody_there_is_out_of_reach():
    with pytest.raises(Unreachable):
        Desk("http://127.0.0.1:1").ask("GET", "/x")
