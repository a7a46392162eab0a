"""What was taken: what archives may hold, and how much left at least and at most."""

from __future__ import annotations

import pytest

from hikeshi.model.case import Exfiltration, Staging
from hikeshi.model.evidence import RecordRef
from hikeshi.trace import Package
from hikeshi.trace.theft import estimate, packed_names

REF = RecordRef("log", "0" * 64, line=1)


def staged(host="FS01", path="C:\\PerfLogs\\d.7z", time="2026-06-08T10:30:00Z", size=None):
    return Staging(host=host, path=path, time=time, bytes=size, confidence="high", records=(REF,))


def sent(size, source="FS01", last="2026-06-08T12:00:00Z", to="drop.example"):
    return Exfiltration(kind="proxy_upload", source=source, destination=to, bytes=size, first=last, last=last,
                        confidence="medium", records=(REF,))


def package(path, size=1_000, *members):
    return Package(RecordRef(path, "1" * 64), size, members)


@pytest.fixture
def held(scene):
    """FS01 packs a share into PerfLogs after it was entered."""
    scene.program("FS01", "2026-06-08 10:00:00", "y.mori", "C:\\Windows\\System32\\cmd.exe", "cmd /c x",
                  "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE")
    scene.program("FS01", "2026-06-08 10:30:00", "y.mori", "C:\\PerfLogs\\7z.exe",
                  '7z.exe a -v2g C:\\PerfLogs\\d.7z "D:\\Shares\\経理" D:\\HR\\*.xlsx')
    return scene


def words(one):
    return [text.en for text in one.content]


# ---------------------------------------------------------------------------------------------- what it may hold


def test_the_command_says_what_was_packed(held):
    (found,) = held.story().staging
    assert set(words(found)) == {"accounts, payroll and invoices", "personal data of staff and others"}
    assert found.bytes is None


def test_the_archive_itself_says_it_better(held):
    kept = package("FS01/C/PerfLogs/d.7z", 7_000, "顧客/一覧.xlsx", "顧客/住所.xlsx", "図面/a.dwg")
    (found,) = held.story(packages=[kept]).staging
    assert words(found)[0] == "data of customers and partners" and "design, production and research" in words(found)
    assert found.bytes == 7_000 and kept.ref in found.records


@pytest.mark.parametrize("others", [
    [package("FS01/D/e.7z", 7_000, "顧客/一覧.xlsx")],                             # another name
    [package("a/d.7z", 7_000, "顧客/x"), package("b/d.7z", 8_000, "顧客/y")],      # whose is it?
])
def test_an_archive_that_may_be_another_says_nothing(held, others):
    (found,) = held.story(packages=others).staging
    assert "data of customers and partners" not in words(found) and found.bytes is None


def test_of_two_the_one_under_the_machines_folder(held):
    story = held.story(packages=[package("PC2/d.7z", 8_000, "顧客/y"), package("FS01/C/PerfLogs/d.7z", 7_000, "患者/x")])
    assert story.staging[0].bytes == 7_000 and "medical and patient data" in words(story.staging[0])


@pytest.mark.parametrize(("command", "named"), [
    ("7z.exe a -v2g -mhe C:\\x\\d.7z D:\\Shares", ["D:\\Shares"]),
    ('"C:\\Program Files\\WinRAR\\rar.exe" a -r "C:\\t\\人事.rar" "D:\\人事 2026"', ["D:\\人事 2026"]),
    ("tar czf /tmp/x.tgz /home /etc/passwd", ["czf", "/home", "/etc/passwd"]),
    ("", []), ("7z.exe", []), ('"' * 5_000, []), ("7z.exe a " + "x" * 100_000, ["x" * 8_183]),
])
def test_names_of_a_command(command, named):
    assert [n for n in packed_names(command) if n != "a"] == named


def test_an_archive_in_an_odd_folder_of_a_held_machine_is_a_find(held):
    left = package("FS01/C/Users/Public/q.zip", 500, "メール/box.pst")
    found = {s.path: s for s in held.story(packages=[left]).staging}
    assert found[left.ref.path].time is None and found[left.ref.path].confidence == "low"
    assert "mail" in words(found[left.ref.path])


@pytest.mark.parametrize("path", [
    "FS01/D/Backup/2026/full.zip",          # where archives belong
    "PC2/C/Users/Public/q.zip",             # a machine nobody holds
    "C/Users/Public/q.zip",                 # whose?
    "FS01.zip",                             # how the evidence came
])
def test_an_archive_elsewhere_is_none(held, path):
    assert len(held.story(packages=[package(path, 500, "box.pst")]).staging) == 1


# ---------------------------------------------------------------------------------------------- how much


def test_what_was_seen_leaving_is_both_bounds_where_all_was_sent():
    found = estimate([staged(size=900)], [sent(1_000), sent(500, to="other.example")])
    assert (found.least, found.most, found.confidence) == (1_500, 1_500, "medium")
    assert found.records and len(found.reasons) == 2


@pytest.mark.parametrize(("staging", "uploads", "least", "most"), [
    ([staged(size=900)], [], 0, 900),                                                  # packed, nothing seen leaving
    ([staged(size=900), staged("PC1", size=50)], [sent(1_000)], 1_000, 1_050),         # one machine sent, one did not
    ([staged(size=900)], [sent(1_000, last="2026-06-08T10:00:00Z")], 1_000, 1_900),    # sent before it was packed
    ([staged()], [], 0, None),                                                         # how large, nobody knows
    ([staged()], [sent(1_000)], 1_000, 1_000),                                         # sent: its size is no matter
    ([staged(size=900)], [sent(None)], 0, None),
    ([staged(time=None, size=900)], [sent(1_000)], 1_000, 1_000),
])
def test_bounds(staging, uploads, least, most):
    found = estimate(staging, uploads)
    assert (found.least, found.most) == (least, most) and found.reasons


def test_nothing_gathered_and_nothing_sent_is_no_estimate(scene):
    assert estimate([], []) is None and scene.story().leak is None


def test_the_story_carries_the_estimate(held):
    told = held.story(packages=[package("FS01/C/PerfLogs/d.7z", 7_000, "顧客/一覧.xlsx")]).leak
    assert (told.least, told.most) == (0, 7_000) and told.content and told.to_dict()["content"][0]["ja"]
