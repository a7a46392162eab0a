"""Ways in, each with reasons for and against, best first.

A candidate that leads on to machines with an attacker's traces outranks every other; what only
looks unusual stays below, with what speaks against it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from hikeshi.events.time import NO_TIME
from hikeshi.model.case import EntryCandidate
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text
from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.infection import Foreign, Infection
from hikeshi.trace.network import public
from hikeshi.trace.programs import file_name
from hikeshi.trace.rows import DAY, HOUR, MINUTE, Rows, TextColumn, text_column, when
from hikeshi.trace.sessions import Sessions

_FEW, _MANY = 3, 5
_SCRIPT_ENDINGS = (".aspx", ".ashx", ".asmx", ".asp", ".php", ".jsp", ".jspx", ".phtml", ".cfm")
_TECHNIQUES = {
    "vpn_credential": "T1133",
    "exposed_rdp": "T1133",
    "brute_force": "T1110",
    "web_shell": "T1505.003",
    "mail_attachment": "T1566.001",
    "remote_tool": "T1219",
}


@dataclass(slots=True)
class Way:
    """A candidate being judged. `span` is when the outsider could work from `inside` (address)."""

    kind: str
    time: int
    source: str | None
    account: str | None
    host: str | None
    score: int = 0
    reasons: list[Text] = field(default_factory=list)
    against: list[Text] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)
    refs: list[RecordRef] = field(default_factory=list)
    inside: list[Foreign] = field(default_factory=list)
    leads: bool = False
    name: str = ""

    def plus(self, points: int, ja: str, en: str) -> None:
        self.score += points
        self.reasons.append(Text(ja, en))

    def minus(self, points: int, ja: str, en: str) -> None:
        self.score -= points
        self.against.append(Text(ja, en))


def vpn_ways(rows: Rows, who: Identity) -> list[Way]:
    """Each account and outside address that opened the VPN in an unusual way."""
    failures = _failures(rows, "vpn_failure")
    opened: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for row in rows.of("vpn_up").tolist():
        opened[account_name(rows.text("account", row))].append((int(rows.time[row]), rows.text("source", row), row))
    hours = [time // HOUR % 24 for seen in opened.values() for time, _, _ in seen]
    ways = []
    for account, seen in sorted(opened.items()):
        sources: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for time, source, row in seen:
            sources[source].append((time, row))
        for source, times in sorted(sources.items()):
            first, row = times[0]
            way = Way("vpn_credential", first, source or None, account, None, rows={r for _, r in times[:10]})
            _judge_failures(way, rows, failures, account, source, first)
            earlier = {s for t, s, _ in seen if t < first}
            if earlier and source not in earlier:
                way.plus(1, "このアカウントでは初めての接続元です", "a source this account had not used before")
            elif len({t // DAY for t, _ in times}) >= 3:
                way.minus(2, "この接続元は何日も使われています", "this source was used on several days")
            own = [t // HOUR % 24 for t, s, _ in seen if s != source]
            if _odd_hour(first // HOUR % 24, own if len(own) >= 3 else hours):
                way.plus(1, "ふだん使われない時間帯の接続です", "at an hour at which the VPN is not usually used")
            if public(source) and _shared(opened, source, account):
                way.plus(1, "同じ接続元から他のアカウントでも接続しました", "other accounts came from the same source")
            way.inside = [
                Foreign(lease.address, lease.start, lease.end)
                for lease in who.leases
                if lease.account == account and lease.source == source
            ]
            ways.append(way)
    return ways


def _judge_failures(
    way: Way, rows: Rows, failures: dict[str, list[tuple[int, str, int]]], account: str, source: str, time: int
) -> None:
    tried = failures.get(source, [])
    before = tried[bisect_left(tried, (time - DAY, "", 0)) : bisect_right(tried, (time, "\U0010ffff", 0))]
    own = [f for f in before if f[1] == account]
    others = {f[1] for f in before if f[1] != account}
    if len(own) >= _MANY:
        way.plus(
            3,
            f"同じ接続元から{len(own)}回失敗したあとに成功しました",
            f"succeeded after {len(own)} failures from the same source",
        )
    elif len(own) >= _FEW:
        way.plus(
            1,
            f"同じ接続元から{len(own)}回失敗したあとに成功しました",
            f"succeeded after {len(own)} failures from the same source",
        )
    elif own:
        way.minus(
            1, "失敗は数回だけで、入力の間違いとも考えられます", "only a few failures, which may be typing errors"
        )
    if len(others) >= 2:
        way.plus(
            2,
            f"同じ接続元が他の{len(others)}個のアカウントも試しました",
            f"the same source tried {len(others)} other accounts",
        )
    way.rows.update(f[2] for f in before[:10])


def _failures(rows: Rows, kind: str) -> dict[str, list[tuple[int, str, int]]]:
    """By source: (time, account, row) in time order."""
    out: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for row in rows.of(kind).tolist():
        out[rows.text("source", row)].append((int(rows.time[row]), account_name(rows.text("account", row)), row))
    return {source: sorted(seen) for source, seen in out.items()}


def _odd_hour(hour: int, usual: list[int]) -> bool:
    if len(usual) < 5:
        return False
    near = sum(1 for h in usual if min((h - hour) % 24, (hour - h) % 24) <= 2)
    return near / len(usual) < 0.1


def _shared(opened: dict[str, list[tuple[int, str, int]]], source: str, account: str) -> bool:
    return any(a != account and any(s == source for _, s, _ in seen) for a, seen in opened.items())


def exposed_ways(rows: Rows, sessions: Sessions) -> list[Way]:
    """Logons straight from public addresses: remote desktop or shares open to the Internet."""
    failures = _failure_counts(rows)
    ways: dict[tuple[str, str], Way] = {}
    for name in sessions.names():
        if not public(name):
            continue
        for number in sessions.out_of(name).tolist():
            session = sessions.get(number)
            key = (name, session.destination)
            known = ways.get(key)
            if known is not None:
                known.rows.update(session.rows[:3])
                continue
            failed, accounts = failures.get(key, (0, set()))
            way = ways[key] = Way(
                "exposed_rdp",
                session.start,
                name,
                session.account,
                session.destination,
                rows=set(session.rows),
                inside=[Foreign(name, session.start, 2**61)],
            )
            way.plus(2, "インターネットから直接ログオンしました", "signed on straight from the Internet")
            if failed >= 10:
                way.kind = "brute_force"
                way.plus(3, f"同じ接続元から{failed}回の失敗があります", f"{failed} failures from the same source")
            elif session.kind == "network":
                way.minus(1, "ネットワークログオンだけで、画面の操作はありません", "a network logon only, no desktop")
            if len(accounts) >= 3:
                way.plus(1, f"{len(accounts)}個のアカウントが試されました", f"{len(accounts)} accounts were tried")
    return [ways[k] for k in sorted(ways)]


def _failure_counts(rows: Rows) -> dict[tuple[str, str], tuple[int, set[str]]]:
    chosen = rows.of("logon_failure")
    out: dict[tuple[str, str], tuple[int, set[str]]] = {}
    if not len(chosen):
        return out
    source, host, account = (rows.texts[n] for n in ("source", "host", "account"))
    triples, counts = np.unique(
        np.stack([source.codes[chosen], host.codes[chosen], account.codes[chosen]]), axis=1, return_counts=True
    )
    for (s, h, a), count in zip(triples.T.tolist(), counts.tolist(), strict=True):
        if s < 0 or h < 0:
            continue
        key = (source.values[s], host_name(host.values[h]))
        known = out.get(key, (0, set()))
        out[key] = (known[0] + count, known[1] | ({account_name(account.values[a])} if a >= 0 else set()))
    return out


def mail_ways(infection: Infection) -> list[Way]:
    """Office documents that started commands."""
    ways = []
    for host, marks in sorted(infection.marks_of.items()):
        opened = [m for m in marks if m.name == "office_child"]
        if not opened:
            continue
        first = opened[0]
        way = Way("mail_attachment", first.time, None, first.account or None, host, rows={m.row for m in opened[:5]})
        program = file_name(infection.rows.text("actor", first.row))
        way.plus(4, f"{program}からコマンドが起動しました", f"{program} started a command")
        after = {m.name for m in marks if first.time <= m.time <= first.time + 10 * MINUTE} - {"office_child"}
        if after & {"download", "encoded_command", "script_host", "dropped_program"}:
            way.plus(1, "その直後に別の不審な操作が続きました", "other suspicious work followed at once")
        ways.append(way)
    return ways


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


def confirm(ways: list[Way], infection: Infection) -> None:
    """Mark the ways that lead to held machines, and name the first machine reached."""
    for way in ways:
        if way.kind in ("mail_attachment", "web_shell"):
            way.leads = way.host in infection.hosts
            continue
        steps = [
            e
            for e in infection.edges.values()
            for f in way.inside
            if e.source == f.address and f.start - MINUTE <= e.time <= f.end
        ]
        if steps:
            first = min(steps, key=lambda e: (e.time, e.destination))
            way.host = way.host or first.destination
            way.rows |= set(list(first.rows)[:6])
            reached = {e.destination for e in steps}
            marked = [
                h
                for h in reached
                if any(m.weight >= 2 for m in infection.marks_of.get(h, ()))
                or any(e.source == h for e in infection.edges.values())
            ]
            if marked:
                way.leads = True
                way.plus(
                    4,
                    f"ここから入った{'、'.join(sorted(reached)[:3])}に攻撃の跡があります",
                    f"traces of the attack are on {', '.join(sorted(reached)[:3])}, reached from here",
                )


def candidates(ways: list[Way], rows: Rows) -> tuple[EntryCandidate, ...]:
    """The ways worth showing, ranked."""
    shown = [w for w in ways if w.leads or w.score >= 3]
    shown.sort(key=lambda w: (-int(w.leads), -w.score, w.time, w.kind, w.source or "", w.account or ""))
    out = []
    for rank, way in enumerate(shown[:20], 1):
        records = tuple(dict.fromkeys((*way.refs, *rows.refs(way.rows))))[:20]
        sure: Confidence = (
            "high" if way.leads and way.score >= 6 else "medium" if way.leads or way.score >= 5 else "low"
        )
        out.append(
            EntryCandidate(
                rank=rank,
                time=when(way.time),
                kind=way.kind,
                technique=_TECHNIQUES[way.kind],
                source=way.source,
                account=way.account,
                host=way.host,
                reasons=tuple(way.reasons),
                against=tuple(way.against),
                confidence=sure,
                records=records,
            )
        )
    return tuple(out)
