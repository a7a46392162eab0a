"""Odd inputs through the whole command: code pages, pages that a script writes, odd names, very many files."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import pytest

from hikeshi.cli.main import main
from hikeshi.identify import Input, examine_input
from hikeshi.identify.text import read_note
from hikeshi.knowledge.families import load_families

FAMILIES = load_families()
ONION = next(v for v in FAMILIES.values("onion")
             if len(v) == 62 and {f.family for f in FAMILIES.facts("onion", v)} == {"akira"})
FRESH = "".join(random.Random(4).choices("abcdefghjkmnpqrstuvwxyz234567", k=56)) + ".onion"
WORDS = {
    "ja": "お客様のファイルはすべて暗号化されました。\n復号するにはビットコインで支払ってください。\n連絡先: http://{onion}\n支払わない場合、データを公開します。\n",
    "zh": "您的所有文件已被加密。\n要解密文件，请支付比特币。\n联系我们：http://{onion}\n如果不付款，我们将公开您的数据。\n",
    "tw": "您的所有檔案已被加密。\n要解密檔案，請支付比特幣。\n聯絡我們：http://{onion}\n如果不付款，我們將公開您的資料。\n",
    "ru": "Все ваши файлы были зашифрованы.\nДля расшифровки заплатите в биткоинах.\nНапишите нам: http://{onion}\nЕсли вы не заплатите, мы опубликуем ваши данные.\n",
    "de": "Ihre Dateien wurden verschlüsselt.\nUm sie zu entschlüsseln, zahlen Sie in Bitcoin.\nKontaktieren Sie uns: http://{onion}\nWenn Sie nicht zahlen, veröffentlichen wir Ihre Daten.\n",
    "ko": "귀하의 모든 파일이 암호화되었습니다.\n복호화하려면 비트코인을 지불하십시오.\n연락처: http://{onion}\n지불하지 않으면 데이터를 공개합니다.\n",
    "ar": "تم تشفير جميع ملفاتك.\nلفك التشفير ادفع بعملة بيتكوين.\nتواصل معنا: http://{onion}\nإذا لم تدفع فسننشر بياناتك.\n",
}
WIDE = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
PAGES = {"ja": ("shift_jis", "cp932", "euc-jp"), "zh": ("gb18030", "gbk", "gb2312"), "tw": ("big5", "cp950"),
         "ru": ("koi8-r", "cp1251", "cp866"), "de": ("latin-1", "cp1252"), "ko": ("cp949", "euc-kr"), "ar": ("cp1256", "iso-8859-6")}


@pytest.mark.parametrize("language, encoding", [(one, e) for one in WORDS for e in (*WIDE, *PAGES[one])])
def test_a_note_of_any_language_in_any_encoding_is_read(language, encoding):
    text = WORDS[language].format(onion=ONION)
    read = read_note(text.encode(encoding))
    assert read is not None and ONION in read.text
    if encoding != "big5":  # NFKC makes full-width signs narrow: compare letters
        assert [c for c in read.text if c.isalpha() and c > "\x7f"] == [c for c in text if c.isalpha() and c > "\x7f"]
    named = examine_input(Input("note.txt", data=text.encode(encoding)), FAMILIES)
    unknown = examine_input(Input("note.txt", data=WORDS[language].format(onion=FRESH).encode(encoding)), FAMILIES)
    assert named.is_note and named.answer.family == "Akira"
    assert unknown.is_note and unknown.answer.family is None and unknown.answer.advice_ids


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_are_text_of_no_code_page(seed):
    assert read_note(random.Random(seed).randbytes(6000)) is None


ENGLISH = [f"Your files are encrypted. Contact us: http://{ONION}", "Pay in bitcoin to get the decryptor, or your data will be published."]


def script(line: str, how: str) -> str:
    return {
        "plain": json.dumps(line), "hex": '"' + "".join(f"\\x{ord(c):02x}" for c in line) + '"',
        "unicode": "'" + "".join(f"\\u{ord(c):04x}" for c in line) + "'", "percent": 'unescape("' + "".join(f"%{ord(c):02X}" for c in line) + '")',
        "codes": "String.fromCharCode(" + ",".join(str(ord(c)) for c in line) + ")", "tags": json.dumps(f"<p class='a'>{line}</p>"),
    }[how]


@pytest.mark.parametrize("how", ["plain", "hex", "unicode", "percent", "codes", "tags"])
def test_an_hta_whose_script_writes_the_note_is_read(how):
    body = "\n".join(f"document.write({script(line, how)});" for line in ENGLISH)
    page = f"<html><head><hta:application id=x><title>!</title>\n<script language=\"javascript\">\n{body}\n</script></head><body></body></html>"
    assert examine_input(Input("info.hta", data=page.encode()), FAMILIES).answer.family == "Akira"


def test_scripts_of_an_ordinary_page_are_not_its_text():
    page = f"<html><body><script>var words = {json.dumps(ENGLISH)};</script><p>{'The library is open on Monday and Friday. ' * 12}</p></body></html>"
    assert examine_input(Input("a.html", data=page.encode()), FAMILIES).answer.verdict == "not_ransomware"


@pytest.mark.parametrize("words, head", [
    (WORDS["ja"], r"\ansicpg932"), (WORDS["ru"], r"\ansicpg1251"), (WORDS["de"], r"\ansicpg1252"), (WORDS["zh"], r"\ansicpg936"),
])
@pytest.mark.parametrize("way", ["bytes", "unicode"])
def test_rich_text_with_raw_bytes_inside_is_read(words, head, way):
    page = {"932": "cp932", "1251": "cp1251", "1252": "cp1252", "936": "gbk"}[head[8:]]

    def written(c: str) -> str:
        if c.isascii():
            return c
        return rf"\u{ord(c) if ord(c) < 32768 else ord(c) - 65536}?" if way == "unicode" else "".join(rf"\'{b:02x}" for b in c.encode(page))

    lines = ["".join(map(written, line)) for line in words.format(onion=ONION).splitlines()]
    raw = rb"{\rtf1\ansi" + head.encode() + rb"{\pict\bin9 }}{\rtf1}}\par " + r"\par ".join(lines).encode() + b"}"
    found = examine_input(Input("readme.rtf", data=raw), FAMILIES)
    assert found.is_note and found.answer.family == "Akira"


def test_hostile_pages_end_soon():
    began = time.process_time()
    for raw in ("<html><script>" + "'a" * 400_000, "<script " * 100_000, "<html><script>" + '"' + "\\x41" * 200_000,
                "<html><script>fromCharCode(" + "1," * 400_000, "{\\rtf1" + "\\bin99999999 " * 50_000, "<html>" + "<script>\"" * 90_000):
        read_note(raw.encode())
    assert time.process_time() - began < 60  # an endless one takes hours


ODD_NAMES = ["cod.\u202etxt.locked", "a\u200bb.docx.locked", "new\nline.xlsx.locked", "tab\there.pdf.locked", "\x1b[31mred.docx.locked", "名前.docx.locked"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows allows no such names")
def test_odd_names_are_shown_harmless(tmp_path, capsys):
    chance = random.Random(8)
    (tmp_path / "d").mkdir()
    for name in ODD_NAMES:
        (tmp_path / "d" / name).write_bytes(chance.randbytes(9000))
    assert main(["identify", str(tmp_path / "d")]) in (0, 1)
    shown = capsys.readouterr()
    assert not any(c in shown.out + shown.err for c in "\x1b\u202e\u200b\t") and "6 files" in shown.err
    assert main(["identify", str(tmp_path / "d"), "--json"]) in (0, 1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 6 and len({line["path"] for line in lines}) == 6


def test_very_many_renamed_files_make_one_answer(tmp_path, capsys):
    body = random.Random(3).randbytes(600)
    for number in range(2000):
        (tmp_path / f"{number:05}.docx.locked").write_bytes(body)
    assert main(["identify", str(tmp_path)]) in (0, 1)
    told = capsys.readouterr()
    assert "files that look encrypted: 2,000" in told.out and len(told.out) < 20_000
    # Many families use ".locked": it names none.
    assert not told.out.startswith("ランサムウェア Ransomware: ") or "undecided" in told.out or "unknown" in told.out.splitlines()[0]


def test_an_empty_note_and_one_of_an_unknown_family_get_advice_not_a_name(tmp_path, capsysbinary):
    (tmp_path / "README.txt").write_bytes(b"")
    (tmp_path / "HELP.txt").write_text(WORDS["ja"].format(onion=FRESH), encoding="cp932")
    main(["identify", str(tmp_path / "README.txt"), str(tmp_path / "HELP.txt"), "--json"])
    lines = {Path(line["path"]).name: line for line in map(json.loads, capsysbinary.readouterr().out.splitlines())}
    assert all(line["family"] is None for line in lines.values())
    assert lines["HELP.txt"]["verdict"] in ("unknown", "candidates") and "ransomware-first-hour" in lines["HELP.txt"]["advice_ids"]
