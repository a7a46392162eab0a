"""triage(): from a folder of evidence to the story, everything in one run.

acquire → identify (every file, once) → analyse (logs, one child task a file) → story → report.
Finished parts are kept in OUT/.work until the run completes, so a run that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import orjson

import hikeshi
from hikeshi.detect.patterns import code as scanner_code
from hikeshi.detect.rules import LEVELS
from hikeshi.detect.site import NO_SITE, load_site
from hikeshi.errors import UsageError
from hikeshi.evidence import sandbox
from hikeshi.evidence.acquire import Acquired, acquire
from hikeshi.evidence.manifest import manifest
from hikeshi.evidence.source import Source
from hikeshi.identify import Examined
from hikeshi.knowledge.load import DATA
from hikeshi.model.case import Case, NotRead
from hikeshi.model.evidence import EvidenceItem
from hikeshi.model.finding import Finding
from hikeshi.model.sighting import Sighting
from hikeshi.model.text import Text
from hikeshi.report import Activity, ReportInput, write_report
from hikeshi.sweep import Compiled, compile_lists, is_compiled, merge, open_compiled
from hikeshi.trace import Digest, Known, Places, build_story, read_known, read_places
from hikeshi.triage import output
from hikeshi.triage.correlate import CorrelationRun, as_detections
from hikeshi.triage.file import FileResult, Order, Settings
from hikeshi.triage.findings import Detection, detection_findings, sighting_findings, story_findings
from hikeshi.triage.identity import could_matter, encrypted_files, examine_all, identification
from hikeshi.triage.packages import packages
from hikeshi.triage.reading import (
    LIMITS,
    Zone,
    is_log,
    largest_first,
    left_out,
    make_reader,
    not_read,
    readable,
    remark,
    workers_for,
)
from hikeshi.triage.rules import Rules, load_rule_sets
from hikeshi.triage.unknowns import unknowns
from hikeshi.triage.workplace import Workplace, open_workplace

OWN_RULES = DATA / "rules"

Advance = Callable[[str, int, int], None]


class SiteSays(NamedTuple):
    """What the company knows of itself: its own doing, and where networks are."""

    known: Known | None
    places: Places | None


@dataclass(frozen=True, slots=True)
class Triage:
    """What a run gave; `found` says whether there is anything a responder must look at."""

    case: Case
    findings: tuple[Finding, ...]
    items: tuple[EvidenceItem, ...]
    out: Path

    @property
    def found(self) -> bool:
        return bool(self.findings) or self.case.identification.verdict in ("identified", "candidates")


def triage(paths: Sequence[Path], out: Path, *, indicators: Sequence[Path] = (), rules: Sequence[Path] = (),
           site: Path | None = None, zone: str | None = None, workers: int | None = None, recover: bool = False,
           known: Path | None = None, places: Path | None = None,
           made_at: datetime | None = None, on_progress: Advance = lambda what, done, total: None) -> Triage:
    """Analyse evidence; write report.html, report.pdf, findings.jsonl, case.json, events/ and manifest.json.

    rules: further Sigma folders and packs beside our own. site: a file of levels and exceptions. zone:
    for times that name none (default: the evidence's notes.toml, else this machine's zone, marked as
    assumed). known: what the company says is its own doing; places: where networks are (CSV, docs/trace.md).
    recover: also records from slack and damaged parts of event logs. made_at: the time
    the report carries (default: now). Raises UsageError, InputError, RuleError, OutputError.
    """
    _refuse_own_output(paths, out)
    site_says = SiteSays(read_known(known) if known else None, read_places(places) if places else None)
    reading_zone = Zone.named(zone)
    rule_sets = load_rule_sets((OWN_RULES, *rules), load_site(site) if site else NO_SITE)
    compiled, told = _indicators(indicators)
    with open_workplace(out, _settings_key(rule_sets, indicators, zone, recover=recover)) as place:
        on_progress("evidence", 0, 1)
        acquired = acquire(paths, place.evidence, workers=workers,
                           on_progress=lambda p: on_progress("evidence", p.done, max(p.total, 1)))
        settings = Settings(rule_sets.compiled, compiled, reading_zone, exceptions=rule_sets.exceptions,
                            recover=recover)
        run = _Run(place, acquired, settings, rule_sets, site_says, workers, on_progress)
        return run.complete(out, told, made_at or datetime.now(UTC))


def _refuse_own_output(paths: Sequence[Path], out: Path) -> None:
    target = out.resolve()
    for path in paths:
        if str(path) != "-" and path.is_dir() and target.is_relative_to(path.resolve()):
            raise UsageError(f"{out} lies inside the evidence {path}",
                             hint="the evidence stays as it is: give a folder elsewhere with --out")


def _indicators(paths: Sequence[Path]) -> tuple[Compiled | None, int]:
    """The compiled list and how many lines of it could not be used."""
    if not paths:
        return None, 0
    if len(paths) == 1 and is_compiled(paths[0]):
        return open_compiled(paths[0]), 0
    compiled, loaded = compile_lists(paths)
    return compiled, loaded.skipped


def _settings_key(rules: Rules, indicators: Sequence[Path], zone: str | None, *, recover: bool) -> str:
    """Names everything that would change a part's content besides its file."""
    decided = f"{rules.site!r}\n{[u.problem for u in rules.uses]!r}"       # an exception may end between two runs
    total = hashlib.sha256(f"{hikeshi.__version__}\n{rules.compiled.digest}\n{zone}\n{decided}\n{recover}\n".encode())
    for path in indicators:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


