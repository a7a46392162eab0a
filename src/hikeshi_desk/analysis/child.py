"""What the sandbox runs: one look at words and names, and the check of a pack that came from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hikeshi.errors import KnowledgeError
from hikeshi.identify import Examined, Input
from hikeshi.identify.engine import examine_input
from hikeshi.knowledge.addresses import find_addresses
from hikeshi.knowledge.admit import check
from hikeshi.knowledge.families import Families
from hikeshi.knowledge.keys import key_id
from hikeshi.knowledge.pack import Pack, read_bytes, read_file
from hikeshi.knowledge.pack_diff import diff
from hikeshi_desk.analysis import cards

_MOST_ADDRESSES = 40
SHOWN = 30  # values of one kind of change that the page lists


def look(families: Families, inputs: Sequence[Input]) -> list[tuple[Examined, list[str]]]:
    """One answer for each input, in order, with the addresses that stand in a note ("email:a@example.org")."""
    looked = []
    for one in inputs:
        found = examine_input(one, families)
        known = {f"{a.kind}:{a.value}": None for a in find_addresses(one.text)} if one.text and found.is_note else {}
        looked.append((found, list(known)[:_MOST_ADDRESSES]))
    return looked


@dataclass(frozen=True)
class Base:
    """The knowledge in use, against which a pack is compared; `trusted` are public keys in hex."""

    pack: Pack
    id: str
    serial: int
    trusted: frozenset[str]


def set_up_check(trusted: Sequence[str]) -> Base:
    """The context of `check_pack`, loaded before the child is locked in."""
    pack = cards.in_use()
    cards.card_of(pack)  # imports what it needs
    return Base(pack, cards.in_use_id(), pack.serial if cards.is_pack() else 0, frozenset(trusted))


def check_pack(base: Base, path: str) -> dict[str, Any]:
    """May it be used, and what would it change? `code` is "" or why not (texts/knowledge.toml, refused.*)."""
    raw = read_file(Path(path))
    try:
        pack = read_bytes(raw, "pack")
    except KnowledgeError as error:
        return _refused("format" if "has format" in error.what else "damaged", error.what)
    if not pack.signer:
        return _refused("unsigned", "")
    if pack.signer not in base.trusted:
        return _refused("unknown", key_id(pack.signer))
    if pack.id == base.id:
        return _refused("same", "")
    if pack.serial <= base.serial:
        return _refused("older", f"{pack.serial} ≤ {base.serial}")
    try:
        pack = check(raw, "pack")
        changes: dict[str, dict[str, Any]] = {}
        for one in diff(base.pack, pack):
            kind = changes.setdefault(one.kind, {
                "kind": one.kind, "added": 0, "removed": 0, "changed": 0, "values": []})
            kind[one.what] += 1
            if len(kind["values"]) < SHOWN:
                kind["values"].append([one.what, one.value[:200]])
        card = cards.card_of(pack)
    except KnowledgeError as error:
        return _refused("unusable", str(error)[:500])
    return {"code": "", "base": base.id, "card": card, "changes": list(changes.values())}


def _refused(code: str, detail: str) -> dict[str, Any]:
    return {"code": code, "detail": detail}
