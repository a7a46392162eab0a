"""FortiGate key=value logs."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest

JST = timezone(timedelta(hours=9))
LOGIN = (
    'date=2024-10-14 time=13:46:40 devname="fw1" eventtime={eventtime} tz="+0900" logid="0101039424" type="event" subtype="vpn" level="notice" '
    'vd="root" action="tunnel-up" tunneltype="ssl-tunnel" remip=203.0.113.9 tunnelip=10.9.0.2 user="u1" group="N/A" msg="SSL tunnel established"\n'
)
TRAFFIC = (
    'date=2024-10-14 time=13:46:40 logid="0000000020" type="traffic" subtype="forward" level="notice" vd="root" srcip=10.0.0.5 srcport=50001 '
    'dstip=198.51.100.7 dstport=443 action="accept" service="HTTPS" sentbyte=900000 rcvdbyte=1000 sentdelta=500 rcvddelta=40 '
    'policyname="out \\"x\\" y" unauthuser="CORP\\\\bob"\n'
)


@pytest.mark.parametrize("eventtime", ["1728881200", "1728881200000", "1728881200000000", "1728881200000000000"])
def test_eventtime_is_read_in_any_unit(read, eventtime):
    row = read(LOGIN.format(eventtime=eventtime), zone=JST).rows[0]
    assert row["@timestamp"] == "2024-10-14T04:46:40Z"
    assert row["event.timezone"] == "UTC"


def test_ssl_vpn_login(read):
    row = read(LOGIN.format(eventtime="1728881200")).rows[0]
    assert (row["source.ip"], row["user.name"], row["event.action"]) == ("203.0.113.9", "u1", "tunnel-up")
    assert (row["event.dataset"], row["event.category"], row["event.outcome"]) == (
        "fortinet.event",
        "authentication",
        "success",
    )
    assert (row["event.code"], row["observer.name"]) == ("0101039424", "fw1")
    assert row["tunnelip"] == "10.9.0.2"
    assert row["message"] == "SSL tunnel established"


def test_a_running_total_counts_only_what_is_new(read):
    row = read(TRAFFIC).rows[0]
    assert (row["source.bytes"], row["destination.bytes"]) == (500, 40)
    assert row["sentbyte"] == "900000"


def test_escapes_in_quoted_values(read):
    row = read(TRAFFIC).rows[0]
    assert row["rule.name"] == 'out "x" y'
    assert (row["user.domain"], row["user.name"]) == ("CORP", "bob")


def test_without_eventtime_the_zone_is_tz_or_the_given_one(read):
    with_tz = read(TRAFFIC.replace("logid=", 'tz="-0300" logid=', 1), zone=JST).rows[0]
    assert with_tz["@timestamp"] == "2024-10-14T16:46:40Z"
    without = read(TRAFFIC, zone=JST).rows[0]
    assert without["@timestamp"] == "2024-10-14T04:46:40Z"
    assert without["event.timezone"].endswith("(assumed)")


def test_behind_a_syslog_header_and_with_commas(read):
    text = TRAFFIC.strip()
    shapes = (
        text,
        f"<189>{text}",
        f"Oct 14 13:46:41 fw9 {text}",
        f"<189>Oct 14 13:46:41 192.0.2.1 {text}",
        f"<189>1 2024-10-14T13:46:41+09:00 fw9 - - - - {text}",
        text.replace(" ", ","),
    )
    for shape in shapes:
        row = read(
            shape.replace(',y"', ' y"').replace("out,", "out ").replace('"x\\",', '"x\\" ') + "\n", zone=JST
        ).rows[0]
        assert (row["source.ip"], row["destination.port"]) == ("10.0.0.5", 443), shape
        assert row["@timestamp"] == "2024-10-14T04:46:40Z", shape
        assert row["event.dataset"] == "fortinet.traffic", shape


def test_web_filter_path_and_host(read):
    line = (
        'eventtime=1728881200 logid="0316013056" type="utm" subtype="webfilter" level="warning" vd="root" user="u1" srcip=10.0.0.5 '
        'dstip=198.51.100.7 dstport=80 service="HTTP" hostname="evil.example" action="blocked" reqtype="direct" url="{url}" '
        "sentbyte=270 rcvdbyte=0\n"
    )
    path = read(line.format(url="/x?a=b c")).rows[0]
    assert (path["url.full"], path["url.original"]) == ("http://evil.example/x?a=b c", "/x?a=b c")
    assert path["destination.domain"] == "evil.example"
    assert path["event.outcome"] == "failure"
    whole = read(line.format(url="http://evil.example:8080/x")).rows[0]
    assert whole["url.full"] == "http://evil.example:8080/x"


def test_a_similar_line_of_another_device_is_not_claimed(read):
    row = read(
        'id=firewall sn=00 time="2024-09-10 11:26:40 UTC" fw=192.0.2.1 pri=6 m=1080 msg="login allowed" usr="u1" src=203.0.113.9\n'
    ).rows[0]
    assert row["event.dataset"] == "sonicwall"
    assert (row["source.ip"], row["user.name"], row["@timestamp"]) == ("203.0.113.9", "u1", "2024-09-10T11:26:40Z")


def test_a_line_cut_in_the_middle_keeps_what_is_there(read):
    row = read(TRAFFIC * 10 + TRAFFIC[:250] + "\n").rows[-1]
    assert row["source.ip"] == "10.0.0.5"
    assert row["log.line"] == 11
