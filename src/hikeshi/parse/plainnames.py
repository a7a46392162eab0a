"""How names of values are compared, whoever wrote them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_NOT_WORD = re.compile(r"[\W_]+")
# The same Japanese word with and without its long vowel.
_LONG_VOWEL = re.compile(r"(?<=ユーザ|サーバ|ォルダ)ー|(?<=ンピュータ)ー")


@lru_cache(maxsize=20_000)
def plain_name(name: str) -> str:
    """Lower case, without spaces and signs, full width as half: how names are compared."""
    if name.isascii():
        return _NOT_WORD.sub("", name).lower()
    return _LONG_VOWEL.sub("", _NOT_WORD.sub("", unicodedata.normalize("NFKC", name)).lower())
