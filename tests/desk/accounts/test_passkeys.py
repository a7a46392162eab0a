"""Passkeys in a real browser with a virtual authenticator: made, used, and refused when anything is not right."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hikeshi_desk.accounts import attempts, passkeys
from hikeshi_desk.accounts.models import Passkey, RecoveryCode, Role, User
from hikeshi_desk.audit.models import Entry

PASSWORD = "a long enough passphrase"
SIGN_IN, LIST, ADD = reverse("accounts:sign-in"), reverse("accounts:passkeys"), reverse("accounts:passkey-add")
CHROMIUM = shutil.which("chromium")
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)")


class Window:
    """One browser window with an authenticator of its own; `post` sends its answer by hand."""

    def __init__(self, page: Any, url: str) -> None:
        self.page, self.url = page, url
        self.devtools = page.context.new_cdp_session(page)
        self.devtools.send("WebAuthn.enable")
        self.authenticator = self.devtools.send("WebAuthn.addVirtualAuthenticator", {"options": {
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
            "isUserVerified": True, "automaticPresenceSimulation": True}})["authenticatorId"]
        self.problems: list[str] = []
        page.on("console", lambda told: self.problems.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: self.problems.append(str(error)))

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def sign_in(self, email: str) -> None:
        self.open(SIGN_IN)
        self.page.fill("[name=email]", email)
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("main form:not([data-passkey]) button")

    def register(self, name: str) -> None:
        self.open(ADD)
        self.page.fill("[name=name]", name)
        self.press("new")

    def press(self, purpose: str) -> None:
        with self.page.expect_navigation():
            self.page.click(f"form[data-passkey={purpose}] button")

    def by_passkey(self) -> None:
        self.open(SIGN_IN)
        self.press("alone")

    def sign_out(self) -> None:
        self.page.click("form[action$='/sign-out/'] button")
        self.page.wait_for_url("**/sign-in/")

    @property
    def path(self) -> str:
        return self.page.evaluate("location.pathname")

    @property
    def keys(self) -> list[dict[str, Any]]:
        return self.devtools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})["credentials"]

    def catch(self, purpose: str = "alone") -> dict[str, Any]:
        """The device's answer, caught before it is sent."""
        self.page.evaluate("""() => { HTMLFormElement.prototype.submit = function () {
            window.caught = this.elements.passkey.value; }; delete window.caught; }""")
        self.page.click(f"form[data-passkey={purpose}] button")
        for _ in range(200):  # not wait_for_function: the content policy allows no eval
            if self.page.evaluate("!!window.caught"):
                break
            self.page.wait_for_timeout(50)
        return json.loads(self.page.evaluate("window.caught"))

    def post(self, answer: dict[str, Any] | str, where: str = "accounts:sign-in-passkey") -> Any:
        """Send an answer with this window's cookies, and look at what comes."""
        cookies = {row["name"]: row["value"] for row in self.page.context.cookies()}
        client = Client()
        for name, value in cookies.items():
            client.cookies[name] = value
        return client, client.post(reverse(where), {"passkey": answer if isinstance(answer, str) else json.dumps(answer)},
                                   headers={"Host": self.url.removeprefix("http://")})


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def window(chromium, live_server, transactional_db) -> Iterator[Window]:
    context = chromium.new_context(locale="ja-JP")
    yield Window(context.new_page(), live_server.url)
    context.close()


@pytest.fixture
def taro(make_person) -> User:
    return make_person(Role.HANDLER, email="taro@example.jp", name="山田太郎")


@pytest.fixture
def known(window, taro) -> Window:
    """A window whose device holds one passkey of Tarō's, signed out again."""
    window.sign_in("taro@example.jp")
    window.register("机のキー")
    window.sign_out()
    return window


@in_browser
def test_a_passkey_is_registered_named_and_opens_the_desk_alone(window, taro):
    window.sign_in("taro@example.jp")
    window.register("机のキー")
    assert len(window.page.query_selector_all("main li code")) == 10, "the first one comes with recovery codes"
    window.open(LIST)
    assert "机のキー" in window.page.inner_text("main")
    [key] = window.keys
    assert key["isResidentCredential"] and key["rpId"] == "localhost"
    window.sign_out()
    window.by_passkey()
    assert window.path == "/desk/"
    entry = Entry.objects.filter(act="sign_in").order_by("-sequence")[0]
    assert (entry.actor, entry.detail) == (str(taro.pk), {"second_factor": "passkey"})
    strange = [told for told in window.problems if "404" not in told]  # favicon.ico
    assert not strange, "no script error, no breach of the content policy"
    kept = Passkey.objects.get()
    assert kept.used_at and kept.counter >= 1


@in_browser
def test_the_same_device_is_not_registered_twice_and_another_one_is(known, taro, chromium):
    known.sign_in("taro@example.jp")
    known.press("second")
    assert known.path == "/desk/"
    known.open(ADD)
    known.page.fill("[name=name]", "もう一つ")
    known.page.click("form[data-passkey=new] button")
    known.page.wait_for_selector("[data-told]:visible")
    assert Passkey.objects.count() == 1
    known.devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": known.authenticator})
    Window(known.page, known.url).register("予備")
    assert set(Passkey.objects.values_list("name", flat=True)) == {"机のキー", "予備"}


