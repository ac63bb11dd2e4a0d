"""What every memory keeps true: capacity, balance, bytes, ownership, and Avalanche's interface."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from clbench.config import DistillationConfig
from clbench.distillation import Job, Workload
from clbench.errors import InputError
from clbench.memory import DistilledMemory, ImageMemory, ReservoirMemory, slot_bytes
from clbench.memory.books import Storage
from clbench.packing import pack, unpack
from clbench.types import ImageSpec, LabelledImages
from tests import tiny_stream
from tests.tiny_stream import SPEC

RANDOM = DistillationConfig("random")


class Means:
    """A distiller whose result is known: every slot is its class's mean image."""

    def __init__(self, soft_labels: bool = False) -> None:
        self.soft_labels = soft_labels

    def distill(self, job: Job) -> LabelledImages:
        real, num = job.real, job.images_per_class
        rows = [real.of_class(c).images.float().mean(0) / 255 for c in real.classes]
        images = torch.stack(rows).repeat_interleave(num, 0)
        labels = torch.tensor(real.classes).repeat_interleave(num)
        if self.soft_labels:
            return LabelledImages(images, torch.eye(job.spec.num_classes)[labels])
        return LabelledImages(images, labels)

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        return 5.0


def classes(*wanted: int, num: int = 40) -> LabelledImages:
    data = tiny_stream.prototypes(num, 1)
    return data.of_class(*wanted)


def fill(memory: ImageMemory) -> ImageMemory:
    for first in (0, 2, 4):
        memory.observe(classes(first, first + 1))
    return memory


@pytest.mark.parametrize("name", ["random", "herding"])
@pytest.mark.parametrize("packing", [1, 2])
def test_capacity_balance_and_bytes_at_every_moment(name: str, packing: int) -> None:
    memory = DistilledMemory(
        DistillationConfig(name), SPEC, images_per_class=4, packing=packing, seed=3
    )
    fill(memory)
    assert memory.max_size == 24
    for k, record in enumerate(memory.records, 1):
        assert record.per_class == {c: 4 for c in range(2 * k)}
        assert record.num_slots == 8 * k
        assert record.num_bytes == 8 * k * 64
    held = memory.contents()
    assert held.images.dtype == torch.uint8 and held.images.shape == (24, 1, 8, 8)
    assert held.packing == packing and len(held.decoded()) == 24 * packing**2


def test_float32_and_soft_labels_are_charged() -> None:
    memory = DistilledMemory(Means(), SPEC, images_per_class=2, storage="float32")
    fill(memory)
    assert memory.records[-1].num_bytes == 12 * 64 * 4
    expected = classes(3).images.float().mean(0) / 255
    torch.testing.assert_close(memory.contents().of_class(3).images[1], expected)

    soft = DistilledMemory(Means(soft_labels=True), SPEC, images_per_class=2)
    fill(soft)
    assert soft.records[-1].num_bytes == 12 * (64 + 6 * 4)
    assert soft.contents().labels.shape == (12, 6)


def test_undeclared_soft_labels_are_refused() -> None:
    distiller = Means(soft_labels=True)
    memory = DistilledMemory(distiller, SPEC, images_per_class=2)
    memory.slot_bytes = slot_bytes(SPEC, "uint8")
    memory.observe(classes(0, 1))
    memory.observe(classes(2, 3))
    with pytest.raises(InputError, match=r"at most 768 bytes, found 1056 in 12 slots"):
        memory.observe(classes(4, 5))


def test_capacity_in_bytes() -> None:
    memory = DistilledMemory(RANDOM, SPEC, capacity_bytes=6 * 64 * 3 + 100)
    assert memory.images_per_class == 3
    fill(memory)
    assert memory.records[-1].num_bytes == 6 * 64 * 3
    storages: tuple[tuple[Storage, int], ...] = (("uint8", 1), ("float32", 4))
    for storage, factor in storages:
        least = 6 * 64 * factor
        with pytest.raises(InputError, match=f"at least {least} "):
            DistilledMemory(RANDOM, SPEC, capacity_bytes=least - 1, storage=storage)


def test_packing_stores_scaled_down_images_of_one_class() -> None:
    data = classes(0, 1, num=8)
    memory = ReservoirMemory(SPEC, images_per_class=1, packing=2)
    memory.observe(data)
    pixels = data.images / 255
    small = unpack(pack(pixels, 2), 2)
    decoded = memory.contents().decoded()
    for image, label in zip(decoded.images, decoded.labels, strict=True):
        distance = (small - image).abs().amax((1, 2, 3))
        nearest = int(distance.argmin())
        assert distance[nearest] <= 0.51 / 255
        assert data.labels[nearest] == label


