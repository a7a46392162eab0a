"""Is a text worded like a known note? Clues from `knowledge.wording`, with the lines that agree.

Gangs copy notes from each other, so likeness alone settles little: a family is named by wording only when
the text is nearly one of its notes, no unrelated family has a note as near, that note is its family's own
(not a kit's, shared with others), the name that note gives is not missing from the text, and no
other kind of address is given than in that note.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hikeshi.identify.clues import Clue, source_name
from hikeshi.identify.text import NoteText
from hikeshi.knowledge.families import Families, SimilarNote
from hikeshi.knowledge.wording import RUN, Hashes, Shared, hashes, holds_name, ways_of, word_hashes
from hikeshi.model.text import Text

SURE = 0.9
LIKELY = 0.6
NEAR = 0.7  # fit from which a text is nearly a known note
NEARLY_ALL = 0.78
APART = 0.6  # what another family's note may reach, as part of the best fit
OWN = 0.55  # fit of a note with another family's from which it counts as shared
WORTH_A_WORD = 0.2
_MOST = 4
_MISREAD = RUN + 3  # so many runs a sign or two misread, lost or put in can spoil
SPEAKS_LIKE = 0.15  # the least a note's words and pairs of words say about who wrote it
_NEAREST = 3


def wording_clues(note: NoteText, families: Families, *, path: str, sha256: str) -> Iterator[Clue]:
    """One clue for each of the families whose notes come nearest, at most four; then up to three weak ones for
    families whose notes use the same words."""
    found, places = hashes(note.text)
    if len(found) < 40:  # a line or two are worded like anything
        return
    nearest: dict[str, SimilarNote] = {}
    for row in families.similar_notes(found):
        if row.fit < WORTH_A_WORD:
            break
        nearest.setdefault(row.family, row)
        if len(nearest) >= 40:
            break
    for one, row in list(nearest.items())[:_MOST]:
        # How near others come is compared as the text stands; mending would bring near what merely resembles.
        others = max((other.fit for key, other in nearest.items() if not families.are_kin(one, key)), default=0.0)
        weight = _weight(_mended(row, found, families), others / row.fit, note.text, families)
        shared = [int(place) for place in places[np.isin(found, families.hashes_of(row.number))]] or [0]
        first, last = shared[len(shared) // 20], shared[-1 - len(shared) // 20]
        begin, end = note.place_of(first), note.place_of(last)
        span = begin if begin == end else Text(f"{begin.ja}〜{end.ja}", f"{begin.en} to {end.en}")
        name, source = families.by_id[one].name, source_name(row.source)
        share = f"{round(100 * min(row.of_text, 1))}"
        yield Clue(one, "wording", weight, f"{share}%", row.source, Text(
            f"{span.ja}: 文面の{share}%が、{name}の既知の脅迫文と同じ言い回しです（出典 {source}）",
            f"{span.en}: {share}% of the wording is that of a known note of {name} (source: {source})"),
            note.record(path, sha256, first))
    yield from _alike(note, families, path=path, sha256=sha256)


def _alike(note: NoteText, families: Families, *, path: str, sha256: str) -> Iterator[Clue]:
    """Notes written anew by the same hand: other sentences, the same ways of speaking. Never more than a hint."""
    best: dict[str, SimilarNote] = {}
    for row in families.notes_of_like_words(word_hashes(note.text)):
        if row.fit < SPEAKS_LIKE or len(best) >= _NEAREST:
            break
        best.setdefault(row.family, row)
    for one, row in best.items():
        name, source = families.by_id[one].name, source_name(row.source)
        yield Clue(one, "wording", LIKELY * row.fit, f"{round(100 * row.fit)}%", row.source, Text(
            f"言葉づかいが、{name}の既知の脅迫文に近いです（出典 {source}）。弱い手がかりです",
            f"uses words like a known note of {name} (source: {source}): a weak hint"), note.record(path, sha256, 0))


def _mended(row: SimilarNote, found: Hashes, families: Families) -> SimilarNote:
    """The fit as it would be without misread signs: one spoils the few runs it is in, and those around agree.

    Where whole sentences differ, the runs that don't agree stand in long rows: nothing is mended."""
    agree = np.isin(found, families.hashes_of(row.number))
    edges = np.flatnonzero(np.diff(agree.astype(np.int8), prepend=0, append=0))
    begins, ends = edges[::2], edges[1::2]  # of the stretches that agree
    gaps = begins[1:] - ends[:-1]
    spoilt = int(gaps[gaps <= _MISREAD].sum())
    if not spoilt:
        return row
    share = (int(agree.sum()) + spoilt) / int(agree.sum())
    shared = Shared(row.number, min(1.0, row.of_text * share), min(1.0, row.of_note * share))
    return replace(row, of_text=shared.of_text, of_note=shared.of_note, fit=shared.fit)


def _weight(row: SimilarNote, others: float, text: str, families: Families) -> float:
    """`others`: the best fit of an unrelated family, as a part of this one's."""
    if others > 1:  # another family's note is nearer
        return LIKELY * row.fit / others
    if row.fit < NEAR or others > APART:
        return LIKELY * row.fit
    if _is_shared(row, families):
        return LIKELY * row.fit
    if row.named and not holds_name(text, {key for key in families.name_keys(row.family) if len(key) >= 4}):
        return LIKELY * row.fit
    ways = ways_of(text)
    if ways and row.ways and not ways & row.ways:
        return LIKELY * row.fit
    if row.ways and not ways and row.fit < NEARLY_ALL:  # the addresses are missing: cut off, blacked out, or others'
        return LIKELY * row.fit
    return SURE


def _is_shared(row: SimilarNote, families: Families) -> bool:
    """Is the known note itself nearly a note of an unrelated family?"""
    for other in families.similar_notes(families.hashes_of(row.number)):
        if other.fit <= OWN:
            return False
        if not families.are_kin(row.family, other.family):
            return True
    return False
