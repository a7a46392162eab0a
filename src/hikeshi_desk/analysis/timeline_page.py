"""What the timeline's pages show: rows under filters, one record whole, logons, values to look for next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Row
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from django.http import QueryDict

from hikeshi.events.time import NO_TIME, parse_iso, to_datetime
from hikeshi.model.finding import SEVERITIES
from hikeshi.model.text import plain
from hikeshi.timeline.logons import WAYS
from hikeshi.timeline.pivots import KINDS
from hikeshi_desk.accounts.texts import load_texts, text
from hikeshi_desk.analysis.findings import Choice
from hikeshi_desk.analysis.shown import language
from hikeshi_desk.analysis.timeline_store import ORDERS, Asked, Kept
from hikeshi_desk.cases import labels

PAGE, SPANS = 100, 60
TOKYO = ZoneInfo("Asia/Tokyo")
_FILTERS = ("level", "host", "account", "tactic", "q", "from", "to")
_LONGEST = 200
_BAR = 40  # height of the picture's tallest bar
# Values of a record that other records may share: these lead back to the list.
_SHARED = frozenset((*KINDS.values(), "user.domain", "process.parent.executable", "process.command_line",
                     "process.name"))


@dataclass(frozen=True)
class Span:
    """One bar of the picture: a link to its rows. Sizes are in the picture's own units."""

    href: str
    said: str
    x: float
    width: float
    height: float
    y: float
    grave: float  # height of the part that is high or critical
    grave_y: float


@dataclass(frozen=True)
class TimelineRow:
    id: int
    at: labels.Moment | None
    second: str
    level: str
    level_word: str
    host: str
    account: str
    titles: Sequence[str]
    tactics: Sequence[str]
    detail: str
    place: str


@dataclass(frozen=True)
class TimelinePage:
    rows: Sequence[TimelineRow]
    choices: Sequence[tuple[str, str, Sequence[Choice]]]  # name, label, choices
    asked: Mapping[str, str]
    problem: str
    spans: Sequence[Span]
    since: str
    until: str
    timeless: int
    found: int
    first: int
    last: int
    previous: str
    following: str
    query: str
    is_filtered: bool


def asked_of(given: Mapping[str, str]) -> tuple[Asked, str]:
    """The filters of an address, and the name of one that can't be understood."""
    problem = ""
    times: dict[str, int | None] = {"from": None, "to": None}
    for name in times:
        value = given.get(name, "").strip()
        if value:
            found = _time(value)
            times[name] = found
            problem = problem or ("" if found is not None else name)
    words = tuple(given.get("q", "")[:_LONGEST].split())[:8]
    level, host, account, tactic = (given.get(name, "") for name in ("level", "host", "account", "tactic"))
    return Asked(level, host, account, tactic, words, times["from"], times["to"]), problem


