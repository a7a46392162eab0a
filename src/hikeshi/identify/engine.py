"""identify(): notes, file names and file facts → which family, or unknown. See answer.py.

The order is fixed: is it a ransom note at all, then exact evidence, then ranking. Everything here
works on data in memory or on one file; children call `examine`, the parent calls `merge`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hikeshi.errors import InputError, Location
from hikeshi.evidence.source import Source
from hikeshi.identify import attached, documents, fuzzy
from hikeshi.identify import clues as clue
from hikeshi.identify.answer import Actor, Answer
from hikeshi.identify.clues import Clue
from hikeshi.identify.encrypted import FileFacts, inspect_bytes, inspect_file
from hikeshi.identify.gate import Gate, is_tabular, judge, load_signs
from hikeshi.identify.rank import CANDIDATE, is_named, rank
from hikeshi.identify.selfname import unknown_name
from hikeshi.identify.text import MAX_BYTES, NoteText, note_from_text, read_note
from hikeshi.identify.traces import load_traces, name_pattern_clues, tool_clues
from hikeshi.identify.wording import wording_clues
from hikeshi.knowledge.addresses import Address, find_addresses
from hikeshi.knowledge.advice import advice_for, load_advice
from hikeshi.knowledge.families import Families, load_families
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text

_HEAD = 32 * 1024
_SNIFFED = 16 * 1024
_PLAIN_FORMS = ("text", "html", "rtf")
_NEARLY, _SETTLED = 4.0, 0.95
_WORDED = 0.4  # worded so much like a known note that it is one, whatever the gate's signs say


@dataclass(frozen=True, slots=True)
class Input:
    """One thing to look at: a text, a file's bytes, a bare file name, or facts of a file already inspected.

    `path` names it in reasons and records; only one of `text`, `data` and `facts` is set, or none for a
    bare name."""

    path: str
    sha256: str = ""
    text: str | None = None
    data: bytes | None = None
    facts: FileFacts | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody knows without a file: note or encrypted file names, extensions, addresses of any kind, names of
    tools or processes, names of leak sites."""

    names: Sequence[str] = ()
    extensions: Sequence[str] = ()
    contacts: Sequence[str] = ()
    tools: Sequence[str] = ()
    leak_sites: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Examined:
    """What a child sends back for one file: its answer, and its facts for the case as a whole.

    `clues` are all clues found, also those that did not suffice for a verdict on this file alone. `attached` are
    the files inside a mail, also of mails and zips in it, by paths like "mail.eml/README.docx"; `answer` is then
    about the mail with them, `is_note` about its own words."""

    answer: Answer
    facts: FileFacts
    clues: tuple[Clue, ...]
    is_note: bool
    attached: tuple[Examined, ...] = ()

    def all(self) -> tuple[Examined, ...]:
        """This and what is attached, each by itself."""
        return (replace(self, attached=()), *self.attached) if self.attached else (self,)


def identify(inputs: Sequence[Input], *, families: Families | None = None) -> Answer:
    """One answer for all inputs together (a single input keeps its path)."""
    known = families or load_families()
    return merge([examine_input(one, known) for one in inputs], families=known)


def identify_file(source: Source, *, families: Families | None = None) -> Answer:
    """The answer for one file of the evidence."""
    return examine(families or load_families(), source).answer


def examine(families: Families, source: Source) -> Examined:
    """Look at one file: facts of its bytes, and its text if it is one. Raises InputError.

    The signature is that of a sandbox task: `families` is the context made by `prepare`."""
    facts = inspect_file(source.path, source.name, sha256=source.sha256)
    data = b""
    if facts.state in ("unknown", "untouched") or facts.size < 256 * 1024:
        try:
            with source.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
                if len(data) > MAX_BYTES and documents.kind_of(data[:_SNIFFED]):
                    data += file.read(documents.most_bytes(data[:_SNIFFED]) - len(data))
        except OSError as error:
            raise InputError(f"the file can't be read: {error.strerror}", source=Location(source.name)) from error
    found = _examine(source.name, source.sha256, facts, _read(data, facts.size), families)
    return _with_attached(found, data, families, attached.Budget(), 0)


def prepare(packs: Sequence[str] = ()) -> Families:
    """What a child loads before it is locked in: everything that would be read from disk later."""
    load_signs()
    load_traces()
    load_advice()
    return load_families(*(Path(pack) for pack in packs))


