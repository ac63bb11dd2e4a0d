"""CIFAR-10 and CIFAR-100 in their binary versions (https://www.cs.toronto.edu/~kriz/cifar.html).

A record is its label bytes (CIFAR-100: superclass, class) and 3 x 32 x 32 pixels, channel by
channel. The Python versions are pickles, which can run anything, and are never opened.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clbench.data import archives
from clbench.data.archived import Archived
from clbench.data.dataset import DatasetInfo, ImageData
from clbench.data.kept_pixels import Block, Kept, Split
from clbench.errors import InputError
from clbench.types import LabelledImages

_SHAPE = (3, 32, 32)
NUM_SUPERCLASSES, MEMBERS = 20, 5


@dataclass(frozen=True)
class Cifar(Archived):
    """Reader of either version, from the archive or from the folder that it unpacks to.

    Attributes:
        inside: folder within the archive.
        train, test: files of each split there.
        pickled: names of the Python version, archive and folder.
        coarse: of each image the superclass comes first.
    """

    inside: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    pickled: tuple[str, ...]
    coarse: bool = False

    def unpacked(self, info: DatasetInfo, root: Path) -> list[Path]:
        """The binary files of the unpacked folder."""
        folder = archives.find(root, self.folders, self.inside)
        names = (*self.train, *self.test)
        if folder is None or not all((folder / name).is_file() for name in names):
            return []
        return [folder / name for name in names]

    def hint(self, root: Path) -> str:
        """Whether only the pickled version is there."""
        for name in self.pickled:
            path = archives.find(root, self.folders, name)
            if path is not None:
                return (
                    f"expected the binary version, {self.archives[0].name}, found {path}, which is "
                    f"Python's pickle and is never opened; get {self.archives[0].url}"
                )
        return ""

    def blocks(self, info: DatasetInfo, files: list[Path]) -> Iterator[Block]:
        """One block for each file.

        Raises:
            InputError: another size, or labels out of range.
        """
        names = (*self.train, *self.test)
        if len(files) == len(names):
            for name, path in zip(names, files, strict=True):
                try:
                    with path.open("rb") as file:
                        yield self._block(info, name, file, path)
                except OSError as error:
                    raise InputError(f"{path}: cannot be read ({error.strerror})") from None
            return
        try:
            with tarfile.open(files[0], "r:gz") as archive:
                for name in names:
                    member = archive.extractfile(f"{self.inside}/{name}")
                    if member is None:
                        raise KeyError(name)
                    yield self._block(info, name, member, files[0])
        except (tarfile.TarError, OSError, EOFError, KeyError) as error:
            raise InputError(f"{files[0]}: cannot be unpacked ({error}); fetch it again") from None

    def _block(self, info: DatasetInfo, name: str, file: IO[bytes], path: Path) -> Block:
        split: Split = "train" if name in self.train else "test"
        num = info.num_train // len(self.train) if split == "train" else info.num_test
        num_labels = 1 + self.coarse
        size = num * (num_labels + 3072)
        content = file.read(size + 1)
        if len(content) != size:
            found = f"{len(content):,}" if len(content) <= size else "more"
            raise InputError(
                f"{path}: expected {size:,} bytes in {name}, found {found}; get it again"
            )
        records = np.frombuffer(content, np.uint8).reshape(num, -1)
        labels = records[:, num_labels - 1]
        if int(labels.max()) >= info.num_classes:
            raise InputError(
                f"{path}: expected labels 0 to {info.num_classes - 1} in {name}, found "
                f"{int(labels.max())}; get it again"
            )
        columns: dict[str, npt.NDArray[Any]] = {"superclass": records[:, 0]} if self.coarse else {}
        return Block(split, records[:, num_labels:].reshape(num, *_SHAPE), labels, columns)


@dataclass(frozen=True)
class Superclasses(Cifar):
    """Reader of CIFAR-100 with its 20 superclasses for classes.

    Each superclass has 5 classes. The column ``member`` says which of them an image is of: 0 to 4
    in the order of their numbers, so that a domain-incremental stream can deal by it.
    """

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images of CIFAR-100 with other labels, and the column ``member``.

        Raises:
            InputError: a file is missing or broken, or a superclass has not five classes.
        """
        found = self._kept(info, root)
        whole = found.data(info)
        fine = (whole.train.labels, whole.test.labels)
        coarse = found.columns["superclass"]
        member, superclass = _members(fine, coarse)
        columns = tuple(member[labels] for labels in fine)
        digest = hashlib.sha256(found.fingerprint.encode())
        for labels in coarse:
            digest.update(labels.numpy().tobytes())
        train, test = (
            LabelledImages(part.images, superclass[part.labels])
            for part in (whole.train, whole.test)
        )
        return dataclasses.replace(
            whole,
            train=train,
            test=test,
            fingerprint=digest.hexdigest(),
            columns={"member": (columns[0], columns[1])},
        )

    def _kept(self, info: DatasetInfo, root: Path, trust: bool = True) -> Kept:
        # The files are CIFAR-100's, and so is what is kept of them.
        classes = NUM_SUPERCLASSES * MEMBERS
        return super()._kept(dataclasses.replace(info, num_classes=classes), root, trust)


def _members(fine: tuple[Tensor, ...], coarse: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Of each of the 100 classes its place within its superclass, and its superclass.

    Raises:
        InputError: a class lies in two superclasses, or a superclass has not five.
    """
    pairs = torch.stack([torch.cat(fine), torch.cat(coarse)], 1).unique(dim=0)
    num_classes = NUM_SUPERCLASSES * MEMBERS
    sizes = pairs[:, 1].bincount(minlength=NUM_SUPERCLASSES).tolist()
    if sizes != [MEMBERS] * NUM_SUPERCLASSES or len(pairs) != num_classes:
        raise InputError(
            f"CIFAR-100: expected {NUM_SUPERCLASSES} superclasses of {MEMBERS} classes each, found "
            f"sizes {sizes}; get the files again"
        )
    superclass, member = pairs[:, 1], torch.empty(num_classes, dtype=torch.int64)
    for c in range(NUM_SUPERCLASSES):
        member[superclass == c] = torch.arange(MEMBERS)
    return member, superclass
