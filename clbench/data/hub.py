"""Hugging Face data sets: ``hf:FOLDER`` that ``save_to_disk`` wrote, or ``hf:NAME`` of the hub.

The image and the label are found by their types: the one column of type Image, and the one of type
ClassLabel. Images are decoded by clbench's own reader, with its limits. Nothing is unpickled and no
code of a data set ever runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from clbench.data import kept_pixels
from clbench.data.dataset import DatasetInfo, FileCheck, ImageData, Status
from clbench.data.image_files import ImageRule, decode, header
from clbench.data.kept_pixels import Block, Kept, Split, Work
from clbench.data.prefixes import HUB
from clbench.errors import InputError

SIDE, TEST_SHARE = 32, 5
RULE = ImageRule(("PNG", "JPEG", "BMP", "WEBP", "TIFF"))
_TEST, _VALIDATION = ("test",), ("validation", "valid", "val", "dev")
_ROWS = 100


def entry(name: str) -> DatasetInfo:
    """The entry of ``hf:NAME``; what is on the hub is downloaded to Hugging Face's own cache.

    Raises:
        InputError: the package is missing, there is no such data set, or it is not one of images
            with one class each.
    """
    splits = _opened(name)
    columns = _columns(name, splits["train"].features)
    parts, notes = _parts(columns[1], splits)
    label = splits["train"].features[columns[1]]
    reader = HubImages(tuple(parts.items()), columns, tuple(notes))
    counts = {split: reader.count(split) for split in kept_pixels.SPLITS}
    return DatasetInfo(
        name=name,
        title=f"Hugging Face {name.removeprefix(HUB)}",
        # Channels are known once the images are.
        shape=(3, SIDE, SIDE),
        num_classes=label.num_classes,
        num_train=counts["train"],
        num_test=counts["test"],
        mean=(),
        std=(),
        # Whether a mirror image is of the same class, only its owners know.
        augmentation="color_crop_cutout_scale_rotate",
        class_names=tuple(map(str, label.names)),
        source=(splits["train"].info.citation or name).strip().split("\n")[0],
        licence=splits["train"].info.license or "see its card",
        files=(),
        reader=reader,
        scalable=True,
        num_validation=counts["validation"],
    )


def _opened(name: str) -> dict[str, Any]:
    place = name.removeprefix(HUB)
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{name}: needs the package datasets; install it with pip install 'clbench[hf]'"
        ) from None
    if not place:
        raise InputError(f"expected {HUB}NAME or {HUB}FOLDER, found {name!r}")
    folder = Path(place).expanduser()
    try:
        if (folder / "dataset_dict.json").is_file():
            found = dict(datasets.load_from_disk(str(folder)))
        elif folder.is_dir():
            raise InputError(f"{folder}: expected what save_to_disk of a DatasetDict wrote, found "
                             "another folder; see folder:PATH for folders of images")  # fmt: skip
        elif place.startswith((".", "/", "~")):
            raise InputError(f"{folder}: expected a folder, found nothing; check the path")
        else:
            found = _downloaded(place)
    except InputError:
        raise
    # The package raises whatever a broken folder or a missing network makes it stumble over.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{name}: cannot be opened ({reason}); check the name and the network, or save it with "
            "save_to_disk where there is one and name the folder"
        ) from None
    if "train" not in found:
        raise InputError(f"{name}: expected a split train, found {', '.join(map(str, found))}")
    return found


@lru_cache(maxsize=8)
def _downloaded(place: str) -> dict[str, Any]:
    """The splits of a data set on the hub, asked for once in a process."""
    import datasets

    return dict(datasets.load_dataset(place, trust_remote_code=False))


def _columns(name: str, features: Any) -> tuple[str, str]:
    """The names of the image's and of the label's column.

    Raises:
        InputError: none or several.
    """
    import datasets

    chosen = []
    for kind in (datasets.Image, datasets.ClassLabel):
        columns = [c for c, feature in features.items() if isinstance(feature, kind)]
        if len(columns) != 1:
            found = ", ".join(columns) or "none"
            raise InputError(
                f"{name}: expected one column of type {kind.__name__}, found {found}; of the "
                "columns keep one of that type (select_columns, cast_column) and save it again"
            )
        chosen.append(columns[0])
    return chosen[0], chosen[1]


def _parts(label: str, splits: dict[str, Any]) -> tuple[dict[Split, Any], list[str]]:
    """The data of each of our splits; without one for testing, a fifth of the training images."""
    test, validation = (
        next((splits[key] for key in keys if key in splits and _labelled(splits[key], label)), None)
        for keys in (_TEST, _VALIDATION)
    )
    parts: dict[Split, Any] = {"train": splits["train"]}
    if test is not None:
        if validation is not None:
            parts["validation"] = validation
        parts["test"] = test
        return parts, []
    if validation is not None:
        return {**parts, "test": validation}, ["its validation images serve as test images"]
    return parts, [
        f"no test split was given: 1 in {TEST_SHARE} images of each class, the first by the "
        "SHA-256 of their files, are test images"
    ]


def _labelled(part: Any, label: str) -> bool:
    """Whether its labels were given out: -1 stands for one that was not."""
    return len(part) > 0 and -1 not in part[label]


@dataclass(frozen=True, eq=False)
class HubImages:
    """Reader of a data set that was opened already.

    Attributes:
        parts: split and the opened data set; ``train`` alone is split when it is read.
        columns: names of the image's and of the label's column.
        notes: see `ImageData`.
    """

    parts: tuple[tuple[Split, Any], ...]
    columns: tuple[str, str]
    notes: tuple[str, ...]

    def count(self, split: Split) -> int:
        """Images of a split."""
        found = dict(self.parts)
        if len(found) > 1:
            return len(found[split]) if split in found else 0
        if split == "validation":
            return 0
        labels = np.asarray(found["train"][self.columns[1]])
        num_test = sum(_num_test(n) for n in np.unique(labels, return_counts=True)[1].tolist())
        return num_test if split == "test" else len(labels) - num_test

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """There: it has been opened."""
        return "present"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Nothing to do."""

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """Every image, and the kept pixels."""
        place = Path(info.name.removeprefix(HUB))
        try:
            found = self._kept(info, trust=False)
        except InputError as error:
            return [FileCheck(place, False, str(error))]
        num = info.num_train + info.num_validation + info.num_test
        return [FileCheck(place, True, f"{num:,} images whole"), found.check()]

    def read(self, info: DatasetInfo, root: Path) -> ImageData:
        """The images as squares of the entry's size.

        Raises:
            InputError: an image is broken, transparent or not within the data set.
        """
        found = self._kept(info).data(info)
        return ImageData(
            found.name, found.train, found.test, found.spec, found.fingerprint,
            notes=self.notes, validation=found.validation,
        )  # fmt: skip

    def _kept(self, info: DatasetInfo, trust: bool = True) -> Kept:
        files = [Path(f["filename"]) for _, part in self.parts for f in part.cache_files]
        # An opened part may be a choice among the rows of its files.
        names = [part._fingerprint for _, part in self.parts]
        what = f"{self.columns} {names} {info.shape} {info.num_classes}"
        return kept_pixels.kept(Work(what, files, lambda: self._blocks(info), __name__), trust)

    def _blocks(self, info: DatasetInfo) -> Iterator[Block]:
        parts = dict(self.parts)
        grey = all(
            header(c, RULE).grey for part in parts.values() for c, _ in self._rows(info, part)
        )
        channels, side = 1 if grey else 3, info.shape[1]
        if len(parts) == 1:
            is_test = self._drawn(info, parts["train"])
            for split, wanted in (("train", False), ("test", True)):
                chosen = parts["train"].select(np.flatnonzero(is_test == wanted))
                yield from self._decoded(info, split, chosen, channels, side)  # type: ignore[arg-type]
            return
        for split in kept_pixels.SPLITS:
            if split in parts:
                yield from self._decoded(info, split, parts[split], channels, side)

    def _decoded(
        self, info: DatasetInfo, split: Split, part: Any, channels: int, side: int
    ) -> Iterator[Block]:
        pixels, labels = [], []
        for number, (content, label) in enumerate(self._rows(info, part)):
            try:
                pixels.append(decode(content, RULE, channels, side))
            except InputError as error:
                raise InputError(f"{info.name}: image {number} of {split}: {error}") from None
            labels.append(label)
            if len(pixels) == _ROWS or number + 1 == len(part):
                yield Block(split, np.stack(pixels), np.array(labels))
                pixels, labels = [], []

    def _drawn(self, info: DatasetInfo, part: Any) -> Any:
        """(N,) True for the test images: of each class the first by their files' SHA-256."""
        rows = [
            (label, hashlib.sha256(content).hexdigest(), number)
            for number, (content, label) in enumerate(self._rows(info, part))
        ]
        is_test = np.zeros(len(rows), dtype=bool)
        for label in {row[0] for row in rows}:
            members = sorted(row[1:] for row in rows if row[0] == label)
            is_test[[number for _, number in members[: _num_test(len(members))]]] = True
        return is_test

    def _rows(self, info: DatasetInfo, part: Any) -> Iterator[tuple[bytes, int]]:
        """The file of each image and its label.

        Raises:
            InputError: an image that is not within the data set, or has no label.
        """
        import datasets

        image, label = self.columns
        plain = part.select_columns([image, label]).cast_column(image, datasets.Image(decode=False))
        for number, row in enumerate(plain):
            content, own = row[image] and row[image]["bytes"], row[label]
            if not isinstance(content, bytes):
                raise InputError(
                    f"{info.name}: image {number}: expected its bytes in the data set, found a "
                    "path or nothing; save it with its images embedded"
                )
            if own is None or not 0 <= own < info.num_classes:
                raise InputError(
                    f"{info.name}: image {number}: expected a label of 0 to {info.num_classes - 1},"
                    f" found {own}"
                )
            yield content, own


def _num_test(num: int) -> int:
    return max(1, round(num / TEST_SHARE))
