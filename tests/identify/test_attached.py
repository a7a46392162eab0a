"""Notes that come inside mails: attached, zipped, forwarded, in Outlook's forms; each with a path of its own."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import random
import zipfile
from pathlib import Path

import pytest

from hikeshi.cli.main import main
from hikeshi.evidence.source import Source
from hikeshi.identify import Input, examine_input, merge
from hikeshi.identify.attached import MOST_FILES
from hikeshi.triage.identity import examine_all, identification


def _beside(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


outlook, made = _beside("outlook"), _beside("test_documents")
FAMILIES, PARAGRAPHS = made.FAMILIES, made.PARAGRAPHS
NOTE = "\r\n".join(PARAGRAPHS)
RTF = (r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}\f0 " + r"\par ".join(PARAGRAPHS) + "}").encode()
HTML = ("<html><body>" + "".join(f"<p>{line}</p>" for line in PARAGRAPHS) + "</body></html>").encode()
SEEN = "Dear desk, we found this on our server this morning. Please have a look."


def mail(*files: tuple[str, bytes], body: str = SEEN, kind: str = "application/octet-stream") -> bytes:
    edge = f"q{sum(len(data) for _, data in files)}"  # a mail within a mail has another
    parts = [f"--{edge}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}\r\n".encode()]
    for name, data in files:
        of = "message/rfc822" if name.endswith(".eml") else kind
        coding = "" if of == "message/rfc822" else "Content-Transfer-Encoding: base64\r\n"
        parts.append(f"--{edge}\r\nContent-Type: {of}; name=\"{name}\"\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n{coding}\r\n".encode()
                     + (data if not coding else base64.encodebytes(data)) + b"\r\n")
    return (b"Received: from a by b\r\nFrom: staff@example.jp\r\nTo: cert@example.jp\r\nSubject: a question\r\nMIME-Version: 1.0\r\n"
            + f"Content-Type: multipart/mixed; boundary={edge}\r\n\r\n".encode() + b"".join(parts) + f"--{edge}--\r\n".encode())


def zipped(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, data in files:
            package.writestr(name, data)
    return out.getvalue()


PLAIN = NOTE.encode()
INSIDE = {
    "README.txt": lambda: PLAIN, "README.docx": lambda: made.docx(), "README.pdf": lambda: made.pdf([PARAGRAPHS]),
    "README.html": lambda: HTML, "README.rtf": lambda: RTF, "README.odt": lambda: made.odt(),
}
CARRIERS = {
    "mail.eml": (lambda name, data: mail((name, data)), "mail.eml/{}"),
    "zip in mail.eml": (lambda name, data: mail(("found.zip", zipped((name, data), ("a.jpg", b"\xff\xd8\xff" + bytes(90))))), "zip in mail.eml/found.zip/{}"),
    "forwarded.eml": (lambda name, data: mail(("inner.eml", mail((name, data)))), "forwarded.eml/inner.eml/{}"),
    "outlook.msg": (lambda name, data: outlook.msg(subject="a question", body=SEEN, files=((name, data),)), "outlook.msg/{}"),
    "nested.msg": (lambda name, data: outlook.msg(body=SEEN, files=(("fw", outlook.message(body="see below", files=((name, data),))),)), "nested.msg/{}"),
    "winmail.dat": (lambda name, data: outlook.winmail(name, data), "winmail.dat/{}"),
    "winmail.eml": (lambda name, data: mail(("winmail.dat", outlook.winmail(name, data)), kind="application/ms-tnef"), "winmail.eml/{}"),
    "box.mbox": (lambda name, data: b"From a@example.jp Mon Nov  3 09:00:00 2025\r\n" + mail(body="Lunch?") + b"\r\nFrom b@example.jp Mon Nov  3 09:00:00 2025\r\n"
                 + mail((name, data)), "box.mbox/2.eml/{}"),
}


@pytest.mark.parametrize("name", INSIDE)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_an_attached_note_is_named_by_its_own_path(carrier, name):
    make, path = CARRIERS[carrier]
    found = examine_input(Input(carrier, data=make(name, INSIDE[name]())), FAMILIES)
    assert {one.answer.path: one.answer.family for one in found.all() if one.is_note} == {path.format(name): "Akira"}
    # The mail's own line says so too, and the case counts one note.
    assert (found.answer.path, found.answer.verdict, found.answer.family) == (carrier, "identified", "Akira")
    assert any(name in told.en and "attached" in told.en for told in found.answer.notes)
    whole = merge([found, examine_input(Input("about.txt", text="all quiet"), FAMILIES)])
    assert whole.family == "Akira" and any(told.en == "ransom notes: 1" for told in whole.notes)


@pytest.mark.parametrize("data", [
    lambda: outlook.msg(subject="x", body=NOTE), lambda: outlook.msg(subject="x", rtf=RTF), lambda: outlook.msg(subject="x", html=HTML),
    lambda: outlook.msg(subject="x", body=NOTE + "\r\n" + "filler of words " * 600),
], ids=["plain", "compressed RTF", "HTML", "long"])
def test_a_note_as_the_body_of_an_outlook_mail_is_read(data):
    found = examine_input(Input("mail.msg", data=data()), FAMILIES)
    assert found.is_note and found.answer.family == "Akira"
    assert "of the mail: the onion address" in found.answer.candidates[0].clues[0].reason.en


def test_a_japanese_rich_text_only_mail_is_read():
    words = f"お客様のファイルはすべて暗号化されました。復号するにはビットコインで支払ってください。連絡先: http://{made.ONION} 支払わない場合、データを公開します。"
    rtf = r"{\rtf1\ansi\ansicpg932\uc1 " + "".join(c if c.isascii() else rf"\u{ord(c) if ord(c) < 32768 else ord(c) - 65536}?" for c in words) + "}"
    assert examine_input(Input("a.msg", data=outlook.msg(rtf=rtf.encode())), FAMILIES).answer.family == "Akira"


@pytest.mark.parametrize("carrier", CARRIERS)
def test_harmless_files_in_mails_are_no_notes(carrier):
    make, _ = CARRIERS[carrier]
    found = examine_input(Input(carrier, data=make("minutes.txt", b"Backups of our files are made every night. Contact us by Friday.")), FAMILIES)
    assert not any(one.is_note or one.facts.is_encrypted for one in found.all()) and found.answer.family is None


def test_a_note_in_the_words_and_another_attached_are_both_told():
    found = examine_input(Input("a.eml", data=mail(("README.txt", PLAIN), body=NOTE)), FAMILIES)
    assert [one.answer.path for one in found.all() if one.is_note] == ["a.eml", "a.eml/README.txt"]


def test_an_encrypted_file_sent_along_counts():
    data = mail(("plan.docx.akira", random.Random(3).randbytes(9000)))
    found = examine_input(Input("a.eml", data=data), FAMILIES)
    assert [one.answer.path for one in found.all() if one.facts.is_encrypted] == ["a.eml/plan.docx.akira"]
    assert found.answer.family == "Akira"


def test_the_same_in_the_sandbox_and_in_the_case(tmp_path):
    (tmp_path / "mail.msg").write_bytes(outlook.msg(body=SEEN, files=(("README.docx", made.docx()), ("README.docx", made.docx()))))
    source = Source(tmp_path / "mail.msg", "mail.msg", "00" * 32, 1, "office")
    examined, failed = examine_all([source], workers=1)
    assert not failed and [one.answer.path for one in examined] == ["mail.msg", "mail.msg/README.docx", "mail.msg/README.docx#2"]
    case = identification(examined)
    assert case.family == "Akira" and {r.path for r in case.records} == {"mail.msg/README.docx", "mail.msg/README.docx#2"}


def test_the_command_has_a_line_for_each_attached_note(tmp_path, capsysbinary):
    (tmp_path / "mail.eml").write_bytes(mail(("README.docx", made.docx()), ("photo.jpg", b"\xff\xd8\xff\xe0" + bytes(500))))
    assert main(["identify", str(tmp_path / "mail.eml"), "--json"]) == 1
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [(line["path"], line["family"]) for line in lines] == [("mail.eml", "Akira"), ("mail.eml/README.docx", "Akira")]


def test_what_is_nested_too_deep_or_too_much_ends():
    deep = PLAIN
    for number in range(12):
        deep = mail((f"{number}.eml", deep)) if number % 2 else mail(("a.zip", zipped((f"{number}.eml", deep))))
    assert len(examine_input(Input("deep.eml", data=deep), FAMILIES).all()) <= 10
    many = mail(*((f"{n}.zip", zipped(*((f"{m}.txt", b"x" * 100) for m in range(100)))) for n in range(30)))
    assert len(examine_input(Input("many.eml", data=many), FAMILIES).all()) <= 201
    bomb = zipped(*((f"{n}.txt", bytes(12_000_000)) for n in range(60)))
    found = examine_input(Input("bomb.eml", data=mail(("bomb.zip", bomb))), FAMILIES)
    assert len(found.all()) <= MOST_FILES + 2 and found.answer.family is None


def test_names_of_attached_files_move_nothing():
    data = outlook.msg(body=SEEN, files=(("..\\..\\etc/pass\x1b[2Jwd\u202etxt.exe", PLAIN), ("", PLAIN)))
    paths = [one.answer.path for one in examine_input(Input("a.msg", data=data), FAMILIES).attached]
    assert len(paths) == 2 and paths[1] == "a.msg/attachment 2"
    assert ".." not in paths[0] and not any(ord(c) < 32 or c == "\u202e" for c in paths[0])


def test_broken_mails_end_and_raise_nothing():
    rng = random.Random(11)
    whole = [make("README.docx", made.docx()) for make, _ in CARRIERS.values()]
    for _ in range(150):
        data = bytearray(rng.choice(whole))
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        examine_input(Input("x", data=bytes(data[:rng.randrange(len(data) + 1)])), FAMILIES)
