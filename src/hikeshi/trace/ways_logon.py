"""Ways in that are logons: the VPN, remote desktop open to the Internet, addresses nobody of ours has."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from hikeshi.trace.identity import account_name, host_name
from hikeshi.trace.infection import Foreign, Infection
from hikeshi.trace.network import is_address, public
from hikeshi.trace.places import Places
from hikeshi.trace.rows import DAY, HOUR, MINUTE, Rows
from hikeshi.trace.sessions import Session
from hikeshi.trace.spread import Mark
from hikeshi.trace.way import Way

_FEW, _MANY, _SPRAYED = 3, 5, 8
_Opened = Mapping[str, list[tuple[int, str, int]]]
Blamed = Mapping[int, list[Mark]]


def vpn_ways(infection: Infection, blamed: Blamed, places: Places) -> list[Way]:
    """Each account and outside address that opened the VPN in an unusual way."""
    rows, who = infection.rows, infection.who
    failures = _failures(rows, "vpn_failure")
    of_account = _by_account(failures)
    opened: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for row in rows.of("vpn_up").tolist():
        opened[account_name(rows.text("account", row))].append((int(rows.time[row]), rows.text("source", row), row))
    hours = [time // HOUR % 24 for seen in opened.values() for time, _, _ in seen]
    names = _claimed_names(infection)
    guilty = _guilty_leases(infection, blamed)
    ways = []
    for account, seen in sorted(opened.items()):
        sources: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for time, source, row in seen:
            sources[source].append((time, row))
        for source, times in sorted(sources.items()):
            first, row = times[0]
            way = Way("vpn_credential", first, source or None, account, None, rows={r for _, r in times[:10]})
            _judge_failures(way, failures, of_account, account, source, first)
            _judge_source(way, seen, times, places)
            own = [t // HOUR % 24 for t, s, _ in seen if s != source]
            if _odd_hour(first // HOUR % 24, own if len(own) >= 3 else hours):
                way.plus(1, "ふだん使われない時間帯の接続です", "at an hour at which the VPN is not usually used")
            if public(source) and _shared(opened, source, account):
                way.plus(1, "同じ接続元から他のアカウントでも接続しました", "other accounts came from the same source")
            _judge_machine(way, names, account, source)
            if (account, source) in guilty:
                mark = min(guilty[account, source], key=lambda m: m.time)
                way.plus(
                    4,
                    f"この接続から{mark.host}で攻撃の操作が行われました",
                    f"the attack's work on {mark.host} was done in this session",
                )
                way.rows.update(m.row for m in guilty[account, source][:5])
            way.inside = [
                Foreign(lease.address, lease.start, lease.end)
                for lease in who.leases
                if lease.account == account and lease.source == source
            ]
            ways.append(way)
    return ways


def _judge_source(way: Way, seen: list[tuple[int, str, int]], times: list[tuple[int, int]], places: Places) -> None:
    source, first = way.source or "", way.time
    earlier = [(t, s) for t, s, _ in seen if t < first]
    if earlier and source not in {s for _, s in earlier}:
        way.plus(1, "このアカウントでは初めての接続元です", "a source this account had not used before")
        if public(source) and _network(source) not in {_network(s) for _, s in earlier}:
            way.plus(1, "このアカウントでは初めてのネットワークです", "a network this account had not used before")
        _judge_place(way, source, first, earlier, places)
    elif len({t // DAY for t, _ in times}) >= 3:
        way.minus(2, "この接続元は何日も使われています", "this source was used on several days")


def _judge_place(way: Way, source: str, first: int, earlier: list[tuple[int, str]], places: Places) -> None:
    here = places.of(source)
    before = [(t, s, p) for t, s in earlier if (p := places.of(s)) is not None]
    if here is None or not before:
        return
    if here.name not in {p.name for _, _, p in before}:
        way.plus(
            2,
            f"このアカウントでは初めての場所({here.name})です",
            f"a place this account had not come from: {here.name}",
        )
    time, last, there = before[-1]
    if here.faster_than_a_plane(there, first - time):
        minutes = (first - time) // MINUTE
        way.plus(
            3,
            f"{minutes}分前には{there.name}({last})から接続していて、移動できない距離です",
            f"{minutes} minutes before, it came from {there.name} ({last}): too far to travel",
        )


def _judge_machine(way: Way, names: Mapping[tuple[str, str], set[str]], account: str, source: str) -> None:
    """The name the caller's machine claims inside, against the names this account's machine claimed before."""
    here = names.get((account, source), set())
    others = {n for (a, s), seen in names.items() if a == account and s != source for n in seen}
    if not here or not others:
        return
    if here & others:
        way.minus(
            2, f"いつもの機器名({min(here & others)})です", f"the machine calls itself {min(here & others)}, as always"
        )
    else:
        way.plus(
            2,
            f"接続した機器の名前({min(here)})がいつもと違います",
            f"the machine calls itself {min(here)}, which this account had not used",
        )


def _claimed_names(infection: Infection) -> dict[tuple[str, str], set[str]]:
    """(account, outside source) → names that machines claimed in logons from the addresses lent to it."""
    rows, who = infection.rows, infection.who
    out: dict[tuple[str, str], set[str]] = defaultdict(set)
    if not who.leases:
        return out
    sources = rows.texts["source"]
    chosen = rows.of("logon", "rdp_session")
    lent = np.array([who.lent(v) for v in sources.values] + [False])
    chosen = chosen[lent[sources.codes[chosen]] & (rows.texts["source_name"].codes[chosen] >= 0)]
    for row in chosen.tolist():
        lease = who.lease(rows.text("source", row), int(rows.time[row]))
        name = host_name(rows.text("source_name", row))
        if lease is not None and name and name != host_name(rows.text("host", row)):
            out[lease.account, lease.source].add(name)
    return out


def _guilty_leases(infection: Infection, blamed: Blamed) -> dict[tuple[str, str], list[Mark]]:
    out: dict[tuple[str, str], list[Mark]] = defaultdict(list)
    for number, marks in blamed.items():
        session = infection.sessions.get(number)
        lease = infection.who.lease(session.source, session.start)
        if lease is not None:
            out[lease.account, lease.source] += marks
    return out


def _network(address: str) -> str:
    """A provider's network, roughly: /16 of IPv4, /32 of IPv6."""
    return ":".join(address.split(":")[:2]) if ":" in address else ".".join(address.split(".")[:2])


