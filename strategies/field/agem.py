"""A-GEM: steps that would undo what memory teaches are projected.

Chaudhry, Ranzato, Rohrbach & Elhoseiny, "Efficient Lifelong Learning with A-GEM", ICLR 2019, arXiv
1812.00420. The projection (equation 11) is that of Avalanche's plugin; memory is ours.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clbench.machine import compat

compat.prepare()

from avalanche.training.plugins import AGEMPlugin  # noqa: E402

from clbench.config import RunConfig  # noqa: E402
from clbench.memory import ImageMemory  # noqa: E402
from clbench.strategies.field.method import Method, MethodLearner, drawn_from  # noqa: E402
from clbench.strategies.field.settings import AgemSettings  # noqa: E402


class Agem(AGEMPlugin, Method):
    """Avalanche's plugin, with a sample of our memory for each step's reference gradient."""

    def __init__(self, settings: AgemSettings, memory: ImageMemory, seed: int) -> None:
        """Set up the method; memory is filled after each experience."""
        super().__init__(patterns_per_experience=0, sample_size=settings.sample_size)
        self.memory, self.seed = memory, seed
        self._sample: tuple[Tensor, Tensor, Tensor] | None = None

    def before_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Project from now on, if memory holds something."""
        self.buffers = [self.memory] if len(self.memory.contents()) else []

    def before_training_iteration(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Compute the gradient on a sample of memory."""
        if self.buffers:
            images, labels = drawn_from(
                self.memory, self.sample_size, strategy, seed=self.seed, name="agem"
            )
            self._sample = images, labels, torch.zeros_like(labels)
            strategy.num_trained_images += len(labels)
        super().before_training_iteration(strategy, **kwargs)

    def sample_from_memory(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the step's sample: images, labels, task labels."""
        assert self._sample is not None
        return self._sample

    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Take the experience into memory."""
        self.memory.post_adapt(strategy, strategy.experience)


def make(config: RunConfig, memory: ImageMemory | None) -> Agem:
    """Make the method."""
    assert memory is not None and isinstance(config.method, AgemSettings)
    return Agem(config.method, memory, config.seed)
