"""Notes in pictures, read by the real Tesseract: wallpapers, photographs of screens, and files made to hurt."""

from __future__ import annotations

import io
import json
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from hikeshi.evidence.source import Source
from hikeshi.identify import pictures
from hikeshi.identify.documents import kind_of
from hikeshi.knowledge.families import load_families
from hikeshi.triage.identity import examine_all

Image = pytest.importorskip("PIL.Image", reason="the extra ocr (tesserocr, pillow) isn't installed")
pytest.importorskip("tesserocr", reason="the extra ocr (tesserocr, pillow) isn't installed")
if not any(list(folder.glob("jpn.traineddata")) for folder in pictures._language_folders()):
    pytest.skip("Tesseract's language data (tesseract-ocr-jpn) isn't installed", allow_module_level=True)

FAMILIES = load_families()
ONION = next(v for v in FAMILIES.values("onion")
             if len(v) == 62 and {f.family for f in FAMILIES.facts("onion", v)} == {"akira"})
FRESH = "".join(random.Random(4).choices("abcdefghjkmnpqrstuvwxyz234567", k=56)) + ".onion"
ENGLISH = ["Your files are encrypted and your documents were downloaded.", "To get a decryptor you have to pay in bitcoin.",
           "Do not rename anything. Contact us:", "http://{onion}", "If you refuse, everything will be published."]
JAPANESE = ["お客様のファイルはすべて暗号化されました。", "復号するにはビットコインで支払ってください。",
            "連絡先: http://{onion}", "支払わない場合、データを公開します。"]
MINUTES = ["Minutes of the meeting on Monday", "1. Backups are made every night and kept for two weeks.",
           "2. The new printer stands on the second floor."]
HARMLESS_JA = ["月曜日の会議のメモ", "バックアップは毎晩取り、二週間保管します。", "新しいプリンターは二階にあります。"]


def drawn(lines, *, ink="black", ground="white", size=24, room=(1280, 520), at=(60, 60)):
    import noto_cjk_sans_jp_regular as fonts
    from PIL import ImageDraw, ImageFont
    font = ImageFont.truetype(str(next(Path(fonts.__file__).parent.rglob("*.otf"))), size)
    picture = Image.new("RGB", room, ground)
    for number, line in enumerate(lines):
        ImageDraw.Draw(picture).text((at[0], at[1] + number * size * 2), line, font=font, fill=ink)
    return picture


def as_bytes(picture, form="PNG", **options) -> bytes:
    made = io.BytesIO()
    picture.save(made, form, **options)
    return made.getvalue()


def window(lines):
    """A screenshot: an editor's window on a desktop of another colour."""
    from PIL import ImageDraw
    desktop = drawn([], ground=(20, 70, 120), room=(1366, 768))
    desktop.paste(drawn(lines, size=18, room=(1100, 420), at=(20, 50)), (120, 120))
    ImageDraw.Draw(desktop).rectangle((120, 96, 1220, 120), fill=(200, 200, 205))
    return desktop


SHAPES = {
    "plain.png": lambda lines: as_bytes(drawn(lines)),
    "wallpaper.bmp": lambda lines: as_bytes(drawn(lines, ink=(240, 240, 240), ground=(10, 10, 30), room=(1600, 700)), "BMP"),
    "wallpaper-red.jpg": lambda lines: as_bytes(drawn(lines, ink=(255, 230, 120), ground=(120, 0, 0)), "JPEG", quality=40),
    "screenshot.png": lambda lines: as_bytes(window(lines)),
    "turned.jpg": lambda lines: as_bytes(drawn(lines, room=(1400, 600)).rotate(2, Image.Resampling.BICUBIC, fillcolor="white"), "JPEG", quality=60),
    "turned-back.png": lambda lines: as_bytes(drawn(lines, room=(1400, 600)).rotate(-2, Image.Resampling.BICUBIC, fillcolor="white")),
    "small.gif": lambda lines: as_bytes(drawn(lines, size=16, room=(900, 320), at=(20, 20)), "GIF"),
    "moving.gif": lambda lines: as_bytes(drawn(lines), "GIF", save_all=True, append_images=[drawn([]) for _ in range(3)]),
    "clear.webp": lambda lines: as_bytes(drawn(lines).convert("RGBA"), "WEBP", lossless=True),
    "really-a-png.txt": lambda lines: as_bytes(drawn(lines)),
}


def looked_at(tmp_path: Path, files: dict[str, bytes]):
    sources = []
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        sources.append(Source(tmp_path / name, name, "00" * 32, len(data), "image"))
    examined, failed = examine_all(sources, workers=2, pictures=True)
    assert not failed
    return {one.answer.path: one for one in examined}


