"""``folder:PATH`` as an entry among the data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, OnImage, Prepared, Status
from clbench.data.decoded import Decoded, decoded
from clbench.data.folders import Folder, scan
from clbench.data.own_names import place
from clbench.errors import InputError

SIDE = 64


def entry(name: str) -> DatasetInfo:
    """The entry of ``folder:PATH``: names are listed, no image is opened.

    Raises:
        InputError: see `clbench.data.folders.scan`.
    """
    folder = scan(place(name))
    listing = folder.listing
    return DatasetInfo(
        name=name,
        title=f"images in {place(name)}",
        # Channels are known once the images are.
        shape=(3, SIDE, SIDE),
        num_classes=len(folder.class_names),
        num_train=len(listing.train),
        num_test=len(listing.test),
        mean=(),
        std=(),
        # Whether a mirror image is of the same class, only the owner knows.
        augmentation="color_crop_cutout_scale_rotate",
        class_names=folder.class_names,
        source="the user's own",
        licence="the user's own",
        files=(),
        reader=OwnImages(folder),
        scalable=True,
    )


@dataclass(frozen=True)
class OwnImages:
    """Reader of images that were listed already.

    Attributes:
        folder: what was listed.
    """

    folder: Folder

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """There: they have been listed."""
        return "present"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Nothing to do."""

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """The first image that is broken, if any, and the decoded pixels in the cache."""
        try:
            kept = decoded(self.folder.listing, info.shape[1], trust=False)
        except InputError as error:
            file, _, message = str(error).partition(": ")
            return [FileCheck(Path(file), False, message)]
        num = info.num_train + info.num_test
        return [FileCheck(place(info.name), True, f"{num:,} images whole"), kept.check()]

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images as squares of the entry's size, wherever ``root`` is.

        Raises:
            InputError: an image is broken.
        """
        return self._data(info, decoded(self.folder.listing, info.shape[1]))

    def prepare(
        self, info: DatasetInfo, root: Path, source: Path | None, on_image: OnImage | None
    ) -> Prepared:
        """Check and decode the images where they are.

        Raises:
            InputError: an image is broken; or a source, which the name has already.
        """
        if source is not None:
            raise InputError(
                f"{info.name}: expected no --from, the name says where; found {source}"
            )
        kept = decoded(self.folder.listing, info.shape[1], on_image)
        return Prepared(self._data(info, kept), self.folder.listing.root, False, kept.file)

    def _data(self, info: DatasetInfo, kept: Decoded) -> ImageData:
        spec, notes = kept.spec(info), self.folder.notes
        return ImageData(info.name, kept.train, kept.test, spec, kept.fingerprint, notes=notes)