def build(kept: Kept, given: Mapping[str, str]) -> TimelinePage:
    asked, problem = asked_of(given)
    found = kept.count(asked)
    number = min(page_number(given.get("page", "")), max(1, -(-found // PAGE)))
    start = (number - 1) * PAGE
    rows = [_row(one) for one in kept.rows(asked, first=start, most=PAGE)]
    chosen = {name: given[name] for name in _FILTERS if given.get(name)}
    spans, timeless = kept.spans(asked, SPANS)
    levels = dict(kept.values(asked, "level"))
    tactics = kept.tactics(asked)
    choices = (
        ("level", text("analysis.column.level"), [
            Choice(one, text(f"analysis.level.{one}"), levels.get(one, 0), one == asked.level)
            for one in SEVERITIES if one in levels or one == asked.level]),
        ("host", text("analysis.column.host"), _choices(kept.values(asked, "host"), asked.host)),
        ("account", text("timeline.account"), _choices(kept.values(asked, "account"), asked.account)),
        ("tactic", text("timeline.tactic"), [
            Choice(one, tactic_word(one), number, one == asked.tactic) for one, number in tactics.items()]),
    )
    return TimelinePage(
        rows=rows, choices=choices, asked={name: plain(value) for name, value in given.items()}, problem=problem,
        spans=_spans(spans, chosen), since=_minute(spans[0][0]) if spans else "",
        until=_minute(spans[-1][1]) if spans else "", timeless=timeless, found=found,
        first=start + 1 if rows else 0, last=start + len(rows),
        previous=_address(chosen, page=str(number - 1)) if start else "",
        following=_address(chosen, page=str(number + 1)) if start + PAGE < found else "", query=_address(chosen),
        is_filtered=bool(chosen))


def tactic_word(tactic: str) -> str:
    key = f"timeline.tactics.{tactic}"
    return text(key) if key in load_texts() else plain(tactic)


def page_number(given: str) -> int:
    return int(given) if given.isascii() and given.isdigit() and 0 < len(given) < 7 and int(given) else 1


def _time(value: str) -> int | None:
    """Japan's time where it names no zone, as the page shows times; a day begins at midnight."""
    whole = f"{value}T00:00:00" if len(value) == 10 else f"{value}:00" if len(value) == 16 else value
    found = parse_iso(whole.replace(" ", "T"), TOKYO)
    return None if found == NO_TIME else found


def _row(one: Row) -> TimelineRow:
    at = None if one["at"] is None else to_datetime(one["at"])
    titles = [ja if language() == "ja" else en for ja, en in orjson.loads(one["titles"])]
    return TimelineRow(
        id=one["id"], at=labels.moment(at), second="" if at is None else f"{at.astimezone(TOKYO):%m-%d %H:%M:%S}",
        level=one["level"], level_word=text(f"analysis.level.{one['level']}") if one["level"] in SEVERITIES else "",
        host=plain(one["host"]), account=plain(one["account"]), titles=[plain(t) for t in dict.fromkeys(titles)],
        tactics=[tactic_word(t) for t in one["tactics"].split()], detail=plain(one["detail"]),
        place=plain(one["place"]))


def _choices(counted: Sequence[tuple[str, int]], chosen: str) -> list[Choice]:
    found = list(counted) if not chosen or any(value == chosen for value, _ in counted) else [*counted, (chosen, 0)]
    return [Choice(value, plain(value), number, value == chosen) for value, number in sorted(found)]


def _address(chosen: Mapping[str, str], **more: str) -> str:
    query = QueryDict(mutable=True)
    query.update({**chosen, **more})
    return "?" + query.urlencode()


def _spans(found: Sequence[tuple[int, int, int, int]], chosen: Mapping[str, str]) -> list[Span]:
    tallest = max((number for _, _, number, _ in found), default=0)
    if len(found) < 2:
        return []
    width = 100 / len(found)
    out = []
    for at, (since, until, number, grave) in enumerate(found):
        if not number:
            continue
        height, low = max(2.0, _BAR * number / tallest), _BAR * grave / tallest
        begin, end = (to_datetime(t).astimezone(TOKYO) for t in (since, until))
        out.append(Span(_address(chosen, **{"from": f"{begin:%Y-%m-%dT%H:%M}", "to": f"{end:%Y-%m-%dT%H:%M}"}),
                        text("timeline.span", since=_minute(since), until=_minute(until), number=f"{number:,}"),
                        round(at * width, 3), round(width * 0.8, 3), round(height, 2), round(_BAR - height, 2),
                        round(low, 2), round(_BAR - low, 2)))
    return out


def _minute(at: int) -> str:
    return f"{to_datetime(at).astimezone(TOKYO):%m-%d %H:%M}"


# ------------------------------------------------------------------------------------------------------- one record


@dataclass(frozen=True)
class RecordPage:
    row: TimelineRow
    parts: Sequence[tuple[str, str, str]]  # name, value, address of the rows that share it
    previous: int | None
    following: int | None
    around: str
    kinds: Sequence[str]


def record_page(kept: Kept, number: int) -> RecordPage | None:
    one = kept.row(number)
    if one is None:
        return None
    told = orjson.loads(one["whole"])
    own = told["event"].pop("fields", {})
    parts = [(name, plain(value), _address({"q": _word(value)}) if name in _SHARED and _word(value) else "")
             for name, value in told["event"].items()]
    parts += [(name, plain(value), "") for name, value in own.items()]
    around = ""
    if one["at"] is not None:
        begin, end = (to_datetime(one["at"] + minutes * 60_000_000).astimezone(TOKYO) for minutes in (-15, 16))
        around = _address({"from": f"{begin:%Y-%m-%dT%H:%M}", "to": f"{end:%Y-%m-%dT%H:%M}"})
    return RecordPage(_row(one), parts, number - 1 if kept.row(number - 1) else None,
                      number + 1 if kept.row(number + 1) else None, around, told["kinds"])


def _word(value: Any) -> str:
    """A value that the search takes as one word."""
    shown = str(value)
    return shown if 2 < len(shown) <= _LONGEST and not any(c.isspace() for c in shown) else ""


# ------------------------------------------------------------------------------------------------ logons and values


@dataclass(frozen=True)
class LogonsPage:
    rows: Sequence[Mapping[str, Any]]
    orders: Sequence[tuple[str, str, bool]]
    found: int
    first: int
    last: int
    previous: str
    following: str


def logons_page(kept: Kept, given: Mapping[str, str]) -> LogonsPage:
    order = given.get("order", "") if given.get("order", "") in ORDERS else "failures"
    number = page_number(given.get("page", ""))
    rows, found = kept.logons(order, first=(number - 1) * PAGE, most=PAGE)
    start = (number - 1) * PAGE
    return LogonsPage(
        rows=[_logon(one) for one in rows], found=found, first=start + 1 if rows else 0, last=start + len(rows),
        orders=[(one, text(f"timeline.order.{one}"), one == order) for one in ORDERS],
        previous=_address({"order": order, "page": str(number - 1)}) if start else "",
        following=_address({"order": order, "page": str(number + 1)}) if start + PAGE < found else "")


def _logon(one: Row) -> dict[str, Any]:
    way = WAYS.get(one["way"])
    times = {name: None if one[name] is None else labels.moment(to_datetime(one[name]))
             for name in ("first_success", "last_success", "first_failure", "last_failure")}
    return {"account": plain("\\".join(p for p in (one["domain"], one["account"]) if p)), "host": plain(one["host"]),
            "source": plain(one["source"] or one["source_name"]),
            "source_name": plain(one["source_name"]) if one["source"] else "",
            "way": (way.ja if language() == "ja" else way.en) if way else plain(one["way"]),
            "successes": one["successes"], "failures": one["failures"],
            "query": _address({"q": one["account"]}) if _word(one["account"]) else "", **times}


def values_page(kept: Kept) -> list[tuple[str, list[dict[str, Any]]]]:
    """Kinds in order, each with its values."""
    out: dict[str, list[dict[str, Any]]] = {}
    for one in kept.pivots():
        out.setdefault(one["kind"], []).append(
            {"value": plain(one["value"]), "marked": one["marked"], "everywhere": one["everywhere"],
             "query": _address({"q": _word(one["value"])}) if _word(one["value"]) else "",
             "first": None if one["first"] is None else labels.moment(to_datetime(one["first"]))})
    return [(text(f"timeline.kind.{kind}"), rows) for kind, rows in out.items()]
