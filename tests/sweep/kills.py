"""SIGKILL of the driver or of a worker of a local sweep at random, until all its runs are done.

    python -m tests.sweep.kills --kills 10 --seeds 18 --most-seconds 8

After a kill of the driver the same command starts again. Prints how many finished runs were made
again (a report that was written twice), and how many reports are those of a sweep that nobody
disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from tests.sweep.commands import reports, same, sweep

GRID = ["--vary", "strategy=random_replay,dam_replay", "--workers", "2", "--train-per-class", "100",
        "--epochs", "2", "--num-networks", "4", "--distill-width", "4", "--quiet"]  # fmt: skip


class Sweep:
    """One sweep that is killed again and again.

    Attributes:
        found: how often what happened.
    """

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        """Nothing is started yet."""
        self.folder, self._arguments = folder / "sweep", arguments
        self._cache, self._printed = folder / "cache", folder / "printed.txt"
        self._written: dict[Path, int] = {}
        self.found = Counter[str]()

    def kill(self, kills: int, draw: random.Random, most_seconds: float) -> None:
        """Kill it so often at random moments, then let it end."""
        driver = self._started()
        while self.found["kills"] < kills:
            self._watch(driver, draw.uniform(0, most_seconds))
            if driver.poll() is not None:
                print("the sweep ended before all kills; a larger --seeds is needed", flush=True)
                break
            workers = children(driver.pid)
            whom = draw.choice(["driver", "worker"]) if workers else "driver"
            with suppress(ProcessLookupError):
                pid = driver.pid if whom == "driver" else draw.choice(workers)
                os.kill(pid, signal.SIGKILL)
                self.found["kills"] += 1
                self.found[whom] += 1
            if whom == "driver":
                driver.wait()
                driver = self._started()
        self._end(driver)
        left = [path for path in self.folder.glob("runs/*") if not (path / "report.json").exists()]
        self.found["given up"] += len(left)
        if left:
            self._end(self._started("--retry"))

    def _end(self, driver: subprocess.Popen[bytes]) -> None:
        while driver.poll() is None:
            self._watch(driver, 1.0)
        self._look()
        if driver.returncode:
            sys.exit(self._printed.read_text())

    def _started(self, *more: str) -> subprocess.Popen[bytes]:
        arguments = [*self._arguments, *more]
        return sweep(self.folder, arguments, cache=self._cache, printed=self._printed)

    def _watch(self, driver: subprocess.Popen[bytes], seconds: float) -> None:
        """Wait, and count reports that are written twice."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and driver.poll() is None:
            self._look()
            time.sleep(0.1)

    def _look(self) -> None:
        for path in self.folder.glob("runs/*/report.json"):
            at = path.stat().st_mtime_ns
            if self._written.setdefault(path, at) != at:
                self.found["finished runs made again"] += 1
                self._written[path] = at


def children(pid: int) -> list[int]:
    """The workers of a driver, by what Linux tells of it; not the tracker of its semaphores."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return [child for child in found if "spawn_main" in command_of(child)]


def command_of(pid: int) -> str:
    """The command line of a process; "" where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def main() -> None:
    """Sweep straight, then with kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--seeds", type=int, default=6, help="two runs each")
    parser.add_argument("--most-seconds", type=float, default=30.0, help="between two kills")
    options = parser.parse_args()
    if not Path("/proc/self/task").exists():
        sys.exit("this needs Linux")
    arguments = [*GRID, "--vary", f"seed={','.join(map(str, range(options.seeds)))}"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        straight, disturbed = folder / "straight", folder / "disturbed"
        for place in (straight, disturbed):
            place.mkdir()
        undisturbed, killed = Sweep(straight, arguments), Sweep(disturbed, arguments)
        undisturbed.kill(0, random.Random(0), 0.0)
        expected = reports(undisturbed.folder)
        killed.kill(options.kills, random.Random(options.seed), options.most_seconds)
        found = killed.found
        print(
            f"{found['kills']} kills ({found['driver']} of the driver, {found['worker']} of a "
            f"worker): {found['finished runs made again']} finished runs made again; "
            f"{found['given up']} given up after three kills of their workers, done by --retry; "
            f"{same(reports(killed.folder), expected)} of {len(expected)} reports identical"
        )


if __name__ == "__main__":
    main()