def examine_input(one: Input, families: Families) -> Examined:
    """The same for something in memory."""
    if one.facts is not None:
        return _examine(one.path, one.sha256, one.facts, None, families)
    if one.text is not None:
        data = one.text.encode("utf-8", "replace")
        sha256 = one.sha256 or _sha256(data)
        facts = _facts_of(one.path, data, sha256)
        return _examine(one.path, sha256, facts, note_from_text(one.text), families)
    if one.data is not None:
        return _examine_data(one.path, one.sha256, one.data, families, attached.Budget(), 0)
    return _examine(one.path, one.sha256, _facts_of(one.path, b"", one.sha256), None, families)


def merge(examined: Sequence[Examined], *, families: Families | None = None) -> Answer:
    """One answer for a case: notes with the same words count once, an extension counts with its files."""
    known = families or load_families()
    if len(examined) == 1:
        return examined[0].answer
    examined = [one for e in examined for one in e.all()]
    notes = [e for e in examined if e.is_note]
    encrypted = [e for e in examined if e.facts.is_encrypted]
    asked = [e for e in examined if e.answer.kind == "asked"]
    if not notes and not encrypted and not asked:
        verdict = (
            "not_ransomware" if examined and all(e.answer.verdict == "not_ransomware" for e in examined) else "unknown"
        )
        return Answer("", verdict, "file", advice_ids=_advice(None) if verdict == "unknown" else ())
    extensions = Counter(e.facts.extension for e in encrypted if e.facts.added or e.facts.state == "encrypted")
    distinct = {c.reason: c for e in (*notes, *encrypted, *asked) for c in e.clues if c.kind != "extension"}
    found = list(distinct.values())
    for extension, count in extensions.most_common(5):
        first = next(e for e in encrypted if e.facts.extension == extension)
        found += clue.extension_clues(extension, known, RecordRef(first.facts.path, first.facts.sha256), files=count)
    # An extension that was asked about counts once, also where files carry it.
    found += [c for e in asked for c in e.clues if c.kind == "extension" and c.value not in extensions]
    told = [note for e in asked for note in e.answer.notes]
    if notes:
        told.append(Text(f"脅迫文が{len(notes):,}個あります", f"ransom notes: {len(notes):,}"))
    if encrypted:
        told.append(
            Text(
                f"暗号化されたと見られるファイルが{len(encrypted):,}個あります",
                f"files that look encrypted: {len(encrypted):,}",
            )
        )
    footer = common_footer([e.facts for e in encrypted])
    if footer:
        told.append(
            Text(
                f"暗号化ファイルの末尾{len(footer)}バイトが共通です（{footer[:16].hex()}）",
                f"the last {len(footer)} bytes of the encrypted files are the same ({footer[:16].hex()})",
            )
        )
    records = tuple(RecordRef(e.facts.path, e.facts.sha256) for e in (*notes, *encrypted)[:20])
    names = [e.answer.self_name for e in notes if e.answer.self_name]
    return _decide(
        "",
        "note" if notes else "encrypted" if encrypted else "asked",
        found,
        known,
        tuple(told),
        records=records,
        self_name=names[0] if names else None,
        extensions=tuple(e for e, _ in extensions.most_common(10) if e),
    )


def ask(question: Question, families: Families) -> Examined:
    """An answer to names and addresses alone; what none of our knowledge has is said."""
    found: list[Clue] = []
    missing: list[str] = []

    def take(value: str, clues: Iterable[Clue]) -> None:
        kept = list(clues)
        found.extend(kept)
        if not kept:
            missing.append(value)

    for name in question.names:
        take(name, examine_input(Input(name), families).clues)
    for extension in question.extensions:
        take(extension, clue.extension_clues("." + extension.strip().lower().lstrip("*."), families, None))
    for contact in question.contacts:
        take(contact, clue.contact_clues(contact, families))
    for tool in question.tools:
        take(tool, tool_clues(tool, families))
    for site in question.leak_sites:
        take(site, clue.leak_site_clues(site, families))
    told = [Text(f"「{shown}」は知られていません", f"nothing is known about “{shown}”")
            for shown in map(clue.shown_value, missing)]
    answer = _decide("", "asked", found, families, tuple(told), records=())
    return Examined(answer, inspect_bytes("", 0, b""), tuple(found), False)


def common_footer(facts: Iterable[FileFacts]) -> bytes:
    """The bytes with which at least three encrypted files of different content end alike (4 bytes or more), or b""."""
    tails = list({f.tail for f in facts if f.size >= 512 and f.tail})
    total = sum(1 for f in facts if f.size >= 512 and f.tail)
    if total < 3 or len(tails) < 2:
        return b""
    shared = tails[0]
    for tail in tails[1:]:
        while shared and not tail.endswith(shared):
            shared = shared[1:]
    return shared if len(shared) >= 4 and len(set(shared)) > 1 else b""


