"""Labels of stored codes in the reader's language, clocks in words, times in Japan's zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from django.utils import timezone

from hikeshi_desk.accounts.texts import load_texts, text
from hikeshi_desk.cases.models import Clock

_WEEKDAYS = "月火水木金土日"


def label(area: str, code: str) -> str:
    """The text for a code; a code nobody gave words (it came from outside) is shown as it is."""
    key = f"cases.{area}.{code or 'none'}"
    return text(key) if key in load_texts() else code


@dataclass(frozen=True)
class Moment:
    """A time as people read it: in Japan, with UTC for the hover."""

    local: str
    utc: str


def moment(at: datetime | None, *, utc_first: bool = False) -> Moment | None:
    """In Japan's time; `utc_first` for a case of people elsewhere: both, UTC before."""
    if at is None:
        return None
    local = timezone.localtime(at)
    utc = at.astimezone(UTC)
    if utc_first:
        return Moment(f"{utc:%Y-%m-%d %H:%M} UTC ({local:%H:%M} JST)", f"{utc:%Y-%m-%dT%H:%MZ}")
    return Moment(f"{local:%Y-%m-%d %H:%M} JST", f"{utc:%Y-%m-%dT%H:%MZ}")


@dataclass(frozen=True)
class ClockFace:
    """What a queue row shows of a promise. `share` is how much of it is used, 0 to 100."""

    kind: Literal["over", "soon", "running", "paused", "none"]
    words: str
    share: int
    due: Moment | None

    @property
    def has_bar(self) -> bool:
        return self.kind != "none"


NO_CLOCK = ClockFace("none", "", 0, None)


def face(clock: Clock | None, now: datetime, *, utc_first: bool = False) -> ClockFace:
    """The promise in words and as a share: over, due today, running or paused."""
    if clock is None:
        return ClockFace("none", text("cases.clock.none"), 0, None)
    due = moment(clock.due_at, utc_first=utc_first)
    whole = max((clock.due_at - clock.started_at).total_seconds(), 1)
    at = clock.paused_at or now
    share = round(min(max((at - clock.started_at).total_seconds() / whole, 0), 1) * 100)
    if clock.paused_at:
        return ClockFace("paused", text("cases.clock.paused"), share, due)
    left = clock.due_at - now
    if left < timedelta(0):
        return ClockFace("over", text("cases.clock.over", time=length(-left)), 100, due)
    kind: Literal["soon", "running"] = "soon" if left < timedelta(hours=8) or share >= 80 else "running"
    return ClockFace(kind, text("cases.clock.left", time=length(left)), share, due)


def length(span: timedelta) -> str:
    """The two largest units: days and hours, or hours and minutes."""
    minutes = int(span.total_seconds()) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return text("cases.clock.days", days=days, hours=hours)
    if hours:
        return text("cases.clock.hours", hours=hours, minutes=minutes % 60)
    return text("cases.clock.minutes", minutes=minutes)


def size(count: int) -> str:
    for unit, step in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= step:
            return f"{count / step:,.1f} {unit}"
    return f"{count:,} B"
