"""From a folder of labelled notes to what is shipped of them: addresses, file names, hashes of the wording.

The folder holds `labels.tsv` (path, family, source, note_filename; further columns are ignored) and the notes.
No text of a note leaves: `observed.toml` holds facts, `wordings.npz` hashes (knowledge.wording). Notes quoted
in the installed galaxy package are learnt along. The same input gives the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hikeshi.errors import InputError, LimitExceeded, Location
from hikeshi.evidence.atomic import write_atomic
from hikeshi.identify.text import MAX_BYTES, read_note
from hikeshi.knowledge import galaxy, wording
from hikeshi.knowledge.addresses import find_addresses
from hikeshi.knowledge.coins import find_coins
from hikeshi.knowledge.families import Families, compact
from hikeshi.knowledge.galaxy import key_of
from hikeshi.knowledge.importers.folder import Imported, Origin, describe, files
from hikeshi.knowledge.load import DATA
from hikeshi.knowledge.pack_build import Learnt

SOURCES = {"tl": "threatlabz-notes", "mg": "misp-galaxy-notes", "f6": "f6-notes"}
_NEEDED = ("path", "family", "source")
_PLACEHOLDER = re.compile(r"x{6,}\d?|\[[a-z]{2,8}\]|\d{5,}")
_NUMBERING = re.compile(r"(?<=[a-z_-])(?:[_-]?\d|\(\d\))$")
_ID = re.compile(r"[a-z0-9]{6,12}")
_NOTES = (".txt", ".html", ".htm", ".hta", ".rtf", ".md", ".url", ".log", ".readme")
_MOST_NOTES = 65_000  # wordings count them in 16 bits
_SAME = 0.95  # fit from which two notes are the same wording
_SHORTEST = 150  # signs; what the galaxy quotes of a note in less is a remark
_HEAD = """\
# Facts seen in collected ransom notes: addresses and note file names, no text. Sources in SOURCES.toml.
# Sorted by family, then source. Made from the notes' addresses; a fact may belong to several families.
"""


@dataclass(frozen=True, slots=True)
class LabelledNote:
    """One note of the pack; `file_name` is what it was called on the victim's disk, or ""."""

    family: str
    source: str
    file_name: str
    text: str


def read_pack(folder: Path) -> Iterator[LabelledNote]:
    """Every readable note of the folder, in the order of labels.tsv. Raises InputError."""
    labels = folder / "labels.tsv"
    try:
        with labels.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("the labels of the notes can't be read", source=Location(str(labels)),
                         hint="the folder needs labels.tsv with path, family and source") from error
    for number, row in enumerate(rows, start=2):
        if any(not row.get(name) for name in _NEEDED):
            raise InputError("a label has no path, family or source", source=Location(str(labels), line=number))
        path = (folder / row["path"]).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise InputError("a note lies outside the folder", source=Location(str(labels), line=number))
        try:
            with path.open("rb") as note:
                read = read_note(note.read(MAX_BYTES + 1))
        except OSError as error:
            raise InputError(f"a note can't be read: {error.strerror}", source=Location(str(path))) from error
        if read is not None:
            name = (row.get("note_filename") or "").replace("\\", "/").rsplit("/", 1)[-1]
            yield LabelledNote(row["family"], SOURCES.get(row["source"], row["source"]), name.lower(), read.text)


def read_tree(folder: Path, source: str) -> Iterator[LabelledNote]:
    """Every readable note of a tree `family/note.txt`, by name; what is no text is passed over. Raises InputError."""
    for path in files(folder, _NOTES):
        parts = path.relative_to(folder).parts
        family = _printable(parts[0]).replace("_", " ").strip()
        if len(parts) < 2 or not key_of(family) or len(family) > 120:
            continue  # a README beside the families
        try:
            with path.open("rb") as note:
                read = read_note(note.read(MAX_BYTES + 1))
        except OSError as error:
            raise InputError(f"a note can't be read: {error.strerror}", source=Location(str(path))) from error
        if read is not None:
            yield LabelledNote(family, source, _printable(path.name.lower()), read.text)


def _printable(name: str) -> str:
    return "".join(sign for sign in name if sign.isprintable())


