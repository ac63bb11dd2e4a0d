"""The rate term: costs against plain counting, the gradient against flipping pixels."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from torch import Tensor

from clbench.codecs import parse
from clbench.config import DistillationConfig
from clbench.distillation.rate import Rate, rate_of
from clbench.types import LabelledImages
from tests import distilling
from tests.distillation.test_kernel import SPEC, blobs, config
from tests.distillation.test_pad import config as trajectory_config

AROUND = ((0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


def levels_of(images: LabelledImages, side: int, num: int) -> Tensor:
    codec = parse(f"levels:side={side},levels={num}")
    grid = codec.rounded(codec.reduced(images.images))
    return (grid.double() / 255 * (num - 1)).round().long()


def plain_bits(real: Tensor, image: Tensor, num: int) -> float:
    """Bits of one image pixel by pixel: counts of real images, blended with those of all places."""
    neighbours, told = (8, 2) if num == 2 else (4, min(num, 4))

    def context(x: Tensor, row: int, column: int) -> tuple[int, ...]:
        found = []
        for dy, dx in AROUND[:neighbours]:
            y, z = row + dy, column + dx
            inside = 0 <= y < x.shape[0] and 0 <= z < x.shape[1]
            found.append(int(x[y, z]) * told // num if inside else 0)
        return tuple(found)

    here, everywhere = Counter(), Counter()
    side = range(real.shape[-1])
    for x in real[:, 0]:
        for row in side:
            for column in side:
                key, level = context(x, row, column), int(x[row, column])
                here[key, row, column, level] += 1
                everywhere[key, level] += 1
    total = 0.0
    for row in side:
        for column in side:
            key, level = context(image, row, column), int(image[row, column])
            wide = [everywhere[key, one] + 1 / num for one in range(num)]
            counts = [here[key, row, column, one] + 4 * wide[one] / sum(wide) for one in range(num)]
            total -= math.log2(counts[level] / sum(counts))
    return total


@pytest.mark.parametrize(("side", "num"), [(6, 2), (5, 3), (4, 8)])
def test_bits_are_those_of_plain_counting(side: int, num: int) -> None:
    codec, real = parse(f"levels:side={side},levels={num}"), blobs(0, 2)
    rate = rate_of(codec, real, (0, 2), (3, 2))
    assert rate is not None
    rng = torch.Generator().manual_seed(0)
    grid = torch.rand(5, 1, side, side, generator=rng)
    expected = 0.0
    for k, image in enumerate((grid * (num - 1)).round().long()[:, 0]):
        mine = levels_of(real.of_class(0 if k < 3 else 2), side, num)
        expected += plain_bits(mine, image, num) / 5
    assert float(rate(grid)) == pytest.approx(expected, rel=1e-4)
    assert rate.bits == pytest.approx(expected, rel=1e-4)


def test_the_gradient_says_what_a_pixel_alone_would_cost() -> None:
    codec, real = parse("levels:side=6,levels=2"), blobs(0)
    rate = rate_of(codec, real, (0,), (1,))
    assert isinstance(rate, Rate)
    rng = torch.Generator().manual_seed(1)
    grid = (torch.rand(1, 1, 6, 6, generator=rng)).requires_grad_()
    rate(grid).backward()
    assert grid.grad is not None
    (costs,) = rate._costs
    for row, column in ((0, 0), (2, 3), (5, 5)):
        image = grid.detach().round().long()
        bits = []
        for level in (0, 1):
            image[0, 0, row, column] = level
            bits.append(float(costs.slopes(image)[1][0, 0, row, column]))
        assert float(grid.grad[0, 0, row, column]) == pytest.approx(bits[1] - bits[0], rel=1e-5)


def test_real_images_cost_less_than_noise_and_are_cheaper_to_follow() -> None:
    codec, real = parse("levels:side=6,levels=2"), blobs(0)
    rate = rate_of(codec, real, (0,), (24,))
    assert rate is not None
    likely = codec.reduced(real.images).float() / 255
    noise = torch.rand(likely.shape, generator=torch.Generator().manual_seed(0))
    assert float(rate(likely)) < 0.6 * float(rate(noise))
    moving = noise.clone().requires_grad_()
    before = float(rate(moving).detach())
    for _ in range(20):
        (slope,) = torch.autograd.grad(rate(moving), moving)
        moving = (moving - 2 * slope).clamp(0, 1).detach().requires_grad_()
    assert float(rate(moving).detach()) < 0.7 * before


@pytest.mark.parametrize("codec", ["raw", "jpeg:quality=30", "tiles:factor=2"])
def test_other_codecs_have_no_levels_to_count(codec: str) -> None:
    assert rate_of(parse(codec), blobs(0), (0,), (1,)) is None


def with_rate(name: str, weight: float) -> DistillationConfig:
    """Few updates of a method, with a step that the rate term can be seen by."""
    if name in ("kip", "frepo"):
        return config(name, rate_weight=weight, learning_rate=0.1)
    if name in ("mtt", "pad"):
        return trajectory_config(
            name, rate_weight=weight, num_updates=12, learning_rate=0.1, normalise_gradient=True
        )
    if name == "bptt":
        return distilling.distillation(
            name,
            network=config().network,
            matched_start="none",
            num_updates=12,
            unroll=4,
            window=2,
            rate_weight=weight,
        )
    return distilling.distillation(
        name,
        network=config().network,
        num_networks=4,
        updates_per_network=2,
        rate_weight=weight,
    )


@pytest.mark.parametrize("name", ["kip", "frepo", "dm", "datadam", "mtt", "pad", "bptt"])
def test_what_is_learnt_with_a_rate_term_takes_fewer_bytes(name: str) -> None:
    codec = parse("levels:side=6,levels=2")
    real = blobs(0, 2, 5)
    # So much noise that images of a class differ in one bit, too.
    noise = torch.rand(real.images.shape, generator=torch.Generator().manual_seed(5)) * 150
    real = LabelledImages((real.images // 3 + noise).to(torch.uint8), real.labels)
    made = {}
    for weight in (0.0, 1.0):
        found = distilling.distil(
            with_rate(name, weight), real, SPEC, images_per_class=20, codec="levels:side=6,levels=2"
        )
        made[weight] = sum(len(codec.encode(found.of_class(k).images)) for k in (0, 2, 5))
    assert made[1.0] < made[0.0]
