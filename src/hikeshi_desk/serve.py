"""The whole desk as one group of processes: web, jobs, and mail where it is set up.

The parent prepares everything before the first visitor (migrations, the spool, the database's promises),
holds the port, starts the children, starts a dead one again after a growing pause, and stops all of them
together. No line of any log carries a visitor's network address.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hikeshi.errors import Location, OutputError, UsageError

GRACE_S = 10.0  # from "please stop" to the end of whoever does not
HEALTHY_S = 60.0  # a child that ran this long begins again with the shortest pause
LONGEST_PAUSE_S = 30.0
THREADS = 32  # most of them may wait for slow senders; see intake.worker
TAKE_IN_EVERY_S = float(os.environ.get("HIKESHI_TAKE_IN_S", "120"))
LOOK_EVERY_S = 2.0  # for large files that nobody waits for
CALL_EVERY_S = 15.0
MOST_STARTS = 4  # of one job: it is put back three times, then somebody must look at it
_HERE = Path(__file__).parent
Say = Callable[[str], None]


@dataclass
class Child:
    """One process that is kept running."""

    name: str
    command: Sequence[str]
    descriptors: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause_s: float = 1.0
    start_at: float = field(default=0.0)
    mend: Callable[[], object] | None = None  # done before it is started again


def serve(data: Path, *, host: str = "127.0.0.1", port: int | None = 8000, workers: int = 2, say: Say = print,
          furnish: Callable[[str], None] | None = None) -> None:
    """Run until SIGTERM or SIGINT. Raises UsageError (port, second start) or OutputError (folder, database).

    `port` 0 is any free one, None 8000 or, where that is taken, any. `furnish` is called with the desk's address once
    the database is ready, before the first visitor.
    """
    os.umask(0o077)  # database, spool and evidence are the desk's alone
    _prepare_folder(data)
    with _only_one(data), _listener(host, port) as listener:
        os.environ["HIKESHI_DATA"] = str(data.absolute())
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hikeshi_desk.settings")
        bound = listener.getsockname()[1]
        link = prepare(say, furnish and partial(furnish, _address(host, bound)))
        say(f"窓口を開きました。 The desk is open: {_address(host, bound)}/")
        if link:
            say("最初の責任者を登録してください（一度だけ、24時間以内に使えます）。\n"
                f"Set the desk up with this link; it works once, within 24 hours:\n  {_address(host, bound)}{link}")
        supervise(children(listener.fileno(), workers), say)
    say("窓口を閉じました。 stopped.")


def prepare(say: Say, furnish: Callable[[], None] | None = None) -> str | None:
    """Everything before the first visitor; gives the set-up link's path while the desk has no lead."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import DatabaseError, connections

    for folder in (settings.SPOOL, settings.EVIDENCE, settings.STATIC_ROOT):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    from hikeshi_desk.cases import store
    from hikeshi_desk.egress import load_ways

    try:
        store.prepare()
        check_durable()
        call_command("migrate", interactive=False, verbosity=0)
        count_for_planner()
        call_command("clearsessions", verbosity=0)
        again, parked = requeue()
    except DatabaseError as fault:
        raise OutputError(f"the database can't be used: {fault}",
                          hint="check DATABASE_URL, the disk and the rights of the data folder") from fault
    except store.KeyMissing as fault:
        raise OutputError(str(fault), hint="the file evidence-key belongs into the data folder") from fault
    if again:
        say(f"中断していた処理 {again} 件をやり直します。 {again} interrupted jobs will run again.")
    if parked:
        say(f"何度も中断した処理 {parked} 件を止めました。 {parked} jobs were interrupted too often and are parked.")
    load_ways()
    if _has_mail():
        importlib.import_module("hikeshi_desk.mail.keys").check()
    take_in()
    from hikeshi_desk.cases.opening import clear_opened

    clear_opened()
    if furnish:
        furnish()
    from hikeshi_desk.accounts.links import setup_link

    link = setup_link()
    connections.close_all()
    return link


def check_durable() -> None:
    """What was committed is on the disk: WAL and FULL on SQLite, fsync and commit on PostgreSQL."""
    from django.db import connection

    with connection.cursor() as cursor:
        def ask(question: str) -> object:
            cursor.execute(question)
            return cursor.fetchone()[0]

        if connection.vendor == "sqlite":
            found = {"journal_mode": ask("PRAGMA journal_mode"), "synchronous": ask("PRAGMA synchronous")}
            good = found == {"journal_mode": "wal", "synchronous": 2}
        else:
            found = {"fsync": ask("SHOW fsync"), "synchronous_commit": ask("SHOW synchronous_commit")}
            good = found["fsync"] == "on" and found["synchronous_commit"] != "off"
    if not good:
        raise OutputError(f"the database may lose what it confirmed: {found}",
                          hint="SQLite needs WAL and synchronous=FULL (not a network disk); "
                               "PostgreSQL needs fsync=on and synchronous_commit=on")


