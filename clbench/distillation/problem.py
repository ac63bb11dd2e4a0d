"""The classification that an experience poses to those who learn it alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from clbench.types import ImageSpec, LabelledImages


@dataclass(frozen=True)
class Problem:
    """The classification that experts and students learn; labels 0 to K - 1 of its own.

    Attributes:
        images: what experts train on: all real images, and negatives repeated until a class of them
            has as many as a real one.
        real: the part of it that is to be distilled.
        negatives: images of other classes that students learn beside the synthetic ones.
        spec: with the number of classes at hand.
        classes: class of the outside world at each label.
        outside: number of classes of the outside world.
    """

    images: LabelledImages
    real: LabelledImages
    negatives: LabelledImages | None
    spec: ImageSpec
    classes: tuple[int, ...]
    outside: int

    @staticmethod
    def make(
        real: LabelledImages, spec: ImageSpec, known: LabelledImages | None, device: torch.device
    ) -> Problem:
        """The problem of an experience, and of what is known of other classes where it is given."""
        classes = tuple(sorted({*real.classes, *(known.classes if known is not None else ())}))
        own = dataclasses.replace(spec, num_classes=len(classes), class_names=())
        here = _relabelled(real, classes).to(device)
        if known is None:
            return Problem(here, here, None, own, classes, spec.num_classes)
        negatives = _relabelled(known.quantised(), classes).to(device)
        per_class = len(here) / len(here.classes)
        times = repeats(per_class, len(negatives), len(negatives.classes))
        images = LabelledImages.concatenate([here.quantised(), *[negatives] * times])
        return Problem(images, here, negatives, own, classes, spec.num_classes)

    def own_counts(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Return counts of the outside world's classes by their labels here."""
        return {self.classes.index(c): num for c, num in counts.items()}


def repeats(per_class: float, num_known: int, num_known_classes: int) -> int:
    """How often experts see the known images, so that their classes are as large as real ones."""
    return max(1, round(per_class * num_known_classes / num_known))


def _relabelled(data: LabelledImages, classes: tuple[int, ...]) -> LabelledImages:
    wanted = torch.tensor(classes, device=data.labels.device)
    return LabelledImages(data.images, torch.searchsorted(wanted, data.hard_labels))
