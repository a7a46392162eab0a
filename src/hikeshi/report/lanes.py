"""The whole intrusion as time lanes: a lane a machine, a mark a step, lettered by ATT&CK tactic.

Time runs from left to right; waits are shortened, so that minutes and days stay readable. The letters are
ATT&CK's order of tactics and stand in the legend; nothing depends on colour. Beyond MAX_LANES, machines with
the fewest steps share the last lane.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from html import escape

from hikeshi.model.case import TACTICS, Story, TimelineEntry
from hikeshi.model.text import plain
from hikeshi.report.words import Words

MAX_LANES, MAX_STEPS = 24, 160
LANE, LEFT, TOP, RIGHT = 34, 150, 52, 40
APART, WIDEST = 21.0, 96.0
ACCENT = "#3b4fa0"  # the one indigo of the report


@dataclass(frozen=True, slots=True)
class _Mark:
    time: datetime
    host: str
    tactic: str
    said: str


def letter(tactic: str) -> str:
    """A for initial access to L for impact."""
    return chr(ord("A") + TACTICS.index(tactic))


def draw_lanes(story: Story, words: Words, zone: tzinfo) -> str:
    """An SVG with title and legend, or "" where fewer than two steps have a machine and a tactic."""
    marks = _marks(story.timeline, words, zone)
    if len(marks) < 2:
        return ""
    marks, shared = _grouped(marks)
    lanes = list(dict.fromkeys(m.host for m in marks))
    xs = _columns(marks)
    y = {name: TOP + LANE * i + LANE // 2 for i, name in enumerate(lanes)}
    used = [t for t in TACTICS if any(m.tactic == t for m in marks)]
    legend_rows = math.ceil(len(used) / 4)
    width = max(int(xs[-1] + RIGHT), 640)
    bottom = TOP + LANE * len(lanes)
    height = bottom + 18 + 18 * legend_rows
    parts = [_lane(n, y[n], width) for n in lanes]
    parts += _axis(marks, xs)
    parts += [_drawn(m, x, y[m.host]) for m, x in zip(marks, xs, strict=True)]
    parts += _legend(used, bottom + 20, width, words)
    title = escape(f"{words('section_timeline')}: {len(lanes)} / {len(marks)}" + (f" (+{shared})" if shared else ""))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" font-family="Noto Sans CJK JP, Hiragino Sans, BIZ UDPGothic, Noto Sans JP, sans-serif" '
        f'font-size="12"><title>{title}</title>{"".join(parts)}</svg>'
    )


def _marks(timeline: Sequence[TimelineEntry], words: Words, zone: tzinfo) -> list[_Mark]:
    """One mark a machine, tactic and quarter of an hour, in time order."""
    seen: set[tuple[str, str, int]] = set()
    out = []
    for entry in timeline:
        if entry.host is None or entry.tactic not in TACTICS:
            continue
        time = datetime.fromisoformat(entry.time)
        key = (entry.host, entry.tactic, int(time.timestamp() // 900))
        if key not in seen:
            seen.add(key)
            out.append(_Mark(time.astimezone(zone), entry.host, entry.tactic, getattr(entry, words.language)))
    return sorted(out, key=lambda m: (m.time, TACTICS.index(m.tactic), m.host))[:MAX_STEPS]


def _grouped(marks: list[_Mark]) -> tuple[list[_Mark], int]:
    """At most MAX_LANES lanes; how many machines share the last one."""
    lanes = list(dict.fromkeys(m.host for m in marks))
    if len(lanes) <= MAX_LANES:
        return marks, 0
    count = Counter(m.host for m in marks)
    kept = set(sorted(lanes, key=lambda n: (-count[n], lanes.index(n)))[: MAX_LANES - 1])
    others = f"+{len(lanes) - len(kept)}"
    return [m if m.host in kept else _Mark(m.time, others, m.tactic, m.said) for m in marks], len(lanes) - len(kept)


def _columns(marks: Sequence[_Mark]) -> list[float]:
    x, out = float(LEFT + 20), []
    for i, mark in enumerate(marks):
        if i:
            wait = (mark.time - marks[i - 1].time).total_seconds()
            x += min(APART + 9 * math.log1p(wait / 120), WIDEST)
        out.append(x)
    return out


def _lane(name: str, y: int, width: int) -> str:
    shown = plain(name) if len(name) <= 18 else plain(name[:17]) + "…"
    return (
        f'<text x="6" y="{y + 4}" fill="currentColor" font-weight="700">{escape(shown)}</text>'
        f'<line x1="{LEFT}" y1="{y}" x2="{width - 8}" y2="{y}" stroke="currentColor" opacity="0.22"/>'
    )


def _axis(marks: Sequence[_Mark], xs: Sequence[float]) -> list[str]:
    parts, day, last = [], "", -1e9
    for mark, x in zip(marks, xs, strict=True):
        date = mark.time.strftime("%m-%d")
        if date != day:
            day = date
            parts.append(
                f'<text x="{x:.0f}" y="16" fill="currentColor" font-weight="700" text-anchor="middle">{date}</text>'
            )
        if x - last >= 42:
            last = x
            parts.append(f'<text x="{x:.0f}" y="34" fill="currentColor" text-anchor="middle">{mark.time:%H:%M}</text>')
    return parts


def _drawn(mark: _Mark, x: float, y: int) -> str:
    entry = mark.tactic == "initial-access"
    fill, ink = (ACCENT, "#ffffff") if entry else ("#ffffff", "#1d2330")
    return (
        f"<g><title>{escape(f'{mark.time:%m-%d %H:%M} {plain(mark.said)}')}</title>"
        f'<circle cx="{x:.0f}" cy="{y}" r="9.5" fill="{fill}" stroke="{ACCENT if entry else "currentColor"}" '
        f'stroke-width="1.4"/><text x="{x:.0f}" y="{y + 4}" fill="{ink}" font-size="11" font-weight="700" '
        f'text-anchor="middle">{letter(mark.tactic)}</text></g>'
    )


def _legend(used: Sequence[str], top: int, width: int, words: Words) -> list[str]:
    room = (width - 12) / 4
    return [
        f'<text x="{6 + i % 4 * room:.0f}" y="{top + 18 * (i // 4)}" fill="currentColor" font-size="11">'
        f'<tspan font-weight="700">{letter(tactic)}</tspan> {escape(words.of("tactic", tactic))}</text>'
        for i, tactic in enumerate(used)
    ]
