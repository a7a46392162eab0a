"""Cases that nobody could name, grouped by what they share, under provisional names such as "UNK-2026-003".

Two cases join when they share two rare indicators, or one rare indicator and a rare technique or tool. Techniques
and tools alone never join: too many intruders work alike. What is common is left out: everyday techniques and
tools, private addresses, public resolvers, and whatever stands in many of the cases at hand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path

from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.text import Text

KINDS = ("indicator", "site", "technique", "tool")
CROWD = 20  # from so many cases on, what stands in more than a tenth of them is common too
_SHARE = 10
_NAME = re.compile(r"UNK-(\d{4})-(\d{3,})", re.ASCII)


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What is known of one case. `year` is that of its opening; techniques are ATT&CK ids, tools are names."""

    id: str
    year: int
    techniques: frozenset[str] = frozenset()
    indicators: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cluster:
    """`cases` are ids, sorted. `reasons` tell what joins them; `formerly` are names that went up in this one."""

    name: str
    cases: tuple[str, ...]
    reasons: tuple[Text, ...]
    formerly: tuple[str, ...] = ()


def cluster(cases: Iterable[CaseFacts], *, named: Mapping[str, Iterable[str]] | None = None
            ) -> tuple[Cluster, ...]:
    """Groups of two cases or more, by name. `named` are earlier names with their cases: a group keeps the oldest name
    that it holds a case of (the larger part keeps it where a group fell apart); a new one gets the next number of the
    year of its first case, and a number is never given twice."""
    ordered = sorted({one.id: one for one in cases}.values(), key=lambda c: (c.year, c.id))
    facts = _rare(ordered)
    groups = _groups(ordered, facts)
    names = _names(groups, {name: frozenset(ids) for name, ids in (named or {}).items()},
                   {c.id: c.year for c in ordered})
    return tuple(sorted(
        (Cluster(names[n][0], tuple(sorted(group)), _reasons([facts[i] for i in group]), names[n][1])
         for n, group in enumerate(groups)), key=lambda c: c.name))


@cache
def load_common(path: Path = DATA / "common.toml") -> dict[str, frozenset[str]]:
    """Values by kind: indicator, site (a host and what lies under it), technique and tool. Raises KnowledgeError."""
    found: dict[str, frozenset[str]] = {kind: frozenset() for kind in KINDS}
    for record in load_records(path, "common"):
        kind = record.string("kind")
        if kind not in KINDS:
            raise record.error(f"unknown kind '{kind}'", hint=f"one of {', '.join(KINDS)}")
        found[kind] |= frozenset(record.strings("values"))
        record.finish()
    return found


def is_common(indicator: str) -> bool:
    """Whether an indicator says nothing of who used it."""
    value = indicator.strip().casefold().rstrip(".")
    if value in load_common()["indicator"] or value in load_common()["site"] or len(value) < 4:
        return True
    try:
        return not ip_address(value.strip("[]")).is_global
    except ValueError:
        pass
    return "/" not in value and "@" not in value and any(value.endswith("." + site) for site in load_common()["site"])


@dataclass(frozen=True, slots=True)
class _Rare:
    indicators: frozenset[str]
    ways: frozenset[str]


def _rare(cases: Sequence[CaseFacts]) -> dict[str, _Rare]:
    found, common = {}, load_common()
    for case in cases:
        tools = {re.sub(r"[\W_]+", "", t.casefold().removesuffix(".exe")) for t in case.tools}
        found[case.id] = _Rare(
            frozenset(i.strip().casefold().rstrip(".") for i in case.indicators if not is_common(i)),
            frozenset({t.upper() for t in case.techniques} - common["technique"] | tools - common["tool"] - {""}))
    if len(cases) < CROWD:
        return found
    often = Counter(v for one in found.values() for v in (*one.indicators, *one.ways))
    crowd = {v for v, count in often.items() if count * _SHARE > len(cases)}
    return {one: _Rare(rare.indicators - crowd, rare.ways - crowd) for one, rare in found.items()}


def _joins(a: _Rare, b: _Rare) -> bool:
    shared = len(a.indicators & b.indicators)
    return shared >= 2 or (shared == 1 and bool(a.ways & b.ways))


def _groups(cases: Sequence[CaseFacts], facts: Mapping[str, _Rare]) -> list[list[str]]:
    """Ids that belong together, in the cases' order; only cases with a common indicator are compared."""
    with_it: dict[str, list[str]] = {}
    root = {case.id: case.id for case in cases}

    def top(one: str) -> str:
        while root[one] != one:
            root[one] = root[root[one]]
            one = root[one]
        return one

    for case in cases:
        near = {other for value in facts[case.id].indicators for other in with_it.get(value, ())}
        for other in sorted(near):
            if top(other) != top(case.id) and _joins(facts[case.id], facts[other]):
                root[top(case.id)] = top(other)
        for value in facts[case.id].indicators:
            with_it.setdefault(value, []).append(case.id)
    groups: dict[str, list[str]] = {}
    for case in cases:
        groups.setdefault(top(case.id), []).append(case.id)
    return [group for group in groups.values() if len(group) > 1]


def _names(groups: Sequence[Sequence[str]], named: Mapping[str, frozenset[str]], years: Mapping[str, int]
           ) -> list[tuple[str, tuple[str, ...]]]:
    """Name and former names of each group."""
    last: Counter[int] = Counter()
    for name in named:
        if (found := _NAME.fullmatch(name)) is not None:
            last[int(found[1])] = max(last[int(found[1])], int(found[2]))
    held: dict[int, list[str]] = {}
    for name in sorted(named):
        shares = [(len(named[name] & set(group)), -n) for n, group in enumerate(groups)]
        best, place = max(shares, default=(0, 0))
        if best:
            held.setdefault(-place, []).append(name)
    names = []
    for n, group in enumerate(groups):
        if n in held:
            names.append((held[n][0], tuple(held[n][1:])))
            continue
        year = min(years[one] for one in group)
        last[year] += 1
        names.append((f"UNK-{year:04}-{last[year]:03}", ()))
    return names


def _reasons(group: Sequence[_Rare]) -> tuple[Text, ...]:
    """What at least two of the group share, the most shared first; a few of each."""
    def most(sets: Iterable[frozenset[str]]) -> list[tuple[str, int]]:
        count = Counter(v for one in sets for v in one)
        return sorted(((v, n) for v, n in count.items() if n > 1), key=lambda item: (-item[1], item[0]))[:5]

    told = [Text(f"{n}件が同じ指標を持つ: {value}", f"{n} cases share the indicator {value}")
            for value, n in most(one.indicators for one in group)]
    told += [Text(f"{n}件が同じ手口または道具を使う: {value}", f"{n} cases share the technique or tool {value}")
             for value, n in most(one.ways for one in group)]
    return tuple(told)
