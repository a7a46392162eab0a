"""`hikeshi rules` as a person uses it: import, list, verify, hunt with a pack, coverage, remove."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from hikeshi.cli.main import main
from hikeshi.knowledge import rulepack

SOURCE = {"product": "windows", "service": "security"}


def rule(title, number, **more):
    return yaml.safe_dump({"title": title, "id": f"00000000-0000-4000-8000-{number:012}", "level": "high",
                           "author": "Nobody", "logsource": SOURCE,
                           "detection": {"s": {"EventID": 1102}, "condition": "s"}, **more}).encode()


FILES = {
    "sigma-main/rules/cleared.yml": rule("Cleared", 1),
    "sigma-main/rules/linux/other.yml": rule("Elsewhere", 2, logsource={"product": "plan9", "service": "x"}),
    "sigma-main/deprecated/old.yml": rule("Old", 3, status="deprecated"),
    "sigma-main/.github/workflow.yml": b"on: push\njobs: {}\n",
    "sigma-main/README.md": b"rules\n",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(tmp_path / "home"))
    monkeypatch.setenv("HIKESHI_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def archive(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return str(path)


def write(folder, files):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return str(folder)


def listed(capsys):
    capsys.readouterr()
    assert main(["rules", "list", "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(params=["folder", "zip", "tar.gz"])
def given(request, home):
    if request.param == "folder":
        return write(home / "given", FILES)
    if request.param == "zip":
        return archive(home / "given.zip", FILES)
    with tarfile.open(home / "given.tar.gz", "w:gz") as file:
        for name, data in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            file.addfile(entry, io.BytesIO(data))
    return str(home / "given.tar.gz")


def test_rules_come_in_are_dated_used_and_go_again(given, home, capsys):
    assert main(["rules", "import", given, "--name", "sigma", "--as-of", "2026-08-05", "--licence", "DRL-1.1"]) == 0
    said = capsys.readouterr()
    assert "2 loaded, 1 applicable, 1 not applicable" in said.err
    (one,) = listed(capsys)
    assert (one["name"], one["date"], one["licence"], one["files"]) == ("sigma", "2026-08-05", "DRL-1.1", 2)
    left = one["left_out"]
    assert left["retired by its makers (deprecated or unsupported)"] == 1
    assert (left["YAML, but no rule"], left["no YAML file"]) == (1, 1)
    assert main(["rules", "verify", "sigma"]) == 0
    (home / "log.json").write_text(json.dumps({"Event": {"System": {
        "Provider": {"#attributes": {"Name": "x"}}, "EventID": 1102, "Channel": "Security", "Computer": "WS1",
        "EventRecordID": 5, "TimeCreated": {"#attributes": {"SystemTime": "2026-05-03T00:00:00Z"}}}}}) + "\n")
    capsys.readouterr()
    assert main(["hunt", "log.json", "--pack", "sigma", "--json", "--workers", "1"]) == 1
    (hit,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (hit["rule_title"], hit["record_id"]) == ("Cleared", 5)
    assert main(["rules", "remove", "sigma"]) == 0
    assert listed(capsys) == []
    assert main(["hunt", "log.json", "--pack", "sigma"]) == 3
    assert main(["rules", "remove", "sigma"]) == 2


def test_retired_rules_come_in_when_asked_for(home, capsys):
    given = write(home / "given", FILES)
    assert main(["rules", "import", given, "--name", "all", "--retired"]) == 0
    assert listed(capsys)[0]["files"] == 3


def test_a_changed_pack_is_not_used_and_said_to_be_so(home, capsys):
    main(["rules", "import", write(home / "given", FILES), "--name", "sigma"])
    path = home / "home" / "rules" / "sigma.hkrules"
    raw = path.read_bytes()
    for changed in (raw.replace(b"Cleared", b"Clearex"), raw.replace(b'"date":"', b'"date":"9', 1), raw[:-30], b"",
                    raw.replace(b'"signature":"', b'"signature":"0', 1), b"-".join(raw.split(b"\n", 1))):
        assert changed != raw
        path.write_bytes(changed)
        assert main(["rules", "verify", "sigma"]) != 0
        assert main(["hunt", "given", "--pack", "sigma"]) != 0
        (one,) = listed(capsys)
        assert one["problem"]
    path.write_bytes(raw)
    assert main(["rules", "verify", "sigma"]) == 0


def test_a_pack_travels_signed_and_needs_a_known_signer(home, capsys, monkeypatch):
    given = write(home / "given", FILES)
    assert main(["knowledge", "key", "desk"]) == 0
    assert main(["rules", "build", given, "--name", "desk-rules", "--key", "desk", "--out", "a.hkrules"]) == 0
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(home / "other"))
    assert main(["rules", "import", "a.hkrules"]) != 0
    assert listed(capsys) == []
    assert main(["rules", "import", "a.hkrules", "--trust", "desk.pub"]) == 0
    assert listed(capsys)[0]["name"] == "desk-rules"
    # A changed pack brings no trust.
    monkeypatch.setenv("HIKESHI_KNOWLEDGE", str(home / "third"))
    (home / "b.hkrules").write_bytes((home / "a.hkrules").read_bytes().replace(b"Cleared", b"Clearex"))
    assert main(["rules", "import", "b.hkrules", "--trust", "desk.pub"]) != 0
    assert not list((home / "third").rglob("*.pub"))


def test_names_that_point_outside_are_refused_and_nothing_is_written_there(home, capsys):
    given = archive(home / "evil.zip", {"../../evil.yml": rule("Evil", 7), "/abs.yml": rule("Abs", 8),
                                        "C:\\x.yml": rule("Drive", 9), "ok.yml": rule("Fine", 1)})
    before = set(home.parent.rglob("*.yml"))
    assert main(["rules", "import", given, "--name", "x"]) == 0
    assert "refused" in capsys.readouterr().err
    (one,) = listed(capsys)
    assert one["files"] == 1
    assert sum(one["left_out"].values()) == 3
    assert set(home.parent.rglob("*.yml")) == before


def test_a_bomb_is_refused(home, capsys):
    given = archive(home / "bomb.zip", {"big.yml": b"detection:\n" + b" " * (300 << 20)})
    assert main(["rules", "import", given, "--name", "x"]) != 0
    assert listed(capsys) == []


@pytest.mark.parametrize("name", ["../x", "A", "", "x/y", "." * 3, "x" * 42, "own key"])
def test_a_name_is_a_name(home, name):
    assert main(["rules", "import", write(home / "given", FILES), "--name", name]) != 0
    assert not list(Path(home).rglob("*.hkrules"))


def test_a_folder_without_rules_is_refused(home, capsys):
    assert main(["rules", "import", write(home / "given", {"a.yml": b"on: push\n"}), "--name", "x"]) != 0
    assert "no Sigma rule" in capsys.readouterr().err
    assert main(["rules", "import", str(home / "gone"), "--name", "x"]) == 3


def test_odd_rule_files_survive_the_way(home):
    odd = {"a.yml": rule("A", 1) + "説明\n".encode("cp932"), "b.yml": b"title: \xff\ndetection: x\n",
           "c.yml": b"detection:\r\n  - &a [x]\r\n"}
    main(["rules", "import", write(home / "given", odd), "--name", "odd"])
    pack = rulepack.read_rule_pack(rulepack.installed_path("odd"))
    kept = dict(pack.files)
    assert kept and all(odd[name] == data for name, data in kept.items())


def test_coverage_says_what_is_applied_and_why_not(home, capsys):
    given = write(home / "given", {
        **FILES, "p.yml": rule("P", 4, logsource={"category": "proxy"}),
        "q.yml": rule("Q", 5, detection={"s": {"x|re": "(?=a)"}, "condition": "s"}),
        "agg.yml": rule("G", 6, detection={"s": {"EventID": 1}, "condition": "s | count() > 3", "timeframe": "5m"}),
        "c.yml": yaml.safe_dump({"title": "C", "correlation": {"type": "temporal", "rules": ["gone"], "timespan": "1m"}}
                                ).encode()})
    assert main(["rules", "coverage", "--rules", given, "--json"]) == 0
    out = capsys.readouterr()
    rows = {r["logsource"]: r for r in map(json.loads, out.out.splitlines())}
    assert sum(r["loaded"] for r in rows.values()) == 8
    assert sum(r["applicable"] for r in rows.values()) == 4
    assert rows["windows//security"]["not_applicable"] == 1
    assert "xpression" in next(iter(rows["windows//security"]["reasons"]))
    assert "squid.access" in rows["/proxy/"]["looked_for_in"][0]
    assert "not among the loaded rules" in next(iter(rows["correlation"]["reasons"]))
    assert "8 loaded, 4 applicable, 4 not applicable" in out.err
    assert main(["rules", "coverage", "--rules", given]) == 0
    assert "plan9" in capsys.readouterr().out
    assert main(["rules", "coverage", "--rules", given, "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("| product |")
