"""The form in which values are compared."""

import pytest

from hikeshi.indicators import normalise, refang


@pytest.mark.parametrize(("written", "kind", "value"), [
    ("Evil.EXAMPLE.", "domain", "evil.example"),
    ("*.evil.example", "domain", "evil.example"),
    ("evil[.]example", "domain", "evil.example"),
    ("例え.jp", "domain", "xn--r8jz45g.jp"),
    ("srv01.corp.local", "domain", "srv01.corp.local"),
    ("HTTP://Evil.Example:80/Path?Q=1", "url", "http://evil.example/Path?Q=1"),
    ("https://evil.example:443", "url", "https://evil.example"),
    ("https://evil.example:8443/", "url", "https://evil.example:8443/"),
    ("hxxp://evil[.]example/a", "url", "http://evil.example/a"),
    ("evil.example/a/b", "url", "evil.example/a/b"),
    ("203.0.113.9", "ipv4", "203.0.113.9"),
    ("203.0.113.9:443", "ipv4", "203.0.113.9"),
    ("203[.]0[.]113[.]9", "ipv4", "203.0.113.9"),
    ("::ffff:203.0.113.9", "ipv4", "203.0.113.9"),
    ("203.0.113.77/24", "cidr", "203.0.113.0/24"),
    ("203.0.113.77/32", "ipv4", "203.0.113.77"),
    ("2001:0DB8::0005", "ipv6", "2001:db8::5"),
    ("[2001:db8::5]:443", "ipv6", "2001:db8::5"),
    ("2001:db8::/32", "cidr", "2001:db8::/32"),
    ("Who@Evil.Example", "email", "who@evil.example"),
    ("D41D8CD98F00B204E9800998ECF8427E", "md5", "d41d8cd98f00b204e9800998ecf8427e"),
    ("cve-2024-3400", "cve", "CVE-2024-3400"),
    ("BC1QAR0SRRR7XFKVY5L643LYDNW9RE59GTZZWF5MDQ", "btc", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
])
def test_a_value_takes_its_comparable_form(written, kind, value):
    found = normalise(written)
    assert found is not None
    assert (found.type, found.value, found.written) == (kind, value, written)


@pytest.mark.parametrize("written", [
    "", " ", "evil", "cmd.exe", "1.2.3", "1.2.3.4.5", "203.0.113.9/33", "999.1.1.1", "a b.example", "-evil.example",
    "evil..example", "a" * 64 + ".example", "http://", "http:///path", "@evil.example", "who@", "who@evil", "evil\x00.example",
    "g" * 32, "1" * 32, "CVE-99-1", "x" * 9000,
])
def test_what_is_no_indicator_gives_none(written):
    assert normalise(written) is None


def test_a_named_type_is_the_only_one_tried():
    assert normalise("203.0.113.9", "domain").type == "ipv4"  # lists call addresses hosts
    assert normalise("name.unknowntld", "domain").value == "name.unknowntld"
    assert normalise("name.unknowntld") is None
    assert normalise("evil.example", "sha256") is None
    assert normalise("evil.example", "windows-registry-key") is None
    assert normalise("evil.example", "domain-name").type == "domain"


def test_refang_leads_every_place_back():
    text = "は hxxp[:]//evil[.]example/a。次"
    view = refang(text)
    at = view.text.index("http://evil.example/a")
    assert text[view.start(at):view.end(at + len("http://evil.example/a"))] == "hxxp[:]//evil[.]example/a"
    assert view.touched(at, at + 7)
    assert not view.touched(0, 1)


def test_refang_leaves_ordinary_brackets_and_full_stops():
    for text in ("配列[0]と（注）", "終わり。次は10件", "a (b) c", "f(x).y"):
        assert refang(text).text == text or "(" not in text
    assert refang("10.0.0.5。198.51.100.3").text == "10.0.0.5。198.51.100.3"
    assert refang("evil。example").text == "evil.example"
