"""What a site decides about rules: placeholders, levels, exceptions. A TOML or YAML file, docs/hunting.md shows one.

Nothing vanishes: what is switched off or set aside is counted, with the reason that the file gives.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from hikeshi.detect.columns import Columns, View
from hikeshi.detect.compile import MULTI, SINGLE, CompiledRules, key_name
from hikeshi.detect.logsource import Place, load_log_sources
from hikeshi.detect.match import Match
from hikeshi.detect.patterns import Glob
from hikeshi.detect.place import Places
from hikeshi.detect.rules import LEVELS
from hikeshi.errors import Location, RuleError
from hikeshi.events.table import EventTable, Rows

OFF = "off"
_MAX_BYTES = 4 << 20
_ACCOUNTS = ("@user.name", "TargetUserName", "SubjectUserName", "User", "UserName", "AccountName")
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tuning:
    """A rule, by id or title, gets another level, or is switched off."""

    rule: str
    level: str
    reason: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """Hits that are expected: all conditions must hold. Texts may have * and ?, case doesn't matter."""

    rules: tuple[str, ...]              # ids or titles; empty for every rule
    hosts: tuple[str, ...]
    accounts: tuple[str, ...]
    fields: tuple[tuple[str, tuple[str, ...]], ...]
    reason: str
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """One site's file."""

    path: str = ""
    placeholders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tunings: tuple[Tuning, ...] = ()
    exceptions: tuple[Expected, ...] = ()


NO_SITE = Site()


@dataclass(slots=True)
class SiteUse:
    """What one entry of the file did. `problem`: why it did nothing (expired, fits no rule)."""

    what: str
    reason: str
    rules: int = 0
    hits: int = 0
    problem: str = ""


def load_site(path: Path) -> Site:
    """Read a site's file. Raises RuleError, with the entry that is wrong."""
    where = Location(str(path))
    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_BYTES:
            raise RuleError("larger than a site's file can be", source=where)
        # Only files that the user writes come here; SafeLoader makes data and nothing else.
        data = yaml.safe_load(raw) if path.suffix.lower() in (".yml", ".yaml") else tomllib.loads(raw.decode())
    except OSError as error:
        raise RuleError(f"the site's file can't be read: {error.strerror}", source=where) from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise RuleError(f"the site's file is no TOML or YAML: {' '.join(str(error).split())[:200]}",
                        source=where) from error
    try:
        return _site(data or {}, str(path))
    except ValueError as error:
        raise RuleError(str(error), source=where, hint="docs/hunting.md shows what may be in it") from error


def _site(data: Any, path: str) -> Site:
    _known(data, "the file", ("placeholders", "rules", "exceptions"))
    placeholders = data.get("placeholders") or {}
    if not isinstance(placeholders, dict):
        raise ValueError("placeholders: a table of names with their values")
    return Site(path, {str(k): _texts(v, f"placeholders.{k}") for k, v in placeholders.items()},
                tuple(_tuning(e, n) for n, e in enumerate(_entries(data, "rules"), 1)),
                tuple(_exception(e, n) for n, e in enumerate(_entries(data, "exceptions"), 1)))


def _entries(data: Mapping[str, Any], name: str) -> list[Any]:
    found = data.get(name) or []
    if not isinstance(found, list):
        raise ValueError(f"{name}: a list of entries")
    return found


def _tuning(entry: Any, number: int) -> Tuning:
    what = f"rules entry {number}"
    _known(entry, what, ("id", "title", "level", "reason", "until"))
    names = [str(entry[k]) for k in ("id", "title") if entry.get(k)]
    if len(names) != 1:
        raise ValueError(f"{what}: name the rule by id or by title")
    level = entry.get("level")
    if level is False:
        level = OFF                     # YAML reads a bare off as false
    if level not in (*LEVELS, OFF):
        raise ValueError(f"{what}: level is one of {', '.join((*LEVELS, OFF))}")
    return Tuning(names[0], level, _reason(entry, what), _until(entry, what))


