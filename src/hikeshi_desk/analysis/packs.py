"""Knowledge packs of the desk: one is looked at, taken into use, undone, handed on; whose packs are taken.

A pack from outside is read in a child, as every file. What waits for a lead's word lies in
<knowledge>/waiting/<SHA-256>.hkpack beside what was found out about it; packs that were in use stay in
<knowledge>/kept/<pack>.hkpack, so that an undo finds them.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
from django.db import transaction
from django.utils import timezone

from hikeshi.errors import HikeshiError, KnowledgeError, Location, OutputError
from hikeshi.evidence import sandbox
from hikeshi.knowledge import installed
from hikeshi.knowledge.keys import key_id, written
from hikeshi.knowledge.pack import MAX_BYTES, Pack, read_bytes, read_file
from hikeshi_desk.accounts.models import User
from hikeshi_desk.analysis import folder
from hikeshi_desk.analysis.models import PackUse
from hikeshi_desk.audit.log import record

_LIMITS = sandbox.Limits(cpu_s=60, wall_s=120, memory_bytes=2 * 2**30)
_WAITS_S = 86_400
_NAME = re.compile(r"[0-9a-f]{64}")
_PUBLIC = re.compile(r"(?:hikeshi-knowledge )?([0-9a-f]{64})")


class Refused(Exception):
    """Why not: `code` is a key of texts/knowledge.toml (refused.*), `detail` what the check said."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Waiting:
    """A checked pack that nobody has taken into use yet; `base` names the knowledge it was compared with."""

    sha256: str
    base: str
    card: dict[str, Any]
    changes: list[dict[str, Any]]


def look_at(chunks: Iterable[bytes], size: int, by: User) -> Waiting:
    """Keep an upload and check it in a child. Raises Refused."""
    sweep()
    try:
        sha256, path = _stored(chunks, size)
        told = _checked(path)
    except OSError as error:
        raise Refused("space", str(error.strerror or "")) from error
    if told["code"]:
        path.unlink(missing_ok=True)
        with transaction.atomic():
            record(str(by.pk), "knowledge.refused", f"pack:{sha256[:16]}", reason=told["code"], detail=told["detail"])
        raise Refused(told["code"], told["detail"])
    folder.write(path.with_suffix(".json"), orjson.dumps(told))
    with transaction.atomic():
        record(str(by.pk), "knowledge.looked_at", f"pack:{told['card']['id']}", name=told["card"]["name"],
               serial=told["card"]["serial"], signer=key_id(told["card"]["signer"]))
    return Waiting(sha256, told["base"], told["card"], told["changes"])


