"""Between Avalanche's datasets and tensors, both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clbench.machine import compat

compat.prepare()

from avalanche.benchmarks.utils import (  # noqa: E402
    AvalancheDataset,
    DataAttribute,
    make_avalanche_dataset,
)

from clbench.data.tensor_images import tensors_of  # noqa: E402
from clbench.errors import InputError  # noqa: E402
from clbench.types import ImageSpec, LabelledImages  # noqa: E402

# A spec of other moments than the transform's shows as pixels outside 0..1; half a grey level is
# what rounding alone can do.
_PIXEL_TOLERANCE = 0.5 / 255


@dataclass(frozen=True)
class SampleFormat:
    """How a dataset hands out one sample, so that replayed samples collate with it.

    Attributes:
        tensor_labels: targets are 0-dim tensors, not Python integers.
        task_labels: class -> task label where samples end in one, else None.
    """

    tensor_labels: bool = False
    task_labels: dict[int, int] | None = None

    @staticmethod
    def of(dataset: AvalancheDataset) -> SampleFormat:
        """Look at a dataset's first sample and attributes.

        Raises:
            InputError: samples are not ``(image, target)`` or ``(image, target, task label)``.
        """
        tasks = None
        if hasattr(dataset, "targets_task_labels"):
            tasks = _tasks(dataset)
        sample = dataset.eval()[0]
        expected = 2 if tasks is None else 3
        if len(sample) != expected or not isinstance(sample[0], Tensor):
            raise InputError(
                f"expected samples of {expected} fields that begin with an image tensor, found "
                f"{len(sample)} fields that begin with {type(sample[0]).__name__}; end the "
                "dataset's transforms with ToTensor and drop other fields"
            )
        return SampleFormat(isinstance(sample[1], Tensor), tasks)


def _tasks(dataset: AvalancheDataset) -> dict[int, int]:
    """Return class -> task label; one task for all is found without a look at every image."""
    targets, labels = dataset.targets, dataset.targets_task_labels
    if len(labels.uniques) == 1:
        (task,) = labels.uniques
        return dict.fromkeys(sorted(map(int, targets.uniques)), int(task))
    return {int(c): int(t) for c, t in zip(targets, labels, strict=True)}


def dataset_images(dataset: AvalancheDataset, spec: ImageSpec) -> LabelledImages:
    """All images of an Avalanche dataset as uint8 tensors, labels as the dataset gives them.

    clbench's own datasets hand over their tensors; of any other the evaluation transforms are run
    and their normalisation is undone with the spec's moments (mean 0 and deviation 1 for a plain
    ``ToTensor``).

    Raises:
        InputError: images of another shape than the spec's, or of other moments.
    """
    found = tensors_of(dataset)
    if found is None:
        found = _read(dataset, spec)
    if tuple(found.images.shape[1:]) != spec.shape:
        raise InputError(
            f"expected images of shape {spec.shape}, found {tuple(found.images.shape[1:])}; "
            "give the memory the spec of this data"
        )
    return found


def _read(dataset: AvalancheDataset, spec: ImageSpec) -> LabelledImages:
    # A generator of its own: a loader without one draws from the global generator.
    loader: Any = DataLoader(dataset.eval(), batch_size=512, generator=torch.Generator())
    batches = [(batch[0], torch.as_tensor(batch[1])) for batch in loader]
    images = torch.cat([x for x, _ in batches])
    if images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"expected float images of shape (N, C, H, W), found {tuple(images.shape)} in "
            f"{images.dtype}; end the dataset's transforms with ToTensor"
        )
    pixels = spec.denormalise(images)
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_PIXEL_TOLERANCE or high > 1 + _PIXEL_TOLERANCE:
        raise InputError(
            f"expected pixels in 0..1 once mean {spec.mean} and deviation {spec.std} are undone, "
            f"found {low:.3f}..{high:.3f}; give the memory a spec with the moments of the "
            "dataset's Normalize transform (0 and 1 where there is none)"
        )
    labels = torch.cat([y for _, y in batches]).long()
    return LabelledImages(pixels.clamp(0, 1), labels).quantised()


class _Samples(Dataset[Any]):
    """Decoded memory images, one sample at a time, in a stream's own format."""

    def __init__(self, images_NCHW: Tensor, labels: list[int], tensor_labels: bool) -> None:
        self.images, self.labels = images_NCHW, labels
        self.tensor_labels = tensor_labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor | int]:
        label = self.labels[index]
        return self.images[index], torch.tensor(label) if self.tensor_labels else label


def as_avalanche_dataset(
    images_NCHW: Tensor, labels: Tensor, sample_format: SampleFormat
) -> AvalancheDataset:
    """Normalised float images and int64 labels as a dataset without transforms."""
    targets = [int(c) for c in labels]
    attributes = [DataAttribute(targets, "targets")]
    if sample_format.task_labels is not None:
        tasks = [sample_format.task_labels[c] for c in targets]
        attributes.append(DataAttribute(tasks, "targets_task_labels", use_in_getitem=True))
    samples = _Samples(images_NCHW, targets, sample_format.tensor_labels)
    return make_avalanche_dataset(samples, data_attributes=attributes)
