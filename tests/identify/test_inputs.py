"""Odd notes: huge, empty, junk, and in languages other than English. Each gets a sensible answer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hikeshi.evidence.source import Source
from hikeshi.identify import Input, examine, examine_input
from hikeshi.knowledge.families import load_families

FAMILIES = load_families()
ONION = next(v for v in FAMILIES.values("onion")
             if len(v) == 62 and {f.family for f in FAMILIES.facts("onion", v)} == {"akira"})
NOTES = {
    "ja": ("お客様のファイルはすべて暗号化されました。\n復号するにはビットコインで支払ってください。\n連絡先: http://{onion}\n"
           "支払わない場合、データを公開します。\n", ("utf-8", "cp932", "utf-16")),
    "zh": ("您的所有文件已被加密。\n要解密文件，请支付比特币。\n联系我们：http://{onion}\n如果不付款，我们将公开您的数据。\n", ("utf-8", "utf-16")),
    "ru": ("Все ваши файлы были зашифрованы.\nДля расшифровки заплатите в биткоинах.\nНапишите нам: http://{onion}\n"
           "Если вы не заплатите, мы опубликуем ваши данные.\n", ("utf-8", "cp1251", "utf-16")),
    "de": ("Ihre Dateien wurden verschlüsselt.\nUm sie zu entschlüsseln, zahlen Sie in Bitcoin.\nKontaktieren Sie uns: http://{onion}\n"
           "Wenn Sie nicht zahlen, veröffentlichen wir Ihre Daten.\n", ("utf-8", "latin-1", "utf-16")),
}


@pytest.mark.parametrize("language, encoding", [(one, encoding) for one, (_, ways) in NOTES.items() for encoding in ways])
def test_a_note_in_another_language_is_a_note_and_named_by_its_address(language, encoding):
    words = NOTES[language][0]
    named = examine_input(Input("note.txt", data=words.format(onion=ONION).encode(encoding)), FAMILIES)
    assert named.is_note and named.answer.family == "Akira"
    fresh = "".join(random.Random(4).choices("abcdefghjkmnpqrstuvwxyz234567", k=56)) + ".onion"
    unknown = examine_input(Input("note.txt", data=words.format(onion=fresh).encode(encoding)), FAMILIES)
    assert unknown.is_note and unknown.answer.family is None and unknown.answer.advice_ids


@pytest.mark.parametrize("text", [
    "バックアップの復元手順\nファイルを暗号化する設定については、情報システム部へ連絡してください。\n",
    "备份恢复说明：请联系信息部门。\n", "Инструкция по резервному копированию. Пишите в отдел ИТ.\n",
    "Anleitung zur Datensicherung. Bei Fragen kontaktieren Sie bitte die IT.\n",
])
def test_everyday_texts_in_those_languages_are_none(text):
    found = examine_input(Input("memo.txt", text=text), FAMILIES)
    assert not found.is_note and found.answer.verdict == "not_ransomware"


def test_a_note_of_200_mb_is_read_from_its_start(tmp_path: Path):
    path = tmp_path / "note.txt"
    note = f"Your files are encrypted. To get a decryptor pay in bitcoin.\nContact us: http://{ONION}\nOr we publish your data.\n"
    with path.open("wb") as file:
        file.write(note.encode())
        file.seek(200 * 2**20)
        file.write(b"end")
    found = examine(FAMILIES, Source(path, "note.txt", "00" * 32, path.stat().st_size, "text"))
    assert found.answer.verdict in ("identified", "unknown", "candidates", "not_ransomware")
    with path.open("wb") as file:
        file.write(note.encode())
        for _ in range(200):
            file.write((b"all of this is a filler of words and lines " * 26 + b"\n") * 935)
    found = examine(FAMILIES, Source(path, "note.txt", "00" * 32, path.stat().st_size, "text"))
    assert not found.facts.is_encrypted
    assert found.answer.verdict in ("identified", "candidates", "not_ransomware")
    assert found.answer.verdict == "not_ransomware" or any("first MiB" in n.en for n in found.answer.notes)


@pytest.mark.parametrize("data", [b"", b"\n \t\r\n", b"\0" * 5000, bytes(range(256)) * 30, random.Random(1).randbytes(5000)])
def test_nothing_and_junk_are_no_notes(data):
    found = examine_input(Input("README.txt", data=data), FAMILIES)
    assert not found.is_note and found.answer.family is None
    assert found.answer.verdict in ("unknown", "candidates", "not_ransomware")


LOSS = "Your files are encrypted by {name}. Contact us at x@example.com to buy the decryptor or your data is published.\n"


@pytest.mark.parametrize("name, family", [("BlackByfe", "BlackByte"), ("RansornHuh", "RansomHub"), ("LockBif", "LockBit")])
def test_a_name_damaged_by_scanning_is_a_clue_and_never_names(name, family):
    answer = examine_input(Input("scan.txt", text=LOSS.format(name=name)), FAMILIES).answer
    assert answer.family is None and answer.verdict == "candidates"
    assert [c.family for c in answer.candidates] == [family] and "one sign away" in answer.candidates[0].reasons[0].en


@pytest.mark.parametrize("name", ["Blockbuster", "our people", "strong algorithms", "Clob", "BlackBxxe"])
def test_other_words_are_near_no_name(name):
    answer = examine_input(Input("scan.txt", text=LOSS.format(name=name)), FAMILIES).answer
    assert not any("one sign away" in r.en for c in answer.candidates for r in c.reasons)
