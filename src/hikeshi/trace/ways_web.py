"""Ways in through a web server: small scripts that one outside address talks to."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa

from hikeshi.events.time import NO_TIME
from hikeshi.model.evidence import RecordRef
from hikeshi.trace.identity import Identity
from hikeshi.trace.infection import Foreign, Infection
from hikeshi.trace.network import public
from hikeshi.trace.programs import file_name
from hikeshi.trace.rows import DAY, MINUTE, TextColumn, text_column
from hikeshi.trace.way import Way

_SCRIPT_ENDINGS = (".aspx", ".ashx", ".asmx", ".asp", ".php", ".jsp", ".jspx", ".phtml", ".cfm")


def web_ways(web: pa.Table, infection: Infection, who: Identity) -> list[Way]:
    """Small scripts on a web server that one outside address talks to."""
    if not web.num_rows:
        return []
    texts = {n: text_column(web.column(n)) for n in ("host", "client", "url", "path", "sha256")}
    number = {
        n: web.column(n).to_numpy()
        for n in ("count", "posts", "good", "bad", "first", "last", "first_good", "good_line")
    }
    shells = sorted({m.host for m in infection.marks if m.name == "web_child"})
    begins: dict[str, int] = {}
    by_url: dict[tuple[str, str], list[int]] = defaultdict(list)
    by_client: dict[str, list[int]] = defaultdict(list)
    for row in range(web.num_rows):
        host = texts["host"].at(row)
        begins[host] = min(begins.get(host, 2**62), int(number["first"][row]))
        by_url[host, texts["url"].at(row)].append(row)
        by_client[texts["client"].at(row)].append(row)
    ways = []
    for (raw, url), members in sorted(by_url.items()):
        good = [r for r in members if number["first_good"][r] != NO_TIME]
        if not url.endswith(_SCRIPT_ENDINGS) or not good:
            continue
        way = _shell(url, raw, good, texts, number, begins[raw], by_client, infection, who, shells)
        if way is not None and way.score >= 4:
            ways.append(way)
    return ways


def _shell(
    url: str,
    raw: str,
    good: list[int],
    texts: dict[str, TextColumn],
    number: dict[str, Any],
    begins: int,
    by_client: dict[str, list[int]],
    infection: Infection,
    who: Identity,
    shells: list[str],
) -> Way | None:
    first_row = min(good, key=lambda r: (int(number["first_good"][r]), texts["client"].at(r)))
    first, client = int(number["first_good"][first_row]), texts["client"].at(first_row)
    clients = {texts["client"].at(r) for r in good}
    last = max(int(number["last"][r]) for r in good)
    if len(clients) > 2 or sum(int(number["good"][r]) for r in good) < 3:
        return None  # a shell is used again and again; a page met once may be the hole it came through
    host = who.at(raw, first) if raw else ""
    if host not in infection.marks_of and len(shells) == 1 and (not host or host not in who.logged):
        host = shells[0]
    way = Way(
        "web_shell",
        first,
        client,
        None,
        host or None,
        name=url,
        inside=[Foreign(client, first, 2**61)] if public(client) else [],
    )
    place = int(number["good_line"][first_row])
    way.refs.append(
        RecordRef(texts["path"].at(first_row), texts["sha256"].at(first_row), line=place if place >= 0 else None)
    )
    if len(clients) == 1:
        way.plus(1, "このページを使った接続元は1つだけです", "only one address used this page")
    if first > begins + DAY:
        way.plus(1, "ログの途中から現れたページです", "the page appears only later in the log")
    if sum(int(number["posts"][r]) for r in good):
        way.plus(1, "このページにデータが送られています", "data was posted to this page")
    probed = sum(int(number["bad"][r]) for r in by_client[client])
    if probed >= 20:
        way.plus(
            1,
            f"同じ接続元に{probed}回のエラーがあり、探していたようです",
            f"the same address met {probed} errors, as a search does",
        )
    days = len({int(number["first"][r]) // DAY for r in good} | {int(number["last"][r]) // DAY for r in good})
    if last - first > 3 * DAY and days >= 2 and sum(int(number["count"][r]) for r in good) > 100:
        way.minus(2, "何日も規則的に使われています", "used regularly for days")
    commands = [
        m
        for m in infection.marks_of.get(host, ())
        if m.name == "web_child" and first - MINUTE <= m.time <= last + MINUTE
    ]
    if commands:
        way.plus(
            3,
            "同じころ、Webサーバーのプロセスがコマンドを起動しました",
            "at the same time the web server process started commands",
        )
        way.rows.update(m.row for m in commands[:5])
    _planted(way, url, client, first, texts, number, by_client)
    leaf = file_name(url.replace("/", "\\"))
    for mark in infection.marks_of.get(host, ()):
        if mark.name == "web_shell_file" and file_name(infection.rows.text("object", mark.row)) == leaf:
            way.plus(2, "このファイルの書き込みが記録されています", "the writing of this file is on record")
            way.rows.add(mark.row)
            if mark.time < way.time:
                way.time = mark.time
    return way


def _planted(
    way: Way,
    url: str,
    client: str,
    first: int,
    texts: dict[str, TextColumn],
    number: dict[str, Any],
    by_client: dict[str, list[int]],
) -> None:
    """The upload just before the first use is the moment of entry."""
    before = [
        r
        for r in by_client[client]
        if number["posts"][r]
        and texts["url"].at(r) != url
        and number["first_good"][r] != NO_TIME
        and 0 <= first - int(number["first_good"][r]) <= 5 * MINUTE
    ]
    if before:
        row = min(before, key=lambda r: int(number["first_good"][r]))
        page = texts["url"].at(row)
        way.time = int(number["first_good"][row])
        way.plus(1, f"直前に同じ接続元が{page}へデータを送りました", f"just before, the same address posted to {page}")
        place = int(number["good_line"][row])
        way.refs.insert(
            0, RecordRef(texts["path"].at(row), texts["sha256"].at(row), line=place if place >= 0 else None)
        )
