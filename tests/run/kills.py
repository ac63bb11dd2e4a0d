"""SIGKILL at random moments, and the same command after each, until the run is finished.

    python -m tests.run.kills --kills 100

Prints how many final reports are those of a straight run, and how many experiences were learnt
twice. ``tests/run/test_resume.py`` and ``tests/cli/test_resume.py`` are the short form.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

STRATEGIES = {
    "dam_replay": ["--num-networks", "4", "--distill-width", "8"],
    "pad_replay": ["--num-updates", "10", "--distill-width", "8", "--codec", "raw",
                   "--images-per-class", "2"],
    "herding_replay": [],
    "reservoir_replay": [],
    "random_gdumb": ["--set-epochs", "30"],
    "cumulative": [],
}  # fmt: skip
COMMON = ["--train-per-class", "100", "--epochs", "5", "--quiet"]


def content(directory: Path) -> dict[str, Any]:
    """The report without what is measured."""
    values: dict[str, Any] = json.loads((directory / "report.json").read_text())
    del values["measured"]
    return values


def start(strategy: str, output: Path, cache: Path) -> subprocess.Popen[bytes]:
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "clbench", "run", "--strategy", strategy]
    return subprocess.Popen(
        [*command, *STRATEGIES[strategy], *COMMON, "-o", str(output)],
        env={**os.environ, "CLBENCH_CACHE": str(cache)},
        stderr=subprocess.PIPE,
    )


def killed(strategy: str, folder: Path, kills: int, draw: random.Random) -> Counter[str]:
    """Kill runs of a strategy so often; what became of them."""
    straight, found = folder / "straight", Counter[str]()
    began = time.monotonic()
    assert start(strategy, straight, folder / "cache-straight").wait() == 0
    seconds, expected = time.monotonic() - began, content(straight)
    number = 0
    while found["kills"] < kills:
        number += 1
        output, cache = folder / f"run{number}", folder / f"cache{number}"
        while not (output / "report.json").exists():
            process = start(strategy, output, cache)
            try:
                wait = draw.uniform(0, seconds) if found["kills"] < kills else None
                _, errors = process.communicate(timeout=wait)
                if process.returncode:
                    print(f"{strategy}: exit {process.returncode}: {errors.decode()}")
                    found["refused"] += 1
                    break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                found["kills"] += 1
        else:
            found["runs"] += 1
            found["identical"] += content(output) == expected
            left = [p.name for p in output.iterdir() if p.name.startswith("checkpoint")]
            found["left over"] += len(left)
    return found


def main() -> None:
    """Divide the kills among the strategies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, total = random.Random(options.seed), Counter[str]()
    for strategy in STRATEGIES:
        with tempfile.TemporaryDirectory() as folder:
            share = -(-options.kills // len(STRATEGIES))
            found = killed(strategy, Path(folder), share, draw)
        print(strategy, dict(found), flush=True)
        total += found
    print("all", dict(total))


if __name__ == "__main__":
    main()
