"""What a data set is, before and after it is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

from clbench.errors import InputError
from clbench.table import Lazy

if TYPE_CHECKING:
    from torch import Tensor

    from clbench.types import ImageSpec, LabelledImages

Status = Literal["embedded", "present", "archives only", "missing"]
Normalisation = Literal["dataset", "imagenet"]
OnImage = Callable[[int, int], None]
"""Called with the images decoded so far, and their total."""

# Of the training images of ILSVRC 2012, as in torchvision's models.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIDES = (8, 1024)


def normalised(spec: ImageSpec, normalisation: Normalisation) -> ImageSpec:
    """``spec`` with the data set's own moments, or those of ImageNet.

    Raises:
        InputError: ImageNet's moments for images that have not three channels.
    """
    if normalisation == "dataset":
        return spec
    if spec.channels != 3:
        raise InputError(
            f"normalisation: expected images of 3 channels for imagenet, found {spec.channels}; "
            "use dataset"
        )
    return dataclasses.replace(spec, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


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

    def read(
        self, info: DatasetInfo, root: Path
    ) -> tuple[LabelledImages, LabelledImages] | ImageData:
        """The training and the test images, uint8 with int64 labels 0..K-1.

        Or the whole `ImageData`, where the files say more than the entry does.
        """


@runtime_checkable
class Preparer(Protocol):
    """A `Reader` of images that are decoded once, before the first use."""

    def prepare(
        self, info: DatasetInfo, root: Path, source: Path | None, on_image: OnImage | None
    ) -> Prepared:
        """Check everything in ``source`` (None: in ``root``), bring it there and decode it."""
        ...


@dataclass(frozen=True, eq=False)
class DatasetInfo:
    """One entry of the table of data sets.

    Attributes:
        name: key of the table.
        title: one line for people.
        shape: (C, H, W); where ``scalable``, H and W are a default, and C is 1 if all images turn
            out to be grey.
        num_classes: K.
        num_train, num_test: images in each split.
        num_validation: images of a validation split of its own; 0 where it has none.
        mean, std: per channel, of the training images on the 0..1 pixel scale; empty where they are
            only known once the images are read (`ImageData.spec` has them).
        augmentation: see `ImageSpec`.
        class_names: K names.
        source: where the data come from, to be cited.
        licence: of the data.
        files: names of the files it is read from.
        reader: reads them; or a `Lazy` that makes the reader, so that the table is light to import.
        download_bytes: size of what `fetch` downloads; 0 where there is nothing to download.
        embedded: comes with an installed package, needs no files and no network.
        scalable: images are decoded to squares of any size, see `at`.
        num_validation: images of a validation split of its own, if it has one.
        on_request: how people get it whose owners give it out on request only; empty otherwise.
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
    reader: Reader | Lazy = field(repr=False)
    download_bytes: int = 0
    embedded: bool = False
    scalable: bool = False
    on_request: str = ""
    num_validation: int = 0

    def at(self, image_size: int | None) -> DatasetInfo:
        """The same data set with images of ``image_size`` x ``image_size``; None keeps its own.

        Raises:
            InputError: too small or too large, or the images of this data set have a fixed size.
        """
        channels, height, width = self.shape
        if image_size is None or (height, width) == (image_size, image_size):
            return self
        low, high = _SIDES
        if not self.scalable or not low <= image_size <= high:
            expected = f"{low} to {high}" if self.scalable else f"none, or {height}: it is fixed"
            raise InputError(f"image_size of {self.name}: expected {expected}, found {image_size}")
        return dataclasses.replace(self, shape=(channels, image_size, image_size))

    @property
    def spec(self) -> ImageSpec:
        """What its images look like.

        Raises:
            InputError: that is only known once they are read.
        """
        if not self.mean:
            raise InputError(f"{self.name}: read it to know its moments, load({self.name!r}).spec")
        from clbench.types import ImageSpec

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
        title: what to call it before people, where its name would say too much or too little.
        notes: what a reader of any result must know of it, one sentence each.
        columns: further numbers of each image, by name: int64 of training and of test images. A
            domain-incremental stream deals images by one of them; images of one ``group`` stay on
            one side of the validation split.
        normalisation: whose moments the spec holds, see `normalised`.
        validation: the images of a validation split of its own; None where it has none.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
    spec: ImageSpec
    fingerprint: str
    title: str = ""
    notes: tuple[str, ...] = ()
    columns: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    normalisation: Normalisation = "dataset"
    validation: LabelledImages | None = None

    @property
    def shown_as(self) -> str:
        """Its title, or its name."""
        return self.title or self.name

    def normalised(self, normalisation: Normalisation) -> ImageData:
        """The same with the moments of `normalised`."""
        spec = normalised(self.spec, normalisation)
        return dataclasses.replace(self, spec=spec, normalisation=normalisation)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A data set that is checked and decoded.

    Attributes:
        data: it.
        folder: where its files are.
        copied: they were put there just now.
        cache: file of the decoded pixels.
    """

    data: ImageData
    folder: Path
    copied: bool
    cache: Path
