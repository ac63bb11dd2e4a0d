"""As many images as a share of bytes holds: how many to ask a distiller for, and what fits of them.

Where every image takes the same bytes, the number is known. Otherwise random real images are
written first, to see how many of them fit. A choice of real images is asked for more than that and
cut where the share is full. Other images are learnt in that number, or in more where the distiller
keeps their bytes low (its ``spare``); the last ones are dropped where they do not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from clbench.codecs.fitting import num_that_fit
from clbench.codecs.protocol import Codec, Levelled
from clbench.coded import LABEL_BYTES, empty, enlarged, in_grid
from clbench.distillation.protocol import Distiller, Job, Traits, Update
from clbench.distillation.selection.distiller import Herding
from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages, positions_by_class

FIRST_LOOK = 32  # images written to see how many may fit
WORTH_TELLING = 0.2  # part of the real images that would fit, by which learnt ones are fewer
SPARE = 1.25  # asked of a choice of real images, times the number of random ones that fit


@dataclass(frozen=True)
class Share:
    """What there is room for.

    Attributes:
        spec: what images look like.
        codec: writes them.
        num_bytes: of each class.
        label_bytes: of one image's soft label.
        before: class -> pixels in the codec's grid that the share holds already.
        capacity: of all classes, for people; None is the sum of their shares.
    """

    spec: ImageSpec
    codec: Codec
    num_bytes: int
    label_bytes: int = 0
    before: Mapping[int, Tensor] = field(default_factory=dict)
    capacity: int | None = None

    @property
    def num_images(self) -> int:
        """Images of a class, roughly where that depends on their pixels.

        Eight times as many as raw pixels: between a photograph's file and a digit's levels.
        """
        each = self.codec.image_bytes(self.spec.shape)
        if each is None:
            return max(1, 8 * self.num_bytes // self.spec.image_bytes)
        return self.num_bytes // (each + self.label_bytes)

    def fitting(self, grid_NChw: Tensor, c: int) -> int:
        """Return how many of the images, in their order, fit beside those of class ``c``."""
        before = self.before.get(c)
        each = self.codec.image_bytes(self.spec.shape)
        if each is not None:
            held = 0 if before is None else len(before)
            room = self.num_bytes // (each + self.label_bytes) - held
            return max(0, min(len(grid_NChw), room))
        return num_that_fit(
            self.codec, grid_NChw, self.num_bytes, each=self.label_bytes, before=before
        )

    def counts(self, real: LabelledImages, rng: torch.Generator) -> dict[int, int]:
        """Return how many random real images of each class fit; 0 where nothing more does.

        Raises:
            InputError: not even one image fits into an empty share.
        """
        found = {}
        for c, members in positions_by_class(real.hard_labels.cpu()).items():
            if self.codec.image_bytes(self.spec.shape) is not None:
                # Nothing is drawn: the number is known.
                found[c] = self.fitting(members, c)
            else:
                order = members[torch.randperm(len(members), generator=rng)]
                found[c] = self._tried(real, order, c)
            if not found[c] and not len(self.before.get(c, ())):
                self._refuse(real, int(members[0]))
        return found

    def _tried(self, real: LabelledImages, order: Tensor, c: int) -> int:
        look, num = FIRST_LOOK, 0
        while True:
            grid = self.codec.reduced(real.images[order[:look].to(real.images.device)])
            num = self.fitting(grid, c)
            if num < len(grid) or look >= len(order):
                return num
            used = len(self.codec.encode(grid)) + self.label_bytes * len(grid)
            look = max(2 * look, int(1.2 * look * self.num_bytes / used))

    def _refuse(self, real: LabelledImages, index: int) -> None:
        image = real.select(torch.tensor([index]))
        one = len(self.codec.encode(in_grid(image, self.codec, self.spec.shape).images))
        least = (one + self.label_bytes) * self.spec.num_classes
        found = self.num_bytes * self.spec.num_classes if self.capacity is None else self.capacity
        raise InputError(too_small(self.codec, self.spec, found, least))


def too_small(codec: Codec, spec: ImageSpec, found: int, least: int) -> str:
    """Return the line that says how many bytes are needed at least, and were found."""
    return (
        f"capacity_bytes: expected at least {least:,} bytes, one image of the codec {codec.name} "
        f"for each of {spec.num_classes} classes, found {found:,}; raise --memory-bytes or choose "
        "a smaller codec (clbench list codecs)"
    )


def fill_both(
    distiller: Distiller, job: Job, share: Share, rng: torch.Generator, *, real_share: float
) -> LabelledImages:
    """Fill a part of each share with herded real images, and the rest with distilled ones.

    A hybrid memory, as in "Hybrid Memory Replay", arXiv 2410.15372; here both parts lie in one
    stream. The real ones are among what is known to a distiller that says ``uses_own = True``.

    Args:
        distiller: makes the rest.
        job: see `fill`.
        share: of each class.
        rng: see `fill`.
        real_share: the part of a share's bytes that real images take; 0 is `fill`, and so is any
            where the distiller chooses real images itself.
    """
    if not real_share or Traits.of(distiller).ordered:
        return fill(distiller, job, share, rng)
    part = replace(share, num_bytes=int(share.num_bytes * real_share))
    try:
        real = fill(Herding(), job, part, rng)
    except InputError:
        # Not one image fits into the part; whether one fits into the whole is seen below.
        real = empty(share.codec, share.spec.shape)
    held = {c: own.images for c, own in real.by_class().items()}
    before = {c: torch.cat([share.before[c], new]) if c in share.before else new
              for c, new in held.items()}  # fmt: skip
    if Traits.of(distiller).uses_own and len(real):
        shown = enlarged(real.to("cpu"), share.codec, share.spec.shape).as_floats()
        known = [shown] if job.known is None else [job.known.to("cpu").as_floats(), shown]
        job = job.replace(known=LabelledImages.concatenate(known))
    made = fill(distiller, job, replace(share, before={**share.before, **before}), rng)
    if len(made) and made.images.is_floating_point():
        real = real.as_floats()
    both = (real.by_class(), made.by_class())
    parts = [one[c] for c in job.real.classes for one in both if c in one]
    return LabelledImages.concatenate(parts) if parts else made


def fill(distiller: Distiller, job: Job, share: Share, rng: torch.Generator) -> LabelledImages:
    """Condense ``job.real`` to as many images of each class as its share holds.

    Args:
        distiller: makes them.
        job: its counts are replaced.
        share: of each class.
        rng: draws the real images that tell how many may fit, apart from the job's generator.

    Returns:
        Images in the codec's grid, ascending by class; no more than fit. A class that is small
        gives all its images.

    Raises:
        InputError: no room for one image of each class.
    """
    wanted = share.counts(job.real, rng)
    ordered = Traits.of(distiller).ordered
    if not any(wanted.values()):
        return empty(share.codec, share.spec.shape)
    spare = SPARE if ordered else 1.0
    if isinstance(share.codec, Levelled):
        spare = max(spare, Traits.of(distiller).spare)
    fitting = sum(wanted.values())  # real images
    if spare > 1 and share.codec.image_bytes(share.spec.shape) is None:
        there, more = positions_by_class(job.real.hard_labels), 4 if ordered else 0
        wanted = {c: min(len(there[c]), int(spare * num) + more) for c, num in wanted.items()}
    classes = [c for c, num in wanted.items() if num]
    counts = {c: wanted[c] for c in classes}
    real = job.real.of_class(*classes) if len(classes) < len(wanted) else job.real
    made = distiller.distill(job.replace(real=real, counts=counts, codec=share.codec))
    made.require_finite()
    grid = in_grid(made, share.codec, share.spec.shape)
    parts = []
    for c, mine in grid.by_class().items():
        parts.append(mine.select(torch.arange(share.fitting(mine.images, c))))
    kept = LabelledImages.concatenate(parts)
    if job.on_update is not None and not ordered and len(kept) < (1 - WORTH_TELLING) * fitting:
        job.on_update(Update(0, 0, 0.0, note=outgrown(len(grid) - len(kept), len(grid))))
    return kept


def outgrown(dropped: int, num: int) -> str:
    """Return what is said of learnt images that take more bytes than real ones."""
    return (
        f"{dropped} of {num} learnt images were dropped: they take more bytes than real ones; "
        "fewer or smaller steps (--image-learning-rate, --kernel-num-updates) keep more"
    )


def label_bytes(distiller: Distiller, spec: ImageSpec) -> int:
    """Return the bytes of one image's soft label; 0 where the distiller gives hard ones."""
    return LABEL_BYTES * spec.num_classes if Traits.of(distiller).soft_labels else 0
