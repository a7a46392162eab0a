"""A file swept in parts gives what it gives in one piece: lines, counts, headers that change on the way."""

import pytest

from hikeshi.indicators.lists import from_values
from hikeshi.triage import sweep as module
from hikeshi.triage.sweep import sweep_evidence

OLD = "#Fields: date time c-ip cs-username cs-uri-scheme cs-host cs-uri-path cs-bytes\n"
NEW = "#Fields: date time cs-bytes cs-uri-scheme cs-host cs-uri-path c-ip cs-username\n"


def squid(number):
    host = "a.evil.example" if number % 50 == 7 else "good.example"
    return f"{1726000000 + number}.000    24 10.1.15.{number % 3} TCP_MISS/200 186 GET http://{host}/a u{number % 3} HIER_DIRECT/192.0.2.7 text/html\n"


def w3c(number, *, new):
    host, path = ("evil.example", "/gate/x") if number % 50 == 7 else ("good.example", "/")
    client, user, size = f"10.1.15.{number % 3}", f"u{number % 3}", 100 + number % 7
    cells = (size, "http", host, path, client, user) if new else (client, user, "http", host, path, size)
    return f"2024-09-10 20:{number // 60 % 60:02}:{number % 60:02} " + " ".join(map(str, cells)) + "\n"


def found(folder, values):
    return {(s.indicator, s.role, s.client, s.user, s.first_seen, s.last_seen, s.count, s.bytes_out, s.lines, s.file)
            for s in sweep_evidence([folder], from_values(values), workers=2).sightings}


@pytest.mark.parametrize("name", ["squid", "w3c"])
def test_parts_and_one_piece_agree(tmp_path, monkeypatch, name):
    if name == "squid":
        text = "".join(squid(i) for i in range(3000))
    else:
        text = OLD + "".join(w3c(i, new=False) for i in range(2000)) + NEW + "".join(w3c(i, new=True) for i in range(2000))
    (tmp_path / "a.log").write_text(text)
    values = ["evil.example", "http://evil.example/gate", "192.0.2.99"]
    whole = found(tmp_path, values)
    monkeypatch.setattr(module, "PART", 1 << 14)
    parts = found(tmp_path, values)
    assert parts == whole and len(whole) == (3 if name == "squid" else 6)
    lines = sorted(n for w in whole if w[0] == "evil.example" for n in w[8])
    first = 8 if name == "squid" else 9
    assert lines[:2] == [first, first + 50] and len(lines) == len(text.splitlines()) // 50


def test_an_excerpt_says_each_place_once(tmp_path):
    (tmp_path / "a.log").write_bytes(b"x " * (3 << 20) + b"10.0.0.7 evil.example " + b"y " * (3 << 20) + b"203.0.113.9\nlast\n")
    result = sweep_evidence([tmp_path], from_values(["evil.example", "203.0.113.9", "198.51.100.1"]), workers=1)
    assert [(s.indicator, s.role, s.count, s.lines) for s in sorted(result.sightings, key=lambda s: s.indicator)] == [
        ("203.0.113.9", "mention", 1, (1,)), ("evil.example", "mention", 1, (1,))]
    assert result.records == 2
