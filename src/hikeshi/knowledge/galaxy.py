"""Ransomware families as the MISP galaxy lists them, reduced to what can be matched.

Source: package pymispgalaxies, clusters ransomware and threat-actor (see data/SOURCES.toml). The
package's own classes take seconds to load; the JSON files are read directly instead.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from hikeshi.errors import KnowledgeError, Location
from hikeshi.knowledge.addresses import EMAIL, find_addresses
from hikeshi.knowledge.coins import find_coins

SOURCE = "misp-galaxy"

_MISSPELT = r"ransomware|ransonware|ransomeware|ransmware|ransomsware|ramsomware|ransomwar|ramenware"
_REMARK = re.compile(r"\((?:fake|not an official name)[^)]*\)", re.I)
_NOISE = re.compile(rf"\b(?:{_MISSPELT})\b|^of \b", re.I)
_EITHER = re.compile(r"\s+(?:or|and|aka|&|и)\s+|\s*/\s*|,\s*|\s+-\s+", re.I)
_VERSION = re.compile(r"[\s._-]*v?\.?\d+(?:\.[0-9a-z]+)*\+?$", re.I)

# What the list writes where a name had a variable part: <random 3 char>, [victim_id], %random%, {RAND}, *id*.
_VARIABLE = re.compile(
    r"<[^<>]{1,60}>|\[[^\[\]]{1,40}\](?:\{[^{}]{1,8}\})?|%[^%]{1,20}%|\{[^{}]{1,20}\}|\*[a-z0-9]{0,12}\*|\*", re.I
)
_REMARK_IN_NAME = re.compile(r"\s*(?:,|\|)?\s*\be\.g\..*$|\s+\|.*$", re.I)
_EXTENSION = re.compile(r"\.[^\s./\\<>\[\](){}*%:;,@|\"']{1,40}", re.U)


def clusters_folder() -> Path:
    """Where the installed package keeps its cluster files. Raises KnowledgeError when it isn't there."""
    spec = importlib.util.find_spec("pymispgalaxies")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "data" / "misp-galaxy" / "clusters"
        if folder.is_dir():
            return folder
    raise KnowledgeError(
        "the package pymispgalaxies is not installed, or without its data",
        hint="install hikeshi again with its requirements",
    )


