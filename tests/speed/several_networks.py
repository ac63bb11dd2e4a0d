"""Training several fresh networks at once against one after another: ratios of processor time.

    python -m tests.speed.several_networks
    python -m tests.speed.several_networks --only mlp --networks 10 --repeats 9

The networks of an evaluation differ in weights and batches alone. Three ways to take the same steps
of SGD: a loop over clbench's networks; `torch.func.vmap` over their stacked weights; one network
whose convolutions have a group, and whose linear layers a matrix, for each. vmap cannot see into
the layers of `clbench.networks.fast_cpu`, so it gets stock ones and a pooling of plain sums.
A ratio above 1 says that the way is faster than the loop.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from clbench import networks
from clbench.config import NetworkConfig
from clbench.machine.allocator import keep_freed_memory
from clbench.networks.fast_cpu import AvgPool2, InstanceNorm2d, ThinConv2d
from clbench.seeding import generator
from clbench.types import ImageSpec

SPEC = ImageSpec(1, 28, 28, 10, (0.1307,), (0.3081,))
LEARNING_RATE, MOMENTUM = 0.01, 0.9
CASES = (
    NetworkConfig("convnet", width=32),
    NetworkConfig("convnet", width=128),
    NetworkConfig("mlp"),
)


@dataclass(frozen=True, eq=False)
class Work:
    """What every way is given.

    Attributes:
        networks: with fresh weights; copied before they are trained.
        images: normalised, (steps, K, B, C, H, W): each network has batches of its own.
        labels: (steps, K, B).
    """

    networks: list[nn.Module]
    images: Tensor
    labels: Tensor

    @staticmethod
    def drawn(config: NetworkConfig, num: int, steps: int, batch: int) -> Work:
        """Draw weights, noise for images, and labels."""
        rng = generator(0, "speed", "several networks")
        images = torch.randn(steps, num, batch, *SPEC.shape, generator=rng)
        labels = torch.randint(SPEC.num_classes, (steps, num, batch), generator=rng)
        made = [networks.build(config, SPEC, seed=seed) for seed in range(num)]
        return Work(list(made), images, labels)


def _states(work: Work) -> list[dict[str, Tensor]]:
    return [{k: v.detach().clone() for k, v in n.named_parameters()} for n in work.networks]


def _sgd(parameters: Any) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=LEARNING_RATE, momentum=MOMENTUM)


def one_after_another(work: Work) -> tuple[float, list[dict[str, Tensor]]]:
    """Return processor seconds of a loop over networks, and the weights of each afterwards."""
    states = _states(work)
    start = time.process_time()
    for k, network in enumerate(work.networks):
        network.load_state_dict(states[k])
        optimizer = _sgd(network.parameters())
        for x, y in zip(work.images[:, k], work.labels[:, k], strict=True):
            loss = F.cross_entropy(network(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    seconds = time.process_time() - start
    trained = _states(work)
    for network, state in zip(work.networks, states, strict=True):
        network.load_state_dict(state)
    return seconds, trained


class _SumPool(nn.Module):
    """2x2 average pooling in operations that vmap knows how to batch."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x[..., ::2, :] + x[..., 1::2, :]
        return (rows[..., ::2] + rows[..., 1::2]) * 0.25


def _stock(network: nn.Module) -> nn.Module:
    """Put stock layers in the places of clbench's own, with their weights."""
    for name, part in network.named_children():
        made: nn.Module | None = None
        if isinstance(part, AvgPool2):
            made = _SumPool()
        elif isinstance(part, InstanceNorm2d):
            made = nn.GroupNorm(part.num_channels, part.num_channels)
        elif isinstance(part, ThinConv2d):
            made = nn.Conv2d(part.in_channels, part.out_channels, 3, padding=part.padding)
        if made is None:
            _stock(part)
        else:
            made.load_state_dict(part.state_dict())
            setattr(network, name, made)
    return network


def by_vmap(work: Work, config: NetworkConfig) -> tuple[float, list[dict[str, Tensor]]]:
    """Return the same of `torch.func.vmap` over stacked weights."""
    seeds = range(len(work.networks))
    stock = [_stock(networks.build(config, SPEC, seed=seed)) for seed in seeds]
    parameters, _ = stack_module_state(stock)  # type: ignore[arg-type]
    parameters = {name: value.detach() for name, value in parameters.items()}

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(stock[0], weights, (x,)), y)

    gradients = vmap(grad(loss))
    optimizer = _sgd(list(parameters.values()))
    start = time.process_time()
    for x, y in zip(work.images, work.labels, strict=True):
        for name, value in gradients(parameters, x, y).items():
            parameters[name].grad = value
        optimizer.step()
    seconds = time.process_time() - start
    return seconds, [{n: v[k].clone() for n, v in parameters.items()} for k in seeds]


