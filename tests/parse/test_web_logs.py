"""Squid, Apache, nginx, IIS and proxies: columns, places, damaged lines."""

from __future__ import annotations

from datetime import timedelta, timezone

JST = timezone(timedelta(hours=9))
SQUID = (
    "1726000000.002    559 10.2.23.164 TCP_MISS/200 22500 GET http://shop.example/photo?x=1 u17 HIER_DIRECT/192.0.2.7 image/png\n"
    "1726000001.500   4488 10.1.1.77 TCP_TUNNEL/200 29286 CONNECT C2.Evil.Example:443 - HIER_DIRECT/198.51.100.9 -\n"
    "1726000002.000      0 10.1.1.77 TCP_DENIED/403 3868 CONNECT 203.0.113.5:8443 - HIER_NONE/- text/html\n"
    "1726000003.000      1 10.1.1.77 TCP_MISS/200 5 GET http://parent.example/ - FIRSTUP_PARENT/10.9.9.9 text/html\n"
)


def test_squid_gives_who_went_where_and_how_much(read):
    rows = read(SQUID).rows
    first = rows[0]
    assert first["@timestamp"] == "2024-09-10T20:26:40.002000Z"
    assert (first["source.ip"], first["user.name"]) == ("10.2.23.164", "u17")
    assert (first["destination.domain"], first["destination.ip"]) == ("shop.example", "192.0.2.7")
    assert (first["http.request.method"], first["url.full"]) == ("GET", "http://shop.example/photo?x=1")
    assert (first["http.response.status_code"], first["destination.bytes"]) == (200, 22500)
    assert "source.bytes" not in first  # the format does not say what the client sent
    assert first["event.timezone"] == "UTC"
    assert first["event.dataset"] == "squid.access"
    assert first["log.file.path"] == "logs/sample.log"


def test_squid_connect_is_split_into_name_and_port(read):
    tunnel, denied = read(SQUID).rows[1:3]
    assert (tunnel["destination.domain"], tunnel["destination.port"]) == ("c2.evil.example", 443)
    assert "user.name" not in tunnel
    assert (denied["destination.ip"], denied["destination.port"]) == ("203.0.113.5", 8443)
    assert "destination.domain" not in denied


def test_a_parent_proxy_is_not_the_destination(read):
    assert "destination.ip" not in read(SQUID).rows[3]


def test_every_row_knows_its_line_and_byte(read):
    text = SQUID.replace("\n", "\r\n")
    rows = read(text).rows
    data = text.encode()
    assert [r["log.line"] for r in rows] == [1, 2, 3, 4]
    for row in rows:
        assert data[row["log.offset"] :].startswith(b"17260000")


def test_a_damaged_line_is_rejected_and_still_an_event_in_its_place(read):
    lines = SQUID.splitlines() * 10
    lines[5] = "1726000004.0 GARBAGE evil.example"
    got = read("\n".join(lines) + "\n")
    assert len(got.rows) == 40
    assert got.rows[5]["event.dataset"] == "unparsed"
    assert got.rows[5]["message"] == lines[5]
    assert "@timestamp" not in got.rows[5]
    assert [(r.line, r.offset) for r in got.rejects] == [(6, got.rows[5]["log.offset"])]
    assert got.rejects[0].raw == lines[5]


def test_squid_lines_with_more_at_the_end_keep_it(read):
    got = read(
        SQUID
        + '1726000005.000 5 10.0.0.1 TCP_MISS/200 7 GET http://a.example/ - HIER_DIRECT/192.0.2.1 - "http://r.example" "curl/8"\n'
    )
    assert got.rows[4]["user_agent.original"] == "curl/8"
    assert got.rows[4]["destination.domain"] == "a.example"
    assert not got.rejects


def test_blocks_smaller_than_the_file_give_the_same_rows(read):
    whole, parts = read(SQUID * 50), read(SQUID * 50, batch_rows=7)
    assert len(parts.tables) > 10
    assert max(t.row_count for t in parts.tables) <= 7
    assert parts.rows == whole.rows


COMBINED = (
    '203.0.113.9 - frank [10/Sep/2024:20:26:40 +0900] "GET /a/b?c=d HTTP/1.1" 200 2326 "http://ref.example/" "Mozilla/5.0 (X)"\n'
    '203.0.113.9 - - [10/Sep/2024:20:26:41 +0900] "POST /login HTTP/1.1" 401 -\n'
    'www.example:8443 2001:db8::5 - - [10/Sep/2024:20:26:42 +0900] "GET / HTTP/2.0" 404 12 "-" "-"\n'
    '203.0.113.9 - - [10/Sep/2024:20:26:43 +0900] "\\x16\\x03\\x01" 400 150 "-" "-"\n'
    '10.0.0.5 - u1 [10/Sep/2024:20:26:44 +0900] "CONNECT c2.example:443 HTTP/1.1" 200 512 "-" "UA" TCP_TUNNEL:HIER_DIRECT\n'
)


