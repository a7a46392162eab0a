"""Rules as plain data: which texts to look for in which column, and how to combine the answers.

A rule becomes one expression for each place its log source has in Windows logs:

    n                    an atom by number
    ["&", …] ["|", …]    all, any
    ["!", x]             not

and an atom one of

    ["any", key, [literal…]]              one of these literals occurs
    ["glob", key, parts, cased, literal]  text with wildcards inside; the literal is its prefilter, or -1
    ["re", key, pattern, [literal…], {text: count}, {characters: count}, least length, most or null]
    ["cidr", key, [network…]]  ["cmp", key, operator, number]
    ["null", key]  ["filled", key]        no value or an empty one; the opposite
    ["absent", key]  ["has", key]         what `exists` asks
    ["ref", key, other key, mode, cased]
    ["part", key, unit, operator, number] hour, day, … of a time

A literal is [key, mode, folded text]; mode: 0 anywhere, 1 at the start, 2 at the end, 3 the whole value.
A key names a column, see `columns.Columns`. All of it is JSON: the cache holds no code.

`correlations` are worked out after the rules, see `plan.py`; `quiet` are the rules that only they want.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from hikeshi.detect import regex
from hikeshi.detect.logsource import LogSources, Place, load_log_sources
from hikeshi.detect.plan import Base, make_plan
from hikeshi.detect.rules import ParsedRule, RuleInfo, RuleSet
from hikeshi.errors import Location, RuleError
from hikeshi.events.schema import NAMES
from hikeshi.knowledge import cache as cache_files

# Part of the cache key, with the text of the modules below: a cache is never older than the code.
ENGINE_VERSION = 1
_COMPILER = ("compile.py", "regex.py", "rules.py", "logsource.py", "logsource.toml", "correlation.py", "dialect.py",
             "plan.py", "logs.toml")

ANYWHERE, START, END, WHOLE = range(4)
KEYWORDS = "*"
_COST = {"any": 0, "has": 0, "absent": 0, "null": 0, "filled": 0, "glob": 10, "ref": 12, "cmp": 12, "cidr": 12,
         "re": 20, "part": 12}
MULTI, SINGLE = 1, 2                 # wildcards in the parts of a glob
_PREFIXES = ("@", "?", "=")          # of keys that are no plain field, see columns.py
EVENT_TIME = "=event_time"           # the record's own time, to the minute, UTC
TIME_FIELDS = frozenset(("TimeCreated", "SystemTime", "EventTime", "@timestamp", "timestamp", "_time"))


@dataclass(frozen=True, slots=True)
class Skipped:
    """A rule that is not applied, and why."""

    rule_id: str
    title: str
    path: str
    reason: str
    logsource: str = ""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A filter, and how many rules it narrows."""

    rule_id: str
    title: str
    path: str
    rules: int


@dataclass(slots=True)
class CompiledRules:
    """The applicable rules as plain data, and what became of the others."""

    loaded: int
    applicable: int
    skipped: list[Skipped]
    errors: list[RuleError]
    rules: list[RuleInfo]
    program: dict[str, Any]
    digest: str
    from_cache: bool = False
    keys: frozenset[str] = field(default_factory=frozenset)
    filters: list[Narrowed] = field(default_factory=list)

    @property
    def correlations(self) -> list[dict[str, Any]]:
        """What is worked out over the hits of all files, see `plan.Plan`."""
        found: list[dict[str, Any]] = self.program.get("correlations", [])
        return found

    @property
    def reads_texts(self) -> bool:
        """Does some rule speak of logs other than Windows event logs?"""
        return any(c[:1] == "#" for channels, _ in self.program["specs"] for c in channels)

    @property
    def quiet(self) -> frozenset[int]:
        """Numbers of the rules whose own hits nobody asked for: only correlations count them."""
        return frozenset(self.program.get("quiet", ()))

    def to_plain(self) -> dict[str, Any]:
        return {
            "loaded": self.loaded, "applicable": self.applicable, "digest": self.digest,
            "skipped": [_plain(s) for s in self.skipped],
            "errors": [[e.what, e.source.path if e.source else "", e.source.line if e.source else None, e.hint]
                       for e in self.errors],
            "rules": [_plain(r) for r in self.rules], "program": self.program,
            "filters": [_plain(f) for f in self.filters],
        }


