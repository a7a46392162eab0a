"""How well are notes identified that were not learnt from? Cross-validation over a labelled folder of notes.

    PYTHONPATH=src .venv/bin/python bench/identify/cross.py NOTES_DIR [--synonyms FILE] [--forms clean,ocr3,…]

Two protocols, each over every form of the notes (clean, html, rtf, utf16, ocr3, redacted, first40):

note   the asked note is left out with all its twins (the same text from another source); other notes of its family
       stay. Counted for families with at least two notes: "how well is a further note of a known family recognised?"
group  every note of the family and of its rebrands (the labels' aliases, joined transitively) is left out. What is
       named then is either known from the installed packages (right) or a false name (wrong).

Facts (addresses, note file names) and wordings of what is left out are invisible; forms of one note never help each
other, because only clean notes are learnt from. Twins quoted in the installed galaxy package are left out as well.
"""

from __future__ import annotations

import argparse
import collections
import html
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from hikeshi.identify import Input, examine_input
from hikeshi.identify.learn import LabelledNote, note_name, read_pack
from hikeshi.knowledge import galaxy, wording
from hikeshi.knowledge.addresses import find_addresses
from hikeshi.knowledge.families import FACT_KINDS, Fact, Families, Family, SimilarNote, compact
from hikeshi.knowledge.galaxy import key_of

TWIN = 0.85  # fit from which another source's note is the same note


class Hidden(Families):
    """What we know without observed.toml, plus the facts and wordings of the notes that are not hidden."""

    def __init__(self, notes: list[LabelledNote]) -> None:
        super().__init__(compact(galaxy.families(), []))
        self.hidden: frozenset[int] = frozenset()
        self._hidden_rows: frozenset[int] = frozenset()
        self._own: dict[str, dict[str, list[tuple[int, Fact]]]] = {
            kind: collections.defaultdict(list) for kind in FACT_KINDS}
        self.family_of = [self._family_for(note.family) for note in notes]
        for number, (note, family) in enumerate(zip(notes, self.family_of, strict=True)):
            for address in find_addresses(note.text):
                if address.kind != "onion" or not self.is_public_site(address.value):
                    self._own[address.kind][address.value].append((number, Fact(family, note.source)))
            if name := note_name(note.file_name):
                self._own["note_name"][name].append((number, Fact(family, note.source)))
        learnt = [wording.Note(note.family, note.source, note.text) for note in notes]
        quoted = [wording.Note(name, galaxy.SOURCE, text) for name, text in galaxy.quoted_notes()
                  if len(text) >= 150 and self.named(name) and len(wording.hashes(text)[0])]
        names = {note.family: {key_of(note.family), *(key for one in self.named(note.family)
                                                     for key in self.name_keys(one))} for note in [*learnt, *quoted]}
        # One row a note, also for a text without letters: rows and notes must keep the same numbers.
        filled = [note if len(wording.hashes(note.text)[0]) else wording.Note(note.family, note.source, "no words")
                  for note in learnt]
        self._wordings = wording.joined([wording.learn(filled, names=names), wording.learn(quoted, names=names)])
        self._note_family = [*self.family_of, *(self.named(note.family)[0] for note in quoted)]
        self.twins = [frozenset(row.note for row in self._wordings.compare(wording.hashes(note.text)[0])
                                if row.fit >= TWIN and row.note >= len(notes)
                                and self._note_family[row.note] == family)
                      for note, family in zip(notes, self.family_of, strict=True)]

    def _family_for(self, name: str) -> str:
        ids = self.named(name)
        if not ids:
            one = key_of(name)
            self.by_id[one] = Family(one, name, (name,), (), (), ())
            self._names[one] = ids = (one,)
        return ids[0]

    def hide(self, numbers: Iterable[int]) -> None:
        self.hidden = frozenset(numbers)
        self._hidden_rows = self.hidden.union(*(self.twins[number] for number in self.hidden))

    def facts(self, kind: str, value: str) -> tuple[Fact, ...]:
        own = (fact for number, fact in self._own[kind].get(value, ()) if number not in self.hidden)
        return tuple(dict.fromkeys((*super().facts(kind, value), *own)))

    def values(self, kind: str) -> Iterable[str]:
        return dict.fromkeys((*super().values(kind), *self._own[kind]))

    def note_name(self, name: str) -> tuple[Fact, ...]:
        own = (fact for number, fact in self._own["note_name"].get(name.lower(), ()) if number not in self.hidden)
        return tuple(dict.fromkeys((*super().note_name(name), *own)))

    def similar_notes(self, found: wording.Hashes) -> Iterator[SimilarNote]:
        return self._similar(self._wordings.compare(found, skip=self._hidden_rows))

    def notes_of_like_words(self, found: wording.Hashes) -> Iterator[SimilarNote]:
        rows = self._wordings.words.compare(found, skip=self._hidden_rows)
        return self._similar(sorted(rows, key=lambda row: (-row.likeness, row.note)), by_likeness=True)


