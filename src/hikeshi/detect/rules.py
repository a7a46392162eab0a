"""Sigma rules from files, with everything that is wrong with them kept beside them.

pySigma parses; its regular expressions are checked with RE2, never with Python's `re`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hikeshi.errors import Location, RuleError

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


@dataclass(frozen=True, slots=True)
class RuleFile:
    """One rule file as bytes; read once, hashed for the cache, parsed only when compiled anew."""

    path: str
    data: bytes


@dataclass(slots=True)
class ParsedRule:
    """A rule that pySigma understood, or the reason why it can't be used."""

    info: RuleInfo
    rule: Any = None
    problem: str | None = None


@dataclass(slots=True)
class RuleSet:
    """Rule files and what could not even be read. `digest` names the exact set."""

    files: list[RuleFile]
    errors: list[RuleError] = field(default_factory=list)

    @property
    def digest(self) -> str:
        total = hashlib.sha256()
        for file in self.files:
            total.update(f"{len(file.path)}:{file.path}:{len(file.data)}:".encode("utf-8", "replace"))
            total.update(file.data)
        return total.hexdigest()

    def parse(self) -> Iterator[ParsedRule]:
        """Every rule of the set in file order; broken files become RuleErrors in `errors`."""
        for file in self.files:
            yield from self._parse_file(file)

    def _parse_file(self, file: RuleFile) -> Iterator[ParsedRule]:
        try:
            documents = _documents(file.data)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            self.errors.append(RuleError(
                f"not readable as YAML: {getattr(error, 'problem', None) or _plain(error)}",
                source=Location(file.path, line=mark.line + 1 if mark else None),
                hint="mend the file, or leave it out of the rule folder"))
            return
        for document in _with_globals(documents):
            if not isinstance(document, dict):
                self.errors.append(RuleError("a rule is a YAML mapping", source=Location(file.path)))
                continue
            yield _parse_rule(document, file.path)


def load_rules(paths: Iterable[Path | str]) -> RuleSet:
    """The rule files under the given files and folders, in path order.

    A file that can't be read is an error in the set; a path that does not exist raises RuleError.
    """
    ruleset = RuleSet([])
    for given in paths:
        root = Path(given)
        if not root.exists():
            raise RuleError("no such rule file or folder", source=Location(str(root)),
                            hint="give a folder with Sigma rules (.yml)")
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


def _with_globals(documents: Sequence[Any]) -> Iterator[Any]:
    """Sigma's `action: global` document lends its keys to the ones after it."""
    shared: dict[str, Any] = {}
    for document in documents:
        if not isinstance(document, dict):
            yield document
        elif document.get("action") == "global":
            shared = {k: v for k, v in document.items() if k != "action"}
        elif document.get("action") == "reset":
            shared = {}
        else:
            yield {**shared, **document} if shared else document


def _parse_rule(document: dict[str, Any], path: str) -> ParsedRule:
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError

    parsed = ParsedRule(_info(document, path))
    if "correlation" in document:
        parsed.problem = "a correlation of several events; only single-event rules are matched so far"
        return parsed
    if "filter" in document and "detection" not in document:
        parsed.problem = "a filter for other rules, not a rule"
        return parsed
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


_HARMLESS = ("Date", "Modified", "Level", "Status", "Identifier", "Tag", "Author", "References", "Related", "Title",
             "Description", "License", "FalsePositives", "Fields", "Scope", "Taxonomy", "Name", "Rule")


def _harmless(error: Exception) -> bool:
    kind = type(error).__name__.removeprefix("Sigma").removesuffix("Error")
    return kind in _HARMLESS


def _info(document: dict[str, Any], path: str) -> RuleInfo:
    tags = [str(t).lower() for t in document.get("tags") or [] if isinstance(t, str)]
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
    )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(v) for v in value)
    return "" if value is None else " ".join(str(value).split())


def _plain(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
