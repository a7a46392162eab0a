"""Where a text presents itself by a family's name: "we are X", "encrypted by X", "X ransomware", a title.

A name in running prose is not a presentation. Ordinary words (play, royal, fog) need the strongest
forms and a capital letter. Names nobody knows are given too (`families` empty), so that a reader
hears what the note calls itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hikeshi.knowledge.families import Families
from hikeshi.knowledge.galaxy import key_of

_NAME = r"((?:[^\w\s]|_){0,4}[A-Za-z0-9$@][\w$@!.+-]{0,29}(?:[ _-][A-Za-z0-9$@][\w$@!.+-]{0,24}){0,2})"
_KIND = (
    r"(?:ransomware|ransom\W?ware|ransomware (?:team|group)|ransom (?:group|team)|team|group|gang|locker|"
    r"crypt(?:er|or)|encryptor|decryptor|decrypter|decoder|decryption (?:tool|software|service|program|key)|"
    r"support|crew|cartel|blog|leaks?|"
    r"leak (?:site|blog)|news|virus|raas|organization|syndicate|service|administration|encrypter|operators)"
)
_BEFORE = (
    # strength, pattern before the name
    ("strong", r"(?:we are|we're|we r|i am|i'm|this is)(?: the| a| from| from the| called)?"),
    (
        "strong",
        r"(?:call(?:ed)? (?:ourselves|us|myself)|our (?:team|group|name) is(?: called)?|"
        r"my name is|we are (?:also )?known as)",
    ),
    (
        "strong",
        r"(?:encrypted|crypted|locked|hacked|attacked|infected|compromised|breached|penetrated|stolen|downloaded|hit|visited|"
        r"exfiltrated|taken)(?: and (?:encrypted|stolen|locked|downloaded|exfiltrated|leaked))?"
        r" (?:by|with|using)(?: the| our| a)?",
    ),
    (
        "strong",
        r"(?:welcome to|greetings from|brought to you by|signed by|sincerely,?|regards,?|respectfully,?|yours,?|"
        r"courtesy of)(?: the)?",
    ),
    ("strong", r"(?:victim of|message from|hello from|notice from|team of)(?: the)?"),
    (
        "strong",
        r"(?:мы\s+[-–—]|шифровальщик\w{0,2}|wir sind|somos|nous sommes|siamo)(?: los| el| o| das| die| le| il)?",
    ),
)
_CUED = [(strength, re.compile(rf"(?<![a-z]){before}\s{{1,3}}{_NAME}", re.I)) for strength, before in _BEFORE]
_SUFFIXED = re.compile(rf"(?<![\w.-]){_NAME}[\"'”»\]*]{{0,2}}[ _-]{{1,2}}{_KIND}(?![a-z])", re.I)
_ACTING = re.compile(
    rf"(?<![\w.-]){_NAME}\W{{1,4}}(?:has |have )?"
    r"(?:encrypted|locked|crypted|hacked|stolen|downloaded|attacked) (?:all )?"
    r"(?:of )?your",
    re.I,
)
_VERSIONED = re.compile(
    rf"^\W{{0,20}}{_NAME}\W{{0,3}}(?:v\.?)?\d(?:\.\d)?\W+(?:the\W|ransomware|since\W|$)", re.I | re.M
)
_DECORATION = re.compile(r"^[\W_]+|[\W_]+$")
_GENERIC_TAIL = re.compile(rf"\s*(?:{_KIND}|read\W?me|note|encrypted|encryption|files?|v?\d+(?:\.\d+)*|the)$", re.I)

# Words that open a captured stretch without being the name.
_LEADING = re.compile(r"^(?:the|a|an|our|your|by|from|team|group|with|new|ransomware|called|named)\s+", re.I)

_LEET = str.maketrans("013457", "oleast")

_LONG_NAME = 7
_TITLE_LINES = 6
_TITLE_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Presentation:
    """`name` as written, `span` the words around it, `families` the ids it belongs to;
    `strength` is double ("we are X ransomware"), strong, title, weak or damaged."""

    name: str
    span: str
    start: int
    strength: str
    families: tuple[str, ...]


def presentations(text: str, families: Families) -> Iterator[Presentation]:
    """Every self-presentation by a known name, in order of strength."""
    head = text[: 64 * 1024]
    for strength, pattern in _CUED:
        for found in pattern.finditer(head):
            yield from _known(found, strength, families)
    for found in _SUFFIXED.finditer(head):
        yield from _known_tail(found, families)
    for pattern in (_VERSIONED, _ACTING):
        for found in pattern.finditer(head):
            yield from _known(found, "strong", families)
    yield from _titles(head, families)


def unknown_name(text: str, families: Families) -> tuple[str, int] | None:
    """The name by which a note presents itself that no list has, with its offset; None if there is none.

    Only the clearest form counts: a capitalised name before "ransomware", or after "encrypted by"."""
    for found in _SUFFIXED.finditer(text[: 64 * 1024]):
        words = _clean(found[1]).split()
        if not words or not re.search(r"ransomware", found[0], re.I):
            continue
        name = words[-1]
        if _is_name(name, families) and not families.named(name) and not families.named(" ".join(words[-2:])):
            return name, found.start(1)
    return None


def damaged_presentations(text: str, families: Families) -> Iterator[Presentation]:
    """Presentations by what is one sign away from a name of seven signs or more, as a scanner leaves it. Not where
    the word is a name itself, or near two families' names."""
    names, near = _near_names(families)
    for _, pattern in _CUED[:5]:
        for found in pattern.finditer(text[: 64 * 1024]):
            words = _clean(found[1]).split()
            if not words:
                continue
            shape = _shape(words[0])
            hits = set() if shape in names else set(near.get(shape, ()))
            for at in range(len(shape)) if len(shape) >= _LONG_NAME and shape not in names else ():
                hits |= set(near.get(shape[:at] + shape[at + 1 :], ()))
            ids = {one for name in hits if _is_one_edit(shape, name) for one in names[name]}
            if len(ids) == 1 and not _match(words[0], families) and not families.is_never_a_name(key_of(words[0])):
                yield Presentation(words[0], _span(found[0]), found.start(), "damaged", tuple(ids))


