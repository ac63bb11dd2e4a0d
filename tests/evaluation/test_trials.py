"""Trials: in processes as here, kept on disk, never made twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation.trials import Laboratory, Outcome, Trial
from clbench.store import fingerprint
from clbench.types import ImageSpec, LabelledImages

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
    make = Laboratory.make

    def counted(self: Laboratory, trial: Trial) -> Outcome:
        calls.append(trial)
        return make(self, trial)

    monkeypatch.setattr(Laboratory, "make", counted)
    return calls


@pytest.fixture
def sets(tiny_images: LabelledImages) -> dict[str, LabelledImages]:
    return {"a": tiny_images, "b": tiny_images.select(torch.arange(0, 80, 2))}


def laboratory(sets, tiny_images, tiny_spec, **more) -> Laboratory:
    return Laboratory(sets, tiny_images, tiny_spec, **more)


def test_outcomes_come_in_the_order_of_the_trials(sets, tiny_images, tiny_spec) -> None:
    where = laboratory(sets, tiny_images, tiny_spec)
    for trial, outcome in zip(TRIALS, where.run(TRIALS), strict=True):
        alone = where.make(trial)
        assert (alone.accuracy, alone.loss) == (outcome.accuracy, outcome.loss)


def test_processes_find_what_one_process_finds(
    sets, tiny_images: LabelledImages, tiny_spec: ImageSpec, tmp_path: Path
) -> None:
    soft = torch.nn.functional.one_hot(tiny_images.labels, 4).float()
    sets = {**sets, "b": LabelledImages(tiny_images.images, soft)}
    common = {"validation": tiny_images.select(torch.arange(10))}
    here = laboratory(sets, tiny_images, tiny_spec, **common).run(TRIALS)
    heard: list[int] = []
    there = laboratory(sets, tiny_images, tiny_spec, workers=2, directory=tmp_path, **common).run(
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
    assert len(list(tmp_path.glob("*.json"))) == 8


def test_what_is_on_disk_is_not_made_again(
    sets, tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = laboratory(sets, tiny_images, tiny_spec, directory=tmp_path)
    first = where.run(TRIALS[:3])
    again = where.run([*TRIALS, TRIALS[0]])
    assert made == TRIALS and again[:3] == first and again[-1] == first[0]
    assert [o.from_cache for o in again] == [True] * 3 + [False] * 5 + [True]
    assert again[0].seconds == first[0].seconds


def test_equal_sets_under_two_names_are_one_piece_of_work_on_disk(
    tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = laboratory(
        {"a": tiny_images, "b": tiny_images}, tiny_images, tiny_spec, directory=tmp_path
    )
    where.run([TRIALS[0]])
    assert where.run([Trial("b", MLP, TRAINING, 0)])[0].from_cache and len(made) == 1


@pytest.mark.parametrize(
    "changed", ["set", "test", "validation", "network", "training", "seed", "code"]
)
def test_everything_that_matters_is_part_of_the_name(
    changed: str, sets, tiny_images, tiny_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory(sets, tiny_images, tiny_spec, directory=tmp_path).run([TRIALS[0]])
    part = tiny_images.select(torch.arange(40))
    more = {"validation": part} if changed == "validation" else {}
    test = part if changed == "test" else tiny_images
    name = "b" if changed == "set" else "a"
    network = CNN if changed == "network" else MLP
    training = TRAINING.replace(momentum=0.5) if changed == "training" else TRAINING
    if changed == "code":
        monkeypatch.setattr(fingerprint, "_sources", lambda modules, files: "changed")
    where = laboratory(sets, test, tiny_spec, directory=tmp_path, **more)
    (outcome,) = where.run([Trial(name, network, training, int(changed == "seed"))])
    assert not outcome.from_cache and len(list(tmp_path.glob("*.json"))) == 2


def test_an_interruption_keeps_what_was_done(
    sets, tiny_images, tiny_spec, tmp_path: Path, made: list[Trial]
) -> None:
    where = laboratory(sets, tiny_images, tiny_spec, directory=tmp_path)

    def stop(done: int, *rest) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        where.run(TRIALS, stop)
    where.run(TRIALS)
    assert made == TRIALS


def test_a_broken_file_costs_a_warning(sets, tiny_images, tiny_spec, tmp_path: Path) -> None:
    where = laboratory(sets, tiny_images, tiny_spec, directory=tmp_path)
    (first,) = where.run([TRIALS[0]])
    (file,) = tmp_path.glob("*.json")
    file.write_text("{")
    with pytest.warns(UserWarning, match="broken file in the cache of trials"):
        (second,) = where.run([TRIALS[0]])
    assert (first.accuracy, first.loss) == (second.accuracy, second.loss)
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="not cached"):
        laboratory(sets, tiny_images, tiny_spec, directory=tmp_path / "file").run([TRIALS[0]])


def test_what_does_not_fit_is_refused_before_any_work(
    sets, tiny_images, tiny_spec, made: list[Trial]
) -> None:
    where = laboratory(sets, tiny_images, tiny_spec)
    deep = Trial("a", NetworkConfig("cnn", depth=4), TRAINING, 0)
    with pytest.raises(InputError, match="cnn: expected images of at least 16x16"):
        where.run([TRIALS[0], deep])
    odd = Trial("a", MLP, TRAINING.replace(augmentation="blur"), 0)
    with pytest.raises(InputError, match="augmentation"):
        where.run([TRIALS[0], odd])
    with pytest.raises(InputError, match="workers: expected at least 1"):
        laboratory(sets, tiny_images, tiny_spec, workers=0)
    assert not made


def test_threads_are_put_back(sets, tiny_images, tiny_spec) -> None:
    before = torch.get_num_threads()
    laboratory(sets, tiny_images, tiny_spec, workers=2).run([TRIALS[0]])
    assert torch.get_num_threads() == before
