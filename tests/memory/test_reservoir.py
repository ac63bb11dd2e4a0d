"""The reservoir is a uniform sample: tested as a distribution, not by looks."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from clbench.memory import ReservoirMemory
from clbench.types import ImageSpec, LabelledImages

SPEC = ImageSpec(1, 2, 2, 2, (0.0,), (1.0,))
TRIALS = 1500


def numbered(first: int, num: int, label: int) -> LabelledImages:
    """Images that carry their own number in every pixel."""
    images = torch.arange(first, first + num).to(torch.uint8).view(-1, 1, 1, 1)
    return LabelledImages(images.expand(-1, 1, 2, 2).clone(), torch.full((num,), label))


def held(seed: int, parts: list[LabelledImages], **options: Any) -> list[int]:
    memory = ReservoirMemory(SPEC, seed=seed, **options)
    for part in parts:
        memory.observe(part)
    return sorted(memory.contents().images.flatten(1)[:, 0].tolist())


def test_every_pair_of_the_stream_is_equally_likely() -> None:
    # 2 of 6 images, which come in experiences of 3, 2 and 1: 15 equally likely pairs. Testing pairs
    # finds what testing single images misses, such as neighbours that stay or go together.
    parts = [numbered(0, 3, 0), numbered(3, 2, 1), numbered(5, 1, 0)]
    counts: dict[tuple[int, ...], int] = dict.fromkeys(itertools.combinations(range(6), 2), 0)
    for seed in range(TRIALS):
        counts[tuple(held(seed, parts, images_per_class=1))] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-3


def test_shrinking_leaves_a_uniform_sample() -> None:
    counts = torch.zeros(8)
    for seed in range(TRIALS // 3):
        memory = ReservoirMemory(SPEC, images_per_class=2, seed=seed)
        memory.observe(numbered(0, 5, 0))
        memory.resize(None, 2)
        memory.observe(numbered(5, 3, 1))
        counts[memory.contents().images.flatten(1)[:, 0].long()] += 1
    assert counts.sum() == 2 * (TRIALS // 3)
    # Two draws without replacement are correlated, which makes this test strict, never lax.
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_packed_images_are_equally_likely_too() -> None:
    # 5 images of each class make one unit of 4: each image is in it with probability 4/5, and of
    # the two units one is held.
    parts = [numbered(0, 5, 0), numbered(5, 5, 1)]
    spec = ImageSpec(1, 4, 4, 1, (0.0,), (1.0,))
    counts = torch.zeros(10)
    for seed in range(TRIALS // 3):
        memory = ReservoirMemory(
            ImageSpec(1, 4, 4, 2, (0.0,), (1.0,)), images_per_class=1, packing=2, seed=seed
        )
        memory.resize(None, 2)
        memory.max_size = 1
        for part in parts:
            images = part.images[:, :, :1, :1].expand(-1, 1, *spec.shape[1:]).clone()
            memory.observe(LabelledImages(images, part.labels))
        slot = memory.contents().images[0, 0]
        counts[slot[::2, ::2].flatten().long()] += 1
    assert counts.sum() == 4 * (TRIALS // 3)
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_full_at_once_and_never_beyond() -> None:
    memory = ReservoirMemory(SPEC, images_per_class=4)
    sizes = []
    for first in range(0, 30, 5):
        memory.observe(numbered(first, 5, (first // 5) % 2))
        sizes.append(memory.records[-1].num_slots)
    assert sizes == [5, 8, 8, 8, 8, 8]
    assert memory.num_units == 30


@pytest.mark.parametrize("packing", [1, 2])
def test_same_seed_same_memory(packing: int) -> None:
    parts = [numbered(0, 40, 0), numbered(40, 40, 1)]
    first = held(5, parts, images_per_class=3, packing=packing)
    assert first == held(5, parts, images_per_class=3, packing=packing)
    assert first != held(6, parts, images_per_class=3, packing=packing)
