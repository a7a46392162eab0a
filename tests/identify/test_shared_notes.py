"""Real notes, where they lie beside the checkout: names given must be right, whatever the recall."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from hikeshi.identify import Input, examine_input
from hikeshi.knowledge import galaxy
from hikeshi.knowledge.families import Families, compact

SHARED = Path(__file__).parents[2].parent / "shared"
NOTES = SHARED / "data" / "notes"

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def scorer() -> ModuleType:
    tool = SHARED / "tools" / "score_identify.py"
    if not NOTES.is_dir() or not tool.is_file():
        pytest.skip("shared data not beside the checkout")
    spec = importlib.util.spec_from_file_location("score_identify", tool)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_names_given_from_package_knowledge_alone_are_right(scorer, tmp_path):
    """Without observed.toml, whose facts come from these very notes."""
    families = Families(compact(galaxy.families(), []))
    with (NOTES / "labels.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    records = {}
    for row in rows:
        answer = examine_input(Input(row["path"], data=(NOTES / row["path"]).read_bytes()), families).answer
        records[row["path"].rsplit(".", 1)[0]] = answer.to_dict()
    answers = tmp_path / "answers.jsonl"
    import orjson

    answers.write_bytes(b"\n".join(orjson.dumps(record) for record in records.values()))
    cell = scorer.score(str(NOTES / "labels.tsv"), str(answers))["variants"]["clean"]["known"]
    assert cell["missing"] == 0
    assert cell["right"] >= 180
    assert cell["right"] / (cell["right"] + cell["wrong"]) >= 0.97
    assert cell["denied"] <= 8
