from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages, Scores


@st.composite
def sets(draw: st.DrawFn) -> LabelledImages:
    """Any images: either dtype, either kind of label."""
    count, channels = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    height, width = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    images = torch.rand(count, channels, height, width, generator=noise)
    if draw(st.booleans()):
        images = (images * 255).to(torch.uint8)
    labels = torch.randint(0, 4, (count,), generator=noise)
    if draw(st.booleans()):
        labels = torch.softmax(torch.rand(count, 4, generator=noise), 1)
    return LabelledImages(images, labels)


@settings(max_examples=40)
@given(original=sets())
def test_bytes_give_the_same_back(original: LabelledImages) -> None:
    found, metadata = LabelledImages.from_bytes(original.to_bytes({"seed": "3"}))
    assert torch.equal(found.images, original.images) and torch.equal(found.labels, original.labels)
    assert found.images.dtype == original.images.dtype and metadata["seed"] == "3"


@given(values=st.lists(st.floats(-2, 2, width=32), min_size=4, max_size=4))
def test_quantising_clamps_rounds_and_is_stable(values: list[float]) -> None:
    exact = LabelledImages(torch.tensor(values).view(1, 1, 2, 2), torch.tensor([0]))
    stored = exact.quantised()
    back = stored.images.flatten().float() / 255
    assert stored.images.dtype == torch.uint8
    assert (back - torch.tensor(values).clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-6
    again = LabelledImages(stored.images.float() / 255, stored.labels).quantised()
    assert torch.equal(again.images, stored.images)
    assert stored.quantised() is stored


def test_bytes_charge_images_and_soft_labels() -> None:
    images, hard = torch.zeros(3, 2, 4, 5), torch.zeros(3, dtype=torch.int64)
    assert LabelledImages(images, hard).num_bytes == 3 * 40 * 4
    assert LabelledImages(images.to(torch.uint8), hard).num_bytes == 3 * 40
    assert LabelledImages(images, torch.zeros(3, 7)).num_bytes == 3 * 40 * 4 + 3 * 7 * 4


def test_selecting(tiny_images: LabelledImages) -> None:
    part = tiny_images.of_class(3, 1)
    assert part.classes == (1, 3) and len(part) == 40
    assert part.labels.tolist() == [1, 3] * 20, "stored order"
    assert tiny_images.select(torch.tensor([79, 0])).labels.tolist() == [3, 0]
    both = LabelledImages.concatenate([part, tiny_images.of_class(0)])
    assert both.classes == (0, 1, 3) and len(both) == 60
    soft = LabelledImages(part.images, F.one_hot(part.labels, 4).float())
    assert soft.classes == (1, 3) and soft.of_class(3).labels.shape == (20, 4)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 4, 4), torch.zeros(2).long(), r"expected images of shape"),
        (torch.zeros(2, 1, 4, 4).double(), torch.zeros(2).long(), "torch.float64"),
        (torch.zeros(2, 1, 4, 4), torch.zeros(3).long(), "expected 2 int64 labels"),
        (torch.zeros(2, 1, 4, 4), torch.zeros(2), "expected 2 int64 labels"),
    ],
)
def test_refuses_what_does_not_fit(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        LabelledImages(images, labels)


def test_concatenating_needs_a_part() -> None:
    with pytest.raises(InputError, match="at least one part"):
        LabelledImages.concatenate([])


def test_normalising_by_hand_and_back(tiny_spec: ImageSpec) -> None:
    pixels = torch.tensor([0, 255, 51, 102], dtype=torch.uint8).view(1, 1, 2, 2)
    expected = (torch.tensor([0, 1, 0.2, 0.4]) - 0.35) / 0.25
    found = tiny_spec.normalise(pixels)
    torch.testing.assert_close(found.flatten(), expected)
    torch.testing.assert_close(tiny_spec.normalise(pixels.float() / 255), found)
    torch.testing.assert_close(tiny_spec.denormalise(found), pixels.float() / 255)
    assert tiny_spec.shape == (1, 8, 8) and tiny_spec.image_bytes == 64


def test_normalising_uses_each_channels_own_moments() -> None:
    spec = ImageSpec(2, 1, 1, 2, (0.0, 0.5), (1.0, 0.5))
    assert spec.normalise(torch.ones(1, 2, 1, 1)).flatten().tolist() == [1.0, 1.0]
    assert spec.normalise(torch.zeros(1, 2, 1, 1)).flatten().tolist() == [0.0, -1.0]


def test_scores() -> None:
    scores = Scores((0.8, 0.9, 1.0))
    assert scores.mean == pytest.approx(0.9) and scores.num == 3
    assert scores.std == pytest.approx(0.1), "n - 1"
    assert math.isnan(Scores((0.5,)).std)


def test_strided_views_become_bytes() -> None:
    images = torch.arange(4 * 16).to(torch.uint8).view(4, 1, 4, 4)[::2]
    every_other = LabelledImages(images, torch.tensor([0, 0, 1, 1])[::2])
    found, _ = LabelledImages.from_bytes(every_other.to_bytes())
    assert torch.equal(found.images, images) and found.labels.tolist() == [0, 1]


def test_by_class_is_of_class_for_all_at_once():
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 9, (40,), generator=rng) * 3
    images = torch.randint(0, 256, (40, 1, 2, 2), generator=rng, dtype=torch.uint8)
    for some in (labels, torch.rand(40, 4, generator=rng)):
        data = LabelledImages(images, some)
        found = data.by_class()
        assert tuple(found) == data.classes
        assert all(found[c].equals(data.of_class(c)) for c in found)
    assert LabelledImages(images[:0], labels[:0]).by_class() == {}
