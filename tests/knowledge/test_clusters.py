"""Unnamed cases that belong together, and those that only look alike."""

from __future__ import annotations

import itertools

import pytest

from hikeshi.knowledge.clusters import CaseFacts, cluster, is_common


def case(one: str, *indicators: str, techniques: str = "", tools: str = "", year: int = 2026) -> CaseFacts:
    return CaseFacts(one, year, frozenset(techniques.split()), frozenset(indicators), frozenset(tools.split()))


def members(*cases: CaseFacts) -> list[tuple[str, ...]]:
    return [one.cases for one in cluster(cases)]


def test_two_rare_indicators_join():
    found = cluster([case("a", "45.77.10.21", "evil.example"), case("b", "45.77.10.21", "evil.example"), case("c")])
    assert [(c.name, c.cases) for c in found] == [("UNK-2026-001", ("a", "b"))]
    assert [r.en for r in found[0].reasons] == ["2 cases share the indicator 45.77.10.21", "2 cases share the indicator evil.example"]


def test_one_rare_indicator_joins_only_with_a_rare_way():
    assert members(case("a", "45.77.10.21", techniques="T1572"), case("b", "45.77.10.21", techniques="T1572")) == [("a", "b")]
    assert members(case("a", "45.77.10.21", tools="Ngrok.exe"), case("b", "45.77.10.21", tools="ngrok")) == [("a", "b")]
    assert members(case("a", "45.77.10.21"), case("b", "45.77.10.21")) == []


@pytest.mark.parametrize(("indicators", "techniques", "tools"), [
    (("45.77.10.21",), "T1059.001 T1486 T1021.001", "PowerShell.exe PsExec Mimikatz"),
    (("8.8.8.8", "1.1.1.1", "2001:4860:4860::8888"), "T1572", "ngrok"),
    (("10.1.2.3", "192.168.0.9", "127.0.0.1", "fe80::1"), "T1572", "ngrok"),
    (("www.microsoft.com", "login.microsoftonline.com", "github.com"), "T1572", "ngrok"),
    (("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "D41D8CD98F00B204E9800998ECF8427E"), "T1572", "ngrok"),
    ((), "T1572 T1608.004 T1620 T1003.008", "ngrok chisel"),
])
def test_what_everybody_uses_does_not_join(indicators, techniques, tools):
    assert members(*(case(one, *indicators, techniques=techniques, tools=tools) for one in "ab")) == []


def test_near_misses_of_common_values_are_rare():
    assert is_common("8.8.8.8") and not is_common("8.8.8.9")
    assert is_common("cdn.github.com") and not is_common("github.com.evil.example") and not is_common("notgithub.com")
    assert not is_common("https://github.com/someone/payload") and is_common("")
    assert is_common("172.16.0.1") and not is_common("172.32.0.1")


def test_the_order_of_the_cases_does_not_matter_and_a_chain_is_one_group():
    cases = [case("a", "one.example", "two.example"), case("b", "one.example", "two.example", "three.example", "four.example"),
             case("c", "three.example", "four.example")]
    assert {cluster(order) for order in itertools.permutations(cases)} == {cluster(cases)}
    assert members(*cases) == [("a", "b", "c")]


def test_what_stands_in_a_tenth_of_many_cases_is_common_too():
    def many(count: int) -> list[CaseFacts]:
        return [case(f"{n:03}", "shared.example", "also.example", f"own{n}.example") for n in range(count)]
    assert members(*many(19)) == [tuple(f"{n:03}" for n in range(19))]
    assert members(*many(20)) == []
    assert members(*many(2), *(case(f"x{n}") for n in range(40))) == [("000", "001")]


def test_names_stay_when_cases_come_and_groups_meet():
    a, b, c, d = (case(one, f"{one}.example", "s.example") for one in "abcd")
    first = [case("a", "p.example", "q.example"), case("b", "p.example", "q.example")]
    second = [case("c", "r.example", "s.example"), case("d", "r.example", "s.example")]
    before = cluster([*first, *second])
    named = {one.name: one.cases for one in before}
    assert named == {"UNK-2026-001": ("a", "b"), "UNK-2026-002": ("c", "d")}
    older = [case("0", "t.example", "u.example"), case("1", "t.example", "u.example")]
    after = cluster([*older, *first, *second], named=named)
    assert {one.name: one.cases for one in after} == {**named, "UNK-2026-003": ("0", "1")}
    bridge = case("e", "p.example", "q.example", "r.example", "s.example")
    met = cluster([*first, *second, bridge], named=named)
    assert [(one.name, one.formerly, one.cases) for one in met] == [("UNK-2026-001", ("UNK-2026-002",), ("a", "b", "c", "d", "e"))]
    assert cluster([a, b, c, d], named=named) == ()


def test_a_number_is_not_given_again_and_the_larger_part_keeps_the_name():
    named = {"UNK-2026-007": ("a", "b", "c"), "hand made": ("z",)}
    found = cluster([case("a", "p.example", "q.example"), case("b", "p.example", "q.example"),
                     case("x", "r.example", "s.example"), case("y", "r.example", "s.example")], named=named)
    assert {one.name: one.cases for one in found} == {"UNK-2026-007": ("a", "b"), "UNK-2026-008": ("x", "y")}


def test_odd_values_are_taken_as_they_are():
    odd = ["\ud800\ud800", "x" * 100_000, "999.999.1.1", "[::1", "\x00\x00\x00\x00", " "]
    assert members(case("a", *odd), case("b", *odd)) == [("a", "b")]
    assert cluster([]) == ()
    assert members(case("a", "p.example", "q.example"), case("a", "p.example", "q.example")) == []
