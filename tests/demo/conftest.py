"""The three worked incidents, written once for all tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hikeshi.demo import scenarios, write_scenario

NAMES = [s.name for s in scenarios()]


@dataclass(frozen=True)
class Written:
    name: str
    folder: Path
    truth: dict[str, Any]

    def file(self, name: str) -> Path:
        return self.folder / name


@pytest.fixture(scope="session")
def all_written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    root = tmp_path_factory.mktemp("demo")
    out = {}
    for name in NAMES:
        write_scenario(name, root / name / "evidence")
        truth = json.loads((root / name / "truth.json").read_text("utf-8"))
        out[name] = Written(name, root / name / "evidence", truth)
    return out


@pytest.fixture(params=NAMES)
def written(request: pytest.FixtureRequest, all_written: dict[str, Written]) -> Written:
    return all_written[request.param]
