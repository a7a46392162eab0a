"""The desk's own OpenPGP key, and which keys of correspondents count.

DATA/mail/key.asc holds the secret key, readable by its owner only; with HIKESHI_MAIL_KEY_PASSPHRASE set when it is
made, it is itself encrypted with that passphrase, which then has to be in the environment of `hikeshi serve`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pysequoia
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from hikeshi.errors import Location, UsageError
from hikeshi.evidence.mail_pgp import FoundKey, Keyring, Unreadable, secret_key
from hikeshi_desk.accounts.models import User
from hikeshi_desk.audit.log import record
from hikeshi_desk.mail.models import CorrespondentKey, ReceivedMail
from hikeshi_desk.mail.post import Post, is_plain_address, load_post

PASSPHRASE = "HIKESHI_MAIL_KEY_PASSPHRASE"
State = CorrespondentKey.State
_MOST_PROPOSED = 20  # of one address: a stranger can make as many keys as he likes


class OwnKey(NamedTuple):
    """What everybody may know of the desk's key."""

    fingerprint: str
    armored: str

    @property
    def grouped(self) -> str:
        """In groups of four, as people compare it."""
        return " ".join(self.fingerprint[at:at + 4] for at in range(0, len(self.fingerprint), 4))


class Locked(ValueError):
    """The secret key can't be used; the text says why."""


def path() -> Path:
    return Path(settings.DATA) / "mail" / "key.asc"


def public_path() -> Path:
    return Path(settings.DATA) / "mail" / "public-key.asc"


def create(post: Post) -> OwnKey:
    """A new key pair for the desk's address. Raises FileExistsError rather than replace one: mail for the old key
    could never be read again."""
    folder = path().parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tsk = pysequoia.Tsk.generate(f"{post.name} <{post.address}>", profile=pysequoia.Profile.RFC4880)
    secret = str(pysequoia.armor(bytes(tsk), pysequoia.ArmorKind.SecretKey)).encode("ascii")
    if passphrase := os.environ.get(PASSPHRASE, ""):
        secret = pysequoia.encrypt(secret, passwords=[passphrase])
    public = pysequoia.armor(bytes(tsk.extract_certificate()), pysequoia.ArmorKind.PublicKey)
    handle = os.open(path(), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(secret)
        out.flush()
        os.fsync(out.fileno())
    public_path().write_text(str(public), encoding="ascii")
    found = own()
    assert found is not None
    record("system", "mail.key_created", "desk", fingerprint=found.fingerprint)
    return found


def own() -> OwnKey | None:
    """The desk's public key, None where it has none."""
    try:
        changed = public_path().stat().st_mtime_ns
    except OSError:
        return None
    return _own(public_path(), changed)


@lru_cache(maxsize=2)
def _own(file: Path, changed: int) -> OwnKey:
    cert = pysequoia.Cert.from_bytes(file.read_bytes())
    return OwnKey(cert.fingerprint.upper(), str(pysequoia.armor(bytes(cert), pysequoia.ArmorKind.PublicKey)))


def ring(addresses: set[str]) -> Keyring:
    """What the child needs for one mail: the desk's key, and the keys confirmed for those who may have signed it."""
    secret = path().read_bytes() if path().exists() else b""
    # Also expired ones: they signed in their time, and the library judges by the signature's own.
    rows = CorrespondentKey.objects.filter(address__in=addresses, state=State.CONFIRMED)[:10]
    return Keyring(secret, os.environ.get(PASSPHRASE, ""), tuple(row.armored.encode("ascii") for row in rows))


def signer() -> pysequoia.PySigner | None:
    """None where the desk has no key. Raises Locked where it has one that can't be used now."""
    if not path().exists():
        return None
    try:
        return secret_key(Keyring(path().read_bytes(), os.environ.get(PASSPHRASE, ""))).signer()
    except (Unreadable, RuntimeError) as error:
        raise Locked(f"the desk's PGP key can't be used: {error}".split("\n")[0]) from error


def check() -> None:
    """At start: every mail would fail for want of its signature. Raises UsageError with what to do."""
    try:
        signer()
    except (Locked, OSError) as error:
        given = bool(os.environ.get(PASSPHRASE, ""))
        raise UsageError(
            "the desk's PGP key can't be opened with the passphrase given" if given
            else "the desk's PGP key can't be opened; no passphrase was given", source=Location(str(path())),
            hint=f"set {PASSPHRASE} to the passphrase of the key's making, put the file back from the backup, or move "
                 "it away to send without signatures (what is encrypted for it then stays closed)") from error


def key_for(address: str) -> CorrespondentKey | None:
    """The newest key that a person confirmed for this address and that has not expired."""
    if not is_plain_address(address):
        return None
    alive = Q(expires_at=None) | Q(expires_at__gt=timezone.now() + timedelta(minutes=5))
    return CorrespondentKey.objects.filter(alive, address=one_spelling(address), state=State.CONFIRMED).order_by(
        "-decided_at").first()


def newest_alive(address: str, known: Iterable[CorrespondentKey]) -> CorrespondentKey | None:
    """The same, out of keys of this address that were read already."""
    until = timezone.now() + timedelta(minutes=5)
    alive = [key for key in known
             if key.state == State.CONFIRMED and (key.expires_at is None or key.expires_at > until)]
    if not alive or not is_plain_address(address):
        return None
    return max(alive, key=lambda key: key.decided_at or key.created_at)


def one_spelling(address: str) -> str:
    """Capitals make no new person; the plus part does: its key may be another one."""
    return address.strip().casefold()


def propose(received: ReceivedMail, found: tuple[FoundKey, ...]) -> int:
    """Keys that came with a mail wait for a person. Nothing is trusted by itself, and nothing decided changes."""
    if not is_plain_address(received.sender):
        return 0
    address, made = one_spelling(received.sender), 0
    for key in found:
        if CorrespondentKey.objects.filter(address=address).count() >= _MOST_PROPOSED:
            break
        made += CorrespondentKey.objects.get_or_create(address=address, fingerprint=key.fingerprint, defaults={
            **_fields(key), "received": received, "created_at": timezone.now()})[1]
    return made


def add(address: str, key: FoundKey, by: User) -> CorrespondentKey:
    """A key that a person brought: it still has to be confirmed, after comparing its fingerprint."""
    with transaction.atomic():
        row, _ = CorrespondentKey.objects.update_or_create(
            address=one_spelling(address), fingerprint=key.fingerprint,
            defaults={**_fields(key), "state": State.PROPOSED, "decided_at": None},
            create_defaults={**_fields(key), "created_at": timezone.now()})
        record(str(by.pk), "mail.key_added", f"mailkey:{row.pk}", fingerprint=key.fingerprint)
    return row


def decide(row: CorrespondentKey, by: User, *, confirmed: bool) -> None:
    """Confirm a key after comparing its fingerprint by another way, or use it no more."""
    with transaction.atomic():
        row.state = State.CONFIRMED if confirmed else State.REMOVED
        row.decided_at, row.decided_by = timezone.now(), by
        row.save(update_fields=["state", "decided_at", "decided_by"])
        record(str(by.pk), "mail.key_confirmed" if confirmed else "mail.key_removed", f"mailkey:{row.pk}",
               fingerprint=row.fingerprint)


def _fields(key: FoundKey) -> dict[str, object]:
    return {"user_ids": list(key.user_ids), "armored": key.armored, "expires_at": key.expires}


def is_ready() -> bool:
    post = load_post()
    return bool(post.address and post.smtp)
