"""Fuzz the readers of event logs for some minutes.

    python tests/fuzz/run.py --minutes 10 --target machine [--corpus DIR] [--findings DIR] [--seeds DIR]

A slice runs as one process at nice 19 with atheris (tests/fuzz/requirements.txt). What brings new ways through the
code goes to a working folder, from which some were taken into the repository's corpus. Each crash, each
input over 10 s and each that takes more than 512 MB is kept as a file under `--findings`. The last line tells what was run.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
MOST_SECONDS = 10
# Under atheris a process grows by up to 1 MB a run, without it the same inputs leave it as it is: processes end in
# time, and what one input takes is measured apart from that, see target.py.
LONGEST, RUNS, MOST_MIB = 16384, 3000, 4000


def main() -> int:
    options = _options()
    work, findings = options.corpus / options.target, options.findings / options.target
    for folder in (work, findings):
        folder.mkdir(parents=True, exist_ok=True)
    _write_seeds(work)
    before, began = len(list(work.iterdir())), time.time()
    seeds = [str(d) for d in (CORPUS, options.seeds) if d is not None and d.is_dir()]
    runs = 0
    while (left := options.minutes * 60 - (time.time() - began)) > 5:
        log = findings / "last.log"
        with log.open("wb") as out:
            code = subprocess.run(_command(options.target, findings, int(left), str(work), *seeds), stdout=out,
                                  stderr=subprocess.STDOUT, env=_environment(), cwd=ROOT, check=False).returncode
        told = log.read_text(errors="replace")
        counts = re.findall(r"(?:^#|number_of_executed_units:\s+)(\d+)", told, re.MULTILINE)
        runs += int(counts[-1]) if counts else 0
        if code:
            # The next round begins elsewhere: the same finding must not be all that is found.
            kept = log.rename(findings / f"{int(time.time())}.log")
            print(f"{options.target}: ended with {code}, see {kept.name}", flush=True)
    use = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = [p.name for p in findings.iterdir() if not p.name.endswith(".log")]
    print(f"{options.target}: {runs} executions, {time.time() - began:.0f} s, {use.ru_utime + use.ru_stime:.0f} s of CPU, "
          f"{len(list(work.iterdir())) - before} new paths, peak {use.ru_maxrss // 1024} MiB, {len(found)} findings")
    return 1 if found else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hikeshi-fuzz"
    parser.add_argument("--target", default="machine")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--corpus", type=Path, default=home / "corpus", help="working folder, grows")
    parser.add_argument("--findings", type=Path, default=home / "findings")
    parser.add_argument("--seeds", type=Path, help="further inputs to begin with; never kept")
    return parser.parse_args()


def _environment() -> dict[str, str]:
    given = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT / "src"), str(ROOT), given)))}


def _command(target: str, findings: Path, seconds: int, *rest: str) -> list[str]:
    return ["nice", "-n", "19", sys.executable, "-m", "tests.fuzz.target", target, *rest,
            f"-max_total_time={seconds}", f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MIB}", f"-max_len={LONGEST}", f"-runs={RUNS}",
            f"-artifact_prefix={findings}{os.sep}", "-print_final_stats=1", "-report_slow_units=10", "-len_control=0"]


def _write_seeds(work: Path) -> None:
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]
    from tests.fuzz.seeds import inputs

    for number, data in enumerate(inputs()):
        (work / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
