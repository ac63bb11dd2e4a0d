"""What a distiller is, and the bookkeeping all of them share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch

from clbench.codecs.pixels import RAW
from clbench.codecs.protocol import Codec
from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages, positions_by_class


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
        num_images: synthetic images, all classes together.
        num_known: images of other classes given as ``known``.
        num_known_classes: classes among these.
        coarse: the codec drops grey levels or detail (`Codec.coarse`).
    """

    num_real: int
    num_classes: int
    num_images: int
    num_known: int = 0
    num_known_classes: int = 0
    coarse: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """What a distiller is given.

    Attributes:
        real: images of an experience with hard labels.
        spec: their shape and normalisation.
        counts: class -> images wanted of it; every class of ``real``, and no other.
        generator: the only source of randomness.
        codec: what the images are stored by. What is learnt is its grid; a learner sees what is
            read back, see `clbench.distillation.decoding`.
        device: where to compute; the result comes back on the CPU.
        known: the images that memory holds of other classes; None where it holds none. Given to
            distillers that say ``uses_known = True``.
        on_update: progress of an iterative distiller.
        keep: work that is stopped, and what it learns from (experts), stays in the user's cache;
            the same job goes on there.
    """

    real: LabelledImages
    spec: ImageSpec
    counts: Mapping[int, int]
    generator: torch.Generator
    codec: Codec = RAW
    device: torch.device = torch.device("cpu")
    known: LabelledImages | None = None
    on_update: OnUpdate | None = None
    keep: bool = False

    @staticmethod
    def equal(real: LabelledImages, spec: ImageSpec, num: int, generator: torch.Generator) -> Job:
        """Return the job of ``num`` images of each class."""
        return Job(real, spec, dict.fromkeys(real.classes, num), generator)

    def replace(self, **changes: Any) -> Job:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def check_counts(self) -> None:
        """Refuse to keep more images than there are.

        Raises:
            InputError: naming the first class that is too small or was not counted.
        """
        labels = self.real.hard_labels
        if set(self.counts) != set(self.real.classes):
            name = self.spec.class_name
            raise InputError(
                f"counts: expected the classes {', '.join(map(name, self.real.classes))}, found "
                f"{', '.join(map(name, sorted(self.counts)))}"
            )
        there = {c: len(found) for c, found in positions_by_class(labels).items()}
        for c, wanted in self.counts.items():
            found = there[c]
            if not 1 <= wanted <= found:
                raise InputError(
                    f"{self.spec.class_name(c)}: expected 1 to {found} images to be wanted of its "
                    f"{found}, found "
                    f"{wanted}; change --images-per-class"
                )


@dataclass(frozen=True)
class Traits:
    """What a distiller says of itself by attributes of these names; what it does not say is False.

    Attributes:
        soft_labels: it gives soft labels.
        uses_known: it can use what is known of other classes (`Job.known`).
        uses_own: it can use images of the job's own classes among these: real ones that are stored
            beside what it learns.
        ordered: its first n images are those that it would give if n were wanted, as a choice of
            real images; it can be asked for more than fit.
        spare: where a codec's levels are counted it learns images of fewer bytes than real ones,
            and can be asked for so many times the number of real ones that fit.
    """

    soft_labels: bool = False
    uses_known: bool = False
    uses_own: bool = False
    ordered: bool = False
    spare: float = 1.0

    @staticmethod
    def of(distiller: object) -> Traits:
        """Return those of a distiller."""
        names = [field.name for field in dataclasses.fields(Traits)]
        return Traits(**{name: getattr(distiller, name, getattr(Traits, name)) for name in names})


class Distiller(Protocol):
    """A pure function of configuration and job; knows no stream and no memory.

    What else it says of itself, by attributes, is in `Traits`. One whose work is not that of its
    network may measure its own speed: ``rate(spec)``, see `clbench.distillation.pace`.
    """

    def distill(self, job: Job) -> LabelledImages:
        """Condense ``job.real`` to ``job.counts`` images of each class.

        Returns:
            Images in ascending order of class, of the spec's shape or of the codec's grid, in uint8
            or float32 on the 0..1 scale.

        Raises:
            InputError: a class has fewer images than are to be kept of it.
        """
        ...

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """Return the floating-point operations of one `distill` of so much."""
        ...
