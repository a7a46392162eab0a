"""Our lists in the real thing: each is started with our list, sees a listed request refused and a near miss pass."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hikeshi.respond.devices import DEVICES, Job
from hikeshi.respond.devices import squid as squid_device
from hikeshi.respond.targets import Target, target

VALUES = ("evil.example", "deep.evil.example", "203.0.113.66", "198.51.100.0/24", "2001:db8::66",
          "http://share.example/u/drop.php", "http://query.example/a?b=1&c=[x]*(y)")
# What an attacker may put into a name or a path to get out of the list's syntax.
NASTY = ("http://inject.example/a';--%0a|$(reboot)`id`\"x^y\\z{}~", "http://regex.example/(.*)+[a-z]{1,9}$",
         "http://hash.example/a;b#c", "xn--nxasmq6b.example", "_dmarc.under_score.example", "2001:db8:0:0:1::/80")


def job(*values: str) -> Job:
    found = [target(v) for v in values or (*VALUES, *NASTY)]
    assert all(found)
    return Job("t3st", datetime(2026, 11, 1, tzinfo=UTC), tuple(t for t in found if isinstance(t, Target)))


def write(device: str, folder: Path, *values: str) -> Path:
    made = DEVICES[device](job(*values))
    for file in made.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.text.encode())
    return folder


def needs(program: str, package: str) -> str:
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed (Debian: {package})")
    return found


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text(errors="replace")[-3000:] if log.exists() else "ended"
        with socket.socket() as one:
            one.settimeout(1)
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("did not start")


class _Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"origin"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Squid with our list, on loopback; every name leads to a small origin server on 127.0.0.1."""
    program = needs("squid", "squid")
    folder = tmp_path_factory.mktemp("squid")
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent.owner() == "root" and Path(tempfile.gettempdir()) in parent.parents:
            parent.chmod(0o755)  # squid gives up root
    lists = folder / "hikeshi"
    lists.mkdir()
    for file in squid_device.render_at(job(), str(lists)).files:
        (lists / file.path).write_bytes(file.text.encode())
    origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    names = ["evil.example", "a.evil.example", "deep.evil.example", "notevil.example", "share.example", "query.example",
             "regex.example", "hash.example", "inject.example", "evil.example.org"]
    (folder / "hosts").write_text("".join(f"127.0.0.1 {n}\n" for n in names) + "203.0.113.66 moved.example\n")
    port = free_port()
    log = folder / "cache.log"
    (folder / "squid.conf").write_text(
        f"http_port 127.0.0.1:{port}\nhosts_file {folder}/hosts\npid_filename none\ncache_log {log}\naccess_log none\n"
        f"cache deny all\nshutdown_lifetime 0 seconds\npinger_enable off\ndns_nameservers 127.0.0.1\ndns_timeout 1 seconds\n"
        f"cache_peer 127.0.0.1 parent {origin.server_port} 0 no-query originserver\nnever_direct allow all\n"
        f"coredump_dir {folder}\nvisible_hostname test\ncache_effective_user {_who()}\n"
        f"include {lists}/hikeshi.conf\nhttp_access allow all\n")
    parsed = subprocess.run([program, "-k", "parse", "-f", str(folder / "squid.conf")], capture_output=True, text=True)
    assert parsed.returncode == 0 and "ERROR" not in parsed.stderr and "WARNING" not in parsed.stderr, parsed.stderr
    if os.getuid() == 0:
        shutil.chown(folder, "proxy")
    process = subprocess.Popen([program, "-N", "-f", str(folder / "squid.conf")], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(20)
        origin.shutdown()


def _who() -> str:
    import getpass

    return "proxy" if os.getuid() == 0 else getpass.getuser()


def ask(port: int, line: str) -> int:
    with socket.create_connection(("127.0.0.1", port), 20) as one:
        one.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return int(one.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(("line", "refused"), [
    ("GET http://evil.example/", True), ("GET http://a.evil.example/x", True), ("CONNECT evil.example:443", True),
    ("GET http://EVIL.example/", True), ("GET http://203.0.113.66/", True), ("CONNECT 198.51.100.7:443", True),
    ("GET http://moved.example/", True),
    ("GET http://share.example/u/drop.php", True), ("GET http://share.example/u/drop.php?id=1", True),
    ("GET http://share.example/u/drop.php/more", True),
    ("GET http://query.example/a?b=1&c=[x]*(y)", True),
    ("GET http://regex.example/(.*)+[a-z]%7B1,9%7D$", True),
    ("GET http://inject.example/a%27;--%0a%7C$(reboot)%60id%60%22x%5Ey%5Cz%7B%7D~", True),
    ("GET http://inject.example/a';--%0A|$(reboot)`id`\"x%5ey%5cz{}~", True),
    # Near misses: another name, another path, an address beside the range, a pattern read as a pattern.
    ("GET http://notevil.example/", False), ("GET http://evil.example.org/", False),
    ("GET http://share.example/u/drop.phpx", False), ("GET http://share.example/u/", False),
    ("GET http://query.example/aab=1", False), ("GET http://query.example/a?b=1&c=x", False),
    ("GET http://regex.example/anything", False), ("GET http://hash.example/", False),
    ("GET http://notevil.example/?u=http://evil.example/", False),
])
def test_squid_refuses_what_is_listed_and_nothing_else(proxy: int, line: str, refused: bool) -> None:
    assert ask(proxy, line) == (403 if refused else 200)


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """BIND with our policy zone, on loopback, and a zone of its own that holds everything else."""
    program = needs("named", "bind9")
    needs("dig", "bind9-dnsutils")
    folder = tmp_path_factory.mktemp("named")
    write("rpz", folder)
    config = (folder / "named.conf.hikeshi").read_text()
    policy, zone = (line for line in config.splitlines() if not line.startswith("//"))
    (folder / "root.zone").write_text(
        "$TTL 60\n@ IN SOA ns.example. root.example. 1 60 60 60 60\n@ IN NS ns.example.\nns.example. A 127.0.0.1\n"
        + "".join(f"{n}. A 192.0.2.1\n" for n in ("notevil.example", "evil.example", "a.b.evil.example", "fine.example",
                                                   "evil.example.org", "xn--nxasmq6b.example"))
        + "listed-address.example. A 203.0.113.66\nin-range.example. A 198.51.100.200\nnext-door.example. A 203.0.113.67\n"
        + "six.example. AAAA 2001:db8::66\nsix-range.example. AAAA 2001:db8:0:0:1::5\nsix-fine.example. AAAA 2001:db8::67\n")
    port = free_port()
    log = folder / "log"
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; '
        f'pid-file none; session-keyfile "{folder}/key"; recursion yes; dnssec-validation no; allow-query {{ any; }}; '
        f'{policy} }};\ncontrols {{ }};\nzone "." {{ type primary; file "root.zone"; }};\n{zone}\n')
    checked = subprocess.run([needs("named-checkconf", "bind9"), "-z", str(folder / "named.conf")], capture_output=True,
                             text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    with log.open("wb") as out:
        process = subprocess.Popen([program, "-g", "-c", str(folder / "named.conf"), "-n", "1"], stdout=out, stderr=out)
    try:
        wait_for(port, process, log)
        for _ in range(100):
            if "all zones loaded" in log.read_text(errors="replace"):
                break
            time.sleep(0.1)
        said = log.read_text(errors="replace")
        assert "rpz" in said and "is not the canonical" not in said and "invalid rpz" not in said, said
        yield port
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize(("name", "kind", "refused"), [
    ("evil.example", "A", True), ("a.b.evil.example", "A", True), ("EVIL.EXAMPLE", "A", True),
    ("xn--nxasmq6b.example", "A", True), ("listed-address.example", "A", True), ("in-range.example", "A", True),
    ("six.example", "AAAA", True), ("six-range.example", "AAAA", True),
    ("notevil.example", "A", False), ("evil.example.org", "A", False), ("fine.example", "A", False),
    ("next-door.example", "A", False), ("six-fine.example", "AAAA", False),
])
def test_bind_denies_the_existence_of_what_is_listed(resolver: int, name: str, kind: str, refused: bool) -> None:
    said = subprocess.run([needs("dig", "bind9-dnsutils"), "@127.0.0.1", "-p", str(resolver), name, kind, "+time=5"],
                          capture_output=True, text=True, check=True).stdout
    assert ("status: NXDOMAIN" in said) is refused
    assert ("ANSWER: 1" in said) is not refused


# In a network namespace of its own: no rule of ours ever reaches this machine.
_NFT = """
import socket, subprocess, sys, time
def run(*call): subprocess.run(call, check=True)
nft = sys.argv[1]
run("ip", "link", "set", "lo", "up")
for address in ("192.0.2.1/32", "203.0.113.66/32", "203.0.113.67/32", "198.51.100.9/32"):
    run("ip", "addr", "add", address, "dev", "lo")
for address in ("2001:db8:ffff::1/128", "2001:db8::66/128", "2001:db8::67/128"):
    run("ip", "-6", "addr", "add", address, "dev", "lo", "nodad")
servers = []
def reach(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family); server.bind((address, 0)); server.listen(); servers.append(server)
    client = socket.socket(family); client.settimeout(20)
    # From an address of its own: the answer to a listed one would be refused too.
    client.bind(("2001:db8:ffff::1" if ":" in address else "192.0.2.1", 0))
    try:
        client.connect((address, server.getsockname()[1])); return "open"
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return str(error)
    finally:
        client.close()
def ready(address, until=time.monotonic() + 20):  # a new address is usable a moment later
    while (found := reach(address)) != "open" and time.monotonic() < until:
        time.sleep(0.2)
    return found
every = ("203.0.113.66", "198.51.100.9", "2001:db8::66", "203.0.113.67", "2001:db8::67")
print("before", *(ready(a) for a in every))
run(nft, "-f", sys.argv[2]); run(nft, "-f", sys.argv[2])
print("listed", *(reach(a) for a in every))
run(nft, "-f", sys.argv[3])
print("undone", *(reach(a) for a in every))
"""


def test_nftables_refuses_listed_addresses_and_undo_opens_them(tmp_path: Path) -> None:
    nft = needs("nft", "nftables")
    unshare = needs("unshare", "util-linux")
    needs("ip", "iproute2")
    folder = write("nftables", tmp_path)
    (tmp_path / "try.py").write_text(_NFT)
    inside = [unshare, "-n"] if os.getuid() == 0 else [unshare, "-rn"]
    if subprocess.run([*inside, nft, "list", "tables"], capture_output=True).returncode:
        pytest.skip("this machine gives no network namespace with nftables")
    done = subprocess.run([*inside, sys.executable, str(tmp_path / "try.py"), nft, str(folder / "hikeshi.nft"),
                           str(folder / "undo.nft")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [  # a loaded machine is slow, never refused
        "before open open open open open", "listed refused refused refused open open", "undone open open open open open"]


def test_suricata_takes_our_rules(tmp_path: Path) -> None:
    program = needs("suricata", "suricata")
    folder = write("suricata", tmp_path)
    done = subprocess.run([program, "-T", "-S", str(folder / "hikeshi.rules"), "-l", str(tmp_path)], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hosts_file_undoes_itself(tmp_path: Path) -> None:
    folder = write("hosts", tmp_path / "hosts-list")
    hosts = tmp_path / "hosts"
    before = "127.0.0.1 localhost\n"
    hosts.write_text(before + (folder / "hosts").read_text() + "192.0.2.1 after.example\n")
    assert "0.0.0.0 evil.example" in hosts.read_text()
    script = (folder / "undo.sh").read_text().replace("/etc/hosts", str(hosts))
    subprocess.run(["sh", "-c", script], check=True)
    assert hosts.read_text() == before + "192.0.2.1 after.example\n"
