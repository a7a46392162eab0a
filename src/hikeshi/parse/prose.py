"""What sentences of unknown programs say about who and from where, where the wording is plain.

Only wordings that leave no doubt: "from 192.0.2.1", "client 192.0.2.1", "user 'x'". A mere address
in a sentence is no source; it stays in the message, which is swept too.
"""

from __future__ import annotations

import re

from hikeshi.parse.addresses import account, ip, port

_ADDRESS = r"\[?(\d{1,3}(?:\.\d{1,3}){3}|(?=[0-9A-Fa-f]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{3,39})\]?"
_PLACE = (
    r"(?:\s+[\w-]+(?:\.[\w-]+)+\s?(?=[\[(]))?"
    # An interface in front ("outside:192.0.2.1/443"); behind a slash a small number is a mask.
    rf"\s?[=:]?\s?(?:host |IP[ =]|address |peer |interface )?['\"<(]?(?:[A-Za-z][\w-]{{0,30}}:)?{_ADDRESS}"
    r"(?:[:#](\d{1,5})\b|/(\d{3,5})\b|,? port[ =](\d{1,5})|\[(\d{1,5})\])?"
)
_SOURCE = re.compile(
    r"\b(?:from|client(?:[ _-]?ip)?(?:[ _-]?address)?|initiated by|source(?: ip)?(?: address)?|rhost|"
    r"remote(?: host| ip| address)?|src(?:ip)?|rip|raddr|peer(?: \d{1,9}(?= \())?|IP address|cli(?= \d)|"
    r"vty\d{1,3}(?= \()|received: host|tty=\S{1,60} host|entry for host|PROTOCOL=tcps?\)\(HOST|(?<=[,;(] )IP(?=: ?\d)|"
    r"originating from|accepted|closed by|reset by|"
    r"(?<=> )IP(?= ?<))(?: @0x[0-9a-f]+)?" + _PLACE,
    re.IGNORECASE,
)
# Who was called, said so plainly that no source need stand beside it.
_CALLED = re.compile(
    r"(?:\bv?server(?: ip)?(?: address)?\s?[=:]|\bserver(?: ip)? address|\b(?:connect(?:ed|ing|ion)?|TLS|relayed|"
    r"forwarded|tunnel(?:led)?)\b[^,;:<>\[]{0,30}? (?:to|for)|"
    r"^(?:[0-9A-Za-z]+: )?host(?= [\w.-]+\[[^\]]+\] said))" + _PLACE,
    re.IGNORECASE,
)
_TARGET = re.compile(r"\b(?:to|destination(?: ip)?(?: address)?|dst(?:ip)?|lip|at VIP)" + _PLACE, re.IGNORECASE)
# "HTTPS request from 10.0.0.5:51000 to evil.example:443"
_TO_NAME = re.compile(r"\brequest from \S{7,60} to ((?:[\w-]{1,63}\.){1,8}[A-Za-z][\w-]{1,62}):(\d{1,5})\b")
_USERS = (
    re.compile(
        r"\b(?:user(?:name)?(?: id)?|account|login)\s?[=:]?\s?['\"<\[]([^'\"<>\]\s]{1,64})['\">\]]", re.IGNORECASE
    ),
    re.compile(r"\b(?:username|uname|user|login|acct)=([\w.@\\$-]{1,64})"),
    # "user = admin", "Uname: admin": only where the statement ends there.
    re.compile(
        r"\b(?:user ?name|uname|user|login) ?[=:] ?([\w.@\\$-]{1,64})(?=\s*(?:[,;)\]]|\.?\s*\Z| - ))", re.IGNORECASE
    ),
    re.compile(r"\bfor user ([\w.@\\$-]{1,64})"),
    re.compile(r"\bfor (?:(?:invalid|illegal) user )?([\w.@\\$-]{1,64}) from \S*\d"),
    re.compile(r"\b(?:invalid|illegal|authenticating|unknown) user ([\w.@\\$-]{1,64})(?: |\Z)", re.IGNORECASE),
    re.compile(r"\[user(?:name)?: ?([\w.@\\$-]{1,64})\]", re.IGNORECASE),
    re.compile(r"\bby user ([\w.@\\$-]{1,64})"),
    re.compile(r"\b[Uu]ser ([\w.@\\$-]{1,64}) (?:from|logged|at|has logged|authenticated|failed|was|connected)\b"),
    re.compile(r"\b[Uu]ser ([\w.@\\$-]{1,64}) (?:[-:|]|IP|client) "),
    re.compile(r"[,;] user ([\w.@\\$-]{1,64})(?=\s*(?:[,;)\]]|\Z))"),
    re.compile(r"\bas user ([\w.@\\$-]{1,64}) \("),
    re.compile(r"\bby ([\w.@\\$-]{1,64}) on (?:vty|tty|console)"),
    re.compile(r",account ([\w.@\\$-]{1,64}) logged (?:in|out)\b"),
    re.compile(r"\] \[([\w.@\\$-]{1,64})\] (?:OK|FAIL) [A-Z]+:"),  # vsftpd
    re.compile(r"\bUSER ([\w.@\\$-]{1,64})(?:: | \()"),  # ProFTPD
    re.compile(r"\bLogin (?:OK|incorrect)[^\[]{0,120}: \[([^\]/\s]{1,64})[\]/]"),  # FreeRADIUS
    re.compile(r"\b(?:CHAP|PAP)\b[^\]]{0,80}\b(?:name|user) ?= ?\"([^\"\s]{1,64})\""),
)
# "opened for 'root@192.0.2.1'": who and from where in one word.
# (MySQL: Access denied for user 'u1'@'192.0.2.1')
_WHO_AT = re.compile(
    r"(?:\b(?:for|by|of|[Uu]ser|session|Connect)\s+['\"<(]?|\()([\w.$\\-]{1,64})['\"]?@['\"]?"
    r"((?:\d{1,3}\.){3}\d{1,3})(?![\w.])"
)
# "for outside:192.0.2.1/5000 to inside:10.0.0.5/443": both with their port, maybe the translated pair behind.
_PAIR = r"(?:[A-Za-z][\w.-]{0,60}:)?((?:\d{1,3}\.){3}\d{1,3})[:/](\d{1,5})"
_FROM_TO = re.compile(rf"(?<![\w.:/]){_PAIR}(?: ?\([^()]{{1,80}}\)){{0,2}} to {_PAIR}(?![\w.])")
# "192.0.2.1:5000 -> 192.0.2.7:443", with the port behind a colon or a slash.
_FLOW = re.compile(
    r"(?<![\w.])((?:\d{1,3}\.){3}\d{1,3})(?:[:/(](\d{1,5})\)?)? ?(?:-+>|=+>|→|»|>) ?"
    r"((?:\d{1,3}\.){3}\d{1,3})(?:[:/(](\d{1,5})\)?)?(?![\w.])"
)
_SIX = r"\[?((?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4})\]?(?::(\d{1,5}))?"
_FLOW6 = re.compile(rf"(?<![\w.:]){_SIX} ?-+> ?{_SIX}(?![\w.:])")
_PAIRS = re.compile(r"(?:[0-9A-Fa-f]{2}:)+[0-9A-Fa-f]{2}\Z")
# "tcp 10.0.0.5 192.0.2.7 51000 443"
_FOUR = re.compile(r"(?<![\w.])((?:\d{1,3}\.){3}\d{1,3}) ((?:\d{1,3}\.){3}\d{1,3}) (\d{1,5}) (\d{1,5})(?![\w.:])")
# Name servers: "query[A] evil.example from 10.0.0.5", "info: 10.0.0.5 evil.example. A IN".
_ASKED = (
    re.compile(r"\bquery\[\w+\] (\S+) from (\S+)"),
    re.compile(r"\bquery: (\S+) IN [A-Z]+()"),
    re.compile(r"\bquestion for '([^'|\s]+)\|\w+' from ([\d.]+|[0-9A-Fa-f:]+(?=[ :]|\Z))"),  # PowerDNS
)
_WANTS = re.compile(r"\bRemote (\S+) wants '([^'|\s]+)\|")
_UNBOUND = re.compile(r"\binfo: (\S+) (\S+)\. [A-Z]+ IN\b")
# mail and web servers: "name[192.0.2.1]"
_NAMED = re.compile(
    r"(?<![\w.])[\w-]+(?:\.[\w-]+)*\[((?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]*:[0-9A-Fa-f:]+)(?:/\d{1,3})?\]"
)
# "192.0.2.1:65244 TLS: …" and "… root 192.0.2.1 port 33398": only a client has a port of its own there.
_LEADING = re.compile(r"(?<![\w.:>])(?<!\bto )(?<!\bat )((?:\d{1,3}\.){3}\d{1,3}):(\d{4,5})(?= [A-Z]|\Z)")
# Samba: "pc-14 (ipv4:10.0.0.5:51000) connect to service …"
_PREFIXED = re.compile(r"\(ipv4:((?:\d{1,3}\.){3}\d{1,3}):(\d{1,5})\)")
_WITH_PORT = re.compile(r"(?<![\w.:])((?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]*:[0-9A-Fa-f:]+) port (\d{4,5})\b")
_REQUEST = re.compile(r"\brequest:? ['\"]([A-Z]{3,10}) (\S{1,2000}) HTTP/\d")
_TO_PORT = re.compile(r"\bto port (\d{1,5})\b")
_LONGEST = 4000


