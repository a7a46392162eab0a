"""Sigma rules from files, with everything that is wrong with them kept beside them.

pySigma parses; its regular expressions are checked with RE2, never with Python's `re`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from hikeshi.detect.correlation import Correlation, read_correlation
from hikeshi.detect.dialect import Unreadable, is_hayabusa, plain_detection, split_aggregation
from hikeshi.errors import Location, RuleError
from hikeshi.knowledge.rulepack import SUFFIX, read_rule_pack

_SUFFIXES = (".yml", ".yaml")
# The largest rule known is 40 kB; a rule file of megabytes is a mistake or an attack.
_MAX_BYTES = 4 << 20
_TACTICS = frozenset((
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence",
    "privilege-escalation", "defense-evasion", "stealth", "defense-impairment", "credential-access", "discovery",
    "lateral-movement", "collection", "command-and-control", "exfiltration", "impact"))
LEVELS = ("informational", "low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """What a hit tells about its rule. `level` is "medium" where the rule names none."""

    id: str
    title: str
    author: str
    level: str
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    path: str
    description: str = ""
    status: str = ""
    falsepositives: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()       # titles of the filters that narrow it
    tuned: str = ""                     # why the site gave it another level; `own_level` is the rule's
    own_level: str = ""
    logsource: str = ""                 # "windows/process_creation/", "correlation"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One rule file as bytes; read once, hashed for the cache, parsed only when compiled anew."""

    path: str
    data: bytes


@dataclass(slots=True)
class ParsedRule:
    """A rule that pySigma understood, or the reason why it can't be used.

    `names`: what correlations and filters may call it. `correlation` for a correlation, else `rule`.
    `any_log`: the rule names its channels itself, as Hayabusa's do. `inner`: the events behind an
    aggregation, which is a rule of its own.
    """

    info: RuleInfo
    rule: Any = None
    problem: str | None = None
    names: tuple[str, ...] = ()
    correlation: Correlation | None = None
    any_log: bool = False
    inner: bool = False


@dataclass(slots=True)
class ParsedFilter:
    """A filter document: `rule` as pySigma reads it, or the reason why it can't be used."""

    info: RuleInfo
    rule: Any = None
    problem: str | None = None
    narrowed: int = 0                   # rules it was put on


@dataclass(slots=True)
class RuleSet:
    """Rule files and what could not even be read. `digest` names the exact set."""

    files: list[RuleFile]
    errors: list[RuleError] = field(default_factory=list)
    filters: list[ParsedFilter] = field(default_factory=list)    # complete once `parse` was read to the end

    @property
    def digest(self) -> str:
        total = hashlib.sha256()
        for file in self.files:
            total.update(f"{len(file.path)}:{file.path}:{len(file.data)}:".encode("utf-8", "replace"))
            total.update(file.data)
        return total.hexdigest()

    def parse(self) -> Iterator[ParsedRule]:
        """Every rule of the set in file order, narrowed by the set's filters.

        Broken files become RuleErrors in `errors`; filters are in `filters`.
        """
        parsed: list[ParsedRule] = []
        self.filters = []
        for file in self.files:
            for item in self._parse_file(file):
                if isinstance(item, ParsedFilter):
                    self.filters.append(item)
                else:
                    parsed.append(item)
        usable = [f for f in self.filters if f.problem is None]
        for rule in parsed:
            if usable and rule.rule is not None:
                _narrow(rule, usable)
            yield rule

    def _parse_file(self, file: RuleFile) -> Iterator[ParsedRule | ParsedFilter]:
        try:
            documents = _documents(file.data)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            self.errors.append(RuleError(
                f"not readable as YAML: {getattr(error, 'problem', None) or _plain(error)}",
                source=Location(file.path, line=mark.line + 1 if mark else None),
                hint="mend the file, or leave it out of the rule folder"))
            return
        try:
            whole = list(_collected(documents))
        except ValueError as error:
            self.errors.append(RuleError(str(error), source=Location(file.path)))
            return
        for document in whole:
            if not isinstance(document, dict):
                self.errors.append(RuleError("a rule is a YAML mapping", source=Location(file.path)))
                continue
            yield from _parse_document(document, file.path)


