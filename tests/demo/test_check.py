"""The perfect answer equals the truth; every kind of wrong answer shows as a difference."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.demo.check import account_name, compare, host_name

Case = dict[str, Any]


def answer(truth: dict[str, Any]) -> Case:
    """A case.json that says exactly what the truth says, in the words of a case."""
    def entries(key: str, *names: str) -> list[dict[str, Any]]:
        return [dict(zip(names, value if isinstance(value, list) else [value], strict=True)) for value in truth[key]]

    family = truth["family"]
    return {
        "identification": {"verdict": "identified" if family else "unknown", "family": family},
        "entry_candidates": [
            {"rank": 2, "kind": "exposed_rdp", "source": "198.51.100.9", "account": None, "host": "FS02", "time": None},
            {"rank": 1, **truth["entry"]}],
        "compromised_hosts": [{"name": f"{h.lower()}.kaede.example"} for h in truth["compromised_hosts"]],
        "encrypted_hosts": entries("encrypted_hosts", "name"),
        "compromised_accounts": [{"name": f"KAEDE\\{a.upper()}"} for a in truth["compromised_accounts"]],
        "c2": entries("c2", "value"),
        "spread": [{"time": f"2026-10-08T15:{n:02d}:00Z", **e}
                   for n, e in enumerate(entries("spread", "source", "destination", "account", "method"))],
        "exfiltration": copy.deepcopy(truth["exfiltration"]),
        "persistence": entries("persistence", "host", "kind", "name"),
        "log_gaps": entries("log_gaps", "host", "kind"),
        "staging": entries("staging", "host", "path"),
    }


def first_entry(case: Case) -> dict[str, Any]:
    return next(c for c in case["entry_candidates"] if c["rank"] == 1)


def test_the_perfect_answer_equals_the_truth(written) -> None:
    assert compare(written.truth, answer(written.truth)) == []


def test_what_is_optional_may_be_said(all_written) -> None:
    truth = all_written["vpn-ransomware"].truth
    case = answer(truth)
    case["spread"].append({"time": "2026-10-08T19:00:00Z", "source": "DC01", "destination": "PC-B007",
                           "account": "adm-sato", "method": "psexec_service"})
    case["spread"].append({"time": "2026-10-08T15:33:14Z", "source": "203.0.113.77", "destination": "FW-KAEDE-01",
                           "account": "t.mori", "method": "vpn"})
    case["log_gaps"].append({"host": "DC01", "kind": "silence"})
    case["c2"].append({"value": "198.51.100.44"})
    assert compare(truth, case) == []


def test_an_alias_counts_as_what_it_stands_for(all_written) -> None:
    truth = all_written["vpn-ransomware"].truth
    case = answer(truth)
    case["spread"][0]["source"] = "203.0.113.77"
    case["persistence"][0] |= {"kind": "service", "name": "AnyDesk"}
    case["staging"][0]["path"] = "c:\\perflogs"
    assert compare(truth, case) == []
    truth = all_written["mail-c2-exfil"].truth
    case = answer(truth)
    case["exfiltration"][0]["destination"] = "198.51.100.118"
    assert compare(truth, case) == []


def _drop(key: str) -> Callable[[Case], Any]:
    return lambda case: case[key].pop()


def _add(key: str, entry: dict[str, Any]) -> Callable[[Case], Any]:
    return lambda case: case[key].append(entry)


def _swap(case: Case) -> None:
    edge = case["spread"][1]
    edge["source"], edge["destination"] = edge["destination"], edge["source"]


def _reverse_order(case: Case) -> None:
    times = [e["time"] for e in case["spread"]]
    for edge, time in zip(case["spread"], reversed(times), strict=True):
        edge["time"] = time


WRONG: list[tuple[str, str, Callable[[Case], Any]]] = [
    ("missing host", "compromised_hosts", _drop("compromised_hosts")),
    ("extra host", "compromised_hosts", _add("compromised_hosts", {"name": "PC-A007"})),
    ("missing encrypted host", "encrypted_hosts", _drop("encrypted_hosts")),
    ("extra encrypted host", "encrypted_hosts", _add("encrypted_hosts", {"name": "SQL01"})),
    ("missing account", "compromised_accounts", _drop("compromised_accounts")),
    ("extra account", "compromised_accounts", _add("compromised_accounts", {"name": "k.ogawa"})),
    ("decoy host", "not_compromised", _add("compromised_hosts", {"name": "jump01.kaede.example"})),
    ("decoy account", "not_compromised", _add("compromised_accounts", {"name": "KAEDE\\svc_backup"})),
    ("missing step", "spread", _drop("spread")),
    ("swapped step", "spread", _swap),
    ("steps in the wrong order", "spread", _reverse_order),
    ("other account on a step", "spread", lambda c: c["spread"][1].update(account="adm-kobayashi")),
    ("other method", "spread", lambda c: c["spread"][1].update(method="smb")),
    ("extra step", "spread", _add("spread", {"time": "2026-10-08T15:59:00Z", "source": "JUMP01", "destination": "FS01",
                                             "account": "adm-sato", "method": "rdp"})),
    ("other family", "family", lambda c: c["identification"].update(family="MedusaLocker")),
    ("family not said", "family", lambda c: c["identification"].update(verdict="candidates")),
    ("extra c2", "c2", _add("c2", {"value": "tenki-widget.example"})),
    ("missing exfiltration", "exfiltration", _drop("exfiltration")),
    ("exfiltration from the proxy", "exfiltration", lambda c: c["exfiltration"][0].update(source="10.20.1.250")),
    ("missing persistence", "persistence", _drop("persistence")),
    ("harmless service as persistence", "persistence",
     _add("persistence", {"host": "FS01", "kind": "service", "name": "KaedeAgentUpdater"})),
    ("missing gap", "log_gaps", _drop("log_gaps")),
    ("gap elsewhere", "log_gaps", _add("log_gaps", {"host": "FS01", "kind": "cleared"})),
    ("missing staging", "staging", _drop("staging")),
    ("entry of another kind", "entry", lambda c: first_entry(c).update(kind="exposed_rdp")),
    ("entry from elsewhere", "entry", lambda c: first_entry(c).update(source="203.0.113.78")),
    ("entry from the tunnel", "entry", lambda c: first_entry(c).update(source="10.212.134.61")),
    ("entry by another account", "entry", lambda c: first_entry(c).update(account="m.kato")),
    ("entry at another host", "entry", lambda c: first_entry(c).update(host="FS01")),
    ("entry a minute off", "entry", lambda c: first_entry(c).update(time="2026-10-08T15:34:00Z")),
    ("right entry only second", "entry", lambda c: [e.update(rank=3 - e["rank"]) for e in c["entry_candidates"]]),
    ("no entry", "entry", lambda c: c.pop("entry_candidates")),
]


@pytest.mark.parametrize(("what", "spoil"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_wrong_answer_is_a_difference(all_written, what: str, spoil: Callable[[Case], Any]) -> None:
    truth = all_written["vpn-ransomware"].truth
    case = answer(truth)
    spoil(case)
    differences = compare(truth, case)
    assert what in {d.what for d in differences}
    assert all(d.text.ja and d.text.en and (d.expected is not None or d.got is not None) for d in differences)


@pytest.mark.parametrize("name", ["mail-c2-exfil", "webshell"])
def test_a_family_said_without_ransomware_is_a_difference(all_written, name: str) -> None:
    case = answer(all_written[name].truth)
    case["identification"] = {"verdict": "identified", "family": "medusa"}
    assert [d.what for d in compare(all_written[name].truth, case)] == ["family"]


def test_a_missing_control_address_is_a_difference(all_written) -> None:
    truth = all_written["mail-c2-exfil"].truth
    case = answer(truth)
    case["c2"] = [c for c in case["c2"] if c["value"] != "assets-eu-static.example"]
    (difference,) = compare(truth, case)
    assert (difference.what, difference.expected, difference.got) == ("c2", "assets-eu-static.example", None)


def test_an_empty_answer_misses_everything(written) -> None:
    missed = {d.what for d in compare(written.truth, {})}
    assert missed >= {"entry", "compromised_hosts", "compromised_accounts", "spread", "persistence"}
    assert all(d.got is None for d in compare(written.truth, {}))


@pytest.mark.parametrize(("written_as", "name"), [
    ("fs01.kaede.example", "FS01"), ("FS01", "FS01"), ("FS01$", "FS01"), ("10.20.1.21", "10.20.1.21"),
    ("fe80::1", "fe80::1"), ("", ""), (None, "")])
def test_hosts_are_compared_by_short_name(written_as: str | None, name: str) -> None:
    assert host_name(written_as) == name


@pytest.mark.parametrize("written_as", ["adm-sato", "KAEDE\\adm-sato", "ADM-SATO@kaede.example"])
def test_accounts_are_compared_without_domain(written_as: str) -> None:
    assert account_name(written_as) == "adm-sato"