def count_for_planner() -> None:
    """Without counts SQLite reads every finished case to find a partner's few. A sample of each index."""
    from django.db import connection

    if connection.vendor == "sqlite":  # PostgreSQL counts by itself
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA analysis_limit=1000")
            cursor.execute("ANALYZE")


def children(listener: int, workers: int) -> list[Child]:
    """Web, jobs, and mail once that part has a command of its own."""
    python, scratch = sys.executable, Path("/dev/shm")
    web = [python, "-m", "gunicorn", "hikeshi_desk.wsgi:application", "--bind", f"fd://{listener}",
           "--worker-class", "hikeshi_desk.intake.worker.PatientWorker", "--workers", str(workers),
           "--threads", str(THREADS), "--graceful-timeout", "8", "--no-control-socket",
           # Below "error" it would write the address of whoever sends nonsense.
           "--log-level", "error", "--name", "hikeshi"]
    if scratch.is_dir():
        web += ["--worker-tmp-dir", str(scratch)]  # the heartbeat must not wait for the evidence's disk
    found = [Child("web", web, (listener,)),
             Child("jobs", [python, "-m", "django", "db_worker", "--queue-name", "*", "--no-reload"], mend=requeue),
             Child("intake", [python, "-m", "hikeshi_desk.serve", "intake"]),
             Child("oncall", [python, "-m", "hikeshi_desk.serve", "oncall"])]
    if _has_mail():
        found.append(Child("mail", [python, "-m", "hikeshi_desk.serve", "mail"]))
    return found


def take_in() -> None:
    """Rows and cases for what was acknowledged from the spool while the database was locked or down; analyses that
    a lost signal or a killed job left, and those that newer knowledge may answer differently."""
    from hikeshi_desk.analysis.service import refresh_stale, take_up
    from hikeshi_desk.api import alerts
    from hikeshi_desk.cases.opening import open_waiting
    from hikeshi_desk.intake.submit import replay

    replay()
    open_waiting()
    alerts.open_waiting()
    take_up()
    refresh_stale()


def run_intake() -> None:
    """The intake child, until SIGTERM: files what is large within seconds; looks into the spool for what was left,
    and removes expired sessions, every two minutes."""
    import logging

    import django

    django.setup()
    from django.db import DatabaseError, connections

    from hikeshi_desk.cases.opening import file_large
    from hikeshi_desk.consult.draft import remove_expired

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    stuck, round_at = True, time.monotonic() + TAKE_IN_EVERY_S
    while not stop.wait(min(LOOK_EVERY_S, TAKE_IN_EVERY_S)):
        try:
            file_large(stuck=stuck)
            stuck = time.monotonic() >= round_at
            if stuck:
                round_at = time.monotonic() + TAKE_IN_EVERY_S
                take_in()
                remove_expired()
        except DatabaseError as fault:
            logging.getLogger("hikeshi_desk.serve").warning("the spool waits for the database: %s", fault)
        finally:
            connections.close_all()


def run_oncall() -> None:
    """The on-call child: whose turn it is to be called, every 15 seconds until SIGTERM."""
    import logging

    import django

    django.setup()
    from django.db import connections

    from hikeshi_desk.oncall.calls import tend

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            tend()
        except Exception:  # the edge of the stage: the next look is a new chance, and somebody may be waiting
            logging.getLogger("hikeshi_desk.serve").exception("a look at the calls failed")
        finally:
            connections.close_all()
        stop.wait(CALL_EVERY_S)


def run_mail() -> None:
    """The mail child: listeners, polling and sending until SIGTERM."""
    import django

    django.setup()
    from hikeshi_desk.mail.service import MailService

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    service = MailService()
    service.start()
    while not stop.wait(1.0):
        pass
    service.stop()


def _has_mail() -> bool:
    """Is any way in or out for mail set up?"""
    if not importlib.util.find_spec("hikeshi_desk.mail.post"):
        return False
    post = importlib.import_module("hikeshi_desk.mail.post").load_post()
    return any((post.imap, post.smtp, post.lmtp, post.listen))


