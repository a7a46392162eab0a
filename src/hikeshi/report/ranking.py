"""Machines and accounts by their weight among all logons: two columns of bars, held ones filled."""

from __future__ import annotations

from html import escape

from hikeshi.model.case import Rank, Story
from hikeshi.model.text import plain
from hikeshi.report.words import Words

ROW, TOP, WIDTH, NAMES, BARS = 24, 44, 760, 130, 130
SHOWN = 10
ACCENT = "#3b4fa0"


def draw_ranking(story: Story, words: Words) -> str:
    """An SVG with title, or "" where there were no logons."""
    sides = [[r for r in story.ranking if r.kind == kind][:SHOWN] for kind in ("host", "account")]
    if not any(sides):
        return ""
    height = TOP + ROW * max(map(len, sides)) + 8
    parts = []
    for side, (ranks, head) in enumerate(zip(sides, ("hosts_short", "accounts_short"), strict=True)):
        left = 8 + side * (WIDTH // 2)
        parts.append(f'<text x="{left}" y="20" fill="currentColor" font-weight="700">{escape(words(head))}</text>')
        most = max((r.score for r in ranks), default=1.0) or 1.0
        parts += [_bar(r, left, TOP + ROW * i, r.score / most, words) for i, r in enumerate(ranks)]
    title = escape(words("caption_ranking"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" font-family="Noto Sans CJK JP, Hiragino Sans, BIZ UDPGothic, Noto Sans JP, sans-serif" '
        f'font-size="12"><title>{title}</title>{"".join(parts)}</svg>'
    )


def _bar(rank: Rank, left: int, top: int, share: float, words: Words) -> str:
    shown = plain(rank.name) if len(rank.name) <= 16 else plain(rank.name[:15]) + "…"
    long = max(BARS * share, 2)
    fill = ACCENT if rank.held else "none"
    said = f"{rank.name}: {rank.score:.1%}, {words.text(rank.says)}"
    held = f" · {words('compromised')}" if rank.held else ""
    return (
        f"<g><title>{escape(plain(said))}</title>"
        f'<text x="{left}" y="{top + 12}" fill="currentColor">{escape(shown)}</text>'
        f'<rect x="{left + NAMES}" y="{top + 2}" width="{long:.0f}" height="12" fill="{fill}" stroke="{ACCENT}"/>'
        f'<text x="{left + NAMES + long + 6:.0f}" y="{top + 12}" fill="currentColor" font-size="10">'
        f"{rank.score:.1%}{escape(held)}</text></g>"
    )
