"""From clues to ranked families and a verdict. Abstains by default.

Clues of one kind are not independent (three addresses of one gang say little more than one), so the
strongest of a kind counts; kinds are combined as independent evidence. Likeness of wording is one kind.
A family is named only when its score is high and no unrelated family comes near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hikeshi.identify.answer import Candidate
from hikeshi.identify.clues import Clue
from hikeshi.knowledge.families import Families

NAMED = 0.88
APART = 0.12
KIN_APART = 0.01
CANDIDATE = 0.15  # with less the answer is unknown; what comes nearest is listed all the same
WORTH_SHOWING = 0.09
SHOWN = 5
BORROWED = 0.6

# What a file name or extension alone may reach: never enough to name a family by two weak clues.
_ONE_EVIDENCE = {"vanity": "onion", "name_in_address": "self_name"}


def rank(clues: Iterable[Clue], families: Families) -> tuple[Candidate, ...]:
    """Families by score, best first, at most five, with their clues."""
    of: dict[str, list[Clue]] = {}
    for clue in clues:
        of.setdefault(clue.family, []).append(clue)
    for one in _settled(of):
        # Kits and copied notes: whoever is to be written to is the actor, the wording is only borrowed.
        for other, mine in of.items():
            if not families.are_kin(one, other):
                of[other] = [replace(c, weight=c.weight * BORROWED) if c.kind == "wording" else c for c in mine]
    candidates = []
    for one, mine in of.items():
        best: dict[str, float] = {}
        for clue in mine:
            kind = _ONE_EVIDENCE.get(clue.kind, clue.kind)
            best[kind] = max(best.get(kind, 0.0), clue.weight)
        doubt = 1.0
        for weight in best.values():
            doubt *= 1.0 - weight
        ordered = tuple(sorted(mine, key=lambda clue: (-clue.weight, clue.kind, clue.value)))
        candidates.append(Candidate(one, families.by_id[one].name, round(1.0 - doubt, 4), ordered[:8]))
    candidates.sort(key=lambda c: (-c.score, c.id))
    return tuple(c for c in candidates if c.score >= WORTH_SHOWING)[:SHOWN]


def _settled(of: Mapping[str, Sequence[Clue]]) -> list[str]:
    """Families that something else than wording points at as surely as is needed to name them."""
    return [one for one, mine in of.items() if any(c.kind != "wording" and c.weight >= NAMED for c in mine)]


def is_named(candidates: tuple[Candidate, ...], families: Families) -> bool:
    """Whether the first candidate may be named: sure enough, and apart from every other family."""
    if not candidates or candidates[0].score < NAMED:
        return False
    first = candidates[0]
    for other in candidates[1:]:
        # Kin share addresses and templates: being near each other is no contradiction, being equal is.
        apart = KIN_APART if families.are_kin(first.id, other.id) else APART
        if first.score - other.score < apart:
            return False
    return True
