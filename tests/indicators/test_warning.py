"""Marks from the MISP warning lists."""

import orjson
import pytest

from hikeshi.indicators import warning, warning_lists


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HIKESHI_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.mark.parametrize(("kind", "value", "name"), [
    ("ipv4", "8.8.8.8", "public-dns-v4"), ("ipv4", "10.1.2.3", "rfc1918"), ("cidr", "10.0.0.0/16", "rfc1918"),
    ("ipv6", "2001:db8::1", "rfc3849"), ("domain", "www.google.com", "google"), ("url", "https://bit.ly/abc", "url-shortener"),
    ("md5", "d41d8cd98f00b204e9800998ecf8427e", "empty-hashes"), ("email", "a@mailinator.com", "disposable-email"),
    ("email", "abuse@somewhere.example", "common-contact-emails"),
])
def test_a_listed_value_is_marked(kind, value, name):
    assert name in warning_lists().of(kind, value)


@pytest.mark.parametrize(("kind", "value"), [
    ("domain", "evil.example"), ("domain", "notgoogle.com.evil.example"), ("ipv4", "11.1.2.3"), ("cidr", "0.0.0.0/0"),
    ("md5", "ab" * 16), ("email", "who@evil.example"), ("cve", "CVE-2024-3400"), ("domain", "evil.com"), ("url", "http://evil.example/bit.ly/"),
])
def test_other_values_are_not(kind, value):
    assert warning_lists().of(kind, value) == ()


def make(folder, name, way, values, attributes=("domain", "ip-dst")):
    (folder / name).mkdir()
    (folder / name / "list.json").write_bytes(orjson.dumps({"list": values, "type": way, "matching_attributes": attributes}))


def test_each_kind_of_list_matches_in_its_own_way(tmp_path):
    make(tmp_path, "exact", "string", ["One.Example"])
    make(tmp_path, "below", "hostname", [".two.example"])
    make(tmp_path, "part", "substring", ["three"])
    make(tmp_path, "net", "cidr", ["192.0.2.0/24", "192.0.2.0/28", "not a net"])
    make(tmp_path, "small", "cidr", ["192.0.2.0/28", "192.0.2.64/28"])
    make(tmp_path, "regex", "regex", ["/(a+)+$/"])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "list.json").write_text("{")
    lists = warning.WarningLists(warning._build(tmp_path))
    assert lists.of("domain", "one.example") == ("exact",)
    assert lists.of("domain", "a.one.example") == ()
    assert lists.of("domain", "a.two.example") == lists.of("domain", "two.example") == ("below",)
    assert lists.of("domain", "nottwo.example") == ()
    assert lists.of("domain", "xthreex.example") == ("part",)
    assert lists.of("ipv4", "192.0.2.200") == lists.of("cidr", "192.0.2.0/25") == ("net",)
    assert lists.of("ipv4", "192.0.2.70") == ("net", "small")
    assert lists.of("ipv4", "192.0.3.1") == lists.of("cidr", "192.0.0.0/16") == ()
    assert lists.of("domain", "aaaa") == ()


def test_a_list_marks_only_the_types_it_is_for(tmp_path):
    make(tmp_path, "hashes", "string", ["evil.example"], ["md5"])
    assert warning.WarningLists(warning._build(tmp_path)).of("domain", "evil.example") == ()
