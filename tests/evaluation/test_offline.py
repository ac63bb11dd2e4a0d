"""Training on all data: resumed at any epoch to the very same end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clbench import networks
from clbench.config import NetworkConfig, OfflineSettings, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation import EVALUATIONS, RECIPES, Laboratory
from clbench.machine.steps import postponed
from clbench.seeding import generator
from clbench.training import Epoch, Training, accuracy, learning_rate, train_on_set
from clbench.types import LabelledImages

CPU = torch.device("cpu")
NETWORK = NetworkConfig("cnn", width=4, depth=1, hidden=8)
CONFIG = SetTrainingConfig(epochs=4, batch_size=16, learning_rate=0.05, schedule="one_cycle")


def trained(images: LabelledImages, spec, checkpoint: Path | None = None, on_epoch=None, **more):
    settings = OfflineSettings(network=NETWORK, training=CONFIG.replace(**more))
    laboratory = Laboratory(
        images, images, spec, seed=3, device=CPU, checkpoint=checkpoint, on_epoch=on_epoch
    )
    return EVALUATIONS["offline"].make(settings).run(laboratory, {})


def test_is_the_one_training_loop_and_one_test(tiny_images, tiny_spec) -> None:
    found = trained(tiny_images, tiny_spec)
    network = networks.build(NETWORK, tiny_spec, seed=3)
    rng = generator(3, "set_training")
    losses = train_on_set(network, tiny_images, tiny_spec, CONFIG, generator=rng, device=CPU)
    assert [epoch.loss for epoch in found.epochs] == losses
    assert found.accuracy == accuracy(network, tiny_images, tiny_spec, CPU)
    assert found.num_parameters == networks.num_parameters(network)
    assert found.train_flops == 3 * found.forward_flops * 80 * 4
    assert found.report_flops > found.forward_flops > 0 and found.seconds > 0


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_goes_on_to_the_very_same_end(stop: int, tiny_images, tiny_spec, tmp_path: Path) -> None:
    whole, place = trained(tiny_images, tiny_spec), tmp_path / "checkpoint.pt"

    def interrupt(number: int, total: int, epoch: Epoch) -> None:
        if number == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tiny_images, tiny_spec, place, interrupt)
    heard: list[int] = []
    rest = trained(tiny_images, tiny_spec, place, lambda number, *_: heard.append(number))
    assert rest.epochs == whole.epochs and heard == [1, 2, 3, 4]
    assert (rest.accuracy, rest.loss) == (whole.accuracy, whole.loss)


def test_a_checkpoint_of_something_else_is_refused(tiny_images, tiny_spec, tmp_path: Path) -> None:
    place = tmp_path / "checkpoint.pt"
    trained(tiny_images, tiny_spec, place)
    with pytest.raises(InputError, match="other settings, data or software"):
        trained(tiny_images, tiny_spec, place, epochs=5)
    (tmp_path / "checkpoint-before.pt").unlink()
    place.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="found something else"):
        trained(tiny_images, tiny_spec, place)
    torch.save({"name": print}, place)  # a pickle that names code
    with pytest.raises(InputError, match="found something else"):
        trained(tiny_images, tiny_spec, place)


def test_a_torn_checkpoint_falls_back_to_the_one_before(
    tiny_images, tiny_spec, tmp_path: Path
) -> None:
    place = tmp_path / "checkpoint.pt"
    whole = trained(tiny_images, tiny_spec, place)
    place.write_bytes(place.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="checkpoint.pt cannot be used .* the one before"):
        again = trained(tiny_images, tiny_spec, place)
    assert replace(again, seconds=0) == replace(whole, seconds=0)


def test_a_stop_waits_for_its_step_and_loses_none(
    tiny_images, tiny_spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, place, steps = trained(tiny_images, tiny_spec), tmp_path / "checkpoint.pt", []
    step = Training._step

    def counted(self: Training, index: torch.Tensor) -> torch.Tensor:
        steps.append(len(index))
        if len(steps) in (1, 5, 6):
            assert postponed()
        return step(self, index)

    monkeypatch.setattr(Training, "_step", counted)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            trained(tiny_images, tiny_spec, place)
    again = trained(tiny_images, tiny_spec, place)
    assert replace(again, seconds=0) == replace(whole, seconds=0)
    assert len(steps) == CONFIG.epochs * -(-len(tiny_images) // CONFIG.batch_size)


def test_the_course_recipe_is_the_reports() -> None:
    course = RECIPES["course"]
    assert (course.batch_size, course.learning_rate, course.momentum) == (128, 0.01, 0.9)
    assert (course.epochs, course.schedule, course.augmentation) == (20, "cosine", "none")
    assert course.weight_decay == course.label_smoothing == 0
    assert OfflineSettings().training == course


def test_schedules() -> None:
    def rates(schedule) -> list[float]:
        config = SetTrainingConfig(learning_rate=1.0, schedule=schedule)
        return [round(learning_rate(config, progress / 10), 4) for progress in (0, 1, 2, 5, 6, 9)]

    assert rates("constant") == [1.0] * 6
    assert rates("step") == [1.0, 1.0, 1.0, 0.1, 0.1, 0.1]
    assert rates("cosine") == [1.0, 0.9755, 0.9045, 0.5, 0.3455, 0.0245]
    assert rates("one_cycle") == [0.0, 0.5, 1.0, 0.6913, 0.5, 0.0381]


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
def test_the_schedule_moves_with_every_step(schedule, tiny_images, tiny_spec) -> None:
    """One epoch of several steps is not one step size."""
    constant = trained(tiny_images, tiny_spec, epochs=1, schedule="constant")
    moving = trained(tiny_images, tiny_spec, epochs=1, schedule=schedule)
    assert moving.epochs != constant.epochs


def test_label_smoothing_changes_the_loss(tiny_images, tiny_spec) -> None:
    plain, smoothed = (trained(tiny_images, tiny_spec, label_smoothing=s) for s in (0.0, 0.2))
    assert smoothed.epochs[0].loss != plain.epochs[0].loss
