"""Memories in other people's Avalanche strategies, beside other people's data sets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from clbench.machine import compat

compat.prepare()

from avalanche.benchmarks import benchmark_from_datasets  # noqa: E402
from avalanche.benchmarks.utils import DataAttribute, make_avalanche_dataset  # noqa: E402
from avalanche.benchmarks.utils.transform_groups import TransformGroups  # noqa: E402
from avalanche.training.plugins import ReplayPlugin  # noqa: E402
from avalanche.training.supervised import Naive  # noqa: E402
from torchvision.transforms import Compose, Normalize, ToTensor  # noqa: E402

from clbench.config import DistillationConfig  # noqa: E402
from clbench.errors import InputError  # noqa: E402
from clbench.memory import DistilledMemory, ImageMemory, ReservoirMemory, dataset_images  # noqa: E402
from clbench.types import ImageSpec, LabelledImages  # noqa: E402
from tests import tiny_stream  # noqa: E402
from tests.tiny_stream import SPEC  # noqa: E402

RANDOM = DistillationConfig("random")


class Arrays(torch.utils.data.Dataset[Any]):
    """As torchvision's data sets: numpy pictures and Python integers."""

    def __init__(self, data: LabelledImages) -> None:
        self.images = data.images.permute(0, 2, 3, 1).numpy()
        self.targets = data.labels.tolist()

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.images[index], self.targets[index]


def picture_dataset(data: LabelledImages, transform: Any) -> Any:
    groups = TransformGroups({"train": transform, "eval": transform})
    targets = DataAttribute(data.labels.tolist(), "targets")
    return make_avalanche_dataset(Arrays(data), data_attributes=[targets], transform_groups=groups)


def tensor_dataset(data: LabelledImages) -> Any:
    targets = DataAttribute(data.labels.tolist(), "targets")
    pair = TensorDataset(SPEC.normalise(data.images), data.labels)
    return make_avalanche_dataset(pair, data_attributes=[targets])


class Labels(ReplayPlugin):
    """Remembers the labels of every batch."""

    def __init__(self, memory: ImageMemory, **options: Any) -> None:
        super().__init__(mem_size=memory.max_size, storage_policy=memory, **options)
        self.batches: list[list[int]] = []
        self.images = torch.zeros(0)

    def after_training_iteration(self, strategy: Any, **kwargs: Any) -> None:
        self.batches.append(strategy.mb_y.tolist())
        self.images = strategy.mb_x


def train_stock(experiences: Any, plugin: Labels) -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 6))
    Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        train_mb_size=16,
        plugins=[plugin],
        evaluator=None,
    ).train(experiences)


def parts() -> list[LabelledImages]:
    data = tiny_stream.prototypes(20, 1)
    return [data.of_class(0, 1), data.of_class(2, 3), data.of_class(4, 5)]


@pytest.mark.parametrize("samples", ["tensors", "pictures"])
@pytest.mark.parametrize(("codec", "times"), [("raw", 1), ("tiles:factor=2", 4)])
def test_stock_naive_replays_a_memory(samples: str, codec: str, times: int) -> None:
    transform = Compose([ToTensor(), Normalize(SPEC.mean, SPEC.std)])
    make = tensor_dataset if samples == "tensors" else lambda d: picture_dataset(d, transform)
    experiences = benchmark_from_datasets(train=[make(part) for part in parts()]).train_stream
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=2, codec=codec)
    plugin = Labels(memory)
    train_stock(experiences, plugin)
    first, last = plugin.batches[0], plugin.batches[-1]
    assert set(first) <= {0, 1} and len(first) == 16
    assert {0, 1, 2, 3} & set(last) and {4, 5} & set(last)
    assert [record.num_images for record in memory.records] == [4 * times, 8 * times, 12 * times]
    assert len(memory.buffer) == 12 * times
    assert list(memory.buffer.targets) == memory.contents().labels.tolist()


def test_clbench_streams_in_a_stock_strategy(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)
    benchmark = tiny_stream.stream()
    memory = ReservoirMemory(benchmark.spec, images_per_class=2)
    plugin = Labels(memory, batch_size_mem=4)
    train_stock(benchmark.streams.train, plugin)
    assert memory.num_images_seen == 240
    # Samples of these streams end in a task label, so the memory's do.
    assert len(memory.buffer[0]) == 3 and memory.buffer[0][2] == 0
    image, label = memory.buffer[5][:2]
    held = memory.contents()
    torch.testing.assert_close(image, benchmark.spec.normalise(held.images[5:6])[0])
    assert label == held.labels[5]


def test_pixels_survive_the_way_through_transforms() -> None:
    data = parts()[0]
    normal = Compose([ToTensor(), Normalize(SPEC.mean, SPEC.std)])
    found = dataset_images(picture_dataset(data, normal), SPEC)
    assert torch.equal(found.images, data.images) and torch.equal(found.labels, data.labels)
    plain = ImageSpec(1, 8, 8, 6, (0.0,), (1.0,))
    found = dataset_images(picture_dataset(data, ToTensor()), plain)
    assert torch.equal(found.images, data.images)


def test_reading_a_dataset_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    dataset_images(tensor_dataset(parts()[0]), SPEC)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("transform", "spec", "message"),
    [
        (
            Compose([ToTensor(), Normalize(SPEC.mean, SPEC.std)]),
            ImageSpec(1, 8, 8, 6, (0.0,), (1.0,)),
            "once mean .* are undone, found -",
        ),
        (ToTensor(), ImageSpec(1, 9, 9, 6, (0.0,), (1.0,)), "expected images of shape"),
        (lambda picture: torch.tensor(picture), SPEC, "expected float images"),
    ],
)
def test_datasets_that_do_not_fit(transform: Any, spec: ImageSpec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataset_images(picture_dataset(parts()[0], transform), spec)


def test_samples_of_other_fields_are_refused() -> None:
    data = parts()[0]
    targets = data.labels.tolist()
    attributes = [DataAttribute(targets, "targets"), DataAttribute(targets, "extra", True)]
    pair = TensorDataset(SPEC.normalise(data.images), data.labels)
    dataset = make_avalanche_dataset(pair, data_attributes=attributes)
    experience = benchmark_from_datasets(train=[dataset]).train_stream[0]
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=2)
    with pytest.raises(InputError, match="samples of 2 fields"):
        memory.post_adapt(None, experience)
    assert len(memory.buffer) == 0
