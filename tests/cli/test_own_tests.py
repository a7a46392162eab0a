"""`hikeshi test`: what its last lines say about what ran."""

from __future__ import annotations

import sys

import pytest

from hikeshi.cli import test as own_tests


@pytest.fixture
def wrapper(tmp_path, monkeypatch):
    """Stands in for the script that starts PostgreSQL."""
    def write(code: str):
        path = tmp_path / "postgres.py"
        path.write_text(code)
        monkeypatch.setattr(own_tests, "POSTGRES", path)
    return write


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.setattr(own_tests, "ROOT", tmp_path)
    folder = tmp_path / "tests" / "one"
    folder.mkdir(parents=True)

    def write(code: str) -> tuple[str, ...]:
        (folder / "test_it.py").write_text(f"import os, pytest\n{code}")
        return (str(folder), "-p", "no:django", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(tmp_path))
    return write


def test_without_postgresql_the_group_is_skipped_and_says_why(wrapper):
    wrapper("import sys\nprint('PostgreSQL is not installed', file=sys.stderr)\nsys.exit(75)")
    group = own_tests._on_postgres(1, ())
    assert (group.passed, group.failed, group.skipped) == (0, 0, 1)
    assert group.line().split()[0] == "SKIPPED" and "not installed" in group.line()


def test_with_it_all_folders_are_one_group(wrapper, suite):
    wrapper("import os, subprocess, sys\n"
            "sys.exit(subprocess.run(sys.argv[1:], env=os.environ | {'DATABASE_URL': 'postgres://x'}).returncode)")
    arguments = suite("def test_a(): assert os.environ['DATABASE_URL']\n"
                      "def test_b(): assert False\n"
                      "@pytest.mark.skip(reason='not here')\ndef test_c(): pass\n")
    group = own_tests._on_postgres(1, arguments)
    assert (group.name, group.passed, group.failed, group.skipped) == ("desk on PostgreSQL", 1, 1, 1)
    assert "FAILED" in group.line() and "not here" in group.line()


def test_a_server_that_dies_on_the_way_is_a_failure_not_a_skip(wrapper, suite):
    wrapper("import sys\nsys.exit(0 if sys.argv[1:] == ['true'] else 1)")
    assert own_tests._on_postgres(1, suite("def test_a(): pass\n")).failed == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the desk runs on Linux")
def test_the_real_script_starts_a_server_or_says_why_not(capfd):
    import subprocess

    question = ("import os, psycopg; c = psycopg.connect(os.environ['DATABASE_URL']); "
                "print(c.execute('SHOW fsync').fetchone()[0], c.execute('SELECT 1').fetchone()[0])")
    done = subprocess.run([sys.executable, str(own_tests.POSTGRES), sys.executable, "-c", question],
                          capture_output=True, text=True, timeout=300, check=False)
    if done.returncode == own_tests.NO_POSTGRES:
        assert done.stderr.strip()
        pytest.skip(done.stderr.strip())
    assert done.stdout.split() == ["on", "1"], done.stderr
