"""Reading many lines at once gives what reading them one by one gives."""

from __future__ import annotations

import random
from datetime import timedelta, timezone

import pytest

from hikeshi.events.table import TableBuilder
from hikeshi.parse.context import Context
from hikeshi.parse.registry import BY_NAME, any_line

JST = timezone(timedelta(hours=9))


def fortigate(rng: random.Random) -> str:
    """A line of FortiOS with what may and may not be there, in the order of one of its kinds."""
    pairs = [("date", "2024-10-14"), ("time", f"13:{rng.randrange(60):02d}:{rng.randrange(60):02d}")]
    if rng.random() < 0.8:
        pairs.append(("eventtime", rng.choice(["1728881200841267391", "1728881200", "0", "17288"])))
    pairs += [("tz", rng.choice(["+0900", "-0730", ""])), ("logid", "0000000013"), ("type", rng.choice(["traffic", "utm", "event", "weather"]))]
    pairs += [("subtype", rng.choice(["forward", "webfilter", "vpn", "system"])), ("level", "notice"), ("vd", "root")]
    if rng.random() < 0.7:
        pairs += [("srcip", rng.choice(["10.0.0.5", "2001:db8::5", "N/A", "host5"])), ("srcport", str(rng.randrange(70000)))]
    if rng.random() < 0.4:
        pairs += [("remip", rng.choice(["203.0.113.9", "0.0.0.0"])), ("ui", rng.choice(["https(203.0.113.8)", "jsconsole", "ssh(x)"]))]
    if rng.random() < 0.7:
        pairs += [("dstip", "192.0.2.7"), ("dstport", rng.choice(["443", "80", "8080"]))]
    if rng.random() < 0.6:
        pairs += [("user", rng.choice(["u1", "N/A", "CORP\\u1", "john,cn=john", "-", ""]))]
    if rng.random() < 0.5:
        pairs += [("hostname", rng.choice(["c2.example", "c2.example:8443", "192.0.2.7", "N/A"])), ("url", rng.choice(["/a b?c=1", "https://c2.example:8443/a", "", "//x/"]))]
        pairs += [("service", rng.choice(["HTTPS", "HTTP"])), ("reqtype", "direct"), ("cat", "26")]
    if rng.random() < 0.3:
        pairs += [("qname", rng.choice(["Evil.Example.", "[evil.example]", "evil.example"])), ("dstname", "dc1.example")]
    pairs += [("action", rng.choice(["close", "deny", "ssl-login-fail", "tunnel-up", "login"])), ("status", rng.choice(["success", "failed", "", "x"]))]
    if rng.random() < 0.5:
        pairs += [("sentbyte", str(rng.randrange(9999))), ("rcvdbyte", "7"), ("sentdelta", rng.choice(["5", ""]))]
    pairs += [("msg", rng.choice(["File is infected", 'say \\"hi\\"', "", "日本語"]))]
    bare = {"date", "time", "eventtime", "srcip", "srcport", "dstip", "dstport", "remip", "sentbyte", "rcvdbyte", "sentdelta", "cat"}
    return " ".join(f"{k}={v}" if k in bare else f'{k}="{v}"' for k, v in pairs)


def palo_alto(rng: random.Random) -> str:
    kind = rng.choice(["TRAFFIC", "THREAT"])
    tail = "900,700,200" if kind == "TRAFFIC" else '"c2.example/a,b",(9999),any'
    return (
        f"1,2024/09/11 05:26:40,0011C106739,{kind},url,2561,2024/09/11 05:26:{rng.randrange(60):02d},10.0.13.25,192.0.2.43,0.0.0.0,0.0.0.0,r,"
        f"corp\\u{rng.randrange(5)},,ssl,vsys1,trust,untrust,e1,e2,l,2024/09/11 05:26:40,1,1,51000,443,0,0,0x0,tcp,allow,{tail}"
    )


