"""What is found in a text, and what is left alone."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.indicators import extract, normalise


def found(text):
    return [(f.type, f.value) for f in extract(text)]


@pytest.mark.parametrize(("text", "expected"), [
    # No blank before or after: Japanese prose.
    ("端末から203.0.113.77へ通信した。", [("ipv4", "203.0.113.77")]),
    ("続いてhxxp://bad.example.net/aを開き、", [("url", "http://bad.example.net/a")]),
    ("接続先は、bad.example.netです", [("domain", "bad.example.net")]),
    ("「bad.example.net」と『203.0.113.9』", [("domain", "bad.example.net"), ("ipv4", "203.0.113.9")]),
    ("宛先は203.0.113.7。RDPで侵入", [("ipv4", "203.0.113.7")]),
    # Full width.
    ("２０３．０．１１３．５へ", [("ipv4", "203.0.113.5")]),
    ("ｂａｄ．ｅｘａｍｐｌｅ．ｎｅｔ", [("domain", "bad.example.net")]),
    ("ｈｔｔｐｓ：／／ｂａｄ．ｅｘａｍｐｌｅ．ｎｅｔ／ａ", [("url", "https://bad.example.net/a")]),
    ("攻撃者＠bad.example.net", []),
    ("attacker＠bad.example.net", [("email", "attacker@bad.example.net")]),
    # Defanged.
    ("bad[.]example[.]net", [("domain", "bad.example.net")]),
    ("bad(dot)example{.}net", [("domain", "bad.example.net")]),
    ("bad [.] example [.] net", [("domain", "bad.example.net")]),
    ("bad［．］example【.】net", [("domain", "bad.example.net")]),
    ("bad[。]example。net", [("domain", "bad.example.net")]),
    ("bad\\.example\\.net", [("domain", "bad.example.net")]),
    ("hxxps[:]//bad[.]example[.]net[/]a", [("url", "https://bad.example.net/a")]),
    ("hXXp://203[.]0[.]113[.]9:8080/a", [("url", "http://203.0.113.9:8080/a")]),
    ("ttp://bad.example.net/", [("url", "http://bad.example.net/")]),
    ("fxp://bad.example.net/x", [("url", "ftp://bad.example.net/x")]),
    ("who[at]bad[.]example[.]net", [("email", "who@bad.example.net")]),
    ("203.0.113[.]0/24", [("cidr", "203.0.113.0/24")]),
    ("2001[:]db8[:][:]5", [("ipv6", "2001:db8::5")]),
    ("bad\u200b.example\u200b.net", [("domain", "bad.example.net")]),
    # Where a URL ends.
    ("(http://bad.example.net/a_(1).html)。", [("url", "http://bad.example.net/a_(1).html")]),
    ("（http://bad.example.net/a）", [("url", "http://bad.example.net/a")]),
    ("http://bad.example.net/a.exeから取得", [("url", "http://bad.example.net/a.exe")]),
    ("http://bad.example.net/資料/見積.zipを取得", [("url", "http://bad.example.net/資料/見積.zip")]),
    ("http://bad.example.net/が記載", [("url", "http://bad.example.net/")]),
    ("http://a.example/x,http://b.example/y", [("url", "http://a.example/x"), ("url", "http://b.example/y")]),
    ("http://u:p@bad.example.net:8080/a?b=c#d.", [("url", "http://u:p@bad.example.net:8080/a?b=c#d")]),
    ("http://[2001:db8::1]:8080/x", [("url", "http://[2001:db8::1]:8080/x")]),
    ("bad.example.net/gate.phpへ", [("url", "bad.example.net/gate.php")]),
    ("a.example.net/b.example.net", [("domain", "a.example.net"), ("domain", "b.example.net")]),
    # Names in their own script.
    ("偽サイト「例え.jp」へ", [("domain", "xn--r8jz45g.jp")]),
    ("http://例え.みんな/pathへ", [("url", "http://xn--r8jz45g.xn--q9jyb4c/path")]),
    ("詳細はexample.jpへ", [("domain", "example.jp")]),
    ("xn--r8jz45g.jpへ", [("domain", "xn--r8jz45g.jp")]),
    # Everything else.
    ("203.0.113.9:8443、203.0.113.1～203.0.113.3",
     [("ipv4", "203.0.113.9"), ("ipv4", "203.0.113.1"), ("ipv4", "203.0.113.3")]),
    ("MD5:D41D8CD98F00B204E9800998ECF8427E", [("md5", "d41d8cd98f00b204e9800998ecf8427e")]),
    ("ab" * 20 + "と" + "cd" * 32 + "と" + "ef" * 64,
     [("sha1", "ab" * 20), ("sha256", "cd" * 32), ("sha512", "ef" * 64)]),
    ("ＣＶＥ－２０２３－１２３４とcve-2024-3400", [("cve", "CVE-2023-1234"), ("cve", "CVE-2024-3400")]),
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNaへ", [("btc", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")]),
    ("T1059.001とT1021", [("attack", "T1059.001"), ("attack", "T1021")]),
    ("FE80::1%eth0と[2001:DB8::5]:443", [("ipv6", "fe80::1"), ("ipv6", "2001:db8::5")]),
])
def test_it_finds_indicators_in_prose(text, expected):
    assert found(text) == expected


@pytest.mark.parametrize("text", [
    "FortiOS 7.0.1.2、7.0.1.3および7.2.0.4が対象", "バージョンは6.4.2.1です", "v1.2.3.4とver.5.6.7.8", "第1.2.3.4項",
    "資料5.6.7.8節", "Chrome/128.0.0.0", "Veeam 12.1.2.172", "1.2.3.4.5", "6.4.2.1以前", "300.1.1.1", "010.1.1.1", "255.255.255.0",
    "README.mdとupdate.sh、invoice.pdf.zip", "cmd.exe", "Node.jsとASP.NET", "system.web", "user.name、event.id",
    "C:\\Users\\Public\\a.com", "foo.name()", "終わった.It", "e.g. this, i.e. that, U.S.A", "co.jp", "10.km",
    "2024.03.12と2024-03-12", "10:15:30", "00:11:22:33:44:55", "00:11:22:33:44:55:66:77", "std::string a::b",
    "12345678901234567890123456789012", "UUID: " + "ab" * 16, "g" * 32, "ab" * 16 + "0", "CVE-2024-1", "T2059", "TT1059",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "株式会社山田.請求書", "。.。", "@", "http://",
])
def test_it_leaves_near_misses_alone(text):
    assert found(text) == []


def test_a_full_width_sign_ends_a_half_width_url():
    assert found("http://bad.example.net/x：C2です") == [("url", "http://bad.example.net/x")]
    assert found("http://bad.example.net/x:C2です") == [("url", "http://bad.example.net/x:C2")]


def test_a_full_stop_between_two_names_is_a_full_stop():
    assert found("evil.example。bad.example") == [("domain", "evil.example"), ("domain", "bad.example")]


def test_a_defanged_end_belongs_to_the_stretch():
    (one,) = extract("（hxxp://bad[.]example[/]）")
    assert (one.value, one.text) == ("http://bad.example/", "hxxp://bad[.]example[/]")


def test_a_dot_behind_the_host_stays_outside():
    (one,) = extract("http://bad[.]example[.]net[.]例え.jpｅ")
    assert (one.value, one.text) == ("http://bad.example.net", "http://bad[.]example[.]net")


def test_a_bitcoin_address_with_a_slip_counts_only_where_money_is_the_subject():
    slip = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"
    assert found(slip) == []
    assert found(f"送金先は{slip}") == [("btc", slip)]


def test_finds_do_not_overlap_and_stand_in_order():
    finds = extract("a@bad.example.net http://bad.example.net/" + "ab" * 16 + " 203.0.113.0/24")
    assert [f.type for f in finds] == ["email", "url", "cidr"]
    assert all(a.end <= b.start for a, b in pairwise(finds))


PIECES = st.sampled_from([
    "bad[.]example[.]net", "hxxps[:]//bad[.]example[.]net/a.php", "203.0.113[.]9", "２０３．０．１１３．５", "who[at]bad.example.net",
    "ab" * 16, "CVE-2024-3400", "2001[:]db8::5", "例え.jp", "から", "、", "。", "（", "）", "「", " ", "\n", "\u200b", "http://", "[.]", "[/]",
    "です", "／", "ｅ", "a", "1.2.3.4", ".", "@", "(dot)", "x[.", "\\.", "/24",
])


@settings(max_examples=200, deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_offsets_cut_out_text_that_normalises_to_the_value(text):
    for one in extract(text):
        assert text[one.start:one.end] == one.text
        if one.type != "btc":
            again = normalise(one.text, one.type)
            assert again is not None and (again.value, again.type) == (one.value, one.type)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_searched_without_an_error(text):
    for one in extract(text):
        assert text[one.start:one.end] == one.text


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "日本", "日.", "a。", "1.", ":", "h", "a@", "a[.]", "[", "http://", "( dot", "日/"])
def test_long_runs_of_one_piece_stay_harmless(piece):
    extract(piece * 30_000)
    extract("http://a.example/" + piece * 30_000)
