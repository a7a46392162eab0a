"""Everything the report says, as plain values for one language. Templates only show it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from unicodedata import east_asian_width
from zoneinfo import ZoneInfo

from hikeshi.events.time import from_datetime, to_datetime, zone_name
from hikeshi.knowledge.advice import AdviceSection
from hikeshi.knowledge.glossary import load_glossary, terms_in
from hikeshi.knowledge.vectors import KnownActor, Seen, Vectors
from hikeshi.model.case import Account, Case, EncryptedSample, Entry, EntryCandidate, Host, Remark
from hikeshi.model.evidence import EvidenceItem, RecordRef
from hikeshi.model.finding import SEVERITIES, Finding
from hikeshi.model.text import Text, defang, plain
from hikeshi.model.tlp import Tlp
from hikeshi.report.activity import Activity, draw_activity
from hikeshi.report.blocks import draw_blocks
from hikeshi.report.footnotes import Footnotes
from hikeshi.report.lanes import draw_lanes
from hikeshi.report.onsite import onsite
from hikeshi.report.pieces import Answer, Block, Cell, Section
from hikeshi.report.ranking import draw_ranking
from hikeshi.report.spread import draw_spread
from hikeshi.report.words import Language, Words

_LISTS = frozenset({"explained", "not_read", "evidence", "records"})  # names of files and people, not prose
_OWN_WORDS = frozenset({"entry", "spread", "c2", "findings", "family", "unknown"})  # of what a missing entry means
# A reader's sentence with how often it was said.
_COUNTED = re.compile(r"(.*)( \([\d,]+\))", re.DOTALL)
_ROOM = 64  # of some 125 narrow signs on a line of A4
MAX_ROWS = 200  # of any table; everything is in the JSON files beside the report


@dataclass(frozen=True, slots=True)
class ReportInput:
    """What the report is made of. `zone` is the reader's; `versions` name → version; `vectors` are set for a named
    family only."""

    case: Case
    findings: Sequence[Finding]
    items: Sequence[EvidenceItem]
    activity: Sequence[Activity]
    generated_at: datetime
    first_steps: tuple[Text, ...] = ()
    not_to_do: tuple[Text, ...] = ()
    unknowns: tuple[Text, ...] = ()
    advice: tuple[AdviceSection, ...] = ()
    actors: tuple[KnownActor, ...] = ()
    vectors: Vectors | None = None
    rules: Text = field(default_factory=lambda: Text("", ""))
    versions: dict[str, str] = field(default_factory=dict)
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("Asia/Tokyo"))
    tlp: Tlp = Tlp.AMBER


@dataclass(frozen=True, slots=True)
class View:
    language: Language
    title: str
    subtitle: str
    tlp: str
    first_answers: str
    answers: tuple[Answer, ...]
    sections: tuple[Section, ...]
    words: tuple[tuple[str, str, str], ...] = ()  # id, term and meaning of the terms met, in order


def build_view(report: ReportInput, language: Language) -> View:
    """The report in one language."""
    builder = _Builder(report, Words(language, report.zone))
    met = Met(language)
    answers = tuple(replace(a, details=met.mark(a.details)) for a in builder.answers())
    sections = tuple(replace(s, blocks=tuple(met.mark_block(b) for b in s.blocks)) if s.id not in _LISTS else s
                     for s in builder.sections())
    return View(language, builder.w("title"), builder.subtitle(), report.tlp.value, builder.w("first_answers"),
                answers, builder.with_words(sections, met.words()), met.words())


class Met:
    """Terms in the order in which a reader meets them."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._seen: dict[str, None] = {}

    def mark(self, cells: Sequence[Cell]) -> tuple[Cell, ...]:
        """The cells; each term's first use is marked, never inside records and names."""
        return tuple(cell if cell.mono or cell.mark else replace(cell, terms=tuple(self._new(cell.text)))
                     for cell in cells)

    def mark_block(self, block: Block) -> Block:
        return replace(block, items=self.mark(block.items), rows=tuple(map(self.mark, block.rows)))

    def words(self) -> tuple[tuple[str, str, str], ...]:
        glossary = load_glossary()
        return tuple((one, getattr(glossary[one].term, self.language), getattr(glossary[one].meaning, self.language))
                     for one in self._seen)

    def _new(self, text: str) -> Iterator[tuple[int, int, str]]:
        for start, end, one in terms_in(text, self.language):
            if one not in self._seen:
                self._seen[one] = None
                yield start, end, one


