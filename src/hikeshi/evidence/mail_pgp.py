"""OpenPGP in a mail: decrypted, its signature judged, and the keys in it named. Runs only in a limited child.

What is decrypted is read on its own, as one mail: nothing outside of it is mixed into it, HTML in it becomes plain
words, and what has no integrity protection is not decrypted at all (EFAIL). A signature counts for exactly the bytes
that are then shown. Plaintext goes to a file first, so that the child's limit on files ends a decompression bomb.
Source: RFC 9580, RFC 3156; Sequoia does the cryptography.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pysequoia

from hikeshi.evidence.mail_text import one_line
from hikeshi.evidence.member_names import shown
from hikeshi.model.text import Text

LARGEST_KEY = 200_000
MOST_PLAIN = 100 * 2**20
_MOST_KEYS, _MOST_IDS = 3, 5
# At the beginning of a line only: a block that somebody quotes is not the sender's.
BLOCK = re.compile(
    rb"^-----BEGIN PGP (MESSAGE|SIGNED MESSAGE)-----[ \t]*\r?\n.*?^-----END PGP (?:MESSAGE|SIGNATURE)-----",
    re.S | re.M)
_KEY = re.compile(rb"-----BEGIN PGP PUBLIC KEY BLOCK-----.{1,200000}?-----END PGP PUBLIC KEY BLOCK-----", re.S)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The desk's secret key (armoured; b"" if none), its passphrase, and the keys confirmed for this sender."""

    secret: bytes = b""
    passphrase: str = ""
    certs: tuple[bytes, ...] = ()

    def __repr__(self) -> str:  # never with the key
        return f"Keyring({len(self.certs)} certs)"


@dataclass(frozen=True, slots=True)
class Signature:
    """`state`: "" (none), good, bad, unknown (a key nobody confirmed), unchecked. `key` is a fingerprint or key id."""

    state: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A public key that came with a mail. Its user ids are its maker's claim and nothing more."""

    fingerprint: str
    user_ids: tuple[str, ...]
    expires: datetime | None
    armored: str


class Unreadable(Exception):
    """Why a message could not be decrypted, in words for people."""

    def __init__(self, told: Text) -> None:
        super().__init__(told.en)
        self.told = told


WRONG_KEY = Text("窓口の鍵では復号できません（別の鍵で暗号化されています）。",
                 "It can't be decrypted with the desk's key: it was encrypted for another one.")
NO_KEY = Text("窓口にPGPの鍵がないため、復号できません。", "It can't be decrypted: the desk has no PGP key.")
DAMAGED = Text("暗号化された部分が壊れています。", "The encrypted part is damaged.")
NO_MDC = Text("改ざん検知（MDC）のない古い形式のため、復号しませんでした。",
              "It has no integrity protection (MDC), so it was not decrypted.")
EXPIRED = Text("窓口の鍵の期限が切れているため、復号できません。", "It can't be decrypted: the desk's key has expired.")
LOCKED = Text("窓口の鍵のパスフレーズが設定されていません。", "The passphrase of the desk's key is not set.")
TOO_LARGE = Text("復号すると大きすぎるため、開きませんでした。", "Decrypted it is too large, so it was not opened.")


def secret_key(ring: Keyring) -> pysequoia.Tsk:
    """The desk's key, opened. Raises Unreadable."""
    if not ring.secret:
        raise Unreadable(NO_KEY)
    try:
        if b"PRIVATE KEY BLOCK" in ring.secret[:200]:
            return pysequoia.Tsk.from_bytes(ring.secret)
        plain = pysequoia.decrypt(ring.secret, passwords=[ring.passphrase]).bytes
        return pysequoia.Tsk.from_bytes(plain or b"")
    except RuntimeError as error:
        raise Unreadable(LOCKED) from error


def decrypt(message: bytes, ring: Keyring, folder: Path) -> tuple[bytes, Signature]:
    """The plaintext and who signed it. Raises Unreadable."""
    tsk = secret_key(ring)
    try:
        decryptor = tsk.decryptor()
    except RuntimeError as error:
        raise Unreadable(EXPIRED) from error
    sealed, plain = folder / ".sealed", folder / ".plain"
    try:
        sealed.write_bytes(message)
        pysequoia.decrypt_file(str(sealed), str(plain), decryptor)
        # The size is known now: the second time, for the signature, memory is enough.
        if plain.stat().st_size > MOST_PLAIN:
            raise Unreadable(TOO_LARGE)
        words = plain.read_bytes()
        plain.unlink()
        signature = _judge(ring, lambda store: pysequoia.decrypt(message, decryptor, store))
        return words, signature
    except OSError as error:
        raise Unreadable(TOO_LARGE) from error
    except RuntimeError as error:
        raise Unreadable(_why(str(error))) from error
    finally:
        sealed.unlink(missing_ok=True)
        plain.unlink(missing_ok=True)