def read_cluster(name: str) -> list[dict[str, Any]]:
    """The entries of one cluster file of the installed package."""
    path = clusters_folder() / f"{name}.json"
    try:
        values = orjson.loads(path.read_bytes())["values"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KnowledgeError(
            "the galaxy cluster can't be read", source=Location(str(path)), hint="install pymispgalaxies again"
        ) from error
    return [entry for entry in values if isinstance(entry, dict) and isinstance(entry.get("value"), str)]


def key_of(name: str) -> str:
    """A family's name as compared: without the word ransomware, lower case, letters and digits of any script."""
    bare = _NOISE.sub(" ", _REMARK.sub(" ", name))
    return "".join(c for c in bare.casefold() if c.isalnum()) or "".join(c for c in name.casefold() if c.isalnum())


def without_version(name: str) -> str:
    """The name without a version at its end ("Globe v1" is "Globe"); unchanged where nothing would be left."""
    bare = _VERSION.sub("", name.strip())
    return bare if len(key_of(bare)) >= 3 else name


def display_name(name: str) -> str:
    """The name without "Ransomware" and remarks, as a reader wants it."""
    return re.sub(r"\s+", " ", _NOISE.sub(" ", _REMARK.sub(" ", name))).strip(" \"'>") or name.strip()


def names_in(value: str) -> tuple[str, ...]:
    """The names one entry's title holds: "LoveLock or Love2Lock" are two."""
    inside = re.findall(r"\(([^()]{3,40})\)", _REMARK.sub(" ", value))
    outside = re.sub(r"\([^()]*\)", " ", value)
    parts = [part for text in (outside, *inside) for part in _EITHER.split(text)]
    return tuple(
        dict.fromkeys(name for part in (outside, *parts) if (name := display_name(part)) and len(key_of(name)) >= 2)
    )


ACTOR_CLUSTERS = ("threat-actor", "microsoft-activity-group")
Clusters = Callable[[str], list[dict[str, Any]]]


def families(cluster: Clusters = read_cluster) -> list[dict[str, Any]]:
    """One dict an entry: value, uuid, names, synonyms, extensions, note_names, addresses, related.

    `addresses` are [kind, value] pairs from links, notes and descriptions; `related` are
    [relation, name] pairs with threat actors. Nothing is merged here.
    """
    actors = {entry.get("uuid"): entry for name in ACTOR_CLUSTERS for entry in cluster(name)}
    used_by: dict[str, list[tuple[str, str]]] = {}
    for entry in actors.values():
        for relation in entry.get("related", []):
            used_by.setdefault(relation.get("dest-uuid", ""), []).append(
                (relation.get("type", "related-to"), entry["value"])
            )
    return [_family(entry, actors, used_by) for entry in cluster("ransomware")]


def quoted_notes() -> list[tuple[str, str]]:
    """Entry and text of every note that the list quotes."""
    return [(entry["value"].strip(), text) for entry in read_cluster("ransomware")
            for text in _strings(entry.get("meta") or {}, "ransomnotes", "ransomenotes")]


def _family(
    entry: dict[str, Any], actors: dict[Any, dict[str, Any]], used_by: dict[str, list[tuple[str, str]]]
) -> dict[str, Any]:
    meta = entry.get("meta") or {}
    related = list(used_by.get(entry.get("uuid", ""), []))
    related += [
        (relation.get("type", "related-to"), actors[relation["dest-uuid"]]["value"])
        for relation in entry.get("related", [])
        if relation.get("dest-uuid") in actors
    ]
    return {
        "value": entry["value"].strip(),
        "names": names_in(entry["value"]),
        "synonyms": [name for text in _strings(meta, "synonyms") if (name := display_name(text))],
        "extensions": sorted({e for text in _strings(meta, "extensions", "extension") if (e := extension_in(text))}),
        "note_names": sorted(
            {
                n
                for text in _strings(meta, "ransomnotes-filenames", "ransomnotes-filesnames")
                if (n := note_name_pattern(text))
            }
        ),
        "addresses": sorted(_addresses(entry, meta)),
        "related": sorted(set(related)),
    }


def _strings(meta: dict[str, Any], *keys: str) -> list[str]:
    found: list[str] = []
    for key in keys:
        value = meta.get(key)
        found += [value] if isinstance(value, str) else [v for v in value or [] if isinstance(v, str)]
    return found


def _addresses(entry: dict[str, Any], meta: dict[str, Any]) -> set[tuple[str, str]]:
    told = [str(entry.get("description") or ""), *_strings(meta, "ransomnotes", "ransomenotes")]
    found = {(a.kind, a.value) for text in told for a in (*find_addresses(text), *find_coins(text))}
    for text in _strings(meta, "extensions", "extension", "ransomnotes-filenames"):
        for piece in re.split(r"[\[\]{}()<>,;!$\s]+|_or_|__+", text):
            bare = re.sub(r"^.*?(?:id-?_|email[-_]|contact_me_|^[._-]+)", "", piece).strip("._-")
            found |= {("email", m[1].lower()) for m in EMAIL.finditer(bare)}
    for link in _strings(meta, "links"):
        found |= {(a.kind, a.value) for a in find_addresses(link)}
        host = host_of(link)
        if host and not host.endswith(".onion"):
            found.add(("site", host))
    return found


def host_of(link: str) -> str | None:
    """The host of a link, lower case, or None where the list wrote something else."""
    try:
        host = urlsplit(link.strip() if "//" in link else f"//{link.strip()}").hostname
    except ValueError:
        return None
    if not host or not re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", host):
        return None
    return host.removeprefix("www.")


def extension_in(text: str) -> str | None:
    """The fixed extension a list entry states, lower case with its dot, or None ("random", "AES-256")."""
    text = text.strip()
    if _EXTENSION.fullmatch(text):
        return text.lower()
    # ".id-BCBEF350.[mail].cmb" and ".[random].bit": the last part is the fixed one.
    tail = re.search(r"[\]})>](\.[A-Za-z0-9_-]{2,40})$", text)
    return tail[1].lower() if tail else None


def note_name_pattern(text: str) -> str | None:
    """The note's file name, lower case, each variable part as "*"; None without six fixed letters."""
    bare = _REMARK_IN_NAME.sub("", text.strip()).strip("\"' ").rstrip(".")
    name = re.split(r"[\\/](?![^<]*>)", bare)[-1]
    name = re.sub(r"\*+", "*", _VARIABLE.sub("*", name)).lower()
    stem = name.rsplit(".", 1)[0]
    return name if sum(c.isalnum() for c in stem) >= (6 if "*" in name else 2) else None
