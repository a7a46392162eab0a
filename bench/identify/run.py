"""Which ransomware, note by note: CPU, memory and answers of ours and of a peer, in turns on one machine.

    PYTHONPATH=src .venv/bin/python bench/identify/run.py NOTES_DIR [--peer PYTHON] [--rounds 3] [--stage DIR]

NOTES_DIR holds labels.tsv (path, family, aliases, note_filename) and the notes. PYTHON is an interpreter in whose
environment the package ransomtriage is installed. Both see each note under the name it had on the victim's disk.
Start-up (loading knowledge) is measured apart from the notes.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()


def stage(notes: Path, out: Path) -> list[tuple[Path, set[str]]]:
    """The notes under their own names, with the names that count as right."""
    with (notes / "labels.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    staged = []
    for row in rows:
        name = (row.get("note_filename") or "").replace("\\", "/").rsplit("/", 1)[-1] or Path(row["path"]).name
        target = out / Path(row["path"]).stem / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notes / row["path"], target)
        names = [row["family"], *filter(None, (row.get("aliases") or "").split(","))]
        staged.append((target, {_key(one) for one in names}))
    return staged


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\b(ransomware|locker)\b|[\s_-]+v?\d+(\.\d+)*\s*$", "", name.lower()))


def ours(paths: list[Path]) -> dict[str, object]:
    from hikeshi.identify import Input, examine_input, prepare

    began = time.process_time()
    families = prepare()
    start = time.process_time() - began
    examine_input(Input("warm.txt", text="warm up"), families)
    began = time.process_time()
    named = [examine_input(Input(path.name, data=path.read_bytes()), families).answer.family for path in paths]
    return _told(start, began, named)


def peer(paths: list[Path]) -> dict[str, object]:
    from ransomtriage.catalog import load_catalog
    from ransomtriage.engine import scan_path

    began = time.process_time()
    catalog = load_catalog()
    start = time.process_time() - began
    began = time.process_time()
    named = []
    for path in paths:
        matches = scan_path(path, catalog, check_entropy=False).matches
        named.append(matches[0].family if matches else None)
    return _told(start, began, named)


def _told(start: float, began: float, named: list[str | None]) -> dict[str, object]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"start_s": start, "cpu_s": time.process_time() - began, "peak_mib": peak, "named": named}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notes", type=Path)
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter that has ransomtriage")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", choices=("ours", "peer"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        paths = [Path(line) for line in args.notes.read_text(encoding="utf-8").splitlines()]
        print(json.dumps({"ours": ours, "peer": peer}[args.child](paths)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        staged = stage(args.notes, Path(folder) / "notes")
        listed = Path(folder) / "paths"
        listed.write_text("\n".join(str(path) for path, _ in staged), encoding="utf-8")
        pythons = {"ours": sys.executable, **({"peer": args.peer} if args.peer else {})}
        runs: dict[str, list[dict]] = {name: [] for name in pythons}
        for _ in range(args.rounds):
            for name, python in pythons.items():
                done = subprocess.run([python, str(HERE), str(listed), "--child", name], check=True,
                                      capture_output=True, text=True)
                runs[name].append(json.loads(done.stdout))
    print(f"{len(staged)} notes, {args.rounds} rounds")
    print(f"{'':6} {'CPU ms/note':>12} {'start s':>8} {'peak MiB':>9} {'named':>6} {'right':>6} {'wrong':>6}")
    for name, found in runs.items():
        named = found[0]["named"]
        right = sum(1 for one, (_, wanted) in zip(named, staged, strict=True) if one and _key(one) in wanted)
        answered = sum(1 for one in named if one)
        print(f"{name:6} {1000 * statistics.median(r['cpu_s'] for r in found) / len(staged):12.2f} "
              f"{statistics.median(r['start_s'] for r in found):8.2f} {max(r['peak_mib'] for r in found):9.0f} "
              f"{answered:6} {right:6} {answered - right:6}")
    if "peer" in runs:
        ratios = [a["cpu_s"] / b["cpu_s"] for a, b in zip(runs["ours"], runs["peer"], strict=True)]
        print(f"CPU ours / peer: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
