"""One part of a power cut, in a process of its own (test_power_cut.py): HIKESHI_DATA lies on the disk that loses power.

prepare                        tables, a handler, all of it on the disk
work START MODE MUTANT COUNT   acknowledgements on stdout until killed; in mode "locked" ends itself after COUNT of them
check FILE                     recovers, compares with the acknowledgements in FILE, prints one JSON object

Mode "busy": web, mail and replies, the database as usual. Mode "locked": another connection holds the database, so that
an acknowledgement rests on the spool alone, and the power fails at the very moment it is given.
MUTANT breaks one promise, here and never in the product: normal, file, folder, early; or "none".
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import django

django.setup()

import desk_work as work  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402

from hikeshi_desk.intake import spool  # noqa: E402

_OPTIONS = settings.DATABASES["default"]["OPTIONS"]
_late: list[Callable[[], object]] = []


def prepare() -> None:
    settings.SPOOL.mkdir(parents=True, exist_ok=True)
    (Path(settings.DATA) / "desk.toml").write_text(work.DESK_TOML)
    call_command("migrate", verbosity=0)
    work.store.prepare()
    work.make_handler()
    connections.close_all()
    os.sync()


def break_promise(mutant: str) -> None:
    if mutant == "normal":
        _OPTIONS["init_command"] = _OPTIONS["init_command"].replace("=FULL", "=NORMAL")
    elif mutant in ("file", "folder"):
        is_forgotten = stat.S_ISREG if mutant == "file" else stat.S_ISDIR
        sync = os.fsync
        os.fsync = lambda handle: None if is_forgotten(os.fstat(handle).st_mode) else sync(handle)
    elif mutant == "early":
        write = spool.write
        spool.write = lambda *what: _late.append(partial(write, *what))
    elif mutant != "none":
        raise SystemExit(f"unknown mutant {mutant}")


def busy(start: int) -> None:
    work.recover()
    for number in range(start, start + 100_000):
        acknowledgement = work.mail(number) if number % 5 == 4 else work.web(number)
        say(acknowledgement)
        say(work.reply(number, work.finish(acknowledgement)))


def locked(start: int, count: int) -> None:
    _OPTIONS["timeout"] = 0.01
    logging.disable()  # each submission would be told as not in the database yet
    holder = sqlite3.connect(settings.DATABASES["default"]["NAME"], isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for number in range(start, start + count):
        for unwritten in _late:
            unwritten()
        _late.clear()
        say(work.web(number))
    os.kill(os.getpid(), signal.SIGKILL)


def say(acknowledgement: str) -> None:
    os.write(1, f"{acknowledgement}\n".encode())


def main(part: str, *given: str) -> None:
    if part == "prepare":
        prepare()
    elif part == "work":
        start, mode, mutant, count = given
        break_promise(mutant)
        busy(int(start)) if mode == "busy" else locked(int(start), int(count))
    else:
        recovery = work.recover()
        lines = [line for line in Path(given[0]).read_text().splitlines() if line]
        print(json.dumps({"recovery s": round(recovery, 3), **work.check(lines)}, ensure_ascii=False))
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
