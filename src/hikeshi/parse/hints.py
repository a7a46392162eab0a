"""Columns and the time from values whose names are in no table but hint at what they are ("my_src_addr")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from hikeshi.events.time import NO_TIME
from hikeshi.parse.addresses import host_port, ip, port
from hikeshi.parse.context import Context
from hikeshi.parse.names import EMPTY, HOST, finish, put_user
from hikeshi.parse.plainnames import plain_name
from hikeshi.parse.stamps import Stamp, stamp

_SIDES = (
    (
        "source",
        re.compile(
            r"src|source|client|cli\Z|remote|orig|from|peer|caller|attack|user|login|device|endpoint|host|access|"
            r"送信元|発信元|接続元|アクセス元|クライアント|端末|利用者"
        ),
    ),
    (
        "destination",
        re.compile(r"dst|dest|target|server|resp|victim|upstream|backend|resolver|宛先|送信先|接続先|相手|サーバ"),
    ),
)
# Four numbers with dots that are no address of either side.
_NO_SIDE = re.compile(
    r"(?<!desti)nat(?!ion|ive)|nas|networkdevice|deviceip|mask|gateway|version|ver\Z|build|release|firmware|model|engine|oid|"
    r"dnsserver"
)
_HOST_NAME = re.compile(
    r"(?:dst|dest|target|server|request|url|uri|query|remote|site|web)\w*(?:host|domain|fqdn|name)|fqdn|sni\Z"
)
_PERSON_NAME = re.compile(r"user|account|login|email|upn|principal|actor|ユーザ|アカウント|利用者")
_NOT_PERSON = re.compile(
    r"agent|type|role|group|count|time|date|domain|ip\Z|addr|status|result|action|key\Z|token|uuid|guid|sid\Z|url|source|device|"
    r"種別|グループ|権限|区分|数\Z|エージェント|部署|日時|時刻"
)
_URL_NAME = re.compile(r"url|uri|link|href|resource")
_ROW_NAME = re.compile(r"tuple|flow|record|row")


def add_by_hint(cells: dict[str, Any], record: Mapping[str, str]) -> bool:
    """Fill what the table of names left empty from values whose names hint at it ("my_src_addr").

    True if something was found: it is less sure than a known name.
    """
    found = False
    for name, value in record.items():
        text = value.strip()
        if not text or len(text) > 2048 or text in EMPTY:
            continue
        key = plain_name(name)
        address = ip(host_port(text)[0]) if len(text) < 60 else None
        if address:
            # Destination first: "server_client_ip" is rarer than "remote_server_ip".
            side = next(
                (s for s, hint in reversed(_SIDES) if hint.search(key)),
                "source" if "ip" in key or "addr" in key or "アドレス" in key else None,
            )
            if (
                side
                and f"{side}.ip" not in cells
                and address not in ("0.0.0.0", "::")
                and not _NO_SIDE.search(key)
            ):
                cells[f"{side}.ip"] = address
                found = True
        elif "source.ip" not in cells and text.count(",") >= 4 and _ROW_NAME.search(key):
            found |= _row(cells, text)
        elif (
            "url.full" not in cells
            and _URL_NAME.search(key)
            and re.match(r"(?i)https?://\S+\Z", text)
            and "refer" not in key
        ):
            cells["url.full"] = text
            found = True
        elif "destination.domain" not in cells and _HOST_NAME.search(key) and "." in text and HOST.match(text):
            cells["destination.domain"] = text.rstrip(".").lower()
            found = True
        elif (
            "user.name" not in cells
            and _PERSON_NAME.search(key)
            and not _NOT_PERSON.search(key)
            and re.fullmatch(r"[^\s,;{}\[\]]{2,128}", text)
            and not text.isdigit()
        ):
            found |= put_user(cells, "user.name", text)
    if found:
        finish(cells)
    return found


def _row(cells: dict[str, Any], text: str) -> bool:
    """A value that is itself a row: "1725967600,203.0.113.9,10.0.0.5,51000,22,T,I,D"."""
    values = [v.strip() for v in text.split(",")[:20]]
    at = next((n for n in range(len(values) - 1) if ip(values[n]) and ip(values[n + 1])), None)
    if at is None:
        return False
    cells["source.ip"], cells["destination.ip"] = ip(values[at]), ip(values[at + 1])
    if len(values) > at + 3 and port(values[at + 2]) and port(values[at + 3]):
        cells["source.port"], cells["destination.port"] = port(values[at + 2]), port(values[at + 3])
    return True


_HINTS_TIME = re.compile(
    r"(?:time(?:stamp|sec|utc|local|gmt)?|date|epoch|occur(?:r)?ed|created(?:at)?|logged(?:at)?|日時|時刻|timems|clock)\Z"
)
_OTHER_TIME = re.compile(
    r"end|expir|updat|modif|valid|last|birth|until|duration|uptime|elapsed|response|connect|wait|install|boot|build|"
    r"終了|更新|期限|有効|所要|経過|update"
)


def time_by_hint(record: Mapping[str, str], context: Context) -> Stamp | None:
    """The first value whose name hints at a time, where no known name gave one: "clickTime", "検査時刻"."""
    for name, value in record.items():
        text = value.strip()
        if 10 <= len(text) <= 40:
            key = plain_name(name)
            if _HINTS_TIME.search(key) and not _OTHER_TIME.search(key):
                when = stamp(text, context)
                if when is not None and when.time != NO_TIME:
                    return when._replace(note=when.note or f"by the name {name[:60]}")
    return None
