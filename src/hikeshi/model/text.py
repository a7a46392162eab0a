"""A sentence in both languages."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """The same statement in Japanese and English; neither may be empty."""

    ja: str
    en: str

    def to_dict(self) -> dict[str, str]:
        return {"ja": self.ja, "en": self.en}