def _examine(
    path: str, sha256: str, facts: FileFacts, read: NoteText | Text | None, families: Families
) -> Examined:
    """`read` is the file's text, or why it has none although it is a document."""
    note, problem = (None, (read,)) if isinstance(read, Text) else (read, ())
    base = path.replace("\\", "/").rsplit("/", 1)[-1]
    whole = RecordRef(path, sha256)
    if note is not None and note.text.strip() and facts.state != "encrypted":
        return _examine_text(path, sha256, base, facts, note, families)
    found = list(clue.note_name_clues(base, families, whole)) if not facts.added else []
    if facts.is_encrypted or facts.added:
        extension = facts.extension
        found += clue.extension_clues(extension, families, whole)
        found += clue.address_clues((Address("email", e, 0, 0) for e in facts.emails), families, whole)
        found += name_pattern_clues(facts.added, families, whole)
        found += [
            clue.marker_clue(family, marker, whole) for family, marker in facts.markers if family in families.by_id
        ]
    if not facts.is_encrypted:
        bare_name = facts.size == 0 and bool(found)
        answer = (
            _decide(path, "name", found, families, problem, records=(whole,))
            if bare_name
            else Answer(
                path,
                "unknown",
                "file",
                notes=problem
                or (
                    Text(
                        "脅迫文でも暗号化されたファイルでもないようです",
                        "neither a note nor an encrypted file, as far as can be seen",
                    ),
                ),
            )
        )
        return Examined(answer, facts, tuple(found), False)
    told = Text(f"暗号化されています: {facts.reason.ja}", f"encrypted: {facts.reason.en}")
    answer = _decide(
        path,
        "encrypted",
        found,
        families,
        (told,),
        records=(whole,),
        extensions=(facts.extension,) if facts.extension else (),
    )
    return Examined(answer, facts, tuple(found), False)


def _examine_data(
    path: str, sha256: str, data: bytes, families: Families, budget: attached.Budget, depth: int
) -> Examined:
    sha256 = sha256 or _sha256(data)
    found = _examine(path, sha256, _facts_of(path, data, sha256), _read(data), families)
    return _with_attached(found, data, families, budget, depth)


def _with_attached(found: Examined, data: bytes, families: Families, budget: attached.Budget, depth: int) -> Examined:
    """The same with the files inside a mail, each looked at by itself; what they are counts for the mail."""
    kind = documents.kind_of(data[:_SNIFFED])
    if not kind and depth and data.startswith(b"PK\x03\x04"):
        kind = "zip"
    if kind not in ("mail", "mbox", "msg", "tnef", "zip") or depth >= attached.DEPTH:
        return found
    inside: list[Examined] = []
    names: Counter[str] = Counter()
    for name, content in attached.files_of(data, kind):
        if not budget.take(len(content)):
            break
        names[name] += 1
        path = f"{found.answer.path}/{name}" + (f"#{names[name]}" if names[name] > 1 else "")
        inside += _examine_data(path, "", content, families, budget, depth + 1).all()
    telling = [one for one in inside if one.is_note or one.facts.is_encrypted]
    if not telling:
        return replace(found, attached=tuple(inside))
    whole = merge([found, *telling] if found.is_note else telling, families=families)
    told = tuple(_attached_text(one.answer.path.removeprefix(f"{found.answer.path}/"), is_note=one.is_note)
                 for one in telling[:5])
    answer = replace(whole, path=found.answer.path, notes=(*told, *whole.notes), records=found.answer.records)
    return replace(found, answer=answer, attached=tuple(inside))


def _attached_text(name: str, *, is_note: bool) -> Text:
    shown = clue.shown_value(name)
    if is_note:
        return Text(f"添付「{shown}」は脅迫文です", f"the attached “{shown}” is a note")
    return Text(f"添付「{shown}」は暗号化されています", f"the attached “{shown}” is encrypted")


