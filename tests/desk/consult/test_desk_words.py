"""The operator's own words about the desk."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from hikeshi_desk import config
from hikeshi_desk.consult.desk import desk


@pytest.fixture
def own_words(tmp_path, settings):
    settings.DATA = tmp_path

    def write(content: str) -> None:
        config.load.cache_clear()
        (tmp_path / "desk.toml").write_text(content, encoding="utf-8")

    yield write
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
                                   "[emergency]\nfone = '1'", "[name]\nja = ['a']\nen = ['b']", "[does", "[name]\nja = ''\nen = 'b'"])
def test_a_mistake_in_the_file_stops_the_start(own_words, wrong):
    own_words(wrong)
    with pytest.raises(ImproperlyConfigured, match="desk.toml"):
        desk()
