"""Passkeys (WebAuthn): made, used and stopped. The device always asks for its PIN, finger or face.

A passkey belongs to one host name and works over HTTPS, or on localhost. The challenge waits five minutes in a
signed cookie of the browser that asked for it, is bound to what it is for, and is good once. Attestation is not
asked for: which maker's device somebody uses is not our business.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from hikeshi_desk.accounts import attempts
from hikeshi_desk.accounts.models import Passkey, User
from hikeshi_desk.accounts.once import spend
from hikeshi_desk.accounts.texts import text
from hikeshi_desk.audit.log import record

CHALLENGE_S = 300
MOST = 20  # passkeys of one person
LONGEST_ANSWER = 20_000
PURPOSES = ("alone", "second", "again", "new")
_SALT = "hikeshi_desk.accounts.passkeys"
_COOKIE = "__Host-passkey" if settings.HTTPS else "passkey"
_REQUIRED = UserVerificationRequirement.REQUIRED


@dataclass(frozen=True)
class Site:
    """The host name that passkeys are made for, and the only origin whose answers count."""

    rp_id: str
    origin: str


def site(request: HttpRequest) -> Site | None:
    """None where browsers offer no passkeys: without HTTPS, except on localhost; and for bare addresses."""
    host = request.get_host()  # checked against the desk's own names
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    is_local = name == "localhost"
    if not (settings.HTTPS or request.is_secure() or is_local) or name.startswith("[") or _is_number(name):
        return None
    scheme = "https" if settings.HTTPS or request.is_secure() else "http"
    return Site(rp_id=name, origin=f"{scheme}://{host}")


def of(user: User) -> Any:
    """The person's passkeys that still work."""
    return Passkey.objects.filter(user=user, stopped_at=None)


def ask(here: Site, purpose: str, user: User | None) -> tuple[dict[str, Any], str]:
    """Options for the browser, and the state for its cookie (`keep`)."""
    server, challenge = _server(here), secrets.token_bytes(32)
    if purpose == "new":
        assert user is not None
        entity = PublicKeyCredentialUserEntity(id=user.pk.bytes, name=user.email, display_name=user.name)
        options, _ = server.register_begin(
            entity, _credentials(Passkey.objects.filter(user=user, rp_id=here.rp_id)), challenge=challenge,
            resident_key_requirement=ResidentKeyRequirement.REQUIRED, user_verification=_REQUIRED)
    else:
        known = _credentials(of(user).filter(rp_id=here.rp_id)) if user else None
        options, _ = server.authenticate_begin(known, user_verification=_REQUIRED, challenge=challenge)
    state = {"challenge": websafe_encode(challenge), "for": purpose, "user": str(user.pk) if user else ""}
    return json.loads(json.dumps(dict(options))), signing.dumps(state, salt=_SALT)


def keep(response: HttpResponse, state: str) -> None:
    response.set_cookie(_COOKIE, state, max_age=CHALLENGE_S, secure=settings.HTTPS, httponly=True, samesite="Strict")


def add(request: HttpRequest, user: User, name: str, answer: str) -> Passkey | None:
    """A new passkey, or None when the device's answer does not hold."""
    here, state = site(request), _state(request, "new", user)
    if here is None or state is None or Passkey.objects.filter(user=user).count() >= MOST:
        return None
    try:
        given = RegistrationResponse.from_dict(_read(answer))
        made = _server(here).register_complete(state, given)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, NotImplementedError, AssertionError):
        return None
    data = made.credential_data
    if data is None or not 16 <= len(data.credential_id) <= 1023 or not _spend(state):
        return None
    try:
        with transaction.atomic():
            passkey = Passkey.objects.create(
                user=user, name=name, rp_id=here.rp_id, key_id=websafe_encode(data.credential_id),
                credential=bytes(data), counter=made.counter)
            record(str(user.pk), "passkey.added", f"user:{user.pk}", passkey=passkey.pk)
    except IntegrityError:  # that passkey is registered already
        return None
    return passkey


def accept(request: HttpRequest, purpose: str, user: User | None, answer: str) -> User | None:
    """The active person whose passkey answered; with `user`, only that person's passkeys count.

    Counted like a password: a try for the person the passkey belongs to, before anything is checked.
    """
    here, state = site(request), _state(request, purpose, user)
    try:
        given = AuthenticationResponse.from_dict(_read(answer))
        key_id = websafe_encode(given.raw_id)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, AssertionError):
        given, key_id = None, ""
    passkey = Passkey.objects.select_related("user").filter(key_id=key_id[:1400]).first() if key_id else None
    owner = user or (passkey.user if passkey else None)
    if not attempts.may_try(request, owner.email if owner else f"passkey {key_id[:1400]}"):
        return None
    if here is None or state is None or given is None or passkey is None or passkey.user != owner \
            or passkey.stopped_at or passkey.rp_id != here.rp_id or not passkey.user.is_active:
        return None
    handle = given.response.user_handle
    if handle and handle != passkey.user.pk.bytes:
        return None
    try:
        _server(here).authenticate_complete(state, _credentials([passkey]), given)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, AssertionError):
        return None
    if not _spend(state) or not _counted(passkey, given.response.authenticator_data.counter):
        return None
    return passkey.user


def _counted(passkey: Passkey, counter: int) -> bool:
    """The device's counter only grows (zero and zero: it has none); one that goes back is a copy's."""
    now = timezone.now()
    fresh = Passkey.objects.filter(pk=passkey.pk, stopped_at=None)
    fresh = fresh.filter(counter__lt=counter) if counter else fresh.filter(counter=0)
    if fresh.update(counter=counter, used_at=now) == 1:
        return True
    with transaction.atomic():
        if Passkey.objects.filter(pk=passkey.pk, stopped_at=None).update(stopped_at=now):
            record("system", "passkey.stopped", f"user:{passkey.user_id}", passkey=passkey.pk, reason="counter")
    return False


def _state(request: HttpRequest, purpose: str, user: User | None) -> dict[str, str] | None:
    try:
        state = signing.loads(request.COOKIES.get(_COOKIE, ""), salt=_SALT, max_age=CHALLENGE_S)
    except signing.BadSignature:
        return None
    if state["for"] != purpose or state["user"] != (str(user.pk) if user else ""):
        return None
    return {"challenge": state["challenge"], "user_verification": _REQUIRED}


def _spend(state: dict[str, str]) -> bool:
    return spend("passkey", state["challenge"], keep_s=2 * CHALLENGE_S)


def _server(here: Site) -> Fido2Server:
    entity = PublicKeyCredentialRpEntity(id=here.rp_id, name=text("accounts.desk.name"))
    return Fido2Server(entity, verify_origin=lambda origin: origin == here.origin)


def _credentials(passkeys: Any) -> list[AttestedCredentialData]:
    return [AttestedCredentialData(bytes(passkey.credential)) for passkey in passkeys]


def _read(answer: str) -> dict[str, Any]:
    if len(answer) > LONGEST_ANSWER:
        raise ValueError("too long")
    try:
        found = json.loads(answer)
    except RecursionError as deep:
        raise ValueError("too deep") from deep
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _is_number(name: str) -> bool:
    return name.replace(".", "").isdigit()
