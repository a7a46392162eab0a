from __future__ import annotations

import gzip
import itertools
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hikeshi.errors import DamagedInput
from hikeshi.evidence import text as text_module
from hikeshi.evidence.text import Line, detect_encoding, read_blocks, read_lines, read_text

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
NOTE = "あなたのファイルは暗号化されました。\r\n復号の方法は read_me.txt をご覧ください。\r\n連絡先: テスト表示 ﾃｽﾄ\r\n"


def lines_of(path: Path, data: bytes, encoding: str, **options: int) -> list[Line]:
    path.write_bytes(data)
    return list(read_lines(path, encoding, **options))


# ------------------------------------------------------------------------------ lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "cp932", "euc_jp", "iso2022_jp"])
def test_each_line_starts_at_its_offset(tmp_path: Path, encoding: str) -> None:
    texts = ["一行目 alpha", "", "表示ソ能 beta", "last"]
    bom = b"\xef\xbb\xbf" if encoding == "utf-8-sig" else b""
    codec = "utf-8" if bom else encoding
    data = bom + "\r\n".join(texts).encode(codec)
    lines = lines_of(tmp_path / "a.log", data, encoding)
    assert [line.text for line in lines] == texts
    assert [line.number for line in lines] == [1, 2, 3, 4]
    for line in lines:
        assert data[line.offset:].startswith(line.text.encode(codec))
    assert lines[0].offset == len(bom)
    assert not any(line.truncated for line in lines)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_of_utf16_is_not_part_of_the_text(tmp_path: Path, encoding: str) -> None:
    data = "\ufeffa\nb".encode(encoding)
    assert lines_of(tmp_path / "a", data, encoding) == [Line("a", 1, 2), Line("b", 2, 6)]


def test_line_ends_lf_crlf_and_a_missing_last_one(tmp_path: Path) -> None:
    assert [line.text for line in lines_of(tmp_path / "a", b"a\nb\r\n\r\nc", "utf-8")] == ["a", "b", "", "c"]
    assert [line.text for line in lines_of(tmp_path / "a", b"a\nb\n", "utf-8")] == ["a", "b"]
    assert lines_of(tmp_path / "a", b"", "utf-8") == []
    assert lines_of(tmp_path / "a", b"\n", "utf-8") == [Line("", 1, 0)]


def test_cr_ends_lines_only_in_a_file_without_lf(tmp_path: Path) -> None:
    assert [line[:3] for line in lines_of(tmp_path / "a", b"a\rbb\rc", "utf-8")] == [("a", 1, 0), ("bb", 2, 2), ("c", 3, 5)]
    assert [line.text for line in lines_of(tmp_path / "a", b"a\rb\nc", "utf-8")] == ["a\rb", "c"]


def test_how_lines_end_is_told_from_more_than_a_few_bytes(tmp_path: Path) -> None:
    # gzip may hand out its first bytes alone; U+0A0A holds a byte that looks like LF.
    data = gzip.compress(b"a\rb\r") + gzip.compress(b"c\nd")
    assert [line.text for line in lines_of(tmp_path / "a", data, "utf-8")] == ["a\rb\rc", "d"]
    wide = "\u0a0a\rb".encode("utf-16-le")
    assert [line.text for line in lines_of(tmp_path / "a", wide, "utf-16-le")] == ["\u0a0a", "b"]


def test_other_separators_stay_in_the_line(tmp_path: Path) -> None:
    text = "a\u2028b\x0bc\x0cd\x85e\x1cf"
    assert [line.text for line in lines_of(tmp_path / "a", (text + "\ng").encode(), "utf-8")] == [text, "g"]


