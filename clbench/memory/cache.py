"""Distilled sets kept on disk, so that no learner waits for work that was done before.

Replay and GDumb of one seed, and every learner of a comparison, use the same distilled sets: a
distiller is a pure function of its configuration, its input and its generator. Those, and the
software that computed, name the file.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

import clbench
from clbench.device import has_bfloat16
from clbench.distillation import Distiller, OnUpdate
from clbench.types import ImageSpec, InputError, LabelledImages

# Modules that take no part in distilling; a new one counts until it is listed here.
_APART = {"__init__", "__main__", "compat", "cost", "files", "metrics", "plugins", "report"}
_APART |= {"statistics", "training"}

# Choosing real images is faster than reading them back.
_WORTH_KEEPING_SECONDS = 1.0


@dataclass(frozen=True)
class DistillationRecord:
    """What condensing one experience took.

    Attributes:
        losses: one per update; empty where nothing is optimised.
        flops: floating-point operations.
        seconds: wall time; that of the original work where it came from the cache.
        from_cache: taken from disk.
    """

    losses: tuple[float, ...] = ()
    flops: float = 0.0
    seconds: float = 0.0
    from_cache: bool = False

    @staticmethod
    def total(records: Sequence[DistillationRecord]) -> DistillationRecord:
        """Several pieces of work as one; from the cache if all of them are."""
        return DistillationRecord(
            tuple(loss for record in records for loss in record.losses),
            sum(record.flops for record in records),
            sum(record.seconds for record in records),
            bool(records) and all(record.from_cache for record in records),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON."""
        return {**asdict(self), "losses": list(self.losses)}

    @staticmethod
    def from_dict(values: dict[str, Any]) -> DistillationRecord:
        """Inverse of `to_dict`."""
        return DistillationRecord(**{**values, "losses": tuple(values["losses"])})


class CachedDistiller:
    """A `Distiller` that looks on disk first.

    On a hit the recorded losses are reported again and the generator is left where it was. A cache
    that cannot be read or written costs a warning, never a run.
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
    ) -> LabelledImages:
        """See `Distiller.distill`."""
        work = {
            "distiller": self.identity,
            "spec": asdict(spec),
            "images_per_class": images_per_class,
            "packing": packing,
            "generator": _digest(generator.get_state()),
            "images": _digest(real.images),
            "labels": _digest(real.labels),
            "software": _software(device, type(self.distiller)),
        }
        name = hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
        path = self.directory / f"{name}.safetensors"
        found = self._read(path)
        if found is not None:
            slots, metadata = found
            losses = json.loads(metadata["losses"])
            self._hit = float(metadata["seconds"])
            for update, loss in enumerate(losses, 1):
                if on_update is not None:
                    on_update(update, len(losses), loss)
            return slots
        losses = []

        def listen(update: int, total: int, loss: float) -> None:
            losses.append(loss)
            if on_update is not None:
                on_update(update, total, loss)

        start = time.perf_counter()
        slots = self.distiller.distill(
            real,
            spec,
            images_per_class=images_per_class,
            packing=packing,
            generator=generator,
            device=device,
            on_update=listen,
        )
        seconds = time.perf_counter() - start
        self._hit = None
        if losses or seconds > _WORTH_KEEPING_SECONDS:
            try:
                slots.save(path, {"losses": json.dumps(losses), "seconds": repr(seconds)})
            except OSError as error:
                warnings.warn(f"distilled set not cached: {error}", stacklevel=2)
        return slots

    def flops(self, spec: ImageSpec, *, num_real: int, num_classes: int, num_images: int) -> float:
        """See `Distiller.flops`: those of the work, whenever it was done."""
        return self.distiller.flops(
            spec, num_real=num_real, num_classes=num_classes, num_images=num_images
        )

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


def _digest(tensor: torch.Tensor) -> str:
    values = tensor.cpu().contiguous()
    header = f"{values.dtype}{tuple(values.shape)}".encode()
    return hashlib.sha256(header + values.numpy().tobytes()).hexdigest()


def _software(device: torch.device, distiller: type) -> dict[str, str | int]:
    """What may change the numbers although configuration and data are the same."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "clbench": clbench.__version__,
        "sources": _sources(distiller),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "device": device.type,
        "hardware": gpu or torch.backends.cpu.get_cpu_capability(),
        "bfloat16": has_bfloat16(device.type),
    }


@cache
def _sources(distiller: type) -> str:
    """Digest of the code that distils: a changed distiller never meets its old results."""
    root = Path(clbench.__file__).parent
    files = [file for file in root.glob("*.py") if file.stem not in _APART]
    files += [*root.glob("distillation/*.py"), *root.glob("networks/*.py")]
    files.sort()
    own = inspect.getsourcefile(distiller)
    if own is not None:
        files.append(Path(own))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
