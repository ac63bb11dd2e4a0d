"""One network under training on real images, its weights a flat vector.

What experts (`clbench.distillation.trajectories.experts`) and the networks that judge difficulty
(`clbench.distillation.difficulty`) share: plain SGD, no momentum and no weight decay, as in
Cazenavette et al., "Dataset Distillation by Matching Training Trajectories" (MTT), CVPR 2022.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.distillation.augmentation import augment, parse
from clbench.distillation.difficulty.settings import DifficultySettings
from clbench.distillation.flat import FlatNetwork
from clbench.machine.device import autocast
from clbench.seeding import derive, generator
from clbench.types import LabelledImages


class Expert:
    """A network and the state of its training.

    Attributes:
        weights: (P,) float32; a step makes a new tensor, so an old one is never written to.
        num_epoch_steps: steps of one pass over all images.
    """

    def __init__(
        self,
        network: FlatNetwork,
        data: LabelledImages,
        config: DifficultySettings,
        *stream: str | int,
        precision: str,
    ) -> None:
        """Draw the initial weights.

        Args:
            network: the architecture.
            data: unpacked images with hard labels, on the network's device.
            config: batch size, learning rate, augmentation and seed.
            stream: name of the randomness (weights, batches, augmentation) below the seed.
            precision: see `clbench.machine.device.autocast`; weights are float32 whatever it says.
        """
        self._network, self._data, self._precision = network, data, precision
        self._learning_rate = config.learning_rate
        self._operations = parse(config.augmentation, network.spec)
        self._augmentation = generator(config.seed, *stream, "augmentation")
        self.batches = Batches(
            len(data), config.batch_size, generator(config.seed, *stream, "batches")
        )
        self.num_epoch_steps = -(-len(data) // config.batch_size)
        self.weights = network.initial(derive(config.seed, *stream, "weights"))

    def step(self) -> Tensor:
        """One step of SGD on the next batch; its loss, a scalar on the device."""
        index = self.batches.next().to(self._network.device)
        batch = self._data.select(index)
        images = self._network.spec.normalise(batch.images)
        images = augment(images, self._operations, self._augmentation)
        weights = self.weights.detach().requires_grad_()
        with autocast(self._precision, self._network.device):
            logits = self._network(weights, images)
        loss = F.cross_entropy(logits.float(), batch.labels)
        (gradient,) = torch.autograd.grad(loss, weights)
        self.weights = self.weights - self._learning_rate * gradient
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the training depends on; tensors that are not written to later."""
        return {
            "weights": self.weights,
            "batches": self.batches.state_dict(),
            "augmentation": self._augmentation.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be where `state_dict` was taken."""
        self.weights = state["weights"].to(self._network.device)
        self.batches.load_state_dict(state["batches"])
        self._augmentation.set_state(state["augmentation"])


class Batches:
    """Positions in shuffled order, none twice within a pass; a pass ends with what is left over.

    Which positions take part may change in the middle of a pass.
    """

    def __init__(self, num: int, batch_size: int, generator: torch.Generator) -> None:
        self._batch_size, self._generator = batch_size, generator
        self._allowed = torch.ones(num, dtype=torch.bool)
        self._used = torch.ones(num, dtype=torch.bool)
        self._order = self._queue = torch.empty(0, dtype=torch.int64)

    def restrict(self, positions: Tensor) -> None:
        """From now on only these (at least one) are drawn; those used in this pass wait."""
        self._allowed = torch.zeros_like(self._allowed)
        self._allowed[positions] = True
        self._line_up()

    def next(self) -> Tensor:
        """The next batch, (batch_size,) int64 on the CPU or fewer at the end of a pass."""
        if not len(self._queue):
            self._order = torch.randperm(len(self._used), generator=self._generator)
            self._used[:] = False
            self._line_up()
        batch, self._queue = self._queue.tensor_split([self._batch_size])
        self._used[batch] = True
        return batch

    def state_dict(self) -> dict[str, Any]:
        """What the next batches depend on."""
        return {
            "masks": torch.stack([self._allowed, self._used]),
            "order": self._order,
            "queue": self._queue,
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Be where `state_dict` was taken."""
        self._allowed, self._used = state["masks"].clone()
        self._order, self._queue = state["order"], state["queue"]
        self._generator.set_state(state["generator"])

    def _line_up(self) -> None:
        waiting = self._allowed & ~self._used
        self._queue = self._order[waiting[self._order]]