def test_the_memory_owns_its_tensors() -> None:
    data = classes(0, 1)
    source = weakref.ref(data.images)
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=2)
    memory.observe(data)
    before = memory.contents().images.clone()
    storage = memory.contents().images.untyped_storage()
    assert storage.nbytes() == 4 * 64
    data.images.zero_()
    assert torch.equal(memory.contents().images, before)
    del data
    assert source() is None


def test_a_returning_class_shares_its_slots_by_the_images_they_stand_for() -> None:
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=8)
    black = LabelledImages(torch.zeros(30, 1, 8, 8, dtype=torch.uint8), torch.zeros(30).long())
    white = LabelledImages(torch.full((10, 1, 8, 8), 255).byte(), torch.zeros(10).long())
    memory.observe(black)
    memory.observe(LabelledImages.concatenate([white, classes(1)]))
    held = memory.contents()
    # 30 of the 40 images seen were black, so round(8 * 30 / 40) slots are.
    assert (held.of_class(0).images.float().mean((1, 2, 3)) == 0).sum() == 6
    assert memory.records[-1].per_class == {0: 8, 1: 8}
    assert memory.num_seen == {0: 40, 1: 40}
    memory.observe(LabelledImages(white.images[:1], white.labels[:1]))
    assert memory.records[-1].per_class == {0: 8, 1: 8}


def test_one_slot_per_class_goes_to_the_larger_share() -> None:
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=1)
    few = LabelledImages(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(3).long())
    memory.observe(few)
    memory.observe(classes(0))
    assert memory.contents().images.float().mean() > 0
    memory.observe(few)
    assert memory.contents().images.float().mean() > 0
    assert memory.records[-1].per_class == {0: 1}


@pytest.mark.parametrize("kind", ["distilled", "reservoir"])
def test_state_goes_on_as_if_nothing_had_happened(kind: str) -> None:
    def make() -> ImageMemory:
        if kind == "reservoir":
            return ReservoirMemory(SPEC, images_per_class=3, packing=2, seed=1)
        return DistilledMemory(RANDOM, SPEC, images_per_class=3, packing=2, seed=1)

    straight, first, second = fill(make()), make(), make()
    first.observe(classes(0, 1))
    second.load_state_dict(first.state_dict())
    first.contents().images.zero_()
    for start in (2, 4):
        second.observe(classes(start, start + 1))
    assert torch.equal(second.contents().images, straight.contents().images)
    assert torch.equal(second.contents().labels, straight.contents().labels)
    assert second.records == straight.records
    assert second.num_seen == straight.num_seen


def test_state_of_another_memory_is_refused() -> None:
    state = fill(ReservoirMemory(SPEC, images_per_class=3)).state_dict()
    with pytest.raises(InputError, match="memory state"):
        ReservoirMemory(SPEC, images_per_class=3, packing=2).load_state_dict(state)
    with pytest.raises(InputError, match="memory state"):
        ReservoirMemory(SPEC, images_per_class=3, storage="float32").load_state_dict(state)


def test_resize_keeps_the_balance() -> None:
    memory = fill(DistilledMemory(RANDOM, SPEC, images_per_class=4))
    held = memory.contents()
    memory.resize(None, 15)
    assert memory.max_size == 12 and memory.images_per_class == 2
    smaller = memory.contents()
    assert smaller.labels.bincount().tolist() == [2] * 6
    for image in smaller.images:
        assert (held.images == image).all(-1).all(-1).all(-1).any()
    with pytest.raises(InputError, match="at least 6"):
        memory.resize(None, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images_per_class": 0}, "images_per_class: expected at least 1"),
        ({"packing": 9}, "packing: expected 1 to 8 for images of 8 x 8, found 9"),
        ({"packing": 0}, "packing: expected 1 to 8"),
        ({"capacity_bytes": 10}, "capacity_bytes: expected at least 384"),
        ({"cache": True}, "cache: expected a DistillationConfig"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DistilledMemory(Means(), SPEC, **options)


def test_bad_data() -> None:
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=4)
    data = classes(0)
    with pytest.raises(InputError, match="labels 0 to 5, found 40 images with labels 6"):
        memory.observe(LabelledImages(data.images, data.labels + 6))
    with pytest.raises(InputError, match="found 0 images"):
        memory.observe(data.of_class(5))
    with pytest.raises(InputError, match="expected at least 4 images of class 0"):
        memory.observe(data.select(torch.arange(3)))
    assert len(memory.contents()) == 0 and memory.records == []
