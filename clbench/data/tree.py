"""A tree of folders of the user's own: which are parts of a split, which are classes, what is none.

Nothing is guessed in silence. A folder whose name means something else than a class (a mask, a
part of a split) is asked about in one line; what is left out is counted in a note.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from clbench.data.checks import plain_path, refuse
from clbench.data.split_names import Split, hinted_splits, split_of
from clbench.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
IN_A_TABLE = "list the images in a CSV (path,label,split)"
# What systems and programs leave in folders; names that begin with a dot are hidden anyway.
_SYSTEM = {"__macosx", "__pycache__", "$recycle.bin", "system volume information", "lost+found",
           "@eadir", "thumbs.db", "desktop.ini"}  # fmt: skip
_IMAGES = re.compile(r"(?:raw|original)?[\W_]*(?:images?|imgs?|pictures?|photos?)", re.IGNORECASE)
_MASK = (
    r"(?:masks?|msks?|labels?|lbls?|annotations?|annots?|annotated|gts?|ground[ _-]?truths?|"
    r"segmentations?|segmented|segs?|overlays?|contours?|outlines?)"
)
_MASKS = re.compile(rf"(?:.*[\W\d_])?{_MASK}(?:[\W\d_].*)?", re.IGNORECASE | re.DOTALL)
# One of them is in every word of `_MASK`; most folders have none, and looking for them is quick.
_HINTS = ("mask", "msk", "label", "lbl", "annot", "gt", "ground", "seg", "overlay", "contour",
          "outline")  # fmt: skip
_TWIN = re.compile(rf"(.+?)[ _-]+{_MASK}(?:[ _-]?\d+)?", re.IGNORECASE | re.DOTALL)


class ClassFolder(NamedTuple):
    """One class's folder in one part of a split.

    Attributes:
        label: its class's name.
        split: the part it lies in, or None where there are no parts.
        images: paths of its images below the root, sorted.
        others: suffix -> number of files that are no images.
        passed_over: images outside the sub-folder that holds the class's images.
    """

    label: str
    split: Split | None
    images: list[str]
    others: Counter[str]
    passed_over: int


def class_folders(root: Path, images_in: str | None, notes: list[str]) -> list[ClassFolder]:
    """List the images of every class; opens none.

    Args:
        root: resolved folder.
        images_in: see `clbench.data.own_names.OwnOptions`.
        notes: what is left out is added.

    Raises:
        InputError: folders that mean something else than classes, or a class without an image.
    """
    if images_in is not None:
        images_in = str(plain_path(images_in))
    parts = _parts(root)
    found, loose = list[ClassFolder](), Counter[str]()
    for split, top in parts.items() if parts else [(None, "")]:
        folders, files = _entries(root, top)
        loose.update(_suffix(name) for name in files)
        for name in folders:
            path = f"{top}/{name}" if top else name
            found.append(_class(root, path, name, split, images_in))
    _refuse_what_is_no_class(found, images_in)
    if parts:
        beside = [name for name in _entries(root, "")[0] if name not in parts.values()]
        shown = " and ".join(f"{name}/" for name in parts.values())
        notes += [f"{name}/ beside {shown} was left out" for name in beside]
    _note_what_was_left_out(found, loose, images_in, notes)
    return found


def _parts(root: Path) -> dict[Split, str]:
    """Part of the split -> its folder; empty where the folders are classes.

    Raises:
        InputError: two folders of one part, parts that are missing, or classes beside parts.
    """
    folders, _ = _entries(root, "")
    parts: dict[Split, str] = {}
    for name in folders:
        split = split_of(name)
        if split is None:
            continue
        if split in parts:
            raise InputError(f"expected one folder of {split} images, found {parts[split]}/ and "
                             f"{name}/; put them together")  # fmt: skip
        parts[split] = name
    if not {"train", "test"} & set(parts):
        _refuse_hints(folders)
        return {}
    parts = {split: parts[split] for split in ("train", "test", "validation") if split in parts}
    _refuse_missing(parts)
    classes = [name for name in folders if name not in parts.values() and _has_images(root, name)]
    if classes:
        shown = " and ".join(f"{name}/" for name in parts.values())
        raise InputError(
            f"expected classes inside {shown}, found the folder {classes[0]}/ with images beside "
            f"them; move it into them or away, or {IN_A_TABLE} if {next(iter(parts.values()))} is "
            "a class"
        )
    return parts


def _refuse_hints(folders: Sequence[str]) -> None:
    hints = {name: hinted_splits(name) for name in folders}
    meant = set[str]().union(*hints.values())
    if "train" in meant and len(meant) > 1:
        names = [f"{name}/" for name, found in hints.items() if found]
        raise InputError(
            f"expected folders of classes, or train/, val/ and test/, found {' and '.join(names)}; "
            f"call them train, val and test, or {IN_A_TABLE} if they are classes"
        )


def _refuse_missing(parts: dict[Split, str]) -> None:
    there = " and ".join(f"{name}/" for name in parts.values())
    if "train" not in parts:
        raise InputError(f"expected train/ beside {there}, found none; add it, or {IN_A_TABLE}")
    if "test" in parts:
        return
    if "validation" in parts:
        val = parts["validation"]
        raise InputError(
            f"expected test/ beside {there}, found none; rename {val}/ to test/ to test on its "
            "images, or add test/"
        )
    raise InputError(f"expected test/ beside {there}, found none; add it, or put the folders of "
                     "the classes side by side")  # fmt: skip


def _has_images(root: Path, name: str) -> bool:
    _, files = _entries(root, name)
    return any(_suffix(file) in SUFFIXES for file in files)


def _entries(root: Path, top: str) -> tuple[list[str], list[str]]:
    """Names of folders and of files in one folder, sorted; hidden ones and a system's left out."""
    entries = sorted(_seen(os.scandir(root / top)), key=lambda entry: entry.name)
    folders = [entry.name for entry in entries if entry.is_dir()]
    return folders, [entry.name for entry in entries if not entry.is_dir()]


