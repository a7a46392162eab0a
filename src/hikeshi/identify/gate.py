"""Is this text a ransom note at all? Asked before any family is named.

News, advice, manuals and logs name families too. A note speaks to its victim: something is lost,
something is offered, contact or payment is demanded. Signs are data (knowledge/data/signs.toml).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from hikeshi.identify.text import NoteText
from hikeshi.knowledge.load import DATA, load_records
from hikeshi.model.text import Text

# Notes are short. Of a long text the beginning tells what it is.
_LOOKED_AT = 48 * 1024
_NOTE_SCORE = 5.0
_MAYBE_SCORE = 2.5
_CUT_SCORE = 3.5
_ABOUT = 2  # signs of standing beside a note from which an address in the text names nobody
_SURELY = 9.0  # so many signs of a note that it is one, whatever else it says
_PROGRAM = 4.0
_NOBODY = 2.5
_FEWEST_WORDS = 40
_OPENING = 2000
_ITS_NAMES = ("ransom note", "ransomware note", "脅迫文", "勒索信", "записка вымогателей", "erpresserschreiben")
_REPORTS = {"reporting", "advising", "manual", "beside"}
_STAMPED = re.compile(
    r"^\W{0,3}(?:\d\d?:\d\d\b|\d{4}[-/.]\d\d?[-/.]\d\d?|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d|"
    r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3} |\d\d:\d\d:\d\d|\d{10}[. ])",
    re.M | re.A,
)


# You and your, in the languages of the signs; and small words by which those languages are known.
_YOU = re.compile(
    r"\b(?:you|your|yours|yourself|u|ur|ihr|ihre[mnrs]?|ihnen|sie|dein\w{0,2}|euch|eure\w?|vous|votre|vos|tus|sus|"
    r"ustede?s?|você|vocês|seus?|suas?|teu|tuo|tua|tuoi|voi|vostr[aieo]|twoj?\w{0,3}|twój|wasz\w{0,3}|jouw|uw|siz\w{0,4}|"
    r"вы|вас|вам|вами|ваш\w{0,3}|ты|тебе|тво\w{1,3}|vám|vaše?\w{0,2})\b|"
    r"あなた|貴社|御社|お客様|貴方|ください|下さい|您|你|당신|귀하|귀사|bạn", re.I)
_SMALL_WORDS = re.compile(
    r"\b(?:the|and|of|to|in|is|der|die|das|und|ist|le|la|les|des|et|de|el|los|que|il|di|che|per|i|w|na|się|het|een|ve|"
    r"и|в|на|не|что|từ|và|của)\b|[のにをはが的了是在을를은는]", re.I)
_WORD = re.compile(r"[^\W\d_]{1,30}")
_CJK = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_BRACES = frozenset(("{", "}", "};", "},", "[", "]", "],", "(", ")", ");"))
_CODE = re.compile("|".join((
    r"[ \t]*[{}\[\]();]+[,;]?$",
    r".*[;{}]$",
    r"[ \t]*(?:def|import|from|class|return|if|for|while|include|const|static|var|let|use)\b.*[():;={]",
    r"[ \t]*[$\w.\"']{1,40}[ \t]{0,4}[:=][ \t]{0,4}[\"'\[{(]",
    r"[ \t]*[\"'].{0,200}[\"'],?$",
    r"[ \t]*(?:#|//|/\*|\*/|\"\"\")")))
_MARKS = (("“", "”", 15), ("„", "“”", 15), ("„", "”“", 15), ("«", "»", 15), ("「", "」", 8), ("『", "』", 8),
          ('"', '"\n', 15))
_QUOTE = re.compile("|".join(f"{begin}[^{end}]{{{least},400}}{end[0]}" for begin, end, least in _MARKS))


@dataclass(frozen=True, slots=True)
class Sign:
    id: str
    weight: float
    each: bool
    name: Text
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """`verdict` is note, maybe or other; `signs` are those for it, `against` those against it.
    `is_about`: several signs say that the text is about a note; then no address in it names a family."""

    verdict: str
    score: float
    signs: tuple[Text, ...]
    against: tuple[Text, ...]
    is_tabular: bool = False
    is_about: bool = False


@cache
def load_signs() -> tuple[Sign, ...]:
    signs = []
    for record in load_records(DATA / "signs.toml", "sign"):
        signs.append(
            Sign(
                record.string("id"),
                record.number("weight"),
                record.flag("each", False),
                record.text("name"),
                tuple(_folded(phrase).strip() for phrase in record.strings("phrases")),
            )
        )
        record.finish()
    return tuple(signs)


def judge(note: NoteText, *, addresses: Collection[str]) -> Gate:
    """The gate's answer for one text. `addresses`: the kinds of address it holds (onion, email, tox, …)."""
    if is_tabular(note.text[:_LOOKED_AT]):
        return Gate("other", 0.0, (), (Text("ログや表の形をしている", "has the shape of a log or a table"),), True)
    text = _without_quotes(re.sub(r"[ \t]{2,}", "  ", note.text)[:_LOOKED_AT])
    folded = f" {_folded(text)} "
    score = 0.0
    beside = 0
    ids: set[str] = set()
    found: list[Text] = []
    against: list[Text] = []
    for sign in load_signs():
        hits = sum(1 for phrase in sign.phrases if _holds(folded, phrase))
        if not hits:
            continue
        score += sign.weight * (min(hits, 4) if sign.each else 1)
        (found if sign.weight > 0 else against).append(sign.name)
        beside += hits if sign.id == "beside" else 0
        ids.add(sign.id)
    if any(_holds(folded, name) for name in _ITS_NAMES):
        beside += 1  # notes hardly ever call themselves so
    if not speaks_to_reader(text):
        score -= _NOBODY
        beside += _ABOUT
        against.append(Text("読み手に話しかけていない", "speaks to nobody, as reports do"))
    if is_program(text):
        score -= _PROGRAM
        against.append(Text("プログラムや規則の形をしている", "has the shape of a program or a rule"))
    if addresses:
        score += 1.0
        found.append(Text("連絡先が書かれている", "gives an address to write to"))
        ids.add("contact")
    # A long text must say proportionally more: somewhere in 40 KB of anything stands "contact us".
    score -= max(0.0, (len(folded) - 8_000) / 8_000)
    verdict = _verdict(score, ids, addresses)
    is_about = beside >= _ABOUT and score < _SURELY
    return Gate("maybe" if is_about and verdict == "note" else verdict, round(score, 2), tuple(found), tuple(against),
                is_about=is_about)


