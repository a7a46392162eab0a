"""Every account whose password must change because of a machine the attacker held, with the records that say so.

Kinds: logon (system logon), service (services and tasks with an account), mail (stored by a mail program),
browser (stored by a browser), vpn, local (the machine's own administrator), machine (its domain account), krbtgt.
Passwords change from a clean machine, after isolation: else the new ones are stolen too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from hikeshi.events.time import format_utc
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.respond.result import Result, reasons_of, refs_of

KINDS = ("logon", "service", "mail", "browser", "vpn", "local", "machine", "krbtgt")
_CITED = 5
_NOBODY = (
    "system",
    "local service",
    "network service",
    "localsystem",
    "anonymous logon",
    "-",
    "",
    "nt authority",
    "localservice",
    "networkservice",
)
_BROWSERS = r"(^|[\\/])(chrome|msedge|firefox|iexplore|opera|brave|vivaldi)([.]exe)?$"
_MAILERS = r"(^|[\\/])(outlook|olk|thunderbird|becky|b2|winmail|hxoutlook|shuriken|edmax)([.]exe)?$"
_VPNS = (
    r"(^|[\\/])(forticlient|fortisslvpnclient|fortitray|vpnui|vpncli|vpnagent|acwebhelper|pangpa|pangps|openvpn"
    r"|openvpn-gui|pulse|netextender|nsload|rasdial|rasphone|wireguard)([.]exe)?$"
)
# Kerberos tickets live ten hours unless the domain's policy says otherwise
# (Microsoft, "Maximum lifetime for user ticket").
KRBTGT_WAIT_HOURS = 10


@dataclass(frozen=True, slots=True)
class Reset:
    """One account to change because of one machine. `order` 1 first. `after_entry`: it was used there while the
    attacker had the machine; None where that can't be told."""

    host: str
    account: str
    kind: str
    order: int
    reasons: tuple[Text, ...]
    count: int
    first: str | None
    last: str | None
    after_entry: bool | None
    records: tuple[RecordRef, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "account": self.account,
            "kind": self.kind,
            "order": self.order,
            "reasons": [r.to_dict() for r in self.reasons],
            "count": self.count,
            "first": self.first,
            "last": self.last,
            "after_entry": self.after_entry,
            "records": [r.to_dict() for r in self.records],
        }


_REASON = {
    "logon": Text("この機器にサインインしました", "signed in on this machine"),
    "service": Text(
        "この機器のサービスやタスクがこのアカウントで動きます", "a service or task here runs as this account"
    ),
    "mail": Text(
        "この機器でメールソフトを使いました。保存されたメールのパスワードも変えます",
        "used a mail program here: change the mail passwords stored in it too",
    ),
    "browser": Text(
        "この機器でブラウザを使いました。ブラウザに保存されたすべてのパスワードを変えます",
        "used a browser here: change every password stored in it",
    ),
    "vpn": Text("この機器またはこの利用者のVPNのアカウントです", "the VPN account of this machine or its user"),
    "local": Text(
        "この機器のローカル管理者です。機器ごとに違うものにします",
        "the machine's local administrator: make it different on every machine",
    ),
    "machine": Text(
        "ドメイン上の機器アカウントです。作り直すか、ドメインに入れ直します",
        "the machine's domain account: rebuild or rejoin it",
    ),
}
_ORDER = {"service": 2, "logon": 3, "vpn": 3, "mail": 4, "browser": 5, "local": 3, "machine": 6, "krbtgt": 1}


def account_list(
    result: Result,
    hosts: Mapping[str, str | None],
    *,
    controllers: Collection[str] = (),
    controller_records: Mapping[str, tuple[RecordRef, ...]] | None = None,
    memory_mb: int = 512,
) -> tuple[Reset, ...]:
    """`hosts` are held machines with the time (UTC ISO) since when, or None. Sorted by host and order; krbtgt,
    where a domain controller is among them, first."""
    held = {name.lower(): since for name, since in hosts.items()}
    short = {n.partition(".")[0] if not n[:1].isdigit() else n: n for n in held}
    out: list[Reset] = []
    fallen = sorted(n for n in held if n in controllers or n.partition(".")[0] in controllers)
    if fallen:
        out += krbtgt(fallen, controller_records or {})
        out.append(_everybody(fallen))
    if result.tables and held:
        out += _from_events(result, held, short, memory_mb)
    known = {(r.account.lower(), r.kind) for r in out}
    accounts = {r.account.lower() for r in out}
    for entry in result.part("accounts_to_reset"):
        name = str(entry.get("name", ""))
        kind = {"vpn": "vpn", "service": "service", "mail": "mail", "machine": "machine"}.get(
            str(entry.get("kind")), "logon"
        )
        listed = name.lower() in accounts and (kind == "logon" or (name.lower(), kind) in known)
        if listed or name.lower() == "krbtgt":
            continue
        out.append(Reset("", name, kind, _ORDER[kind], reasons_of(entry), 0, None, None, None, refs_of(entry)[:_CITED]))
    for host in sorted(held):
        # These exist on every Windows machine; no record is needed to know it.
        if not host[:1].isdigit() and host not in fallen and host.partition(".")[0] not in controllers:
            out.append(
                Reset(host, "Administrator", "local", _ORDER["local"], (_REASON["local"],), 0, None, None, None, ())
            )
    return tuple(
        sorted(out, key=lambda r: (r.kind != "krbtgt", r.host == "", r.host, r.order, r.account.lower(), r.kind))
    )


