"""Ways in, each with reasons for and against, best first.

A candidate that leads on to machines with an attacker's traces outranks every other; what only
looks unusual stays below, with what speaks against it. The ways themselves are found by
ways_logon.py, ways_program.py and ways_web.py.
"""

from __future__ import annotations

from hikeshi.model.case import EntryCandidate
from hikeshi.model.finding import Confidence
from hikeshi.trace import ways_database
from hikeshi.trace.infection import Infection
from hikeshi.trace.rows import MINUTE, Rows, when
from hikeshi.trace.way import Way

TECHNIQUES = {
    "vpn_credential": "T1133",
    "exposed_rdp": "T1133",
    "brute_force": "T1110",
    "remote_maintenance": "T1133",
    "web_shell": "T1505.003",
    "mail_attachment": "T1566.001",
    "remote_tool": "T1219",
    "supplier": "T1195.002",
    "vulnerability": "T1190",
    "unknown": "T1078",
}


def _reached_before(way: Way, infection: Infection) -> bool:
    """Whether the attacker had come to this machine from another one already."""
    return any(e.destination == way.host and e.time < way.time - MINUTE for e in infection.edges.values())


def confirm(ways: list[Way], infection: Infection) -> None:
    """Mark the ways that lead to held machines, and name the first machine reached."""
    for way in ways:
        if way.kind in ("mail_attachment", "web_shell", "supplier", "remote_tool") or way.name == ways_database.NAME:
            held = infection.hosts.get(way.host or "")
            way.leads = held is not None and held.first >= way.time - MINUTE and not _reached_before(way, infection)
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
                technique=TECHNIQUES[way.kind],
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
