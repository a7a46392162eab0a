"""auth.log and secure: who logged on from where, who became whom."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta, timezone

import pytest

from hikeshi.parse.context import Context
from hikeshi.parse.registry import any_line, parse_source

JST = timezone(timedelta(hours=9))


def one(body: str, app: str = "sshd[77]") -> dict[str, object]:
    event = any_line(f"2024-09-10T20:26:40.123456+09:00 web1 {app}: {body}", Context(JST, False))
    assert event is not None
    return event.cells


@pytest.mark.parametrize(
    ("body", "user", "source", "action", "outcome"),
    [
        ("Accepted password for u1 from 203.0.113.9 port 5000 ssh2", "u1", "203.0.113.9", "logged-in", "success"),
        (
            "Accepted publickey for u1 from 2001:db8::1 port 5000 ssh2: ED25519 SHA256:x",
            "u1",
            "2001:db8::1",
            "logged-in",
            "success",
        ),
        ("Failed password for root from 203.0.113.9 port 5 ssh2", "root", "203.0.113.9", "logon-failed", "failure"),
        (
            "Failed password for invalid user admin from 203.0.113.9 port 5 ssh2",
            "admin",
            "203.0.113.9",
            "logon-failed",
            "failure",
        ),
        ("Invalid user oracle from 203.0.113.9 port 5", "oracle", "203.0.113.9", "logon-failed", "failure"),
        ("Invalid user oracle from 203.0.113.9", "oracle", "203.0.113.9", "logon-failed", "failure"),
        (
            "User bob from 203.0.113.9 not allowed because not listed in AllowUsers",
            "bob",
            "203.0.113.9",
            "logon-failed",
            "failure",
        ),
        (
            "Disconnected from authenticating user root 203.0.113.9 port 5 [preauth]",
            "root",
            "203.0.113.9",
            "logon-failed",
            "failure",
        ),
        ("Disconnected from user u1 203.0.113.9 port 5", "u1", "203.0.113.9", "disconnected", None),
        (
            "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root",
            "root",
            "203.0.113.9",
            "logon-failed",
            "failure",
        ),
        (
            "pam_unix(sshd:session): session opened for user u1(uid=1000) by (uid=0)",
            "u1",
            None,
            "session-opened",
            "success",
        ),
        (
            "message repeated 3 times: [ Failed password for root from 203.0.113.9 port 5 ssh2]",
            "root",
            "203.0.113.9",
            "logon-failed",
            "failure",
        ),
    ],
)
def test_sshd(body, user, source, action, outcome):
    cells = one(body)
    assert (cells.get("user.name"), cells.get("source.ip"), cells.get("event.action"), cells.get("event.outcome")) == (
        user,
        source,
        action,
        outcome,
    )
    assert cells["message"] == body
    assert cells["host.name"] == "web1"
    assert cells["event.dataset"] == "linux.sshd"


def test_a_user_name_that_holds_a_false_address_does_not_win():
    cells = one("Failed password for invalid user x from 198.51.100.66 port 22 ssh2 from 203.0.113.9 port 5 ssh2")
    assert cells["source.ip"] == "203.0.113.9"
    assert cells["user.name"] == "x from 198.51.100.66 port 22 ssh2"


@pytest.mark.parametrize(
    ("app", "body", "wanted"),
    [
        (
            "sudo",
            "  u1 : TTY=pts/0 ; PWD=/home/u1 ; USER=root ; COMMAND=/bin/bash -c id",
            {
                "user.name": "u1",
                "event.action": "command-run",
                "process.command_line": "/bin/bash -c id",
                "target_user": "root",
            },
        ),
        (
            "sudo",
            "  u1 : 3 incorrect password attempts ; TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
            {"user.name": "u1", "event.action": "command-refused", "event.outcome": "failure"},
        ),
        ("su[9]", "(to root) u1 on pts/0", {"user.name": "u1", "target_user": "root", "event.action": "switched-user"}),
        (
            "useradd[9]",
            "new user: name=evil, UID=0, GID=0, home=/home/evil, shell=/bin/bash",
            {"user.name": "evil", "event.action": "user-created", "event.category": "iam"},
        ),
        (
            "usermod[9]",
            "add 'evil' to group 'sudo'",
            {"user.name": "evil", "group": "sudo", "event.action": "group-member-added"},
        ),
        ("systemd-logind[9]", "New session 12 of user u1.", {"user.name": "u1", "event.action": "session-opened"}),
        ("CRON[9]", "(root) CMD (/tmp/.x/run.sh)", {"user.name": "root", "process.command_line": "/tmp/.x/run.sh"}),
    ],
)
def test_accounts_and_commands(app, body, wanted):
    cells = one(body, app)
    assert {k: cells.get(k) for k in wanted} == wanted


def test_a_directory_account_is_a_name_and_its_domain():
    cells = one("pam_winbind(sshd:account): user 't.mori@corp.example' granted access")
    assert (cells["user.name"], cells["user.domain"], cells["user.email"]) == ("t.mori", "corp.example", "t.mori@corp.example")
    cells = one("pam_unix(sshd:account): user 't.mori@pc7' granted access")
    assert cells["user.name"] == "t.mori@pc7"
    assert "user.domain" not in cells


def test_a_message_of_another_program_is_mere_syslog():
    cells = one("Accepted password for u1 from 203.0.113.9 port 5000", "mydaemon[4]")
    assert cells["event.dataset"] == "syslog"
    assert "event.action" not in cells
    assert "event.outcome" not in cells


def test_times_of_all_header_kinds(read):
    body = "sshd[77]: Accepted password for u1 from 203.0.113.9 port 5000 ssh2\n"
    for head in (
        "2024-09-10T20:26:40+09:00 web1 ",
        "<38>1 2024-09-10T11:26:40Z web1 sshd 77 - - ",
        "2024-09-10 20:26:40 web1 ",
    ):
        line = head + (body if "sshd 77" not in head else body.removeprefix("sshd[77]: "))
        row = read(line, zone=JST).rows[0]
        assert row["@timestamp"] == "2024-09-10T11:26:40Z", head
        assert row["user.name"] == "u1"


def test_a_missing_year_is_that_of_the_file_and_says_so(source):
    given = source(
        "Dec 31 23:59:59 web1 sshd[1]: Invalid user a from 203.0.113.9\nJan  1 00:00:01 web1 sshd[1]: Invalid user b from 203.0.113.9\n"
    )
    written = datetime(2023, 2, 1, tzinfo=UTC).timestamp()
    os.utime(given.path, (written, written))
    rows = [r for t in parse_source(given, zone=UTC, zone_assumed=True) for r in t.iter_rows()]
    assert [r["@timestamp"] for r in rows] == ["2022-12-31T23:59:59Z", "2023-01-01T00:00:01Z"]
    assert rows[0]["time.note"] == "year 2022 assumed"


def test_a_neighbour_with_a_year_decides(read):
    rows = read(
        "Mar  3 10:00:00 web1 sshd[1]: Invalid user a from 203.0.113.9\n"
        "2021-03-03 10:00:01 web1 sshd[1]: Invalid user b from 203.0.113.9\n"
    ).rows
    assert rows[0]["@timestamp"] == "2021-03-03T10:00:00Z"
    assert "time.note" not in rows[1]


def test_the_29th_of_february_needs_a_leap_year(read):
    row = read("Feb 29 10:00:00 web1 sshd[1]: Invalid user a from 203.0.113.9\n").rows[0]
    assert row["@timestamp"][5:] == "02-29T10:00:00Z"
