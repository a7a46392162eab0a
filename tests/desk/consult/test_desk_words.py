"""The operator's own words about the desk."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk import config
from hikeshi_desk.accounts.models import Organisation
from hikeshi_desk.consult.desk import desk

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 50


@pytest.fixture
def own_words(tmp_path, settings):
    settings.DATA = tmp_path

    def write(content: str) -> None:
        config.load.cache_clear()
        (tmp_path / "desk.toml").write_text(content, encoding="utf-8")

    cache.clear()
    yield write
    cache.clear()
    config.load.cache_clear()


def test_without_a_file_the_desk_has_its_own_words(own_words):
    config.load.cache_clear()
    assert desk().phone == ""
    assert len(desk().does) == 5
    assert all(desk().information)


def test_the_operator_says_name_phone_and_lists(own_words):
    own_words('[emergency]\nphone = "03-1234-5678"\n[does]\nja = ["聞きます"]\nen = ["We listen"]\n'
              '[name]\nja = "市の窓口"\nen = "City desk"\n')
    assert (desk().phone, desk().phone_link) == ("03-1234-5678", "tel:0312345678")
    assert (desk().name, desk().does) == ("市の窓口", ("聞きます",))
    assert desk().emergency
    assert len(desk().does_not) == 3


def test_the_tables_of_other_parts_do_not_disturb(own_words):
    own_words('[mail]\naddress = "desk@example.org"\n[name]\nja = "市の窓口"\nen = "City desk"\n')
    assert desk().name == "市の窓口"


@pytest.mark.parametrize("wrong", ["[does]\nja = ['a']", "[does]\nja = 'a'\nen = 'b'", "[dose]\nja = ['a']\nen = ['b']",
                                   "[emergency]\nfone = '1'", "[hours]\nja = 'x'", "[logo]\nfile = '../x.png'",
                                   "[logo]\nfile = 'missing.png'", "[logo]\nja = 'x'", "[name]\nja = ['a']\nen = ['b']", "[does", "[name]\nja = ''\nen = 'b'"])
def test_a_mistake_in_the_file_stops_the_start(own_words, wrong):
    own_words(wrong)
    with pytest.raises(ImproperlyConfigured, match="desk.toml"):
        desk()


def test_hours_cost_privacy_and_an_urgent_address_are_the_operator_s(own_words, client):
    own_words('[hours]\nja = "平日9時から17時"\nen = "Weekdays 9 to 5"\n[cost]\nja = "有料です"\nen = "At a fee"\n'
              '[privacy]\nja = ["五年で消します"]\nen = ["Deleted after five years"]\n[emergency]\nmail = "now@example.jp"\n')
    page = client.get("/").content.decode()
    for word in ("平日9時から17時", "有料です", "mailto:now@example.jp"):
        assert word in page
    assert "五年で消します" in client.get("/privacy/").content.decode()


@pytest.mark.parametrize(("content", "is_good"), [
    (PNG, True), (b"\xff\xd8\xff\xe0 jpeg", True), (b"<svg onload='alert(1)'/>", False), (b"GIF89a", False), (b"", False),
    (PNG + b"\0" * 200_000, False)])
def test_a_logo_is_a_picture_and_nothing_else(own_words, tmp_path, client, content, is_good):
    (tmp_path / "logo.png").write_bytes(content)
    own_words('[logo]\nfile = "logo.png"\n')
    if not is_good:
        with pytest.raises(ImproperlyConfigured, match="PNG, JPEG or WebP"):
            desk()
        return
    assert '<img class="logo"' in client.get("/").content.decode()
    answer = client.get("/logo/")
    assert answer.content == content and answer["Content-Type"] in ("image/png", "image/jpeg")


def test_without_a_logo_there_is_none(own_words, client):
    own_words("")
    assert client.get("/logo/").status_code == 404
    assert '<img class="logo"' not in client.get("/").content.decode()


def test_the_name_of_the_set_up_is_the_desk_s_until_the_operator_says_another(own_words, client):
    own_words("")
    assert desk().name == "インシデント相談窓口"
    Organisation.objects.create(name="市の相談窓口", name_en="City desk", is_desk=True)
    cache.clear()
    assert "市の相談窓口" in client.get("/").content.decode()
    client.cookies["django_language"] = "en"
    assert "City desk" in client.get("/").content.decode()
