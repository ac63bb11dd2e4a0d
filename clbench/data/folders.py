"""Images of the user's own: a tree of folders, one for each class, or a table of paths and labels.

``folder:PATH`` names one. PATH is a folder with ``train/CLASS/*`` and ``test/CLASS/*``, or with
``CLASS/*`` alone, or a CSV with the columns path, label and perhaps split. Where nothing says which
images are for testing, a fifth of each class is: the first by the SHA-256 of their names, so the
same ones on every machine, whatever their dates. Classes are in alphabetical order, numbers by
their value.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from clbench.data.checks import plain_path, read_bytes, refuse
from clbench.data.csv_table import read_table
from clbench.data.decoded import Labelled, Listing
from clbench.data.image_files import ImageRule
from clbench.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
RULE = ImageRule(("PNG", "JPEG", "BMP", "WEBP", "TIFF"))
TEST_SHARE = 5
_SPLITS = ("train", "test")


class Found(NamedTuple):
    """One image file of the user's.

    Attributes:
        name: path below the root.
        label: its class's name.
        split: "train", "test", or "" where nothing says.
    """

    name: str
    label: str
    split: str


@dataclass(frozen=True)
class Folder:
    """What lies in a folder, or what a table names, before an image is opened.

    Attributes:
        listing: the files, labels as positions in ``class_names``.
        class_names: K names.
        notes: what a reader of results must know: a split of our own, files left out.
    """

    listing: Listing
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def scan(path: Path) -> Folder:
    """List the images of a folder or a CSV; opens no image.

    Raises:
        InputError: no such place, no images, classes that lack some, or paths that lead out.
    """
    try:
        if path.is_dir():
            root, notes = path.resolve(), list[str]()
            found = list(_tree(root, notes))
        elif path.is_file():
            root, notes = path.resolve().parent, list[str]()
            found = _table(root, path.name)
        else:
            raise InputError("expected a folder or a CSV of images, found nothing; check the path")
        found = _split(found, notes)
        return _checked(root, found, notes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def _tree(root: Path, notes: list[str]) -> Iterator[Found]:
    parts = [name for name in _SPLITS if (root / name).is_dir()]
    if parts == ["test"] or parts == ["train"]:
        missing = "test" if parts == ["train"] else "train"
        raise InputError(f"expected {missing}/ beside {parts[0]}/, found none; add it, or put the "
                         "folders of the classes side by side")  # fmt: skip
    left_out = 0
    for part in parts or [""]:
        top = root / part
        for entry in sorted(os.scandir(top), key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            if not entry.is_dir():
                left_out += 1
                continue
            names = [file.relative_to(root).as_posix() for file in _files(Path(entry.path))]
            images = [n for n in names if PurePosixPath(n).suffix.lower() in SUFFIXES]
            left_out += len(names) - len(images)
            yield from (Found(name, entry.name, part) for name in images)
    if parts:
        others = sorted(e.name for e in os.scandir(root) if e.is_dir() and e.name not in parts)
        notes += [f"{name}/ beside train/ and test/ was left out" for name in others]
    if left_out:
        notes.append(f"{left_out:,} files that are no images in a class's folder were left out")


def _files(folder: Path) -> Iterator[Path]:
    """All files below, sorted, hidden ones left out."""
    if folder.is_symlink():
        raise InputError(f"expected a folder, found the link {folder.name}; put the folder there")
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)


def _table(root: Path, name: str) -> list[Found]:
    if PurePosixPath(name).suffix.lower() != ".csv":
        raise InputError("expected a folder or a file that ends in .csv, found another file")
    found, faults, lines = [], [], dict[str, int]()
    for row in read_table(read_bytes(root, name), ("path", "label"), ("split",)):
        try:
            file, label = str(plain_path(row.values["path"])), row.values["label"]
            split = row.values.get("split", "")
            if not label:
                raise InputError(f"expected a label for {file}, found none")
            if "split" in row.values and split not in _SPLITS:
                raise InputError(f"expected the split train or test, found {split!r}")
            first = lines.setdefault(file, row.line)
            if first != row.line:
                raise InputError(f"expected every path once, found {file} again after line {first}")
            found.append(Found(file, label, split))
        except InputError as error:
            faults.append(f"line {row.line}: {error}")
    refuse(faults)
    return found


def _split(found: list[Found], notes: list[str]) -> list[Found]:
    """The same with a split for everyone."""
    if not found or found[0].split:
        return found
    notes.append(
        f"no split was given: 1 in {TEST_SHARE} images of each class, the first by the SHA-256 of "
        "their names, are test images"
    )
    by_label: dict[str, list[Found]] = {}
    for image in found:
        by_label.setdefault(image.label, []).append(image)
    test: set[str] = set()
    for images in by_label.values():
        names = sorted((image.name for image in images), key=_drawn)
        test.update(names[: max(1, round(len(names) / TEST_SHARE))])
    return [image._replace(split=_SPLITS[image.name in test]) for image in found]


def _drawn(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def _checked(root: Path, found: list[Found], notes: list[str]) -> Folder:
    if not found:
        raise InputError(
            "expected images below folders of classes (CLASS/*.png, or train/CLASS/* and "
            f"test/CLASS/*), found none that end in {', '.join(SUFFIXES)}"
        )
    names = _in_order({image.label for image in found})
    if len(names) < 2:
        raise InputError(f"expected images of 2 or more classes, found {names[0]!r} alone")
    there = {(image.split, image.label) for image in found}
    refuse(
        [
            f"expected images of every class in train and in test, found none of {name!r} in "
            f"{split}; add some or take the class away"
            for name in names
            for split in _SPLITS
            if (split, name) not in there
        ]
    )
    position = {name: number for number, name in enumerate(names)}
    train, test = (
        tuple(Labelled(i.name, position[i.label]) for i in found if i.split == split)
        for split in _SPLITS
    )
    return Folder(Listing(root, train, test, RULE), tuple(names), tuple(notes))


def _in_order(names: Iterable[str]) -> list[str]:
    """By value where all are numbers, else by alphabet."""
    names = sorted(names)
    return sorted(names, key=int) if all(n.isascii() and n.isdigit() for n in names) else names