_Failures = dict[str, list[tuple[int, str, int]]]


def _judge_failures(way: Way, failures: _Failures, of_account: _Failures, account: str, source: str, time: int) -> None:
    before = _before(failures.get(source, []), time)
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
        sprayed = len(others) >= _SPRAYED
        way.plus(
            4 if sprayed else 2,
            f"同じ接続元が他の{len(others)}個のアカウントも試しました" + ("(パスワードスプレー)" if sprayed else ""),
            f"the same source tried {len(others)} other accounts" + (" (password spraying)" if sprayed else ""),
        )
    strangers = [f for f in _before(of_account.get(account, []), time) if f[1] != source]
    if len(strangers) >= 10 and len(own) < _FEW:
        way.plus(
            1,
            f"前日までに他の接続元{len({f[1] for f in strangers})}個からこのアカウントが{len(strangers)}回試されました",
            f"{len(strangers)} failures for this account from {len({f[1] for f in strangers})} other sources"
            " the day before",
        )
        way.rows.update(f[2] for f in strangers[-5:])
    way.rows.update(f[2] for f in before[:10])


def _before(seen: list[tuple[int, str, int]], time: int) -> list[tuple[int, str, int]]:
    return seen[bisect_left(seen, (time - DAY, "", 0)) : bisect_right(seen, (time, "\U0010ffff", 0))]


def _failures(rows: Rows, kind: str) -> _Failures:
    """By source: (time, account, row) in time order."""
    out: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for row in rows.of(kind).tolist():
        out[rows.text("source", row)].append((int(rows.time[row]), account_name(rows.text("account", row)), row))
    return {source: sorted(seen) for source, seen in out.items()}


