"""A rule pack: the Sigma rules of one origin in one signed, dated file, `NAME.hkrules`.

Four parts, each ended by a line feed, so that no archive has to be opened and nothing can expand:

    hikeshi-rules 1
    {"key": …, "signature": …}      Ed25519 over the manifest's bytes; "-" if unsigned
    {"name": …, "date": …, …}       the manifest; `sha256` and `size` of what follows
    {"path": …, "text": …}          one rule file a line; "base64" instead of "text" where it is no UTF-8

Rule files are data under a name, never files again. Packs made here are signed with a key of this
machine, made once; those from outside need a signer that this machine trusts (`hikeshi knowledge`).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import KnowledgeError, Location, OutputError
from hikeshi.knowledge.installed import knowledge_folder, trusted, write_private
from hikeshi.knowledge.keys import is_signed, key_id, make_key, read_public, sign

SUFFIX = ".hkrules"
MAX_BYTES = 256 << 20
MAX_FILES = 100_000
_MARK = b"hikeshi-rules 1"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,40}", re.A)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.A)
_HEX = re.compile(r"[0-9a-f]{64}", re.A)
_KEY = "own.key"
_AGAIN = "import the rules again: hikeshi rules import"


@dataclass(frozen=True, slots=True)
class RulePackInfo:
    """What a pack says of itself. `date` is the day of the rules (or of the import), `left_out` reason → count."""

    name: str
    date: str
    made: str
    source: str
    licence: str
    files: int
    left_out: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RulePack:
    """A pack whose bytes agree with its manifest; `signer` is a public key in hex, "" for an unsigned one."""

    info: RulePackInfo
    id: str
    signer: str
    files: tuple[tuple[str, bytes], ...]
    path: str


def check_name(name: str) -> str:
    """The name, if it can be a pack's. Raises KnowledgeError."""
    if not _NAME.fullmatch(name):
        raise KnowledgeError(f"{name[:60]!r} can't be a pack's name",
                             hint="up to 41 of a-z, 0-9, dot, hyphen and underscore; a letter or digit first")
    return name


def pack_bytes(info: RulePackInfo, files: Iterable[tuple[str, bytes]], key: Path | None) -> bytes:
    """The file; the same input gives the same bytes. Raises KnowledgeError."""
    lines = [orjson.dumps(_line(path, data), option=orjson.OPT_APPEND_NEWLINE) for path, data in sorted(files)]
    body = b"".join(lines)
    told = {**asdict(info), "files": len(lines), "sha256": hashlib.sha256(body).hexdigest(), "size": len(body)}
    manifest = orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
    signature = b"-"
    if key is not None:
        public, signed = sign(key, manifest)
        signature = orjson.dumps({"key": public, "signature": signed}, option=orjson.OPT_SORT_KEYS)
    made = b"\n".join((_MARK, signature, manifest, body))
    read_bytes(made, info.name)             # what we would refuse is not written
    return made


def _line(path: str, data: bytes) -> dict[str, str]:
    try:
        return {"path": path, "text": data.decode()}
    except UnicodeDecodeError:
        return {"path": path, "base64": base64.b64encode(data).decode()}


