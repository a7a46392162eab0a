"""The times logs write."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from hikeshi.events.time import NO_TIME, format_utc
from hikeshi.parse.context import Context
from hikeshi.parse.stamps import own_zone, stamp

JST = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("text", "utc", "zone"),
    [
        ("2024-09-10T20:26:40+09:00", "2024-09-10T11:26:40Z", "UTC+09:00"),
        ("2024-09-10T11:26:40.123456789Z", "2024-09-10T11:26:40.123456Z", "UTC"),
        ("2024-09-10 11:26:40 UTC", "2024-09-10T11:26:40Z", "UTC"),
        ("2024/09/10 20:26:40 JST", "2024-09-10T11:26:40Z", "UTC+09:00"),
        ("2024-09-10 13:26:40 UTC+2", "2024-09-10T11:26:40Z", "UTC+02:00"),
        ("10/Sep/2024:20:26:40 +0900", "2024-09-10T11:26:40Z", "UTC+09:00"),
        ("Tue, 10 Sep 2024 20:26:40 +0900", "2024-09-10T11:26:40Z", "UTC+09:00"),
        ("1725967600", "2024-09-10T11:26:40Z", "UTC"),
        ("1725967600.5", "2024-09-10T11:26:40.500000Z", "UTC"),
        ("1725967600123", "2024-09-10T11:26:40.123000Z", "UTC"),
        ("1725967600123456789", "2024-09-10T11:26:40.123456Z", "UTC"),
        ("20240910T112640Z", "2024-09-10T11:26:40Z", "UTC"),
        ("/Date(1725967600123)/", "2024-09-10T11:26:40.123000Z", "UTC"),
    ],
)
def test_a_time_with_its_own_zone_ignores_the_given_one(text, utc, zone):
    found = stamp(text, Context(JST, True))
    assert (format_utc(found.time), found.zone, found.note) == (utc, zone, None)


@pytest.mark.parametrize(
    "text",
    [
        "2024-09-10 20:26:40",
        "2024/09/10 20:26:40",
        "2024/9/10 20:26:40",
        "10-Sep-2024 20:26:40.000",
        "Tue Sep 10 20:26:40 2024",
        "Sep 10 2024 20:26:40",
        "2024年9月10日 20:26:40",
        "2024年09月10日(火) 20時26分40秒",
        "2024年9月10日 午後8:26:40",
        "9/10/2024 8:26:40 PM",
        "20240910202640",
    ],
)
def test_a_time_without_a_zone_takes_the_given_one_and_says_so(text):
    found = stamp(text, Context(JST, True))
    assert format_utc(found.time) == "2024-09-10T11:26:40Z"
    assert found.zone == "UTC+09:00 (assumed)"
    assert stamp(text, Context(JST, False)).zone == "UTC+09:00"


def test_swappable_day_and_month_are_read_month_first_and_told():
    assert stamp("05/02/2025 11:30:29", Context(UTC)).note == "month first assumed"
    sure = stamp("25/02/2025 11:30:29", Context(UTC))
    assert (format_utc(sure.time), sure.note) == ("2025-02-25T11:30:29Z", None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "yesterday",
        "2024-13-40 10:00:00",
        "2024-09-10",
        "12:00:00",
        "99999",
        "Foo 10 20:26:40",
        "2024-09-10 25:00:00",
        "9" * 200,
        "Feb 30 10:00:00",
    ],
)
def test_what_is_no_time_is_none(text):
    assert stamp(text, Context(UTC)) is None


def test_ambiguous_zone_names_are_not_believed():
    assert own_zone("IST") is None
    assert own_zone("CST") is None
    assert stamp("2024-09-10 20:26:40 IST", Context(JST, True)).zone.endswith("(assumed)")


def test_no_time_never_becomes_a_neighbour():
    context = Context(UTC)
    stamp("2024-13-40 10:00:00", context)
    assert context.neighbour == NO_TIME
