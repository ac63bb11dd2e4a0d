"""What every memory keeps true: capacity, balance, bytes, ownership, and Avalanche's interface."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from clbench.codecs import parse
from clbench.config import DistillationConfig
from clbench.distillation import Job, Workload
from clbench.errors import InputError
from clbench.memory import DistilledMemory, ImageMemory, ReservoirMemory
from clbench.types import ImageSpec, LabelledImages
from tests import tiny_stream
from tests.tiny_stream import SPEC

RANDOM = DistillationConfig("random")


class Means:
    """A distiller whose result is known: every image is its class's mean image."""

    def __init__(self, soft_labels: bool = False) -> None:
        self.soft_labels = soft_labels

    def distill(self, job: Job) -> LabelledImages:
        real = job.real
        num = torch.tensor([job.counts[c] for c in real.classes])
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
@pytest.mark.parametrize(("codec", "num"), [("raw", 4), ("tiles:factor=2", 16), ("float32", 1)])
def test_capacity_balance_and_bytes_at_every_moment(name: str, codec: str, num: int) -> None:
    memory = DistilledMemory(
        DistillationConfig(name), SPEC, images_per_class=4, codec=codec, seed=3
    )
    fill(memory)
    assert memory.max_size == 24 * 64 and memory.images_per_share == num
    for k, record in enumerate(memory.records, 1):
        assert record.per_class == {c: num for c in range(2 * k)}
        assert record.num_images == 2 * k * num
        assert record.num_bytes == sum(record.bytes_per_class.values()) == 8 * k * 64
        assert record.decoded_bytes == 4 * 64 * record.num_images
    held = memory.contents()
    assert held.images.dtype == (torch.uint8 if codec == "raw" else torch.float32)
    assert held.images.shape == (6 * num, 1, 8, 8)


@pytest.mark.parametrize("name", ["random", "herding", "reservoir"])
@pytest.mark.parametrize(
    ("codec", "share"),
    [("levels:side=8,levels=2", 40), ("levels:side=4,levels=4", 40), ("png", 400)],
)
def test_as_many_images_as_fit(name: str, codec: str, share: int) -> None:
    options: dict[str, Any] = {"capacity_bytes": 6 * share, "codec": codec, "seed": 3}
    if name == "reservoir":
        memory: ImageMemory = ReservoirMemory(SPEC, **options)
    else:
        memory = DistilledMemory(DistillationConfig(name), SPEC, **options)
    fill(memory)
    record, held = memory.records[-1], memory.stored()
    assert record.num_bytes == sum(map(len, held.streams.values())) <= 6 * share
    assert record.num_bytes > 0.8 * 6 * share, "the room is used"
    if name != "reservoir":
        assert max(record.bytes_per_class.values()) <= share
    for c, stream in held.streams.items():
        read = parse(codec).decode(stream, SPEC.shape)
        assert torch.equal(read, held.grid.of_class(c).images)
        real = parse(codec).reduced(classes(c).images)
        assert all((real == image).flatten(1).all(1).any() for image in read)


def test_a_choice_of_real_images_is_the_beginning_of_a_longer_one() -> None:
    def held(capacity: int) -> LabelledImages:
        options: dict[str, Any] = {"codec": "levels:side=8,levels=2", "seed": 1}
        memory = DistilledMemory(RANDOM, SPEC, capacity_bytes=capacity, **options)
        memory.observe(classes(0, 1))
        return memory.contents().of_class(0)

    small, large = held(6 * 25), held(6 * 40)
    assert len(small) < len(large)
    assert torch.equal(small.images, large.images[: len(small)])


def test_small_classes_leave_the_rest_of_their_share_unused() -> None:
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=8)
    few = classes(1).select(torch.arange(3))
    memory.observe(LabelledImages.concatenate([classes(0), few]))
    assert memory.records[-1].per_class == {0: 8, 1: 3}
    coded = DistilledMemory(RANDOM, SPEC, images_per_class=8, codec="levels:side=8,levels=2")
    coded.observe(LabelledImages.concatenate([classes(0), few]))
    assert coded.records[-1].per_class == {0: 40, 1: 3}, "all that there are"


def test_float32_and_soft_labels_are_charged() -> None:
    memory = DistilledMemory(Means(), SPEC, images_per_class=8, codec="float32")
    fill(memory)
    assert memory.records[-1].num_bytes == 12 * 64 * 4
    expected = classes(3).images.float().mean(0) / 255
    torch.testing.assert_close(memory.contents().of_class(3).images[1], expected)

    soft = DistilledMemory(Means(soft_labels=True), SPEC, images_per_class=2)
    fill(soft)
    assert soft.records[-1].num_bytes == 12 * (64 + 6)
    assert soft.contents().labels.shape == (12, 6)


def test_undeclared_soft_labels_are_refused() -> None:
    distiller = Means(soft_labels=True)
    memory = DistilledMemory(distiller, SPEC, images_per_class=2)
    memory.label_bytes, memory.max_size = 0, 12 * 64
    memory.observe(classes(0, 1))
    memory.observe(classes(2, 3))
    with pytest.raises(InputError, match=r"at most 768 bytes, found 840 of 12 images"):
        memory.observe(classes(4, 5))


def test_capacity_in_bytes() -> None:
    memory = DistilledMemory(RANDOM, SPEC, capacity_bytes=6 * 64 * 3 + 100)
    assert memory.images_per_share == 3
    fill(memory)
    assert memory.records[-1].num_bytes == 6 * 64 * 3
    for codec, factor in (("raw", 1), ("float32", 4)):
        least = 6 * 64 * factor
        with pytest.raises(InputError, match=f"at least {least:,} "):
            DistilledMemory(RANDOM, SPEC, capacity_bytes=least - 1, codec=codec)


