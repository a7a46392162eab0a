"""What to do with the story: what to block, what to isolate first, which passwords to change."""

from __future__ import annotations

from collections.abc import Iterable

from hikeshi.model.case import Account, BlockEntry, BypassPath, EntryCandidate, Host, Isolate
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.trace.infection import Infection
from hikeshi.trace.network import is_address, public
from hikeshi.trace.parts import Parts
from hikeshi.trace.rows import moment

_TAKES_CREDENTIALS = frozenset(("lsass_dump", "credential_dump"))


def block_list(entries: Iterable[EntryCandidate], parts: Parts) -> tuple[BlockEntry, ...]:
    """Entry sources of the first rank, C2 addresses and upload destinations, with where to block them."""
    found: dict[str, BlockEntry] = {}

    def block(value: str, records: tuple[RecordRef, ...], sure: str) -> None:
        address = value.split("/", 1)[0]
        if is_address(address):
            if not public(address):
                return
            kind = "cidr" if "/" in value else "ipv6" if ":" in value else "ipv4"
            where: tuple[str, ...] = ("firewall", "proxy")
        elif "://" in value:
            kind, where = "url", ("proxy",)
        else:
            kind, where = "domain", ("dns", "proxy")
        if value not in found:
            found[value] = BlockEntry(
                value=value,
                type=kind,
                where=where,
                records=records,
                confidence="high" if sure == "high" else "medium" if sure == "medium" else "low",
            )

    for entry in entries:
        if entry.source and (entry.rank == 1 or entry.confidence == "high"):
            block(entry.source, entry.records, entry.confidence)
    for address in parts.c2:
        if address.confidence == "low":
            continue  # one call by a script is a reason to look, not to cut something off
        block(address.value, address.records, address.confidence)
    for sent in parts.exfiltration:
        block(sent.destination, sent.records, sent.confidence)
    return tuple(found.values())


def isolate(
    hosts: Iterable[Host], infection: Infection, parts: Parts, controllers: set[str], entries: Iterable[EntryCandidate]
) -> tuple[Isolate, ...]:
    """Held machines, most urgent first: those that still call out or spread, then the rest by time."""
    calling = {c for address in parts.c2 for c in address.clients}
    sending = {e.source for e in parts.exfiltration}
    tools = {p.host for p in parts.persistence if p.kind in ("remote_tool", "web_shell")}
    spreading = {e.source for e in infection.edges.values()}
    first = {e.host for e in entries if e.rank == 1}
    ranked = []
    for host in hosts:
        if host.name in calling or host.name in tools:
            urgency, why = 0, Text("外部から操作できる状態です", "it can be controlled from outside")
        elif host.name in sending:
            urgency, why = 1, Text("外部へデータを送りました", "it sent data out")
        elif host.name in first:
            urgency, why = 2, Text("最初に入られた機器です", "it was the first machine reached")
        elif host.name in controllers:
            urgency, why = (
                3,
                Text(
                    "ドメインコントローラーです。止める前に影響を確かめてください",
                    "it is a domain controller; check the effect before cutting it off",
                ),
            )
        elif host.name in spreading:
            urgency, why = 4, Text("ここから他の機器へ広がりました", "the attacker moved on from here")
        else:
            urgency, why = 5, Text("侵害の跡があります", "there are traces of compromise")
        ranked.append(
            (
                urgency,
                moment(host.first),
                host.name,
                Isolate(name=host.name, reason=why, confidence=host.confidence, records=host.records),
            )
        )
    return tuple(entry for *_, entry in sorted(ranked, key=lambda r: r[:3]))


def accounts_to_reset(
    accounts: Iterable[Account], infection: Infection, controllers: set[str], seen_on: dict[str, set[str]]
) -> tuple[Account, ...]:
    """Held accounts; those that were signed on where credentials were stolen; krbtgt when a domain controller fell."""
    out = {a.name: a for a in accounts}
    for host in sorted(infection.hosts):
        stolen = [m.row for m in infection.marks_of.get(host, ()) if m.name in _TAKES_CREDENTIALS]
        if not stolen:
            continue
        for name in sorted(seen_on.get(host, ())):
            if name not in out and not name.endswith("$"):
                out[name] = Account(
                    name=name,
                    kind="domain",
                    confidence="medium",
                    records=infection.rows.refs(stolen),
                    reasons=(
                        Text(
                            f"認証情報が盗まれた{host}で使われていました",
                            f"was in use on {host}, where credentials were stolen",
                        ),
                    ),
                )
    fallen = sorted(controllers & set(infection.hosts))
    if fallen:
        rows = {r for c in fallen for r in infection.hosts[c].rows}
        out["krbtgt"] = Account(
            name="krbtgt",
            kind="service",
            confidence="high",
            records=infection.rows.refs(rows),
            reasons=(
                Text(
                    f"ドメインコントローラー({'、'.join(fallen)})が侵害されました。2回変更してください",
                    f"a domain controller ({', '.join(fallen)}) was compromised; reset it twice",
                ),
            ),
        )
    return tuple(out.values())


def bypass_paths(parts: Parts, entries: Iterable[EntryCandidate]) -> tuple[BypassPath, ...]:
    """Ways around the usual gate that stay open until somebody closes them."""
    out = [
        BypassPath(
            time=p.time,
            source="Internet",
            destination=p.host,
            confidence=p.confidence,
            records=p.records,
            why=Text(f"{p.name}で外部から操作できます", f"{p.name} lets outsiders control it"),
        )
        for p in parts.persistence
        if p.kind in ("remote_tool", "web_shell")
    ]
    out += [
        BypassPath(
            time=e.time,
            source=e.source or "Internet",
            destination=e.host,
            confidence=e.confidence,
            records=e.records,
            why=Text("インターネットから直接ログオンできます", "it accepts logons straight from the Internet"),
        )
        for e in entries
        if e.kind in ("exposed_rdp", "brute_force") and e.host and e.source
    ]
    return tuple(out)
