"""Indicator lists as people hand them over: text, CSV, STIX 2.1, MISP, JSON Lines → IndicatorSet.

Whatever can't be used is counted and kept with its place; nothing is taken on silently that the list
did not say (a negated STIX comparison is reported, not swept for). Lists are hostile input too: size,
line length, nesting and number of entries are limited.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import IndicatorError, LimitExceeded, Location
from hikeshi.indicators.names import INTERNAL, looks_like_no_domain, top_level_domains
from hikeshi.indicators.normalise import HASH_TYPES, known_type, normalise
from hikeshi.model.indicator import Indicator, IndicatorType

MAX_BYTES = 1 << 30
MAX_ENTRIES = 20_000_000
MAX_LINE = 100_000  # characters; a longer line is cut into no indicator
_PASSED_AT = 200_000
_LINES_AT = 1 << 22
MAX_PROBLEMS = 1000  # kept with their place; the rest is only counted
_MAX_PATTERN = 20_000


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of a list that was not used, and why."""

    where: Location
    reason: str
    text: str = ""


@dataclass(slots=True)
class IndicatorSet:
    """Indicators by type and value, each with its first place: (number in `files`) << 40 | line or entry.

    `written` and `notes` hold only what says more than the value itself. `problems` are the first
    thousand; `skipped` counts all of them.
    """

    files: list[str] = field(default_factory=list)
    values: dict[IndicatorType, dict[str, int]] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    skipped: int = 0
    duplicates: int = 0

    def __len__(self) -> int:
        return sum(len(v) for v in self.values.values())

    def __iter__(self) -> Iterator[Indicator]:
        for kind, values in self.values.items():
            for value in values:
                yield self.indicator(kind, value)

    def indicator(self, kind: IndicatorType, value: str) -> Indicator:
        """One entry as a record; raises KeyError if it is not in the set."""
        place = self.values[kind][value]
        source = f"{self.files[place >> 40]}:{place & (1 << 40) - 1}" if self.files else ""
        return Indicator(value, kind, self.written.get(value, value), source, self.notes.get(value, ""))

    def add(self, found: Indicator, place: int = 0, note: str = "") -> None:
        values = self.values.setdefault(found.type, {})
        if found.value in values:
            self.duplicates += 1
        else:
            if len(values) >= MAX_ENTRIES:
                raise LimitExceeded(f"more than {MAX_ENTRIES:,} indicators", hint="split the list")
            values[found.value] = place
            if found.written and found.written != found.value:
                self.written[found.value] = found.written[:500]
        if note:
            self.notes.setdefault(found.value, note[:500])

    def problem(self, where: Location, reason: str, text: str = "") -> None:
        self.skipped += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(where, reason, text[:200]))


@dataclass(slots=True)
class _Passing(IndicatorSet):
    """A set that hands its values on every so often and forgets them."""

    take: Callable[[str, str], None] = lambda kind, value: None
    passed: int = 0

    def __len__(self) -> int:
        return self.passed + sum(len(v) for v in self.values.values())

    def add(self, found: Indicator, place: int = 0, note: str = "") -> None:
        IndicatorSet.add(self, found, place, note)
        if len(self.values[found.type]) >= _PASSED_AT:
            self.pass_on()

    def pass_on(self) -> None:
        for kind, values in self.values.items():
            for value in values:
                self.take(kind, value)
            self.passed += len(values)
            values.clear()  # in place: readers hold on to these
        self.written.clear()
        self.notes.clear()


def from_values(values: Iterable[str]) -> IndicatorSet:
    """A set from single values (a call in a program, a test); what is no indicator becomes a problem."""
    out = IndicatorSet(files=["values"])
    for number, value in enumerate(values, 1):
        found = normalise(value)
        if found:
            out.add(found, number)
        else:
            out.problem(Location("values", line=number), "no indicator", value)
    return out


