"""Indicator lists in every form people send, and the broken ones."""

import json

import pytest

from hikeshi.errors import IndicatorError
from hikeshi.indicators import lists, load_indicators


def load(tmp_path, text, name="list.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_indicators([path])


def values(found):
    return {(i.type, i.value) for i in found}


def test_a_text_list_has_comments_defanged_values_and_prose(tmp_path):
    found = load(tmp_path, "# list\n; more\n\nevil.example\nEVIL.example.\n203[.]0[.]113[.]9\nhttp://evil.example/a # why\n"
                           "攻撃元は198.51.100.0/24です\n" + "ab" * 16 + "\nsetup.exe\n0.0.0.0 bad.example.net\n")
    assert values(found) == {
        ("domain", "evil.example"), ("ipv4", "203.0.113.9"), ("url", "http://evil.example/a"), ("cidr", "198.51.100.0/24"),
        ("md5", "ab" * 16), ("domain", "bad.example.net")}
    assert found.duplicates == 1
    assert [(p.where.line, p.text) for p in found.problems] == [(10, "setup.exe")]
    assert found.indicator("ipv4", "203.0.113.9").source.endswith("list.txt:6")
    assert found.indicator("ipv4", "203.0.113.9").written == "203[.]0[.]113[.]9"


def test_a_file_name_in_a_list_is_said_and_not_swept_for(tmp_path):
    found = load(tmp_path, "evil.example\nREADME.md\ntransfer.sh\n")
    assert values(found) == {("domain", "evil.example"), ("domain", "transfer.sh")}
    assert "file name" in found.problems[0].reason


@pytest.mark.parametrize("text", [
    "type,value,comment\ndomain,evil.example,C2\nip,203.0.113.9,\nsha256," + "cd" * 32 + ",x\nregkey,HKLM\\x,\n",
    "value;type;note\nevil.example;hostname;C2\n203.0.113.9;ip-dst;\n" + "cd" * 32 + ";sha256;\nHKLM\\x;regkey;\n",
    "# first_seen,ioc_value,ioc_type,reference\n2024-01-01,evil.example,domain,https://report.example/1\n"
    "2024-01-01,203.0.113.9,ip:port,https://report.example/2\n2024-01-01," + "cd" * 32 + ",sha256_hash,\n2024-01-01,HKLM,x,\n",
])
def test_a_csv_is_read_by_its_header(tmp_path, text):
    found = load(tmp_path, text, "list.csv")
    assert values(found) == {("domain", "evil.example"), ("ipv4", "203.0.113.9"), ("sha256", "cd" * 32)}
    assert found.skipped == 1 and found.problems[0].where.line == 5
    if "C2" in text:
        assert found.indicator("domain", "evil.example").note == "C2"


def test_a_csv_without_header_gives_what_its_cells_are(tmp_path):
    found = load(tmp_path, "2024-01-01,evil.example,high\n2024-01-02,203.0.113.9,low\n")
    assert values(found) == {("domain", "evil.example"), ("ipv4", "203.0.113.9")}


def indicator(pattern, **more):
    return {"type": "indicator", "id": "indicator--1", "pattern_type": "stix", "pattern": pattern, **more}


def bundle(*objects):
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)})


def test_a_stix_bundle_gives_patterns_and_observables(tmp_path):
    found = load(tmp_path, bundle(
        indicator("[domain-name:value = 'evil.example']", name="C2"),
        indicator("[ipv4-addr:value = '203.0.113.9' OR ipv4-addr:value ISSUBSET '198.51.100.0/24']"),
        indicator("[file:hashes.'SHA-256' = '" + "CD" * 32 + "']"), indicator("[url:value IN ('http://a.example/x','http://b.example/y')]"),
        {"type": "email-addr", "id": "email-addr--1", "value": "who@evil.example"}, {"type": "malware", "id": "malware--1"},
        {"type": "file", "id": "file--1", "hashes": {"MD5": "ab" * 16}}), "b.json")
    assert values(found) == {
        ("domain", "evil.example"), ("ipv4", "203.0.113.9"), ("cidr", "198.51.100.0/24"), ("sha256", "cd" * 32),
        ("url", "http://a.example/x"), ("url", "http://b.example/y"), ("email", "who@evil.example"), ("md5", "ab" * 16)}
    assert found.indicator("domain", "evil.example").note == "C2"
    assert found.skipped == 0


@pytest.mark.parametrize(("pattern", "reason"), [
    ("[domain-name:value != 'good.example']", "!="),
    ("[domain-name:value NOT = 'good.example']", "NOT"),
    ("[domain-name:value MATCHES '^(a+)+$']", "MATCHES"),
    ("[url:value LIKE '%good.example%']", "LIKE"),
    ("[windows-registry-key:key = 'HKLM']", "windows-registry-key"),
    ("[domain-name:value = ", "unreadable"),
    ("[" + "(" * 500 + "domain-name:value = 'good.example'" + ")" * 500 + "]", "nested"),
    ("[domain-name:value = 'x']" * 5000, "too long"),
])
def test_what_a_pattern_says_beyond_equality_is_reported_and_not_swept_for(tmp_path, pattern, reason):
    found = load(tmp_path, bundle(indicator("[domain-name:value = 'evil.example']"), indicator(pattern)), "b.json")
    assert values(found) == {("domain", "evil.example")}
    assert found.skipped == 1 and reason in found.problems[0].reason and found.problems[0].where.record == 2