def read_rule_pack(path: Path) -> RulePack:
    """A pack from a file, checked except for trust. Raises KnowledgeError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KnowledgeError(f"the rule pack can't be read: {error.strerror}", source=Location(str(path))) from error
    return read_bytes(raw, str(path))


def read_bytes(raw: bytes, path: str) -> RulePack:
    """The same from memory; `path` is for messages."""
    where = Location(path)
    if len(raw) > MAX_BYTES:
        raise KnowledgeError(f"the rule pack is larger than {MAX_BYTES >> 20} MB", source=where)
    parts = raw.split(b"\n", 3)
    if len(parts) != 4 or parts[0] != _MARK:
        raise KnowledgeError("this is no rule pack, or it is damaged or cut off", source=where, hint=_AGAIN)
    _, signature, manifest, body = parts
    signer = _signer(signature, manifest, where)
    info = _info(manifest, body, where)
    files = []
    for number, line in enumerate(body.splitlines(), 1):
        try:
            row = orjson.loads(line)
            data = base64.b64decode(row["base64"], validate=True) if "base64" in row else row["text"].encode()
            files.append((str(row["path"]), data))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise KnowledgeError(f"rule file {number} of the pack is malformed", source=where, hint=_AGAIN) from error
    if len(files) != info.files:
        raise KnowledgeError("the pack does not hold as many rule files as it says", source=where, hint=_AGAIN)
    return RulePack(info, hashlib.sha256(manifest).hexdigest(), signer, tuple(files), path)


def _signer(raw: bytes, manifest: bytes, where: Location) -> str:
    if raw == b"-":
        return ""
    try:
        found: Any = orjson.loads(raw) if len(raw) < 1000 else None
        public, signature = found["key"], found["signature"]
    except (ValueError, KeyError, TypeError) as error:
        raise KnowledgeError("the pack's signature is malformed", source=where, hint=_AGAIN) from error
    if not isinstance(public, str) or not isinstance(signature, str) or not _HEX.fullmatch(public) or not is_signed(
            public, signature, manifest):
        raise KnowledgeError("the pack's signature is wrong: it was changed", source=where, hint=_AGAIN)
    return public


def _info(manifest: bytes, body: bytes, where: Location) -> RulePackInfo:
    wrong = KnowledgeError("the rule pack's manifest is malformed", source=where, hint=_AGAIN)
    try:
        found = orjson.loads(manifest) if len(manifest) < 1 << 20 else None
    except ValueError as error:
        raise wrong from error
    texts = ("name", "date", "made", "source", "licence")
    if not (isinstance(found, dict) and set(found) == {*RulePackInfo.__dataclass_fields__, "sha256", "size"}
            and all(isinstance(found[k], str) and len(found[k]) <= 1000 for k in texts)
            and _NAME.fullmatch(found["name"]) and _DATE.fullmatch(found["date"]) and _DATE.fullmatch(found["made"])
            and type(found["files"]) is int and 0 <= found["files"] <= MAX_FILES and isinstance(found["left_out"], list)
            and all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) and type(p[1]) is int
                    for p in found["left_out"])):
        raise wrong
    if found["size"] != len(body) or found["sha256"] != hashlib.sha256(body).hexdigest():
        raise KnowledgeError("the rules are not what the manifest says: changed or damaged", source=where, hint=_AGAIN)
    return RulePackInfo(found["name"], found["date"], found["made"], found["source"], found["licence"], found["files"],
                        tuple((reason, number) for reason, number in found["left_out"]))


# What is installed on this machine ------------------------------------------------------------


def rules_folder() -> Path:
    """Where the packs lie. Raises OutputError without a home."""
    folder = knowledge_folder()
    if folder is None:
        raise OutputError("there is no home folder for rule packs", hint="name one in HIKESHI_KNOWLEDGE")
    return folder / "rules"


def own_key() -> Path:
    """The private key of this machine, made when it is first needed. Raises OutputError."""
    path = rules_folder() / _KEY
    if not path.exists():
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"the rule folder can't be written: {error.strerror}",
                              source=Location(str(path.parent))) from error
        with contextlib.suppress(OutputError):      # another process was quicker: its key is as good
            make_key(path)
    return path


def check_signer(pack: RulePack) -> None:
    """Raises KnowledgeError when neither this machine nor somebody it trusts signed the pack."""
    where = Location(pack.path)
    if not pack.signer:
        raise KnowledgeError("the rule pack is not signed", source=where, hint="ask for a signed one")
    known = {one.public for one in trusted()}
    with contextlib.suppress(KnowledgeError, OutputError):
        known.add(read_public(rules_folder() / f"{_KEY}.pub"))
    if pack.signer not in known:
        raise KnowledgeError(f"the rule pack is signed by {key_id(pack.signer)}, whom this machine does not know",
                             source=where, hint="check that with the signer, then import with --trust KEY.pub")


def install(raw: bytes, pack: RulePack) -> Path:
    """Store a checked pack under its name, in place of an older one. Raises KnowledgeError, OutputError."""
    check_signer(pack)
    path = rules_folder() / f"{check_name(pack.info.name)}{SUFFIX}"
    write_private(path, raw)
    return path


def installed_path(name: str) -> Path:
    """The file of an installed pack, checked. Raises KnowledgeError."""
    path = rules_folder() / f"{check_name(name)}{SUFFIX}"
    if not path.exists():
        known = ", ".join(names()) or "none"
        raise KnowledgeError(f"no rule pack is called {name}", hint=f"installed: {known}; hikeshi rules list")
    check_signer(read_rule_pack(path))
    return path


def names() -> Sequence[str]:
    """The installed packs by name, whole or not."""
    folder = rules_folder()
    return sorted(p.name.removesuffix(SUFFIX) for p in folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []


def remove(name: str) -> bool:
    """Remove an installed pack; was there one? Raises KnowledgeError, OutputError."""
    path = rules_folder() / f"{check_name(name)}{SUFFIX}"
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"the rule pack can't be removed: {error.strerror}", source=Location(str(path))) from error
    return True
