"""The text of a note that came as a document: docx, odt, pdf, mail (eml, msg), or as a picture.

Runs in the sandbox child. Files attached to a mail are looked at by themselves (attached.py). Every document is
hostile: only the first 4 MiB (of mails and pictures 32) and 2 MiB of any part inside are
read, XML may declare nothing (no entities, no outside references) and is read flat, a PDF has a second. What
can't be read is said in words, never raised.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import re
import signal
import threading
import zipfile
import zlib
from collections.abc import Iterator
from types import FrameType
from typing import Any
from xml.parsers import expat

from hikeshi.errors import HikeshiError
from hikeshi.evidence.mail import MailLimits, decode_mail
from hikeshi.evidence.mail_html import html_to_text
from hikeshi.evidence.rtf import Damaged, decompress, read_rtf
from hikeshi.identify import attached, pictures
from hikeshi.identify.text import PAGE_BREAK, SOFT_BREAK, NoteText, Unit, decode, document_note
from hikeshi.model.text import Text

MAX_BYTES = 4 * 1024 * 1024  # of a document; notes are small
_PART_BYTES = 2 * 1024 * 1024  # of one part inside, unpacked
_MEMBERS = 2000
_TEXT = 256 * 1024  # characters of a document that are looked at
_PAGES, _MOST_PAGES = 6, 40  # pages read; a PDF of more pages is a report or a book
_PDF_SECONDS = 1.0
_PDF_PART = 4_000_000  # bytes of one unpacked stream

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORD_PARTS = re.compile(r"word/(?:document|header\d{0,3}|footer\d{0,3}|footnotes)\.xml")
_MAIL_HEAD = re.compile(
    rb"^(?:From|To|Cc|Subject|Date|Message-ID|MIME-Version|Received|Return-Path|Content-Type|Delivered-To|Reply-To):",
    re.I | re.M,
)

_DAMAGED = Text("この文書は壊れているため読めません", "the document is damaged and can't be read")
_TOO_LARGE = Text("大きな文書なので、脅迫文としては読んでいません", "a large document; it was not read as a note")
_LOCKED = Text("パスワードのかかった文書なので読めません", "the document asks for a password and can't be read")
_TOO_LONG = Text("この文書は読むのに時間がかかりすぎるため、やめました",
                 "reading the document took too long and was stopped")
_NO_TEXT = Text("この文書には文字がありません（画像だけかもしれません）",
                "the document holds no text (perhaps only pictures)")
_DECLARES = Text(
    "この文書は外部参照や独自の定義を含むため読みません", "the document declares entities of its own and isn't read")


class _Unreadable(Exception):
    """Why a document can't be read, as `told`."""

    def __init__(self, told: Text) -> None:
        super().__init__(told.en)
        self.told = told


def kind_of(head: bytes) -> str:
    """docx, odt, pdf, msg, mail, mbox, tnef, picture or "" by the first kilobytes."""
    if head.startswith(b"PK\x03\x04"):
        if b"mimetypeapplication/vnd.oasis.opendocument.text" in head[:200]:
            return "odt"
        # The first entries of a docx name it or its content types; any other package is refused later.
        return "docx" if b"word/" in head or b"[Content_Types].xml" in head[:4096] else ""
    if b"%PDF-" in head[:1024] and not head[:1024].split(b"%PDF-")[0].strip(b"\0\t\r\n \xef\xbb\xbf"):
        return "pdf"
    if head.startswith(_OLE):
        return "msg"
    if pictures.is_picture(head):
        return "picture"
    if attached.is_tnef(head):
        return "tnef"
    if attached.is_mbox(head):
        return "mbox"
    start = re.split(rb"\r?\n\r?\n", head[:16384].lstrip(), maxsplit=1)[0]
    return "mail" if len({m[0].lower() for m in _MAIL_HEAD.finditer(start)}) >= 3 else ""


def most_bytes(head: bytes) -> int:
    """How large a document of this beginning may be to be read."""
    kind = kind_of(head)
    if kind in ("mail", "mbox", "msg", "tnef"):
        return attached.MAX_BYTES
    return pictures.MAX_BYTES if kind == "picture" and pictures.is_asked() else MAX_BYTES


