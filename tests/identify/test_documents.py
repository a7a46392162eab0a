"""Notes as documents and mails: the same answer as their plain text, and nothing hostile gets through."""

from __future__ import annotations

import base64
import io
import time
import zipfile
import zlib

import pytest

from hikeshi.evidence.source import Source
from hikeshi.identify import Input, examine_input
from hikeshi.identify.documents import kind_of, read_document
from hikeshi.identify.text import NoteText
from hikeshi.knowledge.families import load_families
from hikeshi.model.text import Text
from hikeshi.triage.identity import examine_all

FAMILIES = load_families()
ONION = next(v for v in FAMILIES.values("onion")
             if len(v) == 62 and {f.family for f in FAMILIES.facts("onion", v)} == {"akira"})
PARAGRAPHS = ["Good day.", "Your files are encrypted and your documents were downloaded.",
              "To get a decryptor you have to pay in bitcoin. Do not rename anything.",
              f"Contact us: http://{ONION}", "If you refuse, everything will be published."]
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
ODF = ('xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
       'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"')


def docx(body: str | None = None, *, head: str = "", more: dict[str, bytes] | None = None) -> bytes:
    made = io.BytesIO()
    runs = body or "".join(f"<w:p><w:r><w:t>{text[:9]}</w:t></w:r><w:r><w:t>{text[9:]}</w:t></w:r></w:p>" for text in PARAGRAPHS)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", f'<?xml version="1.0"?>{head}<w:document {W}><w:body>{runs}</w:body></w:document>')
        for name, data in (more or {}).items():
            archive.writestr(name, data)
    return made.getvalue()


def odt() -> bytes:
    made = io.BytesIO()
    body = "".join(f"<text:p>{text}</text:p>" for text in PARAGRAPHS)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", f"<office:document {ODF}><office:body>{body}</office:body></office:document>")
    return made.getvalue()


def pdf(pages: list[list[str]], *, stream: bytes | None = None) -> bytes:
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for lines in pages:
        shown = " ".join(f"({line.translate({40: None, 41: None})}) Tj T*" for line in lines)
        packed = stream if stream is not None else zlib.compress(f"BT /F1 11 Tf 14 TL 50 780 Td {shown} ET".encode())
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(packed) + packed + b"\nendstream")
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
                       b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects))
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(kids))
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(made)
    made += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % p for p in places)
    return bytes(made) + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)


def mail() -> bytes:
    body = base64.encodebytes("\r\n".join(PARAGRAPHS).encode()).decode()
    return (f"Received: from a by b\r\nFrom: x@example.com\r\nTo: y@example.jp\r\nSubject: read this\r\nDate: Mon, 3 Nov 2025 09:00:00 +0900\r\n"
            f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}").encode()


MADE = {
    "note.docx": (docx, "paragraph 4"), "note.odt": (odt, "paragraph 4"), "note.eml": (mail, "line 4 of the mail"),
    "note.pdf": (lambda: pdf([PARAGRAPHS[:3], PARAGRAPHS[3:]]), "page 2"),
}


@pytest.mark.parametrize("name", MADE)
def test_a_note_as_a_document_is_read_and_its_place_is_told(name):
    make, place = MADE[name]
    found = examine_input(Input(name, data=make()), FAMILIES)
    assert found.is_note and (found.answer.verdict, found.answer.family) == ("identified", "Akira")
    first = found.answer.candidates[0].clues[0]
    assert first.reason.en.startswith(f"{place}: the onion address")
    assert first.record is not None and first.record.line is None  # it is no line of the file


