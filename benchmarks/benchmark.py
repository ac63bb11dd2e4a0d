"""A class-incremental, single-head stream over one data set."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from clbench.benchmarks import catalogue, splits
from clbench.config import BenchmarkConfig
from clbench.data import DatasetInfo, ImageData, TensorImages, load
from clbench.data import info as dataset_info
from clbench.seeding import generator
from clbench.types import ImageSpec, InputError, LabelledImages

Split = Literal["train", "validation", "test"]


class Streams(NamedTuple):
    """Avalanche experiences, one for each group of classes.

    Attributes:
        train: what is learnt.
        validation: held out of the training images, or None where none was asked for.
        test: the data set's own test images.
    """

    train: Sequence[Any]
    validation: Sequence[Any] | None
    test: Sequence[Any]


@dataclass(frozen=True)
class Benchmark:
    """A stream of experiences; a sequence of their groups of classes. Loads nothing until asked.

    Labels inside the stream are positions in `class_order`, so that experience k brings the labels
    that follow those of k - 1; `class_groups` holds the data set's own class numbers.

    Attributes:
        config: what was asked for.
        root: where data sets are looked for (see `clbench.data.data_root`).
        seed: of the run; decides class order, validation split and subset, each on its own.
        class_order: the data set's class numbers in the order of the stream.
        class_groups: those of each experience.
    """

    config: BenchmarkConfig
    root: Path | None
    seed: int
    class_order: tuple[int, ...]
    class_groups: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.class_groups)

    def __getitem__(self, experience: int) -> tuple[int, ...]:
        return self.class_groups[experience]

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.class_groups)

    @property
    def name(self) -> str:
        """Key of the table of benchmarks."""
        return self.config.name

    @cached_property
    def data(self) -> ImageData:
        """The whole data set, with its own class numbers.

        Raises:
            InputError: it is missing and cannot be fetched, or broken.
        """
        return load(self._dataset.name, self.root)

    @cached_property
    def spec(self) -> ImageSpec:
        """What the images look like; ``class_names`` are in the order of the stream's labels."""
        own = self._dataset.spec
        names = tuple(own.class_names[c] for c in self.class_order) if own.class_names else ()
        return dataclasses.replace(own, class_names=names)

    def labels(self, experience: int) -> tuple[int, ...]:
        """The labels that an experience brings: consecutive, ascending."""
        first = sum(len(group) for group in self.class_groups[:experience])
        return tuple(range(first, first + len(self.class_groups[experience])))

    def tensors(self, split: Split, experience: int) -> LabelledImages:
        """One experience's uint8 images, in the data set's order, with the stream's labels.

        Raises:
            InputError: there is no such split, or the data cannot be read.
        """
        whole = self._split(split)
        return whole.of_class(*self.labels(experience))

    @cached_property
    def streams(self) -> Streams:
        """The Avalanche streams; items are normalised images, labels, and the task label 0.

        Raises:
            InputError: the data cannot be read, or do not allow the split.
        """
        from clbench.benchmarks.avalanche import make_scenario

        present: list[Split] = ["train", "test"]
        if self.config.validation_fraction > 0:
            present.insert(1, "validation")
        scenario = make_scenario(
            {
                split: [TensorImages(self.tensors(split, k), self.spec) for k in range(len(self))]
                for split in present
            }
        )
        return Streams(*(scenario.streams.get(split) for split in Streams._fields))

    @property
    def _dataset(self) -> DatasetInfo:
        return dataset_info(catalogue.info(self.name).dataset)

    def _split(self, split: Split) -> LabelledImages:
        if split not in self._splits:
            raise InputError(
                f"{self.name} has no split {split!r}: expected one of {', '.join(self._splits)}; "
                "a validation split needs a validation_fraction above 0"
            )
        return self._splits[split]

    @cached_property
    def _splits(self) -> dict[str, LabelledImages]:
        position = torch.tensor(self.class_order).argsort()
        train, test = (
            LabelledImages(part.images, position[part.labels])
            for part in (self.data.train, self.data.test)
        )
        config, own = self.config, self.data.train.labels
        # Drawn by the data set's own labels: a shuffled class order keeps the same images.
        held = splits.hold_out(own, config.validation_fraction, generator(self.seed, "validation"))
        rest, rest_own = train.select(~held), own[~held]
        kept = splits.keep_per_class(
            rest_own, config.train_per_class, generator(self.seed, "subset")
        )
        result = {"train": rest.select(kept), "test": test}
        if config.validation_fraction > 0:
            result["validation"] = train.select(held)
        return result


def make_benchmark(config: BenchmarkConfig, root: Path | None = None, seed: int = 0) -> Benchmark:
    """The benchmark that ``config`` describes, under one seed; reads no data.

    Raises:
        InputError: no such benchmark, or more experiences than classes.
    """
    num_classes = dataset_info(catalogue.info(config.name).dataset).num_classes
    order = torch.arange(num_classes)
    if config.shuffle_classes:
        order = torch.randperm(num_classes, generator=generator(seed, "class_order"))
    class_order = tuple(order.tolist())
    return Benchmark(
        config, root, seed, class_order, splits.deal(class_order, config.num_experiences)
    )
