"""What a distiller is, and the bookkeeping all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch

from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages


@dataclass(frozen=True)
class Update:
    """What a distiller tells while it works.

    Attributes:
        number: of this update within its phase, from 1; 0 for one that tells a note alone.
        total: updates of the phase.
        loss: of this update.
        phase: "distil" moves the images; "difficulty" trains the networks that judge real images;
            "experts" trains those whose trajectories are matched; "start" matches distributions
            before trajectories are.
        scalars: what else is worth a curve, by name (``step_size``, ``start_snapshot``).
        images: the images as they are now, every so often; else None.
        seconds_saved: wall time of the original work that a cache spared this distillation so far.
        note: what the report must say of this distillation; mostly empty.
    """

    number: int
    total: int
    loss: float
    phase: Literal["distil", "difficulty", "experts", "start"] = "distil"
    scalars: Mapping[str, float] = field(default_factory=dict)
    images: LabelledImages | None = None
    seconds_saved: float = 0.0
    note: str = ""


OnUpdate = Callable[[Update], None]
"""Called after each update."""


@dataclass(frozen=True)
class Workload:
    """How much one `Distiller.distill` is given and makes.

    Attributes:
        num_real: real images given.
        num_classes: classes among them.
        num_images: decoded synthetic images, all classes together.
        num_known: decoded images of other classes given as ``known``.
        num_known_classes: classes among these.
    """

    num_real: int
    num_classes: int
    num_images: int
    num_known: int = 0
    num_known_classes: int = 0


class Distiller(Protocol):
    """A pure function of configuration, input and generator; knows no stream and no memory.

    A distiller that gives soft labels says so by an attribute ``soft_labels = True``. One that can
    use what is already known of other classes says ``uses_known = True``; it is then also given
    ``known``, `LabelledImages` of other classes (what memory holds), packed or not. One that goes
    on where the same work was stopped says ``keep = True``
    (`clbench.distillation.unfinished.Unfinished` does the keeping).
    """

    def distill(
        self,
        real: LabelledImages,
        spec: ImageSpec,
        *,
        images_per_class: int,
        packing: int,
        generator: torch.Generator,
        device: torch.device,
        on_update: OnUpdate | None = None,
    ) -> LabelledImages:
        """Condense ``real`` to ``images_per_class`` slots of each class present in it.

        Args:
            real: unpacked images with hard labels.
            spec: shape and normalisation.
            images_per_class: slots per class; each holds ``packing**2`` images.
            packing: F, see `clbench.packing`.
            generator: the only source of randomness.
            device: where to compute; the result comes back on the CPU.
            on_update: progress of an iterative distiller.

        Returns:
            Slots in ascending order of class, uint8 or float32 on the 0..1 scale.

        Raises:
            InputError: a class has fewer images than are to be kept of it.
        """
        ...

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Floating-point operations of one `distill` of so much."""
        ...


def check_counts(real: LabelledImages, images_per_class: int, packing: int) -> None:
    """Refuse to keep more images than there are.

    Raises:
        InputError: naming the first class that is too small.
    """
    wanted = images_per_class * packing**2
    labels = real.hard_labels
    for c in real.classes:
        found = int((labels == c).sum())
        if found < wanted:
            raise InputError(
                f"expected at least {wanted} images of class {c} (images_per_class "
                f"{images_per_class} x packing {packing} squared), found {found}; "
                "lower --images-per-class or --packing"
            )
