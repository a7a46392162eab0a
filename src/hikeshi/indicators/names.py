"""Tell a domain name from what only looks like one.

Top-level domains are IANA's, as the MISP warning list "tlds" of the installed package holds them;
reserved names (RFC 2606, RFC 6761) and names outside the public DNS that attackers use are added.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from functools import lru_cache
from pathlib import Path

import orjson

from hikeshi.errors import KnowledgeError, Location

RESERVED = frozenset({"example", "test", "invalid", "localhost"})
OUTSIDE_DNS = frozenset({"onion", "i2p", "bit", "bazar", "lib", "coin", "emc"})
INTERNAL = frozenset({"local", "lan", "internal", "corp", "home", "intranet", "localdomain"})

# Endings that are both top-level domains and file types: a bare two-label name is a file.
FILE_ENDINGS = frozenset(
    "zip mov sh py pl md rs so ps cab app one pub inc map tf java cpl box vi mm mk mo".split())
# Endings of files that stand before the last label: "invoice.pdf.zip", "jquery.min.js".
_INNER_FILE_ENDINGS = frozenset(
    "7z bat bin bmp cmd conf config csv dat dll doc docm docx exe gif gz htm html ini iso jar jpg js json lnk log min msi "
    "pdf php png ppt pptx ps1 rar reg rtf scr sys tar tmp txt vbs xls xlsm xlsx xml yml".split())
# Public services under such an ending.
_REAL_SITES = frozenset({"transfer.sh", "temp.sh", "get.sh", "brew.sh", "docs.rs", "crates.rs", "notion.so", "cash.app"})
# Names of products and libraries; lower case.
_PRODUCTS = frozenset(
    "asp.net vb.net ado.net ml.net socket.io system.net system.io java.io java.net log4j.net paint.net".split())
# "user.name", "event.id": fields, not hosts.
_FIELDS = frozenset(
    "user host process file event rule client server source destination document window this self os item object "
    "node group account session request response message log record field system service data".split())
_FIELD_ENDINGS = frozenset("name id email host link page data map click info".split())
# A sentence that goes on without a blank: "done.It", "case.In".
_SENTENCE_STARTS = frozenset("It In Is So No To At As Be By My Me Do Am".split())
_SECOND_LEVEL = frozenset("co or ne ac go ad ed gr lg com net org gov edu mil".split())

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
    if name in _PRODUCTS or (labels[0] in ("system", "microsoft", "java", "javax") and ending in ("io", "net", "name")):
        return "product or library name"
    if len(labels) > 2 and before in _INNER_FILE_ENDINGS and len(labels) <= 4:
        return "file name"
    if ending in FILE_ENDINGS and name not in _REAL_SITES and (len(labels) == 2 or "_" in name):
        return "file name"
    if len(labels) == 2:
        if ending in _FIELD_ENDINGS and before in _FIELDS:
            return "field name"
        if written.split(".")[1] in _SENTENCE_STARTS and before.isalpha():
            return "two sentences"
        if before in _SECOND_LEVEL and len(ending) == 2 and before not in ("ad", "go", "ed"):
            return "public suffix"
        if before.isdigit() and len(before) < 3:
            return "number with unit"
        if ending in OUTSIDE_DNS and ending != "onion" and (before.isdigit() or len(before) < 3):
            return "number with unit"
    if ending == "onion" and not re.fullmatch(r"[a-z2-7]{16}|[a-z2-7]{56}", before):
        return "no onion address" if len(before) < 10 else None
    return None
