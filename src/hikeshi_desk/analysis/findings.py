"""The page of all findings: filters that show their counts, leafed through fifty at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import QueryDict

from hikeshi.model.finding import SEVERITIES
from hikeshi.model.text import plain
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.models import Analysis
from hikeshi_desk.analysis.panel import Row, finding
from hikeshi_desk.analysis.run import read_rows

PAGE = 50
_MOST_CHOICES = 200


@dataclass(frozen=True)
class Choice:
    value: str
    label: str
    count: int
    is_chosen: bool


@dataclass(frozen=True)
class FindingsPage:
    rows: Sequence[Row]
    levels: Sequence[Choice]
    hosts: Sequence[Choice]
    files: Sequence[Choice]
    found: int
    in_all: int
    first: int
    last: int
    previous: str
    following: str
    is_filtered: bool


def build(row: Analysis, asked: Mapping[str, str]) -> FindingsPage:
    rows = read_rows(row.result)
    wanted = {name: asked.get(name, "") for name in ("level", "host", "file")}
    kept = [one for one in rows if _fits(one, wanted)]
    number = min(_number(asked.get("page", "")), max(1, -(-len(kept) // PAGE)))
    start = (number - 1) * PAGE
    shown = kept[start:start + PAGE]

    def address(page: int) -> str:
        query = QueryDict(mutable=True)
        query.update({**{name: value for name, value in wanted.items() if value}, "page": str(page)})
        return "?" + query.urlencode()

    levels = _counted(rows, wanted, "level")
    return FindingsPage(
        rows=[finding(one) for one in shown],
        levels=[Choice(level, text(f"analysis.level.{level}"), levels[level], level == wanted["level"])
                for level in SEVERITIES if levels[level] or level == wanted["level"]],
        hosts=_choices(_counted(rows, wanted, "host"), wanted["host"]),
        files=_choices(_counted(rows, wanted, "file"), wanted["file"]),
        found=len(kept), in_all=row.summary.get("counts", {}).get("findings", len(rows)),
        first=start + 1 if shown else 0, last=start + len(shown),
        previous=address(number - 1) if start else "",
        following=address(number + 1) if start + PAGE < len(kept) else "", is_filtered=any(wanted.values()))


def _values(one: Mapping[str, Any], name: str) -> list[str]:
    if name == "level":
        return [one["level"]]
    return one["hosts"] if name == "host" else list(dict.fromkeys(r["path"] for r in one["records"]))


def _fits(one: Mapping[str, Any], wanted: Mapping[str, str], besides: str = "") -> bool:
    return all(not value or name == besides or value in _values(one, name) for name, value in wanted.items())


def _counted(rows: Sequence[Mapping[str, Any]], wanted: Mapping[str, str], name: str) -> Counter[str]:
    """How many there would be for each value, under the other filters."""
    return Counter(value for one in rows if _fits(one, wanted, besides=name) for value in _values(one, name))


def _choices(counts: Counter[str], chosen: str) -> list[Choice]:
    names = [name for name, _ in counts.most_common(_MOST_CHOICES)]
    if chosen and chosen not in names:
        names.append(chosen)
    return [Choice(name, plain(name), counts[name], name == chosen) for name in sorted(names)]


def _number(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and 0 < len(given) < 7 and int(given) else 1
