"""Images decoded once, kept in the store as plain pixels, and mapped into memory ever after.

The entry is named by the digests of the images in their order, their labels, the wanted size and
the code that decodes, so other content never meets an old entry and the same images in another
place need no decoding. It is written image by image: memory holds one of them at a time. Behind the
pixels, JSON has what was counted on the way. It is mapped copy-on-write, so whoever writes to a
tensor changes neither the file nor another process.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
import torch

from clbench.data import image_files
from clbench.data.checks import Inside, refuse
from clbench.data.dataset import DatasetInfo, FileCheck, OnImage
from clbench.data.image_files import ImageRule, Pixels, decode
from clbench.data.moments import Moments
from clbench.data.seen_files import SeenFile, look_at
from clbench.errors import InputError
from clbench.store.store import Store
from clbench.types import ImageSpec, LabelledImages

KIND = "images"  # of entries in the store


class Labelled(NamedTuple):
    """An image file below a root, and its class."""

    name: str
    label: int


@dataclass(frozen=True)
class Listing:
    """The image files of a data set.

    Attributes:
        root: resolved folder that all files lie in.
        train, test: files, in the order of the data set.
        rule: what the images must be.
        validation: files of a validation stream of the data set's own, if it has one.
    """

    root: Path
    train: tuple[Labelled, ...] = field(repr=False)
    test: tuple[Labelled, ...] = field(repr=False)
    rule: ImageRule
    validation: tuple[Labelled, ...] = field(default=(), repr=False)

    @property
    def parts(self) -> tuple[tuple[Labelled, ...], ...]:
        """Training files, test files, and validation files if there are any."""
        return (self.train, self.test, *([self.validation] if self.validation else []))

    @property
    def all(self) -> tuple[Labelled, ...]:
        """Training files, then test files, then validation files."""
        return self.train + self.test + self.validation


@dataclass(frozen=True, eq=False)
class Decoded:
    """A data set's images, decoded to squares of one size.

    Attributes:
        train, test: uint8 images in mapped memory.
        mean, std: per channel, of the training images on the 0..1 pixel scale.
        fingerprint: SHA-256 over images and labels of all parts, taken when they were decoded.
        file: where the pixels are kept, from byte 0.
        validation: uint8 images in mapped memory, or None.
        several: files that hold several pictures, of which the first one was taken.
    """

    train: LabelledImages
    test: LabelledImages
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    file: Path
    validation: LabelledImages | None = None
    several: int = 0

    def spec(self, info: DatasetInfo) -> ImageSpec:
        """What the images look like: names from the entry, numbers from the pixels."""
        channels, height, width = self.train.images.shape[1:]
        return ImageSpec(
            channels,
            height,
            width,
            info.num_classes,
            self.mean,
            self.std,
            info.class_names,
            info.augmentation,
        )

    def check(self) -> FileCheck:
        """Compare the pixels in memory with the digest taken when they were decoded."""
        digest = hashlib.sha256()
        for part in (self.train, self.test, self.validation):
            if part is None:
                continue
            for image in part.images:
                digest.update(image.numpy().tobytes())
            digest.update(part.labels.numpy().tobytes())
        if digest.hexdigest() == self.fingerprint:
            return FileCheck(self.file, True, "decoded pixels as when they were decoded")
        return FileCheck(self.file, False, "decoded pixels have changed since; start again")


def decoded(
    listing: Listing,
    side: int,
    on_image: OnImage | None = None,
    trust: bool = True,
    on_seen: Callable[[Sequence[SeenFile]], None] | None = None,
) -> Decoded:
    """Return the images of ``listing`` as squares of ``side`` pixels, from the store if possible.

    Args:
        listing: the files; see `clbench.data.image_files` for the rules of size and colour.
        side: H and W.
        on_image: told of progress, where there is decoding to do.
        trust: take a file that looks unchanged for unchanged, see `clbench.data.seen_files`;
            without it every file is read again.
        on_seen: given what is known of every file, before any is decoded.

    Raises:
        InputError: a file is missing, broken, or not what the rule wants (the first one, and how
            many more); or the store cannot be written.
    """
    store = Store()
    names = [image.name for image in listing.all]
    seen = look_at(listing.root, names, listing.rule, store, trust)
    if on_seen is not None:
        on_seen(seen)
    channels = 1 if all(file.grey for file in seen) else 3
    name, shape = _key(listing, seen, channels, side), (len(seen), channels, side, side)
    kept = _mapped(store, name, listing, shape)
    if kept is not None:
        return replace(kept, several=sum(file.several for file in seen))
    with store.lock(KIND, name):
        # Another process may have made it while this one waited.
        kept = _mapped(store, name, listing, shape)
        if kept is None:
            _decode(listing, seen, shape, store, name, on_image)
            kept = _mapped(store, name, listing, shape)
    if kept is None:
        file = store.path_of(KIND, name)
        raise InputError(f"{file}: written just now, and broken or gone; check the disk")
    return replace(kept, several=sum(file.several for file in seen))


def _key(listing: Listing, seen: list[SeenFile], channels: int, side: int) -> str:
    content = {
        "code": _code(),
        "rule": repr(listing.rule),
        "shape": [channels, side],
        "parts": [len(part) for part in listing.parts],
        "files": [
            [file.sha256, image.label] for file, image in zip(seen, listing.all, strict=True)
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@cache
def _code() -> str:
    """Whatever may change the pixels although the files are the same."""
    sources = b"".join(Path(str(f)).read_bytes() for f in (image_files.__file__, __file__))
    return f"{PIL.__version__} {hashlib.sha256(sources).hexdigest()}"


def _mapped(store: Store, name: str, listing: Listing, shape: tuple[int, ...]) -> Decoded | None:
    """Map what the store has; None where that is nothing, or cannot be true."""
    opened = store.opened(KIND, name)
    if opened is None:
        return None
    with opened.file as file:
        file.seek(math.prod(shape))
        try:
            mean, std, fingerprint = _facts(file.read(opened.num_bytes - file.tell()), shape[1])
        except (ValueError, KeyError, TypeError):
            return None
        pixels = np.memmap(file, np.uint8, "c", 0, shape)
    pieces = torch.from_numpy(pixels).split([len(part) for part in listing.parts])
    train, test, *more = (
        LabelledImages(piece, _labels(part))
        for piece, part in zip(pieces, listing.parts, strict=True)
    )
    validation = more[0] if more else None
    return Decoded(train, test, mean, std, fingerprint, store.path_of(KIND, name), validation)


def _facts(content: bytes, channels: int) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    facts = json.loads(content)
    mean, std = tuple(facts["mean"]), tuple(facts["std"])
    if not len(mean) == len(std) == channels:
        raise ValueError("expected a mean and a deviation for every channel")
    if not all(0 <= m <= 1 and 0 < s <= 1 for m, s in zip(mean, std, strict=True)):
        raise ValueError("expected means and deviations of pixels in 0..1")
    return mean, std, str(facts["fingerprint"])


def _labels(images: tuple[Labelled, ...]) -> torch.Tensor:
    return torch.tensor([image.label for image in images], dtype=torch.int64)


def _decode(
    listing: Listing,
    seen: list[SeenFile],
    shape: tuple[int, ...],
    store: Store,
    name: str,
    on_image: OnImage | None,
) -> None:
    moments, digest, faults = Moments(shape[1]), hashlib.sha256(), list[str]()
    num_train = len(listing.train)
    # The labels of a part follow its pixels.
    ends = dict(zip(accumulate(map(len, listing.parts)), listing.parts, strict=True))
    try:
        with store.writing(KIND, name) as out:
            for number, pixels in enumerate(_images(listing, seen, shape, faults)):
                if pixels is not None:
                    out.write(pixels.data)
                    digest.update(pixels.data)
                    if number < num_train:
                        moments.add(pixels)
                if number + 1 in ends:
                    digest.update(_labels(ends[number + 1]).numpy().tobytes())
                if on_image is not None:
                    on_image(number + 1, shape[0])
            refuse(faults)
            mean, std = moments.mean_and_std(listing.root)
            facts = {"fingerprint": digest.hexdigest(), "mean": mean, "std": std}
            out.write(json.dumps(facts, allow_nan=False).encode())
    except OSError as error:
        raise InputError(
            f"{store.path_of(KIND, name)}: cannot be written ({error.strerror or error}); decoded "
            f"images take {math.prod(shape):,} bytes: name another place in CLBENCH_CACHE"
        ) from None


def _images(
    listing: Listing, seen: list[SeenFile], shape: tuple[int, ...], faults: list[str]
) -> Iterator[Pixels | None]:
    """Every image's pixels; None, and a line in ``faults``, for one that is broken."""
    files = Inside(listing.root)
    for image, file in zip(listing.all, seen, strict=True):
        try:
            content = files.read(image.name)
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise InputError("changed while it was read; start again")
            yield decode(content, listing.rule, channels=shape[1], side=shape[2])
        except InputError as error:
            faults.append(f"{listing.root / image.name}: {error}")
            yield None
