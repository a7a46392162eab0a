"""How near a story comes to the truth of a generated incident, as figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hikeshi.demo.check import Reader, account_name

_AT_MOST_S = 3600  # a way in told an hour off is another way in


@dataclass(frozen=True, slots=True)
class Score:
    """`entry_first`: the first candidate is the way in, in kind, source, account, host and hour, where the
    records tell them. Sets are (right, missed, wrong); `accused` are decoys the story holds."""

    entry_first: bool
    hosts: tuple[set[str], set[str], set[str]]
    accounts: tuple[set[str], set[str], set[str]]
    spread: tuple[set[str], set[str], set[str]]
    accused: set[str] = field(default_factory=set)
    entry: str = ""


def score(truth: Mapping[str, Any], case: Mapping[str, Any]) -> Score:
    """Compare a case (as `Case.to_dict` gives it) with the answers of an incident."""
    reader = Reader(truth)
    first = next((c for c in case.get("entry_candidates") or () if c.get("rank") == 1), None)
    hosts, accounts, spread = (
        _sets(key, truth, case, reader) for key in ("compromised_hosts", "compromised_accounts", "spread")
    )
    innocent = truth.get("not_compromised", {})
    accused = {reader.host(h) for h in innocent.get("hosts", ())} & {
        reader.host(e["name"]) for e in case.get("compromised_hosts") or ()
    }
    accused |= {account_name(a) for a in innocent.get("accounts", ())} & {
        account_name(e["name"]) for e in case.get("compromised_accounts") or ()
    }
    told = "none" if first is None else " ".join(f"{k}={first.get(k)}" for k in ("kind", "source", "account", "host"))
    return Score(first is not None and _is_entry(truth["entry"], first, reader), hosts, accounts, spread, accused, told)


def _is_entry(expected: Mapping[str, Any], got: Mapping[str, Any], reader: Reader) -> bool:
    if abs(_seconds(expected["time"]) - _seconds(got.get("time") or "")) > _AT_MOST_S:
        return False
    if expected["kind"] != got["kind"]:
        return False
    if expected["source"] and reader.value(expected["source"]) != reader.value(got.get("source")):
        return False
    if expected["account"] and account_name(expected["account"]) != account_name(got.get("account")):
        return False
    return reader.host(expected["host"]) == reader.host(got.get("host"))


def _seconds(time: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(time).timestamp() if time else 0.0


def _sets(
    key: str, truth: Mapping[str, Any], case: Mapping[str, Any], reader: Reader
) -> tuple[set[str], set[str], set[str]]:
    read = reader.sets[key]

    def texts(entries: Any) -> set[str]:
        return {" ".join(item) for e in entries or () if (item := read(e)) is not None}

    wanted, got = texts(truth.get(key)), texts(case.get(key))
    allowed = texts(truth.get("optional", {}).get(key))
    return wanted & got, wanted - got, got - wanted - allowed