def _plain(record: Any) -> dict[str, Any]:
    """Fields by name: these records hold plain values, nothing to copy deeply."""
    return {f.name: getattr(record, f.name) for f in fields(record)}


def from_plain(data: Mapping[str, Any], *, from_cache: bool = False) -> CompiledRules:
    rules = [_rule_info(r) for r in data["rules"]]
    errors = [RuleError(what, source=Location(path, line=line) if path else None, hint=hint)
              for what, path, line, hint in data["errors"]]
    return CompiledRules(data["loaded"], data["applicable"], [Skipped(**s) for s in data["skipped"]], errors, rules,
                         data["program"], data["digest"], from_cache, frozenset(data["program"]["keys"]),
                         [Narrowed(**f) for f in data["filters"]])


def _rule_info(data: Mapping[str, Any]) -> RuleInfo:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
    return RuleInfo(**values)


def compile_rules(ruleset: RuleSet, *, cache: Path | None = None,
                  placeholders: Mapping[str, Sequence[str]] | None = None) -> CompiledRules:
    """All rules of the set, compiled; from the cache where the same set was compiled before.

    cache: a folder for compiled sets, or None for no cache. A cache that is missing, damaged,
    writable for others or not writable for us changes nothing but the time.
    placeholders: values for `expand` modifiers; without them such rules are not applicable.
    """
    sources = load_log_sources()
    digest = _digest(ruleset, placeholders or {})
    if cache is not None:
        stored = cache_files.read(cache, digest)
        if stored is not None:
            try:
                return from_plain(stored, from_cache=True)
            except (KeyError, TypeError, ValueError, AttributeError):
                pass                # an older or foreign layout: compile anew and overwrite
    compiled = _compile(ruleset, sources, placeholders or {}, digest)
    if cache is not None:
        cache_files.write(cache, digest, compiled.to_plain())
    return compiled


def _digest(ruleset: RuleSet, placeholders: Mapping[str, Sequence[str]]) -> str:
    total = hashlib.sha256(f"{ENGINE_VERSION}\n{ruleset.digest}\n".encode())
    for name in _COMPILER:
        total.update(resources.files("hikeshi.detect").joinpath(name).read_bytes())
    total.update(repr(sorted((k, tuple(v)) for k, v in placeholders.items())).encode("utf-8", "replace"))
    for error in ruleset.errors:
        total.update(str(error).encode("utf-8", "replace"))
    return total.hexdigest()


def _compile(ruleset: RuleSet, sources: LogSources, placeholders: Mapping[str, Sequence[str]],
             digest: str) -> CompiledRules:
    program = Program(sources, placeholders)
    skipped: list[Skipped] = []
    known: dict[str, str] = {}
    base: list[Base] = []
    waiting: list[ParsedRule] = []
    loaded = 0
    for parsed in ruleset.parse():
        loaded += not parsed.inner
        info, problem = parsed.info, parsed.problem
        if problem is None and info.id and known.get(info.id, info.path) != info.path:
            problem = f"the same id as {known[info.id]}"
        if problem is None and parsed.correlation is not None:
            known[info.id] = info.path
            waiting.append(parsed)
            continue
        if problem is None:
            problem = program.add(parsed, len(base))
        if problem is None:
            if not parsed.inner:
                known[info.id] = info.path
            base.append(Base(info, parsed.names[:1] if parsed.inner else parsed.names, parsed.inner))
        elif parsed.inner:      # its aggregation carries the reason
            program.refused[parsed.names[0]] = problem
        else:
            skipped.append(Skipped(info.id, info.title, info.path, problem, info.logsource))
            program.refused.update(dict.fromkeys(parsed.names, problem))
    plan = make_plan(base, waiting, program.field_keys, program.refused)
    program.correlations, program.wanted, program.quiet = plan.correlations, plan.wanted, sorted(plan.quiet)
    skipped += [Skipped(p.info.id, p.info.title, p.info.path, reason, p.info.logsource) for p, reason in plan.reasons]
    rules = [*(b.info for b in base), *plan.infos]
    for one in ruleset.filters:
        if one.problem is not None or not one.narrowed:
            loaded += 1
            skipped.append(Skipped(one.info.id, one.info.title, one.info.path,
                                   one.problem or "a filter that fits no loaded rule", one.info.logsource))
    narrowed = [Narrowed(f.info.id, f.info.title, f.info.path, f.narrowed)
                for f in ruleset.filters if f.problem is None and f.narrowed]
    program.inner = [n for n, b in enumerate(base) if b.inner]
    applicable = sum(not b.inner for b in base) + len(plan.infos)
    return CompiledRules(loaded, applicable, skipped, list(ruleset.errors), rules, program.to_plain(), digest,
                         keys=frozenset(program.keys), filters=narrowed)


