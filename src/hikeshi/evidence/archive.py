"""The members of an archive, streamed to a folder under names of our own.

.zip, .gz, .bz2, .xz, .zst, .7z and .tar. Nothing is ever created under a member's own name: files
are called number-sha256, so there is no traversal, no link, no clash and no forbidden name.
Sizes that archives claim are not believed; bytes are counted as they come out. A damaged
member keeps what came out before the damage, and says so.

Runs inside a sandbox child (acquire.py): the parsers here are Python and zlib, lzma, py7zr.
"""

from __future__ import annotations

import bz2
import errno
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from hikeshi.errors import DamagedInput, HikeshiError, UnsupportedFormat
from hikeshi.evidence import reasons
from hikeshi.evidence.examine import Passing
from hikeshi.evidence.gunzip import gunzip_chunks
from hikeshi.evidence.member_names import decode_name, points_outside, shown, with_slashes
from hikeshi.evidence.sniff import Sniffed, sniff
from hikeshi.evidence.zip_directory import ZipEntry, locate, next_local, read_directory
from hikeshi.model.text import Text

_PIECE = 2**20
_IN = 64 * 1024


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much may come out of one archive. `ratio` counts once `ratio_from` bytes came out:
    real logs shrink to a thirtieth, rarely to a hundredth; bombs to a thousandth and less."""

    total_bytes: int
    member_bytes: int
    entries: int
    ratio: int
    ratio_from: int


@dataclass(frozen=True, slots=True)
class Member:
    """One file that came out: `name` as data, `file` its name in the folder."""

    name: str
    file: str
    sha256: str
    size: int
    sniffed: Sniffed
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an archive held: members in archive order, what was left out and why, damage."""

    members: tuple[Member, ...]
    left_out: tuple[tuple[str, Text], ...]
    problems: tuple[str, ...]
    total: int


class _Stop(Exception):
    """The archive as a whole goes too far: no further member is opened."""

    def __init__(self, reason: Text) -> None:
        super().__init__(reason.en)
        self.reason = reason


class _TooLarge(Exception):
    """One member goes too far."""


def unpack(path: Path, container: str, folder: Path, limits: ArchiveLimits, *, inner_name: str) -> Unpacked:
    """Unpack `path` into `folder` (which exists and is empty).

    `container` is what sniff calls the format; `inner_name` names the one member of formats
    that hold a single file. Raises UnsupportedFormat for a format that can't be opened, and
    DamagedInput if not even the beginning makes sense.
    """
    reader = _READERS.get(container)
    if reader is None:
        raise UnsupportedFormat(f"archives of the format {container} can't be opened",
                                hint="unpack it and give the content")
    out = _Out(folder, limits, path.stat().st_size)
    with open(path, "rb") as stream:
        try:
            reader(stream, out, inner_name)
        except _Stop as stop:
            out.leave_out("", stop.reason)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            out.leave_out("", reasons.DISK_FULL)
    return out.result()


# ------------------------------------------------------------------------------ writing


