"""A pack on one card: who signed it, from which sources, how much it knows. The same for the built-in knowledge."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from hikeshi.errors import Location
from hikeshi.knowledge.installed import BUILT_IN, installed
from hikeshi.knowledge.pack import Pack, read_bytes
from hikeshi.knowledge.pack_build import Input, build
from hikeshi.knowledge.wording import read as read_wordings

COUNTED = ("families", "actors", "notes", "decryptors", "vectors", "advice", "facts")
_BY_PART = {"decryptors": "decryptors.jsonl", "vectors": "vectors.jsonl", "advice": "advice.jsonl"}


def is_pack() -> bool:
    return installed() is not None


def in_use_id() -> str:
    pack = installed()
    return pack.id if pack else BUILT_IN


def in_use() -> Pack:
    """The pack in use; the built-in knowledge as if it were one. Raises KnowledgeError."""
    return installed() or built_in()


@cache
def built_in() -> Pack:
    """What comes with the program, in the form of a pack; takes a third of a second, once in a process."""
    return read_bytes(build(Input(), name="Hikeshi"), "built-in")


def card_of(pack: Pack) -> dict[str, Any]:
    """id, name, serial, signer (public key in hex, or ""), sources, counts. Raises KnowledgeError."""
    families = pack.json("families.json")["families"]
    counts = {
        "families": len(families), "facts": sum(map(len, pack.json("facts.json").values())),
        "actors": len({str(actor[0]).casefold() for family in families for actor in family["actors"]}),
        "notes": len(read_wordings(io.BytesIO(pack.members["wordings.npz"]), Location(pack.path)).family),
        **{name: pack.members[member].count(b"\n") for name, member in _BY_PART.items() if member in pack.members}}
    return {"id": pack.id, "name": pack.name, "serial": pack.serial, "signer": pack.signer, "counts": counts,
            "sources": [asdict(one) for one in pack.sources]}


def card_in_use() -> Mapping[str, Any]:
    """Of the knowledge that answers now. What a pack lacks stays built in, and is counted there."""
    return _card(in_use_id())


@cache
def _card(pack: str) -> Mapping[str, Any]:
    own = card_of(built_in())
    if pack == BUILT_IN:
        return {**own, "id": BUILT_IN}
    card = card_of(in_use())
    return {**card, "counts": {**own["counts"], **card["counts"]}}
