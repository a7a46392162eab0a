"""One million logons: CPU seconds for building the story (graph, ranks, spread) from digests that are there already.

The logons lie between 600 machines and 2,400 accounts over two weeks; among them an intrusion by PsExec and
remote desktop. Prints CPU seconds and peak memory; the digest's own seconds apart.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from pathlib import Path

from hikeshi.events.table import TableBuilder
from hikeshi.evidence.source import Source
from hikeshi.trace import Digest, Gathered, build_story, digest

_BATCH = 100_000
_BEGIN = 1_780_880_400_000_000
_SPAN = 14 * 86_400_000_000


def made(logons: int) -> tuple[Digest, float]:
    """(digest, CPU seconds it took without making the records)."""
    chance = random.Random(9)
    source = Source(Path("s"), "Security.evtx", "0" * 64, 1, kind="evtx")
    parts, seconds = Gathered(), 0.0
    for start in range(0, logons, _BATCH):
        builder = TableBuilder()
        for number in range(start, min(start + _BATCH, logons)):
            user = int(chance.paretovariate(0.7)) % 2400
            builder.add(
                _BEGIN + number * _SPAN // logons,
                {
                    "event.code": "4624",
                    "winlog.channel": "Security",
                    "host.name": f"SRV{(user * 7 + chance.randrange(6)) % 100}.corp.example",
                    "winlog.record_id": number,
                    "TargetUserName": f"user{user}",
                    "TargetDomainName": "CORP",
                    "LogonType": "3" if number % 9 else "10",
                    "IpAddress": f"10.9.{user % 2}.{user % 250 + 1}",
                    "TargetLogonId": hex(number),
                },
            )
        if start == 0:
            _intrusion(builder)
        table = builder.build()
        begun = time.process_time()
        parts.append(digest(source, table))
        seconds += time.process_time() - begun
    begun = time.process_time()
    whole = Digest.merge(parts)
    return whole, seconds + time.process_time() - begun


def _intrusion(builder: TableBuilder) -> None:
    for step in range(40):
        at = _BEGIN + _SPAN // 2 + step * 60_000_000
        base = {"winlog.channel": "Security", "host.name": f"SRV{step}.corp.example", "winlog.record_id": 10**9 + step}
        address = "203.0.113.9" if step == 0 else f"10.9.8.{step + 9}"
        logon = {"TargetUserName": "adm", "LogonType": "10", "IpAddress": address, "TargetLogonId": hex(2**40 + step)}
        builder.add(at, {**base, "event.code": "4624", **logon})
        builder.add(at, {**base, "event.code": "4624", "TargetUserName": f"SRV{step}$", "LogonType": "3",
                         "IpAddress": f"10.9.8.{step + 10}"})  # fmt: skip
        dump = "rundll32.exe comsvcs.dll, MiniDump 640 x.dmp full"
        builder.add(at + 9_000_000, {**base, "event.code": "4688", "SubjectUserName": "adm", "CommandLine": dump,
                                     "NewProcessName": "C:\\Windows\\System32\\rundll32.exe",
                                     "SubjectLogonId": hex(2**40 + step)})  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--logons", type=int, nargs="+", default=[1_000_000])
    print("logons      digest CPU s  story CPU s  peak MiB  held  steps  ranked")
    for logons in parser.parse_args().logons:
        whole, digesting = made(logons)
        begun = time.process_time()
        story = build_story([whole])
        told = time.process_time() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{logons:10,} {digesting:13.1f} {told:12.1f} {peak:9,} {len(story.compromised_hosts):5}"
            f" {len(story.spread):6} {len(story.ranking):7}",
            flush=True,
        )


if __name__ == "__main__":
    main()
