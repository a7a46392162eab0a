"""Signing in by the organisation's own service: OpenID Connect, authorization code with PKCE.

desk.toml:

    [oidc]
    issuer = "https://login.example.jp"    # its hosts also stand in [egress] allow
    client_id = "hikeshi"
    client_secret_file = "oidc-secret"     # beside desk.toml, or client_secret = "…"; neither for a public client
    name = "社内アカウント"
    name_en = "Company account"
    let_in = "invited"                     # or "domain": anybody of `domains`, without a role until a lead gives one
    domains = ["example.jp"]
    claims = { groups = "csirt" }          # each must be in the token
    organisation = "窓口"                   # preset when a lead gives the first role
    second_factor_amr = ["mfa", "hwk"]     # counts as the second factor; empty: it never does
    second_factor_acr = []

Who somebody is, is issuer and subject; the address is looked at once, to find the invited person, and only when
the service says that it is verified.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, transaction
from django.utils.translation import get_language
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from hikeshi_desk import egress
from hikeshi_desk.accounts.models import Identity, Organisation, User, UserManager
from hikeshi_desk.audit.log import record
from hikeshi_desk.config import table

SKEW_S = 60
ALGORITHMS = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]  # never "none", never a shared secret
KEPT_S, FAILED_S, AGAIN_S = 600.0, 20.0, 60.0
LONGEST_TOKEN = 20_000
_KEYS = frozenset({"issuer", "client_id", "client_secret", "client_secret_file", "name", "name_en", "let_in", "domains",
                   "claims", "organisation", "second_factor_amr", "second_factor_acr"})


class Refused(Exception):
    """Nobody is signed in; `reason` is one word for the audit log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Service:
    issuer: str
    client_id: str
    client_secret: str
    name: str
    name_en: str
    let_in: str
    domains: frozenset[str]
    claims: Mapping[str, str]
    organisation: str
    amr: frozenset[str]
    acr: frozenset[str]


@dataclass(frozen=True)
class Arrived:
    """Who came back, and whether the service vouches for a second factor."""

    user: User
    has_second_factor: bool


def service() -> Service | None:
    """The desk's sign-in service; None without [oidc]. Raises ImproperlyConfigured."""
    return _service(json.dumps(dict(table("oidc")), sort_keys=True, default=str))


@cache
def _service(told: str) -> Service | None:
    given = json.loads(told)
    if not given:
        return None
    unknown = set(given) - _KEYS
    if unknown:
        raise ImproperlyConfigured(f"desk.toml: [oidc] knows no {', '.join(sorted(unknown))}")
    words = {key: given.get(key, "") for key in _KEYS - {"domains", "claims", "second_factor_amr", "second_factor_acr"}}
    lists = {key: given.get(key, []) for key in ("domains", "second_factor_amr", "second_factor_acr")}
    claims = given.get("claims", {})
    if not all(isinstance(word, str) for word in words.values()) or not isinstance(claims, dict) \
            or not all(isinstance(item, str) for item in claims.values()) \
            or not all(isinstance(rows, list) and all(isinstance(row, str) for row in rows) for rows in lists.values()):
        raise ImproperlyConfigured("desk.toml: [oidc] holds texts, lists of texts, and claims = { name = \"value\" }")
    if not words["issuer"] or not words["client_id"] or not _is_safe(words["issuer"]):
        raise ImproperlyConfigured("desk.toml: [oidc] needs issuer (https://…) and client_id")
    let_in = words["let_in"] or "invited"
    if let_in not in ("invited", "domain") or (let_in == "domain" and not lists["domains"]):
        raise ImproperlyConfigured('desk.toml: [oidc] let_in is "invited", or "domain" together with domains = […]')
    return Service(
        issuer=words["issuer"], client_id=words["client_id"], client_secret=_secret(words), let_in=let_in,
        name=words["name"] or urlsplit(words["issuer"]).hostname or "", name_en=words["name_en"],
        domains=frozenset(domain.lower().lstrip("@") for domain in lists["domains"]), claims=claims,
        organisation=words["organisation"], amr=frozenset(lists["second_factor_amr"]),
        acr=frozenset(lists["second_factor_acr"]))


def _secret(words: Mapping[str, str]) -> str:
    if not words["client_secret_file"]:
        return words["client_secret"]
    try:
        return (Path(settings.DATA) / words["client_secret_file"]).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"desk.toml: [oidc] client_secret_file: {error}") from error


