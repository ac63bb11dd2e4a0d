"""Commands that are started together do not write over each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from clbench.cli import places
from clbench.store.claims import Claim, claim_directory
from tests.cli.conftest import SMALL_EVALUATION, SMALL_STREAM, Invoke
from tests.platforms import posix_signals

RUN = ["run", *SMALL_STREAM, "--strategy", "random_replay", "--images-per-class", "1"]
RUN += ["--epochs", "1", "--no-tensorboard", "--quiet"]
DISTILL = ["distill", "--distiller", "random", *SMALL_EVALUATION, "--images-per-class", "1"]
DISTILL += ["--no-evaluate", "--quiet"]
OFFLINE = ["evaluate", "offline", "--network", "mlp", "--width", "2", "--quiet"]
OFFLINE += ["--batch-size", "1000", "--no-tensorboard"]


RATES = ("0.01", "0.05", "0.2")
TOGETHER = {
    "runs": [
        *([*RUN, "--learning-rate", rate] for rate in RATES),
        [*RUN, "-o", "same"],
        [*RUN, "-o", "same", "--seed", "1"],
    ],
    "sets": [[*DISTILL, "-o", "s.safetensors"], [*DISTILL, "-o", "s.safetensors", "--seed", "1"]],
    "trainings": [[*OFFLINE, "--epochs", epochs] for epochs in ("2", "3")],
}


class Together(NamedTuple):
    """Commands that were started at once in one folder.

    Attributes:
        folder: where they worked.
        done: exit code and print of each, the successful ones first.
    """

    folder: Path
    done: list[tuple[int, str]]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Together]:
    """All of `TOGETHER`, by one process: importing takes longer than the commands."""
    folders = {name: tmp_path_factory.mktemp(name) for name in TOGETHER}
    commands = [(str(folders[name]), one) for name, found in TOGETHER.items() for one in found]
    cache = str(tmp_path_factory.mktemp("cache"))
    done = subprocess.run(
        [sys.executable, "-m", "tests.run.together", cache, json.dumps(commands)],
        stdout=subprocess.PIPE, check=True, timeout=300, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    told = zip(commands, json.loads(done.stdout), strict=True)
    by_folder: dict[str, list[tuple[int, str]]] = {}
    for (folder, _), (code, printed) in told:
        by_folder.setdefault(folder, []).append((code, printed))
    for folder in folders.values():
        for file in folder.glob(".printed*"):
            file.unlink()
    return {name: Together(one, sorted(by_folder[str(one)])) for name, one in folders.items()}


def assert_one_refused(done: list[tuple[int, str]]) -> None:
    assert [code for code, _ in done] == [0, 2], done
    assert done[1][1].count("\n") == 1 and "choose another name" in done[1][1]


def test_runs_started_together(together: dict[str, Together]) -> None:
    folder, done = together["runs"]
    assert [code for code, _ in done] == [0, 0, 0, 0, 2], done
    assert_one_refused(done[-2:])
    reports = sorted(folder.glob("runs/*/*/report.json"))
    names = [report.parent.name for report in reports]
    assert names == [f"random_replay-seed0{suffix}" for suffix in ("", "-2", "-3")]
    found = {json.loads(r.read_text())["config"]["learner"]["learning_rate"] for r in reports}
    assert found == {float(rate) for rate in RATES}
    assert (folder / "same" / "report.json").exists()
    assert not list(folder.rglob(".*")), "claims are gone"


def test_sets_distilled_together(together: dict[str, Together]) -> None:
    folder, done = together["sets"]
    assert_one_refused(done)
    assert sorted(file.name for file in folder.iterdir()) == ["s.json", "s.png", "s.safetensors"]


def test_trainings_started_together(together: dict[str, Together]) -> None:
    folder, done = together["trainings"]
    assert [code for code, _ in done] == [0, 0], done
    reports = folder.glob("evaluations/*/report.json")
    found = [json.loads(report.read_text())["result"]["train_losses"] for report in reports]
    assert sorted(map(len, found)) == [2, 3]


def test_bad_input_leaves_no_claim_behind(invoke: Invoke) -> None:
    for command in (
        [*RUN, "-o", "a/run", "--epochs", "0"],
        [*RUN, "-o", "a/run", "--baseline", "random_replay"],
        [*DISTILL, "-o", "a/set.safetensors", "--codec", "raw:x"],
        [*DISTILL, "--codec", "tiles:factor=29"],
        [*DISTILL, "--memory-bytes", "100", "--codec", "png"],
        [*OFFLINE, "-o", "a/offline", "--epochs", "0"],
        ["evaluate", "cross-architecture", "gone.safetensors", "-o", "a/cross"],
    ):
        assert invoke(*command).exit_code == 2
        assert list(Path().iterdir()) == [], command


@posix_signals
@pytest.mark.parametrize("output", [[], ["-o", "a/run"]])
def test_a_stop_in_the_moment_of_the_claim_leaves_none_behind(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, output: list[str]
) -> None:
    def stopped(place: Path) -> Claim | None:
        held = claim_directory(place)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        return held

    monkeypatch.setattr(places, "claim_directory", stopped)
    assert invoke(*RUN, *output).exit_code == 143
    assert list(Path().iterdir()) == []
