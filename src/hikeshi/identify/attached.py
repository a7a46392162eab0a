"""The files inside a mail: of eml, mbox, Outlook's msg and winmail.dat, and of zips attached to one.

Runs in the sandbox child. Nothing is written; what is packed never decides how much is unpacked. Names are the
sender's, without folders and control signs.
"""

from __future__ import annotations

import importlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hikeshi.errors import HikeshiError
from hikeshi.evidence.mail import MailLimits, decode_mail
from hikeshi.evidence.mail_text import one_line
from hikeshi.evidence.member_names import shown
from hikeshi.evidence.tnef import MAGIC as TNEF
from hikeshi.evidence.tnef import read_tnef

MAX_BYTES = 32 * 1024 * 1024  # of a mail with its files
MOST_FILES = 40  # of one mail or zip
DEPTH = 3  # a mail, in it a zip or a mail, in it a file
_MOST_MEMBERS = 2000
_FILE_BYTES = 8 * 1024 * 1024  # of one file out of a zip
MOST_MAILS = 100  # of an mbox
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_FROM = re.compile(rb"(?:\A|\r?\n\r?\n)From [^\r\n]{1,200}\r?\n(?=[!-9;-~]{1,60}:)")
_DIRECTORY = "__attach_version1.0_#"
File = tuple[str, bytes]


@dataclass
class Budget:
    """What may still be looked at inside one file, however deep it lies."""

    files: int = 200
    bytes: int = 3 * MAX_BYTES

    def take(self, size: int) -> bool:
        self.files -= 1
        self.bytes -= size
        return self.files >= 0 and self.bytes >= 0


def is_mbox(head: bytes) -> bool:
    """Begins like a box of mails: a line "From …", then headers."""
    return head.startswith(b"From ") and _FROM.match(head) is not None


def is_tnef(head: bytes) -> bool:
    return head.startswith(TNEF)


def files_of(data: bytes, kind: str) -> list[File]:
    """Names and bytes of what is inside, at most MOST_FILES or MOST_MAILS; of a damaged one what could be read.
    `kind` is mail, mbox, msg, tnef or zip."""
    reader = {"mail": _of_mail, "mbox": _of_mbox, "msg": _of_msg, "tnef": _of_tnef, "zip": _of_zip}[kind]
    found: list[File] = []
    try:
        for name, inside in reader(data):
            found.append((_name(name, len(found) + 1), inside))
            if len(found) >= (MOST_MAILS if kind == "mbox" else MOST_FILES):
                break
    except Exception:  # noqa: BLE001 - readers of hostile containers fail in many ways; what came before counts
        pass
    return found


def _name(name: str, number: int) -> str:
    bare = shown(re.split(r"[\\/]", one_line(name))[-1].strip())[:120]
    return bare or f"attachment {number}"


def _of_mail(data: bytes) -> Iterator[File]:
    kept: dict[str, bytes] = {}
    try:
        mail = decode_mail(data, MailLimits(mail_bytes=MAX_BYTES), kept)
    except HikeshiError:
        return
    for file in mail.files:
        yield file.name, kept[file.file]


def _of_mbox(data: bytes) -> Iterator[File]:
    starts = [found.end() for _, found in zip(range(MOST_MAILS + 1), _FROM.finditer(data), strict=False)]
    for number, (begin, end) in enumerate(zip(starts, [*starts[1:], len(data)], strict=True), 1):
        mail = data[begin:end]
        if number < len(starts):
            mail = mail[:mail.rfind(b"\nFrom ")]
        yield f"{number}.eml", mail


def _of_tnef(data: bytes) -> Iterator[File]:
    packed = read_tnef(data)
    if packed.body.strip():
        yield "body.txt", packed.body.encode("utf-8", "replace")
    yield from packed.files


def _of_zip(data: bytes) -> Iterator[File]:
    if data.count(b"PK\x01\x02") > _MOST_MEMBERS:
        return
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        left = MAX_BYTES
        for member in package.infolist():
            plain = not member.flag_bits & 1 and member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if member.is_dir() or not plain or left <= 0:
                continue
            try:
                with package.open(member) as file:
                    inside = file.read(min(_FILE_BYTES, left))
            except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, NotImplementedError):
                continue
            left -= len(inside)
            yield member.filename, inside


def _of_msg(data: bytes) -> Iterator[File]:
    olefile: Any = importlib.import_module("olefile")  # it has no types
    with olefile.OleFileIO(io.BytesIO(data)) as file:
        yield from _attached_to(file, [], 0)


def _attached_to(file: Any, place: list[str], depth: int) -> Iterator[File]:
    """Files of the message in this storage; those of a message within it stand behind its own name."""
    at = len(place)
    inside = {tuple(entry[:at + 1]) for entry in file.listdir(streams=True, storages=True)
              if len(entry) > at and entry[:at] == place and entry[at].startswith(_DIRECTORY)}
    for folder in sorted(inside):
        name = _stream(file, [*folder, "__substg1.0_3707001F"], "utf-16-le") or _stream(
            file, [*folder, "__substg1.0_3707001E"], "cp932") or _stream(
            file, [*folder, "__substg1.0_3704001F"], "utf-16-le")
        content = [*folder, "__substg1.0_37010102"]
        message = [*folder, "__substg1.0_3701000D"]
        if file.exists(content):
            yield name, file.openstream(content).read(MAX_BYTES)
        elif file.exists(message) and depth < DEPTH:
            words = _stream(file, [*message, "__substg1.0_1000001F"], "utf-16-le")
            subject = _stream(file, [*message, "__substg1.0_0037001F"], "utf-16-le") or "message"
            if words.strip():
                yield f"{subject}.txt", words.encode("utf-8", "replace")
            yield from _attached_to(file, message, depth + 1)


def _stream(file: Any, path: list[str], encoding: str) -> str:
    if not file.exists(path):
        return ""
    return str(file.openstream(path).read(MAX_BYTES).decode(encoding, "replace")).rstrip("\0")