def name() -> str:
    """What the button calls the service; empty without one."""
    known = service()
    if known is None:
        return ""
    return known.name_en if known.name_en and (get_language() or "ja").startswith("en") else known.name


def first_organisation() -> Organisation | None:
    """The organisation that is preset for somebody who came by the service."""
    known = service()
    return Organisation.objects.filter(name=known.organisation).first() if known and known.organisation else None


def begin(known: Service, back: str) -> tuple[str, dict[str, str]]:
    """The service's address to go to, and what the browser's cookie keeps until it is back."""
    held = {"state": secrets.token_urlsafe(32), "nonce": secrets.token_urlsafe(32),
            "verifier": secrets.token_urlsafe(48)}
    hashed = base64.urlsafe_b64encode(hashlib.sha256(held["verifier"].encode()).digest()).decode().rstrip("=")
    asked = {"response_type": "code", "client_id": known.client_id, "redirect_uri": back,
             "scope": "openid email profile", "state": held["state"], "nonce": held["nonce"], "code_challenge": hashed,
             "code_challenge_method": "S256"}
    if known.acr:
        asked["acr_values"] = " ".join(sorted(known.acr))
    address = _endpoint(known, "authorization_endpoint")
    return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}", held


def finish(known: Service, held: Mapping[str, str], answer: Mapping[str, str], back: str) -> Arrived:
    """The person whom the service sent back. Raises Refused. The caller makes sure that the state is used once."""
    if not hmac.compare_digest(answer.get("state", "").encode(), held["state"].encode()):
        raise Refused("state")
    said = answer.get("iss", "")
    if said != known.issuer and (said or _metadata(known).get("authorization_response_iss_parameter_supported")):
        raise Refused("issuer")
    if answer.get("error") or not answer.get("code"):
        raise Refused("not_granted")
    tokens = _exchange(known, answer["code"], held["verifier"], back)
    claims = _checked(known, tokens.get("id_token"), held["nonce"])
    if "email" not in claims and _metadata(known).get("userinfo_endpoint"):
        claims = _with_userinfo(known, claims, str(tokens.get("access_token", "")))
    for wanted, value in known.claims.items():
        found = claims.get(wanted)
        if value not in (found if isinstance(found, list) else [found]):
            raise Refused("claims")
    amr = claims.get("amr") if isinstance(claims.get("amr"), list) else []
    strong = any(isinstance(one, str) and one in known.amr for one in amr) or (
        isinstance(claims.get("acr"), str) and claims["acr"] in known.acr)
    return Arrived(_person(known, claims), strong)


@transaction.atomic
def _person(known: Service, claims: Mapping[str, Any]) -> User:
    subject = claims["sub"]
    linked = Identity.objects.select_related("user").filter(issuer=known.issuer, subject=subject).first()
    if linked is not None:
        if not linked.user.is_active:
            raise Refused("deactivated")
        return linked.user
    email = claims.get("email")
    if not isinstance(email, str) or claims.get("email_verified") not in (True, "true") or email.count("@") != 1:
        raise Refused("email")
    email = UserManager.normalise(email)
    if len(email) > 254 or (known.domains and email.rsplit("@", 1)[1] not in known.domains):
        raise Refused("domain")
    user = User.objects.filter(email=email).first()
    if user is None and known.let_in != "domain":
        raise Refused("not_invited")
    if user is not None and not user.is_active:
        raise Refused("deactivated")
    try:
        with transaction.atomic():
            if user is None:
                called = claims.get("name")
                user = User.objects.create_user(email, None, name=(called if isinstance(called, str) else email)[:100])
                record("system", "person.from_service", f"user:{user.pk}")
            Identity.objects.create(user=user, issuer=known.issuer, subject=subject)
    except IntegrityError as taken:  # the person is somebody else at the service already, or came twice at once
        raise Refused("linked_already") from taken
    record(str(user.pk), "identity.linked", f"user:{user.pk}")
    return user