def scanned(text: str, seed: int) -> str:
    """Three signs of a hundred misread, lost or followed by a stray blank."""
    chance = random.Random(seed)
    like = dict(zip("o0l1ianmsbtu", "0o1llomm56fv", strict=True))
    out = []
    for sign in text:
        if not sign.isspace() and chance.random() < 0.03:
            what = chance.random()
            sign = (like.get(sign.lower(), chance.choice("abcdefghijklmnopqrstuvwxyz")) if what < 0.6
                    else "" if what < 0.8 else sign + " ")
        out.append(sign)
    return "".join(out)


def redacted(text: str) -> str:
    for found in sorted(find_addresses(text), key=lambda one: -one.start):
        text = text[:found.start] + ("x" * 16 + ".onion" if found.kind == "onion" else "[redacted]") + text[found.end:]
    return text


def rich(text: str) -> str:
    signs = ("\\par\n" if c == "\n" else f"\\{c}" if c in "\\{}" else c if c.isascii()
             else f"\\u{ord(c) if ord(c) < 32768 else ord(c) - 65536}?" for c in text if ord(c) < 65536)
    return "{\\rtf1\\ansi " + "".join(signs) + "}"


FORMS: dict[str, Callable[[str, int], bytes]] = {
    "clean": lambda text, _: text.encode(),
    "html": lambda text, _: ("<html><body>" + "".join(f"<p>{html.escape(line)}</p>\n" for line in text.splitlines())
                             + "</body></html>").encode(),
    "rtf": lambda text, _: rich(text).encode(),
    "utf16": lambda text, _: text.encode("utf-16-le"),
    "ocr3": lambda text, seed: scanned(text, seed).encode(),
    "redacted": lambda text, _: redacted(text).encode(),
    "first40": lambda text, _: text[:max(200, len(text) * 2 // 5)].encode(),
}


def groups_of(labels: list[dict[str, str]]) -> list[str]:
    """The rebrand group of every note: families joined by their aliases."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        parent.setdefault(name, name)
        while parent[name] != name:
            name = parent[name]
        return name

    for row in labels:
        for alias in filter(None, (row.get("aliases") or "").split(",")):
            parent[find(alias)] = find(row["family"])
    return [find(row["family"]) for row in labels]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", type=Path)
    parser.add_argument("--forms", default=",".join(FORMS))
    parser.add_argument("--show", action="store_true", help="list the false names of the clean form")
    args = parser.parse_args()
    labels = _table(args.notes / "labels.tsv")
    notes = list(read_pack(args.notes))
    if len(notes) != len(labels):
        parser.error("a labelled note is not text")
    synonyms = collections.defaultdict(set)
    if (args.notes / "synonyms.tsv").exists():
        for row in _table(args.notes / "synonyms.tsv"):
            synonyms[row["family"]].add(key_of(row["synonym"]))
    wanted = [{key for name in (row["family"], *filter(None, (row.get("aliases") or "").split(",")))
               for key in (key_of(name), *synonyms[name])} for row in labels]
    known, groups = Hidden(notes), groups_of(labels)
    sizes = collections.Counter(groups)
    print(f"{'form':9} {'protocol':9} {'notes':>5} {'right':>6} {'wrong':>6} {'unnamed':>8} {'top 3':>6} "
          f"{'precision':>10}")
    for form in args.forms.split(","):
        for protocol in ("note", "group"):
            count: collections.Counter[str] = collections.Counter()
            for number, note in enumerate(notes):
                if protocol == "note" and sizes[groups[number]] < 2:
                    continue
                known.hide({number} if protocol == "note" else
                           {other for other in range(len(notes)) if groups[other] == groups[number]})
                data = FORMS[form](note.text.replace("\v", "\n"), number)
                answer = examine_input(Input(note.file_name or "note.txt", data=data), known).answer
                right = answer.family is not None and bool(_keys(answer.family) & wanted[number])
                outcome = "right" if right else "wrong" if answer.family else "unnamed"
                count.update((outcome, "notes"))
                count["top3"] += any(_keys(one.family) & wanted[number] for one in answer.candidates[:3])
                if args.show and outcome == "wrong" and form == "clean":
                    print(f"  {labels[number]['path']}: {note.family}, named {answer.family}")
            named = count["right"] + count["wrong"]
            print(f"{form:9} {protocol:9} {count['notes']:5} {count['right'] / count['notes']:6.1%} "
                  f"{count['wrong'] / count['notes']:6.1%} {count['unnamed'] / count['notes']:8.1%} "
                  f"{count['top3'] / count['notes']:6.1%} {count['right'] / named if named else 1:10.1%}")
    return 0


def _keys(name: str) -> set[str]:
    return {key_of(name), key_of(galaxy.without_version(name))}


def _table(path: Path) -> list[dict[str, str]]:
    head, *rows = [line.split("\t") for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [dict(zip(head, row, strict=False)) for row in rows]


if __name__ == "__main__":
    raise SystemExit(main())
