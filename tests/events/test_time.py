"""Times that logs write become UTC microseconds, or NO_TIME, never an exception."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hikeshi.errors import UsageError
from hikeshi.events.time import (
    NO_TIME,
    format_utc,
    from_datetime,
    from_epoch_seconds,
    machine_zone,
    parse_iso,
    parse_offset,
    parse_zone,
    to_datetime,
    zone_name,
)

TOKYO = ZoneInfo("Asia/Tokyo")


@pytest.mark.parametrize(("text", "utc"), [
    ("2024-05-03 02:11:07", "2024-05-02T17:11:07Z"),
    ("2024-05-03T02:11:07Z", "2024-05-03T02:11:07Z"),
    ("2024-05-03T02:11:07.5+0900", "2024-05-02T17:11:07.500000Z"),
    ("2024-05-03T02:11:07.1234567-05:30", "2024-05-03T07:41:07.123456Z"),
    ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
])
def test_a_time_without_zone_takes_the_given_one_and_its_own_wins(text, utc):
    assert format_utc(parse_iso(text, TOKYO)) == utc


@pytest.mark.parametrize("text", [
    "", "2024-13-01 00:00:00", "2024-02-30 00:00:00", "0000-01-01 00:00:00", "2024-05-03", "２０２４-05-03 00:00:00",
    "2024-05-03 24:00:00", "2024-05-03 02:11:07 EST", "9999-12-31T23:59:59-23:59",
])
def test_what_is_no_time_is_no_time(text):
    assert parse_iso(text, UTC) == NO_TIME


@pytest.mark.parametrize("text", ["1e18", "nan", "-5", "", "999999999999999", "12.x", "１７"])
def test_an_epoch_that_is_none_is_no_time(text):
    assert from_epoch_seconds(text) == NO_TIME


def test_an_epoch_keeps_its_milliseconds():
    assert format_utc(from_epoch_seconds("1726000000.002")) == "2024-09-10T20:26:40.002000Z"


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))
def test_formatting_and_reading_give_the_same_time(naive):
    moment = naive.replace(tzinfo=UTC)
    time = from_datetime(moment)
    assert to_datetime(time) == moment and parse_iso(format_utc(time), UTC) == time


@given(st.text(max_size=40))
def test_no_text_makes_it_raise(text):
    assert isinstance(parse_iso(text, UTC), int) and isinstance(from_epoch_seconds(text), int)
    parse_offset(text)


def test_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="zone"):
        from_datetime(datetime(2024, 1, 1))


@pytest.mark.parametrize(("text", "hours"), [("+09:00", 9), ("JST", 9), ("UTC", 0), ("-0530", -5.5)])
def test_zones_are_read_as_people_write_them(text, hours):
    assert datetime(2024, 1, 1, tzinfo=parse_zone(text)).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["Mars/Olympus", "+99:00", "", "../etc/passwd"])
def test_an_unknown_zone_is_a_usage_error(text):
    with pytest.raises(UsageError, match="zone"):
        parse_zone(text)


def test_an_assumed_zone_says_so():
    assert zone_name(TOKYO, assumed=True) == "Asia/Tokyo (assumed)"
    assert zone_name(timezone(timedelta(hours=9)), assumed=False) == "UTC+09:00"


def test_the_machines_zone_knows_summer_time(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    zone = machine_zone()
    assert datetime(2026, 5, 1, tzinfo=zone).utcoffset() != datetime(2026, 12, 1, tzinfo=zone).utcoffset()


@pytest.mark.parametrize("name", ["Nowhere/Here", "../../etc/passwd", "EST5EDT,M3.2.0,M11.1.0"])
def test_a_zone_nobody_knows_falls_back_to_todays_offset(monkeypatch, name):
    monkeypatch.setenv("TZ", name)
    assert datetime(2026, 5, 1, tzinfo=machine_zone()).utcoffset() is not None
