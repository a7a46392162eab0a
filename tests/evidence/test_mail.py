"""Mails from strangers: read as well as they can be, refused when made to hurt, never a crash."""

from __future__ import annotations

import base64
import random
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hikeshi.errors import ChildKilled, HikeshiError, LimitExceeded
from hikeshi.evidence.mail import MailLimits, decode_mail
from hikeshi.evidence.mail_html import html_to_text
from hikeshi.evidence.mail_reader import MailReader
from hikeshi.evidence.mail_text import CODECS, decode, decode_header
from hikeshi.evidence.sandbox import Limits
from hikeshi.evidence.tnef import read_tnef

SHARED = Path(__file__).parents[2].parent / "shared"


def _mail(tmp_path, data: bytes, **limits):
    return decode_mail(data, MailLimits(**limits), tmp_path)


def _jis(text: str) -> bytes:
    """ISO-2022-JP as Windows writes it: NEC's row 13 too."""
    out = b""
    for sign in text:
        if sign.isascii():
            out += b"\x1b(B" + sign.encode()
            continue
        lead, trail = sign.encode("cp932")
        row = (lead - (0xC1 if lead > 0x9F else 0x81)) * 2 + 0x21
        if trail >= 0x9F:
            row, cell = row + 1, trail - 0x7E
        else:
            cell = trail - 0x1F - (trail > 0x7F)
        out += b"\x1b$B" + bytes((row, cell))
    return out + b"\x1b(B"


# ----------------------------------------------------------------------------- an ordinary mail


def test_it_reads_an_ordinary_japanese_mail(tmp_path):
    subject = base64.b64encode("不審なメールの相談".encode("iso-2022-jp"))
    mail = _mail(tmp_path, b"From: =?UTF-8?B?" + base64.b64encode("田中、花子".encode()) + b"?= <hanako@example.jp>\r\n"
                 b"To: desk@example.org\r\nSubject: =?ISO-2022-JP?B?" + subject + b"?=\r\n"
                 b"Date: Fri, 20 Nov 2026 10:00:00 +0900\r\nMessage-ID: <a1@example.jp>\r\nIn-Reply-To: <b2@example.org>\r\n"
                 b"References: <c3@example.org>\r\n <b2@example.org>\r\n"
                 b"Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n" + "お世話になります。\r\nご確認ください。\r\n".encode("iso-2022-jp"))
    assert (mail.subject, mail.sender, mail.sender_name) == ("不審なメールの相談", "hanako@example.jp", "田中、花子")
    assert mail.text == "お世話になります。\nご確認ください。"
    assert mail.date == datetime(2026, 11, 20, 1, tzinfo=UTC)
    assert mail.message_id == "<a1@example.jp>" and mail.references == ("<c3@example.org>", "<b2@example.org>")
    assert (mail.automatic, mail.bulk, mail.problems, mail.files) == ("", False, (), ())


def test_plain_text_is_preferred_and_files_are_written_under_our_names(tmp_path):
    mail = _mail(tmp_path, b'''From: a@example.jp
Content-Type: multipart/mixed; boundary="M"

preamble
--M
Content-Type: multipart/alternative; boundary=A

--A
Content-Type: text/html; charset=utf-8

<p>rich</p>
--A
Content-Type: text/plain; charset=utf-8

plain
--A--
--M
Content-Type: application/zip; name="=?UTF-8?B?44Ot44KwLnppcA==?="
Content-Disposition: attachment; filename*0*=UTF-8''%E3%83; filename*1*=%AD%E3%82%B0.zip
Content-Transfer-Encoding: base64

UEsDBA==
--M
Content-Type: message/rfc822

Subject: inner

x
--M--
''')
    assert mail.text == "plain"
    assert [(f.name, f.file, f.size) for f in mail.files] == [("ログ.zip", "0001", 4), ("part-2.eml", "0002", 17)]
    assert (tmp_path / "0001").read_bytes() == b"PK\x03\x04"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0001", "0002"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "C:\\\\Windows\\\\evil.exe", "a\u202egpj.exe", "x\r\nBcc: y@z.jp"])
def test_a_file_name_is_one_harmless_line(tmp_path, name):
    coded = base64.b64encode(name.encode()).decode()
    mail = _mail(tmp_path, f'Content-Type: application/x; name="=?utf-8?B?{coded}?="\n\nx'.encode())
    shown = mail.files[0].name
    assert "/" not in shown and "\\" not in shown and shown.isprintable() and [p.name for p in tmp_path.iterdir()] == ["0001"]