def _shape(word: str) -> str:
    """A name with look-alike signs folded together: LockB1t, L0ckBit and LockBit are one."""
    return re.sub(r"[^a-z]", "", word.lower().translate(_LEET)).replace("rn", "m").replace("vv", "w").replace("l", "i")


@lru_cache(maxsize=2)
def _near_names(families: Families) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]]]:
    """Long names by their shape → ids, and shapes by what is left when one sign is taken out."""
    names: dict[str, dict[str, None]] = {}
    for one, family in families.by_id.items():
        for name in family.names:
            shape = _shape(name)
            if len(shape) >= _LONG_NAME and not families.is_plain_name(name):
                names.setdefault(shape, {})[one] = None
    near: dict[str, dict[str, None]] = {}
    for shape in names:
        for at in range(len(shape)):
            near.setdefault(shape[:at] + shape[at + 1 :], {})[shape] = None
        near.setdefault(shape, {})[shape] = None
    return {k: tuple(v) for k, v in names.items()}, {k: tuple(v) for k, v in near.items()}


def _is_one_edit(one: str, other: str) -> bool:
    if abs(len(one) - len(other)) > 1:
        return False
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest = (one[at:], other[at:])
    return rest[0][1:] == rest[1][1:] or rest[0][1:] == rest[1] or rest[0] == rest[1][1:]


def _known(found: re.Match[str], strength: str, families: Families) -> Iterator[Presentation]:
    """The longest leading part of the captured words that is a family's name."""
    words = _clean(found[1]).split()
    for count in range(len(words), 0, -1):
        name = " ".join(words[:count]).rstrip(".,!?:;-")
        hit = _match(name, families)
        if hit:
            followed = re.match(rf"[\"'”»\]*]{{0,2}}[ _-]{{0,2}}{_KIND}\b", _rest(found, words[:count]), re.I)
            marked = _is_marked(name, found.string[found.start() : found.end() + 2])
            if families.is_plain_name(name) and not followed and not marked:
                if name[:1].isupper():
                    yield Presentation(name, _span(found[0]), found.start(), "weak", hit)
                return
            told = "double" if followed and strength == "strong" else strength
            yield Presentation(name, _span(found[0]), found.start(), told, hit)
            return


