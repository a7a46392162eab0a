"""Who is on call when, through weeks, gaps and changes of clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from hikeshi_desk.oncall import roster
from hikeshi_desk.oncall.models import Shift

pytestmark = pytest.mark.django_db
TOKYO, BERLIN, NEW_YORK = ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


def shift(person, begin: str, end: str, **more) -> Shift:
    (first_day, begins), (end_day, ends) = (text.split() for text in (begin, end))
    return Shift.objects.create(person=person, first_day=date.fromisoformat(first_day), begins=time.fromisoformat(begins),
                                end_day=date.fromisoformat(end_day), ends=time.fromisoformat(ends), **more)


def names(at: datetime, zone: ZoneInfo) -> list[str]:
    return [person.name for person in roster.on_call(at, zone)]


def test_a_shift_begins_and_ends_at_its_minute(member):
    shift(member("佐藤"), "2026-11-23 09:00", "2026-11-23 18:00")
    nine = datetime(2026, 11, 23, 9, tzinfo=TOKYO)
    assert names(nine, TOKYO) == ["佐藤"] == names(nine + timedelta(hours=9, microseconds=-1), TOKYO)
    assert names(nine - timedelta(microseconds=1), TOKYO) == [] == names(nine + timedelta(hours=9), TOKYO)
    assert names(nine, BERLIN) == []  # nine there is another moment


def test_places_say_who_is_called_first(member):
    shift(member("二番"), "2026-11-23 00:00", "2026-11-24 00:00", place=2)
    shift(member("一番"), "2026-11-23 08:00", "2026-11-23 20:00", place=1)
    assert names(datetime(2026, 11, 23, 12, tzinfo=TOKYO), TOKYO) == ["一番", "二番"]
    assert names(datetime(2026, 11, 23, 21, tzinfo=TOKYO), TOKYO) == ["二番"]


def test_a_week_comes_again_until_its_last_day(member):
    shift(member("佐藤"), "2026-11-23 22:00", "2026-11-24 06:00", weekly=True, last_day=date(2026, 12, 7))
    night = datetime(2026, 11, 24, 3, tzinfo=TOKYO)
    assert [names(night + timedelta(days=7 * n), TOKYO) for n in (-1, 0, 1, 2, 3)] == [[], ["佐藤"], ["佐藤"], ["佐藤"], []]
    assert names(night + timedelta(days=1), TOKYO) == []


def test_years_later_a_week_is_found_without_counting_through_them(member):
    shift(member("佐藤"), "2001-01-01 00:00", "2001-01-08 00:00", weekly=True)
    assert names(datetime(2199, 5, 5, tzinfo=UTC), BERLIN) == ["佐藤"]


def test_nine_stays_nine_when_the_clocks_change(member):
    shift(member("佐藤"), "2026-10-19 09:00", "2026-10-19 18:00", weekly=True)
    for day in ("2026-10-19", "2026-10-26", "2026-11-02"):  # Berlin changes on the 25th
        nine = datetime.combine(date.fromisoformat(day), time(9), BERLIN)
        assert names(nine, BERLIN) == ["佐藤"] and names(nine - timedelta(seconds=1), BERLIN) == []


@pytest.mark.parametrize(("zone", "days"), [(BERLIN, "2026-10-25"), (BERLIN, "2026-03-29"), (NEW_YORK, "2026-03-08"),
                                            (NEW_YORK, "2026-11-01"), (TOKYO, "2026-10-25")])
def test_two_that_meet_in_the_odd_hour_leave_no_gap_and_no_minute_twice(member, zone, days):
    day = date.fromisoformat(days)
    for hour in ("01:30", "02:00", "02:30", "03:00"):
        Shift.objects.all().delete()
        one, two = member("前"), member("後")
        shift(one, f"{day - timedelta(days=1)} 12:00", f"{day} {hour}")
        shift(two, f"{day} {hour}", f"{day} 12:00")
        begin, end = (datetime.combine(d, time(12), zone) for d in (day - timedelta(days=1), day))
        assert roster.gaps(roster.shifts(), begin.astimezone(UTC), end.astimezone(UTC), zone) == []
        at = begin.astimezone(UTC)
        while at < end.astimezone(UTC):
            assert len(names(at, zone)) == 1
            at += timedelta(minutes=30)


def test_gaps_are_the_hours_of_nobody(member):
    anna = member("安藤")
    shift(anna, "2026-11-23 00:00", "2026-11-23 12:00")
    shift(anna, "2026-11-23 10:00", "2026-11-23 18:00", place=2)
    shift(anna, "2026-11-23 20:00", "2026-11-24 00:00")
    begin = datetime(2026, 11, 23, tzinfo=TOKYO).astimezone(UTC)
    gaps = roster.gaps(roster.shifts(), begin, begin + timedelta(days=1), TOKYO)
    assert [(gap.begin, gap.end) for gap in gaps] == [(begin + timedelta(hours=18), begin + timedelta(hours=20))]


def test_somebody_who_left_leaves_a_gap(member):
    gone, moved, partner = member("退職"), member("異動"), member("社外", "partner", desk=False)
    for person in (gone, moved, partner):
        shift(person, "2026-11-23 00:00", "2026-11-24 00:00")
    noon = datetime(2026, 11, 23, 12, tzinfo=TOKYO)
    assert set(names(noon, TOKYO)) == {"退職", "異動"}
    gone.is_active = False
    gone.save()
    moved.memberships.all().delete()
    assert names(noon, TOKYO) == []
    assert len(roster.gaps(roster.shifts(), noon, noon + timedelta(hours=1), TOKYO)) == 1
