"""Training speed beside a bare PyTorch loop and beside stock Avalanche, on the same work.

Each is timed several times in turn and its best time counts, so that a busy machine slows all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.data import Dataset

from clbench import compat

compat.prepare()

from avalanche.benchmarks import benchmark_from_datasets  # noqa: E402
from avalanche.benchmarks.utils import (  # noqa: E402
    AvalancheDataset,
    DataAttribute,
    make_avalanche_dataset,
)
from avalanche.benchmarks.utils.transform_groups import TransformGroups  # noqa: E402
from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics  # noqa: E402
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin  # noqa: E402
from avalanche.training.supervised import Naive  # noqa: E402
from torchvision.transforms import Compose, Normalize, ToTensor  # noqa: E402

from clbench import networks, strategies  # noqa: E402
from clbench.config import NetworkConfig, RunConfig  # noqa: E402
from clbench.data import TensorImages  # noqa: E402
from clbench.types import ImageSpec, LabelledImages  # noqa: E402

SPEC = ImageSpec(1, 28, 28, 4, (0.1307,), (0.3081,))
CONFIG = RunConfig(strategy="random_replay", device="cpu")


def experiences() -> list[LabelledImages]:
    draw = torch.Generator().manual_seed(0)
    parts = []
    for first in (0, 2):
        labels = torch.tensor([first, first + 1]).repeat(700)
        images = torch.randint(0, 256, (1400, 1, 28, 28), generator=draw).to(torch.uint8)
        parts.append(LabelledImages(images, labels))
    return parts


def ours(parts: list[LabelledImages]) -> float:
    data = [
        AvalancheDataset(
            [TensorImages(part, SPEC)],
            data_attributes=[DataAttribute(part.labels.tolist(), "targets")],
        )
        for part in parts
    ]
    memory = strategies.make_memory(CONFIG, SPEC)
    learner = strategies.build(CONFIG, SPEC, memory=memory)
    stream = benchmark_from_datasets(train=data).train_stream
    start = time.perf_counter()
    learner.train(stream, eval_streams=[])
    return time.perf_counter() - start


def bare(parts: list[LabelledImages]) -> float:
    network = networks.build(NetworkConfig("mlp"), SPEC, seed=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    memory: Any = None
    start = time.perf_counter()
    for part in parts:
        for index in torch.randperm(len(part)).split(64):
            images, labels = SPEC.normalise(part.images[index]), part.labels[index]
            if memory is not None:
                chosen = torch.randint(len(memory[1]), (64,))
                images = torch.cat([images, memory[0][chosen]])
                labels = torch.cat([labels, memory[1][chosen]])
            loss = F.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        memory = (SPEC.normalise(part.images[:20]), part.labels[:20])
    return time.perf_counter() - start


class Pictures(Dataset[Any]):
    """As torchvision's MNIST: one PIL picture at a time."""

    def __init__(self, part: LabelledImages) -> None:
        self.data, self.targets = part.images[:, 0].numpy(), part.labels.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return Image.fromarray(self.data[index]), self.targets[index]


def stock(parts: list[LabelledImages]) -> float:
    """What Avalanche's SplitMNIST with ReplayPlugin does, but for printing."""
    transform = Compose([ToTensor(), Normalize(SPEC.mean, SPEC.std)])
    data = [
        make_avalanche_dataset(
            Pictures(part),
            data_attributes=[DataAttribute(part.labels.tolist(), "targets")],
            transform_groups=TransformGroups({"train": transform, "eval": transform}),
        )
        for part in parts
    ]
    network = networks.build(NetworkConfig("mlp"), SPEC, seed=0)
    strategy = Naive(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        train_mb_size=64,
        plugins=[ReplayPlugin(mem_size=40)],
        evaluator=EvaluationPlugin(
            accuracy_metrics(epoch=True, experience=True, stream=True),
            loss_metrics(epoch=True, experience=True, stream=True),
        ),
    )
    stream = benchmark_from_datasets(train=data).train_stream
    start = time.perf_counter()
    strategy.train(stream, eval_streams=[])
    return time.perf_counter() - start


def test_speed() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        parts = experiences()
        times: dict[Callable[..., float], list[float]] = {ours: [], bare: [], stock: []}
        for _ in range(4):
            for way, taken in times.items():
                taken.append(way(parts))
    finally:
        torch.set_num_threads(threads)
    best = {way: min(taken) for way, taken in times.items()}
    assert best[bare] / best[ours] > 0.75
    assert best[stock] / best[ours] > 2
