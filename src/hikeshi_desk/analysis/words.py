"""Which ransomware, from words: what the asker wrote, or what a handler pasted. Read in a child like any file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from hikeshi.identify import Input
from hikeshi.knowledge.advice import advice_for
from hikeshi.model.text import Text
from hikeshi_desk.analysis import warm
from hikeshi_desk.analysis.knowledge import made_with

# Words that make a second look worth a child process; linear, because strangers write the text.
_HINTS = ("ransom", "encrypt", "decrypt", ".onion", "bitcoin", "locked file", "身代金", "ランサム", "暗号化", "復号",
          "脅迫", "拡張子", "読めなく", "開けなく")
# Names as people type them: README-X.txt, !!!READ_ME!!!.hta; and ".lockbit", "拡張子は .abcd".
_NOTE = re.compile(r"[A-Za-z0-9!#$%&'()+,\-=@\[\]^_{}~]{2,80}\.(?:txt|hta|html?|rtf)\b", re.ASCII | re.IGNORECASE)
_ENDING = re.compile(r"(?<![\w./@:])\.[A-Za-z][A-Za-z0-9_\-]{1,30}(?![\w./@:-])", re.ASCII)
_MOST_NAMES = 40
_LONGEST = 200_000
# A name alone that several families use says next to nothing.
_ENOUGH = 0.5


def worth_a_look(texts: Iterable[str]) -> bool:
    """Whether the words speak of something that identification could name."""
    return any(hint in text[:_LONGEST].casefold() for text in texts for hint in _HINTS)


def identify_words(texts: Sequence[str], label: Text) -> dict[str, Any]:
    """The answer for these texts and the file names in them, as summary.py stores it.

    `label` names their source in records. Raises HikeshiError where no child can start.
    """
    return answer_of(warm.look_once(_inputs(texts, label)))


def identify_pasted(given: str, label: Text) -> dict[str, Any]:
    """The same for what a handler pasted, at once: a whole note, or one bare name or ending."""
    text = given.strip()
    if "\n" in text or " " in text or len(text) > 100:
        return answer_of(warm.look(_inputs([text], label)))
    bare = [f"file.docx{text}"] if text.startswith(".") else [text] if "." in text else [text, f"file.docx.{text}"]
    return answer_of(warm.look([Input(label.ja, text=text), *map(Input, bare)]))


def _inputs(texts: Sequence[str], label: Text) -> list[Input]:
    inputs: list[Input] = []
    for text in texts:
        inputs.append(Input(label.ja, text=text[:_LONGEST]))
        inputs += [Input(name) for name in names_in(text)]
    return inputs


def names_in(text: str) -> list[str]:
    """File names and endings a text mentions, as names to look at; each once."""
    found = [match[0] for match in _NOTE.finditer(text[:_LONGEST])]
    found += [f"file.docx{match[0]}" for match in _ENDING.finditer(text[:_LONGEST])]
    return list(dict.fromkeys(found))[:_MOST_NAMES]


def answer_of(looked: warm.Looked) -> dict[str, Any]:
    """One answer for several looks: the surest name; where two names are sure, both are candidates.

    `addresses` are those in notes, `by` the knowledge that answered."""
    answers = [one.answer for one, _ in looked]
    notes = [one for one, _ in looked if one.is_note]
    best: dict[str, dict[str, Any]] = {}
    for answer in answers:
        for candidate in answer.candidates:
            if answer.kind == "name" and candidate.score < _ENOUGH:
                continue
            known = best.get(candidate.family)
            if known is None or known["score"] < candidate.score:
                best[candidate.family] = {
                    "family": candidate.family, "score": round(candidate.score, 3),
                    "reasons": [reason.to_dict() for reason in candidate.reasons[:4]], "records": []}
    candidates = sorted(best.values(), key=lambda one: (-float(one["score"]), str(one["family"])))[:5]
    named = [answer for answer in answers if answer.verdict == "identified" and answer.family]
    families = {answer.family for answer in named}
    if len(families) == 1:
        first = max(named, key=lambda one: one.candidates[0].score if one.candidates else 0)
        verdict, family, actors, advice = "identified", first.family, first.actors, first.advice_ids
    else:
        verdict = "candidates" if candidates else "unknown" if notes else "not_ransomware"
        family, actors = None, ()
        advice = general_advice() if verdict != "not_ransomware" else ()
    return {"verdict": verdict, "family": family, "candidates": candidates, "advice_ids": list(advice), "records": [],
            "actors": list(dict.fromkeys(actor.name for actor in actors))[:8],
            "addresses": list(dict.fromkeys(address for _, known in looked for address in known))[:_MOST_NAMES],
            "by": made_with(),
            "notes": [note.to_dict() for answer in answers if answer.kind != "file" for note in answer.notes][:3]}


def general_advice() -> tuple[str, ...]:
    """The first steps where the family is not known."""
    return tuple(advice.id for advice in advice_for(None, "ransomware"))