def access(rng: random.Random) -> str:
    return f'203.0.113.{rng.randrange(9)} - frank [10/Sep/2024:20:26:40 +0900] "GET /{rng.randrange(5)} HTTP/1.1" 200 2326 "-" "x"'


def cisco(rng: random.Random) -> str:
    """A message of ASA or FTD: plain ones, with users, odd values in every place, names and values, and damage."""
    odd = rng.random() < 0.3

    def end() -> str:
        if not odd:
            return f"10.0.{rng.randrange(256)}.{rng.randrange(256)}/{rng.choice([53, 443, 8443, 51000])}"
        address = rng.choice(["10.0.0.5", "192.0.2.77", "203.0.113.201", "0.0.0.0", "999.1.1.1", "2001:db8::5", "host5"])
        return address + rng.choice(["/443", "/53", "/51000", "/0", "/70000", "/007", "", "/1023", "/1024"])

    n, clock = rng.randrange(10 ** rng.randrange(1, 12)), f"{rng.randrange(200)}:{rng.randrange(60):02d}:09"
    who = "" if not odd else rng.choice(["", "", "(LOCAL\\u1)", f"({end()})", "(12345)", "(CORP\\m.sato)"])
    face = rng.choice(["outside", "in-side.2", "dmz", "server", "denied", "to", "user"] if odd else ["outside", "dmz"])
    gap = rng.choice(["", "", " x" * rng.randrange(45)]) if odd else ""
    code, message = rng.choice([
        ("302013", f"Built {rng.choice(['inbound', 'outbound'])} TCP connection {n} for {face}:{end()} ({end()}){who}{gap} to inside:{end()} ({end()})"),
        ("302014", f"Teardown TCP connection {n} for {face}:{end()}{who} to inside:{end()} duration {clock} bytes {n} TCP FINs"),
        ("302014", f"Teardown UDP connection {n} for {face}:{end()} to inside:{end()} duration {clock} bytes {n}"),
        ("302021", f"Teardown ICMP connection for faddr {end()} gaddr {end()} laddr {end()} type {n} code 0"),
        ("106023", f'Deny tcp src {face}:{end()} dst inside:{end()} by access-group "A_{n}" [0x{n:x}, 0x0]'),
        ("106015", f"Deny TCP (no connection) from {end()} to {end()} flags RST on interface {face}."),
        ("722051", f"Group <G> User <u{n % 3}> IP <{end()}> IPv4 Address <{end()}> IPv6 address <::> assigned to session"),
        ("113004", f"AAA user authentication Successful : server =  {end()} : user = u{n % 3}"),
        ("304001", f"u1@{end()} Accessed URL {end()}:http://site.example/{n}"), ("111008", f"User 'u{n}' executed the 'show {n}' command."),
        ("430003", f"EventPriority: Low, SrcIP: {end()}, DstIP: {end()}, SrcPort: {n}, User: No Authentication"),
        ("999999", "日本語 " + end()), ("302013", ""), ("30201", f"Built {end()}"),
    ])
    line = f"%{rng.choice(['ASA', 'ASA', 'FTD'])}-{rng.randrange(8)}-{code}: {message}"
    if rng.random() < 0.1:  # damage
        at = rng.randrange(len(line))
        line = rng.choice([line[:at], line[:at] + "\0" * 5 + line[at:], line[:at] + line[at + 3:], line * 2, line.replace(" ", "\t")])
    return line.replace("\n", " ")


