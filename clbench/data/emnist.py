"""EMNIST's balanced split (Cohen et al., arXiv 1702.05373, 2017): idx files within ``gzip.zip``.

The images lie there with rows and columns exchanged; they are read upright.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from clbench.data import archives, idx
from clbench.data.archived import Archived
from clbench.data.dataset import DatasetInfo
from clbench.data.kept_pixels import Block, Split
from clbench.errors import InputError


@dataclass(frozen=True)
class Emnist(Archived):
    """Reader of four files, from the archive or unpacked (``.gz`` or not)."""

    def unpacked(self, info: DatasetInfo, root: Path) -> list[Path]:
        """The four files, packed by gzip or not."""
        found = []
        for name in info.files:
            for path in (f"{name}.gz", f"gzip/{name}.gz", name):
                file = archives.find(root, self.folders, path)
                if file is not None:
                    found.append(file)
                    break
        return found if len(found) == len(info.files) else []

    def blocks(self, info: DatasetInfo, files: list[Path]) -> Iterator[Block]:
        """One block for each split.

        Raises:
            InputError: other files, or labels out of range.
        """
        if len(files) == len(info.files):
            yield from _both(
                info, [idx.read(f, *s) for f, s in zip(files, _shapes(info), strict=True)], files
            )
            return
        path, tensors = files[0], []
        try:
            with zipfile.ZipFile(path) as archive:
                for name, shape in zip(info.files, _shapes(info), strict=True):
                    with archive.open(f"gzip/{name}.gz") as file:
                        tensors.append(idx.parse(file, path, True, *shape))
        except (zipfile.BadZipFile, KeyError, OSError) as error:
            raise InputError(f"{path}: cannot be unpacked ({error}); fetch it again") from None
        yield from _both(info, tensors, [path] * len(info.files))


def _shapes(info: DatasetInfo) -> list[tuple[int, ...]]:
    _, height, width = info.shape
    sizes = (info.num_train, info.num_test)
    return [shape for num in sizes for shape in ((num, height, width), (num,))]


def _both(info: DatasetInfo, tensors: list[Tensor], files: list[Path]) -> Iterator[Block]:
    splits: tuple[Split, ...] = ("train", "test")
    for k, split in enumerate(splits):
        images, labels = tensors[2 * k : 2 * k + 2]
        if int(labels.max()) >= info.num_classes:
            raise InputError(
                f"{files[2 * k + 1]}: expected labels 0 to {info.num_classes - 1}, found "
                f"{int(labels.max())}; delete it and fetch it again"
            )
        yield Block(split, images.mT.unsqueeze(1).numpy(), labels.numpy())
