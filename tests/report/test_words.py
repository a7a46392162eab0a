"""Moments inside the story's sentences are told in the reader's zone."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from hikeshi.model.text import Text
from hikeshi.report.words import Words

TOKYO = ZoneInfo("Asia/Tokyo")


def said(text: str, zone: ZoneInfo | None = TOKYO) -> str:
    return Words("en", zone).text(Text(text, text))


@pytest.mark.parametrize(("written", "told"), [
    ("begins only at 2026-10-08 18:21 UTC, after", "begins only at 2026-10-09 03:21 JST, after"),
    ("before 2026-10-08T16:32:05.123456Z", "before 2026-10-09 01:32 JST"),
    ("2026-12-31T23:59:59Zと2026-10-08 18:21 UTC", "2027-01-01 08:59 JSTと2026-10-09 03:21 JST"),
])
def test_moments_in_utc_are_told_in_the_readers_zone(written, told):
    assert said(written) == told


@pytest.mark.parametrize("written", [
    "2026-10-08 18:21", "2026-10-08 18:21 JST", "2026-10-08T18:21:00+09:00", "2026-13-45 18:21 UTC", "0001-01-01 00:00:00 UTCX",
    "9999-12-31 23:59 UTC",
])
def test_what_is_no_moment_in_utc_stays(written):
    assert said(written) == written


def test_without_a_zone_nothing_changes():
    assert said("at 2026-10-08 18:21 UTC", None) == "at 2026-10-08 18:21 UTC"
