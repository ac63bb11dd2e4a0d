"""Say before a run begins that it will take long here, and what would shorten it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch

from clbench import networks, strategies
from clbench.benchmarks import Benchmark
from clbench.config import RunConfig
from clbench.distillation import Workload
from clbench.distillation.pace import distilling_rate
from clbench.distillation.protocol import Traits
from clbench.measuring.cost import WORTH_MEASURING, forward_flops, forward_rate, long_work
from clbench.memory import DistilledMemory, ImageMemory
from clbench.types import ImageSpec


@dataclass(frozen=True)
class StreamSize:
    """How much a stream holds; all that its cost depends on.

    Attributes:
        spec: of its images.
        class_groups: of each experience.
        num_train, num_test: images of each experience.
        per_class: images of each class of a full memory, where they were counted.
    """

    spec: ImageSpec
    class_groups: tuple[tuple[int, ...], ...]
    num_train: tuple[int, ...]
    num_test: tuple[int, ...]
    per_class: int | None = None

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

    def with_counted(self, benchmark: Benchmark, memory: ImageMemory | None) -> StreamSize:
        """Return the same with the images that a class's share holds, on average over two classes.

        Where a codec's bytes depend on pixels the first experience's images are written to see.
        """
        if memory is None or memory.images_per_share is not None:
            return self
        real = benchmark.tensors("train", 0)
        real = real.of_class(*real.classes[:2])
        found = memory.share.counts(real, torch.Generator().manual_seed(0))
        spare = Traits.of(getattr(memory, "distiller", None)).spare
        return replace(self, per_class=round(spare * sum(found.values()) / len(found)))


def distilling_flops(size: StreamSize, memory: ImageMemory | None) -> float:
    """Floating-point operations of distilling every experience of a stream."""
    if not isinstance(memory, DistilledMemory):
        return 0.0
    total, before = 0.0, set[int]()
    per_class = images_per_class(memory, size)
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


def images_per_class(memory: ImageMemory | None, size: StreamSize) -> int:
    """Return the images of each class of a full memory; roughly, where they were not counted."""
    if memory is None:
        return 0
    if size.per_class is not None:
        return size.per_class
    return memory.share.num_images


def learning_flops(config: RunConfig, size: StreamSize, memory: ImageMemory | None) -> float:
    """Floating-point operations of the learner; replay shows it as much memory as news."""
    learner = networks.build(config.learner.network, size.spec, seed=0)
    one = forward_flops(learner, size.spec.shape)
    training = strategies.STRATEGIES.find(config.strategy).training
    sizes = size.num_train
    if training == "gdumb":
        seen = sum(range(1, len(sizes) + 1)) * len(size.class_groups[0])
        seen *= images_per_class(memory, size)
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
    spec, lines = benchmark.spec, list[str | None]()
    size = StreamSize.of(benchmark)
    learning = learning_flops(config, size, memory)
    distilling = distilling_flops(size, memory)
    if memory is not None and distilling >= WORTH_MEASURING:
        assert isinstance(memory, DistilledMemory)
        rate = partial(distilling_rate, memory.distiller, config.distillation, spec)
        shorter = "--image-size, --distill-width, --num-networks or --num-updates"
        lines.append(long_work("distilling", distilling, rate, shorter))
    if learning >= WORTH_MEASURING:  # a network that is not needed is not built either
        learner = networks.build(config.learner.network, spec, seed=0)
        rate = partial(forward_rate, learner, spec.shape)
        shorter = "--image-size, --width, --epochs or --set-epochs"
        lines.append(long_work("learning", learning, rate, shorter))
    return [line for line in lines if line is not None]
