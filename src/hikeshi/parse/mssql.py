"""SQL Server's ERRORLOG: who signed in or failed to, and when its shell was switched on.

Times are the server's own, without zone. Source: SQL Server's error log as Management Studio shows it.
"""

from __future__ import annotations

import re
from typing import Any

from hikeshi.parse.addresses import account, ip
from hikeshi.parse.context import Context, Event, text_cells
from hikeshi.parse.keyvalue import with_header
from hikeshi.parse.stamps import stamp
from hikeshi.parse.syslog import Header, timed

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d\d) (Logon|Server|Backup|spid\d+s?) +(\S.*)\Z", re.DOTALL)
_LOGIN = re.compile(r"Login (failed|succeeded) for user '([^']{0,256})'", re.I)
_CLIENT = re.compile(r"\[CLIENT: ([^\]]{1,64})\]", re.I)
_OPTION = re.compile(r"Configuration option '([^']{1,128})' changed from (\d+) to (\d+)", re.I)


def claims(body: str, header: Header | None) -> bool:
    return body[4:5] == "-" and _LINE.match(body) is not None


def parse_line(body: str, header: Header | None, context: Context) -> Event | None:
    match = _LINE.match(body)
    if match is None:
        return None
    when, part, said = match.groups()
    cells: dict[str, Any] = {"event.dataset": "mssql.errorlog", "event.provider": part, "message": said}
    login, option, client = _LOGIN.search(said), _OPTION.search(said), _CLIENT.search(said)
    if login is not None:
        user, domain = account(login[2])
        cells |= {"event.category": "authentication", "event.action": "login",
                  "event.outcome": "failure" if login[1].lower() == "failed" else "success",
                  "user.name": user, "user.domain": domain}
    elif option is not None:
        cells |= {"event.category": "configuration", "event.action": "option-changed", "mssql.option": option[1],
                  "mssql.from": option[2], "mssql.to": option[3]}
    if client is not None:
        cells["source.ip"] = ip(client[1])  # "<local machine>" is none
    return with_header(timed(stamp(when, context), text_cells(cells)), header, context)
