"""What readers say of damage reads in both languages: every sentence in the readers' source has its entry."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hikeshi
from hikeshi.report.words import Words, all_words

SOURCE = Path(hikeshi.__file__).parent
SAYING = {"Reject", "reject", "append"}


def sentence(node: ast.expr) -> str | None:
    """A literal with what an f-string puts in as "7"."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "7" for v in node.values)
    return None


def said() -> Iterator[tuple[str, str]]:
    for folder in ("parse", "evidence"):
        for path in sorted((SOURCE / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    owner = ast.unparse(node.func) if name == "append" else ""
                    if name in SAYING and (name != "append" or "problem" in owner):
                        yield from ((path.name, s) for a in node.args if (s := sentence(a)))
                elif isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple) and node.value.elts:
                    found = sentence(node.value.elts[-1])
                    if found and " " in found:
                        yield path.name, found


def test_every_sentence_of_a_reader_is_translated() -> None:
    sentences = sorted({(file, text) for file, text in said() if " " in text})
    assert len(sentences) > 25
    ja = Words("ja")
    assert [one for one in sentences if ja.problem(one[1]) == one[1]] == []


def test_an_entry_says_in_english_what_the_reader_said() -> None:
    for key, entry in all_words().items():
        if key.startswith("problem_"):
            assert entry.en == key.removeprefix("problem_")


@pytest.mark.parametrize(("text", "ja"), [
    ("no squid record", "squidの記録ではない行"), ("gzip: damaged after 1,024 unpacked bytes", "gzip: 展開した1,024バイトの後が壊れています"),
    ("not well-formed: mismatched {tag}", "壊れたXML(mismatched {tag})"), ("no records", "no records"), ("no  record", "no  record"),
    ("something else", "something else"), ("", "")])
def test_words_in_between_stay(text: str, ja: str) -> None:
    assert Words("ja").problem(text) == ja
    assert Words("en").problem(text) == text
