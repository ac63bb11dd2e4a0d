"""Images that belong together: of one patient, slide or site, never on both sides of a split.

Patches of one patient look alike, so that a network which has seen some of them knows the others:
a split that deals them out image by image measures memory, not generalisation (Bussola et al., "AI
Slipping on Tiles: Data Leakage in Digital Pathology", 2021).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clbench.errors import InputError

COLUMN = "group"  # of `clbench.data.ImageData.columns`
# No class gives more than so much of its images to the side that is held out, if that can be.
_MOST = 0.5


@dataclass(frozen=True)
class Held:
    """What `hold_out` chose.

    Attributes:
        groups: numbers of the groups that are held out.
        without: classes of which the held-out side, or the other one, has no image.
    """

    groups: frozenset[int]
    without: tuple[int, ...]


def by_pattern(names: Sequence[str], pattern: str) -> list[str]:
    """The group of each path: the first capture group of ``pattern``, looked for in the path.

    Raises:
        InputError: no regular expression, one without a capture group, or paths that it does not
            match: the first one, and how many more.
    """
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(
            f"group_pattern: expected a regular expression, found {pattern!r} ({error})"
        ) from None
    if not compiled.groups:
        raise InputError(
            f"group_pattern: expected a capture group that holds the patient, found none in "
            f"{pattern!r}; put the part of the path that names the patient into ( )"
        )
    found = [compiled.search(name) for name in names]
    odd = [name for name, match in zip(names, found, strict=True) if not (match and match[1])]
    if odd:
        more = f" and {len(odd) - 1:,} more" if len(odd) > 1 else ""
        raise InputError(
            f"group_pattern: expected {pattern!r} to find a group in every path, found none in "
            f"{odd[0]}{more}; change the pattern"
        )
    return [match[1] for match in found if match]


def in_order(names: Sequence[str], drawn: Callable[[str], str] | None = None) -> list[str]:
    """The groups, each once, in the order of their SHA-256: the same on every machine."""
    return sorted(set(names), key=drawn or digest_of)


def digest_of(name: str) -> str:
    """SHA-256 of a name, whatever bytes it has."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()


def hold_out(
    labels: Sequence[int], groups: Sequence[int], share: float, order: Sequence[int]
) -> Held:
    """Choose whole groups until about ``share`` of the images of each class is held out.

    From the rarest class to the most frequent one, groups are taken in ``order`` until the class
    has its share. A group that would take more than half of a class is passed over as long as
    others do, and one that would leave a class without an image on the other side always.

    Args:
        labels: class of each image.
        groups: group number of each image.
        share: part of the images of each class, 0..1.
        order: every group's number once.
    """
    classes = sorted(set(labels))
    column = {label: number for number, label in enumerate(classes)}
    counts = np.zeros((max(order) + 1, len(classes)), np.int64)
    np.add.at(counts, (np.asarray(groups), np.asarray([column[one] for one in labels])), 1)
    totals = counts.sum(0)
    held, chosen = np.zeros_like(totals), set[int]()
    for one in sorted(range(len(classes)), key=lambda c: (totals[c], c)):
        own = [group for group in order if counts[group, one]]
        for most in (_MOST, 1.0):
            wanted = max(1, round(share * int(totals[one]))) if most == _MOST else 1
            for group in own:
                if held[one] >= wanted:
                    break
                if group not in chosen and _leaves(counts[group], held, totals, most):
                    chosen.add(group)
                    held += counts[group]
    lacking = [label for label in classes if not 0 < held[column[label]] < totals[column[label]]]
    return Held(frozenset(chosen), tuple(lacking))


def _leaves(
    more: npt.NDArray[np.int64],
    held: npt.NDArray[np.int64],
    totals: npt.NDArray[np.int64],
    most: float,
) -> bool:
    """Whether every class that the group has keeps enough on the other side."""
    touched = more > 0
    after = (held + more)[touched]
    return bool(
        ((after < totals[touched]) & (after <= np.maximum(1, most * totals[touched]))).all()
    )


def refuse_both_sides(parts: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """Refuse a group that has images in two parts of a split.

    Args:
        parts: part -> (path, group) of each image.

    Raises:
        InputError: names the first such group, one path in each part, and how many more there are.
    """
    first: dict[str, tuple[str, str]] = {}  # group -> part, path
    both: dict[str, str] = {}
    for part, images in parts.items():
        for path, group in images:
            where, before = first.setdefault(group, (part, path))
            if where != part and group not in both:
                both[group] = f"{before} in {where} and {path} in {part}"
    if both:
        group, where = next(iter(both.items()))
        more = f" (and {len(both) - 1:,} more groups)" if len(both) > 1 else ""
        raise InputError(
            f"expected the images of a group in one part of the split, found group {group!r} in "
            f"two: {where}{more}; move its images together, or leave the split to clbench"
        )
