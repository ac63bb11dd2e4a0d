"""What stands beside a distilled set in every evaluation: real images of equal bytes, and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from clbench.distillation import Job, make_distiller
from clbench.distillation.settings import DistillationConfig
from clbench.errors import InputError
from clbench.evaluation.protocol import Laboratory
from clbench.seeding import generator
from clbench.sets import DistilledSet
from clbench.types import ImageSpec, LabelledImages

FULL = "full data"


def slots_that_fit(real: LabelledImages, spec: ImageSpec, num_bytes: int, packing: int) -> int:
    """Slots per class of uint8 images that take at most ``num_bytes``, one at least.

    Where the data set has fewer images than fit, all are taken.
    """
    classes = real.classes
    fits = num_bytes // (len(classes) * spec.image_bytes)
    available = min(int((real.labels == c).sum()) for c in classes) // packing**2
    return max(1, min(fits, available))


def real_set(
    real: LabelledImages,
    spec: ImageSpec,
    *,
    method: str,
    num_bytes: int,
    packing: int,
    seed: int,
    draw: int,
) -> LabelledImages:
    """Real images in uint8 that take ``num_bytes``.

    Args:
        real: the training images.
        spec: what they look like.
        method: "random" or "herding".
        num_bytes: of the whole set.
        packing: F; each slot holds F x F images.
        seed: decides what is drawn.
        draw: which draw of this seed; the spread over draws is the luck of them.
    """
    job = Job(
        real,
        spec,
        slots_that_fit(real, spec, num_bytes, packing),
        generator(seed, f"{method}_set", packing, draw),
        packing=packing,
    )
    return make_distiller(DistillationConfig(distiller=method)).distill(job).quantised()


def title(method: str, packing: int) -> str:
    """What tables call such a set."""
    return f"{method} real" + (f", {packing} x {packing} per slot" if packing > 1 else "")


def sizes(sets: Sequence[LabelledImages]) -> list[tuple[int, int]]:
    """(bytes, packing) of the real sets that stand beside these, unpacked ones always among them.

    Raises:
        InputError: no sets.
    """
    if not sets:
        raise InputError("expected at least one set, found none")
    return sorted({(data.num_bytes, f) for data in sets for f in (1, data.packing)})


def subset(real: LabelledImages, num: int, *, seed: int) -> LabelledImages:
    """``num`` real images drawn at random (all of them where there are no more)."""
    order = torch.randperm(len(real), generator=generator(seed, "subset"))
    return real.select(order[:num])


def split(
    real: LabelledImages, share: float, *, seed: int
) -> tuple[LabelledImages, LabelledImages]:
    """``share`` of the real images, one at least, drawn at random, and the others."""
    order = torch.randperm(len(real), generator=generator(seed, "held_out"))
    num = max(1, round(share * len(real)))
    return real.select(order[:num]), real.select(order[num:].sort().values)


class Rows:
    """The sets, the random real images beside each size of them, and the full data.

    Attributes:
        sets: name to images; random images are drawn afresh for each network.
        rows: title to the names of the sets that the row's networks learn, one each; the full data
            are in no row.
        num_bytes: title to bytes of a set.
    """

    def __init__(
        self, sets: Mapping[str, DistilledSet], laboratory: Laboratory, num_networks: int
    ) -> None:
        """Draw the random sets.

        Raises:
            InputError: no sets, no networks, or a name that is taken.
        """
        real, spec, seed = laboratory.real, laboratory.spec, laboratory.seed
        if num_networks < 1:
            raise InputError(f"num_networks: expected at least 1, found {num_networks}")
        if FULL in sets:
            raise InputError(f"sets: the name {FULL!r} is taken by the data set; rename the set")
        self.sets = {name: one.images for name, one in sets.items()}
        self.rows: dict[str, list[str]] = {name: [name] * num_networks for name in sets}
        pairs = sizes(list(self.sets.values()))
        several = len({size for size, _ in pairs}) > 1
        for size, packing in pairs:
            row = title("random", packing) + (f", {size:,} bytes" if several else "")
            if row in self.rows:
                raise InputError(
                    f"sets: the name {row!r} is taken by random images; rename the set"
                )
            self.rows[row] = []
            for k in range(num_networks):
                drawn = real_set(
                    real, spec, method="random", num_bytes=size, packing=packing, seed=seed, draw=k
                )
                self.sets[f"{row} #{k}"] = drawn
                self.rows[row].append(f"{row} #{k}")
        self.sets[FULL] = real
        self.num_bytes = {row: self.sets[drawn[0]].num_bytes for row, drawn in self.rows.items()}
        self.num_bytes[FULL] = real.num_bytes
