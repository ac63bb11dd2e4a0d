"""Last layers that answer otherwise in evaluation than they are trained; weights are the linear's.

Legend of shape suffixes: N images, D features, K classes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FARTHEST = 4.0  # squared distance of two unit vectors


class Head(nn.Linear):
    """The linear layer of a network with its very parameters, so that an optimiser keeps them."""

    def __init__(self, linear: nn.Linear) -> None:
        """Take over the parameters of ``linear``."""
        super().__init__(linear.in_features, linear.out_features, device=linear.weight.device)
        self.weight, self.bias = linear.weight, linear.bias

    def plain(self, features_ND: Tensor) -> Tensor:
        """Return the linear layer's logits (N, K), in evaluation too."""
        return F.linear(features_ND, self.weight, self.bias)


class NearestMeans(Head):
    """In evaluation the class of the nearest mean; linear until a mean is known.

    Attributes:
        means: (K, D) unit vectors.
        known: (K,) which of them are.
    """

    means: Tensor
    known: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        """See `Head`; no mean is known."""
        super().__init__(linear)
        self.register_buffer("means", torch.zeros_like(linear.weight, requires_grad=False))
        known = torch.zeros(linear.out_features, dtype=torch.bool, device=linear.weight.device)
        self.register_buffer("known", known)

    def set_means(self, features_ND: Tensor, labels_N: Tensor) -> None:
        """Take the means of unit features, scaled to unit length, of the classes among labels."""
        unit = F.normalize(features_ND)
        self.known.fill_(False)
        for c in labels_N.unique().tolist():
            self.means[c] = F.normalize(unit[labels_N == c].mean(0), dim=0)
            self.known[c] = True

    def forward(self, features_ND: Tensor) -> Tensor:
        """Return minus the squared distances to the means; those unknown are farther than any."""
        if self.training or not self.known.any():
            return self.plain(features_ND)
        with torch.autocast(features_ND.device.type, enabled=False):
            unit = F.normalize(features_ND.float())
            distances = 2 - 2 * unit @ self.means.T
        return -distances.masked_fill(~self.known, 2 * FARTHEST)


class Corrected(Head):
    """In evaluation the logits of some classes are scaled and shifted.

    Attributes:
        scale: alpha of the paper.
        shift: beta of the paper.
        chosen: (K,) the classes that both apply to.
    """

    scale: Tensor
    shift: Tensor
    chosen: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        """See `Head`; nothing is corrected."""
        super().__init__(linear)
        device = linear.weight.device
        self.register_buffer("scale", torch.ones((), device=device))
        self.register_buffer("shift", torch.zeros((), device=device))
        chosen = torch.zeros(linear.out_features, dtype=torch.bool, device=device)
        self.register_buffer("chosen", chosen)

    def forward(self, features_ND: Tensor) -> Tensor:
        """Return logits (N, K)."""
        logits = self.plain(features_ND)
        if self.training:
            return logits
        return torch.where(self.chosen, self.scale * logits + self.shift, logits)