def test_access_log_gives_times_with_their_own_offset(read):
    rows = read(COMBINED).rows
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:40Z"
    assert rows[0]["event.timezone"] == "UTC+09:00"
    assert (rows[0]["source.ip"], rows[0]["user.name"], rows[0]["url.full"]) == ("203.0.113.9", "frank", "/a/b?c=d")
    assert (rows[0]["http.response.status_code"], rows[0]["destination.bytes"]) == (200, 2326)
    assert rows[0]["user_agent.original"] == "Mozilla/5.0 (X)"
    assert rows[0]["event.outcome"] == "success"


def test_access_log_variants(read):
    rows = read(COMBINED).rows
    assert rows[1]["event.outcome"] == "failure"
    assert "user_agent.original" not in rows[1]
    assert (rows[2]["source.ip"], rows[2]["destination.domain"], rows[2]["destination.port"]) == (
        "2001:db8::5",
        "www.example",
        8443,
    )
    assert rows[3]["http.request"] == "\\x16\\x03\\x01"
    assert "url.full" not in rows[3]
    assert rows[4]["event.dataset"] == "squid.access"
    assert (rows[4]["destination.domain"], rows[4]["event.action"]) == ("c2.example", "TCP_TUNNEL")


def test_error_logs_of_nginx_and_apache(read):
    nginx = read(
        '2024/09/10 20:26:40 [error] 31#31: *46 open() failed, client: 203.0.113.7, server: a.example, request: "GET /x HTTP/1.1", '
        'host: "a.example"\n',
        zone=JST,
    ).rows[0]
    assert (nginx["source.ip"], nginx["destination.domain"], nginx["url.full"]) == ("203.0.113.7", "a.example", "/x")
    assert nginx["@timestamp"] == "2024-09-10T11:26:40Z"
    assert nginx["event.timezone"].endswith("(assumed)")
    apache = read(
        "[Tue Sep 10 20:26:40.123456 2024] [auth_basic:error] [pid 10:tid 14] [client 203.0.113.7:50229] AH01618: user eve not found: /adm\n",
        zone=JST,
        assumed=False,
    ).rows[0]
    assert (apache["source.ip"], apache["source.port"], apache["user.name"]) == ("203.0.113.7", 50229, "eve")
    assert apache["@timestamp"] == "2024-09-10T11:26:40.123456Z"
    assert "assumed" not in apache["event.timezone"]


IIS = """#Software: Microsoft Internet Information Services 10.0
#Version: 1.0
#Date: 2024-09-10 11:26:40
#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) sc-status sc-substatus sc-bytes cs-bytes
2024-09-10 11:26:40 192.0.2.1 POST /owa/auth.owa - 443 CORP\\u1 203.0.113.9 Mozilla/5.0+(X) 302 0 412 930
2024-09-10 11:26:41 192.0.2.1 GET /a.aspx id=1 443 - 203.0.113.9 curl/8 200 0 99 10
"""


def test_iis_is_utc_and_its_own_address_is_the_destination(read):
    rows = read(IIS, zone=JST).rows
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:40Z"
    assert rows[0]["event.timezone"] == "UTC"
    assert (rows[0]["user.domain"], rows[0]["user.name"]) == ("CORP", "u1")
    assert (rows[0]["source.ip"], rows[0]["destination.ip"], rows[0]["destination.port"]) == (
        "203.0.113.9",
        "192.0.2.1",
        443,
    )
    assert (rows[0]["source.bytes"], rows[0]["destination.bytes"]) == (930, 412)
    assert rows[1]["url.full"] == "/a.aspx?id=1"
    assert rows[0]["user_agent.original"] == "Mozilla/5.0 (X)"
    assert (rows[0]["log.line"], rows[1]["log.line"]) == (5, 6)


def test_a_header_may_change_in_the_middle_of_the_file(read):
    text = IIS + (
        "#Fields: date time c-ip cs-method cs-uri-scheme cs-host cs-uri-port cs-uri-path cs-uri-query r-ip sc-filter-result\n"
        "2024-09-10 11:27:00 10.0.0.5 GET https evil.example 8443 /x ?q=1 198.51.100.4 OBSERVED\n"
        "2024-09-10 11:27:01 10.0.0.5 CONNECT tcp evil.example 443 - - 198.51.100.4 DENIED\n"
    )
    rows = read(text).rows
    assert rows[2]["url.full"] == "https://evil.example:8443/x?q=1"
    assert (rows[2]["destination.domain"], rows[2]["destination.ip"]) == ("evil.example", "198.51.100.4")
    assert rows[3]["url.full"] == "evil.example:443"


