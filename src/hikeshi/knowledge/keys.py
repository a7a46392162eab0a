"""Who signed a pack: Ed25519 keys, as files a person can carry.

A private key is PEM (PKCS#8, not encrypted: keep it where only the signer reads it); a public key is one line
"hikeshi-knowledge " and 64 hex digits. The mathematics is `cryptography`'s.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from hikeshi.errors import KnowledgeError, Location, OutputError

_MARK = "hikeshi-knowledge "
_MAX_BYTES = 4096


def key_id(public: str) -> str:
    """The short name of a public key (64 hex digits): what people compare on the phone."""
    return hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16]


def make_key(path: Path) -> str:
    """Write a new pair, `path` and `path`.pub, and give the public key. Never overwrites. Raises OutputError."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw).hex()
    pem = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    other = path.with_name(path.name + ".pub")
    try:
        for place, content, mode in ((path, pem, 0o600), (other, written(public), 0o644)):
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(content)
    except OSError as error:
        raise OutputError(f"the key can't be written: {error.strerror}", source=Location(str(error.filename or path)),
                          hint="choose a name that does not exist yet") from error
    return public


def sign(path: Path, content: bytes) -> tuple[str, str]:
    """Public key and signature, both in hex, made with the private key of this file. Raises KnowledgeError."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = form.load_pem_private_key(_small(path), password=None)
    except (ValueError, TypeError) as error:
        raise _no_key(path) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise _no_key(path)
    public = private.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw).hex()
    return public, private.sign(content).hex()


def is_signed(public: str, signature: str, content: bytes) -> bool:
    """Did the owner of this public key sign this content?"""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_public(path: Path) -> str:
    """The public key of a file, as 64 hex digits. Raises KnowledgeError."""
    said = _small(path).decode("ascii", "replace").strip()
    value = said.removeprefix(_MARK).strip().lower()
    if not said.startswith(_MARK) or len(value) != 64 or not all(c in "0123456789abcdef" for c in value):
        raise KnowledgeError("this is no public key of a pack's signer", source=Location(str(path)),
                             hint="give the file that `hikeshi knowledge key` wrote with .pub at its end")
    return value


def written(public: str) -> bytes:
    """The content of a public key's file."""
    return f"{_MARK}{public}\n".encode()


def _small(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise KnowledgeError(f"the key can't be read: {error.strerror}", source=Location(str(path))) from error


def _no_key(path: Path) -> KnowledgeError:
    return KnowledgeError("this is no private key for packs", source=Location(str(path)),
                          hint="make one: hikeshi knowledge key NAME")
