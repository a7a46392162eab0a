"""The desk calls whom the operator named, at addresses of the kind the operator named, and nobody else."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import logging
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk import config, egress
from hikeshi_desk.accounts.texts import text

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def told(tmp_path, settings):
    """Write desk.toml's [egress]."""
    settings.DATA = tmp_path

    def write(**table) -> None:
        lines = [f"{name} = {value!r}" for name, value in table.items()]
        (tmp_path / "desk.toml").write_text("\n".join(["[egress]", *lines, ""]))
        config.load.cache_clear()

    yield write
    config.load.cache_clear()


@contextlib.contextmanager
def service(answer=OK, *, context: ssl.SSLContext | None = None, drip_s: float | None = None):
    """A server on loopback that gives the same bytes to everybody; yields (port, what was asked)."""
    asked: list[bytes] = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def handle(connection: socket.socket) -> None:
            with contextlib.suppress(OSError):
                if context:
                    connection = context.wrap_socket(connection, server_side=True)
                with connection:
                    connection.settimeout(5)
                    asked.append(connection.recv(100_000))
                    if drip_s is None:
                        connection.sendall(answer)
                        return
                    for sign in answer:
                        if stop.wait(drip_s):
                            return
                        connection.sendall(bytes([sign]))

        def run() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    threading.Thread(target=handle, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1], asked
        finally:
            stop.set()
            thread.join()


def refusal(method: str, url: str, **more) -> str:
    with pytest.raises(egress.Refused) as refused:
        egress.call(method, url, **more)
    assert text(refused.value.reason, language="ja") and text(refused.value.reason, language="en")
    return refused.value.reason.rpartition(".")[2]


def test_nothing_is_called_unless_named(told):
    told()
    with service() as (port, asked):
        assert refusal("GET", f"http://127.0.0.1:{port}/") == "not_named"
        told(private=[f"http://127.0.0.1:{port + 1 if port < 65535 else 1024}"])
        assert refusal("GET", f"http://127.0.0.1:{port}/") == "not_named"
        told(private=[f"https://127.0.0.1:{port}"])
        assert refusal("GET", f"http://127.0.0.1:{port}/") == "not_named"
        assert asked == []
        told(private=[f"http://127.0.0.1:{port}"])
        assert egress.call("GET", f"http://127.0.0.1:{port}/").body == b"ok"
        assert len(asked) == 1


def test_a_named_service_gets_the_request_as_written(told):
    with service(b"HTTP/1.1 201 Made\r\nX-One: a\r\nContent-Length: 3\r\n\r\nyes") as (port, asked):
        told(private=[f"http://localhost:{port}"])
        answer = egress.call("POST", f"http://localhost:{port}/hook?a=1", headers={"Content-Type": "text/plain"}, body=b"hello")
    assert (answer.status, answer.body, answer.headers["x-one"], answer.is_good) == (201, b"yes", "a", True)
    head, _, body = asked[0].partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /hook?a=1 HTTP/1.1" and body == b"hello"
    assert f"Host: localhost:{port}".encode() in lines and b"Content-Length: 5" in lines
    assert b"Accept-Encoding: identity" in lines


def test_loopback_is_reached_only_as_private(told, monkeypatch):
    with service() as (port, asked):
        told(allow=[f"https://localhost:{port}"])
        assert refusal("GET", f"https://localhost:{port}/") == "address"
    assert asked == []


def pretend(monkeypatch, *addresses: str) -> list[str]:
    """The resolver answers with these, and counts its questions."""
    questions: list[str] = []

    def answer(host, port, *_, **__):
        questions.append(host)
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
                for one in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return questions


@pytest.mark.parametrize("address", [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "192.88.99.1", "::1", "::", "fe80::1",
    "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::",
    "2002:5db8:d822::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2001:0:5db8:d822::1",
    "fec0::1", "2001:db8::1", "fe80::1%lo",
])
def test_a_public_name_that_leads_inside_is_refused(told, monkeypatch, address):
    assert not egress.is_public(ipaddress.ip_address(address))
    told(allow=["https://hooks.example.org"])
    pretend(monkeypatch, address)
    assert refusal("GET", "https://hooks.example.org/") == "address"
    # One good address beside it makes it no better.
    pretend(monkeypatch, "93.184.216.34", address)
    assert refusal("GET", "https://hooks.example.org/") == "address"


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_public_addresses_are_known_as_such(address):
    assert egress.is_public(ipaddress.ip_address(address))
    assert not egress.is_of_the_house(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["169.254.169.254", "0.0.0.0", "::", "fe80::1", "224.0.0.1", "::ffff:169.254.169.254",
                                     "64:ff9b::a9fe:a9fe", "93.184.216.34", "240.0.0.1"])
def test_a_private_name_leads_to_the_house_only(told, monkeypatch, address):
    told(private=["http://hooks.house:9000"])
    pretend(monkeypatch, address)
    assert refusal("GET", "http://hooks.house:9000/") == "address"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.9", "100.64.1.1", "::1", "fd00::5"])
