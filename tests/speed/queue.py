"""What the driver of a local sweep spends on 500 runs beside making them.

    python -m tests.speed.queue --runs 500

Workers answer at once instead of making a run. Prints the delay between a worker's answer and its
next order, and the time of planning, of looking at what is done, of ``sweep status`` and of the
comparison at the end, on run directories that hold real reports.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from clbench.cli.group import cli
from clbench.sweep import local
from clbench.sweep.executor import Settings
from clbench.sweep.states import Planned, place_of

GRID = ["sweep", "run", "--no-tensorboard", "--train-per-class", "20", "--epochs", "1"]
STRATEGIES = "random_replay,herding_replay,reservoir_replay,dam_replay,kip_replay"


def main() -> None:
    """Print a table of delays and times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    seeds = ",".join(map(str, range(options.runs // 5)))
    grid = [*GRID, "--vary", f"strategy={STRATEGIES}", "--vary", f"seed={seeds}"]
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        os.environ["CLBENCH_CACHE"] = f"{temporary}/cache"
        _invoke(*GRID, "--vary", "seed=0", "-o", "first", "--workers", "1")  # imports everything
        planned = _planned(grid)
        _report("planning", planned[1], len(planned[0]))
        _delays(planned[0], options.workers)
        _fill(planned[0])
        again = [*grid, "-o", "sweep", "--quiet"]
        _report("sweep status", _timed(lambda: _invoke("sweep", "status", "sweep")), options.runs)
        _report("the same sweep when all is done", _timed(lambda: _invoke(*again)), options.runs)


def _invoke(*arguments: str) -> None:
    done = CliRunner().invoke(cli, list(arguments), prog_name="clbench")
    assert done.exit_code == 0, done.output


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(what: str, seconds: float, num: int) -> None:
    print(
        f"{what}: {seconds:.2f} s for {num} runs, {1000 * seconds / num:.1f} ms a run", flush=True
    )


def _planned(grid: list[str]) -> tuple[list[Planned], float]:
    """The runs of the grid, as the command plans them, and the seconds that this takes."""
    from clbench.cli import sweep

    found: list[tuple[list[Planned], float]] = []
    plan, make = sweep._planned, sweep._make

    def timed(*arguments: Any) -> list[Planned]:
        start = time.perf_counter()
        planned = plan(*arguments)
        found.append((planned, time.perf_counter() - start))
        return planned

    sweep._planned, sweep._make = timed, lambda *a: None  # type: ignore[assignment]
    try:
        _invoke(*grid, "-o", "sweep", "--quiet")
    finally:
        sweep._planned, sweep._make = plan, make
    return found[0]


def _answer_at_once(orders: Connection, settings: Settings) -> None:
    """Stand in for `clbench.sweep.worker.work`: say when an order came and when it was answered."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answered = None
    try:
        while True:
            orders.recv()
            came = time.monotonic()
            waited = "" if answered is None else repr(came - answered)
            orders.send(("done", waited))
            answered = time.monotonic()
    except (EOFError, OSError):
        return


def _delays(planned: list[Planned], workers: int) -> None:
    """Hand the runs out to workers that do nothing; what a worker waits between two orders."""
    work, local.work = local.work, _answer_at_once
    try:
        pool = local.Pool(Path("queue"), Settings(1), workers)
        waits = [1000 * float(ended.why) for ended in pool.run(planned) if ended.why]
    finally:
        local.work = work
    at_99 = statistics.quantiles(waits, n=100)[-1]
    print(
        f"hand-out: a worker waits {statistics.median(waits):.2f} ms between two runs (median), "
        f"{at_99:.2f} ms (99 %), {max(waits):.2f} ms (longest of {len(waits)})",
        flush=True,
    )


def _fill(planned: list[Planned]) -> None:
    """Give every run a report of its own configuration: that of one real run otherwise."""
    (real,) = Path("first").glob("runs/*/report.json")
    values = json.loads(real.read_text())
    for one in planned:
        place = place_of(Path("sweep"), one.name)
        place.mkdir(parents=True)
        values["config"] = {**one.config.to_dict(), "learner": values["config"]["learner"]}
        (place / "report.json").write_text(json.dumps(values))


if __name__ == "__main__":
    main()