def test_unknown_bytes_survive_as_escapes(tmp_path: Path) -> None:
    assert [x.text for x in lines_of(tmp_path / "a", b"ok \xff\xfe end\nnext", "utf-8")] == ["ok \\xff\\xfe end", "next"]
    # A lead byte whose second byte is missing must not swallow the line end.
    assert [x.text for x in lines_of(tmp_path / "a", b"x\x81\ny", "cp932")] == ["x\\x81", "y"]
    assert [x.text for x in lines_of(tmp_path / "a", b"x\xa4\ny", "euc_jp")] == ["x\\xa4", "y"]
    # One that wants two more bytes takes the line end with it when a whole block is decoded.
    assert [x.text for x in lines_of(tmp_path / "a", b"x\x8f\n", "euc_jp")] == ["x\\x8f"]
    assert [x.text for x in lines_of(tmp_path / "a", b"x\x8f\ny\n", "euc_jp")] == ["x\\x8f", "y"]
    # An unpaired surrogate before a line end, and an odd last byte.
    odd = lines_of(tmp_path / "a", b"x\0\x00\xd8\n\0y\0z", "utf-16-le")
    assert [line.text for line in odd] == ["x\\x00\\xd8", "y\\x7a"]


def test_nul_bytes_are_kept(tmp_path: Path) -> None:
    assert [line.text for line in lines_of(tmp_path / "a", b"a\0b\n\0\0\0\nc\n", "utf-8")] == ["a\0b", "\0\0\0", "c"]


def test_a_shift_jis_two_byte_stays_in_its_line_when_its_second_byte_is_a_backslash(tmp_path: Path) -> None:
    data = "表\nソ\n".encode("cp932")
    assert [line.text for line in lines_of(tmp_path / "a", data, "cp932")] == ["表", "ソ"]


def test_a_line_beyond_the_limit_is_cut_marked_and_passed_over(tmp_path: Path) -> None:
    data = b"first\n" + b"x" * 5_000_000 + b"\nlast\n"
    first, long, last = lines_of(tmp_path / "a", data, "utf-8", max_line=1000)
    assert first == Line("first", 1, 0)
    assert (long.text, long.number, long.offset, long.truncated) == ("x" * 1000, 2, 6, True)
    assert last == Line("last", 3, 6 + 5_000_001)


def test_a_cut_line_does_not_end_in_half_a_character(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path / "a", ("あ" * 1000).encode(), "utf-8", max_line=100)
    assert (line.text, line.truncated) == ("あ" * 33, True)


def test_a_utf16_line_beyond_the_limit_keeps_the_code_units_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "_BLOCK", 999)
    monkeypatch.setattr(text_module, "_ENOUGH", 1)
    # U+0A41 U+4100 holds a byte pair that looks like a line end at an odd place.
    data = ("\u0a41\u4100" * 1500 + "\nend\n").encode("utf-16-le")
    lines = lines_of(tmp_path / "a", data, "utf-16-le", max_line=100)
    assert [(x.text, x.offset, x.truncated) for x in lines] == [("\u0a41\u4100" * 25, 0, True), ("end", 6002, False)]


def test_an_endless_line_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "endless.log"
    with open(path, "wb") as out:
        out.write(b"start")
        out.truncate(2**29)
    if not Path("/proc/self/status").exists():
        pytest.skip("reads the memory in use from /proc")
    code = ("import sys; from pathlib import Path; from hikeshi.evidence.text import read_lines\n"
            "lines = list(read_lines(Path(sys.argv[1]), 'utf-8'))\n"
            "assert len(lines) == 1 and lines[0].truncated and lines[0].text.startswith('start')\n"
            "print([x.split()[1] for x in open('/proc/self/status') if x.startswith('VmHWM')][0])")
    out = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True,
                         env={"PYTHONPATH": str(Path(text_module.__file__).parents[2])})
    assert int(out.stdout) < 100_000  # KiB


def naive(data: bytes, codec: str, unit: int) -> list[tuple[str, int]]:
    """Lines and offsets, found one code unit at a time."""
    newline, carriage = "\n".encode(codec), "\r".encode(codec)
    units = [data[i:i + unit] for i in range(0, len(data), unit)]
    end = carriage if newline not in units and carriage in units else newline
    out, start = [], 0
    for i, part in enumerate(units):
        if part == end:
            out.append((start, i * unit))
            start = (i + 1) * unit
    if start < len(data):
        out.append((start, len(data)))
    lines = []
    for first, last in out:
        text = data[first:last].decode(codec, "backslashreplace")
        lines.append((text[:-1] if end == newline and text.endswith("\r") and last < len(data) + 1 else text, first))
    return lines


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.one_of(st.binary(max_size=12), st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"\n\0", b"\r\0\n\0", b"\0\n", "表示".encode("cp932"), "あ".encode(), b"\x81", b"\xd8",
     "漢".encode("euc_jp"), "日本".encode("iso2022_jp"), b"abc", b"\x0a\x0a\x0d"])), max_size=30),
    encoding=st.sampled_from(["utf-8", "cp932", "euc_jp", "latin-1", "utf-16-le", "utf-16-be"]),
    block=st.integers(1, 40))
