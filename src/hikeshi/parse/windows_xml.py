"""Windows events as XML: `wevtutil qe /f:xml`, Event Viewer's "Save as XML", Get-WinEvent's ToXml.

One event a line, or one document around all, also cut in the middle. Read with expat in small
pieces; a document type or an entity of its own is refused, since no Windows export has one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from hikeshi.parse.pieces import Piece
from hikeshi.parse.windows_records import Shaped

_DEEPEST = 32
_LONGEST_EVENT = 16 << 20
_START = re.compile(r"<Event(?=[\s>])")
_END = "</Event>"


class _Refused(Exception):
    """The XML declares a document type or an entity."""


def claims(text: str) -> bool:
    """An event begins here, maybe after a declaration and the <Events> around."""
    head = text.lstrip("\ufeff \t\r\n")[:600]
    return (
        head.startswith("<")
        and _START.search(head) is not None
        and ("schemas.microsoft.com/win/2004/08/events" in head or "<System>" in head)
    )


def split_events(pieces: Iterator[Piece]) -> Iterator[tuple[str, int, int, str | None]]:
    """(text, line, offset, problem) of each <Event>…</Event>.

    What lies between events other than white space and the outer element comes with a problem,
    as does an event that is cut.
    """
    held: list[str] = []
    size = 0
    begin = (0, 0)
    for piece in pieces:
        text, at = piece.text, 0
        while at < len(text):
            if not held:
                match = _START.search(text, at)
                stop = match.start() if match else len(text)
                rest = _OUTER.sub("", text[at:stop]).strip("\ufeff \t\r\n\0")
                if rest:
                    lead = len(text[at:stop]) - len(text[at:stop].lstrip())
                    yield rest, *piece.at(at + lead), "text between events"
                if match is None:
                    break
                begin, at = piece.at(stop), stop
            end = text.find(_END, at)
            end = end + len(_END) if end >= 0 else len(text)
            again = _START.search(text, at + (0 if held else 1), end)
            if again:
                # The next event begins before this one has ended: this one is cut.
                yield "".join([*held, text[at : again.start()]]), *begin, "an event that does not end"
                held, size, at = [], 0, again.start()
                begin = piece.at(at)
                continue
            held.append(text[at:end])
            size += end - at
            at = end
            if held[-1].endswith(_END):
                yield "".join(held), *begin, None
                held, size = [], 0
            elif size > _LONGEST_EVENT:
                yield "".join(held)[:10_000], *begin, "an event longer than 16 MiB"
                held, size = [], 0
    if held:
        yield "".join(held), *begin, "an event that does not end"


_OUTER = re.compile(r"<\?xml[^>]*\?>|</?Events[^>]*>")


def read_event(text: str) -> Shaped | str:
    """One <Event> in the evtx package's shape, or why it can't be read."""
    try:
        root = _tree(text)
    except _Refused as refused:
        return str(refused)
    except (expat.ExpatError, ValueError) as error:
        return f"not well-formed: {error}"
    if not isinstance(root, dict) or not isinstance(root.get("System"), dict):
        return "an event without its System part"
    for part in ("EventData",):
        if isinstance(root.get(part), str):
            root[part] = None if not root[part].strip() else {"Data": {"#text": root[part]}}
    return Shaped(root)


class _Element:
    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.text: list[str] = []
        self.children: list[tuple[str, Any]] = []


def _tree(text: str) -> Any:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    stack: list[_Element] = []
    done: list[Any] = []

    def refuse(*_: object) -> int:
        raise _Refused("the XML declares a document type or an entity; that is refused")

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) >= _DEEPEST:
            raise _Refused(f"elements more than {_DEEPEST} deep")
        stack.append(_Element(name.rpartition(":")[2], attributes))

    def end(_: str) -> None:
        element = stack.pop()
        value = _value(element)
        if stack:
            name = element.name
            if name == "Data" and "Name" in element.attributes:
                name = element.attributes["Name"]
            stack[-1].children.append((name, value))
        else:
            done.append(value)

    def words(data: str) -> None:
        if stack:
            stack[-1].text.append(data)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = words
    parser.Parse(_NOT_XML.sub("\ufffd", text).encode("utf-8", "replace"), True)
    return done[0]


# Control characters that Windows writes into events and XML 1.0 does not allow.
_NOT_XML = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|&#(?:x0*(?:[0-8bBcCeEfF]|1[0-9a-fA-F])|0*(?:[0-8]|1[124-9]|2\d|3[01]));"
)


def _value(element: _Element) -> Any:
    text = "".join(element.text)
    named = element.name == "Data" and "Name" in element.attributes
    attributes = {
        k: v for k, v in element.attributes.items() if not (named and k == "Name") and not k.startswith("xmlns")
    }
    if not element.children:
        if attributes:
            return {"#attributes": attributes, "#text": text} if text.strip() else {"#attributes": attributes}
        return text
    out: dict[str, Any] = {"#attributes": attributes} if attributes else {}
    for name, value in element.children:
        if name in out:
            held = out[name]
            if isinstance(held, list):
                held.append(value)
            elif isinstance(held, dict) and isinstance(held.get("#text"), list) and not isinstance(value, dict):
                held["#text"].append(value)
            elif isinstance(value, str) and isinstance(held, str):
                out[name] = {"#text": [held, value]}
            else:
                out[name] = [held, value]
        else:
            out[name] = value
    if text.strip():
        out["#text"] = text.strip()
    return out
