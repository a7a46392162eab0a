"""The answer of a triage run: what case.json holds.

Every entry has `confidence` (high, medium, low) and `records`. Times are UTC ISO 8601 with Z.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import Confidence
from hikeshi.model.text import Text

# ATT&CK's tactics in its order; the report has their names.
TACTICS = (
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
    "impact",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What every entry of a case carries."""

    confidence: Confidence
    records: tuple[RecordRef, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, RecordRef | Text | Entry):
        return value.to_dict()
    if isinstance(value, tuple | list):
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return {k: _plain(v) for k, v in value._asdict().items()}
        return [_plain(v) for v in value]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate(Entry):
    """One family that could be it; `score` is 0 to 1."""

    family: str
    score: float
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedSample(Entry):
    """One encrypted file looked at whole. `pattern`: full, head, tail, chunked, intermittent, fine, untouched or
    unknown; `share` of its bytes (0 to 1) is encrypted; `chunk` and `skip` are the usual bytes encrypted and left
    (0 where there is no such step); `row` has at most 64 letters, see identify/blockmap.py. `original` is the name
    before it was renamed; `lost_format` says that the format this name promises is gone."""

    path: str
    size: int
    pattern: str
    share: float
    chunk: int
    skip: int
    row: str
    original: str
    extension: str
    victim_id: str | None
    lost_format: bool
    marker: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification(Entry):
    """Which ransomware: `verdict` is identified, candidates, unknown or not_ransomware. `encryption` holds the
    samples that were looked at whole, `recovery` what may be tried for getting data back: no promises."""

    verdict: str
    family: str | None = None
    candidates: tuple[Candidate, ...] = ()
    actors: tuple[str, ...] = ()
    advice_ids: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    encryption: tuple[EncryptedSample, ...] = ()
    recovery: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryCandidate(Entry):
    """A way in. `kind`: vpn_credential, exposed_rdp, brute_force, remote_maintenance, web_shell, mail_attachment,
    remote_tool, supplier, vulnerability (a border device that was taken over), unknown (an inside address of no
    known machine). `source` is the outside address or host, `host` the first machine reached."""

    rank: int
    time: str | None
    kind: str
    technique: str
    source: str | None
    account: str | None
    host: str | None
    reasons: tuple[Text, ...]
    against: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Host(Entry):
    """A machine, with its addresses and the span in which the attacker was on it."""

    name: str
    addresses: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None
    reasons: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Entry):
    """An account; `kind`: domain, local, vpn, mail, service, machine."""

    name: str
    kind: str
    reasons: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class C2(Entry):
    """An address the attacker controls; `known` says whether a list named it."""

    value: str
    type: str
    known: bool
    first: str | None
    last: str | None
    clients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread(Entry):
    """One step from host to host. `method`: rdp, smb, psexec_service, service, wmi, winrm,
    scheduled_task, remote_tool, gpo, vpn, ssh, web_shell, unknown."""

    time: str
    source: str | None
    destination: str
    account: str | None
    method: str
    technique: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BypassPath(Entry):
    time: str | None
    source: str
    destination: str
    why: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging(Entry):
    """Files gathered for taking away. `content`: what they may hold, guessed from names; `bytes`: the archive's size,
    where it is among the evidence."""

    host: str
    path: str
    time: str | None
    bytes: int | None = None
    content: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exfiltration(Entry):
    """Data that left; `bytes` is what the source sent. `kind`: proxy_upload, firewall_upload, tool."""

    kind: str
    source: str
    destination: str
    bytes: int | None
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak(Entry):
    """How much left in all, in bytes sent: `least` is what logs saw, `most` adds what was packed and may have left
    unseen (None: no upper bound). `content` as in Staging; `reasons` say what the bounds rest on."""

    least: int
    most: int | None
    content: tuple[Text, ...]
    reasons: tuple[Text, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Persistence(Entry):
    """`kind`: service, scheduled_task, run_key, account, web_shell, remote_tool."""

    host: str
    kind: str
    name: str
    path: str
    time: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogGap(Entry):
    """A log that was cleared or is silent between `first` and `last`. `kind`: cleared, silence. `recovered`: records
    of that time that no reader of the log shows and that were found all the same."""

    host: str
    log: str
    kind: str
    first: str | None
    last: str | None
    recovered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockOffset(Entry):
    """Seconds to add to a host's times to get the others' time."""

    host: str
    seconds: int
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry(Entry):
    """One step as a sentence. `host` is the machine it happened on; `tactic` (ATT&CK's short name) and `technique`
    are None where the step has none."""

    time: str
    ja: str
    en: str
    host: str | None = None
    tactic: str | None = None
    technique: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEntry(Entry):
    """What to block, and where: firewall, proxy, dns, mail."""

    value: str
    type: str
    where: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolate(Entry):
    """A host to take off the network, most urgent first."""

    name: str
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark(Entry):
    """Something looked at: harmless with its reason (explained), or open (unexplained)."""

    subject: str
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Entry):
    """What the evidence can't tell, and the `log` that would: `host` is the machine it lies on, or None."""

    log: str
    host: str | None
    reason: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank(Entry):
    """A machine's or account's weight among all logons. `kind`: host, account; `score` is its share (0 to 1);
    `partners` are accounts of a host or machines of an account, `new_partners` those met only later than a day
    after the log begins; `held` says that the attacker holds it."""

    kind: str
    name: str
    place: int
    score: float
    logons: int
    partners: int
    new_partners: int
    held: bool
    says: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusualHour(Entry):
    """An hour unlike the others: `new_ties` are accounts on machines they had never been on; `score` counts
    deviations from the usual hour."""

    time: str
    score: float
    new_ties: int
    failures: int
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRead(Entry):
    path: str
    reason: Text


@dataclass(frozen=True, slots=True)
class Story:
    """What `trace` makes of the events: every part of case.json that comes from them."""

    entry_candidates: tuple[EntryCandidate, ...] = ()
    compromised_hosts: tuple[Host, ...] = ()
    touched_hosts: tuple[Host, ...] = ()
    encrypted_hosts: tuple[Host, ...] = ()
    compromised_accounts: tuple[Account, ...] = ()
    accounts_to_reset: tuple[Account, ...] = ()
    c2: tuple[C2, ...] = ()
    spread: tuple[Spread, ...] = ()
    bypass_paths: tuple[BypassPath, ...] = ()
    staging: tuple[Staging, ...] = ()
    exfiltration: tuple[Exfiltration, ...] = ()
    leak: Leak | None = None
    persistence: tuple[Persistence, ...] = ()
    log_gaps: tuple[LogGap, ...] = ()
    clock_offsets: tuple[ClockOffset, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    block_list: tuple[BlockEntry, ...] = ()
    isolate: tuple[Isolate, ...] = ()
    unexplained: tuple[Remark, ...] = ()
    explained: tuple[Remark, ...] = ()
    unknowns: tuple[Unknown, ...] = ()
    ranking: tuple[Rank, ...] = ()
    unusual: tuple[UnusualHour, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """case.json: which ransomware, the story, and what could not be read."""

    identification: Identification
    story: Story = field(default_factory=Story)
    not_read: tuple[NotRead, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"identification": self.identification.to_dict()}
        for f in fields(self.story):
            out[f.name] = _plain(getattr(self.story, f.name))
        out["not_read"] = _plain(self.not_read)
        return out