@pytest.mark.parametrize("words", [ENGLISH, JAPANESE], ids=["english", "japanese"])
def test_a_note_in_a_picture_is_a_note_and_named_by_its_address(words, tmp_path):
    lines = [line.format(onion=ONION) for line in words]
    names = list(SHAPES)[:5] if words is JAPANESE else list(SHAPES)
    found = looked_at(tmp_path, {name: SHAPES[name](lines) for name in names})
    assert {name: one.is_note for name, one in found.items()} == dict.fromkeys(names, True)
    assert {name: one.answer.family for name, one in found.items()} == dict.fromkeys(names, "Akira")


@pytest.mark.parametrize("words", [ENGLISH, JAPANESE], ids=["english", "japanese"])
def test_an_address_nobody_knows_names_nobody(words, tmp_path):
    lines = [line.format(onion=FRESH) for line in words]
    found = looked_at(tmp_path, {name: SHAPES[name](lines) for name in ("plain.png", "turned.jpg")})
    assert all(one.is_note and one.answer.family is None for one in found.values())


def test_harmless_pictures_are_no_notes(tmp_path):
    noise = Image.frombytes("RGB", (400, 300), random.Random(1).randbytes(400 * 300 * 3))
    found = looked_at(tmp_path, {
        "minutes.png": as_bytes(drawn(MINUTES)), "memo.png": as_bytes(drawn(HARMLESS_JA)),
        "empty.png": as_bytes(drawn([])), "noise.png": as_bytes(noise), "dot.png": as_bytes(Image.new("1", (1, 1)))})
    assert {one.answer.verdict for one in found.values()} <= {"not_ransomware", "unknown"}
    assert not any(one.is_note for one in found.values())
    assert "no text" in found["empty.png"].answer.notes[0].en


def png_of(width: int, height: int, packed: bytes) -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
            + part(b"IDAT", packed) + part(b"IEND", b""))


def test_bombs_and_damaged_pictures_are_said_and_the_rest_is_read(tmp_path):
    note = as_bytes(drawn([line.format(onion=ONION) for line in ENGLISH]))
    rubbish = random.Random(2)
    files = {
        "bomb.png": png_of(30_000, 30_000, zlib.compress(bytes(30_001 * 3000), 9)),
        "liar.png": png_of(3000, 3000, zlib.compress(bytes(100))),
        "endless.png": png_of(2**31 - 1, 2**31 - 1, b""),
        "cut.jpg": as_bytes(drawn(ENGLISH), "JPEG")[:400], "head.png": b"\x89PNG\r\n\x1a\n",
        "strip.png": as_bytes(Image.new("L", (30_000, 1))), "head.bmp": b"BM" + bytes(40), "head.gif": b"GIF89a" + b"\xff" * 30,
        "head.tif": b"II*\0" + b"\xff" * 60, "head.webp": b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(30),
        "note.png": note,
    }
    for number in range(6):
        data = bytearray(note)
        for _ in range(20):
            data[rubbish.randrange(8, len(data))] = rubbish.randrange(256)
        files[f"broken-{number}.png"] = bytes(data)
    found = looked_at(tmp_path, files)
    assert set(found) == set(files)
    assert found["note.png"].answer.family == "Akira"
    told = {name: " ".join(n.en for n in one.answer.notes) for name, one in found.items()}
    assert "too large" in told["bomb.png"] and "too large" in told["endless.png"]
    for name in ("liar.png", "cut.jpg", "head.png", "head.tif", "head.gif"):
        assert "can't be read" in told[name] or "no text" in told[name], (name, told[name])


def test_only_pictures_are_taken_for_pictures():
    assert kind_of(as_bytes(drawn([]), "BMP")[:16384]) == "picture"
    assert kind_of(b"BM is what they call the company. Dear all, " * 3) == ""


WITHOUT = """
import sys
sys.modules["tesserocr"] = None
from hikeshi.identify import pictures
pictures.load()
print(pictures.read_picture(b"\\x89PNG\\r\\n\\x1a\\n").en)
"""


def test_without_the_extra_the_command_to_install_it_is_told():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True,
                          env={"PYTHONPATH": ":".join(sys.path), "PATH": ""})
    assert "pip install tesserocr pillow" in done.stdout and "apt-get install tesseract-ocr" in done.stdout


def test_the_command_reads_a_picture_given_by_name_and_says_when_it_does_not(tmp_path, capsysbinary):
    from hikeshi.cli.main import main
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "screen.png").write_bytes(as_bytes(drawn([line.format(onion=ONION) for line in ENGLISH])))
    assert main(["identify", str(tmp_path / "a" / "screen.png"), "--json"]) == 1
    assert json.loads(capsysbinary.readouterr().out)["family"] == "Akira"
    (tmp_path / "a" / "about.txt").write_text("all quiet")
    assert main(["identify", str(tmp_path / "a"), "--json"]) == 0  # a folder's pictures aren't read
