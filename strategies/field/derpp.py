"""DER++: replay of images with the logits that the learner gave them.

Buzzega, Boschini, Porrello, Abati & Calderara, "Dark Experience for General Continual Learning: a
Strong, Simple Baseline", NeurIPS 2020, arXiv 2004.07211.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from clbench.config import RunConfig
from clbench.memory import ImageMemory, LogitsMemory
from clbench.strategies.field.method import MethodLearner, Replay
from clbench.strategies.field.settings import DerppSettings


class Derpp(Replay):
    """Cross-entropy of the current images, and two terms of two draws from memory."""

    def __init__(self, settings: DerppSettings, memory: LogitsMemory, **options: Any) -> None:
        """See `MemoryReplay`; each of the two draws has ``batch_size`` images."""
        options["batch_size"] *= 2
        super().__init__(memory, **options)
        self.settings = settings

    def before_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Join memory to the experience's batches, and have its logits at hand."""
        super().before_training_exp(strategy, **kwargs)
        assert isinstance(self.memory, LogitsMemory)
        self._logits = self.memory.logits.to(strategy.device)

    def loss(self, learner: MethodLearner) -> Tensor:
        """Return `dark_loss` of the batch's three parts."""
        num = self.num_current(learner)
        if num == len(learner.mb_y):
            return learner.plain_loss()
        stored = self._logits[learner.dataloader.positions]
        return dark_loss(
            learner.mb_output, learner.mb_y, stored, self.settings.alpha, self.settings.beta
        )


def dark_loss(
    logits_NK: Tensor, labels_N: Tensor, stored_MK: Tensor, alpha: float, beta: float
) -> Tensor:
    """Return the loss of DER++ (equation 6 of the paper).

    Args:
        logits_NK: of current images, then of the M of memory.
        labels_N: int64.
        stored_MK: logits kept with the M images; the first half's are matched (mean square over
            images and classes, as in the authors' code), the labels of the second half are learnt.
        alpha: weight of the matching.
        beta: weight of the cross-entropy of the second half.
    """
    num, half = len(labels_N) - len(stored_MK), len(stored_MK) // 2
    matched, labelled = logits_NK[num : num + half], logits_NK[num + half :]
    return (
        F.cross_entropy(logits_NK[:num], labels_N[:num])
        + alpha * F.mse_loss(matched, stored_MK[:half])
        + beta * F.cross_entropy(labelled, labels_N[num + half :])
    )


def make(config: RunConfig, memory: ImageMemory | None) -> Derpp:
    """Make the method."""
    assert isinstance(memory, LogitsMemory) and isinstance(config.method, DerppSettings)
    return Derpp(
        config.method, memory, batch_size=config.learner.memory_batch_size, seed=config.seed
    )