class _Run:
    """The steps of one run, in order."""

    def __init__(self, place: Workplace, acquired: Acquired, settings: Settings, rules: Rules, site_says: SiteSays,
                 workers: int | None, on_progress: Advance) -> None:
        self.place, self.acquired, self.settings, self.rules = place, acquired, settings, rules
        self.site_says = site_says
        self.workers, self.on_progress = workers, on_progress
        self.not_read: list[NotRead] = [left_out(name, reason) for name, reason in acquired.not_read]
        self.results: dict[str, FileResult] = {}
        self.folders: dict[str, Path] = {}

    def complete(self, out: Path, skipped_indicators: int, made_at: datetime) -> Triage:
        files = could_matter(self.acquired.sources)
        examined, failed = examine_all(files, workers=self.workers, on_progress=self.on_progress)
        self.not_read += failed
        notes = {e.facts.path for e in examined if e.is_note or e.facts.is_encrypted}
        if self.settings.indicators is not None:
            from hikeshi.triage.sweep import gather_leases

            # An unreadable lease log is told as a log: it is analysed like the others.
            held, _ = gather_leases(self.acquired.sources, zone=self.settings.zone, workers=self.workers)
            self.settings = replace(self.settings, leases=held)
        self.analyse([s for s in self.acquired.sources if is_log(s) and s.name not in notes])
        self.on_progress("story", 0, 1)
        named = identification(examined)
        sightings = self.sightings()
        seen = [*(d for result in self.results.values() for d in result.detections), *self.correlated()]
        detections = detection_findings(seen, self.rules.texts({d.rule_id for d in seen}))
        story = build_story((Digest.load(folder / "digest.arrow") for folder in self.folders.values()),
                            detections=detections, sightings=sightings, encrypted=encrypted_files(examined, named),
                            notes=self.remarks(notes), known=self.site_says.known, places=self.site_says.places,
                            packages=packages(self.acquired))
        case = Case(named, story, tuple(sorted(self.not_read, key=lambda n: n.path)))
        findings = (*story_findings(named, story), *sighting_findings(sightings), *detections)
        by_path = {e.facts.path: e for e in examined}
        items = tuple(self.item(s, by_path) for s in self.acquired.sources)
        self.on_progress("report", 0, 1)
        self.write(out, case, findings, items, sightings, made_at, skipped_indicators)
        self.on_progress("report", 1, 1)
        return Triage(case, findings, items, out)

    def analyse(self, logs: Sequence[Source]) -> None:
        """Every log that has no finished part yet, largest first, one child task each."""
        keys = {self.place.key(s): s for s in logs}
        todo = [self.place.key(s) for s in largest_first(s for k, s in keys.items() if not self.place.is_done(k))]
        done = len(keys) - len(todo)
        self.on_progress("logs", done, len(keys))
        tasks = [sandbox.Task(key, Order(keys[key], self.place.doing / key)) for key in todo]
        if tasks:
            make_reader(logs, scanner_code, on_progress=self.on_progress)
            for outcome in sandbox.run("hikeshi.triage.file:analyse", tasks, setup="hikeshi.triage.file:prepare",
                                       setup_argument=self.settings, workers=workers_for(self.workers, len(tasks)),
                                       limits=LIMITS, readable=readable(logs), writable=(self.place.doing,),
                                       forked=True):
                if outcome.error is None:
                    self.place.finish(outcome.key)
                else:
                    self.not_read.append(not_read(keys[outcome.key], outcome.error))
                done += 1
                self.on_progress("logs", done, len(keys))
        for key, source in sorted(keys.items(), key=lambda item: item[1].name):
            if self.place.is_done(key):
                self.folders[source.name] = self.place.part(key)
                self.results[source.name] = FileResult.load(self.place.part(key) / "result.json")

    def correlated(self) -> list[Detection]:
        """What only shows over the hits of all files."""
        for result in self.results.values():
            self.rules.set_aside(result.set_aside, result.switched_off)
        tables = [path for folder in self.folders.values() if (path := folder / "hits.arrow").exists()]
        if not tables:
            return []
        with tempfile.TemporaryDirectory(prefix="hikeshi-correlate-") as spool:
            work = CorrelationRun(self.rules.compiled, tables, Path(spool), LEVELS, exceptions=self.rules.exceptions)
            hashes = {s.name: s.sha256 for s in self.acquired.sources}
            found = list(as_detections(map(orjson.loads, work.lines()), hashes))
        self.rules.set_aside(work.set_aside, work.switched_off)
        if work.error is not None:
            self.not_read.append(left_out("Sigma correlations", Text(
                f"相関ルールを計算できませんでした({work.error.what})。",
                f"The correlation rules could not be worked out ({work.error.what}).")))
        return found

    def sightings(self) -> list[Sighting]:
        from hikeshi.triage.sweep import marked

        parts = [[Sighting(**{**s, "lines": tuple(s["lines"]), "warning_lists": tuple(s["warning_lists"])})
                  for s in result.sightings] for result in self.results.values()]
        return marked(merge(parts))

    def remarks(self, notes: set[str]) -> list[str]:
        """Short texts people put beside the evidence; they may tell of clocks."""
        out = []
        for source in self.acquired.sources:
            result = self.results.get(source.name)
            text = remark(source, result.format) if result and source.name not in notes else None
            if text is not None:
                out.append(text)
        return out

    def item(self, source: Source, examined: dict[str, Examined]) -> EvidenceItem:
        result = self.results.get(source.name)
        base = EvidenceItem(source.name, source.sha256, source.size, source.origin, encoding=source.encoding,
                            problems=source.problems)
        if result is None:
            known = examined.get(source.name)
            if known is None:
                return replace(base, format=source.kind)
            looked = "note" if known.is_note else "encrypted" if known.facts.is_encrypted else source.kind
            return replace(base, format=looked)
        problems = [*source.problems, *(f"{reason} ({count:,})" for reason, count in result.reasons.items())]
        if result.undated:
            problems.append(f"records without a readable time ({result.undated:,})")
        if result.stopped:
            problems.append(f"reading stopped: {result.stopped}")
        return replace(base, format=result.format, zone=result.zone, records=result.records, rejected=result.rejected,
                       problems=tuple(problems))

    def write(self, out: Path, case: Case, findings: Sequence[Finding], items: Sequence[EvidenceItem],
              sightings: Sequence[Sighting], made_at: datetime, skipped_indicators: int) -> None:
        steps, avoid = advice(case)
        report = ReportInput(
            case=case, findings=findings, items=items, activity=self.activity(), generated_at=made_at,
            first_steps=steps, not_to_do=avoid, unknowns=unknowns(case, items, skipped_indicators),
            rules=self.rules.summary(), versions=_versions(), **_knowledge(case, made_at))
        contents = {
            **write_report(report),
            "case.json": output.json_bytes(case.to_dict()),
            "findings.jsonl": output.json_lines(f.to_dict() for f in findings),
            output.LAST: output.json_bytes(manifest(
                items, not_read=[(n.path, n.reason) for n in case.not_read], opened=self.acquired.opened,
                protection=self.acquired.protection, made_at=made_at.isoformat())),
        }
        if sightings:
            contents["sightings.jsonl"] = output.json_lines(s.to_dict() for s in sightings)
        tables = [(name, folder / "events.parquet") for name, folder in self.folders.items()]
        output.publish(out, self.place.root / "staging", contents, tables)

    def activity(self) -> list[Activity]:
        return [Activity(name, {int(hour): count for hour, count in result.hours.items()}, result.first, result.last)
                for name, result in self.results.items() if result.hours]


