"""The offline baseline: a network that sees the whole data set at once, and its full cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from clbench import networks
from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.errors import Diverged, InputError
from clbench.evaluation.trials import SOURCES
from clbench.machine.allocator import keep_freed_memory
from clbench.measuring.cost import forward_flops
from clbench.seeding import generator
from clbench.store.checkpoints import NoCheckpointError, load_checkpoint, save_checkpoint
from clbench.store.fingerprint import identity, name_of, software
from clbench.training import Epoch, Training, predict_logits
from clbench.types import ImageSpec, LabelledImages

# The course report's recipe for full data, and one of today.
RECIPES: dict[str, SetTrainingConfig] = {
    "course": SetTrainingConfig(
        epochs=20,
        batch_size=128,
        learning_rate=0.01,
        momentum=0.9,
        weight_decay=0.0,
        schedule="cosine",
        augmentation="none",
    ),
    "modern": SetTrainingConfig(
        epochs=20,
        batch_size=128,
        learning_rate=0.05,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="one_cycle",
        label_smoothing=0.1,
        augmentation="auto",
    ),
}

OnEpoch = Callable[[int, int, Epoch], None]
"""Called with the number of epochs done, their total, and what the last one saw."""


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
    """

    accuracy: float
    loss: float
    epochs: tuple[Epoch, ...]
    num_parameters: int
    forward_flops: float
    report_flops: float
    train_flops: float
    seconds: float

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


def train_offline(
    train: LabelledImages,
    test: LabelledImages,
    spec: ImageSpec,
    network: NetworkConfig,
    config: SetTrainingConfig,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> Offline:
    """Train a fresh network on all images and test it once, after the last epoch.

    Args:
        train: all training images.
        test: the test images, which choose nothing.
        spec: what they look like.
        network: architecture.
        config: a recipe, see `RECIPES`.
        seed: weights, order and augmentation.
        device: where to train.
        checkpoint: file that keeps the training after every epoch; where it is there, the training
            goes on from it to the very same end. None keeps nothing.
        on_epoch: hears of every epoch, those of the checkpoint too.

    Raises:
        InputError: a network that does not fit the images; a checkpoint of another training.
        Diverged: a loss, a weight or an output is nan or infinite.
    """
    keep_freed_memory()
    fresh = networks.build(network, spec, seed=seed)
    rng = generator(seed, "set_training")
    training = Training(fresh, train, spec, config, generator=rng, device=device)
    work = {
        "train": identity(train),
        "spec": [spec.shape, spec.mean, spec.std, spec.num_classes],
        "network": network.to_dict(),
        "config": config.to_dict(),
        "seed": seed,
        "software": software(device, SOURCES),
    }
    kept = _Checkpoint(checkpoint, name_of(work))
    epochs, seconds = kept.restore(training)
    for number, epoch in enumerate(epochs, 1):
        _tell(on_epoch, number, config.epochs, epoch)
    while not training.done:
        start = time.perf_counter()
        epochs.append(training.epoch())
        seconds += time.perf_counter() - start
        kept.save(training, epochs, seconds)
        _tell(on_epoch, len(epochs), config.epochs, epochs[-1])
    logits = predict_logits(fresh, test, spec, device)
    if not logits.isfinite().all():
        raise Diverged("testing: expected finite outputs, found others; lower the learning rate")
    labels = test.decoded().hard_labels.cpu()
    forward = forward_flops(fresh, spec.shape)
    return Offline(
        float((logits.argmax(1) == labels).double().mean()),
        float(F.cross_entropy(logits, labels)),
        tuple(epochs),
        networks.num_parameters(fresh),
        forward,
        forward_flops(fresh, spec.shape, report_counting=True),
        3 * forward * len(train.decoded()) * config.epochs,
        seconds,
    )


def _tell(on_epoch: OnEpoch | None, number: int, total: int, epoch: Epoch) -> None:
    if on_epoch is not None:
        on_epoch(number, total, epoch)


class _Checkpoint:
    """A training on disk, named by all that it depends on."""

    def __init__(self, path: Path | None, name: str) -> None:
        self._path, self._name = path, name

    def restore(self, training: Training) -> tuple[list[Epoch], float]:
        """Bring ``training`` to where it was; the epochs done and their seconds."""
        if self._path is None or not self._path.exists():
            return [], 0.0
        try:
            kept = load_checkpoint(self._path, ("name", "training", "epochs", "seconds"))
        except NoCheckpointError as error:
            raise InputError(
                f"{self._path}: expected a checkpoint of an offline training, found something "
                f"else ({error}); remove it"
            ) from None
        if kept["name"] != self._name:
            raise InputError(
                f"{self._path}: expected a checkpoint of this very training, found one of other "
                "settings, data or software; remove it or choose another --output"
            )
        training.load_state_dict(kept["training"])
        return [Epoch(*values) for values in kept["epochs"]], float(kept["seconds"])

    def save(self, training: Training, epochs: list[Epoch], seconds: float) -> None:
        if self._path is None:
            return
        values = {
            "name": self._name,
            "training": training.state_dict(),
            "epochs": [list(epoch) for epoch in epochs],
            "seconds": seconds,
        }
        save_checkpoint(self._path, values)
