"""How known notes are worded, as hashes: enough to recognise a wording, not to read it.

A note's wording is the set of hashes of all runs of six letters of its text, addresses and long numbers
left out, spaces and signs ignored; so it survives other line ends, another form of document and most
scanning errors. Beside it stand the hashes of its words and pairs of words: a note that was written anew
by the same hand shares no long runs, but ways of speaking. `Wordings` holds those sets for many notes,
one index for runs, one for words. Columns of the file (data/wordings.npz, arrays only, never pickled):

gram    uint32, sorted: every hash of a run that occurs
start   uint32, one longer than gram: where the hash's notes begin in `note`
note    uint16: numbers of the notes that hold the hash, hash after hash
word, word_start, word_note   the same for words and pairs of words
family  name of each note's family as the source writes it
source  each note's source, a name in SOURCES.toml
named   1 where the note's text holds a name of its family of four letters or more
ways    by which kinds of address the note is answered, as a sum: onion 1, email 2, tox 4, telegram 8, session 16
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from hikeshi.errors import KnowledgeError, Location
from hikeshi.knowledge.addresses import find_addresses
from hikeshi.knowledge.load import DATA, MAX_BYTES

FILE = DATA / "wordings.npz"
WAYS = {"onion": 1, "email": 2, "tox": 4, "telegram": 8, "session": 16}
RUN = 6  # letters in a run
LONGEST = 64 * 1024  # signs of a text that are looked at

_LEFT_OUT = re.compile(
    r"[^\s<>\"']{0,200}(?:@|\.onion|https?:|www\.|\d{4})[^\s<>\"']{0,200}|(?<![a-z0-9])[a-z0-9]{20,300}(?![a-z0-9])",
    re.I | re.A,
)

_WORD = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")

Hashes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Note:
    """One note to learn from: the family as its source names it, the readable text."""

    family: str
    source: str
    text: str


def bare(text: str) -> str:
    """The text with addresses and long numbers blanked, every sign at its place."""
    return _LEFT_OUT.sub(lambda found: " " * len(found[0]), text[:LONGEST])


def hashes(text: str) -> tuple[Hashes, Places]:
    """The hash of every run of letters in the order of the text, and where in the text each begins."""
    signs = np.array([ord(sign) for sign in bare(text)], dtype=np.uint64)
    places = np.flatnonzero(np.fromiter((sign.isalpha() for sign in bare(text)), bool, len(signs)))
    # Upper and lower case are one; a sign whose lower case is two signs stays as it is.
    letters = np.array([ord(low) if len(low := chr(int(sign)).lower()) == 1 else int(sign) for sign in signs[places]],
                       dtype=np.uint64)
    count = len(letters) - RUN + 1
    if count <= 0:
        return np.empty(0, np.uint32), np.empty(0, np.int64)
    mixed = np.zeros(count, dtype=np.uint64)
    with np.errstate(over="ignore"):
        for step in range(RUN):
            mixed = mixed * np.uint64(1_000_003) + letters[step:count + step]
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
    return (mixed & np.uint64(0xFFFFFFFF)).astype(np.uint32), places[:count]


def word_hashes(text: str) -> Hashes:
    """The hash of every word and of every two words that follow each other, in no order, some more than once."""
    words = _LETTERS.findall(bare(text).lower())
    pairs = map(" ".join, pairwise(words))
    return np.fromiter((zlib.crc32(one.encode("utf-8", "surrogatepass")) for one in chain(words, pairs)), np.uint32)


@dataclass(frozen=True, slots=True)
class Shared:
    """How a text compares with one known note: the weight they share as part of the text's and of the note's."""

    note: int
    of_text: float
    of_note: float

    @property
    def likeness(self) -> float:
        """0 to 1: the cosine of the two."""
        return math.sqrt(self.of_text * self.of_note)

    @property
    def fit(self) -> float:
        """0 to 1. A text that is all in a note but shorter was cut or shortened: nearly as good."""
        both = 2 * self.of_text * self.of_note / (self.of_text + self.of_note) if self.of_text else 0.0
        return max(both, 0.85 * self.of_text if self.of_note >= 0.3 else 0.0)


class Index:
    """Hashes and the notes that hold them. One that few notes hold weighs more: the logarithm of how many of all
    notes lack it."""

    def __init__(self, gram: Hashes, start: npt.NDArray[np.uint32], note: npt.NDArray[np.uint16], notes: int) -> None:
        self.gram, self.start, self.note = gram, start.astype(np.int64), note
        self._weight = np.log((notes + 1) / (np.diff(self.start) + 0.5))
        self._unseen = float(np.log((notes + 1) / 0.5))
        per_gram = np.repeat(self._weight, np.diff(self.start))
        self._mass = np.bincount(note, weights=per_gram, minlength=notes) if notes else np.zeros(0)

    def compare(self, found: Hashes, *, skip: Collection[int] = ()) -> list[Shared]:
        """Every known note that shares a hash with these, best fit first; `skip`: notes to leave out."""
        wanted = np.unique(found)
        if not len(wanted) or not len(self.gram):
            return []
        at = np.minimum(np.searchsorted(self.gram, wanted), len(self.gram) - 1)
        at = at[self.gram[at] == wanted]
        counts = self.start[at + 1] - self.start[at]
        total = float(self._weight[at].sum()) + self._unseen * (len(wanted) - len(at))
        if not len(at):
            return []
        ends = np.cumsum(counts)
        inner = np.arange(ends[-1]) - np.repeat(ends - counts, counts) + np.repeat(self.start[at], counts)
        shared = np.bincount(self.note[inner], weights=np.repeat(self._weight[at], counts), minlength=len(self._mass))
        left_out = set(skip)
        rows = [Shared(int(note), float(shared[note]) / total, float(shared[note] / self._mass[note]))
                for note in np.flatnonzero(shared) if int(note) not in left_out]
        return sorted(rows, key=lambda row: (-row.fit, row.note))

    def of(self, note: int) -> Hashes:
        """The hashes of one note, sorted."""
        mine: Hashes = self.gram[self._owner[self.note == note]]
        return mine

    @cached_property
    def _owner(self) -> npt.NDArray[np.uint32]:
        return np.repeat(np.arange(len(self.gram), dtype=np.uint32), np.diff(self.start))


class Wordings:
    """The notes with their two indexes; a note's number is its place in both."""

    def __init__(self, runs: Index, words: Index, family: Sequence[str], source: Sequence[str],
                 named: Sequence[bool], ways: Sequence[int]) -> None:
        self.family, self.source, self.named, self.ways = tuple(family), tuple(source), tuple(named), tuple(ways)
        self.runs, self.words = runs, words

    def __len__(self) -> int:
        return len(self.family)

    def compare(self, found: Hashes, *, skip: Collection[int] = ()) -> list[Shared]:
        """Every known note that shares a run with these hashes, best fit first; `skip`: notes to leave out."""
        return self.runs.compare(found, skip=skip)


