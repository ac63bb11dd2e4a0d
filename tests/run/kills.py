"""SIGKILL at random moments, and the same command after each, until it is finished.

    python -m tests.run.kills --kills 100

Prints how many final reports are those of a straight run, the mean share of all steps that were
taken again after a kill, and how many processes were left. States are written every half second
instead of every half minute, since the runs take seconds instead of minutes.
``tests/run/test_resume.py`` and ``tests/cli/test_resume.py`` are the short form.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.run.commands import Started, count_steps, left_running, require_fork, write_states_every

COMMON = ["--train-per-class", "150", "--quiet"]
RUN = ["run", "--epochs", "6", *COMMON, "-o", "out", "--strategy"]
SET = ["--network", "convnet", "--width", "8", "--evaluation-epochs", "60", "--quiet"]
JOBS = {
    "dam_replay": [*RUN, "dam_replay", "--num-networks", "4", "--distill-width", "8"],
    "pad_replay": [*RUN, "pad_replay", "--num-updates", "10", "--distill-width", "4",
                   "--num-experts", "1", "--expert-epochs", "4", "--num-difficulty-networks", "1",
                   "--difficulty-epochs", "1", "--expert-batch-size", "32", "--matched-start",
                   "none", "--student-steps", "5", "--expert-snapshots", "1", "--last-start", "2",
                   "--initial-last-start", "1", "--first-start", "0", "--codec", "raw",
                   "--images-per-class", "2"],
    "herding_replay": [*RUN, "herding_replay"],
    "reservoir_replay": [*RUN, "reservoir_replay"],
    "random_gdumb": [*RUN, "random_gdumb", "--set-epochs", "40"],
    "cumulative": [*RUN, "cumulative"],
    "distill": ["distill", "--num-networks", "20", "--distill-width", "8", "--images-per-class",
                "2", "--no-evaluate", "--quiet", "-o", "out/set.safetensors"],
    "offline": ["evaluate", "offline", "--network", "mlp", "--epochs", "4", "--quiet", "-o", "out"],
    "search": ["evaluate", "architecture-search", "SET", "--candidates", "3", "--full-epochs", "1",
               "--evaluation-epochs", "60", "--workers", "2", "--quiet", "-o", "out"],
}  # fmt: skip
RESULT = {"distill": "set.json"}  # others write report.json
MEASURED = ("seconds", "distil_seconds", "full_seconds", "from_cache", "measured", "set")


def content(value: Any) -> Any:
    """What was found, without what was measured of the machine."""
    if isinstance(value, dict):
        return {k: content(v) for k, v in value.items() if k not in MEASURED}
    return [content(v) for v in value] if isinstance(value, list) else value


class Job:
    """One command, killed again and again.

    Attributes:
        found: how often what happened.
        shares: steps that were taken again after a kill, as a share of a straight run's.
    """

    def __init__(self, name: str, folder: Path, draw: random.Random) -> None:
        """Run it straight once."""
        self._name, self._folder, self._draw, self._number = name, folder, draw, 0
        self.found, self.shares = Counter[str](), list[float]()
        self._steps = folder.parent / "steps"
        began, place, before = time.monotonic(), self._place(), self._num_steps()
        assert self._start(place).wait() == 0, (place / ".printed").read_text()
        self._seconds, self._expected = time.monotonic() - began, self._result(place)
        self._straight = self._num_steps() - before

    def kill(self, kills: int) -> None:
        """Kill it so often, and let it end after a few kills each time."""
        while self.found["kills"] < kills:
            before, here, place = self._num_steps(), 0, self._place()
            while not self._is_done(place):
                command = self._start(place)
                wait = self._draw.uniform(0, self._seconds)
                code = command.wait(wait if self.found["kills"] < kills else None)
                if code is None:
                    command.kill()
                    self.found["kills"] += 1
                    here += 1
                elif code:
                    self.found["refused"] += 1
                    print(f"{self._name}: exit {code}: {command.printed[-2000:]}")
                    break
            else:
                self.found["ended"] += 1
                self.found["identical"] += self._result(place) == self._expected
                self.found["left over"] += len(list(place.rglob("*checkpoint*")))
                again = self._num_steps() - before - self._straight
                if here and self._straight:  # workers of their own are not counted
                    self.shares.append(again / self._straight / here)
            time.sleep(1.0)
            self.found["orphans"] += len(left_running(place / "cache"))

    def _place(self) -> Path:
        self._number += 1
        place = self._folder / str(self._number)
        place.mkdir(parents=True)
        return place

    def _start(self, place: Path) -> Started:
        made = str(self._folder.parent / "set.safetensors")
        arguments = [made if a == "SET" else a for a in JOBS[self._name]]
        return Started(arguments, place, place / "cache")

    def _is_done(self, place: Path) -> bool:
        return (place / "out" / RESULT.get(self._name, "report.json")).exists()

    def _result(self, place: Path) -> Any:
        file = place / "out" / RESULT.get(self._name, "report.json")
        return content(json.loads(file.read_text()))

    def _num_steps(self) -> int:
        return self._steps.stat().st_size


def main() -> None:
    """Divide the kills among the jobs."""
    require_fork()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=18)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two states")
    parser.add_argument("jobs", nargs="*", default=list(JOBS))
    options = parser.parse_args()
    write_states_every(options.every)
    draw, total, shares = random.Random(options.seed), Counter[str](), list[float]()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make = ["distill", "--distiller", "herding", "--images-per-class", "2", "--no-evaluate"]
        count_steps(folder / "steps")
        made = Started([*make, "--quiet", "-o", "set.safetensors"], folder, folder / "cache")
        assert made.wait() == 0, made.printed
        for name in options.jobs:
            job = Job(name, folder / name, draw)
            job.kill(-(-options.kills // len(options.jobs)))
            share = sum(job.shares) / max(1, len(job.shares))
            print(f"{name}: {dict(job.found)}; {100 * share:.0f} % again", flush=True)
            total += job.found
            shares += job.shares
    print(f"all: {dict(total)}; {100 * sum(shares) / max(1, len(shares)):.0f} % again")


if __name__ == "__main__":
    main()
