"""A run class by class: what memory holds and what is mistaken for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from clbench.errors import InputError
from clbench.figures.style import INK, drawing, wide_enough, write_cell
from clbench.measuring import metrics

if TYPE_CHECKING:
    from clbench.types import LabelledImages

MOST_ROWS = 100  # classes; more make a picture that no program opens


def memory_figure(
    memory: LabelledImages,
    *,
    class_names: Sequence[str] = (),
    title: str = "Memory",
    num_bytes: int | None = None,
) -> Figure:
    """Draw the images of a memory as they are replayed, one row per class, of `MOST_ROWS` at most.

    Args:
        memory: uint8, or float32 on the 0..1 scale; 1 channel (grey), 3 (RGB), otherwise the mean
            over channels.
        class_names: name of label i at position i; labels themselves where it is too short.
        title: heading; number of images and bytes are added to it.
        num_bytes: what the memory is charged; None is that of its pixels.

    Raises:
        InputError: an empty memory.
    """
    if not len(memory):
        raise InputError("expected a memory with at least one image, found an empty one")
    num_images, charged = len(memory), memory.num_bytes if num_bytes is None else num_bytes
    caption = f"{title}\n{num_images} images, {charged:,} bytes"
    classes = memory.classes
    if len(classes) > MOST_ROWS:
        caption += f"; first {MOST_ROWS} of {len(classes):,} classes"
        memory = memory.of_class(*classes[:MOST_ROWS])
    labels = memory.hard_labels.cpu().numpy()
    canvas, rows = _mosaic(_pixels(memory), labels)
    height, width = canvas.shape[:2]
    scale = min(0.38 / (height / len(rows)), 8.0 / width)
    text_width = 0.09 * max(map(len, caption.splitlines()))
    with drawing(max(width * scale + 1.1, text_width), height * scale + 0.95) as (figure, (axes,)):
        axes.imshow(canvas, cmap="gray", vmin=0, vmax=1)
        row_height = height / len(rows)
        names = [class_names[c] if c < len(class_names) else str(c) for c in rows]
        axes.set_yticks([(i + 0.5) * row_height - 0.5 for i in range(len(rows))], names)
        axes.set_xticks([])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        left = 0.1 / figure.get_figwidth()
        figure.suptitle(caption, x=left, ha="left", fontsize=9.5, weight="bold")
    return figure


def _pixels(memory: LabelledImages) -> npt.NDArray[np.float64]:
    """(N, H, W, 1 or 3) on the 0..1 scale."""
    images = memory.images.cpu().numpy().astype(np.float64)
    images = images.clip(0, 1) if memory.images.is_floating_point() else images / 255
    if images.shape[1] not in (1, 3):
        images = images.mean(axis=1, keepdims=True)
    return images.transpose(0, 2, 3, 1)


def _mosaic(
    pixels: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], list[int]]:
    """All images on one white canvas and the class of each row, ascending."""
    rows = [int(c) for c in np.unique(labels)]
    _, height, width, channels = pixels.shape
    gap = max(1, height // 14)
    columns = max(int((labels == c).sum()) for c in rows)
    shape = (len(rows) * (height + gap), columns * (width + gap), channels)
    canvas = np.ones(shape)
    for i, c in enumerate(rows):
        for j, image in enumerate(pixels[labels == c]):
            top, left = i * (height + gap) + gap // 2, j * (width + gap) + gap // 2
            canvas[top : top + height, left : left + width] = image
    return canvas.squeeze(2) if channels == 1 else canvas, rows


def confusion_figure(
    confusion: metrics.Matrix, *, class_names: Sequence[str] = (), title: str = "Confusion matrix"
) -> Figure:
    """Counts coloured by their share of the true class.

    Args:
        confusion: (K, K) counts, rows true, columns predicted; rows may be empty.
        class_names: K names, or empty for the numbers.
        title: heading; the accuracy is added to it, and of two classes the larger share below.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not len(counts):
        raise InputError(f"expected a square confusion matrix, found shape {counts.shape}")
    num_classes, totals = len(counts), counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    side = 0.46 if num_classes <= 20 else 9.2 / num_classes
    if totals.sum():
        title += f", {100 * metrics.accuracy(counts):.1f} % right"
    width = wide_enough(2.0 + side * num_classes, title)
    with drawing(width, 1.5 + side * num_classes) as (figure, (axes,)):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        # Beyond 20 classes the numbers would be smaller than print.
        for i, j in np.ndindex(counts.shape) if num_classes <= 20 else ():
            if counts[i, j]:
                colour = "white" if shares[i, j] > 0.55 else INK
                write_cell(axes, i, j, f"{counts[i, j]:.0f}", colour, 7.5)
        names = _names(class_names, num_classes)
        tilt = 0 if max(map(len, names)) <= 3 else 90
        small = 9 if num_classes <= 40 else 5
        axes.set_xticks(range(num_classes), names, rotation=tilt, fontsize=small)
        axes.set_yticks(range(num_classes), names, fontsize=small)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("predicted")
        if num_classes == 2 and totals.sum():
            share = 100 * totals.max() / totals.sum()
            axes.set_xlabel(f"predicted\nlarger class: {share:.1f} %")
        axes.set_ylabel("true")
        axes.set_title(title)
    return figure


def _names(names: Sequence[str], count: int) -> list[str]:
    return list(names) if len(names) == count else [str(i) for i in range(count)]