def _seen(entries: Iterable[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    for entry in entries:
        if not entry.name.startswith(".") and entry.name.casefold() not in _SYSTEM:
            yield entry


def _below(root: Path, top: str) -> Iterator[str]:
    """Paths of all files below a folder, sorted level by level."""
    # Not recursive: folders may be nested deeper than Python's stack.
    stack = [(top, True)]
    while stack:
        path, is_folder = stack.pop()
        if not is_folder:
            yield path
            continue
        full = root / path
        if full.is_symlink():
            raise InputError(f"expected a folder, found the link {full.name}; put the folder there")
        entries = sorted(_seen(os.scandir(full)), key=lambda entry: entry.name, reverse=True)
        stack += [(f"{path}/{entry.name}", entry.is_dir()) for entry in entries]


def _suffix(name: str) -> str:
    """As `pathlib`'s, which is slow for tens of thousands of names."""
    file = name.rpartition("/")[2]
    position = file.rfind(".")
    return file[position:].lower() if 0 < position < len(file) - 1 else ""


def _class(
    root: Path, path: str, label: str, split: Split | None, images_in: str | None
) -> ClassFolder:
    images, others, passed_over = list[str](), Counter[str](), 0
    for name in _below(root, path):
        if _suffix(name) not in SUFFIXES:
            others[_suffix(name)] += 1
        elif images_in is None or f"/{images_in}/" in name[len(path) :]:
            images.append(name)
        else:
            passed_over += 1
    return ClassFolder(label, split, images, others, passed_over)


def _refuse_what_is_no_class(found: Sequence[ClassFolder], images_in: str | None) -> None:
    labels = sorted({one.label for one in found})
    odd = [name for name in labels if _IMAGES.fullmatch(name) or _MASKS.fullmatch(name)]
    if odd and odd == labels:
        raise InputError(
            f"expected a folder for each class, found {' and '.join(f'{n}/' for n in odd)} alone, "
            f"which look like images and their masks; sort the images by class, or {IN_A_TABLE}"
        )
    refuse([line for one in found for line in _faults(one, images_in)])


def _faults(one: ClassFolder, images_in: str | None) -> Iterator[str]:
    where = f"{one.label!r}" if one.split is None else f"{one.label!r} in {one.split}"
    if not one.images:
        yield _nothing(one, where, images_in)
        return
    folders = list(dict.fromkeys(path for path in map(_folder, one.images) if path))
    start = len(PurePosixPath(_class_path(one)).parts)
    inner = list(dict.fromkeys(n for path in folders for n in PurePosixPath(path).parts[start:]))
    parts = [name for name in inner if split_of(name)]
    if parts:
        yield (
            f"expected images of the class {where}, found the parts {_listed(parts)} of a split "
            f"inside it; give the folder that train/ and test/ lie in, or {IN_A_TABLE}"
        )
    odd = [name for name in inner if _IMAGES.fullmatch(name) or _MASKS.fullmatch(name)]
    asked = [] if images_in is None else list(PurePosixPath(images_in).parts)
    odd = [name for name in odd if name not in asked]
    if odd:
        likely = next((name for name in odd if _IMAGES.fullmatch(name)), None)
        example = f"for example --images-in {likely}" if likely else "--images-in NAME"
        yield (
            f"expected images of the class {where}, found {_listed(odd)} inside it, which may hold "
            f"images or their masks; say which sub-folder holds the images ({example}), or move "
            "the masks away"
        )
    yield from _twins(one, where)


def _class_path(one: ClassFolder) -> str:
    """The class's folder, from the path of its first image."""
    parts = PurePosixPath(one.images[0]).parts
    return "/".join(parts[: 1 if one.split is None else 2])


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return " and ".join(f"{name}/" for name in names[:3]) + more


def _nothing(one: ClassFolder, where: str, images_in: str | None) -> str:
    if images_in is not None and one.passed_over:
        return (
            f"expected a sub-folder {images_in}/ with images in every class, found none in {where} "
            f"({one.passed_over:,} images elsewhere in it); choose another --images-in"
        )
    found = ", ".join(f"{num:,} {suffix or 'without suffix'}" for suffix, num in _most(one.others))
    return (
        f"expected images in every class's folder, found none in {where}"
        f"{f' (but {found})' if found else ''}; put images that end in {', '.join(SUFFIXES)} "
        "there, or take the folder away"
    )


def _twins(one: ClassFolder, where: str) -> Iterator[str]:
    """A mask that lies beside its image under the image's name."""
    text = "\n".join(one.images).lower()
    if not any(hint in text for hint in _HINTS):
        return
    stems = {name.rpartition(".")[0]: name for name in one.images}
    for stem, name in stems.items():
        folder, _, file = stem.rpartition("/")
        twin = _TWIN.fullmatch(file)
        if twin is not None and f"{folder}/{twin[1]}" in stems:
            yield (
                f"expected images of the class {where}, found {name} beside the image {twin[1]}, "
                "which looks like its mask; move the masks away, or list the images in a CSV "
                "(path,label)"
            )
            return


def _most(others: Counter[str]) -> list[tuple[str, int]]:
    return others.most_common(3)


def _note_what_was_left_out(
    found: Sequence[ClassFolder], loose: Counter[str], images_in: str | None, notes: list[str]
) -> None:
    others = sum((one.others for one in found), loose)
    num = others.total()
    if num:
        kinds = ", ".join(f"{count:,} {suffix or 'without suffix'}"
                          for suffix, count in _most(others))  # fmt: skip
        left = "1 file that is no image in a class's folder was left out"
        if num > 1:
            left = f"{num:,} files that are no images in a class's folder were left out"
        notes.append(f"{left} ({kinds}{', ...' if len(others) > 3 else ''})")
    passed_over = sum(one.passed_over for one in found)
    if images_in is not None:
        notes.append(f"images are those in {images_in}/ of each class; {passed_over:,} images "
                     "elsewhere were left out")  # fmt: skip
