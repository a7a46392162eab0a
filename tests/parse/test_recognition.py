"""What a file is taken for, by content only, and mixed files."""

from __future__ import annotations

import pytest

from hikeshi.errors import UnsupportedFormat, UsageError
from hikeshi.parse.registry import BY_NAME, FORMATS, detect_format, detect_lines

SAMPLES = {
    "squid": "1726000000.002    559 10.2.23.164 TCP_MISS/200 22500 GET http://a.example/ u17 HIER_DIRECT/192.0.2.7 image/png",
    "access": '203.0.113.9 - frank [10/Sep/2024:20:26:40 +0900] "GET / HTTP/1.1" 200 2326',
    "web-error": "2024/09/10 20:26:40 [error] 31#31: *46 open() failed, client: 203.0.113.7, server: a.example",
    "fortigate": 'date=2024-10-14 time=13:46:40 logid="0000000013" type="traffic" subtype="forward" level="notice" srcip=10.0.0.5',
    "paloalto": "1,2024/09/11 05:26:40,0011C106739,TRAFFIC,end,2561,2024/09/11 05:26:40,10.0.13.25,192.0.2.43,0.0.0.0,0.0.0.0,r,u,,ssl",
    "cef": "CEF:0|V|P|1|1|n|5|src=10.1.2.3 dst=192.0.2.7 out=900",
    "leef": "LEEF:1.0|V|P|1|login|src=10.1.2.3\tdst=192.0.2.7\tusrName=u1",
    "linux": "Sep 10 20:26:40 h sshd[1]: Accepted password for u1 from 192.0.2.9 port 5000 ssh2",
    "windows-json": '{"Event":{"System":{"EventID":4624,"Channel":"Security","Computer":"ws1"},"EventData":{}}}',
    "windows-xml": '<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System><EventID>1</EventID></System></Event>',
    "json": '{"time":"2024-09-10T11:26:40Z","src":"10.1.2.3"}',
    "keyvalue": 'time="2024-09-10 11:26:40" user=u1 src=10.1.2.3 msg="x y"',
    "syslog": "Sep 10 20:26:40 h daemon[1]: something happened",
    "csv": "Date,Time,Source IP,Destination IP,User\n2024-09-10,11:26:40,10.1.2.3,192.0.2.7,u1",
    "w3c": "#Fields: date time c-ip cs-method\n2024-09-10 11:26:40 10.0.0.5 GET",
    "mixed": "just some words\nand some more",
}


@pytest.mark.parametrize("name", SAMPLES)
def test_each_format_is_recognised_by_its_content(name):
    assert detect_lines((SAMPLES[name] + "\n").splitlines())[0] == name


@pytest.mark.parametrize(
    "name", [n for n in SAMPLES if n not in ("csv", "w3c", "windows-xml", "mixed", "syslog", "linux", "windows-json")]
)
def test_recognised_behind_a_syslog_header_too(name):
    assert detect_lines(["<13>Sep 10 20:26:40 relay " + SAMPLES[name]] * 3)[0] == name


@pytest.mark.parametrize(
    ("line", "never"),
    [
        ("1726000000.002 a note about TCP_MISS/200 and GET http://a.example/", "squid"),
        ('10.0.0.1 - - [yesterday] "GET / HTTP/1.1" 200 1', "access"),
        ("type=forward subtype=lumber level=high", "fortigate"),
        ("1,2,3,TRAFFIC jam,5,6,7,8,9,10,11", "paloalto"),
        ("CEF is a format|with|bars|in|it|and|more|a=b", "cef"),
        ('{"EventID":4624,"name":"no channel"}', "windows-json"),
        ("Sep 10 20:26:40 h mydaemon[1]: Accepted password for u1 from 192.0.2.9 port 5000 ssh2", "linux"),
        ("<Events><Party>Christmas</Party></Events>", "windows-xml"),
    ],
)
def test_what_only_looks_similar_is_not_claimed(line, never):
    assert detect_lines([line] * 5)[0] != never


def test_less_than_nine_of_ten_lines_is_mixed():
    lines = [SAMPLES["squid"]] * 8 + [SAMPLES["linux"]] * 2
    name, share = detect_lines(lines)
    assert (name, share) == ("mixed", 0.8)
    assert detect_lines([SAMPLES["squid"]] * 9 + [SAMPLES["linux"]])[0] == "squid"


def test_a_syslog_file_of_many_devices_is_read_line_by_line(read):
    text = (
        "\n".join(
            ["<13>Sep 10 20:26:40 relay " + SAMPLES[n] for n in ("fortigate", "cef", "json")]
            + [SAMPLES["linux"], SAMPLES["syslog"], "no header at all"]
        )
        + "\n"
    )
    got = read(text)
    assert [r["event.dataset"] for r in got.rows] == [
        "fortinet.traffic",
        "cef.v.p",
        "json",
        "linux.sshd",
        "syslog",
        "text",
    ]
    assert [r["log.line"] for r in got.rows] == [1, 2, 3, 4, 5, 6]
    assert not got.rejects


def test_the_name_does_not_matter_and_binaries_are_refused(source):
    assert detect_format(source(SAMPLES["squid"] + "\n"))[0] == "squid"
    with pytest.raises(UnsupportedFormat):
        detect_format(source(b"MZ\x90\0", kind="executable"))


def test_an_empty_file_has_no_events(read):
    assert read("").rows == []
    assert read("\n\n   \n").rows == []


def test_a_format_can_be_forced_and_an_unknown_one_is_refused(read):
    assert read(SAMPLES["syslog"] + "\n", format="text").tables
    with pytest.raises(UsageError):
        read("x\n", format="nonsense")


def test_every_format_has_both_titles():
    assert all(row.title.ja and row.title.en for row in FORMATS)
    assert len(BY_NAME) == len(FORMATS)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp932", "euc_jp", "utf-8-sig"])
def test_japanese_logs_in_the_encodings_of_japanese_machines(read, encoding):
    text = (
        "日時,送信元IPアドレス,宛先IPアドレス,宛先ポート,ユーザー名,動作\r\n"
        "2024/09/10 20:26:40,10.1.2.3,192.0.2.7,443,山田太郎,許可\r\n"
        "2024/09/10 20:26:41,10.1.2.4,192.0.2.8,80,鈴木花子,拒否\r\n"
    )
    got = read(text.encode(encoding), encoding=encoding)
    first, second = got.rows
    assert (first["source.ip"], first["destination.ip"], first["destination.port"]) == ("10.1.2.3", "192.0.2.7", 443)
    assert (first["user.name"], first["event.action"], first["event.outcome"]) == ("山田太郎", "許可", "success")
    assert second["event.outcome"] == "failure"
    assert first["@timestamp"] == "2024-09-10T20:26:40Z"
    data = text.encode(encoding)
    assert data[second["log.offset"] :].decode(encoding.removesuffix("-sig")).startswith("2024/09/10 20:26:41")
