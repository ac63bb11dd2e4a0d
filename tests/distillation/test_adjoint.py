"""The exact adjoint against full unrolling through autograd, and TESLA's approximation beside."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from clbench.distillation.adjoint import StepLoss
from clbench.distillation.trajectories.distance import MatchingGradient, matching_gradient

CLASSES = 3


class Problem:
    """A small net on a few images with soft labels; every step sees a batch of its own."""

    def __init__(self, network: nn.Module, shape: tuple[int, ...], seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)

        def normal(*size: int) -> Tensor:
            return torch.randn(*size, generator=rng, dtype=torch.float64)

        self.network = network.double()
        self.shapes = [(name, p.shape) for name, p in network.named_parameters()]
        num = sum(shape.numel() for _, shape in self.shapes)
        self.images = normal(6, *shape).requires_grad_()
        self.logits = normal(6, CLASSES).requires_grad_()
        self.start, self.target = 0.3 * normal(num), 0.3 * normal(num)
        self.batches = [torch.randperm(6, generator=rng)[:4] for _ in range(20)]

    def loss(self, step: int, weights: Tensor) -> Tensor:
        parts = weights.split([shape.numel() for _, shape in self.shapes])
        named = {n: w.view(s) for (n, s), w in zip(self.shapes, parts, strict=True)}
        index = self.batches[step]
        output = functional_call(self.network, named, (self.images[index],))
        return F.cross_entropy(output, self.logits[index].softmax(1))

    def ours(self, num_steps: int, step_size: float, first: int) -> MatchingGradient:
        return matching_gradient(
            self.loss,
            [self.images, self.logits],
            start_P=self.start,
            target_P=self.target,
            step_size=step_size,
            num_steps=num_steps,
            first_parameter=first,
        )

    def distance(self, weights: Tensor, first: int) -> Tensor:
        apart = (weights - self.target)[first:].square().sum()
        return apart / (self.start - self.target)[first:].square().sum()


def unrolled(problem: Problem, num_steps: int, step_size: float, first: int) -> MatchingGradient:
    """MTT: every step's graph is kept, autograd goes through all of them."""
    b = torch.tensor(step_size, dtype=torch.float64, requires_grad=True)
    weights = problem.start.clone().requires_grad_()
    for step in range(num_steps):
        (g,) = torch.autograd.grad(problem.loss(step, weights), weights, create_graph=True)
        weights = weights - b * g
    loss = problem.distance(weights, first)
    images, logits, db = torch.autograd.grad(loss, [problem.images, problem.logits, b])
    return MatchingGradient(float(loss.detach()), (images, logits), float(db))


def tesla(problem: Problem, num_steps: int, step_size: float, first: int) -> MatchingGradient:
    """TESLA (Cui et al. 2023): each gradient is taken at weights that count as constants."""
    weights, taken = problem.start.clone(), []
    for step in range(num_steps):
        taken.append(weights.clone().requires_grad_())
        (g,) = torch.autograd.grad(problem.loss(step, taken[-1]), taken[-1])
        weights = weights - step_size * g
    final = weights.clone().requires_grad_()
    loss = problem.distance(final, first)
    (end,) = torch.autograd.grad(loss, final)
    images, logits = torch.zeros_like(problem.images), torch.zeros_like(problem.logits)
    db = 0.0
    for step, here in enumerate(taken):
        (g,) = torch.autograd.grad(problem.loss(step, here), here, create_graph=True)
        parts = torch.autograd.grad((end * g).sum(), [problem.images, problem.logits])
        images, logits = images - step_size * parts[0], logits - step_size * parts[1]
        db -= float((end * g).sum().detach())
    return MatchingGradient(float(loss.detach()), (images, logits), db)


def relative(found: Tensor, expected: Tensor) -> float:
    """Of norms; a gradient of nothing but rounding errors counts as zero."""
    return float((found - expected).norm() / max(float(expected.norm()), 1e-6))


