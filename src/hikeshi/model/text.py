"""A sentence in both languages."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """The same statement in Japanese and English; neither may be empty."""

    ja: str
    en: str

    def to_dict(self) -> dict[str, str]:
        return {"ja": self.ja, "en": self.en}


# C0 and C1 controls, and the characters that turn the direction of text: a log line must not
# move the cursor, recolour the screen or show itself in another order than it is written.
_TRICKS = {c: f"\\x{c:02x}" for c in (*range(0x20), *range(0x7F, 0xA0))} | {
    c: f"\\u{c:04x}" for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x2028, 0x2029)}


def plain(text: object) -> str:
    """Text from evidence, safe to show: control and direction characters are spelt out,
    lone surrogates (undecodable bytes) too."""
    shown = str(text).translate(_TRICKS)
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def defang(value: str) -> str:
    """An address that nobody opens by a slip: hxxp and [.]"""
    scheme = value.replace("http", "hxxp", 1) if value.startswith("http") else value
    return scheme.replace(".", "[.]")
