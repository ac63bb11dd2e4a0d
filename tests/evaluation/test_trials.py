"""Trials: in processes as here, kept on disk, never made twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation.trials import Bench, Outcome, Trial
from clbench.machine.steps import postponed
from clbench.store import fingerprint
from clbench.store.store import Store
from clbench.training import Training
from clbench.types import ImageSpec, LabelledImages
from tests.platforms import posix_signals

TRAINING = SetTrainingConfig(epochs=3, batch_size=16, learning_rate=0.05)
MLP = NetworkConfig("mlp", width=16, depth=1)
CNN = NetworkConfig("cnn", width=4, depth=1, hidden=8)
TRIALS = [
    Trial(name, net, TRAINING, seed) for name in "ab" for net in (MLP, CNN) for seed in (0, 1)
]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """The trials that were really made in this process."""
    calls: list[Trial] = []
    make = Bench.make

    def counted(self: Bench, trial: Trial, name: str = "") -> Outcome:
        calls.append(trial)
        return make(self, trial, name)

    monkeypatch.setattr(Bench, "make", counted)
    return calls


@pytest.fixture
def sets(tiny_images: LabelledImages) -> dict[str, LabelledImages]:
    return {"a": tiny_images, "b": tiny_images.select(torch.arange(0, 80, 2))}


def bench(sets, tiny_images, tiny_spec, **more) -> Bench:
    return Bench(sets, tiny_images, tiny_spec, **more)


def test_outcomes_come_in_the_order_of_the_trials(sets, tiny_images, tiny_spec) -> None:
    where = bench(sets, tiny_images, tiny_spec)
    for trial, outcome in zip(TRIALS, where.run(TRIALS), strict=True):
        alone = where.make(trial)
        assert (alone.accuracy, alone.loss) == (outcome.accuracy, outcome.loss)


def test_processes_find_what_one_process_finds(
    sets, tiny_images: LabelledImages, tiny_spec: ImageSpec, tmp_path: Path
) -> None:
    soft = torch.nn.functional.one_hot(tiny_images.labels, 4).float()
    sets = {**sets, "b": LabelledImages(tiny_images.images, soft)}
    common = {"validation": tiny_images.select(torch.arange(10))}
    here = bench(sets, tiny_images, tiny_spec, **common).run(TRIALS)
    heard: list[int] = []
    there = bench(sets, tiny_images, tiny_spec, workers=2, directory=tmp_path, **common).run(
        TRIALS, lambda done, total, trial, outcome: heard.append(done)
    )
    for one, other in zip(here, there, strict=True):
        assert (one.accuracy, one.loss, one.train_loss) == (
            other.accuracy,
            other.loss,
            other.train_loss,
        )
        assert one.validation_accuracy == other.validation_accuracy is not None
    assert heard == list(range(1, 9))
    assert len(Store(tmp_path).entries()) == 8


def test_what_is_on_disk_is_not_made_again(
    sets, tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = bench(sets, tiny_images, tiny_spec, directory=tmp_path)
    first = where.run(TRIALS[:3])
    again = where.run([*TRIALS, TRIALS[0]])
    assert made == TRIALS and again[:3] == first and again[-1] == first[0]
    assert [o.from_cache for o in again] == [True] * 3 + [False] * 5 + [True]
    assert again[0].seconds == first[0].seconds


def test_a_trial_goes_on_in_the_middle_of_an_epoch(
    sets, tiny_images, tiny_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = bench(sets, tiny_images, tiny_spec).run(TRIALS[:1])
    where = bench(sets, tiny_images, tiny_spec, directory=tmp_path)
    steps, step = [], Training._step

    def counted(self: Training, index: torch.Tensor) -> torch.Tensor:
        steps.append(len(index))
        if len(steps) in (1, 5):
            assert postponed()
        return step(self, index)

    monkeypatch.setattr(Training, "_step", counted)
    for number in (1, 5):
        with pytest.raises(KeyboardInterrupt):
            where.run(TRIALS[:1])
        assert len(steps) == number
        assert [entry.kind for entry in Store(tmp_path).entries()] == ["unfinished"]
    again = where.run(TRIALS[:1])
    assert replace(again[0], seconds=0) == replace(whole[0], seconds=0)
    assert len(steps) == TRIALS[0].training.epochs * -(-80 // TRIALS[0].training.batch_size)
    assert [entry.kind for entry in Store(tmp_path).entries()] == ["trials"]


def test_equal_sets_under_two_names_are_one_piece_of_work_on_disk(
    tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = bench({"a": tiny_images, "b": tiny_images}, tiny_images, tiny_spec, directory=tmp_path)
    where.run([TRIALS[0]])
    assert where.run([Trial("b", MLP, TRAINING, 0)])[0].from_cache and len(made) == 1


@pytest.mark.parametrize(
    "changed", ["set", "test", "validation", "network", "training", "seed", "code"]
)
def test_everything_that_matters_is_part_of_the_name(
    changed: str, sets, tiny_images, tiny_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench(sets, tiny_images, tiny_spec, directory=tmp_path).run([TRIALS[0]])
    part = tiny_images.select(torch.arange(40))
    more = {"validation": part} if changed == "validation" else {}
    test = part if changed == "test" else tiny_images
    name = "b" if changed == "set" else "a"
    network = CNN if changed == "network" else MLP
    training = TRAINING.replace(momentum=0.5) if changed == "training" else TRAINING
    if changed == "code":
        monkeypatch.setattr(fingerprint, "_content", lambda files: "changed")
    where = bench(sets, test, tiny_spec, directory=tmp_path, **more)
    (outcome,) = where.run([Trial(name, network, training, int(changed == "seed"))])
    assert not outcome.from_cache and len(Store(tmp_path).entries()) == 2


def test_an_interruption_keeps_what_was_done(
    sets, tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = bench(sets, tiny_images, tiny_spec, directory=tmp_path)

    def stop(done: int, *rest) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        where.run(TRIALS, stop)
    where.run(TRIALS)
    assert made == TRIALS


def test_a_broken_file_costs_a_warning(sets, tiny_images, tiny_spec, tmp_path: Path) -> None:
    where = bench(sets, tiny_images, tiny_spec, directory=tmp_path)
    (first,) = where.run([TRIALS[0]])
    store = Store(tmp_path)
    (entry,) = store.entries()
    store.path_of(entry.kind, entry.name).write_text("{")
    with pytest.warns(UserWarning, match="not to be believed"):
        (second,) = where.run([TRIALS[0]])
    assert (first.accuracy, first.loss) == (second.accuracy, second.loss)
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be kept"):
        bench(sets, tiny_images, tiny_spec, directory=tmp_path / "file").run([TRIALS[0]])


def test_the_outcomes_of_two_trials_are_not_mistaken_for_each_other(
    sets, tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = bench(sets, tiny_images, tiny_spec, directory=tmp_path)
    first = where.run(TRIALS[:2])
    store = Store(tmp_path)
    one, other = (store.path_of(entry.kind, entry.name) for entry in store.entries())
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with pytest.warns(UserWarning, match="another or none"):
        second = where.run(TRIALS[:2])
    assert [o.accuracy for o in second] == [o.accuracy for o in first] and len(made) == 4


WRONG = [
    *({"accuracy": value} for value in (7.5, -0.1, float("nan"), float("inf"), None, "1", True)),
    *({"validation_accuracy": value} for value in (1.01, float("nan"), [])),
    *({"loss": float("nan")}, {"train_loss": float("-inf")}, {"loss": "2"}),
    *({"seconds": value} for value in (-1, float("nan"), None)),
    *({"more": 1}, {"from_cache": True}),
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_an_outcome_that_cannot_be_is_made_again(
    wrong: dict[str, object], sets, tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = bench(sets, tiny_images, tiny_spec, directory=tmp_path)
    (first,) = where.run([TRIALS[0]])
    store = Store(tmp_path)
    (entry,) = store.entries()
    content = store.read(entry.kind, entry.name)
    assert content is not None
    store.write(entry.kind, entry.name, json.dumps({**json.loads(content), **wrong}).encode())
    with pytest.warns(UserWarning, match="not to be believed .*expected"):
        (second,) = where.run([TRIALS[0]])
    assert not second.from_cache and second.accuracy == first.accuracy and len(made) == 2
    assert where.run([TRIALS[0]])[0].from_cache


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"7", b"\xff", b"[" * 100_000])
def test_what_is_no_outcome_is_made_again(
    content: bytes, sets, tiny_images, tiny_spec, tmp_path: Path
) -> None:
    where = bench(sets, tiny_images, tiny_spec, directory=tmp_path)
    where.run([TRIALS[0]])
    store = Store(tmp_path)
    (entry,) = store.entries()
    store.write(entry.kind, entry.name, content)
    with pytest.warns(UserWarning, match="not to be believed"):
        assert not where.run([TRIALS[0]])[0].from_cache


def test_what_does_not_fit_is_refused_before_any_work(
    sets, tiny_images, tiny_spec, made: list[Trial]
) -> None:
    where = bench(sets, tiny_images, tiny_spec)
    deep = Trial("a", NetworkConfig("cnn", depth=4), TRAINING, 0)
    with pytest.raises(InputError, match="cnn: expected images of at least 16x16"):
        where.run([TRIALS[0], deep])
    odd = Trial("a", MLP, TRAINING.replace(augmentation="blur"), 0)
    with pytest.raises(InputError, match="augmentation"):
        where.run([TRIALS[0], odd])
    with pytest.raises(InputError, match="workers: expected at least 1"):
        bench(sets, tiny_images, tiny_spec, workers=0)
    assert not made


def test_threads_are_put_back(sets, tiny_images, tiny_spec) -> None:
    before = torch.get_num_threads()
    bench(sets, tiny_images, tiny_spec, workers=2).run([TRIALS[0]])
    assert torch.get_num_threads() == before


@posix_signals
def test_a_worker_that_is_killed_costs_one_line(
    sets, tiny_images, tiny_spec, tmp_path: Path
) -> None:
    def kill(done: int, total: int, trial: Trial, outcome: Outcome) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    where = bench(sets, tiny_images, tiny_spec, workers=2, directory=tmp_path)
    with pytest.raises(InputError, match=r"found one that was killed.* with fewer --workers"):
        where.run(TRIALS, on_trial=kill)
    assert any(entry.kind == "trials" for entry in Store(tmp_path).entries())


SCRIPT = """
import multiprocessing, time
from tests.evaluation.test_trials import TRIALS, MLP, Trial, SetTrainingConfig, bench
import torch
from clbench.types import ImageSpec, LabelledImages

if __name__ == "__main__":
    spec = ImageSpec(1, 8, 8, 4, (0.35,), (0.25,), ("a", "b", "c", "d"), "none")
    images = LabelledImages(torch.zeros(80, 1, 8, 8, dtype=torch.uint8), torch.arange(4).repeat(20))
    long = SetTrainingConfig(epochs=100000, batch_size=16, learning_rate=0.05)
    short = SetTrainingConfig(epochs=1, batch_size=16, learning_rate=0.05)
    trials = [Trial("a", MLP, short, 0), *(Trial("a", MLP, long, seed) for seed in range(4))]

    def tell(*_):
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)

    bench({"a": images}, images, spec, workers=2).run(trials, on_trial=tell)
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    # A zombie has ended; in a container there may be nobody to bury it.
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


@posix_signals
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        pids = [int(pid) for pid in process.stdout.readline().split()]
        assert len(pids) == 2 and all(map(is_alive, pids))
        process.kill()
    deadline = time.monotonic() + 30
    while any(map(is_alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))
