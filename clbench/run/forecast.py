"""Say before a run begins that it will take long here, and what would shorten it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from clbench import networks, strategies
from clbench.benchmarks import Benchmark
from clbench.config import RunConfig
from clbench.distillation import Workload
from clbench.measuring.cost import WORTH_MEASURING, forward_flops, long_work
from clbench.memory import DistilledMemory, ImageMemory
from clbench.types import ImageSpec


@dataclass(frozen=True)
class StreamSize:
    """How much a stream holds; all that its cost depends on.

    Attributes:
        spec: of its images.
        class_groups: of each experience.
        num_train, num_test: images of each experience.
    """

    spec: ImageSpec
    class_groups: tuple[tuple[int, ...], ...]
    num_train: tuple[int, ...]
    num_test: tuple[int, ...]

    @staticmethod
    def of(benchmark: Benchmark) -> StreamSize:
        """Return that of a stream.

        Raises:
            InputError: its data are missing.
        """
        experiences = range(len(benchmark))
        return StreamSize(
            benchmark.spec,
            benchmark.class_groups,
            tuple(len(benchmark.targets("train", k)) for k in experiences),
            tuple(len(benchmark.targets("test", k)) for k in experiences),
        )


def distilling_flops(size: StreamSize, memory: ImageMemory | None) -> float:
    """Floating-point operations of distilling every experience of a stream."""
    if not isinstance(memory, DistilledMemory):
        return 0.0
    total, before = 0.0, set[int]()
    per_class = images_per_class(memory)
    for k, group in enumerate(size.class_groups):
        known = len(before.difference(group)) if memory.tells_known else 0
        work = Workload(
            num_real=size.num_train[k],
            num_classes=len(group),
            num_images=len(group) * per_class,
            num_known=known * per_class,
            num_known_classes=known,
            coarse=memory.codec.coarse,
        )
        total += memory.distiller.flops(size.spec, work)
        before.update(group)
    return total


def images_per_class(memory: ImageMemory | None) -> int:
    """Return the images of each class of a full memory; roughly, where it depends on pixels."""
    if memory is None:
        return 0
    return memory.share.num_images


def learning_flops(config: RunConfig, size: StreamSize, memory: ImageMemory | None) -> float:
    """Floating-point operations of the learner; replay shows it as much memory as news."""
    learner = networks.build(config.learner.network, size.spec, seed=0)
    one = forward_flops(learner, size.spec.shape)
    training = strategies.STRATEGIES.find(config.strategy).training
    sizes = size.num_train
    if training == "gdumb":
        seen = sum(range(1, len(sizes) + 1)) * len(size.class_groups[0])
        seen *= images_per_class(memory)
        return 3 * one * seen * config.set_training.epochs
    images = {
        "naive": sum(sizes),
        "cumulative": sum(sum(sizes[: k + 1]) for k in range(len(sizes))),
        "replay": 2 * sum(sizes) - sizes[0],
    }[training]
    return 3 * one * images * (config.learner.epochs or 1)


def forecast(
    config: RunConfig, benchmark: Benchmark, memory: ImageMemory | None, device: torch.device
) -> list[str]:
    """A line for each part that will take long on a CPU, see `long_work`; none on a GPU."""
    if device.type == "cuda":
        return []
    spec, lines = benchmark.spec, []
    size = StreamSize.of(benchmark)
    learning = learning_flops(config, size, memory)
    parts = (
        ("distilling", distilling_flops(size, memory), config.distillation.network,
         "--image-size, --distill-width, --num-networks or --num-updates"),
        ("learning", learning, config.learner.network,
         "--image-size, --width, --epochs or --set-epochs"),
    )  # fmt: skip
    for what, flops, network, shorter in parts:
        if flops < WORTH_MEASURING:  # a network that is not needed is not built either
            continue
        line = long_work(what, flops, networks.build(network, spec, seed=0), spec.shape, shorter)
        lines += [] if line is None else [line]
    return lines
