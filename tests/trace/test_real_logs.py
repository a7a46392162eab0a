"""Recorded attacks: nothing breaks, everything told cites a record, and movement that is there is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.evidence.source import Source
from hikeshi.model.case import Case, Identification
from hikeshi.parse.evtx import parse_evtx
from hikeshi.parse.windows import add_ecs_columns
from hikeshi.trace import Digest, build_story, digest

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "evtx" / "files"
HOSTILE = Path(__file__).parents[2].parent / "shared" / "data" / "hostile" / "evtx"


def story_of(path: Path):
    source = Source(path, path.name, "0" * 64, path.stat().st_size, kind="evtx")
    parts = []
    for table in parse_evtx(source):
        add_ecs_columns(table)
        parts.append(digest(source, table))
    return build_story(parts), Digest.merge(parts)


def all_files(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*.evtx")) if folder.is_dir() else []
    if not files:
        pytest.skip("shared data not beside the checkout")
    return files


@pytest.mark.shared
def test_every_recorded_file_gives_a_story_in_which_all_is_cited():
    told = 0
    for path in all_files(FOLDER):
        story, _ = story_of(path)
        answer = Case(Identification(verdict="unknown", confidence="low"), story).to_dict()
        for key, entries in answer.items():
            if isinstance(entries, list) and key != "unknowns":  # those speak of logs that are not there
                assert all(e["records"] for e in entries), (path.name, key)
        told += bool(story.spread)
    assert told >= 8


@pytest.mark.shared
@pytest.mark.parametrize(
    ("number", "step"),
    [
        ("0146", ("10.0.2.17", "WIN-77LTAPHIQ1R", "administrator", "scheduled_task")),
        ("0174", ("04246W-WIN10", "01566S-WIN16-IR", "a-jbrown", "scheduled_task")),
        ("0305", ("10.23.123.11", "SRVDEFENDER01", "admmig", "wmi")),
        ("0556", ("10.23.42.22", "SRVDEFENDER01", "admmig", "psexec_service")),
    ],
)
def test_recorded_movement_is_seen(number, step):
    (path,) = [p for p in all_files(FOLDER) if p.name.startswith(number)]
    story, _ = story_of(path)
    assert step in [(s.source, s.destination, s.account, s.method) for s in story.spread]


@pytest.mark.shared
def test_files_made_to_harm_give_a_story_or_a_refusal():
    from hikeshi.errors import HikeshiError

    for path in all_files(HOSTILE):
        try:
            story_of(path)
        except HikeshiError:
            continue
