"""Random selection and herding."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare

from clbench.codecs import parse
from clbench.config import DistillationConfig
from clbench.distillation import make_distiller
from clbench.distillation.selection.choice import herd, random_index
from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages
from tests.distilling import distil, job

SPEC = ImageSpec(1, 8, 8, 2, (0.5,), (0.3,))


def some(num: int = 40) -> LabelledImages:
    g = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (num, 1, 8, 8), generator=g).to(torch.uint8)
    return LabelledImages(images, torch.arange(num) % 2)


def select(name: str, images_per_class: int, codec: str = "raw", seed: int = 0) -> LabelledImages:
    return distil(DistillationConfig(name), some(), SPEC, images_per_class=images_per_class,
                  codec=codec, seed=seed)  # fmt: skip


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
def test_tiles_are_the_same_choice_in_a_quarter_of_the_bytes(name: str) -> None:
    plain, small = select(name, 3), select(name, 3, codec="tiles:factor=2")
    assert 4 * small.num_bytes == plain.num_bytes == 6 * 64
    assert torch.equal(small.images, parse("tiles:factor=2").reduced(plain.images))
    assert small.labels.tolist() == plain.labels.tolist()


@pytest.mark.parametrize("name", ["random", "herding"])
def test_fewer_are_the_first_of_more(name: str) -> None:
    few, many = select(name, 3), select(name, 7)
    for c in (0, 1):
        assert torch.equal(few.of_class(c).images, many.of_class(c).images[:3])
    of_each = job(some(), SPEC).replace(counts={0: 2, 1: 5})
    uneven = make_distiller(DistillationConfig(name)).distill(of_each)
    assert torch.equal(uneven.of_class(1).images, many.of_class(1).images[:5])
    assert len(uneven.of_class(0)) == 2


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
    with pytest.raises(InputError, match="class 0: expected 1 to 20 images .* found 24"):
        select("random", 24)
