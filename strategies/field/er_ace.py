"""ER-ACE: replay whose current images compete among the current classes only.

Caccia, Aljundi, Asadi, Tuytelaars, Pineau & Belilovsky, "New Insights on Reducing Abrupt
Representation Change in Online Continual Learning", ICLR 2022, arXiv 2104.05025.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.config import RunConfig
from clbench.memory import ImageMemory
from clbench.strategies.field.method import MethodLearner, Replay


class ErAce(Replay):
    """Asymmetric cross-entropy on the batch and on the images of memory.

    Memory takes in the experience before it is learnt, as in Avalanche's ``ER_ACE``: the paper's
    reservoir holds the current classes too, and replay alone sets them against the old ones. The
    first experience is trained plainly, like that of every replay here.
    """

    def before_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Take the experience into memory, and join memory to its batches."""
        if not strategy.goes_on_within:
            self.memory.post_adapt(strategy, strategy.experience)
        if strategy.clock.train_exp_counter:
            super().before_training_exp(strategy, **kwargs)

    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Leave memory alone: it holds the experience."""

    def loss(self, learner: MethodLearner) -> Tensor:
        """Return the loss `asymmetric_loss` of the batch's two parts."""
        num = self.num_current(learner)
        if num == len(learner.mb_y):
            return learner.plain_loss()
        return asymmetric_loss(learner.mb_output, learner.mb_y, num)


def asymmetric_loss(logits_NK: Tensor, labels_N: Tensor, num_current: int) -> Tensor:
    """Return the sum of two mean cross-entropies (equation 4 of the paper).

    Args:
        logits_NK: of current images, then of memory's.
        labels_N: int64.
        num_current: images of the first kind; their softmax is over the classes among them alone.
    """
    present = labels_N[:num_current].unique()
    absent = torch.ones(logits_NK.shape[1], dtype=torch.bool, device=logits_NK.device)
    absent[present] = False
    current = logits_NK[:num_current].masked_fill(absent, float("-inf"))
    return F.cross_entropy(current, labels_N[:num_current]) + F.cross_entropy(
        logits_NK[num_current:], labels_N[num_current:]
    )


def make(config: RunConfig, memory: ImageMemory | None) -> ErAce:
    """Make the method."""
    assert memory is not None
    return ErAce(memory, batch_size=config.learner.memory_batch_size, seed=config.seed)
