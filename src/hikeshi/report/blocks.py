"""Encrypted files as a picture: one bar a file, from its beginning to its end."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from hikeshi.model.case import EncryptedSample
from hikeshi.model.text import plain
from hikeshi.report.words import Words

LANE, LEFT, BAR, TOP, RIGHT = 30, 250, 576, 34, 14
ACCENT = "#3b4fa0"


def draw_blocks(samples: Sequence[EncryptedSample], words: Words) -> str:
    """An SVG with title, or "" where no file was looked at whole. Filled: encrypted; open: not; struck: unknown."""
    shown = [sample for sample in samples if sample.row]
    if not shown:
        return ""
    width, height = LEFT + BAR + RIGHT, TOP + LANE * len(shown) + 4
    parts = [*_legend(words)]
    for number, sample in enumerate(shown):
        parts += _bar(sample, TOP + LANE * number, words)
    title = escape(f"{words('section_encryption')}: {len(shown)}")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img" font-family="Noto Sans CJK JP, Hiragino Sans, BIZ UDPGothic, Noto Sans JP, sans-serif" '
            f'font-size="12"><title>{title}</title>{"".join(parts)}</svg>')


def _legend(words: Words) -> list[str]:
    parts, x = [], LEFT
    for letter, key in (("E", "block_encrypted"), ("P", "block_left"), ("?", "block_unknown")):
        label = words(key)
        parts += _cell(letter, x, 6, 14)
        parts.append(f'<text x="{x + 20}" y="17" fill="currentColor">{escape(label)}</text>')
        x += 36 + sum(12 if ord(sign) > 0x2E7F else 7 for sign in label)
    return parts


def _bar(sample: EncryptedSample, top: int, words: Words) -> list[str]:
    name = sample.path.replace("\\", "/").rpartition("/")[2]
    shown = plain(name) if len(name) <= 24 else plain(name[:11]) + "…" + plain(name[-12:])
    told = f"{words.of('pattern', sample.pattern)} {sample.share:.0%}"
    parts = [f'<text x="6" y="{top + 11}" fill="currentColor" font-weight="700">{escape(shown)}</text>'
             f'<text x="6" y="{top + 24}" fill="currentColor" font-size="10">{escape(told)}</text>']
    step, at = BAR / len(sample.row), 0
    while at < len(sample.row):
        end = at + 1
        while end < len(sample.row) and _look(sample.row[end]) == _look(sample.row[at]):
            end += 1
        parts += _cell(sample.row[at], LEFT + at * step, top + 3, (end - at) * step)
        at = end
    return parts


def _look(letter: str) -> str:
    return letter if letter in "E?" else "P"


def _cell(letter: str, x: float, y: int, width: float) -> list[str]:
    """A stretch of like blocks: told apart by fill and by line, not by colour alone."""
    fill = f'fill="{ACCENT}"' if letter == "E" else 'fill="none"'
    parts = [f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="14" {fill} stroke="currentColor" '
             f'stroke-width="0.7"/>']
    if letter == "?":
        parts.append(f'<line x1="{x:.1f}" y1="{y + 7}" x2="{x + width:.1f}" y2="{y + 7}" stroke="currentColor" '
                     f'stroke-dasharray="2 2"/>')
    return parts
