"""The power fails: what was acknowledged is on the disk, and this test would see it if it were not.

The desk writes to an ext4 image that commits its journal only when asked (commit=60). At the cut the writer is killed
and the image's backing file copied: what the kernel had not yet written to the "disk" is not in the copy, just as
after a real cut. The copy is mounted (its journal replayed), the desk started on it, and compared with what came out
of the pipe. Needs root and loop devices. HIKESHI_TEST_CUTS asks for more cuts than 4.

Each of four mutants breaks one promise and must be seen. Two of them only lose the newest acknowledgement, and only
while the database takes nothing: otherwise its own journal write carries the folder's entry along (ext4).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from hikeshi.errors import HikeshiError

DRIVER = Path(__file__).with_name("cut_driver.py")
CUTS, SEED = int(os.environ.get("HIKESHI_TEST_CUTS", "4")), int(os.environ.get("HIKESHI_TEST_SEED", "11"))
SOUND = {"lost": [], "unopened": [], "doubled": [], "answered twice": [], "half there": [], "unequal": [],
         "left behind": [], "audit breaks at": None}
pytestmark = [pytest.mark.any_database,  # SQLite's, always; PostgreSQL keeps its own promise
              pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0,
                                 reason="the power-cut test needs root on Linux: it mounts a disk image")]


class NoDisk(HikeshiError):
    """No loop device can be mounted here."""


@contextmanager
def mounted(image: Path) -> Iterator[Path]:
    point = image.with_suffix(".mounted")
    point.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-o", "loop,commit=60", image, point], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoDisk(done.stderr.strip())
    try:
        yield point
    finally:
        for _ in range(50):
            if subprocess.run(["umount", point], capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        else:
            subprocess.run(["umount", "-l", point], check=False)


def drive(*what: object) -> list[str]:
    return [sys.executable, str(DRIVER), *map(str, what)]


def environment(data: Path) -> dict[str, str]:
    return {**os.environ, "HIKESHI_DATA": str(data), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings",
            "PYTHONPATH": str(Path(__file__).parents[3] / "src"), "DATABASE_URL": ""}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """An image with an empty desk on it."""
    image = tmp_path_factory.mktemp("disk") / "prepared.img"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    make = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if not make:
        pytest.skip("the power-cut test needs mkfs.ext4")
    subprocess.run([make, "-q", image], check=True)
    try:
        with mounted(image) as disk:
            subprocess.run(drive("prepare"), env=environment(disk / "desk"), check=True, cwd=DRIVER.parent)
    except NoDisk as why:
        pytest.skip(f"the power-cut test needs loop devices: {why.what}")
    return image


def cut(prepared: Path, folder: Path, *, mode: str, mutant: str, chance: random.Random) -> dict[str, object]:
    """Works until the power fails, starts again on what the disk has, and tells what is missing there."""
    image, after = folder / "disk.img", folder / "after.img"
    copy(prepared, image)
    count = chance.randint(1, 4)
    with mounted(image) as disk:
        writer = subprocess.Popen(drive("work", 0, mode, mutant, count), env=environment(disk / "desk"),
                                  cwd=DRIVER.parent, stdout=subprocess.PIPE, text=True, start_new_session=True)
        lines = [writer.stdout.readline()]
        if mode == "busy":  # it works; now let it, for a while
            time.sleep(chance.uniform(0.3, 1.5))
            everybody = psutil.Process(writer.pid).children(recursive=True)
            writer.send_signal(signal.SIGKILL)
            for child in everybody:
                child.kill()
        lines += [line for line in writer.stdout if line.endswith("\n")]
        assert writer.wait() == -signal.SIGKILL
        copy(image, after)
    acknowledged = folder / "acknowledged"
    acknowledged.write_text("".join(lines))
    with mounted(after) as disk:
        done = subprocess.run(drive("check", acknowledged), env=environment(disk / "desk"), cwd=DRIVER.parent,
                              capture_output=True, text=True, timeout=300, check=False)
    for used in (image, after):
        used.unlink()
    if done.returncode:
        return {"acknowledged": len(lines), "failed": done.stderr[-500:]}
    return dict(json.loads(done.stdout))


def copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", source, target], check=True)


def seen(found: dict[str, object]) -> dict[str, object]:
    """What is wrong."""
    if "failed" in found:
        return found
    return {name: found[name] for name, sound in SOUND.items() if found[name] != sound}


def test_nothing_acknowledged_is_lost_or_short_when_the_power_fails(prepared, tmp_path):
    chance, total, short = random.Random(SEED), 0, 0
    for number in range(CUTS):
        found = cut(prepared, tmp_path, mode=("busy", "locked")[number % 2], mutant="none", chance=chance)
        assert seen(found) == {}, f"cut {number}"
        total += int(str(found["acknowledged"]))
        short += len(found["half there"])
    print({"cuts": CUTS, "acknowledged": total, "short": short})
    assert total >= CUTS


@pytest.mark.parametrize(("mutant", "mode", "what"), [
    ("normal", "busy", "lost"),  # the database confirms what is not on the disk
    ("file", "busy", "half there"),  # a file's name is on the disk, its content is not
    ("folder", "locked", "lost"),  # a file's content is on the disk, its name is not
    ("early", "locked", "lost"),  # thanked before it was kept
])
def test_a_broken_promise_is_seen(prepared, tmp_path, mutant, mode, what):
    chance = random.Random(SEED)
    for _ in range(3):
        found = seen(cut(prepared, tmp_path, mode=mode, mutant=mutant, chance=chance))
        if found:
            print(mutant, found)
            assert found.get(what), found
            return
    pytest.fail(f"nobody would notice the mutant '{mutant}'")
