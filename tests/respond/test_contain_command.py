"""`hikeshi contain` from end to end: lists, price, state, proof; in both languages, with honest exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from respond_helpers import ResultOf, entry, flow, host, web
from rich.cells import cell_len

from hikeshi.cli.main import main
from hikeshi.respond.blocklist import blocked_targets

C2 = {"destination.domain": "evil.example", "url.full": "http://evil.example/x", "destination.ip": "198.51.100.9"}
CASE = {
    "compromised_hosts": [{**host("PC-1"), "addresses": ["10.0.0.5"]}],
    "c2": [entry(value="evil.example", type="domain", known=True, first=None, last="2026-11-02T09:00:00Z", clients=["PC-1"])],
    "block_list": [entry(value="evil.example", type="domain", where=["dns", "proxy"]),
                   entry(value="8.8.8.8", type="ipv4", where=["firewall"]),
                   entry(value="weak.example", type="domain", where=["dns"]) | {"confidence": "low"}],
}


@pytest.fixture
def before(result_of: ResultOf) -> Path:
    return result_of([web(**C2), web(**C2, at="2026-11-02T01:30:00Z"), web(), flow(**{"source.ip": "10.0.0.6"})], CASE)


@pytest.fixture
def after(result_of: ResultOf) -> Path:
    """The proxy refuses since 02:00; one machine goes around, another shows itself."""
    late = "2026-11-02T03:00:00Z"
    rows = [web(**C2), web(**C2, at=late) | {"event.action": "TCP_DENIED", "http.response.status_code": 403},
            web(**C2, at=late) | {"event.action": "TCP_DENIED", "source.ip": "10.0.0.77"},
            flow(**{"destination.ip": "198.51.100.9"}, at=late)]
    return result_of(rows, CASE, name="after")


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[dict[str, Any]], str]:
    capsys.readouterr()
    code = main(["contain", *map(str, arguments)])
    shown = capsys.readouterr()
    rows = [json.loads(line) for line in shown.out.splitlines()] if "--json" in arguments else []
    return code, rows, shown.out + shown.err


def test_lists_page_and_order_come_out_of_a_result(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code, rows, said = run(capsys, "blocklist", before, "--out", out, "--json")
    assert code == 1 and {(r["value"], r["state"]) for r in rows} == {("evil.example", "block"), ("8.8.8.8", "held")}
    assert "1 held back" in said
    assert (out / "squid" / "domains.txt").read_text().endswith("\n.evil.example\n")
    assert "8.8.8.8" not in "".join(p.read_text() for p in (out / "squid").iterdir())
    assert [t.value for t in blocked_targets(out)] == ["evil.example"]
    assert json.loads((out / "isolate.jsonl").read_text().splitlines()[0])["host"] == "PC-1"
    page, text = (out / "contain.html").read_text(), (out / "contain.txt").read_text()
    for word in ("封じ込めの手順", "Containment", "squid/undo.sh", "evil[.]example", "公開DNSサーバ", "a public resolver"):
        assert word in page
    assert "evil[.]example" in text and "<script" not in page and "default-src &#39;none&#39;" not in page
    assert "default-src 'none'" in page
    assert json.loads((out / "simulation.json").read_text())["block"]["use"]["requests"] == {"proxy": 2}


def test_the_page_is_inert_whatever_the_case_says(result_of: ResultOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "<script>alert(1)</script>\x1b[31m\u202e"
    case = {"compromised_hosts": [host(name)], "c2": [entry(value="http://evil.example/<b>", type="url", known=True,
                                                             first=None, last=None, clients=[name])],
            "accounts_to_reset": [entry(name="<img src=x>", kind="domain", reasons=[{"ja": "<b>", "en": "<b>"}])]}
    run(capsys, "blocklist", result_of([], case), "--out", tmp_path / "out", "--no-simulation")
    page = (tmp_path / "out" / "contain.html").read_text()
    assert "<script>" not in page and "<img src=x>" not in page and "\x1b" not in page and "\u202e" not in page
    assert "\x1b" not in (tmp_path / "out" / "contain.txt").read_text()


def test_a_list_alone_is_enough_and_devices_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("evil[.]example\n10.0.0.1\nwww.google.com\n")
    code, rows, _ = run(capsys, "blocklist", "--indicators", tmp_path / "list.txt", "--out", tmp_path / "out", "--for", "squid",
                        "--block", "www.google.com", "--block", "10.0.0.1", "--json")
    assert code == 1 and {(r["value"], r["state"]) for r in rows} == {
        ("evil.example", "block"), ("www.google.com", "forced"), ("10.0.0.1", "held")}
    assert {p.name for p in (tmp_path / "out").iterdir() if p.is_dir()} == {"squid"}


def test_low_confidence_comes_only_when_asked_for(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, rows, _ = run(capsys, "blocklist", before, "--out", tmp_path / "out", "--low", "--json")
    assert "weak.example" in {r["value"] for r in rows}


def test_what_many_machines_use_is_not_blocked_silently(result_of: ResultOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
                                                        ) -> None:
    rows = [web(**C2, **{"source.ip": f"10.0.1.{n}"}) for n in range(25)]
    case = {"block_list": CASE["block_list"]}
    _, made, _ = run(capsys, "blocklist", result_of(rows, case), "--out", tmp_path / "out", "--json")
    held = {r["value"]: r["cautions"][0]["en"] for r in made if r["state"] == "held"}
    assert "25" in held["evil.example"]
    _, made, _ = run(capsys, "blocklist", result_of(rows[:19], case), "--out", tmp_path / "out", "--json")
    assert "evil.example" in {r["value"] for r in made if r["state"] == "block"}


def test_who_called_a_listed_place_is_to_be_isolated(result_of: ResultOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
                                                      ) -> None:
    (tmp_path / "list.txt").write_text("evil.example\ncrowd.example\n")
    crowd = [web(**{"destination.domain": "crowd.example", "url.full": "http://crowd.example/", "source.ip": f"10.0.2.{n}"})
             for n in range(30)]
    folder = result_of([web(**C2), web(), *crowd])
    run(capsys, "blocklist", folder, "--indicators", tmp_path / "list.txt", "--out", tmp_path / "out")
    isolate = [json.loads(line)["host"] for line in (tmp_path / "out" / "isolate.jsonl").read_text().splitlines()]
    assert isolate == ["10.0.0.5"]  # not the thirty that use what everybody uses
    told = {t["value"]: t["bystanders"] for t in json.loads((tmp_path / "out" / "simulation.json").read_text())["targets"]}
    assert told["evil.example"] == 0


def test_the_price_in_both_shapes(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, rows, _ = run(capsys, "simulate", before, "--json", "--out", tmp_path / "simulation.json")
    kinds = {r["kind"]: r for r in rows}
    assert code == 1 and kinds["block"]["requests"] == {"proxy": 2} and kinds["cut_off"]["requests"] == {"firewall": 1, "proxy": 3}
    assert kinds["target"]["bystanders"] == 0 and kinds["target"]["host_names"] == ["pc-1"]
    code, _, said = run(capsys, "simulate", before, "--to", "2026-11-02T01:15:00Z")
    assert code == 1 and "proxy 1" in said and "全面遮断 Full cut-off" in said
    code, _, _ = run(capsys, "simulate", before, "--from", "2027-01-01")
    assert code == 0


def test_the_whole_way_from_request_to_proof(before: Path, after: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, state = tmp_path / "out", tmp_path / "state.jsonl"
    run(capsys, "blocklist", before, "--out", out)
    code, rows, _ = run(capsys, "status", "--list", out, "--state", state, "--json")
    assert code == 1 and {(r["subject"], r["control"], r["state"]) for r in rows} == {
        ("evil.example", c, "open") for c in ("firewall", "proxy", "dns", "mail")}
    code, _, _ = run(capsys, "mark", "evil[.]example", "--on", "proxy", "--as", "applied", "--by", "sato", "--device", "PX-1",
                     "--at", "2026-11-02 11:00", "--state", state)
    assert code == 0
    for control in ("dns", "mail"):
        run(capsys, "mark", "evil.example", "--on", control, "--as", "not_needed", "--by", "sato", "--note", "no own server",
            "--state", state)
    code, rows, _ = run(capsys, "verify", after, "--state", state, "--update", "suzuki", "--json")
    assert code == 1
    assert [(r["host"], r["destination"], r["blocked"]) for r in rows if r["kind"] == "bypass"] == [
        ("pc-1", "198.51.100.9", "evil.example")]
    summary = rows[-1]
    assert summary["kind"] == "summary" and summary["revealed"] == ["10.0.0.77"] and not summary["holds"]
    assert summary["since"] == "2026-11-02T02:00:00Z"  # typed in the plan's zone
    code, rows, _ = run(capsys, "status", "--list", out, "--state", state, "--json")
    states = {r["control"]: (r["state"], r["by"]) for r in rows}
    assert code == 1 and states["proxy"] == ("verified", "suzuki") and states["firewall"][0] == "open"
    run(capsys, "mark", "evil.example", "--on", "firewall", "--as", "verified", "--by", "sato", "--state", state)
    assert run(capsys, "status", "--list", out, "--state", state)[0] == 0
    code, _, said = run(capsys, "undo", 1, "--by", "sato", "--state", state)
    assert code == 0 and "undoes 1" in said
    assert "undoes 1" in run(capsys, "status", "--history", "--state", state)[2]


def test_a_block_that_holds_says_so(after: Path, capsys: pytest.CaptureFixture[str], result_of: ResultOf) -> None:
    late = "2026-11-02T03:00:00Z"
    rows = [web(**C2), web(**C2, at=late) | {"event.action": "TCP_DENIED", "http.response.status_code": 403}]
    code, _, said = run(capsys, "verify", result_of(rows, CASE, name="good"), "--at", "2026-11-02T02:00:00Z")
    assert code == 0 and "遮断は効いています。 The block holds." in said
    code, _, said = run(capsys, "verify", after, "--at", "2026-11-02T02:00:00Z")
    assert code == 1 and "抜け道" in said and "bypass: pc-1" in said and "198[.]51[.]100[.]9" in said


def test_a_drill_shows_estimate_and_reality(before: Path, after: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "simulate", before, "--out", tmp_path / "s.json")
    code, rows, _ = run(capsys, "verify", after, "--at", "2026-11-02T02:00:00Z", "--estimate", tmp_path / "s.json", "--json")
    drill = [r for r in rows if r["kind"] == "drill"]
    assert code == 1 and drill[0]["actual"] == 2 and drill[0]["name"] == "cut_off"
    (tmp_path / "bad.json").write_text("{}")
    assert run(capsys, "verify", after, "--at", "2026-11-02", "--estimate", tmp_path / "bad.json")[0] == 3


def test_hosts_accounts_and_decisions_are_marked_too(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "s.jsonl"
    assert "PC-1" in run(capsys, "hosts", before)[2] and "Administrator" in run(capsys, "accounts", before)[2]
    assert run(capsys, "hosts", before, "--json")[1][0]["cause"] == "c2_alive"
    run(capsys, "mark", "PC-1", "--on", "isolation", "--as", "verified", "--by", "sato", "--state", state)
    run(capsys, "mark", "full cut-off", "--on", "decision", "--as", "not_needed", "--by", "CISO", "--note", "one machine",
        "--state", state)
    code, rows, _ = run(capsys, "status", before, "--state", state, "--json")
    found = {(r["subject"], r["control"]): r["state"] for r in rows}
    assert code == 1 and found["PC-1", "isolation"] == "verified" and found["Administrator@pc-1", "reset"] == "open"


@pytest.mark.parametrize(("arguments", "code"), [
    (["blocklist"], 2), (["blocklist", "nowhere"], 3), (["verify", "BEFORE"], 2), (["verify", "BEFORE", "--at", "tomorrow"], 2),
    (["verify", "BEFORE", "--state", "none.jsonl"], 2), (["mark", "x", "--on", "proxy", "--as", "not_needed"], 2),
    (["mark", "x", "--on", "fax", "--as", "applied"], 2), (["undo", "9"], 2), (["simulate", "BEFORE", "--plan", "nowhere.toml"], 3),
    (["blocklist", "BEFORE", "--block", "not a place"], 2), (["status"], 1)])
def test_mistakes_have_their_exit_codes_and_a_next_step(before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                         capsys: pytest.CaptureFixture[str], arguments: list[str], code: int) -> None:
    monkeypatch.chdir(tmp_path)
    found, _, said = run(capsys, *(str(before) if a == "BEFORE" else a for a in arguments))
    assert found == code and "Traceback" not in said
    assert code == 1 or "Next" in said


@pytest.mark.parametrize("command", ["blocklist", "simulate", "verify", "hosts", "accounts", "status", "mark", "undo"])
def test_help_fits_the_terminal_in_both_languages(command: str, monkeypatch: pytest.MonkeyPatch,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, _, said = run(capsys, command, "--help")
    assert code == 0 and max(cell_len(line) for line in said.splitlines()) <= 80 and any(ord(c) > 0x3000 for c in said)
