"""The receipt code: hard to guess, easy to copy."""

from __future__ import annotations

import re

import pytest

from hikeshi_desk.intake import receipt


def test_a_code_has_at_least_128_bits_in_groups_of_four():
    assert receipt.LETTERS * 5 >= 128
    for code in (receipt.new_code(), receipt.code_for("some key")):
        assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}", code)


def test_codes_differ_and_every_letter_of_the_alphabet_occurs_at_every_place():
    codes = [receipt.code_for(f"key {number}").replace("-", "") for number in range(600)]
    assert len(set(codes)) == 600
    for place in range(receipt.LETTERS):
        assert {code[place] for code in codes} == set(receipt.ALPHABET)


def test_the_code_of_a_key_is_always_the_same_and_depends_on_the_desks_secret(settings):
    code = receipt.code_for("key")
    assert receipt.code_for("key") == code
    settings.SECRET_KEY = "another secret of another desk, long enough"
    assert receipt.code_for("key") != code
    assert receipt.hmac_of(code) != ""


@pytest.mark.parametrize("copied", [
    "abcd efgh jkmn pqrs tvwx yz01 2345", "ＡＢＣＤ－ＥＦＧＨ－ＪＫＭＮ－ＰＱＲＳ－ＴＶＷＸ－ＹＺ０１－２３４５",
    " ABCDEFGHJKMNPQRSTVWXYZO I2345 ", "ABCD‐EFGH–JKMN—PQRS−TVWX・YZol・2345\n"])
def test_a_code_is_understood_however_it_was_copied(copied):
    assert receipt.hmac_of(copied) == receipt.hmac_of("ABCD-EFGH-JKMN-PQRS-TVWX-YZ01-2345")


@pytest.mark.parametrize("wrong", ["", "ABCD", "ABCD-EFGH-JKMN-PQRS-TVWX-YZ01-234u", "ABCD-EFGH-JKMN-PQRS-TVWX-YZ01-23456",
                                   "\ud800", "' OR 1=1 --", "x" * 100_000])
def test_what_is_no_code_matches_nothing_but_costs_the_same_kind_of_work(wrong):
    assert receipt.normalise(wrong) == ""
    assert len(receipt.hmac_of(wrong)) == 64
    assert receipt.hmac_of(wrong) != receipt.hmac_of(receipt.new_code())
