"""Terms of the trade inside a text: the first time each is met on a page it becomes a button that explains it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from hikeshi.knowledge.glossary import load_glossary

_BRACKETS = re.compile(r"[（(）)]")
# Words of everybody: explaining them would only be in the way.
_PLAIN = frozenset({"evidence", "timeline", "recovery", "family", "technique", "confidence", "advisory", "staging",
                    "indicator", "isolation", "actor", "containment"})


@dataclass
class Met:
    """The terms of one page in the order they were met: id, name, meaning."""

    terms: dict[str, tuple[str, str]] = field(default_factory=dict)

    def mark(self, text: str) -> SafeString:
        """The text, escaped, with a button around each term that was not met before."""
        language = "en" if (get_language() or "ja").startswith("en") else "ja"
        pattern, known = _pattern(language)
        parts: list[tuple[str | SafeString]] = []
        end = 0
        for found in pattern.finditer(text):
            one = known[found[0].casefold()]
            if one in self.terms:
                continue
            term = load_glossary()[one]
            self.terms[one] = (getattr(term.term, language), getattr(term.meaning, language))
            parts.append((text[end:found.start()],))
            parts.append((format_html('<button type="button" class="term" popovertarget="term-{}" '
                                      'aria-describedby="term-{}">{}</button>', one, one, found[0]),))
            end = found.end()
        parts.append((text[end:],))
        return mark_safe(format_html_join("", "{}", parts))

    def items(self) -> list[tuple[str, str, str]]:
        return [(one, name, meaning) for one, (name, meaning) in self.terms.items()]


@cache
def _pattern(language: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """All names of all terms, the longest first, and which term each is of."""
    known: dict[str, str] = {}
    for one in load_glossary().values():
        if one.id in _PLAIN:
            continue
        for name in _BRACKETS.split(getattr(one.term, language)):
            if len(name.strip()) > 1:
                known.setdefault(name.strip().casefold(), one.id)
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    # Latin names only as whole words; Japanese has none to be whole.
    return re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])", re.IGNORECASE), known