class _Out:
    """The folder being filled: counts, names, limits."""

    def __init__(self, folder: Path, limits: ArchiveLimits, packed_size: int) -> None:
        self.limits = limits
        self._folder = folder
        self._packed_size = max(packed_size, 1)
        self._members: list[Member] = []
        self._left_out: list[tuple[str, Text]] = []
        self._entries = self._opened = 0
        self.problems: list[str] = []
        self.total = 0

    def count_entry(self) -> None:
        self._entries += 1
        if self._entries > self.limits.entries:
            raise _Stop(reasons.too_many(self.limits.entries))

    def leave_out(self, name: str, reason: Text) -> None:
        self._left_out.append((shown(name), reason))

    def store(self, name: str, chunks: Iterable[bytes], problems: list[str]) -> None:
        """Write one member; `problems` may grow while the chunks come."""
        writer = self.writer(name, problems)
        try:
            for chunk in chunks:
                writer.write(chunk)
        except _TooLarge:
            writer.discard(reasons.too_large(self.limits.member_bytes))
        except _Stop as stop:
            writer.discard(stop.reason)
            raise
        except BaseException:
            writer.discard(None)
            raise
        else:
            writer.finish()

    def writer(self, name: str, problems: list[str]) -> _Writer:
        self._opened += 1
        return _Writer(self, self._folder / f"{self._opened:06d}.part", name, problems)

    def grown(self, count: int) -> None:
        self.total += count
        if self.total > self.limits.total_bytes:
            raise _Stop(reasons.TOTAL)
        if self.total > self.limits.ratio_from and self.total > self.limits.ratio * self._packed_size:
            raise _Stop(reasons.BOMB)

    def add(self, part: Path, name: str, passing: Passing, problems: list[str]) -> None:
        final = part.with_name(f"{len(self._members):06d}-{passing.sha256()[:16]}")
        part.rename(final)
        if points_outside(name):
            problems.append("its name points outside the archive; it was stored under a name of our own")
        sniffed = sniff(final, passing.detector)
        self._members.append(Member(shown(name), final.name, passing.sha256(), passing.size, sniffed, tuple(problems)))

    def result(self) -> Unpacked:
        return Unpacked(tuple(self._members), tuple(self._left_out), tuple(self.problems), self.total)


class _Writer:
    """One member on its way to disk."""

    def __init__(self, out: _Out, part: Path, name: str, problems: list[str]) -> None:
        self._out, self._part, self._name, self.problems = out, part, name, problems
        self._file = open(part, "wb", buffering=0)  # noqa: SIM115  closed by finish or discard
        self.passing = Passing()

    def write(self, chunk: bytes) -> None:
        self._out.grown(len(chunk))
        if self.passing.size + len(chunk) > self._out.limits.member_bytes:
            raise _TooLarge
        self.passing.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view):]

    def finish(self) -> None:
        self._file.close()
        self._out.add(self._part, self._name, self.passing, self.problems)

    def discard(self, reason: Text | None) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)
        if reason is not None:
            self._out.leave_out(self._name, reason)


# ------------------------------------------------------------------------------ zip


def _unzip(stream: IO[bytes], out: _Out, _: str) -> None:
    size = stream.seek(0, io.SEEK_END)
    directory = read_directory(stream, size, out.problems)
    if directory is None:
        out.problems.append("zip: the directory at the end is missing; entries were found one after another")
        _unzip_without_directory(stream, out, size)
        return
    entries = []
    try:
        for entry in directory:
            out.count_entry()
            entries.append(entry)
    except _Stop as stop:
        out.leave_out("", stop.reason)
    # In the order of their data: an entry that begins before the last one ended overlaps it.
    last_end = 0
    for entry in sorted(entries, key=lambda e: e.header):
        name = _zip_name(entry)
        if entry.is_folder and not entry.size:
            continue
        local_name = locate(stream, entry)
        if local_name is None or entry.data > size:
            out.leave_out(name, reasons.NO_DATA)
        elif entry.header < last_end:
            out.leave_out(name, reasons.OVERLAP)
        else:
            last_end = entry.data + (entry.packed or 0)
            problems = [] if local_name == entry.name else ["the archive gives it two different names"]
            _unzip_entry(stream, out, entry, name, problems)


def _unzip_without_directory(stream: IO[bytes], out: _Out, size: int) -> None:
    place = 0
    while (entry := next_local(stream, place, size)) is not None:
        out.count_entry()
        place = entry.data + (entry.packed or 0)
        if not entry.is_folder:
            _unzip_entry(stream, out, entry, _zip_name(entry), [])


def _zip_name(entry: ZipEntry) -> str:
    return with_slashes(decode_name(entry.name, utf8_flag=bool(entry.flags & 0x800), extra=entry.extra))