def _exception(entry: Any, number: int) -> Expected:
    what = f"exceptions entry {number}"
    _known(entry, what, ("id", "title", "host", "account", "field", "reason", "until"))
    fields = entry.get("field") or {}
    if not isinstance(fields, dict):
        raise ValueError(f"{what}: field is a table of names with their values")
    found = Expected(
        (*_texts(entry.get("id"), what), *_texts(entry.get("title"), what)), _texts(entry.get("host"), what),
        _texts(entry.get("account"), what), tuple((str(k), _texts(v, what)) for k, v in fields.items()),
        _reason(entry, what), _until(entry, what))
    if not (found.hosts or found.accounts or found.fields):
        raise ValueError(f"{what}: name a host, an account or a field; a rule as a whole is switched off by its level")
    return found


def _known(entry: Any, what: str, names: Sequence[str]) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{what}: a table")
    for name in entry:
        if name not in names:
            raise ValueError(f"{what}: {str(name)[:40]!r} is not known here")


def _texts(value: Any, what: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    if any(isinstance(v, dict | list) or v is None or v == "" for v in values):
        raise ValueError(f"{what}: texts, not empty")
    return tuple(str(v) for v in values)


def _reason(entry: Mapping[str, Any], what: str) -> str:
    reason = entry.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"{what}: say a reason; it stands in the results")
    return " ".join(reason.split())


def _until(entry: Mapping[str, Any], what: str) -> date | None:
    value = entry.get("until")
    if isinstance(value, datetime):
        return value.date()
    if value is None or isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise ValueError(f"{what}: until is a date such as 2026-12-31") from error


def tuned(compiled: CompiledRules, site: Site, today: date) -> tuple[CompiledRules, list[SiteUse]]:
    """The rules with the site's levels, and what became of each entry of the file, tunings first."""
    rules = list(compiled.rules)
    uses: list[SiteUse] = []
    for one in site.tunings:
        use = SiteUse(f"{one.rule} → {one.level}", one.reason)
        uses.append(use)
        if one.until is not None and one.until < today:
            use.problem = f"expired on {one.until.isoformat()}"
            continue
        for number in _fitting(compiled, (one.rule,)):
            use.rules += 1
            rules[number] = replace(rules[number], level=one.level, tuned=one.reason,
                                    own_level=rules[number].own_level or rules[number].level)
        if not use.rules:
            use.problem = "no loaded rule has this id or title"
    for exception in site.exceptions:
        use = SiteUse(_described(exception), exception.reason)
        uses.append(use)
        if exception.until is not None and exception.until < today:
            use.problem = f"expired on {exception.until.isoformat()}"
            continue
        use.rules = len(_fitting(compiled, exception.rules)) if exception.rules else len(rules)
        if not use.rules:
            use.problem = "no loaded rule has this id or title"
    return replace(compiled, rules=rules), uses


def _fitting(compiled: CompiledRules, names: Iterable[str]) -> list[int]:
    wanted = {n.casefold() for n in names}
    return [n for n, info in enumerate(compiled.rules) if {info.id.casefold(), info.title.casefold()} & wanted]


def _described(one: Expected) -> str:
    parts = [*one.rules, *(f"host {h}" for h in one.hosts), *(f"account {a}" for a in one.accounts),
             *(f"{name} {v}" for name, values in one.fields for v in values)]
    return ", ".join(parts)