# --------------------------------------------------------------------------------- charsets


@pytest.mark.parametrize(("data", "label", "text"), [
    (_jis("①㈱髙"), "iso-2022-jp", "①㈱髙"),
    (b"\xb1\xb2\xb3 \x1b$B$\"\x1b(B", "iso-2022-jp", "ｱｲｳ あ"),
    (b"\x1b(I123\x1b(B", "iso-2022-jp", "ｱｲｳ"),
    ("①㈱髙～".encode("cp932"), "shift_jis", "①㈱髙～"),
    ("表示".encode("cp932"), "Shift_JIS", "表示"),
    (b"\xad\xa1\xadj\xa4\xa2".replace(b"j", b"\xea"), "euc-jp", "①㈱あ"),
    ("漢字".encode("euc_jp"), "euc-jp", "漢字"),
    ("日本語".encode(), "iso-2022-jp", "日本語"),
    ("日本語の文".encode("cp932"), "utf-8", "日本語の文"),
    ("日本語の文".encode("euc_jp"), "us-ascii", "日本語の文"),
    ("日本語の文".encode("euc_jp"), "", "日本語の文"),
    (_jis("日本語"), "x-unknown", "日本語"),
    ("Grüße".encode("latin-1"), "x-unknown", "Grüße"),
    (b"+/v8-+AGEAYg-", "utf-7", "+/v8-+AGEAYg-"),
    (b"\\x41\\u3042", "unicode_escape", "\\x41\\u3042"),
    (b"uryyb", "rot13", "uryyb"),
    (b"punycode-", "idna", "punycode-"),
])
def test_text_is_read_as_what_it_is(data, label, text):
    assert decode(data, label).text == text


def test_only_listed_codecs_are_used_and_a_wrong_label_is_said():
    assert not {"utf-7", "unicode_escape", "unicode-escape", "raw_unicode_escape", "idna", "punycode", "rot13",
                "base64", "hex", "zlib", "bz2", "mbcs", "oem", "undefined"} & (set(CODECS) | set(CODECS.values()))
    assert not decode(b"abc", "utf-7").kept and not decode("あ".encode("cp932"), "utf-8").kept
    assert decode("あ".encode("cp932"), "sjis").kept


def test_a_word_cut_inside_a_character_is_whole_again():
    for charset in ("utf-8", "cp932", "euc_jp", "iso-2022-jp"):
        raw = "障害発生のご報告と相談".encode(charset)
        for cut in range(1, len(raw)):
            words = b"\r\n ".join(b"=?" + charset.encode() + b"?B?" + base64.b64encode(p) + b"?=" for p in (raw[:cut], raw[cut:]))
            assert decode_header(words) == "障害発生のご報告と相談", (charset, cut)


@pytest.mark.parametrize(("raw", "text"), [
    (b"=?utf-8?Q?a=20b_c?= plain", "a b c plain"),
    (b"=?ISO-2022-JP?B?GyRCJCIbKEI=?= =?utf-8?B?44GE?=", "あい"),
    ("raw 日本語".encode("cp932"), "raw 日本語"),
    ("raw 日本語".encode(), "raw 日本語"),
    (b"raw \x1b$BF|K\\8l\x1b(B", "raw 日本語"),
    (b"=?utf-8?b?YQ0KQmNjOiBldmlsQGV4YW1wbGU=?=", "a Bcc: evil@example"),
    (b"=?utf-8?Q?a=0D=0ABcc:_x?=", "a Bcc: x"),
    (b"a\r\n\tb", "a b"),
    (b"=?unicode_escape?Q?=5Cn?=", "\\n"),
    (b"=?utf-8?B?44GC", "あ"),
    (b"not =? a word ?=", "not =? a word ?="),
])
def test_a_header_is_one_line(raw, text):
    assert decode_header(raw) == text


