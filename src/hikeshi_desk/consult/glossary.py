"""Terms of the trade inside a text: the first time each is met on a page it becomes a button that explains it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from hikeshi.knowledge.glossary import load_glossary, terms_in
from hikeshi_desk.accounts.texts import text


@dataclass
class Met:
    """The terms of one page in the order they were met: id, name, meaning."""

    terms: dict[str, tuple[str, str]] = field(default_factory=dict)

    def page(self, html: str) -> SafeString:
        """A rendered page of ours: terms in advice, hints and headings become buttons; the others of its own words are
        listed at its end. What people wrote, fields and links stay as they are."""
        language, inline, listed = _language(), [], dict[str, None]()
        for piece, place in _pieces(html):
            if place == "explain":
                inline.append(self._mark_escaped(piece, language))
                continue
            inline.append(piece)
            if place == "list":
                listed |= dict.fromkeys(one for _, _, one in terms_in(piece, language))
        rest = [load_glossary()[one] for one in listed if one not in self.terms]
        rows = format_html_join("", "<dt>{}</dt><dd>{}</dd>", (
            (getattr(one.term, language), getattr(one.meaning, language)) for one in rest))
        words = format_html('\n<details class="page-words no-print"><summary>{}</summary><dl class="words">{}</dl>'
                            '</details>', text("consult.words.here", count=len(rest)), rows) if rest else ""
        # The page was escaped when it was rendered; only our own entries were added.
        return mark_safe("".join(inline) + words)

    def _mark_escaped(self, piece: str, language: str) -> str:
        out, end = [], 0
        for start, stop, one in terms_in(piece, language):
            if one not in self.terms:
                out += [piece[end:start], self._button(one, mark_safe(piece[start:stop]), language)]
                end = stop
        return "".join([*out, piece[end:]])

    def _button(self, one: str, shown: str, language: str) -> SafeString:
        term = load_glossary()[one]
        self.terms[one] = (getattr(term.term, language), getattr(term.meaning, language))
        return format_html('<button type="button" class="term" popovertarget="term-{}" '
                           'aria-describedby="term-{}">{}</button>', one, one, shown)

    def mark(self, words: str) -> SafeString:
        """The text, escaped, with a button around each term that was not met before."""
        language = _language()
        parts: list[tuple[str | SafeString]] = []
        end = 0
        for start, stop, one in terms_in(words, language):
            if one in self.terms:
                continue
            parts += [(words[end:start],), (self._button(one, words[start:stop], language),)]
            end = stop
        parts.append((words[end:],))
        return mark_safe(format_html_join("", "{}", parts))

    def items(self) -> list[tuple[str, str, str]]:
        return [(one, name, meaning) for one, (name, meaning) in self.terms.items()]


def _language() -> str:
    return "en" if (get_language() or "ja").startswith("en") else "ja"


_TAG = re.compile(r"(<[^>]*>)")
_NAME = re.compile(r"</?([a-z0-9]+)")
_EXPLAIN = re.compile(r'^<(?:dt\b|(?:ol|ul|p)\b[^>]*class="[^"]*\b(?:steps|never|hint)\b)')
_LEAVE = re.compile(r'^<(?:(?:a|button|textarea|select|label|summary|pre|code|script|style|svg)\b'
                    r'|[a-z]+\b[^>]*class="[^"]*\b(?:as-written|mono|meaning)\b)')
_EMPTY = frozenset({"br", "img", "input", "hr", "meta", "link", "wbr", "source"})


def _pieces(html: str) -> Iterator[tuple[str, str]]:
    """The page cut at its tags: a piece and what may be done with it: "explain", "list" or "" (leave it)."""
    open_tags: list[tuple[str, str]] = [("", "list")]
    for piece in _TAG.split(html):
        if not piece.startswith("<"):
            yield piece, open_tags[-1][1] if piece.strip() else ""
            continue
        yield piece, ""
        name = found[1] if (found := _NAME.match(piece)) else ""
        if piece.startswith("</"):
            while len(open_tags) > 1 and open_tags.pop()[0] != name:
                pass
        elif name and name not in _EMPTY and not piece.endswith("/>"):
            place = open_tags[-1][1]
            if place:
                place = "" if _LEAVE.match(piece) else "explain" if _EXPLAIN.match(piece) else place
            open_tags.append((name, place))