def learn(notes: Iterable[Note], *, names: Mapping[str, Collection[str]] | None = None) -> Wordings:
    """An index of these notes. `names`: the keys of each family's names (letters and digits)."""
    kept: list[Note] = []
    runs: list[Hashes] = []
    words: list[Hashes] = []
    named: list[bool] = []
    for note in notes:
        mine = np.unique(hashes(note.text)[0])
        if not len(mine):
            continue
        runs.append(mine)
        words.append(np.unique(word_hashes(note.text)))
        kept.append(note)
        named.append(holds_name(note.text, [one for one in (names or {}).get(note.family, ()) if len(one) >= 4]))
    return Wordings(_index(runs), _index(words), [one.family for one in kept], [one.source for one in kept], named,
                    [ways_of(one.text) for one in kept])


def ways_of(text: str) -> int:
    """By which kinds of address the writer wants to be reached, as a sum of WAYS."""
    return sum(WAYS[kind] for kind in {address.kind for address in find_addresses(text)} if kind in WAYS)


def holds_name(text: str, names: Collection[str]) -> bool:
    """Does the text, addresses aside, hold one of these names (letters and digits, four or more) as words?"""
    words = _WORD.findall(bare(text).lower())
    for most in (1, 2, 3):  # "Black Basta" is one name
        if any("".join(words[at:at + most]) in names for at in range(len(words)) if len(words[at]) < 30):
            return True
    return False


def joined(parts: Sequence[Wordings]) -> Wordings:
    """Several indexes as one, the notes in this order."""
    notes = sum(map(len, parts))

    def one(indexes: Sequence[Index]) -> Index:
        grams, owners, offset = [np.empty(0, np.uint32)], [np.empty(0, np.uint16)], 0
        for part, index in zip(parts, indexes, strict=True):
            grams.append(np.repeat(index.gram, np.diff(index.start)))
            owners.append((index.note + offset).astype(np.uint16))
            offset += len(part)
        return Index(*_sorted(np.concatenate(grams), np.concatenate(owners)), notes)

    return Wordings(one([part.runs for part in parts]), one([part.words for part in parts]),
                    [name for part in parts for name in part.family],
                    [name for part in parts for name in part.source], [is_so for part in parts for is_so in part.named],
                    [way for part in parts for way in part.ways])


def _index(grams: Sequence[Hashes]) -> Index:
    """Of each note's hashes, in the order of the notes."""
    owners = [np.full(len(mine), number, np.uint16) for number, mine in enumerate(grams)]
    return Index(*_sorted(np.concatenate([np.empty(0, np.uint32), *grams]),
                          np.concatenate([np.empty(0, np.uint16), *owners])), len(grams))


