"""What was taken, as far as it can be guessed: what archives hold, and how much left.

Two sources say what an archive holds: its own list of members, if it is among the evidence, and the command
that made it. An archive that lies in an odd folder of a held machine is a find of its own.
How much left has a lower and an upper bound: what logs saw leave, and that plus what was packed and could
have left some other way. Archives shrink what they hold; the bounds speak of bytes sent, not of data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from hikeshi.knowledge.contents import guess
from hikeshi.model.case import Exfiltration, Leak, Staging
from hikeshi.model.evidence import RecordRef
from hikeshi.model.text import Text
from hikeshi.trace.identity import host_name
from hikeshi.trace.programs import ODD_FOLDER
from hikeshi.trace.rows import moment

_WORDS = re.compile(r'"[^"]*"|[^\s"]+')
_SWITCH = re.compile(r"-[\w:=-]{1,40}\Z|/[A-Za-z]{1,2}\Z")
_ARCHIVE = re.compile(r"\.(?:7z|zip|rar|cab|tar|gz|tgz)(?:\.\d{3})?\Z", re.I)
_KINDS, _FINDS = 4, 50


@dataclass(frozen=True, slots=True)
class Package:
    """An archive among the evidence; `members` are the names in it, none where it could not be opened."""

    ref: RecordRef
    size: int
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.ref.path.replace("\\", "/").replace("!/", "/").rpartition("/")[2].lower()


def packed_names(command: str) -> list[str]:
    """What a packing command names besides its program, its switches and the archive it writes."""
    words = [word.strip('"') for word in _WORDS.findall(command[:8_192])]
    return [w for w in words[1:]
            if w and not (_SWITCH.match(w) or _ARCHIVE.search(w) or w.lower().endswith(".exe"))]


def described(found: Iterable[tuple[Staging, Sequence[str]]], packages: Sequence[Package]) -> list[Staging]:
    """Each archive with its size and what it may hold; `found` has the names its commands packed."""
    out = []
    for staging, named in found:
        package = _package(staging, packages)
        names = [*named, staging.path] if package is None else [*package.members, *named, staging.path]
        out.append(replace(
            staging, content=_content(names),
            bytes=staging.bytes if package is None else package.size,
            records=staging.records if package is None else (*staging.records, package.ref)))
    return out


def _content(names: Sequence[str]) -> tuple[Text, ...]:
    return tuple(kind.says for kind in guess(names)[:_KINDS])


def _package(staging: Staging, packages: Sequence[Package]) -> Package | None:
    """The archive itself: of that name, and the only one, or the only one under the machine's folder."""
    name = staging.path.replace("\\", "/").rpartition("/")[2].lower()
    same = [p for p in packages if p.name == name]
    if len(same) > 1:
        same = [p for p in same if staging.host in {host_name(part) for part in p.ref.path.split("/")[:-1]}]
    return same[0] if len(same) == 1 else None


def left_behind(packages: Sequence[Package], machine: Callable[[RecordRef], str | None], held: Iterable[str],
                known: Iterable[Staging]) -> list[Staging]:
    """Archives in odd folders of held machines that no log speaks of. `machine` tells whose file it is."""
    hosts, cited = set(held), {ref for staging in known for ref in staging.records}
    out = []
    for package in packages:
        host = machine(package.ref)
        path = "\\" + package.ref.path.replace("!/", "/").replace("/", "\\")
        if host not in hosts or host is None or package.ref in cited or not ODD_FOLDER.search(path):
            continue
        out.append(Staging(host=host, path=package.ref.path, time=None, bytes=package.size, confidence="low",
                           content=_content([*package.members, package.name]), records=(package.ref,)))
        if len(out) == _FINDS:
            break
    return out


def estimate(staging: Sequence[Staging], uploads: Sequence[Exfiltration]) -> Leak | None:
    """How much left at least and at most (bytes); None where nothing was gathered or sent.

    An archive counts as sent where its machine sent something afterwards; otherwise it may have left unseen.
    """
    if not staging and not uploads:
        return None
    least, open_end = sum(u.bytes or 0 for u in uploads), any(u.bytes is None for u in uploads)
    reasons = [
        Text(f"{u.source}から{u.destination}へ{u.bytes:,}バイトが送られた記録があります",
             f"{u.bytes:,} bytes are recorded from {u.source} to {u.destination}") if u.bytes is not None else
        Text(f"{u.source}から{u.destination}への送信は、量の記録がありません",
             f"how much went from {u.source} to {u.destination} is not recorded")
        for u in uploads]
    unsent = [s for s in staging if not _sent(s, uploads)]
    for one in unsent:
        if one.bytes is None:
            reasons.append(Text(f"{one.host}の{one.path}は送られた記録がなく、大きさもわかりません",
                                f"{one.path} on {one.host}: no record that it was sent, and its size is not known"))
        else:
            reasons.append(Text(f"{one.host}の{one.path}({one.bytes:,}バイト)は送られた記録がありません",
                                f"{one.path} on {one.host} ({one.bytes:,} bytes): no record that it was sent"))
    open_end = open_end or any(s.bytes is None for s in unsent)
    return Leak(
        least=least, most=None if open_end else least + sum(s.bytes or 0 for s in unsent),
        content=tuple(dict.fromkeys(text for s in staging for text in s.content)),
        reasons=tuple(reasons[:20]),
        confidence="medium" if uploads and not open_end else "low",
        records=tuple(dict.fromkeys(r for e in (*uploads, *staging) for r in e.records))[:20])


def _sent(staging: Staging, uploads: Sequence[Exfiltration]) -> bool:
    return any(u.source == staging.host and (staging.time is None or moment(u.last) >= moment(staging.time))
               for u in uploads)
