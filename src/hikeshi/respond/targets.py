"""What is to be blocked: from a triage result, from sightings, from indicator lists.

A target's value is in the normal form of `hikeshi.indicators`, so that nothing but an address, a name, a URL,
a mail address or a hash gets any further, whatever the attacker wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from hikeshi.indicators import load_indicators, normalise
from hikeshi.indicators.normalise import split_port
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text
from hikeshi.respond.result import Result, confidence_of, refs_of

Control = Literal["firewall", "proxy", "dns", "mail"]
CONTROLS: tuple[Control, ...] = ("firewall", "proxy", "dns", "mail")

# Where each type can be stopped at all.
WHERE: dict[str, tuple[Control, ...]] = {
    "ipv4": CONTROLS,
    "ipv6": CONTROLS,
    "cidr": CONTROLS,
    "domain": CONTROLS,
    "url": ("proxy", "mail"),
    "email": ("mail",),
    "sha256": ("mail",),
}
_ORDER = ("high", "medium", "low")
# The only characters that may stand in a URL of a list; everything else is percent-encoded first.
_URL_SAFE = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]")
LISTED = Text("指標リスト", "indicator list")
_KEPT = 20  # records of one target


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to block, why, and the records that say so. `value` is normalised; a URL's is percent-encoded."""

    value: str
    type: str
    confidence: Confidence
    reasons: tuple[Text, ...] = ()
    records: tuple[RecordRef, ...] = ()

    @property
    def where(self) -> tuple[Control, ...]:
        return WHERE[self.type]

    @property
    def host(self) -> str:
        """The name or address that connections to it show; "" for mail addresses and hashes."""
        if self.type == "url":
            return url_parts(self.value)[1]
        return self.value if self.type in ("ipv4", "ipv6", "cidr", "domain") else ""


def target(
    value: str,
    type: str | None = None,
    *,
    confidence: Confidence = "high",
    reasons: Sequence[Text] = (),
    records: Sequence[RecordRef] = (),
) -> Target | None:
    """A target, or None where the value is nothing that can be blocked."""
    found = normalise(value, type) or (normalise(value) if type else None)
    if found is None or found.type not in WHERE:
        return None
    text = found.value
    if found.type == "url":
        text = quoted_url(text)
        if not url_parts(text)[1]:
            return None
    elif not re.fullmatch(r"[a-z0-9._:/@!#$%&'*+=?^`{|}~-]+", text):
        return None
    return Target(text, found.type, confidence, tuple(reasons), tuple(records)[:_KEPT])


def quoted_url(url: str) -> str:
    """The URL with everything percent-encoded that has a meaning in some list's syntax; the fragment goes."""
    url = url.partition("#")[0]
    return "".join(c if _URL_SAFE.match(c) else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace")) for c in url)


def url_parts(url: str) -> tuple[str, str, str, str]:
    """(scheme, host without brackets, port, path with query); "" for what is missing."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    end = min((i for i in (rest.find(c) for c in "/?") if i >= 0), default=len(rest))
    place, path = rest[:end].rpartition("@")[2], rest[end:]
    host, port = split_port(place)
    return scheme.lower(), host.strip("[]").lower(), port, path


def targets_of(result: Result, lists: Sequence[Path] = (), *, include_low: bool = False) -> tuple[Target, ...]:
    """Every target once, surest first. Attackers have several servers: the case's list, all C2 addresses,
    listed destinations that were seen, and the given lists are put together."""
    found: dict[tuple[str, str], Target] = {}
    for entry in result.part("block_list"):
        _add(
            found,
            target(
                str(entry.get("value")),
                _type(entry),
                confidence=confidence_of(entry),
                reasons=[Text("解析の遮断リスト", "block list of the analysis")],
                records=refs_of(entry),
            ),
        )
    for entry in result.part("c2"):
        reason = (
            Text("指令サーバ(リストに記載)", "command server, named by a list")
            if entry.get("known")
            else Text("指令サーバ(振る舞いから)", "command server, told by its behaviour")
        )
        _add(
            found,
            target(
                str(entry.get("value")),
                _type(entry),
                confidence=confidence_of(entry),
                reasons=[reason],
                records=refs_of(entry),
            ),
        )
    for entry in result.part("exfiltration"):
        _add(
            found,
            target(
                str(entry.get("destination")),
                confidence=confidence_of(entry),
                reasons=[Text("持ち出し先", "destination of stolen data")],
                records=refs_of(entry),
            ),
        )
    for seen in result.sightings:
        if seen.get("role") == "destination" and not seen.get("warning_lists"):
            _add(
                found,
                target(
                    str(seen.get("indicator")),
                    str(seen.get("indicator_type")),
                    reasons=[Text("ログで通信を確認した指標", "listed indicator, contacted in the logs")],
                    records=_seen(seen),
                ),
            )
    if lists:
        for indicator in load_indicators(lists):
            _add(found, target(indicator.value, indicator.type, confidence="medium", reasons=[LISTED]))
    kept = (t for t in found.values() if include_low or t.confidence != "low")
    return tuple(sorted(kept, key=lambda t: (_ORDER.index(t.confidence), t.type, t.value)))


def _type(entry: dict[str, object]) -> str | None:
    value = entry.get("type")
    return value if isinstance(value, str) else None


def _seen(seen: dict[str, object]) -> list[RecordRef]:
    path, lines = str(seen.get("file") or ""), seen.get("lines")
    numbers = [n for n in lines if isinstance(n, int)][:5] if isinstance(lines, list) else []
    windows = path.lower().endswith(".evtx")
    return [
        RecordRef(path, str(seen.get("sha256") or ""), record_id=n if windows else None, line=None if windows else n)
        for n in numbers
    ]


def _add(found: dict[tuple[str, str], Target], one: Target | None) -> None:
    if one is None:
        return
    before = found.get((one.type, one.value))
    if before is None:
        found[one.type, one.value] = one
        return
    best = min(before.confidence, one.confidence, key=_ORDER.index)
    found[one.type, one.value] = replace(
        before,
        confidence=best,
        reasons=tuple(dict.fromkeys((*before.reasons, *one.reasons))),
        records=tuple(dict.fromkeys((*before.records, *one.records)))[:_KEPT],
    )


def of_type(targets: Iterable[Target], *types: str) -> list[str]:
    """Values of these types, sorted, each once."""
    return sorted({t.value for t in targets if t.type in types})


def topmost(domains: Iterable[str]) -> list[str]:
    """Names without those that lie below another one of them: some lists refuse such doubles."""
    every = set(domains)
    return sorted(d for d in every if not any(p in every for p in parents(d)))


def parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(1, len(labels))]
