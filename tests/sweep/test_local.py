"""Workers that make runs: killed, refused, diverged, stopped."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from clbench.config import BenchmarkConfig, LearnerConfig, NetworkConfig, RunConfig
from clbench.errors import InputError
from clbench.report import RunReport
from clbench.run import run
from clbench.store.claims import claim_directory
from clbench.strategies import resolved
from clbench.sweep import states
from clbench.sweep.executor import Ended, Settings
from clbench.sweep.local import Pool
from clbench.sweep.states import Planned, State, place_of, state_of
from clbench.sweep.worker import Order, made
from tests.platforms import posix_signals
from tests.run.test_resume import content

SETTINGS = Settings(1, tensorboard=False)


def config(strategy: str = "random_replay", seed: int = 0, **learner: Any) -> RunConfig:
    network = NetworkConfig("mlp", width=16, depth=1)
    return RunConfig(
        strategy=strategy,
        seed=seed,
        benchmark=BenchmarkConfig("split_mnist5k", train_per_class=20, num_experiences=2),
        learner=LearnerConfig(network=network, epochs=1).replace(**learner),
    )


def planned(*configs: RunConfig) -> list[Planned]:
    return [Planned(f"r{number}", "row", one) for number, one in enumerate(configs)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))


class Swept(NamedTuple):
    """What two workers made of five runs; the first two, begun at once, need the same sets."""

    folder: Path
    jobs: list[Planned]
    ended: dict[str, Ended]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    distillation = {"network": {"width": 16}, "settings": {"num_networks": 10}}
    small = {"set_training": {"epochs": 1}, "distillation": distillation}
    jobs = planned(
        *(resolved(config(name)).updated(small) for name in ("dam_replay", "dam_gdumb")),
        *(config(seed=0), config(seed=1), config(learning_rate=1e30)),
    )
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CLBENCH_CACHE", str(folder / "cache"))
        ended = {e.planned.name: e for e in Pool(folder, SETTINGS, 2).run(jobs)}
    return Swept(folder, jobs, ended)


def test_workers_make_what_a_run_makes(swept: Swept) -> None:
    assert [swept.ended[f"r{n}"].status for n in range(5)] == ["done"] * 4 + ["diverged"]
    assert "lower --learning-rate" in swept.ended["r4"].why
    for job in swept.jobs[2:4]:
        there = RunReport.load(place_of(swept.folder, job.name))
        assert content(there) == content(run(job.config, use_cache=False))
    found = [state_of(place_of(swept.folder, job.name)).status for job in swept.jobs]
    assert found == ["done"] * 4 + ["diverged"]


def test_two_workers_that_need_one_set_make_it_once(swept: Swept) -> None:
    """Replay and GDumb ask for the same two sets at once; one waits for the other's."""
    found = [RunReport.load(place_of(swept.folder, job.name)) for job in swept.jobs[:2]]
    asked = sum(len(report.distillation) for report in found)
    assert asked - sum(report.measured["from_cache"] for report in found) == asked / 2 == 2


@posix_signals
def test_a_worker_that_is_killed_costs_no_run(tmp_path: Path) -> None:
    jobs = planned(config(epochs=40, batch_size=8), config(seed=1))
    pool, killed = Pool(tmp_path, SETTINGS, 1), []

    def kill() -> None:
        place = place_of(tmp_path, "r0")
        while not (place / "checkpoint.pt").exists():
            time.sleep(0.01)
        (worker,) = pool._workers
        killed.append(worker.process.pid)
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    ended = list(pool.run(jobs))
    thread.join()
    assert killed and [e.status for e in ended] == ["done", "done"]
    assert pool._attempts == {"r0": 1}
    values = json.loads((place_of(tmp_path, "r0") / "report.json").read_text())
    del values["measured"]
    assert json.dumps(values) == content(run(jobs[0].config, use_cache=False))


@posix_signals
def test_a_run_that_kills_every_worker_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool(tmp_path, SETTINGS, 1)

    def kill(job: Planned) -> None:
        if job.name == "r0":
            (worker,) = pool._workers
            os.kill(worker.process.pid or 0, signal.SIGKILL)

    ended = list(pool.run(planned(config(), config(seed=1)), kill))
    assert [(e.planned.name, e.status) for e in ended] == [("r0", "failed"), ("r1", "done")]
    assert "3 workers ended during it (exit code -9)" in ended[0].why
    assert state_of(place_of(tmp_path, "r0")) == State("failed", ended[0].why)


@posix_signals
def test_leaving_early_keeps_what_was_reached(tmp_path: Path) -> None:
    jobs = planned(config(seed=1), config(epochs=2000, batch_size=4))
    pool = Pool(tmp_path, SETTINGS, 1)
    for ended in pool.run(jobs):
        assert ended.planned.name == "r0"
        place = place_of(tmp_path, "r1")
        pool._hand_out(deque(jobs[1:]), None)
        while state_of(place).status != "running" or not (place / "status.json").exists():
            time.sleep(0.01)
        time.sleep(0.5)
        break
    pool._stop()
    assert state_of(place_of(tmp_path, "r0")).status == "done"
    assert json.loads((place / "status.json").read_text())["status"] == "interrupted"
    assert state_of(place).status == "unfinished" and (place / "checkpoint.pt").exists()


def test_one_order_at_a_time(tmp_path: Path) -> None:
    order = Order(config(), tmp_path / "run")
    claim = claim_directory(order.directory)
    assert claim is not None
    assert made(order, SETTINGS) == ("taken", "another sweep makes it")
    assert state_of(order.directory).status == "running"
    claim.release()
    assert state_of(order.directory).status == "waiting"
    assert made(order, SETTINGS) == ("done", "")
    written = (order.directory / "report.json").stat().st_mtime_ns
    assert made(order, SETTINGS) == ("done", "")
    assert (order.directory / "report.json").stat().st_mtime_ns == written


def test_what_is_refused_says_why(tmp_path: Path) -> None:
    bad = config().replace(benchmark=BenchmarkConfig("split_mnist"))
    status, why = made(Order(bad, tmp_path / "run"), Settings(1, tmp_path, tensorboard=False))
    assert status == "failed" and "MNIST" in why
    assert state_of(tmp_path / "run") == State("failed", why)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"schema": 2, "runs": {}}', '{"schema": 1, "runs": {"../x": "y"}}']
)
def test_a_folder_of_something_else(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected the folder of a sweep"):
        states.remembered(tmp_path)
    (tmp_path / states.PLAN).write_text(text)
    with pytest.raises(InputError, match="expected the folder of a sweep"):
        states.remembered(tmp_path)
