"""The pictures of time lanes and of ranks: whole, bounded, escaped."""

from __future__ import annotations

from datetime import UTC
from xml.etree import ElementTree

from hikeshi.model.case import TACTICS, Rank, Story, TimelineEntry
from hikeshi.model.text import Text
from hikeshi.report.lanes import MAX_LANES, draw_lanes, letter
from hikeshi.report.ranking import draw_ranking
from hikeshi.report.words import Words


def step(minute: int, host: str | None, tactic: str | None = "execution") -> TimelineEntry:
    time = f"2026-06-08T{minute // 60:02d}:{minute % 60:02d}:00Z"
    return TimelineEntry(
        confidence="high", time=time, ja=f"{host}で操作。", en=f"work on {host}.", host=host, tactic=tactic
    )


def test_each_machine_has_a_lane_and_each_step_its_letter() -> None:
    steps = (step(1, "RDS01", "initial-access"), step(9, "FS01", "lateral-movement"), step(40, "FS01", "impact"))
    drawn = draw_lanes(Story(timeline=steps), Words("en"), UTC)
    root = ElementTree.fromstring(drawn)
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"RDS01", "FS01"} <= set(texts) and texts.count("A") == texts.count("H") == texts.count("L") == 1
    assert "Lateral movement" in drawn and len(root.findall(".//{http://www.w3.org/2000/svg}circle")) == 3


def test_steps_without_a_machine_or_tactic_and_a_single_step_give_no_picture() -> None:
    assert draw_lanes(Story(timeline=(step(1, None), step(2, "FS01", None), step(3, "FS01"))), Words("ja"), UTC) == ""


def test_many_machines_share_the_last_lane_and_hostile_names_are_escaped() -> None:
    steps = [step(n, f"<b>&{n}") for n in range(MAX_LANES + 30)]
    drawn = draw_lanes(Story(timeline=tuple(steps)), Words("ja"), UTC)
    ElementTree.fromstring(drawn)
    assert "<b>" not in drawn and "+31" in drawn


def test_letters_follow_the_order_of_tactics() -> None:
    assert "".join(map(letter, TACTICS)) == "ABCDEFGHIJKL"


def test_ranks_are_bars_and_held_ones_are_filled() -> None:
    ranks = tuple(
        Rank(confidence="medium", kind="host", name=name, place=n, score=0.5 / n, logons=3, partners=2, new_partners=0,
             held=name == "FS01", says=Text("x", "x"))
        for n, name in enumerate(("DC01", "FS01"), 1))  # fmt: skip
    drawn = draw_ranking(Story(ranking=ranks), Words("en"))
    bars = [r.get("fill") for r in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}rect")]
    assert bars[0] == "none" and bars[1] != "none" and draw_ranking(Story(), Words("en")) == ""
