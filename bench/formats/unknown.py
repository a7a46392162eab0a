#!/usr/bin/env python3
"""What a maker's lines give when its parser is missing: the generic path, one maker left out at a time.

    bench/formats/unknown.py FORMATS.jsonl --scorer score_formats.py [--all] [--json]

FORMATS.jsonl holds real lines with the fields they must give; score_formats.py says which are right
(both lie outside this repository). For each maker the modules that read its lines are switched off,
and its lines are read and scored again. `--all` switches every maker's module off at once: what is left
is key=value, JSON, CSV, CEF, LEEF, W3C, syslog and plain text. Printed: share of right fields with and
without, and how sure the columns were (parser.confidence; "-" where a generic standard such as CEF or
syslog's own header gave them).
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))

from hikeshi.evidence.source import Source
from hikeshi.parse import cloud
from hikeshi.parse.format import KNOWN
from hikeshi.parse.registry import parse_source
from hikeshi.parse.windows import add_ecs_columns

GENERIC = frozenset({"w3c", "cef", "leef", "json", "keyvalue", "csv", "syslog", "mixed", "text", "evtx"})
FIELDS = ("source_ip", "dest_ip", "dest_host", "user", "url", "time", "all")


@contextmanager
def without(names: set[str]) -> Iterator[None]:
    """The table as it would be if these formats had no module."""
    kept = cloud.MAKERS
    cloud.MAKERS = tuple(maker for maker in kept if maker.name not in names)
    try:
        with KNOWN.without(names):
            yield
    finally:
        cloud.MAKERS = kept


def modules_of(datasets: set[str]) -> set[str]:
    """The formats that write one of these datasets, without the generic ones."""
    return {
        row.name
        for row in KNOWN.rows
        if row.name not in GENERIC and any(fnmatch.fnmatch(d, pattern) for d in datasets for pattern in row.datasets)
    }


def read(path: str, confidence: Counter[str], datasets: set[str]) -> tuple[int, str]:
    file = Path(path)
    lines = []
    source = Source(file, file.name, "", file.stat().st_size, kind="text")
    for table in parse_source(source, zone=UTC, zone_assumed=True):
        add_ecs_columns(table)
        for row in table.iter_rows():
            lines.append(json.dumps(row))
            confidence[row.get("parser.confidence", "-")] += 1
            datasets.add(row.get("event.dataset", ""))
    return 0, "\n".join(lines)


def score(scorer: Any, rows: list[dict[str, Any]]) -> tuple[dict[str, Any], Counter[str], set[str]]:
    confidence: Counter[str] = Counter()
    datasets: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        result = scorer.score(rows, lambda path: read(path, confidence, datasets), folder)
    return result["fields"], confidence, datasets


def share(fields: dict[str, Any], name: str) -> str:
    counts = fields.get(name)
    return f"{counts['right'] / counts['asserted']:.3f}" if counts and counts["asserted"] else "  -  "


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formats", type=Path)
    parser.add_argument("--scorer", type=Path, required=True)
    parser.add_argument("--all", action="store_true", help="every maker's module off at once")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    spec = importlib.util.spec_from_file_location("scorer", given.scorer)
    assert spec is not None and spec.loader is not None
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    by_vendor: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in given.formats.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        by_vendor[row["vendor"]].append(row)
    every = {row.name for row in KNOWN.rows} - GENERIC
    total: dict[str, Counter[str]] = defaultdict(Counter)
    if not given.json:
        print(
            f"{'maker':16s} {'lines':>5s}  {'with':>5s}  without: "
            + "  ".join(f"{f:>9s}" for f in FIELDS)
            + "  confidence"
        )
    for vendor, rows in sorted(by_vendor.items()):
        fields_with, _, datasets = score(scorer, rows)
        off = every if given.all else modules_of(datasets)
        if not off:
            continue
        with without(off):
            fields, confidence, _ = score(scorer, rows)
        for name, counts in fields.items():
            total[name].update(counts)
        sure = " ".join(f"{k}:{v}" for k, v in sorted(confidence.items()))
        if given.json:
            print(
                json.dumps(
                    {
                        "maker": vendor,
                        "lines": len(rows),
                        "off": sorted(off),
                        "with": fields_with,
                        "without": fields,
                        "confidence": confidence,
                    }
                )
            )
        else:
            print(
                f"{vendor:16s} {len(rows):5d}  {share(fields_with, 'all')}           "
                + "  ".join(f"{share(fields, f):>9s}" for f in FIELDS)
                + f"  {sure}"
            )
    if not given.json:
        print(f"{'together':16s} {'':5s}  {'':5s}           " + "  ".join(f"{share(total, f):>9s}" for f in FIELDS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
