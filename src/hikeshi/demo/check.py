"""An answer (case.json) against the truth (truth.json): an empty list means equal.

Hosts are compared by short upper-case name, accounts in lower case without domain, everything else
without regard to case. Lists are sets; of `spread` also the order counts where one step needs the
other. The rank-1 entry candidate must agree in kind, source, account, host and minute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hikeshi.model.text import Text

_ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:]*:[0-9a-fA-F:.]*")
_WAY_IN = {"vpn", "web_shell"}  # methods that repeat the entry, which is compared by itself
_NAMES = {
    "family": Text("ランサムウェアの種類", "ransomware family"),
    "entry": Text("侵入口", "way in"),
    "compromised_hosts": Text("侵害されたホスト", "compromised hosts"),
    "encrypted_hosts": Text("暗号化されたホスト", "encrypted hosts"),
    "compromised_accounts": Text("侵害されたアカウント", "compromised accounts"),
    "c2": Text("攻撃者の通信先", "control addresses"),
    "spread": Text("横展開", "spread"),
    "exfiltration": Text("持ち出し", "exfiltration"),
    "persistence": Text("居座りの仕掛け", "persistence"),
    "log_gaps": Text("ログの欠落", "log gaps"),
    "staging": Text("持ち出しの準備", "staging"),
    "not_compromised": Text("無関係なホストやアカウント", "innocent hosts and accounts"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One answer that differs: `what` is the key of truth.json; `expected` or `got` None = absent."""

    what: str
    expected: Any
    got: Any
    text: Text


def compare(truth: Mapping[str, Any], case: Mapping[str, Any]) -> list[Difference]:
    """Every difference between a case and the truth, in the order of truth.json."""
    reader = Reader(truth)
    out = [*_family(truth, case), *_entry(truth, case, reader)]
    for key, read in reader.sets.items():
        out += _sets(key, truth, {item for entry in case.get(key) or () if (item := read(entry)) is not None}, read)
    out += _order(truth, case, reader)
    out += _innocent(truth, case, reader)
    return out


def host_name(value: str | None) -> str:
    """FS01 from "fs01.kaede.example"; an address stays as it is."""
    if not value:
        return ""
    return value.lower() if _ADDRESS.fullmatch(value) else value.split(".")[0].rstrip("$").upper()


def account_name(value: str | None) -> str:
    """adm-sato from "KAEDE\\adm-sato" or "adm-sato@kaede.example"."""
    return (value or "").rsplit("\\", 1)[-1].split("@")[0].lower()


class Reader:
    """Reads entries of truth and case alike as comparable tuples; aliases become what they stand for."""

    def __init__(self, truth: Mapping[str, Any]) -> None:
        self._canonical: dict[str, str] = {
            alias.casefold(): name.casefold()
            for name, aliases in truth.get("aliases", {}).items() for alias in aliases}
        self.sets: dict[str, Callable[[Any], tuple[str, ...] | None]] = {
            "compromised_hosts": lambda e: (self.host(_get(e, "name")),),
            "encrypted_hosts": lambda e: (self.host(_get(e, "name")),),
            "compromised_accounts": lambda e: (account_name(_get(e, "name")),),
            "c2": lambda e: (self.value(_get(e, "value")),),
            "spread": self._spread,
            "exfiltration": lambda e: (self.host(e.get("source")), self.value(e.get("destination"))),
            "persistence": self._persistence,
            "log_gaps": lambda e: (self.host(_get(e, "host", 0)), str(_get(e, "kind", 1))),
            "staging": lambda e: (self.host(_get(e, "host", 0)), self.value(_get(e, "path", 1))),
        }

    def value(self, value: str | None) -> str:
        text: str = (value or "").casefold()
        return self._canonical.get(text, text)

    def host(self, value: str | None) -> str:
        name = host_name(value)
        return self._canonical.get(name.casefold(), name)

    def _spread(self, entry: Any) -> tuple[str, ...] | None:
        method = str(_get(entry, "method", 3))
        if method in _WAY_IN:
            return None
        return (self.host(_get(entry, "source", 0)), self.host(_get(entry, "destination", 1)),
                account_name(_get(entry, "account", 2)), method)

    def _persistence(self, entry: Any) -> tuple[str, ...]:
        host, kind, name = _get(entry, "host", 0), str(_get(entry, "kind", 1)), str(_get(entry, "name", 2) or "")
        # A remote tool lives on as a service: both words are right.
        return self.host(host), "service" if kind == "remote_tool" else kind, self.value(name).lstrip("\\/")


