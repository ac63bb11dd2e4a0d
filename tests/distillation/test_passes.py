"""Matching with few images in memory at a time: the same images come out."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from clbench import networks
from clbench.codecs import parse
from clbench.config import NetworkConfig
from clbench.distillation import Job, make_distiller
from clbench.distillation.matching import statistics as matching
from clbench.distillation.matching import updates
from clbench.distillation.selection import choice
from clbench.distillation.selection.choice import herding_index
from clbench.seeding import generator
from clbench.types import ImageSpec, LabelledImages
from tests.distilling import distillation

CPU = torch.device("cpu")


def distilled(images: LabelledImages, spec: ImageSpec, codec: str = "raw", **fields: Any) -> Any:
    network = NetworkConfig("convnet", width=4, depth=2, norm=fields.pop("norm", "instance"))
    config = distillation(
        network=network, num_networks=3, updates_per_network=3, batch_real=7, precision="float32",
        **fields,
    )  # fmt: skip
    losses: list[float] = []
    made = make_distiller(config).distill(
        Job.equal(images, spec, 3, generator(5, "distillation")).replace(
            codec=parse(codec), on_update=lambda update: losses.append(update.loss))
    )  # fmt: skip
    return made, losses


@pytest.mark.parametrize("distiller", ["dm", "datadam"])
@pytest.mark.parametrize("codec", ["raw", "tiles:factor=2"])
@pytest.mark.parametrize("size", [1, 5, 11])
def test_few_at_a_time_make_the_same_images(
    distiller: str, codec: str, size: int, tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    whole, losses = distilled(tiny_images, tiny_spec, codec, distiller=distiller)
    parts, parted = distilled(
        tiny_images, tiny_spec, codec, distiller=distiller, images_per_pass=size
    )
    assert parted == pytest.approx(losses, rel=1e-4)
    assert torch.allclose(parts.images, whole.images, atol=1e-4)


def test_no_more_than_so_many_are_in_the_network(
    tiny_images: LabelledImages, tiny_spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    statistics = matching.statistics

    def counted(network: Any, images: torch.Tensor, *rest: Any) -> Any:
        sizes.append(len(images))
        return statistics(network, images, *rest)

    for module in (matching, updates):
        monkeypatch.setattr(module, "statistics", counted)
    distilled(tiny_images, tiny_spec, images_per_pass=5)
    assert max(sizes) == 5
    sizes.clear()
    distilled(tiny_images, tiny_spec)
    assert set(sizes) == {12, 28}, "tiny images fit all at once"


def test_batch_norm_is_never_parted(tiny_images: LabelledImages, tiny_spec: ImageSpec) -> None:
    whole, _ = distilled(tiny_images, tiny_spec, norm="batch")
    parts, _ = distilled(tiny_images, tiny_spec, norm="batch", images_per_pass=2)
    assert torch.equal(whole.images, parts.images)


@pytest.mark.parametrize("distiller", ["dm", "datadam"])
def test_images_go_through_in_parts_that_change_no_bit(
    distiller: str,
    tiny_images: LabelledImages,
    tiny_spec: ImageSpec,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, losses = distilled(tiny_images, tiny_spec, distiller=distiller)
    sizes = []
    values = matching._values

    def counted(network: Any, images: torch.Tensor, *rest: Any) -> Any:
        sizes.append(len(images))
        return values(network, images, *rest)

    monkeypatch.setattr(matching, "_values", counted)
    one = 4 * 4 * tiny_spec.height * tiny_spec.width  # bytes of an image's largest map
    monkeypatch.setattr(matching, "MOST_BYTES_OF_A_MAP", 5 * one)
    parts, parted = distilled(tiny_images, tiny_spec, distiller=distiller)
    assert set(sizes) == {5, 2, 3}, "12 and 28 images"
    assert parted == losses and torch.equal(parts.images, whole.images)
    distilled(tiny_images, tiny_spec, distiller=distiller, norm="batch")
    assert max(sizes) == 28, "batch norm sees all"


def test_large_images_are_parted_unasked() -> None:
    histology = ImageSpec(3, 128, 128, 2, (0.5,) * 3, (0.5,) * 3)
    digits = ImageSpec(1, 28, 28, 10, (0.5,), (0.5,))

    def fitting(config: NetworkConfig, spec: ImageSpec) -> int:
        return matching.images_that_fit(networks.build(config, spec, seed=0), spec, CPU)

    seven = NetworkConfig("convnet", width=128, depth=7)
    # The first block alone has three maps of 128 x 128 x 128 floats: 25 MB an image.
    assert 50 < fitting(seven, histology) < 85
    assert fitting(NetworkConfig("convnet", width=32), digits) > 640
    assert fitting(seven.replace(norm="batch"), histology) == sys.maxsize


def test_herding_in_parts_picks_the_same(
    tiny_images: LabelledImages, tiny_spec: ImageSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = herding_index(tiny_images, tiny_spec, dict.fromkeys(range(4), 4))
    monkeypatch.setattr(choice, "IMAGES_AT_ONCE", 3)
    assert torch.equal(herding_index(tiny_images, tiny_spec, dict.fromkeys(range(4), 4)), whole)
