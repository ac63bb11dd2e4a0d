"""Runs that are stopped and started again: as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clbench import seeding
from clbench.config import RunConfig
from clbench.errors import InputError
from clbench.machine.steps import postponed
from clbench.report import RunReport
from clbench.run import NullProgress, checkpoints, run
from clbench.run.directory import RunDirectory
from clbench.strategies import STRATEGIES, StrategyInfo
from clbench.strategies.learner import TensorLearner
from clbench.tracking import NullTracker, TensorBoardTracker
from tests import tiny_stream
from tests.run.test_run import Steps

# CLBENCH_EVERY_STRATEGY=1 pytest tests/run/test_resume.py: the long form
MEMORIES = ("random", "herding", "dm", "dam", "kip", "frepo", "pad", "bptt")
EVERY = [f"{m}_{training}" for m in MEMORIES for training in ("replay", "gdumb")]
EVERY += [name for name, info in STRATEGIES.items() if info.method is not None]
STRATEGIES_TRIED = (
    ("naive", "cumulative", "reservoir_replay", "reservoir_gdumb", *EVERY)
    if os.environ.get("CLBENCH_EVERY_STRATEGY")
    else (
        "naive",
        "random_replay",
        "reservoir_gdumb",
        "dam_replay",
        "pad_gdumb",
        "bptt_gdumb",
        "derpp",
        "bic",
    )
)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)


def config_of(strategy: str) -> RunConfig:
    """With momentum that lasts from one experience to the next, and layers that draw globally."""
    config = tiny_stream.config(strategy)
    learner = config.learner.replace(momentum=0.9, reset_optimizer=False)
    return config.replace(learner=learner)


class Interrupt(NullProgress):
    """Presses Ctrl-C after experience ``last``, or in the middle of the training after it."""

    def __init__(self, last: int, *, within: bool = False) -> None:
        self.last, self.within, self.notes = last, within, list[str]()
        self.num_trained = 0

    def note(self, text: str) -> None:
        self.notes.append(text)
        if text.startswith(f"experience {self.last} of") and not self.within:
            raise KeyboardInterrupt

    def phase(self, name: str, total: int) -> None:
        self.num_trained += name == "train"

    def advance(self, num: int = 1) -> None:
        if self.within and self.num_trained == self.last + 1:
            raise KeyboardInterrupt


def content(report: RunReport) -> str:
    values = report.to_dict()
    del values["measured"]
    return json.dumps(values)


def same(one: Any, other: Any) -> bool:
    """Nested dictionaries and lists, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def last_state(directory: Path) -> dict[str, Any]:
    """What is left of the whole run, without seconds."""
    state, notes = checkpoints.read(directory)
    assert state is not None and not notes
    for name in ("seconds", "coding_seconds", "seconds_saved", "distillations"):
        (state["memory"] or {}).pop(name, None)
    return {name: state[name] for name in ("learner", "memory", "measuring", "randomness")}


@pytest.mark.parametrize("strategy", STRATEGIES_TRIED)
def test_a_run_in_pieces_is_a_run_in_one(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "remove", lambda directory: None)
    config, whole, pieces = config_of(strategy), tmp_path / "whole", tmp_path / "pieces"
    straight = run(config, output=whole, use_cache=False)
    for stop in (Interrupt(1), Interrupt(1, within=True), Interrupt(2), Interrupt(2, within=True)):
        with pytest.raises(KeyboardInterrupt):
            run(config, output=pieces, progress=stop, use_cache=False)
    last = Interrupt(9)
    resumed = run(config, output=pieces, progress=last, use_cache=False)
    assert any(note.startswith("goes on") for note in last.notes)
    assert content(resumed) == content(straight)
    assert same(last_state(pieces), last_state(whole))
    for file in whole.glob("memory/*"):
        assert (pieces / "memory" / file.name).read_bytes() == file.read_bytes()
    seconds = resumed.measured["seconds"]
    assert seconds["train"] > 0 and seconds["wall"] >= seconds["train"] + seconds["evaluate"]


class StopAfter(NullProgress):
    """Sends a signal when ``number`` (from 1) steps were heard of, which ends the step after."""

    def __init__(self, number: int) -> None:
        self.number, self.done, self.notes = number, 0, list[str]()
        self._phase = ""

    def note(self, text: str) -> None:
        self.notes.append(text)

    def phase(self, name: str, total: int) -> None:
        self._phase = name

    def advance(self, num: int = 1) -> None:
        if self._phase == "train":
            self.done += 1
            if self.done == self.number:
                assert postponed(), "a step is under way"


