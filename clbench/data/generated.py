"""Images of any number and size, made when asked for: ``generated:classes=K,images=N,side=S``.

For measuring what a stream of that size takes, and for trying a distiller on it. Every class has a
pattern of its own under noise, so that a network can tell them apart; nothing else can be learnt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from clbench.data.dataset import DatasetInfo, FileCheck, Status
from clbench.data.prefixes import GENERATED
from clbench.errors import InputError
from clbench.seeding import generator
from clbench.types import LabelledImages

_FORM = f"{GENERATED}classes=K,images=N,side=S[,channels=C][,test=M]"
_LIMITS = {
    "classes": (2, 10**5), "images": (1, 10**6), "side": (8, 1024), "channels": (1, 3),
    "test": (1, 10**6),
}  # fmt: skip
_TEST_PART = 5
_CELLS = 4  # a pattern is so many times so many cells


@dataclass(frozen=True)
class Generated:
    """Reader of what is made here.

    Attributes:
        classes: K.
        images: of each class, to train on.
        side: of an image, in pixels.
        channels: 1 or 3.
        test: images of each class to test on.
    """

    classes: int
    images: int
    side: int
    channels: int = 3
    test: int = 0

    @staticmethod
    def of(name: str) -> Generated:
        """Return what a name asks for; without ``test`` a fifth as many as to train on.

        Raises:
            InputError: another form, or a number out of its range.
        """
        parts = name.removeprefix(GENERATED).split(",")
        found = [re.fullmatch(r"(\w+)=(\d{1,9})", part) for part in parts]
        values = {match[1]: int(match[2]) for match in found if match}
        known = set(values) <= set(_LIMITS) and {"classes", "images", "side"} <= set(values)
        if not known or len(values) < len(parts):  # also one that is named twice
            raise InputError(f"expected {_FORM}, found {name!r}; name each once")
        for what, value in values.items():
            low, high = _LIMITS[what]
            if not low <= value <= high or (what == "channels" and value == 2):
                expected = "1 or 3" if what == "channels" else f"{low} to {high}"
                raise InputError(f"{name}: expected {what} of {expected}, found {value}")
        values.setdefault("test", max(1, values["images"] // _TEST_PART))
        return Generated(**values)

    @property
    def name(self) -> str:
        """The name that asks for this."""
        more = f",channels={self.channels},test={self.test}"
        return f"{GENERATED}classes={self.classes},images={self.images},side={self.side}{more}"

    def status(self, info: DatasetInfo, root: Path) -> Status:
        """Always there."""
        return "embedded"

    def fetch(self, info: DatasetInfo, root: Path, progress: bool) -> None:
        """Nothing to do."""

    def verify(self, info: DatasetInfo, root: Path) -> list[FileCheck]:
        """Nothing that could be broken."""
        return []

    def read(self, info: DatasetInfo, root: Path) -> tuple[LabelledImages, LabelledImages]:
        """Make both splits; the same name gives the same images."""
        return self._made("train", self.images), self._made("test", self.test)

    def _made(self, split: str, num: int) -> LabelledImages:
        shape = (self.channels, self.side, self.side)
        images = torch.empty(self.classes * num, *shape, dtype=torch.uint8)
        for c in range(self.classes):
            cells = torch.rand(1, self.channels, _CELLS, _CELLS, generator=generator(0, "cells", c))
            pattern = F.interpolate(255 * cells, (self.side, self.side))
            noise = torch.empty(num, *shape, dtype=torch.uint8)
            noise.random_(0, 256, generator=generator(0, "generated", split, c))
            images[c * num : (c + 1) * num] = ((pattern + noise) / 2).to(torch.uint8)
        return LabelledImages(images, torch.arange(self.classes).repeat_interleave(num))


def entry(name: str) -> DatasetInfo:
    """Return the entry of ``generated:...``.

    Raises:
        InputError: see `Generated.of`.
    """
    made = Generated.of(name)
    return DatasetInfo(
        name=name,
        title=f"{made.classes} generated classes",
        shape=(made.channels, made.side, made.side),
        num_classes=made.classes,
        num_train=made.classes * made.images,
        num_test=made.classes * made.test,
        # Of the mean of two uniform values, on the scale of pixels.
        mean=(0.5,) * made.channels,
        std=(0.204,) * made.channels,
        augmentation="crop",
        class_names=tuple(map(str, range(made.classes))),
        source="made by clbench",
        licence="none is needed",
        files=(),
        reader=made,
        embedded=True,
    )
