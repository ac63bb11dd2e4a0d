"""EWC: weights that mattered before are held by a quadratic penalty.

Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", PNAS 2017, arXiv
1612.00796. The penalty is that of Avalanche's plugin, one for each experience; the Fisher
information is ours: Avalanche squares the gradient of a batch's mean, not of each image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench.machine import compat

compat.prepare()

from avalanche.training.plugins import EWCPlugin  # noqa: E402
from avalanche.training.utils import ParamData, copy_params_dict  # noqa: E402

from clbench.config import RunConfig  # noqa: E402
from clbench.memory import ImageMemory  # noqa: E402
from clbench.seeding import generator  # noqa: E402
from clbench.strategies.field.method import Method, MethodLearner  # noqa: E402
from clbench.strategies.field.settings import EwcSettings  # noqa: E402


class Ewc(EWCPlugin, Method):
    """Avalanche's penalty with the diagonal of the Fisher information of each experience."""

    def __init__(self, settings: EwcSettings, seed: int) -> None:
        """Set up the method; the paper's penalty has lambda / 2 (equation 3)."""
        super().__init__(ewc_lambda=settings.penalty / 2, mode="separate")
        self.settings, self.seed = settings, seed

    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Keep the weights and their importance."""
        k = strategy.clock.train_exp_counter
        rng = generator(self.seed, "fisher", k)
        data = strategy.training_images()
        index = torch.randperm(len(data), generator=rng)[: self.settings.fisher_images]
        images = strategy.spec.normalise(data.images[index.to(data.images.device)])
        found = fisher_information(strategy.model, images, rng)
        strategy.num_trained_images += len(images)
        self.importances[k] = _param_data(found)
        self.saved_params[k] = copy_params_dict(strategy.model)

    def state_dict(self) -> dict[str, Any]:
        """Return weights and importances of all experiences so far."""
        return {
            "saved": {k: _tensors(kept) for k, kept in self.saved_params.items() if kept},
            "importances": {k: _tensors(kept) for k, kept in self.importances.items() if kept},
        }

    def load_state_dict(self, state: Mapping[str, Any], learner: MethodLearner) -> None:
        """Be where `state_dict` was taken."""
        for mine, kept in (
            (self.saved_params, state["saved"]),
            (self.importances, state["importances"]),
        ):
            mine.clear()
            for k, tensors in kept.items():
                mine[k] = _param_data({n: t.to(learner.device) for n, t in tensors.items()})


def fisher_information(
    network: nn.Module, images_NCHW: Tensor, rng: torch.Generator
) -> dict[str, Tensor]:
    """Return the diagonal of the Fisher information: mean squares of each image's own gradient.

    The gradient is that of the log-likelihood of a class that is drawn from the network's own
    prediction, which is what the Fisher information is defined by.

    Args:
        network: is evaluated in evaluation mode and left in its own.
        images_NCHW: normalised, on the network's device.
        rng: draws a class for each image.
    """
    named = dict(network.named_parameters())
    found = {name: torch.zeros_like(p) for name, p in named.items()}
    was_training = network.training
    network.eval()
    for image in images_NCHW.split(1):
        logits = network(image)
        chosen = torch.multinomial(logits.detach().softmax(1).cpu(), 1, generator=rng).flatten()
        loss = F.cross_entropy(logits, chosen.to(logits.device))
        gradients = torch.autograd.grad(loss, list(named.values()))
        for total, gradient in zip(found.values(), gradients, strict=True):
            total.addcmul_(gradient, gradient, value=1 / len(images_NCHW))
    network.train(was_training)
    return found


def _param_data(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {n: ParamData(n, t.shape, init_tensor=t, device=t.device) for n, t in tensors.items()}


def _tensors(kept: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: one.data for name, one in kept.items()}


def make(config: RunConfig, memory: ImageMemory | None) -> Ewc:
    """Make the method."""
    assert isinstance(config.method, EwcSettings)
    return Ewc(config.method, config.seed)
