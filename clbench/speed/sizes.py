"""How large a stream is, and one run on such a stream, measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import torch

from clbench import networks, strategies
from clbench.benchmarks.splits import deal
from clbench.config import (
    BenchmarkConfig,
    DistillationConfig,
    LearnerConfig,
    MatchingSettings,
    MemoryConfig,
    NetworkConfig,
    RunConfig,
)
from clbench.data.generated import Generated
from clbench.errors import InputError
from clbench.measuring.cost import forward_flops, peak_memory_bytes
from clbench.run.forecast import StreamSize, distilling_flops, learning_flops

STRATEGIES = ("random_replay", "dam_replay")
PHASES = ("train", "fill", "evaluate", "rest")
"""Seconds of training, of filling the memory, of testing, and of everything else in a run."""
FEW_NETWORKS = 1  # of a distillation that is measured; it costs as much for each


@dataclass(frozen=True)
class Stream:
    """A stream of generated images.

    Attributes:
        classes: of all experiences.
        images_per_class: to train on.
        size: side of an image in pixels.
        experiences: that the classes are dealt to.
        test_per_class: images to test on; 0 is a fifth of those to train on.
        channels: 1 or 3.
    """

    classes: int
    images_per_class: int
    size: int
    experiences: int
    test_per_class: int = 0
    channels: int = 3

    @property
    def benchmark(self) -> str:
        """Name of the benchmark that makes it.

        Raises:
            InputError: a number out of its range.
        """
        test = f",test={self.test_per_class}" if self.test_per_class else ""
        name = f"generated:classes={self.classes},images={self.images_per_class},side={self.size}"
        return Generated.of(f"{name},channels={self.channels}{test}").name

    @property
    def num_bytes(self) -> int:
        """Bytes of all images, test images too."""
        made = Generated.of(self.benchmark)
        return self.classes * (made.images + made.test) * self.channels * self.size**2

    @property
    def in_words(self) -> str:
        """Return a description for people."""
        return (
            f"{self.classes:,} classes, {self.images_per_class:,} images of each, {self.size} x "
            f"{self.size} x {self.channels}, {self.experiences} experiences"
        )

    def measured(self) -> StreamSize:
        """Return what its cost depends on, without making an image.

        Raises:
            InputError: a number out of its range, or more experiences than classes.
        """
        from clbench.data import info

        made, spec = Generated.of(self.benchmark), info(self.benchmark).spec
        groups = deal(tuple(range(self.classes)), self.experiences)
        train = tuple(len(group) * made.images for group in groups)
        return StreamSize(spec, groups, train, tuple(len(group) * made.test for group in groups))


@dataclass(frozen=True)
class Learning:
    """How it is learnt, alike on all streams.

    Attributes:
        strategy: of `STRATEGIES`.
        network: of the learner.
        epochs: over each experience.
        memory_per_class: images remembered of each class, in raw pixels.
        num_networks: that DataDAM draws; None is its own number.
        device: "cpu", "cuda" or "auto".
        seed: of weights and batches.
    """

    strategy: str
    network: str = "mlp"
    epochs: int = 1
    memory_per_class: int = 10
    num_networks: int | None = None
    device: str = "auto"
    seed: int = 0

    @property
    def in_words(self) -> str:
        """Return the options that decide what a run on a stream costs."""
        return (
            f"--network {self.network} --epochs {self.epochs} --memory-per-class "
            f"{self.memory_per_class} --device {self.device} --seed {self.seed}"
        )

    def few(self) -> Learning:
        """Return the same with so short a distillation that it can be measured."""
        return replace(self, num_networks=FEW_NETWORKS)

    def config(self, stream: Stream) -> RunConfig:
        """Return the configuration of the run."""
        distillation = DistillationConfig("datadam")
        settings = distillation.own(MatchingSettings).replace(num_networks=self.num_networks)
        asked = RunConfig(
            strategy=self.strategy,
            seed=self.seed,
            device=self.device,  # type: ignore[arg-type]
            benchmark=BenchmarkConfig(stream.benchmark, num_experiences=stream.experiences),
            learner=LearnerConfig(NetworkConfig(self.network), epochs=self.epochs),
            memory=MemoryConfig(images_per_class=self.memory_per_class, codec="raw"),
            distillation=distillation.replace(settings=settings),
        )
        return strategies.resolved(asked)


@lru_cache(maxsize=256)
def work_of(stream: Stream, learning: Learning) -> Mapping[str, float]:
    """Return the operations and the counts that the cost of a run is a sum of.

    Returns:
        ``train_flops``, ``steps``, ``fill_flops``, ``filled`` (real images that pass the memory),
        ``evaluate_flops``, ``evaluated`` (tests of an experience), ``bytes`` of all images,
        ``classes``, ``experiences``, ``parameters`` of the learner, and ``passed`` (pixels of the
        largest experience that pass a matching network at once; 0 without one).

    Raises:
        InputError: a stream or a network that cannot be.
    """
    config, size = learning.config(stream), stream.measured()
    memory = strategies.make_memory(config, size.spec, device="cpu", cache=False, on_update=None)
    learner = networks.build(config.learner.network, size.spec, seed=0)
    one, num = forward_flops(learner, size.spec.shape), len(size.num_train)
    epochs, batch = config.learner.epochs or 1, config.learner.batch_size
    return {
        "train_flops": learning_flops(config, size, memory),
        "steps": float(epochs * sum(-(-n // batch) for n in size.num_train)),
        "fill_flops": distilling_flops(size, memory),
        "filled": float(sum(size.num_train)),
        # Before the first experience, and after each.
        "evaluate_flops": one * sum(size.num_test) * (num + 1),
        "evaluated": float(num * (num + 1)),
        "bytes": float(stream.num_bytes),
        "classes": float(stream.classes),
        "experiences": float(num),
        "parameters": float(sum(p.numel() for p in learner.parameters())),
        "passed": _passed(config, size),
    }


def _passed(config: RunConfig, size: StreamSize) -> float:
    settings = config.distillation.settings
    if config.strategy != "dam_replay" or not isinstance(settings, MatchingSettings):
        return 0.0
    pairs = zip(size.num_train, size.class_groups, strict=True)
    most = max(min(num, len(group) * settings.batch_real) for num, group in pairs)
    return float(most * size.spec.image_bytes)


@dataclass(frozen=True)
class Point:
    """A run that was measured.

    Attributes:
        stream: of generated images.
        strategy: by which it was learnt.
        seconds: of each of `PHASES`.
        peak_bytes: the most memory that the run held.
        start_bytes: held before it began; everything was imported.
    """

    stream: Stream
    strategy: str
    seconds: Mapping[str, float]
    peak_bytes: int
    start_bytes: int

    @property
    def total(self) -> float:
        """Seconds of all phases."""
        return sum(self.seconds.values())

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dictionary, ready for JSON."""
        return {**asdict(self), "seconds": {**self.seconds, "total": self.total}}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Point:
        """Return what `to_dict` wrote."""
        return Point(
            Stream(**values["stream"]),
            values["strategy"],
            {phase: float(values["seconds"][phase]) for phase in PHASES},
            int(values["peak_bytes"]),
            int(values["start_bytes"]),
        )


def measure_point(stream: Stream, learning: Learning, threads: int) -> Point:
    """Run a strategy on a stream; meant for a process of its own, whose memory is the run's.

    Raises:
        InputError: a configuration that cannot be run, or a system that does not tell its memory.
    """
    from clbench.machine.device import resolve_device
    from clbench.run import run

    torch.set_num_threads(threads)
    device = resolve_device(learning.device)
    before, start = peak_memory_bytes(device), time.perf_counter()
    if before is None:
        raise InputError("expected a system that tells the memory of a process, found none")
    report = run(learning.config(stream), use_cache=False)
    total, after = time.perf_counter() - start, peak_memory_bytes(device)
    found = report.measured["seconds"]
    seconds = {"train": found["train"], "fill": found["distil"], "evaluate": found["evaluate"]}
    seconds["rest"] = max(total - sum(seconds.values()), 0.0)
    return Point(stream, learning.strategy, seconds, int(after or 0), before)
