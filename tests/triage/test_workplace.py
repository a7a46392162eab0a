"""The work folder: finished parts survive, half-written ones never count, one run at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hikeshi.errors import OutputError, UsageError
from hikeshi.evidence.source import Source
from hikeshi.triage.workplace import open_workplace

SOURCE = Source(Path("x"), "DC01/Security.evtx", "ab" * 32, 10)


def test_a_part_counts_only_when_it_was_finished(tmp_path):
    with open_workplace(tmp_path, "s") as place:
        key = place.key(SOURCE)
        (place.doing / key).mkdir()
        (place.doing / key / "result.json").write_text("{}")
        assert not place.is_done(key)
        place.finish(key)
        assert place.is_done(key)


def test_a_finished_part_survives_a_run_that_fails(tmp_path):
    with pytest.raises(RuntimeError), open_workplace(tmp_path, "s") as place:
        key = place.key(SOURCE)
        (place.doing / key).mkdir()
        (place.doing / key / "result.json").write_text("{}")
        place.finish(key)
        (place.doing / "half").mkdir()
        raise RuntimeError
    with open_workplace(tmp_path, "s") as place:
        assert place.is_done(key) and not any(place.doing.iterdir())


def test_other_settings_other_bytes_or_another_name_are_another_part(tmp_path):
    with open_workplace(tmp_path, "s") as place:
        key = place.key(SOURCE)
    with open_workplace(tmp_path, "t") as place:
        assert place.key(SOURCE) != key
    with open_workplace(tmp_path, "s") as place:
        assert place.key(Source(Path("y"), SOURCE.name, SOURCE.sha256, 10)) == key
        assert place.key(Source(Path("x"), "other", SOURCE.sha256, 10)) != key
        assert place.key(Source(Path("x"), SOURCE.name, "cd" * 32, 10)) != key


def test_a_second_run_is_refused_while_the_first_one_lives(tmp_path):
    with open_workplace(tmp_path, "s"), pytest.raises(UsageError, match="another triage run"), \
            open_workplace(tmp_path, "s"):
        pass


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path):
    code = ("import os, sys; from pathlib import Path; from hikeshi.triage.workplace import open_workplace\n"
            "with open_workplace(Path(sys.argv[1]), 's'): os._exit(9)")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False,
                   env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")})
    assert (tmp_path / ".work" / "lock").exists()
    with open_workplace(tmp_path, "s") as place:
        assert place.root.is_dir()


def test_nothing_is_left_after_a_run_that_completes(tmp_path):
    with open_workplace(tmp_path, "s"):
        pass
    assert not (tmp_path / ".work").exists()


def test_a_place_that_can_not_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't write"), open_workplace(tmp_path / "file", "s"):
        pass
