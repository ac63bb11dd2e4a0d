"""How much of DataDAM's time is arithmetic that no way to write it could leave out.

The floor of a distillation is its convolutions and matrix products alone: the same shapes, the same
precision, forward and, where an image takes a gradient, back to the input; one after the other with
nothing between them. Which they are is heard from the layers while a distillation runs, so the
floor follows the network, the precision and the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook
from torch.utils.flop_counter import FlopCounterMode

from clbench.config import DistillationConfig, MatchingSettings
from clbench.distillation import Job, make_distiller
from clbench.machine.allocator import keep_freed_memory
from clbench.measuring.cost import Stopwatch
from clbench.seeding import generator
from clbench.speed.images import images_of
from clbench.speed.paired import Conditions, Once, SameOutcome

MOST_IMAGES, IMAGES_PER_CLASS = 1280, 10
NUM_NETWORKS = 2  # of the default's 80; every one costs the same
WIDTH: int | None = None  # None is the default's, 32: what people run
Draw = Callable[[torch.Size, torch.dtype], Tensor]


@dataclass(frozen=True, eq=False)
class Product:
    """One call of a layer that multiplies.

    Attributes:
        layer: a convolution or a linear layer, whose weights take no gradient.
        shape: of its input.
        out_shape: of its output.
        dtype: in which it computed; autocast chooses it.
        to_input: whether its input took a gradient.
    """

    layer: nn.Conv2d | nn.Linear
    shape: torch.Size
    out_shape: torch.Size
    dtype: torch.dtype
    to_input: bool

    @property
    def multiply_adds(self) -> int:
        """Multiplications, each with an addition; the gradient of the input takes as many again."""
        of_one_output = self.layer.weight[0].numel()
        return self.out_shape.numel() * of_one_output * (2 if self.to_input else 1)

    def calls(self, draw: Draw) -> Sequence[Callable[[], object]]:
        """Return what computes it, forward and back, on tensors that ``draw`` makes."""
        layer = self.layer
        weight = layer.weight.detach().to(self.dtype)
        bias = None if layer.bias is None else layer.bias.detach().to(self.dtype)
        x, grad = draw(self.shape, self.dtype), draw(self.out_shape, self.dtype)
        if isinstance(layer, nn.Linear):
            calls = [partial(F.linear, x, weight, bias), partial(torch.matmul, grad, weight)]
        else:
            assert layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
            how = (layer.stride, layer.padding, layer.dilation, False, [0, 0], layer.groups)
            wanted = [True, False, False]  # gradients of the input, the weights, the bias
            aten = torch.ops.aten
            calls = [
                partial(aten.convolution, x, weight, bias, *how),
                partial(aten.convolution_backward, grad, x, weight, None, *how, wanted),
            ]
        return calls if self.to_input else calls[:1]


@contextmanager
def heard_products() -> Iterator[list[Product]]:
    """Note every call of a convolution or a linear layer, of whatever network, inside."""
    found: list[Product] = []

    def hear(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            to_input = torch.is_grad_enabled() and inputs[0].requires_grad
            shape = inputs[0].shape
            found.append(Product(layer, shape, output.shape, output.dtype, to_input))

    handle = register_module_forward_hook(hear)
    try:
        yield found
    finally:
        handle.remove()


class FloorPair(SameOutcome):
    """DataDAM as it is by default, but for two networks only, and its products alone.

    Both outcomes are the multiply-adds of an update: of clbench's form as torch's own counter finds
    them in the distillation, forward and backward; of the floor as its shapes have them. So a
    product that the floor forgets, or has too much, makes the row say NO.
    """

    def __init__(self, conditions: Conditions) -> None:
        """Read the images; distil once to hear which products that takes, and to count them."""
        keep_freed_memory()
        self.device, self.seed = conditions.device, conditions.seed
        self.real, self.spec = images_of(conditions, MOST_IMAGES)
        config = DistillationConfig("datadam")
        settings = config.own(MatchingSettings).replace(num_networks=NUM_NETWORKS)
        network = config.network.replace(width=WIDTH or config.network.width)
        self.config = config.replace(settings=settings, network=network)
        self.num_updates = NUM_NETWORKS * settings.updates_per_network
        counter = FlopCounterMode(display=False)
        with heard_products() as self.products, counter:
            self._distil()
        # The counter takes a multiplication and its addition for two operations.
        self.counted = counter.get_total_flops() / 2

    def _distil(self) -> None:
        rng = generator(self.seed, "speed", "distil")
        job = Job.equal(self.real, self.spec, IMAGES_PER_CLASS, rng).replace(device=self.device)
        make_distiller(self.config).distill(job)

    def fast(self) -> Once:
        """Measure clbench's form."""
        clock = Stopwatch(self.device)
        with clock.phase("distil"):
            self._distil()
        return self._once(clock.seconds["distil"], self.counted)

    def plain(self) -> Once:
        """Measure the floor; all its inputs are there before the clock starts."""
        rng = generator(self.seed, "speed", "floor")

        @cache
        def draw(shape: torch.Size, kind: torch.dtype) -> Tensor:
            return torch.randn(shape, generator=rng).to(self.device, kind)

        calls = [call for product in self.products for call in product.calls(draw)]
        clock = Stopwatch(self.device)
        with torch.no_grad(), clock.phase("products"):
            for call in calls:
                call()
        total = sum(product.multiply_adds for product in self.products)
        return self._once(clock.seconds["products"], total)

    def _once(self, seconds: float, multiply_adds: float) -> Once:
        each = torch.tensor([multiply_adds / self.num_updates], dtype=torch.float64)
        return Once(seconds, self.num_updates, each)
