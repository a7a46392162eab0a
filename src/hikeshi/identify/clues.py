"""Everything in a text or a file name that points at a family, each with its weight and its reason.

A clue's weight is how sure it alone makes us (0 to 1): addresses nearly settle it, a note's file name
or an extension rarely does. Names count only where the text presents itself by them ("we are …",
"… ransomware", a title), never where they merely occur. Weights were set by judgement, not fitted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hikeshi.identify import fuzzy
from hikeshi.identify.selfname import Presentation, damaged_presentations, presentations
from hikeshi.identify.text import NoteText
from hikeshi.indicators.refang import refang
from hikeshi.knowledge.addresses import Address, find_addresses
from hikeshi.knowledge.coins import find_coins
from hikeshi.knowledge.families import Fact, Families
from hikeshi.knowledge.galaxy import key_of
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text, defang

LEAK_SITE, LEAK_SITE_PLAIN = 0.7, 0.3
EXACT = {"coin": 0.92, "onion": 0.97, "email": 0.95, "tox": 0.95, "session": 0.95, "telegram": 0.92, "site": 0.92}
FUZZY = {"onion": 0.96, "email": 0.85}
VANITY = 0.85
NAME_IN_ADDRESS = 0.6
SELF_NAME = {"double": 0.95, "strong": 0.93, "title": 0.9, "weak": 0.75}
PLAIN_SELF_NAME = {"double": 0.92, "strong": 0.8, "title": 0.6, "weak": 0.3}
SELF_NAME_REPEATED = 0.9
DAMAGED_SELF_NAME = 0.4  # never enough: names that differ in one sign are often two families'
STATED = 0.6
NOTE_NAME, NOTE_NAME_OWN, NOTE_NAME_WEAK = 0.6, 0.9, 0.08
EXTENSION, EXTENSION_OWN, EXTENSION_PLAIN, EXTENSION_WEAK = 0.6, 0.9, 0.6, 0.1

_KIND_NAME = {
    "onion": Text("onionアドレス", "the onion address"),
    "email": Text("メールアドレス", "the e-mail address"),
    "tox": Text("Tox ID", "the Tox ID"),
    "session": Text("Session ID", "the Session ID"),
    "telegram": Text("Telegramの名前", "the Telegram name"),
    "site": Text("サイト", "the site"),
    "coin": Text("暗号資産のアドレス", "the coin address"),
}
_SOURCE_NAME = {
    "misp-galaxy": "MISP galaxy",
    "attack": "MITRE ATT&CK",
    "threatlabz-notes": "ThreatLabz ransomware_notes",
    "misp-galaxy-notes": "MISP galaxy",
    "f6-notes": "F6 DFIR",
    "hikeshi": "Hikeshi",
}
_SITE = re.compile(r"(?:https?://|www\.)((?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,24})(?![a-z0-9.-]*\.onion)", re.I | re.A)
_STATED_EXTENSION = re.compile(
    r"(?:extension|расширени\w{1,3}|拡張子)\W{0,12}(?:(?:is|of|to|was)\W{1,3})?(\.[a-z0-9_-]{2,20})\b", re.I
)


@dataclass(frozen=True, slots=True)
class Clue:
    """One thing that points at one family. `kind` groups clues that are not independent of each other;
    `value` is the matched span; `record` is where it stands."""

    family: str
    kind: str
    weight: float
    value: str
    source: str
    reason: Text
    record: RecordRef | None = None


def source_name(source: str) -> str:
    return _SOURCE_NAME.get(source, source)


def clues_in_text(note: NoteText, families: Families, *, path: str, sha256: str) -> Iterator[Clue]:
    """Clues of addresses, self-presentation and stated extensions, with the line of each."""

    def record(offset: int) -> RecordRef:
        return note.record(path, sha256, offset)

    addresses = list(find_addresses(note.text))
    for address in (*addresses, *_sites(note.text, families), *find_coins(note.text)):
        yield from _address_clues(address, families, record(address.start), note.place_of(address.start))
    for address, known, share in fuzzy.damaged_addresses(note.text, addresses, families):
        facts = families.facts(address.kind, known)
        for fact in facts:
            place = note.place_of(address.start)
            what = _KIND_NAME[address.kind]
            others = {f.family for f in facts if not families.are_kin(fact.family, f.family)}
            yield Clue(
                fact.family,
                address.kind,
                FUZZY[address.kind] * share / (1 + len(others)),
                known,
                fact.source,
                _told(
                    fact,
                    families,
                    place,
                    Text(
                        f"{what.ja}「{_shown(address.value)}」が、既知の「{_shown(known)}」とほぼ同じです",
                        f"{what.en} “{_shown(address.value)}” is nearly the known “{_shown(known)}”",
                    ),
                ),
                record(address.start),
            )
    shown_names = list(presentations(note.text, families))
    for shown in shown_names:
        # An ordinary word in one such form may be chance; in two different forms it is a name.
        forms = {other.strength for other in shown_names if other.families == shown.families}
        yield from _presentation_clues(
            shown, families, record(shown.start), note.place_of(shown.start), repeated=len(forms) > 1
        )
    if not shown_names:
        for shown in damaged_presentations(note.text, families):
            for one in shown.families:
                yield Clue(one, "self_name", DAMAGED_SELF_NAME, shown.name, "misp-galaxy", Text(
                    f"{note.place_of(shown.start).ja}で「{shown.name}」と名乗っています。"
                    f"{families.by_id[one].name}の1文字違いです（「{shown.span}」）",
                    f"calls itself “{shown.name}” in {note.place_of(shown.start).en}, one sign away from "
                    f"{families.by_id[one].name} (“{shown.span}”)"), record(shown.start))
    for found in _STATED_EXTENSION.finditer(note.text):
        for clue in extension_clues(found[1].lower(), families, record(found.start(1))):
            # Told in a text, not seen on a file.
            yield replace(clue, weight=clue.weight * STATED)


def note_name_clues(name: str, families: Families, record: RecordRef | None) -> Iterator[Clue]:
    """Clues of a file name that notes carry ("akira_readme.txt")."""
    facts = families.note_name(name)
    weak = families.is_weak_note_name(name)
    shown = _short(name)
    seen = set()
    for fact in facts:
        if fact.family in seen:
            continue
        seen.add(fact.family)
        own = _holds_name(name, fact.family, families)
        weight = NOTE_NAME_WEAK if weak else NOTE_NAME_OWN if own else NOTE_NAME / len({f.family for f in facts})
        yield Clue(
            fact.family,
            "note_name",
            weight,
            name,
            fact.source,
            _told(
                fact,
                families,
                None,
                Text(
                    f"ファイル名「{shown}」は、このファミリの脅迫文の名前です",
                    f"the file name “{shown}” is one its notes carry",
                ),
            ),
            record,
        )
    for one, word in _names_in_words(re.split(r"[^a-z0-9]+", name.lower()), families):
        if one not in seen:
            yield Clue(
                one,
                "note_name",
                0.8,
                name,
                "hikeshi",
                Text(
                    f"ファイル名「{shown}」に名前「{word}」が入っています",
                    f"the file name “{shown}” holds the name “{word}”",
                ),
                record,
            )


def extension_clues(extension: str, families: Families, record: RecordRef | None, *, files: int = 1) -> Iterator[Clue]:
    """Clues of the extension added to encrypted files (lower case, with its dot)."""
    facts = families.facts("extension", extension)
    ids = {fact.family for fact in facts}
    seen = set()
    for fact in facts:
        if fact.family in seen:
            continue
        seen.add(fact.family)
        own = key_of(extension) in {key_of(name) for name in families.by_id[fact.family].names}
        if families.is_weak_extension(extension):
            weight = EXTENSION_WEAK
        elif own:
            weight = EXTENSION_PLAIN if families.is_plain_name(extension) else EXTENSION_OWN
        else:
            weight = EXTENSION / len(ids)
        yield Clue(
            fact.family,
            "extension",
            weight,
            extension,
            fact.source,
            _told(fact, families, None, _extension_reason(extension, files)),
            record,
        )
    named = families.named(extension[1:]) if not families.is_weak_extension(extension) else ()
    for one in named:
        if one not in seen:
            weight = 0.4 if families.is_plain_name(extension[1:]) else 0.85
            yield Clue(one, "extension", weight, extension, "hikeshi", _extension_reason(extension, files), record)


def marker_clue(family: str, marker: str, record: RecordRef | None) -> Clue:
    """A fixed byte sequence that a family writes into the files it encrypts."""
    return Clue(
        family,
        "marker",
        0.9,
        marker,
        "hikeshi",
        Text(
            f"暗号化ファイルの中の目印「{marker}」が、このファミリのものです",
            f"the marker “{marker}” inside the encrypted file is this family's",
        ),
        record,
    )


def address_clues(addresses: Iterable[Address], families: Families, record: RecordRef | None) -> Iterator[Clue]:
    """Clues of addresses found elsewhere than in a text, as in a file name."""
    for address in addresses:
        yield from _address_clues(address, families, record, None)


def contact_clues(contact: str, families: Families) -> Iterator[Clue]:
    """Clues of an address of any kind, as somebody typed it."""
    text = refang(contact.strip()).text
    bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", text.lower()).split("/")[0]
    found = [*find_addresses(text), *find_coins(text), *_sites(text, families)]
    if not found and families.facts("site", bare):
        found.append(Address("site", bare, 0, len(bare)))
    if not found and text.startswith("@"):
        found.append(Address("telegram", text[1:].lower(), 0, len(text)))
    yield from address_clues(found, families, None)


def leak_site_clues(name: str, families: Families) -> Iterator[Clue]:
    """Clues of the name under which a leak site was seen: others use names too, so it never suffices alone."""
    bare = re.sub(r"(?i)[\s_-]+(?:blog|leaks?|leak site|data leak|news|wall of shame)$", "", name.strip())
    families_named = families.named(bare)
    weight = LEAK_SITE_PLAIN if families.is_plain_name(bare) else LEAK_SITE
    for one in families_named:
        yield Clue(one, "leak_site", weight / len(families_named), name, "misp-galaxy", Text(
            f"リークサイトの名前「{shown_value(name)}」が、このファミリの名前です",
            f"the leak site's name “{shown_value(name)}” is this family's"))


def _address_clues(
    address: Address, families: Families, record: RecordRef | None, place: Text | None
) -> Iterator[Clue]:
    what = _KIND_NAME[address.kind]
    facts = families.facts(address.kind, address.value)
    seen = set()
    for fact in facts:
        if fact.family in seen:
            continue
        seen.add(fact.family)
        others = {f.family for f in facts if not families.are_kin(fact.family, f.family)}
        yield Clue(
            fact.family,
            address.kind,
            EXACT[address.kind] / (1 + len(others)),
            address.value,
            fact.source,
            _told(
                fact,
                families,
                place,
                Text(
                    f"{what.ja}「{_shown(address.value)}」が、このファミリのものとして知られています",
                    f"{what.en} “{_shown(address.value)}” is known as this family's",
                ),
            ),
            record,
        )
    if facts:
        return
    if address.kind == "onion":
        for one, name in _vanity(address.value, families):
            yield Clue(
                one,
                "vanity",
                VANITY,
                address.value,
                "hikeshi",
                Text(
                    f"onionアドレス「{_shown(address.value)}」が名前「{name}」で始まります",
                    f"the onion address “{_shown(address.value)}” begins with the name “{name}”",
                ),
                record,
            )
    elif address.kind in ("email", "telegram", "site"):
        words = (
            re.split(r"[^a-z0-9]+", address.value)[:-1]
            if address.kind != "telegram"
            else re.split(r"[^a-z0-9]+", address.value)
        )
        for one, name in _names_in_words(words, families):
            yield Clue(
                one,
                "name_in_address",
                NAME_IN_ADDRESS,
                address.value,
                "hikeshi",
                Text(
                    f"{what.ja}「{_shown(address.value)}」に名前「{name}」が入っています",
                    f"{what.en} “{_shown(address.value)}” holds the name “{name}”",
                ),
                record,
            )


def _presentation_clues(
    shown: Presentation, families: Families, record: RecordRef, place: Text, *, repeated: bool
) -> Iterator[Clue]:
    weight = (PLAIN_SELF_NAME if families.is_plain_name(shown.name) else SELF_NAME)[shown.strength]
    if repeated:
        weight = max(weight, SELF_NAME_REPEATED)
    for one in shown.families:
        yield Clue(
            one,
            "self_name",
            weight / len(shown.families),
            shown.name,
            "misp-galaxy",
            Text(
                f"{place.ja}で自ら「{shown.name}」と名乗っています（「{shown.span}」）",
                f"calls itself “{shown.name}” in {place.en} (“{shown.span}”)",
            ),
            record,
        )


def _told(fact: Fact, families: Families, place: Text | None, what: Text) -> Text:
    name, source = families.by_id[fact.family].name, source_name(fact.source)
    at = Text(f"{place.ja}: ", f"{place.en}: ") if place else Text("", "")
    return Text(f"{at.ja}{what.ja}（{name}、出典 {source}）", f"{at.en}{what.en} ({name}; source: {source})")


def _extension_reason(extension: str, files: int) -> Text:
    if files > 1:
        return Text(
            f"{files:,}個のファイルに拡張子「{extension}」が付いています",
            f"{files:,} files carry the extension “{extension}”",
        )
    return Text(f"拡張子「{extension}」が付いています", f"the extension “{extension}” was added")


def _sites(text: str, families: Families) -> Iterator[Address]:
    for found in _SITE.finditer(text):
        host = found[1].lower().removeprefix("www.")
        if not families.is_public_site(host) and not host.endswith(".onion"):
            yield Address("site", host, found.start(1), found.end(1))


def _vanity(onion: str, families: Families) -> Iterator[tuple[str, str]]:
    """Families whose name the address begins with; the longest name only."""
    for length in range(12, 4, -1):
        ids = families.named(onion[:length])
        if ids:
            for one in ids:
                yield one, onion[:length]
            return


def _names_in_words(words: Iterable[str], families: Families) -> Iterator[tuple[str, str]]:
    for word in dict.fromkeys(words):
        if len(word) >= 5 and not families.is_plain_name(word):
            for one in families.named(word):
                yield one, word


def _holds_name(text: str, one: str, families: Families) -> bool:
    key = key_of(text)
    return any(len(own) >= 5 and own in key for own in map(key_of, families.by_id[one].names))


def _shown(address: str) -> str:
    """An address as people see it: nobody opens it by a slip."""
    return defang(_short(address))


def shown_value(value: str) -> str:
    """What somebody typed or a file is called, fit for a reason."""
    return _short(value)


def _short(value: str, keep: int = 64) -> str:
    """At most `keep` signs, and nothing that moves the cursor: these words reach terminals and pages."""
    clean = "".join(c for c in value if unicodedata.category(c)[0] != "C")
    return clean if len(clean) <= keep else clean[: keep - 1] + "…"
