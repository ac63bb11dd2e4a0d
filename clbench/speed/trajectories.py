"""The exact adjoint of trajectory matching against full unrolling: seconds and peak memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.config import NetworkConfig
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.trajectories.distance import matching_gradient
from clbench.machine.allocator import keep_freed_memory
from clbench.measuring.cost import Stopwatch, peak_memory_bytes
from clbench.seeding import generator
from clbench.speed.apart import call_apart
from clbench.speed.paired import Conditions, Once, SameOutcome, as_outcome
from clbench.types import ImageSpec

SPEC = ImageSpec(1, 28, 28, 10, (0.1307,), (0.3081,))
NUM_STEPS, STEP_SIZE, NUM_IMAGES, WIDTH = 10, 0.03, 100, 16


class Gradient:
    """The gradient of one match with respect to its images, two ways.

    ConvNet-3 on noise of MNIST's size; the target is another network's initial weights.
    """

    def __init__(self, device: torch.device, seed: int) -> None:
        """Draw images and weights."""
        self.network = FlatNetwork(NetworkConfig("convnet", width=WIDTH), SPEC, device)
        rng = generator(seed, "speed", "trajectories")
        images = torch.randn(NUM_IMAGES, *SPEC.shape, generator=rng).to(device)
        self.images = images.requires_grad_()
        self.labels = torch.arange(NUM_IMAGES, device=device) % SPEC.num_classes
        self.start, self.target = self.network.initial(seed), self.network.initial(seed + 1)

    def loss(self, step: int, weights: Tensor) -> Tensor:
        """Return the loss of a student step."""
        return F.cross_entropy(self.network(weights, self.images), self.labels)

    def adjoint(self, num_steps: int) -> Tensor:
        """Return it by clbench's form, (N, C, H, W)."""
        found = matching_gradient(
            self.loss,
            [self.images],
            start_P=self.start,
            target_P=self.target,
            step_size=STEP_SIZE,
            num_steps=num_steps,
        )
        return found.inputs[0]

    def unrolled(self, num_steps: int) -> Tensor:
        """Return it through the graph of all steps (MTT, Cazenavette et al. 2022)."""
        weights = self.start.clone().requires_grad_()
        for step in range(num_steps):
            (g,) = torch.autograd.grad(self.loss(step, weights), weights, create_graph=True)
            weights = weights - STEP_SIZE * g
        apart = (self.start - self.target).square().sum()
        distance = (weights - self.target).square().sum() / apart
        return torch.autograd.grad(distance, self.images)[0]


class GradientPair(SameOutcome):
    """Both ways, by seconds or by peak memory; outcomes are over the largest entry."""

    def __init__(self, what: str, conditions: Conditions) -> None:
        """``what`` is "seconds" or "memory"."""
        keep_freed_memory()
        self.what, self.device, self.seed = what, conditions.device, conditions.seed

    def fast(self) -> Once:
        """Measure the adjoint."""
        return self._measured("adjoint")

    def plain(self) -> Once:
        """Measure unrolling."""
        return self._measured("unrolled")

    def _measured(self, way: str) -> Once:
        if self.what == "seconds":
            work = Gradient(self.device, self.seed)
            getattr(work, way)(1)
            clock = Stopwatch(self.device)
            with clock.phase("gradient"):
                found = getattr(work, way)(NUM_STEPS)
            return Once(clock.seconds["gradient"], 1, _scaled(found))
        threads = torch.get_num_threads()
        num_bytes, found = call_apart(
            peak_bytes, way, self.device.type, self.seed, threads, imports=[__name__]
        )
        return Once(num_bytes / 2**30, 1, _scaled(torch.tensor(found)))


def _scaled(gradient: Tensor) -> Tensor:
    values = as_outcome(gradient)
    return values / values.abs().max()


def peak_bytes(way: str, device_type: str, seed: int, threads: int) -> tuple[int, list[float]]:
    """Return the peak memory of one gradient above what was held before, and the gradient.

    Meant for a process of its own: a peak never comes down again.
    """
    torch.set_num_threads(threads)
    device = torch.device(device_type)
    work = Gradient(device, seed)
    with torch.no_grad():
        work.loss(0, work.start)  # what torch keeps once and for all
    before = peak_memory_bytes(device)
    found = getattr(work, way)(NUM_STEPS)
    after = peak_memory_bytes(device)
    assert before is not None and after is not None
    return max(after - before, 1), found.flatten().tolist()
