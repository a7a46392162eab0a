"""A Dovecot of our own on loopback, with a mailbox for each name; every password is "secret"."""

from __future__ import annotations

import getpass
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

DOVECOT = shutil.which("dovecot") or "/usr/sbin/dovecot"
PASSWORD = "secret"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def signed_in(port: int, name: str) -> imaplib.IMAP4:
    client = imaplib.IMAP4("127.0.0.1", port, timeout=20)
    client.login(name, PASSWORD)
    client.select("INBOX")
    return client


@contextmanager
def dovecot(*names: str) -> Iterator[int]:
    """Its port; skips the test where there is no Dovecot or it does not start."""
    if not Path(DOVECOT).exists():
        pytest.skip("no Dovecot here (Debian: apt-get install dovecot-imapd)")
    # Not tmp_path: its parents are closed to Dovecot's own users, which it insists on when run as root.
    folder = Path(tempfile.mkdtemp(prefix="hikeshi-imap-"))
    folder.chmod(0o755)
    port, server = free_port(), None
    try:
        _configure(folder, port, names)
        server = subprocess.Popen([DOVECOT, "-F", "-c", str(folder / "dovecot.conf")], stderr=subprocess.PIPE)
        _wait(server, port, names[0], folder / "log")
        yield port
    finally:
        if server is not None:
            server.terminate()
            server.wait(10)
            server.stderr.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], port: int, name: str, log: Path) -> None:
    for _ in range(200):
        try:
            signed_in(port, name).logout()
            return
        except (OSError, imaplib.IMAP4.error):
            if server.poll() is not None:
                pytest.skip(f"dovecot did not start: {server.stderr.read()[-300:]!r}")
            time.sleep(0.1)
    pytest.skip(f"dovecot does not answer: {log.read_text()[-500:]}")


def _configure(folder: Path, port: int, names: tuple[str, ...]) -> None:
    me = login = getpass.getuser()
    group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
    if os.getuid() == 0:
        me = group = "dovecot"
        login = "dovenull"
    owner, users = pwd.getpwnam(me), []
    for name in names:
        home = folder / name
        home.mkdir()
        os.chown(home, owner.pw_uid, owner.pw_gid)
        users.append(f"{name}:{{PLAIN}}{PASSWORD}:{owner.pw_uid}:{owner.pw_gid}::{home}::\n")
    (folder / "users").write_text("".join(users))
    (folder / "dovecot.conf").write_text(f"""
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = no
disable_plaintext_auth = no
default_internal_user = {me}
default_internal_group = {group}
default_login_user = {login}
first_valid_uid = 0
first_valid_gid = 0
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = passwd-file
  args = {folder}/users
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
""")
