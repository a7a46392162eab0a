"""The spread as a picture: time from left to right, a lane a host in the order of first touch.

Long waits are shortened (marked on the axis), so that both minutes and days stay readable.
Line style is confidence: full, dashed, dotted. Beyond MAX_LANES, hosts that were reached in the
same way from the same host share one lane.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from html import escape

from hikeshi.model.case import Spread, Story
from hikeshi.model.text import plain
from hikeshi.report.words import Words

MAX_LANES = 30
LANE, LEFT, TOP, RIGHT, BOTTOM = 34, 190, 64, 150, 20
STEP, WIDEST_WAIT, NARROW = 104, 150, 24
DASHES = {"high": "", "medium": ' stroke-dasharray="7 3"', "low": ' stroke-dasharray="2 4"'}
ACCENT = "#3b4fa0"  # the one indigo of the report


@dataclass(frozen=True, slots=True)
class _Edge:
    time: datetime
    source: str
    destination: str
    label: str
    confidence: str
    entry: bool = False


def draw_spread(story: Story, words: Words, zone: tzinfo) -> str:
    """An SVG with title and description, or "" where nothing moved."""
    edges = _edges(story, words, zone)
    if not edges:
        return ""
    edges, names = _grouped(edges)
    lanes = list(dict.fromkeys(name for e in edges for name in (e.source, e.destination)))
    encrypted = {h.name for h in story.encrypted_hosts}
    columns = _columns(edges)
    width = int(columns[-1] + RIGHT)
    height = TOP + LANE * len(lanes) + BOTTOM
    y = {name: TOP + LANE * i + LANE // 2 for i, name in enumerate(lanes)}
    parts = [_lane(names.get(n, n), y[n], width, n in encrypted, words) for n in lanes]
    parts += _axis(edges, columns, height)
    parts += [_arrow(e, x, y, _fresh(edges, i)) for i, (e, x) in enumerate(zip(edges, columns, strict=True))]
    title = escape(f"{words('section_spread')}: {len(lanes)} / {len(edges)}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="Noto Sans CJK JP, Hiragino Sans, BIZ UDPGothic, Noto Sans JP, sans-serif" '
            f'font-size="12"><title>{title}</title>{"".join(parts)}</svg>')


def _edges(story: Story, words: Words, zone: tzinfo) -> list[_Edge]:
    edges, unknown = [], words("source_unknown")
    for candidate in story.entry_candidates[:1]:
        if candidate.time and candidate.host:
            label = " ".join(filter(None, (words.of("kind", candidate.kind), candidate.account)))
            edges.append(_Edge(_local(candidate.time, zone), candidate.source or unknown, candidate.host, label,
                               candidate.confidence, entry=True))
    edges += [_Edge(_local(s.time, zone), s.source or unknown, s.destination, _label(s, words), s.confidence)
              for s in story.spread if s.source != s.destination]
    return sorted(edges, key=lambda e: (e.time, not e.entry, e.destination))


def _label(step: Spread, words: Words) -> str:
    return " ".join(filter(None, (words.of("method", step.method), step.account)))


def _local(text: str, zone: tzinfo) -> datetime:
    return datetime.fromisoformat(text).astimezone(zone)


def _grouped(edges: list[_Edge]) -> tuple[list[_Edge], dict[str, str]]:
    """Edges with end points that fit the picture, and the names of lanes that stand for many."""
    hosts = list(dict.fromkeys(name for e in edges for name in (e.source, e.destination)))
    if len(hosts) <= MAX_LANES:
        return edges, {}
    sources = {e.source for e in edges}
    first_reached: dict[str, tuple[str, str]] = {}
    for edge in edges:
        first_reached.setdefault(edge.destination, (edge.source, edge.label))
    groups: dict[tuple[str, str], list[str]] = {}
    for host, way in first_reached.items():
        if host not in sources:
            groups.setdefault(way, []).append(host)
    stands_for = {host: members[0] for members in groups.values() for host in members}
    names = {m[0]: f"{m[0]} +{len(m) - 1}" for m in groups.values() if len(m) > 1}
    kept, seen = [], set()
    for edge in edges:
        target = stands_for.get(edge.destination, edge.destination)
        if (edge.source, target, edge.label) not in seen:
            seen.add((edge.source, target, edge.label))
            kept.append(_Edge(edge.time, edge.source, target, edge.label, edge.confidence, edge.entry))
    return kept[:120], names


def _fresh(edges: Sequence[_Edge], index: int) -> bool:
    """Whether an edge starts something new: the rest of a burst shares the first one's label."""
    if index == 0:
        return True
    before, now = edges[index - 1], edges[index]
    same = (before.source, before.label, before.entry) == (now.source, now.label, now.entry)
    return not (same and (now.time - before.time).total_seconds() <= 900)