def verify_detached(signed: bytes, signature: bytes, ring: Keyring) -> Signature:
    """The judgement on a detached signature over exactly these bytes."""
    try:
        given = pysequoia.Sig.from_bytes(signature)
    except RuntimeError:
        return Signature("bad")
    return _judge(ring, lambda store: pysequoia.verify(signed, store, signature=given),
                  given.issuer_fingerprint or given.issuer_key_id or "")


def verify_clear(block: bytes, ring: Keyring) -> tuple[bytes | None, Signature]:
    """What a clear-signed block says where its signature is good, else None; and the judgement."""
    words: list[bytes] = []

    def work(store: object) -> pysequoia.Decrypted:
        done = pysequoia.verify(block, store)
        words.append(done.bytes or b"")
        return done
    signature = _judge(ring, work)
    return (words[0] if words else None), signature


def _judge(ring: Keyring, work: object, issuer: str = "") -> Signature:
    """good: a confirmed key made it. bad: a confirmed key is named and it does not fit. unknown: any other key."""
    assert callable(work)
    asked: list[str] = [issuer] if issuer else []
    certs = [cert for cert in map(_cert, ring.certs) if cert is not None]

    def store(ids: list[str]) -> list[pysequoia.Cert]:
        asked.extend(ids[:20])
        return certs
    try:
        sigs = work(store).valid_sigs
    except RuntimeError as error:
        if asked and "Unexpected message structure" in str(error):
            # Compressed between encryption and signature, as GnuPG does unless told otherwise: pysequoia 0.1.35 reads
            # such a message but does not check who signed it. Neither good nor bad may be claimed.
            return Signature("unchecked", one_line(asked[0]).upper()[:40])
        sigs = []
    if sigs:
        return Signature("good", str(sigs[0].certificate).upper())
    if not asked:
        return Signature()
    key = one_line(asked[0]).upper()[:40]
    # A subkey's id stands inside its certificate; pysequoia does not list subkeys.
    known = any(_names(raw, one) for raw in ring.certs for one in asked)
    return Signature("bad" if known else "unknown", key)


def _names(raw: bytes, key: str) -> bool:
    cert = _cert(raw)
    try:
        return cert is not None and bytes.fromhex(key[-16:]) in bytes(cert)
    except ValueError:
        return False


def _cert(raw: bytes) -> pysequoia.Cert | None:
    try:
        return pysequoia.Cert.from_bytes(raw)
    except RuntimeError:
        return None


def _why(error: str) -> Text:
    said = error.split("Stack backtrace")[0]
    if "No key to decrypt" in said:
        return WRONG_KEY
    if "Symmetrically Encrypted Data Packet" in said:
        return NO_MDC
    if "File too large" in said or "os error 27" in said:
        return TOO_LARGE
    return DAMAGED


# ------------------------------------------------------------------------------------ keys


def find_keys(data: bytes) -> tuple[FoundKey, ...]:
    """Public keys in an attached file, at most three; what is no key or holds a secret one gives nothing."""
    blocks = [found[0] for found in _KEY.finditer(data[:2 * LARGEST_KEY])][:_MOST_KEYS]
    if not blocks and data[:1] and data[0] & 0x80 and len(data) <= LARGEST_KEY:
        blocks = [data]
    out: dict[str, FoundKey] = {}
    for block in blocks:
        if len(block) > LARGEST_KEY:
            continue
        try:
            certs = pysequoia.Cert.split_bytes(block)[:_MOST_KEYS]
        except (RuntimeError, ValueError):
            continue
        for cert in certs:
            if not (cert.is_revoked or _is_secret(cert)) and len(bytes(cert)) <= LARGEST_KEY:
                out[cert.fingerprint] = _found(cert)
    return tuple(out.values())[:_MOST_KEYS]


def _is_secret(cert: pysequoia.Cert) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a secret key is to be refused, not to be used
        return bool(cert.has_secret_keys)


def _found(cert: pysequoia.Cert) -> FoundKey:
    ids = tuple(shown(one_line(str(one)))[:200] for one in cert.user_ids[:_MOST_IDS])
    expires = cert.expiration
    if expires is not None and expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    armored = str(pysequoia.armor(bytes(cert), pysequoia.ArmorKind.PublicKey))
    return FoundKey(cert.fingerprint.upper(), ids, expires, armored)
