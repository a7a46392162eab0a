"""Texts come in both languages or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.template import Context, Template
from django.utils import translation

import hikeshi_desk
from hikeshi_desk.accounts.texts import load_texts, text

PACKAGE = Path(hikeshi_desk.__file__).parent


def _write(folder: Path, content: str) -> Path:
    (folder / "area.toml").write_text(content, encoding="utf-8")
    return folder


def test_the_reader_s_language_is_used():
    with translation.override("en-us"):
        assert text("accounts.desk.sign_out") == "Sign out"
    with translation.override("ja"):
        assert text("accounts.desk.sign_out") == "サインアウト"


def test_values_take_their_places_once(tmp_path, monkeypatch):
    texts = load_texts(_write(tmp_path, '[a.b]\nja = "{who}さん"\nen = "Dear {who}"\n'))
    monkeypatch.setattr("hikeshi_desk.accounts.texts.load_texts", lambda: texts)
    assert text("area.a.b", language="en", who="{who}") == "Dear {who}"
    with pytest.raises(KeyError):
        text("area.a.b", language="en")
    with pytest.raises(KeyError):
        text("area.a.b", language="en", who="A", more="B")


def test_the_tag_escapes_what_people_wrote(tmp_path, monkeypatch):
    texts = load_texts(_write(tmp_path, '[a]\nja = "{who}さん"\nen = "Dear {who} & co"\n'))
    monkeypatch.setattr("hikeshi_desk.accounts.texts.load_texts", lambda: texts)
    page = Template('{% load texts %}{% t "area.a" who=who %}|{% t "area.a" who=who as kept %}{{ kept }}')
    with translation.override("en"):
        assert page.render(Context({"who": "<b>"})) == "Dear &lt;b&gt; &amp; co|Dear &lt;b&gt; &amp; co"


def test_a_missing_key_is_an_error_and_never_a_fallback():
    with pytest.raises(KeyError):
        text("accounts.desk.no_such_text")
    with pytest.raises(KeyError):
        Template('{% load texts %}{% t "accounts.desk.no_such_text" %}').render(Context())


@pytest.mark.parametrize("content", [
    '[a]\nja = "あ"\n', '[a]\nja = "あ"\nen = ""\n', '[a]\nja = "あ"\nen = "a"\nfr = "a"\n',
    '[a]\nja = "{x}"\nen = "{y}"\n', 'a = "あ"\n', '[a]\nja = 1\nen = "a"\n',
])
def test_half_a_text_is_refused(tmp_path, content):
    with pytest.raises(ImproperlyConfigured):
        load_texts(_write(tmp_path, content))


def test_every_key_in_a_template_exists():
    known, used = load_texts(), set()
    for path in PACKAGE.glob("templates/**/*.html"):
        for key in re.findall(r'\{%\s*t\s+"([^"]+)"', path.read_text(encoding="utf-8")):
            used.add((path.name, key))
    assert used, "no template uses a text: is the folder right?"
    assert {(name, key) for name, key in used if key not in known} == set()


def test_every_key_in_the_code_exists():
    known = load_texts()
    for path in PACKAGE.glob("**/*.py"):
        for key in re.findall(r'\btext\("([a-z_0-9.]+)"', path.read_text(encoding="utf-8")):
            assert key in known, f"{path.name} uses '{key}'"


def test_the_pages_have_no_inline_script_style_or_unescaped_text():
    for path in PACKAGE.glob("templates/**/*.html"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|\|\s*safe|autoescape off|javascript:",
                             source, re.I), path.name
