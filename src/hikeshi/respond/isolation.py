"""Which machines to take off the network first, and why.

Order: encryption, an open line to the attacker, domain controllers, theft of data, spread, other traces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hikeshi.events.time import format_utc
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text
from hikeshi.respond.result import Result, confidence_of, refs_of
from hikeshi.respond.targets import LISTED
from hikeshi.respond.traffic import Traffic

_ALIVE = timedelta(hours=24)
_CITED = 10
_CONFIDENCE: tuple[Confidence, ...] = ("high", "medium", "low")


@dataclass(slots=True)
class Isolation:
    """One machine. `urgency` 1 (now) to 6; `cause` names the reason that decided: encryption, c2_alive,
    domain_controller, theft, spread, traces."""

    host: str
    urgency: int
    cause: str
    addresses: tuple[str, ...]
    reasons: tuple[Text, ...]
    first: str | None
    last: str | None
    confidence: Confidence
    records: tuple[RecordRef, ...]
    domain_controller: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "urgency": self.urgency,
            "cause": self.cause,
            "addresses": list(self.addresses),
            "reasons": [r.to_dict() for r in self.reasons],
            "first": self.first,
            "last": self.last,
            "confidence": self.confidence,
            "records": [r.to_dict() for r in self.records],
            "domain_controller": self.domain_controller,
        }


_CAUSES = {"encryption": 1, "c2_alive": 2, "domain_controller": 3, "theft": 4, "spread": 5, "traces": 6}


class _Machine:
    def __init__(self, name: str) -> None:
        self.name = name
        self.causes: dict[str, Text] = {}
        self.addresses: dict[str, None] = {}
        self.records: dict[RecordRef, None] = {}
        self.times: list[str] = []
        self.confidence: Confidence = "low"

    def add(self, cause: str, reason: Text, entry: dict[str, Any] | None = None) -> None:
        self.causes.setdefault(cause, reason)
        if entry is not None:
            self.records.update(dict.fromkeys(refs_of(entry)))
            self.confidence = min(self.confidence, confidence_of(entry), key=_CONFIDENCE.index)
            self.times += [str(entry[k]) for k in ("first", "last", "time") if entry.get(k)]
            self.addresses.update(dict.fromkeys(str(a) for a in entry.get("addresses") or ()))


def isolation_list(
    result: Result,
    *,
    controllers: Collection[str] = (),
    logs: Traffic | None = None,
    only: Collection[str] | None = None,
) -> tuple[Isolation, ...]:
    """From the case; with `logs`, also every machine that called a command server or a listed place, found through
    its leases. `only`: values that may accuse (what is held back accuses nobody)."""
    found: dict[str, _Machine] = {}
    spelt: dict[str, str] = {}

    def machine(name: object) -> _Machine:
        text = str(name or "").strip()
        key = spelt.setdefault(text.lower(), text)
        return found.setdefault(key, _Machine(key))

    for entry in result.part("compromised_hosts"):
        machine(entry.get("name")).add("traces", Text("侵害の跡があります", "there are traces of compromise"), entry)
    for entry in result.part("encrypted_hosts"):
        machine(entry.get("name")).add(
            "encryption",
            Text("暗号化されています。まだ続いているかもしれません", "it is encrypted; it may still be going on"),
            entry,
        )
    newest = _newest(result)
    for entry in result.part("c2"):
        for client in entry.get("clients") or ():
            _line(machine(client), entry, newest)
    for entry in result.part("exfiltration"):
        if entry.get("source"):
            machine(entry["source"]).add("theft", Text("データが持ち出されました", "data left from it"), entry)
    for entry in result.part("staging"):
        if entry.get("host"):
            machine(entry["host"]).add(
                "theft", Text("持ち出すデータがまとめられました", "data was gathered on it"), entry
            )
    for entry in result.part("spread"):
        if entry.get("source") and str(entry["source"]).lower() in spelt:
            machine(entry["source"]).add(
                "spread", Text("ここから他の機器へ広がりました", "the attacker moved on from here"), entry
            )
    if logs is not None:
        _from_logs(result, logs, machine, only)
    wanted = {c.lower() for c in controllers}
    for name, one in found.items():
        if name.lower() in wanted or name.lower().partition(".")[0] in wanted:
            one.add(
                "domain_controller",
                Text(
                    "ドメインコントローラーです。止める前に、ほかに動いている1台があるか確かめます",
                    "it is a domain controller: make sure that another one is running before you cut it off",
                ),
            )
    ranked = [_ranked(one) for name, one in found.items() if name]
    return tuple(sorted(ranked, key=lambda i: (i.urgency, i.first or "~", i.host.lower())))


def _line(one: _Machine, entry: dict[str, Any], newest: datetime | None) -> None:
    last = _moment(entry.get("last"))
    alive = last is not None and newest is not None and newest - last <= _ALIVE
    if alive:
        one.add("c2_alive", Text("指令サーバとの通信が続いています", "its line to a command server is open"), entry)
    else:
        one.add("traces", Text("指令サーバと通信しました", "it talked to a command server"), entry)


def _from_logs(result: Result, logs: Traffic, machine: Any, only: Collection[str] | None) -> None:
    servers = {str(e.get("value", "")).lower() for e in result.part("c2")} | {
        str(s.get("indicator", "")).lower()
        for s in result.sightings
        if s.get("role") == "destination" and not s.get("warning_lists")
    }
    numbers = [
        n
        for n, t in enumerate(logs.targets)
        if (t.value in servers or LISTED in t.reasons) and (only is None or t.value in only)
    ]
    if not numbers:
        return
    span = logs.span()
    newest = span[1] if span else 0
    for host, clients, first, last, cited in logs.sql(
        f"SELECT host, list(DISTINCT client ORDER BY client), min(t), max(t), "
        f"min_by({{'path': path, 'line': line}}, t, 3) FROM hit "
        f"WHERE target IN ({', '.join(map(str, numbers))}) GROUP BY 1 ORDER BY 1"
    ):
        entry = {
            "first": format_utc(first),
            "last": format_utc(last),
            "confidence": "high",
            "addresses": [c for c in clients if c != host],
            "records": [result.ref(c["path"], line=c["line"]).to_dict() for c in cited],
        }
        _line(machine(host), entry, datetime.fromtimestamp(newest / 1e6, UTC))


def _newest(result: Result) -> datetime | None:
    times = [
        _moment(e.get(k))
        for part in ("c2", "compromised_hosts", "spread", "timeline", "exfiltration")
        for e in result.part(part)
        for k in ("last", "time")
    ]
    return max((t for t in times if t), default=None)


def _moment(value: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _ranked(one: _Machine) -> Isolation:
    causes = sorted(one.causes, key=_CAUSES.__getitem__)
    first, last = min(one.times, default=None), max(one.times, default=None)
    return Isolation(
        one.name,
        _CAUSES[causes[0]],
        causes[0],
        tuple(one.addresses),
        tuple(one.causes[c] for c in causes),
        first,
        last,
        one.confidence,
        tuple(one.records)[:_CITED],
        "domain_controller" in one.causes,
    )


def infected_hosts(items: Iterable[Isolation]) -> frozenset[str]:
    """Names in lower case, and their first label."""
    names = {i.host.lower() for i in items}
    return frozenset(names | {n.partition(".")[0] for n in names if not n[:1].isdigit()})


def controllers_of(result: Result, known: Iterable[str] = ()) -> dict[str, tuple[RecordRef, ...]]:
    """Domain controllers: those the plan names, and machines that answered Kerberos requests."""
    import duckdb

    out: dict[str, tuple[RecordRef, ...]] = {name.lower(): () for name in known}
    files = [str(p) for p in result.tables]
    if files:
        link = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "memory_limit": "256MB",
                "threads": 2,
            }
        )
        try:
            rows = link.execute(
                'SELECT "host.name", min_by({\'path\': "log.file.path", \'id\': "winlog.record_id"}, "@timestamp", 3) '
                "FROM read_parquet(?, union_by_name=true) WHERE \"event.code\" IN ('4768', '4771') "
                'AND "winlog.channel" = \'Security\' AND "host.name" IS NOT NULL GROUP BY 1',
                [files],
            ).fetchall()
        finally:
            link.close()
        for host, cited in rows:
            refs = tuple(result.ref(c["path"], record_id=c["id"]) for c in cited or ())
            for name in {str(host).lower(), str(host).lower().partition(".")[0]}:
                out[name] = refs
    return out
