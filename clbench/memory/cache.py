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
from typing import Any

from clbench.distillation import (
    DISTILLERS,
    DistillationConfig,
    Distiller,
    Job,
    Update,
    Workload,
)
from clbench.distillation.protocol import Traits
from clbench.distillation.updates import UpdateLog, plain
from clbench.distillation.work import work_name
from clbench.store.store import Store
from clbench.types import ImageSpec, LabelledImages

KIND = "distilled"  # of entries in the store
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

    def __init__(self, distiller: Distiller, config: DistillationConfig, store: Store) -> None:
        """Wrap ``distiller``.

        Args:
            distiller: does the work on a miss.
            config: its whole configuration.
            store: where the sets are kept.
        """
        self.distiller, self.config, self.store = distiller, config, store
        # It says of itself what the one inside says.
        vars(self).update(asdict(Traits.of(distiller)))
        self._hit: float | None = None

    def distill(self, job: Job) -> LabelledImages:
        """See `Distiller.distill`; of several processes that ask for one set, one makes it."""
        name = work_name(self.config, type(self.distiller), job)
        if not DISTILLERS.find(self.config.distiller).needs_network:
            return self._found_or_made(name, job)
        with self.store.lock(KIND, name):
            return self._found_or_made(name, job)

    def _found_or_made(self, name: str, job: Job) -> LabelledImages:
        found = self._read(name)
        if found is not None:
            images, updates, self._hit = found
            for update in updates:
                if job.on_update is not None:
                    job.on_update(update)
            return images
        log = UpdateLog(job.on_update)
        start = time.perf_counter()
        images = self.distiller.distill(job.replace(on_update=log))
        seconds = time.perf_counter() - start + log.seconds_saved
        self._hit = None
        if images.is_finite and (log.losses or seconds > _WORTH_KEEPING_SECONDS):
            updates_told = json.dumps([plain(update) for update in log.told])
            about = {"updates": updates_told, "seconds": repr(seconds)}
            self.store.write(KIND, name, images.to_bytes(about))
        return images

    def flops(self, spec: ImageSpec, workload: Workload) -> float:
        """See `Distiller.flops`: those of the work, whenever it was done."""
        return self.distiller.flops(spec, workload)

    def corrected(self, record: DistillationRecord) -> DistillationRecord:
        """The record of the last `distill`, with the seconds of the original work on a hit."""
        if self._hit is None:
            return record
        return replace(record, seconds=self._hit, from_cache=True)

    def _read(self, name: str) -> tuple[LabelledImages, list[Update], float] | None:
        content = self.store.read(KIND, name)
        if content is None:
            return None
        try:
            images, about = LabelledImages.from_bytes(content)
            updates = [Update(**values) for values in json.loads(about["updates"])]
            return images, updates, float(about["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            place = self.store.path_of(KIND, name)
            warnings.warn(f"{place}: not to be believed ({error}); made again", stacklevel=4)
            return None
