"""A checkout of the MISP galaxy: newer clusters than the installed package's, sifted before our reader sees them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from hikeshi.errors import InputError, Location
from hikeshi.knowledge import galaxy
from hikeshi.knowledge.importers.folder import Imported, Origin, describe, read_bytes

_MOST = 100_000
_LONGEST = {"extensions": 200, "extension": 200, "ransomnotes-filenames": 300, "ransomnotes-filesnames": 300}
_LONGEST_TEXT = 100_000


@dataclass(slots=True)
class Checkout:
    """`clusters` are the sifted entries by cluster; `imported` says where they are from and what was left out."""

    imported: Imported
    clusters: dict[str, list[dict[str, Any]]]

    def families(self) -> list[dict[str, Any]]:
        return galaxy.families(lambda name: self.clusters[name])


def read_galaxy(origin: Origin) -> Checkout:
    """Clusters ransomware and threat-actor of the folder or of its `clusters`. Raises InputError."""
    folder = origin.path / "clusters" if (origin.path / "clusters").is_dir() else origin.path
    found = Checkout(Imported(describe(origin, galaxy.SOURCE, "MISP galaxy", content="")), {})
    total = hashlib.sha256()
    for name in ("ransomware", *galaxy.ACTOR_CLUSTERS):
        path = folder / f"{name}.json"
        if name != "ransomware" and not path.is_file():
            found.clusters[name] = []
            continue
        raw = read_bytes(path)
        total.update(hashlib.sha256(raw).digest())
        try:
            entries = orjson.loads(raw)["values"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError("this is no cluster of the MISP galaxy", source=Location(str(path))) from error
        if not isinstance(entries, list) or len(entries) > _MOST:
            raise InputError("the cluster holds no list, or far too many entries", source=Location(str(path)))
        found.clusters[name] = [sound for number, entry in enumerate(entries, 1)
                                if (sound := _sifted(entry, f"{name}.json entry {number}", found.imported))]
    if not found.clusters["ransomware"]:
        raise InputError("the cluster names no family", source=Location(str(folder)))
    found.imported.source = describe(origin, galaxy.SOURCE, "MISP galaxy", content=total.hexdigest())
    return found


def _sifted(entry: Any, place: str, found: Imported) -> dict[str, Any] | None:
    """The fields we read, of the types and lengths they should have; None without a usable name."""
    value = entry.get("value") if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value.strip() or len(value) > 300 or not galaxy.key_of(value):
        found.reject(place, "no name, or one far too long")
        return None
    meta = entry.get("meta")
    if meta is not None and not isinstance(meta, dict):
        found.reject(place, "its meta is no object: left out")
        meta = None
    kept: dict[str, list[str]] = {}
    for key, held in (meta or {}).items():
        texts = [held] if isinstance(held, str) else held if isinstance(held, list) else []
        most = _LONGEST.get(key, 2000 if key in ("links", "synonyms") else _LONGEST_TEXT)
        kept[key] = [text for text in texts if isinstance(text, str) and len(text) <= most]
        if len(kept[key]) < len(texts):
            found.reject(place, f"{key[:40]}: values of the wrong kind or length left out")
    related = entry.get("related")
    return {
        "value": value, "uuid": entry["uuid"] if isinstance(entry.get("uuid"), str) else "", "meta": kept,
        "description": str(entry.get("description") or "")[:_LONGEST_TEXT],
        "related": [{"dest-uuid": one["dest-uuid"], "type": str(one.get("type") or "related-to")[:80]}
                    for one in (related if isinstance(related, list) else [])
                    if isinstance(one, dict) and isinstance(one.get("dest-uuid"), str)],
    }
