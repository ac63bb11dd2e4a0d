"""Distilled sets kept on disk, so that no learner waits for work that was done before.

Replay and GDumb of one seed, and every learner of a comparison, use the same distilled sets: a
distiller is a pure function of its configuration, its input and its generator. Those, and the
software that computed, name the file.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from clbench.distillation import Distiller, OnUpdate, Update, Workload
from clbench.distillation.updates import UpdateLog, plain
from clbench.distillation.work import work_name
from clbench.errors import InputError
from clbench.types import ImageSpec, LabelledImages

# Choosing real images is faster than reading them back.
_WORTH_KEEPING_SECONDS = 1.0


@dataclass(frozen=True)
class DistillationRecord:
    """What condensing one experience took.

    Attributes:
        losses: one per update of the images; empty where nothing is optimised.
        flops: floating-point operations.
        seconds: wall time; that of the original work where it, or part of it, came from a cache.
        from_cache: taken from disk.
        scalars: other curves by name, one value per update that told it.
        notes: what the report must say of it.
    """

    losses: tuple[float, ...] = ()
    flops: float = 0.0
    seconds: float = 0.0
    from_cache: bool = False
    scalars: dict[str, tuple[float, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @staticmethod
    def of(log: UpdateLog, *, flops: float, seconds: float) -> DistillationRecord:
        """The record of one distillation that took ``seconds`` of wall time here."""
        scalars = {name: tuple(curve) for name, curve in log.scalars.items()}
        return DistillationRecord(
            tuple(log.losses),
            flops,
            seconds + log.seconds_saved,
            scalars=scalars,
            notes=tuple(log.notes),
        )

    @staticmethod
    def total(records: Sequence[DistillationRecord]) -> DistillationRecord:
        """Several pieces of work as one; from the cache if all of them are."""
        names = dict.fromkeys(name for record in records for name in record.scalars)
        return DistillationRecord(
            tuple(loss for record in records for loss in record.losses),
            sum(record.flops for record in records),
            sum(record.seconds for record in records),
            bool(records) and all(record.from_cache for record in records),
            {name: tuple(v for r in records for v in r.scalars.get(name, ())) for name in names},
            tuple(dict.fromkeys(note for record in records for note in record.notes)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON."""
        scalars = {name: list(curve) for name, curve in self.scalars.items()}
        listed = {"losses": list(self.losses), "scalars": scalars, "notes": list(self.notes)}
        return {**asdict(self), **listed}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> DistillationRecord:
        """Inverse of `to_dict`; scalars and notes may be absent, as they once were."""
        scalars = {name: tuple(curve) for name, curve in values.get("scalars", {}).items()}
        losses, notes = tuple(values["losses"]), tuple(values.get("notes", ()))
        return DistillationRecord(
            **{**values, "losses": losses, "scalars": scalars, "notes": notes}
        )


class CachedDistiller:
    """A `Distiller` that looks on disk first.

    On a hit the recorded updates of the images are reported again, with loss, scalars and notes but
    without images: how they looked on the way is not kept. The generator is left where it was. A
    cache that cannot be read or written costs a warning, never a run.
    """

    def __init__(self, distiller: Distiller, identity: dict[str, Any], directory: Path) -> None:
        """Wrap ``distiller``.

        Args:
            distiller: does the work on a miss.
            identity: its whole configuration, JSON values.
            directory: where the sets are kept; made when needed.
        """
        self.distiller, self.identity, self.directory = distiller, identity, directory
        self.soft_labels = bool(getattr(distiller, "soft_labels", False))
        self.uses_known = bool(getattr(distiller, "uses_known", False))
        self._hit: float | None = None

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
        known: LabelledImages | None = None,
    ) -> LabelledImages:
        """See `Distiller.distill`; ``known`` counts where the distiller can use it."""
        extra: dict[str, Any] = {"known": known} if self.uses_known else {}
        name = work_name(
            self.identity,
            type(self.distiller),
            real,
            spec,
            images_per_class=images_per_class,
            packing=packing,
            generator=generator,
            device=device,
            **extra,
        )
        path = self.directory / f"{name}.safetensors"
        found = self._read(path)
        if found is not None:
            slots, metadata = found
            self._hit = float(metadata["seconds"])
            for values in json.loads(metadata["updates"]):
                if on_update is not None:
                    on_update(Update(**values))
            return slots
        log = UpdateLog(on_update)
        start = time.perf_counter()
        slots = self.distiller.distill(
            real,
            spec,
            images_per_class=images_per_class,
            packing=packing,
            generator=generator,
            device=device,
            on_update=log,
            **extra,
        )
        seconds = time.perf_counter() - start + log.seconds_saved
        self._hit = None
        if slots.is_finite and (log.losses or seconds > _WORTH_KEEPING_SECONDS):
            updates = json.dumps([plain(update) for update in log.told])
            try:
                slots.save(path, {"updates": updates, "seconds": repr(seconds)})
            except OSError as error:
                warnings.warn(f"distilled set not cached: {error}", stacklevel=2)
        return slots

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """See `Distiller.flops`: those of the work, whenever it was done."""
        return self.distiller.flops(spec, workload)

    def corrected(self, record: DistillationRecord) -> DistillationRecord:
        """The record of the last `distill`, with the seconds of the original work on a hit."""
        if self._hit is None:
            return record
        return replace(record, seconds=self._hit, from_cache=True)

    def _read(self, path: Path) -> tuple[LabelledImages, dict[str, str]] | None:
        if not path.is_file():
            return None
        try:
            return LabelledImages.load(path)
        except InputError:
            warnings.warn(f"broken file in the cache of distilled sets: {path}", stacklevel=3)
            return None