def pairs(rng: random.Random) -> str:
    """Records of three made-up devices: values that are carried over and values that decide, and damage."""
    odd = rng.random() < 0.3

    def number() -> str:
        return str(rng.randrange(10 ** rng.randrange(1, 11)) if odd else rng.randrange(1000, 60_000))

    def address() -> str:
        if not odd:
            return f"10.{rng.randrange(256)}.0.{rng.randrange(256)}"
        return rng.choice(["10.0.0.5", "192.0.2.77", "203.0.113.201", "127.0.0.1", "0.0.0.0", "999.1.1.1", "224.0.0.1", "2001:db8::5", "host5", ""])

    def time() -> str:
        if not odd:
            return f"2024-09-{rng.randrange(1, 29):02}T0{rng.randrange(9)}:11:{rng.randrange(60):02}+09:00"
        return rng.choice([f"2024-09-{rng.randrange(1, 29):02}T0{rng.randrange(9)}:11:{rng.randrange(60):02}+09:00", "2024-13-45T00:00:00Z",
                           f"2024-09-10T20:26:{rng.randrange(70):02}Z", str(1_725_967_600 + rng.randrange(99_999)), "1400000000", "yesterday"])

    def place() -> str:
        if not odd:
            return f"https://site{rng.randrange(99)}.example/p/{number()}"
        return rng.choice([f"https://site{rng.randrange(99)}.example/p/{number()}", "http://192.0.2.7/a", "http://Site.Example/", "/only/path?x=1",
                           f"https://a.b.example/{'x' * rng.randrange(300)}", f"www{rng.randrange(99)}.site.example", "intranet", "a.txt"])

    device = rng.randrange(3)
    if device == 0:
        found = [("device", "X7"), ("event_time", time()), ("action", rng.choice(["pass", "block", "403"])), ("src_ip", address()),
                 ("src_port", number()), ("dst_ip", address()), ("dst_port", number()), ("user", f"{rng.choice(['u', 'CORP.m', 'sato']) if odd else 'u'}{number()}"),
                 ("sent", number()), ("status", number()), ("url", place())]
    elif device == 1:
        found = [("ts", time()), ("client", address()), ("name", place()), ("code", number()), ("logged", time()),
                 ("result", rng.choice(["ok", "failed", number()] if odd else ["ok", "failed"]))]
    else:
        found = [("date", "2024-09-10"), ("time", f"20:26:{rng.randrange(60) if odd else 7:02}"), ("epoch", time()), ("remote_host", place()), ("login", f"n{number()}"),
                 ("duration", number()), ("note", rng.choice(["from 203.0.113.9", "user a failed", "", "日本語", "sshd[1]: x"]))]
    if odd and rng.random() < 0.05:
        rng.shuffle(found)
    line = " ".join(f'{k}="{v}"' if (odd and rng.random() < 0.01) or k in ("url", "note", "user") else f"{k}={v}" for k, v in found)
    if rng.random() < 0.1:  # damage
        at = rng.randrange(len(line))
        line = rng.choice([line[:at], line[:at] + "\0" * 5 + line[at:], line[:at] + line[at + 3:], line + " " + line, line.replace(" ", "\t"), line.replace('"', '\\"')])
    return line


MADE = {"fortigate": fortigate, "paloalto": palo_alto, "access": access, "cisco-asa": cisco, "keyvalue": pairs}


LEARNED = ("cisco-asa", "keyvalue")  # by the shape of lines that come often


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("head", ["", "<190>", "<14>Sep 10 2024 20:26:4{n} fw{n} ", "<14>1 2024-09-10T20:26:4{n}+09:00 fw{n} app 9 - - "])
def test_as_one_by_one(read, name, head):
    rng = random.Random(len(head))
    lines = [head.format(n=i % 7) + MADE[name](rng) for i in range(3000 if name in LEARNED else 400)]
    got = read("\n".join(lines) + "\n", zone=JST, format=name).rows
    assert len(got) == len(lines)
    for line, row in zip(lines, got, strict=True):
        event = any_line(line, Context(JST, True), BY_NAME[name] if name != "keyvalue" else None, lenient=False)
        if event is None:
            assert row["event.dataset"] == "unparsed"
            continue
        builder = TableBuilder()
        builder.add(event.time, event.cells)
        alone = next(iter(builder.build().iter_rows()))
        assert {k: v for k, v in row.items() if not k.startswith("log.")} == alone, line
