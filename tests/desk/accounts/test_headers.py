"""The same protection on every answer, and errors that tell nothing."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from hikeshi_desk.accounts.models import Role

EXPECTED = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
}
pytestmark = pytest.mark.django_db


def _broken(request: HttpRequest) -> None:
    raise RuntimeError("SECRET in a traceback")


@pytest.fixture
def answers(make_person, settings, monkeypatch):
    from hikeshi_desk.accounts.urls import urlpatterns

    client = Client(raise_request_exception=False)
    client.force_login(make_person(Role.LEAD))
    checked = Client(enforce_csrf_checks=True)
    found = {
        200: client.get(reverse("accounts:me")), 302: Client().get(reverse("accounts:me")),
        405: client.get(reverse("accounts:end-sessions")), 404: client.get("/no/such/page/"),
        403: checked.post(reverse("accounts:sign-in")), 400: client.get("/", headers={"Host": "evil.example"}),
        "static": client.get("/static/css/tokens.css"), "no static": client.get("/static/none.css"),
    }
    sign_in = next(entry for entry in urlpatterns if entry.name == "sign-in")
    monkeypatch.setattr(sign_in, "callback", _broken)
    found[500] = Client(raise_request_exception=False).get(reverse("accounts:sign-in"))
    return found


def test_every_answer_has_every_header(answers):
    for kind, answer in answers.items():
        if isinstance(kind, int):
            assert answer.status_code == kind
        for name, value in EXPECTED.items():
            assert answer.headers.get(name) == value, (kind, name)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy, kind
        if kind != "static":
            assert answer.headers["Cache-Control"] == "no-store", kind
        assert "Access-Control-Allow-Origin" not in answer.headers, kind


def test_an_error_is_told_in_both_languages_and_tells_nothing_else(answers):
    for kind, words in {400: "This request can&#x27;t be handled", 403: "expired", 404: "not found", 500: "on our side"}.items():
        page = answers[kind].content.decode()
        assert words in page and 'lang="en"' in page and 'lang="ja"' in page
        for secret in ("SECRET", "Traceback", "RuntimeError", "evil.example", "/no/such/page", "csrf", "Django"):
            assert secret not in page, (kind, secret)


def test_an_error_page_is_the_same_for_everybody(make_person):
    client = Client()
    client.force_login(make_person(Role.LEAD))
    pages = {c.get(path, headers={"Accept-Language": "ja"}).content for c in (client, Client())
             for path in ("/a/", "/desk/account/b/")}
    assert len(pages) == 1


def test_no_token_of_a_link_reaches_a_log(caplog):
    from hikeshi_desk.accounts.links import setup_link

    path = setup_link()
    caplog.set_level("WARNING")
    Client(enforce_csrf_checks=True).post(path, {})
    Client().put(path)
    Client().get(path.replace("/link/", "/link/z"))
    assert path.split("/")[-2] not in caplog.text