def test_a_gold_set_of_two_thousand_japanese_mails_is_read_exactly(tmp_path):
    rng = random.Random(7)
    words = ["不審なメール", "ランサムウェア", "感染の疑い", "①番の端末", "㈱例", "髙橋", "ファイルサーバー", "ｶﾅ", "ログ", "表示", "能力",
             "至急", "Windows 11", "〒100", "№5"]
    wrong = []
    for number in range(2000):
        subject, body = ("、".join(rng.choices(words, k=rng.randint(1, 6))) for _ in range(2))
        label, codec = rng.choice([("utf-8", "utf-8"), ("Shift_JIS", "cp932"), ("ISO-2022-JP", "jis"), ("EUC-JP", "euc")])
        if codec == "jis":
            def encode(t): return b"".join(b"\x1b(I" + bytes((c.encode("cp932")[0] & 0x7F,)) + b"\x1b(B" if "｡" <= c <= "ﾟ" else _jis(c) for c in t)
        elif codec == "euc":
            def encode(t): return b"".join(_euc(c) for c in t)
        else:
            def encode(t, codec=codec): return t.encode(codec)
        raw = encode(subject)
        cuts = [raw[i:i + 30] for i in range(0, len(raw), 30)]
        head = b"\n ".join(b"=?" + label.encode() + b"?B?" + base64.b64encode(cut) + b"?=" for cut in cuts)
        mail = _mail(tmp_path, b"Subject: " + head + b"\nContent-Type: text/plain; charset=" + label.encode() + b"\n\n" + encode(body))
        if (mail.subject, mail.text) != (subject, body):
            wrong.append((number, label, subject, mail.subject, body, mail.text))
    assert len(wrong) <= 10, wrong[:3]  # 99.5 %


def _euc(sign: str) -> bytes:
    if sign.isascii():
        return sign.encode()
    if "｡" <= sign <= "ﾟ":
        return b"\x8e" + sign.encode("cp932")
    pair = _jis(sign)[3:5]
    return bytes(b | 0x80 for b in pair)


# ----------------------------------------------------------------------------- bombs, measured


def _many_parts():
    return b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n\n" * 100_000


def _deep(levels):
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(levels))
    return head + b"\nx"


BOMBS = {
    "parameters": b"Content-Type: text/plain" + b"; a=b" * 42_000 + b"\n\nx",
    "parameters under the header limit": b"Content-Type: text/plain" + b"; a=b" * 12_000 + b"\n\nx",
    "recipients": b"To: " + b"a@b.c, " * 37_000 + b"\n\nx",
    "encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\n\nx",
    "empty parts": _many_parts(),
    "nested parts": _deep(1000),
    "boundary of a dash": b"Content-Type: multipart/mixed; boundary=-\n\n" + b"---x\n" * 3_000_000,
    "header lines": b"a:b\n" * 15_000 + b"\nx",
    "no line end": b"Subject: " + b"x" * 30_000_000,
}
ODD = {
    "parameters of a quote": b'Content-Type: text/plain; a="' + b'\\"' * 30_000 + b"\n\nx",
    "nested comments": b"From: " + b"(" * 30_000 + b"a@b.c\n\nx",
    "open quotes": b"From: " + b'"' * 60_000 + b"\n\nx",
    "open angles": b"From: " + b"<" * 60_000 + b"\n\nx",
    "half words": b"Subject: " + b"=?a?b?" * 10_000 + b"\n\nx",
    "open tags": b"Content-Type: text/html\n\n" + b"<script>" * 400_000,
    "comments in html": b"Content-Type: text/html\n\n" + b"<!--" * 800_000,
    "links in html": b"Content-Type: text/html\n\n" + b"<a href=" * 400_000,
    "entities": b"Content-Type: text/html\n\n" + b"&amp" * 800_000,
    "group without a name": b"From: a: b:;,;@ <>\nTo: ;;;,,:\n\nx",
    "a header named headers": b"headers: x\nitems: y\n\nx",
    "nothing": b"", "only line ends": b"\n\n\n", "zeros": b"\0" * 60_000, "colon": b":\n", "old mac": b"From: a@b.c\r\rx",
    "year 0": b"Date: Mon, 00 Jan 0000 99:99:99 +9999\n\nx", "date": b"Date: , ,\n\nx",
    "rfc822": b"Content-Type: message/rfc822\n\n" * 5_000,
}


@pytest.fixture(scope="module")
def in_a_child(tmp_path_factory):
    """Reads bytes in a child that is ended after three seconds of work: far less than what the standard
    library needs for these mails, far more than we do."""
    raw, work = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("work")
    with MailReader(raw, work, child=Limits(cpu_s=3, memory_bytes=512 * 2**20)) as reader:
        def read(data):
            (raw / "mail").write_bytes(data)
            return reader.read(raw / "mail")[0]
        yield read


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, in_a_child, name):
    with pytest.raises(LimitExceeded):
        in_a_child(BOMBS[name])
    with pytest.raises(LimitExceeded):
        _mail(tmp_path, BOMBS[name])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ODD)
