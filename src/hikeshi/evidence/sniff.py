"""What the bytes are, whatever the name says.

Decided on the content alone: magic numbers, then whether it reads as text. Holes and zeros are
passed over without being read where the system can tell (SEEK_DATA), else by samples.
"""

from __future__ import annotations

import errno
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from hikeshi.evidence.text import EncodingDetector

_HEAD = 64 * 1024
_SEARCHED_FOR_ENCODING = 64 * 2**20
_SAMPLES = 64
_EVTX_CHUNK = b"ElfChnk\0"
_CONTROL = bytes(range(9)) + bytes(range(14, 27)) + b"\x1c\x1d\x1e\x1f\x7f"
_RUN_OF_NULS = re.compile(rb"\0{8,}")
_EVTX_CHUNK_SIZE, _EVTX_HEADER_SIZE = 65536, 4096

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"ElfFile\0", "evtx"), (_EVTX_CHUNK, "evtx"),
    (b"%PDF-", "pdf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "office"), (b"{\\rtf", "office"),
    (b"\x89PNG\r\n\x1a\n", "image"), (b"\xff\xd8\xff", "image"), (b"GIF87a", "image"), (b"GIF89a", "image"),
    (b"II*\0", "image"), (b"MM\0*", "image"), (b"\0\0\1\0", "image"),
    (b"\x7fELF", "executable"), (b"\xcf\xfa\xed\xfe", "executable"), (b"\xce\xfa\xed\xfe", "executable"),
    (b"\xca\xfe\xba\xbe", "executable"),
    (b"SQLite format 3\0", "database"), (b"regf", "database"),
)
_CONTAINERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\3\4", "zip"), (b"PK\5\6", "zip"), (b"PK\7\x08PK\3\4", "zip"),
    (b"\x1f\x8b\x08", "gzip"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"\xfd7zXZ\0", "xz"),
    (b"Rar!\x1a\x07", "rar"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"MSCF\0\0\0\0", "cab"),
)
OPENED = ("zip", "gzip", "7z", "bzip2", "xz", "zstd", "tar")


@dataclass(frozen=True, slots=True)
class Sniffed:
    """`kind` and `encoding` as in Source; `container` names the format of an archive."""

    kind: str
    encoding: str | None = None
    container: str | None = None
    problems: tuple[str, ...] = ()


def sniff(path: Path, seen: EncodingDetector | None = None) -> Sniffed:
    """What the file is. Reads its beginning, and for text up to 64 MiB to find the encoding:
    not even that if `seen` has been fed the whole file already."""
    size = path.stat().st_size
    if not size:
        return Sniffed("empty")
    with open(path, "rb", buffering=0) as stream:
        head = stream.read(_HEAD)
        if not head.strip(b"\0"):
            return _after_zeros(stream.fileno(), size, len(head), seen)
        known = _by_magic(head, size) or _by_place(stream.fileno(), size)
        if known is None and _is_utmp(head, size):
            known = Sniffed("wtmp")
        if known is not None:
            return known
        if not looks_like_text(head):
            return Sniffed("binary")
        if seen is None:
            seen = EncodingDetector()
            seen.feed(head)
            while seen.size < _SEARCHED_FOR_ENCODING and (chunk := stream.read(2**20)):
                seen.feed(chunk)
    return Sniffed("text", seen.result())


def _by_magic(head: bytes, size: int) -> Sniffed | None:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return Sniffed(kind)
    if head.startswith(b"MZ") and _is_executable(head, size):
        return Sniffed("executable")
    if head[4:8] == b"\xef\xcd\xab\x89":  # Extensible Storage Engine
        return Sniffed("database")
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Sniffed("image")
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0" and len(head) >= 26:
        return Sniffed("image")
    if b"%PDF-" in head[:1024] and not looks_like_text(head[:head.find(b"%PDF-")]):
        return Sniffed("pdf")
    return _container(head)


def _container(head: bytes) -> Sniffed | None:
    for magic, name in _CONTAINERS:
        if head.startswith(magic):
            return Sniffed("office") if name == "zip" and _is_document(head) else Sniffed("archive", container=name)
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return Sniffed("archive", container="bzip2")
    if head[257:263] in (b"ustar\0", b"ustar ") or _is_old_tar(head):
        return Sniffed("archive", container="tar")
    if head[2:5] == b"-lh" and head[6:7] == b"-":
        return Sniffed("archive", container="lha")
    return None


def _by_place(fd: int, size: int) -> Sniffed | None:
    """What only shows further in: event chunks behind a damaged header, CD images."""
    for number in range(9):
        if _read_at(fd, _EVTX_HEADER_SIZE + number * _EVTX_CHUNK_SIZE, 8) == _EVTX_CHUNK:
            return Sniffed("evtx", problems=("the event log's file header is damaged",))
    if size > 32774 and _read_at(fd, 32769, 5) == b"CD001":
        return Sniffed("archive", container="iso")
    return None


