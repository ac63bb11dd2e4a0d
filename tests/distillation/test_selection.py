"""Random selection and herding."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from clbench.config import DistillationConfig
from clbench.distillation.selection.choice import herd, random_index
from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages
from tests.distilling import distil

SPEC = ImageSpec(1, 8, 8, 2, (0.5,), (0.3,))


def some(num: int = 40) -> LabelledImages:
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num, 1, 8, 8), generator=g).to(torch.uint8)
    return LabelledImages(images, torch.arange(num) % 2)


def select(name: str, images_per_class: int, packing: int = 1, seed: int = 0) -> LabelledImages:
    return distil(DistillationConfig(name), some(), SPEC, images_per_class=images_per_class,
                  packing=packing, seed=seed)  # fmt: skip


@pytest.mark.parametrize("name", ["random", "herding"])
def test_selected_images_are_real_distinct_and_of_their_class(name: str) -> None:
    found, real = select(name, 5), some()
    positions = []
    for image, label in zip(found.images, found.labels, strict=True):
        match = (real.images == image).all(dim=(1, 2, 3)).nonzero().flatten().tolist()
        assert len(match) == 1 and real.labels[match[0]] == label
        positions += match
    assert len(set(positions)) == 10
    assert found.images.dtype == torch.uint8


@pytest.mark.parametrize("name", ["random", "herding"])
def test_packing_keeps_the_bytes_and_holds_four_times_the_images(name: str) -> None:
    plain, packed = select(name, 3), select(name, 3, packing=2)
    assert packed.num_bytes == plain.num_bytes == 6 * 64
    assert len(packed.decoded()) == 4 * len(plain)
    assert packed.labels.tolist() == plain.labels.tolist()


def test_every_image_is_equally_likely() -> None:
    labels = torch.zeros(10, dtype=torch.int64)
    g = torch.Generator().manual_seed(0)
    counts = torch.zeros(10)
    for _ in range(2000):
        counts[random_index(labels, 3, g)] += 1
    assert chisquare(counts).pvalue > 0.001


def test_herding_equals_the_greedy_definition() -> None:
    f = torch.randn(25, 6, generator=torch.Generator().manual_seed(1))
    mean, picked = f.mean(0), []
    for _ in range(8):
        best = min(
            (i for i in range(25) if i not in picked),
            key=lambda i: float((mean - f[[*picked, i]].mean(0)).norm()),
        )
        picked.append(best)
    assert herd(f, 8).tolist() == picked


def test_more_images_than_there_are() -> None:
    with pytest.raises(InputError, match="expected at least 24 images of class 0 .* found 20"):
        select("random", 6, packing=2)