def _unzip_entry(stream: IO[bytes], out: _Out, entry: ZipEntry, name: str, problems: list[str]) -> None:
    unpacker = _METHODS.get(entry.method)
    if entry.encrypted:
        out.leave_out(name, reasons.ENCRYPTED)
    elif entry.is_link:
        out.leave_out(name, reasons.LINK)
    elif entry.is_special:
        out.leave_out(name, reasons.SPECIAL)
    elif unpacker is None:
        out.leave_out(name, reasons.unknown_method(entry.method))
    else:
        packed = _Range(stream, entry.data, entry.packed)
        out.store(name, _checked(unpacker(packed, problems), entry, packed, problems), problems)


def _checked(chunks: Iterable[bytes], entry: ZipEntry, packed: _Range, problems: list[str]) -> Iterator[bytes]:
    crc = count = 0
    for chunk in chunks:
        crc, count = zlib.crc32(chunk, crc), count + len(chunk)
        yield chunk
    if entry.size is not None and count != entry.size:
        problems.append(f"the archive gives its size as {entry.size:,} bytes; it has {count:,}")
    elif entry.crc is not None and crc != entry.crc:
        problems.append("the check sum does not fit, the content may be damaged")
    if packed.cut_off:
        problems.append("the archive ends before this entry does")


class _Range:
    """Part of a file; without a length, all that follows."""

    def __init__(self, stream: IO[bytes], start: int, length: int | None) -> None:
        self._stream, self._place, self._left = stream, start, length
        self.cut_off = False

    def read(self, count: int) -> bytes:
        if self._left is not None:
            count = min(count, self._left)
        if not count:
            return b""
        self._stream.seek(self._place)
        data = self._stream.read(count)
        self._place += len(data)
        if self._left is not None:
            self._left -= len(data)
            self.cut_off = len(data) < count
        return data


def _stored(packed: _Range, problems: list[str]) -> Iterator[bytes]:
    while chunk := packed.read(_PIECE):
        yield chunk


def _deflated(packed: _Range, problems: list[str]) -> Iterator[bytes]:
    inflate = zlib.decompressobj(-15)
    while not inflate.eof:
        data = inflate.unconsumed_tail or packed.read(_IN)
        if not data:
            problems.append("the compressed data ends too early")
            return
        before = inflate.copy()
        try:
            chunk = inflate.decompress(data, _PIECE)
        except zlib.error:
            yield from _bytewise(before, data)
            problems.append("the compressed data is damaged; what came before the damage was kept")
            return
        if chunk:
            yield chunk


def _bytewise(inflate: Any, data: bytes) -> Iterator[bytes]:
    """What comes out before the damage: zlib itself keeps it back."""
    out = bytearray()
    try:
        for i in range(len(data)):
            out += inflate.decompress(data[i:i + 1], _PIECE)
    except zlib.error:
        pass
    yield bytes(out)


def _by(make: Callable[[_Range], Any], *, bounded: bool = True) -> Callable[[Any, list[str]], Iterator[bytes]]:
    """An unpacker around an object with decompress(data, max_length), needs_input and eof."""

    def chunks(packed: Any, problems: list[str]) -> Iterator[bytes]:
        try:
            machine = make(packed)
            while not machine.eof:
                data = packed.read(_IN if bounded else 4096) if not bounded or machine.needs_input else b""
                if not data and (not bounded or machine.needs_input):
                    problems.append("the compressed data ends too early")
                    return
                chunk = machine.decompress(data, _PIECE) if bounded else machine.inflate(data)
                if chunk:
                    yield chunk
        except (OSError, ValueError, EOFError, lzma.LZMAError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            problems.append("the compressed data is damaged; what came before the damage was kept")

    return chunks


def _zip_lzma(packed: _Range) -> Any:
    head = packed.read(4)
    properties = packed.read(int.from_bytes(head[2:4], "little"))
    if len(properties) < 5:
        raise EOFError
    rest, lc = divmod(properties[0], 9)
    pb, lp = divmod(rest, 5)
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{
        "id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb,
        "dict_size": int.from_bytes(properties[1:5], "little")}])