def errors(found: MatchingGradient, expected: MatchingGradient) -> list[float]:
    """Of images, labels, step size and loss."""
    numbers = [(found.step_size, expected.step_size), (found.loss, expected.loss)]
    pairs = [*zip(found.inputs, expected.inputs, strict=True)]
    pairs += [(torch.tensor(a), torch.tensor(b)) for a, b in numbers]
    return [relative(ours, theirs) for ours, theirs in pairs]


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.GroupNorm(3, 3),
        nn.Softplus(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(12, CLASSES),
    )


@pytest.mark.parametrize("first", [0, 25])
@pytest.mark.parametrize("num_steps", range(1, 11))
def test_equals_full_unrolling(num_steps, first):
    problem = Problem(convnet(), (1, 4, 4), seed=num_steps)
    expected = unrolled(problem, num_steps, 0.2, first)
    assert max(errors(problem.ours(num_steps, 0.2, first), expected)) < 1e-8


@given(
    seed=st.integers(0, 10**6),
    widths=st.lists(st.integers(1, 7), min_size=0, max_size=3),
    activation=st.sampled_from([nn.Tanh, nn.Softplus, nn.ELU, nn.ReLU]),
    num_steps=st.integers(1, 12),
    step_size=st.floats(1e-3, 0.5),
    mask=st.floats(0, 0.9),
)
def test_equals_full_unrolling_for_any_net(seed, widths, activation, num_steps, step_size, mask):
    layers: list[nn.Module] = []
    for before, after in zip([5, *widths], [*widths, CLASSES], strict=True):
        layers += [nn.Linear(before, after), activation()]
    problem = Problem(nn.Sequential(*layers[:-1]), (5,), seed)
    first = int(mask * len(problem.start))
    expected = unrolled(problem, num_steps, step_size, first)
    assert max(errors(problem.ours(num_steps, step_size, first), expected)) < 1e-8


def test_tesla_drops_the_way_the_weights_move():
    problem = Problem(convnet(), (1, 4, 4), seed=0)
    exact = unrolled(problem, 10, 0.5, 0)
    approximate = errors(tesla(problem, 10, 0.5, 0), exact)
    # Same trajectory, same loss, another gradient; with a single step nothing is dropped.
    assert approximate[3] < 1e-12
    assert approximate[0] > 0.05
    single = errors(tesla(problem, 1, 0.5, 0), unrolled(problem, 1, 0.5, 0))
    assert max(single) < 1e-8


class Probe(torch.autograd.Function):
    """The identity; its context lives as long as the graph that it is part of."""

    contexts: weakref.WeakSet[object] = weakref.WeakSet()

    @staticmethod
    def forward(ctx, x):
        Probe.contexts.add(ctx)
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad


def test_memory_does_not_grow_with_the_steps():
    """One step's graph at a time; full unrolling keeps them all."""

    def most_graphs(method: Callable[..., MatchingGradient], num_steps: int) -> int:
        problem, most = Problem(convnet(), (1, 4, 4), seed=1), 0
        plain = problem.loss

        def watched(step: int, weights: Tensor) -> Tensor:
            nonlocal most
            # The weights go into the gradient's own graph, so the probe lives as long as that.
            loss = plain(step, Probe.apply(weights))
            most = max(most, len(Probe.contexts))
            return loss

        problem.loss = watched  # type: ignore[method-assign]
        Probe.contexts.clear()
        method(problem, num_steps, 0.1, 0)
        return most

    assert most_graphs(Problem.ours, 2) == most_graphs(Problem.ours, 12) <= 2
    assert most_graphs(unrolled, 12) == 12


def test_the_weights_given_are_left_alone():
    problem = Problem(convnet(), (1, 4, 4), seed=2)
    start, target = problem.start.clone(), problem.target.clone()
    problem.ours(3, 0.1, 7)
    assert torch.equal(problem.start, start)
    assert torch.equal(problem.target, target)
    assert not problem.start.requires_grad
    assert problem.images.grad is None
    step: StepLoss = problem.loss
    assert step(0, problem.start).ndim == 0
