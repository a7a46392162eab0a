"""From a triage run to what the case page shows: small, plain, both languages.

summary: evidence (the identification from files), words (from what was written), kind (which general advice),
entry, hosts, accounts, spread (steps, the first ones), unknown, levels, top, not_read, counts. Every list is cut
and says how many there are in all. At most 64 KiB as JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hikeshi.model.case import Entry, Identification, Story
from hikeshi.model.evidence import RecordRef
from hikeshi.model.finding import SEVERITIES, Finding
from hikeshi.model.text import Text
from hikeshi.triage.run import Triage
from hikeshi.triage.unknowns import unknowns

LARGEST = 64 * 1024
_TOP, _RECORDS, _LIST = 10, 3, 20
_VALUE = 300  # signs of any one value
# What makes way first when a case is too large for the page; everything is in the files beside it.
_CUT_FIRST = ("not_read", "spread", "accounts", "hosts", "top", "unknown", "entry")


def summarise(run: Triage | None, words: Mapping[str, Any] | None, names: Mapping[str, str],
              missing: Sequence[tuple[str, Text]], given: int, archives: Sequence[tuple[str, str]] = ()
              ) -> dict[str, Any]:
    """`names` are the senders' names by the file names triage saw; `given` is how many files came; `archives`
    are those that could not be opened as a whole, with why."""
    out: dict[str, Any] = {"words": dict(words or {}), "evidence": {}, "kind": "ransomware" if words else "unknown",
                           "counts": {"given": given, "files": 0, "records": 0, "not_read": len(missing)}}
    lost = [{"name": _cut(name), **_text(reason)} for name, reason in missing]
    if run is None:
        return fitted({**out, "not_read": lost})
    case, story, called = run.case, run.case.story, _Names(names)
    lost += [{"name": called.of(one.path), **_text(one.reason)} for one in case.not_read]
    stopped = [_partly(called.of(item.path), item.problems[-1])
               for item in run.items if item.problems and item.problems[-1].startswith("reading stopped")]
    stopped += [_partly(called.of(path), problem) for path, problem in archives]
    out |= {
        "evidence": _identification(case.identification, story, called),
        "kind": _kind(story, words),
        "entry": [{"rank": e.rank, "kind": e.kind, "time": e.time, "source": _cut(e.source), "host": _cut(e.host),
                   "account": _cut(e.account), "confidence": e.confidence, "reasons": _texts(e.reasons, 3),
                   "against": _texts(e.against, 2), "records": _records(e, called)}
                  for e in story.entry_candidates[:5]],
        "hosts": _hosts(story), "accounts": [{"name": _cut(a.name), "kind": a.kind, "confidence": a.confidence}
                                            for a in story.compromised_accounts[:_LIST]],
        "spread": [{"time": s.time, "source": _cut(s.source), "destination": _cut(s.destination), "method": s.method,
                    "account": _cut(s.account), "confidence": s.confidence, "records": _records(s, called, 1)}
                   for s in story.spread[:30]],
        "unknown": _texts(unknowns(case, run.items), 8),
        "levels": dict(Counter(f.severity for f in run.findings)),
        "top": [finding_row(f, called) for f in most_severe(run.findings)[:_TOP]],
        "not_read": (lost + stopped)[:_LIST],
        "counts": {"given": given, "files": len(run.items), "records": sum(item.records for item in run.items),
                   "not_read": len(lost) + len(stopped), "hosts": len(story.compromised_hosts),
                   "encrypted": len(story.encrypted_hosts), "accounts": len(story.compromised_accounts),
                   "reset": len(story.accounts_to_reset), "spread": len(story.spread),
                   "findings": len(run.findings)},
    }
    return fitted(out)


def _partly(name: str, problem: str) -> dict[str, str]:
    return {"name": name, **_text(Text(f"一部を読めませんでした: {problem}", f"not read as a whole: {problem}"))}


def fitted(summary: dict[str, Any]) -> dict[str, Any]:
    """The same, with lists halved in turn until it is small enough."""
    turn = 0
    while len(json.dumps(summary, ensure_ascii=False).encode("utf-8", "replace")) > LARGEST and turn < 200:
        name = _CUT_FIRST[turn % len(_CUT_FIRST)]
        summary[name] = summary.get(name, [])[:len(summary.get(name, [])) // 2]
        turn += 1
    return summary


def answer(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the case has: files first, then words; `from` says which, `other` what the words name differently."""
    files, words = summary.get("evidence") or {}, summary.get("words") or {}
    order = ("identified", "candidates", "unknown", "not_ransomware")
    known = [(source, one) for source, one in (("evidence", files), ("words", words)) if one.get("verdict")]
    if not known:
        return {}
    source, best = min(known, key=lambda pair: order.index(pair[1]["verdict"]))
    other = words.get("family") if source == "evidence" else files.get("family")
    return {**best, "from": source, "other": other if other and other != best.get("family") else None}


