"""The cache makes things faster and never matters otherwise."""

from __future__ import annotations

import sys

import pytest

from hikeshi.knowledge.cache import cached


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "knowledge"


def test_the_second_call_reads_what_the_first_built(folder):
    assert cached("a", "1", lambda: {"x": [1]}) == {"x": [1]}
    assert cached("a", "1", lambda: pytest.fail("built again")) == {"x": [1]}


def test_another_key_builds_again(folder):
    cached("a", "1", lambda: 1)
    assert cached("a", "2", lambda: 2) == 2


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_a_damaged_cache_is_built_again(folder, content):
    cached("a", "1", lambda: 1)
    for path in folder.glob("a-*.json"):
        path.write_bytes(content)
    assert cached("a", "1", lambda: 2) == 2


def test_an_unwritable_place_does_not_matter(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("HIKESHI_CACHE", str(blocked / "cache"))
    assert cached("a", "1", lambda: 3) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_folder_that_others_may_write_to_is_not_believed(folder):
    cached("a", "1", lambda: 1)
    folder.chmod(0o777)
    assert cached("a", "1", lambda: 2) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_the_folder_is_private(folder):
    cached("a", "1", lambda: 1)
    assert folder.stat().st_mode & 0o077 == 0


def test_without_a_home_folder_it_still_works(monkeypatch):
    monkeypatch.delenv("HIKESHI_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    from pathlib import Path

    def nowhere():
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", nowhere)
    assert cached("a", "1", lambda: 4) == 4
