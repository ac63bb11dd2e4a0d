"""DSA: each operation does what it says, and only that."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare

from clbench.distillation.augmentation import OPERATIONS, augment, draw, parse
from clbench.errors import InputError
from clbench.types import ImageSpec


def images(num: int = 8, channels: int = 3, size: int = 16) -> torch.Tensor:
    return torch.randn(num, channels, size, size, generator=torch.Generator().manual_seed(0))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_none_changes_nothing() -> None:
    x = images()
    assert augment(x, "none", rng()) is x
    torch.testing.assert_close(draw("none", 8, (16, 16), rng())(x), x)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_changes_images_and_is_differentiable(operation: str) -> None:
    x = images().requires_grad_()
    y = augment(x, operation, rng())
    assert y.shape == x.shape and not torch.allclose(y, x)
    y.square().sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0


def shifted(image: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    """What moves in from outside is 0."""
    padded = F.pad(image, (2, 2, 2, 2))
    return padded[:, 2 + dy : 2 + dy + image.shape[1], 2 + dx : 2 + dx + image.shape[2]]


def test_crop_is_a_shift_by_whole_pixels() -> None:
    x = images(50)
    for before, after in zip(x, augment(x, "crop", rng()), strict=True):
        shifts = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if torch.allclose(shifted(before, dy, dx), after, atol=1e-4)
        ]
        assert len(shifts) == 1


def test_flip_mirrors_about_half() -> None:
    x = images(400)
    y = augment(x, "flip", rng())
    flipped = (y - x.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    kept = (y - x).abs().amax((1, 2, 3)) < 1e-4
    assert bool((flipped ^ kept).all())
    assert 150 < int(flipped.sum()) < 250


def test_cutout_zeroes_a_square_of_half_the_side() -> None:
    x = torch.ones(200, 1, 16, 16)
    y = augment(x, "cutout", rng())
    zeros = (y == 0).sum((1, 2, 3))
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert int(zeros.max()) == 64 and int(zeros.min()) >= 16


def test_scale_and_rotate_stay_in_range() -> None:
    scale = draw("scale", 500, (16, 16), rng()).affine
    for values in (scale[:, 0, 0], scale[:, 1, 1]):
        assert 1 / 1.2 <= values.min() < 0.86 and 1.17 < values.max() <= 1.2
    rotate = draw("rotate", 500, (16, 16), rng()).affine
    angle = torch.atan2(rotate[:, 1, 0], rotate[:, 0, 0]) * 180 / math.pi
    assert 14 < angle.abs().max() <= 15.001
    torch.testing.assert_close(torch.linalg.det(rotate[:, :, :2]), torch.ones(500))


def test_colour_keeps_the_pattern_of_a_grey_image() -> None:
    x = images(50, channels=1)
    y = augment(x, "color", rng())
    for before, after in zip(x.flatten(1), y.flatten(1), strict=True):
        correlation = torch.corrcoef(torch.stack([before, after]))[0, 1]
        assert correlation > 0.9999


def test_siamese_groups_share_one_draw() -> None:
    parameters = draw("color_crop_cutout_scale_rotate", 2, (16, 16), rng())
    one = images(1).expand(6, -1, -1, -1)
    group = torch.tensor([0, 0, 0, 1, 1, 1])
    y = parameters(one, group)
    assert torch.equal(y[0], y[2]) and torch.equal(y[3], y[5]) and not torch.equal(y[0], y[3])


def test_operations_are_drawn_uniformly() -> None:
    parameters = draw("cutout_color_crop_rotate", 4000, (16, 16), rng())
    cutout = int((parameters.cutout[:, 0] >= 0).sum())
    colour = int((parameters.brightness != 0).sum())
    rotate = int((parameters.affine[:, 1, 0] != 0).sum())
    crop = 4000 - cutout - colour - rotate
    assert chisquare([cutout, colour, rotate, crop]).pvalue > 0.001


def test_same_amount_of_randomness_whatever_the_operations() -> None:
    a, b = rng(5), rng(5)
    draw("none", 4, (16, 16), a)
    draw("flip_rotate", 4, (16, 16), b)
    assert torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b))


def test_unknown_operation() -> None:
    with pytest.raises(InputError, match="found 'color_blur'"):
        parse("color_blur")
    spec = ImageSpec(1, 8, 8, 2, (0.5,), (0.5,), augmentation="crop")
    assert parse("auto", spec) == "crop"
