"""Images as they are stored: one stream of bytes for each class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy
import torch
from torch import Tensor

from clbench.codecs.pixels import Pixels
from clbench.codecs.protocol import Beginning, Codec, Shape
from clbench.codecs.table import parse
from clbench.errors import Diverged, InputError
from clbench.soft_labels import read_labels, rounded_labels, written_labels
from clbench.store.files import write_bytes
from clbench.store.reading import read_regular
from clbench.store.tensors import pack_tensors, unpack_tensors
from clbench.types import LabelledImages, positions_by_class

LABEL_BYTES = 1  # of one entry of a soft label (clbench.soft_labels)
READ_TOGETHER = 1000  # images

Read = TypeVar("Read")


@dataclass(frozen=True, eq=False)
class CodedImages:
    """A memory or a set: what it is charged for, and what it gives.

    Hard labels are free: a stream belongs to a class. Soft labels are charged `LABEL_BYTES` an
    entry.

    Attributes:
        codec: wrote the streams.
        shape: (C, H, W) of an image.
        streams: class -> its stream, ascending.
        grid: what the streams say: pixels (N, C, h, w) in the codec's grid and their labels,
            ascending by class, in stored order within a class.
    """

    codec: Codec
    shape: Shape
    streams: Mapping[int, bytes]
    grid: LabelledImages

    @staticmethod
    def of(
        images: LabelledImages, codec: Codec, shape: Shape, held: CodedImages | None = None
    ) -> CodedImages:
        """Write images of ``shape`` or of the codec's grid; the order within a class is kept.

        Classes whose images are those that ``held`` has keep its stream, so that lossy codecs lose
        nothing again.

        Raises:
            InputError: images that the codec cannot write.
            Diverged: a soft label that is nan or infinite.
        """
        codec.check(shape)
        grid = in_grid(images.to("cpu"), codec, shape)
        if not grid.labels.isfinite().all():
            # One byte would take them for labels.
            grid.require_finite()
        parts, streams = [], {}
        already = {} if held is None else held.grid.by_class()
        for c, mine in grid.by_class().items():
            before = already.get(c)
            if before is not None and held is not None and mine.equals(before):
                streams[c] = held.streams[c]
                parts.append(before)
                continue
            streams[c] = codec.encode(mine.images)
            labels = rounded_labels(mine.labels)
            parts.append(LabelledImages(codec.rounded(mine.images), labels))
        written = LabelledImages.concatenate(parts) if parts else empty(codec, shape)
        return CodedImages(codec, shape, streams, written)

    def __len__(self) -> int:
        return len(self.grid)

    @property
    def classes(self) -> tuple[int, ...]:
        """The classes present, ascending."""
        return tuple(self.streams)

    @property
    def per_class(self) -> dict[int, int]:
        """Class -> images held."""
        counts = self.grid.hard_labels.bincount(minlength=max(self.streams, default=-1) + 1)
        held = counts.tolist()
        return {c: held[c] for c in self.streams}

    @property
    def bytes_per_class(self) -> dict[int, int]:
        """Class -> bytes charged."""
        each = self.label_bytes
        return {c: len(self.streams[c]) + each * num for c, num in self.per_class.items()}

    @property
    def num_bytes(self) -> int:
        """Bytes charged: all streams and soft labels."""
        return sum(self.bytes_per_class.values())

    @property
    def label_bytes(self) -> int:
        """Bytes of one image's soft label; 0 of hard ones."""
        labels = self.grid.labels
        return LABEL_BYTES * labels.shape[1] if labels.ndim == 2 else 0

    @property
    def images(self) -> LabelledImages:
        """Return the images (N, C, H, W): uint8 where nothing is scaled, otherwise float32."""
        return self.decoded(self.grid)

    def decoded(self, grid: LabelledImages) -> LabelledImages:
        """Return some of `grid` as images."""
        return enlarged(grid, self.codec, self.shape)

    def relabelled(self, order: Tensor) -> CodedImages:
        """Return the same with class ``order[c]`` in the place of class c, streams unchanged."""
        streams = {int(order[c]): stream for c, stream in self.streams.items()}
        ordered = dict(sorted(streams.items()))
        return CodedImages(self.codec, self.shape, ordered, self.grid.relabelled(order))

    def to_bytes(self, metadata: Mapping[str, str] | None = None) -> bytes:
        """Return a safetensors file's content; ``metadata`` is kept as strings."""
        joined = numpy.frombuffer(b"".join(self.streams.values()), numpy.uint8)
        tensors = {
            "streams": torch.from_numpy(joined.copy()),
            "lengths": torch.tensor([len(s) for s in self.streams.values()], dtype=torch.int64),
            "classes": torch.tensor(self.classes, dtype=torch.int64),
        }
        if self.label_bytes:
            tensors["soft_labels"] = written_labels(self.grid.labels)
        about = {"codec": self.codec.name, "shape": "x".join(map(str, self.shape))}
        return pack_tensors(tensors, {**(metadata or {}), **about})

    @staticmethod
    def from_bytes(content: bytes) -> tuple[CodedImages, dict[str, str]]:
        """Return what `to_bytes` was given, or what version 0.1 wrote, and the metadata.

        Raises:
            ValueError: something else; an `InputError` where a stream, pixels or labels are none.
        """
        tensors, about = unpack_tensors(content)
        try:
            if "packing" in about:
                return _older(tensors, int(about["packing"])), about
            codec, shape = parse(str(about["codec"])), _shape(str(about["shape"]))
            return _read(tensors, codec, shape), about
        except (KeyError, TypeError, IndexError, RuntimeError) as error:
            raise ValueError(f"no set ({error})") from None

    def save(self, path: Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write a safetensors file atomically; ``metadata`` is kept as strings."""
        write_bytes(path, self.to_bytes(metadata))

    @staticmethod
    def load(path: Path) -> tuple[CodedImages, dict[str, str]]:
        """Read what `save` wrote: the images and the metadata.

        Raises:
            InputError: no such file, not a file that `save` wrote, or pixels that are none.
        """
        return _from_file(path, CodedImages.from_bytes)


def first_images(path: Path, most: int) -> LabelledImages:
    """Return the first images of each class of a file that `CodedImages.save` wrote.

    Some codecs read a few images sooner than all of them (`clbench.codecs.protocol.Beginning`).

    Args:
        path: of the file.
        most: images of each class.

    Returns:
        Images (N, C, H, W) as of `CodedImages.images`, with hard labels.

    Raises:
        InputError: see `CodedImages.load`.
    """
    return _from_file(path, lambda content: _first(content, most))


def _first(content: bytes, most: int) -> LabelledImages:
    tensors, about = unpack_tensors(content)
    if "packing" in about:
        held, _ = CodedImages.from_bytes(content)
        kept = held.grid.by_class().values()
        grid = LabelledImages.concatenate([LabelledImages(k.images[:most], k.hard_labels[:most])
                                           for k in kept])  # fmt: skip
        return held.decoded(grid)
    try:
        codec, shape = parse(str(about["codec"])), _shape(str(about["shape"]))
        return enlarged(_read(tensors, codec, shape, most).grid, codec, shape)
    except (KeyError, TypeError, IndexError, RuntimeError) as error:
        raise ValueError(f"no set ({error})") from None


def _from_file(path: Path, read: Callable[[bytes], Read]) -> Read:
    try:
        # As bytes, since safetensors opens no file whose name is not UTF-8.
        return read(read_regular(path))
    except FileNotFoundError:
        raise InputError(
            f"no such file: {path}; `clbench distill --output {path}` makes one"
        ) from None
    except Diverged as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"expected a set written by clbench in {path}, found something else ({error}); "
            "make one with `clbench distill`"
        ) from None


def in_grid(images: LabelledImages, codec: Codec, shape: Shape) -> LabelledImages:
    """Return images of ``shape``, or of the codec's grid already, in its grid.

    Raises:
        InputError: images of another shape.
    """
    found, grid = tuple(images.images.shape[1:]), codec.grid(shape)
    if found == grid:
        return images
    if found != shape:
        raise InputError(f"expected images of shape {shape} or {grid}, found {found}")
    return LabelledImages(codec.reduced(images.images), images.labels)


def read_back(images: LabelledImages, codec: Codec, shape: Shape) -> LabelledImages:
    """Return images as they would be read from streams of their classes, in their own order.

    A stream holds `READ_TOGETHER` of them at most: a class's whole training images may be more than
    one picture can hold.
    """
    grid = in_grid(images, codec, shape)
    if not len(grid):
        return enlarged(grid, codec, shape)
    members = positions_by_class(grid.hard_labels).values()
    index = [part for positions in members for part in positions.split(READ_TOGETHER)]
    read = torch.cat([codec.rounded(grid.images[part]) for part in index])
    place = torch.cat(index).argsort()
    return enlarged(LabelledImages(read[place], grid.labels), codec, shape)


def enlarged(grid: LabelledImages, codec: Codec, shape: Shape) -> LabelledImages:
    """Return pixels of the codec's grid as images; uint8 stays uint8 where nothing is scaled."""
    pixels = grid.images if grid.images.is_floating_point() else grid.images.float() / 255
    images = codec.enlarged(pixels, shape)
    return (
        grid if images is grid.images or images is pixels else LabelledImages(images, grid.labels)
    )


def empty(codec: Codec, shape: Shape) -> LabelledImages:
    """Return no images, in the codec's grid and type."""
    pixels = codec.rounded(torch.zeros(0, *codec.grid(shape)))
    return LabelledImages(pixels, torch.zeros(0, dtype=torch.int64))


def _shape(text: str) -> Shape:
    sizes = [int(part) for part in text.split("x")]
    if len(sizes) != 3 or not all(1 <= size <= 1 << 15 for size in sizes):
        raise ValueError(f"{text!r} is no size of images")
    return sizes[0], sizes[1], sizes[2]


def _read(
    tensors: Mapping[str, Tensor], codec: Codec, shape: Shape, most: int | None = None
) -> CodedImages:
    """Return what the tensors hold, or ``most`` images of each class without soft labels."""
    codec.check(shape)
    joined = tensors["streams"].numpy().tobytes()
    classes, lengths = tensors["classes"].tolist(), tensors["lengths"].tolist()
    sound = all(isinstance(n, int) and n >= 0 for n in [*classes, *lengths])
    if not sound or sorted(set(classes)) != classes or sum(lengths) != len(joined):
        raise ValueError("its streams have other lengths or classes than it says")
    streams, parts, start = {}, [], 0
    for c, length in zip(classes, lengths, strict=True):
        streams[c] = joined[start : start + length]
        start += length
        pixels = _pixels(codec, streams[c], shape, most)
        parts.append(LabelledImages(pixels, torch.full((len(pixels),), c)))
    grid = LabelledImages.concatenate(parts) if parts else empty(codec, shape)
    soft = tensors.get("soft_labels") if most is None else None
    if soft is not None:
        if soft.dtype != torch.uint8 or soft.ndim != 2:
            raise ValueError("its soft labels are none")
        labelled = LabelledImages(grid.images, read_labels(soft))
        if not torch.equal(labelled.hard_labels, grid.labels):
            raise ValueError("its soft labels belong to other classes than its streams")
        grid = labelled
    grid.require_pixels()
    return CodedImages(codec, shape, streams, grid)


def _pixels(codec: Codec, stream: bytes, shape: Shape, most: int | None) -> Tensor:
    if most is not None and isinstance(codec, Beginning):
        return codec.decode_first(stream, shape, most)
    return codec.decode(stream, shape)[:most]


def _older(tensors: Mapping[str, Tensor], factor: int) -> CodedImages:
    """Return a set of 0.1: images and labels; with ``factor`` F, F x F images in one of them."""
    found = LabelledImages(tensors["images"], tensors["labels"])
    found.require_pixels()
    c, h, w = (int(size) for size in found.images.shape[1:])
    if factor == 1:
        codec = Pixels(floats=found.images.is_floating_point())
        return CodedImages.of(found, codec, (c, h, w))
    if not 1 < factor <= min(h, w):
        raise ValueError(f"{factor} x {factor} images do not fit into {h} x {w} pixels")
    codec, (_, th, tw) = Pixels(factor), Pixels(factor).grid((c, h, w))
    tiles = found.quantised().images[:, :, : th * factor, : tw * factor]
    tiles = tiles.reshape(-1, c, factor, th, factor, tw).permute(0, 2, 4, 1, 3, 5)
    labels = found.labels.repeat_interleave(factor**2, 0)
    return CodedImages.of(LabelledImages(tiles.reshape(-1, c, th, tw), labels), codec, (c, h, w))