class Aside:
    """Takes the hits that a site expects out of matches, and counts them. One per child."""

    def __init__(self, compiled: CompiledRules, exceptions: Sequence[Expected], uses: Sequence[SiteUse]) -> None:
        """`uses` as `tuned` gave them, those of the exceptions only: one with a problem is not applied."""
        self._finder = FieldFinder(compiled)
        self._numbers = {id(info): n for n, info in enumerate(compiled.rules)}
        self._checks: list[tuple[int, frozenset[int] | None, Expected]] = []
        for index, (one, use) in enumerate(zip(exceptions, uses, strict=True)):
            if not use.problem:
                chosen = frozenset(_fitting(compiled, one.rules)) if one.rules else None
                self._checks.append((index, chosen, one))
        self._globs: dict[str, Callable[[str], bool]] = {}
        self.hits = [0] * len(exceptions)

    def __call__(self, table: EventTable, matches: Sequence[Match]) -> list[Match]:
        """The matches without the rows that are expected."""
        if not self._checks or not matches:
            return list(matches)
        columns = Columns(table)
        out: list[Match] = []
        for match in matches:
            number, rows = self._numbers[id(match.rule)], match.rows
            for index, chosen, one in self._checks:
                if len(rows) and (chosen is None or number in chosen):
                    expected = self._expected(columns, table, number, rows, one)
                    self.hits[index] += int(expected.sum())
                    rows = rows[~expected]
            if len(rows):
                out.append(match if len(rows) == len(match.rows) else replace(match, rows=rows))
        return out

    def finding(self, row: Mapping[str, Any], number: int) -> bool:
        """Is a correlation's finding expected? Its hosts must all be named, its fields be of its group."""
        for index, chosen, one in self._checks:
            if chosen is None or number not in chosen or one.accounts:
                continue
            if one.hosts and not (row["hosts"] and all(self._fits(one.hosts, h) for h in row["hosts"])):
                continue
            if all(self._fits(values, row["group"].get(name) or "") for name, values in one.fields):
                self.hits[index] += 1
                return True
        return False

    def _expected(self, columns: Columns, table: EventTable, number: int, rows: Rows, one: Expected) -> Mask:
        mask = np.ones(len(rows), dtype=np.bool_)
        if one.hosts:
            mask &= self._any(columns.view("@host.name"), rows, one.hosts)
        if one.accounts:
            found = np.zeros(len(rows), dtype=np.bool_)
            for name in _ACCOUNTS:
                found |= self._any(columns.view(name), rows, one.accounts, account=True)
            mask &= found
        for name, values in one.fields:
            found = np.zeros(len(rows), dtype=np.bool_)
            for view, mine in self._finder.views(columns, table, number, name, rows):
                found[mine] |= self._any(view, rows[mine], values)
            mask &= found
        return mask

    def _any(self, view: View | None, rows: Rows, wanted: Sequence[str], *, account: bool = False) -> Mask:
        if view is None:
            return np.zeros(len(rows), dtype=np.bool_)
        codes = view.dense[rows]
        used, where = np.unique(codes, return_inverse=True)
        texts = [view.values[c] if c >= 0 else None for c in used.tolist()]
        answers = [t is not None and (self._fits(wanted, t) or (account and self._fits(wanted, t.rpartition("\\")[2])))
                   for t in texts]
        mask: Mask = np.array(answers, dtype=np.bool_)[where]
        return mask

    def _fits(self, wanted: Sequence[str], value: str) -> bool:
        for text in wanted:
            check = self._globs.get(text)
            if check is None:
                check = self._globs[text] = _glob(text)
            if check(value):
                return True
        return False


def _glob(text: str) -> Callable[[str], bool]:
    folded = text.casefold()
    if "*" not in folded and "?" not in folded:
        return lambda value: value.casefold() == folded
    parts: list[Any] = []
    for char in folded:
        if char == "*":
            if parts[-1:] != [MULTI]:
                parts.append(MULTI)
        elif char == "?":
            parts.append(SINGLE)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += char
        else:
            parts.append(char)
    return (lambda value: True) if parts == [MULTI] else Glob(parts, cased=False, lines=False)


class FieldFinder:
    """Where a rule's field lies in the rows of a table, as in the rule's own log sources."""

    def __init__(self, compiled: CompiledRules) -> None:
        self._sources = load_log_sources()
        self._specs = [(tuple(channels), tuple(codes)) for channels, codes in compiled.program["specs"]]
        self._of_rule: dict[int, list[int]] = {}
        for rule, spec, *_ in compiled.program["variants"]:
            self._of_rule.setdefault(rule, []).append(spec)

    def views(self, columns: Columns, table: EventTable, rule: int, name: str, rows: Rows
              ) -> Iterable[tuple[View | None, Mask]]:
        """Each column that may hold the field, with the rows (of those given) whose log calls it so."""
        places = Places(columns, table.row_count, self._specs)
        for spec in self._of_rule.get(rule, ()):
            mine = places.rows_of(spec, rows)
            if mine.any():
                for key in self.keys(spec, name):
                    yield columns.view(key), mine

    def keys(self, spec: int, name: str) -> list[str]:
        """The columns a field may be in, in one log source."""
        found = [p for p in self._places() if (p.channels, p.codes) == self._specs[spec]]
        homes = [(p, home) for p in found or [Place(*self._specs[spec])] for home in p.homes(name)]
        return list(dict.fromkeys(key_name(self._sources, place, home) for place, home in homes))

    def _places(self) -> Iterable[Place]:
        for places in self._sources.categories.values():
            yield from places
        for _, place in self._sources.logs:
            yield place
