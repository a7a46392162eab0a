"""How every act on a case is done: in one transaction, on the locked case, settled, saved and recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.db import transaction

from hikeshi_desk.accounts.models import Membership, Role, User
from hikeshi_desk.audit.log import record
from hikeshi_desk.cases import clocks
from hikeshi_desk.cases.models import Case

P = ParamSpec("P")
UNCHANGED: dict[str, Any] = {}


class Refused(ValueError):
    """The act is not possible now; `key` names the text that says why."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def act(work: Callable[Concatenate[Case, User, P], dict[str, Any]]) -> Callable[Concatenate[Case, User, P], Case]:
    """In one transaction: lock the case, do the work, settle, save, record what it returned under its name."""
    @wraps(work)
    def done(case: Case, by: User, /, *args: P.args, **kwargs: P.kwargs) -> Case:
        with transaction.atomic():
            locked = Case.objects.select_for_update().get(pk=case.pk)
            detail = work(locked, by, *args, **kwargs)
            clocks.settle(locked)
            locked.save()
            if detail is not UNCHANGED:
                record(str(by.pk), f"case.{work.__name__}", f"case:{locked.pk}", number=locked.number, **detail)
        return locked
    return done


def said(text: str, refusal: str) -> str:
    text = text.strip()
    if not text:
        raise Refused(refusal)
    return text


def role_of(user: User) -> str:
    """The role somebody acts in at the desk: lead before handler."""
    held = set(Membership.objects.filter(user=user, organisation__is_desk=True).values_list("role", flat=True))
    return next((role.value for role in (Role.LEAD, Role.HANDLER) if role.value in held), "")


def works_here(user: User) -> bool:
    return user.is_active and bool(role_of(user))
