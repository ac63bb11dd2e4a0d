"""Small sets beside random real images of equal bytes, under one protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.evaluation import rivals
from clbench.evaluation.trials import CPU, Laboratory, OnTrial, Trial
from clbench.seeding import derive
from clbench.types import ImageSpec, LabelledImages, Scores


@dataclass(frozen=True)
class SetScore:
    """How well networks do that saw nothing but one kind of set.

    Attributes:
        name: of the set.
        scores: accuracy on the test images, one per network that did not diverge.
        slots_per_class: slots of each class (of the first one, should they differ).
        packing: F; a slot holds F x F images.
        num_bytes: what the set is charged.
        distil_seconds: what making it took; 0 of real images.
        num_diverged: networks whose loss or weights became nan or infinite.
    """

    name: str
    scores: Scores
    slots_per_class: int
    packing: int
    num_bytes: int
    distil_seconds: float
    num_diverged: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON; std is None for a single network."""
        more = {"num_diverged": self.num_diverged} if self.num_diverged else {}
        return {
            **more,
            "name": self.name,
            "accuracy_mean": self.scores.mean,
            "accuracy_std": self.scores.std if self.scores.num > 1 else None,
            "num_networks": self.scores.num,
            "accuracies": list(self.scores.values),
            "slots_per_class": self.slots_per_class,
            "packing": self.packing,
            "num_bytes": self.num_bytes,
            "distil_seconds": self.distil_seconds,
        }


def beside_random(
    sets: Mapping[str, LabelledImages],
    real: LabelledImages,
    test: LabelledImages,
    spec: ImageSpec,
    *,
    network: NetworkConfig,
    training: SetTrainingConfig,
    num_networks: int = 5,
    distil_seconds: Mapping[str, float] | None = None,
    seed: int = 0,
    device: torch.device = CPU,
    workers: int = 1,
    directory: Path | None = None,
    on_trial: OnTrial | None = None,
) -> list[SetScore]:
    """Train fresh networks on every set, and on random real images of its bytes and packing.

    Random images are in uint8 and drawn afresh for every network, so that their spread holds the
    luck of the draw, not only that of the weights. Where the data set has fewer images than fit,
    all are taken.

    Args:
        sets: name to set.
        real: training images of the data set, uint8.
        test: its test images.
        spec: what they look like.
        network: architecture of the fresh networks.
        training: how they are trained.
        num_networks: how many of them, on each set.
        distil_seconds: name to what making the set took, told along.
        seed: decides their weights, their batches and the random sets.
        device: where they are trained.
        workers: see `Laboratory`.
        directory: see `Laboratory`.
        on_trial: hears of every training that is done.

    Raises:
        InputError: no sets, no networks, a name that is taken, or a network that does not fit.
    """
    inputs = rivals.Rows(sets, real, spec, num_networks, seed)
    laboratory = Laboratory(inputs.sets, test, spec, device, workers, directory)
    trials = [
        Trial(name, network, training, derive(seed, "evaluation", k))
        for names in inputs.rows.values()
        for k, name in enumerate(names)
    ]
    outcomes = iter(laboratory.run(trials, on_trial))
    rows = []
    for row, names in inputs.rows.items():
        first = inputs.sets[names[0]]
        slots = int((first.hard_labels == first.classes[0]).sum())
        found = [next(outcomes) for _ in names]
        scores = Scores(tuple(outcome.accuracy for outcome in found if not outcome.diverged))
        seconds, lost = (distil_seconds or {}).get(row, 0.0), len(found) - scores.num
        num_bytes = inputs.num_bytes[row]
        rows.append(SetScore(row, scores, slots, first.packing, num_bytes, seconds, lost))
    return rows
