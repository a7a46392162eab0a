"""The generated desk."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hikeshi.errors import UsageError
from hikeshi_desk.accounts.access import Viewer
from hikeshi_desk.accounts.models import User
from hikeshi_desk.cases import queue, search
from hikeshi_desk.cases.models import Case, Message
from hikeshi_desk.seed import seed

pytestmark = pytest.mark.django_db
UNTIL = datetime(2026, 11, 20, tzinfo=UTC)


def shown() -> list[tuple[object, ...]]:
    return [*Case.objects.order_by("serial").values_list("pk", "number", "title", "state", "rank", "due_at"),
            *Message.objects.order_by("at", "pk").values_list("pk", "body", "kind")]


def test_the_same_seed_makes_the_same_desk_and_another_seed_another() -> None:
    made = []
    for number in (1, 1, 2):
        for model in (Case, User):
            model.objects.all().delete()
        from hikeshi_desk.accounts.models import Organisation, Team
        from hikeshi_desk.cases.models import SearchGram
        for model in (Organisation, Team, SearchGram):
            model.objects.all().delete()
        seed(30, 1, number, until=UNTIL)
        made.append(shown())
    assert made[0] == made[1] != made[2] and Case.objects.count() == 30


def test_seeded_cases_are_in_the_queue_and_are_found() -> None:
    unfinished = seed(60, 1, 7, until=UNTIL)
    viewer = Viewer.of(User.objects.first())
    page = queue.build(viewer, {})
    assert page.views[1].count == unfinished >= page.views[0].count == len(page.rows) > 0
    case = Case.objects.first()
    assert case in search.find(case.number, viewer) and case in search.find(case.title[:12], viewer)


def test_a_desk_with_cases_is_never_seeded() -> None:
    seed(1, 1, 1, until=UNTIL)
    with pytest.raises(UsageError, match="cases already"):
        seed(1, 1, 1, until=UNTIL)


def test_nobody_of_a_generated_desk_has_a_password() -> None:
    seed(0, 1, 1, until=UNTIL)
    assert User.objects.exists() and not any(user.has_usable_password() for user in User.objects.all())
