"""What is in a batch: the plan of memory draws, order, normalisation, augmentation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.distillation.augmentation import augment
from clbench.strategies.batches import MemoryBatches, TensorBatches, balanced_plan
from tests import tiny_stream
from tests.tiny_stream import SPEC


def draw(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    num_batches=st.integers(1, 5),
    batch_size=st.integers(1, 20),
    seed=st.integers(0, 100),
)
def test_plans_are_balanced_and_use_all_images_alike(
    counts: list[int], num_batches: int, batch_size: int, seed: int
) -> None:
    # Labels with gaps, as of a memory that lacks classes.
    labels = torch.repeat_interleave(2 * torch.arange(len(counts)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=draw(seed))]
    plan = balanced_plan(labels, num_batches, batch_size, draw(seed))
    assert plan.shape == (num_batches, batch_size)
    for batch in plan:
        per_class = labels[batch].bincount(minlength=2 * len(counts))[::2]
        assert int(per_class.max() - per_class.min()) <= 1
    uses = plan.flatten().bincount(minlength=len(labels))
    for c in labels.unique():
        own = uses[labels == c]
        assert int(own.max() - own.min()) <= 1


def test_places_that_are_left_go_round() -> None:
    labels = torch.arange(3)
    plan = balanced_plan(labels, 600, 4, draw(0))
    extra = plan.flatten().bincount() - 600
    assert int(extra.sum()) == 600
    assert (extra - 200).abs().max() < 60  # 5 standard deviations of a binomial of 600 x 1/3


def test_batches_hold_current_images_and_memory() -> None:
    data = tiny_stream.prototypes(5, 1)
    current, held = data.of_class(2, 3), data.of_class(0, 1)
    memory = MemoryBatches(SPEC.normalise(held.images), held.labels, 6, draw(1))
    loader = TensorBatches(current, SPEC, 4, generator=draw(2), memory=memory)
    batches = list(loader)
    assert len(batches) == len(loader) == 3
    order = torch.randperm(10, generator=draw(2)).split(4)
    plan = balanced_plan(held.labels, 3, 6, draw(1))
    for (images, labels, tasks), index, chosen in zip(batches, order, plan, strict=True):
        expected = torch.cat([current.images[index], held.images[chosen]])
        torch.testing.assert_close(images, SPEC.normalise(expected), rtol=0, atol=0)
        assert torch.equal(labels, torch.cat([current.labels[index], held.labels[chosen]]))
        assert torch.equal(tasks, torch.zeros(len(labels), dtype=torch.int64))
    assert [len(batch[0]) for batch in batches] == [10, 10, 8]


def test_memory_does_not_shift_the_order_of_the_current_data() -> None:
    data = tiny_stream.prototypes(5, 1)
    held = data.of_class(0)
    memory = MemoryBatches(SPEC.normalise(held.images), held.labels, 6, draw(1))
    alone = TensorBatches(data, SPEC, 4, generator=draw(2))
    joined = TensorBatches(data, SPEC, 4, generator=draw(2), memory=memory)
    for _ in range(2):
        for (x, *_), (both, *_) in zip(alone, joined, strict=True):
            assert torch.equal(x, both[: len(x)])


def test_every_pass_has_its_own_order_and_covers_the_data() -> None:
    data = tiny_stream.prototypes(5, 1)
    loader = TensorBatches(data, SPEC, 7, generator=draw(2))
    passes = [torch.cat([images for images, *_ in loader]) for _ in range(2)]
    assert not torch.equal(*passes)
    expected = SPEC.normalise(data.images).flatten(1)
    for images in passes:
        rows = {tuple(row) for row in images.flatten(1).tolist()}
        assert rows == {tuple(row) for row in expected.tolist()}


def test_augmentation_takes_the_whole_batch() -> None:
    data = tiny_stream.prototypes(2, 1)
    held = data.of_class(5)
    memory = MemoryBatches(SPEC.normalise(held.images), held.labels, 3, draw(1))
    plain = TensorBatches(data, SPEC, 20, generator=draw(2), memory=memory)
    (images, *_) = next(iter(plain))
    memory.generator = draw(1)
    changed = TensorBatches(
        data, SPEC, 20, generator=draw(2), memory=memory, augmentation="crop_scale",
        augmentation_generator=draw(3),
    )  # fmt: skip
    (augmented, *_) = next(iter(changed))
    torch.testing.assert_close(augmented, augment(images, "crop_scale", draw(3)))
    assert not torch.equal(augmented[-1], images[-1])


def test_soft_labels_of_memory_join_hard_ones() -> None:
    data = tiny_stream.prototypes(2, 1)
    soft = torch.full((3, 6), 1 / 6)
    memory = MemoryBatches(SPEC.normalise(data.images[:3]), soft, 2, draw(1))
    loader = TensorBatches(data.of_class(4), SPEC, 2, generator=draw(2), memory=memory)
    (_, labels, tasks) = next(iter(loader))
    expected = torch.cat([torch.eye(6)[[4, 4]], soft[:2]])
    assert torch.equal(labels, expected) and len(tasks) == 4


def plain_plan(labels, num_batches: int, batch_size: int, generator):
    """The plan as its docstring says it, class by class."""
    classes = labels.unique()
    num = len(classes)
    equal = torch.arange(num).repeat(batch_size // num).expand(num_batches, -1)
    order = torch.rand(num_batches, num, generator=generator).argsort(1)
    dealt = torch.cat([equal, order[:, : batch_size % num]], dim=1)
    plan = torch.empty_like(dealt)
    for c in range(num):
        members = (labels == classes[c]).nonzero().flatten()
        places = dealt == c
        wanted = int(places.sum())
        rounds = -(-wanted // len(members))
        decks = torch.rand(rounds, len(members), generator=generator).argsort(1)
        plan[places] = members[decks.flatten()[:wanted]]
    return plan


@pytest.mark.parametrize("sizes", [(3, 20, 7, 10), (50, 100, 3, 8), (4, 9, 1, 64), (30, 40, 1, 1)])
def test_the_plan_of_many_classes_is_the_plain_loops(sizes: tuple[int, int, int, int]):
    num_classes, num_images, *how = sizes
    rng = torch.Generator().manual_seed(num_classes)
    labels = 3 * torch.randint(0, num_classes, (num_images,), generator=rng)
    one, two = (torch.Generator().manual_seed(1) for _ in range(2))
    assert torch.equal(plain_plan(labels, *how, one), balanced_plan(labels, *how, two))
    assert torch.equal(one.get_state(), two.get_state())
