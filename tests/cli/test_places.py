"""Commands that are started together do not write over each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def together(*commands: list[str], folder: Path, cache: Path) -> list[tuple[int, str]]:
    """Exit code and standard error of commands that are started at once, fewest errors first."""
    environment = {**os.environ, "CLBENCH_CACHE": str(cache)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "clbench", *command],
            cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for command in commands
    ]  # fmt: skip
    told = [process.communicate(timeout=200)[1] for process in started]
    return sorted((process.returncode, t) for process, t in zip(started, told, strict=True))


def assert_one_refused(done: list[tuple[int, str]]) -> None:
    assert [code for code, _ in done] == [0, 2], done
    assert done[1][1].count("\n") == 1 and "choose another name" in done[1][1]


def test_runs_started_together(tmp_path: Path, cache: Path) -> None:
    rates = ("0.01", "0.05", "0.2")
    same = [*RUN, "-o", "same"]
    commands = [[*RUN, "--learning-rate", rate] for rate in rates]
    done = together(*commands, same, [*same, "--seed", "1"], folder=tmp_path, cache=cache)
    assert [code for code, _ in done] == [0, 0, 0, 0, 2], done
    assert_one_refused(done[-2:])
    reports = sorted(tmp_path.glob("runs/*/*/report.json"))
    names = [report.parent.name for report in reports]
    assert names == [f"random_replay-seed0{suffix}" for suffix in ("", "-2", "-3")]
    found = {json.loads(r.read_text())["config"]["learner"]["learning_rate"] for r in reports}
    assert found == {float(rate) for rate in rates}
    assert (tmp_path / "same" / "report.json").exists()
    assert not list(tmp_path.rglob(".*")), "claims are gone"


def test_sets_distilled_together(tmp_path: Path, cache: Path) -> None:
    command = [*DISTILL, "-o", "out/s.safetensors"]
    assert_one_refused(together(command, [*command, "--seed", "1"], folder=tmp_path, cache=cache))
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "s.json", "s.png", "s.safetensors",
    ]  # fmt: skip


def test_trainings_started_together(tmp_path: Path, cache: Path) -> None:
    commands = [[*OFFLINE, "--epochs", epochs] for epochs in ("2", "3")]
    done = together(*commands, folder=tmp_path, cache=cache)
    assert [code for code, _ in done] == [0, 0], done
    reports = tmp_path.glob("evaluations/*/report.json")
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
