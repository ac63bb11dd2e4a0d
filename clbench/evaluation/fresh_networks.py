"""How good is a small set? Train fresh networks on it alone and test them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from clbench import networks
from clbench.networks.settings import NetworkConfig
from clbench.seeding import generator
from clbench.training import accuracy, train_on_set
from clbench.training.settings import SetTrainingConfig
from clbench.types import ImageSpec, LabelledImages, Scores


def evaluate_set(
    data: LabelledImages,
    test: LabelledImages,
    spec: ImageSpec,
    network: NetworkConfig,
    config: SetTrainingConfig,
    *,
    seeds: Sequence[int],
    device: torch.device,
    on_epoch: Callable[[int, int, float], None] | None = None,
) -> Scores:
    """Accuracy on ``test`` of one fresh network per seed, each trained on ``data`` alone.

    The protocol of the DC/DSA/DM family (see `SetTrainingConfig`); always the last epoch, never
    the best one. ``on_epoch(network_index, epoch, loss)`` reports progress.
    """
    values = []
    for position, seed in enumerate(seeds):
        fresh = networks.build(network, spec, seed=seed)

        def report(epoch: int, loss: float, position: int = position) -> None:
            if on_epoch is not None:
                on_epoch(position, epoch, loss)

        rng = generator(seed, "set_training")
        train_on_set(fresh, data, spec, config, generator=rng, device=device, on_epoch=report)
        values.append(accuracy(fresh, test, spec, device))
    return Scores(tuple(values))
