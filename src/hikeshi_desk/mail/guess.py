"""Which kind of incident a new mail seems to be about: a proposal for the handler, with the words it rests on.

Only ransomware changes anything by itself: such a mail takes the urgent lane, because a false alarm costs less than
an hour of encryption. Mass mail is never guessed at, unless a file with it is a sign. Data: data/kinds.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_LONGEST = 20_000
# Lines that somebody else wrote: an answer that quotes our first steps ("your files are encrypted") is not a new sign.
_QUOTED = re.compile(r"^[ \t]*>.*$", re.M)


class Guess(NamedTuple):
    """`kind` is an id of the form's kinds; `signs` are the words found, as they stand there."""

    kind: str
    signs: tuple[str, ...]


class _Kind(NamedTuple):
    id: str
    strong: tuple[re.Pattern[str], ...]
    weak: tuple[re.Pattern[str], ...]
    names: tuple[re.Pattern[str], ...]
    not_names: tuple[re.Pattern[str], ...]


def guess(subject: str, words: str, names: Sequence[str], *, is_bulk: bool = False) -> Guess | None:
    """The kind, or None where nothing says one."""
    never, kinds = _data()
    text = f"{subject}\n{_QUOTED.sub('', words[:_LONGEST])}"
    is_news = is_bulk or any(one.search(text) for one in never)
    for kind in kinds:
        signs = _by_name(kind, names)
        if not is_news:
            weak = _found(kind.weak, text)
            signs += _found(kind.strong, text) or (weak if len(weak) >= 2 else ())
        if signs:
            return Guess(kind.id, tuple(dict.fromkeys(signs))[:6])
    return None


def _found(patterns: Sequence[re.Pattern[str]], text: str) -> tuple[str, ...]:
    return tuple(" ".join(found[0].split())[:60] for one in patterns if (found := one.search(text)))


def _by_name(kind: _Kind, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name[:60] for name in names[:100] if any(one.search(name) for one in kind.names)
                 and not any(one.search(name) for one in kind.not_names))


@cache
def _data() -> tuple[tuple[re.Pattern[str], ...], tuple[_Kind, ...]]:
    told = tomllib.loads(files("hikeshi_desk.mail").joinpath("data/kinds.toml").read_text(encoding="utf-8"))

    def patterns(lines: Sequence[str]) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(line, re.I) for line in lines)
    return patterns(told["never"]), tuple(
        _Kind(one["id"], patterns(one["strong"]), patterns(one["weak"]), patterns(one["names"]),
              patterns(one.get("not_names", []))) for one in told["kinds"])