def learnt(origin: Origin) -> Learnt:
    """Facts and wordings of a folder of notes, with labels.tsv or as a tree, for a pack. No text stays.

    A note that is known already brings no second wording. Raises InputError."""
    imported = Imported(describe(origin, "notes", "Collected ransom notes", content=""))
    source = imported.source.id
    labelled = (origin.path / "labels.tsv").is_file()
    read = read_pack(origin.path) if labelled else read_tree(origin.path, source)
    notes = [replace(note, source=source) for note in read]
    if not notes:
        raise InputError("the folder holds no readable note", source=Location(str(origin.path)),
                         hint="the folder needs labels.tsv, or one folder a family with its notes inside")
    total = hashlib.sha256()
    for note in sorted(notes, key=lambda one: (one.family, one.file_name, one.text)):
        total.update("\0".join((note.family, note.file_name, note.text, "")).encode("utf-8", "surrogatepass"))
    imported.source = describe(origin, "notes", "Collected ransom notes", content=total.hexdigest())
    known = Families(compact(galaxy.families(), [DATA / "observed.toml"]))
    old = wording.load()
    new = [note for note in (wording.Note(one.family, source, one.text) for one in notes)
           if not any(row.fit >= _SAME for row in old.compare(wording.hashes(note.text)[0])[:1])]
    if len(old) + len(new) > _MOST_NOTES:
        raise LimitExceeded(f"more than {_MOST_NOTES:,} notes", source=Location(str(origin.path)))
    names = {note.family: _keys(note.family, known) for note in new}
    return Learnt(imported, observed(notes, known), wording.learn(new, names=names))


def learn(folder: Path, out: Path) -> tuple[int, int]:
    """Write observed.toml and wordings.npz to `out`; gives how many notes of the folder and of the galaxy."""
    notes = list(read_pack(folder))
    if not notes:
        raise InputError("the folder holds no readable note", source=Location(str(folder)))
    known = Families(compact(galaxy.families(), []))
    out.mkdir(parents=True, exist_ok=True)
    write_atomic(out / "observed.toml", observed(notes, known).encode())
    quoted = list(_quoted(known))
    learnt = [wording.Note(note.family, note.source, note.text) for note in notes]
    names = {note.family: _keys(note.family, known) for note in [*learnt, *quoted]}
    wording.save(out / "wordings.npz", wording.learn([*learnt, *_new(quoted, learnt)], names=names))
    return len(notes), len(quoted)


def observed(notes: Sequence[LabelledNote], known: Families) -> str:
    """The facts of these notes in observed.toml's form."""
    found: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for note in notes:
        facts = found[note.family, note.source]
        for address in (*find_addresses(note.text), *find_coins(note.text)):
            if address.kind != "onion" or not known.is_public_site(address.value):
                facts[address.kind].add(address.value)
        if name := note_name(note.file_name):
            facts["note_name"].add(name)
    return _HEAD + "".join(_record(family, source, found[family, source]) for family, source in sorted(found))


def note_name(name: str) -> str:
    """The name as other victims will have it: ids become "*", an archive's own numbering goes; "" if nothing stays."""
    name = _PLACEHOLDER.sub("*", name)
    stem, dot, ending = name.rpartition(".")
    stem = _NUMBERING.sub("", stem or ending)
    if _ID.fullmatch(stem) and any(c.isdigit() for c in stem) and any(c.isalpha() for c in stem):
        return ""
    return galaxy.note_name_pattern(f"{stem}{dot}{ending}" if dot else stem) or ""


def _record(family: str, source: str, facts: Mapping[str, set[str]]) -> str:
    lines = [f"{kind} = {json.dumps(sorted(facts[kind]), ensure_ascii=False)}"
             for kind in ("onion", "email", "tox", "telegram", "session", "coin", "note_name") if facts.get(kind)]
    head = ["", "[[facts]]", f"family = {json.dumps(family, ensure_ascii=False)}", f'source = "{source}"']
    return "\n".join([*head, *lines]) + "\n"


def _quoted(known: Families) -> Iterator[wording.Note]:
    for name, text in galaxy.quoted_notes():
        if len(text) >= _SHORTEST and known.named(name):
            yield wording.Note(name, galaxy.SOURCE, text)


def _new(quoted: Sequence[wording.Note], learnt: Sequence[wording.Note]) -> list[wording.Note]:
    """Those of the galaxy's notes that the folder does not hold already."""
    index = wording.learn(learnt)
    return [note for note in quoted
            if not any(row.fit >= _SAME for row in index.compare(wording.hashes(note.text)[0])[:1])]


def _keys(family: str, known: Families) -> frozenset[str]:
    ids = known.named(family)
    return frozenset({key_of(family), *(key for one in ids for key in known.name_keys(one))})