def advice(case: Case) -> tuple[tuple[Text, ...], tuple[Text, ...]]:
    """Steps in order of urgency and what not to do; never empty."""
    from hikeshi.knowledge.advice import advice_by_id, advice_for

    kind = kind_of_case(case)
    records = [a for a in map(advice_by_id, case.identification.advice_ids) if a is not None]
    if not records or kind != "ransomware":
        records = list(advice_for(None, kind))
    steps = dict.fromkeys(step for a in records for step in a.steps)
    avoid = dict.fromkeys(step for a in records for step in a.not_to_do)
    return tuple(steps), tuple(avoid)


def kind_of_case(case: Case) -> str:
    """Which advice fits: a note that names a family speaks of ransomware even where no machine is known."""
    story = case.story
    if story.encrypted_hosts or case.identification.verdict in ("identified", "candidates"):
        return "ransomware"
    shells = any(e.kind == "web_shell" for e in story.entry_candidates)
    return "web_shell" if shells else "exfiltration" if story.exfiltration else "unknown"


def _knowledge(case: Case, made_at: datetime) -> dict[str, Any]:
    """The report's advice, actors and ways in. Those of a family only where it was named."""
    from hikeshi.knowledge.advice import sections_for
    from hikeshi.knowledge.families import load_families
    from hikeshi.knowledge.vectors import actors_of, recent_vectors

    named = case.identification.family
    family = next(iter(load_families().named(named)), None) if named else None
    told: dict[str, Any] = {  # what not to do has a section of its own, before everything else
        "advice": tuple(one for one in sections_for(family, kind_of_case(case)) if one.id != "not_to_do")}
    if family is not None:
        told |= {"actors": actors_of(family), "vectors": recent_vectors(family, made_at.date())}
    return told


def _versions() -> dict[str, str]:
    return {"hikeshi": hikeshi.__version__, "evtx": version("evtx"), "pySigma": version("pysigma"),
            "pymispgalaxies": version("pymispgalaxies")}

