"""Events over time: one small chart a source, a break in the line where there is no log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path

from hikeshi.model.text import plain

MAX_CHARTS = 12


@dataclass(frozen=True, slots=True)
class Activity:
    """Records an hour of one log: hours since 1970 UTC → count; hours without any are absent.
    `first` and `last` are UTC ISO times."""

    label: str
    hours: Mapping[int, int]
    first: str | None
    last: str | None


@cache
def _with_fonts() -> bool:
    import noto_cjk_sans_jp_regular
    import vl_convert

    for folder in noto_cjk_sans_jp_regular.__path__:
        vl_convert.register_font_directory(str(Path(folder)))
        for child in sorted(p for p in Path(folder).rglob("*") if p.is_dir() and p.name != "__pycache__"):
            vl_convert.register_font_directory(str(child))
    return True


def draw_activity(activity: Sequence[Activity], zone: tzinfo) -> str:
    """An SVG of the busiest logs, in the reader's zone, or "" where there are none."""
    shown = sorted((a for a in activity if a.hours), key=lambda a: (-sum(a.hours.values()), a.label))[:MAX_CHARTS]
    if not shown:
        return ""
    import altair
    import vl_convert

    _with_fonts()
    every = [hour for a in shown for hour in a.hours]
    rows = [row for a in shown for row in _rows(a, min(every), max(every), zone)]
    base = altair.Chart(altair.Data(values=rows)).encode(
        x=altair.X("time:T", title=None, axis=altair.Axis(format="%m-%d", labelOverlap=True, grid=False, tickCount=8)),
        y=altair.Y("count:Q", title=None, axis=altair.Axis(tickCount=2, format="~s", grid=False)))
    # Areas alone would hide an hour that stands between two breaks.
    layers = base.mark_area(color="#3b4fa0", opacity=0.35, interpolate="step-after", line={"strokeWidth": 1})
    panel = altair.layer(layers).properties(width=290, height=44)
    chart = panel.facet(
        facet=altair.Facet("log:N", title=None, sort=[a.label for a in shown],
                           header=altair.Header(labelAnchor="start", labelFontSize=11, labelPadding=2, labelLimit=290)),
        columns=2).resolve_scale(y="independent").configure(font="Noto Sans CJK JP").configure_view(stroke=None)
    spec = json.loads(chart.to_json(validate=False))
    return str(vl_convert.vegalite_to_svg(spec)).replace('<svg ', '<svg role="img" ', 1)


def _rows(activity: Activity, first: int, last: int, zone: tzinfo) -> list[dict[str, object]]:
    """One row an hour; where the log is silent the count is null, so that the line breaks."""
    step = max(1, (last - first) // 240)
    bins: dict[int, int] = {}
    for hour, count in activity.hours.items():
        bins[(hour - first) // step] = bins.get((hour - first) // step, 0) + count
    return [{"log": plain(activity.label), "time": _local(first + number * step, zone), "count": bins.get(number)}
            for number in range((last - first) // step + 1)]


def _local(hour: int, zone: tzinfo) -> str:
    # Vega draws a time without zone as it stands.
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")
