"""Devices nobody wrote a parser for, made up here: what their wording, places and looks give, and what they must not."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(("line", "expected"), [
    ("gatekeeper: Tunnel 7 Realm <staff> Member <t.mori> IP <203.0.113.9> resumed after sleep", {"source.ip": "203.0.113.9"}),
    ("login accepted by radius : server = 192.0.2.5 : user = t.mori", {"destination.ip": "192.0.2.5", "user.name": "t.mori"}),
    ("Signed in: IP address: 203.0.113.9, Uname: t.mori", {"source.ip": "203.0.113.9", "user.name": "t.mori"}),
    ("EDGE DENY 88 : User t.mori - Client_ip 203.0.113.9 - cause \"directory said no\"", {"source.ip": "203.0.113.9", "user.name": "t.mori"}),
    ("sess 44 up for lan:10.1.2.3/51000 (192.0.2.33/51000) to wan:198.51.100.7/443 (198.51.100.7/443)",
     {"source.ip": "10.1.2.3", "source.port": 51000, "destination.ip": "198.51.100.7", "destination.port": 443}),
    ("console session was opened for 'ops@10.1.2.3'.", {"source.ip": "10.1.2.3", "user.name": "ops"}),
    ("Encrypted channel: connection established to relay.example[198.51.100.7]:8443 cipher X", {"destination.ip": "198.51.100.7", "destination.port": 8443}),
    ("rejected 'a' by policy 9 for user 'b.c', directory server address '192.0.2.5', initiated by: 10.1.2.3",
     {"destination.ip": "192.0.2.5", "source.ip": "10.1.2.3", "user.name": "b.c"}),
    ("not served, client: 203.0.113.9, request: \"GET /a/b?c HTTP/1.1\"", {"source.ip": "203.0.113.9", "url.full": "/a/b?c", "http.request.method": "GET"}),
])
def test_plain_wording_names_who_and_where(read, line, expected):
    row = read(line + "\n").rows[0]
    assert {k: row.get(k) for k in expected} == expected


@pytest.mark.parametrize("line", [
    "user: the account is locked since 3 days ago", "Username: see manual page", "please log in as user = or ask",
    "server 192.0.2.5 rebooted", "the server address is 192.0.2.5 of the pool", "mail to ops@10.1.2.3 bounced here",
    "build 10.1.2.3/24 to 10.1.3.0/24 done", "connection limit 10.1.2.3.4 to 5", "for release 1.2.3.4 of the tool",
    "IP <not an address>", "> IP <999.1.1.1>", "request: \"look at this HTTP/1.1\"",
])
def test_near_misses_of_wording_name_nobody(read, line):
    row = read(line + "\n").rows[0]
    named = {"source.ip", "destination.ip", "user.name", "url.full"} & set(row)
    assert not named, row


def test_a_bracket_that_was_open_ends_the_value(read):
    row = read("[task=7 op=scan user=t.mori] done [a] and more\n").rows[0]
    assert row["user.name"] == "t.mori"
    row = read("task=7 op=scan user=t.mori note=kept[1] as is\n").rows[0]
    assert row["note"] == "kept[1] as is"


def test_a_network_of_one_is_an_address(read):
    assert read("verdict=pass why=known client_address=203.0.113.9/32\n").rows[0]["source.ip"] == "203.0.113.9"


def test_a_client_in_the_place_of_the_machine(read):
    row = read("2024-10-31 15:11:18 203.0.113.9:62586 peer info: level=2\n").rows[0]
    assert (row["source.ip"], row["source.port"]) == ("203.0.113.9", 62586)
    assert "observer.name" not in row
    row = read("2024-10-31 15:11:18 gw1:62586x peer info: level=2\n").rows[0]
    assert "source.ip" not in row


def test_the_user_stands_where_every_web_log_has_it(read):
    row = read('203.0.113.9 - t.mori [05/02/2025 11:30:29] "FETCH https://site.example/1.png HTTP/1.1" 200 - - 1000 Own Words Here\n').rows[0]
    assert (row["source.ip"], row["user.name"]) == ("203.0.113.9", "t.mori")
    row = read('203.0.113.9 - - [05/02/2025 11:30:29] "FETCH https://site.example/1.png HTTP/1.1" 200 - - 1000 Own Words Here\n').rows[0]
    assert "user.name" not in row


def test_a_tunnel_has_its_host(read):
    row = read("1564576741.982 5756 10.1.2.3 OPEN/200 6295 CONNECT api.site.example:443 - DIRECT/- x/y\n", format="text").rows[0]
    assert (row["destination.domain"], row["destination.port"]) == ("api.site.example", 443)


@pytest.mark.parametrize(("more", "time"), [
    ("stamp=1728938800", "2024-10-14T20:46:40Z"), ("logged_time=2024-10-14T20:46:41Z", "2024-10-14T20:46:41Z"),
    # Not the same moment: days apart, or no whole quarter of an hour.
    ("since_time=1728538800", "2024-10-14T13:46:40Z"), ("since_time=1728939300", "2024-10-14T13:46:40Z"), ("size=1728938800", "2024-10-14T13:46:40Z"),
])
def test_the_same_moment_with_its_zone_beats_the_one_without(read, more, time):
    name = more.replace("stamp=", "event_timestamp=")
    assert read(f"date=2024-10-14 time=13:46:40 unit=x7 verdict=pass src=10.1.2.3 {name}\n").rows[0]["@timestamp"] == time


def test_a_record_says_it_in_a_sentence(read):
    row = read(json.dumps({"kind": "audit", "at": "2024-09-10T11:26:40Z", "description": "failed sign-in for user 't.mori' From: 203.0.113.9 at the door"}) + "\n").rows[0]
    assert (row["user.name"], row["source.ip"], row["parser.confidence"]) == ("t.mori", "203.0.113.9", "low")
    row = read(json.dumps({"src_ip": "10.1.2.3", "user": "a", "description": "failed sign-in for user 't.mori' from 203.0.113.9 now"}) + "\n").rows[0]
    assert (row["user.name"], row["source.ip"]) == ("a", "10.1.2.3")
    row = read(json.dumps({"kind": "audit", "command": "net use z: from 203.0.113.9 as user 'x' please"}) + "\n").rows[0]
    assert "user.name" not in row