def _verdict(score: float, ids: set[str], addresses: Collection[str]) -> str:
    """A note tells of a loss or offers a cure, says how to reach the writer, and presses. Terse notes
    of a name and hidden-service addresses only may be one."""
    hidden = bool({"onion", "tox", "session"} & set(addresses))
    harm = bool({"loss", "offer"} & ids)
    presses = hidden or bool({"demand", "threat", "warning", "proof"} & ids)
    if harm and "contact" in ids and presses and score >= _NOTE_SCORE:
        return "note"
    if score >= _MAYBE_SCORE and "contact" in ids and (harm or hidden):
        return "maybe"
    if "loss" in ids and "addressee" in ids and score >= _MAYBE_SCORE:
        return "maybe"
    # Cut off before its contact, or with the contact misread: the writer still speaks as who did it, and presses.
    presses = bool({"demand", "threat", "warning"} & ids)
    return "maybe" if harm and presses and "we" in ids and score >= _CUT_SCORE and not _REPORTS & ids else "other"


def _without_quotes(text: str) -> str:
    """The writer's own words: whole sentences in quotation marks are somebody else's, or the strings of a program.
    A text that is mostly quotes stays."""
    own = _QUOTE.sub(" ", text)
    return own if sum(map(str.isalnum, own)) >= 0.5 * sum(map(str.isalnum, text)) else text


def _folded(text: str) -> str:
    return re.sub(r"[^\w]+|_+", " ", text.casefold())


def _holds(folded: str, phrase: str) -> bool:
    if not phrase.isascii():
        return phrase in folded
    # From the start of a word; stems ("decrypt") also match their longer forms, short words only themselves.
    return (f" {phrase}" if len(phrase) > 4 else f" {phrase} ") in folded


def speaks_to_reader(text: str) -> bool:
    """Of a hundred words at least one is "you" or "your". Short texts, and languages we have no words of, pass."""
    text = text[:_OPENING]  # keys and lists of files may follow
    signs = len(_CJK.findall(text))
    words = signs // 3 + sum(1 for word in _WORD.finditer(text) if not _CJK.match(word[0]))
    if words < _FEWEST_WORDS or len(_SMALL_WORDS.findall(text)) < words * 0.03:
        return True
    return len(_YOU.findall(text)) >= words * 0.01


def is_program(text: str) -> bool:
    """Most lines are statements, braces, comments or assignments of strings."""
    lines = [line for line in text.splitlines()[:400] if any(map(str.isalpha, line)) or line.strip() in _BRACES]
    return len(lines) >= 5 and sum(_CODE.match(line[:300]) is not None for line in lines) > len(lines) * 0.6


def is_tabular(text: str) -> bool:
    """Most lines begin with a time or address, or have the same number of fields: a log or a table."""
    # Pictures made of signs have columns too; a table's fields hold words or numbers.
    lines = [line for line in text.splitlines() if sum(c.isalnum() for c in line) > len(line.strip()) * 0.4]
    if len(lines) < 5:
        return False
    if len(_STAMPED.findall(text)) > len(lines) * 0.4:
        return True
    for separator in ",;\t|":
        # A table has the same number of fields in every line; sentences with commas don't.
        fields, count = Counter(line.strip(" |").count(separator) for line in lines).most_common(1)[0]
        if fields >= (3 if separator == "," else 2) and count > len(lines) * 0.7:
            return True
    return False
