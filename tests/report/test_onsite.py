"""The four headings of an on-site report, and the estimate of what left."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.test_report import report_input, worked_case

from hikeshi.model.case import Case, Identification, Leak, Persistence, Staging, Story, TimelineEntry, Unknown
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.report.view import build_view

REF = RecordRef("log", "0" * 64, line=1)
SURE = {"confidence": "high", "records": (REF,)}


def lines(story: Story, section: str, language: str = "en") -> list[str]:
    view = build_view(report_input(Case(Identification(confidence="low", verdict="unknown"), story)), language)
    found = next(s for s in view.sections if s.id == section)
    return [text for block in found.blocks for text in ([block.text] if block.text else []) + [c.text for c in block.items]]


def test_all_four_headings_in_both_languages():
    story = worked_case().story
    ja, en = lines(story, "onsite", "ja"), lines(story, "onsite")
    for heading in ("バックドアの発見", "攻撃元の特定", "攻撃手法の分析", "早期の業務再開に向けて"):
        assert heading in ja
    for heading in ("Backdoors found", "Source of the attack", "Methods of the attack", "Towards resuming work"):
        assert heading in en


def test_backdoors_method_and_what_must_stop_are_told():
    story = Story(
        compromised_hosts=worked_case().story.compromised_hosts,
        persistence=(Persistence(host="APP01", kind="service", name="upd", path="C:\\x\\u.exe", time="2026-06-08T10:00:00Z", **SURE),),
        timeline=(TimelineEntry(time="2026-06-08T10:00:00Z", ja="あ", en="a", host="APP01", tactic="persistence",
                                technique="T1543.003", **SURE),
                  TimelineEntry(time="2026-06-08T09:00:00Z", ja="あ", en="a", host="APP01", tactic="initial-access",
                                technique="T1078", **SURE),
                  TimelineEntry(time="2026-06-08T11:00:00Z", ja="あ", en="a", **SURE)),
        unknowns=(Unknown(log="Security", host=None, reason=Text("あ", "a"), **SURE),))
    told = lines(story, "onsite")
    assert any(t.startswith("APP01: ") and "C:\\x\\u.exe" in t and "JST" in t for t in told)
    method = told[told.index("Methods of the attack") + 1:told.index("Towards resuming work")]
    assert [m.split(":")[0] for m in method] == ["Initial access", "Persistence"] and "T1078" in method[0]
    assert "Open questions: 1" in told[-1]


def test_nothing_known_is_said_and_nothing_invented():
    told = lines(Story(), "onsite")
    assert len(told) == 8 and not any(c.isdigit() for t in told for c in t)
    assert "No record shows an address of the attacker." in told


def test_long_lists_say_how_many_more():
    many = tuple(Persistence(host=f"PC{n}", kind="service", name="s", path="", time=None, **SURE) for n in range(40))
    told = lines(Story(persistence=many), "onsite")
    assert "28 more" in told


@pytest.mark.parametrize(("least", "most", "said"), [
    (0, None, "at least 0 B; how much at most is not known"), (5_000, 5_000, "what left: 5.0 kB"),
    (5_000, 14_000_000_000, "at least 5.0 kB, at most 14.0 GB"),
])
def test_the_estimate_says_its_bounds_and_what_they_rest_on(least, most, said):
    leak = Leak(least=least, most=most, content=(Text("顧客", "customers"),), reasons=(Text("送信の記録", "a record of it"),), **SURE)
    told = lines(replace(worked_case().story, leak=leak), "exfiltration")
    assert said in told[0] and told[1].endswith("customers") and told[2] == "a record of it"


def test_the_guess_stands_with_its_archive():
    story = Story(staging=(Staging(host="FS01", path="C:\\p\\d.7z", time=None, bytes=9, content=(Text("顧客", "customers"),), **SURE),))
    view = build_view(report_input(Case(Identification(confidence="low", verdict="unknown"), story)), "ja")
    rows = next(s for s in view.sections if s.id == "exfiltration").blocks[-1].rows
    assert [c.text for c in rows[0]][5] == "顧客"
