"""Odd files: untouched ones that must not be called encrypted, and encrypted ones in steps of 64 bytes to 16 MiB.

    PYTHONPATH=src .venv/bin/python bench/identify/odd_files.py [--rounds 2] [--seed 5]

Untouched are disks with holes, password zips, VeraCrypt-like and PGP containers, JPEG, MP4, SQLite with its WAL and
files under 512 bytes, under their own names. What nobody can tell apart: a container without a sign (VeraCrypt) whose
name was changed, and a file encrypted whole; a password zip's content and encrypted content behind an intact header;
steps under a block (4 KiB) in compressed content. Of a step of 16 MiB less than two rounds fit into what is mapped
here: it is called intermittent.
"""

from __future__ import annotations

import argparse
import base64
import collections
import io
import random
import sqlite3
import struct
import sys
import tempfile
from pathlib import Path

import pyzipper

sys.path.insert(0, str(Path(__file__).parent))
from patterns import Maker

from hikeshi.identify.blockmap import map_bytes
from hikeshi.identify.encrypted import inspect_file

STEPS = ((64, 64), (256, 256), (1024, 1024), (4096, 4096), (16_384, 49_152), (65_536, 196_608), (1 << 20, 3 << 20),
         (4 << 20, 4 << 20), (16 << 20, 16 << 20))


def untouched(maker: Maker, chance: random.Random) -> dict[str, bytes]:
    """Names and contents of files that nobody attacked."""
    random_bytes = chance.randbytes
    sparse = bytearray(8 << 20)
    for at in range(0, len(sparse), 1 << 20):
        piece = chance.choice((maker.txt(40_000), maker.jpg(60_000), b""))
        sparse[at:at + len(piece)] = piece
    locked = io.BytesIO()
    with pyzipper.AESZipFile(locked, "w", compression=pyzipper.ZIP_DEFLATED, encryption=pyzipper.WZ_AES) as package:
        package.setpassword(b"password")
        package.writestr("a.txt", maker.txt(400_000))
    legacy = bytearray()  # ZipCrypto: flag bit 0, the rest looks random
    packed = random_bytes(200_000)
    legacy += struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 1, 8, 0, 0, 1, len(packed), 400_000, 5, 0)
    legacy += b"a.txt" + packed
    mp4 = struct.pack(">I4s4sI4sI4s", 20, b"ftyp", b"isom", 512, b"isom", 1_000_008, b"mdat") + random_bytes(1_000_000)
    pgp = b"\x85\x01\x0c\x03" + random_bytes(8) + random_bytes(268) + b"\xd2\xff" + random_bytes(400_000)
    body = base64.encodebytes(random_bytes(90_000))
    armoured = b"-----BEGIN PGP MESSAGE-----\n\n" + body + b"-----END PGP MESSAGE-----\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        base = sqlite3.connect(path)
        base.execute("pragma journal_mode=wal")
        base.execute("create table t(a, b)")
        base.executemany("insert into t values(?,?)", [(maker.txt(80).decode(), n) for n in range(4000)])
        base.commit()
        wal, database = Path(f"{path}-wal").read_bytes(), path.read_bytes()
        base.close()
    small = {f"small-{n}.{kind}": data[:n] for n in (1, 20, 100, 255, 256, 300, 511)
             for kind, data in (("txt", maker.txt(600)), ("jpg", maker.jpg(600)), ("pdf", maker.pdf(600)),
                                ("dat", random_bytes(600)))}
    return {
        "disk.vmdk": b"KDMV" + bytes(508) + bytes(sparse), "disk-flat.vmdk": bytes(sparse), "disk.img": bytes(sparse),
        "disk.vhd": bytes(sparse) + b"conectix" + bytes(504), "locked.zip": locked.getvalue(),
        "legacy.zip": bytes(legacy),
        "safe.hc": random_bytes(1 << 20), "safe.tc": random_bytes(1 << 20), "container.hc": random_bytes(300_000),
        "mail.pgp": pgp, "mail.gpg": pgp, "mail.asc": armoured, "report.docx.gpg": pgp, "movie.mp4": mp4,
        "photo.jpg": maker.jpg(600_000), "app.db": database, "app.db-wal": wal, "app.sqlite": database, **small,
    }


def stepped(data: bytes, chunk: int, skip: int, chance: random.Random) -> bytes:
    made = bytearray(data)
    for at in range(0, len(made), chunk + skip):
        end = min(at + chunk, len(made))
        made[at:end] = chance.randbytes(end - at)
    return bytes(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()
    chance, maker = random.Random(args.seed), Maker(args.seed)
    alarms: collections.Counter[str] = collections.Counter()
    seen = 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for name, data in untouched(maker, chance).items():
                path = Path(folder) / "file"
                path.write_bytes(data)
                found = inspect_file(path, name)
                seen += 1
                if found.is_encrypted:
                    alarms[f"{name}: {found.state}, {found.reason.en}"] += 1
    print(f"untouched files called encrypted: {alarms.total()} of {seen}")
    for what, times in alarms.items():
        print(f"  {times} × {what}")
    whole = maker.txt(2_000_000)
    for chunk, skip in STEPS:
        right = 0
        for _ in range(args.rounds):
            plain = whole * 30 if chunk >= 1 << 20 else whole  # 60 MB: a map is of 64 MiB at most
            found = map_bytes(stepped(plain, chunk, skip, chance))
            same = (found.pattern == "fine" and found.chunk == chunk + skip if chunk < 2048 else
                    found.pattern == "chunked" and (found.chunk, found.skip) == (chunk, skip))
            right += same
            if not same:
                print(f"  {chunk} of {chunk + skip}: read as {found.pattern} {found.chunk} {found.skip} {found.row()}")
        print(f"step {chunk:,} + {skip:,}: {right} of {args.rounds}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
