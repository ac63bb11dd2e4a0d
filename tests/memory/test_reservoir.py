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
        memory.resize(None, 2 * 4)
        memory.observe(numbered(5, 3, 1))
        counts[memory.contents().images.flatten(1)[:, 0].long()] += 1
    assert counts.sum() == 2 * (TRIALS // 3)
    # Two draws without replacement are correlated, which makes this test strict, never lax.
    assert chisquare(counts.numpy()).pvalue > 1e-3


def larger(part: LabelledImages) -> LabelledImages:
    """4 x 4 pixels whose upper half is one of 15 levels, by the image's number."""
    images = (part.images[:, :, :1, :1] % 15 * 17).expand(-1, 1, 4, 4).clone()
    images[:, :, 2:] = 255 - images[:, :, 2:]
    return LabelledImages(images, part.labels)


def coded(seed: int, parts: list[LabelledImages], num_bytes: int) -> ReservoirMemory:
    """Sixteen grey levels, so that images take different bytes."""
    spec = ImageSpec(1, 4, 4, 2, (0.0,), (1.0,))
    memory = ReservoirMemory(
        spec, capacity_bytes=num_bytes, codec="levels:side=2,levels=16", seed=seed
    )
    for part in parts:
        memory.observe(larger(part))
    return memory


def test_images_in_streams_are_equally_likely_too() -> None:
    # Whichever experience an image came in; which images fit depends on all of them.
    parts = [numbered(0, 6, 0), numbered(6, 4, 0), numbered(10, 2, 0)]
    counts = torch.zeros(12)
    for seed in range(300):
        memory = coded(seed, parts, 12)
        assert memory.stored().num_bytes <= 12
        counts[memory.stored().grid.images[:, 0, 0, 0].long() // 17] += 1
    assert 300 < counts.sum() < 300 * 10
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_keys_stay_with_their_images() -> None:
    parts = [numbered(0, 40, 1), numbered(40, 40, 0), numbered(80, 40, 1)]
    memory = coded(3, parts, 60)
    again = coded(3, parts[:2], 60)
    fresh = ReservoirMemory(again.spec, capacity_bytes=60, codec="levels:side=2,levels=16", seed=3)
    fresh.load_state_dict(again.state_dict())
    fresh.observe(larger(parts[2]))
    assert torch.equal(fresh.contents().images, memory.contents().images)
    keys = memory.keys
    assert keys is not None and len(keys) == len(memory.contents())
    assert keys.max() < memory.highest_key <= 1


def test_full_at_once_and_never_beyond() -> None:
    memory = ReservoirMemory(SPEC, images_per_class=4)
    sizes = []
    for first in range(0, 30, 5):
        memory.observe(numbered(first, 5, (first // 5) % 2))
        sizes.append(memory.records[-1].num_images)
    assert sizes == [5, 8, 8, 8, 8, 8]
    assert memory.num_images_seen == 30


@pytest.mark.parametrize("codec", ["raw", "tiles:factor=2", "levels:side=2,levels=16"])
def test_same_seed_same_memory(codec: str) -> None:
    parts = [numbered(0, 40, 0), numbered(40, 40, 1)]
    first = held(5, parts, capacity_bytes=24, codec=codec)
    assert first == held(5, parts, capacity_bytes=24, codec=codec)
    assert first != held(6, parts, capacity_bytes=24, codec=codec)