def waiting(sha256: str) -> Waiting | None:
    """A pack that waits for a word, or None."""
    if not _NAME.fullmatch(sha256):
        return None
    try:
        told = orjson.loads((_place("waiting") / f"{sha256}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return Waiting(sha256, told["base"], told["card"], told["changes"])


def use(one: Waiting, by: User) -> Pack:
    """The pack answers from now on. Raises Refused where it can't any more."""
    path = _place("waiting") / f"{one.sha256}.hkpack"
    try:
        raw = read_file(path)
        if hashlib.sha256(raw).hexdigest() != one.sha256:
            raise Refused("damaged")
        pack = read_bytes(raw, str(path))
        installed.check_signer(pack)
    except KnowledgeError as error:
        raise Refused("unknown" if error.hint and "--trust" in error.hint else "damaged", error.what) from error
    with transaction.atomic():
        now = _use_in_force()
        if one.base != installed.installed_id():  # asked where nobody else can be at it
            raise Refused("moved_on")
        _end(now, by)
        PackUse.objects.create(pack=pack.id, name=pack.name, serial=pack.serial, signer=pack.signer,
                               began_at=timezone.now(), began_by=by, replaced=now)
        record(str(by.pk), "knowledge.imported", f"pack:{pack.id}", name=pack.name, serial=pack.serial,
               signer=key_id(pack.signer), before=one.base)
        # Last: whatever fails before leaves the knowledge as it was.
        _install(raw, pack, older=False)
    drop(one)
    return pack


def drop(one: Waiting) -> None:
    for ending in (".hkpack", ".json"):
        (_place("waiting") / f"{one.sha256}{ending}").unlink(missing_ok=True)


def in_force() -> PackUse | None:
    """The row of the pack that answers; None for the built-in knowledge and for a pack of the command line."""
    return PackUse.objects.filter(pack=installed.installed_id(), ended_at=None).select_related("began_by").first()


def before() -> Pack | None:
    """What an undo goes back to: an earlier pack that is whole and whose signer is still trusted, or None for the
    built-in knowledge."""
    now = in_force()
    earlier = now.replaced if now else None
    while earlier is not None:
        with contextlib.suppress(KnowledgeError):
            pack = read_bytes(read_file(_kept(earlier.pack)), earlier.pack)
            installed.check_signer(pack)
            return pack
        earlier = earlier.replaced
    return None


def undo(by: User, *, expected: str) -> Pack | None:
    """Back to what answered before; gives it, None for the built-in knowledge. `expected` is the id of the pack that
    the person saw. Raises Refused."""
    with transaction.atomic():
        now = _use_in_force()
        if installed.installed_id() != expected or expected == installed.BUILT_IN:
            raise Refused("moved_on")
        pack = before()
        _end(now, by)
        if pack is not None and now is not None:
            earlier = PackUse.objects.filter(pack=pack.id).exclude(pk=now.pk).order_by("-began_at", "-pk").first()
            PackUse.objects.create(pack=pack.id, name=pack.name, serial=pack.serial, signer=pack.signer,
                                   began_at=timezone.now(), began_by=by, replaced=earlier and earlier.replaced)
        record(str(by.pk), "knowledge.undone", f"pack:{expected}", back_to=pack.id if pack else installed.BUILT_IN)
        if pack is not None:
            _install(read_file(_kept(pack.id)), pack, older=True)
        else:
            _remove()
    return pack


def trust(line: str, by: User) -> str:
    """Take this signer's packs from now on; gives the short name. `line` is what a .pub file holds. Raises Refused."""
    found = _PUBLIC.fullmatch(" ".join(line.split()).lower())
    if found is None:
        raise Refused("no_key")
    if found[1] in {one.public for one in installed.trusted()}:
        raise Refused("known_key", key_id(found[1]))
    with transaction.atomic():
        record(str(by.pk), "knowledge.trusted", f"key:{key_id(found[1])}", key=found[1])
        try:
            installed.trust(found[1])
        except OutputError as error:
            raise Refused("space", error.what) from error
    return key_id(found[1])


def distrust(name: str, by: User) -> None:
    """Take a signer's packs no longer. A pack of this signer that is in use must be undone first. Raises Refused."""
    if name not in {one.id for one in installed.trusted()}:
        raise Refused("gone")
    pack = installed.installed()
    if pack is not None and key_id(pack.signer) == name:
        raise Refused("in_use")
    with transaction.atomic():
        record(str(by.pk), "knowledge.distrusted", f"key:{name}")
        installed.distrust(name)


def key_file(name: str) -> bytes | None:
    """A trusted signer's public key, as `hikeshi knowledge import --trust` reads it."""
    return next((written(one.public) for one in installed.trusted() if one.id == name), None)


def file_in_force() -> tuple[Pack, bytes] | None:
    """The pack that answers, as the file that was signed; None where the built-in knowledge does."""
    pack = installed.installed()
    if pack is None:
        return None
    raw = read_file(Path(pack.path))
    return (pack, raw) if read_bytes(raw, pack.path).id == pack.id else None


def sweep() -> None:
    """What waited a day for a word goes."""
    old = time.time() - _WAITS_S
    for path in _place("waiting").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < old:
                path.unlink()


def _stored(chunks: Iterable[bytes], size: int) -> tuple[str, Path]:
    if size > MAX_BYTES:
        raise Refused("large", f"{MAX_BYTES >> 20} MB")
    total = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=_place("waiting"), delete=False) as file:
        for chunk in chunks:
            total.update(chunk)
            file.write(chunk)
    path = Path(file.name).with_name(f"{total.hexdigest()}.hkpack")
    Path(file.name).replace(path)
    return total.hexdigest(), path


def _checked(path: Path) -> dict[str, Any]:
    keys = [one.public for one in installed.trusted()]
    (outcome,) = sandbox.run("hikeshi_desk.analysis.child:check_pack", [sandbox.Task("pack", str(path))],
                             setup="hikeshi_desk.analysis.child:set_up_check", setup_argument=keys, workers=1,
                             limits=_LIMITS, readable=[path])
    if outcome.error is not None:
        return {"code": "unusable", "detail": str(outcome.error)[:500]}
    return cast("dict[str, Any]", outcome.value)


def _use_in_force() -> PackUse | None:
    """As in_force, with a row made for a pack that came by the command line."""
    pack = installed.installed()
    if pack is None:
        return None
    with contextlib.suppress(OSError):
        if not _kept(pack.id).exists():
            folder.write(_kept(pack.id), read_file(Path(pack.path)))
    known = PackUse.objects.select_for_update().filter(pack=pack.id, ended_at=None).first()
    return known or PackUse.objects.create(pack=pack.id, name=pack.name, serial=pack.serial, signer=pack.signer,
                                           began_at=timezone.now())


def _end(now: PackUse | None, by: User) -> None:
    PackUse.objects.filter(ended_at=None).update(ended_at=timezone.now(), ended_by=by)
    if now is not None:
        now.refresh_from_db()


def _install(raw: bytes, pack: Pack, *, older: bool) -> None:
    try:
        folder.write(_kept(pack.id), raw)
        installed.install(raw, pack, older=older)
    except KnowledgeError as error:
        raise Refused("older" if "serial" in error.what else "unknown", error.what) from error
    except (OutputError, OSError) as error:
        raise Refused("space", str(error)[:200]) from error


def _remove() -> None:
    try:
        installed.remove()
    except HikeshiError as error:
        raise Refused("space", error.what) from error


def _kept(pack: str) -> Path:
    return _place("kept") / f"{pack}.hkpack"


def _place(part: str) -> Path:
    base = installed.knowledge_folder()
    if base is None:
        raise OutputError("there is no folder for knowledge", source=Location("HIKESHI_KNOWLEDGE"))
    place = base / part
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place
