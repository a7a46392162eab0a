"""What was gathered and what left: archives in odd places, uploads against the usual.

An upload counts when a held machine sent much, after the attacker came, to a place that only held
machines use. Places that others use too, or that were used before, are business and are explained.
"""

from __future__ import annotations

from hikeshi.model.case import Exfiltration, Staging
from hikeshi.model.text import Text
from hikeshi.trace.flows import Flows
from hikeshi.trace.identity import host_name
from hikeshi.trace.infection import Infection
from hikeshi.trace.programs import ODD_FOLDER, archive_path
from hikeshi.trace.rows import MINUTE, when
from hikeshi.trace.theft import packed_names

_MUCH = 10_000_000  # bytes; browsing rarely sends as much to one place


def staging(infection: Infection) -> list[tuple[Staging, list[str]]]:
    """Archives written on held machines after the attacker came, each with the names its commands packed."""
    found: dict[tuple[str, str], tuple[int, set[int]]] = {}
    rows = infection.rows
    for row in rows.of("process", "file").tolist():
        if rows.text("kind", row) == "file" and rows.text("signal", row) != "archive":
            continue
        host, time = host_name(rows.text("host", row)), int(rows.time[row])
        held = infection.hosts.get(host)
        if held is None or time < held.first - MINUTE:
            continue
        path = rows.text("object", row) if rows.text("kind", row) == "file" else archive_path(rows.text("detail", row))
        if not path:
            continue
        account = rows.text("account", row).lower()
        if not ODD_FOLDER.search(path) and not (
            account in infection.accounts and infection.accounts[account].first <= time + MINUTE
        ):
            continue
        known = found.get((host, path.lower()))
        if known is None:
            found[host, path.lower()] = (row, {row})
        else:
            known[1].add(row)
    return [
        (
            Staging(
                host=host,
                path=_path(infection, row),
                time=when(int(rows.time[row])),
                confidence="high" if len(cited) > 1 else "medium",
                records=rows.refs(cited),
            ),
            [
                name
                for r in sorted(cited)
                if rows.text("kind", r) == "process"
                for name in packed_names(rows.text("detail", r))
            ],
        )
        for (host, _), (row, cited) in sorted(found.items(), key=lambda f: (f[1][0], f[0]))
    ]


def _path(infection: Infection, row: int) -> str:
    rows = infection.rows
    return (
        rows.text("object", row) if rows.text("kind", row) == "file" else archive_path(rows.text("detail", row)) or ""
    )


def uploads(infection: Infection, flows: Flows, sources: frozenset[str]) -> list[Exfiltration]:
    """Uploads from held machines; what looks alike and is business goes to `explained`.

    Bytes sent to an address the attacker came from (`sources`) are remote control: they are told as C2.
    """
    out: list[Exfiltration] = []
    held = flows.held({h.name: h.first for h in infection.hosts.values()})
    for host, hold in sorted(infection.hosts.items()):
        for talk, use in held.uploads(host, _MUCH):
            if talk.destination in sources or talk.last < hold.first - MINUTE:
                continue
            early = use.first < use.held_since - MINUTE
            if use.others or early:
                infection.note(
                    f"{host} → {talk.destination}",
                    Text(
                        f"以前から、または他の{use.others}台も使っている送り先です",
                        f"a destination in use before the intrusion or by {use.others} other machines",
                    ),
                    talk.records(),
                )
                continue
            kind = "proxy_upload" if "proxy" in talk.kinds else "firewall_upload"
            out.append(
                Exfiltration(
                    kind=kind,
                    source=host,
                    destination=talk.destination,
                    bytes=talk.bytes_out or None,
                    first=when(talk.first),
                    last=when(talk.last),
                    confidence="high" if len({r.path for r in talk.records()}) > 1 else "medium",
                    records=talk.records(),
                )
            )
    return out