def _deflate64(_: Any) -> Any:
    import inflate64  # a dependency of py7zr: Explorer packs large files this way

    return inflate64.Inflater()


class _Zstd:
    """A zstd frame; damage is a ValueError, as with the others."""

    def __init__(self) -> None:
        from backports import zstd  # a dependency of py7zr

        self._machine, self._damage = zstd.ZstdDecompressor(), zstd.ZstdError

    @property
    def eof(self) -> bool:
        return bool(self._machine.eof)

    @property
    def needs_input(self) -> bool:
        return bool(self._machine.needs_input)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._machine.unused_data)

    def decompress(self, data: bytes, most: int) -> bytes:
        try:
            return bytes(self._machine.decompress(data, most))
        except self._damage as error:
            raise ValueError(str(error)) from error


_METHODS: dict[int, Callable[[Any, list[str]], Iterator[bytes]]] = {
    0: _stored, 8: _deflated, 9: _by(_deflate64, bounded=False), 12: _by(lambda _: bz2.BZ2Decompressor()),
    14: _by(_zip_lzma), 93: _by(lambda _: _Zstd()), 95: _by(lambda _: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
}


# ------------------------------------------------------------------------------ one file


def _gunzip(stream: IO[bytes], out: _Out, inner_name: str) -> None:
    problems: list[str] = []
    out.store(inner_name, gunzip_chunks(stream, problems), problems)


def _single(make: Callable[[], Any]) -> Callable[[IO[bytes], _Out, str], None]:
    def reader(stream: IO[bytes], out: _Out, inner_name: str) -> None:
        problems: list[str] = []
        out.store(inner_name, _streams(stream, make, problems), problems)

    return reader


def _streams(stream: IO[bytes], make: Callable[[], Any], problems: list[str]) -> Iterator[bytes]:
    """bzip2, xz and zstd files may be several streams one after another."""
    held = b""
    while held or (held := stream.read(_IN)):
        machine = make()
        source = _Held(held, stream)
        before = len(problems)
        yield from _by(lambda _, machine=machine: machine)(source, problems)  # type: ignore[misc]
        if len(problems) > before:
            return
        held = machine.unused_data.lstrip(b"\0")


class _Held:
    """Some bytes already read, then the stream."""

    def __init__(self, held: bytes, stream: IO[bytes]) -> None:
        self._held, self._stream = held, stream

    def read(self, count: int) -> bytes:
        data, self._held = self._held, b""
        return data or self._stream.read(count)


# ------------------------------------------------------------------------------ tar


def _untar(stream: IO[bytes], out: _Out, _: str) -> None:
    try:
        archive = tarfile.open(fileobj=stream, mode="r:", errors="surrogateescape")  # noqa: SIM115
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise DamagedInput("this is no readable tar archive", hint="unpack it by hand") from error
    while (entry := _next_tar(archive, out)) is not None:
        out.count_entry()
        archive.members = []  # type: ignore[attr-defined]  # it remembers every entry otherwise
        name = decode_name(entry.name.encode("utf-8", "surrogateescape"))
        if entry.isdir():
            continue
        if entry.issym() or entry.islnk():
            out.leave_out(name, reasons.LINK)
        elif not entry.isreg():
            out.leave_out(name, reasons.SPECIAL)
        else:
            problems: list[str] = []
            out.store(name, _tar_chunks(archive, entry, problems), problems)


def _next_tar(archive: tarfile.TarFile, out: _Out) -> tarfile.TarInfo | None:
    try:
        return archive.next()
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        out.problems.append(f"tar: damaged; nothing could be read behind this place ({type(error).__name__})")
        return None


def _tar_chunks(archive: tarfile.TarFile, entry: tarfile.TarInfo, problems: list[str]) -> Iterator[bytes]:
    content = archive.extractfile(entry)
    if content is None:
        return
    left = entry.size
    try:
        while left > 0 and (chunk := content.read(min(_PIECE, left))):
            left -= len(chunk)
            yield chunk
    except (tarfile.TarError, EOFError, ValueError):
        pass
    if left > 0:
        problems.append(f"the archive ends before this entry does; {left:,} bytes are missing")


# ------------------------------------------------------------------------------ 7z


def _un7z(stream: IO[bytes], out: _Out, _: str) -> None:
    import py7zr
    from py7zr.exceptions import PasswordRequired
    from py7zr.io import MemIO

    try:
        archive = py7zr.SevenZipFile(stream, "r")
    except PasswordRequired:
        out.leave_out("", reasons.ENCRYPTED)
        return
    except Exception as error:  # py7zr raises all sorts on hostile headers
        _unless_ours(error)
        raise DamagedInput(f"the 7z archive's directory can't be read ({type(error).__name__})",
                           hint="ask for the archive again, or unpack it by hand") from error
    if archive.needs_password():
        for entry in archive.files:
            out.leave_out(entry.filename, reasons.ENCRYPTED)
        return
    opened: list[_SevenZipMember] = []

    class Factory:
        """Gives py7zr a place to write to, whatever the member is called."""

        def __init__(self, name: str) -> None:
            self.name = name

        def create(self, _: str) -> _SevenZipMember:
            member = _SevenZipMember(out, self.name)
            opened.append(member)
            return member

    wanted = set()
    for entry in archive.files:
        out.count_entry()
        name = with_slashes(entry.filename)
        if entry.is_directory:
            archive.worker.register_filelike(entry.id, None)
        elif entry.is_symlink or entry.is_junction or entry.is_socket:
            archive.worker.register_filelike(entry.id, None)
            out.leave_out(name, reasons.SPECIAL if entry.is_socket else reasons.LINK)
        else:
            wanted.add(name)
            archive.worker.register_filelike(entry.id, MemIO(str(entry.id), Factory(name)))
    try:
        archive.worker.extract(stream, None, parallel=False)
    except _Stop:
        raise
    except Exception as error:  # noqa: BLE001  decoders raise all sorts on damage
        _unless_ours(error)
        out.problems.append(f"7z: damaged; members behind this place are missing ({type(error).__name__})")
    finally:
        for member in opened:
            member.end()
        for name in sorted(wanted - {m.name for m in opened}):
            out.leave_out(name, reasons.NO_DATA)


def _unless_ours(error: Exception) -> None:
    if isinstance(error, HikeshiError | MemoryError) or (isinstance(error, OSError) and error.errno):
        raise error


class _SevenZipMember:
    """What py7zr writes a member to (py7zr.io.Py7zIO)."""

    def __init__(self, out: _Out, name: str) -> None:
        self.name = name
        self._writer: _Writer | None = out.writer(name, [])
        self._limit = out.limits.member_bytes
        self._whole = False

    def write(self, data: bytes | bytearray) -> int:
        if self._writer is not None:
            try:
                self._writer.write(bytes(data))
            except _TooLarge:
                self._writer.discard(reasons.too_large(self._limit))
                self._writer = None
            except _Stop as stop:
                self._writer.discard(stop.reason)
                self._writer = None
                raise
        return len(data)

    def close(self) -> None:
        self._whole = True
        self.end()

    def end(self) -> None:
        """Keep what there is; called again at the end for a member that damage cut short."""
        writer, self._writer = self._writer, None
        if writer is not None:
            if not self._whole:
                writer.problems.append("the compressed data is damaged; what came before the damage was kept")
            writer.finish()

    def read(self, size: int | None = None) -> bytes:
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def flush(self) -> None:
        """Nothing is held back."""

    def size(self) -> int:
        return 0 if self._writer is None else self._writer.passing.size


_READERS: dict[str, Callable[[IO[bytes], _Out, str], None]] = {
    "zip": _unzip, "gzip": _gunzip, "7z": _un7z, "tar": _untar,
    "bzip2": _single(bz2.BZ2Decompressor), "xz": _single(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    "zstd": _single(_Zstd),
}