def _checked(known: Service, token: object, nonce: str) -> dict[str, Any]:
    """The claims of an ID token that is signed by the service, for us, now, and for this very sign-in."""
    if not isinstance(token, str) or len(token) > LONGEST_TOKEN:
        raise Refused("token")
    claims = _signed(known, token)
    now = time.time()
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != known.issuer:
        raise Refused("issuer")
    if known.client_id not in audiences or claims.get("azp", known.client_id) != known.client_id \
            or (len(audiences) > 1 and "azp" not in claims):
        raise Refused("audience")
    if not _is_time(claims.get("exp")) or claims["exp"] + SKEW_S < now:
        raise Refused("expired")
    if not _is_time(claims.get("iat")) or claims["iat"] - SKEW_S > now or (
            "nbf" in claims and (not _is_time(claims["nbf"]) or claims["nbf"] - SKEW_S > now)):
        raise Refused("too_early")
    if not isinstance(claims.get("nonce"), str) or not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()):
        raise Refused("nonce")
    if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
        raise Refused("subject")
    return claims


def _signed(known: Service, token: str) -> dict[str, Any]:
    for fresh in (False, True):  # a service that changed its keys is asked for them once more, not for every token
        keys = _keys(known, fresh=fresh)
        for key in keys:
            try:
                return dict(jwt.decode(token, key, algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
                continue
    raise Refused("signature")


def _keys(known: Service, *, fresh: bool) -> list[Any]:
    found = _get(known, _endpoint(known, "jwks_uri"), fresh=fresh)
    rows = found.get("keys")
    public = [row for row in rows if isinstance(row, dict) and row.get("kty") in ("RSA", "EC", "OKP")
              and row.get("use", "sig") == "sig"] if isinstance(rows, list) else []
    keys: list[Any] = []
    for row in public[:20]:
        try:
            keys += KeySet.import_key_set({"keys": [row]}).keys
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return keys


def _exchange(known: Service, code: str, verifier: str, back: str) -> dict[str, Any]:
    body = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    methods = _metadata(known).get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if known.client_secret and "client_secret_basic" in methods:
        pair = f"{quote(known.client_id, safe='')}:{quote(known.client_secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        body["client_id"] = known.client_id
        if known.client_secret:
            body["client_secret"] = known.client_secret
    return _call("POST", _endpoint(known, "token_endpoint"), headers=headers, body=urlencode(body).encode())


def _with_userinfo(known: Service, claims: dict[str, Any], access: str) -> dict[str, Any]:
    told = _call("GET", _endpoint(known, "userinfo_endpoint"),
                 headers={"Authorization": f"Bearer {access}", "Accept": "application/json"})
    if told.get("sub") != claims["sub"]:
        raise Refused("subject")
    return told | claims


def _metadata(known: Service) -> dict[str, Any]:
    found = _get(known, f"{known.issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != known.issuer:
        raise Refused("issuer")
    return found


def _endpoint(known: Service, which: str) -> str:
    address = _metadata(known).get(which)
    if not isinstance(address, str) or not _is_safe(address):
        raise Refused("metadata")
    return address


_kept: dict[str, tuple[float, dict[str, Any] | None]] = {}  # this process's memory: addresses of one service


def _get(known: Service, address: str, *, fresh: bool = False) -> dict[str, Any]:
    at, found = _kept.get(address, (-KEPT_S, None))
    age_s = time.monotonic() - at
    if age_s < (AGAIN_S if fresh else KEPT_S) and found is not None:
        return found
    if found is None and age_s < FAILED_S and address in _kept:
        raise Refused("unreachable")
    try:
        found = _call("GET", address, headers={"Accept": "application/json"})
    except Refused:
        _kept[address] = (time.monotonic(), None)
        raise
    _kept[address] = (time.monotonic(), found)
    return found


def _call(method: str, address: str, *, headers: dict[str, str], body: bytes | None = None) -> dict[str, Any]:
    try:
        answer = egress.call(method, address, headers=headers, body=body, timeout_s=10, most=200_000)
        found = json.loads(answer.body)
    except egress.Refused as refused:
        raise Refused("unreachable") from refused
    except (ValueError, RecursionError) as broken:
        raise Refused("answer") from broken
    if answer.status != 200 or not isinstance(found, dict):
        raise Refused("answer")
    return found


def _is_safe(address: str) -> bool:
    """HTTPS; plain HTTP only to this machine, for trying out."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    return (parts.scheme == "https" and bool(host)) or (parts.scheme == "http" and _is_this_machine(host))


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11
