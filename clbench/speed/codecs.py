"""Writing and reading grey levels, arithmetic-coded, against plain loops over pixels."""

from __future__ import annotations

import numpy
import torch

from clbench.codecs.contexts import decode_levels, encode_levels
from clbench.codecs.levels import LevelsCodec
from clbench.measuring.cost import Stopwatch
from clbench.speed.images import images_of
from clbench.speed.paired import Conditions, Once, SameOutcome, as_outcome
from clbench.speed.plain_coder import plain_decode, plain_encode

NUM_IMAGES = 100
CODEC = LevelsCodec(side=14, levels=2)
CPU = torch.device("cpu")


class CodingPair(SameOutcome):
    """Images as one class, in one stream; it begins with the same bytes either way."""

    def __init__(self, way: str, conditions: Conditions) -> None:
        """``way`` is "encode" or "decode"."""
        images, spec = images_of(conditions, NUM_IMAGES)
        CODEC.check(spec.shape)
        self.levels = CODEC.numbers(CODEC.reduced(images.images)).numpy()
        self.way, self.stream = way, encode_levels(self.levels, CODEC.levels)

    def fast(self) -> Once:
        """Measure whole batches at once."""
        num, clock = len(self.levels), Stopwatch(CPU)
        with clock.phase("code"):
            if self.way == "encode":
                found = _as_levels(encode_levels(self.levels, CODEC.levels))
            else:
                shape = self.levels.shape[1:]
                found = decode_levels(self.stream, num, shape, CODEC.levels)
        return Once(clock.seconds["code"], num, as_outcome(torch.from_numpy(found)))

    def plain(self) -> Once:
        """Measure pixel after pixel."""
        num, clock = len(self.levels), Stopwatch(CPU)
        with clock.phase("code"):
            if self.way == "encode":
                found = _as_levels(plain_encode(self.levels, CODEC.levels))
            else:
                found = plain_decode(self.stream, self.levels.shape, CODEC.levels)
        return Once(clock.seconds["code"], num, as_outcome(torch.from_numpy(found)))


def _as_levels(stream: bytes) -> numpy.ndarray:
    """Return the bytes without the zeros at the end, which the reader puts back."""
    return numpy.frombuffer(stream.rstrip(b"\0"), numpy.uint8).copy()