def _known_tail(found: re.Match[str], families: Families) -> Iterator[Presentation]:
    """The longest trailing part of the words before "ransomware", "team", … that is a family's name."""
    words = _clean(found[1]).split()
    for count in range(len(words), 0, -1):
        name = " ".join(words[-count:]).strip(".,!?:;-")
        hit = _match(name, families)
        if hit:
            named_so = re.search(r"ransomware|locker|decrypt|crypter|encryptor", found[0], re.I)
            if families.is_plain_name(name) and not (named_so and name[:1].isupper()):
                return
            yield Presentation(name, _span(found[0]), found.start(1), "strong" if named_so else "weak", hit)
            return


def _titles(text: str, families: Families) -> Iterator[Presentation]:
    """Lines near the beginning or the end that hold nothing but a name."""
    lines: list[tuple[int, str]] = []
    offset = 0
    for line in re.split(r"([\n\v])", text):
        if line.strip() and line not in "\n\v":
            lines.append((offset, line))
        offset += len(line)
    ends = lines if len(lines) <= 2 * _TITLE_LINES else lines[:_TITLE_LINES] + lines[-_TITLE_LINES:]
    for start, line in ends:
        if len(line.strip()) > _TITLE_LENGTH:
            continue
        bare = _DECORATION.sub("", line)
        for name in dict.fromkeys((bare, _GENERIC_TAIL.sub("", bare).strip(" -_.:"))):
            hit = _match(name, families)
            framed = re.match(r"\s*[^\w\s]{3,}", line) and re.search(r"[^\w\s]{3,}\s*$", line)
            if hit and (not families.is_plain_name(name) or name == name.upper() or framed):
                yield Presentation(name, _span(line), start, "title", hit)
                break


def _match(name: str, families: Families) -> tuple[str, ...]:
    key = key_of(name)
    if len(key) < 2 or families.is_never_a_name(key) or key.isdigit():
        return ()
    hit = families.named(name)
    if not hit and any(c.isdigit() for c in key):  # and are written with digits: L0CKB1T
        hit = families.named(key.translate(_LEET))
    if not hit and len(key) >= 7:  # names drift: DarkAngel, DarkAngels
        hit = families.named(key[:-1] if key.endswith("s") else key + "s")
    return hit


def _clean(words: str) -> str:
    bare = re.sub(r"[\"'“”«»\[\]*#=~]", " ", words).strip(" _-")
    for _ in range(3):
        shorter = _LEADING.sub("", bare)
        if shorter == bare:
            break
        bare = shorter
    return bare


def _rest(found: re.Match[str], words: list[str]) -> str:
    """What follows the name in the text."""
    place = found.string.find(words[-1], found.start(1))
    return found.string[place + len(words[-1]) : place + len(words[-1]) + 40] if place >= 0 else ""


def _is_marked(name: str, around: str) -> bool:
    """An ordinary word that is written as a name: all capitals, in quotation marks, or after "call ourselves"."""
    quoted = re.search(rf"[\"'“«\[*]{re.escape(name)}[\"'”»\]*]", around) is not None
    called = re.search(r"call(?:ed)? (?:ourselves|us)|name is|known as", around, re.I) is not None
    return quoted or (called and name[:1].isupper()) or (len(name) >= 3 and name.isupper() and not around.isupper())


def _is_name(word: str, families: Families) -> bool:
    return len(word) >= 4 and word[:1].isupper() and not families.is_never_a_name(key_of(word)) and not word.isdigit()


def _span(words: str) -> str:
    """The words as quoted in a reason: one line, at most 48 signs."""
    line = " ".join(words.split())
    return line if len(line) <= 48 else line[:47] + "…"
