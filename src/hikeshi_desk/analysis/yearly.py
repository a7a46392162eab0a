"""The yearly technical report as a skeleton: figures of the desk's own cases, and places for the author's words.

The same data and the same day give the same bytes. A case counts by the day it was opened, a family by the day its
analysis ended, a way in by the day a person confirmed it last; what came after `until` does not count. Not kept by
day, and therefore as it is now: a case's kind, merging, and what was withdrawn.

No number leaves as it is. Fewer than five are "0–4", more is rounded to a multiple of five, each number by itself,
totals too. A family or a way in counts only from five cases of three known askers (elsewhere.py's rule), and a family
that never does has no row: being listed would tell. `until` is the end of a half-year, so that two reports a few days
apart can't be compared. No organisation's name, case number, host or address is written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from django.utils import timezone

from hikeshi_desk.accounts.texts import text
from hikeshi_desk.analysis.attribution import KINDS
from hikeshi_desk.analysis.elsewhere import FEWEST_CASES, FEWEST_ORGANISATIONS, organisation
from hikeshi_desk.analysis.models import Analysis, Sign
from hikeshi_desk.cases import rules
from hikeshi_desk.cases.choices import INCIDENTS
from hikeshi_desk.cases.models import Case, State

YEARS = 3  # the year and those before it
_STEP = 5
_MOST_FAMILIES = 30
_ENDS = ((6, 30), (12, 31))


@dataclass
class Figures:
    """Counts of one year, not rounded yet: they stay in this module. `askers`: who is behind each way and family."""

    cases: int = 0
    months: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    askers: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def count(self, what: Counter[str], name: str) -> int:
        """Of a family or a way in: 0 where too few askers are behind it."""
        return what[name] if len(self.askers[name] - {""}) >= FEWEST_ORGANISATIONS else 0


def shown(count: int) -> str:
    """A number as it may leave the desk."""
    return str(_size(count)) if count >= FEWEST_CASES else f"0–{FEWEST_CASES - 1}"


def is_end(day: date) -> bool:
    """Whether a report may be as of this day."""
    return (day.month, day.day) in _ENDS


def last_end(year: int, today: date) -> date:
    """The last end of a half-year that is over, at most the year's own; the year's first where none is."""
    ends = [date(year, *one) for one in _ENDS]
    return max([one for one in ends if one <= today], default=ends[0])


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

    def sized(what: Callable[[Figures], Counter[str]], names: Iterable[str],
              name: Callable[[str], str]) -> list[tuple[str, Callable[[Figures], int]]]:
        """By how often in this year, as shown: the order must not undo the rounding."""
        order = sorted(names, key=lambda one: (-_size(figures[year].count(what(figures[year]), one)), name(one)))
        return [(name(one), lambda single, one=one: single.count(what(single), one)) for one in order]

    listed = [one for one in {name for single in figures.values() for name in single.families}
              if any(_size(single.count(single.families, one)) for single in figures.values())]
    place = [f"*{say('place')}*", ""]
    parts = [f"# {say('title', year=year)}", "", say("as_of", day=until.isoformat()), "",
             f"## 1. {say('summary')}", "", *place,
             f"## 2. {say('figures')}", "", *table(say("all"), [(say("consultations"), lambda one: one.cases)]),
             *table(say("kind"), [(_label("incident", code, language), lambda one, code=code: one.kinds[code])
                                   for code in INCIDENTS]),
             *table(say("month"), [(f"{month:02d}", lambda one, month=month: one.months[month])
                                   for month in range(1, 13)]),
             f"## 3. {say('ways')}", "", say("ways_note"), "",
             *table(say("way"), sized(lambda one: one.ways, KINDS,
                                      lambda kind: text(f"knowledge.way.{kind}", language=language))), *place,
             f"## 4. {say('families')}", "", say("families_note"), "",
             *(table(say("family"), sized(lambda one: one.families, listed, _plain)[:_MOST_FAMILIES]) if listed
               else [say("no_family"), ""]), *place,
             f"## 5. {say('helped')}", "", *place, f"## 6. {say('outlook')}", "", *place,
             f"## 7. {say('how')}", "", say("how_numbers"), "", say("how_day"), ""]
    return "\n".join(parts)


def _figures(years: Sequence[int], end: datetime) -> Mapping[int, Figures]:
    found = {year: Figures() for year in years}
    zone = rules.calendar().zone
    begin = datetime(years[0], 1, 1, tzinfo=zone)
    cases = Case.objects.exclude(state=State.MERGED).filter(opened_at__gte=begin, opened_at__lte=end)
    of: dict[object, tuple[Figures, str]] = {}
    for one, opened, kind, asker, contact in cases.values_list(
            "pk", "opened_at", "incident", "organisation_id", "contact").iterator():
        local = timezone.localtime(opened, zone)
        if local.year in found:
            single = found[local.year]
            of[one] = single, organisation(asker, contact)
            single.cases += 1
            single.months[local.month] += 1
            single.kinds[kind] += 1
    analysed = set()
    for one, ended, confirmed in Analysis.objects.values_list("case_id", "finished_at", "confirmed").iterator():
        if one not in of:
            continue
        if ended is not None and ended <= end:
            analysed.add(one)
        way = confirmed.get("way") or {}
        if way.get("kind") in KINDS and datetime.fromisoformat(way["at"]) <= end:
            single, asker = of[one]
            single.ways[way["kind"]] += 1
            single.askers[way["kind"]].add(asker)
    for one, key in Sign.objects.filter(kind="family").values_list("case_id", "key").iterator():
        if one in analysed:
            single, asker = of[one]
            name = key.removeprefix("family:")
            single.families[name] += 1
            single.askers[name].add(asker)
    return found


def _size(count: int) -> int:
    return 0 if count < FEWEST_CASES else round(count / _STEP) * _STEP


def _label(area: str, code: str, language: str) -> str:
    key = f"cases.{area}.{code or 'none'}"
    try:
        return text(key, language=language)
    except KeyError:
        return _plain(code)


def _plain(name: str) -> str:
    """A name from data inside a Markdown table."""
    return "".join(sign for sign in name if sign.isprintable() and sign not in "|<>[]`\\*_#")

