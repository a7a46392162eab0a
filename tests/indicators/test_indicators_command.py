"""`hikeshi indicators`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from hikeshi.cli.indicators import command
from hikeshi.errors import InputError
from hikeshi.indicators.child import BLOCK


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HIKESHI_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def run(*arguments, **more):
    return CliRunner().invoke(command, [str(a) for a in arguments], **more)


def rows(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_gives_value_type_place_and_lists(tmp_path):
    text = "一行目\r\n通信先は8[.]8[.]8[.]8です\r\n"
    (tmp_path / "a.txt").write_bytes(text.encode())
    result = run(tmp_path / "a.txt", "--json")
    assert result.exit_code == 1
    (row,) = rows(result)
    assert (row["value"], row["type"], row["text"]) == ("8.8.8.8", "ipv4", "8[.]8[.]8[.]8")
    assert text[row["start"]:row["end"]] == row["text"]
    assert "public-dns-v4" in row["warning_lists"]


def test_offsets_hold_beyond_the_first_block(tmp_path):
    text = ("あ" * 99 + "\n") * (BLOCK // 100 + 50) + "evil.example\n"
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    (row,) = rows(run(tmp_path / "a.txt", "--json", "--no-warning-lists"))
    assert text[row["start"]:row["end"]] == "evil.example"


def test_nothing_found_exits_with_zero(tmp_path):
    (tmp_path / "a.txt").write_text("何もありません README.md")
    result = run(tmp_path / "a.txt", "--json")
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="can't be read"):
        run(tmp_path / "none.txt", catch_exceptions=False)


def test_the_screen_shows_defanged_values_and_no_control_characters(tmp_path):
    (tmp_path / "a.txt").write_text("evil.example \x1b]0;x\x07 http://evil.example/a\x1b[31m")
    result = run(tmp_path / "a.txt")
    assert "evil[.]example" in result.output and "evil.example" not in result.output and "\x1b" not in result.output


def test_standard_input_and_several_files(tmp_path):
    assert [r["value"] for r in rows(run("-", "--json", input="evil.example"))] == ["evil.example"]
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("evil.example")
    assert {Path(r["file"]).name for r in rows(run(tmp_path / "a.txt", tmp_path / "b.txt", "--json"))} == {"a.txt", "b.txt"}


@pytest.mark.shared
def test_the_gold_sentences_are_read_as_their_authors_meant():
    gold = Path(__file__).parents[2].parent / "shared" / "data" / "text" / "indicators.jsonl"
    if not gold.exists():
        pytest.skip("shared data not beside the checkout")
    from hikeshi.indicators import extract

    right = missed = extra = 0
    for line in gold.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        wanted = {i["value"].lower().rstrip("/") for i in row["indicators"] if i["type"] != "attack" and i["value"].isascii()}
        got = {f.value.lower().rstrip("/") for f in extract(row["text"]) if f.type != "attack" and f.text.isascii()}
        right, missed, extra = right + len(wanted & got), missed + len(wanted - got), extra + len(got - wanted)
    assert right / (right + missed) >= 0.95 and right / (right + extra) >= 0.95
