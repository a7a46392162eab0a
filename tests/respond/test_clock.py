"""Promises in business days and hours, on fixed dates."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.errors import UsageError
from hikeshi.respond.clock import Calendar, business_day_after, closures_from, due, pause, resume

JAPAN = ZoneInfo("Asia/Tokyo")
JAPANESE = Calendar()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=JAPAN)


@pytest.mark.parametrize(("received", "expected"), [
    ("2026-12-25 18:30", "2027-01-05"),  # Friday evening before the year's end: 28, 4, 5
    ("2026-12-25 09:00", "2027-01-05"),  # the hour makes no difference
    ("2026-12-28 10:00", "2027-01-06"),
    ("2026-12-31 23:59", "2027-01-06"),  # nobody is there: day 1 is 4 January
    ("2027-01-03 12:00", "2027-01-06"),
    ("2026-04-28 15:00", "2026-05-07"),  # 30 April, 1 May, and 7 May after the substitute on the 6th
    ("2026-05-01 15:00", "2026-05-11"),  # 7, 8, 11
    ("2026-05-05 15:00", "2026-05-11"),
    ("2026-09-18 15:00", "2026-09-28"),  # 21 holiday, 22 between two holidays, 23 holiday: 24, 25, 28
    ("2026-09-22 15:00", "2026-09-28"),
    ("2026-11-22 10:00", "2026-11-26"),  # Sunday; Monday 23 is a holiday
    ("2026-06-01 10:00", "2026-06-04"),  # an ordinary Monday
])
def test_three_business_days_end_when_the_desk_closes_on_the_third_day_after_receipt(received, expected) -> None:
    clock = due(at(received), 3, "business_days")
    assert clock.due_at == at(f"{expected} 17:00")


def test_the_day_of_receipt_is_the_day_in_japan_not_in_utc() -> None:
    # 15:30 UTC on Thursday is already Friday in Tokyo.
    assert due(datetime(2026, 6, 4, 15, 30, tzinfo=UTC), 1, "business_days").due_at == at("2026-06-08 17:00")
    assert due(datetime(2026, 6, 4, 14, 30, tzinfo=UTC), 1, "business_days").due_at == at("2026-06-05 17:00")


def test_the_day_between_two_holidays_is_no_business_day_but_its_neighbours_of_another_year_are() -> None:
    assert not JAPANESE.is_business_day(date(2026, 9, 22))
    assert JAPANESE.is_business_day(date(2027, 9, 22))
    assert JAPANESE.is_business_day(date(2026, 12, 28))
    assert not JAPANESE.is_business_day(date(2026, 12, 29))
    assert not JAPANESE.is_business_day(date(2028, 1, 3))
    assert JAPANESE.is_business_day(date(2028, 1, 4))


def test_a_closure_of_the_desk_moves_the_due_day() -> None:
    closed = Calendar(closures=closures_from(["2026-06-02"]), closes=time(12))
    assert due(at("2026-06-01 10:00"), 3, "business_days", closed).due_at == at("2026-06-05 12:00")


def test_a_closure_that_is_no_date_is_named() -> None:
    with pytest.raises(UsageError, match="2026-02-30"):
        closures_from(["2026-02-30"])


def test_a_desk_that_never_opens_is_refused_instead_of_searched_for_ever() -> None:
    first = date(2026, 1, 1)
    closed = Calendar(closures=frozenset(first + timedelta(days=n) for n in range(900)))
    with pytest.raises(UsageError, match="no business day"):
        business_day_after(first, 1, closed)


def test_urgent_hours_run_through_the_night_and_the_new_year() -> None:
    assert due(at("2026-12-31 23:30"), 2, "hours").due_at == at("2027-01-01 01:30")


def test_an_hour_is_an_hour_where_summer_time_begins() -> None:
    berlin = Calendar(zone=ZoneInfo("Europe/Berlin"))
    start = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert due(start, 2, "hours", berlin).due_at == start + timedelta(hours=2)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(UsageError, match="time zone"):
        due(datetime(2026, 6, 1, 10), 3, "business_days")


def test_an_urgent_pause_gives_back_exactly_its_length() -> None:
    clock = pause(due(at("2026-06-01 10:00"), 4, "hours"), at("2026-06-01 11:00"))
    assert resume(clock, at("2026-06-01 12:30")).due_at == at("2026-06-01 15:30")


def test_a_pause_over_a_week_leaves_the_business_days_that_were_left() -> None:
    clock = due(at("2026-06-01 10:00"), 3, "business_days")  # Thursday 4
    stopped = pause(clock, at("2026-06-02 10:00"))  # two days left: 3 and 4
    assert resume(stopped, at("2026-06-10 10:00")).due_at == at("2026-06-12 17:00")


def test_a_pause_within_one_day_changes_nothing() -> None:
    clock = due(at("2026-06-01 10:00"), 3, "business_days")
    assert resume(pause(clock, at("2026-06-02 10:00")), at("2026-06-02 16:00")) == clock


def test_a_pause_on_the_last_day_ends_on_the_day_it_is_lifted() -> None:
    clock = pause(due(at("2026-06-01 10:00"), 3, "business_days"), at("2026-06-04 10:00"))
    assert resume(clock, at("2026-06-09 09:00")).due_at == at("2026-06-09 17:00")
    assert resume(clock, at("2026-06-09 18:00")).due_at == at("2026-06-10 17:00")
    assert resume(clock, at("2026-06-06 09:00")).due_at == at("2026-06-08 17:00")


def test_a_promise_that_ran_out_stays_run_out_after_a_pause() -> None:
    clock = pause(due(at("2026-06-01 10:00"), 3, "business_days"), at("2026-06-05 10:00"))
    assert resume(clock, at("2026-06-20 10:00")).due_at == at("2026-06-04 17:00")
    assert clock.is_over(at("2026-06-05 10:00"))


def test_while_it_stands_still_a_clock_does_not_run_out() -> None:
    clock = due(at("2026-06-01 10:00"), 3, "business_days")
    assert not pause(clock, at("2026-06-02 10:00")).is_over(at("2026-07-01 10:00"))
    assert clock.is_over(at("2026-07-01 10:00"))


def test_a_second_pause_keeps_the_first_and_time_can_not_run_backwards() -> None:
    clock = pause(due(at("2026-06-01 10:00"), 3, "business_days"), at("2026-06-02 10:00"))
    assert pause(clock, at("2026-06-03 10:00")) == clock
    with pytest.raises(UsageError, match="can't go on"):
        resume(clock, at("2026-06-01 10:00"))


moments = st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2029, 12, 1), timezones=st.just(JAPAN))


@settings(max_examples=150, deadline=None)
@given(moments, st.integers(1, 10))
def test_a_promise_is_due_on_a_business_day_later_than_receipt_and_exactly_n_days_on(received, count) -> None:
    end = due(received, count, "business_days").due_at
    assert end > received and JAPANESE.is_business_day(end.date())
    days = [received.date() + timedelta(days=n) for n in range(1, (end.date() - received.date()).days + 1)]
    assert sum(map(JAPANESE.is_business_day, days)) == count


@settings(max_examples=150, deadline=None)
@given(moments, st.integers(0, 240), st.integers(0, 2000), st.sampled_from(["business_days", "hours"]))
def test_a_pause_never_makes_a_promise_due_earlier(received, before_h, length_h, unit) -> None:
    clock = due(received, 3, unit)
    begin = received.astimezone(UTC) + timedelta(hours=before_h)
    assert resume(pause(clock, begin), begin + timedelta(hours=length_h)).due_at >= clock.due_at
