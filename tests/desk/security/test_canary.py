"""Nobody learns anything of a case that is not theirs: not its words, not that it exists."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from two_worlds import (
    ROUTES,
    WORD,
    Secret,
    Visitor,
    World,
    bare,
    everything,
    fresh_counts,
    make_secret,
    paths,
    raw,
    signed_in,
)

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
_FIXED = str(uuid.UUID(int=7))
# What the queue and other lists may be asked by.
QUERIES = [{"q": WORD}, {"q": f"{WORD}0001what"}, {"q": "CANARY0001"}, {"sort": "title"}, {"sort": "asker_name"}, {"view": "all"},
           {"view": "closed"}, {"kind": "notes", "q": WORD}, {"kind": "all", "q": WORD}, {"page": "2"}, {"order": "-title"},
           {"title__contains": WORD}, {"owner": "1"}, {"state": "new"}, {"before": "999999"}, {"template": WORD}]

LISTS = ("cases:queue", "cases:breaches", "accounts:audit", "api:cases", "api:list-cases")


def _pools(world: World, secret: Secret) -> dict[str, list[Any]]:
    ids = [pk for pks in secret.rows.values() for pk in pks[:1]]
    return {"case": [secret.case.pk, world.b_case.pk],
            "uuid": [pk for pk in ids if isinstance(pk, uuid.UUID)] + [world.lead.pk, world.b_case.pk],
            "int": sorted({pk for pk in ids if isinstance(pk, int)})}


def _requests(world: World, secret: Secret) -> list[tuple[str, str, str, Any]]:
    """(route, method, path, what is sent): the same list is asked in both worlds."""
    pools, found = _pools(world, secret), []
    asked = [secret.case.number, secret.case.pk]
    said = {"body": WORD, "text": WORD, "reason": WORD, "note": WORD, "q": WORD, "code": "AAAA-BBBB", "message_id": _FIXED,
            "case": str(asked[1]), "other": asked[0], "number": asked[0], "target": asked[0], "into": asked[0], "sequence": "1",
            "organisation": str(world.removed.pk), "stance": "agree", "answer": "yes", "tell": "1"}
    for name, pk in (("party", "Party"), ("task", "Task"), ("clock", "Clock"), ("point", "OpinionPoint"), ("referral", "Referral"),
                     ("attachment", "Attachment"), ("message", "Message")):
        said[name] = str((secret.ids.get(pk) or [1])[0])
    for name, entry in ROUTES.items():
        for path in paths(name, entry, pools):
            found.append((name, "GET", path, None))
            found.append((name, "POST", path, said))
        if not entry.pattern.converters:
            found += [(name, "GET", path, query | {"case": str(asked[1]), "number": asked[0]})
                      for query in (QUERIES if name in LISTS else QUERIES[:2])]
    found += [(name, "HEAD", path, sent) for name, method, path, sent in found if method == "GET" and sent is None][::3]
    found += [("cases:queue", "GET", reverse("cases:queue"), {"q": word}) for word in (
        secret.case.number, str(secret.case.pk), secret.code, secret.case.title, secret.case.number[-6:])]
    found.append(("consult:code", "POST", reverse("consult:code"), {"code": f"{secret.code[:-4]}0000"}))
    return found


def _crawl(visitor: Visitor, asked: list[tuple[str, str, str, Any]], check: Any) -> list[Any]:
    answers = []
    for name, method, path, sent in asked:
        more = {"content_type": "application/json"} if name.startswith("api:") and method == "POST" else {}
        if method == "POST":
            with transaction.atomic():
                answer = visitor.ask(method, path, sent, **more)
                check(name, method, path, sent, answer)
                transaction.set_rollback(True)
        else:
            answer = visitor.ask(method, path, sent)
            check(name, method, path, sent, answer)
        answers.append((name, method, path, sent, bare(answer)))
    return answers


def _indices() -> list[int]:
    return list(range(10))


@pytest.mark.parametrize("index", _indices())
def test_no_byte_of_another_s_case_and_the_same_answers_as_without_it(world, index):
    visitor, asked, with_it = world.visitors[index], [], []
    with transaction.atomic():
        secret = make_secret(world)
        asked = _requests(world, secret)
        kept, whole = secret.now(), everything()
        marks = secret.marks

        def clean(name: str, method: str, path: str, sent: Any, answer: Any) -> None:
            told = raw(answer)
            for own in (path, str(sent) if sent else ""):  # what the visitor said itself may come back
                told = told.replace(own, "") if own else told
            said = {str(value) for value in (sent or {}).values()} | {str(secret.case.pk)} if sent or str(secret.case.pk) in path else set()
            where = f"{visitor.name}: {method} {path} {sent}"
            assert answer.status_code < 500, where
            for canary in _canaries(told):
                assert canary in said or canary == WORD, f"{where}: {canary}"
            for mark in marks:
                assert mark not in told or mark in said or mark in path, f"{where}: {mark}"
            if method == "POST" and answer.status_code not in (403, 404, 405):
                assert secret.now() == kept, where

        with_it = _crawl(visitor, asked, clean)
        assert everything() == whole, "looking changed something"
        transaction.set_rollback(True)
    fresh_counts()
    without = _crawl(visitor, asked, lambda *_: None)
    assert len(with_it) == len(without) > 300
    for one, other in zip(with_it, without, strict=True):
        assert one == other, f"{visitor.name}: {one[1]} {one[2]} {one[3]}"


def test_the_canaries_are_really_there(world):
    """The same crawl as a lead of the desk finds them: the silence above is no accident."""
    secret = make_secret(world)
    lead, seen = Visitor("lead", signed_in(world.lead)), set()
    for _, method, path, sent in _requests(world, secret):
        if method == "GET":
            seen |= _canaries(raw(lead.ask(method, path, sent)))
    assert len(seen) > 15, seen
    assert len(secret.rows) >= 10, sorted(secret.ids)


def _canaries(text: str) -> set[str]:
    import re

    return set(re.findall(rf"{WORD}\d{{4}}[a-z_]+", text))
