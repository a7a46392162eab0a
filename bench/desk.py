"""What a page of the desk costs with many cases: SQL statements and CPU, through the real WSGI application.

    PYTHONPATH=src .venv/bin/python bench/desk.py --cases 100000 [--database postgres] [--data DIR]

Seeds a desk (once for a kept --data), makes some cases long (100 messages, 30 files), and asks for each page again and
again as a signed-in handler and as a partner who is in 300 cases. CPU is this process's, rendering and SQLite
included; with PostgreSQL the server's process for our connection is added. Beside: FIR with 10,000 cases as measured
on MariaDB on a two-core machine, the same two numbers.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).parents[1]
FIR = {"queue": "507 / 273", "queue page 50": "507 / 332", "case": "80 / 61", "search all": "507 / 442"}
LONG_CASES, MESSAGES, FILES, PARTNER_CASES = 20, 100, 30, 300


@dataclass(frozen=True)
class Row:
    page: str
    statements: int
    cpu_ms: float
    worst_ms: float
    wall_ms: float
    server_ms: float
    size: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--data", type=Path, help="a folder that is kept, and used again if it holds a desk (SQLite)")
    parser.add_argument("--rounds", type=int, default=40)
    asked = parser.parse_args()
    if asked.database == "postgres" and not os.environ.get("DATABASE_URL"):
        os.execv(sys.executable, [sys.executable, str(ROOT / "tests/desk/postgres.py"), "--on-disk", sys.executable,
                                  *sys.argv])
    with tempfile.TemporaryDirectory(prefix="hikeshi-bench-") as folder:
        os.environ.update(HIKESHI_DATA=str(asked.data or folder), DJANGO_SETTINGS_MODULE="hikeshi_desk.settings",
                          HIKESHI_SECOND_FACTOR="optional")
        import django

        django.setup()
        prepare(asked.cases)
        show(asked.database, asked.cases, measure(asked.rounds))


def prepare(cases: int) -> None:
    from django.core.management import call_command
    from django.db import connection

    from hikeshi_desk.cases.models import Case
    from hikeshi_desk.seed import seed
    from hikeshi_desk.serve import count_for_planner

    call_command("migrate", verbosity=0)
    if Case.objects.exists():
        count_for_planner()
        return
    began = time.monotonic()
    seed(cases, 3, 1)
    print(f"seeded {cases:,} cases in {time.monotonic() - began:.0f} s", flush=True)
    make_long_cases(random.Random(2))
    count_for_planner()
    if connection.vendor == "postgresql":  # what autovacuum does within minutes
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def make_long_cases(chance: random.Random) -> None:
    """The newest cases with a partner, some of them with a long conversation and many files."""
    from hikeshi_desk.accounts.models import Membership, Organisation, Role, User
    from hikeshi_desk.cases.models import Attachment, Case, Message, Party

    serials = list(Case.objects.order_by("-serial").values_list("serial", flat=True))
    long = Case.objects.filter(serial__in=serials[:LONG_CASES])
    messages = [Message(case=case, kind=(Message.Kind.ASKER, Message.Kind.REPLY)[number % 2], channel="web",
                        body=f"長い相談の{number}通目です。" * 20, at=case.opened_at + timedelta(minutes=number))
                for case in long for number in range(MESSAGES)]
    Message.objects.bulk_create(messages)
    Attachment.objects.bulk_create([
        Attachment(case=message.case, message=message, name=f"記録{number}.log", sha256=f"{number:064x}", size=number)
        for number, message in enumerate(messages) if number % MESSAGES < FILES])
    partner = User.objects.create_user("partner@desk.example", None, name="連携先の人")
    organisation = Organisation.objects.create(name="連携先")
    Membership.objects.create(user=partner, organisation=organisation, role=Role.PARTNER)
    chosen = Case.objects.filter(serial__in=chance.sample(serials, min(PARTNER_CASES, len(serials))))
    Party.objects.bulk_create([Party(case=case, organisation=organisation, sees_conversation=True) for case in chosen])


def measure(rounds: int) -> list[Row]:
    from hikeshi_desk.accounts.models import User
    from hikeshi_desk.cases.models import Case

    serials = list(Case.objects.order_by("-serial").values_list("serial", flat=True))
    chance = random.Random(3)
    handler = Visitor(User.objects.filter(is_active=True).exclude(email="partner@desk.example").first())
    partner = Visitor(User.objects.get(email="partner@desk.example"))

    def pages(chosen: list[int]) -> list[str]:
        return [f"/desk/case/{pk}/" for pk in Case.objects.filter(serial__in=chosen).values_list("pk", flat=True)]

    some, long = pages(chance.sample(serials, min(rounds, len(serials)))), pages(serials[:LONG_CASES])
    rare = str(Case.objects.get(serial=serials[len(serials) // 2]).number)
    words = {"search all": "20", "search all, checked": "202", "search rare": rare, "search 暗号": "暗号",
             "search two words": "ファイルサーバー 脅迫文", "search nothing": "存在しない言葉"}
    rows = [
        handler.asks("queue", ["/desk/"], rounds),
        handler.asks("queue page 50", ["/desk/?view=finished&page=50"], rounds),
        handler.asks("queue, all open", ["/desk/?view=open"], rounds),
        handler.asks("case", some, rounds),
        handler.asks("case, 100 messages", long, rounds),
    ]
    for visitor, who in ((handler, ""), (partner, ", partner")):
        rows += [visitor.asks(f"{name}{who}", [f"/desk/?q={quote(word)}"], rounds) for name, word in words.items()]
    return [*rows, partner.asks("queue, partner", ["/desk/"], rounds)]


class Visitor:
    """Somebody who is signed in and asks the WSGI application as a server would."""

    def __init__(self, user: object) -> None:
        from django.conf import settings
        from django.test import Client
        from django.utils import timezone

        from hikeshi_desk.wsgi import application

        client = Client()
        client.force_login(user)  # type: ignore[arg-type]
        session, now = client.session, timezone.now().timestamp()
        session.update({"signed_in_at": now, "seen_at": now, "second_factor": True})
        session.save()
        self._cookie = f"{settings.SESSION_COOKIE_NAME}={session.session_key}"
        self._application = application

    def asks(self, page: str, paths: list[str], rounds: int) -> Row:
        from django.db import connection

        self._once(paths[0])
        counts: list[int] = []
        cpu: list[float] = []
        wall: list[float] = []
        before, size = server_cpu_s(connection), 0
        for number in range(rounds):
            counter = Counter()
            with connection.execute_wrapper(counter):
                began, began_cpu = time.perf_counter(), time.process_time()
                size = max(size, self._once(paths[number % len(paths)]))
                cpu.append((time.process_time() - began_cpu) * 1000)
                wall.append((time.perf_counter() - began) * 1000)
            counts.append(counter.count)
        server = (server_cpu_s(connection) - before) * 1000 / rounds
        return Row(page, max(counts), statistics.median(cpu) + server, max(cpu) + server, statistics.median(wall),
                   server, size)

    def _once(self, path: str) -> int:
        address, _, query = path.partition("?")
        status: list[str] = []
        answer = self._application({
            "REQUEST_METHOD": "GET", "PATH_INFO": address, "QUERY_STRING": query, "SERVER_NAME": "localhost",
            "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost", "HTTP_COOKIE": self._cookie,
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": BytesIO(), "wsgi.errors": sys.stderr,
            "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        }, lambda line, headers, _=None: status.append(line))
        size = sum(map(len, answer))
        answer.close()
        if status != ["200 OK"]:
            raise SystemExit(f"{path} answered {status}")
        return size


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        self.count += 1
        return execute(sql, params, many, context)


def server_cpu_s(connection: object) -> float:
    """CPU seconds so far of the PostgreSQL process behind our connection; 0 with SQLite."""
    if connection.vendor != "postgresql":  # type: ignore[attr-defined]
        return 0.0
    import psutil

    connection.ensure_connection()  # type: ignore[attr-defined]
    times = psutil.Process(connection.connection.info.backend_pid).cpu_times()  # type: ignore[attr-defined]
    return times.user + times.system


def show(database: str, cases: int, rows: list[Row]) -> None:
    print(f"\n{database}, {cases:,} cases, load {os.getloadavg()[0]:.1f}\n")
    print("| page | SQL | CPU ms (of it server) | worst | wall ms | kB | FIR, 10,000 cases: SQL / CPU ms |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for row in rows:
        print(f"| {row.page} | {row.statements} | {row.cpu_ms:.0f} ({row.server_ms:.0f}) | {row.worst_ms:.0f} "
              f"| {row.wall_ms:.0f} | {row.size // 1000} | {FIR.get(row.page, '')} |")


if __name__ == "__main__":
    main()
