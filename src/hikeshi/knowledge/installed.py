"""The pack in use on this machine, and whose packs are taken.

One folder of the user (HIKESHI_KNOWLEDGE, or the data folder of the system) holds `current.hkpack` and
`trusted/*.pub`. Without a pack, or with one that is damaged or no longer trusted, the built-in knowledge
answers, and `problem()` says why.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from hikeshi.errors import KnowledgeError, Location, OutputError
from hikeshi.knowledge.keys import key_id, read_public, written
from hikeshi.knowledge.load import Record
from hikeshi.knowledge.pack import Pack, read_pack

BUILT_IN = "built-in"
_CURRENT = "current.hkpack"

T = TypeVar("T")
State = tuple[Pack | None, KnowledgeError | None]

_unusable: dict[str, str] = {}  # pack id → why this version can't use it, found when it was loaded
_parts: dict[tuple[str, str], object] = {}
_last: tuple[tuple[object, ...], State] | None = None


@dataclass(frozen=True, slots=True)
class Trusted:
    """A signer whose packs are taken."""

    id: str
    public: str
    path: Path


def knowledge_folder() -> Path | None:
    """Where the pack and the trusted keys lie, or None without a home."""
    chosen = os.environ.get("HIKESHI_KNOWLEDGE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        if base and Path(base).is_absolute():
            return Path(base) / "hikeshi" / "knowledge"
        home = Path.home() / ("Library/Application Support" if sys.platform == "darwin" else ".local/share")
        return home / "hikeshi" / "knowledge"
    except (RuntimeError, OSError):
        return None


def installed() -> Pack | None:
    """The pack in use; None where the built-in knowledge answers."""
    pack = _state()[0]
    return None if pack is None or pack.id in _unusable else pack


def installed_id() -> str:
    """What names the knowledge in use: the pack's id, or "built-in"."""
    pack = installed()
    return pack.id if pack else BUILT_IN


def problem() -> KnowledgeError | None:
    """Why an installed pack is not used; None where there is none, or it is."""
    pack, error = _state()
    if pack is not None and pack.id in _unusable:
        return KnowledgeError(_unusable[pack.id], source=Location(pack.path), hint=_AGAIN)
    return error


def set_aside(pack: Pack, why: KnowledgeError) -> None:
    """A pack that is whole, but that this version can't load: the built-in knowledge answers instead."""
    _unusable[pack.id] = why.what


def part(name: str, of: Callable[[Iterable[Record]], T], own: Callable[[], T]) -> T:
    """What `of` makes of the records of one of pack.PARTS in the pack in use, else `own()`."""
    pack = installed()
    if pack is None or not pack.members.get(f"{name}.jsonl"):
        return own()
    key = (pack.id, name)
    if key not in _parts:
        try:
            _parts[key] = of(pack.records(name))
        except KnowledgeError as error:
            set_aside(pack, error)
            return own()
    return cast("T", _parts[key])


def trusted() -> tuple[Trusted, ...]:
    """Signers whose packs are taken, by id. A file that is no key is left out."""
    folder = knowledge_folder()
    found = []
    for path in sorted((folder / "trusted").glob("*.pub")) if folder else []:
        with contextlib.suppress(KnowledgeError):
            public = read_public(path)
            found.append(Trusted(key_id(public), public, path))
    return tuple(found)


def trust(public: str) -> None:
    """Take this signer's packs from now on. Raises OutputError."""
    write_private(_folder() / "trusted" / f"{key_id(public)}.pub", written(public))


def distrust(one: str) -> bool:
    """Take them no longer; was there such a key? What is installed and signed by it is no longer used."""
    found = [key for key in trusted() if key.id == one]
    for key in found:
        key.path.unlink(missing_ok=True)
    return bool(found)


def install(raw: bytes, pack: Pack, *, older: bool = False) -> None:
    """Make a checked pack (`raw` are its bytes) the one in use, whole or not at all. Raises as check_trust does."""
    check_trust(pack, older=older)
    _unusable.pop(pack.id, None)
    write_private(_folder() / _CURRENT, raw)


def check_trust(pack: Pack, *, older: bool = False) -> None:
    """Raises KnowledgeError for a signer we don't know, or a serial that is not newer unless `older`."""
    check_signer(pack)
    now = _current()
    if now is not None and now.id != pack.id and now.serial >= pack.serial and not older:
        raise KnowledgeError(f"the pack's serial {pack.serial} is not newer than {now.serial}, which is in use",
                             source=Location(pack.path), hint="import it with --older if that is what you want")


def check_signer(pack: Pack) -> None:
    """Raises KnowledgeError when nobody, or somebody this machine does not know, signed the pack."""
    where = Location(pack.path)
    if not pack.signer:
        raise KnowledgeError("the pack is not signed", source=where,
                             hint="ask for a signed one, or sign it: hikeshi knowledge build --key")
    if pack.signer not in {key.public for key in trusted()}:
        raise KnowledgeError(f"the pack is signed by {key_id(pack.signer)}, whom this machine does not know",
                             source=where, hint="check that with the signer, then import with --trust KEY.pub")


def remove() -> bool:
    """Go back to the built-in knowledge; was there a pack?"""
    folder = knowledge_folder()
    path = folder / _CURRENT if folder else None
    if path is None or not path.exists():
        return False
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"the pack can't be removed: {error.strerror}", source=Location(str(path))) from error
    return True


def _current() -> Pack | None:
    """What lies there, trusted or not: an older pack does not come in because a key was forgotten."""
    folder = knowledge_folder()
    with contextlib.suppress(KnowledgeError):
        return read_pack(folder / _CURRENT) if folder else None
    return None


def _state() -> State:
    """Looked at again when the pack or the keys change; a child that may no longer look keeps what it knew."""
    global _last
    folder = knowledge_folder()
    if folder is None:
        return None, None
    path = folder / _CURRENT
    try:
        stamp = (str(path), *_stamp(path), *_stamp(folder / "trusted"))
        if _last is None or _last[0] != stamp:
            _last = stamp, _load(path) if path.exists() else (None, None)
    except OSError as error:
        if _last is None:
            return None, KnowledgeError(f"the installed pack can't be read: {error.strerror}",
                                        source=Location(str(path)), hint=_AGAIN)
    return _last[1]


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        info = path.stat()
    except FileNotFoundError:
        return ()
    return info.st_mtime_ns, info.st_size, info.st_ino


def _load(path: Path) -> State:
    try:
        pack = read_pack(path)
    except KnowledgeError as error:
        return None, KnowledgeError(error.what, source=error.source, hint=_AGAIN)
    if pack.signer not in {key.public for key in trusted()}:
        return None, KnowledgeError("the installed pack is signed by nobody this machine trusts",
                                    source=Location(str(path)), hint=_AGAIN)
    return pack, None


_AGAIN = "import a pack again, or go back for good: hikeshi knowledge remove"


def _folder() -> Path:
    folder = knowledge_folder()
    if folder is None:
        raise OutputError("there is no home folder for the pack", hint="name one in HIKESHI_KNOWLEDGE")
    return folder


def write_private(path: Path, content: bytes) -> None:
    """The old file or the new one, never a part; ours alone to write."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"the knowledge folder can't be written: {error.strerror}", source=Location(str(path.parent)),
                          hint="free some space, or name another folder in HIKESHI_KNOWLEDGE") from error