def _sorted(grams: Hashes, owners: npt.NDArray[np.uint16]) -> tuple[Hashes, npt.NDArray[np.uint32],
                                                                  npt.NDArray[np.uint16]]:
    order = np.lexsort((owners, grams))
    grams, owners = grams[order], owners[order]
    gram, first = np.unique(grams, return_index=True)
    return gram, np.append(first, len(grams)).astype(np.uint32), owners


def save(path: Path | IO[bytes], wordings: Wordings, *, packed: bool = True) -> None:
    """Write the index. The same notes give the same bytes: arrays only, no date; not `packed`, also with
    another version of the compressor."""
    arrays: dict[str, npt.NDArray[Any]] = {
              "gram": wordings.runs.gram, "start": wordings.runs.start.astype(np.uint32), "note": wordings.runs.note,
              "word": wordings.words.gram, "word_start": wordings.words.start.astype(np.uint32),
              "word_note": wordings.words.note,
              "family": np.array(wordings.family, dtype=np.str_), "source": np.array(wordings.source, dtype=np.str_),
              "named": np.array(wordings.named, dtype=np.uint8), "ways": np.array(wordings.ways, dtype=np.uint8)}
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method, compresslevel=9) as archive:
        for name, array in arrays.items():
            held = io.BytesIO()
            np.lib.format.write_array(held, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # the same on every system
            archive.writestr(entry, held.getvalue(), method, 9)


def load(path: Path = FILE) -> Wordings:
    """Read an index, checked. Raises KnowledgeError."""
    where = Location(str(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise KnowledgeError("the file of wordings is far too large", source=where)
        with path.open("rb") as file:
            return read(file, where)
    except OSError as error:
        raise KnowledgeError("the wordings of known notes can't be read", source=where, hint=_ANEW) from error


_ANEW = "install hikeshi again, or make the file anew from a pack of notes"
_ARRAYS = ("gram", "start", "note", "word", "word_start", "word_note", "family", "source", "named", "ways")


def read(file: IO[bytes], where: Location) -> Wordings:
    """The same from an open file; `where` is for messages."""
    try:
        _check_sizes(file)
        with np.load(file, allow_pickle=False) as held:
            found = {name: held[name] for name in _ARRAYS}
        if any(found[name].ndim != 1 for name in _ARRAYS):
            raise ValueError("not rows")
    except (OSError, ValueError, KeyError, EOFError, TypeError, SyntaxError, RuntimeError, NotImplementedError,
            zipfile.BadZipFile, zlib.error) as error:
        raise KnowledgeError("the wordings of known notes can't be read", source=where, hint=_ANEW) from error
    notes = len(found["family"])
    indexes = [(found[gram], found[start], found[note])
               for gram, start, note in (("gram", "start", "note"), ("word", "word_start", "word_note"))]
    sound = (all(_is_sound(*arrays, notes) for arrays in indexes)
             and len(found["source"]) == len(found["named"]) == len(found["ways"]) == notes)
    if not sound:
        raise KnowledgeError("the wordings of known notes are damaged", source=where, hint=_ANEW)
    runs, words = (Index(*arrays, notes) for arrays in indexes)
    return Wordings(runs, words, [str(name) for name in found["family"]],
                    [str(name) for name in found["source"]], [bool(one) for one in found["named"]],
                    [int(one) for one in found["ways"]])


def _is_sound(gram: npt.NDArray[Any], start: npt.NDArray[Any], note: npt.NDArray[Any], notes: int) -> bool:
    return (gram.dtype == np.uint32 and start.dtype == np.uint32 and note.dtype == np.uint16
            and len(start) == len(gram) + 1 and int(start[0]) == 0 and int(start[-1]) == len(note)
            and bool(np.all(np.diff(start.astype(np.int64)) > 0)) and bool(np.all(np.diff(gram.astype(np.int64)) > 0))
            and (not len(note) or int(note.max()) < notes))


def _check_sizes(file: IO[bytes]) -> None:
    """Each array as large as its header says, before numpy makes room for it; all together within bounds."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if len(entries) > len(_ARRAYS) or sum(entry.file_size for entry in entries) > 4 * MAX_BYTES:
            raise ValueError("more than an index holds")
        for entry in entries:
            with archive.open(entry) as member:
                np.lib.format.read_magic(member)
                shape, _, kind = np.lib.format.read_array_header_1_0(member)
                if kind.hasobject or member.tell() + math.prod(shape) * kind.itemsize != entry.file_size:
                    raise ValueError("an array of another size than it says")
    file.seek(0)
