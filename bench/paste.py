"""How long a handler waits for the answer on a pasted note: the POST and the case page behind it.

    PYTHONPATH=src .venv/bin/python bench/paste.py --rounds 20

A desk of its own in a temporary folder (SQLite), Django's own test client, no server between. Prints, for a child that
is kept and for one that must be started each time: best, median and worst of the wall-clock seconds; then the parts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

NOTE = """YOUR NETWORK HAS BEEN ENCRYPTED

All of your files were encrypted and sensitive data was downloaded from your servers.
To recover your files you must pay in Bitcoin. Do not try to decrypt the files yourself.
Contact us with Tor Browser: http://akiral2iz6a7qgd3ayp3l6yub7xx2uep76idk3u2kollpj5z3z636bad.onion/
If you do not pay within 72 hours we will publish your data. Your number: {}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="hikeshi-bench-") as folder:
        os.environ |= {"HIKESHI_DATA": folder, "HIKESHI_KNOWLEDGE": f"{folder}/knowledge",
                       "HIKESHI_SECOND_FACTOR": "optional", "HIKESHI_HOSTS": "testserver",
                       "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings"}
        measure(Path(folder), rounds)


def measure(folder: Path, rounds: int) -> None:
    client, case = desk(folder)
    from hikeshi_desk.analysis import warm

    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {rounds} rounds each")
    opened = timed(lambda: client.get(f"/desk/case/{case}/"))
    print(f"the case page, first time (it brings the child up): {opened:.2f} s")
    time.sleep(2)
    kept = [paste(client, case, number) for number in range(rounds)]
    told("child that is kept", kept)
    cold = []
    for number in range(rounds):
        warm.stop()
        cold.append(paste(client, case, rounds + number))
    told("child started for it", cold)
    page = [timed(lambda: client.get(f"/desk/case/{case}/")) for _ in range(rounds)]
    told("of it the case page", page)
    warm.stop()


def paste(client: object, case: str, number: int) -> float:
    def both() -> None:
        answer = client.post(f"/desk/case/{case}/analysis/ask/", {"given": NOTE.format(number)})  # type: ignore[attr-defined]
        page = client.get(f"/desk/case/{case}/")  # type: ignore[attr-defined]
        assert answer.status_code == 302 and "Akira" in page.content.decode()
    return timed(both)


def timed(act: object) -> float:
    began = time.perf_counter()
    act()  # type: ignore[operator]
    return time.perf_counter() - began


def told(name: str, seconds: list[float]) -> None:
    print(f"{name}: best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s")


def desk(folder: Path) -> tuple[object, str]:
    """A signed-in client and a case's id."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client
    from django.utils import timezone

    from hikeshi_desk.accounts.models import Membership, Organisation, User
    from hikeshi_desk.cases import store
    from hikeshi_desk.cases.opening import open_submission
    from hikeshi_desk.intake.models import Submission
    from hikeshi_desk.intake.submit import Payload, submit

    for part in ("spool", "evidence", "static"):
        (folder / part).mkdir()
    store.prepare()
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("a@example.jp", None, name="A")
    home = Organisation.objects.create(name="desk", is_desk=True)
    Membership.objects.create(user=user, organisation=home, role="handler")
    client = Client()
    client.force_login(user)
    session, now = client.session, timezone.now().timestamp()
    session.update({"signed_in_at": now, "seen_at": now, "second_factor": True})
    session.save()
    done = submit(Payload(channel="web", what="ファイルが開けません", request="first_steps", anonymous=True), [],
                  idempotency_key="a-bench-key-long-enough")
    return client, str(open_submission(Submission.objects.get(pk=done.submission_id)).case.pk)


if __name__ == "__main__":
    main()
