"""Where a VPN session went, by the firewall alone: for companies that kept no machine's log."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.model.evidence import RecordRef
from hikeshi.trace.identity import Identity
from hikeshi.trace.network import is_address, public
from hikeshi.trace.rows import MINUTE
from hikeshi.trace.way import Way

# Ports through which somebody works on another machine.
_REMOTE_WORK = ("22", "135", "139", "445", "3389", "5900", "5985", "5986")
_WAYS = 50


def name_machines(ways: Iterable[Way], flows: pa.Table, who: Identity) -> None:
    """Give each VPN way without a machine the first one its session worked on, with the record that says so."""
    open_ways = [w for w in ways if w.kind == "vpn_credential" and w.host is None and w.inside and w.score > 0][:_WAYS]
    if not open_ways or not flows.num_rows:
        return
    wanted = pa.array(sorted({f.address for w in open_ways for f in w.inside}), pa.string())
    text = {n: flows.column(n).cast(pa.string()) for n in ("client", "ip", "port", "kind")}
    chosen = flows.filter(pc.and_(
        pc.and_(pc.is_in(text["client"], wanted), pc.is_in(text["port"], pa.array(_REMOTE_WORK))),
        pc.not_equal(pc.fill_null(text["kind"], ""), "denied")))
    talks = sorted(chosen.select(("first", "client", "ip", "path", "sha256", "first_place", "lines")).to_pylist(),
                   key=lambda t: (t["first"], t["ip"] or ""))
    for way in open_ways:
        for talk in talks:
            there = talk["ip"] or ""
            if is_address(there) and not public(there) and any(
                    f.address == talk["client"] and f.start - MINUTE <= talk["first"] <= f.end for f in way.inside):
                way.host = who.at(there, talk["first"])
                place = talk["first_place"] if talk["first_place"] >= 0 else None
                way.refs.append(RecordRef(talk["path"], talk["sha256"], record_id=None if talk["lines"] else place,
                                          line=place if talk["lines"] else None))
                break