def add_who_and_where(cells: dict[str, object], message: str) -> None:
    """Add source, destination and user to `cells` where the message plainly names them."""
    text = message[:_LONGEST]
    low = text.lower()
    addressed = _ADDRESSED.search(text) is not None
    if addressed and (four := _FOUR.search(text)) and "source.ip" not in cells:
        _put_ends(cells, (four[1], four[3]), (four[2], four[4]))
    if "quer" in low or "question" in low or "wants" in low or "info:" in low:
        _put_asked(cells, text)
    if addressed:
        _put_sides(cells, text)
    if "source.ip" in cells and "destination.port" not in cells and (to := _TO_PORT.search(text)):
        cells["destination.port"] = port(to[1])
    if "url.full" not in cells and "request" in low and (request := _REQUEST.search(text)):
        cells["url.full"] = request[2]
        cells.setdefault("http.request.method", request[1])
    if "user.name" not in cells and any(word in low for word in _OF_PEOPLE):
        said = next((m[1] for p in _USERS if (m := p.search(text))), None)
        name, domain = account(said) if said else (None, None)
        if name:
            cells["user.name"] = name
            if domain:
                cells.setdefault("user.domain", domain)


# Without one of these no pattern below can hold; to look for them is cheaper.
_ADDRESSED = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d|:[0-9A-Fa-f]{0,4}:")
_OF_PEOPLE = ("user", "account", "login", "uname", "acct", " from ", "by ", "] [", "chap", "pap")


