"""The distance of a student's weights from an expert's, and its gradient (MTT, equation 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from clbench.distillation.adjoint import StepLoss, walk, walk_back


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
    """Walk N steps from ``start_P`` and back, see `clbench.distillation.adjoint`.

    Args:
        step_loss: see `StepLoss`; called twice per step, must give the same both times.
        inputs: tensors that require grad and that ``step_loss`` depends on.
        start_P: (P,) weights of the first step; no grad.
        target_P: (P,) weights to arrive at.
        step_size: b, above 0.
        num_steps: N.
        first_parameter: parameters before it do not count in the distance (PAD's depth mask).
    """
    weights = walk(step_loss, start_P, step_size, num_steps)
    apart = weights[-1] - target_P
    apart[:first_parameter] = 0
    scale = (start_P - target_P)[first_parameter:].square().sum()
    back = walk_back(step_loss, inputs, weights, 2 * apart / scale, step_size=step_size)
    return MatchingGradient(float(apart.square().sum() / scale), back.inputs, back.step_size)