def read_document(data: bytes, size: int | None = None) -> NoteText | Text | None:
    """The text, or why it can't be read; None for what is no document. `size` is the file's, if more than `data`."""
    kind = kind_of(data[:16384])
    if not kind:
        return None
    if (size or len(data)) > most_bytes(data[:16384]):
        return _TOO_LARGE
    if kind in ("mbox", "tnef"):
        return None  # no text of their own
    reader = {"docx": _docx, "odt": _odt, "pdf": _pdf, "msg": _msg, "mail": _mail, "picture": _picture}[kind]
    try:
        note = reader(data)
    except _Unreadable as error:
        return error.told
    except (MemoryError, RecursionError):
        return _DAMAGED
    return note if note is None or note.text.strip() else _NO_TEXT


def _note(text: str, form: str, unit: Unit, *, cut: bool = False) -> NoteText:
    return document_note(text[:_TEXT], form, unit, cut=cut or len(text) > _TEXT)


# ------------------------------------------------------------------------ docx and odt


def _docx(data: bytes) -> NoteText | None:
    with _opened(data) as package:
        names = sorted(filter(_WORD_PARTS.fullmatch, package.namelist()), key=lambda n: (n != "word/document.xml", n))
        if "word/document.xml" not in names:
            return None  # a sheet, a slide show or another package
        text = _Flat(frozenset({"t"}), frozenset({"p"}))
        for name in names[:8]:
            text.read(_part(package, name))
        # Where links lead stands beside the text.
        if "word/_rels/document.xml.rels" in package.namelist():
            links = re.findall(rb'Target="((?:https?://|mailto:)[^"<>\s]{4,300})"',
                               _part(package, "word/_rels/document.xml.rels"))
            text.pieces += [link.decode("utf-8", "replace").removeprefix("mailto:") + "\n" for link in links[:100]]
    return _note("".join(text.pieces), "docx", "paragraph", cut=text.cut)


def _odt(data: bytes) -> NoteText | None:
    with _opened(data) as package:
        if "content.xml" not in package.namelist():
            return None
        text = _Flat(frozenset({"p", "h"}), frozenset({"p", "h"}))
        text.read(_part(package, "content.xml"))
    return _note("".join(text.pieces), "odt", "paragraph", cut=text.cut)


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    if data.count(b"PK\x01\x02") > _MEMBERS:
        raise _Unreadable(_DAMAGED)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            yield package
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError, KeyError, NotImplementedError) as error:
        raise _Unreadable(_DAMAGED) from error


def _part(package: zipfile.ZipFile, name: str) -> bytes:
    """The beginning of one part: what is packed never decides how much is unpacked."""
    member = package.getinfo(name)
    if member.flag_bits & 1:
        raise _Unreadable(_LOCKED)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _Unreadable(_DAMAGED)
    with package.open(member) as file:
        return file.read(_PART_BYTES)


class _Flat:
    """Text of an XML part, its paragraphs as lines. `held` are elements whose text is shown."""

    def __init__(self, held: frozenset[str], paragraphs: frozenset[str]) -> None:
        self.pieces: list[str] = []
        self.cut = False
        self._held, self._paragraphs, self._depth = held, paragraphs, 0

    def read(self, raw: bytes) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._declared
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text
        self._depth = 0
        try:
            parser.Parse(raw, True)
        except expat.ExpatError as error:
            # Damaged or cut: what came before still counts.
            self.cut = True
            if not self.pieces:
                raise _Unreadable(_DAMAGED) from error

    def _declared(self, *_: object) -> None:
        raise _Unreadable(_DECLARES)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local in self._held:
            self._depth += 1
        elif local in ("br", "cr", "line-break"):
            self.pieces.append(SOFT_BREAK)
        elif local in ("tab", "s"):
            self.pieces.append(" ")
        elif local == "a" and (link := attributes.get("xlink:href", "")).startswith(("http", "mailto:")):
            self.pieces.append(f" {link[:300].removeprefix('mailto:')} ")

    def _end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if local in self._held:
            self._depth -= 1
        if local in self._paragraphs:
            self.pieces.append("\n")

    def _text(self, text: str) -> None:
        if self._depth > 0:
            self.pieces.append(text.replace("\n", " "))


# --------------------------------------------------------------------------------- pdf


