"""A memory that a distiller fills: each experience becomes a few images of each of its classes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch

from clbench.distillation import Distiller, Job, OnUpdate, Workload, make_distiller
from clbench.distillation.filling import Share, fill_both
from clbench.distillation.protocol import Traits
from clbench.distillation.settings import DistillationConfig
from clbench.distillation.updates import UpdateLog
from clbench.errors import InputError
from clbench.memory.books import Capacity, ImageMemory
from clbench.memory.cache import CachedDistiller, DistillationRecord
from clbench.seeding import generator
from clbench.store.store import Store
from clbench.types import ImageSpec, LabelledImages, positions_by_class


class DistilledMemory(ImageMemory):
    """An equal share of bytes for every class, condensed from the experience that brought it.

    It grows with the classes and is at full capacity when all have been seen. A class that has
    fewer images than its share holds keeps all of them, and the rest of its share stays unused. Of
    a class that comes back in a later experience, old and new share the bytes in proportion to the
    images they stand for: of n images that a full share holds, round(n * old / (old + new)) of the
    old ones stay, chosen at random, and the rest is condensed from the new data.

    Attributes:
        distillations: what condensing each experience took.
        seconds_saved: wall time of the original work that a cache spared this memory.
    """

    def __init__(
        self,
        distiller: Distiller | DistillationConfig,
        spec: ImageSpec,
        *,
        device: torch.device | str = "cpu",
        cache: bool | Path = False,
        on_update: OnUpdate | None = None,
        real_share: float = 0.0,
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
            real_share: part of the bytes of a class that herded real images take beside the
                distilled ones.
            capacity: images_per_class, capacity_bytes, codec, seed: see `ImageMemory`.

        Raises:
            InputError: as `ImageMemory`; an unknown distiller; a cache without a configuration;
                real images beside soft labels, or a share that is none.
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
        super().__init__(spec, soft_labels=Traits.of(made).soft_labels, **capacity)
        if not 0 <= real_share < 1:
            raise InputError(f"real_share: expected 0 up to but not 1, found {real_share}")
        if real_share and self.label_bytes:
            raise InputError(
                "real_share: expected a distiller of hard labels, because real images have no soft "
                "ones; found one of soft labels (--no-soft-labels)"
            )
        self.real_share = real_share
        self.distiller, self.device = made, torch.device(device)
        self.keep = bool(cache)
        self.on_update = on_update
        self.distillations: list[DistillationRecord] = []
        self.seconds_saved = 0.0

    def _condense(self, data: LabelledImages) -> LabelledImages:
        share = self.share
        staying = self._staying(data, share)
        there = set(data.classes)
        before = {c: own.images for c, own in staying.by_class().items() if c in there}
        share = replace(share, before=before)
        made, record = self._distil(data, share)
        self.distillations.append(record)
        if len(made) and self._held.grid.images.is_floating_point():
            made = made.as_floats()
        elif len(made) and len(staying):
            made = made.quantised()
        return LabelledImages.concatenate([part for part in (staying, made) if len(part)])

    def _staying(self, data: LabelledImages, share: Share) -> LabelledImages:
        """All images but those of returning classes that the new data is to replace."""
        held = self._held.grid
        keep = torch.ones(len(held), dtype=torch.bool)
        rng = generator(self.seed, "memory", self.num_experiences)
        members, none = positions_by_class(held.hard_labels), torch.zeros(0, dtype=torch.int64)
        for c, fresh in positions_by_class(data.labels).items():
            mine = members.get(c, none)
            old, new = self.num_seen.get(c, 0), len(fresh)
            full = self.images_per_share or len(mine)
            num = min(len(mine), round(full * old / (old + new)))
            order = mine[torch.randperm(len(mine), generator=rng)]
            keep[order[num:]] = False
            # What a lossy codec has read may take more bytes when it is written again.
            while num and share.fitting(held.images[keep & (held.hard_labels == c)], c) < num:
                num -= 1
                keep[order[num]] = False
        return held.select(keep)

    def _distil(
        self, real: LabelledImages, share: Share
    ) -> tuple[LabelledImages, DistillationRecord]:
        log = UpdateLog(self.on_update)
        job = Job(
            real,
            self.spec,
            {},
            generator(self.seed, "distillation", self.num_experiences),
            codec=self.codec,
            device=self.device,
            known=self._known(real) if self.tells_known else None,
            on_update=log,
            keep=self.keep,
        )
        look = generator(self.seed, "filling", self.num_experiences)
        start = time.perf_counter()
        made = fill_both(self.distiller, job, share, look, real_share=self.real_share)
        seconds = time.perf_counter() - start
        work = Workload(
            num_real=len(real),
            num_classes=len(real.classes),
            num_images=len(made),
            num_known=0 if job.known is None else len(job.known),
            num_known_classes=0 if job.known is None else len(job.known.classes),
            coarse=self.codec.coarse,
        )
        flops = self.distiller.flops(self.spec, work)
        record = DistillationRecord.of(log, flops=flops, seconds=seconds)
        if isinstance(self.distiller, CachedDistiller):
            record = self.distiller.corrected(record)
        self.seconds_saved += record.seconds - seconds
        return made, record

    @property
    def tells_known(self) -> bool:
        """The distiller learns against what memory holds."""
        return Traits.of(self.distiller).uses_known

    def _known(self, real: LabelledImages) -> LabelledImages | None:
        """The images held of classes that ``real`` has not; None where there are none."""
        others = sorted(set(self._held.classes) - set(real.classes))
        return self.contents().of_class(*others) if others else None

    def _shrunk(self) -> LabelledImages:
        held = self._held.grid
        rng = generator(self.seed, "resize", self.num_experiences)
        share = self.share
        parts = []
        for c, mine in held.by_class().items():
            order = torch.randperm(len(mine), generator=rng)
            num = share.fitting(mine.images[order], c)
            # In their old order a stream of the same images may be longer.
            index = order[:num].sort().values
            while share.fitting(mine.images[index], c) < len(index):
                index = index[:-1]
            parts.append(mine.select(index))
        return LabelledImages.concatenate(parts) if parts else held

    def state_dict(self) -> dict[str, Any]:
        """See `ImageMemory.state_dict`; also what distilling cost."""
        records = [record.to_dict() for record in self.distillations]
        more = {"distillations": records, "seconds_saved": self.seconds_saved}
        return {**super().state_dict(), **more}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `ImageMemory.load_state_dict`."""
        super().load_state_dict(state)
        self.seconds_saved = state["seconds_saved"]
        self.distillations = [DistillationRecord.from_dict(r) for r in state["distillations"]]
