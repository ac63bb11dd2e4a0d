"""The data types every part of clbench shares.

Legend of shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clbench.errors import NO_PIXELS, Diverged, InputError

# Images come back from a normalised scale in single precision.
ROUNDING = 1e-4


@dataclass(frozen=True)
class ImageSpec:
    """What the images of one data set look like.

    Attributes:
        channels: C.
        height: H in pixels.
        width: W in pixels.
        num_classes: K, the number of classes of the whole data set.
        mean: per-channel mean of the training images on the 0..1 pixel scale, length C.
        std: per-channel standard deviation on the same scale, length C.
        class_names: K names, or empty.
        augmentation: differentiable augmentation (DSA) that keeps the classes of this data apart,
            operations joined by ``_``; digits must not be flipped.
    """

    channels: int
    height: int
    width: int
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...] = ()
    augmentation: str = "color_crop_cutout_scale_rotate"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return (self.channels, self.height, self.width)

    def class_name(self, c: int) -> str:
        """The name of class ``c`` as messages show it; its number where it has no name."""
        return repr(self.class_names[c]) if 0 <= c < len(self.class_names) else f"class {c}"

    @property
    def image_bytes(self) -> int:
        """Bytes of one uint8 image."""
        return self.channels * self.height * self.width

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        mean = torch.tensor(self.mean, device=like.device, dtype=torch.float32)
        std = torch.tensor(self.std, device=like.device, dtype=torch.float32)
        return mean.view(-1, 1, 1), std.view(-1, 1, 1)

    def normalise(self, pixels_NCHW: Tensor) -> Tensor:
        """uint8 0..255, or float on the 0..1 scale, to float32 of mean 0 and deviation 1."""
        mean, std = self._moments(pixels_NCHW)
        if pixels_NCHW.dtype == torch.uint8:
            return (pixels_NCHW.float() - 255.0 * mean) / (255.0 * std)
        return (pixels_NCHW.float() - mean) / std

    def denormalise(self, images_NCHW: Tensor) -> Tensor:
        """Inverse of `normalise`: float32 on the 0..1 pixel scale (not clamped)."""
        mean, std = self._moments(images_NCHW)
        return images_NCHW.float() * std + mean


def positions_by_class(labels: Tensor) -> dict[int, Tensor]:
    """Return class -> positions of its images (int64), both ascending, from one sort.

    Args:
        labels: (N,) int64.
    """
    classes, counts = labels.unique(return_counts=True)
    order = labels.argsort(stable=True)
    return dict(zip(classes.tolist(), order.split(counts.tolist()), strict=True))


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with labels: the only thing passed between data, distillers, memory and evaluation.

    Attributes:
        images: (N, C, H, W); uint8 in 0..255, or float32 on the 0..1 pixel scale.
        labels: (N,) int64 class indices, or (N, K) float32 soft labels (rows sum to 1).

    Raises:
        InputError: shapes, types or values that do not fit together.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.ndim != 4 or images.dtype not in (torch.uint8, torch.float32):
            raise InputError(
                "expected images of shape (N, C, H, W) in uint8 or float32, found "
                f"{tuple(images.shape)} in {images.dtype}"
            )
        hard = labels.ndim == 1 and labels.dtype == torch.int64
        soft = labels.ndim == 2 and labels.dtype == torch.float32
        if not (hard or soft) or len(labels) != len(images):
            raise InputError(
                f"expected {len(images)} int64 labels or rows of float32 soft labels, found "
                f"{tuple(labels.shape)} in {labels.dtype}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes present, ascending (soft labels: by their largest entry)."""
        return tuple(self.hard_labels.unique().tolist())

    @property
    def hard_labels(self) -> Tensor:
        """(N,) int64."""
        return self.labels if self.labels.ndim == 1 else self.labels.argmax(1)

    @property
    def is_finite(self) -> bool:
        """Whether every pixel and soft label is a number."""
        return bool(self.images.isfinite().all() and self.labels.isfinite().all())

    def require_finite(self) -> None:
        """Refuse what a distillation that diverged leaves.

        Raises:
            Diverged: a pixel or a soft label is nan or infinite.
        """
        if not self.is_finite:
            raise Diverged(
                "distilling: expected finite pixels and labels, found others; lower the step sizes "
                "of the distillation (--image-learning-rate)"
            )

    @property
    def num_bytes(self) -> int:
        """Bytes of the pixels and of any soft labels, as they are here.

        A memory is charged what its codec writes, see `clbench.coded.CodedImages`.
        """
        soft = self.labels.nbytes if self.labels.ndim == 2 else 0
        return self.images.nbytes + soft

    def equals(self, other: LabelledImages) -> bool:
        """Whether both hold the same images and labels, in the same types."""
        pairs = ((self.images, other.images), (self.labels, other.labels))
        return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)

    def select(self, index: Tensor) -> LabelledImages:
        """The images at ``index`` (int64 positions or a boolean mask)."""
        return LabelledImages(self.images[index], self.labels[index])

    def of_class(self, *classes: int) -> LabelledImages:
        """The images of these classes, in stored order."""
        wanted = torch.tensor(classes, device=self.labels.device)
        return self.select(torch.isin(self.hard_labels, wanted))

    def by_class(self) -> dict[int, LabelledImages]:
        """Return class -> its images, ascending, each in stored order: one copy, cut up.

        For all classes at once; `of_class` of every class looks at every image for each.
        """
        members = positions_by_class(self.hard_labels)
        if not members:
            return {}
        ordered = self.select(torch.cat(list(members.values())))
        lengths = [len(positions) for positions in members.values()]
        parts = zip(ordered.images.split(lengths), ordered.labels.split(lengths), strict=True)
        return {c: LabelledImages(*part) for c, part in zip(members, parts, strict=True)}

    def relabelled(self, order: Tensor) -> LabelledImages:
        """Return the images with class ``order[c]`` in the place of class c, ascending by class."""
        hard = self.labels.ndim == 1
        labels = order[self.labels] if hard else self.labels[:, order.argsort()]
        renamed = LabelledImages(self.images, labels)
        return renamed.select(renamed.hard_labels.argsort(stable=True))

    def to(self, device: torch.device | str) -> LabelledImages:
        """The same on another device."""
        return LabelledImages(self.images.to(device), self.labels.to(device))

    def quantised(self) -> LabelledImages:
        """The same with uint8 images: clamped to 0..1 and rounded to the nearest of 256 levels."""
        if self.images.dtype == torch.uint8:
            return self
        images = (self.images.clamp(0, 1) * 255).round().to(torch.uint8)
        return LabelledImages(images, self.labels)

    def as_floats(self) -> LabelledImages:
        """The same with float32 images on the 0..1 scale."""
        if self.images.dtype == torch.float32:
            return self
        return LabelledImages(self.images.float() / 255, self.labels)

    @staticmethod
    def concatenate(parts: list[LabelledImages]) -> LabelledImages:
        """Return all parts in order; they must agree in shape and type."""
        if not parts:
            raise InputError("expected at least one part, found none")
        images, labels = [p.images for p in parts], [p.labels for p in parts]
        return LabelledImages(torch.cat(images), torch.cat(labels))

    def to_bytes(self, metadata: dict[str, str] | None = None) -> bytes:
        """Return a safetensors file's content; ``metadata`` is kept as strings."""
        from clbench.store.tensors import pack_tensors

        return pack_tensors({"images": self.images, "labels": self.labels}, metadata or {})

    @staticmethod
    def from_bytes(content: bytes) -> tuple[LabelledImages, dict[str, str]]:
        """Return what `to_bytes` was given: the images and the metadata.

        Raises:
            ValueError: something else; an `InputError` where pixels or labels are none.
        """
        from clbench.store.tensors import unpack_tensors

        tensors, metadata = unpack_tensors(content)
        try:
            loaded = LabelledImages(tensors["images"], tensors["labels"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"no set ({error})") from None
        loaded.require_pixels()
        return loaded, metadata

    def require_pixels(self) -> None:
        """Refuse images that are none.

        Raises:
            Diverged: pixels outside 0..1, or values that are nan or infinite.
        """
        if not self.is_finite or not self._on_scale:
            raise Diverged(NO_PIXELS)

    @property
    def _on_scale(self) -> bool:
        if not len(self) or self.images.dtype == torch.uint8:
            return True
        low, high = self.images.aminmax()
        return bool(low >= -ROUNDING and high <= 1 + ROUNDING)


@dataclass(frozen=True)
class Scores:
    """One number measured with several independently seeded networks.

    Attributes:
        values: one per seed, in the metric's own unit (accuracy: 0..1).
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Arithmetic mean; nan of no values."""
        return math.nan if not self.values else sum(self.values) / len(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation (n - 1); nan for a single value."""
        if len(self.values) < 2:
            return math.nan
        mean = self.mean
        return math.sqrt(sum((v - mean) ** 2 for v in self.values) / (len(self.values) - 1))

    @property
    def num(self) -> int:
        """N."""
        return len(self.values)
