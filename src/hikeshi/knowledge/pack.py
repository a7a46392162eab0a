"""A knowledge pack: everything Hikeshi knows in one signed file, `*.hkpack`.

A zip of stored members in one exact form (sorted names, one date, no compression), so that the same
knowledge is the same bytes on every machine, and nothing in it can expand. Members:

manifest.json  format, serial, name, made_from (source, licence, version, date), size and SHA-256 of each member
manifest.sig   the signer's public key and the Ed25519 signature over manifest.json's bytes; absent if unsigned
families.json  families, names, weak: knowledge.families' compact form
facts.json     kind → value → [[family, source]]
wordings.npz   hashes of known notes, see knowledge.wording; no text
*.jsonl        PARTS: one record a line, {"source", "licence", "date", "record"}

Reading trusts nothing: size, form, format, signature, then each member against the manifest. Whether the
signer is one of ours is the caller's question (knowledge.installed).
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from hikeshi.errors import KnowledgeError, Location
from hikeshi.knowledge.keys import is_signed, sign
from hikeshi.knowledge.load import Record

FORMAT = 1
PARTS = ("advice", "cves", "decryptors", "tools", "vectors")
MEMBERS = ("facts.json", "families.json", "wordings.npz", *(f"{part}.jsonl" for part in PARTS))
MAX_BYTES = 64 << 20
MAX_MANIFEST = 1 << 20
MAX_SERIAL = 10**12

_MANIFEST, _SIGNATURE = "manifest.json", "manifest.sig"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|unknown", re.A)
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class PackSource:
    """Where a part of the knowledge is from; `date` is ISO 8601 or "unknown", of the data, not of the pack."""

    id: str
    name: str
    licence: str
    version: str
    date: str
    url: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose bytes agree with its manifest. `id` is the manifest's SHA-256: it names the knowledge, not
    the signature; `signer` is a public key in hex that did sign it, or "" for an unsigned pack."""

    id: str
    name: str
    serial: int
    signer: str
    sources: tuple[PackSource, ...]
    members: Mapping[str, bytes]
    path: str

    def json(self, member: str) -> Any:
        """A JSON member, parsed. Raises KnowledgeError."""
        try:
            return orjson.loads(self.members[member])
        except (KeyError, ValueError) as error:
            raise KnowledgeError(f"{member} is missing or no JSON", source=Location(self.path)) from error

    def lines(self, part: str) -> Iterator[dict[str, Any]]:
        """The records of one of PARTS in their envelopes. Raises KnowledgeError."""
        for number, line in enumerate(self.members.get(f"{part}.jsonl", b"").splitlines(), 1):
            where = Location(f"{self.path}!/{part}.jsonl", line=number)
            try:
                row = orjson.loads(line)
            except ValueError as error:
                raise KnowledgeError("a record is no JSON", source=where) from error
            if not isinstance(row, dict) or not isinstance(row.get("record"), dict) or any(
                    not isinstance(row.get(key), str) for key in ("source", "licence", "date")):
                raise KnowledgeError("a record needs source, licence, date and record", source=where)
            yield row

    def records(self, part: str) -> Iterator[Record]:
        """The same for a loader of our own files, without envelopes."""
        path = Path(f"{self.path}!/{part}.jsonl")
        for number, row in enumerate(self.lines(part), 1):
            yield Record(path, row["record"], number)


