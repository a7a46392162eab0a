"""Shared, popular, private and own places are held back and named; the attacker's names beside them are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hikeshi.errors import InputError
from hikeshi.model.text import Text
from hikeshi.respond.holding import Sorted, sort_targets
from hikeshi.respond.plan import Plan, load_plan
from hikeshi.respond.targets import target


def sort(*values: str, plan: Plan | None = None, force: tuple[str, ...] = ()) -> Sorted:
    found = [target(v) for v in values]
    return sort_targets([t for t in found if t], plan or Plan(), force=force)


@pytest.mark.parametrize("value", [
    "google.com", "www.google.com", "login.microsoftonline.com", "a.b.windowsupdate.com", "www.yahoo.co.jp", "github.io",
    "duckdns.org", "cloudfront.net", "bit.ly", "transfer.sh", "co.jp", "8.8.8.8", "1.1.1.1", "8.8.8.0/24", "104.16.1.1",
    "2606:4700::1111", "10.1.2.3", "192.168.0.0/16", "127.0.0.1", "169.254.1.1", "fc00::1", "fe80::1", "203.0.0.0/8",
    "server.corp.local", "100.64.0.9"])
def test_places_that_many_use_wait_for_a_person(value: str) -> None:
    found = sort(value)
    assert not found.block and found.held[0].reasons and all(r.ja and r.en for r in found.held[0].reasons)


@pytest.mark.parametrize("value", [
    "evil.example", "evil.duckdns.org", "bad.github.io", "d111.cloudfront.net", "evil.blogspot.com", "evil.co.jp",
    "203.0.113.66", "198.51.100.0/24", "2001:db8::66", "google.com.evil.example", "notgoogle.example",
    "https://drive.google.com/file/evil", "attacker@gmail.com"])
def test_what_only_the_attacker_uses_is_blocked(value: str) -> None:
    assert [t.value for t in sort(value).block] and not sort(value).held


PLAN = """
own_domains = ["corp.example"]
own_networks = ["203.0.113.0/24"]
never_block = ["deep.bank.example", "198.51.100.7"]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "plan.toml").write_text(PLAN)
    return load_plan(tmp_path / "plan.toml")


@pytest.mark.parametrize(("value", "held"), [
    ("corp.example", True), ("mail.corp.example", True), ("example", False), ("notcorp.example", False),
    ("203.0.113.9", True), ("203.0.112.0/23", True), ("203.0.114.9", False), ("boss@corp.example", True),
    ("http://www.corp.example/x", True), ("deep.bank.example", True), ("bank.example", True), ("b.deep.bank.example", True),
    ("other.bank.example", False), ("198.51.100.7", True), ("198.51.100.0/28", True), ("198.51.100.8", False)])
def test_the_plan_protects_its_own_and_their_parents(plan: Plan, value: str, held: bool) -> None:
    found = sort(value, plan=plan)
    assert bool(found.held) is (held and target(value) is not None)
    # Not even on request: that would cut the company off from itself.
    assert bool(sort(value, plan=plan, force=(value,)).held) is bool(found.held)


def test_a_person_may_force_what_is_shared_and_the_reason_stays() -> None:
    found = sort("duckdns.org", "10.0.0.1", force=("duckdns.org", "10.0.0.1"))
    assert [t.value for t in found.block] == ["duckdns.org"] and found.forced["duckdns.org"]
    assert [h.target.value for h in found.held] == ["10.0.0.1"]


def test_what_many_of_our_own_machines_use_is_held_back() -> None:
    one = target("evil.example")
    assert one
    used = {"evil.example": Text("多く", "many")}
    assert sort_targets([one], Plan(), used_by=used).held[0].reasons == (Text("多く", "many"),)


def test_https_paths_say_what_they_need() -> None:
    assert "TLS" in sort("https://evil.example/x").cautions["https://evil.example/x"][0].en
    assert not sort("http://evil.example/x").cautions


@pytest.mark.parametrize(("text", "said"), [
    ("own_domain = ['x.example']", "unknown key 'own_domain'"), ("zone = 'Mars/Base'", "zone"), ("= broken", "can't be read"),
    ("[[system]]\nname = 'a'\ndestinations = []", "destinations is empty"),
    ("[[system]]\nname = 'a'\ndestinations = ['b.example']\nwindows = ['x']", "no window"),
    ("[[window]]\nname = 'a'\nstart = '25:00'\nend = '01:00'", "start is a time"),
    ("[[allow]]\ndestination = 'not a place'", "no name"), ("[[allow]]\ndestination = 'a.example'\nports = [70000]", "ports"),
    ("[[allow]]\ndestination = 'a.example'\nfrom = '2026'", "TOML times"), ("allow = 3", "[[allow]]"),
    ("proxies = ['proxy1']", "no address"), ("never_block = 'a.example'", "list of texts"), ("[[contact]]\nname = 'x'", "by is missing")])
def test_a_plan_with_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_plan(tmp_path / "plan.toml")
    assert said in str(caught.value) and "plan.toml" in str(caught.value)


def test_a_window_past_midnight_belongs_to_the_day_it_begins(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("[[window]]\nname = 'w'\ndays = ['sun']\nstart = '23:00'\nend = '01:00'")
    minutes = load_plan(tmp_path / "plan.toml").windows[0].minutes()
    assert sum(minutes) == 120 and minutes[0] and minutes[59] and not minutes[60]
    assert minutes[6 * 1440 + 23 * 60] and not minutes[6 * 1440 + 22 * 60 + 59]
