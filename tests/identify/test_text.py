"""Bytes of a note in any form become readable text with the file's line numbers."""

from __future__ import annotations

import time

import pytest

from hikeshi.identify.text import MAX_BYTES, read_note

ENGLISH = "All your files were changed.\nWrite to helper@mail.example today.\n"
JAPANESE = "あなたのファイルは暗号化されました。\n連絡先はこちらです。\nすぐに連絡してください。\n"
RUSSIAN = "Ваши файлы зашифрованы.\nНапишите нам на почту сегодня.\n"


@pytest.mark.parametrize(("text", "encoding"), [
    (ENGLISH, "utf-8"), (ENGLISH, "utf-16-le"), (ENGLISH, "utf-16-be"), (JAPANESE, "utf-8"), (JAPANESE, "cp932"),
    (JAPANESE, "utf-16-le"), (JAPANESE, "utf-16-be"), (RUSSIAN, "utf-8"), (RUSSIAN, "cp1251"), (RUSSIAN, "utf-16-le"),
])
@pytest.mark.parametrize("mark", [False, True])
def test_every_encoding_is_read_with_and_without_a_mark(text, encoding, mark):
    if mark and not encoding.startswith("utf"):
        pytest.skip("no mark exists for this encoding")
    note = read_note((("\ufeff" if mark else "") + text).encode(encoding))
    assert note is not None
    assert note.text == text
    assert note.encoding == encoding


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 8, bytes(range(256)) * 20, b"\x89PNG\r\n\x1a\n" + bytes(300)])
def test_binary_data_is_no_text(data):
    assert read_note(data) is None


def test_a_note_from_a_fixed_buffer_keeps_its_text_despite_zero_bytes():
    note = read_note(ENGLISH.encode() + bytes(3000) + b"\r\nend\r\n")
    assert note is not None
    assert note.text.startswith(ENGLISH)


def test_html_is_reduced_to_what_is_read_and_its_link_targets():
    page = ('<html>\n<head><style>p {color: red}</style>\n<script>var a = "hidden";</script></head>\n<body><p>Write <b>to</b> us</p>\n'
            '<a href="mailto:helper@mail.example">here</a> &amp; there</body></html>')
    note = read_note(page.encode())
    assert note is not None
    assert "Write to us" in note.text
    assert "helper@mail.example" in note.text
    assert "& there" in note.text
    assert "hidden" not in note.text and "color" not in note.text
    assert note.line_of(note.text.index("helper@")) == 5


def test_rtf_is_reduced_to_its_text():
    rtf = r"{\rtf1\ansi{\fonttbl{\f0 Arial;}}{\*\generator Word;}\f0 Your files\par are \b gone\b0 \'e9 \u12375?.\par}"
    note = read_note(rtf.encode())
    assert note is not None
    assert note.form == "rtf"
    assert "Your files" in note.text and "are gone" in note.text and "é" in note.text and "し." in note.text
    assert "Arial" not in note.text and "Word" not in note.text


def test_a_defanged_and_quoted_copy_reads_like_the_original():
    note = read_note(b"> Write to helper[@]mail[.]example\n> or hxxp://abc[.]onion\n")
    assert note is not None
    assert note.text == "Write to helper@mail.example\nor http://abc.onion\n"


def test_full_width_letters_are_read_as_ordinary_ones():
    note = read_note("ｈｅｌｐｅｒ＠ｍａｉｌ．ｅｘａｍｐｌｅ\n".encode())
    assert note is not None
    assert "helper@mail.example" in note.text


def test_only_the_first_megabyte_is_read():
    note = read_note(b"a line of text\n" * 200_000)
    assert note is not None
    assert note.cut
    assert len(note.text) <= MAX_BYTES


@pytest.mark.parametrize("data", [
    b"{\\rtf1" + b"{" * 200_000, b"<html>" + b"<" * 500_000, b"<html>" + b"<!--" * 200_000, b"<html>" + b"<script>" * 100_000,
    b"{\\rtf1 " + b"\\u" * 200_000, b"<html><a href=" + b"x" * 900_000, b"a@" * 300_000, b"a." * 400_000, b"[.]" * 300_000,
    b"> " * 400_000, b"<html>" + b"&amp" * 200_000, b"=" * 1_000_000, b"we are " * 150_000, b"a " * 500_000, b"A" * 1_000_000,
])
def test_hostile_text_ends_soon(data):
    from hikeshi.identify import Input, identify

    began = time.process_time()
    identify([Input("note.txt", data=data)])
    assert time.process_time() - began < 20  # a hang, not a benchmark


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"\xef\xbb\xbf", b"{\\rtf1\\u99999999999 }", b"{\\rtf1\\'zz}", b"\xff\xfe\x00\xd8a"])
def test_scraps_do_no_harm(data):
    read_note(data)
