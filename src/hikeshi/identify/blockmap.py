"""Which parts of a file are encrypted: a map of its blocks, and the pattern they make.

Ransomware encrypts whole files, only the head, one chunk in several, or every other few bytes. In text,
databases and disks encrypted blocks stand out by their uniform bytes. Compressed content is nearly uniform
itself; there the format is asked instead: a zip or PDF stream that inflates, a PNG part whose checksum is
right, a JPEG scan that keeps the rule for the byte FF are intact, whatever their bytes look like.

Letters of the map, one for each block of 4 KiB:

E   uniform bytes, and no format vouches for them: encrypted, or compressed by something unknown
C   dense, and vouched for by its format: intact
P   structured bytes: intact
0   zeros: intact
?   behind a damaged place of a compressed stream: can't be told
"""

from __future__ import annotations

import mmap
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hikeshi.errors import InputError, Location

BLOCK = 4096
MOST = 64 << 20  # bytes of a file that are mapped; of a longer one the beginning, and its end

# 255 degrees of freedom: mean 255, deviation 22.6. What is far more even than chance comes from a counter.
_UNIFORM, _TOO_EVEN = 340.0, 150.0
_FINE_PERIODS = (32, 64, 128, 256, 512, 1024, 2048)
_SLOTS = 8
_FINE_BYTES = 64 * 1024
_LONGEST_STEP, _MEBIBYTE = 2048, 256  # blocks
_AGREED = 0.93
# With blocks in doubt: how many are surely encrypted, and steps of whole 16 KiB, as programs choose them.
_AGREED_IN_DOUBT, _FEWEST, _ROUND = 0.95, 6, 4
_MEMBERS = 20_000
_LOCAL = re.compile(rb"PK\x03\x04", re.S)
_STREAM = re.compile(rb"stream\r?\n", re.S)
_PNG_PART = re.compile(rb"[\0-\xff]{4}(?:IHDR|IDAT|PLTE|tEXt|zTXt|iCCP|pHYs|gAMA|IEND)", re.S)
# After FF a JPEG scan holds 00 or a restart mark; outside of scans other marks may follow.
_AFTER_FF = np.zeros(256, dtype=bool)
_AFTER_FF[[0x00, *range(0xC0, 0xE0), 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xFF]] = True

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class BlockMap:
    """`letters`: the map; `pattern`: untouched, full, head, tail, chunked, intermittent, fine or unknown.

    `encrypted` and `mapped` are bytes. For chunked, `chunk` and `skip` are the usual bytes encrypted and
    left; for head, `chunk` is its length; for fine, `chunk` is the period in which bytes are left out.
    """

    letters: str
    pattern: str
    mapped: int
    size: int
    encrypted: int
    chunk: int = 0
    skip: int = 0

    def row(self, width: int = 64) -> str:
        """The map in at most `width` letters: E wins over the others of its part."""
        if len(self.letters) <= width:
            return self.letters
        edges = [round(at * len(self.letters) / width) for at in range(width + 1)]
        return "".join(_strongest(self.letters[a:b]) for a, b in pairwise(edges))


