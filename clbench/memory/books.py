"""The base of all memories: it keeps the books; a subclass only condenses.

A memory is an Avalanche ``ExemplarsBuffer``. Its capacity is counted in bytes; every class has an
equal share, and its images lie there in one stream, written by a codec (`clbench.codecs`).
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any, TypedDict

import torch
from torch import Tensor

from clbench.machine import compat

compat.prepare()

from avalanche.benchmarks.utils import AvalancheDataset  # noqa: E402
from avalanche.training.storage_policy import ExemplarsBuffer  # noqa: E402

from clbench.codecs.protocol import Codec  # noqa: E402
from clbench.codecs.table import parse  # noqa: E402
from clbench.coded import LABEL_BYTES, CodedImages, empty  # noqa: E402
from clbench.distillation.filling import Share, too_small  # noqa: E402
from clbench.errors import InputError  # noqa: E402
from clbench.memory.datasets import SampleFormat, as_avalanche_dataset, dataset_images  # noqa: E402
from clbench.types import ImageSpec, LabelledImages, positions_by_class  # noqa: E402


class Capacity(TypedDict, total=False):
    """How much a memory holds and how; see `ImageMemory` for what each means."""

    images_per_class: int
    capacity_bytes: int | None
    codec: Codec | str
    seed: int


@dataclass(frozen=True)
class MemoryRecord:
    """The books after one experience.

    Attributes:
        num_images: images held.
        num_bytes: bytes charged: streams, and soft labels.
        per_class: images of each class held, ascending by class.
        bytes_per_class: bytes charged for each class.
        decoded_bytes: what the images take in main memory while they are replayed, as float32.
    """

    num_images: int
    num_bytes: int
    per_class: dict[int, int]
    bytes_per_class: dict[int, int]
    decoded_bytes: int


class ImageMemory(ExemplarsBuffer):
    """Capacity, balance and bytes of a memory of images, after every experience.

    The bytes are the memory's own, never views of the stream's data. ``max_size`` (what
    ``ReplayPlugin`` calls ``mem_size``) is the capacity in bytes.

    Attributes:
        num_experiences: experiences taken in.
        num_seen: images of each class among them.
        records: the books after each of them.
        seconds: wall time that each took.
        encode_seconds: wall time of writing streams and reading what they say, all together.
        decode_seconds: wall time of making images of that, all together.
    """

    def __init__(
        self,
        spec: ImageSpec,
        *,
        images_per_class: int = 10,
        capacity_bytes: int | None = None,
        codec: Codec | str = "raw",
        seed: int = 0,
        soft_labels: bool = False,
    ) -> None:
        """Set the capacity; nothing is stored yet.

        Args:
            spec: shape, moments and number of classes of the data; mean 0 and deviation 1 for a
                stream whose transforms end with ``ToTensor``.
            images_per_class: the capacity in uint8 images (with their soft labels) of each class,
                whatever the codec; ignored where ``capacity_bytes`` is given.
            capacity_bytes: bytes of the whole memory when every class has been seen.
            codec: a line that `clbench.codecs.parse` reads, or a codec.
            seed: every experience draws from a generator derived from it and its own number.
            soft_labels: images carry soft labels, which are charged.

        Raises:
            InputError: no image fits, or the codec does not suit the images.
        """
        made = parse(codec) if isinstance(codec, str) else codec
        made.check(spec.shape)
        self.label_bytes = LABEL_BYTES * spec.num_classes if soft_labels else 0
        if capacity_bytes is None:
            if images_per_class < 1:
                raise InputError(f"images_per_class: expected at least 1, found {images_per_class}")
            each = spec.image_bytes + self.label_bytes
            capacity_bytes = images_per_class * spec.num_classes * each
        self.spec, self.codec, self.seed = spec, made, seed
        self._check_capacity(capacity_bytes)
        super().__init__(max_size=capacity_bytes)
        self.num_experiences = 0
        self.num_seen: dict[int, int] = {}
        self.records: list[MemoryRecord] = []
        self.seconds: list[float] = []
        self.encode_seconds = self.decode_seconds = 0.0
        self._format = SampleFormat()
        self._dataset: AvalancheDataset | None = None
        self._images: LabelledImages | None = None
        self._held = CodedImages(made, spec.shape, {}, empty(made, spec.shape))

    @property
    def share_bytes(self) -> int:
        """Bytes of each class when every class has been seen."""
        return int(self.max_size) // self.spec.num_classes

    @property
    def share(self) -> Share:
        """What a class has room for."""
        return Share(
            self.spec, self.codec, self.share_bytes, self.label_bytes, capacity=int(self.max_size)
        )

    @property
    def images_per_share(self) -> int | None:
        """Images that a class's share holds; None where that depends on their pixels."""
        fixed = self.codec.image_bytes(self.spec.shape) is not None
        return self.share.num_images if fixed else None

    def stored(self) -> CodedImages:
        """Return the streams held."""
        return self._held

    def contents(self) -> LabelledImages:
        """Return the images held, as they are replayed, ascending by class; on the CPU."""
        if self._images is None:
            start = time.perf_counter()
            self._images = self._held.images
            self.decode_seconds += time.perf_counter() - start
        return self._images

    def normalised(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Return normalised float32 images (N, C, H, W) and labels, on ``device``."""
        held = self.contents().to(device)
        return self.spec.normalise(held.images), held.labels

    @property
    def buffer(self) -> AvalancheDataset:
        """Images as Avalanche samples that collate with the last experience's.

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
            data: images with hard labels 0 to K - 1.

        Raises:
            InputError: labels outside the spec's classes, or no room for one image of each class.
        """
        if not len(data) or not 0 <= min(data.classes) <= max(data.classes) < self.spec.num_classes:
            raise InputError(
                f"expected images with labels 0 to {self.spec.num_classes - 1}, found "
                f"{len(data)} images with labels {', '.join(map(str, data.classes))}"
            )
        start = time.perf_counter()
        self._hold(self._condense(data))
        for c, fresh in positions_by_class(data.labels).items():
            self.num_seen[c] = self.num_seen.get(c, 0) + len(fresh)
        self.num_experiences += 1
        self.records.append(self._record())
        self.seconds.append(time.perf_counter() - start)

    @abstractmethod
    def _condense(self, data: LabelledImages) -> LabelledImages:
        """The whole new contents in the codec's grid, out of `stored` and an experience's images.

        What stays comes before what is new.
        """

    def resize(self, strategy: Any, new_size: int) -> None:
        """Change the capacity to ``new_size`` bytes.

        Classes keep equal shares: what is too much of a class is dropped at random. A larger memory
        fills up with the experiences to come.

        Raises:
            InputError: less than one image per class.
        """
        self._check_capacity(new_size)
        self.max_size = new_size
        self._hold(self._shrunk())

    @abstractmethod
    def _shrunk(self) -> LabelledImages:
        """The part of `stored`, in its grid, that a smaller capacity leaves."""

    def _check_capacity(self, num_bytes: int) -> None:
        each = self.codec.image_bytes(self.spec.shape)
        least = self.spec.num_classes * ((each or 1) + self.label_bytes)
        if num_bytes < least:
            raise InputError(too_small(self.codec, self.spec, num_bytes, least))

    def _hold(self, grid: LabelledImages) -> None:
        """Write the images, ascending by class."""
        start = time.perf_counter()
        # Streams and what they say are copies, so that no view keeps an experience's data alive.
        held = CodedImages.of(grid, self.codec, self.spec.shape, self._held)
        self.encode_seconds += time.perf_counter() - start
        if held.num_bytes > self.max_size:
            raise InputError(
                f"memory: expected at most {self.max_size} bytes, found {held.num_bytes} of "
                f"{len(held)} images; a distiller that gives soft labels must say so "
                "(soft_labels = True)"
            )
        self._held, self._dataset, self._images = held, None, None

    def _record(self) -> MemoryRecord:
        held = self._held
        decoded = 4 * self.spec.image_bytes * len(held)
        return MemoryRecord(
            len(held), held.num_bytes, held.per_class, held.bytes_per_class, decoded
        )

    def state_dict(self) -> dict[str, Any]:
        """Streams and counters, enough to go on as if nothing had happened.

        Generators are derived from the seed and the counters, so they have no state of their own.
        """
        content = torch.frombuffer(bytearray(self._held.to_bytes()), dtype=torch.uint8)
        return {
            "held": content,
            "codec": self.codec.name,
            "max_size": self.max_size,
            "num_experiences": self.num_experiences,
            "num_seen": dict(self.num_seen),
            "seconds": list(self.seconds),
            "coding_seconds": [self.encode_seconds, self.decode_seconds],
            "records": [asdict(record) for record in self.records],
            "format": asdict(self._format),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Raises:
            InputError: the state of a memory of other images or of another codec.
        """
        held, _ = CodedImages.from_bytes(bytes(state["held"].numpy().tobytes()))
        expected = (self.spec.shape, self.codec.name)
        found = (held.shape, held.codec.name)
        if expected != found:
            raise InputError(f"memory state: expected {expected}, found {found}")
        self._held, self._dataset, self._images = held, None, None
        self.max_size = state["max_size"]
        self.num_experiences = state["num_experiences"]
        self.num_seen = dict(state["num_seen"])
        self.seconds = list(state["seconds"])
        self.encode_seconds, self.decode_seconds = state["coding_seconds"]
        self.records = [MemoryRecord(**record) for record in state["records"]]
        self._format = SampleFormat(**state["format"])
