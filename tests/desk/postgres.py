"""A private PostgreSQL cluster for as long as a command runs: python tests/desk/postgres.py [--on-disk] COMMAND…

The command finds it as DATABASE_URL. The cluster lies in memory where there is room (a test empties all tables many
times, and no test cuts the server's power), with --on-disk in a temporary folder; answers on loopback and on a socket in
that folder, keeps every commit (fsync on), sorts the Japanese way (ICU), and ends with the command, however that ends.
Exit code: the command's; 75 if there is no PostgreSQL to start, with the reason on stderr.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MISSING = 75
_ROOM = 1 << 30
_ACCOUNTS = ("postgres", "nobody")


class NoPostgres(RuntimeError):
    """It can't be started here; the text says why."""


@dataclass(frozen=True)
class Cluster:
    """`url` names a fresh database; `server` is the postmaster's process id."""

    url: str
    server: int
    folder: Path

    def database(self, name: str) -> str:
        return f"{self.url.rsplit('/', 1)[0]}/{name}"


def programs() -> Path:
    """The folder of the newest installed server. Raises NoPostgres."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if found:
        return max(found, key=lambda path: int(path.parent.name.split(".")[0]))
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    raise NoPostgres("PostgreSQL is not installed (Debian: apt-get install postgresql)")


def account() -> pwd.struct_passwd | None:
    """Whom the server runs as: it refuses root. None: as we are."""
    if os.getuid():
        return None
    for name in _ACCOUNTS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres("there is no account but root to run PostgreSQL as")


@contextlib.contextmanager
def cluster(*, on_disk: bool = False) -> Iterator[Cluster]:
    """Made, started, and gone at the end. Raises NoPostgres."""
    bin_folder, who = programs(), account()
    folder = Path(tempfile.mkdtemp(prefix="hikeshi-postgres-", dir=None if on_disk else _memory()))
    try:
        password = secrets.token_hex(16)
        (folder / "password").write_text(password)
        if who:
            for path in (folder, folder / "password"):
                os.chown(path, who.pw_uid, who.pw_gid)
        _initialise(bin_folder, who, folder)
        with _running(bin_folder, who, folder) as (server, port):
            url = f"postgres://hikeshi:{password}@127.0.0.1:{port}/hikeshi"
            _create(url)
            yield Cluster(url, server, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str | None:
    """Linux's memory disk, if a gigabyte is free there."""
    place = Path("/dev/shm")
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > _ROOM else None


def _as(who: pwd.struct_passwd | None) -> dict[str, object]:
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if who else {}


def _initialise(bin_folder: Path, who: pwd.struct_passwd | None, folder: Path) -> None:
    call = [bin_folder / "initdb", "-D", folder / "data", "-U", "hikeshi", "-A", "scram-sha-256", "-E", "UTF8",
            "--pwfile", folder / "password", "--locale", "C.UTF-8", "--no-instructions"]
    # Another order of words than SQLite's: what sorts must not lean on the database by accident.
    icu = [*call, "--locale-provider=icu", "--icu-locale=ja-JP"]
    for one in (icu, call):
        done = subprocess.run(one, cwd="/", capture_output=True, text=True, check=False, **_as(who))
        if done.returncode == 0:
            return
        shutil.rmtree(folder / "data", ignore_errors=True)
    raise NoPostgres(f"initdb failed: {done.stderr.strip()[-300:]}")


@contextlib.contextmanager
def _running(bin_folder: Path, who: pwd.struct_passwd | None, folder: Path) -> Iterator[tuple[int, int]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": str(folder),
               "fsync": "on", "synchronous_commit": "on", "max_connections": "60", "shared_buffers": "128MB",
               "log_min_messages": "warning"}
    call = [str(bin_folder / "postgres"), "-D", str(folder / "data"),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}"))]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(call, cwd="/", stdout=log, stderr=log, preexec_fn=_die_with_parent, **_as(who))
    try:
        until = time.monotonic() + 300
        while subprocess.run([bin_folder / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)],
                             check=False).returncode:
            if server.poll() is not None or time.monotonic() > until:
                raise NoPostgres(f"the server did not start: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)
        yield server.pid, port
    finally:
        server.send_signal(signal.SIGINT)  # fast: open transactions are rolled back
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.send_signal(signal.SIGQUIT)
            server.wait(20)


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGINT)


def _create(url: str) -> None:
    import psycopg

    server, name = url.rsplit("/", 1)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')


def main(command: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with cluster(on_disk=command[:1] == ["--on-disk"]) as running:
            command = command[1:] if command[:1] == ["--on-disk"] else command
            return subprocess.run(command, env=os.environ | {"DATABASE_URL": running.url}, check=False).returncode
    except NoPostgres as why:
        print(why, file=sys.stderr)
        return MISSING


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