def test_an_odd_mail_is_read_without_a_fault(in_a_child, name):
    in_a_child(ODD[name])


@pytest.mark.parametrize(("data", "limits"), [
    (b"a: " + b"x" * 60_000 + b"\n\nx", {}),
    (b"Content-Type: text/plain" + b"; a=b" * 50 + b"\n\nx", {}),
    (b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 199, {}),
    (_deep(20), {}),
    (b"x" * 100, {"mail_bytes": 100}),
])
def test_what_just_fits_the_limits_is_read(tmp_path, data, limits):
    _mail(tmp_path, data, **limits)


def test_one_more_than_the_limits_is_refused(tmp_path):
    for data, limits in [(b"a: " + b"x" * 65_600 + b"\n\nx", {}), (_deep(22), {}),
                         (b"Content-Type: text/plain" + b"; a=b" * 51 + b"\n\nx", {}),
                         (b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 200, {}),
                         (b"x" * 101, {"mail_bytes": 100})]:
        with pytest.raises(LimitExceeded):
            _mail(tmp_path, data, **limits)


# ---------------------------------------------------------------------------- who sent it


@pytest.mark.parametrize(("head", "kind"), [
    (b"Auto-Submitted: auto-replied (vacation)", "auto_reply"), (b"Auto-Submitted: auto-generated", "auto_reply"),
    (b"Auto-Submitted: no", ""), (b"X-Autoreply: yes", "auto_reply"), (b"Precedence: auto_reply", "auto_reply"),
    (b"Precedence: bulk", ""), (b"Return-Path: <>", "bounce"), (b"Return-Path: <a@example.jp>", ""),
    (b"X-Failed-Recipients: a@example.jp", "bounce"),
    (b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nx\n--b--", "bounce"),
    (b"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\n\nx\n--b--", "report"),
    (b"From: MAILER-DAEMON@example.jp\nSubject: Undelivered Mail Returned to Sender", "bounce"),
    (b"From: a@example.jp\nSubject: Undelivered Mail Returned to Sender", ""),
    (b"Subject: help: we are on auto", ""),
])
def test_machines_are_told_from_people(tmp_path, head, kind):
    assert _mail(tmp_path, head + b"\n\nx").automatic == kind


@pytest.mark.parametrize(("subject", "suspected"), [
    ("自動返信: ご相談", True), ("Automatic reply: x", True), ("Out of office", True), ("不在の間の件", True),
    ("不在着信を装う詐欺", False), ("自動車の件", False), ("Re: automatic updates fail", False)])
def test_out_of_office_subjects_are_suspected(tmp_path, subject, suspected):
    coded = base64.b64encode(subject.encode()).decode()
    assert _mail(tmp_path, f"Subject: =?utf-8?B?{coded}?=\n\nx".encode()).suspected is suspected


def test_lists_and_desks_leave_their_marks(tmp_path):
    mail = _mail(tmp_path, b"List-Id: <l.example.jp>\nX-Loop: desk@example.org\nReceived: a\nReceived: b\n\nx")
    assert mail.bulk and mail.loop_marks == ("desk@example.org",) and mail.hops == 2


# ------------------------------------------------------------------------------ html and tnef


def test_html_becomes_text_that_shows_where_links_lead():
    text = html_to_text('<style>x{}</style><p>支払い&amp;確認<br>は<a href="http://evil.example/">https://bank.example</a></p>'
                        '<script>alert(1)</script><!-- c --><div>end 1 < 2')
    assert text == "支払い&確認\nはhttps://bank.example <http://evil.example/>\n\nend 1 < 2"


def _attribute(level: int, kind: int, body: bytes) -> bytes:
    return struct.pack("<BII", level, kind, len(body)) + body + struct.pack("<H", sum(body) & 0xFFFF)


def _winmail(rtf: bool = False) -> bytes:
    long_name = "調査結果.xlsx".encode("utf-16-le") + b"\0\0"
    properties = struct.pack("<I", 1) + struct.pack("<HHII", 0x1F, 0x3707, 1, len(long_name)) + long_name + b"\0" * (
        -len(long_name) % 4)
    message = struct.pack("<I", 1) + struct.pack("<HHII", 0x102, 0x1009, 1, 4) + b"rtf!"
    return (b"\x78\x9f\x3e\x22\x01\x00" + _attribute(1, 0x00069007, struct.pack("<II", 932, 0))
            + (_attribute(1, 0x00069003, message) if rtf else _attribute(1, 0x0002800C, "本文①".encode("cp932") + b"\0"))
            + _attribute(2, 0x00069002, b"\0" * 14) + _attribute(2, 0x00018010, b"SHORT~1.XLS\0")
            + _attribute(2, 0x0006800F, b"content") + _attribute(2, 0x00069005, properties))


def test_winmail_is_unpacked(tmp_path):
    coded = base64.encodebytes(_winmail())
    mail = _mail(tmp_path, b"Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n" + coded)
    assert mail.text == "本文①" and [f.name for f in mail.files] == ["調査結果.xlsx"] and mail.problems == ()
    assert (tmp_path / "0001").read_bytes() == b"content"


def test_winmail_that_is_cut_or_only_rtf_is_kept_whole_and_said_so(tmp_path):
    for data in (_winmail()[:-20], _winmail(rtf=True)):
        mail = _mail(tmp_path, b"Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n"
                     + base64.encodebytes(data))
        assert mail.files[-1].name == "winmail.dat" and mail.files[-1].size == len(data) and mail.problems


def test_broken_winmail_never_raises():
    rng = random.Random(3)
    whole = _winmail()
    for _ in range(3000):
        broken = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            broken[rng.randrange(4, len(broken))] = rng.randrange(256)
        read_tnef(bytes(broken[:rng.randrange(len(broken) + 1)]))


# -------------------------------------------------------------------------------- the child


def test_the_child_reads_many_and_a_deadly_one_costs_only_itself(tmp_path):
    raw, work = tmp_path / "raw", tmp_path / "work"
    raw.mkdir()
    (raw / "good").write_bytes(b"Subject: good\nContent-Type: application/x\n\nbytes")
    (raw / "bomb").write_bytes(_many_parts())
    with MailReader(raw, work) as reader:
        for _ in range(2):
            mail, folder = reader.read(raw / "good")
            assert mail.subject == "good" and (folder / mail.files[0].file).read_bytes() == b"bytes"
            with pytest.raises(LimitExceeded):
                reader.read(raw / "bomb")
    assert len(list(work.iterdir())) == 2


def test_a_child_that_needs_too_much_is_ended(tmp_path):
    raw, work = tmp_path / "raw", tmp_path / "work"
    raw.mkdir()
    (raw / "large").write_bytes(b"Content-Type: application/x\n\n" + b"x" * 200_000_000)
    small = Limits(cpu_s=10, memory_bytes=256 * 2**20)
    with MailReader(raw, work, MailLimits(mail_bytes=2**30), small) as reader, pytest.raises(ChildKilled):
        reader.read(raw / "large")
    assert not list(work.iterdir())


def test_hostile_mails_are_read_or_refused_and_never_a_fault(tmp_path):
    corpus = SHARED / "data" / "hostile" / "mail"
    if not corpus.exists():
        pytest.skip("shared data not beside the checkout")
    read = refused = 0
    with MailReader(corpus, tmp_path) as reader:
        for path in sorted(p for p in corpus.rglob("*") if p.is_file()):
            try:
                reader.read(path)
                read += 1
            except LimitExceeded:
                refused += 1
    assert read + refused == 873 and read >= 860


def test_mutated_mails_are_read_or_refused(tmp_path):
    corpus = SHARED / "data" / "hostile" / "mail"
    seeds = [p.read_bytes()[:20_000] for p in sorted(corpus.rglob("*.eml"))] if corpus.exists() else [
        BOMBS["parameters under the header limit"][:20_000], *list(ODD.values())[:3]]
    rng = random.Random(11)
    for number in range(1500):
        data = bytearray(rng.choice(seeds) or b"x")
        for _ in range(rng.randint(1, 30)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at:at + rng.randrange(1, 40)]
                case 2:
                    data[at:at] = data[at:at + rng.randrange(1, 200)]
                case 3:
                    data[at:at] = rng.choice([b"\n\n", b"--", b"=?utf-8?B?", b'"', b"\0", b"Content-Type: multipart/x; boundary=a\n"])
            if not data:
                data = bytearray(b"x")
        try:
            decode_mail(bytes(data), MailLimits(), tmp_path)
        except HikeshiError:
            continue
        except Exception as error:
            raise AssertionError(f"mutant {number}: {bytes(data)!r}") from error
