"""The story against generated incidents: how often the way in stands first, hosts and accounts right, decoys accused.

Prints a row a plot and two sums: plots for tuning, and plots held back. Each incident is written to a
temporary folder, parsed and told in this process (or `--jobs` of them); nothing is kept.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from hikeshi.demo.incidents import Plot, plots, write_incident
from hikeshi.demo.incidents.run import tell
from hikeshi.demo.incidents.score import Score, score


def one(job: tuple[str, int]) -> tuple[str, int, Score, float]:
    name, seed = job
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_incident(name, root / "evidence", seed=seed)
        truth = json.loads((root / "truth.json").read_text("utf-8"))
        begun = time.process_time()
        case = tell(root / "evidence", root / "known.csv")
        return name, seed, score(truth, case), time.process_time() - begun


def _share(right: int, other: int) -> str:
    return f"{100 * right / (right + other):6.1f}" if right + other else "     -"


def _row(label: str, scores: list[Score]) -> str:
    cells = [f"{label:22} {len(scores):4} {sum(s.entry_first for s in scores):5}"]
    for which in ("hosts", "accounts", "spread"):
        sets = [getattr(s, which) for s in scores]
        right, missed, wrong = (sum(len(x[n]) for x in sets) for n in range(3))
        cells.append(f"{_share(right, wrong)} {_share(right, missed)}")
    cells.append(f"{sum(len(s.accused) for s in scores):6}")
    return "  ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--plots", nargs="+")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--details", action="store_true", help="what is missed or wrong; held back plots stay closed")
    parser.add_argument("--tuning-only", action="store_true")
    wanted = parser.parse_args()
    chosen: list[Plot] = [
        p for p in plots() if (not wanted.plots or p.name in wanted.plots) and not (wanted.tuning_only and p.held_back)
    ]
    held = {p.name: p.held_back for p in chosen}
    by: dict[str, list[Score]] = defaultdict(list)
    seconds = 0.0
    with ProcessPoolExecutor(wanted.jobs) as pool:
        for name, seed, result, took in pool.map(one, [(p.name, s) for p in chosen for s in wanted.seeds]):
            by[name].append(result)
            seconds += took
            if wanted.details and not held[name]:
                print(f"{name} {seed}: {'' if result.entry_first else 'NOT '}first: {result.entry}")
                for which in ("hosts", "accounts", "spread"):
                    _, missed, wrong = getattr(result, which)
                    if missed or wrong:
                        print(f"    {which}: missed {sorted(missed)} wrong {sorted(wrong)}")
                if result.accused:
                    print(f"    accused {sorted(result.accused)}")
    print(
        f"{'plot':22} {'runs':>4} {'first':>5}  {'hosts P':>6} {'R':>6}  {'acc. P':>6} {'R':>6}  "
        f"{'step P':>6} {'R':>6}  decoys"
    )
    for plot in chosen:
        if not plot.held_back:
            print(_row(plot.name, by[plot.name]))
    for label, back in (("for tuning", False), ("held back", True)):
        scores = [s for name, found in by.items() if held[name] is back for s in found]
        if scores:
            print(_row(f"= {label}", scores))
    print(f"{seconds:.0f} CPU seconds to read and tell {sum(map(len, by.values()))} incidents")


if __name__ == "__main__":
    main()
