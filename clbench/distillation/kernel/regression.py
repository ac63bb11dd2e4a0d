"""Kernel ridge regression: how well support images predict real ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Callable[[Tensor, Tensor], Tensor]


def centred(labels_N: Tensor, num_classes: int) -> Tensor:
    """Return targets (N, K) in float64: one-hot labels minus 1 / K (Nguyen et al. 2021, 3.1)."""
    return F.one_hot(labels_N, num_classes).double() - 1 / num_classes


def regression_loss(
    kernel: Kernel,
    support: tuple[Tensor, Tensor],
    targets: tuple[Tensor, Tensor],
    ridge: float,
) -> Tensor:
    """Return 1/2 |Y_B - K_BX (K_XX + r mean(diag K_XX) I)^-1 Y_X|^2, the mean over targets.

    KIP, equation 3 (Nguyen, Chen & Lee, "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR
    2021). The system is solved in double precision.

    Args:
        kernel: of two sets of inputs.
        support: inputs (P, D) and `centred` labels (P, K) that predict.
        targets: inputs (B, D) and labels (B, K) that are predicted.
        ridge: r.
    """
    (inputs, labels), (wanted, truth) = support, targets
    own = kernel(inputs, inputs).double()
    eye = torch.eye(len(own), dtype=own.dtype, device=own.device)
    system = own + ridge * own.diagonal().mean() * eye
    factor = torch.linalg.cholesky(system)
    weights = torch.cholesky_solve(labels, factor)
    predicted = kernel(wanted, inputs).double() @ weights
    return 0.5 * (truth - predicted).square().sum(1).mean()
