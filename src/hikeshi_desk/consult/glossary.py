"""Terms of the trade inside a text: the first time each is met on a page it becomes a button that explains it."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from hikeshi.knowledge.glossary import load_glossary, terms_in


@dataclass
class Met:
    """The terms of one page in the order they were met: id, name, meaning."""

    terms: dict[str, tuple[str, str]] = field(default_factory=dict)

    def mark(self, text: str) -> SafeString:
        """The text, escaped, with a button around each term that was not met before."""
        language = "en" if (get_language() or "ja").startswith("en") else "ja"
        parts: list[tuple[str | SafeString]] = []
        end = 0
        for start, stop, one in terms_in(text, language):
            if one in self.terms:
                continue
            term = load_glossary()[one]
            self.terms[one] = (getattr(term.term, language), getattr(term.meaning, language))
            parts.append((text[end:start],))
            parts.append((format_html('<button type="button" class="term" popovertarget="term-{}" '
                                      'aria-describedby="term-{}">{}</button>', one, one, text[start:stop]),))
            end = stop
        parts.append((text[end:],))
        return mark_safe(format_html_join("", "{}", parts))

    def items(self) -> list[tuple[str, str, str]]:
        return [(one, name, meaning) for one, (name, meaning) in self.terms.items()]