def _put_ends(cells: dict[str, object], source: tuple[str, str | None], target: tuple[str, str | None]) -> None:
    """Both ends of a connection as (address, port), if both are addresses."""
    if not (ip(source[0]) and ip(target[0])):
        return
    for side, (address, number) in (("source", source), ("destination", target)):
        cells[f"{side}.ip"] = ip(address)
        if port(number or "") is not None:
            cells.setdefault(f"{side}.port", port(number))


def _put_asked(cells: dict[str, object], text: str) -> None:
    """Which name a resolver was asked for, and by whom."""
    asked = next((m for p in _ASKED if (m := p.search(text))), None)
    name, client = (asked[1], asked[2]) if asked else ("", "")
    if not asked and (unbound := _UNBOUND.search(text) or _WANTS.search(text)):
        client, name = unbound[1], unbound[2]
    if name:
        cells.setdefault("dns.question.name", name.rstrip(".").lower())
        if address := ip(client):
            cells.setdefault("source.ip", address)


def _put_sides(cells: dict[str, object], text: str) -> None:
    """Who called whom, by the words before the addresses or an arrow between them."""
    flow = _FLOW.search(text) if ">" in text or "→" in text or "»" in text else None
    flow = flow or (_FROM_TO.search(text) if " to " in text else None) or _flow_of_six(text)
    if flow and "source.ip" not in cells and not _of_networks(flow):
        _put_ends(cells, (flow[1], flow[2]), (flow[3], flow[4]))
    for side, pattern in (("source", _SOURCE), ("destination", _TARGET)):
        # "to 10.0.0.1" alone may be anything; beside a source it is where it went.
        if side == "destination" and "source.ip" not in cells:
            continue
        found = pattern.search(text)
        address = ip(found[1]) if found else None
        if found is None or address is None:
            continue
        cells.setdefault(f"{side}.ip", address)
        number = port(found[2] or found[3] or found[4] or found[5] or "")
        if number is not None:
            cells.setdefault(f"{side}.port", number)
    if "source.ip" in cells and "destination.ip" not in cells and (called := _TO_NAME.search(text)):
        cells.setdefault("destination.domain", called[1].lower())
        cells.setdefault("destination.port", port(called[2]))
    called = _CALLED.search(text) if "destination.ip" not in cells else None
    if called and (address := ip(called[1])) and address != cells.get("source.ip"):
        cells["destination.ip"] = address
        if (number := port(called[2] or called[3] or called[4] or called[5] or "")) is not None:
            cells.setdefault("destination.port", number)
    if "source.ip" not in cells and "@" in text and (who := _WHO_AT.search(text)) and ip(who[2]):
        cells["source.ip"] = who[2]
        cells.setdefault("user.name", who[1].rpartition("\\")[2])
    if "source.ip" not in cells and "destination.ip" not in cells and (named := _NAMED.search(text)) and ip(named[1]):
        cells["source.ip"] = ip(named[1])
    if "source.ip" not in cells:
        for pattern in (_PREFIXED, _LEADING, _WITH_PORT):
            alone = pattern.search(text)
            if alone and (address := ip(alone[1])):
                cells["source.ip"] = address
                cells.setdefault("source.port", port(alone[2]))
                break


