from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch

from clbench.codecs.contexts import ONE, ContextModel, Plan, decode_levels, encode_levels, segments
from clbench.speed.plain_coder import chances, plain_decode, plain_encode


def blobs(num: int, shape: tuple[int, int, int], levels: int, seed: int = 0) -> np.ndarray:
    """Smooth random images in a few levels."""
    rng = np.random.default_rng(seed)
    c, h, w = shape
    coarse = torch.from_numpy(rng.random((num, c, 3, 3)))
    smooth = torch.nn.functional.interpolate(coarse, (h, w), mode="bilinear").numpy()
    return np.minimum((smooth * levels).astype(np.int64), levels - 1)


@pytest.mark.parametrize(
    ("shape", "levels", "num"),
    [
        ((1, 5, 6), 2, 7),
        ((1, 4, 4), 3, 5),
        ((3, 4, 3), 2, 6),
        ((3, 3, 4), 16, 5),
        ((1, 1, 1), 4, 9),
    ],
)
def test_probabilities_are_the_plain_loops(
    shape: tuple[int, int, int], levels: int, num: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = blobs(num, shape, levels)
    seen: list[list[int]] = []
    chances_of = ContextModel.chances

    def listening(self: ContextModel, found: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        rows = chances_of(self, found)
        seen.extend((rows * ONE).astype(int).tolist())
        return rows

    monkeypatch.setattr(ContextModel, "chances", listening)
    stream = encode_levels(images, levels)
    expected = [(images[place], row) for place, row in chances(images, levels)]
    assert seen == [row for _, row in expected]
    bits = -sum(math.log2(row[level] / ONE) for level, row in expected)
    assert bits / 8 <= len(stream) <= bits / 8 + 8
    assert plain_encode(images, levels).rstrip(b"\0") == stream.rstrip(b"\0")
    assert (plain_decode(stream, images.shape, levels) == images).all()


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 7, 8, 16, 100, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_contexts_nest(levels: int, channels: int) -> None:
    plan = Plan.of(levels, channels)
    for part in (plan.near, plan.placed):
        assert all(q % p == 0 for p, q in zip(part, plan.wide, strict=True))
    values = np.arange(levels)
    pairs = [
        pair for part in (plan.near, plan.placed) for pair in zip(plan.wide, part, strict=True)
    ]
    for q, p in set(pairs):
        assert (values * q // levels * p // q == values * p // levels).all()


def test_batches_cover_everything_once_and_do_not_depend_on_what_follows() -> None:
    for num, pixels in [(0, 4), (1, 1), (2, 9), (50, 7)]:
        seen = np.zeros((num, pixels), int)
        for images, part in segments(num, pixels):
            seen[images, part] += 1
        assert (seen == 1).all()
    long, short = list(segments(100, 5)), list(segments(37, 5))
    assert long[: len(short) - 1] == short[:-1]


def test_a_longer_stream_begins_as_a_shorter_one() -> None:
    images = blobs(40, (1, 6, 6), 2)
    sizes = [len(encode_levels(images[:n], 2)) for n in range(1, 41)]
    assert all(a <= b + 1 for a, b in zip(sizes, sizes[1:], strict=False))
    common = encode_levels(images[:20], 2)[:-5]
    assert encode_levels(images, 2).startswith(common)


def test_streams_are_the_same_everywhere() -> None:
    """Made from whole numbers alone; where this fails, streams of other machines are lost."""
    grey = np.fromfunction(lambda n, c, y, x: (n * y + x * x) // 7 % 2, (9, 1, 8, 8), dtype=int)
    colour = np.fromfunction(lambda n, c, y, x: (n + c * y + x) % 5, (4, 3, 5, 4), dtype=int)
    streams = encode_levels(grey, 2), encode_levels(colour, 5)
    assert [hashlib.sha256(s).hexdigest()[:16] for s in streams] == GOLDEN
    assert (decode_levels(streams[1], 4, (3, 5, 4), 5) == colour).all()


GOLDEN = ["a5c15f2553e01028", "7017860d9214748a"]


def test_constant_images_cost_next_to_nothing() -> None:
    dark = np.zeros((1000, 1, 14, 14), int)
    assert len(encode_levels(dark, 2)) < 1000


@pytest.mark.parametrize(("num", "most"), [(9, 0), (9, 1), (9, 3), (9, 5), (5, 5), (2, 7), (0, 3)])
def test_the_first_images_are_read_without_the_others(num: int, most: int) -> None:
    images = blobs(num, (1, 4, 5), 3)
    stream = encode_levels(images, 3)
    found = decode_levels(stream, num, (1, 4, 5), 3, most)
    assert np.array_equal(found, images[:most])
    if most == 1 and num == 9:
        # What follows them is not looked at.
        torn = stream[: len(stream) // 2 + 2]
        assert np.array_equal(decode_levels(torn, num, (1, 4, 5), 3, most), images[:most])
        with pytest.raises(ValueError, match="it goes on|no levels"):
            decode_levels(torn, num, (1, 4, 5), 3)
