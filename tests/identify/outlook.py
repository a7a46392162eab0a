"""Makes Outlook messages (.msg) and winmail.dat for the tests. Source: [MS-CFB], [MS-OXMSG], [MS-OXTNEF], [MS-OXRTFCP]."""

from __future__ import annotations

import struct

FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
Tree = dict[str, "bytes | Tree"]


def container(tree: Tree) -> bytes:
    """A compound file with these streams and storages."""
    entries: list[list] = [["Root Entry", 5, FREE, FREE, FREE, END, 0]]
    sectors: list[bytes] = []
    fat: list[int] = []
    small, small_fat = bytearray(), []

    def chain(data: bytes) -> int:
        first, count = len(sectors), -(-len(data) // 512)
        for number in range(count):
            sectors.append(data[number * 512:(number + 1) * 512].ljust(512, b"\0"))
            fat.append(first + number + 1 if number < count - 1 else END)
        return first if count else END

    def put(data: bytes) -> int:
        if len(data) >= 4096:
            return chain(data)
        first, count = len(small_fat), -(-len(data) // 64)
        for number in range(count):
            small.extend(data[number * 64:(number + 1) * 64].ljust(64, b"\0"))
            small_fat.append(first + number + 1 if number < count - 1 else END)
        return first if count else END

    def add(parent: int, branch: Tree) -> None:
        before = None
        for name, inside in sorted(branch.items(), key=lambda item: (len(item[0]), item[0].upper())):
            entries.append([name, 1 if isinstance(inside, dict) else 2, FREE, FREE, FREE, 0, 0])
            at = len(entries) - 1
            if before is None:
                entries[parent][4] = at
            else:
                entries[before][3] = at
            before = at
            if isinstance(inside, dict):
                add(at, inside)
            else:
                entries[at][5], entries[at][6] = put(inside), len(inside)

    add(0, tree)
    entries[0][6] = len(small)
    entries[0][5] = chain(bytes(small))
    small_fat += [FREE] * (-len(small_fat) % 128)
    small_at = chain(struct.pack(f"<{len(small_fat)}I", *small_fat)) if small_fat else END
    table = b"".join(
        name.encode("utf-16-le").ljust(64, b"\0") + struct.pack("<HBBIII", len(name) * 2 + 2, kind, 1, left, right, child)
        + bytes(36) + struct.pack("<IQ", start, size) for name, kind, left, right, child, start, size in entries)
    table += (bytes(64) + struct.pack("<HBBIII", 0, 0, 0, FREE, FREE, FREE) + bytes(48)) * (-len(entries) % 4)
    directory_at = chain(table)
    fat_sectors = 1
    while fat_sectors * 128 < len(fat) + fat_sectors:
        fat_sectors += 1
    fat_at = len(fat)
    fat += [FAT] * fat_sectors
    fat += [FREE] * (fat_sectors * 128 - len(fat))
    difat = [*range(fat_at, fat_at + fat_sectors), *[FREE] * (109 - fat_sectors)]
    head = MAGIC + bytes(16) + struct.pack("<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, fat_sectors, directory_at, 0, 4096,
                                           small_at, len(small_fat) // 128, END, 0)
    return head + struct.pack("<109I", *difat) + b"".join(sectors) + struct.pack(f"<{len(fat)}I", *fat)


def compressed_rtf(rtf: bytes) -> bytes:
    """PidTagRtfCompressed in its form without compression."""
    return struct.pack("<II4sI", len(rtf) + 12, len(rtf), b"MELA", 0) + rtf


def message(*, subject: str = "", body: str = "", rtf: bytes = b"", html: bytes = b"",
            files: tuple[tuple[str, bytes | Tree], ...] = ()) -> Tree:
    """The streams of one message; an attached file that is a tree is a message itself."""
    tree: Tree = {"__properties_version1.0": bytes(32), "__substg1.0_0037001F": subject.encode("utf-16-le"),
                  "__nameid_version1.0": {"__substg1.0_00020102": b"", "__substg1.0_00030102": b""}}
    if body:
        tree["__substg1.0_1000001F"] = body.encode("utf-16-le")
    if rtf:
        tree["__substg1.0_10090102"] = compressed_rtf(rtf)
    if html:
        tree["__substg1.0_10130102"] = html
    for number, (name, data) in enumerate(files):
        inside: Tree = {"__properties_version1.0": bytes(8), "__substg1.0_3707001F": name.encode("utf-16-le")}
        inside["__substg1.0_3701000D" if isinstance(data, dict) else "__substg1.0_37010102"] = data
        tree[f"__attach_version1.0_#{number:08X}"] = inside
    return tree


def msg(**parts) -> bytes:
    return container(message(**parts))


def winmail(name: str, data: bytes) -> bytes:
    def attribute(level: int, kind: int, body: bytes) -> bytes:
        return struct.pack("<BII", level, kind, len(body)) + body + struct.pack("<H", sum(body) & 0xFFFF)

    return b"\x78\x9f\x3e\x22\x01\x00" + attribute(2, 0x00069002, bytes(14)) + attribute(
        2, 0x00018010, name.encode() + b"\0") + attribute(2, 0x0006800F, data)
