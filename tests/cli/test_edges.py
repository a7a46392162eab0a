"""Commands as a shell sees them: pipes, signals, terminals, encodings, full disks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SQUID = "".join(f"17150000{n:02}.123 45 10.0.0.{n % 3} TCP_MISS/200 512 GET http://evil.example/{n} - "
                "HIER_DIRECT/203.0.113.9 text/html\n" for n in range(60))
posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell's business")


def environment(tmp_path, **more):
    return {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HIKESHI_CACHE": str(tmp_path / "cache"), **more}


def hikeshi(tmp_path, *arguments, env=None, **more):
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "check": False, "timeout": 120, **more}
    return subprocess.run([sys.executable, "-m", "hikeshi", *map(str, arguments)],
                          env=environment(tmp_path, **(env or {})), **options)


@pytest.fixture
def log(tmp_path):
    (tmp_path / "証拠 1").mkdir()
    path = tmp_path / "証拠 1" / "プロキシ.log"
    path.write_text(SQUID)
    return path


def test_japanese_output_survives_an_ascii_terminal(tmp_path, log):
    done = hikeshi(tmp_path, "parse", log, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert b"60 events" in done.stdout and b"\\u" in done.stdout and done.stdout.isascii()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_full_disk_is_told_without_a_traceback(tmp_path, log, more):
    with open("/dev/full", "wb") as full:
        done = hikeshi(tmp_path, "parse", log, *more, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4
    assert b"can't write" in done.stderr and b"Next" in done.stderr and b"Traceback" not in done.stderr


@posix
def test_a_reader_that_has_seen_enough_is_neither_found_nor_clean(tmp_path):
    (tmp_path / "a.log").write_text(SQUID * 400)
    with subprocess.Popen([sys.executable, "-m", "hikeshi", "parse", str(tmp_path / "a.log"), "--json"],
                          env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 141
    assert b"Traceback" not in said and b"rror" not in said


def _copies(folder):
    """The copy of standard input: with it the run is inside its folder's care."""
    return [path for path in folder.rglob("*") if path.is_file()]


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_stopped_run_leaves_no_copies_of_evidence_behind(tmp_path, log, number, code):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    fifo = tmp_path / "never"
    os.mkfifo(fifo)
    # Standard input that never ends: the run waits in the middle of its work, its folder made.
    held = os.open(fifo, os.O_RDWR)
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" \
            "import sys; from hikeshi.cli.main import main; sys.exit(main())"
    process = subprocess.Popen([sys.executable, "-c", start, "identify", "-"], stdin=held, stderr=subprocess.PIPE,
                               stdout=subprocess.PIPE, env=environment(tmp_path, TMPDIR=str(temporary)))
    until = time.monotonic() + 120
    while not _copies(temporary) and time.monotonic() < until:
        time.sleep(0.02)
    assert _copies(temporary)
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    os.close(held)
    assert process.returncode == code, said
    assert list(temporary.iterdir()) == []
    assert b"Traceback" not in said and b"stopped" in said


@posix
def test_a_bar_on_the_terminal_does_not_swallow_the_result(tmp_path, log):
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    done = hikeshi(tmp_path, "parse", log, capture_output=False, stdout=subprocess.PIPE, stderr=follower,
                   env={"TERM": "xterm"})
    os.close(follower)
    drawn = os.read(leader, 1 << 16)
    os.close(leader)
    assert "60 events in 1 file" in done.stdout.decode() and b"\x1b" not in done.stdout
    assert b"\x1b" in drawn  # the bar was there


@posix
def test_json_on_a_terminal_is_not_mixed_with_a_bar(tmp_path, log):
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    log.write_text("evil.example")  # a terminal nobody reads holds little
    done = hikeshi(tmp_path, "indicators", log, "--json", capture_output=False, stdout=follower, stderr=follower,
                   env={"TERM": "xterm"})
    os.close(follower)
    drawn = os.read(leader, 1 << 12)
    os.close(leader)
    assert done.returncode == 1 and b"\x1b" not in drawn and drawn.startswith(b'{"value"')


def test_two_runs_with_other_hash_seeds_and_workers_are_equal(tmp_path, log):
    runs = [hikeshi(tmp_path, "indicators", log, log.parent, "--json", "--workers", workers,
                    env={"PYTHONHASHSEED": seed}).stdout for seed, workers in (("1", 1), ("2", 8))]
    assert runs[0] == runs[1] and len(runs[0].splitlines()) > 60
    assert {"value", "type", "start", "end", "text", "warning_lists", "file"} == set(json.loads(runs[0].splitlines()[0]))