@pytest.mark.parametrize("strategy", STRATEGIES_TRIED)
def test_a_stop_waits_for_its_step_and_loses_none(
    strategy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "remove", lambda directory: None)
    config, whole, pieces = config_of(strategy), tmp_path / "whole", tmp_path / "pieces"
    taught, steps = TensorLearner._stepped, list[bool]()

    def stepped(self: TensorLearner, *, last: bool = False) -> None:
        steps.append(not last)
        taught(self, last=last)

    monkeypatch.setattr(TensorLearner, "_stepped", stepped)
    watch = StopAfter(-1)
    straight = run(config, output=whole, progress=watch, use_cache=False)
    num_straight, total = sum(steps), watch.done
    steps.clear()
    for number in (1, 2, total // 4, total // 4):
        with pytest.raises(KeyboardInterrupt):
            run(config, output=pieces, progress=StopAfter(number), use_cache=False)
        state, _ = checkpoints.read(pieces)
        assert state is not None and state["within"]
    last = StopAfter(-1)
    resumed = run(config, output=pieces, progress=last, use_cache=False)
    assert last.notes[0].startswith("goes on in experience")
    assert sum(steps) == num_straight
    assert content(resumed) == content(straight)
    assert same(last_state(pieces), last_state(whole))


def stopped(strategy: str, path: Path, last: int = 2) -> RunConfig:
    config = config_of(strategy)
    with pytest.raises(KeyboardInterrupt):
        run(config, output=path, progress=Interrupt(last), use_cache=False)
    return config


def test_experiences_that_were_learnt_are_not_learnt_again(tmp_path: Path) -> None:
    config = stopped("random_replay", tmp_path)
    watch = Steps()
    run(config, output=tmp_path, progress=watch)
    assert [total > 0 for name, total, _ in watch.phases if name == "train"] == [False, False, True]
    assert [total for name, total, _ in watch.phases if name == "evaluate"] == [3]
    assert all(done == total for _, total, done in watch.phases)
    assert watch.notes[0] == "goes on after experience 2"
    assert not checkpoints.is_there(tmp_path)


def test_another_version_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = stopped("random_replay", tmp_path)
    monkeypatch.setattr("clbench.__version__", "99.0")
    with pytest.raises(InputError, match="settings, data or versions .* `clbench run --fresh`"):
        run(config, output=tmp_path)


def test_without_a_directory_no_state_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeding, "global_state", lambda: 1 / 0)
    run(config_of("naive"))


def test_a_torn_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    config = stopped("random_replay", tmp_path)
    expected = content(run(config))
    last = tmp_path / checkpoints.LAST
    torn = bytearray(last.read_bytes())
    torn[len(torn) // 2] ^= 1
    last.write_bytes(torn)
    watch = Interrupt(9)
    assert content(run(config, output=tmp_path, progress=watch)) == expected
    assert watch.notes[0].startswith(f"{last} cannot be used (expected content of SHA-256")
    assert "goes on after experience 1" in watch.notes


def test_without_a_whole_checkpoint_a_run_begins_anew(tmp_path: Path) -> None:
    config = stopped("random_replay", tmp_path)
    for name in (checkpoints.LAST, checkpoints.BEFORE):
        (tmp_path / name).write_bytes(b"torn")
    watch = Interrupt(9)
    assert content(run(config, output=tmp_path, progress=watch)) == content(run(config))
    assert not any(note.startswith("goes on") for note in watch.notes)


def test_another_run_unfinished_is_left_alone(tmp_path: Path) -> None:
    config = stopped("random_replay", tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("*.*")}
    with pytest.raises(InputError, match="found one of other settings, data or versions"):
        run(config.replace(seed=1), output=tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("*.*")} == before


def test_a_full_disk_costs_the_checkpoint_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "keep_state", fail)
    with pytest.warns(UserWarning, match="no checkpoint was written .*No space left"):
        report = run(config_of("naive"), output=tmp_path)
    assert content(report) == content(run(config_of("naive")))


def test_a_directory_belongs_to_one_run(tmp_path: Path) -> None:
    code = "import sys; from clbench.run.directory import RunDirectory; RunDirectory(sys.argv[1])"
    code = code.replace("sys.argv[1]", "__import__('pathlib').Path(sys.argv[1])")
    command = [sys.executable, "-c", code, str(tmp_path / "run")]

    def other() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    with closing(RunDirectory(tmp_path / "run")):
        assert "found one that another is writing to" in other()
    assert "InputError" not in other()


def test_what_a_killed_run_had_begun_to_write_is_removed(tmp_path: Path) -> None:
    config = stopped("random_replay", tmp_path)
    (tmp_path / "memory" / ".exp_2.safetensors.123.0a1b2c3d").touch()
    run(config, output=tmp_path)
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_a_directory_that_is_removed_under_way(tmp_path: Path) -> None:
    class Removes(NullProgress):
        def note(self, text: str) -> None:
            if text.startswith("experience 2 of"):
                shutil.rmtree(tmp_path / "run")

    config = config_of("random_replay")
    with pytest.warns(UserWarning, match="config.json, env.json had been removed during the run"):
        report = run(config, output=tmp_path / "run", progress=Removes())
    assert content(RunReport.load(tmp_path / "run")) == content(report) == content(run(config))
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "env.json", "status.json", "report.json", "figures"} <= left


def events(directory: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(directory), size_guidance={"scalars": 0})
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: [(e.step, e.value) for e in accumulator.Scalars(tag)] for tag in tags}


@pytest.mark.parametrize("within", [False, True])
def test_tensorboard_shows_one_history(tmp_path: Path, within: bool) -> None:
    config, whole, pieces = config_of("dam_replay"), tmp_path / "whole", tmp_path / "pieces"
    run(config, output=whole, trackers=[TensorBoardTracker(whole)], use_cache=False)
    for last in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            run(
                config,
                output=pieces,
                progress=Interrupt(last, within=within),
                trackers=[NullTracker(), TensorBoardTracker(pieces)],
                use_cache=False,
            )
    run(
        config,
        output=pieces,
        trackers=[NullTracker(), TensorBoardTracker(pieces)],
        use_cache=False,
    )
    assert events(pieces) == events(whole)


def test_a_strategy_of_unknown_state_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clbench.strategies.learner import TensorLearner

    class Own(TensorLearner):
        """Of a third party."""

    def make(config: RunConfig, spec: Any, *, memory: Any, **options: Any) -> TensorLearner:
        return Own(config=config.learner, spec=spec, seed=config.seed, **options)

    info = StrategyInfo("own", "of a third party", None, "naive", make=make)
    monkeypatch.setitem(STRATEGIES, "own", info)
    config = stopped("own", tmp_path)
    assert not checkpoints.is_there(tmp_path)
    assert content(run(config, output=tmp_path)) == content(run(config))
