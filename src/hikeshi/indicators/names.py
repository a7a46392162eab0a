"""Tell a domain name from what only looks like one.

Top-level domains are IANA's, as the MISP warning list "tlds" of the installed package holds them;
reserved names (RFC 2606, RFC 6761) and names outside the public DNS that attackers use are added.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
import tomllib
from functools import lru_cache
from pathlib import Path

import orjson

from hikeshi.errors import KnowledgeError, Location

RESERVED = frozenset({"example", "test", "invalid", "localhost"})
OUTSIDE_DNS = frozenset({"onion", "i2p", "bit", "bazar", "lib", "coin", "emc"})
INTERNAL = frozenset({"local", "lan", "internal", "corp", "home", "intranet", "localdomain"})



def _words() -> dict[str, frozenset[str]]:
    text = (Path(__file__).parent / "data" / "names.toml").read_text(encoding="utf-8")
    return {name: frozenset(words.split()) for name, words in tomllib.loads(text).items()}


WORDS = _words()
FILE_ENDINGS = WORDS["file_endings"]
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")


@lru_cache(maxsize=1)
def package_lists() -> Path:
    """The folder of the installed MISP warning lists, found without importing the package."""
    spec = importlib.util.find_spec("pymispwarninglists")
    if spec is None or not spec.origin:
        raise KnowledgeError("the package pymispwarninglists is missing", hint="install requirements.txt again")
    return Path(spec.origin).parent / "data" / "misp-warninglists" / "lists"


@lru_cache(maxsize=1)
def top_level_domains() -> frozenset[str]:
    """IANA's list plus reserved and alternative names, lower case, IDNA form."""
    path = package_lists() / "tlds" / "list.json"
    try:
        listed = orjson.loads(path.read_bytes())["list"]
    except (OSError, KeyError, orjson.JSONDecodeError) as error:
        raise KnowledgeError("the list of top-level domains can't be read", source=Location(path.name),
                             hint="install requirements.txt again") from error
    return frozenset(str(t).lower() for t in listed) | RESERVED | OUTSIDE_DNS


def is_host_name(name: str) -> bool:
    """At least two labels of lower-case letters, digits, hyphens and underscores; the last not a number."""
    labels = name.split(".")
    return (len(name) <= 253 and len(labels) >= 2 and all(_LABEL.match(label) for label in labels)
            and not labels[-1].isdigit() and "_" not in labels[-1])


def is_public_name(name: str) -> bool:
    """A host name under a top-level domain that exists; any case."""
    name = name.lower()
    ending = name.rpartition(".")[2]
    # A-labels need no list: nothing but a name is written like that.
    return (ending in top_level_domains() or ending.startswith("xn--")) and is_host_name(name)


def is_address(text: str) -> bool:
    """A full IPv4 address."""
    if text.count(".") != 3 or len(text) > 15:
        return False
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def looks_like_no_domain(written: str) -> str | None:
    """Why a public-looking name in a text is something else: a file, a product, a field; else None."""
    name = written.lower()
    labels = name.split(".")
    ending, before = labels[-1], labels[-2]
    library = labels[0] in ("system", "microsoft", "java", "javax") and ending in ("io", "net", "name")
    if library or name in WORDS["products"]:
        return "product or library name"
    if len(labels) > 2 and before in WORDS["inner_file_endings"] and len(labels) <= 4:
        return "file name"
    if ending in FILE_ENDINGS and name not in WORDS["real_sites"] and (len(labels) == 2 or "_" in name):
        return "file name"
    if len(labels) == 2:
        if ending in WORDS["field_endings"] and before in WORDS["field_names"]:
            return "field name"
        if written.split(".")[1] in WORDS["sentence_starts"] and before.isalpha():
            return "two sentences"
        if before in WORDS["second_level"] and len(ending) == 2:
            return "public suffix"
        if before.isdigit() and len(before) < 3:
            return "number with unit"
        if ending in OUTSIDE_DNS and ending != "onion" and (before.isdigit() or len(before) < 3):
            return "number with unit"
    if ending == "onion" and not re.fullmatch(r"[a-z2-7]{16}|[a-z2-7]{56}", before):
        return "no onion address" if len(before) < 10 else None
    return None