def load_indicators(paths: Iterable[str | Path]) -> IndicatorSet:
    """All indicators of the given files. Raises IndicatorError for a file that can't be read or has
    none at all, LimitExceeded for one that is too large."""
    out = IndicatorSet()
    _load(paths, out)
    return out


def load_in_parts(paths: Iterable[str | Path], take: Callable[[str, str], None]) -> IndicatorSet:
    """Like load_indicators, for lists too long to hold: `take` gets (type, value) as they are read, now and
    then one twice. What comes back is empty but for its length, problems and duplicates."""
    out = _Passing(take=take)
    _load(paths, out)
    out.pass_on()
    return out


def _load(paths: Iterable[str | Path], out: IndicatorSet) -> None:
    for path in map(Path, paths):
        before, skipped = len(out) + out.duplicates, out.skipped
        try:
            if path.stat().st_size > MAX_BYTES:
                raise LimitExceeded(f"an indicator list of more than {MAX_BYTES >> 20} MiB", source=Location(str(path)),
                                    hint="split the list")
            data = path.read_bytes()
        except OSError as error:
            raise IndicatorError(f"the indicator list can't be read: {error.strerror}",
                                 source=Location(str(path))) from error
        read_indicators(data, str(path), out)
        if len(out) + out.duplicates == before:
            first = out.problems[0] if out.problems and out.skipped > skipped else None
            raise IndicatorError(
                "no indicator in the list" + (f"; first problem: {first.reason}" if first else ""),
                source=first.where if first else Location(str(path)),
                hint="one value a line, CSV with a header, a STIX 2.1 bundle or a MISP event")


def read_indicators(data: bytes, name: str, out: IndicatorSet) -> None:
    """Add what the bytes of one list hold; its form is seen from the content."""
    out.files.append(name)
    text = _decode(data, name)
    head = text[:4096].lstrip()
    if head.startswith(("{", "[{", "[\"", "[\n", "[ ", "[]")) and _read_json(data, text, name, out):
        return
    if _looks_like_csv(head, name):
        _read_csv(text, name, out)
    else:
        _read_text(text, name, out)


def _decode(data: bytes, name: str) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    if data[:3] == b"\xef\xbb\xbf":
        data = data[3:]
    sample = data[:65536]
    if sample[:4] in (b"PK\x03\x04", b"\x7fELF") or sample[:2] == b"\x1f\x8b" or sample.count(0) > len(sample) // 10:
        raise IndicatorError("the indicator list is a binary file", source=Location(name),
                             hint="give text, CSV, STIX or MISP JSON, unpacked")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp932", "replace")  # what Japanese Windows programs save


# Text