@in_browser
def test_after_the_password_a_passkey_or_a_recovery_code_is_asked_for(known, taro):
    known.sign_in("taro@example.jp")
    assert known.path == reverse("accounts:second-step")
    known.open("/desk/")
    assert known.path == SIGN_IN, "half way is not in"
    known.sign_in("taro@example.jp")
    known.press("second")
    assert known.path == "/desk/"
    assert Entry.objects.filter(act="sign_in").order_by("-sequence")[0].detail == {"second_factor": "passkey"}
    assert RecoveryCode.objects.filter(user=taro).count() == 10


@in_browser
def test_removing_asks_again_and_a_removed_passkey_opens_nothing(known, taro):
    known.by_passkey()
    passkey = Passkey.objects.get()
    remove = reverse("accounts:passkey-remove", args=[passkey.pk])
    known.open(remove)
    known.page.fill("[name=current]", "a wrong passphrase")
    known.page.click("main form:not([data-passkey]) button")
    assert Passkey.objects.count() == 1
    known.press("again")  # the passkey itself is a proof as well
    assert known.path == LIST
    assert not Passkey.objects.exists() and not RecoveryCode.objects.exists()
    known.sign_out()
    known.open(SIGN_IN)
    known.page.click("form[data-passkey=alone] button")
    known.page.wait_for_selector("[role=alert] >> text=パスキーを確認できません")
    known.open("/desk/")
    assert known.path == SIGN_IN


@in_browser
def test_a_replayed_tampered_or_strange_answer_is_refused_and_a_right_one_is_not(known, taro, make_person, monkeypatch):
    monkeypatch.setattr(attempts, "PER_ACCOUNT", 1000)
    other = make_person(Role.HANDLER, email="hanako@example.jp")

    def flipped(answer, part):
        text = answer["response"][part]
        place = len(text) // 2
        return answer | {"response": answer["response"] | {part: text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1:]}}

    def said(answer, **changed):
        data = json.loads(_bytes(answer["response"]["clientDataJSON"]))
        return answer | {"response": answer["response"] | {"clientDataJSON": _text(json.dumps(data | changed).encode())}}

    known.open(SIGN_IN)
    answer = known.catch()
    for bad in (flipped(answer, "signature"), flipped(answer, "authenticatorData"), flipped(answer, "clientDataJSON"),
                said(answer, origin="https://evil.example"), said(answer, origin="http://localhost"),
                said(answer, type="webauthn.create"), said(answer, challenge="A" * 43),
                answer | {"rawId": _text(b"x" * 32), "id": _text(b"x" * 32)},
                answer | {"response": answer["response"] | {"userHandle": _text(other.pk.bytes)}},
                "", "{}", "[]", "null", "\0", "{" * 5000, json.dumps({"rawId": 5}), json.dumps(answer | {"response": None})):
        client, page = known.post(bad)
        assert page.status_code == 200 and "_auth_user_id" not in client.session, bad
    client, page = known.post(answer)
    assert page.status_code == 302 and client.session["_auth_user_id"] == str(taro.pk), "untouched it was a right one"
    assert client.session["second_factor"] == "passkey"
    client, page = known.post(answer)
    assert page.status_code == 200 and "_auth_user_id" not in client.session, "once"


@in_browser
def test_an_answer_is_good_for_its_purpose_its_browser_and_five_minutes(known, taro, monkeypatch):
    monkeypatch.setattr(attempts, "PER_ACCOUNT", 1000)
    known.open(SIGN_IN)
    answer = known.catch()
    bare = Client()
    bare.post(reverse("accounts:sign-in-passkey"), {"passkey": json.dumps(answer)},
              headers={"Host": known.url.removeprefix("http://")})
    assert "_auth_user_id" not in bare.session, "without the browser's challenge"
    half = Client()
    half.post(SIGN_IN, {"email": "taro@example.jp", "password": PASSWORD})
    half.cookies["passkey"] = {row["name"]: row["value"] for row in known.page.context.cookies()}["passkey"]
    half.post(reverse("accounts:second-step-passkey"), {"passkey": json.dumps(answer)},
              headers={"Host": known.url.removeprefix("http://")})
    assert "_auth_user_id" not in half.session, "a challenge for signing in alone is none for the second step"
    known.open(SIGN_IN)
    answer = known.catch()
    loads = signing.loads
    monkeypatch.setattr(signing, "loads", lambda *given, **more: loads(*given, **more | (
        {"max_age": -1} if more.get("salt") == passkeys._SALT else {})))
    client, _ = known.post(answer)
    assert "_auth_user_id" not in client.session, "too late"


@in_browser
def test_a_counter_that_goes_back_stops_the_passkey_and_says_so(known, taro):
    known.by_passkey()
    Passkey.objects.update(counter=1_000_000)  # as if a copy had been used elsewhere meanwhile
    known.sign_out()
    known.open(SIGN_IN)
    known.page.click("form[data-passkey=alone] button")
    known.page.wait_for_selector("[role=alert] >> text=パスキーを確認できません")
    assert Passkey.objects.get().stopped_at
    assert Entry.objects.filter(act="passkey.stopped", subject=f"user:{taro.pk}").count() == 1
    known.sign_in("taro@example.jp")
    known.open(LIST)
    assert "複製された可能性" in known.page.inner_text("main")


