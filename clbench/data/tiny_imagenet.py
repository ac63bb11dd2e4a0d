"""Tiny ImageNet (Le & Yang, 2015): ``ROOT/tiny-imagenet-200`` as ``tiny-imagenet-200.zip`` unpacks.

Training images are ``train/WNID/images/*.JPEG``. The labels of its test images were never given
out, so that its validation images, named by ``val/val_annotations.txt``, are the test images here,
as everywhere in the field. Classes are numbered in the order of their WordNet identifiers.
"""

from __future__ import annotations

import os
import stat
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from clbench.data import archives
from clbench.data.archives import ALTERNATIVE, Archive
from clbench.data.checks import plain_path, read_bytes, refuse
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, OnImage, Prepared, Status
from clbench.data.decoded import Decoded, Labelled, Listing, decoded
from clbench.data.downloading import fetch
from clbench.data.image_files import ImageRule
from clbench.errors import InputError

FOLDER = "tiny-imagenet-200"
RULE = ImageRule(("JPEG",), size=(64, 64))
_MAX_BYTES = 2 * 2**30  # of what the archive unpacks to; the real one takes 0.25 GB


@dataclass(frozen=True)
class TinyImageNet:
    """Reader of the unpacked folder; the archive is unpacked once.

    Attributes:
        archive: what the publishers hand out.
    """

    archive: Archive

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """What is there, without opening a file."""
        folder = root / FOLDER
        if (folder / "val" / "val_annotations.txt").is_file() and (folder / "train").is_dir():
            return "present"
        return "archives only" if (root / self.archive.name).is_file() else "missing"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Download the archive where it is missing, and unpack it.

        Raises:
            InputError: no network, a broken archive, or ``root`` cannot be written.
        """
        if self.status(info, root) == "present":
            return
        fetch(info.name, [self.archive], root, progress)
        self._unpack(info, root)

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """The folder's table and every image; the archive by its MD5 where it is there alone."""
        status, packed = self.status(info, root), root / self.archive.name
        if status == "missing":
            return [FileCheck(packed, False, self._missing(info))]
        if status == "archives only":
            try:
                archives.check_md5(packed, self.archive, info.name, trust=False)
            except InputError as error:
                return [FileCheck(packed, False, str(error).removeprefix(f"{packed}: "))]
            return [FileCheck(packed, True, "MD5 as expected")]
        try:
            found = listing(root / FOLDER, info)[0]
            kept = decoded(found, info.shape[1], trust=False)
        except InputError as error:
            file, _, message = str(error).partition(": ")
            return [FileCheck(Path(file), False, message)]
        whole = f"{len(found.all):,} images whole (no checksum is known of unpacked files)"
        return [FileCheck(root / FOLDER, True, whole), kept.check()]

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images as squares of the entry's size.

        Raises:
            InputError: the table or an image is missing or broken.
        """
        return self.prepare(info, root, None, None).data

    def prepare(
        self, info: DatasetInfo, root: Path, source: Path | None, on_image: OnImage | None
    ) -> Prepared:
        """Unpack the archive if need be, check every image and decode it.

        Raises:
            InputError: what is there is not whole; or a source, which is not taken.
        """
        if source is not None:
            raise InputError(
                f"{info.name}: expected no --from, found {source}; put {self.archive.name} or "
                f"{FOLDER}/ into {root}"
            )
        before = self.status(info, root)
        if before == "missing":
            raise InputError(f"{root / FOLDER}: {self._missing(info)}")
        if before == "archives only":
            self._unpack(info, root)
        found, names = listing(root / FOLDER, info)
        kept = decoded(found, info.shape[1], on_image)
        return Prepared(_data(info, kept, names), root / FOLDER, before != "present", kept.file)

    def _missing(self, info: DatasetInfo) -> str:
        return (
            f"missing; `clbench data fetch {info.name}` gets it, or put {self.archive.name} there, "
            f"{ALTERNATIVE}"
        )

    def _unpack(self, info: DatasetInfo, root: Path) -> None:
        """Unpack what is used, beside its place, and put it there by a rename."""
        packed = root / self.archive.name
        archives.check_md5(packed, self.archive, info.name)
        if (root / FOLDER).exists():
            raise InputError(
                f"{root / FOLDER}: expected train/ and val/ there, or no folder; remove it, and "
                f"{packed.name} is unpacked again"
            )
        try:
            with tempfile.TemporaryDirectory(dir=root, prefix=".clbench-") as temporary:
                with zipfile.ZipFile(packed) as archive:
                    _extract(archive, Path(temporary))
                (Path(temporary) / FOLDER).rename(root / FOLDER)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise InputError(f"{packed}: cannot be unpacked ({error}); fetch it again") from None


def _extract(archive: zipfile.ZipFile, target: Path) -> None:
    """The members of ``FOLDER/train``, ``FOLDER/val`` and ``FOLDER/*.txt``, inside ``target``."""
    members = [m for m in archive.infolist() if not m.is_dir() and _is_used(m)]
    if sum(member.file_size for member in members) > _MAX_BYTES:
        raise InputError(f"{archive.filename}: expected at most {_MAX_BYTES:,} bytes, found more")
    for member in members:
        archive.extract(member, target)


def _is_used(member: zipfile.ZipInfo) -> bool:
    parts = plain_path(member.filename).parts
    if stat.S_ISLNK(member.external_attr >> 16) or parts[0] != FOLDER:
        return False
    return parts[1] in ("train", "val") or (len(parts) == 2 and parts[1].endswith(".txt"))


def listing(folder: Path, info: DatasetInfo) -> tuple[Listing, tuple[str, ...]]:
    """The images below ``folder``, and the names of their classes; none is opened.

    Raises:
        InputError: other classes or other numbers of images than the entry's.
    """
    try:
        classes = sorted(e.name for e in os.scandir(folder / "train") if e.is_dir())
        if len(classes) != info.num_classes:
            raise InputError(
                f"{folder / 'train'}: expected {info.num_classes} folders, found {len(classes)}"
            )
        train = tuple(
            Labelled(f"train/{wnid}/images/{name}", number)
            for number, wnid in enumerate(classes)
            for name in sorted(e.name for e in os.scandir(folder / "train" / wnid / "images"))
            if name.endswith(".JPEG")
        )
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from None
    test = _annotated(folder, classes)
    for what, part, num in (("train", train, info.num_train), ("val", test, info.num_test)):
        if len(part) != num:
            raise InputError(
                f"{folder / what}: expected {num:,} images, found {len(part):,}; unpack the "
                "archive again"
            )
    return Listing(folder.resolve(), train, test, RULE), _words(folder, classes)


def _annotated(folder: Path, classes: list[str]) -> tuple[Labelled, ...]:
    """The rows of ``val_annotations.txt``: file, identifier, and a box that is not used."""
    place = "val/val_annotations.txt"
    try:
        lines = read_bytes(folder.resolve(), place).decode("utf-8", "replace").splitlines()
    except InputError as error:
        raise InputError(f"{folder / place}: {error}") from None
    number = {wnid: k for k, wnid in enumerate(classes)}
    found, faults = [], []
    for line, text in enumerate(lines, 1):
        name, _, rest = text.partition("\t")
        wnid = rest.partition("\t")[0]
        if wnid in number:
            found.append(Labelled(f"val/images/{name}", number[wnid]))
        else:
            faults.append(
                f"{folder / place}: line {line}: expected a file and one of the {len(classes)} "
                f"identifiers of train/, found {text[:60]!r}"
            )
    refuse(faults)
    return tuple(found)


def _words(folder: Path, classes: list[str]) -> tuple[str, ...]:
    """The first word for each identifier in ``words.txt``; the identifier where there is none."""
    if not (folder / "words.txt").is_file():
        return tuple(classes)
    text = read_bytes(folder.resolve(), "words.txt").decode("utf-8", "replace")
    rows = (line.partition("\t") for line in text.splitlines())
    words = {wnid: names.partition(",")[0].strip() for wnid, _, names in rows}
    return tuple(words.get(wnid) or wnid for wnid in classes)


def _data(info: DatasetInfo, kept: Decoded, names: tuple[str, ...]) -> ImageData:
    from dataclasses import replace

    spec = replace(kept.spec(info), class_names=names)
    return ImageData(info.name, kept.train, kept.test, spec, kept.fingerprint)
