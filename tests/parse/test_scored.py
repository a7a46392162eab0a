"""Real log messages with known answers: a floor under the accuracy of formats that have a parser."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import orjson
import pytest

from hikeshi.evidence.source import Source
from hikeshi.parse.registry import parse_source
from hikeshi.parse.windows import add_ecs_columns

SHARED = Path(__file__).parents[2].parent / "shared"
VENDORS = ("squid", "fortigate", "apache", "nginx", "openssh", "windows_event", "paloalto")


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> Iterator[dict]:
    scorer, data = SHARED / "tools" / "score_formats.py", SHARED / "data" / "formats" / "formats.jsonl"
    if not scorer.is_file() or not data.is_file():
        pytest.skip("shared data not beside the checkout")
    spec = importlib.util.spec_from_file_location("score_formats", scorer)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(path):
        file = Path(path)
        out = io.BytesIO()
        source = Source(file, file.name, "", file.stat().st_size, kind="text")
        for table in parse_source(source, zone=UTC, zone_assumed=True):
            add_ecs_columns(table)
            for row in table.iter_rows():
                out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        return 0, out.getvalue().decode()

    rows = [orjson.loads(line) for line in data.read_bytes().splitlines()]
    yield {
        "mine": module.score([r for r in rows if r["vendor"] in VENDORS], run, str(tmp_path_factory.mktemp("mine"))),
        "all": module.score(rows, run, str(tmp_path_factory.mktemp("all"))),
        "each": module.score(rows, run, str(tmp_path_factory.mktemp("each")), True),
    }


@pytest.mark.parametrize(
    ("field", "floor"),
    [("source_ip", 0.95), ("dest_ip", 0.95), ("dest_host", 0.9), ("user", 0.85), ("url", 0.95), ("time", 0.95)],
)
def test_formats_with_a_parser_keep_their_accuracy(scored, field, floor):
    counts = scored["mine"]["fields"][field]
    assert counts["right"] / counts["asserted"] >= floor


@pytest.mark.parametrize(
    ("field", "floor"),
    [("source_ip", 0.97), ("dest_ip", 0.97), ("dest_host", 0.94), ("user", 0.91), ("url", 0.95), ("time", 0.97), ("all", 0.95)],
)
def test_all_makers_together(scored, field, floor):
    counts = scored["all"]["fields"][field]
    assert counts["right"] / counts["asserted"] >= floor


@pytest.mark.parametrize("how", ["mine", "all", "each"])
def test_no_message_is_lost_and_none_crashes(scored, how):
    counts = scored[how]["counts"]
    assert counts["failed"] == 0
    assert counts["unmatched"] == 0
    assert counts["stray"] == 0
