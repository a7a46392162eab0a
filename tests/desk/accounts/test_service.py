"""Signing in by the organisation's service, against a provider that listens on loopback and can lie."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.urls import reverse
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from hikeshi_desk.accounts import oidc
from hikeshi_desk.accounts.models import Identity, Role, User
from hikeshi_desk.audit.models import Entry

SERVICE, BACK, SIGN_IN = reverse("accounts:service"), reverse("accounts:service-back"), reverse("accounts:sign-in")
pytestmark = pytest.mark.django_db
KEY, FOREIGN = RSAKey.generate_key(2048, {"kid": "one"}), RSAKey.generate_key(2048, {"kid": "one"})


class Provider:
    """An OpenID provider of this test: checks client, code, redirect address and PKCE, and lies on request."""

    def __init__(self) -> None:
        self.keys, self.key, self.algorithm, self.header = [KEY], KEY, "RS256", {}
        self.lies: dict[str, Any] = {}  # claims to change; None removes one
        self.token: str | None = None  # instead of a signed one
        self.codes: dict[str, dict[str, str]] = {}
        self.calls: list[str] = []
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.calls.append(self.path)
                answer = {"/.well-known/openid-configuration": provider.discovery,
                          "/keys": lambda: {"keys": [key.as_dict(private=False) for key in provider.keys]},
                          "/me": lambda: provider.userinfo}.get(self.path, lambda: None)()
                self.tell(answer, 200 if answer is not None else 404)

            def do_POST(self) -> None:
                provider.calls.append(self.path)
                body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                answer = provider.exchange({key: value[0] for key, value in body.items()}, self.headers["Authorization"])
                self.tell(answer or {"error": "invalid_grant"}, 200 if answer else 400)

            def tell(self, answer: object, status: int) -> None:
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def discovery(self) -> dict[str, Any]:
        return {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys"} | self.metadata

    def grant(self, address: str) -> dict[str, str]:
        """What the browser brings back after the person said yes."""
        asked = {key: value[0] for key, value in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def exchange(self, body: dict[str, str], credentials: str | None) -> dict[str, str] | None:
        asked = self.codes.pop(body.get("code", ""), None)
        hashed = base64.urlsafe_b64encode(hashlib.sha256(body["code_verifier"].encode()).digest()).decode().rstrip("=")
        expected = f"Basic {base64.b64encode(b'hikeshi:s%3Acret').decode()}"
        if asked is None or hashed != asked["code_challenge"] or body["redirect_uri"] != asked["redirect_uri"] \
                or credentials != expected:
            return None
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "hikeshi", "sub": "taro-1", "exp": now + 300, "iat": now,
                  "nonce": asked["nonce"], "email": "taro@example.jp", "email_verified": True, "name": "山田太郎"} | self.lies
        claims = {key: value for key, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "one"} | self.header
        token = self.token or jwt.encode(header, claims, self.key, algorithms=[self.algorithm])
        return {"access_token": "access", "token_type": "Bearer", "id_token": token}


@pytest.fixture
def provider() -> Iterator[Provider]:
    started = Provider()
    yield started
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture
def configure(provider, settings, tmp_path):
    """Write desk.toml; each call has a folder of its own, since the file is read once."""
    def write(**more: object) -> None:
        oidc._kept.clear()
        folder = tmp_path / secrets.token_hex(4)
        folder.mkdir()
        (folder / "secret").write_text("s:cret\n")
        told = {"issuer": provider.issuer, "client_id": "hikeshi", "client_secret_file": "secret", "name": "社内"} | more
        rows = "\n".join(f"{key} = {_toml(value)}" for key, value in told.items() if value is not None)
        (folder / "desk.toml").write_text(f'[egress]\nprivate = ["{provider.issuer}"]\n[oidc]\n{rows}\n', encoding="utf-8")
        settings.DATA = folder
    write()
    return write


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {json.dumps(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _go(client: Client, provider: Provider, *, next: str = "", **changed: str):
    begun = client.get(SERVICE, {"next": next} if next else {})
    assert begun.status_code == 302 and begun.url.startswith(f"{provider.issuer}/authorize?")
    return client.get(BACK, provider.grant(begun.url) | changed)


def _is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def _reason() -> str:
    return Entry.objects.filter(act="sign_in.failed").order_by("-sequence")[0].detail.get("reason", "")


@pytest.fixture
def taro(make_person) -> User:
    return make_person(Role.HANDLER, email="taro@example.jp")


def test_an_invited_person_comes_in_and_is_known_by_subject_afterwards(configure, provider, taro, client):
    assert "社内でサインイン" in client.get(SIGN_IN).content.decode()
    assert _go(client, provider, next="/desk/account/").url == "/desk/account/"
    assert client.session["_auth_user_id"] == str(taro.pk)
    assert client.session["second_factor"] == "", "the service's word is no second factor unless the desk says so"
    identity = Identity.objects.get()
    assert (identity.user, identity.issuer, identity.subject) == (taro, provider.issuer, "taro-1")
    provider.lies = {"email": "renamed@example.jp", "email_verified": False}
    again = Client()
    _go(again, provider)
    assert again.session["_auth_user_id"] == str(taro.pk)
    assert taro.memberships.count() == 1, "no role comes from outside"


def _now(seconds: int):
    """A time beside the moment of the call: the tests before this one may take minutes."""
    return lambda: int(time.time()) + seconds


@pytest.mark.parametrize("lies, reason", [
    ({"nonce": "another"}, "nonce"), ({"nonce": None}, "nonce"), ({"aud": "other"}, "audience"), ({"aud": None}, "audience"),
    ({"aud": ["hikeshi", "other"]}, "audience"), ({"azp": "other"}, "audience"), ({"iss": "http://127.0.0.1:1"}, "issuer"),
    ({"iss": None}, "issuer"), ({"exp": 1}, "expired"), ({"exp": None}, "expired"), ({"exp": "2099"}, "expired"),
    ({"exp": _now(-90)}, "expired"), ({"iat": _now(400)}, "too_early"), ({"iat": None}, "too_early"),
    ({"nbf": _now(400)}, "too_early"), ({"sub": None}, "subject"), ({"sub": 7}, "subject"),
    ({"sub": "x" * 300}, "subject"), ({"email_verified": False}, "email"), ({"email_verified": None}, "email"),
    ({"email": None}, "email"), ({"email": ["taro@example.jp"]}, "email"), ({"email": "nobody@example.jp"}, "not_invited"),
])
def test_a_token_that_says_the_wrong_thing_opens_nothing(configure, provider, taro, client, lies, reason):
    provider.lies = {name: value() if callable(value) else value for name, value in lies.items()}
    answer = _go(client, provider)
    assert answer.status_code == 200 and not _is_in(client)
    assert _reason() == reason
    assert not Identity.objects.exists() and User.objects.count() == 1


@pytest.mark.parametrize("lies", [{"exp": _now(-20)}, {"iat": _now(20)}, {"aud": ["hikeshi"]},
                                  {"aud": ["hikeshi", "other"], "azp": "hikeshi"}])
def test_a_minute_of_skew_and_a_list_of_one_are_fine(configure, provider, taro, client, lies):
    provider.lies = {name: value() if callable(value) else value for name, value in lies.items()}
    _go(client, provider)
    assert _is_in(client)


def _plain(claims: dict[str, Any], header: dict[str, Any], signature: bytes = b"") -> str:
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (
        json.dumps(header).encode(), json.dumps(claims).encode(), signature))


def test_only_the_service_s_own_signature_counts(configure, provider, taro):
    now = int(time.time())
    claims = {"iss": provider.issuer, "aud": "hikeshi", "sub": "x", "exp": now + 300, "iat": now, "nonce": "?",
              "email": "taro@example.jp", "email_verified": True}

    def tries(**how: object) -> None:
        for name, value in {"key": KEY, "algorithm": "RS256", "header": {}, "token": None, **how}.items():
            setattr(provider, name, value)
        client = Client()
        _go(client, provider)
        assert not _is_in(client) and _reason() in ("signature", "token"), how

    tries(key=FOREIGN)
    tries(token=_plain(claims, {"alg": "none"}))
    tries(token=_plain(claims, {"alg": "None", "kid": "one"}, b"x"))
    for secret in (KEY.as_pem(private=False), b"s:cret"):  # the public key, or ours, as a shared secret
        head = _plain(claims, {"alg": "HS256", "kid": "one"}).rstrip(".")
        mac = base64.urlsafe_b64encode(hmac.digest(secret, head.encode(), "sha256")).decode().rstrip("=")
        tries(token=f"{head}.{mac}")
    tries(header={"kid": "one", "jwk": FOREIGN.as_dict(private=False)}, key=FOREIGN)
    tries(token="a.b.c")
    tries(token="." * 30_000)
    tries(token=jwt.encode({"alg": "RS256"}, claims, KEY)[:-8] + "AAAAAAAA")
    client = Client()
    provider.key, provider.algorithm, provider.header, provider.token = KEY, "RS256", {}, None
    _go(client, provider)
    assert _is_in(client), "the service's own key still opens"


def test_a_service_that_changes_its_keys_is_asked_again_but_not_for_every_token(configure, provider, taro, monkeypatch):
    _go(Client(), provider)
    new = ECKey.generate_key("P-256", {"kid": "two"})
    provider.keys, provider.key, provider.algorithm, provider.header = [new], new, "ES256", {"kid": "two"}
    early = Client()
    _go(early, provider)
    monkeypatch.setattr(oidc, "AGAIN_S", 0.0)
    late = Client()
    _go(late, provider)
    assert (_is_in(early), _is_in(late)) == (False, True)
    assert provider.calls.count("/keys") == 2


def test_the_way_back_works_once_and_only_in_the_browser_that_went(configure, provider, taro):
    mine, thief = Client(), Client()
    begun = mine.get(SERVICE)
    answer = provider.grant(begun.url)
    assert thief.get(BACK, answer).status_code == 200 and not _is_in(thief), "login CSRF: no state of its own"
    thief.get(SERVICE)
    thief.get(BACK, answer)
    assert not _is_in(thief) and _reason() == "state"
    held = mine.cookies["service"].value
    assert mine.head(BACK, answer).status_code == 200 and not _is_in(mine), "a look at the headers uses nothing up"
    mine.get(BACK, answer)
    assert _is_in(mine)
    again = Client()
    again.cookies["service"] = held
    again.get(BACK, answer)
    assert not _is_in(again) and _reason() == "replayed"


@pytest.mark.parametrize("changed, reason", [
    ({"state": ""}, "state"), ({"state": "é"}, "state"), ({"code": ""}, "not_granted"), ({"code": "other"}, "answer"),
    ({"iss": "https://evil.example"}, "issuer"), ({"error": "access_denied"}, "not_granted"),
])
def test_a_return_that_was_changed_opens_nothing(configure, provider, taro, client, changed, reason):
    _go(client, provider, **changed)
    assert not _is_in(client) and _reason() == reason


def test_every_refusal_looks_the_same(configure, provider, taro, make_person):
    import re

    gone = make_person(Role.HANDLER, email="gone@example.jp", is_active=False)
    pages = set()
    for lies in ({"email": "nobody@example.jp"}, {"email": gone.email}, {"nonce": "x"}, {"email_verified": False}):
        provider.lies = {name: value() if callable(value) else value for name, value in lies.items()}
        answer = _go(Client(), provider)
        pages.add(re.sub(rb'name="csrfmiddlewaretoken" value="[^"]+"', b"", answer.content))
    assert len(pages) == 1


def test_a_deactivated_person_stays_out_also_when_linked(configure, provider, taro, client):
    _go(client, provider)
    User.objects.update(is_active=False)
    client = Client()
    _go(client, provider)
    assert not _is_in(client) and _reason() == "deactivated"


@pytest.mark.parametrize("target", ["//evil.example/desk/", "https://evil.example/desk/", "/elsewhere/", "javascript:1", "/desk/\n//x"])
def test_the_way_back_leads_nowhere_else(configure, provider, taro, client, target):
    answer = _go(client, provider, next=target)
    assert _is_in(client) and answer.url in ("/desk/", "/desk/%0A//x")


def test_whoever_comes_by_domain_gets_no_role_until_a_lead_gives_one(configure, provider, make_person, the_desk, client):
    configure(let_in="domain", domains=["example.jp"], organisation=the_desk.name)
    provider.lies = {"email": "new@other.example"}
    _go(client, provider)
    assert not _is_in(client) and _reason() == "domain"
    provider.lies = {"email": "ＮＥＷ@Example.jp", "sub": "new"}
    assert _go(client, provider).url == reverse("accounts:me")
    new = User.objects.get(email="new@example.jp")
    assert not new.memberships.exists() and not new.has_usable_password()
    assert client.get("/desk/").status_code == 404
    assert "まだ役割がありません" in client.get(reverse("accounts:me")).content.decode()
    lead = Client()
    lead.force_login(make_person(Role.LEAD))
    page = lead.get(reverse("accounts:person", args=[new.pk])).content.decode()
    assert f'<option value="{the_desk.pk}" selected>' in page


def test_another_subject_can_t_take_a_linked_person_over(configure, provider, taro, client):
    _go(client, provider)
    provider.lies = {"sub": "somebody-else"}
    thief = Client()
    _go(thief, provider)
    assert not _is_in(thief) and _reason() == "linked_already"


def test_a_claim_may_be_required(configure, provider, taro):
    configure(claims={"groups": "csirt"})
    for groups, opens in ((None, False), ("other", False), (["a", "csirts"], False), (["a", "csirt"], True), ("csirt", True)):
        provider.lies = {"groups": groups}
        client = Client()
        _go(client, provider)
        assert _is_in(client) is opens, groups


def test_the_service_s_second_factor_counts_only_where_the_desk_says_so(configure, provider, taro, settings):
    settings.SECOND_FACTOR = "required"
    provider.lies = {"amr": ["pwd", "mfa"], "acr": "strong"}
    client = Client()
    _go(client, provider)
    assert client.get("/desk/").url == reverse("accounts:second-factor")
    for more, says, opens in (({"second_factor_amr": ["mfa"]}, {"amr": ["mfa"]}, True), ({"second_factor_amr": ["mfa"]}, {"amr": ["pwd"]}, False),
                              ({"second_factor_amr": ["mfa"]}, {"amr": "mfa"}, False), ({"second_factor_acr": ["strong"]}, {"acr": "strong"}, True),
                              ({"second_factor_acr": ["strong"]}, {"acr": ["strong"]}, False)):
        configure(**more)
        provider.lies = {"amr": None, "acr": None} | says
        client = Client()
        _go(client, provider)
        assert (client.session["second_factor"] == "service") is opens, (more, says)


def test_a_person_with_an_app_is_asked_for_its_code_after_the_service(configure, provider, taro, client):
    from hikeshi_desk.accounts import totp

    totp.begin(taro)
    secret = totp.secret_of(totp.waiting(taro))
    assert totp.confirm(taro, totp.code_at(secret, int(time.time()) // 30 - 1))
    assert _go(client, provider, next="/desk/account/").url == reverse("accounts:second-step")
    assert not _is_in(client)
    assert client.post(reverse("accounts:second-step"), {"code": totp.code_at(secret, int(time.time()) // 30)}).url == "/desk/account/"


def test_the_address_may_come_from_the_userinfo_of_the_same_person_only(configure, provider, taro):
    provider.metadata = {"userinfo_endpoint": f"{provider.issuer}/me"}
    provider.lies = {"email": None, "email_verified": None}
    provider.userinfo = {"sub": "other", "email": "taro@example.jp", "email_verified": True}
    client = Client()
    _go(client, provider)
    assert not _is_in(client) and _reason() == "subject"
    provider.userinfo |= {"sub": "taro-1"}
    _go(client, provider)
    assert _is_in(client)


def test_a_service_that_is_not_there_or_not_itself_is_told_calmly(configure, provider, taro, client):
    provider.metadata = {"issuer": "https://other.example"}
    assert "サインインできません" in client.get(SERVICE).content.decode()
    oidc._kept.clear()
    provider.metadata = {"token_endpoint": "http://192.0.2.1/token"}
    _go(client, provider)
    assert not _is_in(client) and _reason() == "metadata"
    configure(issuer="https://not-allowed.example")
    assert "サインインできません" in client.get(SERVICE).content.decode(), "egress did not allow that host"


def test_without_the_table_there_is_no_service(client, settings, tmp_path):
    settings.DATA = tmp_path
    assert client.get(SERVICE).status_code == client.get(BACK).status_code == 404


@pytest.mark.parametrize("wrong", [
    {"issuer": None}, {"client_id": None}, {"issuer": "http://login.example.jp"}, {"colour": "red"}, {"let_in": "all"},
    {"let_in": "domain"}, {"domains": "example.jp"}, {"claims": {"a": 1}}, {"client_secret_file": "missing"},
])
def test_a_mistake_in_the_file_is_an_error_and_not_an_open_door(configure, wrong):
    configure(**wrong)
    with pytest.raises(ImproperlyConfigured):
        oidc.service()


def test_it_works_with_a_provider_that_somebody_else_wrote(settings, tmp_path, taro, client):
    warnings.simplefilter("ignore")  # the provider's own
    mock = pytest.importorskip("oidc_provider_mock")
    import http.client

    with mock.run_server_in_thread() as server:
        issuer = f"http://localhost:{server.server_port}"
        oidc._kept.clear()
        (tmp_path / "desk.toml").write_text(
            f'[egress]\nprivate = ["{issuer}"]\n[oidc]\nissuer = "{issuer}"\nclient_id = "hikeshi"\nclient_secret = "x"\n')
        settings.DATA = tmp_path
        calls = http.client.HTTPConnection("localhost", server.server_port, timeout=10)
        claims = json.dumps({"email": "taro@example.jp", "email_verified": True})
        calls.request("PUT", "/users/taro", claims, {"Content-Type": "application/json"})
        assert calls.getresponse().read() is not None
        begun = client.get(SERVICE)
        calls.request("POST", begun.url.removeprefix(issuer), "sub=taro", {"Content-Type": "application/x-www-form-urlencoded"})
        sent = calls.getresponse()
        sent.read()
        client.get(BACK, {key: value[0] for key, value in parse_qs(urlsplit(sent.headers["Location"]).query).items()})
        calls.close()
    assert client.session["_auth_user_id"] == str(taro.pk)
