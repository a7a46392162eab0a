"""What makes a text a ransom note, and what makes it something else."""

from __future__ import annotations

import pytest

from hikeshi.errors import KnowledgeError
from hikeshi.identify import Input, identify
from hikeshi.identify.gate import is_tabular, judge, load_signs
from hikeshi.identify.text import note_from_text


def verdict(text: str, *addresses: str) -> str:
    return judge(note_from_text(text), addresses=addresses).verdict


@pytest.mark.parametrize("text", [
    "Your files are encrypted. Write to us and pay in bitcoin to get the decryptor.",
    "あなたのファイルは暗号化されました。復号するには連絡して身代金を支払ってください。データは公開されます。",
    "Ваши файлы зашифрованы. Для расшифровки напишите нам и оплатите в биткоин.",
    "您的文件已被加密。要解密请联系我们并支付比特币。",
    "Ihre Dateien wurden verschlüsselt. Schreiben Sie uns, um zu bezahlen und zu entschlüsseln.",
    "Todos sus archivos han sido cifrados. Para recuperar sus archivos debe pagar en bitcoin, contacte con nosotros.",
])
def test_a_demand_in_any_of_many_languages_is_a_note(text):
    assert verdict(text) == "note"


@pytest.mark.parametrize("text", [
    "Your files are ready. Write to us if you need more.", "あなたのファイルを受け取りました。ご連絡ください。", "We lost your parcel. Pay the fee within 7 days.",
    "Decrypt the archive with the private key that we sent.", "", " \n", "!" * 500,
])
def test_a_near_miss_is_not(text):
    assert verdict(text) == "other"


def test_a_terse_text_with_a_hidden_service_may_be_one():
    assert verdict("QWERT\nnews portal, tor network links:", "onion") == "maybe"
    assert verdict("QWERT\nnews portal, tor network links:") == "other"


def test_one_sentence_to_the_victim_may_be_one_but_a_quoted_one_names_nobody():
    assert verdict("All of your files are currently encrypted by something.") == "maybe"
    quoted = "Your files were encrypted by LockBit ransomware, according to the spokesperson."
    assert identify([Input("a.txt", text=quoted)]).family is None
    doubtful = "Your files have been encrypted by LockBit ransomware, it said in a statement."
    assert verdict(doubtful) == "maybe"
    answer = identify([Input("a.txt", text=doubtful)])
    assert (answer.verdict, answer.family) == ("candidates", None)


def test_log_lines_full_of_a_notes_words_are_a_log():
    line = "your files are encrypted, contact us in Tor browser and pay bitcoin for the decryptor, do not rename"
    log = "".join(f"2026-11-03 02:{n:02d}:00 host-1 {line} {'x' * n}\n" for n in range(12))
    assert is_tabular(log)
    assert verdict(log, "onion") == "other"
    assert verdict("\n".join(f"{line} {'x' * n}" for n in range(12)), "onion") == "note"


def test_a_picture_of_signs_is_no_table():
    art = "".join(f"|  {'#' * n}  |  |   |\n" for n in range(1, 12))
    assert not is_tabular(art)
    assert verdict(art + "Your files are encrypted. Write to us and pay in bitcoin to get the decryptor.") == "note"


def test_a_notes_words_far_down_in_a_long_text_do_not_make_it_one():
    filler = "The harbour was quiet that day and nothing at all happened there. " * 1200
    assert verdict(filler + "Your files are encrypted. Write to us and pay for the decryptor.") == "other"


def test_every_sign_has_a_name_in_both_languages_and_phrases_as_they_are_compared():
    for sign in load_signs():
        assert sign.phrases and sign.weight
        assert all(phrase == phrase.casefold().strip() and phrase for phrase in sign.phrases)


def test_a_malformed_sign_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "signs.toml").write_text('[[sign]]\nid = "a"\nweight = "much"\n')
    monkeypatch.setattr("hikeshi.identify.gate.DATA", tmp_path)
    load_signs.cache_clear()
    try:
        with pytest.raises(KnowledgeError):
            load_signs()
    finally:
        load_signs.cache_clear()
