"""Each kind of match beside its near miss: what is searched is one event table."""

import pickle
from pathlib import Path

import pytest

from hikeshi.events.table import TableBuilder
from hikeshi.events.time import NO_TIME
from hikeshi.evidence.source import Source
from hikeshi.indicators.lists import from_values
from hikeshi.sweep import Sweeper, compile_indicators, merge

SOURCE = Source(Path("proxy.log"), "proxy.log", "a" * 64, 1)


def sweep(indicators, *events, times=None):
    sweeper = Sweeper(from_values(indicators))
    builder = TableBuilder()
    for number, event in enumerate(events, 1):
        builder.add(times[number - 1] if times else NO_TIME, {"log.line": number, **event})
    sweeper.add(SOURCE, builder.build())
    return sweeper.sightings()


def roles(indicators, *events):
    return [(s.indicator, s.role) for s in sweep(indicators, *events)]


def gone(value):
    return [(value, "destination")]


def mentioned(value):
    return [(value, "mention")]


EVIL = "evil.example"


@pytest.mark.parametrize("host", [EVIL, "EVIL.Example", "evil.example.", "a.b.evil.example", "x-1.evil.example", "evil.example:443"])
def test_a_name_matches_itself_and_what_is_below_it(host):
    assert roles([EVIL], {"destination.domain": host}) == gone(EVIL)
    assert roles([EVIL], {"dns.question.name": host}) == gone(EVIL)
    assert roles([EVIL], {"url.full": f"http://{host}/x"}) == gone(EVIL)


@pytest.mark.parametrize("host", ["notevil.example", "evil.example.cdn.example", "evil.exampled", "evil-example", "evil", "example",
                                  "my-evil.example", "evil_example", "evil.example-x.test"])
def test_a_name_does_not_match_what_only_holds_its_letters(host):
    for column in ("destination.domain", "dns.question.name", "message", "user_agent.original"):
        assert roles([EVIL], {column: host}) == []
    assert roles([EVIL], {"url.full": f"http://{host}/x"}) == []


def test_the_narrower_and_the_wider_name_are_both_reported():
    assert set(roles([EVIL, "a.evil.example"], {"destination.domain": "x.a.evil.example"})) == {
        (EVIL, "destination"), ("a.evil.example", "destination")}


@pytest.mark.parametrize("url", [
    "http://good.example/redir?u=evil.example&x=1", "http://good.example/evil.example", "http://good.example/?q=http://evil.example/a",
    "http://good.example/?q=http%3A%2F%2Fevil.example%2Fa", "http://good.example/?q=http%253A%252F%252Fevil.example",
    "http://evil.example@good.example/", "/redir?u=evil.example", "http://good.example/#evil.example"])
def test_a_name_in_the_rest_of_a_url_is_a_mention(url):
    assert roles([EVIL], {"url.full": url}) == mentioned(EVIL)


@pytest.mark.parametrize("url", ["http://evil.example", "evil.example/a", "evil.example:443", "https://u:p@evil.example:8443/a?b", "http://EVIL.example./a"])
def test_the_host_of_a_url_is_a_destination(url):
    assert roles([EVIL], {"url.full": url}) == gone(EVIL)


@pytest.mark.parametrize("column", ["user_agent.original", "http.request.referrer", "process.command_line", "message", "odd field"])
def test_other_columns_mention(column):
    assert roles([EVIL], {column: "curl http://evil.example/a -o x"}) == mentioned(EVIL)


def test_a_row_counts_once_under_its_stronger_role():
    (one,) = sweep([EVIL], {"url.full": "http://evil.example/?r=evil.example", "destination.domain": EVIL, "message": f"{EVIL} {EVIL}"})
    assert (one.role, one.count) == ("destination", 1)


@pytest.mark.parametrize("event", [
    {"destination.ip": "203.0.113.9"}, {"destination.domain": "203.0.113.9"}, {"url.full": "http://203.0.113.9/a"},
    {"url.full": "203.0.113.9:443"}, {"DestinationIp": "203.0.113.9"}, {"dst": "203.0.113.9"}, {"r-ip": "203.0.113.9"}])
