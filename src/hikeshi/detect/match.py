"""Compiled rules against event tables: which rule fires on which rows.

For one table: every column that rules name is scanned once (its unique values, one automaton).
A rule is looked at only if each of its necessary texts occurs somewhere; then its condition is
worked out on the rows of its rarest text. What is expensive (wildcards, regular expressions,
networks) is asked last, once per unique value, of the few rows that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hikeshi.detect.columns import NEEDED, Columns, View
from hikeshi.detect.compile import END, KEYWORDS, START, WHOLE, CompiledRules
from hikeshi.detect.patterns import Compare, Glob, Networks, Numbers, Regex, Scanner
from hikeshi.detect.place import Places
from hikeshi.detect.rules import RuleInfo
from hikeshi.detect.timepart import TimePart
from hikeshi.events.table import EventTable, Rows

Mask = npt.NDArray[np.bool_]
Check = Callable[[str], bool]
# Atoms that a value is asked for by itself
_CHECKED = frozenset(("glob", "re", "cidr", "part", "cmp"))


@dataclass(frozen=True, slots=True)
class Match:
    """A rule and the rows of the table it fires on, ascending."""

    rule: RuleInfo
    rows: Rows


class Matcher:
    """Holds what is the same for all tables; one per process."""

    def __init__(self, compiled: CompiledRules) -> None:
        program = compiled.program
        self.rules = compiled.rules
        self.keys: list[str] = program["keys"]
        self.literals: list[list[Any]] = program["literals"]
        self.atoms: list[list[Any]] = program["atoms"]
        self.specs = [(frozenset(channels), frozenset(codes)) for channels, codes in program["specs"]]
        self.trees = [variant[2] for variant in program["variants"]]
        self.rule_of = np.array([variant[0] for variant in program["variants"]], dtype=np.int64)
        self.spec_of = np.array([variant[1] for variant in program["variants"]], dtype=np.int64)
        self._read_clauses([variant[3] for variant in program["variants"]])
        self._by_key: dict[int, list[tuple[int, int, str]]] = {}
        for number, (key, mode, text) in enumerate(self.literals):
            self._by_key.setdefault(key, []).append((number, mode, text))
        self._keyword_key = self.keys.index(KEYWORDS) if KEYWORDS in self.keys else -1
        self._scanners: dict[int, Scanner] = {}
        self._checks: dict[int, Check] = {}
        self.key_specs = self._specs_by_key()
        self.keyword_specs = frozenset(self.key_specs.get(self._keyword_key, ()))

    def _read_clauses(self, clauses_of: list[list[list[int]]]) -> None:
        """Clauses once each, as flat arrays for reduceat."""
        numbers: dict[tuple[int, ...], int] = {}
        owners: list[int] = []
        flat: list[int] = []
        for owner, clauses in enumerate(clauses_of):
            for clause in clauses:
                flat.append(numbers.setdefault(tuple(clause), len(numbers)))
                owners.append(owner)
        self.clauses = list(numbers)
        self.clause_literals = np.fromiter((n for c in self.clauses for n in c), np.int64)
        sizes = np.array([len(c) for c in self.clauses], dtype=np.int64)
        self.clause_starts = np.cumsum(sizes) - sizes
        self.link_owner = np.array(owners, dtype=np.int64)
        self.link_clause = np.array(flat, dtype=np.int64)
        self.first_link = np.searchsorted(self.link_owner, np.arange(len(clauses_of) + 1))

    def _specs_by_key(self) -> dict[int, list[int]]:
        """For each key the specs of rules that ask about it."""
        keys = [atom[1] for atom in self.atoms]
        pairs = {(int(spec), keys[atom]) for tree, spec in zip(self.trees, self.spec_of, strict=True)
                 for atom in _atoms_in(tree)}
        out: dict[int, list[int]] = {}
        for spec, key in sorted(pairs):
            out.setdefault(key, []).append(spec)
        return out

    def make_ready(self) -> None:
        """Build at once what is else built where it is first needed: for children that are forked later."""
        for key in self._by_key:
            self.scanner(key)
        for number, atom in enumerate(self.atoms):
            if atom[0] in _CHECKED:
                self.check(number)

    def scanner(self, key: int) -> Scanner | None:
        scanner = self._scanners.get(key)
        if scanner is None and key in self._by_key:
            scanner = self._scanners[key] = Scanner(self._by_key[key])
        return scanner

    def check(self, number: int) -> Check:
        """The per-value test of an atom."""
        check = self._checks.get(number)
        if check is None:
            kind, key, *rest = self.atoms[number]
            if kind == "glob":
                check = Glob(rest[0], cased=rest[1], lines=self.keys[key] == "Data")
            elif kind == "re":
                check = Regex(rest[0], *rest[2:])
            elif kind == "cidr":
                check = Networks(rest[0])
            elif kind == "part":
                check = TimePart(rest[0], rest[1], rest[2])
            else:
                check = Compare(rest[0], rest[1])
            self._checks[number] = check
        return check

    @property
    def fields(self) -> frozenset[str] | None:
        """Names of the fields that some rule reads; None where a keyword rule reads all."""
        return None if self._keyword_key >= 0 else read_names(self.keys)

    def match(self, table: EventTable) -> list[Match]:
        """The rules that fire, in rule order. Columns as `parse.evtx` fills them."""
        return _Run(self, table).matches() if table.row_count and self.trees else []


def read_names(keys: list[str]) -> frozenset[str]:
    """The fields and columns behind the keys."""
    out: set[str] = set()
    for key in keys:
        if key[0] == "@":
            out.add(key[1:])
        elif key[0] == "?":
            out.update(key[1:].split("@"))
        elif key[0] == "=":
            out.update(NEEDED[key[1:]])
        else:
            out.add(key)
    return frozenset(out)


def _atoms_in(tree: Any) -> set[int]:
    out: set[int] = set()
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if part.__class__ is int:
            out.add(part)
        else:
            waiting += part[1:]
    return out


class _Run:
    """One table."""

    def __init__(self, matcher: Matcher, table: EventTable) -> None:
        self.matcher = matcher
        self.columns = Columns(table)
        self.row_count = table.row_count
        self.hits: dict[int, Numbers] = {}                 # literal -> values of its column
        self.keyword_hits: list[tuple[View, dict[int, Numbers]]] = []
        self.literal_rows = np.zeros(len(matcher.literals), dtype=np.int64)
        self.masks: dict[int, Mask | None] = {}
        self.verdicts: dict[int, npt.NDArray[np.int8]] = {}     # 1 holds, -1 does not, 0 not asked yet
        self.clause_rows: dict[int, Rows] = {}
        self._places()

    def _places(self) -> None:
        """Which combination of channel and event id each row is, and which places those are."""
        places = Places(self.columns, self.row_count, self.matcher.specs)
        self.place, self.place_is = places.of_row, places.fits
        sizes = np.bincount(self.place, minlength=self.place_is.shape[1])
        self.spec_rows = self.place_is @ sizes

    def matches(self) -> list[Match]:
        matcher = self.matcher
        present = self.spec_rows[matcher.spec_of] > 0
        if not present.any():
            return []
        self._scan_columns()
        self._scan_keywords()
        clause_rows = (np.add.reduceat(self.literal_rows[matcher.clause_literals], matcher.clause_starts)
                       if matcher.clauses else np.empty(0, dtype=np.int64))
        possible = present.copy()
        if len(matcher.link_clause):
            failed = matcher.link_owner[clause_rows[matcher.link_clause] == 0]
            possible[failed] = False
        found: dict[int, list[Rows]] = {}
        for variant in np.flatnonzero(possible).tolist():
            rows = self._variant(variant, clause_rows)
            if len(rows):
                found.setdefault(int(matcher.rule_of[variant]), []).append(rows)
        return [Match(matcher.rules[rule], parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts)))
                for rule, parts in sorted(found.items())]

    # Scanning -----------------------------------------------------------------------------

    def _scan_columns(self) -> None:
        matcher = self.matcher
        for key, name in enumerate(matcher.keys):
            if name == KEYWORDS or key not in matcher._by_key:
                continue
            view = self.columns.view(name)
            scanner = matcher.scanner(key) if view is not None else None
            if view is not None and scanner is not None:
                self._scan(scanner, view, matcher.key_specs.get(key, ()), self.hits)

    def _scan(self, scanner: Scanner, view: View, specs: Sequence[int], hits: dict[int, Numbers]) -> None:
        """Look for literals in the values of rows that some rule speaks of."""
        wanted: Mask = np.any(self.place_is[[s for s in specs if self.spec_rows[s]]], axis=0)
        if not wanted.any():
            return
        used = view.used(wanted[self.place if view.rows is None else self.place[view.rows]])
        if used is not None and not len(used):
            return
        literals, values = scanner.find(view.values if used is None else view.texts(used))
        if not len(literals):
            return
        if used is not None:
            values = used[values]
        starts = np.flatnonzero(np.concatenate(([True], literals[1:] != literals[:-1])))
        numbers = literals[starts]
        self.literal_rows[numbers] += np.add.reduceat(view.counts[values], starts)
        hits.update(zip(numbers.tolist(), np.split(values, starts[1:]), strict=True))

    def _scan_keywords(self) -> None:
        """Keywords in every field, but only in the values of rows where a keyword rule applies."""
        matcher = self.matcher
        specs = [s for s in matcher.keyword_specs if self.spec_rows[s]]
        scanner = matcher.scanner(matcher._keyword_key) if specs else None
        if scanner is None:
            return
        for view in self.columns.payload():
            hits: dict[int, Numbers] = {}
            self._scan(scanner, view, specs, hits)
            if hits:
                self.keyword_hits.append((view, hits))

    # One rule in one place ------------------------------------------------------------------

    def _variant(self, variant: int, clause_rows: Numbers) -> Rows:
        matcher = self.matcher
        spec = matcher.spec_of[variant]
        clauses = matcher.link_clause[matcher.first_link[variant]:matcher.first_link[variant + 1]]
        best = int(clauses[np.argmin(clause_rows[clauses])]) if len(clauses) else -1
        if best >= 0 and clause_rows[best] <= self.spec_rows[spec]:
            rows = self._rows_of_clause(best)
            rows = rows[self.place_is[spec][self.place[rows]]]
        else:
            rows = np.flatnonzero(self.place_is[spec][self.place]).astype(np.int32)
        return rows[self._holds(matcher.trees[variant], rows)] if len(rows) else rows

    def _rows_of_clause(self, number: int) -> Rows:
        rows = self.clause_rows.get(number)
        if rows is None:
            parts: list[Rows] = []
            by_key: dict[int, list[Numbers]] = {}
            for literal in self.matcher.clauses[number]:
                if literal in self.hits:
                    by_key.setdefault(self.matcher.literals[literal][0], []).append(self.hits[literal])
                for view, hits in self.keyword_hits:
                    if literal in hits:
                        parts.append(view.rows_where(_mask(view, [hits[literal]])))
            for key, values in by_key.items():
                column = self.columns.view(self.matcher.keys[key])
                assert column is not None           # it had hits
                parts.append(column.rows_where(_mask(column, values)))
            rows = parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))
            self.clause_rows[number] = rows
        return rows

    # Boolean algebra over rows ----------------------------------------------------------------

    def _holds(self, tree: Any, rows: Rows) -> Mask:
        """For each of the rows, whether the expression holds."""
        if tree.__class__ is int:
            return self._atom(tree, rows)
        kind, *parts = tree
        if kind == "!":
            return ~self._holds(parts[0], rows)
        wanted = kind == "&"                 # rows that are still undecided: true for and, false for or
        result = self._holds(parts[0], rows)
        for part in parts[1:]:
            open_rows = np.flatnonzero(result == wanted)
            if not len(open_rows):
                break
            result[open_rows] = self._holds(part, rows if len(open_rows) == len(rows) else rows[open_rows])
        return result

    def _atom(self, number: int, rows: Rows) -> Mask:
        kind, key, *rest = self.matcher.atoms[number]
        name = self.matcher.keys[key]
        if name == KEYWORDS:
            return self._keyword_atom(number, rows)
        view = self.columns.view(name)
        if view is None:
            return np.full(len(rows), kind in ("null", "absent"), np.bool_)
        codes = view.dense[rows]
        if kind in ("has", "absent"):
            return codes >= 0 if kind == "has" else codes < 0
        if kind in ("null", "filled"):
            # Windows writes an empty text where there is nothing to say: as good as no value.
            nothing: Mask = (codes < 0) | (codes == view.empty)
            return nothing if kind == "null" else ~nothing
        if kind == "any":
            mask = self._literal_mask(number, view, rest[0], self.hits)
            return np.zeros(len(rows), np.bool_) if mask is None else mask[codes]
        if kind == "ref":
            return self._reference(view, codes, rest, rows)
        prefilter = [rest[2]] if kind == "glob" and rest[2] >= 0 else rest[1] if kind == "re" else []
        return self._checked(number, number, view, codes, prefilter, self.hits)

    def _literal_mask(self, slot: int, view: View, literals: list[int], hits: dict[int, Numbers]) -> Mask | None:
        if slot not in self.masks:
            values = [hits[n] for n in literals if n in hits]
            self.masks[slot] = _mask(view, values) if values else None
        return self.masks[slot]

    def _checked(self, number: int, slot: int, view: View, codes: npt.NDArray[np.int32], prefilter: list[int],
                 hits: dict[int, Numbers]) -> Mask:
        """Values that the prefilter lets through, then asked one by one; each value once."""
        if prefilter:
            mask = self._literal_mask(slot, view, prefilter, hits)
            if mask is None:
                return np.zeros(len(codes), np.bool_)
            result = mask[codes]
        else:
            result = codes >= 0
        verdicts = self.verdicts.get(slot)
        if verdicts is None:
            verdicts = self.verdicts[slot] = np.zeros(len(view.values) + 1, dtype=np.int8)
        asked = codes[result]
        unknown = np.unique(asked[verdicts[asked] == 0])
        if len(unknown):
            check = self.matcher.check(number)
            verdicts[unknown] = [1 if check(text) else -1 for text in view.texts(unknown)]
        result[result] = verdicts[asked] > 0
        return result

    def _keyword_atom(self, number: int, rows: Rows) -> Mask:
        kind, _, *rest = self.matcher.atoms[number]
        result = np.zeros(len(rows), np.bool_)
        literals = rest[0] if kind == "any" else [rest[2]] if kind == "glob" and rest[2] >= 0 else \
            rest[1] if kind == "re" else []
        if literals or kind == "any":
            for index, (view, hits) in enumerate(self.keyword_hits):
                slot = -1 - (number * len(self.keyword_hits) + index)
                if kind == "any":
                    mask = self._literal_mask(slot, view, literals, hits)
                    if mask is not None:
                        result |= mask[view.dense[rows]]
                else:
                    result |= self._checked(number, slot, view, view.dense[rows], literals, hits)
            return result
        for index, view in enumerate(self.columns.payload()):
            codes = view.dense[rows]
            if kind == "filled":
                result |= (codes >= 0) & (codes != view.empty)
            else:
                slot = -(1 << 40) - (number * 100_000 + index)
                result |= self._checked(number, slot, view, codes, [], {})
        return result

    def _reference(self, view: View, codes: npt.NDArray[np.int32], rest: list[Any], rows: Rows) -> Mask:
        other = self.columns.view(self.matcher.keys[rest[0]])
        result = np.zeros(len(rows), np.bool_)
        if other is None:
            return result
        theirs = other.dense[rows]
        mode = rest[1]
        for index, (mine, their) in enumerate(zip(codes.tolist(), theirs.tolist(), strict=True)):
            if mine >= 0 and their >= 0:
                a, b = view.values[mine].casefold(), other.values[their].casefold()
                result[index] = (a == b if mode == WHOLE else a.startswith(b) if mode == START
                                 else a.endswith(b) if mode == END else b in a)
        return result


def _mask(view: View, values: list[Numbers]) -> Mask:
    """One bool per unique value, and False at the end for null."""
    mask = np.zeros(len(view.values) + 1, dtype=np.bool_)
    for numbers in values:
        mask[numbers] = True
    return mask