def _of_networks(flow: re.Match[str]) -> bool:
    """ "10.0.0.0/8 -> 192.0.2.0/24" is a route: masks are no ports."""
    if not (flow[2] and flow[4]):
        return False
    low = int(flow[2]) <= 32 and int(flow[4]) <= 32
    if flow.re is _FROM_TO:
        return low
    return low and "/" in flow[0] and flow[3].endswith(".0")


def _flow_of_six(text: str) -> re.Match[str] | None:
    flow = _FLOW6.search(text) if text.count(":") > 5 and ">" in text else None
    # Eight pairs of digits are a fingerprint or a hardware address as well.
    return flow if flow and not (_PAIRS.match(flow[1]) or _PAIRS.match(flow[3])) else None


# What a device did with a packet or a request, in its own word.
_VERDICT = re.compile(
    r"(?<!not )(?<![\w./=])(allow(?:ed)?|permit(?:ted)?|accept(?:ed)?|den(?:y|ied)|drop(?:ped)?|block(?:ed)?"
    r"|reject(?:ed)?|ALLOW(?:ED)?|PERMIT(?:TED)?|ACCEPT(?:ED)?|DEN(?:Y|IED)|DROP(?:PED)?|BLOCK(?:ED)?|REJECT(?:ED)?|PASS"
    r"|Allow(?:ed)?|Permit(?:ted)?|Accept(?:ed)?|Den(?:y|ied)|Drop(?:ped)?|Block(?:ed)?|Reject(?:ed)?)(?![\w./=-])"
)


def add_verdict(cells: dict[str, object], text: str) -> None:
    """What was done, where two sides are known and a word says it plainly."""
    if "event.action" in cells or "source.ip" not in cells:
        return
    if "destination.ip" not in cells and "destination.domain" not in cells:
        return
    if said := _VERDICT.search(text[:_LONGEST]):
        cells["event.action"] = said[1]
        good = said[1][:4].lower() in ("allo", "perm", "acce", "pass")
        cells.setdefault("event.outcome", "success" if good else "failure")
