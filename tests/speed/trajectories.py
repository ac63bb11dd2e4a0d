"""Peak memory and time of the exact adjoint against full unrolling, one process each.

    python -m tests.speed.trajectories --steps 10 80 --unrolled 10

ConvNet-3 on synthetic images of MNIST's size, as trajectory matching sees them. Peak memory is the
process's peak resident set above what it held before the first step; from it the stored weights,
(N + 1) vectors of P float32, are subtracted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from clbench.config import NetworkConfig
from clbench.distillation.flat import FlatNetwork
from clbench.distillation.trajectories.adjoint import matching_gradient
from clbench.measuring.cost import peak_memory_bytes
from clbench.types import ImageSpec

SPEC = ImageSpec(1, 28, 28, 10, (0.1307,), (0.3081,))
STEP_SIZE = 0.03


def measure(method: str, num_steps: int, width: int, num_images: int) -> dict[str, float]:
    """Peak bytes, those of the stored weights, and seconds of one gradient."""
    torch.set_num_threads(1)
    network = FlatNetwork(NetworkConfig("convnet", width=width), SPEC, torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(num_images, *SPEC.shape, generator=rng).requires_grad_()
    labels = torch.arange(num_images) % SPEC.num_classes
    start, target = network.initial(0), network.initial(1)

    def loss(step: int, weights: Tensor) -> Tensor:
        return F.cross_entropy(network(weights, images), labels)

    before, clock = peak_memory_bytes() or 0, time.perf_counter()
    if method == "adjoint":
        matching_gradient(
            loss,
            [images],
            start_P=start,
            target_P=target,
            step_size=STEP_SIZE,
            num_steps=num_steps,
        )
    else:
        weights = start.requires_grad_()
        for step in range(num_steps):
            (g,) = torch.autograd.grad(loss(step, weights), weights, create_graph=True)
            weights = weights - STEP_SIZE * g
        torch.autograd.grad((weights - target).square().sum(), images)
    return {
        "peak": (peak_memory_bytes() or 0) - before,
        "weights": 4.0 * network.num_parameters * (num_steps + 1),
        "seconds": time.perf_counter() - clock,
    }


def measured_apart(method: str, num_steps: int, arguments: argparse.Namespace) -> dict[str, float]:
    """`measure` in a process of its own: a peak never comes down again."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.speed.trajectories"]
    command += ["--one", method, "--steps", str(num_steps)]
    command += ["--width", str(arguments.width), "--num-images", str(arguments.num_images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 80])
    parser.add_argument("--unrolled", type=int, nargs="*", default=[10])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--num-images", type=int, default=100)
    parser.add_argument("--one", choices=["adjoint", "unrolled"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        found = measure(arguments.one, arguments.steps[0], arguments.width, arguments.num_images)
        print(json.dumps(found))
        return
    above: dict[tuple[str, int], float] = {}
    for method, steps in (("adjoint", arguments.steps), ("unrolled", arguments.unrolled)):
        for num in steps:
            found = measured_apart(method, num, arguments)
            kept = found["weights"] if method == "adjoint" else 0.0
            above[method, num] = found["peak"] - kept
            print(
                f"{method:8s} N = {num:3d}: {found['peak'] / 2**20:7.0f} MiB, without stored "
                f"weights {above[method, num] / 2**20:7.0f} MiB, {found['seconds']:.1f} s",
                flush=True,
            )
    few, many = min(arguments.steps), max(arguments.steps)
    print(
        f"adjoint, N = {many} over N = {few}: {above['adjoint', many] / above['adjoint', few]:.2f}"
    )
    for num in sorted(set(arguments.unrolled) & set(arguments.steps)):
        ratio = above["unrolled", num] / above["adjoint", num]
        print(f"full unrolling over adjoint, N = {num}: {ratio:.1f}")


if __name__ == "__main__":
    main()
