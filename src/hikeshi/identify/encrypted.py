"""Is this file encrypted, and by what kind of name was it renamed? A cheap look: at most 64 KiB a file.

Blocks of 4 KiB from head, middle and tail are classed by a chi-square test against uniform bytes.
Uniform bytes alone prove nothing (zip, jpg and video are nearly uniform): a file counts as encrypted
when its name promises a format whose beginning is gone. Files whose format is intact are untouched.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hikeshi.errors import InputError, Location
from hikeshi.identify.text import decode
from hikeshi.knowledge.addresses import EMAIL
from hikeshi.model.text import Text

BLOCK = 4096
HEAD_BLOCKS, MIDDLE_BLOCKS, TAIL_BLOCKS = 8, 4, 4
TAIL_KEPT = 64

# 255 degrees of freedom: mean 255, deviation 22.6. Compressed data rarely stays below 340 for a whole 4 KiB block.
# Bytes that are spread more evenly than chance allows come from a counter or a pattern, not from a cipher.
_UNIFORM, _TOO_EVEN = 340.0, 150.0
_SMALL = 256

# What a file with this extension begins with (offset, bytes). Layouts as the formats' specifications give them.
_ZIP = ((0, b"PK\x03\x04"), (0, b"PK\x05\x06"), (0, b"PK\x07\x08"))
_OLE = ((0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),)
_ISO = ((4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (4, b"free"), (4, b"wide"), (4, b"skip"))
_MAGIC: dict[str, tuple[tuple[int, bytes], ...]] = {
    **dict.fromkeys(
        ("docx", "xlsx", "pptx", "docm", "xlsm", "pptm", "odt", "ods", "odp", "zip", "jar", "apk", "epub", "vsdx"), _ZIP
    ),
    **dict.fromkeys(("doc", "xls", "ppt", "msg", "msi", "vsd", "mpp", "pub"), _OLE),
    "pdf": ((0, b"%PDF"),),
    "jpg": ((0, b"\xff\xd8\xff"),),
    "jpeg": ((0, b"\xff\xd8\xff"),),
    "png": ((0, b"\x89PNG\r\n\x1a\n"),),
    "gif": ((0, b"GIF8"),),
    "bmp": ((0, b"BM"),),
    "tif": ((0, b"II*\0"), (0, b"MM\0*")),
    "tiff": ((0, b"II*\0"), (0, b"MM\0*")),
    "webp": ((8, b"WEBP"),),
    "psd": ((0, b"8BPS"),),
    "gz": ((0, b"\x1f\x8b"),),
    "tgz": ((0, b"\x1f\x8b"),),
    "bz2": ((0, b"BZh"),),
    "xz": ((0, b"\xfd7zXZ\0"),),
    "zst": ((0, b"(\xb5/\xfd"),),
    "7z": ((0, b"7z\xbc\xaf\x27\x1c"),),
    "rar": ((0, b"Rar!\x1a\x07"),),
    "cab": ((0, b"MSCF"),),
    "tar": ((257, b"ustar"),),
    "iso": (),
    "mp4": _ISO,
    "mov": _ISO,
    "m4a": _ISO,
    "m4v": _ISO,
    "heic": _ISO,
    "mp3": ((0, b"ID3"), (0, b"\xff\xfb"), (0, b"\xff\xf3"), (0, b"\xff\xf2"), (0, b"\xff\xfa")),
    "wav": ((0, b"RIFF"),),
    "avi": ((0, b"RIFF"),),
    "mkv": ((0, b"\x1aE\xdf\xa3"),),
    "webm": ((0, b"\x1aE\xdf\xa3"),),
    "flac": ((0, b"fLaC"),),
    "ogg": ((0, b"OggS"),),
    "wmv": ((0, b"0&\xb2u"),),
    "wma": ((0, b"0&\xb2u"),),
    "exe": ((0, b"MZ"),),
    "dll": ((0, b"MZ"),),
    "sys": ((0, b"MZ"),),
    "evtx": ((0, b"ElfFile\0"),),
    "pst": ((0, b"!BDN"),),
    "ost": ((0, b"!BDN"),),
    "sqlite": ((0, b"SQLite format 3\0"),),
    "db": ((0, b"SQLite format 3\0"),),
    "mdb": ((4, b"Standard Jet DB"),),
    "accdb": ((4, b"Standard ACE DB"),),
    "mdf": ((0, b"\x01\x0f"),),
    "ldf": (),
    "dwg": ((0, b"AC10"), (0, b"AC1")),
    "lnk": ((0, b"L\0\0\0"),),
    "vmdk": ((0, b"KDMV"), (0, b"# Disk")),
    "vhdx": ((0, b"vhdxfile"),),
    "qcow2": ((0, b"QFI\xfb"),),
    "rtf": ((0, b"{\\rtf"),),
    "chm": ((0, b"ITSF"),),
    "ttf": ((0, b"\0\1\0\0"), (0, b"true")),
    "vhd": ((0, b"conectix"),),
    "bak": (),
    "dat": (),
}
# fmt: off
_TEXT = frozenset((
    "txt", "csv", "tsv", "log", "ini", "cfg", "conf", "json", "xml", "html", "htm", "md", "sql", "py", "js",
    "ts", "c", "h", "cpp", "cs", "java", "php", "ps1", "bat", "cmd", "sh", "yml", "yaml", "toml", "eml", "ics",
    "vcf", "svg", "css", "reg", "inf", "url", "srt", "tex", "rb", "go", "rs", "vbs", "asp", "aspx", "jsp",
))
# fmt: on
_KNOWN = frozenset(_MAGIC) | _TEXT
# Any of these at the beginning means an intact file, whatever its name says.
_SELF_TELLING = tuple(
    {pair for pairs in _MAGIC.values() for pair in pairs if len(pair[1]) >= 4}
    | {(0, b"\x1f\x8b\x08"), (0, b"\xff\xd8\xff")}
)
# A program can lead a double life in names (report.pdf.exe): an intact executable is not an encrypted file.
_CONTAINER = (
    b"Salted__", b"-----BEGIN PGP", b"-----BEGIN AGE", b"age-encryption.org", b"LUKS\xba\xbe", b"$ANSIBLE_VAULT",
    b"\x03\xd9\xa2\x9a\x67\xfb\x4b",  # KeePass
    b"\xc0\xb9\x07\x2e\x4f\x93\xf1\x46",  # AxCrypt
    b"AES\x02",  # AES Crypt
)
_BITLOCKER = b"-FVE-FS-"
# Packed by a program that leaves its sign, whatever the name says: dumps, images, columns, streams.
_PACKED = (
    b"PGDMP", b"\x04\x22\x4d\x18", b"\x89LZO\0", b"\x1f\x9d", b"]\0\0", b"hsqs", b"PAR1", b"MSSQLBAK", b"TAPE\0\0",
    b"VEEAM", b"ORC", b"Obj\x01", b"MSWIM\0\0\0", b"EVF\x09", b"EVF2", b"bplist",
)
# Encrypted or packed by their owner, and without a sign of their own.
_OWNED = frozenset((
    "gpg", "pgp", "asc", "age", "kdbx", "kdb", "hc", "tc", "vc", "axx", "aes", "p7m", "p12", "pfx", "jks", "br",
    "lzma", "snappy", "sz", "gpg-key", "vault", "psafe3", "luks", "bek", "sparsebundle", "dmg",
))

_VICTIM_ID = (
    re.compile(r"\.id[-\[]?([0-9A-F]{8}(?:-\d{4})?)\]?", re.I),
    re.compile(r"\[ID[=-]?([0-9A-Za-z]{6,24})\]", re.I),
    re.compile(r"\.\[([0-9A-Fa-f]{8}|[0-9A-Za-z]{8,16})\]\.\["),
    re.compile(r"\.\{([0-9A-Fa-f]{8}-[0-9A-Fa-f-]{8,27})\}"),
)
_MARKERS: tuple[tuple[str, str, bytes], ...] = (
    # family, place, bytes: published layouts (WannaCry header; Hermes and Ryuk trailer; Babuk trailer)
    ("wannacry", "head", b"WANACRY!"),
    ("hermes", "tail", b"HERMES"),
    ("ryuk", "tail", b"HERMES"),
    ("babuk", "tail", b"choung dong looks like hot dog!!"),
)


# Why a file is held for encrypted, likely, untouched or unknown.
_EMPTY = Text(
    "ファイルが空です",
    "the file is empty",
)
_OWN_CONTAINER = Text(
    "持ち主の道具で暗号化された入れ物です",
    "it is a container encrypted by its owner's tool",
)
_OWNED_KIND = Text(
    "名前からは、持ち主が暗号化または圧縮したファイルです",
    "by its name it was encrypted or packed by its owner",
)
_OTHER_TYPE = Text(
    "名前とは別の形式の、壊れていないファイルです",
    "its content is an intact file of another type",
)
_GONE = Text(
    "本来の形式が失われています",
    "its format is gone",
)
_TOO_SMALL = Text(
    "小さすぎて判断できません",
    "too small to judge",
)
_GONE_UNIFORM_ADDED = Text(
    "本来の形式が失われ、中身が一様乱数のようで、名前の後ろに文字が足されています",
    "its format is gone and its bytes are uniform, and something was added to its name",
)
_GONE_UNIFORM = Text(
    "本来の形式が失われ、中身が一様乱数のようです",
    "its format is gone and its bytes are uniform",
)
_GONE_ADDED = Text(
    "本来の形式が失われ、名前の後ろに文字が足されています",
    "its format is gone and something was added to its name",
)
_UNIFORM_ADDED = Text(
    "中身が一様乱数のようで、名前の後ろに文字が足されています",
    "its bytes are uniform and something was added to its name",
)
_UNIFORM_BYTES = Text(
    "中身が一様乱数のようで、形式がわかりません",
    "its bytes are uniform and its type is unknown",
)
_NOTHING = Text(
    "どちらとも言えるしるしがありません",
    "nothing speaks for or against",
)
_LATER = Text(
    "先頭は元のままですが途中から一様乱数のようで、名前の後ろに文字が足されています",
    "the beginning is intact but later blocks are uniform, and something was added to its name",
)
_INTACT = Text(
    "形式が保たれています",
    "its format is intact",
)


@dataclass(frozen=True, slots=True)
class Encryption:
    """The block map of a file in short: `share` of its mapped bytes is encrypted (0 to 1); the rest as in BlockMap."""

    pattern: str
    share: float
    chunk: int
    skip: int
    row: str

    def to_dict(self) -> dict[str, Any]:
        return {"pattern": self.pattern, "share": self.share, "chunk": self.chunk, "skip": self.skip, "row": self.row}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What one look at a file tells.

    `state`: encrypted (its format is gone and its bytes are uniform), likely (uniform bytes under a
    name nobody knows), untouched (its format is intact), unknown. `blocks` has a letter for each looked-at
    block, head|middle|tail: E uniform, C dense, P plain, 0 zeros. `pattern`: full, head, intermittent or None.
    `original` is the file's name before it was renamed; `added` what was put behind it ("" if nothing);
    `extension` the added part's last, fixed piece. `tail` holds the file's last bytes. `encryption` is set for the
    few files of a case that were looked at whole.
    """

    path: str
    sha256: str
    size: int
    state: str
    reason: Text
    original: str
    added: str
    extension: str
    victim_id: str | None
    emails: tuple[str, ...]
    blocks: str
    pattern: str | None
    markers: tuple[tuple[str, str], ...]
    tail: bytes
    encryption: Encryption | None = None

    @property
    def is_encrypted(self) -> bool:
        return self.state in ("encrypted", "likely")


