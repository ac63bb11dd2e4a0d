"""Kernels between images: the tangent kernel of an MLP in closed form, and that of features.

Legend of shape suffixes: N and M images, D values of one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_MOST = 1 - 1e-6  # of a cosine: at 1 the angle has no derivative


def tangent_kernel(x_ND: Tensor, z_MD: Tensor, hidden_layers: int) -> Tensor:
    """Return the neural tangent kernel (N, M) of a ReLU MLP without biases.

    Jacot, Gabriel & Hongler, "Neural Tangent Kernel", NeurIPS 2018, theorem 1, for weights of
    variance 2 / fan-in (1 / fan-in in the first layer): with S_0 = x.z / D and the arc-cosine
    kernels of Cho & Saul, "Kernel Methods for Deep Learning", NeurIPS 2009, equations 3 to 6,

        c = S / sqrt(S_xx S_zz),  t = arccos c
        S' = sqrt(S_xx S_zz) (sin t + (pi - t) cos t) / pi,    dS' = (pi - t) / pi
        T_0 = S_0,  T' = S' + T dS'

    A layer leaves S_xx as it is. Differentiable in both.
    """
    d = x_ND.shape[1]
    covariance = x_ND @ z_MD.T / d
    scale = (x_ND.square().sum(1)[:, None] * z_MD.square().sum(1)[None]).sqrt() / d
    scale = scale.clamp_min(torch.finfo(scale.dtype).tiny)
    tangent = covariance
    for _ in range(hidden_layers):
        cosine = (covariance / scale).clamp(-_MOST, _MOST)
        angle = torch.arccos(cosine)
        rest = (math.pi - angle) / math.pi
        covariance = scale * (torch.sqrt(1 - cosine**2) / math.pi + rest * cosine)
        tangent = covariance + tangent * rest
    return tangent


def feature_kernel(x_ND: Tensor, z_MD: Tensor) -> Tensor:
    """Return the inner products (N, M) of features, over D."""
    return x_ND @ z_MD.T / x_ND.shape[1]
