"""Images of a binary format, parsed once, kept in the store as plain pixels, and mapped ever after.

The entry is named by the digests of the files it was made from and by the code that made it, so
other content never meets an old entry. It is written block by block: memory holds one of them at a
time. It is mapped copy-on-write, so whoever writes to a tensor changes neither the file nor another
process. Pixels come first, then labels and columns as int64, then JSON, then the length of the JSON
in 8 bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from clbench.data.dataset import DatasetInfo, FileCheck, ImageData
from clbench.data.digests import digest_of
from clbench.data.moments import Moments
from clbench.errors import InputError
from clbench.store.store import Store
from clbench.types import ImageSpec, LabelledImages

KIND = "images"  # of entries in the store

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
_BLOCK_IMAGES = 1000


class Block(NamedTuple):
    """Some images of one split; the splits come in the order of `SPLITS`.

    Attributes:
        split: theirs.
        images: (n, C, H, W) uint8.
        labels: (n,) whole numbers.
        columns: further whole numbers of each image, the same columns in every block.
    """

    split: Split
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[Any]
    columns: Mapping[str, npt.NDArray[Any]] = {}


@dataclass(frozen=True)
class Work:
    """What is to be kept.

    Attributes:
        what: the name, the size and whatever else decides what is read from the files.
        sources: the files, in their order; their digests are part of the entry's name.
        blocks: parses them; called where the store has no entry.
        code: name of the module that parses.
    """

    what: str
    sources: Sequence[Path]
    blocks: Callable[[], Iterable[Block]]
    code: str


@dataclass(frozen=True, eq=False)
class Kept:
    """Images in mapped memory.

    Attributes:
        parts: split to its images; a split without images is left out.
        columns: name to the numbers of each split, in the order of ``parts``.
        mean, std: per channel, of the training images on the 0..1 pixel scale.
        fingerprint: SHA-256 over images and labels of all splits, taken when they were parsed.
        file: where the pixels are kept, from byte 0.
    """

    parts: dict[Split, LabelledImages]
    columns: dict[str, tuple[Tensor, ...]]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    file: Path = field(repr=False)

    def data(self, info: DatasetInfo, class_names: tuple[str, ...] = ()) -> ImageData:
        """The data set ``info``; moments are the entry's, where it has some.

        Args:
            info: its entry.
            class_names: names that only the files know.

        Raises:
            InputError: training or test images are missing, or a class has none in them.
        """
        for split in ("train", "test"):
            if split not in self.parts:
                raise InputError(f"{info.name}: expected {split} images, found none")
        channels, height, width = self.parts["train"].images.shape[1:]
        spec = ImageSpec(
            channels,
            height,
            width,
            info.num_classes,
            info.mean or self.mean,
            info.std or self.std,
            info.class_names or class_names,
            info.augmentation,
        )
        return ImageData(
            info.name,
            self.parts["train"],
            self.parts["test"],
            spec,
            self.fingerprint,
            validation=self.parts.get("validation"),
        )

    def check(self) -> FileCheck:
        """Compare the pixels in memory with the digest taken when they were parsed."""
        digest = hashlib.sha256()
        for part in self.parts.values():
            for images in part.images.split(_BLOCK_IMAGES):
                digest.update(images.numpy().data)
            digest.update(part.labels.numpy().tobytes())
        if digest.hexdigest() == self.fingerprint:
            return FileCheck(self.file, True, "kept pixels as when they were read")
        return FileCheck(self.file, False, "kept pixels have changed since; start again")


def kept(work: Work, trust: bool = True) -> Kept:
    """Return the images of ``work``, from the store if possible.

    Args:
        work: what is to be kept.
        trust: take a file that looks unchanged for unchanged, see `clbench.data.digests`.

    Raises:
        InputError: a file is missing or broken, or the store cannot be written.
    """
    store, name = Store(), _name(work, trust)
    found = _mapped(store, name)
    if found is not None:
        return found
    with store.lock(KIND, name):
        # Another process may have made it while this one waited.
        found = _mapped(store, name)
        if found is None:
            _write(work, store, name)
            found = _mapped(store, name)
    if found is None:
        file = store.path_of(KIND, name)
        raise InputError(f"{file}: written just now, and broken or gone; check the disk")
    return found


def _name(work: Work, trust: bool) -> str:
    files = [str(sys.modules[name].__file__) for name in (__name__, work.code)]
    content = {
        "what": work.what,
        "code": [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files],
        "files": [digest_of(path, trust=trust) for path in work.sources],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write(work: Work, store: Store, name: str) -> None:
    try:
        with store.writing(KIND, name) as out:
            writer = _Writer(out)
            for block in work.blocks():
                writer.add(block)
            writer.end(work.what)
    except OSError as error:
        raise InputError(
            f"{store.path_of(KIND, name)}: cannot be written ({error.strerror or error}); name "
            "another place in CLBENCH_CACHE"
        ) from None


class _Writer:
    """Writes blocks to a file and counts what is said of them at its end."""

    def __init__(self, out: Any) -> None:
        self._out, self._digest = out, hashlib.sha256()
        self._shape: tuple[int, ...] = ()
        self._moments = Moments(0)
        self._labels: dict[Split, list[npt.NDArray[np.int64]]] = {}
        self._columns: dict[str, list[npt.NDArray[np.int64]]] = {}

    def add(self, block: Block) -> None:
        if not self._shape:
            self._shape, self._moments = block.images.shape[1:], Moments(block.images.shape[1])
        assert block.images.shape[1:] == self._shape and block.images.dtype == np.uint8
        if block.split not in self._labels:
            assert list(self._labels) == [s for s in SPLITS if s in self._labels]
            self._end_split()
        self._labels.setdefault(block.split, []).append(block.labels.astype(np.int64))
        for column, values in block.columns.items():
            self._columns.setdefault(column, []).append(values.astype(np.int64))
        for first in range(0, len(block.images), _BLOCK_IMAGES):
            images = np.ascontiguousarray(block.images[first : first + _BLOCK_IMAGES])
            self._out.write(images.data)
            self._digest.update(images.data)
            if block.split == "train":
                self._moments.add(images.swapaxes(0, 1))

    def _end_split(self) -> None:
        if self._labels:
            self._digest.update(np.concatenate(list(self._labels.values())[-1]).data)

    def end(self, what: str) -> None:
        """Write labels, columns and facts.

        Raises:
            InputError: no image, or training images of one flat colour.
        """
        if "train" not in self._labels:
            raise InputError(f"{what}: expected training images, found none")
        self._end_split()
        for values in (*self._labels.values(), *self._columns.values()):
            self._out.write(np.concatenate(values).data)
        mean, std = self._moments.mean_and_std(what)
        facts = {
            "counts": {split: sum(map(len, found)) for split, found in self._labels.items()},
            "columns": list(self._columns),
            "shape": self._shape,
            "mean": mean,
            "std": std,
            "fingerprint": self._digest.hexdigest(),
        }
        content = json.dumps(facts, allow_nan=False).encode()
        self._out.write(content)
        self._out.write(struct.pack(">Q", len(content)))


def _mapped(store: Store, name: str) -> Kept | None:
    """Map what the store has; None where that is nothing, or cannot be true."""
    opened = store.opened(KIND, name)
    if opened is None:
        return None
    with opened.file as file:
        try:
            facts = _facts(file, opened.num_bytes)
        except (ValueError, KeyError, TypeError, struct.error):
            return None
        num, shape = sum(facts["counts"].values()), tuple(facts["shape"])
        file.seek(num * math.prod(shape))
        numbers = np.frombuffer(bytearray(file.read(8 * num * (1 + len(facts["columns"])))), "<i8")
        pixels = np.memmap(file, np.uint8, "c", 0, (num, *shape))
    images, rows = torch.from_numpy(pixels), torch.from_numpy(numbers).view(-1, num)
    sizes = list(facts["counts"].values())
    labels, *columns = (row.split(sizes) for row in rows)
    parts = {
        split: LabelledImages(*part)
        for split, *part in zip(facts["counts"], images.split(sizes), labels, strict=True)
    }
    return Kept(
        parts,
        dict(zip(facts["columns"], columns, strict=True)),
        tuple(facts["mean"]),
        tuple(facts["std"]),
        facts["fingerprint"],
        store.path_of(KIND, name),
    )


def _facts(file: IO[bytes], num_bytes: int) -> dict[str, Any]:
    file.seek(num_bytes - 8)
    (length,) = struct.unpack(">Q", file.read(8))
    file.seek(num_bytes - 8 - length)
    facts: dict[str, Any] = json.loads(file.read(length))
    num = sum(facts["counts"].values())
    size = num * (math.prod(facts["shape"]) + 8 * (1 + len(facts["columns"])))
    if size + length + 8 != num_bytes or not set(facts["counts"]) <= set(SPLITS):
        raise ValueError("expected as many bytes as images and labels take")
    if not len(facts["mean"]) == len(facts["std"]) == facts["shape"][0]:
        raise ValueError("expected a mean and a deviation for every channel")
    return facts
