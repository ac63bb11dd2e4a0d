"""Synaptic intelligence: a weight's importance is the loss that its path has saved.

Zenke, Poole & Ganguli, "Continual Learning Through Synaptic Intelligence", ICML 2017, arXiv
1703.04200.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clbench.config import RunConfig
from clbench.memory import ImageMemory
from clbench.strategies.field.method import Method, MethodLearner, copy_of
from clbench.strategies.field.settings import SiSettings

Tensors = dict[str, Tensor]


class Si(Method):
    """The surrogate loss of the paper's equations 4 and 5, added to the gradient of each step.

    Attributes:
        path: name of a weight -> omega, minus the path integral of the task's gradient since the
            experience began.
        importance: name -> Omega of all experiences so far.
        anchor: name -> the weight at the end of the experience before.
    """

    def __init__(self, settings: SiSettings) -> None:
        """Set up the method."""
        super().__init__()
        self.settings = settings
        self.path, self.importance, self.anchor = Tensors(), Tensors(), Tensors()
        self._before, self._gradient = Tensors(), Tensors()

    def before_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Begin the path of the experience."""
        named = dict(strategy.model.named_parameters())
        self.path = {name: torch.zeros_like(p) for name, p in named.items()}
        self.anchor = copy_of(named)
        if not self.importance:
            self.importance = {name: torch.zeros_like(p) for name, p in named.items()}

    @torch.no_grad()
    def after_backward(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Note the task's own gradient, and add that of the surrogate loss."""
        for name, p in strategy.model.named_parameters():
            if p.grad is None:
                continue
            self._gradient[name] = p.grad.clone()
            self._before[name] = p.detach().clone()
            pull = self.importance[name] * (p - self.anchor[name])
            p.grad.add_(pull, alpha=2 * self.settings.strength)

    @torch.no_grad()
    def after_update(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Add the step to the path: -g . (new - old)."""
        for name, p in strategy.model.named_parameters():
            if name in self._gradient:
                step = p - self._before[name]
                self.path[name].addcmul_(self._gradient[name], step, value=-1)

    @torch.no_grad()
    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Add the experience to the importances.

        Those below 0 (a path that raised the loss) count as 0, as in the authors' code: the penalty
        would have no minimum.
        """
        for name, p in strategy.model.named_parameters():
            length = (p - self.anchor[name]) ** 2 + self.settings.damping
            self.importance[name] += (self.path[name] / length).clamp_min(0)

    def state_dict(self) -> dict[str, Any]:
        """Return path, importances and anchor."""
        return {name: copy_of(getattr(self, name)) for name in ("path", "importance", "anchor")}

    def load_state_dict(self, state: Mapping[str, Any], learner: MethodLearner) -> None:
        """Be where `state_dict` was taken."""
        for name in ("path", "importance", "anchor"):
            kept = {weight: t.to(learner.device) for weight, t in state[name].items()}
            setattr(self, name, copy_of(kept))


def make(config: RunConfig, memory: ImageMemory | None) -> Si:
    """Make the method."""
    assert isinstance(config.method, SiSettings)
    return Si(config.method)