def supervise(group: Sequence[Child], say: Say) -> None:
    """Keep every child running until a signal comes, then stop them all."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not stop.is_set():
            for child in group:
                _tend(child, say)
            stop.wait(0.2)
    finally:
        _stop(group)
        for number, handler in before.items():
            signal.signal(number, handler)


def _tend(child: Child, say: Say) -> None:
    now = time.monotonic()
    if child.process is None:
        if now >= child.start_at:
            child.process, child.started_at = _start(child), now
        return
    code = child.process.poll()
    if code is None:
        return
    _end_group(child)
    if now - child.started_at >= HEALTHY_S:
        child.pause_s = 1.0
    say(f"{child.name}: 終了しました（{code}）。{child.pause_s:.0f}秒後に再開します。 "
        f"ended ({code}); again in {child.pause_s:.0f} s")
    if child.mend:
        _mend(child.mend)
    child.process, child.start_at = None, now + child.pause_s
    child.pause_s = min(child.pause_s * 2, LONGEST_PAUSE_S)


def _start(child: Child) -> subprocess.Popen[bytes]:
    paths = [str(_HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    # A session of its own: Ctrl-C reaches the parent only, which then stops everybody in order.
    return subprocess.Popen(child.command, pass_fds=child.descriptors, start_new_session=True,
                            stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent,
                            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)})


def _die_with_parent() -> None:
    """If the parent is killed outright, nothing of the desk stays behind (Linux)."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _stop(group: Sequence[Child]) -> None:
    alive = [child for child in group if child.process is not None]
    for child in alive:
        assert child.process is not None
        child.process.terminate()
    deadline = time.monotonic() + GRACE_S
    for child in alive:
        assert child.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(max(0.0, deadline - time.monotonic()))
        _end_group(child)
        child.process.wait()


def _end_group(child: Child) -> None:
    """Whoever of the child's own session is left goes with it."""
    assert child.process is not None
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)


def _mend(work: Callable[[], object]) -> None:
    """In the parent: a database that is away now is no reason to stop the desk."""
    from django.db import DatabaseError, connections

    try:
        work()
    except DatabaseError:
        pass  # the next start does it
    finally:
        connections.close_all()


def requeue() -> tuple[int, int]:
    """Put back jobs that ran when their process was stopped hard; (put back, parked).

    Every start leaves the worker's id in the job: one that was started four times and never ended is parked as
    failed, with the reason. One group on one folder: nobody else can be running them; with PostgreSQL another node may.
    """
    from django.db import connection, transaction
    from django.utils import timezone
    from django_tasks.base import TaskResultStatus
    from django_tasks_db.models import DBTaskResult

    if connection.vendor != "sqlite":
        return 0, 0
    again = parked = 0
    with transaction.atomic():
        for job in DBTaskResult.objects.filter(status=TaskResultStatus.RUNNING):
            if len(job.worker_ids) < MOST_STARTS:
                job.status, again = TaskResultStatus.READY, again + 1
            else:
                job.status, job.finished_at, parked = TaskResultStatus.FAILED, timezone.now(), parked + 1
                job.exception_class_path = "hikeshi_desk.serve.Interrupted"
                job.traceback = f"interrupted {len(job.worker_ids)} times: its process was stopped or killed each time"
            job.save()
    return again, parked


def _prepare_folder(data: Path) -> None:
    probe = data / ".writable"
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as fault:
        raise OutputError(f"can't write to the data folder: {fault.strerror}", source=Location(str(data)),
                          hint="choose a folder of your own with --data, or free some space") from fault


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    with (data / "serve.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise UsageError("the desk is already open on this data folder", source=Location(str(data)),
                             hint="stop the other one first, or choose another folder with --data") from fault
        yield


def is_open(data: Path) -> bool:
    """Is a desk open on this folder?"""
    if not (data / "serve.lock").exists():
        return False
    try:
        with _only_one(data):
            return False
    except UsageError:
        return True


@contextlib.contextmanager
def _listener(host: str, port: int | None) -> Iterator[socket.socket]:
    try:
        family, *_, address = socket.getaddrinfo(host, 8000 if port is None else port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as fault:
        raise UsageError(f"can't listen on {host}: {fault.strerror}", hint="--host takes an address of this machine"
                         ) from fault
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(address)
            except OSError:
                if port is not None:
                    raise
                listener.bind((address[0], 0, *address[2:]))
            listener.listen(512)
        except OSError as fault:
            raise UsageError(f"can't listen on {host} port {port}: {fault.strerror}",
                             hint="choose another port with --port") from fault
        yield listener


def _address(host: str, port: int) -> str:
    shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else host
    return f"http://{shown}:{port}"


if __name__ == "__main__" and len(sys.argv) == 2:
    {"mail": run_mail, "intake": run_intake, "oncall": run_oncall}[sys.argv[1]]()