def _table_block(columns: tuple[str, ...], rows: Sequence[tuple[Cell, ...]], more: str = "") -> Block:
    # Short values never wrap; sentences share the rest: half the longest cell counts, half the average.
    def width(index: int) -> int:
        cells = [min(_shown_width(row[index].text) + 2 * len(row[index].refs) + 3 * bool(row[index].mark), 64)
                 for row in rows]
        longest = max(cells)
        needed = longest if longest <= 20 else (longest + sum(cells) // len(cells)) // 2
        return max(_shown_width(columns[index]) * 6 // 5, needed) + 4  # headings are bold

    widths = list(map(width, range(len(columns))))
    for index in _kept_whole(columns, rows):
        widths[index] = 0
    return Block("table", more, columns=columns, rows=tuple(rows), widths=tuple(widths))


def _kept_whole(columns: tuple[str, ...], rows: Sequence[tuple[Cell, ...]]) -> list[int]:
    """Columns of short values, as many as leave the sentences room: they are never broken on paper."""
    def longest(index: int) -> int:
        return max(_shown_width(columns[index]), *(
            _shown_width(row[index].text) + 2 * len(row[index].refs) + 3 * bool(row[index].mark) for row in rows)) + 2

    found, used = [], 0
    for index in sorted(range(len(columns)), key=longest):
        used += longest(index)
        if used > _ROOM:
            break
        found.append(index)
    return found if len(found) < len(columns) else found[:-1]


def _shown_width(text: str) -> int:
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text[:80])


class _Builder:
    """Gathers answers and sections; one footnote numbering for both."""

    def __init__(self, report: ReportInput, words: Words) -> None:
        self.report, self.case, self.story, self.w = report, report.case, report.case.story, words
        self.notes = Footnotes()

    # values

    def time(self, text: str | None) -> str:
        """A UTC ISO time in the reader's zone; "unknown" where there is none."""
        return self._local(text, "%Y-%m-%d %H:%M:%S")

    def time_with_zone(self, text: str | None) -> str:
        """The same with the zone's short name, for where no line beside it says the zone."""
        return self._local(text, "%Y-%m-%d %H:%M %Z")

    def _local(self, text: str | None, form: str) -> str:
        return datetime.fromisoformat(text).astimezone(self.report.zone).strftime(form) if text else self.w("unknown")

    def bytes(self, count: int | None) -> str:
        if count is None:
            return self.w("unknown")
        for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
            if count >= size:
                return f"{count / size:,.1f} {unit}"
        return f"{count:,} B"

    def cell(self, value: object, entry: Entry | Finding | None = None, *, mono: bool = False) -> Cell:
        return Cell(plain(value), mono, tuple(self.notes.cite(entry.records)) if entry else ())

    def confidence(self, entry: Entry | Finding) -> Cell:
        return Cell(self.w(entry.confidence), mark=entry.confidence)

    def texts(self, texts: Sequence[Text]) -> str:
        return plain(" / ".join(self.w.text(t) for t in texts))

    def subtitle(self) -> str:
        times = [a.first for a in self.report.activity if a.first] + [a.last for a in self.report.activity if a.last]
        if not times:
            return ""
        return f"{self.time_with_zone(min(times))} – {self.time_with_zone(max(times))}"

    # the first screen

    def answers(self) -> tuple[Answer, ...]:
        return (self._family(), self._now(), self._entry(), self._spread(), self._hosts(), self._unread())

    def _family(self) -> Answer:
        found, question = self.case.identification, self.w("q_family")
        reasons = tuple(
            Cell(plain(self.w.text(reason)), refs=tuple(self.notes.cite(c.records)) if n == 0 else ())
            for c in found.candidates[:1] for n, reason in enumerate(c.reasons[:4]))
        if found.verdict == "identified":
            return Answer(question, self.w("family_identified", family=found.family), "plain", reasons)
        if found.candidates:
            names = ", ".join(c.family for c in found.candidates[:3])
            return Answer(question, self.w("family_candidates", family=names), "unknown", reasons)
        touched = found.verdict == "unknown" and bool(found.records or self.story.encrypted_hosts)
        key = "family_unknown" if touched else "family_none"
        return Answer(question, self.w(key), "unknown" if touched else "plain",
                      (self.cell(self.w(f"{key}_detail"), found),))

    def _now(self) -> Answer:
        steps = self.report.first_steps
        first = self.w.text(steps[0]) if steps else self.w("unknown")
        hosts = [i.name for i in self.story.isolate]
        shown = ", ".join(hosts[:12]) + (" …" if len(hosts) > 12 else "")
        isolate = (Cell(f"{self.w('isolate')}: {plain(shown)}"),) if hosts else ()
        rest = tuple(Cell(self.w.text(s)) for s in steps[1:6])
        return Answer(self.w("q_now"), first, "urgent", (*isolate, *rest), steps=True)

    def _entry(self) -> Answer:
        question, found = self.w("q_entry"), self.story.entry_candidates
        if not found:
            return Answer(question, self.w("entry_unknown"), "unknown")
        best = found[0]
        when = f"{self.time_with_zone(best.time)} · {self.w('col_confidence')}: {self.w(best.confidence)}"
        details = [self.cell(when, best)]
        details += [Cell(plain(self.w.text(r))) for r in best.reasons[:3]]
        if len(found) > 1:
            details.append(Cell(self.w("entry_also", count=f"{len(found) - 1:,}")))
        return Answer(question, self._way_in(best), "plain", tuple(details))

    def _way_in(self, best: EntryCandidate) -> str:
        """Kind, source, account and host; what is not known is not told."""
        kind = self.w.of("kind", best.kind)
        if best.kind == "mail_attachment" and best.account and best.host:
            told = [self.w("entry_opened", account=plain(best.account), host=plain(best.host))]
        else:
            told = [self.w(f"entry_{part}", value=plain(value)) for part, value in (
                ("source", best.source), ("account", best.account), ("host", best.host)) if value]
        return self.w("entry_answer", kind=kind, way=" ".join(told)) if told else kind

    def _spread(self) -> Answer:
        story, question = self.story, self.w("q_spread")
        hosts = len({h.name for h in (*story.compromised_hosts, *story.encrypted_hosts)})
        if not hosts:
            return Answer(question, self.w("spread_none"), "plain")
        details = []
        if story.spread:
            first, last = story.spread[0], story.spread[-1]
            key, steps = "spread_detail" if len(story.spread) > 1 else "spread_detail_one", f"{len(story.spread):,}"
            details.append(self.cell(self.w(key, first=self.time_with_zone(first.time),
                                            last=self.time_with_zone(last.time), steps=steps), first))
        details += [self.cell(self.w("exfiltration_answer", source=e.source, destination=defang(e.destination),
                                     bytes=self.bytes(e.bytes)), e) for e in story.exfiltration[:2]]
        encrypted = len(story.encrypted_hosts)
        key = "spread_answer" if encrypted else "spread_answer_none"
        answer = self.w(key, hosts=self.w.count("hosts", hosts), encrypted=self.w.count("hosts", encrypted))
        return Answer(question, answer, "plain", tuple(details))

    def _hosts(self) -> Answer:
        story, question = self.story, self.w("q_hosts")
        hosts = list(dict.fromkeys(h.name for h in (*story.compromised_hosts, *story.encrypted_hosts)))
        accounts = list(dict.fromkeys(a.name for a in story.compromised_accounts))
        if not hosts and not accounts:
            return Answer(question, self.w("hosts_none"), "plain")
        details = tuple(Cell(plain(", ".join(names[:12]) + (" …" if len(names) > 12 else "")), mono=True)
                        for names in (hosts, accounts) if names)
        counted = self.w("hosts_answer", hosts=self.w.count("hosts", len(hosts)),
                         accounts=self.w.count("accounts", len(accounts)))
        return Answer(question, counted, "plain", details)

    def _unread(self) -> Answer:
        question = self.w("q_unread")
        rejected = sum(i.rejected for i in self.report.items)
        details = tuple(Cell(plain(f"{n.path}: {self.w.text(n.reason)}")) for n in self.case.not_read[:4])
        if not any(i.records for i in self.report.items):
            return Answer(question, self.w("no_events"), "unknown", details)
        if not self.case.not_read and not rejected:
            return Answer(question, self.w("unread_none"), "plain")
        if not self.case.not_read:
            return Answer(question, self.w("unread_records", rejected=self.w.count("records", rejected)), "unknown")
        key = "unread_answer" if rejected else "unread_files"
        return Answer(question, self.w(key, files=self.w.count("files", len(self.case.not_read)),
                                       rejected=self.w.count("records", rejected)), "unknown", details)

    # the sections

    def sections(self) -> tuple[Section, ...]:
        sections = [
            self._section("unknown", self._texts(self.report.unknowns), self._unknown_table(),
                          self._remarks(self.story.unexplained)),
            self._section("onsite", *onsite(self.story, self.w, self.cell, self.time_with_zone, defang)),
            self._section("spread", self._spread_picture(), self._spread_table()),
            self._section("timeline", self._lane_picture(), self._timeline()),
            self._section("entry", self._entry_table()),
            self._section("hosts", self._host_table()),
            self._section("accounts", self._account_table()),
            self._section("c2", self._c2_table()),
            self._section("exfiltration", self._leak(), self._exfiltration_table()),
            self._section("persistence", self._persistence_table()),
            self._section("family", self._family_table()),
            self._section("findings", self._finding_table()),
            self._section("activity", self._activity_picture(), self._ranking_picture(), self._ranking_table(),
                          self._unusual_table()),
            self._section("gaps", self._gap_table()),
            self._section("explained", self._remarks(self.story.explained)),
            self._section("not_read", self._not_read_table()),
            self._section("evidence", self._evidence_table()),
        ]
        if self.report.not_to_do:
            steps = Block("list", items=tuple(Cell(self.w.text(t)) for t in self.report.not_to_do))
            sections.insert(0, Section("do_not", self.w("do_not"), (steps,)))
        named = self.case.identification
        if named.encryption or named.recovery:
            after = next(n for n, section in enumerate(sections) if section.id == "family") + 1
            sections.insert(after, self._section("encryption", self._block_picture(), self._block_table(),
                                                 *self._recovery()))
        after = next(n for n, section in enumerate(sections) if section.id in ("gaps",))
        sections[after:after] = [*self._who(), *self._advice()]
        sections += [self._section("records", self._record_table()), self._section("about", *self._about())]
        return tuple(sections)

    def with_words(self, sections: tuple[Section, ...], words: Sequence[tuple[str, str, str]]) -> tuple[Section, ...]:
        """The terms explained, for paper and for readers who want the list, before the records."""
        if not words:
            return sections
        rows = [(Cell(term), Cell(meaning)) for _, term, meaning in words]
        block = _table_block((self.w("col_term"), self.w("col_meaning")), rows)
        found = Section("words", self.w("section_words"), (block,))
        place = next(n for n, section in enumerate(sections) if section.id == "records")
        return (*sections[:place], found, *sections[place:])

    def _who(self) -> tuple[Section, ...]:
        """Reported users of the named family, and the ways in: recent, older and undated, kept apart."""
        vectors = self.report.vectors
        if vectors is None:
            return ()
        undated = ", ".join(f"{t.id} {t.name}" for t in vectors.undated)
        blocks: list[Block | None] = [
            Block("heading", self.w("who_actors")),
            Block("empty", self.w("who_lead" if self.report.actors else "who_none")),
            self._table(("name", "relation", "confidence", "told_by"), [
                (Cell(plain(a.name)), Cell(self.w.text(a.relation)), Cell(self.w(a.confidence), mark=a.confidence),
                 Cell(self._sources(a.sources))) for a in self.report.actors]),
            Block("heading", self.w("who_recent")),
            Block("empty", self.w.text(vectors.says)),
            self._vector_table(vectors.recent)]
        if vectors.older:
            blocks += [Block("heading", self.w("who_older")), self._vector_table(vectors.older)]
        if undated:
            blocks += [Block("heading", self.w("who_undated")), Block("list", items=(Cell(plain(undated)),))]
        return (self._section("who", *blocks),)

    def _sources(self, ids: Sequence[str]) -> str:
        return ", ".join(self.w.of("source", one) for one in ids)

    def _vector_table(self, seen: Sequence[Seen]) -> Block | None:
        return self._table(("way", "product", "span", "count", "told_by"), [
            (Cell(" ".join(filter(None, (s.cve, s.technique))) or "–", mono=True), Cell(plain(s.product or "–")),
             Cell(" – ".join(dict.fromkeys((s.first_seen, s.last_seen)))), Cell(f"{s.count:,}"),
             Cell(self._sources(s.sources) + (f" ({self.w('unverified')})" if s.unverified else ""))) for s in seen])

    def _advice(self) -> tuple[Section, ...]:
        blocks: list[Block] = []
        for part in self.report.advice:
            mark = f" ({self.w('unverified')})" if part.unverified else ""
            blocks += [Block("heading", self.w.text(part.title) + mark),
                       Block("list", items=tuple(Cell(plain(self.w.text(line))) for line in part.lines))]
        return (self._section("advice", *blocks),) if blocks else ()

    def _section(self, key: str, *blocks: Block | None) -> Section:
        present = tuple(b for b in blocks if b is not None)
        if not present:
            empty = f"empty_{key}" if key in _OWN_WORDS else "empty_generic"
            present = (Block("empty", self.w(empty)),)
        return Section(key, self.w(f"section_{key}"), present)

    def _table(
        self, columns: tuple[str, ...], rows: Sequence[tuple[Cell, ...]], file: str = "case.json"
    ) -> Block | None:
        if not rows:
            return None
        more = self.w("more", count=f"{len(rows) - MAX_ROWS:,}", file=file) if len(rows) > MAX_ROWS else ""
        return _table_block(tuple(self.w(f"col_{c}") for c in columns), rows[:MAX_ROWS], more)

    def _texts(self, texts: Sequence[Text]) -> Block | None:
        return Block("list", items=tuple(Cell(plain(self.w.text(t))) for t in texts)) if texts else None

    def _entry_table(self) -> Block | None:
        return self._table(
            ("rank", "time", "kind", "source", "account", "host", "reasons", "against", "confidence"),
            [(Cell(str(e.rank)), self.cell(self.time(e.time), e), Cell(self.w.of("kind", e.kind)),
              self.cell(e.source or "–", mono=True), self.cell(e.account or "–", mono=True),
              self.cell(e.host or "–", mono=True), Cell(self.texts(e.reasons)), Cell(self.texts(e.against) or "–"),
              self.confidence(e)) for e in self.story.entry_candidates])

    def _spread_picture(self) -> Block | None:
        svg = draw_spread(self.story, self.w, self.report.zone)
        return Block("figure", self.w("caption_spread"), svg=svg) if svg else None

    def _spread_table(self) -> Block | None:
        return self._table(
            ("time", "source", "destination", "method", "account", "confidence"),
            [(self.cell(self.time(s.time), s), self.cell(s.source or self.w("unknown"), mono=True),
              self.cell(s.destination, mono=True), Cell(f"{self.w.of('method', s.method)} ({s.technique})"),
              self.cell(s.account or "–", mono=True), self.confidence(s)) for s in self.story.spread])

    def _lane_picture(self) -> Block | None:
        svg = draw_lanes(self.story, self.w, self.report.zone)
        return Block("figure", self.w("caption_lanes"), svg=svg) if svg else None

    def _unknown_table(self) -> Block | None:
        return self._table(("log", "host", "why"), [
            (self.cell(plain(u.log), u), self.cell(u.host or "–", mono=True), Cell(plain(self.w.text(u.reason))))
            for u in self.story.unknowns])

    def _ranking_picture(self) -> Block | None:
        svg = draw_ranking(self.story, self.w)
        return Block("figure", self.w("caption_ranking"), svg=svg) if svg else None

    def _ranking_table(self) -> Block | None:
        return self._table(("rank", "subject", "score", "logons", "partners", "new_partners", "state"), [
            (Cell(str(r.place)), self.cell(r.name, mono=True), Cell(f"{r.score:.2%}"), Cell(f"{r.logons:,}"),
             Cell(f"{r.partners:,}"), Cell(f"{r.new_partners:,}"), Cell(self.w("compromised") if r.held else "–"))
            for r in self.story.ranking if r.place <= 10])

    def _unusual_table(self) -> Block | None:
        return self._table(("time", "new_partners", "failures", "account"), [
            (self.cell(self.time(u.time), u), Cell(f"{u.new_ties:,}"), Cell(f"{u.failures:,}"),
             self.cell(", ".join(u.accounts) or "–", mono=True)) for u in self.story.unusual])

    def _timeline(self) -> Block | None:
        return self._table(("time", "what"), [
            (Cell(self.time(t.time)), Cell(plain(getattr(t, self.w.language)), refs=tuple(self.notes.cite(t.records))))
            for t in self.story.timeline])

    def _host_table(self) -> Block | None:
        seen: dict[str, tuple[Host, list[str]]] = {}
        for state, hosts in (("encrypted", self.story.encrypted_hosts), ("compromised", self.story.compromised_hosts),
                             ("touched", self.story.touched_hosts)):
            for host in hosts:
                kept = seen.setdefault(host.name, (host, []))
                # The compromised entry has the span and the reasons; encryption is its last chapter.
                seen[host.name] = (host if state == "compromised" else kept[0], [*kept[1], self.w(state)])
        return self._table(
            ("host", "state", "addresses", "span", "reasons", "confidence"),
            [(self.cell(h.name, h, mono=True), Cell(", ".join(states)),
              self.cell(", ".join(h.addresses) or "–", mono=True),
              Cell(f"{self.time(h.first)} – {self.time(h.last)}" if h.first else "–"), Cell(self.texts(h.reasons)),
              self.confidence(h)) for h, states in seen.values()])

    def _account_table(self) -> Block | None:
        seen: dict[tuple[str, str], tuple[Account, list[str]]] = {}
        story = self.story
        for state, accounts in (("compromised", story.compromised_accounts), ("reset", story.accounts_to_reset)):
            for account in accounts:
                seen.setdefault((account.name, account.kind), (account, []))[1].append(self.w(state))
        return self._table(
            ("account", "kind", "state", "reasons", "confidence"),
            [(self.cell(a.name, a, mono=True), Cell(self.w.of("account", a.kind)), Cell(", ".join(states)),
              Cell(self.texts(a.reasons)), self.confidence(a)) for a, states in seen.values()])

    def _c2_table(self) -> Block | None:
        where = {(b.value, b.type): b.where for b in self.story.block_list}
        rows = [(self.cell(defang(c.value), c, mono=True), Cell(self.w("yes" if c.known else "no")),
                 Cell(f"{self.time(c.first)} – {self.time(c.last)}"), self.cell(", ".join(c.clients), mono=True),
                 Cell(", ".join(self.w.of("where", w) for w in where.pop((c.value, c.type), ())) or "–"),
                 self.confidence(c)) for c in self.story.c2]
        rows += [(self.cell(defang(b.value), b, mono=True), Cell("–"), Cell("–"), Cell("–"),
                  Cell(", ".join(self.w.of("where", w) for w in b.where)), self.confidence(b))
                 for b in self.story.block_list if (b.value, b.type) in where]
        return self._table(("value", "known", "span", "clients", "where", "confidence"), rows)

    def _exfiltration_table(self) -> Block | None:
        rows = [(Cell(self.w.of("kind", "staging")), self.cell(self.time(s.time), s), self.cell(s.host, mono=True),
                 self.cell(s.path, mono=True), Cell(self.bytes(s.bytes)), Cell(self.texts(s.content) or "–"),
                 self.confidence(s)) for s in self.story.staging]
        rows += [(Cell(self.w.of("kind", e.kind)), self.cell(self.time(e.first), e), self.cell(e.source, mono=True),
                  self.cell(defang(e.destination), mono=True), Cell(self.bytes(e.bytes)), Cell("–"), self.confidence(e))
                 for e in self.story.exfiltration]
        return self._table(("kind", "time", "source", "path", "bytes", "content", "confidence"), rows)

    def _leak(self) -> Block | None:
        """How much left at least and at most, what it may have been, and what that rests on."""
        leak = self.story.leak
        if leak is None:
            return None
        key = "leak_open" if leak.most is None else "leak_same" if leak.most == leak.least else "leak_bounds"
        lines = [self.w(key, least=self.bytes(leak.least), most=self.bytes(leak.most))]
        lines += [self.w("leak_content", content=self.texts(leak.content))] if leak.content else []
        lines += [plain(self.w.text(reason)) for reason in leak.reasons]
        return Block("list", items=tuple(map(Cell, lines)))

    def _persistence_table(self) -> Block | None:
        return self._table(
            ("time", "host", "kind", "name", "path", "confidence"),
            [(self.cell(self.time(p.time), p), self.cell(p.host, mono=True), Cell(self.w.of("kind", p.kind)),
              self.cell(p.name, mono=True), self.cell(p.path, mono=True), self.confidence(p))
             for p in self.story.persistence])

    def _family_table(self) -> Block | None:
        return self._table(
            ("family", "score", "reasons", "confidence"),
            [(self.cell(c.family, c), Cell(f"{c.score:.2f}"), Cell(self.texts(c.reasons)), self.confidence(c))
             for c in self.case.identification.candidates[:5]])

    def _block_picture(self) -> Block | None:
        svg = draw_blocks(self.case.identification.encryption, self.w)
        return Block("figure", self.w("caption_encryption"), svg=svg) if svg else None

    def _block_table(self) -> Block | None:
        """The picture in words and letters."""
        return self._table(
            ("path", "size", "pattern", "share", "step", "traces", "map"),
            [(self.cell(e.path, e, mono=True), Cell(self.bytes(e.size)), Cell(self.w.of("pattern", e.pattern)),
              Cell(f"{e.share:.0%}"), Cell(self._step(e)), Cell(self._traces(e)), Cell(e.row, mono=True))
             for e in self.case.identification.encryption])

    def _step(self, sample: EncryptedSample) -> str:
        if not sample.chunk:
            return "–"
        return f"{self.bytes(sample.chunk)} + {self.bytes(sample.skip)}" if sample.skip else self.bytes(sample.chunk)

    def _traces(self, sample: EncryptedSample) -> str:
        told = [self.w("trace_extension", value=plain(sample.extension))] if sample.extension else []
        told += [self.w("trace_victim_id", value=plain(sample.victim_id))] if sample.victim_id else []
        told += [self.w("trace_marker", value=plain(sample.marker))] if sample.marker else []
        told += [self.w("trace_lost_format")] if sample.lost_format else []
        return " / ".join(told) or "–"

    def _recovery(self) -> tuple[Block, ...]:
        told = self._texts(self.case.identification.recovery)
        return (Block("empty", self.w("recovery_lead")), told) if told else ()

    def _finding_table(self) -> Block | None:
        ordered = sorted(self.report.findings, key=lambda f: SEVERITIES.index(f.severity))
        return self._table(
            ("severity", "title", "host", "time", "count", "next"),
            [(Cell(self.w(f.severity), mark=f.severity), self.cell(self._finding_title(f), f),
              self.cell(", ".join(f.hosts[:3]) or "–", mono=True), Cell(self.time(f.when)), Cell(f"{f.count:,}"),
              Cell(plain(self.w.text(f.next_action)))) for f in ordered], "findings.jsonl")

    def _finding_title(self, finding: Finding) -> str:
        author = f" ({finding.rule_author})" if finding.rule_author and finding.rule_author != "Hikeshi" else ""
        return f"{self.w.text(finding.title)}{author}"

    def _activity_picture(self) -> Block | None:
        svg = draw_activity(self.report.activity, self.report.zone)
        return Block("figure", self.w("caption_activity"), svg=svg) if svg else None

    def _gap_table(self) -> Block | None:
        rows = [(self.cell(g.host, g, mono=True), self.cell(g.log), Cell(self.w.of("kind", g.kind)),
                 Cell(self._span(g.first, g.last)), self.confidence(g)) for g in self.story.log_gaps]
        rows += [(self.cell(c.host, c, mono=True), Cell("–"), Cell(self.w("kind_clock")),
                  Cell(f"{c.seconds:+,} s: {plain(self.w.text(c.reason))}"), self.confidence(c))
                 for c in self.story.clock_offsets]
        return self._table(("host", "log", "kind", "span", "confidence"), rows)

    def _span(self, first: str | None, last: str | None) -> str:
        if first is None and last is not None:
            return self.w("until", time=self.time(last))
        return f"{self.time(first)} – {self.time(last)}"

    def _remarks(self, remarks: Sequence[Remark]) -> Block | None:
        return self._table(("subject", "why"), [
            (self.cell(r.subject, r), Cell(plain(self.w.text(r.reason)))) for r in remarks])

    def _not_read_table(self) -> Block | None:
        rows = [(self.cell(n.path, mono=True), Cell(plain(self.w.text(n.reason)))) for n in self.case.not_read]
        for item in self.report.items:
            if item.problems:
                why = "; ".join(map(self._problem, item.problems))
                rows.append((self.cell(item.path, mono=True), Cell(plain(f"{self.w('partly')}: {why}"))))
        return self._table(("path", "why"), rows, "manifest.json")

    def _problem(self, sentence: str) -> str:
        """A reader's sentence in the report's language where we have it; a count in brackets stays."""
        counted = _COUNTED.fullmatch(sentence)
        return self.w.problem(counted[1]) + counted[2] if counted else self.w.problem(sentence)

    def _evidence_table(self) -> Block | None:
        return self._table(
            ("path", "format", "size", "records", "rejected", "zone"),
            [(self.cell(i.path, mono=True), Cell(i.format or self.w("unknown")), Cell(self.bytes(i.size)),
              Cell(f"{i.records:,}"), Cell(f"{i.rejected:,}"), Cell(plain(i.zone or "–")))
             for i in self.report.items], "manifest.json")

    def _record_table(self) -> Block | None:
        # Not cut: a citation without its row would be a claim without its record.
        rows = [(Cell(str(n)), Cell(plain(ref.path), mono=True), Cell(self._place(ref)),
                 Cell(ref.sha256[:16], mono=True)) for n, ref in self.notes.rows()]
        columns = (*(self.w(f"col_{c}") for c in ("number", "path", "place")), "SHA-256")
        return _table_block(columns, rows) if rows else None

    def _place(self, ref: RecordRef) -> str:
        if ref.record_id is not None:
            return self.w("place_record", number=ref.record_id)
        return self.w("place_line", number=ref.line) if ref.line else ""

    def _about(self) -> tuple[Block, ...]:
        report = self.report
        made = self.time(to_datetime(from_datetime(report.generated_at)).isoformat())
        versions = ", ".join(f"{k} {v}" for k, v in sorted(report.versions.items()))
        zone = zone_name(report.zone, assumed=False)
        items = [f"{self.w('about_generated')}: {made}", f"{self.w('about_versions')}: {versions}",
                 f"{self.w('about_rules')}: {self.w.text(report.rules)}", self.w("about_zone", zone=zone),
                 self.w("about_confidence")]
        return (Block("list", items=tuple(Cell(plain(i)) for i in items)),)

