"""The queue's order: by what is due next, over all its pages; a task that falls due lifts the case it is in."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import Role
from hikeshi_desk.cases import clocks, queue
from hikeshi_desk.cases.models import Case, Rank, State

pytestmark = pytest.mark.django_db


def numbers(viewer: Viewer, **asked: str) -> list[str]:
    """Every page of a view, one after the other."""
    found: list[str] = []
    for page in range(1, 30):
        shown = queue.build(viewer, {**asked, "page": str(page)})
        assert len(shown.rows) <= queue.ROWS
        found += [row.case.title for row in shown.rows]
        if not shown.next_url:
            return found
    raise AssertionError("the pages do not end")


@pytest.fixture
def desk(handler):
    """Cases as (title, rank, order in hours from now, task in hours from now or None)."""
    def make(*told: tuple[str, int, float, float | None]) -> Viewer:
        now = timezone.now()
        for number, (title, rank, order, task) in enumerate(told, 1):
            Case.objects.create(
                number=f"2026-{number:06d}", serial=number, title=title, request="other", opened_at=now, rank=rank,
                last_word_at=now, order_at=now + timedelta(hours=order),
                state=State.CLOSED if rank == Rank.FINISHED else State.OPEN,
                task_due_at=None if task is None else now + timedelta(hours=task))
        return Viewer.of(handler)
    return make


MIXED = (
    ("急 後", 0, 5, None), ("急 先", 0, 1, None), ("待 後", 1, 9, None), ("待 先", 1, -2, None), ("待 中", 1, 3, None),
    ("相手 先", 2, -9, None), ("相手 後", 2, -1, None), ("終", 9, -9, None),
    # Due now: lifted between the owed ones by the task's own time. Not yet due: where they were.
    ("上げ 一", 2, -7, -3), ("上げ 二", 9, -8, -1), ("上げ 三", 2, -6, -0.5), ("まだ", 2, -5, 0.5), ("終 まだ", 9, -4, 48))
NEXT = ["急 先", "急 後", "上げ 一", "待 先", "上げ 二", "上げ 三", "待 中", "待 後"]


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 50])
def test_lifted_cases_stand_between_the_owed_ones_on_whatever_page(desk, monkeypatch, rows) -> None:
    viewer = desk(*MIXED)
    monkeypatch.setattr(queue, "ROWS", rows)
    assert numbers(viewer) == NEXT
    assert numbers(viewer, view="open") == [
        *(title for title in NEXT if title != "上げ 二"), "相手 先", "まだ", "相手 後"]
    assert numbers(viewer, view="waiting") == ["上げ 一", "上げ 三", "相手 先", "まだ", "相手 後"]
    assert numbers(viewer, view="finished") == ["終 まだ", "上げ 二", "終"]


@pytest.mark.parametrize("rows", [2, 7])
def test_more_lifted_than_a_page_holds(desk, monkeypatch, rows) -> None:
    viewer = desk(*((f"{number:02d}", 2, 0, number - 30.0) for number in range(25)), ("急", 0, 1, None),
                  ("待", 1, -20.5, None))
    monkeypatch.setattr(queue, "ROWS", rows)
    lifted = [f"{number:02d}" for number in range(25)]
    assert numbers(viewer) == ["急", *lifted[:10], "待", *lifted[10:]]


def test_a_task_lifts_nothing_for_others_and_the_counts_agree(desk, member) -> None:
    viewer = desk(*MIXED)
    shown = queue.build(viewer, {})
    counts = {one.url: one.count for one in shown.views}
    assert counts["?"] == len(NEXT) and counts["?view=finished"] is None and counts["?view=open"] == 10
    stranger = Viewer.of(member(Role.PARTNER, desk=False))
    assert queue.build(stranger, {}).rows == []


def test_without_any_unfinished_case_the_finished_are_shown_all_the_same(desk) -> None:
    shown = queue.build(desk(("終", 9, -1, None), ("終二", 9, -2, None)), {"view": "finished"})
    assert {one.count for one in shown.views} == {0, None} and len(shown.rows) == 2


@pytest.mark.parametrize(("task", "first"), [(-1, "task"), (1, "task"), (None, "answer"), (10_000, "answer")])
def test_an_owed_case_stands_by_its_answer_or_its_task_whichever_is_first(consult, task, first) -> None:
    case, now = consult(), timezone.now()
    due = None if task is None else now + timedelta(hours=task)
    case.tasks.filter(done_at=None).update(due_at=due)
    clocks.settle(case)
    assert case.rank <= Rank.OWED and case.order_at == (due if first == "task" else case.due_at)
    clock = clocks.running_of(case)
    clocks.pause(clock, "x", now)
    clocks.settle(case)
    assert (case.rank, case.order_at) == (Rank.NOT_OWED, case.last_word_at)
