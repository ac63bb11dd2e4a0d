"""The base of all memories: it keeps the books; a subclass only condenses.

A memory is an Avalanche ``ExemplarsBuffer``. Its capacity is counted in *slots* of H x W pixels;
with packing F a slot holds F x F down-scaled images of one class (`clbench.packing`).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypedDict

import torch
from torch import Tensor

from clbench.machine import compat

compat.prepare()

from avalanche.benchmarks.utils import AvalancheDataset  # noqa: E402
from avalanche.training.storage_policy import ExemplarsBuffer  # noqa: E402

from clbench.errors import InputError  # noqa: E402
from clbench.memory.datasets import SampleFormat, as_avalanche_dataset, dataset_images  # noqa: E402
from clbench.types import ImageSpec, LabelledImages  # noqa: E402

Storage = Literal["uint8", "float32"]


class Capacity(TypedDict, total=False):
    """How much a memory holds and how; see `ImageMemory` for what each means."""

    images_per_class: int
    capacity_bytes: int | None
    packing: int
    storage: Storage
    seed: int


def slot_bytes(spec: ImageSpec, storage: Storage, soft_labels: bool = False) -> int:
    """Bytes charged for one slot: 1 per pixel value, 4 in float32, and 4 per soft-label entry."""
    pixels = spec.image_bytes * (4 if storage == "float32" else 1)
    return pixels + (4 * spec.num_classes if soft_labels else 0)


def slots_per_class(capacity_bytes: int, num_classes: int, bytes_per_slot: int) -> int:
    """How many slots each class gets out of ``capacity_bytes``.

    Raises:
        InputError: not even one.
    """
    per_class = capacity_bytes // (num_classes * bytes_per_slot)
    if per_class < 1:
        raise InputError(
            f"capacity_bytes: expected at least {num_classes * bytes_per_slot} (one slot of "
            f"{bytes_per_slot} bytes for each of {num_classes} classes), found {capacity_bytes}"
        )
    return per_class


@dataclass(frozen=True)
class MemoryRecord:
    """The books after one experience.

    Attributes:
        num_slots: slots held.
        num_bytes: bytes charged: pixels as stored, and soft labels.
        per_class: slots of each class held, ascending by class.
    """

    num_slots: int
    num_bytes: int
    per_class: dict[int, int]


class ImageMemory(ExemplarsBuffer):
    """Capacity, balance and bytes of a memory of images, after every experience.

    The tensors are the memory's own, never views of the stream's data. ``max_size`` (what
    ``ReplayPlugin`` calls ``mem_size``) is the number of slots at full capacity, images_per_class x
    the number of classes of the whole data set; with packing, `buffer` decodes to F x F as many
    images.

    Attributes:
        num_experiences: experiences taken in.
        num_seen: images of each class among them.
        records: the books after each of them.
        seconds: wall time that each took.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        images_per_class: int = 10,
        capacity_bytes: int | None = None,
        packing: int = 1,
        storage: Storage = "uint8",
        seed: int = 0,
        soft_labels: bool = False,
    ) -> None:
        """Set the capacity; nothing is stored yet.

        Args:
            spec: shape, moments and number of classes of the data; mean 0 and deviation 1 for a
                stream whose transforms end with ``ToTensor``.
            images_per_class: slots per class; ignored where ``capacity_bytes`` is given.
            capacity_bytes: bytes of the whole memory when every class has been seen.
            packing: F, 1 to min(H, W).
            storage: "uint8", or "float32" at four times the bytes.
            seed: every experience draws from a generator derived from it and its own number.
            soft_labels: slots carry soft labels, which are charged.

        Raises:
            InputError: no slot fits, or the packing does not suit the image size.
        """
        if not 1 <= packing <= min(spec.height, spec.width):
            raise InputError(
                f"packing: expected 1 to {min(spec.height, spec.width)} for images of "
                f"{spec.height} x {spec.width}, found {packing}"
            )
        self.slot_bytes = slot_bytes(spec, storage, soft_labels)
        if capacity_bytes is not None:
            images_per_class = slots_per_class(capacity_bytes, spec.num_classes, self.slot_bytes)
        if images_per_class < 1:
            raise InputError(f"images_per_class: expected at least 1, found {images_per_class}")
        super().__init__(max_size=images_per_class * spec.num_classes)
        self.spec, self.packing, self.seed = spec, packing, seed
        self.storage: Storage = storage
        self.num_experiences = 0
        self.num_seen: dict[int, int] = {}
        self.records: list[MemoryRecord] = []
        self.seconds: list[float] = []
        self._format = SampleFormat()
        self._dataset: AvalancheDataset | None = None
        dtype = torch.float32 if storage == "float32" else torch.uint8
        empty = torch.zeros(0, *spec.shape, dtype=dtype)
        self._held = LabelledImages(empty, torch.zeros(0, dtype=torch.int64), packing)

    @property
    def images_per_class(self) -> int:
        """Slots per class when every class has been seen."""
        return int(self.max_size) // self.spec.num_classes

    def contents(self) -> LabelledImages:
        """The slots held, in the memory's storage, ascending by class; on the CPU."""
        return self._held

    def normalised(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Decoded, normalised float32 images (N * F * F, C, H, W) and labels, on ``device``."""
        held = self._held.to(device)
        if len(held) and held.packing > 1:
            held = held.decoded()
        return self.spec.normalise(held.images), held.labels

    @property
    def buffer(self) -> AvalancheDataset:
        """Decoded images as Avalanche samples that collate with the last experience's.

        Images are already normalised and carry no transform; soft labels become hard ones, as a
        stock strategy expects.
        """
        if not len(self._held):
            return self._buffer
        if self._dataset is None:
            images, labels = self.normalised()
            hard = labels if labels.ndim == 1 else labels.argmax(1)
            self._dataset = as_avalanche_dataset(images, hard, self._format)
        return self._dataset

    def update(self, strategy: Any, **kwargs: Any) -> None:
        """What ``ReplayPlugin`` calls after each experience."""
        self.post_adapt(strategy, strategy.experience)

    def post_adapt(self, agent_state: Any, exp: Any) -> None:
        """Take in an Avalanche experience; see `observe`."""
        seen = SampleFormat.of(exp.dataset)
        if seen.task_labels is not None:
            known = self._format.task_labels or {}
            seen = replace(seen, task_labels={**known, **seen.task_labels})
        start = time.perf_counter()
        self.observe(dataset_images(exp.dataset, self.spec))
        self.seconds[-1] = time.perf_counter() - start
        self._format, self._dataset = seen, None

    def observe(self, data: LabelledImages) -> None:
        """Condense the images of one experience into the memory and write its record.

        Args:
            data: unpacked images with hard labels 0 to K - 1.

        Raises:
            InputError: labels outside the spec's classes, or fewer images than are to be kept.
        """
        if not len(data) or not 0 <= min(data.classes) <= max(data.classes) < self.spec.num_classes:
            raise InputError(
                f"expected images with labels 0 to {self.spec.num_classes - 1}, found "
                f"{len(data)} images with labels {', '.join(map(str, data.classes))}"
            )
        start = time.perf_counter()
        self._held = self._by_class(self._condense(data))
        for c in data.classes:
            self.num_seen[c] = self.num_seen.get(c, 0) + int((data.labels == c).sum())
        self.num_experiences += 1
        self._close_books()
        self.seconds.append(time.perf_counter() - start)

    @abstractmethod
    def _condense(self, data: LabelledImages) -> LabelledImages:
        """The whole new contents, out of `contents` and an experience's images."""

    def resize(self, strategy: Any, new_size: int) -> None:
        """Change the capacity to the largest multiple of the number of classes in ``new_size``.

        Classes keep equal shares: what is too much of a class is dropped at random. A larger memory
        fills up with the experiences to come.

        Raises:
            InputError: less than one slot per class.
        """
        per_class = new_size // self.spec.num_classes
        if per_class < 1:
            raise InputError(
                f"new_size: expected at least {self.spec.num_classes}, one slot per class, found "
                f"{new_size}"
            )
        self.max_size = per_class * self.spec.num_classes
        self._held, self._dataset = self._by_class(self._shrunk()), None

    @abstractmethod
    def _shrunk(self) -> LabelledImages:
        """The part of `contents` that a smaller capacity leaves."""

    def stored(self, slots: LabelledImages) -> LabelledImages:
        """Slots in this memory's storage."""
        return slots.quantised() if self.storage == "uint8" else slots.as_floats()

    def _by_class(self, slots: LabelledImages) -> LabelledImages:
        slots = self.stored(slots.to("cpu"))
        # Indexing copies, so that no view keeps an experience's data alive.
        return slots.select(slots.hard_labels.argsort(stable=True))

    def _close_books(self) -> None:
        held = self._held
        if held.num_bytes > self.max_size * self.slot_bytes:
            raise InputError(
                f"memory: expected at most {self.max_size * self.slot_bytes} bytes, found "
                f"{held.num_bytes} in {len(held)} slots; a distiller that gives soft labels or "
                "more slots than asked must say so (soft_labels = True)"
            )
        per_class = {c: int((held.hard_labels == c).sum()) for c in held.classes}
        self.records.append(MemoryRecord(len(held), held.num_bytes, per_class))
        self._dataset = None

    def state_dict(self) -> dict[str, Any]:
        """Tensors and counters, enough to go on as if nothing had happened.

        Generators are derived from the seed and the counters, so they have no state of their own.
        """
        return {
            "images": self._held.images,
            "labels": self._held.labels,
            "packing": self.packing,
            "max_size": self.max_size,
            "num_experiences": self.num_experiences,
            "num_seen": dict(self.num_seen),
            "seconds": list(self.seconds),
            "records": [asdict(record) for record in self.records],
            "format": asdict(self._format),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            InputError: the state of a memory of other images, packing or storage.
        """
        held = LabelledImages(state["images"].clone(), state["labels"].clone(), state["packing"])
        expected = (self.spec.shape, self.packing, self._held.images.dtype)
        found = (tuple(held.images.shape[1:]), held.packing, held.images.dtype)
        if expected != found:
            raise InputError(f"memory state: expected {expected}, found {found}")
        self._held, self._dataset = held, None
        self.max_size = state["max_size"]
        self.num_experiences = state["num_experiences"]
        self.num_seen = dict(state["num_seen"])
        self.seconds = list(state["seconds"])
        self.records = [MemoryRecord(**record) for record in state["records"]]
        self._format = SampleFormat(**state["format"])