def _get(entry: Any, key: str, position: int | None = None) -> Any:
    """A field of a case entry (object) or of a truth entry (list or plain value)."""
    if isinstance(entry, Mapping):
        return entry.get(key)
    return entry if position is None else entry[position]


def _difference(what: str, expected: Any, got: Any) -> Difference:
    name = _NAMES[what]
    if got is None:
        text = Text(f"{name.ja}：{_show(expected)} が見つかっていません。",
                    f"{name.en}: {_show(expected)} was not found.")
    elif expected is None:
        text = Text(f"{name.ja}：{_show(got)} は正解にありません。", f"{name.en}: {_show(got)} is not in the truth.")
    else:
        text = Text(f"{name.ja}：正解は {_show(expected)}、答えは {_show(got)} です。",
                    f"{name.en}: expected {_show(expected)}, got {_show(got)}.")
    return Difference(what, expected, got, text)


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return " / ".join(str(v) for v in value) if isinstance(value, list | tuple) else str(value)


def _family(truth: Mapping[str, Any], case: Mapping[str, Any]) -> Iterable[Difference]:
    answer = case.get("identification") or {}
    got = answer.get("family") if answer.get("verdict") == "identified" else None
    expected = truth.get("family")
    if _squash(expected) != _squash(got):
        yield _difference("family", expected, got)


def _squash(name: str | None) -> str:
    return re.sub(r"[\W_]", "", name or "").casefold()


def _entry(truth: Mapping[str, Any], case: Mapping[str, Any], reader: Reader) -> Iterable[Difference]:
    expected = truth["entry"]
    first = next((c for c in case.get("entry_candidates") or () if c.get("rank") == 1), None)
    if first is None:
        yield _difference("entry", expected, None)
        return

    def readable(entry: Mapping[str, Any]) -> dict[str, str]:
        return {"kind": str(entry.get("kind")), "source": str(entry.get("source") or "").lower(),
                "account": account_name(entry.get("account")), "host": reader.host(entry.get("host")),
                "time": str(entry.get("time") or "")[:16]}

    # What no record tells is not asked.
    asked = [k for k, v in expected.items() if v is not None]
    wanted, got = readable(expected), readable(first)
    if any(wanted[k] != got[k] for k in asked):
        yield _difference("entry", expected, {k: first.get(k) for k in asked})


def _sets(key: str, truth: Mapping[str, Any], got: set[tuple[str, ...]],
          read: Callable[[Any], tuple[str, ...] | None]) -> Iterable[Difference]:
    expected = {read(e): e for e in truth.get(key, ())}
    allowed = {read(e) for e in truth.get("optional", {}).get(key, ())}
    for item, written in expected.items():
        if item not in got:
            yield _difference(key, written, None)
    for extra in sorted(got - set(expected) - allowed):
        yield _difference(key, None, extra[0] if len(extra) == 1 else list(extra))


def _order(truth: Mapping[str, Any], case: Mapping[str, Any], reader: Reader) -> Iterable[Difference]:
    """A host can't be left before it is reached."""
    read = reader.sets["spread"]
    times: dict[tuple[str, ...], str] = {}
    for entry in case.get("spread") or ():
        item = read(entry)
        if item is not None and entry.get("time"):
            times[item] = min(times.get(item, "9"), entry["time"])
    reached: dict[str, tuple[str, ...]] = {}
    for written in truth.get("spread", ()):
        item = read(written)
        if item is None:
            continue
        before = reached.get(item[0])
        if before in times and item in times and times[before] > times[item]:
            yield _difference("spread", [list(before), list(item)], [list(item), list(before)])
        reached.setdefault(item[1], item)


def _innocent(truth: Mapping[str, Any], case: Mapping[str, Any], reader: Reader) -> Iterable[Difference]:
    innocent = truth.get("not_compromised", {})
    hosts = {reader.host(h) for h in innocent.get("hosts", ())}
    accounts = {account_name(a) for a in innocent.get("accounts", ())}
    for entry in case.get("compromised_hosts") or ():
        if reader.host(entry.get("name")) in hosts:
            yield _difference("not_compromised", None, entry.get("name"))
    for entry in case.get("compromised_accounts") or ():
        if account_name(entry.get("name")) in accounts:
            yield _difference("not_compromised", None, entry.get("name"))
