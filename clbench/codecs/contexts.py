"""Arithmetic coding of grey levels with contexts that adapt; nothing but the images is written.

Every level of a pixel gets a probability from what was written before it. Three tables of counts
are blended, from the broad to the particular, as in prediction by partial matching (Cleary &
Witten, "Data Compression Using Adaptive Coding and Partial String Matching", 1984):

    p_0 = 1 / L
    p_t = (n_t(level | context t) + k_t p_{t-1}) / (n_t(context t) + k_t)        t = 1, 2, 3

Context 2 is six neighbours (W, N, NW, NE, WW, NN) and the earlier channel, each in a few levels;
context 1 tells less of it (three neighbours, dark or bright), and context 3 is another part of it
(four neighbours, dark or bright) and the position.
The counts stand still for a batch of images and take it in afterwards. A batch is half as large as
all before it, so that whole batches are coded at once, and the bytes of the first n images do not
depend on those that follow. The first image is batched so by pixels.

All is integer arithmetic and probabilities are multiples of 1 / 65,536, exact in single precision:
a stream is the same on every machine. The range coder is constriction's (Bamler, 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

Levels = NDArray[numpy.int64]

ONE = 1 << 16  # a probability of 1
_EDGE = 2  # pixels of level 0 around an image
_FEW = 512  # numbers of a pixel's chances in all contexts 2, up to which they are made beforehand
_TOGETHER = 1 << 16  # probabilities that are written again at once
# Row and column steps back to the neighbours W, N, NW, NE, WW, NN.
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0))


@dataclass(frozen=True)
class Plan:
    """How much of each neighbour a context tells, and how strongly each blends (ours).

    Chosen on training images of MNIST (classes 0, 3 and 8; 23, 97 and 400 images), by code length.

    Attributes:
        near, wide, placed: levels of W, N, NW, NE, WW, NN and the earlier channel in contexts 1, 2
            and 3; 1 tells nothing. Those of contexts 1 and 3 divide those of context 2.
        weights: k_1, k_2, k_3.
    """

    near: tuple[int, ...]
    wide: tuple[int, ...]
    placed: tuple[int, ...]
    weights: tuple[int, int, int]

    @staticmethod
    def of(num_levels: int, num_channels: int) -> Plan:
        """Return the plan for so many levels and channels."""
        colour = num_channels > 1
        near = (2, 2, 2, 1, 1, 1, 1)
        if num_levels == 2:
            return Plan(near, (*(2,) * 6, 1 + colour), (2, 2, 2, 2, 1, 1, 1 + colour), (1, 2, 4))
        if num_levels < 8:
            # A part of 4 levels can be told in 2, one of 3 or 5 cannot.
            q = 4 if num_levels >= 4 else 2
            wide, earlier = (q, q, q, q, 2, 2), q if colour else 1
            return Plan(near, (*wide, earlier), (2, 2, 2, 2, 1, 1, earlier), (1, 2, 8))
        earlier = 4 if colour else 1
        return Plan(near, (8, 8, 4, 4, 1, 1, earlier), (2, 2, 2, 2, 1, 1, earlier), (1, 2, 16))


def segments(num_images: int, num_pixels: int) -> Iterator[tuple[slice, slice]]:
    """Yield (images, pixels) of each batch: runs of the first image's pixels, then whole images."""
    done = 0
    while num_images and done < num_pixels:
        size = min(max(1, done // 2), num_pixels - done)
        yield slice(0, 1), slice(done, done + size)
        done += size
    done = 1
    while done < num_images:
        size = min(max(1, done // 2), num_images - done)
        yield slice(done, done + size), slice(0, num_pixels)
        done += size


class ContextModel:
    """The tables of counts for images of one shape.

    Pixels are numbered channel by channel, row by row. M is the number of contexts 2.
    """

    def __init__(self, shape: tuple[int, int, int], num_levels: int) -> None:
        """Begin without counts; ``shape`` is (C, h, w)."""
        channels, h, w = shape
        self.num_levels, self.num_pixels = num_levels, channels * h * w
        self.plan = plan = Plan.of(num_levels, channels)
        c, y, x = numpy.unravel_index(numpy.arange(self.num_pixels), shape)
        self._padded = (channels, h + _EDGE, w + 2 * _EDGE)
        self._here = self._at(c, y, x)
        around = [self._at(c, y - dy, x - dx) for dy, dx in _NEIGHBOURS]
        # The first channel has no earlier one: its contexts are apart, and see an edge there.
        earlier = numpy.where(c > 0, self._at(numpy.maximum(c - 1, 0), y, x), 0)
        self._around = numpy.stack([*around, earlier], axis=1)
        kinds, size = min(channels, 2), math.prod(plan.wide)
        self._kind = numpy.minimum(c, 1) * size
        values = numpy.arange(num_levels)
        strides = [math.prod(plan.wide[place + 1 :]) for place in range(len(plan.wide))]
        pairs = zip(plan.wide, strides, strict=True)
        parts = numpy.stack([values * q // num_levels * step for q, step in pairs])
        self._parts, self._part_of = parts.ravel(), numpy.arange(len(parts)) * num_levels
        self._near_of = _coarser(plan.wide, plan.near, kinds)
        self._placed_of = _coarser(plan.wide, plan.placed, 1, repeats=kinds)
        self._num_placed = math.prod(plan.placed)
        self._wide = numpy.zeros((kinds * size, num_levels), numpy.int64)
        self._placed = numpy.zeros((self.num_pixels * self._num_placed, num_levels), numpy.int64)
        self._settle()

    def _at(self, c: Levels, y: Levels, x: Levels) -> Levels:
        return numpy.ravel_multi_index((c, y + _EDGE, x + _EDGE), self._padded)

    def frame(self, num_images: int) -> Levels:
        """Return room for so many images with their edges, (N, padded pixels)."""
        return numpy.zeros((num_images, math.prod(self._padded)), numpy.int64)

    def place(self, frame: Levels, pixels: slice | int, levels: Levels) -> None:
        """Put levels into a frame."""
        frame[:, self._here[pixels]] = levels

    def contexts(self, frame: Levels, pixels: slice) -> tuple[Levels, Levels]:
        """Return contexts 2 and 3 (P, N) of pixels; ``frame`` holds what comes before them."""
        wide = self.wide(frame, pixels).T
        return wide, self.placed(wide, pixels)

    def wide(self, frame: Levels, pixels: slice | int) -> Levels:
        """Return context 2 (N, P) of pixels, (N,) of a single one; see `contexts`."""
        seen = frame.take(self._around[pixels], axis=1)
        parts = self._parts.take(seen + self._part_of)
        return numpy.add.reduce(parts, axis=-1) + self._kind[pixels]

    def placed(self, wide: Levels, pixels: slice) -> Levels:
        """Return the context 3 of each context 2 (P, N) of pixels."""
        first = numpy.arange(pixels.start, pixels.stop)[:, None] * self._num_placed
        return self._placed_of[wide] + first

    def chances_by_pixel(self, pixels: slice) -> Callable[[int, Levels], Any]:
        """Return a function of a pixel and its contexts 2 (N,): their probabilities (N, L).

        Where contexts are few, all of them are made now, which is faster than pixel by pixel.
        """
        num_contexts = len(self._wide)
        if num_contexts * self.num_levels > _FEW:
            return lambda pixel, wide: self.chances(
                (wide[None], self.placed(wide[None], slice(pixel, pixel + 1)))
            )
        wide = numpy.tile(numpy.arange(num_contexts), (pixels.stop - pixels.start, 1))
        table = self.chances((wide, self.placed(wide, pixels)))
        table = table.reshape(len(wide), num_contexts, self.num_levels)
        return lambda pixel, wide: table[pixel - pixels.start].take(wide, axis=0)

    def chances(self, contexts: tuple[Levels, Levels]) -> Any:
        """Return probabilities (P * N, L) in float32, multiples of 1 / `ONE` that add up to 1."""
        wide, placed = (context.ravel() for context in contexts)
        weight = self.plan.weights[2]
        blended = self._placed[placed] * ONE
        blended += self._weighted[wide]
        blended //= (self._met[placed] + weight)[:, None]
        # Every level can occur, and what rounding leaves goes to the darkest.
        blended *= ONE - self.num_levels
        blended //= ONE
        blended += 1
        blended[:, 0] += ONE - blended.sum(-1)
        return blended.astype(numpy.float32) / numpy.float32(ONE)

    def learn(self, contexts: tuple[Levels, Levels], levels_PN: Levels) -> None:
        """Count what was written."""
        for table, context in zip((self._wide, self._placed), contexts, strict=True):
            cells = (context * self.num_levels + levels_PN).ravel()
            table += numpy.bincount(cells, minlength=table.size).reshape(table.shape)
        self._settle()

    def _settle(self) -> None:
        """Blend the counts of contexts 1 and 2, (M, L); note how often each context 3 was met."""
        near_weight, wide_weight, placed_weight = self.plan.weights
        near = numpy.zeros((int(self._near_of.max()) + 1, self.num_levels), numpy.int64)
        numpy.add.at(near, self._near_of, self._wide)
        blended = near * ONE + near_weight * (ONE // self.num_levels)
        blended //= near.sum(-1, keepdims=True) + near_weight
        blended = self._wide * ONE + wide_weight * blended[self._near_of]
        blended //= self._wide.sum(-1, keepdims=True) + wide_weight
        self._weighted = placed_weight * blended
        self._met = self._placed.sum(-1)


def _coarser(
    fine: tuple[int, ...], coarse: tuple[int, ...], kinds: int, *, repeats: int = 1
) -> Levels:
    """Return the context of fewer levels that belongs to each of ``fine``; kinds stay apart."""
    digits = numpy.unravel_index(numpy.arange(math.prod(fine)), fine)
    found = numpy.zeros(math.prod(fine), numpy.int64)
    for digit, q, wanted in zip(digits, fine, coarse, strict=True):
        found = found * wanted + digit * wanted // q
    apart = [found + kind * math.prod(coarse) for kind in range(kinds)]
    return numpy.tile(numpy.concatenate(apart), repeats)


class _Coder:
    """constriction's range coder, with probabilities of every symbol."""

    def __init__(self) -> None:
        import constriction

        self._queue = constriction.stream.queue
        self._family = constriction.stream.model.Categorical(perfect=False)
        self._encoder = self._queue.RangeEncoder()
        self._decoder: Any = None

    def read(self, stream: bytes) -> None:
        """Begin to read a stream."""
        words = numpy.frombuffer(stream + b"\0" * (-len(stream) % 4), ">u4")
        self._decoder = self._queue.RangeDecoder(words.astype(numpy.uint32))

    def put(self, symbols: Levels, chances: Any) -> None:
        """Write symbols."""
        self._encoder.encode(symbols.ravel().astype(numpy.int32), self._family, chances)

    def get(self, chances: Any) -> Levels:
        """Read symbols.

        Raises:
            ValueError: no symbols are written so.
        """
        try:
            return numpy.asarray(self._decoder.decode(self._family, chances), numpy.int64)
        except AssertionError:
            raise ValueError("no levels are coded so") from None

    def written(self) -> bytes:
        """Return all bytes but up to three zeros at the end, which the reader puts back."""
        stream = self._encoder.get_compressed().astype(">u4").tobytes()
        return stream[: max(len(stream.rstrip(b"\0")), len(stream) - 3)]


def encode_levels(levels_NChw: Levels, num_levels: int) -> bytes:
    """Return the stream of images whose pixels are levels 0 to ``num_levels`` - 1."""
    num = len(levels_NChw)
    flat = levels_NChw.reshape(num, math.prod(levels_NChw.shape[1:])).astype(numpy.int64)
    model, coder = ContextModel(levels_NChw.shape[1:], num_levels), _Coder()
    frame = model.frame(num)
    model.place(frame, slice(None), flat)
    for images, pixels in segments(num, model.num_pixels):
        # Pixel by pixel over all images of the batch: the order in which they can be read again.
        contexts = model.contexts(frame[images], pixels)
        symbols = flat[images, pixels].T
        coder.put(symbols, model.chances(contexts))
        model.learn(contexts, symbols)
    return coder.written()


def decode_levels(
    stream: bytes,
    num: int,
    shape: tuple[int, int, int],
    num_levels: int,
    most: int | None = None,
) -> Levels:
    """Return the levels (N, C, h, w) of a stream of ``num`` images.

    Args:
        stream: what `encode_levels` wrote.
        num: images in it.
        shape: (C, h, w).
        num_levels: of a pixel.
        most: the first so many alone, whatever follows them; they are read with those of their
            batch. None is all of them.

    Raises:
        ValueError: a stream that `encode_levels` did not write for so many images.
    """
    model, coder = ContextModel(shape, num_levels), _Coder()
    coder.read(stream)
    frame, flat = model.frame(num), numpy.zeros((num, model.num_pixels), numpy.int64)
    for images, pixels in segments(num, model.num_pixels):
        if most is not None and images.start >= most:
            return flat[:most].reshape(-1, *shape)
        flat[images, pixels] = _read_batch(model, coder, frame[images], pixels)
    # Any bytes decode to something; only what was written is written again so.
    if coder.written() != stream:
        raise ValueError("it goes on after its images, or ends before them")
    return flat[:most].reshape(-1, *shape)


def _read_batch(model: ContextModel, coder: _Coder, frame: Levels, pixels: slice) -> Levels:
    """Read a batch into its frame and learn from it; its levels (N, P)."""
    chances_of = model.chances_by_pixel(pixels)
    symbols, wide, chances = [], [], []
    for pixel in range(pixels.start, pixels.stop):
        wide.append(model.wide(frame, pixel))
        chances.append(chances_of(pixel, wide[-1]))
        symbols.append(coder.get(chances[-1]))
        model.place(frame, pixel, symbols[-1])
        # Written again, since any bytes decode to something: `decode_levels` compares.
        if pixel + 1 == pixels.stop or len(chances) * chances[-1].size > _TOGETHER:
            coder.put(numpy.stack(symbols[-len(chances) :]), numpy.concatenate(chances))
            chances = []
    levels_PN, wide_PN = numpy.stack(symbols), numpy.stack(wide)
    model.learn((wide_PN, model.placed(wide_PN, pixels)), levels_PN)
    return levels_PN.T