@pytest.mark.parametrize("name", MADE)
def test_the_same_in_the_sandbox(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(MADE[name][0]())
    examined, failed = examine_all([Source(path, name, "00" * 32, path.stat().st_size, "office")], workers=1)
    assert not failed and examined[0].answer.family == "Akira"


def test_an_attached_note_and_one_in_base64_html_are_read():
    note = base64.encodebytes("\r\n".join(PARAGRAPHS).encode()).decode()
    whole = ("From: staff@example.jp\r\nTo: cert@example.jp\r\nSubject: fw\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
             "--q\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--q\r\nContent-Type: application/octet-stream; name=readme.txt\r\n"
             f"Content-Disposition: attachment; filename=readme.txt\r\nContent-Transfer-Encoding: base64\r\n\r\n{note}\r\n--q--\r\n")
    assert examine_input(Input("a.eml", data=whole.encode()), FAMILIES).answer.family == "Akira"


@pytest.mark.parametrize("make", [
    lambda: docx("<w:p><w:r><w:t>Minutes of the meeting on encryption of backups. Contact us by Friday.</w:t></w:r></w:p>"),
    lambda: pdf([["Annual report. Our files are backed up every night.", "Contact us: info@example.com"]]),
])
def test_ordinary_documents_are_no_notes_and_get_no_line(make):
    found = examine_input(Input("minutes", data=make()), FAMILIES)
    assert not found.is_note and found.answer.verdict == "not_ransomware" and not found.answer.is_worth_a_line


HOSTILE = {
    "an XML bomb": lambda: docx(head='<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>', body="<w:p><w:r><w:t>&b;</w:t></w:r></w:p>"),
    "an outside entity": lambda: docx(head='<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', body="<w:p><w:r><w:t>&a;</w:t></w:r></w:p>"),
    "deep XML": lambda: docx("<w:p>" * 200_000),
    "a zip bomb": lambda: docx("<w:p><w:r><w:t>" + "a" * 60_000_000 + "</w:t></w:r></w:p>"),
    "a cut docx": lambda: docx()[:-200],
    "a docx of nothing": lambda: docx("<w:p/>"),
    "a package without a document": lambda: docx()[:60],
    "a stream bomb": lambda: pdf([["x"]], stream=zlib.compress(bytes(200_000_000))),
    "a PDF that draws for ever": lambda: pdf([["x"]], stream=zlib.compress(b"BT /F1 9 Tf " + b"(a) Tj " * 500_000)),
    "a PDF of many pages": lambda: pdf([["x"]] * 3000),
    "a page tree that bites its tail": lambda: pdf([["x"]]).replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]"),
    "a cut PDF": lambda: pdf([["x"]])[:300],
    "a PDF of noise": lambda: b"%PDF-1.7\n" + bytes(range(256)) * 400,
    "an OLE file of noise": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(range(256)) * 400,
    "a mail of boundaries": lambda: b"From: a\nTo: b\nSubject: c\nContent-Type: multipart/mixed; boundary=q\n\n" + b"--q\n" * 200_000,
    "a large document": lambda: docx(more={"word/media/a.bin": __import__("random").Random(1).randbytes(5_000_000)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_documents_end_soon_and_are_no_notes(name):
    data = HOSTILE[name]()
    began = time.process_time()
    found = examine_input(Input("x", data=data), FAMILIES)
    assert time.process_time() - began < 8  # far more than it takes; a bomb would take minutes
    assert not found.is_note and found.answer.verdict in ("unknown", "not_ransomware") and found.answer.family is None
    assert found.answer.notes


def test_a_document_that_cannot_be_read_says_why():
    told = read_document(HOSTILE["an outside entity"]())
    assert isinstance(told, Text) and "entities" in told.en and "定義" in told.ja


def test_an_encrypted_pdf_and_a_picture_say_what_they_are():
    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf([PARAGRAPHS])))
    writer.encrypt("secret", algorithm="AES-256")
    made = io.BytesIO()
    writer.write(made)
    told = read_document(made.getvalue())
    assert isinstance(told, Text) and "password" in told.en
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf([PARAGRAPHS])))
    writer.encrypt("", "owner", algorithm="RC4-128")  # anyone may read it
    made = io.BytesIO()
    writer.write(made)
    assert isinstance(read := read_document(made.getvalue()), NoteText) and ONION in read.text
    picture = examine_input(Input("screen.png", data=b"\x89PNG\r\n\x1a\n" + bytes(200)), FAMILIES)
    assert "picture" in picture.answer.notes[0].en and picture.answer.verdict == "unknown"


@pytest.mark.parametrize("head, kind", [
    (b"From: a@b.c\nDear customer,\nyour files", ""), (b"PK\x03\x04" + bytes(60), ""), (b"see %PDF-1.4", ""),
    (b"\n%PDF-1.4", "pdf"), (b"Subject: a\nFrom: b\nTo: c\n\nx", "mail"), (b"II*\0", "picture"),
])
def test_only_documents_are_taken_for_documents(head, kind):
    assert kind_of(head) == kind