@in_browser
def test_an_unverified_holder_or_a_deactivated_person_is_refused(known, taro):
    known.devtools.send("WebAuthn.setUserVerified", {"authenticatorId": known.authenticator, "isUserVerified": False})
    known.open(SIGN_IN)
    known.page.click("form[data-passkey=alone] button")
    known.page.wait_for_selector("[data-told]:visible")
    known.devtools.send("WebAuthn.setUserVerified", {"authenticatorId": known.authenticator, "isUserVerified": True})
    answer = known.catch()
    User.objects.update(is_active=False)
    client, page = known.post(answer)
    assert page.status_code == 200 and "_auth_user_id" not in client.session


@in_browser
def test_failed_passkey_tries_are_counted_with_the_passwords(known, taro):
    known.open(SIGN_IN)
    answer = known.catch()
    bad = answer | {"response": answer["response"] | {"signature": _text(b"\x30\x06\x02\x01\x01\x02\x01\x01")}}
    known.page.context.clear_cookies(name="device")
    for _ in range(attempts.PER_ACCOUNT):
        known.post(bad)
    client, page = known.post(answer)
    assert page.status_code == 200 and "_auth_user_id" not in client.session, "the right one has to wait"
    page = Client().post(SIGN_IN, {"email": "taro@example.jp", "password": PASSWORD})
    assert page.status_code == 200, "and so has the password"


@pytest.mark.django_db
@pytest.mark.parametrize("host, https, offered", [
    ("localhost", False, True), ("localhost:8000", False, True), ("desk.example.jp", True, True),
    ("desk.example.jp", False, False), ("127.0.0.1", False, False), ("127.0.0.1", True, False), ("[::1]", True, False),
])
def test_passkeys_are_offered_only_where_browsers_have_them(settings, host, https, offered):
    settings.ALLOWED_HOSTS = ["localhost", "desk.example.jp", "127.0.0.1", "[::1]"]
    settings.HTTPS = https
    client = Client(headers={"Host": host})
    assert (b"data-passkey" in client.get(SIGN_IN).content) is offered
    answer = client.post(reverse("accounts:passkey-ask", args=["alone"]))
    assert answer.status_code == (200 if offered else 404)
    if offered:
        told = answer.json()["publicKey"]
        assert told["rpId"] == host.split(":")[0] and told["userVerification"] == "required"
        assert not told.get("allowCredentials"), "whoever asks learns nobody's keys"


@pytest.mark.django_db
def test_nobody_is_told_options_that_are_not_theirs(make_person):
    client = Client(headers={"Host": "localhost"})
    for purpose in ("second", "again", "new", "other"):
        assert client.post(reverse("accounts:passkey-ask", args=[purpose])).status_code == 404
    client.force_login(make_person())
    for purpose, status in (("alone", 200), ("again", 200), ("new", 200), ("second", 404)):
        assert client.post(reverse("accounts:passkey-ask", args=[purpose])).status_code == status
    assert client.get(reverse("accounts:passkey-ask", args=["alone"])).status_code == 405


@pytest.mark.django_db
def test_a_stolen_session_can_t_register_a_passkey_later_on(make_person, monkeypatch):
    client = Client(headers={"Host": "localhost"})
    client.force_login(make_person())
    assert re.search(rb"data-passkey=.new", client.get(ADD).content)
    now = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(minutes=6))
    assert not re.search(rb"data-passkey=.new", client.get(ADD).content)
    assert client.post(reverse("accounts:passkey-ask", args=["new"])).status_code == 404


@pytest.mark.django_db
def test_somebody_else_s_passkey_is_none(client, make_person):
    mine, theirs = make_person(), make_person()
    passkey = Passkey.objects.create(user=theirs, name="CANARY", rp_id="localhost", key_id="x", credential=b"x")
    client.force_login(mine)
    for name in ("passkey", "passkey-remove"):
        path = reverse(f"accounts:{name}", args=[passkey.pk])
        assert client.get(path).status_code == client.post(path, {"name": "mine", "current": PASSWORD}).status_code == 404
    assert b"CANARY" not in client.get(LIST).content
    assert Passkey.objects.get().name == "CANARY"


@pytest.mark.django_db
def test_renaming_keeps_the_key_and_shows_text_only(client, make_person):
    user = make_person()
    passkey = Passkey.objects.create(user=user, name="old", rp_id="localhost", key_id="x", credential=b"x")
    client.force_login(user)
    path = reverse("accounts:passkey", args=[passkey.pk])
    assert client.post(path, {"name": ""}).status_code == 200
    assert client.post(path, {"name": "x", "counter": "9"}).status_code == 200, "an unknown field is refused"
    assert client.post(path, {"name": "<b>新しい</b>"}).status_code == 302
    assert b"&lt;b&gt;" in client.get(LIST).content
    assert Passkey.objects.get().key_id == "x"


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
