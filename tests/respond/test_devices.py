"""Lists ready to load: nothing an attacker writes gets out of a list's syntax; every list has its undo."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hikeshi.respond.blocklist import list_id, make, rows, stopped
from hikeshi.respond.devices import DEVICES, Device, Job
from hikeshi.respond.devices.dns import rpz_ip
from hikeshi.respond.holding import Sorted, sort_targets
from hikeshi.respond.plan import Plan
from hikeshi.respond.targets import Target, target, url_parts

MADE = datetime(2026, 11, 1, 3, 4, tzinfo=UTC)
SOME = ("evil.example", "203.0.113.66", "198.51.100.0/24", "2001:db8::66", "http://share.example/u/drop.php?a=b",
        "boss@evil.example", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

# Signs with a meaning somewhere, glued to plausible values: what a hostile list or log would hold.
SHARP = ["o'brien@evil.example", "a';b`c$d&e|f@evil.example", "http://evil.example/a;b'c\"d$(e)`f`?g=*~^|%0a#h",
         "http://evil.example:8080/(.*)+[x]{1}\\", "https://[2001:db8::7]/$x;'", "\u2019evil@evil.example"]
_SIGNS = st.text(alphabet="'\"`$;|&(){}[]<>\\^%#!?*~,:=@+ \t\r\n\x00\x1b’‘‚‛“”。／é\u202e" "abz019./-_", max_size=30)
_HOSTILE = st.one_of(
    _SIGNS,
    st.builds(lambda a, b: f"http://evil.example/{a}?{b}", _SIGNS, _SIGNS),
    st.builds(lambda a: f"https://{a}.evil.example/x", _SIGNS),
    st.builds(lambda a: f"{a}.example", _SIGNS),
    st.builds(lambda a: f"{a}@evil.example", _SIGNS),
    st.builds(lambda a: f"203.0.113.7{a}", _SIGNS),
    st.builds(lambda a: f"2001:db8::{a}", _SIGNS),
    st.text(max_size=40))

_NAME, _ADDRESS = r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?", r"[0-9a-f.:]+(?:/\d+)?"
_URL = r"[A-Za-z0-9._~:/?\[\]@!$&()*+,;=%-]+"
_CPL_URL = _URL.replace(";", "")
_PS = r"'(?:[^'\r\n\u2018\u2019\u201a\u201b]|'')*'"
_PS_LIST = rf"@\({_PS}(?:, {_PS})*\)"
# Every line a file may hold beside its comments.
GRAMMAR: dict[str, tuple[str, str]] = {
    "fortigate/block.conf": ("#", r"config [a-z0-9 ]+|end| +(?:end|next|config entries|edit (?:\d+|\"[a-z0-9-]+\")|set subnet [\d.]+ "
                             rf"[\d.]+|set ip6 {_ADDRESS}|set type [a-z]+|set fqdn \"(?:\*\.)?{_NAME}\"|set url \"[^\"\\?]+\""
                             r"|set member(?: \"[a-z0-9-]+\")+|set (?:name|srcintf|dstintf|srcaddr6?|schedule|service) \"[\w-]+\""
                             r"|set dstaddr6?(?: \"[a-z0-9-]+\")+|set action (?:deny|block)|set logtraffic all)"),
    "fortigate/undo.conf": ("#", r"config [a-z0-9 ]+|end| +delete (?:\d+|\"[a-z0-9-]+\")"),
    "fortigate/feed-addresses.txt": ("#", _ADDRESS), "fortigate/feed-domains.txt": ("#", rf"(?:\*\.)?{_NAME}"),
    "fortigate/feed-urls.txt": ("#", _URL),
    "paloalto/edl-addresses.txt": ("\x00", rf"{_ADDRESS} # hikeshi [a-z0-9]+"),
    "paloalto/edl-domains.txt": ("\x00", rf"(?:\*\.)?{_NAME}"), "paloalto/edl-urls.txt": ("\x00", _URL),
    "squid/domains.txt": ("#", rf"\.{_NAME}"), "squid/addresses.txt": ("#", _ADDRESS),
    "squid/urls.txt": ("#", r"\^[!-~]+"),
    "squid/hikeshi.conf": ("#", r"acl hikeshi_[a-z0-9]+_[a-z]+ [a-z_]+(?: -i)? \"/etc/squid/hikeshi/[a-z]+\.txt\""
                           r"|http_access deny hikeshi_[a-z0-9]+_[a-z]+"),
    "bluecoat/hikeshi.cpl": (";", rf"|define (?:url\.domain condition|url condition|subnet) Hikeshi_\w+|end|<Proxy>"
                             rf"| +(?:{_NAME}|{_ADDRESS}|{_CPL_URL})| +(?:condition|url\.address)=Hikeshi_\w+ exception\(\w+\)"),
    "cisco/asa.txt": ("!", r"object-group network HIKESHI-\w+| network-object (?:host [\da-f.:]+|[\d.]+ [\d.]+|[\da-f:]+/\d+)"
                      r"| exit|access-list INSIDE-IN line 1 extended deny ip any object-group HIKESHI-\w+ log"),
    "cisco/ios.txt": ("!", r"object-group network HIKESHI-\w+| host [\d.]+| [\d.]+ [\d.]+| exit|ip access-list extended INSIDE-IN"
                      r"| 1 deny ip any object-group HIKESHI-\w+ log|ipv6 access-list INSIDE-IN-6-\w+"
                      r"| sequence \d+ deny ipv6 any [\da-f:/]+ log| permit ipv6 any any"),
    "rpz/rpz.zone": (";", rf"\$TTL 60|@ IN (?:SOA|NS) [a-z0-9. ]+|(?:\*\.)?{_NAME} CNAME \.|[\da-fz.]+\.rpz-ip CNAME \."),
    "hosts/hosts": ("#", rf"(?:0\.0\.0\.0|::) {_NAME}"),
    "windows/block.ps1": ("#", rf"\$ErrorActionPreference = 'Stop'|New-NetFirewallRule -DisplayName {_PS} -Group {_PS} -Direction "
                          rf"\w+ -Action Block -Profile Any -RemoteAddress {_PS_LIST} \| Out-Null"
                          rf"|Get-NetFirewallRule -Group {_PS} \| Format-Table [A-Za-z, ]+"),
    "windows/block.cmd": ("rem", r"@echo off|netsh advfirewall firewall add rule name=\"[a-z0-9-]+\" dir=(?:in|out) action=block "
                          rf"remoteip={_ADDRESS}(?:,{_ADDRESS})*"),
    "microsoft365/block.ps1": ("#", rf"\$ErrorActionPreference = 'Stop'|New-TenantAllowBlockListItems -ListType \w+ -Block "
                               rf"-NoExpiration -Notes {_PS} -Entries {_PS_LIST}|Set-HostedConnectionFilterPolicy -Identity Default "
                               rf"-IPBlockList @\{{Add = {_PS_LIST}\}}|New-TransportRule -Name {_PS} (?:-Comments {_PS} )?-Priority 0 "
                               rf"-\w+ {_PS_LIST} (?:-Quarantine \$true|-RejectMessageReasonText {_PS})"),
    "microsoft365/undo.ps1": ("#", rf"\$ErrorActionPreference = 'Continue'|Remove-TenantAllowBlockListItems -ListType \w+ -Entries "
                              rf"{_PS_LIST}|Set-HostedConnectionFilterPolicy -Identity Default -IPBlockList @\{{Remove = {_PS_LIST}\}}"
                              rf"|Remove-TransportRule -Identity {_PS} -Confirm:\$false"),
    "suricata/hikeshi.rules": ("#", r"drop (?:ip|dns|tls|http) \$HOME_NET any -> (?:any|\[[\da-f.:/]+\]) any \(msg:\"HIKESHI [a-z0-9]+ "
                               r"[A-Za-z ]+\"; (?:[a-z.]+(?::(?:\"[^\";|]*(?:\|[0-9a-f ]+\|[^\";|]*)*\"|[a-z_,\d]+))?; )*classtype:"
                               r"trojan-activity; sid:\d+; rev:1;\)"),
    "nftables/hikeshi.nft": ("#", rf"(?:delete )?table inet hikeshi_\w+(?: \{{)?| +(?:set|chain) \w+ \{{| +type [\w -]+;?(?: policy "
                             rf"accept;)?| +flags interval| +auto-merge| +elements = \{{| +{_ADDRESS},| +\}}|\}}"
                             r"| +ip6? [sd]addr @addresses[46] [\w -]+"),
}


def job(*targets: Target) -> Job:
    return Job(list_id(targets), MADE, targets)


def some(*values: str) -> tuple[Target, ...]:
    found = tuple(target(v) for v in values or SOME)
    assert all(found)
    return tuple(t for t in found if t)


def check(device: Device) -> None:
    for file in device.files:
        assert file.text.isascii(), (device.id, file.path)
        rule = GRAMMAR.get(f"{device.id}/{file.path}")
        if rule is None:
            continue
        comment, line = rule
        for text in file.text.replace("\r\n", "\n").removesuffix("\n").split("\n"):
            assert text.startswith(comment) or re.fullmatch(line, text), (device.id, file.path, text)


@settings(max_examples=400, deadline=None)
@given(st.lists(_HOSTILE, max_size=6))
@example(SHARP)
def test_nothing_breaks_out_of_any_syntax(values: list[str]) -> None:
    made = job(*(t for t in map(target, values) if t is not None))
    for render in DEVICES.values():
        check(render(made))


@pytest.mark.parametrize("name", DEVICES)
def test_each_list_says_what_when_and_how_and_has_its_undo(name: str) -> None:
    device = DEVICES[name](job(*some()))
    check(device)
    assert any("undo" in f.path for f in device.files)
    assert device.load and device.undo and device.effect.ja and device.effect.en
    # A list of a Palo Alto may hold no comment; HOW-TO.txt has it.
    for file in device.files:
        if not file.path.startswith(("edl-", "undo/edl-")):
            head = file.text[:700]
            assert "Hikeshi block list" in head and "2026-11-01 03:04 UTC" in head
            assert "Load:" in head and "Undo:" in head


def test_what_a_device_can_not_stop_is_told_and_never_called_stopped() -> None:
    targets = some()
    for name, render in DEVICES.items():
        device = render(job(*targets))
        text = "\n".join(f.text for f in device.files if "undo" not in f.path)
        for one in stopped(targets, device):
            host = one.host or one.value
            forms = [host, host.split("/")[0]] + ([rpz_ip(host)] if one.type in ("ipv4", "ipv6", "cidr") else [])
            assert any(form in text or form.replace(".", "[.]") in text for form in forms), (name, one.value)
        left = {e.value for e in device.left_out}
        assert {t.value for t in targets} == left | {t.value for t in stopped(targets, device)} | {
            t.value for t in targets if not set(t.where) & set(device.controls)}


def test_every_target_and_control_is_covered_by_some_device() -> None:
    made = make(Sorted(block=some()), MADE)
    for one in made.job.targets:
        reached = {c for d in made.devices if one in stopped(made.job.targets, d) for c in d.controls}
        assert set(one.where) <= reached, one.value


def test_names_below_a_listed_name_are_not_listed_twice() -> None:
    targets = some("evil.example", "a.evil.example", "notevil.example")
    squid = {f.path: f.text for f in DEVICES["squid"](job(*targets)).files}
    rows_ = [x for x in squid["domains.txt"].splitlines() if not x.startswith("#")]
    assert rows_ == [".evil.example", ".notevil.example"]
    assert targets[1] in stopped(targets, DEVICES["squid"](job(*targets)))


def test_the_same_targets_make_the_same_list_in_any_order() -> None:
    one, two = some(), tuple(reversed(some()))
    assert list_id(one) == list_id(two) != list_id(one[1:])
    assert [f.text for f in DEVICES["rpz"](job(*one)).files] == [f.text for f in DEVICES["rpz"](job(*two)).files]


@pytest.mark.parametrize(("value", "name"), [
    ("203.0.113.5", "32.5.113.0.203"), ("198.51.100.0/24", "24.0.100.51.198"), ("2001:db8::5", "128.5.zz.db8.2001"),
    ("2001:db8::/32", "32.zz.db8.2001"), ("2001:db8:1:2:3:4:5:6", "128.6.5.4.3.2.1.db8.2001"), ("::5", "128.5.zz")])
def test_addresses_in_a_policy_zone(value: str, name: str) -> None:
    assert rpz_ip(value) == name


@pytest.mark.parametrize(("value", "parts"), [
    ("http://evil.example:8080/a?b", ("http", "evil.example", "8080", "/a?b")),
    ("https://[2001:db8::1]:8443/x", ("https", "2001:db8::1", "8443", "/x")),
    ("http://user:pw@evil.example/x", ("http", "evil.example", "", "/x")), ("evil.example/x", ("", "evil.example", "", "/x"))])
def test_a_url_falls_into_its_parts(value: str, parts: tuple[str, ...]) -> None:
    assert url_parts(value) == parts


def test_a_device_with_nothing_to_do_is_left_out() -> None:
    made = make(sort_targets(some("boss@evil.example"), Plan()), MADE)
    assert [d.id for d in made.devices] == ["microsoft365"]
    assert rows(made)[0]["devices"] == ["microsoft365"] and rows(made)[0]["where"] == ["mail"]
    assert make(Sorted(), MADE).devices == ()
