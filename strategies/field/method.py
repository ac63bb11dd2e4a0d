"""What the field's methods are: a plugin with a loss and a state, around one learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clbench.machine import compat

compat.prepare()

from avalanche.core import SupervisedPlugin  # noqa: E402

from clbench.memory import ImageMemory  # noqa: E402
from clbench.networks import Network  # noqa: E402
from clbench.seeding import generator  # noqa: E402
from clbench.strategies.learner import MemoryReplay, TensorLearner  # noqa: E402
from clbench.types import LabelledImages  # noqa: E402


class Method(SupervisedPlugin):
    """Plain training; a subclass overrides its loss, or hears Avalanche's callbacks.

    Whatever it carries from one step to the next is in `state_dict`.
    """

    def prepare(self, network: Network) -> None:
        """Change the fresh network; its parameters stay the same ones."""

    def loss(self, learner: MethodLearner) -> Tensor:
        """Return the loss of the batch, whose logits are ``learner.mb_output``."""
        return learner.plain_loss()

    def training_images(self, images: LabelledImages) -> LabelledImages:
        """Return those of the experience's images that are trained on."""
        return images

    def state_dict(self) -> dict[str, Any]:
        """Return all that `load_state_dict` needs, between two steps."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], learner: MethodLearner) -> None:
        """Be where `state_dict` was taken; ``learner`` has its weights already."""


class Replay(MemoryReplay, Method):
    """A method whose memory joins every batch: the batch's first images are the current ones."""

    def num_current(self, learner: MethodLearner) -> int:
        """Return how many of the batch's images are the experience's own."""
        joined = learner.dataloader.memory
        return len(learner.mb_y) - (0 if joined is None else joined.batch_size)


class MethodLearner(TensorLearner):
    """A learner that one of the field's methods trains."""

    def __init__(self, *, method: Method, **kwargs: Any) -> None:
        """See `TensorLearner`; ``method`` is the last of its plugins."""
        self.method = method
        kwargs["plugins"] = [*kwargs.get("plugins", ()), method]
        super().__init__(**kwargs)
        method.prepare(self.model)

    @property
    def goes_on_within(self) -> bool:
        """Whether the experience to be trained had begun before a stop."""
        return self._within is not None

    def plain_loss(self) -> Tensor:
        """Return the mean cross-entropy of the batch."""
        loss: Tensor = super().criterion()
        return loss

    def criterion(self) -> Tensor:
        """Return the method's loss."""
        return self.method.loss(self)

    def training_images(self) -> LabelledImages:
        """See `TensorLearner.training_images`; the method may hold some out."""
        return self.method.training_images(super().training_images())

    def state_dict(self) -> dict[str, Any]:
        """See `TensorLearner.state_dict`; with the method's."""
        return {**super().state_dict(), "method": self.method.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `TensorLearner.load_state_dict`."""
        super().load_state_dict(state)
        self.method.load_state_dict(state["method"], self)


def drawn_from(
    memory: ImageMemory, num: int, learner: MethodLearner, *, seed: int, name: str
) -> tuple[Tensor, Tensor]:
    """Return ``num`` different images of memory, or all, drawn anew for each step.

    The draw follows from the seed and the step alone, so that it has no state.

    Returns:
        Normalised images (M, C, H, W) and labels (M,), on the learner's device.
    """
    clock = learner.clock
    rng = generator(seed, name, clock.train_exp_counter, clock.train_exp_iterations)
    images, labels = memory.normalised(learner.device)
    index = torch.randperm(len(labels), generator=rng)[:num].to(labels.device)
    return images[index], labels[index]


def frozen(network: nn.Module) -> nn.Module:
    """Return the network in evaluation mode, without gradients of its own."""
    return network.eval().requires_grad_(False)


def copy_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return detached copies by name."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
