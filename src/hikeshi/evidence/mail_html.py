"""HTML of a mail as plain text: tags are dropped, nothing is fetched, nothing is run.

Not a browser: one pass over the signs, no tree, so nesting costs nothing. Links show where
they really lead, because that is what a phishing mail hides.
"""

from __future__ import annotations

import html
import re

LIMIT = 4_000_000
_SILENT = ("script", "style", "head", "title", "template", "noscript", "svg", "object", "iframe", "select")
_BREAKS = frozenset(("br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "hr",
                     "blockquote", "pre", "section", "article", "header", "footer", "dt", "dd"))
_NAME = re.compile(r"/?([A-Za-z][A-Za-z0-9:-]{0,40})")
_HREF = re.compile(r"""\shref\s*=\s*(?:"([^"]{0,2000})"|'([^']{0,2000})'|([^\s>"']{1,2000}))""", re.I)


def html_to_text(source: str) -> str:
    """Readable lines; a link is followed by its address in angle brackets if they differ."""
    source = source[:LIMIT]
    low = source.lower() if len(source.lower()) == len(source) else source
    out: list[str] = []
    link = ""
    shown_from = 0
    i = 0
    missing: set[str] = set()  # what was looked for and is not there any more: never searched twice
    while i < len(source):
        tag = source.find("<", i)
        if tag < 0:
            out.append(_words(source[i:]))
            break
        out.append(_words(source[i:tag]))
        if source.startswith("<!--", tag):
            i = _after(source, "-->", tag + 4, missing)
            continue
        name = _NAME.match(source, tag + 1)
        if name is None:
            if source.startswith(("<!", "<?"), tag):
                i = _after(source, ">", tag + 2, missing)
            else:
                out.append("<")
                i = tag + 1
            continue
        i = _after(source, ">", name.end(), missing)
        word = name[1].lower()
        closing = source[tag + 1] == "/"
        if word in _SILENT and not closing:
            i = _after(low, f"</{word}", i, missing)
            i = _after(source, ">", i, missing) if i < len(source) else i
        elif word in _BREAKS:
            out.append("\n")
        elif word in ("td", "th"):
            out.append(" ")
        elif word == "a":
            shown = "".join(out[shown_from:]).strip()
            if closing and link and link != shown:
                out.append(f" <{link}>")
            link = "" if closing else _href(source[name.end():min(i, name.end() + 4000)])
            shown_from = len(out)
    return _tidy("".join(out))


def _after(text: str, what: str, start: int, missing: set[str]) -> int:
    if what in missing:
        return len(text)
    found = text.find(what, start)
    if found < 0:
        missing.add(what)
        return len(text)
    return found + len(what)


def _href(attributes: str) -> str:
    found = _HREF.search(" " + attributes)
    if not found:
        return ""
    return html.unescape(found[1] or found[2] or found[3] or "").strip()


def _words(text: str) -> str:
    return html.unescape(re.sub(r"[ \t\r\n\f]+", " ", text)) if text else ""


def _tidy(text: str) -> str:
    lines = [" ".join(line.replace("\xa0", " ").split(" ")).strip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(re.sub(r" {2,}", " ", line) for line in lines)).strip()
