"""LwF: the network before the experience teaches the one that learns it.

Li & Hoiem, "Learning without Forgetting", ECCV 2016, arXiv 1606.09282. The loss is that of
Avalanche's plugin.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from clbench.machine import compat

compat.prepare()

from avalanche.training.plugins import LwFPlugin  # noqa: E402

from clbench.config import RunConfig  # noqa: E402
from clbench.memory import ImageMemory  # noqa: E402
from clbench.strategies.field.method import Method, MethodLearner, frozen  # noqa: E402
from clbench.strategies.field.settings import LwfSettings  # noqa: E402


class Lwf(LwFPlugin, Method):
    """Avalanche's plugin, whose old network is in evaluation mode and part of the state."""

    def __init__(self, settings: LwfSettings) -> None:
        """Set up the method."""
        super().__init__(alpha=settings.alpha, temperature=settings.temperature)

    def before_backward(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Add the distillation; the old network's pass is a third of a training pass."""
        super().before_backward(strategy, **kwargs)
        if self.lwf.prev_model is not None:
            strategy.num_trained_images += len(strategy.mb_y) // 3

    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Keep the network and the classes that it knows."""
        super().after_training_exp(strategy, **kwargs)
        frozen(self.lwf.prev_model)

    def state_dict(self) -> dict[str, Any]:
        """Return the old network's weights, and its classes."""
        network = self.lwf.prev_model
        return {
            "network": None if network is None else network.state_dict(),
            "classes": {t: sorted(c) for t, c in self.lwf.prev_classes_by_task.items()},
            "num_experiences": self.lwf.expcount,
        }

    def load_state_dict(self, state: Mapping[str, Any], learner: MethodLearner) -> None:
        """Be where `state_dict` was taken."""
        self.lwf.expcount = state["num_experiences"]
        self.lwf.prev_classes_by_task.update({t: set(c) for t, c in state["classes"].items()})
        if state["network"] is not None:
            self.lwf.prev_model = frozen(copy.deepcopy(learner.model))
            self.lwf.prev_model.load_state_dict(state["network"])


def make(config: RunConfig, memory: ImageMemory | None) -> Lwf:
    """Make the method."""
    assert isinstance(config.method, LwfSettings)
    return Lwf(config.method)
