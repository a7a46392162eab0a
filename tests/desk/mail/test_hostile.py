"""Every hostile mail is kept byte for byte, and read or set apart with a reason; no mail ends the desk."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from email.message import EmailMessage
from pathlib import Path

import pytest

from hikeshi.errors import HikeshiError
from hikeshi.evidence.mail_reader import MailReader
from hikeshi_desk.mail import store
from hikeshi_desk.mail.models import ReceivedMail
from hikeshi_desk.mail.receive import receive

CORPUS = Path(__file__).parents[3].parent / "shared" / "data" / "hostile" / "mail"
MUTATIONS = int(os.environ.get("HIKESHI_MAIL_MUTATIONS", "2000"))


@pytest.mark.django_db
@pytest.mark.skipif(not CORPUS.exists(), reason="the hostile mails are not here")
def test_the_collected_hostile_mails_are_kept_and_read_or_set_apart():
    mails = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.suffix.lower() in (
        ".msg", ".eml", ".txt", ".mbox", ".mail", "") and path.stat().st_size < 20 * 2**20)
    if not os.environ.get("HIKESHI_MAIL_MUTATIONS"):
        mails = mails[::2]  # half of them each time; all with the variable set
    seen: Counter[str] = Counter()
    for path in mails:
        data = path.read_bytes()
        received = receive([data], source="pipe")
        assert store.path_of(received.sha256).read_bytes() == data, path
        assert received.state != "kept", path
        assert received.state != "quarantined" or (received.reason_ja and received.reason_en), path
        seen[received.state] += 1
    assert mails and ReceivedMail.objects.filter(state="kept").count() == 0
    print(len(mails), dict(seen))


def _seeds() -> list[bytes]:
    plain = EmailMessage()
    plain["From"], plain["Subject"], plain["Message-ID"] = "花子 <h@example.jp>", "暗号化されました", "<a@example.jp>"
    plain.set_content("本文です。\n", charset="utf-8")
    mixed = EmailMessage()
    mixed["From"], mixed["Subject"] = "h@example.jp", "添付"
    mixed.set_content("x")
    mixed.add_alternative("<p>x<a href='http://x.example'>y</a></p>", subtype="html")
    mixed.add_attachment(b"\x78\x9f\x3e\x22" + bytes(range(200)), maintype="application", subtype="ms-tnef", filename="winmail.dat")
    mixed.add_attachment(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxsBNBAAA\n-----END PGP PUBLIC KEY BLOCK-----", maintype="application",
                         subtype="pgp-keys", filename="key.asc")
    jis = b"From: h@example.jp\nContent-Type: text/plain; charset=iso-2022-jp\nSubject: =?ISO-2022-JP?B?GyRCQWpDTBsoQg==?=\n\n" + "相談①".encode(
        "iso-2022-jp", "replace") + b"\n"
    dsn = (b"From: MAILER-DAEMON@x\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nsorry\n--b\n"
           b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@b\nAction: failed\nStatus: 5.1.1\n\n--b--\n")
    pgp = (b"From: h@example.jp\nContent-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=b\n\n--b\n"
           b"Content-Type: application/pgp-encrypted\n\nVersion: 1\n--b\n\n-----BEGIN PGP MESSAGE-----\n\nhF4D\n-----END PGP MESSAGE-----\n--b--\n")
    signed = b"From: h@example.jp\n\n-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nx\n-----BEGIN PGP SIGNATURE-----\n\nwnUE\n-----END PGP SIGNATURE-----\n"
    return [plain.as_bytes(), mixed.as_bytes(), jis, dsn, pgp, signed]


def _mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(5):
            case 0:
                data[at:at + 1] = bytes((rng.randrange(256),))
            case 1:
                del data[at:at + rng.randrange(1, 60)]
            case 2:
                data[at:at] = data[at:at + 80] * rng.randrange(1, 30)
            case 3:
                data[at:at] = rng.choice((b"\n\n", b"\0", b"\r", b"=?utf-8?B?", b"--b\n", b"\x1b$B", b";" * 60, b"(" * 200, b"-----BEGIN PGP "))
            case 4:
                other = rng.choice(seeds)
                data[at:] = other[rng.randrange(len(other)):]
        data = data or bytearray(b"x")
    return bytes(data)


def test_seeded_mutations_are_read_or_refused_and_never_end_the_reader(tmp_path):
    from hikeshi.evidence.mail_pgp import Keyring

    rng, seeds = random.Random(20261122), _seeds()
    raw, work = tmp_path / "raw", tmp_path / "work"
    raw.mkdir()
    read = refused = 0
    with MailReader(raw, work) as reader:
        for number in range(MUTATIONS):
            data = _mutated(rng, seeds)
            path = raw / f"{number}.eml"
            path.write_bytes(data)
            try:
                _, folder = reader.read(path, Keyring() if number % 100 == 0 else None)
                shutil.rmtree(folder)
                read += 1
            except HikeshiError as error:
                assert error.what
                assert "ChildKilled" not in type(error).__name__, (number, error)
                refused += 1
            assert path.read_bytes() == data
            path.unlink()
    assert read + refused == MUTATIONS and read > MUTATIONS // 2
