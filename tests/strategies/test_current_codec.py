"""Current images are seen as the memory's codec writes them, where that is asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clbench import strategies
from clbench.benchmarks import make_benchmark
from clbench.codecs import parse
from clbench.coded import CodedImages, read_back
from clbench.config import MemoryConfig
from clbench.errors import InputError
from clbench.memory import dataset_images
from clbench.run import run
from clbench.types import LabelledImages
from tests import tiny_stream
from tests.tiny_stream import SPEC

LEVELS = "levels:side=4,levels=2"


@pytest.fixture(autouse=True)
def _stream(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)


def seen(strategy: str, **memory: Any) -> tuple[LabelledImages, LabelledImages]:
    """What a learner trains on in the first experience, and that experience's images."""
    config = tiny_stream.config(strategy, memory=MemoryConfig(4, **memory))
    benchmark = make_benchmark(config.benchmark, None, 0)
    made = strategies.make_memory(config, SPEC)
    learner = strategies.build(config, SPEC, memory=made)
    found: list[LabelledImages] = []
    images = learner.training_images
    learner.training_images = lambda: found.append(images()) or found[-1]  # type: ignore
    experience = benchmark.streams.train[0]
    learner.train(experience, eval_streams=[])
    return found[0], dataset_images(experience.dataset, SPEC)


@pytest.mark.parametrize(
    ("wanted", "codec", "coded"),
    [
        ("auto", LEVELS, True), ("yes", LEVELS, True), ("no", LEVELS, False),
        ("auto", "tiles:factor=2", False), ("yes", "tiles:factor=2", True), ("auto", "raw", False),
        ("auto", "webp:quality=40", True), ("auto", "png", False),
    ],
)  # fmt: skip
def test_current_images_pass_through_the_codec(wanted: str, codec: str, coded: bool) -> None:
    trained, real = seen("random_replay", codec=codec, code_current=wanted)
    expected = read_back(real, parse(codec), SPEC.shape) if coded else real
    assert torch.equal(trained.labels, real.labels)
    torch.testing.assert_close(trained.as_floats().images, expected.as_floats().images)


def test_bounds_see_images_as_they_are() -> None:
    for strategy in ("naive", "cumulative"):
        trained, real = seen(strategy, codec=LEVELS, code_current="yes")
        assert torch.equal(trained.images, real.images)


@pytest.mark.parametrize("codec", [LEVELS, "png", "tiles:factor=2", "webp:quality=30"])
def test_reading_back_is_writing_and_reading(codec: str) -> None:
    data = tiny_stream.prototypes(7, 1)
    mixed = data.select(torch.randperm(len(data), generator=torch.Generator().manual_seed(0)))
    read = read_back(mixed, parse(codec), SPEC.shape)
    for c in mixed.classes:
        coded = CodedImages.of(mixed.of_class(c), parse(codec), SPEC.shape)
        ours = read.of_class(c).as_floats().images
        torch.testing.assert_close(ours, coded.images.as_floats().images)
    assert torch.equal(read.labels, mixed.labels)
    assert len(read_back(mixed.select(torch.arange(0)), parse(codec), SPEC.shape)) == 0


def test_more_images_than_a_picture_holds_are_read_in_parts() -> None:
    """A mosaic of 4,500 images of 250 pixels is wider than a WebP can be."""
    wide = LabelledImages(
        torch.zeros(4500, 1, 1, 250, dtype=torch.uint8), torch.zeros(4500, dtype=torch.int64)
    )
    codec = parse("webp:quality=30")
    with pytest.raises(InputError, match="expected images that make one webp, found 17000 x 67"):
        codec.encode(wide.images)
    assert len(read_back(wide, codec, (1, 1, 250))) == 4500


def test_the_report_says_so() -> None:
    memory = MemoryConfig(4, codec=LEVELS)
    notes = run(tiny_stream.config("random_replay", memory=memory)).notes
    assert f"current training images passed through the codec {LEVELS}" in notes
    alone = run(tiny_stream.config("random_gdumb", memory=memory)).notes
    assert not [note for note in alone if "current" in note]