def test_an_and_in_a_pattern_is_said(tmp_path):
    found = load(tmp_path, bundle(indicator("[ipv4-addr:value = '203.0.113.9' AND domain-name:value = 'evil.example']")), "b.json")
    assert values(found) == {("domain", "evil.example"), ("ipv4", "203.0.113.9")}
    assert "AND" in found.problems[0].reason


def test_a_word_in_a_literal_is_no_operator(tmp_path):
    found = load(tmp_path, bundle(indicator("[domain-name:value = 'evil.example' OR url:value = 'http://a.example/AND/x']")), "b.json")
    assert len(found) == 2 and found.skipped == 0


def test_a_misp_event_keeps_what_is_not_for_detection_with_a_note(tmp_path):
    event = {"Event": {"info": "x", "Attribute": [
        {"type": "ip-dst|port", "value": "203.0.113.9|443", "to_ids": True},
        {"type": "filename|sha256", "value": "a.exe|" + "cd" * 32, "to_ids": True, "comment": "dropper"},
        {"type": "domain", "value": "evil.example", "to_ids": False}, {"type": "regkey", "value": "HKLM"}, "odd"],
        "Object": [{"name": "url", "Attribute": [{"type": "url", "value": "http://evil.example/a"}]}]}}
    for tree in (event, {"response": [event]}, [event]):
        found = load(tmp_path, json.dumps(tree), "m.json")
        assert values(found) == {("ipv4", "203.0.113.9"), ("sha256", "cd" * 32), ("domain", "evil.example"),
                                 ("url", "http://evil.example/a")}
        assert found.indicator("domain", "evil.example").note == "to_ids=false"
        assert found.indicator("sha256", "cd" * 32).note == "dropper"
        assert found.skipped == 2


def test_our_own_json_lines_are_a_list_too(tmp_path):
    found = load(tmp_path, '{"value": "evil.example", "type": "domain"}\n{"value": 5}\nbroken\n{"value": "203.0.113.9"}\n', "x.jsonl")
    assert values(found) == {("domain", "evil.example"), ("ipv4", "203.0.113.9")}
    assert sorted(p.where.line for p in found.problems) == [2, 3]


def test_a_bracket_at_the_start_is_not_yet_json(tmp_path):
    assert values(load(tmp_path, "[.]evil[.]example\n203[.]0[.]113[.]9\n")) >= {("ipv4", "203.0.113.9")}


@pytest.mark.parametrize(("data", "words"), [
    (b"", "no indicator"), (b"\n\n# only comments\n", "no indicator"), (b"nothing here\n", "no indicator"),
    (b"PK\x03\x04....", "binary"), (b"\x00" * 5000, "binary"), (b'{"a": [', "broken"), (b'{"a": 1}', "no indicator"),
    (b"[" * 100_000, "no indicator"), (b"\xff\xfe" + "日本".encode("utf-16-le"), "no indicator"),
])
def test_a_list_that_holds_nothing_is_an_error_with_its_place(tmp_path, data, words):
    with pytest.raises(IndicatorError) as error:
        load(tmp_path, data)
    assert words in str(error.value) and "list.txt" in str(error.value)


def test_a_missing_list_is_an_error(tmp_path):
    with pytest.raises(IndicatorError, match="can't be read"):
        load_indicators([tmp_path / "none.txt"])


def test_a_list_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lists, "MAX_BYTES", 10)
    with pytest.raises(Exception, match="split the list"):
        load(tmp_path, "evil.example\nmore.example\n")


def test_odd_lines_are_counted_and_the_rest_is_read(tmp_path):
    found = load(tmp_path, b"evil.example\nbad\x00.example\n" + b"x" * 200_000 + b"\n\x82\xa0 203.0.113.9\n")
    assert values(found) == {("domain", "evil.example"), ("ipv4", "203.0.113.9")}
    assert found.skipped == 2


def test_lists_in_the_encodings_of_windows_are_read(tmp_path):
    for data in ("通信先 203.0.113.9\r\n".encode("cp932"), "通信先 203.0.113.9\r\n".encode("utf-16"),
                 "\ufeff通信先 203.0.113.9\r\n".encode()):
        assert values(load(tmp_path, data)) == {("ipv4", "203.0.113.9")}


def test_a_million_lines_are_read_and_problems_stay_few(tmp_path):
    names = "".join(f"host{i}.example\n" for i in range(250_000))
    found = load(tmp_path, names + "no indicator\n" * 5000)
    assert len(found) == 250_000
    assert found.skipped == 5000 and len(found.problems) == lists.MAX_PROBLEMS