def krbtgt(controllers: Iterable[str], records: Mapping[str, tuple[RecordRef, ...]]) -> list[Reset]:
    """Twice, with a wait between: the domain keeps the last two passwords, and tickets made with the first one
    are valid until they run out. Before the other accounts, or the attacker makes himself new tickets."""
    names = ", ".join(controllers)
    refs = tuple(r for c in controllers for r in records.get(c, ()))[:_CITED]
    first = Text(
        f"ドメインコントローラー({names})が侵害されました。1回目の変更をします",
        f"a domain controller ({names}) was held: first change",
    )
    second = Text(
        f"2回目の変更は、全ドメインコントローラーへの複製を確かめ、チケットの最長有効期間(既定{KRBTGT_WAIT_HOURS}時間)を"
        "待ってから行います。続けて行うと、正規のチケットがすべて切れ、業務が止まります",
        f"second change: after it was replicated to every domain controller and the longest ticket lifetime "
        f"(default {KRBTGT_WAIT_HOURS} hours) has passed; at once would end every valid ticket and stop the work",
    )
    urgent = Text(
        "攻撃者がまだ内側にいるなら、待たずに2回続けて変えることを責任者が決めます",
        "while the attacker is still inside, the decider may order both changes without the wait",
    )
    return [
        Reset("", "krbtgt (1)", "krbtgt", 1, (first,), 0, None, None, None, refs),
        Reset("", "krbtgt (2)", "krbtgt", 1, (second, urgent), 0, None, None, None, refs),
    ]


def _everybody(controllers: Iterable[str]) -> Reset:
    names = ", ".join(controllers)
    return Reset(
        "", "*", "logon", 2, (Text(
            f"ドメインコントローラー({names})にはドメインの全アカウントの認証情報があります。管理者から順にすべて変えます",
            f"a domain controller ({names}) holds the credentials of every account of the domain: change them all, "
            "administrators first"),), 0, None, None, None, ())


def _from_events(
    result: Result, held: Mapping[str, str | None], short: Mapping[str, str], memory_mb: int
) -> list[Reset]:
    link = duckdb.connect(
        config={
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "memory_limit": f"{memory_mb}MB",
            "threads": 2,
        }
    )
    try:
        link.execute("CREATE TABLE held (name VARCHAR, shown VARCHAR)")
        link.executemany("INSERT INTO held VALUES (?, ?)", [[s, n] for s, n in short.items()])
        files = [str(p) for p in result.tables]
        addresses = {
            str(a): str(e.get("name", "")).lower()
            for e in result.part("compromised_hosts")
            for a in e.get("addresses") or ()
        }
        link.execute("CREATE TABLE address (ip VARCHAR, shown VARCHAR)")
        rows = [[a, n] for a, n in addresses.items() if n in held]
        if rows:
            link.executemany("INSERT INTO address VALUES (?, ?)", rows)
        found = link.execute(_QUERY, [files, _MAILERS, _BROWSERS, _VPNS]).fetchall()
        vpn = _vpn(link, files, {str(row[1]) for row in found})
    finally:
        link.close()
    out = []
    for host, account, kind, count, first, last, cited in [*found, *vpn]:
        since = held.get(host)
        refs = tuple(dict.fromkeys(result.ref(c["path"], record_id=c["id"], line=c["line"]) for c in cited))[:_CITED]
        out.append(
            Reset(
                host,
                account,
                kind,
                _ORDER[kind],
                (_REASON[kind],),
                int(count),
                None if first is None else format_utc(first),
                None if last is None else format_utc(last),
                None if since is None or last is None else format_utc(last) >= since,
                refs,
            )
        )
    return out


