"""What stands beside a distilled set in every evaluation: real images of equal bytes, and all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from clbench.codecs.pixels import RAW, Pixels
from clbench.codecs.protocol import Codec
from clbench.coded import CodedImages, in_grid
from clbench.distillation import Job, make_distiller
from clbench.distillation.filling import Share, fill
from clbench.distillation.settings import DistillationConfig
from clbench.errors import InputError
from clbench.evaluation.protocol import Laboratory
from clbench.seeding import generator
from clbench.sets import DistilledSet
from clbench.types import ImageSpec, LabelledImages

FULL = "full data"


def real_set(
    real: LabelledImages,
    spec: ImageSpec,
    *,
    method: str,
    num_bytes: int,
    codec: Codec,
    seed: int,
    draw: int,
) -> CodedImages:
    """Return real images that take at most ``num_bytes``, an equal share for each class.

    A class that has fewer images than fit gives all of them. Where not even one image of each class
    fits, one is taken, and the set is larger.

    Args:
        real: the training images.
        spec: what they look like.
        method: "random" or "herding".
        num_bytes: of the whole set.
        codec: writes them.
        seed: decides what is drawn.
        draw: which draw of this seed; the spread over draws is the luck of them.
    """
    stream = (f"{method}_set", _name_of_draw(codec), draw)
    job = Job(real, spec, {}, generator(seed, *stream))
    share = Share(spec, codec, num_bytes // len(real.classes))
    distiller = make_distiller(DistillationConfig(distiller=method))
    try:
        grid = fill(distiller, job, share, generator(seed, "filling", *stream))
    except InputError:
        one = dict.fromkeys(real.classes, 1)
        grid = in_grid(distiller.distill(job.replace(counts=one, codec=codec)), codec, spec.shape)
    return CodedImages.of(grid, codec, spec.shape)


def _name_of_draw(codec: Codec) -> str | int:
    """The factor of tiles, 1 of raw pixels, as 0.1 drew; the name of other codecs."""
    if type(codec) is not Pixels or codec.floats:
        return codec.name
    return codec.factor


def title(method: str, codec: Codec) -> str:
    """Return what tables call such a set."""
    return f"{method} real" + ("" if codec.name == RAW.name else f", {codec.name}")


def sizes(sets: Sequence[CodedImages], num_classes: int) -> list[tuple[int, Codec]]:
    """Return (bytes, codec) of the real sets that are shown beside these.

    Each set meets real images of its own codec, and raw ones where one of each class fits.

    Raises:
        InputError: no sets.
    """
    if not sets:
        raise InputError("expected at least one set, found none")
    found: dict[tuple[int, str], Codec] = {}
    for one in sets:
        found[one.num_bytes, one.codec.name] = one.codec
        if one.num_bytes // num_classes >= math.prod(one.shape):
            found[one.num_bytes, RAW.name] = RAW
    order = sorted(found, key=lambda pair: (pair[0], pair[1] != RAW.name, pair[1]))
    return [(size, found[size, name]) for size, name in order]


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
        coded: name to a set as it is stored; random images are drawn afresh for each network.
        sets: name to images, those of the full data among them.
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
        self.coded = {name: one.coded for name, one in sets.items()}
        self.rows: dict[str, list[str]] = {name: [name] * num_networks for name in sets}
        pairs = sizes(list(self.coded.values()), len(real.classes))
        several = len({size for size, _ in pairs}) > 1
        for size, codec in pairs:
            row = title("random", codec) + (f", {size:,} bytes" if several else "")
            if row in self.rows:
                raise InputError(
                    f"sets: the name {row!r} is taken by random images; rename the set"
                )
            self.rows[row] = []
            for k in range(num_networks):
                drawn = real_set(
                    real, spec, method="random", num_bytes=size, codec=codec, seed=seed, draw=k
                )
                self.coded[f"{row} #{k}"] = drawn
                self.rows[row].append(f"{row} #{k}")
        self.sets = {name: one.images for name, one in self.coded.items()}
        self.sets[FULL] = real
        self.num_bytes = {row: self.coded[drawn[0]].num_bytes for row, drawn in self.rows.items()}
        self.num_bytes[FULL] = real.num_bytes
