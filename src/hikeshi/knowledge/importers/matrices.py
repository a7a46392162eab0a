"""Vulnerabilities and tools by family or actor, from folders of markdown tables.

A table is understood by its headings: one with a CVE column is about vulnerabilities, one with a tool column and a
group column, or one whose headings are tactics (in a file named after a group), about tools. Other tables are
passed over. Records, all strings unless said otherwise:

cves   cve, product, families (list), reported (ISO date or ""), links (list), place
tools  tool, tactic, family, links (list), place
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path

from hikeshi.errors import InputError, Location
from hikeshi.knowledge.importers.folder import Imported, Origin, content_hash, describe, files, read_bytes
from hikeshi.knowledge.importers.markdown import BadRow, Row, links, plain, rows, several

MAX_MARKDOWN = 4 << 20
MAX_RECORDS = 200_000
_CVE = re.compile(r"\bCVE-(\d{4})-(\d{4,7})\b", re.I | re.A)
_GROUP = re.compile(r"\b(?:ransomware|group|actor|famil|gang|used by)", re.I)
_TACTIC_WORDS = ("discovery", "rmm", "remote", "evasion", "credential", "offsec", "networking", "lolbas",
                 "exfiltration", "persistence", "lateral", "execution", "impact", "access", "command", "collection",
                 "reconnaissance", "privilege", "resource")
_ISO = re.compile(r"\b(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2}))?\b", re.A)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def read_vulnerabilities(origin: Origin) -> Imported:
    """CVEs with who was reported to use them. Raises InputError when the folder can't be read."""
    return _read(origin, "vulnerabilities", "Vulnerabilities by ransomware", _cves)


def read_tools(origin: Origin) -> Imported:
    """Tools by tactic with who was reported to use them. Raises InputError."""
    return _read(origin, "tools", "Tools by ransomware", _tools)


def _read(origin: Origin, one: str, name: str, understand: Callable[[Imported, Row, str, str], None]) -> Imported:
    contents: dict[Path, bytes] = {}
    found = Imported(describe(origin, one, name, content=""))
    for path in files(origin.path, (".md", ".markdown")):
        place = path.relative_to(origin.path).as_posix()
        try:
            contents[path] = read_bytes(path, MAX_MARKDOWN)
            text = contents[path].decode("utf-8-sig")
        except (InputError, UnicodeDecodeError) as error:
            found.reject(place, error.what if isinstance(error, InputError) else "not UTF-8")
            continue
        for row in rows(text):
            where = f"{place}:{row.line}"
            if isinstance(row, BadRow):
                found.reject(where, row.why)
                continue
            if len(found.records) > MAX_RECORDS:
                raise InputError(f"more than {MAX_RECORDS:,} records", source=Location(str(origin.path)))
            understand(found, row, where, path.stem)
    if not contents:
        raise InputError("the folder holds no markdown file", source=Location(str(origin.path)))
    found.source = describe(origin, one, name, content=content_hash(origin.path, contents))
    return found


def _cves(found: Imported, row: Row, place: str, stem: str) -> None:
    at = _column(row, lambda head: "cve" in head)
    if at is None:
        return
    ids = sorted({f"CVE-{year}-{number}" for year, number in _CVE.findall(_hyphens(row.cells[at]))})
    if not ids:
        found.reject(place, "no CVE number in its column")
        return
    product = _column(row, lambda head: any(word in head for word in ("product", "software", "vendor", "system")))
    group = _column(row, lambda head: bool(_GROUP.search(head)))
    families = several(row.cells[group]) if group is not None else []
    if not families:
        found.reject(place, "nobody is named")
        return
    told = _column(row, lambda head: "date" in head or "seen" in head or "reported" in head)
    reported = day(plain(row.cells[told])) if told is not None else ""
    found.records += [{
        "cve": one, "product": plain(row.cells[product])[:200] if product is not None else row.heading[:200],
        "families": families, "reported": reported, "links": links(" ".join(row.cells))[:10], "place": place,
    } for one in ids]


def _tools(found: Imported, row: Row, place: str, stem: str) -> None:
    tool = _column(row, lambda head: "tool" in head and not any(word in head for word in _TACTIC_WORDS))
    group = _column(row, lambda head: bool(_GROUP.search(head)))
    if tool is not None and group is not None and tool != group:
        tactic = _column(row, lambda head: "tactic" in head or "category" in head)
        name, families = plain(row.cells[tool])[:120], several(row.cells[group])
        if not name or not families:
            found.reject(place, "no tool, or nobody who uses it")
            return
        found.records += [{"tool": name, "family": family, "links": links(row.cells[group])[:10], "place": place,
                           "tactic": plain(row.cells[tactic]) if tactic is not None else _words(stem)}
                          for family in families]
    elif len(row.header) >= 2 and all(any(word in head for word in _TACTIC_WORDS) for head in row.header):
        for head, cell in zip(row.header, row.cells, strict=True):
            found.records += [{"tool": name, "family": _words(stem), "links": links(cell)[:10], "place": place,
                               "tactic": head} for name in several(cell)]


def _column(row: Row, wanted: Callable[[str], bool]) -> int | None:
    return next((at for at, head in enumerate(row.header) if wanted(head)), None)


def day(text: str) -> str:
    """A date as ISO 8601 (a month as its first day), or "" where the text holds none we know."""
    found = _ISO.search(text[:60])
    parts = (found[1], found[2], found[3] or "1") if found else _spelt(text[:60])
    try:
        one = date(int(parts[0]), int(parts[1]), int(parts[2])) if parts else None
    except ValueError:
        one = None
    return one.isoformat() if one and 1990 <= one.year <= 2100 else ""


def _spelt(text: str) -> tuple[str, str, str] | None:
    """Year, month and day of "25 April 2025", "Apr 25th, 2025" or "April 2025"; English, in any locale."""
    words = re.findall(r"[A-Za-z]{3,9}|\d{1,4}", re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text))
    month = next((str(at) for word in words for at, name in enumerate(_MONTHS, 1) if word[:3].lower() == name), None)
    year = next((word for word in words if word.isdigit() and len(word) == 4), None)
    if month is None or year is None:
        return None
    return year, month, next((word for word in words if word.isdigit() and len(word) <= 2), "1")


def _hyphens(text: str) -> str:
    return re.sub(r"[‐‑‒–—−]", "-", text)


def _words(stem: str) -> str:
    return re.sub(r"[_-]+", " ", stem)[:120]

