"""Whatever bytes and names come in, an answer comes out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.identify import Input, examine_input, merge
from hikeshi.identify.answer import VERDICTS
from hikeshi.knowledge.families import load_families

FAMILIES = load_families()
PIECES = st.sampled_from([
    b"{\\rtf1 ", b"\\u", b"}", b"{", b"<html>", b"<a href='", b"<!--", b"</script", b"<script>", b"\xff\xfe", b"\x00", b"we are ",
    b"encrypted by ", b"LockBit", b" ransomware", b".onion", b"a" * 56, b"q7" * 28, b"@", b"mail.example", b"[.]", b"\r\n", b"\v", b"> ",
    b"your files are encrypted", b"pay", b"contact us", "暗号化".encode(), "ｈｘｘｐ".encode(), b"\x81\x40", b"PK\x03\x04", b"extension .",
])
NAMES = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(
    [".", "a", "docx", "id[", "]", "[x@y.example]", "!", "!/", "/", "\\", "readme", ".akira", "\u202e", "..", "{", "*"]), max_size=9).map("".join))


@settings(max_examples=250, deadline=None)
@given(name=NAMES, data=st.one_of(st.binary(max_size=3000), st.lists(PIECES, max_size=40).map(b"".join)))
def test_every_input_gets_a_verdict(name, data):
    found = examine_input(Input(name, data=data), FAMILIES)
    assert found.answer.verdict in VERDICTS
    assert (found.answer.family is not None) == (found.answer.verdict == "identified")
    assert all(0 <= candidate.score <= 1 and candidate.reasons for candidate in found.answer.candidates)
    assert merge([found, found]).verdict in VERDICTS
    found.answer.to_dict()


@settings(max_examples=150, deadline=None)
@given(name=NAMES)
def test_a_bare_name_gets_a_verdict(name):
    assert examine_input(Input(name), FAMILIES).answer.verdict in ("identified", "candidates", "unknown")
