"""The coder of grey levels as its docstring says it: plain loops, exact fractions, no tables.

Slow, and the reference: what `clbench.codecs.contexts` takes as probabilities must be these, and
what it writes these bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from clbench.codecs.contexts import ONE, Plan, segments

Place = tuple[int, int, int, int]
"""Image, channel, row, column."""
STEPS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))


def chances(images: Any, num_levels: int) -> Iterator[tuple[Place, list[int]]]:
    """Yield the place and the whole-number probabilities of every pixel, in coding order.

    Args:
        images: levels (N, C, h, w); that of a place is read after it was yielded, so that who
            decodes can put it there.
        num_levels: of a pixel.
    """
    num, channels, h, w = images.shape
    plan = Plan.of(num_levels, channels)
    counts: list[dict[Any, list[int]]] = [defaultdict(lambda: [0] * num_levels) for _ in range(3)]

    def at(n: int, c: int, y: int, x: int) -> int:
        return int(images[n, c, y, x]) if y >= 0 and 0 <= x < w else 0

    def told(n: int, c: int, y: int, x: int, levels: tuple[int, ...]) -> tuple[int, ...]:
        seen = [at(n, c, y + dy, x + dx) for dy, dx in STEPS]
        seen.append(at(n, c - 1, y, x) if c else 0)
        return tuple(v * q // num_levels for v, q in zip(seen, levels, strict=True))

    for these, pixels in segments(num, channels * h * w):
        met = []
        for pixel in range(pixels.start, pixels.stop):
            c, y, x = pixel // (h * w), pixel // w % h, pixel % w
            for n in range(these.start, these.stop):
                contexts = (
                    (min(c, 1), told(n, c, y, x, plan.near)),
                    (min(c, 1), told(n, c, y, x, plan.wide)),
                    (pixel, told(n, c, y, x, plan.placed)),
                )
                blended = [ONE // num_levels] * num_levels
                for table, context, k in zip(counts, contexts, plan.weights, strict=True):
                    seen = table[context]
                    pairs = zip(seen, blended, strict=True)
                    blended = [(n_l * ONE + k * p) // (sum(seen) + k) for n_l, p in pairs]
                found = [1 + p * (ONE - num_levels) // ONE for p in blended]
                found[0] += ONE - sum(found)
                yield (n, c, y, x), found
                met.append((contexts, int(images[n, c, y, x])))
        for contexts, level in met:
            for table, context in zip(counts, contexts, strict=True):
                table[context][level] += 1


def plain_encode(images: Any, num_levels: int) -> bytes:
    """Return the bytes of levels (N, C, h, w), one pixel after the other."""
    import constriction

    encoder = constriction.stream.queue.RangeEncoder()
    family = constriction.stream.model.Categorical(perfect=False)
    for place, found in chances(images, num_levels):
        encoder.encode(np.array([images[place]], np.int32), family, _as_floats(found))
    return bytes(encoder.get_compressed().astype(">u4").tobytes())


def plain_decode(stream: bytes, shape: tuple[int, int, int, int], num_levels: int) -> Any:
    """Return the levels (N, C, h, w) of a stream, one pixel after the other."""
    import constriction

    words = np.frombuffer(stream + b"\0" * (-len(stream) % 4), ">u4").astype(np.uint32)
    decoder = constriction.stream.queue.RangeDecoder(words)
    family = constriction.stream.model.Categorical(perfect=False)
    images = np.zeros(shape, np.int64)
    for place, found in chances(images, num_levels):
        images[place] = decoder.decode(family, _as_floats(found))[0]
    return images


def _as_floats(found: list[int]) -> Any:
    return np.array([found], np.float32) / np.float32(ONE)