class Unsupported(Exception):
    """Why a rule can't be applied; becomes a Skipped entry."""


class Program:
    """Collects atoms, literals and places, each once."""

    def __init__(self, sources: LogSources, placeholders: Mapping[str, Sequence[str]]) -> None:
        self.sources = sources
        self.placeholders = placeholders
        self.keys: dict[str, int] = {}
        self.literals: dict[tuple[int, int, str], int] = {}
        self.atoms: dict[str, int] = {}
        self.atom_list: list[list[Any]] = []
        self.specs: dict[tuple[tuple[str, ...], tuple[str, ...]], int] = {}
        self.variants: list[list[Any]] = []
        self.literal_list: list[tuple[int, int, str]] = []
        self.correlations: list[dict[str, Any]] = []
        self.wanted: dict[str, dict[str, list[list[int]]]] = {}
        self.quiet: list[int] = []
        self.inner: list[int] = []                              # the events behind aggregations
        self.refused: dict[str, str] = {}                       # name of a rule -> why it is not applicable
        self._places_of: list[list[tuple[int, Place]]] = []    # by rule

    def to_plain(self) -> dict[str, Any]:
        return {"keys": list(self.keys), "literals": [list(x) for x in self.literal_list], "atoms": self.atom_list,
                "specs": [[list(channels), list(codes)] for channels, codes in self.specs],
                "variants": self.variants, "correlations": self.correlations, "wanted": self.wanted,
                "quiet": self.quiet, "inner": self.inner}

    def binder(self, place: Place) -> _Binder:
        """Translates conditions for one place."""
        return _Binder(self, place)

    def field_keys(self, number: int, name: str) -> list[list[int]]:
        """Where a rule's field lies: [spec, key] for each place of the rule."""
        return [[spec, binder.column(home)] for spec, place in self._places_of[number]
                for binder in (_Binder(self, place),) for home in place.homes(name)]

    def add(self, parsed: ParsedRule, number: int) -> str | None:
        """Compile one rule; gives the reason if it is not applicable."""
        from sigma.exceptions import SigmaError

        rule = parsed.rule
        source = rule.logsource
        places = self.sources.resolve(source.product, source.category, source.service)
        if isinstance(places, str):
            if not parsed.any_log or (source.product or "windows").lower() != "windows":
                return places
            places = [Place(())]            # Hayabusa's rules name their channel among their selections
        try:
            trees = [condition.parsed for condition in rule.detection.parsed_condition]
            if not trees or any(tree is None for tree in trees):
                return "not a valid rule: an empty condition"
            variants = []
            homes: list[tuple[int, Place]] = []
            for place in places:
                binder = _Binder(self, place)
                tree = self.either([binder.tree(t) for t in trees])
                for name, texts in place.require.items():
                    tree = self.both([binder.literals(self.key(name), [
                        (START, t[:-1]) if t[-1:] == "*" else (WHOLE, t) for t in texts]), tree])
                spec = self.specs.setdefault((place.channels, place.codes), len(self.specs))
                variants.append([number, spec, tree, self.clauses(tree)])
                homes.append((spec, place))
        except Unsupported as reason:
            return str(reason)
        except (SigmaError, RecursionError) as error:
            return f"not a valid rule: {' '.join(str(error).split())[:300] or type(error).__name__}"
        self.variants.extend(variants)
        self._places_of.append(homes)
        return None

    # Interning ------------------------------------------------------------------------

    def key(self, name: str) -> int:
        return self.keys.setdefault(name, len(self.keys))

    def is_keywords(self, key: int) -> bool:
        return self.keys.get(KEYWORDS) == key

    def literal(self, key: int, mode: int, folded: str) -> int:
        entry = (key, mode, folded)
        number = self.literals.get(entry)
        if number is None:
            number = self.literals[entry] = len(self.literal_list)
            self.literal_list.append(entry)
        return number

    def atom(self, data: list[Any]) -> int:
        name = repr(data)
        number = self.atoms.get(name)
        if number is None:
            number = self.atoms[name] = len(self.atom_list)
            self.atom_list.append(data)
        return number

    # Combining: what is quick to answer stands first -----------------------------------------

    def both(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else ["&", *sorted(parts, key=self._cost)]

    def either(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else ["|", *sorted(parts, key=self._cost)]

    def _cost(self, tree: Any) -> int:
        if isinstance(tree, int):
            return _COST[self.atom_list[tree][0]]
        return 1 + max(self._cost(part) for part in tree[1:])

    # Necessary conditions ---------------------------------------------------------------

    def clauses(self, tree: Any) -> list[list[int]]:
        """Sets of literals; a row can only match if of each set one literal occurs."""
        if isinstance(tree, int):
            atom = self.atom_list[tree]
            if atom[0] == "any":
                return [atom[2]]
            if atom[0] == "glob":
                return [[atom[4]]] if atom[4] >= 0 else []
            if atom[0] == "re":
                return [atom[3]] if atom[3] else []
            return []
        kind, *parts = tree
        if kind == "&":
            return [clause for part in parts for clause in self.clauses(part)]
        if kind == "|":
            each = [self.clauses(part) for part in parts]
            if all(each):
                best = [max(clauses, key=self._rarity) for clauses in each]
                return [sorted({literal for clause in best for literal in clause})]
        return []

    def _rarity(self, clause: list[int]) -> tuple[int, int]:
        return (min(len(self.literal_list[n][2]) for n in clause), -len(clause))


def key_name(sources: LogSources, place: Place, own: str) -> str:
    """The key of a record's field in one place, see columns.py."""
    if own[:1] in _PREFIXES:
        return own
    if own in TIME_FIELDS:
        return EVENT_TIME
    if not place.windows:
        return f"?{own}@{own}" if own in NAMES else own
    if own in sources.system:
        return f"@{sources.system[own]}"
    if own in sources.payload_first:
        return f"?{own}@{sources.payload_first[own]}"
    return own


class _Binder:
    """Translates one rule's condition for one place."""

    def __init__(self, program: Program, place: Place) -> None:
        self.program = program
        self.place = place

    def key(self, name: str) -> int:
        """The column of a rule's field in this place; the best one where several may hold it."""
        return self.column(self.place.homes(name)[0])

    def column(self, own: str) -> int:
        """The column of a record's field."""
        return self.program.key(key_name(self.program.sources, self.place, own))

    def tree(self, item: Any) -> Any:
        from sigma import conditions as c

        if isinstance(item, c.ConditionAND):
            return self.program.both([self.tree(a) for a in item.args])
        if isinstance(item, c.ConditionOR):
            return self.merged([self.tree(a) for a in item.args])
        if isinstance(item, c.ConditionNOT):
            return ["!", self.tree(item.args[0])]
        if isinstance(item, c.ConditionFieldEqualsValueExpression):
            return self.value(item.field, item.value)
        if isinstance(item, c.ConditionValueExpression):
            return self.value(None, item.value)
        raise Unsupported(f"condition of an unknown kind ({type(item).__name__})")

    def merged(self, parts: list[Any]) -> Any:
        """An OR whose literals of one column are one atom: the usual list of values."""
        groups: dict[int, list[int]] = {}
        networks: dict[int, list[str]] = {}
        rest: list[Any] = []
        for part in parts:
            for piece in part[1:] if isinstance(part, list) and part[0] == "|" else [part]:
                atom = self.program.atom_list[piece] if isinstance(piece, int) else None
                if atom and atom[0] == "any":
                    groups.setdefault(atom[1], []).extend(atom[2])
                elif atom and atom[0] == "cidr":
                    networks.setdefault(atom[1], []).extend(atom[2])
                else:
                    rest.append(piece)
        grouped = [self.program.atom(["any", key, sorted(set(literals))]) for key, literals in groups.items()]
        grouped += [self.program.atom(["cidr", key, sorted(set(wanted))]) for key, wanted in networks.items()]
        return self.program.either([*grouped, *rest])

    def value(self, name: str | None, value: Any) -> Any:
        from sigma import types as t

        if isinstance(value, t.SigmaExpansion):
            return self.merged([self.value(name, v) for v in value.values])
        if name is None:
            return self.value_in(self.program.key(KEYWORDS), None, "", value)
        homes = self.place.homes(name)
        if isinstance(value, t.SigmaNull) or (isinstance(value, t.SigmaExists) and not value.exists):
            return self.program.both([self.value_in(self.column(home), name, home, value) for home in homes])
        return self.merged([self.value_in(self.column(home), name, home, value) for home in homes])

    def value_in(self, key: int, name: str | None, home: str, value: Any) -> Any:
        """A value looked for in one column; `name` is the rule's field, `home` the record's."""
        from sigma import types as t

        if name is None and not isinstance(value, t.SigmaString | t.SigmaNumber | t.SigmaRegularExpression):
            raise Unsupported(f"a keyword search for {type(value).__name__.removeprefix('Sigma')} values")
        if isinstance(value, t.SigmaString):
            return self.string(key, name, home, value)
        if isinstance(value, t.SigmaTimestampPart):
            return self.part(key, value, "EQ")
        if isinstance(value, t.SigmaNumber):
            return self.number(key, name, value.number)
        if isinstance(value, t.SigmaBool):
            return self.literals(key, [(WHOLE, "true" if value.boolean else "false")])
        if isinstance(value, t.SigmaRegularExpression):
            return self.regex(key, value)
        if isinstance(value, t.SigmaNull):
            return self.program.atom(["null", key])
        if isinstance(value, t.SigmaExists):
            return self.program.atom(["has" if value.exists else "absent", key])
        if isinstance(value, t.SigmaCIDRExpression):
            return self.program.atom(["cidr", key, [str(ipaddress.ip_network(value.cidr, strict=False))]])
        if isinstance(value, t.SigmaCompareExpression):
            if isinstance(value.number, t.SigmaTimestampPart):
                return self.part(key, value.number, value.op.name)
            if not isinstance(value.number, t.SigmaNumber):
                raise Unsupported("a comparison with something else than a number")
            return self.program.atom(["cmp", key, value.op.name, value.number.number])
        if isinstance(value, t.SigmaFieldReference):
            mode = (ANYWHERE if value.starts_with and value.ends_with else START if value.starts_with
                    else END if value.ends_with else WHOLE)
            return self.program.atom(["ref", key, self.key(value.field), mode, False])
        raise Unsupported(f"{type(value).__name__.removeprefix('Sigma')} values are not supported")

    def part(self, key: int, value: Any, comparison: str) -> int:
        if self.program.is_keywords(key):
            raise Unsupported("a part of a time without a field")
        return self.program.atom(["part", key, value.timestamp_part.name, comparison, value.number])

    # Strings ------------------------------------------------------------------------------

    def string(self, key: int, name: str | None, home: str, value: Any) -> Any:
        from sigma.types import Placeholder, SigmaCasedString, SpecialChars

        cased = isinstance(value, SigmaCasedString)
        variants: list[list[Any]] = [[]]
        for part in value.s:
            if isinstance(part, Placeholder):
                variants = [[*v, text] for v in variants for text in self.placeholder(part.name)]
                continue
            piece: Any = part
            if part == SpecialChars.WILDCARD_MULTI:
                piece = MULTI
            elif part == SpecialChars.WILDCARD_SINGLE:
                piece = SINGLE
            elif not isinstance(part, str):
                raise Unsupported("a string with an unknown part")
            variants = [[*v, piece] for v in variants]
        return self.merged([self.text(key, name, home, _tidy(v), cased) for v in variants])

    def text(self, key: int, name: str | None, home: str, parts: list[Any], cased: bool) -> Any:
        if name is None and parts != [MULTI]:
            # A keyword is looked for anywhere in the record's values.
            parts = _tidy([MULTI, *parts, MULTI])
        if parts == [MULTI]:
            return self.program.atom(["filled", key])
        if not parts:
            return self.literals(key, [(WHOLE, "")])
        mode, inner = _ends(parts)
        plain = len(inner) == 1 and isinstance(inner[0], str)
        lines = self.program.key("Data") == key
        if plain and not cased:
            text = inner[0]
            translated = self.place.called(home, text.casefold()) if mode == WHOLE else ()
            wanted = [(mode, text), *((WHOLE, other) for other in translated)]
            if lines:
                wanted += _line_forms(mode, text)
            return self.literals(key, wanted)
        longest = max((p for p in parts if isinstance(p, str)), key=len, default="")
        if plain and not lines:
            literal = self.program.literal(key, mode, longest.casefold())
        else:
            literal = self.program.literal(key, ANYWHERE, longest.casefold()) if longest else -1
        return self.program.atom(["glob", key, parts if cased else [
            p.casefold() if isinstance(p, str) else p for p in parts], cased, literal])

    def literals(self, key: int, wanted: Iterable[tuple[int, str]]) -> int:
        numbers = sorted({self.program.literal(key, mode, text.casefold()) for mode, text in wanted})
        return self.program.atom(["any", key, numbers])

    def number(self, key: int, name: str | None, number: int | float) -> Any:
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        mode = ANYWHERE if name is None else WHOLE
        forms = [(mode, str(number))]
        if isinstance(number, int) and number >= 0 and name is not None:
            forms.append((mode, f"0x{number:x}"))      # Windows writes masks and ids in hexadecimal
        return self.literals(key, forms)

    # Regular expressions --------------------------------------------------------------------

    def regex(self, key: int, value: Any) -> Any:
        return self.merged([self.pattern(key, pattern, value) for pattern in self.patterns(value.regexp)])

    def patterns(self, regexp: Any) -> list[str]:
        """The pattern once for each combination of values of its placeholders."""
        from sigma.types import Placeholder

        if not any(isinstance(part, Placeholder) for part in regexp.s):
            return [str(regexp)]
        variants = [""]
        for part in regexp.s:
            texts = ([re2_escape(v) for v in self.placeholder(part.name)] if isinstance(part, Placeholder)
                     else [part] if isinstance(part, str) else None)
            if texts is None:
                raise Unsupported("a placeholder in a pattern with wildcards")
            variants = [v + text for v in variants for text in texts]
        return variants

    def placeholder(self, name: str) -> Sequence[str]:
        values = self.program.placeholders.get(name)
        if values is None:
            raise Unsupported(f"needs values for the placeholder %{name}%")
        return values

    def pattern(self, key: int, pattern: str, value: Any) -> Any:
        import re2

        flags = "".join(sorted(value.sigma_to_re_flag[f] for f in value.flags))
        if flags:
            pattern = f"(?{flags}){pattern}"
        try:
            options = re2.Options()
            options.log_errors = False
            re2.compile(pattern, options)
        except re2.error as error:
            text = error.args[0] if error.args else ""
            text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            raise Unsupported(f"a regular expression RE2 can't run: {text}") from error
        found = regex.needs(pattern)
        literals = sorted(self.program.literal(key, ANYWHERE, text) for text in found.any_of)
        counts = {t: n for t, n in found.counts.items() if n > 1 or t not in found.any_of}
        return self.program.atom(["re", key, pattern, literals, counts, dict(found.classes), found.low, found.high])


def re2_escape(text: str) -> str:
    """The text as a pattern that finds only itself."""
    import re2

    return str(re2.escape(text))


def _tidy(parts: Sequence[Any]) -> list[Any]:
    """Neighbouring texts joined, empty ones and doubled stars gone."""
    out: list[Any] = []
    for part in parts:
        if part == "":
            continue
        if out and isinstance(part, str) and isinstance(out[-1], str):
            out[-1] += part
        elif out and part == MULTI and out[-1] == MULTI:
            continue
        else:
            out.append(part)
    return out


def _ends(parts: list[Any]) -> tuple[int, list[Any]]:
    """Where the text must lie, and what is left without the stars at its ends."""
    open_start, open_end = parts[0] == MULTI, parts[-1] == MULTI
    inner = parts[open_start:len(parts) - open_end]
    return {(True, True): ANYWHERE, (False, True): START, (True, False): END, (False, False): WHOLE}[
        open_start, open_end], inner


def _line_forms(mode: int, text: str) -> list[tuple[int, str]]:
    """Unnamed Data elements lie one a line in one value: each line counts as a value, too."""
    if mode == WHOLE:
        return [(START, f"{text}\n"), (END, f"\n{text}"), (ANYWHERE, f"\n{text}\n")]
    if mode == START:
        return [(ANYWHERE, f"\n{text}")]
    if mode == END:
        return [(ANYWHERE, f"{text}\n")]
    return []