def pack_bytes(name: str, serial: int, sources: Sequence[PackSource], members: Mapping[str, bytes],
               key: Path | None = None) -> bytes:
    """The file. The same input gives the same bytes, signed or not. Raises KnowledgeError."""
    manifest = {
        "format": FORMAT, "name": name, "serial": serial, "made_from": [asdict(one) for one in sorted(sources)],
        "members": {member: {"sha256": _sha256(content), "size": len(content)}
                    for member, content in sorted(members.items())},
    }
    written = orjson.dumps(manifest, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    whole = {_MANIFEST: written, **members}
    if key is not None:
        public, signature = sign(key, written)
        whole[_SIGNATURE] = orjson.dumps({"key": public, "signature": signature}, option=orjson.OPT_SORT_KEYS)
    made = _zipped(whole)
    read_bytes(made, name)  # what we would refuse is not written
    return made


def read_pack(path: Path) -> Pack:
    """A pack from a file, checked except for trust. Raises KnowledgeError."""
    return read_bytes(read_file(path), str(path))


def read_file(path: Path) -> bytes:
    """The bytes of a file, not more than a pack may have by much. Raises KnowledgeError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise KnowledgeError(f"the pack can't be read: {error.strerror}", source=Location(str(path))) from error


def read_bytes(raw: bytes, path: str) -> Pack:
    """The same from memory; `path` is for messages."""
    where = Location(path)
    content = _members(raw, where)
    written = content.pop(_MANIFEST)
    manifest = _manifest(written, where)
    signer = _signer(content.pop(_SIGNATURE, None), written, where)
    listed = manifest["members"]
    if set(listed) != set(content):
        raise KnowledgeError("the pack's members are not those of its manifest", source=where, hint=_FETCH)
    for name, held in content.items():
        if len(held) != listed[name]["size"] or _sha256(held) != listed[name]["sha256"]:
            raise KnowledgeError(f"{name} is not what the manifest says: changed or damaged", source=where, hint=_FETCH)
    sources = tuple(PackSource(**one) for one in manifest["made_from"])
    return Pack(_sha256(written), manifest["name"], manifest["serial"], signer, sources, content, path)


_FETCH = "get the pack again from whoever made it"


def _members(raw: bytes, where: Location) -> dict[str, bytes]:
    if len(raw) > MAX_BYTES:
        raise KnowledgeError(f"the pack is larger than {MAX_BYTES >> 20} MB", source=where)
    damaged = KnowledgeError("this is no knowledge pack, or it is damaged or cut off", source=where, hint=_FETCH)
    most = len(MEMBERS) + 2
    # The directory before zipfile sees it: as small as ours, at the end, and no second one of zip64.
    if len(raw) < 22 or raw[-22:-18] != b"PK\5\6" or raw[-42:-38] == b"PK\6\7":
        raise damaged
    count, size = struct.unpack_from("<HI", raw, len(raw) - 12)
    if count > most or size > most * 200:
        raise damaged
    content: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for entry in archive.infolist():
                if entry.filename not in (_MANIFEST, _SIGNATURE, *MEMBERS) or entry.filename in content:
                    raise KnowledgeError(f"a pack has no member of the name {entry.filename[:80]!r}, or not twice",
                                         source=where, hint=_FETCH)
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(raw):
                    raise KnowledgeError("a pack's members are stored, this one's would expand", source=where,
                                         hint=_FETCH)
                with archive.open(entry) as file:
                    content[entry.filename] = file.read(entry.file_size)
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError, struct.error) as error:
        raise damaged from error
    # One knowledge, one file: nothing before, between or behind, no other order, no extra field.
    if _MANIFEST not in content or _zipped(content) != raw:
        raise damaged
    return content


def _zipped(content: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED, allowZip64=False) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # the same on every system
            archive.writestr(entry, content[name])
    return held.getvalue()


def _manifest(written: bytes, where: Location) -> dict[str, Any]:
    wrong = KnowledgeError("the pack's manifest is malformed", source=where, hint=_FETCH)
    try:
        found = orjson.loads(written) if len(written) <= MAX_MANIFEST else None
    except ValueError as error:
        raise wrong from error
    if not isinstance(found, dict):
        raise wrong
    if found.get("format") != FORMAT:
        raise KnowledgeError(f"the pack has format {str(found.get('format'))[:20]!r}, this Hikeshi reads {FORMAT}",
                             source=where, hint="update Hikeshi, or ask for a pack of its format")
    members, sources, serial = found.get("members"), found.get("made_from"), found.get("serial")
    fields = set(PackSource.__dataclass_fields__)
    sound = (set(found) == {"format", "name", "serial", "made_from", "members"}
             and isinstance(found["name"], str) and 0 < len(found["name"]) <= 120
             and type(serial) is int and 0 < serial <= MAX_SERIAL
             and isinstance(sources, list) and len(sources) <= 1000
             and all(isinstance(one, dict) and set(one) == fields
                     and all(isinstance(value, str) and len(value) <= 1000 for value in one.values())
                     and _DATE.fullmatch(one["date"]) for one in sources)
             and isinstance(members, dict)
             and all(isinstance(one, dict) and set(one) == {"sha256", "size"} and type(one["size"]) is int
                     and isinstance(one["sha256"], str) and _HEX.fullmatch(one["sha256"])
                     for one in members.values())
             and {"families.json", "facts.json", "wordings.npz"} <= set(members))
    if not sound:
        raise wrong
    return found


def _signer(raw: bytes | None, written: bytes, where: Location) -> str:
    if raw is None:
        return ""
    try:
        found: Any = orjson.loads(raw) if len(raw) < 1000 else None
        public, signature = found["key"], found["signature"]
    except (ValueError, KeyError, TypeError) as error:
        raise KnowledgeError("the pack's signature is malformed", source=where, hint=_FETCH) from error
    if not isinstance(public, str) or not isinstance(signature, str) or not _HEX.fullmatch(public) or not is_signed(
            public, signature, written):
        raise KnowledgeError("the pack's signature is wrong: the manifest or the signature was changed", source=where,
                             hint=_FETCH)
    return public


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
