"""Addresses of coins in a text: Bitcoin, Ethereum, Monero, each with its checksum checked.

Sources: BIP-13, BIP-173, BIP-350; EIP-55; the Monero address format; Keccak as submitted to NIST (its padding is not
SHA-3's, which is why the standard library has none).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from hikeshi.knowledge.addresses import Address

_MOST = 50
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_COIN = re.compile(
    r"(?<![0-9A-Za-z])(?:bc1[02-9ac-hj-np-z]{39,59}|BC1[02-9AC-HJ-NP-Z]{39,59}|0x[0-9A-Fa-f]{40}|"
    r"[13][1-9A-HJ-NP-Za-km-z]{25,34}|[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?:[1-9A-HJ-NP-Za-km-z]{11})?)(?![0-9A-Za-z])")
_BLOCK = {2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}  # Monero's base 58: signs of a block → its bytes
_NETWORKS = (18, 19, 42)  # Monero: ordinary, integrated, sub-address
_ROUNDS = 24
# Of documents and of the chain itself; notes copy them from explanations of what an address looks like.
_EXAMPLES = frozenset((
    "1a1zp1ep5qgefi2dmptftl5slmv7divfna", "1boatslrhtknngkdxeeobr76b53lettpyt", "1bitcoineateraddressdontsendf59kue",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"))


def find_coins(text: str) -> Iterator[Address]:
    """Every address whose checksum is right. Values in lower case: two that differ only in that don't exist in
    practice. An Ethereum address in one case has no checksum; one of a single repeated sign is an example."""
    for count, found in enumerate(_COIN.finditer(text)):
        if count >= _MOST:
            return
        if found[0].lower() not in _EXAMPLES and is_coin(found[0]):
            yield Address("coin", found[0].lower(), found.start(), found.end())


def is_coin(text: str) -> bool:
    """Does this have the form of an address, with the right checksum?"""
    if text[:2] in ("0x", "0X"):
        return _is_ethereum(text[2:])
    return _is_monero(text) if text[:1] in "48" and len(text) in (95, 106) else bitcoin(text) is not None


def looks_like_bitcoin(text: str) -> bool:
    """The shape of a Bitcoin address; the checksum is not looked at."""
    lower = text.lower()
    if lower.startswith("bc1") and (text in (lower, text.upper())):
        return len(text) in (42, 62) and all(c in _BECH32 for c in lower[3:])
    return text[:1] in ("1", "3") and 26 <= len(text) <= 35 and all(c in _BASE58 for c in text)


def bitcoin(text: str) -> str | None:
    """A Bitcoin address whose checksum is right; Bech32 in lower case."""
    if not looks_like_bitcoin(text):
        return None
    if text[:3].lower() == "bc1":
        return text.lower() if _bech32_is_right(text.lower()) else None
    number = 0
    for char in text:
        number = number * 58 + _BASE58.index(char)
    if number >= 1 << 200:
        return None
    raw = number.to_bytes(25, "big")
    right = hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4]
    return text if raw[21:] == right and raw[0] in (0, 5) else None


def _bech32_is_right(text: str) -> bool:
    values = [3, 3, 0, 2, 3] + [_BECH32.index(c) for c in text[3:]]  # "bc", expanded
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                check ^= generator
    return check in (1, 0x2BC830A3)


def _is_ethereum(digits: str) -> bool:
    if len(digits) != 40 or len(set(digits.lower())) < 6:
        return False
    if digits in (digits.lower(), digits.upper()):
        return True
    # EIP-55: a letter is large where the hash of the small form has a high half byte.
    high = keccak256(digits.lower().encode()).hex()
    return all(not sign.isalpha() or sign.isupper() == (int(half, 16) >= 8)
               for sign, half in zip(digits, high, strict=False))


def _is_monero(text: str) -> bool:
    raw = b""
    for at in range(0, len(text), 11):
        block, number = text[at:at + 11], 0
        for sign in block:
            if sign not in _BASE58:
                return False
            number = number * 58 + _BASE58.index(sign)
        size = _BLOCK.get(len(block), 0)
        if not size or number >= 1 << (8 * size):
            return False
        raw += number.to_bytes(size, "big")
    return raw[0] in _NETWORKS and keccak256(raw[:-4])[:4] == raw[-4:]


def keccak256(data: bytes) -> bytes:
    """Keccak with 256 bits. Not for secrets: a checksum in two formats."""
    rate, state = 136, [0] * 25
    padded = bytearray(data) + bytes(rate - len(data) % rate)
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    for at in range(0, len(padded), rate):
        for word in range(rate // 8):
            state[word] ^= int.from_bytes(padded[at + 8 * word:at + 8 * word + 8], "little")
        state = _permuted(state)
    return b"".join(word.to_bytes(8, "little") for word in state[:4])


def _permuted(a: list[int]) -> list[int]:
    def turned(value: int, by: int) -> int:
        by %= 64
        return ((value << by) | (value >> (64 - by))) & 0xFFFFFFFFFFFFFFFF

    register = 1
    for _ in range(_ROUNDS):
        columns = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        a = [a[n] ^ columns[(n + 4) % 5] ^ turned(columns[(n + 1) % 5], 1) for n in range(25)]
        x, y, lane = 1, 0, a[1]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            a[x + 5 * y], lane = turned(lane, (step + 1) * (step + 2) // 2), a[x + 5 * y]
        a = [a[n] ^ (~a[n // 5 * 5 + (n + 1) % 5] & a[n // 5 * 5 + (n + 2) % 5]) for n in range(25)]
        for bit in range(7):
            register = (register << 1 ^ (register >> 7) * 0x71) & 0xFF
            if register & 2:
                a[0] ^= 1 << ((1 << bit) - 1)
    return a
