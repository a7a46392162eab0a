"""Findings out of what the stages saw: detections by rule and host, sightings, gaps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from hikeshi.model.case import Identification, Leak, LogGap, Story
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import SEVERITIES, Confidence, Finding, Severity
from hikeshi.model.sighting import Sighting
from hikeshi.model.text import Text
from hikeshi.report.words import Words

RECORDS_KEPT = 100
_CHECK = Text("記録を確認し、心当たりがなければ侵害として扱います。",
              "Check the record; if nobody can explain it, treat it as part of the intrusion.")
_CUT_OFF = Text("機器を切り離し、通信先を遮断リストに加えます。", "Isolate the host and block the address.")
_LEVELS: dict[str, Severity] = {"critical": "critical", "high": "high", "medium": "medium", "low": "low",
                                "informational": "info"}


@dataclass(slots=True)
class Detection:
    """Matches of one rule on one host in one file, as a child reports them (plain data)."""

    rule_id: str
    host: str
    count: int
    first: str | None
    last: str | None
    records: list[tuple[str, str, int | None, int | None]]  # path, sha256, record id, line
    accounts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RuleText:
    """What a finding says of its rule."""

    title: Text
    why: Text
    next_action: Text
    level: str
    author: str
    techniques: tuple[str, ...]


def detection_findings(detections: Iterable[Detection], rules: dict[str, RuleText]) -> list[Finding]:
    """One finding for each rule and host, over all files; the most severe first, then by time."""
    grouped: dict[tuple[str, str], list[Detection]] = {}
    for detection in detections:
        grouped.setdefault((detection.rule_id, detection.host), []).append(detection)
    findings = [_detection_finding(rules[rule_id], group) for (rule_id, _), group in grouped.items()]
    return sorted(findings, key=_order)


def _detection_finding(rule: RuleText, group: Sequence[Detection]) -> Finding:
    first = min((d.first for d in group if d.first), default=None)
    records = [RecordRef(*record) for d in sorted(group, key=lambda d: d.first or "~") for record in d.records]
    accounts = dict.fromkeys(a for d in group for a in d.accounts)
    host = group[0].host
    return Finding(
        id=_id("detection", group[0].rule_id, host), kind="detection", severity=_LEVELS.get(rule.level, "info"),
        title=rule.title, when=first, records=tuple(records[:RECORDS_KEPT]), reason=rule.why,
        next_action=rule.next_action if rule.next_action.en else _CHECK, hosts=(host,) if host else (),
        accounts=tuple(list(accounts)[:20]), techniques=rule.techniques, confidence="medium",
        count=sum(d.count for d in group), rule_id=group[0].rule_id, rule_author=rule.author)


_TYPES = {"domain": "ドメイン名", "ipv4": "IPアドレス", "ipv6": "IPアドレス", "cidr": "アドレスの範囲", "url": "URL",
          "email": "メールアドレス", "md5": "ハッシュ値", "sha1": "ハッシュ値", "sha256": "ハッシュ値",
          "sha512": "ハッシュ値"}


def _kind(sighting: Sighting) -> str:
    """The Japanese word; the type itself where there is none."""
    return _TYPES.get(sighting.indicator_type, sighting.indicator_type)


def sighting_findings(sightings: Iterable[Sighting]) -> list[Finding]:
    """One finding for each indicator and client."""
    out = []
    for s in sightings:
        reached = s.role == "destination"
        records = tuple(RecordRef(s.file, s.sha256, line=n) for n in s.lines[:RECORDS_KEPT])
        machine = s.client_host or s.client_mac
        who = f"{s.client} ({machine})" if s.client and machine else s.client or "?"
        out.append(Finding(
            id=_id("sighting", s.indicator, who, s.file), kind="sighting",
            severity="high" if reached and not s.warning_lists else "low",
            title=Text(f"リストにある{_kind(s)}への接続" if reached else f"リストにある{_kind(s)}からの着信"
                       if s.role == "source" else f"リストにある{_kind(s)}の記載",
                       f"Contact with a listed {s.indicator_type}" if reached
                       else f"Contact from a listed {s.indicator_type}" if s.role == "source"
                       else f"A listed {s.indicator_type} is mentioned"),
            when=s.first_seen, records=records,
            reason=Text(f"{who} と {s.indicator}: {s.count:,} 回", f"{who} and {s.indicator}: {s.count:,} times"),
            next_action=_CUT_OFF if reached else _CHECK,
            hosts=tuple(dict.fromkeys(h for h in (s.client_host, s.client) if h)),
            accounts=(s.user,) if s.user else (), indicators=(s.indicator,),
            confidence="high" if reached else "low", count=s.count))
    return sorted(out, key=_order)


def story_findings(identification: Identification, story: Story) -> list[Finding]:
    """What identification and the story say, as findings: family, entry, gaps."""
    out: list[Finding] = []
    if identification.verdict == "identified" and identification.family:
        title = Text(f"ランサムウェア: {identification.family}", f"Ransomware: {identification.family}")
        best = identification.candidates[0] if identification.candidates else None
        records = identification.records or (best.records if best else ())
        reason = best.reasons[0] if best and best.reasons else title
        out.append(_of("identification", "critical", title, None, records, reason, identification.confidence,
                       identification.family))
    for entry in story.entry_candidates:
        title = Text(f"侵入経路の候補 {entry.rank}: {Words('ja').of('kind', entry.kind)}",
                     f"Candidate {entry.rank} for the way in: {Words('en').of('kind', entry.kind)}")
        reason = entry.reasons[0] if entry.reasons else title
        found = _of("entry", "high" if entry.rank == 1 else "medium", title, entry.time, entry.records, reason,
                    entry.confidence, str(entry.rank))
        out.append(replace(found, hosts=(entry.host,) if entry.host else (), techniques=(entry.technique,),
                           accounts=(entry.account,) if entry.account else ()))
    if story.leak is not None:
        out.append(_theft(story, story.leak))
    out.extend(_gap(gap) for gap in story.log_gaps)
    return out


def _theft(story: Story, leak: Leak) -> Finding:
    """What was gathered or sent: how much, and what it may hold."""
    sent = bool(story.exfiltration)
    title = Text("データの持ち出し", "Data was taken out") if sent else Text("データの収集", "Data was gathered")
    ja, en = f"{leak.least:,}バイト以上", f"at least {leak.least:,} bytes"
    if leak.most is not None and leak.most != leak.least:
        ja, en = f"{ja}、{leak.most:,}バイト以下", f"{en}, at most {leak.most:,}"
    elif leak.most is None:
        ja, en = f"{ja}(上限は不明)", f"{en}; how much at most is not known"
    if leak.content:
        ja += "。名前からの推測: " + "、".join(t.ja for t in leak.content[:4])
        en += "; by names: " + ", ".join(t.en for t in leak.content[:4])
    times = [t for t in (*(e.first for e in story.exfiltration), *(s.time for s in story.staging)) if t]
    found = _of("exfiltration", "high" if sent else "medium", title, min(times, default=None), leak.records,
                Text(ja, en), leak.confidence, "leak")
    hosts = dict.fromkeys((*(e.source for e in story.exfiltration), *(s.host for s in story.staging)))
    places = dict.fromkeys(e.destination for e in story.exfiltration)
    return replace(found, hosts=tuple(hosts), indicators=tuple(places),
                   techniques=("T1041",) if sent else ("T1560.001",))


def _gap(gap: LogGap) -> Finding:
    cleared = gap.kind == "cleared"
    title = Text("ログの消去", "Log cleared") if cleared else Text("ログの途切れ", "Silence in a log")
    reason = Text(f"{gap.host} の {gap.log}", f"{gap.log} of {gap.host}")
    found = _of("log_gap", "high" if cleared else "low", title, gap.first or gap.last, gap.records, reason,
                gap.confidence, f"{gap.host}/{gap.log}/{gap.kind}/{gap.first}")
    return replace(found, hosts=(gap.host,))


def _of(kind: str, severity: Severity, title: Text, when: str | None, records: tuple[RecordRef, ...], reason: Text,
        confidence: Confidence, name: str) -> Finding:
    return Finding(id=_id(kind, name), kind=kind, severity=severity, title=title, when=when,
                   records=records[:RECORDS_KEPT], reason=reason, next_action=_CHECK, confidence=confidence,
                   count=max(1, len(records)))


def _order(finding: Finding) -> tuple[int, str, str]:
    return SEVERITIES.index(finding.severity), finding.when or "~", finding.id


def _id(*parts: str) -> str:
    """The same finding gets the same id in every run."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]
