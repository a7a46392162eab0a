"""The yearly technical report as a skeleton: figures of the desk's own cases, and places for the author's words.

The same data and the same day give the same bytes. A case counts by the day it was opened, a family by the day its
analysis ended, a way in by the day a person confirmed it; what came after `until` does not count. Not kept by day,
and therefore as it is now: a case's kind, merging, and what was withdrawn.

No number leaves as it is. One and two are "1–2", more is rounded to five, each number by itself, totals too: so
neither a number nor the difference of two shows a single case. No organisation, case number, host or address is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from django.utils import timezone

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.attribution import KINDS
from hikeshi_desk.analysis.models import Analysis, Sign
from hikeshi_desk.cases import rules
from hikeshi_desk.cases.models import Case, State

YEARS = 3  # the year and those before it
_FEW = 3
_STEP = 5
_MOST_FAMILIES = 30


@dataclass
class Figures:
    """Counts of one year, not rounded yet: they stay in this module."""

    cases: int = 0
    months: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)


def shown(count: int) -> str:
    """A number as it may leave the desk."""
    if not count:
        return "0"
    return "1–2" if count < _FEW else str(max(_STEP, round(count / _STEP) * _STEP))


def report(year: int, until: date, language: str) -> str:
    """The report as Markdown. `until`: the last day that counts, in the desk's zone."""
    end = datetime.combine(until, time.max, rules.calendar().zone)
    years = list(range(year - YEARS + 1, year + 1))
    figures = _figures(years, end)

    def say(key: str, **values: object) -> str:
        return text(f"yearly.{key}", language=language, **values)

    def table(head: str, rows: Iterable[tuple[str, Callable[[Figures], int]]]) -> list[str]:
        lines = [f"| {head} | " + " | ".join(map(str, years)) + " |", "|---|" + "---:|" * len(years)]
        return [*lines, *(f"| {name} | " + " | ".join(shown(of(figures[one])) for one in years) + " |"
                          for name, of in rows), ""]

    def ranked(what: Callable[[Figures], Counter[str]], name: Callable[[str], str],
               always: Sequence[str] = ()) -> list[tuple[str, Callable[[Figures], int]]]:
        """By how often in this year, as shown: rounding must not be undone by the order."""
        found = {one for single in figures.values() for one in what(single)} | set(always)
        order = sorted(found, key=lambda one: (-_shown_size(what(figures[year])[one]), name(one)))
        return [(name(one), lambda single, one=one: what(single)[one]) for one in order[:_MOST_FAMILIES]]

    place = [f"*{say('place')}*", ""]
    parts = [f"# {say('title', year=year)}", "", say("as_of", day=until.isoformat()), "",
             f"## 1. {say('summary')}", "", *place,
             f"## 2. {say('figures')}", "", *table(say("all"), [(say("consultations"), lambda one: one.cases)]),
             *table(say("kind"), ranked(lambda one: one.kinds, lambda code: _label("incident", code, language))),
             *table(say("month"), [(f"{month:02d}", lambda one, month=month: one.months[month])
                                   for month in range(1, 13)]),
             f"## 3. {say('ways')}", "", say("ways_note"), "",
             *table(say("way"), ranked(lambda one: one.ways, lambda kind: text(f"knowledge.way.{kind}",
                                                                              language=language), KINDS)), *place,
             f"## 4. {say('families')}", "", say("families_note"), "",
             *table(say("family"), ranked(lambda one: one.families, _plain)), *place,
             f"## 5. {say('helped')}", "", *place, f"## 6. {say('outlook')}", "", *place,
             f"## 7. {say('how')}", "", say("how_numbers"), "", say("how_day"), ""]
    return "\n".join(parts)


def _figures(years: Sequence[int], end: datetime) -> Mapping[int, Figures]:
    found = {year: Figures() for year in years}
    zone = rules.calendar().zone
    begin = datetime(years[0], 1, 1, tzinfo=zone)
    cases = Case.objects.exclude(state=State.MERGED).filter(opened_at__gte=begin, opened_at__lte=end)
    year_of: dict[object, int] = {}
    for one, opened, kind in cases.values_list("pk", "opened_at", "incident").iterator():
        local = timezone.localtime(opened, zone)
        if local.year in found:
            year_of[one] = local.year
            single = found[local.year]
            single.cases += 1
            single.months[local.month] += 1
            single.kinds[kind] += 1
    analysed = set()
    for one, ended, confirmed in Analysis.objects.values_list("case_id", "finished_at", "confirmed").iterator():
        if one not in year_of:
            continue
        if ended is not None and ended <= end:
            analysed.add(one)
        way = confirmed.get("way") or {}
        if way.get("kind") in KINDS and datetime.fromisoformat(way["at"]) <= end:
            found[year_of[one]].ways[way["kind"]] += 1
    for one, key in Sign.objects.filter(kind="family").values_list("case_id", "key").iterator():
        if one in analysed:
            found[year_of[one]].families[key.removeprefix("family:")] += 1
    return found


def _shown_size(count: int) -> int:
    return 1 if 0 < count < _FEW else max(_STEP, round(count / _STEP) * _STEP) if count else 0


def _label(area: str, code: str, language: str) -> str:
    key = f"cases.{area}.{code or 'none'}"
    try:
        return text(key, language=language)
    except KeyError:
        return _plain(code)


def _plain(name: str) -> str:
    """A name from data inside a Markdown table."""
    return "".join(sign for sign in name if sign.isprintable() and sign not in "|<>[]`\\*_#")

