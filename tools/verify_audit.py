#!/usr/bin/env python3
"""Check a desk's audit log without the desk: Python's standard library only, one file, read-only.

    python3 verify_audit.py EXPORT.jsonl|desk.sqlite3 [--head NUMBER:DIGEST] [--head-file FILE]

Reads what `hikeshi desk audit-export` wrote, or the desk's SQLite file itself. Every row's digest covers the row and
the digest before it, so a changed, removed, added or moved row breaks the chain. Rows cut off at the end leave a
whole chain: only a head that was noted elsewhere (`hikeshi desk audit-head`) shows that.

Exit code: 0 the log holds, 1 it was changed, 2 wrong use, 3 it can't be read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

FIRST = "0" * 64
KEYS = ["act", "actor", "at", "detail", "digest", "previous", "sequence", "subject"]
LONGEST_LINE = 10_000_000


class Changed(Exception):
    """A row that is not what the log wrote."""


class Unreadable(Exception):
    """No audit log, or none that can be opened."""


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            is_database = file.read(16) == b"SQLite format 3\0"
    except OSError as error:
        raise Unreadable(str(error)) from error
    yield from from_database(path) if is_database else from_lines(path)


def from_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE):
            yield parsed(line)


def parsed(line: bytes) -> dict[str, Any]:
    """The row of one line; a line that the export would not have written in these very bytes is a changed one."""
    try:
        row = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Changed("not a line of an export") from error
    if not isinstance(row, dict) or sorted(row) != KEYS:
        raise Changed("not the fields of a row")
    if canonical(row) + b"\n" != line:
        raise Changed("not written as the export writes it")
    return row


def from_database(path: Path) -> Iterator[dict[str, Any]]:
    try:
        database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        found = database.execute("SELECT sequence, at, actor, act, subject, detail, previous, digest"
                                 " FROM audit_entry ORDER BY sequence, id")
        for sequence, at, actor, act, subject, detail, previous, digest in found:
            try:
                yield {"sequence": sequence, "at": iso(at), "actor": actor, "act": act, "subject": subject,
                       "detail": json.loads(detail, parse_constant=_refuse), "previous": previous, "digest": digest}
            except (ValueError, TypeError, RecursionError) as error:
                raise Changed("not a row of the log") from error
        database.close()
    except sqlite3.Error as error:
        raise Unreadable(f"{path}: {error}") from error


def iso(at: str) -> str:
    """The database's UTC without a zone, as the digest has it."""
    moment = datetime.fromisoformat(at)
    if moment.tzinfo is not None:
        raise ValueError("a zone in the database")
    return moment.isoformat(timespec="microseconds") + "+00:00"


def canonical(value: object) -> bytes:
    line = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return line.encode("utf-8", "surrogatepass")


def check(path: Path, heads: dict[int, str]) -> tuple[int, str]:
    """Number and digest of the last row. Raises Changed with the first row that does not hold, or Unreadable."""
    expected, previous = 1, FIRST
    rows = rows_of(path)
    while True:
        try:
            row = next(rows, None)
            if row is None:
                break
            if not isinstance(row["sequence"], int) or row["sequence"] != expected:
                raise Changed(f"found number {row['sequence']} in its place")
            if row["previous"] != previous:
                raise Changed("does not follow the row before it")
            content = {key: row[key] for key in KEYS if key != "digest"}
            if row["digest"] != hashlib.sha256(canonical(content)).hexdigest():
                raise Changed("its content is not what its digest says")
            if heads.get(expected, row["digest"]) != row["digest"]:
                raise Changed("differs from the head that was noted")
        except Changed as changed:
            raise Changed(f"row {expected}: {changed}") from changed
        expected, previous = expected + 1, row["digest"]
    missing = max(heads, default=0)
    if missing >= expected:
        raise Changed(f"row {expected}: missing; a head of row {missing} was noted")
    return expected - 1, previous


def head_of(words: str) -> tuple[int, str]:
    """NUMBER:DIGEST, or the line that `audit-head --save` wrote."""
    if words.lstrip().startswith("{"):
        told = json.loads(words)
        number, digest = told["sequence"], told["digest"]
    else:
        number, digest = words.strip().replace(":", " ").split()[:2]
    is_number = str(number).isascii() and str(number).isdigit()
    if not is_number or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError(words)
    return int(number), digest


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a desk's audit log.")
    parser.add_argument("log", type=Path, help="export (JSON Lines) or the desk's SQLite file")
    parser.add_argument("--head", action="append", default=[], help="NUMBER:DIGEST as audit-head printed it")
    parser.add_argument("--head-file", action="append", default=[], type=Path, help="what audit-head --save wrote")
    given = parser.parse_args(arguments)
    heads: dict[int, str] = {}
    try:
        saved = [line for path in given.head_file for line in path.read_text().splitlines() if line]
        for number, digest in map(head_of, [*given.head, *saved]):
            if number and heads.setdefault(number, digest) != digest:  # number 0, an empty log, says nothing
                parser.error(f"two different heads for row {number}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"no head: {error}")
    try:
        number, digest = check(given.log, heads)
    except Changed as changed:
        print(f"CHANGED {changed}")
        return 1
    except (Unreadable, OSError) as error:
        print(f"can't be read: {error}", file=sys.stderr)
        return 3
    print(f"holds: {number:,} rows, head {number}:{digest}")
    if not heads:
        print("Without a head noted earlier, rows cut off at the end can't be seen (--head).", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
