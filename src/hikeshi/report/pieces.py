"""What a report is put together from: answers, sections, blocks and cells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """One value: `mono` for records, hashes and addresses; `refs` are footnote numbers;
    `mark` a severity or confidence key for the style; `terms` are start, end and id of the terms met here first."""

    text: str
    mono: bool = False
    refs: tuple[int, ...] = ()
    mark: str = ""
    terms: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a section; `kind` is heading, list, table, figure or empty. `widths` are a table's
    columns on paper, relative to each other; 0 is as wide as its longest value."""

    kind: str
    text: str = ""
    items: tuple[Cell, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    widths: tuple[int, ...] = ()
    svg: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the first answers; `tone` is urgent, plain or unknown."""

    question: str
    answer: str
    tone: str
    details: tuple[Cell, ...] = ()
    steps: bool = False