def map_file(path: Path, name: str) -> BlockMap:
    """The map of one file. Reads at most 64 MiB through a mapping. Raises InputError."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size == 0:
                return BlockMap("", "unknown", 0, 0, 0)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return map_bytes(data[:MOST] if size <= MOST else data[: MOST - (1 << 20)] + data[-(1 << 20) :], size)
    except (OSError, ValueError) as error:
        raise InputError(f"the file can't be read: {error}", source=Location(name),
                         hint="check that it still exists and may be read") from error


def map_bytes(data: bytes, size: int | None = None) -> BlockMap:
    """The same for bytes in memory."""
    if not data:
        return BlockMap("", "unknown", 0, size or 0, 0)
    plain = _letters(data)
    letters = _vouched(data, plain)
    pattern, chunk, skip = pattern_of(letters)
    if pattern == "intermittent" and (orphans := _orphans(data, letters)):
        encrypted, period = _period(letters, orphans)
        if period:
            pattern, chunk, skip = "chunked", encrypted * BLOCK, (period - encrypted) * BLOCK
            letters = _without_orphans(letters, orphans, encrypted, period)
    encrypted = 0 if pattern == "untouched" else letters.count("E") * BLOCK
    if pattern == "untouched" and (period := fine_period(data, letters)):
        pattern, chunk, encrypted = "fine", period, len(data) // 2
    return BlockMap(letters, pattern, len(data), size or len(data), min(encrypted, len(data)), chunk, skip)


def pattern_of(letters: str) -> tuple[str, int, int]:
    """(pattern, chunk, skip) of a map; lengths in bytes."""
    known = letters.replace("?", "")
    if not known:
        return "unknown", 0, 0
    if "E" not in known:
        return "untouched", 0, 0
    runs = _without_flukes([(is_bad, sum(1 for _ in run)) for is_bad, run in groupby(known, key="E".__eq__)])
    bad, good = sum(n for is_bad, n in runs if is_bad), sum(n for is_bad, n in runs if not is_bad)
    if not bad:
        return "untouched", 0, 0
    if good <= max(0.02 * (bad + good), 0) or (bad + good < 3 and good == 0):
        return "full", 0, 0
    hits = [n for is_bad, n in runs if is_bad]
    first_bad, last_bad = runs[0][0], runs[-1][0]
    # What a program appends (key, marker) is a short uniform end, and a lone uniform block may be chance.
    later = sum(hits[1:] if first_bad else hits)
    if first_bad and later <= max(2, 0.02 * (bad + good)) and max(hits[1:], default=0) <= 2:
        return "head", hits[0] * BLOCK, 0
    if last_bad and len(hits) == 1:
        return "tail", hits[0] * BLOCK, 0
    chunk, period = _period(letters)
    return ("chunked", chunk * BLOCK, (period - chunk) * BLOCK) if period else ("intermittent", 0, 0)


def _period(letters: str, orphans: frozenset[int] = frozenset()) -> tuple[int, int]:
    """(encrypted blocks, all blocks) of the step in which the map repeats, or (0, 0): folded by the right length,
    every place of the step is nearly always encrypted or nearly always not. Orphans may be either."""
    at = np.array([n for n, letter in enumerate(letters) if letter != "?" and n not in orphans], dtype=np.int64)
    hit = np.array([letters[n] == "E" for n in at], dtype=bool)
    longest = min(len(letters) // 3, _LONGEST_STEP)
    if hit.sum() < (_FEWEST if orphans else 1):
        return 0, 0
    needed = _AGREED_IN_DOUBT if orphans else _AGREED
    # Steps beyond 8 MiB are whole mebibytes; two rounds of one must do.
    whole = range(_LONGEST_STEP + _MEBIBYTE, len(letters) // 2 + 1, _MEBIBYTE)
    for period in (*(range(_ROUND, longest + 1, _ROUND) if orphans else range(2, longest + 1)), *whole):
        if _folded(at, hit, period, bool(orphans))[0] < needed:
            continue
        # A step a little too short agrees as well where it is seen few times: the best near it is meant.
        near = range(period, min(period + period // 16, longest) + 1, _ROUND if orphans else 1) or (period,)
        best = max(near, key=lambda one: (_folded(at, hit, one, bool(orphans))[0], -one))
        return _folded(at, hit, best, bool(orphans))[1], best
    return 0, 0


def _folded(at: npt.NDArray[np.int64], hit: npt.NDArray[np.bool_], period: int, in_doubt: bool) -> tuple[float, int]:
    """(how well the places of the step agree, encrypted blocks of the step); (0, 0) where it is not one stretch."""
    phase = at % period
    seen = np.bincount(phase, minlength=period)
    share = np.bincount(phase, weights=hit, minlength=period) / np.maximum(seen, 1)
    agreed = float((np.maximum(share, 1 - share) * seen).sum() / len(at))
    # What is never seen intact, and only in doubt, is encrypted.
    usual = (share >= 0.5) | ((seen == 0) & in_doubt)
    # One stretch of the step is encrypted: going round it, the state changes twice.
    turns = int((usual != np.roll(usual, 1)).sum())
    return (agreed, int(usual.sum())) if 0 < usual.sum() < period and turns == 2 else (0.0, 0)


def _orphans(data: bytes, letters: str) -> frozenset[int]:
    """Uniform blocks of a zip that may be intact: the rest of a member whose own header is encrypted. Where the
    known members end one is surely encrypted, the header is gone; behind it nobody can tell up to the next header."""
    begins, last = [], 0
    for (start, end), (_, limit) in _zip_members(data, _Effort()):
        begins.append((last, start))
        last = max(last, end, limit)
    found: set[int] = set()
    for begin, end in begins:
        found.update(n for n in range(begin // BLOCK + 1, end // BLOCK + 1) if n < len(letters) and letters[n] == "E")
    return frozenset(found)


def _without_orphans(letters: str, orphans: frozenset[int], encrypted: int, period: int) -> str:
    """The map with orphans between the chunks as what can't be told."""
    starts = [sum(letters[n] == "E" for n in range(at, len(letters), period) if n not in orphans)
              for at in range(period)]
    first = max(range(period), key=lambda at: sum(starts[(at + n) % period] for n in range(encrypted)))
    return "".join("?" if n in orphans and (n - first) % period >= encrypted else letter
                   for n, letter in enumerate(letters))