def _examine_text(path: str, sha256: str, base: str, facts: FileFacts, note: NoteText, families: Families) -> Examined:
    gate, worded = _gate_and_wording(note, families, path=path, sha256=sha256)
    whole = RecordRef(path, sha256)
    if gate.verdict == "other":
        # A folder is full of letters and reports: only what may be a note gets a line of its own.
        kind = "text" if note.form in _PLAIN_FORMS else "file"
        return Examined(
            Answer(path, "not_ransomware", kind, notes=(_gate_text(gate),), records=(whole,)), facts, (), False
        )
    found = list(clue.clues_in_text(note, families, path=path, sha256=sha256))
    found += clue.note_name_clues(base, families, whole)
    found += worded
    told = [_gate_text(gate)]
    if note.cut:
        told.append(
            Text("先頭の1 MiBだけを読みました", "only the first MiB was read")
            if note.form in _PLAIN_FORMS
            else Text("文書の一部だけを読みました", "only a part of the document was read")
        )
    own = unknown_name(note.text, families)
    answer = _decide(path, "note", found, families, tuple(told), records=(whole,), self_name=own[0] if own else None)
    # A report about an attack quotes addresses too; nearly a note's score and an exact address is a note.
    best = answer.candidates[0].score if answer.candidates else 0.0
    is_settled = not gate.is_about and gate.score >= _NEARLY and best >= _SETTLED
    if gate.verdict == "maybe" and gate.against and not is_settled:
        answer = replace(
            answer, verdict="candidates" if answer.candidates else "unknown", family=None, family_id=None, actors=()
        )
    return Examined(answer, facts, tuple(found), True)


def _gate_and_wording(
    note: NoteText, families: Families, *, path: str, sha256: str
) -> tuple[Gate, list[Clue]]:
    """The gate's answer, and how the text is worded. Most of a known note is a note, whatever signs it lacks;
    so may be a text with a known address that was damaged on its way."""
    exact = list(find_addresses(note.text))
    gate = judge(note, addresses={address.kind for address in exact})
    if gate.is_tabular:
        return gate, []
    worded = list(wording_clues(note, families, path=path, sha256=sha256))
    if gate.verdict == "other" and any(clue.weight >= _WORDED for clue in worded):
        like = Text("文面が既知の脅迫文に近い", "is worded like a known note")
        return Gate("maybe", gate.score, (*gate.signs, like), ()), worded
    if gate.verdict != "note":
        damaged = {address.kind for address, _, _ in fuzzy.damaged_addresses(note.text, exact, families)}
        if damaged:
            return judge(note, addresses={address.kind for address in exact} | damaged), worded
    return gate, worded


def _read(data: bytes, size: int | None = None) -> NoteText | Text | None:
    """The text of these bytes, or why a document can't be read. Of a long log or table only the start is read: it
    is no note, and there are many."""
    if not data:
        return None
    if documents.kind_of(data[:_SNIFFED]):
        return documents.read_document(data, size)
    if len(data) > _HEAD:
        head = read_note(data[:_HEAD])
        if head is not None and is_tabular(head.text):
            return head
    return read_note(data)


def _gate_text(gate: Gate) -> Text:
    name = {
        "note": Text("脅迫文です", "this is a ransom note"),
        "maybe": Text("脅迫文かもしれません", "this may be a ransom note"),
        "other": Text("脅迫文ではありません", "this is not a ransom note"),
    }[gate.verdict]
    shown = gate.against if gate.verdict == "other" and gate.against else gate.signs
    if not shown:
        return Text(f"{name.ja}: 脅迫文のしるしがありません", f"{name.en}: no sign of one")
    return Text(f"{name.ja}: {'、'.join(t.ja for t in shown)}", f"{name.en}: {', '.join(t.en for t in shown)}")


def _decide(
    path: str,
    kind: str,
    found: Sequence[Clue],
    families: Families,
    told: tuple[Text, ...],
    *,
    records: tuple[RecordRef, ...],
    self_name: str | None = None,
    extensions: tuple[str, ...] = (),
) -> Answer:
    candidates = rank(found, families)
    if self_name and (not candidates or candidates[0].score < 0.5):
        told = (
            *told,
            Text(
                f"自ら「{self_name}」と名乗っていますが、この名前は知りません",
                f"calls itself “{self_name}”, a name we know nothing about",
            ),
        )
    else:
        self_name = None
    if not is_named(candidates, families):
        return Answer(
            path,
            "candidates" if candidates and candidates[0].score >= CANDIDATE else "unknown",
            kind,
            candidates=candidates,
            notes=told,
            advice_ids=_advice(None),
            self_name=self_name,
            records=records,
            extensions=extensions,
        )
    family = families.by_id[candidates[0].id]
    return Answer(
        path,
        "identified",
        kind,
        family=family.name,
        family_id=family.id,
        candidates=candidates,
        actors=tuple(Actor(a.name, a.relation, a.source) for a in family.actors),
        advice_ids=_advice(family.id),
        notes=told,
        records=records,
        extensions=extensions,
    )


def _advice(family: str | None) -> tuple[str, ...]:
    return tuple(advice.id for advice in advice_for(family, "ransomware"))


def _facts_of(path: str, data: bytes, sha256: str) -> FileFacts:
    return inspect_bytes(path, len(data), data[:32768], b"", data[-16384:] if len(data) > 32768 else b"", sha256=sha256)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
