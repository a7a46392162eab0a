"""Where logs were cleared or fall silent, and which clocks are wrong.

Silence counts only in a log that writes at all hours: a client's night is no gap. A clock is
judged by both ends of the same logon: the source's 4648 and the destination's 4624.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hikeshi.model.case import ClockOffset, LogGap
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.trace.identity import Identity, account_name, host_name
from hikeshi.trace.rows import MINUTE, SECOND, Rows, text_column, when
from hikeshi.trace.sessions import Sessions

_SHORTEST_SILENCE_H = 3
_BUSY_PER_HOUR = 5
_CLOCK_SEARCH = 20 * MINUTE
_CLOCK_TRUSTED = 45 * SECOND


def cleared(rows: Rows, spans: pa.Table | None = None) -> list[LogGap]:
    """Each clearing of a log, once; with the records from before it that were recovered (`spans`)."""
    held = _recovered(spans) if spans is not None else {}
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows.of("log_cleared").tolist():
        found[host_name(rows.text("host", row)), rows.text("object", row)].append(row)
    return [
        LogGap(
            host=host,
            log=log,
            kind="cleared",
            first=None,
            last=when(int(rows.time[cited[-1]])),
            confidence="high",
            records=rows.refs(cited),
            recovered=_count_before(held.get((host, log.lower()), []), int(rows.time[cited[-1]])),
        )
        for (host, log), cited in sorted(found.items())
    ]


def _recovered(spans: pa.Table) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
    """First and last time and number of recovered records, hour by hour, by host and log in small letters."""
    out: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    found = spans.filter(spans.column("recovered"))
    if found.num_rows:
        host, log = text_column(found.column("host")), text_column(found.column("log"))
        first, last, count = (found.column(n).to_numpy() for n in ("first", "last", "count"))
        for row in range(found.num_rows):
            out[host_name(host.at(row)), log.at(row).lower()].append((int(first[row]), int(last[row]), int(count[row])))
    return out


def _count_before(held: Sequence[tuple[int, int, int]], time: int) -> int:
    return sum(count for _, last, count in held if last <= time)


def silences(spans: pa.Table, rows: Rows) -> list[LogGap]:
    """Hours without a record in logs that otherwise write every hour."""
    held = _recovered(spans)
    spans = spans.filter(pc.invert(spans.column("recovered")))
    if not spans.num_rows:
        return []
    host, log = text_column(spans.column("host")), text_column(spans.column("log"))
    path, sha = text_column(spans.column("path")), text_column(spans.column("sha256"))
    number = {n: spans.column(n).to_numpy() for n in ("hour", "count", "first", "last", "first_record", "last_record")}
    lines = spans.column("lines").to_numpy(zero_copy_only=False)
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in range(spans.num_rows):
        members[host_name(host.at(row)), log.at(row)].append(row)
    off = _switched_off(rows)
    out = []
    for (name, channel), chosen in sorted(members.items()):
        order = sorted(chosen, key=lambda r: (int(number["hour"][r]), int(number["first"][r])))
        hours = np.unique(np.array([number["hour"][r] for r in order]))
        if len(hours) < 24:
            continue
        gaps = np.diff(hours) - 1
        widest = int(gaps.argmax())
        size = int(gaps[widest])
        rest = int(np.sort(gaps)[-2]) if len(gaps) > 1 else 0
        span = int(hours[-1] - hours[0]) + 1 - size
        busy = sum(int(number["count"][r]) for r in order) / max(span, 1)
        if size < _SHORTEST_SILENCE_H or len(hours) < 0.9 * span or busy < _BUSY_PER_HOUR or rest * 2 >= size:
            continue
        before = max((r for r in order if number["hour"][r] == hours[widest]), key=lambda r: int(number["last"][r]))
        after = min((r for r in order if number["hour"][r] == hours[widest + 1]), key=lambda r: int(number["first"][r]))
        start, end = int(number["last"][before]), int(number["first"][after])
        if any(start - 10 * MINUTE <= t <= end + 10 * MINUTE for t in off.get(name, ())):
            continue
        refs = tuple(
            RecordRef(path.at(r), sha.at(r), **{"line" if lines[r] else "record_id": place})
            for r, place in ((before, int(number["last_record"][before])), (after, int(number["first_record"][after])))
            if place >= 0
        )
        out.append(
            LogGap(
                host=name,
                log=channel,
                kind="silence",
                first=when(start),
                last=when(end),
                confidence="medium",
                records=refs,
                recovered=sum(c for first, last, c in held.get((name, channel.lower()), ())
                              if first >= start and last <= end),
            )
        )
    return out


def _switched_off(rows: Rows) -> dict[str, list[int]]:
    out: dict[str, list[int]] = defaultdict(list)
    for row in rows.of("boot").tolist():
        out[host_name(rows.text("host", row))].append(int(rows.time[row]))
    return out


def clock_offsets(rows: Rows, who: Identity, sessions: Sessions, notes: Sequence[str]) -> list[ClockOffset]:
    """Seconds to add to a host's times, where both ends of its logons or the collectors' notes say so."""
    pairs = _pairs(rows, who, sessions)
    small = [d for seen in pairs.values() for d, _ in seen if abs(d) < _CLOCK_TRUSTED]
    usual = int(np.median(small)) if small else 0
    medians: dict[tuple[str, str], float] = {}
    for key, seen in pairs.items():
        delays = np.array([d for d, _ in seen])
        middle = float(np.median(delays))
        if np.median(np.abs(delays - middle)) <= 15 * SECOND:
            medians[key] = middle - usual
    noted = _from_notes(notes)
    out: dict[str, ClockOffset] = {}
    hosts = sorted({h for key in medians for h in key})
    for host in hosts:
        ends = [(m, k) for k, m in medians.items() if k[1] == host] + [
            (-m, k) for k, m in medians.items() if k[0] == host
        ]
        values = [m for m, _ in ends]
        middle = float(np.median(values))
        if abs(middle) <= _CLOCK_TRUSTED or max(abs(v - middle) for v in values) > 30 * SECOND:
            continue
        logons = sum(len(pairs[k]) for _, k in ends)
        partners = {k[0] if k[1] == host else k[1] for _, k in ends}
        # One partner alone can't say whose clock is wrong, unless that partner agrees with others.
        agreed = [
            p
            for p in partners
            if any(p in k and host not in k and abs(m) <= _CLOCK_TRUSTED for k, m in medians.items())
        ]
        if not (len(partners) >= 2 or agreed) or (logons < 2 and host not in noted):
            continue
        seconds = round(-middle / SECOND)
        cited = [r for _, k in ends for _, pair in pairs[k][:3] for r in pair]
        out[host] = ClockOffset(
            host=host,
            seconds=seconds,
            reason=Text(
                f"同じログオン{logons}件の両側の時刻を比べました", f"both ends of {logons} logons were compared"
            ),
            confidence="high" if logons >= 3 or host in noted else "medium",
            records=rows.refs(cited),
        )
    for host, seconds in sorted(noted.items()):
        if host not in out and host in who.logged:
            out[host] = ClockOffset(
                host=host,
                seconds=seconds,
                reason=Text("証拠に付いていたメモによります", "according to the notes that came with the evidence"),
                confidence="medium",
            )
    return [out[h] for h in sorted(out)]


def _pairs(rows: Rows, who: Identity, sessions: Sessions) -> dict[tuple[str, str], list[tuple[int, tuple[int, int]]]]:
    """By (source, destination): delay of the destination's logon after the source's record, and both rows."""
    logons: dict[tuple[str, str, str], list[tuple[int, int]]] = defaultdict(list)
    explicit = rows.of("explicit").tolist()
    wanted = {host_name(rows.text("host", r)) for r in explicit}
    for source in sorted(wanted):
        for number in sessions.out_of(source).tolist():
            session = sessions.get(number)
            for row in session.rows:
                if rows.text("kind", row) == "logon":
                    logons[source, session.destination, session.account].append((int(rows.time[row]), row))
    for seen in logons.values():
        seen.sort()
    out: dict[tuple[str, str], list[tuple[int, tuple[int, int]]]] = defaultdict(list)
    for row in explicit:
        time = int(rows.time[row])
        source, target = host_name(rows.text("host", row)), who.at(rows.text("target", row), time)
        known = logons.get((source, target, account_name(rows.text("account", row))), [])
        place = bisect_left(known, (time, -1))
        near = [
            (abs(t - time), t - time, r)
            for t, r in known[max(place - 1, 0) : place + 1]
            if abs(t - time) <= _CLOCK_SEARCH
        ]
        if near:
            _, delay, other = min(near)
            out[source, target].append((delay, (row, other)))
    return out


_NOTE = re.compile(
    r"(?P<host>[A-Za-z][A-Za-z0-9-]{1,30})[^\n]{0,40}?"
    r"(?:(?P<h>\d{1,2})\s*(?:時間|hours?)\s*)?(?:(?P<m>\d{1,4})\s*(?:分|minutes?|min)\s*)?(?:(?P<s>\d{1,5})\s*(?:秒|seconds?|sec)\s*)?"
    r"[^\n\d]{0,12}?(?P<way>進|遅|fast|ahead|slow|behind)",
    re.I,
)


def _from_notes(notes: Sequence[str]) -> dict[str, int]:
    """「APP01 の時計は 4 分 30 秒進んで…」 or "APP01 runs 4 minutes 30 seconds fast" as seconds to add."""
    out: dict[str, int] = {}
    for note in notes:
        for line in note[:20_000].splitlines():
            clock = re.search(r"時計|時刻|clock", line, re.I)
            match = _NOTE.search(re.sub(r"(?i)\b(?:the|clock|of)\b\s*", "", line)[:300]) if clock else None
            if not match:
                continue
            seconds = sum(int(match[g] or 0) * f for g, f in (("h", 3600), ("m", 60), ("s", 1)))
            if seconds:
                ahead = match["way"].lower() in ("進", "fast", "ahead")
                out[host_name(match["host"])] = -seconds if ahead else seconds
    return out
