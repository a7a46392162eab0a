"""Codes of an authenticator app (RFC 6238: SHA-1, six digits, 30 seconds) and recovery codes.

A code is good for its own half minute and the one before and after it, once. The secret is encrypted
with the desk's key, shown only to its owner while the app is set up, and to nobody afterwards.
"""

from __future__ import annotations

import base64
import hmac
import io
import secrets
import time
import unicodedata
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from hikeshi_desk.accounts.models import Passkey, RecoveryCode, SecondFactor, User

STEP_S = 30
DIGITS = 6
RECOVERY_CODES = 10
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U


def begin(user: User) -> SecondFactor:
    """A new secret that does not count yet; one that was begun and not confirmed is replaced."""
    secret = _cipher().encrypt(secrets.token_bytes(20)).decode()
    factor, _ = SecondFactor.objects.update_or_create(
        user=user, confirmed_at=None, defaults={"secret": secret, "last_step": 0})
    return factor


def waiting(user: User) -> SecondFactor | None:
    return SecondFactor.objects.filter(user=user, confirmed_at=None).first()


def confirmed(user: User) -> SecondFactor | None:
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


def confirm(user: User, code: str) -> list[str] | None:
    """With the first right code the factor counts; the recovery codes are given here and never again."""
    factor = waiting(user)
    if factor is None or not _use(factor, code):
        return None
    with transaction.atomic():
        SecondFactor.objects.filter(pk=factor.pk).update(confirmed_at=timezone.now())
        return new_recovery_codes(user)


def accept(user: User, code: str) -> str | None:
    """"totp" or "recovery" when the code is right; it is used up with that."""
    factor = confirmed(user)
    if factor is not None and _use(factor, code):
        return "totp"
    gone, _ = RecoveryCode.objects.filter(user=user, digest=_digest(user, code)).delete()
    return "recovery" if gone and (factor is not None or _passkeys(user)) else None


def new_recovery_codes(user: User) -> list[str]:
    """Ten codes of 80 bits; older ones stop working."""
    codes = ["".join(secrets.choice(_ALPHABET) for _ in range(16)) for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.filter(user=user).delete()
    RecoveryCode.objects.bulk_create(RecoveryCode(user=user, digest=_digest(user, code)) for code in codes)
    return ["-".join(code[i:i + 4] for i in range(0, 16, 4)) for code in codes]


def remove(user: User) -> None:
    """The app; the recovery codes stay as long as a passkey asks for them."""
    SecondFactor.objects.filter(user=user).delete()
    forget_codes(user)


def forget_codes(user: User) -> None:
    """Nobody keeps recovery codes without a second factor that they could stand in for."""
    if not has_second_factor(user):
        RecoveryCode.objects.filter(user=user).delete()


def has_second_factor(user: User) -> bool:
    """Something besides the password that works: the app or a passkey."""
    return confirmed(user) is not None or _passkeys(user)


def has_codes(user: User) -> bool:
    return RecoveryCode.objects.filter(user=user).exists()


def _passkeys(user: User) -> bool:
    return Passkey.objects.filter(user=user, stopped_at=None).exists()


def code_at(secret: bytes, step: int) -> str:
    """The code of one half minute since 1970."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    start = mac[-1] & 15
    number = int.from_bytes(mac[start:start + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def secret_of(factor: SecondFactor) -> bytes | None:
    try:
        return _cipher().decrypt(factor.secret.encode())
    except InvalidToken:  # the desk's key was replaced: the person sets up anew
        return None


def readable(factor: SecondFactor) -> str:
    """The secret as an app takes it by hand, in groups of four."""
    text = base64.b32encode(secret_of(factor) or b"").decode().rstrip("=")
    return " ".join(text[i:i + 4] for i in range(0, len(text), 4))


def picture(factor: SecondFactor, issuer: str) -> bytes:
    """The QR code as SVG: dark on white with its border, also in a dark page."""
    import qrcode
    from qrcode.image.svg import SvgPathImage

    label = f"{quote(issuer)}:{quote(factor.user.email)}"
    address = f"otpauth://totp/{label}?secret={readable(factor).replace(' ', '')}&issuer={quote(issuer)}"

    class OnWhite(SvgPathImage):
        background = "white"

    out = io.BytesIO()
    qrcode.make(address, image_factory=OnWhite, box_size=12).save(out)
    return out.getvalue()


def _use(factor: SecondFactor, code: str) -> bool:
    secret, given = secret_of(factor), _digits(code)
    if secret is None or len(given) != DIGITS:
        return False
    now = int(time.time()) // STEP_S
    fitting = [step for step in (now - 1, now, now + 1) if hmac.compare_digest(code_at(secret, step), given)]
    if not fitting:
        return False
    # One statement decides: two requests with the same code can't both win.
    return SecondFactor.objects.filter(pk=factor.pk, last_step__lt=fitting[0]).update(last_step=fitting[0]) == 1


def _digits(code: str) -> str:
    text = unicodedata.normalize("NFKC", code).replace(" ", "").replace("-", "")
    return text if text.isascii() and text.isdigit() else ""


def _digest(user: User, code: str) -> str:
    text = unicodedata.normalize("NFKC", code).upper().replace("-", "").replace(" ", "")
    text = text.translate(str.maketrans("OIL", "011"))
    return salted_hmac("hikeshi_desk.accounts.recovery", f"{user.pk}:{text}", algorithm="sha256").hexdigest()


def _cipher() -> Fernet:
    key = salted_hmac("hikeshi_desk.accounts.second_factor", "secret", secret=settings.SECRET_KEY,
                      algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(key))