def inspect_file(path: Path, name: str, *, sha256: str = "") -> FileFacts:
    """Look at a file on disk; `name` is how the evidence calls it. Reads at most 64 KiB. Raises InputError."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(HEAD_BLOCKS * BLOCK)
            middle, tail = b"", b""
            if size > len(head):
                tail_start = max(len(head), size - TAIL_BLOCKS * BLOCK)
                middle_start = max(len(head), (size // 2) // BLOCK * BLOCK)
                if middle_start + MIDDLE_BLOCKS * BLOCK <= tail_start:
                    file.seek(middle_start)
                    middle = file.read(MIDDLE_BLOCKS * BLOCK)
                file.seek(tail_start)
                tail = file.read(TAIL_BLOCKS * BLOCK)
    except OSError as error:
        raise InputError(
            f"the file can't be read: {error.strerror}",
            source=Location(name),
            hint="check that it still exists and may be read",
        ) from error
    return inspect_bytes(name, size, head, middle, tail, sha256=sha256)


def inspect_bytes(
    name: str, size: int, head: bytes, middle: bytes = b"", tail: bytes = b"", *, sha256: str = ""
) -> FileFacts:
    """The same from pieces already read; `tail` is empty when `head` is the whole file."""
    base = re.split(r"[\\/]", name)[-1]
    original, added = split_name(base)
    parts = [_classes(part) for part in (head, middle, tail)]
    end = tail or head
    state, reason = _state(base, original, added, size, head, end, parts)
    return FileFacts(
        path=name,
        sha256=sha256,
        size=size,
        state=state,
        reason=reason,
        original=original,
        added=added,
        extension=fixed_extension(added) if added else _last_extension(base),
        victim_id=_victim_id(added or base),
        emails=_emails(added or base) if state != "untouched" or added else (),
        blocks="|".join(parts),
        pattern=_pattern(parts) if state in ("encrypted", "likely") else None,
        markers=tuple(
            (family, marker.decode("ascii", "replace"))
            for family, place, marker in _MARKERS
            if (head.startswith(marker) if place == "head" else marker in end[-512:])
        ),
        tail=end[-TAIL_KEPT:],
    )


def split_name(base: str) -> tuple[str, str]:
    """The name before and what was added to it: ("report.xlsx", ".id[…].[mail].8base"); ("report.xlsx", "")."""
    places = [found.start() for found in re.finditer(r"\.", base)]
    for place in places:
        inner = re.match(r"\.([A-Za-z0-9]{1,8})(?=[.\[_{(-]|$)", base[place:])
        if inner and inner[1].lower() in _KNOWN and place > 0:
            end = place + inner.end()
            rest = base[end:]
            if rest and not _is_ordinary(rest):
                return base[:end], rest
    return base, ""


def fixed_extension(added: str) -> str:
    """The part of an added tail that is the same in every file: its last extension, lower case."""
    last = re.search(r"\.([^.\[\]{}]{1,40})$", added)
    return f".{last[1].lower()}" if last else added.lower()


def _is_ordinary(rest: str) -> bool:
    """ ".gz", ".bak", ".2024-11-01" and the like: what people and programs put behind a name."""
    ordinary = {
        "gz",
        "zip",
        "bak",
        "old",
        "tmp",
        "orig",
        "new",
        "copy",
        "part",
        "crdownload",
        "download",
        "sig",
        "asc",
        "gpg",
        "pgp",
        "age",
        "md5",
        "sha1",
        "sha256",
        "lnk",
        "url",
        "swp",
        "save",
        "default",
        "sample",
        "template",
        "dist",
        "map",
        "min",
        "lock",
        "log",
        "bz2",
        "xz",
        "7z",
        "zst",
        "enc_bak",
        "partial",
        "torrent",
        "mui",
        "config",
        "manifest",
        "resources",
    }
    pieces = [piece.lower() for piece in rest.strip("._-() ").split(".")]
    return all(
        piece in ordinary or piece in _KNOWN or re.fullmatch(r"v?[\d_-]{0,20}", piece) is not None for piece in pieces
    )


def _last_extension(base: str) -> str:
    found = re.search(r"\.[A-Za-z0-9_-]{1,40}$", base)
    return found[0].lower() if found and found.start() > 0 else ""


def _classes(data: bytes) -> str:
    """One letter a block of 4 KiB (a rest under 256 bytes is left out)."""
    letters = []
    for start in range(0, len(data), BLOCK):
        block = data[start : start + BLOCK]
        if len(block) < _SMALL:
            break
        counts = np.bincount(np.frombuffer(block, dtype=np.uint8), minlength=256)
        expected = len(block) / 256
        chi = float(((counts - expected) ** 2).sum() / expected)
        if _TOO_EVEN < chi < _UNIFORM:
            letters.append("E")
        elif counts[0] > len(block) * 0.95:
            letters.append("0")
        else:
            letters.append("C" if chi < 2.0 * len(block) / 10 else "P")
    return "".join(letters)


def _state(
    base: str, original: str, added: str, size: int, head: bytes, end: bytes, parts: list[str]
) -> tuple[str, Text]:
    if size == 0:
        return "unknown", _EMPTY
    if head.startswith(_CONTAINER) or _BITLOCKER in head:
        return "untouched", _OWN_CONTAINER
    if head.startswith(_PACKED) or end[-512:].startswith(b"conectix") or end[-4:] == b"PAR1":
        return "untouched", _OTHER_TYPE
    inner = _last_extension(original)[1:]
    blocks = "".join(parts)
    uniform = blocks.count("E") / len(blocks) if blocks else 0.0
    expected = _MAGIC.get(inner, ())
    if any(head[at : at + len(magic)] == magic for at, magic in expected):
        return "untouched", _INTACT
    if any(head[at : at + len(magic)] == magic for at, magic in _SELF_TELLING):
        return "untouched", _OTHER_TYPE
    if _is_mpeg_or_text(inner, head):
        return _intact_text(added, parts)
    head_uniform = parts[0][:2].count("E") >= max(1, len(parts[0][:2]))
    promised = bool(expected) or inner in _TEXT
    if promised and size < _SMALL:
        return ("encrypted", _GONE) if added else ("unknown", _TOO_SMALL)
    if promised and added and (head_uniform or uniform > 0.3):
        return "encrypted", _GONE_UNIFORM_ADDED
    if promised and (head_uniform or uniform > 0.5):
        return "encrypted", _GONE_UNIFORM
    if promised and added and uniform > 0:
        return "likely", _GONE_ADDED
    if added and head_uniform:
        return "encrypted", _UNIFORM_ADDED
    if not added and _last_extension(base)[1:] in _OWNED:
        return "unknown", _OWNED_KIND
    if head_uniform and uniform > 0.9 and size >= 2 * BLOCK and zlib_fails(head):
        return "likely", _UNIFORM_BYTES
    return "unknown", _NOTHING


def zlib_fails(head: bytes) -> bool:
    """Whether the bytes are no bare deflate or zlib stream (dense, but nobody's ransomware)."""
    for bits in (-15, 15):
        try:
            if len(zlib.decompressobj(bits).decompress(head, 65536)) > 1024:
                return False
        except zlib.error:
            continue
    return True


def _intact_text(added: str, parts: list[str]) -> tuple[str, Text]:
    """A text whose beginning is plain; uniform blocks further on can't be text."""
    later = "".join(parts)[2:]
    if added and later.count("E") > len(later) * 0.3:
        return "likely", _LATER
    return "untouched", _INTACT


def _is_mpeg_or_text(inner: str, head: bytes) -> bool:
    if inner in _TEXT:
        return decode(head) is not None
    return head[:1] == b"\x47" and head[188:189] == b"\x47" and inner in ("ts", "mts", "m2ts")


def _pattern(parts: list[str]) -> str | None:
    head, rest = parts[0], parts[1] + parts[2]
    if not head:
        return None
    mixed = "E" in head and any(c in head for c in "P0")
    if mixed or ("E" in head + rest and rest and 0 < sum(c in "P0" for c in rest) < len(rest)):
        return "intermittent"
    if head.startswith("E") and rest and "E" not in rest:
        return "head"
    if head.startswith(("P", "0")) and "E" in rest:
        return "intermittent"
    return "full" if "E" in head else None


def _victim_id(added: str) -> str | None:
    for pattern in _VICTIM_ID:
        found = pattern.search(added)
        if found:
            return found[1]
    return None


def _emails(added: str) -> tuple[str, ...]:
    pieces = re.split(r"[\[\]{}()<>,;!$\s]+|__+", added)
    found = {match[1].lower() for piece in pieces for match in EMAIL.finditer(re.sub(r"^[._-]+|[._-]+$", "", piece))}
    return tuple(sorted(found))
