"""Kernel ridge regression, and how far learnt images are from real ones, of kernel matrices.

Legend of shape suffixes: P images of the support, Q of them fixed, B and M real images, N learnt
ones, D values of one, K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Kernel = Callable[[Tensor, Tensor], Tensor]


def centred(labels: Tensor, num_classes: int) -> Tensor:
    """Return targets (N, K) in float64: labels minus 1 / K (Nguyen et al. 2021, 3.1).

    Args:
        labels: (N,) int64, taken one-hot, or (N, K) soft.
        num_classes: K.
    """
    return as_soft(labels, num_classes).double() - 1 / num_classes


def as_soft(labels: Tensor, num_classes: int) -> Tensor:
    """Return soft labels (N, K): one-hot ones of hard labels (N,)."""
    return labels if labels.ndim == 2 else F.one_hot(labels, num_classes)


def among(kernel: Kernel, inputs_PD: Tensor, fixed_QQ: Tensor | None = None) -> Tensor:
    """Return the kernel (P, P) of a support; of its last Q inputs it is ``fixed_QQ``."""
    if fixed_QQ is None or not len(fixed_QQ):
        return kernel(inputs_PD, inputs_PD)
    num = len(inputs_PD) - len(fixed_QQ)
    rows = kernel(inputs_PD[:num], inputs_PD)
    return torch.cat([rows, torch.cat([rows[:, num:].T, fixed_QQ], dim=1)])


def regression_loss(
    own_PP: Tensor, cross_BP: Tensor, labels_PK: Tensor, truth_BK: Tensor, ridge: float
) -> Tensor:
    """Return 1/2 |Y_B - K_BX (K_XX + r mean(diag K_XX) I)^-1 Y_X|^2, the mean over targets.

    KIP, equation 3 (Nguyen, Chen & Lee, "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR
    2021). The system is solved in double precision.

    Args:
        own_PP: K_XX, of the support that predicts.
        cross_BP: K_BX, of the targets that are predicted and the support.
        labels_PK: Y_X, `centred`.
        truth_BK: Y_B, `centred`.
        ridge: r.
    """
    own = own_PP.double()
    eye = torch.eye(len(own), dtype=own.dtype, device=own.device)
    system = own + ridge * own.diagonal().mean() * eye
    factor = torch.linalg.cholesky(system)
    weights = torch.cholesky_solve(labels_PK, factor)
    predicted = cross_BP.double() @ weights
    return 0.5 * (truth_BK - predicted).square().sum(1).mean()


def discrepancy(learnt_NN: Tensor, between_MN: Tensor, real_MM: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy of two sets, over the kernel's scale.

    Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, equation 5 (the biased estimate):

        mean K(S, S) - 2 mean K(B, S) + mean K(B, B),    over mean diag K(B, B)

    Args:
        learnt_NN: K(S, S), of the images being learnt.
        between_MN: K(B, S).
        real_MM: K(B, B), of real images.
    """
    difference = learnt_NN.mean() - 2 * between_MN.mean() + real_MM.mean()
    return difference / real_MM.diagonal().mean()
