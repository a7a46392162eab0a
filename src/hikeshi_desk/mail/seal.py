"""A mail closed for its way: signed by the desk, encrypted for a correspondent (RFC 3156, with protected headers)."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage, MIMEPart

import pysequoia

_POLICY = policy.SMTP.clone(max_line_length=76)


class NotSealed(ValueError):
    """It could not be closed, so it is not sent."""


def closed(out: EmailMessage, body: str, *, subject: str, signer: pysequoia.PySigner | None,
           recipient: bytes | None) -> EmailMessage:
    """`out`, which has its headers, with the body signed or encrypted. Raises NotSealed."""
    inner = MIMEPart(policy=_POLICY)
    # Base64 always: no server on the way may break a line or escape a "From " of what is signed.
    inner.set_content(body, cte="base64")
    if recipient is not None:
        inner["Subject"] = subject
        inner.set_param("protected-headers", "v1")
        return _encrypted(out, inner.as_bytes(), signer, recipient)
    assert signer is not None
    return _signed(out, inner, signer)


def _encrypted(out: EmailMessage, inner: bytes, signer: pysequoia.PySigner | None, recipient: bytes) -> EmailMessage:
    try:
        cert = pysequoia.Cert.from_bytes(recipient)
        raw = pysequoia.encrypt(inner, recipients=[cert], signer=signer, armor=False)
        # A certificate without a usable encryption key would give a message that nobody can read.
        if not raw or raw[0] & 0xC0 != 0xC0 or raw[0] & 0x3F != 1:
            raise NotSealed("the key can't encrypt")
        armored = str(pysequoia.armor(raw, pysequoia.ArmorKind.Message))
    except RuntimeError as error:
        raise NotSealed(f"it could not be encrypted: {error}".split("\n")[0]) from error
    out.add_header("Content-Type", "multipart/encrypted", protocol="application/pgp-encrypted")
    out.attach(_part("application/pgp-encrypted", "Version: 1\r\n"))
    out.attach(_part("application/octet-stream", armored))
    return out


def _signed(out: EmailMessage, inner: MIMEPart, signer: pysequoia.PySigner) -> EmailMessage:
    exact = inner.as_bytes()
    signature = pysequoia.sign(signer, exact, mode=pysequoia.SignatureMode.DETACHED)
    out.add_header("Content-Type", "multipart/signed", protocol="application/pgp-signature", micalg="pgp-sha512")
    out.attach(inner)
    out.attach(_part("application/pgp-signature", signature.decode("ascii")))
    if exact not in out.as_bytes():
        raise NotSealed("the signed part would change on its way")
    return out


def _part(kind: str, words: str) -> MIMEPart:
    part = MIMEPart(policy=_POLICY)
    part["Content-Type"] = kind
    part.set_payload(words)
    return part
