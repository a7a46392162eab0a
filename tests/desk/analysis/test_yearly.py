"""The yearly technical report: the same from the same data and day, and no single case in it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import hikeshi
from hikeshi_desk.analysis import yearly
from hikeshi_desk.analysis.models import Analysis, Sign, State
from hikeshi_desk.analysis.signs import key_of
from hikeshi_desk.cases.models import Case

pytestmark = pytest.mark.django_db
NONE = "0–4"
BEGAN = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
CANARIES = ("canary-host", "203.0.113.77", "カナリア商事", "canary-mail")


@pytest.fixture
def opened(consult):
    def make(count: int = 1, at: datetime = BEGAN, *, family: str = "", way: str = "", way_at: datetime | None = None,
             incident: str = "ransomware", ended: datetime | None = None, askers: int = 3) -> list[Case]:
        cases = []
        for number in range(count):
            case = consult(f"{CANARIES[0]} {CANARIES[1]}", incident=incident)
            Case.objects.filter(pk=case.pk).update(opened_at=at, asker_name=CANARIES[2], contact=f"canary@{CANARIES[3]}{number % askers}.example")
            confirmed = {"way": {"kind": way, "at": (way_at or at).isoformat(), "product": CANARIES[0]}} if way else {}
            Analysis.objects.update_or_create(case=case, defaults={
                "state": State.DONE, "finished_at": ended or at, "confirmed": confirmed})
            if family:
                Sign.objects.create(case=case, kind="family", key=key_of("family", family))
            cases.append(case)
        return cases
    return make


def row(written: str, name: str) -> list[str]:
    line = next(line for line in written.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize(("count", "told"), [(0, "0–4"), (1, "0–4"), (4, "0–4"), (5, "5"), (7, "5"), (8, "10"), (23, "25")])
def test_numbers_leave_rounded(count, told):
    assert yearly.shown(count) == told


def test_years_stand_beside_each_other_and_nothing_names_a_case(opened):
    cases = [*opened(8, family="Medusa", way="web_shell"), *opened(5, BEGAN - timedelta(days=365), way="mail_attachment"),
             *opened(9, BEGAN - timedelta(days=4 * 365))]
    for language in ("ja", "en"):
        written = yearly.report(2026, date(2026, 12, 31), language)
        assert not [one for one in (*CANARIES, *(case.number for case in cases), str(cases[0].pk)) if one in written]
    assert row(written, "Consultations") == [NONE, "5", "10"] and row(written, "03") == [NONE, "5", "10"]
    assert row(written, "Web shell") == [NONE, NONE, "10"] and row(written, "Mail attachment")[1] == "5"
    assert row(written, key_of("family", "Medusa")[7:]) == [NONE, NONE, "10"]
    for name in ("A changed website", "Remote access left open for maintenance"):  # the whole list of ways, seen or not
        assert row(written, name) == [NONE] * 3


@pytest.mark.parametrize("kinds", [("ransomware", "phishing"), ("ransomware",), ()])
def test_two_cases_look_the_same_whatever_they_were(opened, kinds):
    before = yearly.report(2026, date(2026, 12, 31), "en")
    for kind in kinds:
        opened(1, incident=kind, family="Medusa", way="web_shell")
    assert yearly.report(2026, date(2026, 12, 31), "en") == before


def test_months_do_not_give_away_what_the_total_rounds(opened):
    for month in range(1, 8):
        opened(1, datetime(2026, month, 5, tzinfo=UTC))
    written = yearly.report(2026, date(2026, 12, 31), "en")
    assert row(written, "Consultations")[2] == "5" and {row(written, f"{month:02d}")[2] for month in range(1, 13)} == {NONE}


@pytest.mark.parametrize(("askers", "told"), [(1, False), (2, False), (3, True)])
def test_a_family_or_a_way_of_few_askers_is_not_told(opened, askers, told):
    opened(6, family="Medusa", way="web_shell", askers=askers)
    written = yearly.report(2026, date(2026, 12, 31), "en")
    assert ("medusa" in written.lower()) == told and row(written, "Web shell")[2] == ("5" if told else NONE)


def test_what_came_after_the_day_does_not_count_and_the_rest_stays_the_same(opened):
    opened(6, family="Medusa", way="web_shell")
    early = yearly.report(2026, date(2026, 6, 30), "ja")
    opened(9, datetime(2026, 7, 3, tzinfo=UTC), family="Akira", way="brute_force")
    opened(6, family="Akira", way="brute_force", way_at=datetime(2026, 8, 1, tzinfo=UTC), ended=datetime(2026, 8, 1, tzinfo=UTC))
    again = yearly.report(2026, date(2026, 6, 30), "ja")
    assert row(again, "相談")[2] == "10"  # twelve were there by then; what was found out later was not
    assert early.split("## 3.")[1] == again.split("## 3.")[1]
    assert yearly.report(2026, date(2026, 12, 31), "ja") == yearly.report(2026, date(2026, 12, 31), "ja") != again


def test_two_reports_lie_half_a_year_apart():
    assert [yearly.is_end(day) for day in (date(2026, 6, 30), date(2026, 12, 31), date(2026, 12, 30), date(2026, 6, 29))] == [
        True, True, False, False]
    for today, last in ((date(2026, 11, 22), (6, 30)), (date(2026, 12, 31), (12, 31)), (date(2027, 3, 1), (12, 31)),
                        (date(2026, 2, 1), (6, 30))):
        assert yearly.last_end(2026, today) == date(2026, *last)


def test_the_day_is_that_of_the_desk(opened):
    opened(5, datetime(2025, 12, 31, 15, 30, tzinfo=UTC))  # half past midnight on New Year's Day in Japan
    assert row(yearly.report(2026, date(2026, 6, 30), "en"), "01") == [NONE, NONE, "5"]


def test_an_empty_desk_has_a_report_too(db):
    written = yearly.report(2026, date(2026, 12, 31), "ja")
    assert row(written, "相談") == [NONE] * 3 and written.count("\n## ") == 7


def test_a_name_from_data_cannot_change_the_page(opened):
    opened(5, family="x|y](http://evil.example)<script>")
    written = yearly.report(2026, date(2026, 12, 31), "en")
    assert "script" in written and "<script" not in written and "](" not in written


def test_the_command_writes_it_once_and_says_what_is_wrong(tmp_path):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items()
                       if not key.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
        environment["PYTHONPATH"] = str(Path(hikeshi.__file__).parents[1])
        return subprocess.run([sys.executable, "-m", "hikeshi", "desk", *words], env=environment, capture_output=True,
                              text=True, timeout=300, check=False)

    data, out = tmp_path / "desk", tmp_path / "report.md"
    data.mkdir()
    wanted = ("report", "--data", str(data), "--year", "2026", "--as-of", "2026-06-30", "--out", str(out))
    refused = run(*wanted)
    assert refused.returncode == 2 and "no desk's data folder" in refused.stderr and "Traceback" not in refused.stderr
    assert run("seed", "--data", str(data), "--cases", "30", "--years", "2").returncode == 0
    done = run(*wanted)
    assert done.returncode == 0, done.stderr
    assert "2026-06-30" in out.read_text(encoding="utf-8")
    assert run(*wanted).returncode == 4  # nothing is overwritten
    for day in ("2025-12-31", "2026-07-01"):
        assert run(*wanted[:6], day, *wanted[7:]).returncode == 2
