"""SVHN's cropped digits, format 2 (http://ufldl.stanford.edu/housenumbers/): MATLAB 5 files.

``X`` is (32, 32, 3, N) and ``y`` (N, 1) with 10 for the digit 0. MATLAB 5 files hold arrays, never
code; scipy reads them once their MD5 is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clbench.data.archived import Archived
from clbench.data.dataset import DatasetInfo, Status
from clbench.data.kept_pixels import Block, Split
from clbench.errors import InputError


@dataclass(frozen=True)
class Svhn(Archived):
    """Reader of ``train_32x32.mat`` and ``test_32x32.mat``; the extra images are not used."""

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """What is there, without opening a file."""
        return "present" if self._packed(root) else "missing"

    def blocks(self, info: DatasetInfo, files: list[Path]) -> Iterator[Block]:
        """One block for each file.

        Raises:
            InputError: no MATLAB 5 file, or arrays of another shape, type or range.
        """
        splits: tuple[tuple[Split, int], ...] = (("train", info.num_train), ("test", info.num_test))
        for path, (split, num) in zip(files, splits, strict=True):
            yield _block(path, split, num)


def _block(path: Path, split: Split, num: int) -> Block:
    from scipy.io import loadmat

    try:
        found = loadmat(path, variable_names=["X", "y"])
        pixels, labels = found["X"], found["y"].reshape(-1)
    # scipy raises whatever a broken file makes it stumble over.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path}: expected a MATLAB 5 file with X and y, found none ({reason}); fetch it again"
        ) from None
    if pixels.shape != (32, 32, 3, num) or pixels.dtype != np.uint8 or labels.shape != (num,):
        raise InputError(
            f"{path}: expected uint8 X of 32 x 32 x 3 x {num:,} and as many y, found "
            f"{pixels.dtype} {' x '.join(map(str, pixels.shape))} and {labels.shape}; fetch it "
            "again"
        )
    low, high = int(labels.min()), int(labels.max())
    if not 1 <= low <= high <= 10:
        raise InputError(f"{path}: expected labels 1 to 10, found {low} to {high}; fetch it again")
    return Block(split, pixels.transpose(3, 2, 0, 1), labels.astype(np.int64) % 10)