def test_an_address_matches_exactly(event):
    assert roles(["203.0.113.9"], event) == gone("203.0.113.9")


@pytest.mark.parametrize("text", ["203.0.113.90", "1203.0.113.9", "203.0.113.9.example", "x203.0.113.9-host.example", "203.0.113.9.1",
                                  "9.203.0.113.9", "203.0.113", "203.0.113.9a"])
def test_an_address_does_not_match_inside_another_token(text):
    for event in ({"destination.domain": text}, {"url.full": f"http://{text}/"}, {"message": text}):
        assert roles(["203.0.113.9", "203.0.113.8/30"], event) == []


@pytest.mark.parametrize(("address", "hit"), [
    ("203.0.113.0", True), ("203.0.113.255", True), ("203.0.112.255", False), ("203.0.114.0", False), ("203.0.113.256", False),
    ("203.0.113", False), ("203.0.113.1.1", False)])
def test_a_network_matches_what_is_inside(address, hit):
    assert roles(["203.0.113.0/24"], {"destination.ip": address}) == (gone("203.0.113.0/24") if hit else [])


def test_nested_and_neighbouring_networks_are_told_apart():
    nets = ["203.0.113.0/24", "203.0.113.128/25", "203.0.114.0/24", "0.0.0.0/1"]
    assert set(roles(nets, {"destination.ip": "203.0.113.200"})) == {(nets[0], "destination"), (nets[1], "destination")}
    assert roles(nets, {"destination.ip": "203.0.114.1"}) == gone(nets[2])


def test_ipv6_matches_in_every_spelling_and_by_network():
    for text in ("2001:db8::5", "2001:0DB8:0:0:0:0:0:5", "[2001:db8::5]:443"):
        assert roles(["2001:db8::5"], {"destination.ip": text}) == gone("2001:db8::5")
    assert roles(["2001:db8::/32"], {"message": "to 2001:db8:1::9 port 1"}) == mentioned("2001:db8::/32")
    for text in ("2001:db8::51", "12001:db8::5", "2001:db9::5", "10:20:30", "::"):
        assert roles(["2001:db8::5", "2001:dba::/48"], {"destination.ip": text}) == []


def test_a_url_on_an_ipv6_host_matches_like_any_other():
    url = "http://[2001:db8::5]:8080/a"
    assert roles([url], {"url.full": "http://[2001:DB8:0::5]:8080/a?x"}) == gone(url)
    for other in ("http://[2001:db8::5]/a", "http://[2001:db8::5]:8080/ab", "http://[2001:db8::6]:8080/a"):
        assert roles([url], {"url.full": other}) == []


URL = "http://evil.example/gate/a.php"


@pytest.mark.parametrize("url", [
    URL, "https://evil.example/gate/a.php", "evil.example/gate/a.php", "http://evil.example:80/gate/a.php?id=7", "http://EVIL.example/gate/a.php#x",
    "http://evil.example/gate/a.php/more", "http://evil.example/gate/%61.php", "http://u@evil.example/gate/a.php"])
def test_a_url_matches_its_path_and_below(url):
    assert roles([URL], {"url.full": url}) == gone(URL)


@pytest.mark.parametrize("url", [
    "http://evil.example/", "http://evil.example/gate/a.phpx", "http://evil.example/gate/A.php", "http://evil.example/gate", "http://a.evil.example/gate/a.php",
    "http://evil.example:8080/gate/a.php", "http://evil.example/x/gate/a.php", "http://good.example/gate/a.php", "evil.example:443"])
def test_a_url_does_not_match_its_neighbours(url):
    assert roles([URL], {"url.full": url}) == []


def test_the_query_of_a_url_counts_only_where_the_indicator_has_one():
    with_query = "http://evil.example/a?id=7"
    assert roles([with_query], {"url.full": "http://evil.example/a?id=7&x=1"}) == gone(with_query)
    for other in ("http://evil.example/a", "http://evil.example/a?id=77", "http://evil.example/a?x=1&id=7"):
        assert roles([with_query], {"url.full": other}) == []


