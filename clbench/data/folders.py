"""Images of the user's own: a tree of folders, one for each class, or a table of paths and labels.

``folder:PATH`` names one. PATH is a folder with ``train/CLASS/*`` and ``test/CLASS/*`` (and perhaps
``val/CLASS/*``), or with ``CLASS/*`` alone, or a CSV with the columns path, label and perhaps split
and group. Where nothing says which images are for testing, a fifth of each class is: the first by
the SHA-256 of their names, so the same ones on every machine, whatever their dates; where groups
are known, whole groups by the SHA-256 of theirs. Classes are in alphabetical order, numbers by
their value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from clbench.data import groups
from clbench.data.checks import opened, plain_path, refuse
from clbench.data.csv_table import read_table
from clbench.data.decoded import Labelled, Listing
from clbench.data.image_files import ImageRule
from clbench.data.own_names import OwnOptions
from clbench.data.split_names import split_of
from clbench.data.tree import SUFFIXES, class_folders
from clbench.errors import InputError

RULE = ImageRule(("PNG", "JPEG", "BMP", "WEBP", "TIFF"), first_of_two=True)
TEST_SHARE = 5


class Found(NamedTuple):
    """One image file of the user's.

    Attributes:
        name: path below the root.
        label: its class's name.
        split: "train", "validation", "test", or "" where nothing says.
        group: the patient, slide or site that it comes from, or "".
    """

    name: str
    label: str
    split: str
    group: str = ""


@dataclass(frozen=True)
class Folder:
    """What lies in a folder, or what a table names, before an image is opened.

    Attributes:
        listing: the files, labels as positions in ``class_names``.
        class_names: K names.
        notes: what a reader of results must know: a split of our own, files left out.
        groups: group number of each training and of each test image; empty where none are known.
    """

    listing: Listing
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...] = ()


def scan(path: Path, options: OwnOptions | None = None) -> Folder:
    """List the images of a folder or a CSV; opens no image.

    Raises:
        InputError: no such place, no images, classes that lack some, or paths that lead out.
    """
    options, notes = options or OwnOptions(), list[str]()
    try:
        if path.is_dir():
            root = path.resolve()
            found = _tree(root, options, notes)
        elif path.is_file():
            root = path.resolve().parent
            found = _table(root, path.name, options)
        else:
            raise InputError("expected a folder or a CSV of images, found nothing; check the path")
        found = _split(_grouped(found, options), notes)
        return _checked(root, found, notes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def _tree(root: Path, options: OwnOptions, notes: list[str]) -> list[Found]:
    return [
        Found(name, one.label, one.split or "")
        for one in class_folders(root, options.images_in, notes)
        for name in one.images
    ]


def _table(root: Path, name: str, options: OwnOptions) -> list[Found]:
    if PurePosixPath(name).suffix.lower() != ".csv":
        raise InputError("expected a folder or a file that ends in .csv, found another file")
    if options.images_in is not None:
        raise InputError("images_in: expected a folder of classes, found a table, which names its "
                         "images itself; leave it out")  # fmt: skip
    found, faults, lines = [], [], dict[str, int]()
    with opened(root, name) as file:
        rows = read_table(file, ("path", "label"), ("split", "group"))
    for row in rows:
        try:
            image = _row(row.values)
            first = lines.setdefault(image.name, row.line)
            if first != row.line:
                raise InputError(
                    f"expected every path once, found {image.name} again after line {first}"
                )
            found.append(image)
        except InputError as error:
            faults.append(f"line {row.line}: {error}")
    refuse(faults)
    return found


def _row(values: dict[str, str]) -> Found:
    file, label = str(plain_path(values["path"])), values["label"]
    if not label:
        raise InputError(f"expected a label for {file}, found none")
    split = split_of(values["split"]) if "split" in values else ""
    if split is None:
        raise InputError(f"expected the split train, val or test, found {values['split']!r}")
    if not values.get("group", "-"):
        raise InputError(f"expected a group for {file}, found none")
    return Found(file, label, split, values.get("group", ""))


def _grouped(found: list[Found], options: OwnOptions) -> list[Found]:
    """The same with the groups that the pattern finds; refuses groups on two sides of a split."""
    if options.group_pattern is not None and found:
        if found[0].group:
            raise InputError("group_pattern: expected a table without a column group, found one; "
                             "leave the pattern out")  # fmt: skip
        names = groups.by_pattern([image.name for image in found], options.group_pattern)
        found = [i._replace(group=group) for i, group in zip(found, names, strict=True)]
    if found and found[0].group and found[0].split:
        parts: dict[str, list[tuple[str, str]]] = {}
        for image in found:
            parts.setdefault(image.split, []).append((image.name, image.group))
        groups.refuse_both_sides(parts)
    return found


def _split(found: list[Found], notes: list[str]) -> list[Found]:
    """The same with a split for everyone."""
    if not found or found[0].split:
        return found
    by_label: dict[str, list[Found]] = {}
    for image in found:
        by_label.setdefault(image.label, []).append(image)
    refuse(
        [
            f"expected 2 or more images of every class, one to learn and one to test, found 1 of "
            f"{label!r}; add some, put train/ and test/ above the classes, or take the class away"
            for label, images in by_label.items()
            if len(images) < 2
        ]
    )
    if found[0].group:
        return _split_by_group(found, notes)
    notes.append(
        f"no split was given: 1 in {TEST_SHARE} images of each class, the first by the SHA-256 of "
        "their names, are test images"
    )
    test: set[str] = set()
    for images in by_label.values():
        names = sorted((image.name for image in images), key=groups.digest_of)
        test.update(names[: max(1, round(len(names) / TEST_SHARE))])
    return [
        Found(name, label, "test" if name in test else "train", group)
        for name, label, _, group in found
    ]


def _split_by_group(found: list[Found], notes: list[str]) -> list[Found]:
    labels, order = sorted({i.label for i in found}), groups.in_order([i.group for i in found])
    label_of = {name: number for number, name in enumerate(labels)}
    group_of = {name: number for number, name in enumerate(order)}
    held = groups.hold_out(
        [label_of[i.label] for i in found],
        [group_of[i.group] for i in found],
        1 / TEST_SHARE,
        range(len(order)),
    )
    refuse(
        [
            f"expected groups of which some can be tested and others learnt in every class, found "
            f"too few of {labels[c]!r} ({len({i.group for i in found if i.label == labels[c]})}); "
            "add images of others, or take the class away"
            for c in held.without
        ]
    )
    notes.append(
        f"no split was given: {len(held.groups):,} of {len(order):,} groups, with about 1 in "
        f"{TEST_SHARE} images of each class, the first by the SHA-256 of their names, are test "
        "images; no group is on both sides"
    )
    return [
        image._replace(split="test" if group_of[image.group] in held.groups else "train")
        for image in found
    ]


def _checked(root: Path, found: Sequence[Found], notes: list[str]) -> Folder:
    if not found:
        raise InputError(
            "expected images below folders of classes (CLASS/*.png, or train/CLASS/* and "
            f"test/CLASS/*), found none that end in {', '.join(SUFFIXES)}"
        )
    names = _in_order({image.label for image in found})
    if len(names) < 2:
        raise InputError(f"expected images of 2 or more classes, found {names[0]!r} alone; give "
                         "the folder that the classes' folders lie in")  # fmt: skip
    there = {(image.split, image.label) for image in found}
    splits = [
        "train",
        "test",
        *(["validation"] if any(s == "validation" for s, _ in there) else ()),
    ]
    refuse(
        [
            f"expected images of every class in {' and in '.join(splits)}, found none of {name!r} "
            f"in {split}; add some or take the class away"
            for name in names
            for split in splits
            if (split, name) not in there
        ]
    )
    parts = {s: [image for image in found if image.split == s] for s in splits}
    position = {name: number for number, name in enumerate(names)}
    listed = {
        s: tuple(Labelled(i.name, position[i.label]) for i in part) for s, part in parts.items()
    }
    listing = Listing(root, listed["train"], listed["test"], RULE, listed.get("validation", ()))
    return Folder(listing, tuple(names), tuple(notes), _numbered(parts))


def _numbered(parts: dict[str, list[Found]]) -> tuple[tuple[int, ...], ...]:
    """Numbers of the groups of training and of test images; by name, so the same everywhere."""
    if not parts["train"][0].group:
        return ()
    known = sorted({image.group for part in parts.values() for image in part})
    number = {name: position for position, name in enumerate(known)}
    return tuple(tuple(number[i.group] for i in parts[s]) for s in ("train", "test"))


def _in_order(names: Iterable[str]) -> list[str]:
    """By value where all are numbers, else by alphabet."""
    names = sorted(names)
    if not all(n.isascii() and n.isdigit() for n in names):
        return names
    # Python refuses to read a number of thousands of digits.
    return sorted(names, key=lambda n: (len(n.lstrip("0")), n.lstrip("0")))
