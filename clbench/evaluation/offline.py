"""The offline baseline: a network that sees the whole data set at once, and its full cost."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch.nn.functional as F

from clbench import networks
from clbench.distillation.augmentation import parse
from clbench.errors import Diverged, InputError
from clbench.evaluation.protocol import Draw, Laboratory, OnEpoch, Shown
from clbench.evaluation.settings import OfflineSettings
from clbench.figures import offline_figure
from clbench.machine.allocator import keep_freed_memory
from clbench.machine.steps import in_steps, may_stop
from clbench.measuring.cost import forward_flops
from clbench.measuring.format import count, seconds
from clbench.seeding import generator
from clbench.sets import DistilledSet
from clbench.store.checkpoints import keep_state, kept_state
from clbench.store.fingerprint import identity, name_of, software
from clbench.store.sources import sources_of
from clbench.store.under_way import Clock
from clbench.training import Epoch, Training, predict_logits
from clbench.types import ImageSpec

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KIND = "offline"  # of the checkpoint


@dataclass(frozen=True)
class Offline:
    """What one network learnt from all data.

    Attributes:
        accuracy: share of right test images after the last epoch, 0..1.
        loss: mean cross-entropy of the test images.
        epochs: what each epoch saw while training.
        num_parameters: trainable ones.
        forward_flops: of one image, a multiply-add as one operation.
        report_flops: the same by the course report's counting (activations and poolings too).
        train_flops: of the whole training.
        seconds: wall time of the training, all its sittings together.
        network: its name.
    """

    accuracy: float
    loss: float
    epochs: tuple[Epoch, ...]
    num_parameters: int
    forward_flops: float
    report_flops: float
    train_flops: float
    seconds: float
    network: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "train_losses": [epoch.loss for epoch in self.epochs],
            "train_accuracies": [epoch.accuracy for epoch in self.epochs],
            "num_parameters": self.num_parameters,
            "forward_flops": self.forward_flops,
            "report_flops": self.report_flops,
            "train_flops": self.train_flops,
            "seconds": self.seconds,
        }

    def measured(self) -> dict[str, Any]:
        """Return nothing apart: the seconds are in `to_dict`, as they always were."""
        return {}

    def drawings(self, laboratory: Laboratory) -> dict[str, Draw]:
        """Return loss and accuracy by epoch."""
        share = laboratory.majority_share

        def draw() -> Figure:
            return offline_figure(
                [epoch.loss for epoch in self.epochs],
                [epoch.accuracy for epoch in self.epochs],
                test_accuracy=self.accuracy,
                title=f"{self.network} on {laboratory.title}",
                majority_share=share,
            )

        return {"offline": draw}

    def scalars(self) -> dict[str, Sequence[float]]:
        """Return the curves of the training."""
        return {
            "train_loss": [epoch.loss for epoch in self.epochs],
            "train_accuracy": [epoch.accuracy for epoch in self.epochs],
        }

    def shown(self) -> Shown:
        """Return one number per row."""
        rows = [
            ("test accuracy %", f"{100 * self.accuracy:.2f}"),
            ("test loss", f"{self.loss:.4f}"),
            ("training loss, last epoch", f"{self.epochs[-1].loss:.4f}"),
            ("epochs", count(len(self.epochs))),
            ("parameters", count(self.num_parameters)),
            ("FLOPs of an image", f"{self.forward_flops:.3e}"),
            ("the same, course report's counting", f"{self.report_flops:.3e}"),
            ("FLOPs of the training", f"{self.train_flops:.3e}"),
            ("seconds of training", seconds(self.seconds)),
        ]
        return Shown(f": {self.network} trained on all of it", ("", "value"), rows)


@dataclass(frozen=True)
class OfflineTraining:
    """Train a fresh network on all images and test it once, after the last epoch."""

    settings: OfflineSettings

    def check(self, spec: ImageSpec, seed: int) -> None:
        """See `Evaluation.check`."""
        networks.build(self.settings.network, spec, seed=0)
        parse(self.settings.training.augmentation, spec)

    def run(self, laboratory: Laboratory, sets: Mapping[str, DistilledSet]) -> Offline:
        """See `Evaluation.run`; a checkpoint of another training is refused."""
        keep_freed_memory()
        network, config = self.settings.network, self.settings.training
        data, spec, device, seed = (
            laboratory.real, laboratory.spec, laboratory.device, laboratory.seed,
        )  # fmt: skip
        fresh = networks.build(network, spec, seed=seed)
        rng = generator(seed, "set_training")
        training = Training(fresh, data, spec, config, generator=rng, device=device)
        kept = _Checkpoint(laboratory.checkpoint, name_of(self._work(laboratory)))
        epochs = kept.restore(training)
        for number, epoch in enumerate(epochs, 1):
            _tell(laboratory.on_epoch, number, config.epochs, epoch)
        with in_steps():
            while not training.done:
                epochs.append(training.epoch(lambda: kept.reached(training, epochs)))
                kept.save(training, epochs)
                _tell(laboratory.on_epoch, len(epochs), config.epochs, epochs[-1])
        spent = kept.seconds
        logits = predict_logits(fresh, laboratory.test, spec, device)
        if not logits.isfinite().all():
            raise Diverged(
                "testing: expected finite outputs, found others; lower the learning rate"
            )
        labels = laboratory.test.hard_labels.cpu()
        forward = forward_flops(fresh, spec.shape)
        return Offline(
            float((logits.argmax(1) == labels).double().mean()),
            float(F.cross_entropy(logits, labels)),
            tuple(epochs),
            networks.num_parameters(fresh),
            forward,
            forward_flops(fresh, spec.shape, report_counting=True),
            3 * forward * len(data) * config.epochs,
            spent,
            network.name,
        )

    def _work(self, laboratory: Laboratory) -> dict[str, Any]:
        """All that the training depends on."""
        spec = laboratory.spec
        return {
            "train": identity(laboratory.real),
            "spec": [spec.shape, spec.mean, spec.std, spec.num_classes],
            "network": self.settings.network.to_dict(),
            "config": self.settings.training.to_dict(),
            "seed": laboratory.seed,
            "software": software(laboratory.device, sources_of(__name__)),
        }


def _tell(on_epoch: OnEpoch | None, number: int, total: int, epoch: Epoch) -> None:
    if on_epoch is not None:
        on_epoch(number, total, epoch)


class _Checkpoint:
    """A training on disk, named by all that it depends on.

    Written after every epoch, and in the middle of long ones.
    """

    def __init__(self, path: Path | None, name: str) -> None:
        self._path, self._name = path, name
        self._clock, self._seconds_before = Clock(), 0.0

    @property
    def seconds(self) -> float:
        """Wall time of the training so far, in all its sittings."""
        return self._seconds_before + self._clock.seconds

    def restore(self, training: Training) -> list[Epoch]:
        """Bring ``training`` to where it was; the epochs done."""
        epochs: list[Epoch] = []
        kept = None if self._path is None else self._read(self._path)
        if kept is not None:
            training.load_state_dict(kept["training"])
            self._seconds_before = float(kept["seconds"])
            epochs = [Epoch(*values) for values in kept["epochs"]]
        self._clock = Clock()
        return epochs

    def _read(self, path: Path) -> dict[str, Any] | None:
        kept, notes = kept_state(path, _KIND, ("name", "training", "epochs", "seconds"))
        if kept is None and notes:
            raise InputError(
                f"{path}: expected a checkpoint of an offline training, found something else: "
                f"{notes[0]}; remove it"
            )
        for note in notes:
            warnings.warn(f"{note}; the one before it is taken", stacklevel=4)
        if kept is not None and kept["name"] != self._name:
            raise InputError(
                f"{path}: expected a checkpoint of this very training, found one of other "
                "settings, data or software; remove it or choose another --output"
            )
        return kept

    def reached(self, training: Training, epochs: list[Epoch]) -> None:
        """After a step: written every half minute, and before a stop."""
        if self._clock.is_due:
            self.save(training, epochs)
        may_stop()

    def save(self, training: Training, epochs: list[Epoch]) -> None:
        """Write it down; a disk that is full costs the training nothing but that."""
        if self._path is None:
            return
        values = {
            "name": self._name,
            "training": training.state_dict(),
            "epochs": [list(epoch) for epoch in epochs],
            "seconds": self.seconds,
        }
        try:
            keep_state(self._path, _KIND, values)
        except OSError as error:
            warnings.warn(f"{self._path}: no checkpoint was written ({error})", stacklevel=3)
        self._clock.written()
