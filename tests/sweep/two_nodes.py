"""One grid by local processes, and by Ray on two nodes of which one is killed under way.

    python -m tests.sweep.two_nodes

Both nodes are on this machine, and share neither a cache nor a folder for temporary files. Prints
how many reports agree to the byte but for times, how many runs were lost with the node, and that
Ctrl-C and the same command after it lose none. Needs Ray: ``pip install 'clbench[ray]'``.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.sweep.commands import reports, same, sweep

GRID = ["--vary", "strategy=random_replay,dam_replay", "--no-tensorboard"]
SMALL = ["--train-per-class", "100", "--epochs", "2", "--num-networks", "6", "--distill-width", "8"]
MOST_SECONDS = 900.0


def main() -> None:
    """Make the grid in three ways."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    try:
        from ray.cluster_utils import Cluster
    except ImportError:
        sys.exit("this needs Ray: pip install 'clbench[ray]'")
    seeds = ",".join(map(str, range(options.seeds)))
    grid = [*GRID, *SMALL, "--vary", f"seed={seeds}"]
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        seconds = _finished(folder, "local", [*grid, "--workers", "2"])
        expected = reports(folder / "local")
        print(f"local, 2 processes: {len(expected)} runs in {seconds:.0f} s", flush=True)
        cluster = Cluster(initialize_head=True, head_node_args=_node(folder, "a"))
        try:
            address = ["--ray-address", cluster.address]
            seconds, lost = _with_a_lost_node(folder, cluster, [*grid, *address])
            found = reports(folder / "ray")
            print(
                f"Ray, 2 nodes, one killed: {len(found)} runs in {seconds:.0f} s, {lost} lost and "
                f"made again; {same(found, expected)} of {len(expected)} reports identical",
                flush=True,
            )
            kept, seconds = _with_an_interrupt(folder, [*grid, *address])
            found = reports(folder / "stopped")
            print(
                f"Ray, Ctrl-C under way: stopped after {seconds:.1f} s with {kept} kept, then the "
                f"same command; {same(found, expected)} of {len(expected)} reports identical"
            )
        finally:
            cluster.shutdown()


def _node(folder: Path, name: str) -> dict[str, Any]:
    """A core, and a cache and temporary files of its own."""
    (folder / name).mkdir()
    own = {"CLBENCH_CACHE": str(folder / name / "cache"), "TMPDIR": str(folder / name)}
    return {"num_cpus": 1, "env_vars": own}


def _finished(folder: Path, name: str, arguments: list[str]) -> float:
    """Sweep to the end; how long that took."""
    start = time.monotonic()
    command = _started(folder, name, arguments)
    if command.wait():
        sys.exit((folder / f"{name}.txt").read_text())
    return time.monotonic() - start


def _started(folder: Path, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    printed = folder / f"{name}.txt"
    return sweep(folder / name, arguments, cache=folder / "driver", printed=printed)


def _with_a_lost_node(folder: Path, cluster: Any, arguments: list[str]) -> tuple[float, int]:
    """Kill the second node when the first runs are done; seconds, and how many runs were lost."""
    second = cluster.add_node(**_node(folder, "b"))
    start = time.monotonic()
    command = _started(folder, "ray", arguments)
    _wait_for(command, folder / "ray", "report.json", 2)
    time.sleep(2.0)
    cluster.remove_node(second, allow_graceful=False)
    if command.wait():
        sys.exit((folder / "ray.txt").read_text())
    return time.monotonic() - start, (folder / "ray.txt").read_text().count("submitted again")


def _with_an_interrupt(folder: Path, arguments: list[str]) -> tuple[str, float]:
    """Ctrl-C when a state has come, then the same command; what was kept, seconds to stop."""
    command = _started(folder, "stopped", arguments)
    _wait_for(command, folder / "stopped", "checkpoint.pt", 1, "dam_replay*")  # sent by a node
    start = time.monotonic()
    os.killpg(command.pid, signal.SIGINT)
    code = command.wait()
    seconds = time.monotonic() - start
    assert code == 130, (code, (folder / "stopped.txt").read_text())
    done = len(list((folder / "stopped").glob("runs/*/report.json")))
    states = len(list((folder / "stopped").glob("runs/*/checkpoint.pt")))
    _finished(folder, "stopped", arguments)
    return f"{done} finished and {states} unfinished runs", seconds


def _wait_for(
    command: subprocess.Popen[bytes], folder: Path, name: str, num: int, run: str = "*"
) -> None:
    """Until so many of these runs have a file of this name."""
    end = time.monotonic() + MOST_SECONDS
    while len(list(folder.glob(f"runs/{run}/{name}"))) < num:
        if command.poll() is not None or time.monotonic() > end:
            sys.exit(f"ended too soon: {folder.with_suffix('.txt').read_text()}")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
