"""What a data set is, before and after it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from clbench.types import ImageSpec, LabelledImages

Status = Literal["embedded", "present", "archives only", "missing"]


class FileCheck(NamedTuple):
    """One file of a data set, as `Reader.verify` found it.

    Attributes:
        file: where it is, or is expected.
        ok: whole and unchanged.
        message: what was checked, or what is wrong and what to do.
    """

    file: Path
    ok: bool
    message: str


class Reader(Protocol):
    """How the files of one kind of data set are found, fetched, checked and read."""

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """What is there, without opening a file."""

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Download what is missing or broken."""

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """Check every file, in the order of ``info.files``."""

    def read(self, info: DatasetInfo, root: Path) -> tuple[LabelledImages, LabelledImages]:
        """The training and the test images, uint8 with int64 labels 0..K-1."""


@dataclass(frozen=True, eq=False)
class DatasetInfo:
    """One entry of the table of data sets.

    Attributes:
        name: key of the table.
        title: one line for people.
        shape: (C, H, W).
        num_classes: K.
        num_train, num_test: images in each split.
        mean, std: per channel, of the training images on the 0..1 pixel scale.
        augmentation: see `ImageSpec`.
        class_names: K names.
        source: where the data come from, to be cited.
        licence: of the data.
        files: names of the files it is read from.
        reader: reads them.
        download_bytes: size of what `fetch` downloads; 0 where there is nothing to download.
        embedded: comes with an installed package, needs no files and no network.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: str
    class_names: tuple[str, ...]
    source: str
    licence: str
    files: tuple[str, ...]
    reader: Reader = field(repr=False)
    download_bytes: int = 0
    embedded: bool = False

    @property
    def spec(self) -> ImageSpec:
        """What its images look like."""
        channels, height, width = self.shape
        return ImageSpec(
            channels,
            height,
            width,
            self.num_classes,
            self.mean,
            self.std,
            self.class_names,
            self.augmentation,
        )


@dataclass(frozen=True, eq=False)
class ImageData:
    """A data set in memory. Its tensors are shared by all who load it: never write to them.

    Attributes:
        name: of the data set.
        train, test: uint8 images (N, C, H, W) with int64 labels 0..K-1.
        spec: what the images look like.
        fingerprint: SHA-256, in hexadecimal, over images and labels of both splits.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
    spec: ImageSpec
    fingerprint: str
