"""What a person reads: the answer, the refusal, the next step."""

import zipfile

import pytest
from rich.cells import cell_len

from hikeshi.cli.main import COMMANDS, main
from hikeshi.cli.output import count, fitted, say_not_read, short_name, wrapped
from hikeshi.model.text import Text

EVIDENCE = ("triage", "hunt", "sweep", "parse", "identify", "indicators", "trace")


@pytest.fixture(autouse=True)
def own_place(tmp_path, monkeypatch):
    monkeypatch.setenv("HIKESHI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "list.txt").write_text("evil.example\n")


def call(tmp_path, command, *arguments):
    more = {"sweep": ["--indicators", tmp_path / "list.txt"], "triage": ["--out", tmp_path / "out"]}.get(command, [])
    return main([command, *map(str, (*arguments, *more))])


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_eighty_columns_in_both_languages(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert max(cell_len(line) for line in shown.splitlines()) <= 80
    assert any(ord(c) > 0x3000 for c in shown)


def test_the_bare_program_shows_its_commands(capsys):
    assert main([]) == 2
    said = capsys.readouterr().err
    assert all(name in said for name in COMMANDS) and "\\x0a" not in said


@pytest.mark.parametrize("command", EVIDENCE)
@pytest.mark.parametrize("kind", ["none", "missing", "empty"])
def test_nothing_to_read_is_never_nothing_found(tmp_path, capsys, command, kind):
    (tmp_path / "empty").mkdir()
    given = {"none": [], "missing": [tmp_path / "nowhere"], "empty": [tmp_path / "empty"]}[kind]
    code = call(tmp_path, command, *given)
    shown = capsys.readouterr()
    assert code == (2 if kind == "none" else 3)
    assert "Next" in shown.out + shown.err and "Traceback" not in shown.err
    assert "見つかりませんでした" not in shown.out and "Nothing found" not in shown.out


def test_a_mistyped_option_says_how_to_name_such_a_file(tmp_path, capsys):
    assert main(["parse", "-x.log"]) == 2
    assert "./-name" in capsys.readouterr().err


@pytest.mark.parametrize("rules", ["[broken", "a: " + "[" * 20_000, "title: {a: [1]}"])
def test_no_usable_rule_is_refused_and_deep_nesting_ends_nobody(tmp_path, capsys, rules):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yml").write_text(rules)
    (tmp_path / "a.evtx").write_bytes(b"ElfFile\0" + bytes(5000))
    assert main(["hunt", str(tmp_path / "a.evtx"), "--rules", str(tmp_path / "rules"), "--no-cache"]) in (2, 3)
    shown = capsys.readouterr()
    assert "\\x0a" not in shown.err


def test_a_deeply_nested_rule_beside_a_good_one_is_only_told(tmp_path):
    from hikeshi.detect.rules import _documents

    with pytest.raises(ValueError, match="nested"):
        _documents(b"a: " + b"[" * 20_000)
    with pytest.raises(ValueError, match="nested"):
        _documents(b"- " * 20_000)
    assert _documents(b"a: [[1, 2], {b: 3}]") == [{"a": [[1, 2], {"b": 3}]}]


def test_sweep_refuses_an_unknown_format_as_parse_does(tmp_path, capsys):
    (tmp_path / "a.log").write_text("x\n")
    for command in ("sweep", "parse"):
        assert call(tmp_path, command, tmp_path / "a.log", "--format", "nope") == 2
        assert "unknown format 'nope'" in capsys.readouterr().err


def test_indicators_are_found_in_folders_and_archives_too(tmp_path, capsys):
    folder = tmp_path / "報告"
    folder.mkdir()
    (folder / "a.txt").write_text("通信先は evil[.]example です", encoding="utf-8")
    (folder / "b.bin").write_bytes(bytes(range(256)) * 9)
    with zipfile.ZipFile(folder / "c.zip", "w") as archive:
        archive.writestr("d.txt", "http://bad.example/x")
    assert main(["indicators", str(folder)]) == 1
    shown = capsys.readouterr()
    assert "evil[.]example" in shown.out and "bad[.]example/x" in shown.out
    assert shown.err.count("not read") == 1 and "b.bin" in shown.err


def test_a_demo_never_replaces_somebodys_own_evidence(tmp_path, capsys):
    mine = tmp_path / "webshell" / "evidence" / "mine.log"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main(["demo", "--only", "webshell", "--out", str(tmp_path)]) == 2
    assert mine.read_text() == "mine" and "--out" in capsys.readouterr().err


def test_triage_never_replaces_a_folder_that_no_run_made(tmp_path, capsys):
    mine = tmp_path / "out" / "events" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (tmp_path / "e").mkdir()
    assert call(tmp_path, "triage", tmp_path / "e") == 2
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("command", ["parse", "identify", "indicators", "sweep", "trace"])
def test_hostile_names_and_lines_stay_inert(tmp_path, capsys, command):
    folder = tmp_path / "e"
    folder.mkdir()
    line = ("1715000000.123 45 10.0.0.1 TCP_MISS/200 5 GET http://evil.example/\x1b]0;x\x07\u202e bo\x1b[2Jb "
            "HIER_DIRECT/203.0.113.9 text/html\n")
    (folder / "a\x1b[31m.log").write_text(line * 9)
    (folder / "\u202ebin").write_bytes(bytes(range(256)) * 9)
    call(tmp_path, command, folder)
    shown = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(shown.out + shown.err)


def test_lines_are_broken_and_cut_at_cells_not_letters():
    assert all(cell_len(line) <= 20 for line in wrapped("証拠を保全してから電源を切らないでください。 keep it", 20))
    assert cell_len(fitted("火" * 60)) <= 80 and fitted("火消し") == "火消し"
    assert short_name("a" * 200).count("…") == 1 and (count(1, "file"), count(2, "file")) == ("1 file", "2 files")


def test_many_unread_files_are_counted_not_listed(capsys):
    say_not_read([(f"{n}.bin", Text("空です", "is empty")) for n in range(50)])
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 21 and "空です is empty" in said[0] and "30" in said[-1]