def _read_at(fd: int, offset: int, count: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, count)


def _is_executable(head: bytes, size: int) -> bool:
    if len(head) < 64:
        return False
    (place,) = struct.unpack_from("<I", head, 60)
    if place + 4 <= len(head):
        return head[place:place + 2] in (b"PE", b"NE", b"LE", b"LX")
    return place < size and not looks_like_text(head)


def _is_document(head: bytes) -> bool:
    """Office Open XML and OpenDocument are zips: their first entries have fixed names."""
    first = head[30:30 + int.from_bytes(head[26:28], "little")]
    return (first in (b"[Content_Types].xml", b"_rels/.rels", b"docProps/app.xml")
            or head[30:].startswith(b"mimetypeapplication/vnd.oasis"))


_UTMP = struct.Struct("<hxxi32s4s32s256shhiii16s20x")


def _is_utmp(head: bytes, size: int) -> bool:
    """Linux's logon records (utmp, wtmp, btmp): whole records, sane kinds, texts and times."""
    good = 0
    for at in range(0, min(len(head), _UTMP.size * 16) - _UTMP.size + 1, _UTMP.size):
        record = head[at:at + _UTMP.size]
        if not record.strip(b"\0"):
            continue
        kind, pid, line, _, user, host, _, _, _, second, micro, _ = _UTMP.unpack(record)
        sane = 0 <= kind <= 9 and 0 <= pid < 1 << 26 and 0 <= micro < 1_000_000
        if not (sane and 600_000_000 < second < 4_000_000_000):
            return False
        if any(byte < 32 for part in (line, user, host) for byte in part.partition(b"\0")[0]):
            return False
        good += 1
    return good > 0 and size >= _UTMP.size


def _is_old_tar(head: bytes) -> bool:
    """A tar header from before "ustar": its check sum fits."""
    if len(head) < 512 or not head[0]:
        return False
    try:
        said = int(head[148:156].strip(b"\0 ") or b"x", 8)
    except ValueError:
        return False
    return said == sum(head[:148]) + 8 * 32 + sum(head[156:512])


def looks_like_text(head: bytes) -> bool:
    """Whether it reads as lines of characters: few control characters, no random bytes.

    Some NULs are allowed: a machine cut off at the mains leaves runs of them in its logs.
    """
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        return True
    content = head.replace(b"\0", b"")
    if not content:
        return False
    detector = EncodingDetector()
    detector.feed(head)
    encoding = detector.result()
    if encoding.startswith("utf-16"):
        return True
    if (len(content) - len(content.translate(None, _CONTROL))) * 50 > len(content):
        return False
    # Runs of NULs are padding or lost pages; NULs between the characters are binary data.
    if _RUN_OF_NULS.sub(b"", head).count(0) * 100 > len(content):
        return False
    high = len(content) - len(content.translate(None, bytes(range(128, 256))))
    return encoding != "latin-1" or high * 3 <= len(content)


def _after_zeros(fd: int, size: int, checked: int, seen: EncodingDetector | None) -> Sniffed:
    """A file that begins with zeros: a hole, a log behind a hole, or zeros only."""
    place = _first_data(fd, checked, size)
    if place is None:
        return Sniffed("sparse")
    if place < 0:
        return Sniffed("sparse", problems=("only zeros at the places looked at",))
    head = _read_at(fd, place, _HEAD).lstrip(b"\0")
    if looks_like_text(head):
        detector = EncodingDetector()
        detector.feed(head)
        return Sniffed("text", detector.result(), problems=(f"begins with {place:,} or more zero bytes",))
    return Sniffed("binary")


def _first_data(fd: int, start: int, size: int) -> int | None:
    """Place of the first bytes that aren't zero; None if there are none, -1 if none were found by sampling."""
    place, budget = start, 64 * 2**20
    while place < size:
        data_at = _seek_data(fd, place)
        if data_at is None:
            return None
        place = data_at
        chunk = _read_at(fd, place, 2**20)
        if not chunk:
            return None
        if chunk.strip(b"\0"):
            return place + _leading_zeros(chunk)
        place += len(chunk)
        budget -= len(chunk)
        if budget <= 0:
            break
    else:
        return None
    step = max(1, (size - place) // _SAMPLES)
    for sample in [*range(place, size, step), max(0, size - 65536)]:
        chunk = _read_at(fd, sample, 65536)
        if chunk.strip(b"\0"):
            return int(sample) + _leading_zeros(chunk)
    return -1


def _seek_data(fd: int, place: int) -> int | None:
    """Where the next part that is not a hole begins; `place` itself where the system can't tell."""
    if not hasattr(os, "SEEK_DATA"):
        return place
    try:
        return int(os.lseek(fd, place, os.SEEK_DATA))
    except OSError as error:
        return None if error.errno == errno.ENXIO else place


def _leading_zeros(chunk: bytes) -> int:
    return len(chunk) - len(chunk.lstrip(b"\0"))
