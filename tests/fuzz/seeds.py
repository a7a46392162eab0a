"""Inputs to begin with: small event logs from the demo's own writer."""

from __future__ import annotations

import random

from hikeshi.demo.evtx_writer import EvtxWriter, Template

GUID = "11111111-2222-3333-4444-555555555555"
KINDS = (
    Template("Kaede-Test", GUID, "Kaede/Operational", 7, (
        ("Text", "string"), ("Small", "uint8"), ("Short", "uint16"), ("Number", "uint32"), ("Large", "uint64"),
        ("Truth", "boolean"), ("Blob", "binary"), ("Id", "guid"), ("Size", "size"), ("When", "filetime"),
        ("Who", "sid"), ("Mask", "hex32"), ("Wide", "hex64"))),
    Template("Kaede-Audit", GUID, "Security", 4688, (("NewProcessName", "string"), ("ProcessId", "hex64"),
                                                     ("CommandLine", "string")), version=2, literal_provider=True),
    Template("Kaede-Log", GUID, "Security", 1102, (("SubjectUserName", "string"), ("SubjectLogonId", "hex64")),
             user_data=("LogFileCleared", "http://example.com/ns")),
    Template("Kaede-Log", GUID, "Application", 1, (("Same", "string"), ("Same", "string"), ("Other", "uint32"))),
    Template("Kaede-Log", GUID, "Application", 2, (("Same", "string"), ("Same", "string"), ("Other", "uint32")),
             user_data=("Part", "http://example.com/ns"), source_name="Old", literal_provider=True, qualifiers=16384),
)
_TIME = 1_790_000_000_123_456
_WORDS = ("", "a", "C:\\Windows\\System32\\cmd.exe", "日本語の値", "😀 pair", "x\0hidden", "tail\0", " spaces ",
          "line\nbreak", "<tag attr='1'>&amp;", "\x01\x1f control")


def chunk_of(seed: int, records: int) -> bytes:
    """One chunk with so many records of all kinds."""
    draw = random.Random(seed)
    writer = EvtxWriter(first_record_id=draw.choice([1, 7, 1 << 33]))
    for number in range(records):
        kind = KINDS[(number + seed) % len(KINDS)] if seed % 3 else draw.choice(KINDS)
        values = [None if draw.random() < .15 else {
            "string": draw.choice(_WORDS), "uint8": draw.randrange(256), "uint16": draw.randrange(1 << 16),
            "uint32": draw.choice([0, 5, 1 << 31]), "uint64": draw.choice([0, 9, (1 << 64) - 1]),
            "boolean": draw.random() < .5, "binary": draw.choice([b"", b"\0", bytes(range(9))]), "guid": GUID,
            "size": draw.randrange(1 << 40), "filetime": _TIME - draw.randrange(10**15),
            "sid": draw.choice(["S-1-5-18", "S-1-5-21-1-2-3-500"]), "hex32": draw.randrange(1 << 32),
            "hex64": draw.choice([0, 0xFFFFFFFFFFFFFFFF])}[sort] for _, sort in kind.fields]
        writer.add(kind, computer="FS01", time=_TIME + number * 1_000_001, values=values,
                   user=draw.choice([None, "S-1-5-18"]), activity=draw.choice([None, GUID]))
    return writer.to_bytes()[4096:4096 + 65536]


def inputs() -> list[bytes]:
    """As compare.log_of takes them."""
    return [bytes((seed % 4 & 2,)) + chunk_of(seed, records).rstrip(b"\0")
            for seed, records in enumerate((1, 1, 1, 1, 1, 2, 3, 4, 5, 5, 8, 12))]