class Grouped:
    """K networks as one: a convolution with K groups, a matrix of K in a batch of products."""

    def __init__(self, work: Work) -> None:
        """Join the weights."""
        self.num = len(work.networks)
        states = _states(work)
        self.shapes = {name: value.shape for name, value in states[0].items()}
        self.parameters = {
            name: torch.stack([state[name] for state in states]).requires_grad_()
            for name in states[0]
        }
        self.layers = [
            (name, part) for name, part in work.networks[0].named_modules()
            if not list(part.children()) and not isinstance(part, AvgPool2)
        ]  # fmt: skip
        self.pool = AvgPool2()

    def __call__(self, images_KNCHW: Tensor) -> Tensor:
        """Logits (K, N, classes)."""
        k, n = images_KNCHW.shape[:2]
        x = images_KNCHW.transpose(0, 1).flatten(1, 2)  # (N, K C, H, W)
        for name, part in self.layers:
            if isinstance(part, nn.Conv2d):
                weight, bias = (self.parameters[f"{name}.{w}"] for w in ("weight", "bias"))
                weight, bias = weight.flatten(0, 1), bias.flatten()
                x = F.conv2d(x, weight, bias, padding=part.padding, groups=k)
            elif isinstance(part, InstanceNorm2d):
                weight, bias = (self.parameters[f"{name}.{w}"] for w in ("weight", "bias"))
                x = F.group_norm(x, x.shape[1], weight.flatten(), bias.flatten(), part.eps)
            elif isinstance(part, nn.ReLU):
                x = F.relu(x, inplace=True)
                if x.ndim == 4:  # a block of the ConvNet ends here
                    x = self.pool(x)
            elif isinstance(part, nn.Linear):
                if x.ndim == 4:
                    x = x.unflatten(1, (k, -1)).transpose(0, 1).flatten(2)
                weight, bias = (self.parameters[f"{name}.{w}"] for w in ("weight", "bias"))
                x = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))
            else:
                assert isinstance(part, nn.Flatten | nn.Identity), part
        return x


def in_groups(work: Work) -> tuple[float, list[dict[str, Tensor]]]:
    """Return the same of one grouped network; its loss is the sum of theirs."""
    network = Grouped(work)
    optimizer = _sgd(list(network.parameters.values()))
    start = time.process_time()
    for x, y in zip(work.images, work.labels, strict=True):
        logits = network(x)
        loss = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum") / y.shape[1]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    seconds = time.process_time() - start
    kept = {name: value.detach() for name, value in network.parameters.items()}
    return seconds, [{n: v[k] for n, v in kept.items()} for k in range(network.num)]


def difference(mine: list[dict[str, Tensor]], other: list[dict[str, Tensor]]) -> float:
    """Return the largest absolute difference of a weight."""
    pairs = [(a[n] - b[n]).abs().max() for a, b in zip(mine, other, strict=True) for n in a]
    return float(torch.stack(pairs).max())


def measured(
    config: NetworkConfig, num: int, steps: int, batch: int, repeats: int
) -> dict[str, tuple[float, float]]:
    """Return of both ways the median ratio to the loop, and the difference of the weights."""
    work = Work.drawn(config, num, steps, batch)
    ways: dict[str, Callable[[], tuple[float, list[dict[str, Tensor]]]]] = {
        "loop": lambda: one_after_another(work),
        "vmap": lambda: by_vmap(work, config),
        "groups": lambda: in_groups(work),
    }
    found = [{name: way() for name, way in ways.items()} for _ in range(repeats + 1)][1:]
    return {
        name: (
            statistics.median(one["loop"][0] / one[name][0] for one in found),
            max(difference(one["loop"][1], one[name][1]) for one in found),
        )
        for name in ("vmap", "groups")
    }


def main() -> None:
    """Measure and print a line for each network and size of batch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=5, help="trained at once")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batches", type=int, nargs="+", default=[100, 256])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=[c.name for c in CASES], help="networks of this name")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print("network  width  batch   vmap / loop  weights differ   groups / loop  weights differ")
    for config in [c for c in CASES if arguments.only in (None, c.name)]:
        for batch in arguments.batches:
            found = measured(config, arguments.networks, arguments.steps, batch, arguments.repeats)
            cells = [f"{ratio:13.2f}  {apart:14.1g}" for ratio, apart in found.values()]
            print(f"{config.name:8} {config.width or '-':>5}  {batch:5}", *cells, flush=True)


if __name__ == "__main__":
    main()