def test_a_url_without_a_path_is_any_request_to_that_very_host():
    root = "http://evil.example/"
    for url in ("http://evil.example/any", "evil.example:443"):
        assert roles([root], {"url.full": url}) == gone(root)
    assert roles([root], {"url.full": "http://a.evil.example/any"}) == []
    assert roles([root], {"message": "the name evil.example alone"}) == []


def test_a_url_elsewhere_is_a_mention_also_escaped():
    for text in (f"GET {URL}", f'"{URL}"', '{"u":"http:\\/\\/evil.example\\/gate\\/a.php"}', "http://good.example/?u=http%3A//evil.example/gate/a.php"):
        assert roles([URL], {"message": text}) == mentioned(URL)
    assert roles([URL], {"message": "http://evil.example/gate/a.phpx"}) == []


MD5 = "0123456789abcdef" * 2


@pytest.mark.parametrize("event", [
    {"file.hash.md5": MD5}, {"file.hash.md5": MD5.upper()}, {"url.full": f"http://good.example/files/{MD5}/dl"}, {"message": f"MD5={MD5},SHA1=x"},
    {"file.path": f"C:\\store\\{MD5}.exe"}, {"Hashes": f"SHA1=0,MD5={MD5}"}])
def test_a_hash_is_found_anywhere(event):
    assert roles([MD5], event) == mentioned(MD5)


@pytest.mark.parametrize("text", ["ab" + MD5 + "cd", MD5[:-1], MD5 + "0", MD5[:16] + "-" + MD5[16:]])
def test_a_hash_is_no_part_of_a_longer_one(text):
    assert roles([MD5], {"message": f"/files/{text}/dl"}) == []


def test_mail_cve_and_coin_are_mentions():
    coin = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
    wanted = ["who@evil.example", "CVE-2024-3400", coin]
    assert set(roles(wanted, {"message": f"from <Who@Evil.Example> about cve-2024-3400 to {coin}."})) == {(w, "mention") for w in wanted}
    assert roles(wanted, {"message": f"xwho@evil.example who@a.evil.example CVE-2024-34001 {coin.lower()}"}) == []


def test_names_in_their_own_script_match_where_hosts_stand():
    assert roles(["例え.jp"], {"destination.domain": "www.例え.jp"}) == gone("xn--r8jz45g.jp")
    assert roles(["例え.jp"], {"url.full": "http://例え.jp/a"}) == gone("xn--r8jz45g.jp")
    assert roles(["例え.jp"], {"destination.domain": "例えば.jp"}) == []


def test_japanese_around_a_token_does_not_hide_it():
    assert roles([EVIL], {"message": "端末からevil.exampleへ通信"}) == mentioned(EVIL)


def test_an_address_that_came_to_us_is_a_source_and_its_own_client():
    (one,) = sweep(["203.0.113.9"], {"source.ip": "203.0.113.9", "user.name": "bob", "message": "tunnel-up from 203.0.113.9"})
    assert (one.role, one.client, one.user) == ("source", "203.0.113.9", "bob")
    assert roles(["203.0.113.9"], {"source.ip": "203.0.113.9", "destination.ip": "203.0.113.9"}) == gone("203.0.113.9")
    assert roles(["203.0.113.9"], {"source.ip": "10.0.0.1", "message": "203.0.113.9"}) == mentioned("203.0.113.9")


def test_the_client_is_the_address_else_the_name_else_the_machine_else_in_the_text():
    def client(**event):
        return sweep([EVIL], {k.replace("_", "."): v for k, v in event.items()})[0].client

    assert client(source_ip="10.0.0.1", source_domain="pc", host_name="h", message=EVIL) == "10.0.0.1"
    assert client(source_domain="pc", host_name="h", message=EVIL) == "pc"
    assert client(host_name="h", message=EVIL) == "h"
    assert client(message=f"8.8.8.8 172.32.0.1 10.0.0.7 10.0.0.8 {EVIL}") == "10.0.0.7"
    assert client(message=f"110.0.0.7 {EVIL}") is None
    assert sweep([EVIL], {"column_1": "x", "column_2": "10.0.0.7", "column_3": EVIL})[0].client == "10.0.0.7"


