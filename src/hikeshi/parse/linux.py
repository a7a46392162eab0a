"""Linux authentication and account events: sshd, sudo, su, useradd, logind, cron and PAM.

The user in "Failed password for X from Y" is what a stranger typed; it may itself hold " from ".
The last " from " of the line is sshd's own.
Source: OpenSSH's auth.c and packet.c messages, shadow-utils, pam_unix.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import directory_account, ip, port, put_host
from hikeshi.parse.context import Context, Event
from hikeshi.parse.prose import add_who_and_where
from hikeshi.parse.syslog import Header, header_cells, timed

_BAD_USER = r"(?P<invalid>(?:invalid|illegal) user )?"
_FROM = r" from (?P<from>\S+?)(?: port (?P<port>\d+))?"


def _rule(
    pattern: str, action: str, outcome: str | None = None, category: str = "authentication"
) -> tuple[re.Pattern[str], str, str | None, str]:
    return re.compile(pattern), action, outcome, category


# Pattern, action, outcome, category. Order matters only where two could match.
_SSHD = (
    _rule(r"Accepted (?P<method>\S+) for (?P<user>.+)" + _FROM + r"(?: ssh2?\b.*)?\Z", "logged-in", "success"),
    _rule(
        r"Failed (?P<method>\S+) for " + _BAD_USER + r"(?P<user>.*)" + _FROM + r"(?: ssh2?\b.*)?\Z",
        "logon-failed",
        "failure",
    ),
    _rule(
        r"Postponed (?P<method>\S+) for " + _BAD_USER + r"(?P<user>.*)" + _FROM + r"(?: ssh2?\b.*)?\Z",
        "logon-postponed",
    ),
    _rule(r"(?:Invalid|Illegal) user (?P<user>.*)" + _FROM + r"\s*\Z", "logon-failed", "failure"),
    _rule(
        r"input_userauth_request: (?:invalid|illegal) user (?P<user>.+?)(?: \[preauth\])?\Z", "logon-failed", "failure"
    ),
    _rule(
        r"(?:error: )?maximum authentication attempts exceeded for "
        + _BAD_USER
        + r"(?P<user>.*)"
        + _FROM
        + r"(?: ssh2?\b.*)?\Z",
        "logon-failed",
        "failure",
    ),
    _rule(r"User (?P<user>.+) from (?P<from>\S+) not allowed because (?P<reason>.+)\Z", "logon-failed", "failure"),
    _rule(
        r"(?:error: )?PAM: .*(?:failure|expired|locked|denied).* for "
        + _BAD_USER
        + r"(?P<user>.+) from (?P<from>\S+)\Z",
        "logon-failed",
        "failure",
    ),
    _rule(
        r"(?:Connection (?:closed|reset) by|Disconnected from|Timeout, client not responding from|Disconnecting) "
        r"(?P<kind>(?:authenticating|invalid|illegal) user|user) (?P<user>.*) "
        r"(?P<from>[0-9A-Fa-f.:%\w-]+) port (?P<port>\d+)\b.*\Z",
        "disconnected",
    ),
    _rule(
        r"(?:Connection (?:closed|reset) by|Disconnected from) (?P<from>[0-9A-Fa-f.:]+)(?: port (?P<port>\d+))?\b.*\Z",
        "disconnected",
    ),
    _rule(r"Received disconnect from (?P<from>[0-9A-Fa-f.:]*[0-9A-Fa-f])(?: port (?P<port>\d+))?:.*\Z", "disconnected"),
    _rule(
        r"Connection from (?P<from>\S+) port (?P<port>\d+)(?: on (?P<to>\S+) port (?P<to_port>\d+))?.*\Z", "connected"
    ),
    _rule(
        r"Unable to negotiate with (?P<from>\S+?)(?: port (?P<port>\d+))?: (?P<reason>.+)\Z",
        "negotiation-failed",
        "failure",
    ),
    _rule(r".*\b[Cc]onnection from (?P<from>\S+) port (?P<port>\d+): (?P<reason>.+)\Z", "connection-failed", "failure"),
    _rule(
        r"(?:Close|Starting) session: .*?(?:for|user) (?P<user>.+) from (?P<from>\S+) port (?P<port>\d+) id \d+\Z",
        "session",
    ),
    _rule(r"refused connect from (?P<name>\S+) \((?P<from>[^)]+)\)\Z", "connection-refused", "failure"),
    _rule(r"Did not receive identification string" + _FROM + r"\s*\Z", "probed"),
    _rule(r"Bad protocol version identification .*" + _FROM + r"\s*\Z", "probed"),
    _rule(
        r"(?:Address|reverse mapping checking getaddrinfo for) .*?\[?(?P<from>\d+\.\d+\.\d+\.\d+)\]?.*\Z",
        "name-mismatch",
    ),
    _rule(r"subsystem request for (?P<service>\S+) by user (?P<user>.+)\Z", "subsystem-requested"),
    _rule(r"Authentication refused: (?P<reason>.+)\Z", "logon-failed", "failure"),
    _rule(r"Server listening on (?P<to>\S+) port (?P<to_port>\d+)\.?\Z", "listening", None, "network"),
)
_PAM = (
    _rule(
        r"pam_\w+\((?P<service>[^:)]+):session\): session opened for user (?P<user>[^ (]+)"
        r"(?:\(uid=\d+\))?(?: by (?P<by>[^(]*)\(uid=\d+\))?.*\Z",
        "session-opened",
        "success",
    ),
    _rule(r"pam_\w+\((?P<service>[^:)]+):session\): session closed for user (?P<user>\S+)\s*\Z", "session-closed"),
    _rule(
        r"pam_\w+\((?P<service>[^:)]+):auth\): authentication (?P<state>failure|success); (?P<pairs>.*)\Z",
        "logon-failed",
        "failure",
    ),
    _rule(r"pam_\w+\((?P<service>[^:)]+):auth\): check pass; user unknown\s*\Z", "logon-failed", "failure"),
    _rule(
        r"pam_\w+\((?P<service>[^:)]+):account\): user '?(?P<user>[^']+?)'? granted access\s*\Z", "logged-in", "success"
    ),
    _rule(
        r"pam_\w+\((?P<service>[^:)]+):account\): (?:account|user) '?(?P<user>[^' ]+)'? "
        r".*(?:expired|denied|locked).*\Z",
        "logon-failed",
        "failure",
    ),
    _rule(
        r"pam_\w+\((?P<service>[^:)]+):chauthtok\): password changed for (?P<user>\S+)\s*\Z",
        "password-changed",
        "success",
        "iam",
    ),
    _rule(r"PAM (?P<count>\d+) more authentication failures?; (?P<pairs>.*)\Z", "logon-failed", "failure"),
    _rule(r"message repeated (?P<count>\d+) times: \[ ?(?P<repeated>.*)\]\s*\Z", "repeated"),
)
_OTHER = {
    "sudo": (
        _rule(
            r"\s*(?P<user>\S+) : (?P<refusal>[^=;]*?;? ?)?"
            r"TTY=(?P<tty>[^;]*) ; PWD=(?P<pwd>[^;]*) ; "
            r"USER=(?P<target>[^;]*?)(?: ; [A-Z]+=[^;]*)*? ; COMMAND=(?P<command>.*)\Z",
            "command-run",
            "success",
            "process",
        ),
        _rule(
            r"\s*(?P<user>\S+) : (?P<reason>user NOT in sudoers|command not allowed|"
            r"\d+ incorrect password attempts?).*\Z",
            "command-refused",
            "failure",
            "process",
        ),
    ),
    "su": (
        _rule(r"(?:Successful|\+) su for (?P<target>\S+) by (?P<user>\S+)\s*\Z", "switched-user", "success"),
        _rule(r"FAILED su for (?P<target>\S+) by (?P<user>\S+)\s*\Z", "switched-user", "failure"),
        _rule(r"\(to (?P<target>\S+)\) (?P<user>\S+) on (?P<tty>\S+)\s*\Z", "switched-user", "success"),
        _rule(r"FAILED SU \(to (?P<target>\S+)\) (?P<user>\S+) on (?P<tty>\S+)\s*\Z", "switched-user", "failure"),
    ),
    "useradd": (
        _rule(r"new user: name=(?P<user>[^,]+),.*\Z", "user-created", "success", "iam"),
        _rule(r"new group: name=(?P<group>[^,]+),.*\Z", "group-created", "success", "iam"),
        _rule(r"failed adding user '(?P<user>[^']+)'.*\Z", "user-created", "failure", "iam"),
        _rule(
            r"add '(?P<user>[^']+)' to (?:shadow )?group '(?P<group>[^']+)'.*\Z", "group-member-added", "success", "iam"
        ),
    ),
    "usermod": (
        _rule(
            r"add '(?P<user>[^']+)' to (?:shadow )?group '(?P<group>[^']+)'.*\Z", "group-member-added", "success", "iam"
        ),
        _rule(r"change user '(?P<user>[^']+)' .*\Z", "user-changed", "success", "iam"),
        _rule(r"(?:lock|unlock) user '(?P<user>[^']+)' password\Z", "user-changed", "success", "iam"),
    ),
    "userdel": (_rule(r"delete user '(?P<user>[^']+)'.*\Z", "user-deleted", "success", "iam"),),
    "groupadd": (
        _rule(
            r"(?:new group: name=|group added to [^:]+: name=)(?P<group>[^,]+).*\Z", "group-created", "success", "iam"
        ),
    ),
    "gpasswd": (
        _rule(
            r"user (?P<user>\S+) added by (?P<by>\S+) to group (?P<group>\S+)\Z", "group-member-added", "success", "iam"
        ),
    ),
    "chage": (_rule(r"changed password expiry for (?P<user>\S+)\Z", "user-changed", "success", "iam"),),
    "systemd-logind": (
        _rule(r"New session (?P<session>\S+) of user (?P<user>\S+?)\.?\Z", "session-opened", "success"),
        _rule(r"(?:Removed session|Session) (?P<session>\S+?)(?: logged out.*)?\.?\Z", "session-closed"),
    ),
    "cron": (
        _rule(r"\((?P<user>[^)]+)\) CMD \((?P<command>.*)\)\s*\Z", "command-run", "success", "process"),
        _rule(
            r"\((?P<user>[^)]+)\) (?P<reason>(?:RELOAD|REPLACE|BEGIN EDIT|END EDIT|LIST).*)\Z",
            "schedule-changed",
            None,
            "configuration",
        ),
    ),
    "login": (
        _rule(
            r"(?:ROOT LOGIN|LOGIN) ON (?P<tty>\S+) BY (?P<user>\S+)(?: FROM (?P<from>\S+))?\s*\Z",
            "logged-in",
            "success",
        ),
        _rule(
            r"FAILED LOGIN(?: SESSION)? (?:\(?\d+\)? )?.*?(?:FROM (?P<from>\S+) )?FOR '?(?P<user>[^',]+)'?,.*\Z",
            "logon-failed",
            "failure",
        ),
    ),
}
_FAMILY = {
    "crond": "cron",
    "cron": "cron",
    "crontab": "cron",
    "anacron": "cron",
    "groupmod": "groupadd",
    "adduser": "useradd",
    "sudoedit": "sudo",
    "passwd": "passwd",
    "chpasswd": "passwd",
    "polkitd": "polkit",
    "gdm-password": "pam",
    "systemd": "pam",
    "login": "login",
    "remote": "login",
    "vsftpd": "pam",
    "runuser": "su",
    "su-l": "su",
    "lightdm": "pam",
    "sshguard": "sshd",
    "dropbear": "dropbear",
    "systemd-user": "pam",
}
_DROPBEAR = (
    _rule(
        r"(?:Password|Pubkey) auth succeeded for '(?P<user>[^']*)'.* from (?P<from>\S+?)(?::(?P<port>\d+))?\Z",
        "logged-in",
        "success",
    ),
    _rule(
        r"Bad password attempt for '(?P<user>[^']*)' from (?P<from>\S+?)(?::(?P<port>\d+))?\Z",
        "logon-failed",
        "failure",
    ),
    _rule(r"Login attempt for nonexistent user from (?P<from>\S+?)(?::(?P<port>\d+))?\Z", "logon-failed", "failure"),
)
_PREAUTH = re.compile(r"\s*\[(?:preauth|postauth)\]\s*\Z")
_PAIR = re.compile(r"(\w+)=(\S*)")


def family(app: str | None) -> str | None:
    """Which program's messages these are; None if it is none of ours."""
    if app is None:
        return None
    name = app.rpartition("/")[2].lower().strip("()")
    if name.startswith("sshd"):
        return "sshd"
    if name in _OTHER:
        return name
    return _FAMILY.get(name)


