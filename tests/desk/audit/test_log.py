"""The chain shows every change, wherever it is made."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import models, transaction

from hikeshi_desk.audit.log import digest, head, record, verify
from hikeshi_desk.audit.models import Entry

pytestmark = pytest.mark.django_db


def _fill(number: int = 12) -> None:
    for index in range(number):
        record("system", "test.act", f"subject {index}", count=index, name="表 \u202e x")


def test_a_log_that_nobody_touched_holds():
    assert verify() is None
    _fill()
    assert verify() is None
    assert head()[0] == 12
    assert list(Entry.objects.values_list("sequence", flat=True)) == list(range(1, 13))


@pytest.mark.parametrize("field, value", [
    ("at", datetime(2020, 1, 1, tzinfo=UTC)), ("actor", "somebody"), ("act", "other"), ("subject", ""),
    ("detail", {"count": 5, "name": "x"}), ("detail", {}), ("previous", "1" * 64), ("digest", "f" * 64),
])
@pytest.mark.parametrize("sequence", [1, 6, 12])
def test_a_changed_field_is_found_in_any_row(sequence, field, value):
    _fill()
    Entry.objects.filter(sequence=sequence).update(**{field: value})
    assert verify() == sequence


def test_one_microsecond_is_a_change():
    _fill()
    Entry.objects.filter(sequence=4).update(at=models.F("at") + timedelta(microseconds=1))
    assert verify() == 4


def test_a_row_with_its_own_digest_made_anew_is_found_at_the_next():
    _fill()
    entry = Entry.objects.get(sequence=5)
    entry.act = "other"
    Entry.objects.filter(pk=entry.pk).update(act="other", digest=digest(entry))
    assert verify() == 6


def test_removed_rows_are_found_at_the_gap():
    _fill()
    Entry.objects.filter(sequence__in=[1, 2]).delete()
    assert verify() == 1
    Entry.objects.all().delete()
    _fill()
    Entry.objects.filter(sequence__in=[7, 8]).delete()
    assert verify() == 7


def test_a_gap_that_was_closed_by_renumbering_is_found():
    _fill()
    Entry.objects.filter(sequence=7).delete()
    for entry in Entry.objects.filter(sequence__gt=7).order_by("sequence"):
        Entry.objects.filter(pk=entry.pk).update(sequence=entry.sequence - 1)
    assert verify() == 7


def test_two_rows_that_changed_places_are_found():
    _fill()
    third, fourth = Entry.objects.get(sequence=3), Entry.objects.get(sequence=4)
    Entry.objects.filter(pk=third.pk).update(sequence=99)
    Entry.objects.filter(pk=fourth.pk).update(sequence=3)
    Entry.objects.filter(pk=third.pk).update(sequence=4)
    assert verify() == 3


def test_a_cut_tail_or_a_rewritten_log_is_found_with_an_earlier_head():
    _fill()
    anchor = head()
    assert verify(anchor=anchor) is None
    record("system", "test.act", "later")
    assert verify(anchor=anchor) is None
    Entry.objects.filter(sequence__gte=11).delete()
    assert verify() is None, "without an anchor a cut tail can't be seen"
    assert verify(anchor=anchor) == 11
    Entry.objects.all().delete()
    _fill(20)
    assert verify() is None
    assert verify(anchor=anchor) == 12


def test_no_random_tampering_stays_hidden():
    _fill(40)
    kept = list(Entry.objects.values())
    chance = random.Random(7)
    for _ in range(150):
        row = chance.choice(kept[:-1])
        entries = Entry.objects.filter(pk=row["id"])
        if chance.random() < 0.3:
            entries.delete()
        else:
            field = chance.choice(["actor", "act", "subject", "previous", "digest"])
            place = chance.randrange(len(row[field]))
            entries.update(**{field: row[field][:place] + chr(ord(row[field][place]) ^ 1) + row[field][place + 1:]})
        assert verify() == row["sequence"]
        Entry.objects.filter(pk=row["id"]).delete()
        Entry.objects.create(**row)
    assert verify() is None


def test_an_act_that_was_rolled_back_was_not_recorded():
    _fill(2)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        record("system", "test.act", "gone")
        raise ZeroDivisionError
    record("system", "test.act", "stays")
    assert [e.subject for e in Entry.objects.order_by("-sequence")[:1]] == ["stays"]
    assert verify() is None


def test_hostile_text_and_every_plain_kind_come_back_as_they_were_hashed():
    record("x\0y", "test.act", "\ud800 broken", when=datetime(2026, 1, 1, tzinfo=UTC), who=uuid4(), ratio=1e20,
           many={"b", "a"}, nested={"a": [1, None, True, "\0"]})
    assert verify() is None
    with pytest.raises(TypeError):
        record("system", "test.act", "", value=object())


_WRITERS = """
import threading, django
django.setup()
from django.core.management import call_command
from django.db import connection
from hikeshi_desk.audit.log import digest, head, record, verify
call_command("migrate", verbosity=0)
def write():
    for index in range(10):
        record("system", "test.act", f"{threading.get_ident()} {index}")
    connection.close()
threads = [threading.Thread(target=write) for _ in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(head()[0], verify())
"""


def test_writers_at_the_same_time_make_one_chain(tmp_path):
    # On a real file: a database in memory has one writer only.
    environment = os.environ | {"HIKESHI_DATA": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    done = subprocess.run([sys.executable, "-c", _WRITERS], env=environment, capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.stdout.split() == ["40", "None"], done.stderr