def test_a_sighting_sums_up_its_rows():
    rows = [{"source.ip": "10.0.0.1", "destination.domain": EVIL, "source.bytes": b, "user.name": u}
            for b, u in ((100, "ann"), (None, "bob"), (50, "bob"))]
    rows.append({"source.ip": "10.0.0.2", "destination.domain": EVIL})
    one, two = sweep([EVIL], *rows, times=[3_000_000, 1_000_000, NO_TIME, NO_TIME])
    assert (one.client, one.count, one.bytes_out, one.user, one.lines) == ("10.0.0.1", 3, 150, "bob", (1, 2, 3))
    assert (one.first_seen, one.last_seen) == ("1970-01-01T00:00:01Z", "1970-01-01T00:00:03Z")
    assert (two.client, two.count, two.bytes_out, two.user, two.first_seen) == ("10.0.0.2", 1, None, None, None)
    assert (one.file, one.sha256) == ("proxy.log", "a" * 64)


def test_batches_of_one_file_add_up_and_only_a_thousand_lines_are_kept():
    sweeper = Sweeper(compile_indicators(from_values([EVIL])))
    for batch in range(3):
        builder = TableBuilder()
        for row in range(600):
            builder.add(NO_TIME, {"destination.domain": EVIL, "source.ip": "10.0.0.1", "log.line": batch * 600 + row + 1})
        sweeper.add(SOURCE, builder.build())
    (one,) = sweeper.sightings()
    assert one.count == 1800 and one.lines == tuple(range(1, 1001))


def test_event_logs_give_record_ids_for_lines():
    (one,) = sweep([EVIL], {"log.line": None, "winlog.record_id": 77, "QueryName": EVIL, "host.name": "PC1"})
    assert (one.lines, one.client, one.role) == ((77,), "PC1", "destination")


def test_merge_joins_equal_keys_and_orders_destinations_first():
    (one,) = sweep([EVIL], {"destination.domain": EVIL, "source.ip": "10.0.0.1", "source.bytes": 5, "log.line": 9}, times=[5_000_000])
    (other,) = sweep([EVIL], {"destination.domain": EVIL, "source.ip": "10.0.0.1", "log.line": 2}, times=[1_000_000])
    (mention,) = sweep([EVIL], {"message": EVIL, "source.ip": "10.0.0.1"})
    joined, last = merge([[mention, one], [other]])
    assert (joined.count, joined.bytes_out, joined.lines, joined.first_seen) == (2, 5, (2, 9), "1970-01-01T00:00:01Z")
    assert last == mention
    assert pickle.loads(pickle.dumps(joined)) == joined  # noqa: S301  our own bytes


def test_rows_and_columns_without_hits_give_nothing():
    assert sweep([EVIL], {"message": "nothing"}, {"destination.port": 443}) == []
    sweeper = Sweeper(from_values(["no indicator"]))
    builder = TableBuilder()
    builder.add(NO_TIME, {"message": EVIL})
    sweeper.add(SOURCE, builder.build())
    assert sweeper.sightings() == []
    sweeper.add(SOURCE, TableBuilder().build())


def test_hostile_values_are_searched_like_any_others():
    events = [{"message": v} for v in ("\x00" * 100, "\ufffd evil.example", "a\nevil.example\nb", "%" * 1000 + "evil.example", "." * 5000, "x" * 3_000_000 + " evil.example",
                                       "evil.example" + "." * 50, "-evil.example", "=evil.example=")]
    lines = sweep([EVIL], *events)[0].lines
    assert lines == (2, 3, 4, 6, 7, 9)
