"""MHIST as its authors hand it out: ``ROOT/MHIST/annotations.csv`` and ``ROOT/MHIST/images/*.png``.

Whatever lies in that layout is read; only what has the published counts is called MHIST.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from clbench.data import mhist_table
from clbench.data.checks import read_bytes
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, OnImage, Prepared, Status
from clbench.data.decoded import Decoded, Labelled, Listing, decoded
from clbench.data.image_files import ImageRule
from clbench.data.installing import install, lies_in
from clbench.data.mhist_table import Annotation
from clbench.errors import InputError

FOLDER = "MHIST"
LAYOUT = "MHIST layout, subset or other images"
RULE = ImageRule(("PNG",), size=(224, 224), mode="RGB")


@dataclass(frozen=True)
class Mhist:
    """Reader of MHIST, and of other images in its layout."""

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """What is there, without opening a file."""
        folder = root / FOLDER
        there = (folder / mhist_table.FILE).is_file() and (folder / "images").is_dir()
        return "present" if there else "missing"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Nothing where it is there; it cannot be downloaded.

        Raises:
            InputError: how to get it.
        """
        if self.status(info, root) == "missing":
            raise InputError(f"{info.name}: not in {root / FOLDER}; {info.on_request}")

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """The table, every image that is broken, and the decoded pixels in the cache."""
        table = root / FOLDER / mhist_table.FILE
        if self.status(info, root) == "missing":
            return [FileCheck(table, False, f"missing; {info.on_request}")]
        try:
            found = rows_below(root)
        except InputError as error:
            return [FileCheck(table, False, str(error).removeprefix(f"{table}: "))]
        checks = [FileCheck(table, True, describe(found))]
        try:
            kept = decoded(listing(root, found), info.shape[1], trust=False)
        except InputError as error:
            file, _, message = str(error).partition(": ")
            return [*checks, FileCheck(Path(file), False, message)]
        whole = f"{len(found):,} images whole, 224 x 224 RGB"
        return [*checks, FileCheck(root / FOLDER / "images", True, whole), kept.check()]

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images as squares of the entry's size, with their annotators' votes and agreement.

        Raises:
            InputError: the table or an image is missing, broken or of another kind.
        """
        found = rows_below(root)
        return image_data(info, found, decoded(listing(root, found), info.shape[1]))

    def prepare(
        self, info: DatasetInfo, root: Path, source: Path | None, on_image: OnImage | None
    ) -> Prepared:
        """Check everything in ``source``, bring it to ``root`` and decode it.

        Args:
            info: the entry, at the wanted image size.
            root: data root.
            source: folder or zip archive; None, or the root itself, for what is there already.
            on_image: told of progress.

        Raises:
            InputError: whatever is wrong with the source; ``root`` holds something else already, or
                cannot be written.
        """
        copied = source is not None and not lies_in(source, root, FOLDER)
        if source is not None and copied:
            install(
                source,
                root,
                FOLDER,
                mhist_table.FILE,
                lambda table: [image.image for image in mhist_table.parse(table)],
                lambda staged: decoded(
                    listing(staged, rows_below(staged)), info.shape[1], on_image
                ),
            )
        elif self.status(info, root) == "missing":
            self.fetch(info, root, progress=False)
        found = rows_below(root)
        kept = decoded(listing(root, found), info.shape[1], on_image)
        return Prepared(image_data(info, found, kept), root / FOLDER, copied, kept.file)


def rows_below(root: Path) -> list[Annotation]:
    """The checked table of ``root``.

    Raises:
        InputError: it is missing or broken.
    """
    folder = root / FOLDER
    table = folder / mhist_table.FILE
    try:
        return mhist_table.parse(read_bytes(folder.resolve(), mhist_table.FILE))
    except InputError as error:
        raise InputError(f"{table}: {error}") from None


def listing(root: Path, found: list[Annotation]) -> Listing:
    """The images of the table, training images first; none of them looked for yet."""
    folder = (root / FOLDER).resolve()
    train, test = (
        tuple(
            Labelled(f"images/{image.image}", mhist_table.CLASSES.index(image.label))
            for image in found
            if image.partition == partition
        )
        for partition in mhist_table.PARTITIONS
    )
    return Listing(folder, train, test, RULE)


def describe(found: list[Annotation]) -> str:
    """What these images are, in a few words."""
    if mhist_table.is_published(found):
        return f"MHIST, {len(found):,} images as published"
    return f"{LAYOUT}: {mhist_table.subset(found)}"


def image_data(info: DatasetInfo, found: list[Annotation], kept: Decoded) -> ImageData:
    """Table and pixels as one data set."""
    published = mhist_table.is_published(found)
    columns = {}
    for name in ("votes", "agreement"):
        train, test = (
            torch.tensor([getattr(image, name) for image in found if image.partition == partition])
            for partition in mhist_table.PARTITIONS
        )
        columns[name] = (train, test)
    return ImageData(
        info.name,
        kept.train,
        kept.test,
        kept.spec(info),
        kept.fingerprint,
        title="MHIST" if published else f"{LAYOUT}, {mhist_table.subset(found)}",
        notes=() if published else (f"not the published data set: {describe(found)}",),
        columns=columns,
    )
