"""``folder:PATH`` as an entry among the data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from clbench.data import groups, repeats
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, OnImage, Prepared, Status
from clbench.data.decoded import Decoded, decoded
from clbench.data.folders import Folder, scan
from clbench.data.own_names import OwnOptions, options_of, place
from clbench.data.seen_files import SeenFile
from clbench.errors import InputError
from clbench.machine.garbage import collector_paused

SIDE = 64


def entry(name: str) -> DatasetInfo:
    """The entry of ``folder:PATH``: names are listed, no image is opened.

    Raises:
        InputError: see `clbench.data.folders.scan`.
    """
    options = options_of(name)
    with collector_paused():
        folder = scan(place(name), options)
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
        reader=OwnImages(folder, options),
        scalable=True,
        num_validation=len(listing.validation),
    )


@dataclass(frozen=True)
class OwnImages:
    """Reader of images that were listed already.

    Attributes:
        folder: what was listed.
        options: how it was.
    """

    folder: Folder
    options: OwnOptions

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
        num = len(self.folder.listing.all)
        return [FileCheck(place(info.name), True, f"{num:,} images whole"), kept.check()]

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images as squares of the entry's size, wherever ``root`` is.

        Raises:
            InputError: an image is broken, or a file is in two parts of the split.
        """
        return self._read(info, None)[0]

    def prepare(
        self, info: DatasetInfo, root: Path, source: Path | None, on_image: OnImage | None
    ) -> Prepared:
        """Check and decode the images where they are.

        Raises:
            InputError: as `read`; or a source, which the name has already.
        """
        if source is not None:
            raise InputError(
                f"{info.name}: expected no --from, the name says where; found {source}"
            )
        data, kept = self._read(info, on_image)
        return Prepared(data, self.folder.listing.root, False, kept.file)

    def _read(self, info: DatasetInfo, on_image: OnImage | None) -> tuple[ImageData, Decoded]:
        listing, notes = self.folder.listing, list(self.folder.notes)

        def look(seen: Sequence[SeenFile]) -> None:
            if not self.options.allow_repeats:
                repeats.refuse_repeats(listing, seen)
            notes.extend(repeats.note_of(listing, seen))

        with collector_paused():
            kept = decoded(listing, info.shape[1], on_image, on_seen=look)
        if kept.several:
            what = "1 JPEG file holds" if kept.several == 1 else f"{kept.several:,} JPEG files hold"
            notes.append(f"{what} several pictures (MPO, as telephones write); the first was taken")
        train, test = (torch.tensor(part) for part in self.folder.groups or ((), ()))
        data = ImageData(
            info.name,
            kept.train,
            kept.test,
            kept.spec(info),
            kept.fingerprint,
            notes=tuple(notes),
            columns={groups.COLUMN: (train, test)} if self.folder.groups else {},
            validation=kept.validation,
        )
        return data, kept
