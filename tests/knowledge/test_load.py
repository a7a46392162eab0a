"""Knowledge files are validated, and every mistake is located."""

from __future__ import annotations

import pytest

from hikeshi.errors import KnowledgeError
from hikeshi.knowledge.advice import load_advice
from hikeshi.knowledge.glossary import load_glossary
from hikeshi.knowledge.load import DATA, load_records, read_toml
from hikeshi.knowledge.sources import load_sources


def write(tmp_path, text):
    path = tmp_path / "a.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def failure(call):
    with pytest.raises(KnowledgeError) as caught:
        call()
    assert caught.value.source is not None
    return caught.value


def test_a_syntax_error_names_its_line(tmp_path):
    error = failure(lambda: read_toml(write(tmp_path, "[[term]]\nid = \"a\"\nterm = = 1\n")))
    assert error.source.line == 3


def test_bytes_that_are_not_utf8_name_their_line(tmp_path):
    assert failure(lambda: read_toml(write(tmp_path, b"# one\n# two \xff\n"))).source.line == 2


def test_a_missing_file_says_what_to_do(tmp_path):
    assert failure(lambda: read_toml(tmp_path / "none.toml")).hint


@pytest.mark.parametrize(("text", "told", "line"), [
    ('[[term]]\nid = "a"\n', "'term' is missing", 1),
    ('[[term]]\nid = ""\nterm = {ja = "a", en = "a"}\nmeaning = {ja = "a", en = "a"}\n', "'id' is empty", 1),
    ('\n\n[[term]]\nid = 5\n', "'id' has the wrong type", 3),
    ('[[term]]\nid = "a"\nterm = {ja = "a"}\n', "needs exactly ja and en", 1),
    ('[[term]]\nid = "a"\nterm = {ja = "a", en = " "}\n', "empty", 1),
    ('[[term]]\nid = "a"\nterm = {ja = "a", en = "a"}\nmeaning = {ja = "a", en = "a"}\nextra = 1\n', "unknown key 'extra'", 1),
    ('[[term]]\nid = "a"\nterm = {ja = "a", en = "a"}\nmeaning = {ja = "a", en = "a"}\n' * 2, "used twice", 5),
    ('[[trem]]\nid = "a"\n', "unknown top-level key 'trem'", 1),
])
def test_a_malformed_term_is_refused_with_its_place(tmp_path, text, told, line):
    path = write(tmp_path, text)
    error = failure(lambda: load_glossary(path))
    assert told in error.what
    assert error.source.line == line


GENERAL = """[[advice]]
id = "x"
kind = "ransomware"
version = 1
written_on = "2026-11-22"
verified_on = "unverified"
confidence = "low"
source = "hikeshi"
title = { ja = "a", en = "a" }
summary = { ja = "a", en = "a" }
steps = [{ ja = "a", en = "a" }]
not_to_do = [{ ja = "a", en = "a" }]
"""


def test_a_sound_advice_file_is_read(tmp_path):
    write(tmp_path, GENERAL)
    assert [a.id for a in load_advice(tmp_path)] == ["x"]


@pytest.mark.parametrize(("old", "new", "told"), [
    ('"ransomware"', '"flood"', "unknown kind"),
    ('"2026-11-22"', '"22.11.2026"', "is not a date"),
    ('"unverified"', '"soon"', "is not a date"),
    ('"low"', '"sure"', "'confidence'"),
    ("version = 1", "version = true", "'version'"),
    ('steps = [{ ja = "a", en = "a" }]', "steps = []", "needs steps"),
    ('not_to_do = [{ ja = "a", en = "a" }]', "", "needs steps"),
])
def test_a_malformed_advice_is_refused(tmp_path, old, new, told):
    write(tmp_path, GENERAL.replace(old, new))
    assert told in failure(lambda: load_advice(tmp_path)).what


def test_every_fact_names_a_source_that_is_described():
    sources = load_sources()
    assert all(s.licence and s.version and s.what for s in sources.values())
    for record in load_records(DATA / "observed.toml", "facts"):
        assert record.string("source") in sources
    assert {a.source for a in load_advice()} <= set(sources)


def test_the_glossary_explains_what_reports_say():
    terms = load_glossary()
    assert len(terms) >= 50
    assert list(terms) == sorted(terms)
    assert all(t.meaning.ja.endswith("。") and t.meaning.en.endswith(".") and t.meaning.ja.count("。") == 1 for t in terms.values())
