"""The timeline for other tools: CSV (opens in a spreadsheet), JSON Lines, Timesketch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

import orjson

from hikeshi.events.schema import FIELDS, TIME
from hikeshi.model.text import plain
from hikeshi.timeline.rows import Row

COLUMNS = ("time_utc", "level", "host", "account", "finding_ja", "finding_en", "tactics", "techniques", "detail",
           "dataset", "code", "path", "record_id", "line", "recovered")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(rows: Iterable[Row]) -> Iterator[bytes]:
    """UTF-8 with a mark, so that spreadsheets read Japanese; a quote before text that a spreadsheet would run."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    yield b"\xef\xbb\xbf" + _taken(out)
    for row in rows:
        said = ("; ".join(dict.fromkeys(t.ja for t in row.titles)), "; ".join(dict.fromkeys(t.en for t in row.titles)))
        writer.writerow([_harmless(value) for value in (
            row.time, row.level, row.host, row.account, *said, " ".join(row.tactics), " ".join(row.techniques),
            row.detail, row.dataset, row.code, row.path)] + [
                "" if n is None else n for n in (row.record_id, row.line, row.recovered)])
        yield _taken(out)


def as_jsonl(rows: Iterable[Row]) -> Iterator[bytes]:
    """All that the CSV has, and the whole record under `event`."""
    for row in rows:
        yield _line({"time": row.time or None, "level": row.level or None, "host": row.host, "account": row.account,
                     "titles": [t.to_dict() for t in row.titles], "kinds": list(row.kinds),
                     "tactics": list(row.tactics), "techniques": list(row.techniques), "findings": list(row.findings),
                     "detail": row.detail, "path": row.path, "record_id": row.record_id, "line": row.line,
                     "recovered": row.recovered or None,
                     "event": dict(row.event)})


def as_timesketch(rows: Iterable[Row], *, language: str = "ja") -> Iterator[bytes]:
    """JSON Lines as Timesketch takes it; a row without a time has no place there and is left out."""
    for row in rows:
        if row.at is None:
            continue
        titles = dict.fromkeys(t.ja if language == "ja" else t.en for t in row.titles)
        said = {name: value for name, value in row.event.items() if name not in (TIME, FIELDS)}
        said |= {f"field.{name}": value for name, value in (row.event.get(FIELDS) or {}).items()}
        yield _line({**said, "message": ": ".join(p for p in ("; ".join(titles), row.detail) if p) or row.path,
                     "datetime": row.time, "timestamp": row.at, "timestamp_desc": "Event Logged",
                     "tag": [*((row.level, *row.tactics, *row.techniques) if row.level else ()),
                             *((f"recovered-{row.recovered}",) if row.recovered else ())],
                     "hostname": row.host, "username": row.account, "data_type": f"hikeshi:{row.dataset or 'file'}",
                     "evidence": row.place})


def as_dicts(rows: Iterable[Mapping[str, object]], form: str) -> Iterator[bytes]:
    """Flat rows (logons, values) as "jsonl" or "csv"; a CSV's heading is the first row's names."""
    out = io.StringIO()
    writer = csv.writer(out)
    for number, row in enumerate(rows):
        if form == "jsonl":
            yield _line(dict(row))
            continue
        if not number:
            writer.writerow(row)
            yield b"\xef\xbb\xbf" + _taken(out)
        writer.writerow(["" if v is None else _harmless(v) if isinstance(v, str) else v for v in row.values()])
        yield _taken(out)


def _line(tree: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(tree, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:  # lone surrogates: bytes that no encoding explains
        return orjson.dumps(_clean(tree), option=orjson.OPT_APPEND_NEWLINE)


def _clean(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {str(_clean(k)): _clean(v) for k, v in value.items()}
    return [_clean(v) for v in value] if isinstance(value, list | tuple) else value


def _harmless(text: str) -> str:
    shown = plain(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode("utf-8", "backslashreplace")
