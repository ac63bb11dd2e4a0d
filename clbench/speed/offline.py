"""Training on full data against a bare torch loop on the very same batches."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from clbench import networks
from clbench.config import NetworkConfig
from clbench.evaluation import RECIPES
from clbench.machine.allocator import keep_freed_memory
from clbench.machine.device import autocast
from clbench.measuring.cost import Stopwatch
from clbench.seeding import generator
from clbench.speed.images import images_of
from clbench.speed.paired import Conditions, Once, SameOutcome, as_outcome
from clbench.training import Training, batches

MOST_IMAGES, FEW_IMAGES = 4000, 1024
SLOW = ("convnet", "cnn")  # learn the fewer images
WIDTHS = {"convnet": 32}  # where the default takes minutes
EPOCHS = {"mlp": 3}  # where one takes too little time to be measured


class OfflinePair(SameOutcome):
    """Epochs of the course report's recipe, which has no augmentation, at one step size.

    The bare loop has its images normalised beforehand and sums nothing up.
    """

    def __init__(self, network: str, conditions: Conditions) -> None:
        """Read the images."""
        keep_freed_memory()
        self.device, self.seed = conditions.device, conditions.seed
        most = FEW_IMAGES if network in SLOW else MOST_IMAGES
        self.images, self.spec = images_of(conditions, most)
        self.network = NetworkConfig(network, width=WIDTHS.get(network))
        self.epochs = EPOCHS.get(network, 1)
        self.recipe = RECIPES["course"].replace(schedule="constant")

    def fast(self) -> Once:
        """Measure `Training`."""
        network = networks.build(self.network, self.spec, seed=self.seed)
        rng = generator(self.seed, "speed")
        training = Training(
            network, self.images, self.spec, self.recipe, generator=rng, device=self.device
        )
        clock = Stopwatch(self.device)
        with clock.phase("train"):
            for _ in range(self.epochs):
                training.epoch()
        num = self.epochs * len(self.images)
        return Once(clock.seconds["train"], num, as_outcome(*network.parameters()))

    def plain(self) -> Once:
        """Measure the bare loop."""
        recipe, rng = self.recipe, generator(self.seed, "speed")
        network = networks.build(self.network, self.spec, seed=self.seed).to(self.device).train()
        x = self.spec.normalise(self.images.images.to(self.device))
        y = self.images.labels.to(self.device)
        optimizer = torch.optim.SGD(
            network.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        clock = Stopwatch(self.device)
        with clock.phase("train"):
            for _ in range(self.epochs):
                order = torch.randperm(len(x), generator=rng).to(self.device)
                for index in batches(order, recipe.batch_size):
                    with autocast("auto", self.device):
                        logits = network(x[index])
                    loss = F.cross_entropy(logits.float(), y[index])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
        num = self.epochs * len(x)
        return Once(clock.seconds["train"], num, as_outcome(*network.parameters()))
