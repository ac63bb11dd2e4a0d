"""Several data sets in turn, as one: ``chain:mnist+svhn+fashion_mnist``.

Classes follow each other; those of the second set come behind those of the first. Images are
brought to one shape: the side is the largest of the sets' sides, or ``--image-size``; smaller and
larger images are resized to it (bilinear, averaging where it shrinks); where one set has colours,
grey images have the same in each channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from clbench.data import kept_pixels
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, Status
from clbench.data.kept_pixels import SPLITS, Block, Work
from clbench.data.prefixes import CHAIN
from clbench.errors import InputError

_PIECE_IMAGES = 1000


def entry(name: str) -> DatasetInfo:
    """The entry of ``chain:A+B``.

    Raises:
        InputError: fewer than two sets, one twice, or an unknown one.
    """
    parts = parts_of(name)
    side = max(max(part.shape[1:]) for part in parts)
    own_validation = all(part.num_validation for part in parts)
    return DatasetInfo(
        name=name,
        title=", then ".join(part.name for part in parts),
        shape=(max(part.shape[0] for part in parts), side, side),
        num_classes=sum(part.num_classes for part in parts),
        num_train=sum(part.num_train for part in parts),
        num_test=sum(part.num_test for part in parts),
        mean=(),
        std=(),
        augmentation=_common([part.augmentation for part in parts]),
        class_names=tuple(f"{p.name} {c}" for p in parts for c in _classes(p)),
        source="; ".join(dict.fromkeys(part.source for part in parts)),
        licence="; ".join(dict.fromkeys(part.licence for part in parts)),
        files=(),
        reader=Chain(tuple(part.name for part in parts)),
        download_bytes=sum(part.download_bytes for part in parts),
        embedded=all(part.embedded for part in parts),
        scalable=True,
        num_validation=sum(part.num_validation for part in parts) if own_validation else 0,
    )


def parts_of(name: str) -> list[DatasetInfo]:
    """The entries of the sets in ``chain:A+B``, in their order.

    Raises:
        InputError: see `entry`.
    """
    from clbench.data import table

    names = name.removeprefix(CHAIN).split("+")
    if len(names) < 2 or len(set(names)) < len(names) or "" in names:
        raise InputError(
            f"{name}: expected two or more data sets, each once, as chain:mnist+svhn, found {names}"
        )
    if any(part.startswith(CHAIN) for part in names):
        raise InputError(f"{name}: expected data sets, found a chain within a chain; name its sets")
    return [table.info(part) for part in names]


def _classes(part: DatasetInfo) -> tuple[str, ...]:
    return part.class_names or tuple(map(str, range(part.num_classes)))


def _common(augmentations: list[str]) -> str:
    """The operations that keep the classes of every set apart, in the order of the first."""
    shared = set.intersection(*(set(a.split("_")) for a in augmentations))
    return "_".join(word for word in augmentations[0].split("_") if word in shared) or "none"


@dataclass(frozen=True)
class Chain:
    """Reader of several data sets by their own readers.

    Attributes:
        names: theirs.
    """

    names: tuple[str, ...]

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """The least that can be said of all parts."""
        from clbench.data import table

        found = {table.status(name, root) for name in self.names}
        order: tuple[Status, ...] = ("missing", "archives only", "present", "embedded")
        return next(status for status in order if status in found)

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Download every part that is missing.

        Raises:
            InputError: one cannot be fetched.
        """
        from clbench.data import table

        for name in self.names:
            if table.status(name, root) == "missing":
                table.fetch(name, root, progress)

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """Check the files of every part."""
        from clbench.data import table

        return [check for name in self.names for check in table.verify(name, root)]

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images of all parts in one shape, kept in the store.

        Raises:
            InputError: a part is missing or broken.
        """
        from clbench.data import table

        parts = [table.load(name, root) for name in self.names]
        channels, side, _ = info.shape

        def blocks() -> Iterator[Block]:
            for split in SPLITS:
                if split == "validation" and not info.num_validation:
                    continue
                first = 0
                for part in parts:
                    images = getattr(part, split)
                    assert images is not None
                    for k in range(0, len(images), _PIECE_IMAGES):
                        piece = images.images[k : k + _PIECE_IMAGES]
                        labels = images.labels[k : k + _PIECE_IMAGES].numpy() + first
                        yield Block(split, _fitted(piece, channels, side), labels)
                    first += part.spec.num_classes

        what = f"{info.name} {info.shape} {[part.fingerprint for part in parts]}"
        kept = kept_pixels.kept(Work(what, (), blocks, __name__))
        found = kept.data(info)
        notes = [f"{p.name}: {note}" for p in parts for note in p.notes]
        sizes = {f"{'x'.join(map(str, part.spec.shape))}": None for part in parts}
        if len(sizes) > 1:
            notes.append(f"images of {', '.join(sizes)} were brought to {channels}x{side}x{side}")
        return ImageData(
            found.name,
            found.train,
            found.test,
            found.spec,
            found.fingerprint,
            title=info.title,
            notes=tuple(notes),
            validation=found.validation,
        )


def _fitted(images: Tensor, channels: int, side: int) -> npt.NDArray[np.uint8]:
    if tuple(images.shape[-2:]) != (side, side):
        fitted = F.interpolate(
            images.float(), (side, side), mode="bilinear", align_corners=False, antialias=True
        )
        images = fitted.round().clamp(0, 255).byte()
    made: npt.NDArray[np.uint8] = images.expand(-1, channels, -1, -1).numpy()
    return made