def finding_row(finding: Finding, called: _Names) -> dict[str, Any]:
    """One finding as lists show it: with the first records, not all of them."""
    return {"id": finding.id, "kind": finding.kind, "level": finding.severity, **_text(finding.title),
            "why": _text(finding.reason), "when": finding.when, "hosts": [_cut(h) for h in finding.hosts[:5]],
            "accounts": [_cut(a) for a in finding.accounts[:5]], "count": finding.count,
            "confidence": finding.confidence, "techniques": list(finding.techniques[:5]),
            "next": _text(finding.next_action), "author": _cut(finding.rule_author) or "",
            "records": [called.record(r) for r in finding.records[:_RECORDS]], "records_in_all": len(finding.records)}


def most_severe(findings: Iterable[Finding]) -> list[Finding]:
    """Most severe first; what belongs to the story before single detections."""
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.kind == "detection", f.when or "~", f.id))


class _Names:
    """Paths with the senders' own names of the files."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def of(self, path: str) -> str:
        first, mark, rest = path.partition("!/")
        return _cut(self.names.get(first, first) + mark + rest) or ""

    def record(self, record: RecordRef) -> dict[str, object]:
        return {**record.to_dict(), "path": self.of(record.path)}


def names_of(names: Mapping[str, str]) -> _Names:
    return _Names(names)


def _identification(found: Identification, story: Story, called: _Names) -> dict[str, Any]:
    # "Unknown ransomware" is only said where something speaks of ransomware.
    nothing = found.verdict == "unknown" and not found.records and not story.encrypted_hosts
    return {"verdict": "not_ransomware" if nothing else found.verdict, "family": found.family,
            "confidence": found.confidence, "candidates": [
                {"family": c.family, "score": c.score, "reasons": _texts(c.reasons, 4),
                 "records": _records(c, called)} for c in found.candidates[:5]],
            "actors": [_cut(a) for a in found.actors[:8]], "advice_ids": list(found.advice_ids[:5]),
            "records": _records(found, called)}


def _kind(story: Story, words: Mapping[str, Any] | None) -> str:
    if story.encrypted_hosts or (words or {}).get("verdict") in ("identified", "candidates", "unknown"):
        return "ransomware"
    if any(e.kind == "web_shell" for e in story.entry_candidates):
        return "web_shell"
    return "exfiltration" if story.exfiltration else "unknown"


def _hosts(story: Story) -> list[dict[str, Any]]:
    encrypted = {h.name for h in story.encrypted_hosts}
    rows = {h.name: h for h in (*story.encrypted_hosts, *story.compromised_hosts)}
    ordered = sorted(rows.values(), key=lambda h: (h.first or "~", h.name))
    return [{"name": _cut(h.name), "first": h.first, "last": h.last, "confidence": h.confidence,
             "encrypted": h.name in encrypted, "reasons": _texts(h.reasons, 1)} for h in ordered[:_LIST]]


def _records(entry: Entry, called: _Names, most: int = _RECORDS) -> list[dict[str, object]]:
    return [called.record(record) for record in entry.records[:most]]


def _texts(texts: Iterable[Text], most: int) -> list[dict[str, str]]:
    return [_text(text) for text in list(texts)[:most]]


def _text(text: Text) -> dict[str, str]:
    return {"ja": _cut(text.ja) or "", "en": _cut(text.en) or ""}


def _cut(value: str | None) -> str | None:
    """Shorter, and as every database takes it: no NUL, no half characters."""
    if value is None:
        return None
    clean = value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "backslashreplace").decode("utf-8")
    return clean if len(clean) <= _VALUE else clean[:_VALUE - 1] + "…"
