"""Codes as the standard gives them, each good once."""

from __future__ import annotations

import time

import pytest

from hikeshi_desk.accounts import totp
from hikeshi_desk.accounts.models import RecoveryCode, SecondFactor


@pytest.mark.parametrize("seconds, code", [
    (59, "94287082"), (1111111109, "07081804"), (1111111111, "14050471"), (1234567890, "89005924"),
    (2000000000, "69279037"), (20000000000, "65353130"),
])
def test_the_codes_are_those_of_rfc_6238(seconds, code):
    assert totp.code_at(b"12345678901234567890", seconds // 30) == code[-6:]


@pytest.mark.django_db
def test_neighbouring_codes_are_good_and_older_ones_are_not(make_person, monkeypatch):
    user = make_person()
    totp.begin(user)
    secret = totp.secret_of(totp.waiting(user))
    now = 1_700_000_010
    monkeypatch.setattr(time, "time", lambda: now)
    assert totp.confirm(user, totp.code_at(secret, now // 30 - 2)) is None
    assert len(totp.confirm(user, totp.code_at(secret, now // 30 - 1))) == totp.RECOVERY_CODES
    assert totp.accept(user, totp.code_at(secret, now // 30 - 1)) is None, "used already"
    assert totp.accept(user, totp.code_at(secret, now // 30 + 1)) == "totp"
    assert totp.accept(user, totp.code_at(secret, now // 30)) is None, "older than the one used"
    assert totp.accept(user, totp.code_at(secret, now // 30 + 2)) is None
    monkeypatch.setattr(time, "time", lambda: now + 60)
    code = totp.code_at(secret, now // 30 + 2)
    assert totp.accept(user, f"{code[:3]} {code[3:]}".translate({ord("0") + n: chr(0xFF10 + n) for n in range(10)})) == "totp"


@pytest.mark.django_db
@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３", "²²²²²²", "\0" * 6, "١٢٣٤٥٦"])
def test_what_is_no_code_is_refused(make_person, code):
    user = make_person()
    totp.begin(user)
    assert totp.confirm(user, code) is None
    assert totp.accept(user, code) is None


@pytest.mark.django_db
def test_neither_secret_nor_recovery_code_lies_open_in_the_database(make_person):
    user = make_person()
    factor = totp.begin(user)
    shown = totp.readable(factor).replace(" ", "")
    codes = totp.new_recovery_codes(user)
    kept = str(list(SecondFactor.objects.values())) + str(list(RecoveryCode.objects.values()))
    assert shown not in kept and totp.secret_of(factor).hex() not in kept
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


@pytest.mark.django_db
def test_a_recovery_code_is_its_owner_s_and_needs_the_app_to_be_set_up(make_person):
    one, two = make_person(), make_person()
    codes = totp.new_recovery_codes(one)
    assert totp.accept(one, codes[0]) is None, "no confirmed app"
    totp.begin(two)
    SecondFactor.objects.update(confirmed_at="2026-01-01T00:00Z")
    assert totp.accept(two, codes[1]) is None


@pytest.mark.django_db
def test_with_another_key_of_the_desk_an_app_must_be_set_up_anew(make_person, settings):
    user = make_person()
    factor = totp.begin(user)
    settings.SECRET_KEY = "x" * 64
    assert totp.secret_of(factor) is None
    assert totp.confirm(user, "123456") is None
