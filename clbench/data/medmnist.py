"""MedMNIST's 2D sets (Yang et al., Scientific Data 2023): one ``.npz`` of six arrays each.

numpy is never allowed to unpickle. The validation split is the set's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clbench.data.archived import Archived
from clbench.data.dataset import DatasetInfo, Status
from clbench.data.kept_pixels import Block, Split
from clbench.errors import InputError

Array = npt.NDArray[Any]
_NAMES: tuple[tuple[Split, str], ...] = (
    ("train", "train"),
    ("validation", "val"),
    ("test", "test"),
)


@dataclass(frozen=True)
class MedMnist(Archived):
    """Reader of one ``NAME.npz``."""

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """What is there, without opening a file."""
        return "present" if self._packed(root) else "missing"

    def blocks(self, info: DatasetInfo, files: list[Path]) -> Iterator[Block]:
        """One block for each split.

        Raises:
            InputError: arrays that are missing or of another shape, type or range.
        """
        path, counts = files[0], (info.num_train, info.num_validation, info.num_test)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                for (split, name), num in zip(_NAMES, counts, strict=True):
                    pixels, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
                    yield _block(info, path, split, num, pixels, labels)
        except InputError:
            raise
        # zipfile and numpy raise whatever a broken file makes them stumble over.
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{path}: expected an .npz of images and labels, found none ({reason}); fetch it "
                "again"
            ) from None


def _block(
    info: DatasetInfo, path: Path, split: Split, num: int, pixels: Array, labels: Array
) -> Block:
    channels, height, width = info.shape
    expected = (num, height, width, *((channels,) if channels > 1 else ()))
    if pixels.shape != expected or pixels.dtype != np.uint8 or labels.shape != (num, 1):
        raise InputError(
            f"{path}: expected uint8 {split} images of {' x '.join(map(str, expected))} and as "
            f"many labels, found {pixels.dtype} {' x '.join(map(str, pixels.shape))} and "
            f"{' x '.join(map(str, labels.shape))}; fetch it again"
        )
    low, high = int(labels.min()), int(labels.max())
    if not 0 <= low <= high < info.num_classes:
        raise InputError(
            f"{path}: expected labels 0 to {info.num_classes - 1}, found {low} to {high}; fetch "
            "it again"
        )
    images = pixels.reshape(num, height, width, channels).transpose(0, 3, 1, 2)
    return Block(split, images, labels.reshape(-1))
