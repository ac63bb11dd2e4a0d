"""Mean and deviation of pixels, from exact sums."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from clbench.errors import InputError


class Moments:
    """Exact sums over the pixels of each channel."""

    def __init__(self, channels: int) -> None:
        """Begin with no pixels."""
        self._num, self._sums, self._squares = 0, [0] * channels, [0] * channels

    def add(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Count the pixels of a (C, ...) array."""
        self._num += pixels[0].size
        values = np.arange(256)
        for c, plane in enumerate(pixels):
            counts = np.bincount(plane.reshape(-1), minlength=256)
            self._sums[c] += int(counts @ values)
            self._squares[c] += int(counts @ values**2)

    def mean_and_std(self, where: Any) -> tuple[list[float], list[float]]:
        """Per channel, on the 0..1 scale.

        Args:
            where: the images lie, for the message.

        Raises:
            InputError: every channel is the same everywhere, so that nothing can be learnt.
        """
        n = self._num
        variances = [n * q - s * s for s, q in zip(self._sums, self._squares, strict=True)]
        if max(variances) <= 0:
            raise InputError(
                f"{where}: expected training images that differ, found one flat colour"
            )
        mean = [s / (255 * n) for s in self._sums]
        # A channel that is never used (fluorescence in green alone) is to become 0, not 0 / 0.
        return mean, [math.sqrt(v) / (255 * n) if v else 1.0 for v in variances]
