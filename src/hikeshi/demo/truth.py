"""What really happened: the answer sheet of a worked incident.

An attack is told step by step; each step names what an analyst should find and the records that
show it. Once the evidence is written, `Story.truth` keeps what its surviving records can prove and
lists the rest under `unseen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hikeshi.demo.evidence_set import Record, surviving
from hikeshi.events.time import format_utc


@dataclass(frozen=True, slots=True)
class Truth:
    """One truth.json. Lists are sorted, except `spread` (time order).

    family                name or None; entry {kind, source, account, host, time}: time to the minute,
                          source or account None = no record tells, not asked
    compromised_hosts, encrypted_hosts, compromised_accounts, c2
    spread                [source, destination, account, method]
    exfiltration          [{source, destination}]
    persistence           [host, kind, name]; log_gaps [host, kind]; staging [host, path]
    not_compromised       {hosts, accounts}: decoys
    optional              the same keys: an answer may have these and need not
    aliases               value → other values that mean the same (a tunnel and its outside address)
    clock_offsets, damaged, unseen, proof   not compared: what the evidence's flaws are, and which
                          records show each answer
    """

    scenario: str
    answers: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"scenario": self.scenario} | self.answers


@dataclass(slots=True)
class _Claim:
    key: str
    value: Any
    time: int
    records: Sequence[Record]


@dataclass(slots=True)
class Story:
    """The steps of an attack as they are taken."""

    scenario: str
    family: str | None = None
    claims: list[_Claim] = field(default_factory=list)
    decoy_hosts: list[str] = field(default_factory=list)
    decoy_accounts: list[str] = field(default_factory=list)
    optional: dict[str, list[Any]] = field(default_factory=dict)
    aliases: dict[str, list[str]] = field(default_factory=dict)
    clock_offsets: list[dict[str, Any]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    def claim(self, key: str, value: Any, time: int, records: Sequence[Record]) -> None:
        self.claims.append(_Claim(key, value, time, records))

    def entry(self, kind: str, time: int, records: Sequence[Record], *, source: str | None, account: str | None,
              host: str) -> None:
        minute = format_utc(time // 60_000_000 * 60_000_000)
        self.claim("entry", {"kind": kind, "source": source, "account": account, "host": host, "time": minute},
                   time, records)
        self.host(host, time, records)
        if account:
            self.account(account, time, records)

    def host(self, name: str, time: int, records: Sequence[Record]) -> None:
        self.claim("compromised_hosts", name, time, records)

    def account(self, name: str, time: int, records: Sequence[Record]) -> None:
        self.claim("compromised_accounts", name, time, records)

    def spread(self, source: str, destination: str, account: str, method: str, time: int,
               records: Sequence[Record]) -> None:
        self.claim("spread", [source, destination, account, method], time, records)
        self.host(destination, time, records)
        self.account(account, time, records)

    def may(self, key: str, value: Any) -> None:
        """An answer that is right but not asked for."""
        self.optional.setdefault(key, []).append(value)

    def truth(self) -> Truth:
        seen: dict[str, list[Any]] = {}
        proof: list[dict[str, Any]] = []
        unseen: list[dict[str, Any]] = []
        # The file samples and notes lie in the evidence as they are: nothing can lose them.
        for claim in sorted(self.claims, key=lambda c: c.time):
            records = surviving(claim.records)
            if claim.records and not records:
                unseen.append({"what": claim.key, "value": claim.value})
                continue
            values = seen.setdefault(claim.key, [])
            if claim.value not in values:
                values.append(claim.value)
                proof.append({"what": claim.key, "value": claim.value,
                              "records": [r.to_dict() for r in records]})
        unseen = [u for u in unseen if u["value"] not in seen.get(u["what"], [])]
        answers: dict[str, Any] = {"family": self.family, "entry": seen["entry"][0]}
        for key in ("compromised_hosts", "encrypted_hosts", "compromised_accounts", "c2"):
            answers[key] = sorted(seen.get(key, []))
        answers["spread"] = seen.get("spread", [])
        for key in ("exfiltration", "persistence", "log_gaps", "staging"):
            answers[key] = sorted(seen.get(key, []), key=str)
        answers["not_compromised"] = {"hosts": sorted(self.decoy_hosts), "accounts": sorted(self.decoy_accounts)}
        answers |= {"optional": self.optional, "aliases": self.aliases, "clock_offsets": self.clock_offsets,
                    "damaged": self.damaged, "unseen": unseen, "proof": proof}
        return Truth(self.scenario, answers)
