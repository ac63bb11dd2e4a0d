"""MHIST's table: which image is of which class, how annotators voted, and in which part it belongs.

Wei et al., "A Petri Dish for Histopathology Image Analysis", AIME 2021, arXiv 2101.12355: seven
pathologists voted on each image for hyperplastic polyp (HP) or sessile serrated adenoma (SSA); the
majority is its label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from clbench.data.checks import plain_path, refuse
from clbench.data.csv_table import Row, read_table
from clbench.errors import InputError

FILE = "annotations.csv"
CLASSES = ("HP", "SSA")
PARTITIONS = ("train", "test")
NUM_ANNOTATORS = 7
VOTES = "Number of Annotators who Selected SSA (Out of 7)"
COLUMNS = ("Image Name", "Majority Vote Label", VOTES, "Partition")
# Partition and class -> images, of the data set as it is published.
PUBLISHED = {
    ("train", "HP"): 1545,
    ("train", "SSA"): 630,
    ("test", "HP"): 617,
    ("test", "SSA"): 360,
}
NUM_PUBLISHED = sum(PUBLISHED.values())


class Annotation(NamedTuple):
    """One row.

    Attributes:
        image: file name.
        label: "HP" or "SSA".
        votes: annotators, of 7, who selected SSA.
        partition: "train" or "test".
    """

    image: str
    label: str
    votes: int
    partition: str

    @property
    def agreement(self) -> int:
        """How many of the 7 annotators are of the majority's opinion, 4 to 7."""
        return max(self.votes, NUM_ANNOTATORS - self.votes)


def parse(content: bytes) -> list[Annotation]:
    """The rows of ``annotations.csv``, in its order.

    Raises:
        InputError: one line: the first fault, and how many more there are.
    """
    found: list[Annotation] = []
    faults: list[str] = []
    lines: dict[str, int] = {}
    for row in read_table(content, COLUMNS):
        try:
            annotation = _annotation(row)
            first = lines.setdefault(annotation.image, row.line)
            if first != row.line:
                raise InputError(f"expected every image once, found {annotation.image} a second "
                                 f"time, after line {first}")  # fmt: skip
            found.append(annotation)
        except InputError as error:
            faults.append(f"line {row.line}: {error}")
    refuse(faults)
    _check_parts(found)
    return found


def _annotation(row: Row) -> Annotation:
    name, label, votes, partition = (row.values[column] for column in COLUMNS)
    path = plain_path(name)
    if len(path.parts) != 1 or path.suffix.lower() != ".png":
        raise InputError(f"expected the name of a PNG file in images/, found {name!r}")
    if label not in CLASSES:
        raise InputError(f"expected the label HP or SSA, found {label!r}")
    if votes not in tuple("01234567"):
        raise InputError(f"expected a whole number of votes from 0 to 7, found {votes!r}")
    if partition not in PARTITIONS:
        raise InputError(f"expected the partition train or test, found {partition!r}")
    majority = CLASSES[int(votes) > NUM_ANNOTATORS // 2]
    if label != majority:
        raise InputError(
            f"expected the label {majority}, the majority of {votes} of 7 votes for SSA, found "
            f"{label} for {name}"
        )
    return Annotation(str(PurePosixPath(name)), label, int(votes), partition)


def _check_parts(found: Sequence[Annotation]) -> None:
    num = counts(found)
    for partition in PARTITIONS:
        for label in CLASSES:
            if not num[partition, label]:
                there = sum(num[partition, other] for other in CLASSES)
                raise InputError(
                    f"expected images of HP and SSA in train and in test, found none of {label} "
                    f"among the {there:,} of {partition}; add some"
                )


def counts(found: Sequence[Annotation]) -> Counter[tuple[str, str]]:
    """Images of each partition and class."""
    return Counter((image.partition, image.label) for image in found)


def is_published(found: Sequence[Annotation]) -> bool:
    """Whether these are as many images, of each part and class, as the published data set has."""
    return counts(found) == PUBLISHED


def subset(found: Sequence[Annotation]) -> str:
    """What to call images that are in MHIST's layout but are not the published data set."""
    if len(found) < NUM_PUBLISHED:
        return f"subset ({len(found):,} of {NUM_PUBLISHED:,} images)"
    return f"other images ({len(found):,}, in other parts than the published {NUM_PUBLISHED:,})"