def _by_account(failures: _Failures) -> _Failures:
    """The same by account: (time, source, row)."""
    out: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for source, seen in failures.items():
        for time, account, row in seen:
            out[account].append((time, source, row))
    return {account: sorted(seen) for account, seen in out.items()}


def _odd_hour(hour: int, usual: list[int]) -> bool:
    if len(usual) < 5:
        return False
    near = sum(1 for h in usual if min((h - hour) % 24, (hour - h) % 24) <= 2)
    return near / len(usual) < 0.1


def _shared(opened: _Opened, source: str, account: str) -> bool:
    return any(a != account and any(s == source for _, s, _ in seen) for a, seen in opened.items())


def exposed_ways(infection: Infection, blamed: Blamed) -> list[Way]:
    """Logons straight from public addresses: remote desktop or shares open to the Internet."""
    sessions = infection.sessions
    failures = _failure_counts(infection.rows)
    guilty: dict[tuple[str, str], list[Mark]] = defaultdict(list)
    for number, marks in blamed.items():
        session = sessions.get(number)
        if public(session.source):
            guilty[session.source, session.destination] += marks
    days: dict[tuple[str, str], set[int]] = defaultdict(set)  # days of each (account, host) by outside source
    callers: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    ways: dict[tuple[str, str], Way] = {}
    for name in sessions.names():
        if not public(name):
            continue
        for number in sessions.out_of(name).tolist():
            session = sessions.get(number)
            key = (name, session.destination)
            days[key].add(session.start // DAY)
            callers[session.account, session.destination].add((name, session.start // DAY))
            known = ways.get(key)
            if known is not None:
                known.rows.update(session.rows[:3])
                continue
            ways[key] = _exposed(session, failures.get(key, (0, set())))
    for key, way in ways.items():
        if key in guilty:
            mark = min(guilty[key], key=lambda m: m.time)
            way.plus(
                4,
                f"この接続から{mark.host}で攻撃の操作が行われました",
                f"the attack's work on {mark.host} was done in this session",
            )
            way.rows.update(m.row for m in guilty[key][:5])
        if len(days[key]) >= 3 and key not in guilty:
            way.minus(2, "この接続元は何日も使われています", "this source was used on several days")
        others = [(s, d) for s, d in callers[way.account or "", way.host or ""] if s != way.source]
        if len({d for _, d in others}) >= 2 and way.kind == "exposed_rdp":
            way.kind = "remote_maintenance"
            way.plus(
                1,
                f"{way.account}はふだん他の外部の接続元({others[0][0]})から使われる保守用とみられます",
                f"{way.account} usually comes from another outside address ({others[0][0]}), as for maintenance",
            )
    return [ways[k] for k in sorted(ways)]


def _exposed(session: Session, failure: tuple[int, set[str]]) -> Way:
    failed, accounts = failure
    way = Way(
        "exposed_rdp",
        session.start,
        session.source,
        session.account,
        session.destination,
        rows=set(session.rows),
        inside=[Foreign(session.source, session.start, 2**61)],
    )
    way.plus(2, "インターネットから直接ログオンしました", "signed on straight from the Internet")
    if failed >= 10:
        way.kind = "brute_force"
        way.plus(3, f"同じ接続元から{failed}回の失敗があります", f"{failed} failures from the same source")
    elif session.kind == "network":
        way.minus(1, "ネットワークログオンだけで、画面の操作はありません", "a network logon only, no desktop")
    if len(accounts) >= 3:
        way.plus(1, f"{len(accounts)}個のアカウントが試されました", f"{len(accounts)} accounts were tried")
    return way


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


def device_ways(infection: Infection, blamed: Blamed) -> list[Way]:
    """Firewalls and VPN devices that were taken over, and inside addresses that are no machine of ours."""
    rows = infection.rows
    strange = _strange_addresses(infection, blamed)
    ways = _device_acts(rows)
    for way in ways:
        way.inside = [
            Foreign(address, way.time, way.time + 5 * DAY)
            for address, sessions in strange.items()
            if any(way.time - MINUTE <= s.start <= way.time + 5 * DAY for s in sessions)
        ]
        if way.inside:
            way.plus(
                2,
                f"そのあと、登録のない内部アドレス({way.inside[0].address})からログオンがあります",
                f"afterwards somebody signs on from an inside address that is no machine: {way.inside[0].address}",
            )
    told = {f.address for way in ways if way.score >= 3 for f in way.inside}
    for address, sessions in sorted(strange.items()):
        if address in told:
            continue
        first = sessions[0]
        way = Way("unknown", first.start, address, first.account, first.destination, rows=set(first.rows))
        way.plus(
            3,
            "このアドレスの機器はどのログにも出てきません。VPNや中継機器のログがあれば元がわかります",
            "no log knows a machine at this address; the log of a VPN or relay would tell who came through it",
        )
        names = infection.who.claims.get(address, ())
        if names:
            way.plus(
                1,
                f"名乗った機器名({'、'.join(names[:3])})は社内にありません",
                f"it calls itself {', '.join(names[:3])}, a name of none of ours",
            )
        methods = {m for s in sessions if (m := infection.around.method(s)[0]) not in (None, "rdp", "ssh", "smb")}
        if len(methods) > 1 or len({s.destination for s in sessions}) > 1:
            goals = sorted({s.destination for s in sessions})
            way.plus(
                2,
                f"ここから{len(goals)}台({'、'.join(goals[:3])})でコマンドが実行されました",
                f"commands were run from here on {len(goals)} machines: {', '.join(goals[:3])}",
            )
        if any(s.number in blamed for s in sessions):
            way.plus(4, "この接続から攻撃の操作が行われました", "the attack's work was done in these sessions")
        way.inside = [Foreign(address, first.start, first.start + 5 * DAY)]
        ways.append(way)
    return ways


def _strange_addresses(infection: Infection, blamed: Blamed) -> dict[str, list[Session]]:
    """Inside addresses of no known machine that worked on one of ours by remote desktop or remote execution."""
    out: dict[str, list[Session]] = {}
    sessions = infection.sessions
    for name in sessions.names():
        if not is_address(name) or infection.who.ours(name) or public(name) or infection.who.lent(name):
            continue
        found = []
        for number in sessions.out_of(name).tolist()[:2000]:
            if sessions.habitual(number):
                continue
            session = sessions.get(number)
            method, _, odd = infection.around.method(session)
            if number in blamed or odd or (method == "rdp" and session.kind == "rdp"):
                found.append(session)
        if found and (any(s.number in blamed for s in found) or any(infection.around.method(s)[2] for s in found)):
            out[name] = found
    return out


def _device_acts(rows: Rows) -> list[Way]:
    by: dict[str, list[int]] = defaultdict(list)
    for row in rows.of("device_admin").tolist():
        by[host_name(rows.text("host", row))].append(row)
    ways = []
    for device, found in sorted(by.items()):
        usual: dict[str, set[int]] = defaultdict(set)
        for row in found:
            usual[rows.text("source", row)].add(int(rows.time[row]) // DAY)
        odd = [
            r
            for r in found
            if rows.text("object", r) == "admin_added"
            or (public(rows.text("source", r)) and len(usual[rows.text("source", r)]) <= 1)
        ]
        logins = [r for r in odd if rows.text("object", r) == "admin_login"]
        added = [r for r in odd if rows.text("object", r) == "admin_added"]
        if not logins:
            continue
        first = int(rows.time[min(odd)])
        source = rows.text("source", logins[0])
        way = Way("vulnerability", first, source, None, None, rows=set(odd[:10]), name=device)
        way.plus(
            2, f"{device}の管理画面にインターネットから入られました", f"{device} was administered from the Internet"
        )
        if added:
            way.plus(
                2, f"{device}に管理者が追加されました({rows.text('account', added[0])})",
                f"an administrator was added on {device}: {rows.text('account', added[0])}",
            )  # fmt: skip
        if any("jsconsole" in rows.text("detail", r) for r in added):
            way.plus(1, "認証を通らないコンソールからの操作です", "it came through a console that needs no password")
        ways.append(way)
    return ways