def claims(body: str, header: Header | None) -> bool:
    if header is not None and header.app is not None:
        return family(header.app) is not None or body.startswith("pam_")
    return _match(_SSHD[:16] + _PAM[:7], body) is not None


def _match(rules: Any, body: str) -> tuple[re.Match[str], str, str | None, str] | None:
    text = _PREAUTH.sub("", body.strip())
    for pattern, action, outcome, category in rules:
        match = pattern.match(text)
        if match is not None:
            return match, action, outcome, category
    return None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    """One auth.log or secure line; the whole message stays in `message`."""
    app = family(header.app) if header else "sshd"
    if app is None and not body.startswith("pam_"):
        return None
    when, cells = header_cells(header, context)
    if header is not None and header.host:
        cells["host.name"] = cells.pop("observer.name")
    cells["message"] = body.strip()
    cells["event.dataset"] = f"linux.{app}" if app not in (None, "pam") else "linux.auth"
    rules: Any = {"sshd": _SSHD + _PAM, "dropbear": _DROPBEAR}.get(app or "", (*_OTHER.get(app or "", ()), *_PAM))
    if header is None and app == "sshd" and _match(rules, body) is None:
        return None
    found = _match(rules, body)
    if found is not None:
        _fill(cells, found, context)
    else:
        add_who_and_where(cells, body)
    return timed(when, cells) if when is not None else Event(NO_TIME, cells)


