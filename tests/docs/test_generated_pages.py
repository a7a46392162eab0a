"""Generated pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
assert SPEC and SPEC.loader
generate_docs = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate_docs)


@pytest.mark.parametrize("page", sorted(generate_docs.PAGES))
def test_the_page_is_current(page):
    written = (ROOT / "docs" / page).read_text("utf-8")
    assert written == generate_docs.PAGES[page](), "run: PYTHONPATH=src .venv/bin/python tools/generate_docs.py"
