"""The gradient through N steps of SGD, exact, with the graph of one step at a time.

Matching a trajectory differentiates a loss of the weights after N student steps

    w_{i+1} = w_i - b g_i(w_i),    g_i = gradient of the step's loss with respect to w,

with respect to the inputs of the steps' losses (images, labels) and to b; so does
back-propagation through training. Unrolling keeps N graphs (MTT,
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
class StepGradients:
    """Derivatives of a loss of the last weights.

    Attributes:
        inputs: d loss / d input, one per input, of its shape.
        step_size: d loss / d b.
    """

    inputs: tuple[Tensor, ...]
    step_size: float


def walk(step_loss: StepLoss, start_P: Tensor, step_size: float, num_steps: int) -> list[Tensor]:
    """Return the weights before every step and after the last; no graph is kept."""
    weights = [start_P.detach()]
    for step in range(num_steps):
        here = weights[-1].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(step_loss(step, here), here)
        weights.append(here.detach() - step_size * gradient)
    return weights


def walk_back(
    step_loss: StepLoss,
    inputs: Sequence[Tensor],
    weights: list[Tensor],
    adjoint_P: Tensor,
    *,
    step_size: float,
    window: int | None = None,
) -> StepGradients:
    """Carry a loss's gradient from the last weights back to the inputs of the steps.

    Args:
        step_loss: see `StepLoss`; must give the same as on the way there.
        inputs: tensors that require grad and that ``step_loss`` depends on.
        weights: of `walk`, the last one included; emptied on the way, which frees their memory.
        adjoint_P: (P,) d loss / d last weights.
        step_size: b, above 0.
        window: steps to go back; those before count as constant. None goes back to the first.
    """
    totals = [torch.zeros_like(x) for x in inputs]
    step_total = 0.0
    weights.pop()
    num_steps = len(weights)
    first = 0 if window is None else max(0, num_steps - window)
    for step in reversed(range(first, num_steps)):
        here = weights.pop().requires_grad_()
        (gradient,) = torch.autograd.grad(step_loss(step, here), here, create_graph=True)
        along = (adjoint_P * gradient).sum()
        *parts, curvature = torch.autograd.grad(along, [*inputs, here], allow_unused=True)
        for total, part in zip(totals, parts, strict=True):
            if part is not None:
                total.sub_(part, alpha=step_size)
        step_total -= float(along.detach())
        if curvature is not None:
            adjoint_P = adjoint_P - step_size * curvature
    return StepGradients(tuple(totals), step_total)
