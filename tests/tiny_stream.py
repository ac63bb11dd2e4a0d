"""A data set of 8 x 8 images, six classes, in the tables of data sets and benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from clbench.benchmarks import BENCHMARKS, Benchmark, BenchmarkInfo, make_benchmark
from clbench.config import (
    BenchmarkConfig,
    DistillationConfig,
    LearnerConfig,
    MatchingSettings,
    MemoryConfig,
    NetworkConfig,
    RunConfig,
    SetTrainingConfig,
    TrajectorySettings,
)
from clbench.data import DATASETS, DatasetInfo, FileCheck
from clbench.data.dataset import Status
from clbench.distillation import DISTILLERS
from clbench.distillation.bptt.settings import BpttSettings
from clbench.distillation.kernel.settings import KernelSettings
from clbench.strategies import distiller_of
from clbench.types import ImageSpec, LabelledImages
from tests.distilling import distillation

NUM_TRAIN, NUM_TEST, NUM_CLASSES = 40, 20, 6


def prototypes(num: int, seed: int) -> LabelledImages:
    """``num`` noisy copies of each class's own random pattern."""
    patterns = torch.rand(NUM_CLASSES + 1, 1, 8, 8, generator=torch.Generator().manual_seed(7))
    labels = torch.arange(NUM_CLASSES).repeat(num)
    noise = torch.randn(len(labels), 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    # Most of a pattern is common to all classes, so that a learner has something to forget.
    pixels = (0.5 * patterns[-1] + 0.3 * patterns[labels] + 0.1 + 0.12 * noise).clamp(0, 1)
    return LabelledImages((pixels * 255).round().to(torch.uint8), labels)


class PrototypeReader:
    """Makes its images instead of reading them."""

    def status(self, info: DatasetInfo, root: Path) -> Status:
        return "embedded"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        raise AssertionError("there is nothing to fetch")

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        return []

    def read(self, info: DatasetInfo, root: Path) -> tuple[LabelledImages, LabelledImages]:
        return prototypes(NUM_TRAIN, 1), prototypes(NUM_TEST, 2)


SPEC = ImageSpec(1, 8, 8, NUM_CLASSES, (0.5,), (0.25,), tuple("abcdef"), "crop_scale")

INFO = DatasetInfo(
    "tiny", "prototypes", SPEC.shape, NUM_CLASSES, NUM_CLASSES * NUM_TRAIN, NUM_CLASSES * NUM_TEST,
    SPEC.mean, SPEC.std, SPEC.augmentation, SPEC.class_names, "made here", "none", (),
    PrototypeReader(), embedded=True,
)  # fmt: skip


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the data set and ``split_tiny`` into the tables for one test."""
    # On images this small several threads only wait for each other.
    torch.set_num_threads(1)
    monkeypatch.setitem(DATASETS, "tiny", INFO)
    monkeypatch.setitem(BENCHMARKS, "split_tiny", BenchmarkInfo("split_tiny", "tiny", "tiny"))


def stream(**changes: object) -> Benchmark:
    """Three experiences of two classes, unless told otherwise."""
    config = BenchmarkConfig("split_tiny", num_experiences=3).replace(**changes)
    return make_benchmark(config)


def distillation_of(strategy: str) -> DistillationConfig:
    """A short distillation by the strategy's distiller."""
    distiller = distiller_of(strategy) or "datadam"
    network = NetworkConfig("convnet", width=8, depth=2)
    matching = {"num_networks": 3, "updates_per_network": 2, "batch_real": 16}
    settings = DISTILLERS.find(distiller).settings
    if isinstance(settings, MatchingSettings):
        return distillation(distiller, network=network, learning_rate=20.0, **matching)
    if isinstance(settings, KernelSettings):
        short = settings.replace(num_updates=8, batch_real=60, network_steps=5)
        return DistillationConfig(distiller, network=network, settings=short)
    if isinstance(settings, BpttSettings):
        return distillation(
            distiller,
            network=network,
            **matching,
            start={"learning_rate": 20.0},
            num_updates=10,
            unroll=6,
            window=3,
        )
    if not isinstance(settings, TrajectorySettings):
        return DistillationConfig(distiller, network=network)
    return distillation(
        distiller,
        network=network,
        **matching,
        start={"learning_rate": 20.0},
        num_updates=10,
        student_steps=3,
        expert_snapshots=1,
        first_start=0,
        last_start=3,
        step_size=0.1,
        # The loss of trajectory matching is of another scale.
        learning_rate=0.005,
        label_learning_rate=1.0,
        experts={
            "num_experts": 2,
            "epochs": 4,
            "snapshots_per_epoch": 1,
            "batch_size": 16,
            "learning_rate": 0.1,
            "num_difficulty_networks": 1,
            "difficulty_epochs": 1,
        },
    )


def config(strategy: str, **changes: object) -> RunConfig:
    """A run that takes a fraction of a second."""
    return RunConfig(
        strategy=strategy,
        device="cpu",
        benchmark=BenchmarkConfig("split_tiny", num_experiences=3),
        learner=LearnerConfig(
            NetworkConfig("mlp", width=32, depth=1),
            learning_rate=0.1,
            epochs=8,
            batch_size=16,
            memory_batch_size=16,
        ),
        memory=MemoryConfig(images_per_class=3),
        distillation=distillation_of(strategy),
        set_training=SetTrainingConfig(epochs=60, batch_size=16, learning_rate=0.05),
    ).replace(**changes)