_PLAIN_NAME = re.compile(
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\.(?:[a-z]{2,24})\Z")
_PLAIN_V4 = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\Z")
_PLAIN_HASH = re.compile(r"(?=[0-9]*[a-f])[0-9a-f]+\Z")
_PLAIN_URL = re.compile(r"https?://([a-z0-9.-]+)/[!-~]*\Z")
_COMMENT = re.compile(r"\s+(?:#|//)\s.*\Z")


def _read_text(text: str, name: str, out: IndicatorSet) -> None:
    base = (len(out.files) - 1) << 40
    names = out.values.setdefault("domain", {})
    addresses = out.values.setdefault("ipv4", {})
    by_length = {n: out.values.setdefault(k, {}) for n, k in HASH_TYPES.items()}
    # A line of a large list costs one match: the shapes that are already in their final form.
    for number, raw in _numbered(text, out):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if _PLAIN_V4.match(line):
            if addresses.setdefault(line, base | number) != base | number:
                out.duplicates += 1
        elif len(line) in by_length and _PLAIN_HASH.match(line):
            if by_length[len(line)].setdefault(line, base | number) != base | number:
                out.duplicates += 1
        elif len(line) <= 253 and _PLAIN_NAME.match(line) and _listed_name(line):
            if names.setdefault(line, base | number) != base | number:
                out.duplicates += 1
        else:
            _text_line(line, base | number, Location(name, line=number), out)
        if not number & 0xFFFFF and len(out) > MAX_ENTRIES:
            raise LimitExceeded(f"more than {MAX_ENTRIES:,} indicators", source=Location(name), hint="split the list")
    for kind in ("domain", "ipv4", *HASH_TYPES.values()):
        if not out.values.get(kind, True):
            del out.values[kind]


def _numbered(text: str, out: IndicatorSet) -> Iterator[tuple[int, str]]:
    """Lines from 1, a few mebibytes at a time; between them the set may hand on what it has."""
    number = at = 0
    while at < len(text):
        end = text.find("\n", at + _LINES_AT) + 1 or len(text)
        for line in text[at:end].splitlines():
            number += 1
            yield number, line
        at = end
        if isinstance(out, _Passing):
            out.pass_on()


def _listed_name(line: str) -> bool:
    found = normalise(line) if "xn--" in line else None
    return found is not None or (_ending_exists(line) and looks_like_no_domain(line) is None)


def _ending_exists(line: str) -> bool:
    ending = line.rpartition(".")[2]
    return ending in top_level_domains() or ending in INTERNAL


def _text_line(line: str, place: int, where: Location, out: IndicatorSet) -> None:
    if line.startswith("//"):
        return
    if len(line) > MAX_LINE:
        out.problem(where, f"line of more than {MAX_LINE:,} characters", line)
        return
    if "\x00" in line:
        out.problem(where, "line with a NUL byte", line.replace("\x00", "\\0"))
        return
    value = _COMMENT.sub("", line).strip().rstrip(",;")
    found = None if re.search(r"\s", value) else normalise(value)
    if found and found.type == "domain" and value.isascii() and "[" not in value and looks_like_no_domain(found.value):
        out.problem(where, f"left out: {looks_like_no_domain(found.value)}", line)
        return
    if found:
        out.add(found, place)
        return
    from hikeshi.indicators.extract import extract  # heavy; most lists have no prose

    inside = [f for f in extract(value) if f.type != "attack"]
    for item in inside:
        out.add(Indicator(item.value, item.type, item.text), place)  # type: ignore[arg-type]
    if not inside:
        out.problem(where, "no indicator in the line", line)


# CSV

_VALUE_COLUMNS = re.compile(
    r"(?:ioc|indicator|observable|artifact)?[ _-]?(?:value|indicator|ioc|observable)s?"
    r"|(?:dst|src|dest|destination|source|remote|c2)?[ _-]?"
    r"(?:ip|ipv4|ipv6|ip[ _-]?address|domain|domain[ _-]?name|host|hostname|fqdn|url|uri"
    r"|md5|sha1|sha256|sha512|hash|email)(?:[ _-]?(?:hash|address|value))?"
    r"|指標|値|アドレス|ドメイン|ハッシュ値?|通信先", re.IGNORECASE)
_TYPE_COLUMNS = re.compile(r"(?:ioc|indicator|observable|value)?[ _-]?type|種別|種類", re.IGNORECASE)
_NOTE_COLUMNS = re.compile(
    r"comments?|notes?|descriptions?|malware(?:_printable)?|tags?|備考|説明|コメント", re.IGNORECASE)


def _looks_like_csv(head: str, name: str) -> bool:
    lines = [x for x in head.splitlines()[:-1] or head.splitlines() if x.strip() and not x.startswith("#")][:10]
    if not lines:
        return False
    if len(lines) == 1 and not name.lower().endswith((".csv", ".tsv")):
        return False
    counts = [[x.count(mark) for x in lines[:5]] for mark in ",\t;"]
    return any(c[0] and len(set(c)) == 1 for c in counts)


def _read_csv(text: str, name: str, out: IndicatorSet) -> None:
    base = (len(out.files) - 1) << 40
    lines = text.splitlines()
    # abuse.ch writes its header behind a "#", as the last comment line before the data.
    first = next((i for i, x in enumerate(lines) if x.strip() and not x.startswith("#")), 0)
    mark = max(",\t;", key=lines[first].count)
    header = _header(next(csv.reader([lines[first].replace("\0", "")], delimiter=mark, skipinitialspace=True), []))
    start = first + 1
    if header is None:
        start = first
        if first and mark in lines[first - 1]:
            comment = lines[first - 1].lstrip("# ")
            header = _header(next(csv.reader([comment], delimiter=mark, skipinitialspace=True), []))
    body = (line.replace("\0", "") for line in lines[start:])
    rows = csv.reader(body, delimiter=mark, skipinitialspace=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            out.problem(Location(name, line=start + rows.line_num), f"broken CSV: {error}")
            continue
        if not row or not any(row) or row[0].startswith("#"):
            continue
        line = start + rows.line_num
        _csv_row(row, header, base | line, Location(name, line=line), out)


def _header(cells: list[str]) -> dict[str, list[int]] | None:
    """Columns with values, the type and the note; None if the row is no header."""
    names = [c.strip().strip('"') for c in cells]
    values = [i for i, c in enumerate(names) if _VALUE_COLUMNS.fullmatch(c)]
    if not values or any(normalise(c) for c in names if "." in c):
        return None
    return {"values": values, "type": [i for i, c in enumerate(names) if _TYPE_COLUMNS.fullmatch(c)],
            "note": [i for i, c in enumerate(names) if _NOTE_COLUMNS.fullmatch(c)],
            "to_ids": [i for i, c in enumerate(names) if c.lower() == "to_ids"]}


def _csv_row(row: list[str], header: dict[str, list[int]] | None, place: int, where: Location,
             out: IndicatorSet) -> None:
    if header is None:
        got = [f for f in (normalise(cell) for cell in row[:50] if 3 < len(cell) < 2048) if f]
        for each in got:
            out.add(each, place)
        if not got:
            out.problem(where, "no indicator in the row", ",".join(row))
        return
    cell = {k: [row[i].strip() for i in columns if i < len(row)] for k, columns in header.items()}
    note = "; ".join(c for c in cell["note"] if c)
    if cell["to_ids"] and cell["to_ids"][0].lower() in ("0", "false"):
        note = f"to_ids=false; {note}".strip("; ")
    kinds = [known_type(t) for t in cell["type"]]
    used = False
    for value in filter(None, cell["values"]):
        for part, kind in _parts(value, cell["type"][0] if cell["type"] else ""):
            found = normalise(part, kind or (kinds[0] if kinds else None)) or normalise(part)
            if found:
                out.add(found, place, note)
                used = True
    if not used:
        out.problem(where, "no indicator in the row", ",".join(row))


def _parts(value: str, type_name: str) -> Iterator[tuple[str, str | None]]:
    """MISP's composite types: "filename|sha256" has its hash behind the bar, "ip-dst|port" no port."""
    if "|" not in type_name:
        yield value, type_name if known_type(type_name) else None
        return
    for part, kind in zip(value.split("|"), type_name.split("|"), strict=False):
        if known_type(kind):
            yield part, kind


# JSON: STIX, MISP, JSON Lines

def _read_json(data: bytes, text: str, name: str, out: IndicatorSet) -> bool:
    """False when the text only begins like JSON (a defanged address in brackets)."""
    try:
        tree = orjson.loads(data[3:] if data[:3] == b"\xef\xbb\xbf" else data)
    except orjson.JSONDecodeError as error:
        return _read_json_lines(text, error, name, out)
    _Json(name, out).tree(tree)
    return True


def _read_json_lines(text: str, whole: orjson.JSONDecodeError, name: str, out: IndicatorSet) -> bool:
    reader = _Json(name, out)
    good = 0
    bad: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            item = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if len(bad) < MAX_PROBLEMS:
                bad.append((number, str(error)))
            if not good and len(bad) > 3:
                break
            continue
        good += 1
        reader.line = number
        reader.tree(item)
    if not good:
        if text.lstrip()[:1] == "{":
            raise IndicatorError(f"the JSON is broken: {whole.msg}", source=Location(name, line=whole.lineno),
                                 hint="export the list again")
        return False
    for number, reason in bad:
        out.problem(Location(name, line=number), f"broken JSON: {reason}")
    return True


_SIMPLE_PATTERN = re.compile(r"\s*\[\s*([a-z0-9-]+):([A-Za-z0-9_.'-]+)\s*=\s*'((?:[^'\\]|\\['\\])*)'\s*\]\s*\Z")
_LITERAL = re.compile(r"'((?:[^'\\]|\\.)*)'")
_STIX_OBJECTS = {"ipv4-addr": "ipv4", "ipv6-addr": "ipv6", "domain-name": "domain", "url": "url", "email-addr": "email"}


class _Json:
    """Walks one JSON document; `line` is set for JSON Lines, `entry` counts objects."""

    def __init__(self, name: str, out: IndicatorSet) -> None:
        self.name, self.out = name, out
        self.line: int | None = None
        self.entry = 0
        self.base = (len(out.files) - 1) << 40

    def where(self) -> Location:
        return Location(self.name, line=self.line) if self.line else Location(self.name, record=self.entry)

    def tree(self, tree: Any) -> None:
        if isinstance(tree, list):
            for item in tree:
                self.tree(item) if isinstance(item, list | dict) else self._value(item, None)
            return
        if not isinstance(tree, dict):
            self._value(tree, None)
            return
        if isinstance(tree.get("objects"), list):
            for item in tree["objects"]:
                self.entry += 1
                self._stix(item)
        elif isinstance(tree.get("Event"), dict):
            self._misp(tree["Event"])
        elif isinstance(tree.get("response"), list | dict):
            self.tree(tree["response"])
        elif isinstance(tree.get("Attribute"), list):
            self._misp(tree)
        elif tree.get("type") in _STIX_OBJECTS or (tree.get("type") in ("indicator", "file") and "id" in tree):
            self.entry += 1
            self._stix(tree)
        else:
            self._flat(tree)

    def _flat(self, item: dict[str, Any]) -> None:
        self.entry += 1
        values = [item.get(k) for k in ("value", "indicator", "ioc", "ioc_value", "observable")]
        value = next((v for v in values if isinstance(v, str)), None)
        if value is None:
            self.out.problem(self.where(), "neither STIX nor MISP nor an object with a value",
                             ", ".join(map(str, list(item)[:8])))
            return
        kind = item.get("type") or item.get("ioc_type")
        self._value(value, kind if isinstance(kind, str) else None)

    def _value(self, value: Any, kind: str | None, note: str = "") -> bool:
        if not isinstance(value, str):
            self.out.problem(self.where(), "the value is no text", str(value))
            return False
        used = False
        for part, part_kind in _parts(value, kind or ""):
            found = normalise(part, part_kind) if part_kind else normalise(part)
            if found:
                self.out.add(found, self.base | (self.line or self.entry), note)
                used = True
        if not used:
            self.out.problem(self.where(), f"no indicator of type {kind}" if kind else "no indicator", value)
        return used

    # MISP

    def _misp(self, event: dict[str, Any]) -> None:
        """Attributes of an event and of its objects. `to_ids` false stays in the set, with a note."""
        lists = [event.get("Attribute")]
        lists += [o.get("Attribute") for o in event.get("Object") or () if isinstance(o, dict)]
        for attributes in lists:
            for item in attributes if isinstance(attributes, list) else ():
                self.entry += 1
                if not isinstance(item, dict):
                    self.out.problem(self.where(), "an attribute that is no object")
                    continue
                kind = str(item.get("type", ""))
                if not any(known_type(k) for k in kind.split("|")):
                    self.out.problem(self.where(), f"attribute type {kind[:40]} is not swept for",
                                     str(item.get("value", "")))
                    continue
                comment = str(item.get("comment") or "")
                note = comment if item.get("to_ids", True) else f"to_ids=false; {comment}".strip("; ")
                self._value(item.get("value"), kind, note)

    # STIX

    def _stix(self, item: Any) -> None:
        if not isinstance(item, dict):
            self.out.problem(self.where(), "a STIX object that is no object")
            return
        kind = item.get("type")
        if kind in _STIX_OBJECTS:
            self._value(item.get("value"), _STIX_OBJECTS[str(kind)])
        elif kind == "file" and isinstance(item.get("hashes"), dict):
            for value in item["hashes"].values():
                self._value(value, None) if isinstance(value, str) and len(value) in HASH_TYPES else None
        elif kind == "indicator":
            notes = [str(item.get("name") or "")]
            notes += ["revoked"] if item.get("revoked") is True else []
            notes += [f"valid until {item['valid_until']}"] if isinstance(item.get("valid_until"), str) else []
            if item.get("pattern_type", "stix") != "stix":
                self.out.problem(self.where(), f"pattern of type {str(item.get('pattern_type'))[:40]} is not swept for")
                return
            self._pattern(item.get("pattern"), "; ".join(n for n in notes if n))

    def _pattern(self, pattern: Any, note: str) -> None:
        if not isinstance(pattern, str) or len(pattern) > _MAX_PATTERN:
            self.out.problem(self.where(), "a pattern that is missing or too long")
            return
        simple = _SIMPLE_PATTERN.match(pattern)
        if simple:
            value = re.sub(r"\\(.)", r"\1", simple[3])
            self._comparison(simple[1], simple[2].replace("'", "").split("."), "=", value, note)
            return
        for kind, path, operator, value in self._parse(pattern):
            self._comparison(kind, path, operator, value, note)

    def _parse(self, pattern: str) -> Iterator[tuple[str, list[str], str, str]]:
        from stix2patterns.exceptions import ParseException
        from stix2patterns.v21.pattern import Pattern

        if re.sub(_LITERAL, "", pattern).count("(") > 50:
            self.out.problem(self.where(), "a pattern nested too deeply", pattern)
            return
        try:
            parts = Pattern(pattern).inspect()
        except (ParseException, RecursionError, ValueError) as error:
            self.out.problem(self.where(), f"unreadable pattern: {str(error)[:120]}", pattern)
            return
        bare = _LITERAL.sub("", pattern)
        joined = re.search(r"\b(AND|FOLLOWEDBY|WITHIN|REPEATS|START)\b", bare)
        if joined:
            # Sweeping looks for single values: the condition is said, its values are looked for.
            self.out.problem(
                self.where(), f"pattern part not applied: {joined[1]}; its values are looked for one by one", pattern)
        for kind, comparisons in parts.comparisons.items():
            for path, operator, value in comparisons:
                literals = list(_LITERAL.finditer(str(value)))
                for literal in literals if operator.endswith("IN") else literals[:1]:
                    yield kind, [str(p) for p in path], operator, re.sub(r"\\(.)", r"\1", literal[1])

    def _comparison(self, kind: str, path: list[str], operator: str, value: str, note: str) -> None:
        field_name = path[-1] if path else ""
        if operator not in ("=", "IN", "ISSUBSET"):
            self.out.problem(self.where(), f"comparison {operator} is not swept for",
                             f"{kind}:{'.'.join(path)} {value}")
        elif kind == "file" and "hashes" in path:
            self._value(value, None, note)
        elif kind in _STIX_OBJECTS and field_name == "value":
            self._value(value, "cidr" if operator == "ISSUBSET" else _STIX_OBJECTS[kind], note)
        elif kind in ("network-traffic", "email-message") and field_name == "value":
            self._value(value, None, note)
        else:
            self.out.problem(self.where(), f"{kind}:{'.'.join(path)} is not swept for", value)


