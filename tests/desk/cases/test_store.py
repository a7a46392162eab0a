"""Evidence at rest: sealed, checked while it is read, never half there; and how it leaves."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyrage
import pytest
import pyzipper
from django.urls import reverse

from hikeshi_desk.audit.models import Entry
from hikeshi_desk.cases import download, store

EICAR_LIKE = b"X5O!P%@AP-a-text-that-a-scanner-would-look-for" * 40


@pytest.fixture
def kept(tmp_path):
    def make(content: bytes) -> str:
        sha256 = hashlib.sha256(content).hexdigest()
        source = tmp_path / f"source-{sha256[:8]}"
        source.write_bytes(content)
        store.keep(source, sha256, len(content))
        return sha256
    return make


@pytest.fixture
def own_key(settings, tmp_path):
    settings.DATA = tmp_path / "data"


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 3 * 65_536, 1_000_001])
def test_what_was_kept_is_read_again_whole(kept, size):
    content = random_bytes(size)
    with store.open_content(kept(content)) as stream:
        assert stream.read() == content


def test_content_is_read_in_any_steps_and_by_lines(kept):
    content = b"".join(b"line %d\n" % number for number in range(30_000))
    sha256 = kept(content)
    with store.open_content(sha256) as stream:
        assert stream.read(7) + stream.read(100_000) + stream.read() == content
        assert stream.read() == b""
    with store.open_content(sha256) as stream:
        assert sum(1 for _ in stream) == 30_000


def test_nothing_readable_lies_on_the_disk(kept, settings):
    kept(EICAR_LIKE)
    [path] = [path for path in Path(settings.EVIDENCE).rglob("*") if path.is_file()]
    assert b"scanner" not in path.read_bytes() and path.suffix == ".age"


def test_the_key_is_made_once_is_private_and_opens_files_with_plain_age(kept, own_key):
    sha256 = kept(b"evidence")
    key = store.key_place()
    assert key.stat().st_mode & 0o077 == 0
    text = key.read_text()
    kept(b"more")
    assert key.read_text() == text
    identity = pyrage.x25519.Identity.from_str(text.strip().splitlines()[-1])
    assert pyrage.decrypt(store.place_of(sha256).read_bytes(), [identity]) == b"evidence"


def test_two_processes_that_start_at_once_have_one_key(tmp_path):
    code = ("import os, sys, django; django.setup(); from hikeshi_desk.cases import store; "
            "store.prepare(); print(store._identity(store.key_place()))")
    environment = os.environ | {"HIKESHI_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "hikeshi_desk.settings",
                                "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    (tmp_path / "secret-key").write_text("x" * 64)
    both = [subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE) for _ in range(3)]
    assert len({one.communicate(timeout=300)[0] for one in both}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evidence-key", "secret-key"]


def test_a_lost_key_is_said_and_no_new_one_is_made(kept, own_key):
    kept(b"evidence")
    store.key_place().unlink()
    store._identity.cache_clear()
    with pytest.raises(store.KeyMissing, match="backup"):
        store.prepare()
    assert not store.key_place().exists()


@pytest.mark.parametrize("content", ["", "# opens the desk's evidence\n", "AGE-SECRET-KEY-1QQQQ\n", "\N{CROSS MARK}"])
def test_a_damaged_key_is_said_and_stays(own_key, settings, content):
    store.key_place().parent.mkdir()
    store.key_place().write_text(content, encoding="utf-8")
    store._identity.cache_clear()
    with pytest.raises(store.KeyMissing, match="damaged"):
        store.prepare()
    assert store.key_place().read_text(encoding="utf-8") == content


def test_another_key_is_said(kept, own_key):
    sha256 = kept(b"evidence")
    store.key_place().write_text(f"{pyrage.x25519.Identity.generate()}\n")
    store._identity.cache_clear()
    with pytest.raises(store.KeyMissing, match="another key"):
        store.open_content(sha256).read()


@pytest.mark.parametrize("size", [10, 300_000])
def test_a_changed_bit_anywhere_is_found_and_nothing_after_it_is_given(kept, size):
    content = random_bytes(size)
    sha256 = kept(content)
    place = store.place_of(sha256)
    whole = place.read_bytes()
    chance = random.Random(5)
    for at in [0, 30, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(30))]:
        flip(place, at)
        given = b""
        with pytest.raises((store.Tampered, store.KeyMissing)), store.open_content(sha256) as stream:
            while block := stream.read(1000):
                given += block
        assert len(given) < size and content.startswith(given)
        place.write_bytes(whole)


@pytest.mark.parametrize("cut", [0, 1, 100, 65_536 + 300, -1, -65_552])
def test_a_cut_file_is_never_given_whole(kept, cut):
    sha256 = kept(random_bytes(200_000))
    place = store.place_of(sha256)
    place.write_bytes(place.read_bytes()[:cut])
    with pytest.raises(store.Tampered):
        store.open_content(sha256).read()


def test_another_file_sealed_with_our_own_key_is_found_by_its_hash(kept, tmp_path):
    # Whoever reads the key file can seal what they like: only the hash tells.
    sha256, other = kept(random_bytes(200_000)), kept(random_bytes(200_001))
    store.place_of(sha256).write_bytes(store.place_of(other).read_bytes())
    given = b""
    with pytest.raises(store.Tampered, match="another content"), store.open_content(sha256) as stream:
        while block := stream.read(1000):
            given += block
    assert len(given) <= 200_001 - 3_000  # the end is held back until all of it is known to be right
    with pytest.raises(store.Tampered):
        store.materialise(sha256, tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".new-*"))


def test_an_abandoned_stream_leaves_no_thread_and_no_open_file(kept):
    sha256 = kept(random_bytes(3_000_000))
    files = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with store.open_content(sha256) as stream:
            stream.read(10)
    for _ in range(100):
        if not [one for one in threading.enumerate() if one.name.startswith("unseal")]:
            break
        time.sleep(0.05)
    assert not [one for one in threading.enumerate() if one.name.startswith("unseal")]
    assert len(list(Path("/proc/self/fd").iterdir())) <= files


def test_a_file_for_a_parser_is_whole_and_private(kept, tmp_path):
    store.materialise(kept(EICAR_LIKE), tmp_path / "copy.log")
    assert (tmp_path / "copy.log").read_bytes() == EICAR_LIKE
    assert (tmp_path / "copy.log").stat().st_mode & 0o077 == 0


def test_wrong_content_is_never_kept(tmp_path, settings):
    source = tmp_path / "source"
    source.write_bytes(b"other")
    for sha256, size in ((hashlib.sha256(b"right").hexdigest(), 5), (hashlib.sha256(b"other").hexdigest(), 6)):
        with pytest.raises(store.NotTheSame):
            store.keep(source, sha256, size)
    assert not [path for path in Path(settings.EVIDENCE).rglob("*") if path.is_file()]


def test_a_half_written_file_is_replaced_by_the_whole_one(kept):
    content = random_bytes(100_000)
    place = store.place_of(hashlib.sha256(content).hexdigest())
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half")
    with store.open_content(kept(content)) as stream:
        assert stream.read() == content


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "/x", "a" * 64 + "\n"])
def test_only_a_hash_leads_into_the_store(name):
    with pytest.raises(store.NotTheSame):
        store.open_content(name)


class TestOfAnOlderDesk:
    def lay(self, settings, content: bytes, name: str = "") -> str:
        sha256 = name or hashlib.sha256(content).hexdigest()
        path = Path(settings.EVIDENCE) / sha256[:2] / sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return sha256

    def test_plain_files_are_read_and_checked(self, settings, tmp_path):
        sha256 = self.lay(settings, b"old evidence")
        assert store.open_content(sha256).read() == b"old evidence"
        assert store.keep(tmp_path / "gone from the spool", sha256, 12).exists()
        self.lay(settings, b"other", name=sha256)
        with pytest.raises(store.Tampered):
            store.open_content(sha256).read()

    def test_resealing_leaves_nothing_plain_and_keeps_what_is_in_doubt(self, settings):
        sound = self.lay(settings, b"old evidence")
        doubtful = self.lay(settings, b"not this", name="ab" * 32)
        assert list(store.reseal()) == [(sound, 12)]
        assert list(store.reseal()) == []
        names = sorted(path.name for path in Path(settings.EVIDENCE).rglob("*") if path.is_file())
        assert names == sorted([f"{sound}.age", doubtful])
        assert store.open_content(sound).read() == b"old evidence"

    def test_the_command_seals_says_how_much_and_may_run_again(self, settings, tmp_path, monkeypatch):
        settings.DATA, settings.EVIDENCE = tmp_path, tmp_path / "evidence"
        sound, other = self.lay(settings, b"old evidence"), self.lay(settings, b"more of it")
        doubtful = self.lay(settings, b"not this", name="ab" * 32)

        def run() -> subprocess.CompletedProcess[str]:
            kept = {name: value for name, value in os.environ.items()
                    if not name.startswith(("HIKESHI_", "DJANGO_", "DATABASE_"))}
            return subprocess.run([sys.executable, "-m", "hikeshi", "desk", "reseal", "--data", str(tmp_path)],
                                  env=kept | {"PYTHONPATH": str(Path(__file__).parents[3] / "src")},
                                  capture_output=True, text=True, timeout=300, check=False)
        done, again = run(), run()
        assert done.returncode == 0 and "2 files, 22 bytes are sealed" in done.stdout + done.stderr
        assert "abab" in done.stderr  # the one that isn't its hash is named
        assert again.returncode == 0 and "0 files" in again.stdout + again.stderr
        names = sorted(path.name for path in settings.EVIDENCE.rglob("*") if path.is_file())
        assert names == sorted([f"{sound}.age", f"{other}.age", doubtful])
        assert store.open_content(sound).read() == b"old evidence"
        missing = subprocess.run([sys.executable, "-m", "hikeshi", "desk", "reseal", "--data", str(tmp_path / "no")],
                                 env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3] / "src")},
                                 capture_output=True, text=True, timeout=300, check=False)
        assert missing.returncode == 2


class TestTheZip:
    def opened(self, pieces) -> list[tuple[str, bytes]]:
        with pyzipper.AESZipFile(io.BytesIO(b"".join(pieces))) as archive:
            assert all(one.flag_bits & 1 for one in archive.infolist())
            archive.setpassword(download.PASSWORD.encode())
            return [(one.filename, archive.read(one)) for one in archive.infolist()]

    @pytest.mark.parametrize("size", [0, 5, 1_000_000])
    def test_it_holds_the_file_and_needs_the_password(self, kept, size):
        content = random_bytes(size)
        pieces = list(download.zipped(store.open_content(kept(content)), "脅迫文.txt"))
        assert self.opened(pieces) == [("脅迫文.txt", content)]
        with pyzipper.AESZipFile(io.BytesIO(b"".join(pieces))) as archive, pytest.raises(RuntimeError):
            archive.read("脅迫文.txt")

    def test_a_scanner_finds_nothing_in_it(self, kept):
        assert b"scanner" not in b"".join(download.zipped(store.open_content(kept(EICAR_LIKE)), "a"))

    def test_a_file_damaged_far_in_gives_a_zip_that_does_not_open(self, kept):
        sha256 = kept(random_bytes(2_000_000))
        flip(store.place_of(sha256), 1_500_000)
        pieces = []
        with pytest.raises(store.Tampered):
            pieces.extend(download.zipped(store.open_content(sha256), "a"))
        for piece in download.zipped(store.open_content(kept(b"x")), "a"):
            assert piece is not None
        with pytest.raises(pyzipper.BadZipFile):
            pyzipper.AESZipFile(io.BytesIO(b"".join(pieces)))

    @pytest.mark.parametrize(("name", "safe"), [
        ("../../etc/passwd", "passwd"), ("..\\..\\x.exe", "x.exe"), ("a\u202etxt.exe", "atxt.exe"), ("", "file"),
        ("...", "file"), ("con.txt", "_con.txt"), ("LPT1", "_LPT1"), ("console.txt", "console.txt"), ("a:b?.log", "a_b_.log"),
        ("行1\n行2", "行1行2"), ("末尾. ", "末尾"), ("あ" * 300 + ".evtx", "あ" * 144 + "….evtx"), ("/", "file")])
    def test_names_are_safe(self, name, safe):
        assert download.safe_name(name) == safe


@pytest.mark.django_db
def test_a_damaged_file_is_not_handed_out_but_said_and_recorded(consult, handler, sign_in, incoming_file):
    case = consult(files=[incoming_file("a.log", b"evidence")])
    row = case.attachments.get()
    kept = store.place_of(row.sha256)
    flip(kept, kept.stat().st_size - 3)  # the head's length is another one each time
    client = sign_in(handler)
    answer = client.get(reverse("cases:attachment", args=[row.pk]))
    assert answer.status_code == 302
    page = client.get(answer["Location"]).content.decode()
    assert "保管後に変わった" in page and "infected" in page
    assert Entry.objects.filter(act="case.file_damaged").count() == 1
    assert not Entry.objects.filter(act="case.download").exists()
    store.place_of(row.sha256).unlink()
    assert client.get(reverse("cases:attachment", args=[row.pk])).status_code == 404