def test_too_few_bytes_for_a_coded_image_are_found_with_the_images() -> None:
    memory = DistilledMemory(RANDOM, SPEC, capacity_bytes=6 * 30, codec="png")
    with pytest.raises(InputError, match=r"expected at least \d+ bytes, one image of .* png"):
        memory.observe(classes(0))
    assert memory.records == []


def test_tiles_are_scaled_down_images_of_one_class() -> None:
    data = classes(0, 1, num=8)
    memory = ReservoirMemory(SPEC, images_per_class=1, codec="tiles:factor=2")
    memory.observe(data)
    small = torch.nn.functional.avg_pool2d(data.images / 255, 2)
    small = torch.nn.functional.interpolate(small, (8, 8), mode="bilinear")
    decoded = memory.contents()
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


def test_a_returning_class_shares_its_bytes_by_the_images_they_stand_for() -> None:
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=8)
    black = LabelledImages(torch.zeros(30, 1, 8, 8, dtype=torch.uint8), torch.zeros(30).long())
    white = LabelledImages(torch.full((10, 1, 8, 8), 255).byte(), torch.zeros(10).long())
    memory.observe(black)
    memory.observe(LabelledImages.concatenate([white, classes(1)]))
    held = memory.contents()
    # 30 of the 40 images seen were black, so round(8 * 30 / 40) of those held are.
    assert (held.of_class(0).images.float().mean((1, 2, 3)) == 0).sum() == 6
    assert memory.records[-1].per_class == {0: 8, 1: 8}
    assert memory.num_seen == {0: 40, 1: 40}
    memory.observe(LabelledImages(white.images[:1], white.labels[:1]))
    assert memory.records[-1].per_class == {0: 8, 1: 8}


def test_one_image_per_class_goes_to_the_larger_share() -> None:
    memory = DistilledMemory(RANDOM, SPEC, images_per_class=1)
    few = LabelledImages(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(3).long())
    memory.observe(few)
    memory.observe(classes(0))
    assert memory.contents().images.float().mean() > 0
    memory.observe(few)
    assert memory.contents().images.float().mean() > 0
    assert memory.records[-1].per_class == {0: 1}


@pytest.mark.parametrize(
    ("codec", "share"), [("levels:side=8,levels=2", 40), ("webp:quality=50", 300)]
)
def test_a_returning_class_in_streams(codec: str, share: int) -> None:
    memory = DistilledMemory(RANDOM, SPEC, capacity_bytes=6 * share, codec=codec)
    memory.observe(classes(0, 1))
    before, stream = memory.records[-1], memory.stored().streams[0]
    memory.observe(classes(1, 2))
    after = memory.records[-1]
    assert memory.stored().streams[0] == stream, "a lossy codec loses nothing twice"
    assert max(after.bytes_per_class.values()) <= share
    assert after.per_class[1] >= before.per_class[1] // 2
    assert memory.num_seen == {0: 40, 1: 80, 2: 40}


@pytest.mark.parametrize("kind", ["distilled", "reservoir"])
@pytest.mark.parametrize("codec", ["raw", "tiles:factor=2", "levels:side=4,levels=2", "float32"])
def test_state_goes_on_as_if_nothing_had_happened(kind: str, codec: str) -> None:
    def make() -> ImageMemory:
        if kind == "reservoir":
            return ReservoirMemory(SPEC, images_per_class=4, codec=codec, seed=1)
        return DistilledMemory(RANDOM, SPEC, images_per_class=4, codec=codec, seed=1)

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
        ReservoirMemory(SPEC, images_per_class=3, codec="tiles:factor=2").load_state_dict(state)
    with pytest.raises(InputError, match="memory state"):
        ReservoirMemory(SPEC, images_per_class=4, codec="float32").load_state_dict(state)


def test_resize_keeps_the_balance() -> None:
    memory = fill(DistilledMemory(RANDOM, SPEC, images_per_class=4))
    held = memory.contents()
    memory.resize(None, 15 * 64)
    assert memory.max_size == 15 * 64 and memory.images_per_share == 2
    smaller = memory.contents()
    assert smaller.labels.bincount().tolist() == [2] * 6
    for image in smaller.images:
        assert (held.images == image).all(-1).all(-1).all(-1).any()
    with pytest.raises(InputError, match="at least 384"):
        memory.resize(None, 383)


@pytest.mark.parametrize("kind", ["distilled", "reservoir"])
def test_streams_are_resized(kind: str) -> None:
    options: dict[str, Any] = {"capacity_bytes": 6 * 40, "codec": "levels:side=8,levels=2"}
    distilled = kind == "distilled"
    made = DistilledMemory(RANDOM, SPEC, **options) if distilled else None
    memory = fill(made or ReservoirMemory(SPEC, **options))
    held = memory.contents()
    memory.resize(None, 6 * 25)
    record = memory.stored()
    assert 6 * 15 < record.num_bytes <= 6 * 25
    assert not distilled or max(record.bytes_per_class.values()) <= 25
    for image in memory.contents().images:
        assert (held.images == image).all(-1).all(-1).all(-1).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images_per_class": 0}, "images_per_class: expected at least 1"),
        ({"codec": "tiles:factor=9"}, "expected a factor of 1 to 8 for images of 8 x 8, found 9"),
        ({"codec": "tiles:factor=0"}, "expected factor to be a whole number from 2"),
        ({"codec": "levels:side=9,levels=2"}, "expected a side of 1 to 8"),
        ({"capacity_bytes": 10}, "capacity_bytes: expected at least 384 .*, found 10;"),
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
    assert len(memory.contents()) == 0 and memory.records == []