def test_house_addresses_are_known_as_such(address):
    assert egress.is_of_the_house(ipaddress.ip_address(address))


def test_the_name_is_asked_once_and_the_checked_address_is_called(told, monkeypatch):
    with service() as (port, asked):
        told(private=[f"http://hooks.house:{port}"])
        answers = iter(["127.0.0.1", "169.254.169.254"])
        asked_names = []

        def rebinding(host, at, *_, **__):
            # Python's own connect looks literal addresses up again; only a name is a question to the DNS.
            if host == "127.0.0.1":
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, at))]
            asked_names.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), at))]

        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        assert egress.call("GET", f"http://hooks.house:{port}/").status == 200
    assert asked_names == ["hooks.house"]
    assert f"Host: hooks.house:{port}".encode() in asked[0]


@pytest.mark.parametrize("url", [
    "http://2130706433:{port}/", "http://0177.0.0.1:{port}/", "http://0x7f.1:{port}/", "http://127.1:{port}/",
    "http://127.0.0.1.:{port}@example.org/", "http://a@127.0.0.1:{port}/", "http://127.0.0.1:{port}\\@example.org/",
    "http://127.0.0.1:{port}/\r\nX: y", "http://127.0.0.1:{port}/a b", "http://127.0.0.1:{port}/\t", "http://[::1/",
    "http://127.0.0.1:99999/", "ftp://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "", "http:///", "file:///etc/passwd",
    "http://127.0.0.1:{port}/#x", "http://127.0.0.1:{port}/日本", "http://exa_mple..org/", "http://xn--\udc80/",
])
def test_odd_spellings_are_refused(told, url):
    with service() as (port, asked):
        told(private=[f"http://127.0.0.1:{port}", "http://localhost"])
        assert refusal("GET", url.format(port=port)) in ("url", "not_named")
        assert asked == []


def test_one_spelling_names_one_place(told, monkeypatch):
    told(allow=["https://Bücher.Example.", "https://[2606:4700:0::1111]:443/"])
    for same in ("https://xn--bcher-kva.example/x", "https://BÜCHER.example:443/", "https://[2606:4700::1111]/"):
        assert egress.may_call(same)
    for other in ("https://bucher.example/", "https://bücher.example.evil.example/", "https://[2606:4700::1112]/"):
        assert not egress.may_call(other)


def test_a_redirect_is_an_answer_not_a_way(told):
    with service() as (target, reached), \
            service(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{target}/\r\nContent-Length: 0\r\n\r\n".encode()
                    ) as (port, _):
        told(private=[f"http://127.0.0.1:{port}", f"http://127.0.0.1:{target}"])
        answer = egress.call("GET", f"http://127.0.0.1:{port}/")
        assert answer.status == 302 and not answer.is_good
        assert reached == []


def test_a_proxy_of_the_environment_is_not_used(told, monkeypatch):
    with service() as (port, _), service() as (proxy, seen):
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
        told(private=[f"http://127.0.0.1:{port}"])
        assert egress.call("GET", f"http://127.0.0.1:{port}/").status == 200
        assert seen == []


@pytest.mark.parametrize("answer", [OK.replace(b"ok", b"ok" * 5), b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 50])
def test_a_dripping_service_is_left(told, answer):
    with service(answer, drip_s=0.2) as (port, _):
        told(private=[f"http://127.0.0.1:{port}"])
        assert refusal("GET", f"http://127.0.0.1:{port}/", timeout_s=0.7) == "too_slow"


def test_a_slow_look_up_is_left(told, monkeypatch):
    told(allow=["https://hooks.example.org"])
    hold = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hold.wait(5) and [])
    try:
        assert refusal("GET", "https://hooks.example.org/", timeout_s=0.2) == "too_slow"
    finally:
        hold.set()