def test_without_a_scheme_the_port_tells_it(read):
    log = ("#Fields: date time c-ip cs-method cs-host cs-uri-port cs-uri-path r-ip sc-filter-result\n"
           "2026-10-09 00:00:01 10.0.0.1 GET a.example 443 /x 203.0.113.1 OBSERVED\n"
           "2026-10-09 00:00:02 10.0.0.1 GET a.example 80 /x 203.0.113.1 OBSERVED\n"
           "2026-10-09 00:00:03 10.0.0.1 GET a.example 8443 /x 203.0.113.1 OBSERVED\n"
           "2026-10-09 00:00:04 10.0.0.1 GET a.example - /x 203.0.113.1 OBSERVED\n"
           "2026-10-09 00:00:05 10.0.0.1 CONNECT a.example 443 - 203.0.113.1 OBSERVED\n")
    assert [row["url.full"] for row in read(log).rows] == [
        "https://a.example/x", "http://a.example/x", "http://a.example:8443/x", "http://a.example/x", "a.example:443"]


def test_a_w3c_line_with_missing_values_is_rejected(read):
    got = read(IIS + "2024-09-10 11:26:42 192.0.2.1 GET\n")
    assert got.rows[2]["event.dataset"] == "unparsed"
    assert [r.line for r in got.rejects] == [7]


def test_quoted_values_of_a_proxy_log_may_hold_spaces_and_an_open_quote_hurts_its_line_only(read):
    head = "#Fields: date time c-ip cs-method cs-host cs-uri-path cs(User-Agent) cs-categories r-ip\n"
    good = '2024-09-10 11:26:40 10.0.0.5 GET a.example /x "Mozilla/5.0 (X; Y)" "News; Media" 192.0.2.9\n'
    bad = '2024-09-10 11:26:41 10.0.0.5 GET b.example /x "Mozilla/5.0 (X; Y) "News" 192.0.2.9\n'
    rows = read(head + good + bad + good).rows
    assert rows[0]["user_agent.original"] == "Mozilla/5.0 (X; Y)"
    assert rows[0]["cs-categories"] == "News; Media"
    assert len(rows) == 3
    assert rows[2]["destination.ip"] == "192.0.2.9"


def test_windows_firewall_log_is_local_time(read):
    rows = read(
        "#Version: 1.5\n#Software: Microsoft Windows Firewall\n#Time Format: Local\n"
        "#Fields: date time action protocol src-ip dst-ip src-port dst-port size path\n\n"
        "2024-09-10 20:26:40 ALLOW TCP 10.0.0.5 198.51.100.7 51000 443 0 SEND\n",
        zone=JST,
    ).rows
    assert rows[0]["@timestamp"] == "2024-09-10T11:26:40Z"
    assert rows[0]["event.dataset"] == "windows.firewall"
    assert (rows[0]["source.ip"], rows[0]["destination.ip"], rows[0]["destination.port"]) == (
        "10.0.0.5",
        "198.51.100.7",
        443,
    )


PAN = (
    "1,2024/09/11 05:26:40,0011C1,THREAT,url,2561,2024/09/11 05:26:40,10.0.13.25,198.51.100.43,0.0.0.0,0.0.0.0,out-web,corp\\u1,,"
    "web-browsing,vsys1,trust,untrust,ae1.10,ae2.20,fwd,2024/09/11 05:26:40,1831843,1,23308,{port},0,0,0x1000,tcp,alert,"
    '"evil.example/a,b?c=1",(9999),news,informational,client-to-server,1,0x0,Japan,US,,text/html\n'
)


def test_palo_alto_url_gets_its_scheme(read):
    plain, tls = read(PAN.format(port=80) + PAN.format(port=443), zone=JST).rows
    assert plain["url.full"] == "http://evil.example/a,b?c=1"
    assert tls["url.full"] == "https://evil.example/a,b?c=1"
    assert (plain["destination.domain"], plain["destination.ip"]) == ("evil.example", "198.51.100.43")
    assert (plain["user.domain"], plain["user.name"], plain["source.ip"]) == ("corp", "u1", "10.0.13.25")
    assert plain["@timestamp"] == "2024-09-10T20:26:40Z"
    assert plain["event.dataset"] == "paloalto.threat"


def test_a_proxys_own_address_is_not_the_destination(read):
    rows = read(
        "#Fields: date time c-ip cs-method cs-uri-scheme cs-host cs-uri-path s-ip s-port sc-filter-result\n"
        "2024-09-10 11:27:00 10.0.0.5 GET https evil.example /x 10.0.0.254 8080 OBSERVED\n"
    ).rows
    assert "destination.ip" not in rows[0]
    assert "destination.port" not in rows[0]
    assert (rows[0]["destination.domain"], rows[0]["s-ip"]) == ("evil.example", "10.0.0.254")
