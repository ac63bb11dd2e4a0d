"""The first start of a folder of image files, which decodes them, against the second."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image, ImageFilter

from clbench import data
from clbench.measuring.cost import Stopwatch
from clbench.seeding import generator
from clbench.speed.paired import Conditions, Once, SameOutcome, as_outcome

NUM_FILES, NUM_CLASSES, SIDE, DECODED_SIDE = 400, 10, 128, 64
# Files that changed less than two seconds ago are read again.
SETTLED_SECONDS = 2.1


class StartPair(SameOutcome):
    """A folder of 400 PNG files of 128 x 128 pixels, blurred noise, decoded to 64 x 64."""

    def __init__(self, conditions: Conditions) -> None:
        """Write the files, and decode them once."""
        self._place = tempfile.TemporaryDirectory()
        self._root, self._num_starts = Path(self._place.name), 0
        write_images(self._root / "images", NUM_FILES, conditions.seed)
        time.sleep(SETTLED_SECONDS)
        self._start("kept")

    def fast(self) -> Once:
        """Measure a start from what was decoded before."""
        return self._start("kept")

    def plain(self) -> Once:
        """Measure a start that decodes."""
        self._num_starts += 1
        return self._start(f"empty-{self._num_starts}")

    def _start(self, cache: str) -> Once:
        clock = Stopwatch()
        with _cache_in(self._root / cache), clock.phase("start"):
            found = data.load(f"folder:{self._root / 'images'}", image_size=DECODED_SIDE)
            # They are mapped: only what is touched is read.
            images = torch.cat([found.train.images, found.test.images])
        return Once(clock.seconds["start"], len(images), as_outcome(images))


def write_images(folder: Path, num: int, seed: int) -> None:
    """Write so many PNG files, a folder for each class."""
    rng = generator(seed, "speed", "files")
    for number in range(num):
        place = folder / f"class {number % NUM_CLASSES}"
        place.mkdir(parents=True, exist_ok=True)
        pixels = torch.randint(256, (SIDE, SIDE, 3), generator=rng, dtype=torch.uint8)
        image = Image.fromarray(pixels.numpy()).filter(ImageFilter.GaussianBlur(1))
        image.save(place / f"{number:06}.png", compress_level=1)


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Keep what is decoded in a folder, and not in the user's cache."""
    before = os.environ.get("CLBENCH_CACHE")
    os.environ["CLBENCH_CACHE"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CLBENCH_CACHE"]
        else:
            os.environ["CLBENCH_CACHE"] = before
