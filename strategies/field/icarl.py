"""iCaRL: herded exemplars, distillation by sigmoids, and the class of the nearest mean.

Rebuffi, Kolesnikov, Sperl & Lampert, "iCaRL: Incremental Classifier and Representation Learning",
CVPR 2017, arXiv 1611.07725.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.config import RunConfig
from clbench.memory import ImageMemory
from clbench.networks import Network
from clbench.strategies.field.heads import NearestMeans
from clbench.strategies.field.method import MethodLearner, Replay, frozen

_BATCH = 512


class Icarl(Replay):
    """Exemplars are those of the memory `herding`, picked in pixel space (the paper: in features).

    Classes that come back are learnt by their labels; the old network teaches those that are away.
    """

    def __init__(self, memory: ImageMemory, **options: Any) -> None:
        """See `MemoryReplay`."""
        super().__init__(memory, **options)
        self.old: Any = None  # the network before the experience
        self.seen: set[int] = set()

    def prepare(self, network: Network) -> None:
        """Let the network answer by the nearest mean once there are means."""
        network.classifier = NearestMeans(network.classifier)

    def before_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Join memory to the batches; note which classes are learnt and which are taught."""
        super().before_training_exp(strategy, **kwargs)
        present = set(strategy.dataloader.data.labels.unique().tolist())
        self._active = torch.tensor(sorted(self.seen | present), device=strategy.device)
        self._away = torch.tensor(sorted(self.seen - present), device=strategy.device).long()

    def loss(self, learner: MethodLearner) -> Tensor:
        """Return `distilling_loss`; the old network's pass is a third of a training pass."""
        taught = None
        if self.old is not None and len(self._away):
            learner.num_trained_images += len(learner.mb_y) // 3
            with torch.no_grad():
                taught = self.old.classifier.plain(self.old.embed(learner.mb_x))
        return distilling_loss(learner.mb_output, learner.mb_y, taught, self._active, self._away)

    @torch.no_grad()
    def after_training_exp(self, strategy: MethodLearner, **kwargs: Any) -> None:
        """Take in the exemplars, and their means in the features of the network as it is now."""
        super().after_training_exp(strategy, **kwargs)
        self.seen |= set(strategy.dataloader.data.labels.unique().tolist())
        network = strategy.model.eval()
        images, labels = self.memory.normalised(strategy.device)
        features = torch.cat([network.embed(x) for x in images.split(_BATCH)])
        network.classifier.set_means(features, labels)
        self.old = frozen(copy.deepcopy(network))
        network.train()

    def state_dict(self) -> dict[str, Any]:
        """Return the old network's weights, and the classes seen."""
        old = None if self.old is None else self.old.state_dict()
        return {"old": old, "seen": sorted(self.seen)}

    def load_state_dict(self, state: Mapping[str, Any], learner: MethodLearner) -> None:
        """Be where `state_dict` was taken."""
        self.seen = set(state["seen"])
        if state["old"] is not None:
            self.old = frozen(copy.deepcopy(learner.model))
            self.old.load_state_dict(state["old"])


def distilling_loss(
    logits_NK: Tensor, labels_N: Tensor, taught_NK: Tensor | None, active: Tensor, away: Tensor
) -> Tensor:
    """Return the loss of the paper's algorithm 3: a sum over classes, a mean over images.

    Args:
        logits_NK: of the network that learns.
        labels_N: int64.
        taught_NK: logits of the network before the experience; None where nothing is taught.
        active: (A,) classes seen so far, those of the experience included.
        away: those of them that the experience lacks; their targets are the old network's sigmoids.
    """
    targets = F.one_hot(labels_N, logits_NK.shape[1]).to(logits_NK.dtype)
    if taught_NK is not None:
        targets[:, away] = taught_NK[:, away].sigmoid()
    each = F.binary_cross_entropy_with_logits(
        logits_NK[:, active], targets[:, active], reduction="none"
    )
    return each.sum(1).mean()


def make(config: RunConfig, memory: ImageMemory | None) -> Icarl:
    """Make the method."""
    assert memory is not None
    return Icarl(memory, batch_size=config.learner.memory_batch_size, seed=config.seed)
