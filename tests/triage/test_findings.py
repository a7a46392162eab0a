"""What the story says, as findings: data taken, with how much and what it may have been."""

from __future__ import annotations

import pytest

from hikeshi.model.case import Exfiltration, Identification, Leak, Staging, Story
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.triage.findings import story_findings

REF = RecordRef("proxy.log", "0" * 64, line=1)
NAMED = Identification(confidence="low", verdict="not_ransomware")
PILE = Staging(host="FS01", path="C:\\p\\d.7z", time="2026-06-08T10:30:00Z", confidence="high", records=(REF,))
SENT = Exfiltration(kind="proxy_upload", source="FS01", destination="drop.example", bytes=5_000, first="2026-06-08T11:00:00Z",
                    last="2026-06-08T12:00:00Z", confidence="high", records=(REF,))


def leak(least, most, *content):
    return Leak(least=least, most=most, content=content, reasons=(), confidence="medium", records=(REF,))


def theft(story):
    return [f for f in story_findings(NAMED, story) if f.kind == "exfiltration"]


@pytest.mark.parametrize(("least", "most", "said"), [
    (5_000, 5_000, "at least 5,000 bytes; by names: customers"), (5_000, 9_000, "at least 5,000 bytes, at most 9,000; by names: customers"),
    (5_000, None, "at least 5,000 bytes; how much at most is not known; by names: customers"),
])
def test_data_that_left_is_a_finding(least, most, said):
    (found,) = theft(Story(staging=(PILE,), exfiltration=(SENT,), leak=leak(least, most, Text("顧客", "customers"))))
    assert (found.severity, found.hosts, found.indicators, found.when) == ("high", ("FS01",), ("drop.example",), PILE.time)
    assert found.reason.en == said and "顧客" in found.reason.ja and found.records == (REF,)


def test_data_that_was_only_gathered_weighs_less_and_names_no_place():
    (found,) = theft(Story(staging=(PILE,), leak=leak(0, None)))
    assert (found.severity, found.indicators, found.title.en) == ("medium", (), "Data was gathered")
    assert "by names" not in found.reason.en


def test_without_any_of_it_there_is_none():
    assert theft(Story()) == []