def fine_period(data: bytes, letters: str) -> int:
    """The period in which bytes within blocks are encrypted and left, or 0. Needs 64 KiB of structured bytes."""
    wanted = [at for at, letter in enumerate(letters) if letter == "P"][: 4096]
    if len(wanted) * BLOCK < _FINE_BYTES:
        return 0
    block = np.frombuffer(data, dtype=np.uint8)
    whole = np.concatenate([block[at * BLOCK : (at + 1) * BLOCK] for at in wanted if (at + 1) * BLOCK <= len(data)])
    for period in _FINE_PERIODS:
        rows = whole[: len(whole) // period * period].reshape(-1, _SLOTS, period // _SLOTS)
        uniform = [_is_uniform(rows[:, slot].ravel()[: 1 << 16]) for slot in range(_SLOTS)]
        if 0 < sum(uniform) < _SLOTS:
            return period
    return 0


def _is_uniform(values: npt.NDArray[np.uint8]) -> bool:
    if len(values) < 2048:
        return False
    expected = len(values) / 256
    counts = np.bincount(values, minlength=256)
    return bool(((counts - expected) ** 2).sum() / expected < _UNIFORM)


def _letters(data: bytes) -> str:
    """Each block by its bytes alone. A rest under 256 bytes is left out."""
    values = np.frombuffer(data, dtype=np.uint8)
    letters = []
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        if len(block) < 256:
            break
        counts = np.bincount(block, minlength=256)
        expected = len(block) / 256
        chi = float(((counts - expected) ** 2).sum() / expected)
        letters.append("E" if _TOO_EVEN < chi < _UNIFORM else "0" if counts[0] > 0.95 * len(block) else "P")
    return "".join(letters)


def _vouched(data: bytes, letters: str) -> str:
    """The map after formats were asked about its uniform blocks."""
    if "E" not in letters:
        return letters
    effort = _Effort()
    intact: list[Range] = []
    unclear: list[Range] = []
    for good, behind in (*_zip_members(data, effort), *_pdf_streams(data, effort)):
        intact.append(good)
        unclear.append(behind)
    intact += _png_parts(data)
    covered = _share(intact, len(letters), len(data))
    hidden = _share(unclear, len(letters), len(data))
    out = list(letters)
    for at, letter in enumerate(letters):
        if letter != "E":
            continue
        if covered[at] >= 0.75:
            out[at] = "C"
        elif hidden[at] >= 0.5:
            out[at] = "?"
    if _is_jpeg_like(data, letters):
        for at, letter in enumerate(out):
            if letter == "E" and _keeps_ff_rule(data[at * BLOCK : (at + 1) * BLOCK + 1]):
                out[at] = "C"
    return "".join(out)


def _zip_members(data: bytes, effort: _Effort) -> Iterator[tuple[Range, Range]]:
    """(bytes that inflate, bytes behind the first that do not) of every member whose header still stands."""
    for count, found in enumerate(_LOCAL.finditer(data)):
        if count >= _MEMBERS:
            return
        at = found.start()
        head = data[at : at + 30]
        if len(head) < 30:
            continue
        flags, method = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
        crc, packed = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
        begin = at + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        if begin > len(data):
            continue
        following = _LOCAL.search(data, begin)
        limit = begin + packed if packed and not flags & 8 else following.start() if following else len(data)
        limit = min(limit, len(data))
        if method == 8:
            end = effort.inflated_to(data, begin, limit, -15)
            yield (at, end), (end + BLOCK, limit)
        elif method == 0 and packed and effort.left_in > 0:
            effort.left_in -= limit - begin
            if zlib.crc32(data[begin:limit]) != crc:
                continue
            yield (at, limit), (limit, limit)


def _pdf_streams(data: bytes, effort: _Effort) -> Iterator[tuple[Range, Range]]:
    if not (data.startswith(b"%PDF") or b"endstream" in data):
        return
    for count, found in enumerate(_STREAM.finditer(data)):
        if count >= _MEMBERS:
            return
        begin = found.end()
        close = data.find(b"endstream", begin)
        limit = close if close >= 0 else len(data)
        if data[begin : begin + 2] in (b"\x78\x9c", b"\x78\xda", b"\x78\x01", b"\x78\x5e", b"H\x89"):
            end = effort.inflated_to(data, begin, limit, 15)
            yield (begin, end), (end + BLOCK, limit)


@dataclass
class _Effort:
    """How many bytes may still go in and come out while a file is asked: bombs and nested headers end here."""

    left_in: int = 2 * MOST
    left_out: int = 8 * MOST

    def inflated_to(self, data: bytes, begin: int, limit: int, bits: int) -> int:
        """How far a stream inflates without a fault, to within half a block."""
        work, at = zlib.decompressobj(bits), begin
        while at < limit and not work.eof and self.left_in > 0 and self.left_out > 0:
            piece = data[at : min(at + 1024, limit)]
            self.left_in -= len(piece)
            try:
                while piece and self.left_out > 0:
                    self.left_out -= len(work.decompress(piece, 1 << 18))
                    piece = work.unconsumed_tail
            except zlib.error:
                return max(begin, at - 1024)
            at += 1024
        return min(at, limit)


def _png_parts(data: bytes) -> list[Range]:
    found = []
    for count, part in enumerate(_PNG_PART.finditer(data)):
        if count >= _MEMBERS:
            break
        at = part.start()
        length = int.from_bytes(data[at : at + 4], "big")
        end = at + 12 + length
        if end <= len(data) and zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big"):
            found.append((at, end))
    return found


def _is_jpeg_like(data: bytes, letters: str) -> bool:
    """Most dense blocks of a JPEG keep the rule for FF; hardly one of random bytes does."""
    dense = [at for at, letter in enumerate(letters) if letter == "E"][:: max(1, len(letters) // 200)]
    kept = sum(_keeps_ff_rule(data[at * BLOCK : (at + 1) * BLOCK + 1]) for at in dense)
    return data.startswith(b"\xff\xd8\xff") or kept >= max(2, len(dense) * 0.1)


def _keeps_ff_rule(block: bytes) -> bool:
    values = np.frombuffer(block, dtype=np.uint8)
    marks = np.flatnonzero(values[:-1] == 0xFF)
    return bool(_AFTER_FF[values[marks + 1]].all()) if len(marks) else False


def _share(ranges: Sequence[Range], blocks: int, size: int) -> npt.NDArray[np.float64]:
    """How much of each block the ranges cover, 0 to 1; overlaps count once."""
    covered = np.zeros(blocks, dtype=np.float64)
    last = 0
    for begin, end in sorted(one for one in ranges if one[1] > one[0]):
        begin = max(begin, last)
        last = max(last, end)
        first, final = begin // BLOCK, min((end - 1) // BLOCK, blocks - 1)
        for at in range(first, final + 1):
            covered[at] += max(0, min(end, (at + 1) * BLOCK) - max(begin, at * BLOCK))
    lengths = np.full(blocks, BLOCK, dtype=np.float64)
    lengths[-1:] = min(BLOCK, size - (blocks - 1) * BLOCK)
    share: npt.NDArray[np.float64] = covered / lengths
    return share


def _without_flukes(runs: list[tuple[bool, int]]) -> list[tuple[bool, int]]:
    """In a long map a lone block now and then looks uniform, or not, by chance."""
    total = sum(n for _, n in runs)
    hits = sum(n for is_bad, n in runs if is_bad)
    if total < 100 or min(hits, total - hits) > total * 0.01:
        return runs
    rare = hits < total - hits
    merged: list[tuple[bool, int]] = []
    for is_bad, n in runs:
        kept = (not is_bad) if is_bad == rare and n <= 1 else is_bad
        if merged and merged[-1][0] == kept:
            merged[-1] = (kept, merged[-1][1] + n)
        else:
            merged.append((kept, n))
    return merged


def _strongest(part: str) -> str:
    return next((letter for letter in "EC?P0" if letter in part), "?")
