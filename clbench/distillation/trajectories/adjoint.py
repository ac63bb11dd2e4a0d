"""The gradient through N steps of SGD, exact, with the graph of one step at a time.

Matching a trajectory differentiates the weights after N student steps

    w_{i+1} = w_i - b g_i(w_i),    g_i = gradient of the step's loss with respect to w,

with respect to the inputs of that loss (images, labels) and to b. Unrolling keeps N graphs (MTT,
Cazenavette et al. 2022). TESLA (Cui et al. 2023) keeps one, but leaves out how earlier steps move
the weights at which later gradients are taken. The discrete adjoint leaves out nothing: the
weights are stored on the way there, and on the way back lambda_i = dL/dw_i follows from

    lambda_i = lambda_{i+1} - b d<lambda_{i+1}, g_i>/dw_i,
    dL/dx   += -b d<lambda_{i+1}, g_i>/dx,    dL/db += -<lambda_{i+1}, g_i>.

tests/distillation/test_adjoint.py compares it with full unrolling, and TESLA with both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

StepLoss = Callable[[int, Tensor], Tensor]
"""Loss of student step i (from 0) at weights (P,); differentiable in its inputs and the weights."""


@dataclass(frozen=True)
class MatchingGradient:
    """The distance of trajectories and its derivatives.

    Attributes:
        loss: |w_N - target|^2 / |start - target|^2 over the parameters that count.
        inputs: d loss / d input, one per input, of its shape.
        step_size: d loss / d b.
    """

    loss: float
    inputs: tuple[Tensor, ...]
    step_size: float


def matching_gradient(
    step_loss: StepLoss,
    inputs: Sequence[Tensor],
    *,
    start_P: Tensor,
    target_P: Tensor,
    step_size: float,
    num_steps: int,
    first_parameter: int = 0,
) -> MatchingGradient:
    """Walk N steps from ``start_P`` and back (the module's docstring).

    Args:
        step_loss: see `StepLoss`; called twice per step, must give the same both times.
        inputs: tensors that require grad and that ``step_loss`` depends on.
        start_P: (P,) weights of the first step; no grad.
        target_P: (P,) weights to arrive at.
        step_size: b, above 0.
        num_steps: N.
        first_parameter: parameters before it do not count in the distance (PAD's depth mask).
    """
    weights = _walk(step_loss, start_P, step_size, num_steps)
    apart = weights[-1] - target_P
    apart[:first_parameter] = 0
    scale = (start_P - target_P)[first_parameter:].square().sum()
    adjoint = 2 * apart / scale
    totals = [torch.zeros_like(x) for x in inputs]
    step_total = 0.0
    for step in reversed(range(num_steps)):
        here = weights[step].requires_grad_()
        (gradient,) = torch.autograd.grad(step_loss(step, here), here, create_graph=True)
        along = (adjoint * gradient).sum()
        *parts, curvature = torch.autograd.grad(along, [*inputs, here], allow_unused=True)
        for total, part in zip(totals, parts, strict=True):
            if part is not None:
                total.sub_(part, alpha=step_size)
        step_total -= float(along.detach())
        if curvature is not None:
            adjoint = adjoint - step_size * curvature
        weights.pop()
    return MatchingGradient(float(apart.square().sum() / scale), tuple(totals), step_total)


def _walk(step_loss: StepLoss, start_P: Tensor, step_size: float, num_steps: int) -> list[Tensor]:
    """Weights before every step and after the last, no graph kept."""
    weights = [start_P.detach()]
    for step in range(num_steps):
        here = weights[-1].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(step_loss(step, here), here)
        weights.append(here.detach() - step_size * gradient)
    return weights
