"""What a distiller is, and the bookkeeping all of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from clbench.types import ImageSpec, InputError, LabelledImages

OnUpdate = Callable[[int, int, float], None]
"""Called after each update with its number (from 1), their total, and the loss."""


class Distiller(Protocol):
    """A pure function of configuration, input and generator; knows no stream and no memory."""

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

    def flops(self, spec: ImageSpec, *, num_real: int, num_classes: int, num_images: int) -> float:
        """Floating-point operations of one `distill`.

        Args:
            spec: shape of the images.
            num_real: real images given.
            num_classes: classes among them.
            num_images: decoded synthetic images, all classes together.
        """
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
