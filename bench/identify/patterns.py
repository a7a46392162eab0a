"""Do block maps tell how files were encrypted? Files of 13 kinds, untouched and encrypted in five ways, made here.

    PYTHONPATH=src .venv/bin/python bench/identify/patterns.py [--rounds 3] [--seed 5] [--show]

Sizes are 0.6 to 2 MB. In compressed content (zip, PDF, JPEG, PNG) bytes left out within a block can't be told from
encrypted ones: there "full" or "intermittent" counts as right for the pattern "fine".
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import random
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from hikeshi.identify.blockmap import map_bytes

PATTERNS = ("untouched", "full", "head", "chunked", "intermittent", "fine")
DENSE = ("docx", "pdf", "jpg", "png")


class Maker:
    """One file of each kind, about `size` bytes, always the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self.words = ["".join(self.chance.choices(letters, k=self.chance.randint(2, 10))) for _ in range(3000)]

    def txt(self, size: int) -> bytes:
        words, length = [], 0
        while length < size:
            word = self.chance.choice(self.words)
            words.append(word)
            length += len(word) + 1
        return " ".join(words).encode()[:size]

    def csv(self, size: int) -> bytes:
        return "\n".join(f"{row},{self.chance.choice(self.words)},{self.chance.random():.4f},2024-0{row % 9 + 1}-11"
                         for row in range(size // 32)).encode()

    def log(self, size: int) -> bytes:
        return b"".join(b"2024-01-%02d 10:%02d:07 host app[%d]: %s\n" % (row % 28 + 1, row % 60, row, self.txt(60))
                        for row in range(size // 100))

    def json(self, size: int) -> bytes:
        return json.dumps([{self.words[row % 9]: self.chance.choice(self.words), "n": self.chance.random()}
                           for row in range(size // 40)]).encode()

    def sqlite(self, size: int) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.db"
            database = sqlite3.connect(path)
            database.execute("create table t(a, b, c)")
            while not path.exists() or path.stat().st_size < size:
                database.executemany("insert into t values(?,?,?)", [
                    (self.chance.random(), self.txt(80).decode(), row) for row in range(1000)])
                database.commit()
            database.close()
            return path.read_bytes()

    def doc(self, size: int) -> bytes:
        return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + self.txt(size // 2).decode().encode("utf-16-le")

    def bmp(self, size: int) -> bytes:
        y, x = np.mgrid[0:size // 3000 + 1, 0:1000]
        noise = np.random.default_rng(self.chance.randrange(1 << 30)).normal(0, 3, (*x.shape, 3))
        waves = np.stack([128 + 90 * np.sin(x / 90 + shift) + 30 * np.cos(y / 50) for shift in range(3)], -1)
        return b"BM" + struct.pack("<I", size) + bytes(46) + (waves + noise).clip(0, 255).astype(np.uint8).tobytes()

    def vmdk(self, size: int) -> bytes:
        parts: list[bytes] = []
        while sum(map(len, parts)) < size:
            parts.append(self.chance.choice((bytes(65536), self.txt(40_000), self.csv(40_000), bytes(131_072))))
        return b"".join(parts)[:size]

    def exe(self, size: int) -> bytes:
        weights = [40, *[1] * 100, *[2] * 155]
        return b"MZ" + bytes(100) + bytes(self.chance.choices(range(256), weights=weights, k=size))

    def png(self, size: int) -> bytes:
        side = int((size / 3) ** 0.5) + 1
        packed = zlib.compress(b"".join(b"\0" + self.chance.randbytes(side * 2) + bytes(side) for _ in range(side)))

        def part(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = part(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        body = b"".join(part(b"IDAT", packed[at:at + 8192]) for at in range(0, len(packed), 8192))
        return b"\x89PNG\r\n\x1a\n" + head + body + part(b"IEND", b"")

    def jpg(self, size: int) -> bytes:
        scan = self.chance.randbytes(size).replace(b"\xff", b"\xff\0")[:size]
        return b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xdb" + bytes(67) + scan + b"\xff\xd9"

    def docx(self, size: int) -> bytes:
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            number = 0
            while made.tell() < size:
                number += 1
                archive.writestr(f"word/p{number}.xml", self.txt(self.chance.randint(20_000, 90_000)))
                if number % 3 == 0:
                    archive.writestr(f"word/media/i{number}.png", self.png(30_000))
        return made.getvalue()

    def pdf(self, size: int) -> bytes:
        made, number = bytearray(b"%PDF-1.7\n"), 0
        while len(made) < size:
            number += 1
            data = zlib.compress(self.txt(self.chance.randint(20_000, 60_000)))
            made += b"%d 0 obj\n<< /Length %d /Filter /FlateDecode >>\nstream\n" % (number, len(data))
            made += data + b"\nendstream\nendobj\n"
        return bytes(made) + b"xref\ntrailer\n%%EOF"


KINDS = ("txt", "csv", "log", "json", "sqlite", "doc", "bmp", "vmdk", "exe", *DENSE)


def encrypt(data: bytes, pattern: str, chance: random.Random) -> bytes:
    """The file as ransomware of that pattern leaves it; random bytes stand for a cipher's."""
    made, size = bytearray(data), len(data)

    def hit(begin: int, end: int) -> None:
        made[begin:min(end, size)] = chance.randbytes(max(0, min(end, size) - begin))

    at = 0
    if pattern == "full":
        hit(0, size)
    elif pattern == "head":
        hit(0, chance.choice((16_384, 65_536, 131_072)))
    elif pattern == "chunked":
        chunk, skip = chance.choice(((16_384, 49_152), (65_536, 65_536), (32_768, 131_072)))
        for at in range(0, size, chunk + skip):
            hit(at, at + chunk)
    elif pattern == "intermittent":
        while at < size:
            chunk = chance.randint(2, 20) * 4096
            hit(at, at + chunk)
            at += chunk + chance.randint(4, 40) * 4096
    elif pattern == "fine":
        step = chance.choice((32, 64, 256, 1024))
        for at in range(0, size, step):
            hit(at, at + step // 2)
    return bytes(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--show", action="store_true", help="print the maps that were read wrong")
    args = parser.parse_args()
    chance, maker = random.Random(args.seed), Maker(args.seed)
    right: collections.Counter[str] = collections.Counter()
    made: collections.Counter[str] = collections.Counter()
    false_alarms = 0
    for _ in range(args.rounds):
        for kind in KINDS:
            plain = getattr(maker, kind)(chance.choice((600_000, 1_200_000, 2_000_000)))
            for pattern in PATTERNS:
                found = map_bytes(encrypt(plain, pattern, chance))
                same = found.pattern == pattern or (
                    pattern == "fine" and kind in DENSE and found.pattern in ("full", "intermittent"))
                made.update((pattern, kind, "all"))
                right.update((pattern, kind, "all") if same else ())
                false_alarms += pattern == "untouched" and not same
                if args.show and not same:
                    print(f"  {kind} {pattern}: read as {found.pattern}  {found.row()}")
    for name in (*PATTERNS, *KINDS, "all"):
        print(f"{name:13} {right[name]:4} of {made[name]}")
    print(f"untouched files called encrypted: {false_alarms}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
