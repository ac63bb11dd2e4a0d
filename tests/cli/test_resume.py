"""The same command again: a killed run goes on, a finished one is shown."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from clbench.cli import running
from tests.cli.conftest import Invoke
from tests.cli.test_errors import assert_one_line

RUN = (
    "run", "--strategy", "random_replay", "--epochs", "1", "--train-per-class", "20",
    "--num-experiences", "3", "--no-tensorboard",
)  # fmt: skip
PAIR = (*RUN, "--baseline", "herding_replay", "--more-bytes", "0")


def report(directory: str | Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((Path(directory) / "report.json").read_text())
    del values["measured"]
    return values


@contextmanager
def stopped_after(number: int, strategy: str = "random_replay") -> Iterator[None]:
    """Ctrl-C is pressed when this experience of this strategy is learnt."""
    note = running.RunLine.note

    def interrupt(self: running.RunLine, text: str) -> None:
        note(self, text)
        if text.startswith(f"experience {number} of") and self._name == strategy:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running.RunLine, "note", interrupt)
        yield


def assert_ends(result: Result, *words: str, code: int = 130) -> None:
    """The last line on standard error holds the words."""
    assert result.exit_code == code, (result.stderr, result.exception)
    last = result.stderr.splitlines()[-1]
    assert all(word in last for word in words), last


def test_a_default_place_is_taken_up_again(invoke: Invoke) -> None:
    with stopped_after(2):
        assert_ends(invoke(*RUN), "the same command goes on")
    place = Path("runs/split_mnist5k/random_replay-seed0")
    assert not (place / "report.json").exists()
    other = invoke(*RUN, "--seed", "1")
    assert other.exit_code == 0 and "goes on after" not in other.stderr
    again = invoke(*RUN)
    assert again.exit_code == 0 and "goes on after experience 2" in again.stderr
    assert (place / "report.json").exists() and not list(place.glob("checkpoint*"))
    assert invoke(*RUN).exit_code == 0
    assert report(place) == report(f"{place}-2"), "what is finished is not gone on with"


def test_another_command_leaves_it_alone(invoke: Invoke) -> None:
    with stopped_after(1):
        invoke(*RUN)
    assert invoke(*RUN, "--learning-rate", "0.01").exit_code == 0
    assert (Path("runs/split_mnist5k/random_replay-seed0-2") / "report.json").exists()
    assert not (Path("runs/split_mnist5k/random_replay-seed0") / "report.json").exists()


def test_a_chosen_place(invoke: Invoke) -> None:
    with stopped_after(2):
        invoke(*RUN, "-o", "run")
    message = (
        "expected a new directory or runs of the same command, found a run of other settings in run"
    )
    assert_one_line(invoke(*RUN, "-o", "run", "--seed", "1"), message)
    assert_one_line(invoke(*PAIR, "-o", "run"), "found runs of other strategies")
    again = invoke(*RUN, "-o", "run")
    assert again.exit_code == 0 and "goes on after experience 2" in again.stderr
    shown = invoke(*RUN, "-o", "run")
    assert shown.exit_code == 0 and "finished before, in run" in shown.stderr
    assert "average accuracy %" in shown.stdout
    assert_one_line(invoke(*RUN, "-o", "run", "--fresh"), "found a finished one; remove it")
    assert invoke(*RUN, "-o", "straight").exit_code == 0
    assert report("run") == report("straight")


def test_a_pair_goes_on_where_it_was(invoke: Invoke) -> None:
    with stopped_after(1, "herding_replay"):
        assert_ends(invoke(*PAIR), "herding_replay", "goes on")
    again = invoke(*PAIR)
    assert again.exit_code == 0
    assert "random_replay: finished before" in again.stderr
    assert "goes on after experience 1" in again.stderr
    (folder,) = Path("runs/split_mnist5k").iterdir()
    assert (folder / "comparison" / "comparison.json").exists()
    assert invoke(*PAIR, "-o", "pair").exit_code == 0
    shutil.rmtree(folder / "comparison")
    assert invoke(*PAIR).exit_code == 0, "killed before the comparison was written"
    assert (folder / "comparison").exists() and list(Path("runs/split_mnist5k").iterdir()) == [
        folder
    ]
    for name in ("random_replay", "herding_replay"):
        assert report(folder / name) == report(f"pair/{name}")
    assert_one_line(invoke(*RUN, "-o", "pair"), "found runs of other strategies")


def test_resume_names_a_directory(invoke: Invoke) -> None:
    with stopped_after(1, "herding_replay"):
        invoke(*PAIR, "-o", "pair")
    again = invoke("run", "--resume", "pair/herding_replay", "--no-tensorboard")
    assert again.exit_code == 0 and "goes on after experience 1" in again.stderr
    assert_one_line(invoke("run", "--resume", "pair"), "expected the directory of a run")
    assert_one_line(invoke("run", "--resume", "pair/x", "-o", "y"), "no --output beside it")


def test_resume_with_other_settings_is_refused(invoke: Invoke) -> None:
    with stopped_after(1):
        invoke(*RUN, "-o", "run")
    found = invoke("run", "--resume", "run", "--epochs", "2", "--no-tensorboard")
    assert_one_line(found, "other settings, data or versions in run")
    status = json.loads(Path("run/status.json").read_text())
    assert status["status"] == "interrupted"


def test_fresh_begins_anew(invoke: Invoke) -> None:
    for more in ((), ("-o", "run")):
        with stopped_after(2):
            invoke(*RUN, *more)
        found = invoke(*RUN, *more, "--fresh")
        assert found.exit_code == 0 and "goes on" not in found.stderr
    assert (Path("runs/split_mnist5k/random_replay-seed0-2") / "report.json").exists()
    assert (Path("run") / "report.json").exists()


def test_a_killed_run_goes_on(tmp_path: Path, invoke: Invoke) -> None:
    slow = [*RUN[:3], "--epochs", "40", *RUN[5:-1], "-o", "run"]
    command = [sys.executable, "-m", "clbench", *slow]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        while not Path("run/checkpoint.pt").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    assert json.loads(Path("run/status.json").read_text())["status"] == "running"
    again = invoke(*slow)
    assert again.exit_code == 0 and "goes on after experience" in again.stderr
    assert invoke(*slow[:-1], "straight").exit_code == 0
    assert report("run") == report("straight")