def load_rules(paths: Iterable[Path | str]) -> RuleSet:
    """The rule files under the given files and folders, in path order; `*.hkrules` is a rule pack.

    A file that can't be read is an error in the set; a path that does not exist raises RuleError, a pack
    that was changed KnowledgeError.
    """
    ruleset = RuleSet([])
    for given in paths:
        root = Path(given)
        if not root.exists():
            raise RuleError("no such rule file or folder", source=Location(str(root)),
                            hint="give a folder with Sigma rules (.yml)")
        if root.suffix == SUFFIX and root.is_file():
            pack = read_rule_pack(root)
            ruleset.files += [RuleFile(f"{pack.info.name}/{path}", data) for path, data in pack.files]
            continue
        found = sorted(p for p in root.rglob("*") if p.suffix.lower() in _SUFFIXES) if root.is_dir() else [root]
        for path in found:
            if not path.is_file():
                continue
            try:
                data = path.read_bytes()
            except OSError as error:
                ruleset.errors.append(RuleError(f"not readable: {error.strerror}", source=Location(str(path))))
                continue
            if len(data) > _MAX_BYTES:
                ruleset.errors.append(RuleError("larger than a rule file can be", source=Location(str(path))))
                continue
            name = str(path.relative_to(root)) if root.is_dir() else path.name
            ruleset.files.append(RuleFile(name.replace("\\", "/"), data))
    return ruleset