def _columns(edges: Sequence[_Edge]) -> list[float]:
    x, columns = float(LEFT + 40), []
    for i, edge in enumerate(edges):
        if i:
            wait = (edge.time - edges[i - 1].time).total_seconds()
            x += min(STEP + 10 * math.log1p(wait / 60), WIDEST_WAIT) if _fresh(edges, i) else NARROW
        columns.append(x)
    return columns


def _lane(name: str, y: int, width: int, encrypted: bool, words: Words) -> str:
    mark = f' <tspan font-weight="400" font-size="10">{escape(words("encrypted"))}</tspan>' if encrypted else ""
    shown = plain(name) if len(name) <= 22 else plain(name[:21]) + "…"
    box = f'<rect x="4" y="{y - 9}" width="5" height="18" fill="currentColor"/>' if encrypted else ""
    return (f'{box}<text x="14" y="{y + 4}" fill="currentColor" font-weight="700">{escape(shown)}{mark}</text>'
            f'<line x1="{LEFT - 10}" y1="{y}" x2="{width - 10}" y2="{y}" stroke="currentColor" opacity="0.22"/>')


def _axis(edges: Sequence[_Edge], columns: Sequence[float], height: int) -> list[str]:
    parts, day, last = [], "", -1e9
    for i, (edge, x) in enumerate(zip(edges, columns, strict=True)):
        date = edge.time.strftime("%m-%d")
        if date != day:
            parts.append(f'<text x="{x:.0f}" y="16" fill="currentColor" font-weight="700" '
                         f'text-anchor="middle">{date}</text>')
            day = date
        if x - last >= 44:
            parts.append(f'<text x="{x:.0f}" y="32" fill="currentColor" text-anchor="middle">{edge.time:%H:%M}</text>')
            last = x
        if i and (edge.time - edges[i - 1].time).total_seconds() > 6 * 3600:
            middle = (columns[i - 1] + x) / 2
            hours = (edge.time - edges[i - 1].time).total_seconds() / 3600
            parts.append(f'<line x1="{middle:.0f}" y1="40" x2="{middle:.0f}" y2="{height - BOTTOM}" '
                         f'stroke="currentColor" opacity="0.35" stroke-dasharray="1 5"/>'
                         f'<text x="{middle:.0f}" y="{height - 5}" fill="currentColor" font-size="10" '
                         f'text-anchor="middle">… {hours:,.0f} h …</text>')
    return parts


def _arrow(edge: _Edge, x: float, y: dict[str, int], fresh: bool) -> str:
    start, end = y[edge.source], y[edge.destination]
    tip = end - 6 if end > start else end + 6
    back = tip - 7 if end > start else tip + 7
    colour = ACCENT if edge.entry else "currentColor"
    # The label stands on the source's side of its lane, away from the arrows that leave it.
    label = (f'<text x="{x - 4:.0f}" y="{(start - 8) if end > start else (start + 17)}" fill="{colour}" '
             f'font-size="11">{escape(plain(edge.label))}</text>') if fresh else ""
    return (f'<line x1="{x:.0f}" y1="{start}" x2="{x:.0f}" y2="{back}" stroke="{colour}" '
            f'stroke-width="{2.4 if edge.entry else 1.6}"{DASHES.get(edge.confidence, "")}/>'
            f'<path d="M{x - 5:.0f} {back} L{x + 5:.0f} {back} L{x:.0f} {tip} Z" fill="{colour}"/>'
            f'<circle cx="{x:.0f}" cy="{start}" r="3.5" fill="{colour}"/>{label}')
