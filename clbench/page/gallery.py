"""What memories look like when they are read back: a few images of each class, in the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from clbench.comparison import Group
from clbench.errors import InputError

if TYPE_CHECKING:
    from clbench.types import LabelledImages

# Reading a memory takes a tenth of a second for each image of a class.
_IN_ALL, _MOST = 48, 4
MOST_CLASSES = 20
MOST_SIDE = 64  # pixels; larger images are shown smaller
MOST_BYTES = 1_000_000  # of all pictures of a page
_COLUMNS = 10


@dataclass(frozen=True)
class Gallery:
    """Images of one memory.

    Attributes:
        seed: of the run whose memory it is.
        address: data URI of the picture; "" where there is none.
        width, height: of the picture, pixels.
        alt: the picture in words.
        missing: why there is no picture; "" where there is one.
    """

    seed: int
    address: str = ""
    width: int = 0
    height: int = 0
    alt: str = ""
    missing: str = ""


def galleries(groups: Sequence[Group], folders: Sequence[Path | None]) -> list[Gallery | None]:
    """Return a picture for each group, None where it has no memory.

    Args:
        groups: of the comparison.
        folders: run directory of each group's first seed; None where it is not known.
    """
    with_memory = sum(group.memory_bytes is not None for group in groups)
    most = min(_MOST, max(1, _IN_ALL // max(1, with_memory)))
    found: list[Gallery | None] = []
    left = MOST_BYTES
    for group, folder in zip(groups, folders, strict=True):
        made = None if group.memory_bytes is None else _gallery(group, folder, most, left)
        left -= len(made.address) if made else 0
        found.append(made)
    return found


def _gallery(group: Group, folder: Path | None, most: int, left: int) -> Gallery:
    seed = group.seeds[0]
    if left <= 0:
        return Gallery(seed, missing="left out, so that the page stays small")
    if folder is None:
        return Gallery(seed, missing="the folder of the run is not known")
    last = len(group.reports[0].accuracy_matrix) - 1
    file = folder / "memory" / f"exp_{last}.safetensors"
    if not file.exists():
        return Gallery(seed, missing=f"its memory file is missing: {file}")
    # Decoding takes torch along, whose import is a second of every page without pictures.
    from clbench.coded import first_images

    try:
        return _picture(first_images(file, most), group, seed)
    except InputError as error:
        return Gallery(seed, missing=str(error))


def _picture(images: LabelledImages, group: Group, seed: int) -> Gallery:
    if not len(images):
        return Gallery(seed, missing="its memory holds no image")
    classes = images.classes[:MOST_CLASSES]
    canvas, each = _mosaic(images, classes)
    picture = Image.fromarray(canvas)
    content = io.BytesIO()
    picture.save(content, "WEBP", lossless=True, quality=100, method=4)
    names = ", ".join(map(str, classes))
    shown = "the first image" if each == 1 else f"the first {each} images"
    rest = len(images.classes) - len(classes)
    more = f" ({rest} more classes are not shown)" if rest else ""
    return Gallery(
        seed,
        "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode(),
        picture.width,
        picture.height,
        f"Memory of {group.label}, seed {seed}: {shown} of each of the classes {names}{more}",
    )


def _mosaic(images: LabelledImages, classes: Sequence[int]) -> tuple[npt.NDArray[np.uint8], int]:
    """A class in each column, ten to a line; (H, W) grey or (H, W, 3), and images in a column."""
    pixels = _pixels(images)
    labels = images.hard_labels.numpy()
    own = [pixels[labels == c] for c in classes]
    each = max(map(len, own))
    _, height, width = pixels.shape[:3]
    gap, columns = 2, min(len(classes), _COLUMNS)
    lines = -(-len(classes) // _COLUMNS)
    shape = (lines * each * (height + gap) - gap, columns * (width + gap) - gap)
    canvas = np.full((*shape, *pixels.shape[3:]), 128, np.uint8)
    for i, mine in enumerate(own):
        for j, image in enumerate(mine):
            top = (i // _COLUMNS * each + j) * (height + gap)
            left = i % _COLUMNS * (width + gap)
            canvas[top : top + height, left : left + width] = image
    return canvas, each


def _pixels(images: LabelledImages) -> npt.NDArray[np.uint8]:
    """(N, h, w) of grey images, (N, h, w, 3) of others; no side above `MOST_SIDE`."""
    found = images.quantised().images.cpu().numpy()
    if found.shape[1] not in (1, 3):
        found = found.mean(axis=1, keepdims=True).round().astype(np.uint8)
    arrays = found[:, 0] if found.shape[1] == 1 else found.transpose(0, 2, 3, 1)
    side = max(arrays.shape[1:3])
    if side <= MOST_SIDE:
        return np.ascontiguousarray(arrays)
    scale = MOST_SIDE / side
    size = (max(1, round(arrays.shape[2] * scale)), max(1, round(arrays.shape[1] * scale)))
    small = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in arrays]
    return np.stack(small)