def test_any_bytes_in_any_portions_give_the_lines_a_slow_reader_finds(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: list[bytes], encoding: str, block: int) -> None:
    data = "a\n".encode(encoding) + b"".join(parts)
    monkeypatch.setattr(text_module, "_BLOCK", block)
    monkeypatch.setattr(text_module, "_ENOUGH", 2)
    unit = 2 if encoding.startswith("utf-16") else 1
    got = [(unescape(line.text), line.offset) for line in lines_of(tmp_path / "x", data, encoding)]
    assert got == [(unescape(text), offset) for text, offset in naive(data, encoding, unit)]


def unescape(text: str) -> str:
    """How many of some broken bytes the codec escapes depends on what follows: both are right."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)


def test_blocks_hold_the_same_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "_BLOCK", 5000)
    path = tmp_path / "a.log"
    path.write_text("".join(f"line {n} あ\n" for n in range(5000)), encoding="utf-8")
    blocks = list(read_blocks(path, "utf-8"))
    assert len(blocks) > 5
    assert list(itertools.chain.from_iterable(b.lines for b in blocks)) == [x.text for x in read_lines(path, "utf-8")]
    assert [b.first_number for b in blocks] == [1, *itertools.accumulate(len(b.lines) for b in blocks[:-1])] or all(
        b.first_number == 1 + sum(len(c.lines) for c in blocks[:i]) for i, b in enumerate(blocks))
    assert [o for b in blocks for o in b.offsets.tolist()] == [x.offset for x in read_lines(path, "utf-8")]


# ------------------------------------------------------------------------------ gzip

LOG = "".join(f"{n} GET /{zlib.crc32(str(n).encode()):x}\n" for n in range(50_000)).encode()


def test_gzip_is_read_as_its_content_with_all_members(tmp_path: Path) -> None:
    data = gzip.compress(LOG[:1000]) + gzip.compress(LOG[1000:])
    lines = lines_of(tmp_path / "a.log.gz", data, "utf-8")
    assert [line.text for line in lines] == LOG.decode().splitlines()
    assert LOG[lines[-1].offset:].startswith(lines[-1].text.encode())


@pytest.mark.parametrize(("spoil", "says"), [
    (lambda d: d[:len(d) // 2], "ends too early"),
    (lambda d: d[:len(d) // 2] + b"\xff" * 200 + d[len(d) // 2 + 200:], "damaged|check sum"),
    (lambda d: d[:-8] + b"\1\2\3\4\5\6\7\x08", "check sum does not fit"),
    (lambda d: d[:-3], "check sum at the end is missing"),
    (lambda d: d + b"garbage", "other data follows"),
])
def test_lines_before_damage_are_kept_and_the_damage_is_said(tmp_path: Path, spoil, says) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(spoil(gzip.compress(LOG)))
    problems: list[str] = []
    lines = [line.text for line in read_lines(path, "utf-8", problems=problems)]
    true = LOG.decode().splitlines()
    assert len(lines) > 20_000
    assert lines[:20_000] == true[:20_000]
    assert len(problems) == 1
    with pytest.raises(DamagedInput, match=says):
        list(read_lines(path, "utf-8"))


def test_everything_that_zlib_could_unpack_before_damage_comes_out(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(LOG))
    half = len(packed) // 2
    packed[half:half + 64] = b"\xff" * 64
    reference, inflate = b"", zlib.decompressobj(31)
    try:
        for byte in packed:
            reference += inflate.decompress(bytes([byte]))
    except zlib.error:
        pass
    (tmp_path / "a.gz").write_bytes(packed)
    got = "\n".join(x.text for x in read_lines(tmp_path / "a.gz", "latin-1", problems=[]))
    assert len(got) >= len(reference.decode("latin-1").rstrip("\n"))


# ------------------------------------------------------------------------------ encodings


@pytest.mark.parametrize("written", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16", "cp932", "euc_jp", "iso2022_jp"])
@pytest.mark.parametrize("text", [
    NOTE.replace("ﾃｽﾄ", ""), "2026-01-02 03:04:05 ログオン user1 成功\r\n" * 5, "東京都千代田区の担当者\r\n",
    "日時,利用者,結果\r\n2026/1/2,山田,失敗\r\n"])
def test_japanese_is_recognised_in_every_encoding(written: str, text: str) -> None:
    data = text.encode(written)
    assert data.decode(detect_encoding(data)).lstrip("\ufeff") == text


@pytest.mark.parametrize("text", ["①㈱髙﨑の件\n", "表示 ソ能 十\n", "ｱｲｳ ｴﾗｰ ﾛｸﾞｵﾝ\n", "～－∥¢\n株式会社"])
def test_shift_jis_of_windows_is_recognised(text: str) -> None:
    assert detect_encoding(text.encode("cp932")) == "cp932"


@pytest.mark.parametrize("text", ["café à la crème\n", "für Übergröße, naïve\n", "José Ñandú señor\n", "ça déjà été où\n"])
def test_western_text_is_not_taken_for_japanese(text: str) -> None:
    assert detect_encoding(text.encode("latin-1")) == "latin-1"


def test_utf8_with_some_foreign_bytes_is_still_utf8() -> None:
    assert detect_encoding("ログオン成功\n".encode() * 50 + b"\xff\xfe\x80 broken\n") == "utf-8"


def test_japanese_far_behind_ascii_is_found() -> None:
    data = b"plain ascii line\n" * 40_000 + "二月 ログオン失敗\n".encode("cp932") * 3
    assert detect_encoding(data) == "cp932"
    assert detect_encoding(b"plain ascii line\n" * 40_000) == "utf-8"


def test_a_character_on_the_border_of_a_sample_does_not_spoil_it() -> None:
    for shift in range(4):
        assert detect_encoding(b"a" * shift + "漢字かな".encode() * 40_000) == "utf-8"
        assert detect_encoding(b"a" * shift + "漢字かな".encode("cp932") * 40_000) == "cp932"


def test_no_bytes_are_utf8() -> None:
    assert detect_encoding(b"") == "utf-8"


@pytest.mark.shared
def test_the_sample_texts_in_japanese_encodings_are_read_exactly() -> None:
    folder = SHARED / "hostile" / "strings" / "py-testsuite-cjk"
    if not folder.is_dir():
        pytest.skip("shared data not beside the checkout")
    for name in ("shift_jis", "euc_jp", "iso2022_jp"):
        (written,) = folder.rglob(f"{name}.txt")
        (truth,) = folder.rglob(f"{name}-utf8.txt")
        data = written.read_bytes()
        assert data.decode(detect_encoding(data)) == truth.read_text(encoding="utf-8"), name


@pytest.mark.shared
def test_every_hostile_string_file_and_mail_is_read_without_an_exception() -> None:
    if not (SHARED / "hostile").is_dir():
        pytest.skip("shared data not beside the checkout")
    count = 0
    for folder in ("strings", "mail"):
        for path in sorted((SHARED / "hostile" / folder).rglob("*")):
            if path.is_file():
                data = path.read_bytes()
                lines = list(read_lines(path, detect_encoding(data), problems=[]))
                assert all(a.offset < b.offset and a.number + 1 == b.number for a, b in itertools.pairwise(lines))
                read_text(path)
                count += 1
    assert count > 500


# ------------------------------------------------------------------------------ notes


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932", "euc_jp"])
def test_a_note_is_read_with_its_encoding_found(tmp_path: Path, encoding: str) -> None:
    note = tmp_path / "note.txt"
    text = NOTE.replace("ﾃｽﾄ", "")
    note.write_bytes(text.encode(encoding))
    assert read_text(note) == text.replace("\r\n", "\n")


def test_a_note_is_read_up_to_its_limit_in_whole_characters(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_bytes(("あ" * 100).encode())
    assert read_text(note, 100) == "あ" * 33