_MAX_DEPTH = 50
_INDENTED = re.compile(rb"[ \t?:-]{50}")  # block nesting needs indentation: without this there is none to fear
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _documents(data: bytes) -> list[Any]:
    """The YAML documents of a file. Aliases are refused: Sigma needs none, and they can blow up; so is
    deep nesting, which ends libyaml's recursive composer with a crash of the whole process."""
    if b"&" in data or data.count(b"[") + data.count(b"{") > _MAX_DEPTH or _INDENTED.search(data):
        depth = 0
        for event in yaml.parse(data, Loader=_Loader):
            if isinstance(event, yaml.events.AliasEvent):
                raise ValueError("aliases are not used in rules")
            depth += isinstance(event, yaml.events.CollectionStartEvent)
            depth -= isinstance(event, yaml.events.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise ValueError(f"nested more than {_MAX_DEPTH} deep")
    return [d for d in yaml.load_all(data, Loader=_Loader) if d is not None]


def _collected(documents: Sequence[Any]) -> Iterator[Any]:
    """The rules of a collection: a document with `action: global` lends its keys to the ones after it until
    `reset`; `repeat` is the rule before it with some keys changed. Correlations and filters stand alone."""
    shared: dict[str, Any] = {}
    last: dict[str, Any] = {}
    for document in documents:
        if not isinstance(document, dict) or "correlation" in document or "filter" in document:
            yield document
            continue
        action = document.get("action")
        own = {k: v for k, v in document.items() if k != "action"}
        if action == "global":
            shared = _joined(shared, own)
        elif action == "reset":
            shared = {}
        elif action in (None, "repeat"):
            last = _joined(last if action else shared, own)
            yield last
        else:
            raise ValueError(f"unknown collection action {str(action)[:40]!r}")


def _joined(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings; where they differ, `above` wins, mapping by mapping."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        out[key] = _joined(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def _parse_document(document: dict[str, Any], path: str) -> Iterator[ParsedRule | ParsedFilter]:
    info = _info(document, path)
    if "correlation" in document:
        yield _parse_correlation(document, info)
        return
    if "filter" in document and "detection" not in document:
        yield _parse_filter(document, info)
        return
    try:
        document = plain_detection(document)
        split = split_aggregation(document)
    except Unreadable as reason:
        yield ParsedRule(info, problem=str(reason))
        return
    if split is None:
        yield _parse_rule(document, info)
        return
    plain, correlation = split
    inner = _parse_rule(plain, info)
    if inner.problem is not None:
        yield inner
        return
    inner.inner, inner.names = True, (f"{path}\0{info.id or info.title}", *inner.names)
    correlation["correlation"]["rules"] = [inner.names[0]]
    yield inner
    yield _parse_correlation(correlation, info)


def _parse_rule(document: dict[str, Any], info: RuleInfo) -> ParsedRule:
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError

    parsed = ParsedRule(info, names=_names(document), any_log=is_hayabusa(document))
    try:
        rules = SigmaCollection.from_dicts([document], collect_errors=True).rules
    except (SigmaError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        parsed.problem = f"not a valid rule: {_plain(error)}"
        return parsed
    if len(rules) != 1:
        parsed.problem = "not a valid rule: no detection"
        return parsed
    # An error in a tag or a date doesn't change what the rule looks for.
    errors = [e for e in rules[0].errors if not _harmless(e)]
    if errors or getattr(rules[0], "detection", None) is None:
        parsed.problem = f"not a valid rule: {_plain(errors[0]) if errors else 'no detection'}"
        return parsed
    parsed.rule = rules[0]
    return parsed


def _parse_correlation(document: dict[str, Any], info: RuleInfo) -> ParsedRule:
    parsed = ParsedRule(info, names=_names(document))
    try:
        parsed.correlation = read_correlation(document)
    except ValueError as reason:
        parsed.problem = str(reason)
    return parsed


def _parse_filter(document: dict[str, Any], info: RuleInfo) -> ParsedFilter:
    from sigma.exceptions import SigmaError
    from sigma.filters import SigmaFilter

    parsed = ParsedFilter(info)
    own = document.get("filter")
    try:
        if isinstance(own, dict):
            own = plain_detection({"detection": {k: v for k, v in own.items() if k != "rules"}})["detection"] | {
                k: v for k, v in own.items() if k == "rules"}
        found = SigmaFilter.from_dict({**document, "filter": own}, collect_errors=True)
        errors = [e for e in found.errors if not _harmless(e)]
        if not errors:
            for condition in found.filter.parsed_condition:
                _ = condition.parsed        # pySigma looks at it only now
    except Unreadable as reason:
        parsed.problem = f"not a valid filter: {reason}"
        return parsed
    except (SigmaError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        parsed.problem = f"not a valid filter: {_plain(error)}"
        return parsed
    if errors:
        parsed.problem = f"not a valid filter: {_plain(errors[0])}"
    elif any(not isinstance(ref.reference, str) for ref in found.filter.rules if not isinstance(ref, str)):
        parsed.problem = "not a valid filter: rules are named by id or name"
    else:
        parsed.rule = found
    return parsed


def _narrow(parsed: ParsedRule, filters: Sequence[ParsedFilter]) -> None:
    """Put every filter that speaks of this rule on it. One that breaks it makes it unusable: without its
    filter the rule would say more than its owner wants."""
    from sigma.exceptions import SigmaError

    for one in filters:
        named = one.rule.filter.rules
        if not isinstance(named, str) and not {str(ref.reference).lower() for ref in named} & {
                name.lower() for name in parsed.names}:
            continue
        try:
            if parsed.rule.logsource not in one.rule.logsource:
                continue
            own = one.rule.filter
            keep, own.rules = own.rules, "any"      # whom it speaks of is decided above, by id and by name
            try:
                parsed.rule = one.rule.apply_on_rule(parsed.rule)
            finally:
                own.rules = keep
        except (SigmaError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            parsed.problem = f"the filter {one.info.title} can't be put on it: {_plain(error)}"
            return
        one.narrowed += 1
        parsed.info = replace(parsed.info, filters=(*parsed.info.filters, one.info.title))


def _names(document: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(document[key]) for key in ("id", "name") if document.get(key))


_HARMLESS = ("Date", "Modified", "Level", "Status", "Identifier", "Tag", "Author", "References", "Related", "Title",
             "Description", "License", "FalsePositives", "Fields", "Scope", "Taxonomy", "Name", "Rule")


def _harmless(error: Exception) -> bool:
    kind = type(error).__name__.removeprefix("Sigma").removesuffix("Error")
    return kind in _HARMLESS


def _info(document: dict[str, Any], path: str) -> RuleInfo:
    given = document.get("tags")
    tags = [t.lower() for t in given if isinstance(t, str)] if isinstance(given, list) else []
    names = [t.removeprefix("attack.").replace("_", "-") for t in tags if t.startswith("attack.")]
    level = str(document.get("level") or "medium").strip().lower()
    false = document.get("falsepositives") or []
    return RuleInfo(
        id=str(document.get("id") or ""),
        title=_text(document.get("title")) or "(no title)",
        author=_text(document.get("author")),
        level=level if level in LEVELS else "medium",
        tactics=tuple(dict.fromkeys(n for n in names if n in _TACTICS)),
        techniques=tuple(dict.fromkeys(n.upper() for n in names if n[:1] == "t" and n[1:5].isdigit())),
        path=path,
        description=_text(document.get("description")),
        status=_text(document.get("status")),
        falsepositives=tuple(_text(f) for f in (false if isinstance(false, list) else [false])),
        logsource=_log_source(document),
    )


def _log_source(document: dict[str, Any]) -> str:
    if "correlation" in document:
        return "correlation"
    given = document.get("logsource")
    if not isinstance(given, dict):
        return ""
    return "/".join(_text(given.get(key)).lower() for key in ("product", "category", "service"))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(v) for v in value)
    return "" if value is None else " ".join(str(value).split())


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