def _pdf(data: bytes) -> NoteText | None:
    import pypdf

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    strict = pypdf.Configuration(
        maximum_declared_stream_length=_PDF_PART, array_based_stream_maximum_output_length=_PDF_PART,
        lzw_maximum_output_length=_PDF_PART, run_length_maximum_output_length=_PDF_PART,
        zlib_maximum_output_length=_PDF_PART, image_maximum_buffer_size=_PDF_PART,
        stream_decoding_work_maximum_length=10 * _PDF_PART, page_tree_maximum_page_entries=10_000,
        jbig2dec_binary=None)
    pages: list[str] = []
    cut = False
    try:
        with _time_limit(_PDF_SECONDS), pypdf.apply_configuration(strict):
            reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
            if reader.is_encrypted and not reader.decrypt(""):
                raise _Unreadable(_LOCKED)
            count = len(reader.pages)
            if count > _MOST_PAGES:
                raise _Unreadable(_TOO_LARGE)
            cut = count > _PAGES
            pages.extend(_page(reader.pages[number]) for number in range(min(count, _PAGES)))
    except _Unreadable:
        raise
    except _Slow as error:
        cut = True
        if not any(page.strip() for page in pages):
            raise _Unreadable(_TOO_LONG) from error
    except Exception as error:  # a reader of hostile files fails in many ways; none of them is our caller's
        cut = True
        if not any(page.strip() for page in pages):
            raise _Unreadable(_DAMAGED) from error
    # A page's number is counted by its ends.
    return _note(PAGE_BREAK.join(page.replace(PAGE_BREAK, "\n") for page in pages), "pdf", "page", cut=cut)


def _page(page: Any) -> str:
    text = str(page.extract_text())
    links = []
    for note in (page.get("/Annots") or ())[:100]:
        action = note.get_object().get("/A")
        uri = action.get_object().get("/URI") if action is not None else None
        if isinstance(uri, str):
            links.append(uri[:300].removeprefix("mailto:"))
    return "\n".join([text, *links])


class _Slow(BaseException):
    """The time is up. No Exception: libraries that catch those must not go on."""


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """CPU seconds for what is inside, where the system can tell; the child's own limit holds everywhere."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _Slow

    before = signal.signal(signal.SIGVTALRM, ring)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.2)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


# -------------------------------------------------------------------------------- mails


def _mail(data: bytes) -> NoteText | None:
    kept: dict[str, bytes] = {}
    try:
        mail = decode_mail(data, MailLimits(mail_bytes=attached.MAX_BYTES), kept)
    except HikeshiError as error:
        raise _Unreadable(_DAMAGED) from error
    pieces = [mail.text, "", mail.subject, mail.sender, mail.reply_to if mail.reply_to != mail.sender else ""]
    return _note("\n".join(pieces), "mail", "mail line")


def _msg(data: bytes) -> NoteText | None:
    """A mail as Outlook saves it; other files of that container have no such streams."""
    olefile: Any = importlib.import_module("olefile")  # it has no types
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            def text(tag: str) -> str:
                for kind in ("001F", "001E"):
                    name = f"__substg1.0_{tag}{kind}"
                    if file.exists(name):
                        raw = file.openstream(name).read(_PART_BYTES)
                        return raw.decode("utf-16-le", "replace") if kind == "001F" else (decode(raw) or ("", ""))[0]
                return ""

            if not file.exists("__properties_version1.0"):
                return None
            body = text("1000")
            if not body.strip() and file.exists("__substg1.0_10130102"):
                page = decode(file.openstream("__substg1.0_10130102").read(_PART_BYTES))
                body = html_to_text(page[0]) if page else ""
            if not body.strip() and file.exists("__substg1.0_10090102"):
                rich = read_rtf(decompress(file.openstream("__substg1.0_10090102").read(_PART_BYTES)))
                body = html_to_text(rich.text) if rich.is_html else rich.text
            pieces = [body, "", text("0037"), text("5D01") or text("0C1F")]
    except Damaged as error:
        raise _Unreadable(_DAMAGED) from error
    except Exception as error:  # as with PDF: broken containers fail in many ways
        raise _Unreadable(_DAMAGED) from error
    return _note("\n".join(pieces).replace("\r\n", "\n"), "msg", "mail line")


def _picture(data: bytes) -> NoteText | None:
    read = pictures.read_picture(data)
    if isinstance(read, Text):
        raise _Unreadable(read)
    return _note(read, "picture", "line")