@pytest.mark.parametrize(("answer", "why"), [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000, "too_large"),
    (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, "too_large"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n" + b"1\r\nx\r\n" * 30000,
     "too_large"),
    (b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\n" * 10_000, "too_large"),
    (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", "coded"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "no_answer"),
    (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", "no_answer"),
    (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "no_answer"),
    (b"nonsense\r\n\r\n", "no_answer"), (b"", "no_answer"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no_answer"),
])
def test_what_is_no_sound_answer_is_refused(told, answer, why):
    with service(answer) as (port, _):
        told(private=[f"http://127.0.0.1:{port}"])
        assert refusal("GET", f"http://127.0.0.1:{port}/", most=1000, timeout_s=5) == why


def test_an_answer_of_exactly_the_size_is_taken(told):
    with service(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000) as (port, _):
        told(private=[f"http://127.0.0.1:{port}"])
        assert len(egress.call("GET", f"http://127.0.0.1:{port}/", most=1000).body) == 1000
        assert refusal("GET", f"http://127.0.0.1:{port}/", most=999) == "too_large"


@pytest.mark.parametrize("headers", [{"X-A": "b\r\nX-C: d"}, {"X-A\r\n": "b"}, {"X A": "b"}, {"X-A": "b\0"}, {"": "b"},
                                     {"Host": "evil.example"}, {"Transfer-Encoding": "chunked"}, {"X-A": "日本"},
                                     {"content-length": "1"}, {"Accept-Encoding": "gzip"}, {"Proxy-Authorization": "x"}])
def test_headers_that_would_be_something_else_are_refused(told, headers):
    with service() as (port, asked):
        told(private=[f"http://127.0.0.1:{port}"])
        assert refusal("GET", f"http://127.0.0.1:{port}/", headers=headers) == "request"
        assert refusal("TRACE", f"http://127.0.0.1:{port}/") == "request"
        assert refusal("GET / HTTP/1.1\r\n", f"http://127.0.0.1:{port}/") == "request"
        assert asked == []


def test_neither_log_nor_error_tells_path_header_or_body(told, caplog):
    caplog.set_level(logging.DEBUG)
    with service() as (port, _):
        told(private=[f"http://127.0.0.1:{port}"])
        egress.call("POST", f"http://127.0.0.1:{port}/hooks/T0SECRET?k=KEY2", headers={"Authorization": "Bearer S3"}, body=b"W4")
        with pytest.raises(egress.Refused) as refused:
            egress.call("POST", f"http://127.0.0.1:{port}/hooks/T0SECRET", headers={"Authorization": "Bearer S3\n"})
    assert f"127.0.0.1:{port}: 200" in caplog.text
    said = caplog.text + str(refused.value) + repr(refused.value)
    assert not [secret for secret in ("T0SECRET", "KEY2", "S3", "W4") if secret in said]


# -------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "House")])
    now = dt.datetime.now(dt.UTC)

    def write(path, certificate, private) -> None:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))

    def made(subject, public, issuer_key, *, names=(), is_ca=False, days=10):
        built = (x509.CertificateBuilder().subject_name(subject).issuer_name(name).public_key(public)
                 .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=20))
                 .not_valid_after(now + dt.timedelta(days=days))
                 .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
                 .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
                 .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False))
        if is_ca:
            built = built.add_extension(x509.KeyUsage(*[n in (5, 6) for n in range(9)]), critical=True)
        if names:
            built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return built.sign(issuer_key, hashes.SHA256())

    root = made(name, key.public_key(), key, is_ca=True)
    (folder / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def leaf(label, names, **more):
        private = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
        write(folder / f"{label}.pem", made(subject, private.public_key(), key, names=names, **more), private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / f"{label}.pem")
        return context

    local = [x509.DNSName("localhost")]
    return {"folder": folder, "right": leaf("right", local), "wrong": leaf("wrong", [x509.DNSName("other.example")]),
            "old": leaf("old", local, days=-1)}


def test_a_certificate_of_the_house_is_trusted_for_its_name(told, authority, tmp_path, monkeypatch):
    (tmp_path / "ca.pem").write_bytes((authority["folder"] / "ca.pem").read_bytes())
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with service(context=authority["right"]) as (port, _):
        told(private=[f"https://localhost:{port}"], ca="ca.pem")
        assert egress.call("GET", f"https://localhost:{port}/").body == b"ok"
        told(private=[f"https://localhost:{port}"])  # without the authority: nobody vouches for it
        assert refusal("GET", f"https://localhost:{port}/") == "certificate"
        told(private=[f"https://127.0.0.1:{port}"], ca="ca.pem")  # the certificate has no such address
        assert refusal("GET", f"https://127.0.0.1:{port}/") == "certificate"
    for which in ("wrong", "old"):
        with service(context=authority[which]) as (port, asked):
            told(private=[f"https://localhost:{port}"], ca="ca.pem")
            assert refusal("GET", f"https://localhost:{port}/") == "certificate"
            assert not any(asked)
    assert not (tmp_path / "keys").exists()


def test_tls_that_never_shakes_hands_is_left(told):
    with service(drip_s=5) as (port, _):
        told(private=[f"https://localhost:{port}"])
        assert refusal("GET", f"https://localhost:{port}/", timeout_s=0.4) == "too_slow"


@pytest.mark.parametrize("table", [
    {"allow": "https://hooks.example.org"}, {"allow": ["http://hooks.example.org"]}, {"allow": ["https://a.example/path"]},
    {"allow": ["https://a.example?x=1"]}, {"allow": ["hooks.example.org"]}, {"alow": []}, {"allow": [1]},
    {"allow": ["https://a.example"], "private": ["https://a.example:443"]}, {"ca": "missing.pem"}, {"ca": "../ca.pem"}, {"ca": 5},
    {"allow": ["https://*.example.org"]}, {"private": ["http://2130706433"]}, {"private": ["http://0x7f.1"]},
    {"private": ["http://127.1:80"]}, {"private": ["http://0177.0.0.1"]},
])
def test_a_table_that_says_something_else_stops_the_start(told, table):
    told(**table)
    with pytest.raises(ImproperlyConfigured, match="egress"):
        egress.load_ways()
