"""A small set beside random real images of equal bytes, under one protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.evaluation import rivals
from clbench.evaluation.fresh_networks import evaluate_set
from clbench.seeding import derive
from clbench.types import ImageSpec, InputError, LabelledImages, Scores

OnNetwork = Callable[[str, int, int], None]
"""Called with the name of the set, the networks trained so far, and their total."""


@dataclass(frozen=True)
class SetScore:
    """How well networks do that saw nothing but one kind of set.

    Attributes:
        name: of the set.
        scores: accuracy on the test images, one per network.
        slots_per_class: slots of each class (of the first one, should they differ).
        packing: F; a slot holds F x F images.
        num_bytes: what the set is charged.
        distil_seconds: what making it took.
    """

    name: str
    scores: Scores
    slots_per_class: int
    packing: int
    num_bytes: int
    distil_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON; std is None for a single network."""
        return {
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


@dataclass(frozen=True)
class Judge:
    """One protocol for all sets that are compared.

    Attributes:
        real: training images of the data set, uint8.
        test: its test images.
        spec: what they look like.
        network: architecture of the fresh networks.
        training: how they are trained.
        num_networks: how many of them.
        seed: decides their weights, their batches and the random sets.
        device: where they are trained.
        on_network: reports progress.
    """

    real: LabelledImages
    test: LabelledImages
    spec: ImageSpec
    network: NetworkConfig
    training: SetTrainingConfig
    num_networks: int
    seed: int
    device: torch.device
    on_network: OnNetwork | None = None

    def __post_init__(self) -> None:
        if self.num_networks < 1:
            raise InputError(
                f"num_networks_evaluated: expected at least 1, found {self.num_networks}"
            )

    def score(self, name: str, data: LabelledImages, distil_seconds: float = 0.0) -> SetScore:
        """Train and test one network after the other on ``data``."""
        return self._score(name, lambda network: data, distil_seconds)

    def score_random(self, num_bytes: int, packing: int = 1) -> SetScore:
        """Random real images in uint8 that take ``num_bytes``, drawn afresh for every network.

        So the spread holds the luck of the draw, not only that of the weights. Where the data set
        has fewer images than fit, all are taken.
        """

        def draw(network: int) -> LabelledImages:
            return rivals.real_set(
                self.real,
                self.spec,
                method="random",
                num_bytes=num_bytes,
                packing=packing,
                seed=self.seed,
                draw=network,
            )

        return self._score(rivals.title("random", packing), draw, 0.0)

    def _score(
        self, name: str, data: Callable[[int], LabelledImages], distil_seconds: float
    ) -> SetScore:
        values: list[float] = []
        for network in range(self.num_networks):
            if self.on_network is not None:
                self.on_network(name, network, self.num_networks)
            chosen = data(network)
            seeds = [derive(self.seed, "evaluation", network)]
            scores = evaluate_set(
                chosen,
                self.test,
                self.spec,
                self.network,
                self.training,
                seeds=seeds,
                device=self.device,
            )
            values += scores.values
        if self.on_network is not None:
            self.on_network(name, self.num_networks, self.num_networks)
        first = int((chosen.hard_labels == chosen.classes[0]).sum())
        size = chosen.num_bytes
        return SetScore(name, Scores(tuple(values)), first, chosen.packing, size, distil_seconds)
