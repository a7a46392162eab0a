"""Several nodes look at the same moment: one call, one message. On PostgreSQL, where a desk has several nodes."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from hikeshi_desk.oncall import calls, ways
from hikeshi_desk.oncall.models import Call, Notice

several_nodes = pytest.mark.skipif(connection.vendor != "postgresql", reason="several nodes share PostgreSQL (DATABASE_URL)")


def at_once(work, count: int = 4) -> list[Exception]:
    gate, faults = threading.Barrier(count), []

    def run() -> None:
        try:
            gate.wait(10)
            work()
        except Exception as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return faults


@several_nodes
@pytest.mark.django_db(transaction=True)
def test_four_nodes_call_each_person_once(member, always, urgent, hook, told):
    told(f'[oncall]\n[egress]\nprivate = ["{hook.url}"]\n')
    people = [member(name) for name in ("一", "二")]
    for place, person in enumerate(people, 1):
        ways.add(person, "webhook", f"{hook.url}/{place}")
        always(person, place)
    cases = [urgent() for _ in range(3)]
    now = timezone.now()
    assert at_once(lambda: calls.tend(now)) == []
    assert Call.objects.count() == 3
    assert Counter(path for path, _, _ in hook.told) == {"/1": 3}
    assert at_once(lambda: calls.tend(now + timedelta(minutes=10))) == []
    assert Counter(path for path, _, _ in hook.told) == {"/1": 3, "/2": 3}
    assert Notice.objects.filter(kind="webhook").count() == 6

    taken: list[bool] = []
    call = cases[0].call
    assert at_once(lambda: taken.append(calls.take(call, people[len(taken) % 2])), 2) == []
    call.refresh_from_db()
    cases[0].refresh_from_db()
    assert call.taken_by == cases[0].owner and call.state == "taken"