def _fill(cells: dict[str, Any], found: tuple[re.Match[str], str, str | None, str], context: Context) -> None:
    match, action, outcome, category = found
    part = {k: v for k, v in match.groupdict().items() if v}
    if action == "repeated":
        again = _match(_SSHD + _PAM[:-1], part["repeated"])
        cells["repeated"] = part["count"]
        if again is not None:
            _fill(cells, again, context)
        return
    cells["event.action"], cells["event.category"] = action, category
    if part.get("state") == "success":
        cells["event.action"], outcome = "logged-in", "success"
    if outcome:
        cells["event.outcome"] = outcome
    for name, value in _PAIR.findall(part.pop("pairs", "")):
        if name == "rhost" and value:
            put_host(cells, "source", value)
        elif name == "user" and value:
            cells["user.name"] = value
        elif value:
            cells[name] = value
    if "from" in part:
        source = part["from"].rpartition("@")[2]
        put_host(cells, "source", source if ip(source) or not source.startswith("::ffff:") else source[7:])
    if "port" in part:
        number = port(part["port"])
        if number is not None:
            cells["source.port"] = number
    if "to" in part:
        put_host(cells, "destination", part["to"])
        number = port(part.get("to_port", ""))
        if number is not None:
            cells["destination.port"] = number
    said = part.get("user", "").rstrip(".")
    user, domain = directory_account(said)
    if user:
        cells["user.name"] = user
        if domain:
            cells["user.domain"] = domain
        if "@" in said and domain:
            cells["user.email"] = said  # whole, for the sweep
    if "refusal" in part and part["refusal"].strip():
        cells["event.action"], cells["event.outcome"] = "command-refused", "failure"
        cells["reason"] = part["refusal"].strip(" ;")
    if "command" in part:
        cells["process.command_line"] = part["command"].strip()
    for key, name in (
        ("method", "ssh.method"),
        ("reason", "reason"),
        ("service", "service"),
        ("by", "by"),
        ("tty", "tty"),
        ("pwd", "pwd"),
        ("target", "target_user"),
        ("group", "group"),
        ("session", "session"),
        ("count", "count"),
    ):
        if part.get(key) and name not in cells:
            cells[name] = part[key].strip()
    if "invalid" in part or part.get("kind", "").startswith(("invalid", "illegal")):
        cells["user_unknown"] = "true"
        if action == "disconnected":
            cells["event.action"], cells["event.outcome"] = "logon-failed", "failure"
    elif part.get("kind", "").startswith("authenticating"):
        cells["event.action"], cells["event.outcome"] = "logon-failed", "failure"
