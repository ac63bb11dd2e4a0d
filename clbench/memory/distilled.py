"""A memory that a distiller fills: each experience becomes a few images of each of its classes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Unpack

import torch

from clbench.distillation import Distiller, Job, OnUpdate, Workload, make_distiller
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.updates import UpdateLog
from clbench.errors import InputError
from clbench.memory.books import Capacity, ImageMemory
from clbench.memory.cache import CachedDistiller, DistillationRecord
from clbench.seeding import generator
from clbench.store.store import Store
from clbench.types import ImageSpec, LabelledImages


class DistilledMemory(ImageMemory):
    """images_per_class slots of every class seen, condensed from the experience that brought it.

    It grows with the classes and is at full capacity when all have been seen. A class that comes
    back in a later experience keeps its number of slots; they are shared between old and new in
    proportion to the images they stand for: of n slots, round(n * old / (old + new)) of the old
    ones stay, chosen at random, and the rest is condensed from the new data.
    """

    def __init__(
        self,
        distiller: Distiller | DistillationConfig,
        spec: ImageSpec,
        *,
        device: torch.device | str = "cpu",
        cache: bool | Path = False,
        on_update: OnUpdate | None = None,
        **capacity: Unpack[Capacity],
    ) -> None:
        """Set up the memory.

        Args:
            distiller: a `Distiller`, or the configuration of one. One that gives soft labels
                declares it by an attribute ``soft_labels = True``; one that says ``uses_known =
                True`` is given what memory holds of classes other than those to be distilled.
            spec: see `ImageMemory`.
            device: where to distil.
            cache: keep distilled sets on disk and take them from there when the same work was done
                before: True for the user's cache directory, or a directory. Needs a configuration.
            on_update: called with every `Update` while distilling.
            capacity: images_per_class, capacity_bytes, packing, storage, seed: see `ImageMemory`.

        Raises:
            InputError: as `ImageMemory`; an unknown distiller; a cache without a configuration.
        """
        made: Distiller
        if isinstance(distiller, DistillationConfig):
            made = make_distiller(distiller)
            if cache:
                store = Store(cache if isinstance(cache, Path) else None)
                made = CachedDistiller(made, distiller, store)
        elif cache:
            raise InputError("cache: expected a DistillationConfig to name the work by, found none")
        else:
            made = distiller
        super().__init__(spec, soft_labels=bool(getattr(made, "soft_labels", False)), **capacity)
        self.distiller, self.device = made, torch.device(device)
        self.keep = bool(cache)
        self.on_update = on_update
        self.distillations: list[DistillationRecord] = []

    def _condense(self, data: LabelledImages) -> LabelledImages:
        staying = self._staying(data)
        fresh = {
            c: self.images_per_class - int((staying.hard_labels == c).sum()) for c in data.classes
        }
        parts = [staying] if len(staying) else []
        records = []
        # Classes that need equally many slots are condensed together: normally all of them.
        for num in sorted(set(fresh.values()) - {0}):
            classes = [c for c, wanted in fresh.items() if wanted == num]
            slots, record = self._distil(data.of_class(*classes), num)
            parts.append(self.stored(slots))
            records.append(record)
        self.distillations.append(DistillationRecord.total(records))
        return LabelledImages.concatenate(parts)

    def _staying(self, data: LabelledImages) -> LabelledImages:
        """All slots but those of returning classes that the new data is to replace."""
        held = self._held
        keep = torch.ones(len(held), dtype=torch.bool)
        rng = generator(self.seed, "memory", self.num_experiences)
        for c in data.classes:
            slots = (held.hard_labels == c).nonzero().flatten()
            old, new = self.num_seen.get(c, 0), int((data.labels == c).sum())
            share = min(len(slots), round(self.images_per_class * old / (old + new)))
            keep[slots[torch.randperm(len(slots), generator=rng)[share:]]] = False
        return held.select(keep)

    def _distil(
        self, real: LabelledImages, images_per_class: int
    ) -> tuple[LabelledImages, DistillationRecord]:
        log = UpdateLog(self.on_update)
        job = Job(
            real,
            self.spec,
            images_per_class,
            generator(self.seed, "distillation", self.num_experiences),
            packing=self.packing,
            device=self.device,
            known=self._known(real) if self.tells_known else None,
            on_update=log,
            keep=self.keep,
        )
        start = time.perf_counter()
        slots = self.distiller.distill(job)
        seconds = time.perf_counter() - start
        slots.require_finite()
        work = Workload(
            num_real=len(real),
            num_classes=len(real.classes),
            num_images=len(slots) * self.packing**2,
            num_known=0 if job.known is None else len(job.known.decoded()),
            num_known_classes=0 if job.known is None else len(job.known.classes),
        )
        flops = self.distiller.flops(self.spec, work)
        record = DistillationRecord.of(log, flops=flops, seconds=seconds)
        if isinstance(self.distiller, CachedDistiller):
            record = self.distiller.corrected(record)
        return slots, record

    @property
    def tells_known(self) -> bool:
        """The distiller learns against what memory holds."""
        return bool(getattr(self.distiller, "uses_known", False))

    def _known(self, real: LabelledImages) -> LabelledImages | None:
        """The slots held of classes that ``real`` has not; None where there are none."""
        others = [c for c in self._held.classes if c not in real.classes]
        return self._held.of_class(*others) if others else None

    def _shrunk(self) -> LabelledImages:
        held = self._held
        rng = generator(self.seed, "resize", self.num_experiences)
        parts = []
        for c in held.classes:
            slots = (held.hard_labels == c).nonzero().flatten()
            order = torch.randperm(len(slots), generator=rng)[: self.images_per_class]
            parts.append(slots[order.sort().values])
        return held.select(torch.cat(parts)) if parts else held

    def state_dict(self) -> dict[str, Any]:
        """See `ImageMemory.state_dict`; also what distilling cost."""
        records = [record.to_dict() for record in self.distillations]
        return {**super().state_dict(), "distillations": records}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ImageMemory.load_state_dict`."""
        super().load_state_dict(state)
        self.distillations = [DistillationRecord.from_dict(r) for r in state["distillations"]]