_CITE = """min_by({'path': path, 'id': id, 'line': line}, t, 5)"""
_NAMELESS = ", ".join(f"'{n}'" for n in _NOBODY)
# $1 files, $2 mail programs, $3 browsers, $4 VPN clients. One scan; host names are compared by their first label.
_QUERY = f"""
WITH row AS (
  SELECT split_part(lower("host.name"), '.', 1) AS host, "event.code" AS code, lower("winlog.channel") AS channel,
    lower(split_part(regexp_replace(coalesce("user.name", ''), '^.*\\\\', ''), '@', 1)) AS usr,
    "event.outcome" AS outcome, fields['LogonType'] AS logon, fields['ServiceName'] AS service,
    lower(regexp_replace(coalesce(fields['ServiceAccount'], fields['AccountName'],
      CASE WHEN "event.code" = '7045' THEN "user.name" END, ''), '^.*\\\\', '')) AS runs_as,
    coalesce("process.executable", '') AS program, "event.dataset" AS dataset, "event.action" AS action,
    "source.ip" AS ip, "destination.port" AS port, "event.category" AS category,
    epoch_us("@timestamp") AS t, "log.file.path" AS path, "winlog.record_id" AS id, "log.line" AS line
  FROM read_parquet($1, union_by_name=true) WHERE "@timestamp" IS NOT NULL),
use AS (
  SELECT h.shown AS host, r.usr, CASE
      WHEN r.code = '4624' AND r.logon = '5' THEN 'service'
      WHEN r.code = '4624' AND r.logon = '4' THEN 'service'
      WHEN r.code = '4624' AND r.logon = '3' THEN NULL -- a logon over the network leaves no password behind
      WHEN r.code IN ('4624', '4648', '21', '1149') THEN 'logon'
      WHEN r.channel IS NULL AND r.dataset LIKE 'linux.%' AND r.outcome = 'success' THEN 'logon' END AS kind,
    r.t, r.path, r.id, r.line
  FROM row r JOIN held h ON h.name = r.host
  WHERE r.code IN ('4624', '4648', '21', '1149') OR (r.channel IS NULL AND r.dataset LIKE 'linux.%')
  UNION ALL
  SELECT h.shown, r.runs_as, 'service', r.t, r.path, r.id, r.line FROM row r JOIN held h ON h.name = r.host
  WHERE r.code IN ('7045', '4697')
  UNION ALL
  SELECT h.shown, r.usr, CASE WHEN regexp_matches(lower(r.program), $2) THEN 'mail'
      WHEN regexp_matches(lower(r.program), $3) THEN 'browser' ELSE 'vpn' END, r.t, r.path, r.id, r.line
  FROM row r JOIN held h ON h.name = r.host
  WHERE r.code IN ('1', '4688', '3', '22') AND regexp_matches(lower(r.program), $2 || '|' || $3 || '|' || $4)
  UNION ALL
  SELECT a.shown, r.usr, CASE WHEN r.port IN (25, 110, 143, 465, 587, 993, 995) THEN 'mail' ELSE 'browser' END,
    r.t, r.path, r.id, r.line
  FROM row r JOIN address a ON a.ip = r.ip
  WHERE r.channel IS NULL AND (r.category = 'web' OR r.port IN (110, 143, 465, 587, 993, 995)))
SELECT host, usr, kind, count(*), min(t), max(t), {_CITE} FROM use
WHERE kind IS NOT NULL AND usr NOT IN ({_NAMELESS}) AND NOT ends_with(usr, '$')
  AND NOT regexp_matches(usr, '^(dwm|umfd)-[0-9]+$') GROUP BY 1, 2, 3 ORDER BY 1, 3, 2"""


def _vpn(link: duckdb.DuckDBPyConnection, files: list[str], users: set[str]) -> list[tuple[Any, ...]]:
    """VPN logons of people who used a held machine, and those that came with a held machine's address."""
    if not users:
        return []
    link.execute("CREATE TABLE person (name VARCHAR)")
    link.executemany("INSERT INTO person VALUES (?)", [[u] for u in sorted(users)])
    return link.execute(
        f"""WITH row AS (
        SELECT lower(split_part(regexp_replace(coalesce("user.name", ''), '^.*\\\\', ''), '@', 1)) AS usr,
          epoch_us("@timestamp") AS t, "log.file.path" AS path, "winlog.record_id" AS id, "log.line" AS line
        FROM read_parquet($1, union_by_name=true)
        WHERE "winlog.channel" IS NULL AND "@timestamp" IS NOT NULL AND "event.category" = 'authentication'
          AND NOT starts_with("event.dataset", 'linux') AND coalesce("event.outcome", '') <> 'failure'
          AND NOT regexp_matches(lower(coalesce("event.action", '')), 'fail|den|reject|invalid'))
      SELECT '' AS host, r.usr, 'vpn', count(*), min(t), max(t), {_CITE} FROM row r JOIN person p ON p.name = r.usr
      GROUP BY 2 ORDER BY 2""",
        [files],
    ).fetchall()
