"""Comparing many runs: seconds of ``clbench compare``, figures and all.

    python -m tests.speed.comparison --runs runs/split_mnist
    python -m tests.speed.comparison --reports 500

Copies of the reports below ``--runs`` (without it, those kept for the tests), each with a seed of
its own and the accuracies of its last row moved a little, so that none is left out as a repeat.
The aim for 500 is 5 s; 3.3 to 4.4 s were measured. Copies have no pictures of memories: 504
reports with them, in 72 rows and 12 sections, took 7.5 to 7.7 s on two free cores.
Wall time depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from clbench.comparison import compare, load_runs
from clbench.store.files import write_json

APART = ("auto", "protocol")
KEPT = Path(__file__).parents[1] / "kept"


def copies(sources: Path, count: int, folder: Path) -> int:
    """Write so many reports with seeds of their own below ``folder``; the number of their rows."""
    rng = np.random.default_rng(0)
    kept, _ = load_runs([sources]).without_repeats()
    rows = [group.reports[0].to_dict() for group in compare(kept, group_by=APART).groups]
    for number in range(count):
        report = rows[number % len(rows)]
        config = {**report["config"], "seed": number // len(rows)}
        *before, last = report["accuracy_matrix"]
        moved = np.clip(np.asarray(last) + rng.normal(0, 0.003, len(last)), 0, 1).tolist()
        changed = {"config": config, "accuracy_matrix": [*before, moved]}
        write_json(folder / f"run-{number}" / "report.json", {**report, **changed})
    return len(rows)


def seconds_of(folder: Path, output: Path) -> float:
    """Wall seconds of the command, from its start to its end."""
    command = ["compare", str(folder), "--quiet", "--output", str(output)]
    command += ["--group-by", ",".join(APART)]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "clbench", *command], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure and print the median and all times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=KEPT, help="reports to copy")
    parser.add_argument("--reports", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "runs"
        rows = copies(arguments.runs, arguments.reports, folder)
        found = [seconds_of(folder, Path(made) / f"out-{i}") for i in range(arguments.repeats)]
    shown = ", ".join(f"{seconds:.1f}" for seconds in found)
    spent = sum(os.times()[2:4]) / len(found)
    print(
        f"{arguments.reports} reports in {rows} rows: {statistics.median(found):.1f} s ({shown}), "
        f"{spent:.1f} s of it on the processor"
    )


if __name__ == "__main__":
    main()
