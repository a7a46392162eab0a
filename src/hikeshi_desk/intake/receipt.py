"""The receipt code: the consultee's only key to the conversation.

140 bits as 28 letters of Crockford's base32 (no I, L, O, U) in groups of four. It is stored nowhere and
never stands in an address; the database holds its HMAC under a key made from the desk's secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import unicodedata

from django.conf import settings

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LETTERS = 28
_GROUP = 4
_LOOKALIKES = str.maketrans("OIL", "011")


def new_code() -> str:
    return _grouped("".join(secrets.choice(ALPHABET) for _ in range(LETTERS)))


def code_for(key: str) -> str:
    """The code that belongs to an idempotency key: a lost answer, asked for again, names the same code.

    Without the desk's secret nobody can work it out, and the key itself is not kept.
    """
    number = int.from_bytes(_hmac("code", key))
    return _grouped("".join(ALPHABET[number >> (5 * place) & 31] for place in range(LETTERS)))


def normalise(code: str) -> str:
    """The code as 28 letters, however it was copied (small, full-width, O for 0); "" if it is none."""
    plain = unicodedata.normalize("NFKC", code[:200]).upper().translate(_LOOKALIKES)
    letters = "".join(letter for letter in plain if letter not in "-‐‑‒–—―ー−_.・" and not letter.isspace())
    return letters if len(letters) == LETTERS and all(letter in ALPHABET for letter in letters) else ""


def hmac_of(code: str) -> str:
    """What the database knows of a code. The same work for anything; what is no code matches nothing."""
    letters = normalise(code)
    return _hmac("receipt" if letters else "no receipt", letters or code[:200]).hex()


def _grouped(letters: str) -> str:
    return "-".join(letters[start:start + _GROUP] for start in range(0, len(letters), _GROUP))


def _hmac(use: str, value: str) -> bytes:
    key = hashlib.sha256(f"hikeshi desk {use}\0{settings.SECRET_KEY}".encode()).digest()
    return hmac.digest(key, value.encode("utf-8", "surrogatepass"), "sha256")
