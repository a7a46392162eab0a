"""The values to look for next: what stands in the records that findings are about, and how rare it is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hikeshi.events.schema import TIME
from hikeshi.events.time import format_utc
from hikeshi.timeline.opened import Opened

KINDS = {
    "host": "host.name", "account": "user.name", "source": "source.ip", "source_name": "source.domain",
    "destination": "destination.ip", "domain": "destination.domain", "query": "dns.question.name",
    "program": "process.executable", "file": "file.path", "sha256": "file.hash.sha256", "url": "url.full",
}


@dataclass(frozen=True, slots=True)
class Pivot:
    """`marked` of `everywhere` records with this value stand in a finding; times (UTC microseconds) are of the marked
    ones."""

    kind: str
    value: str
    marked: int
    everywhere: int
    first: int | None
    last: int | None

    def to_dict(self) -> dict[str, object]:
        return {"kind": self.kind, "value": self.value, "marked": self.marked, "everywhere": self.everywhere,
                "first": None if self.first is None else format_utc(self.first),
                "last": None if self.last is None else format_utc(self.last)}


def pivots(opened: Opened, *, most: int = 50) -> Iterator[Pivot]:
    """By kind, the rarest elsewhere first; at most `most` of a kind."""
    link = opened.link.cursor()
    columns = ", ".join(f'"{column}"' for column in KINDS.values())
    link.execute(f"""CREATE TEMP TABLE IF NOT EXISTS marked AS
        SELECT DISTINCT epoch_us("{TIME}") AS moment, "log.file.path", "winlog.record_id", "log.line", {columns}
        FROM event e
        WHERE EXISTS (SELECT 1 FROM by_rid m WHERE m.path = e."log.file.path" AND m.rid = e."winlog.record_id")
           OR EXISTS (SELECT 1 FROM by_line m WHERE m.path = e."log.file.path" AND m.line = e."log.line")""")
    for kind, column in KINDS.items():
        found = link.execute(f"""
          WITH seen AS (SELECT "{column}" AS value, count(*) AS marked, min(moment) AS first, max(moment) AS last
              FROM marked
              WHERE "{column}" IS NOT NULL AND "{column}" NOT IN ('', '-') GROUP BY 1),
            whole AS (SELECT "{column}" AS value, count(*) AS everywhere FROM event
              SEMI JOIN seen ON "{column}" = seen.value GROUP BY 1)
          SELECT value, marked, everywhere, first, last FROM seen JOIN whole USING (value)
          ORDER BY marked / everywhere DESC, marked DESC, value LIMIT ?""", [most]).fetchall()
        for row in found:
            yield Pivot(kind, *row)
