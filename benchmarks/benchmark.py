"""A single-head stream over one data set: its classes one after the other, or its domains."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from clbench.benchmarks import ordering, splits, table
from clbench.benchmarks.drawn import Drawn
from clbench.benchmarks.table import BenchmarkInfo
from clbench.config import BenchmarkConfig
from clbench.data import DatasetInfo, ImageData, TensorImages, load_entry, normalised, with_options
from clbench.data import info as dataset_info
from clbench.data.dataset import OnImage
from clbench.data.groups import COLUMN
from clbench.errors import InputError
from clbench.seeding import generator
from clbench.types import ImageSpec, LabelledImages

Split = Literal["train", "validation", "test"]


class Streams(NamedTuple):
    """Avalanche experiences, one for each group of classes, or of domains.

    Attributes:
        train: what is learnt.
        validation: held out of the training images, or the data set's own; None without either.
        test: the data set's own test images.
    """

    train: Sequence[Any]
    validation: Sequence[Any] | None
    test: Sequence[Any]


class _Part(NamedTuple):
    """The images that a split is taken from, never copied, and which of them each experience has.

    Attributes:
        data: with the stream's labels.
        experience: (N,) int64; -1 for images that are not in the split.
    """

    data: LabelledImages
    experience: Tensor


@dataclass(frozen=True)
class Benchmark:
    """A stream of experiences; a sequence of their groups of classes. Loads nothing until asked.

    Labels inside the stream are positions in `class_order`, so that in a class-incremental stream
    experience k brings the labels that follow those of k - 1; `class_groups` holds the data set's
    own class numbers. In a domain-incremental stream every experience has all classes.

    Attributes:
        config: what was asked for, with the number of experiences and the image size filled in.
        root: where data sets are looked for (see `clbench.data.data_root`).
        seed: of the run; decides class order, validation split and subset, each on its own.
        class_order: the data set's class numbers in the order of the stream.
        class_groups: those of each experience.
        domain_groups: the levels (see `Domains`) of each experience; empty where classes are dealt.
        entry: of the data set, with the image size filled in; None is looked up.
    """

    config: BenchmarkConfig
    root: Path | None
    seed: int
    class_order: tuple[int, ...]
    class_groups: tuple[tuple[int, ...], ...]
    domain_groups: tuple[tuple[int, ...], ...] = ()
    entry: DatasetInfo | None = field(default=None, compare=False, repr=False)

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
        return self._loaded(None)

    def read(self, on_image: OnImage | None = None) -> None:
        """Read the data set now, telling of the progress where there is decoding to do.

        Raises:
            InputError: see `data`.
        """
        if "data" not in vars(self):
            vars(self)["data"] = self._loaded(on_image)

    def _loaded(self, on_image: OnImage | None) -> ImageData:
        found = load_entry(self._dataset, self.root, on_image=on_image)
        return found.normalised(self.config.normalisation)

    @property
    def has_validation(self) -> bool:
        """Whether images are held out as a validation stream, or the data set has one."""
        return self.config.validation_fraction > 0 or self._dataset.num_validation > 0

    @property
    def is_decoded(self) -> bool:
        """Whether its images are files that are decoded before the first use."""
        return self._dataset.scalable

    @cached_property
    def spec(self) -> ImageSpec:
        """What the images look like; ``class_names`` are in the order of the stream's labels.

        Raises:
            InputError: that takes reading the data set, which is missing or broken.
        """
        entry = self._dataset
        # Moments that are known beforehand spare the reading.
        own = normalised(entry.spec, self.config.normalisation) if entry.mean else self.data.spec
        names = tuple(own.class_names[c] for c in self.class_order) if own.class_names else ()
        return dataclasses.replace(own, class_names=names)

    @property
    def notes(self) -> list[str]:
        """What a reader of results must know of the data and of this stream, one sentence each."""
        notes = [*self.data.notes, *(self._domain(k) for k in range(len(self.domain_groups)))]
        if self.config.balance == "undersample":
            notes.append("training images of larger classes were dropped to balance the classes")
        return [*notes, *self._notes_of_small_classes()]

    def _notes_of_small_classes(self) -> list[str]:
        """Classes that have not what was asked of each."""
        names, num, notes = self.data.spec.class_names, self.config.train_per_class, list[str]()

        def listed(classes: Tensor) -> str:
            own = torch.tensor(self.class_order)[classes].sort().values.tolist()
            return splits.listed([names[c] if names else str(c) for c in own])

        def counts(split: Split) -> Tensor:
            part = self._part(split)
            labels = part.data.labels[part.experience >= 0]
            return labels.bincount(minlength=len(self.class_order))

        if num is not None and self.config.balance == "none":
            few = (counts("train") < num).nonzero().flatten()
            if len(few):
                notes.append(f"fewer than {num} training images, all that there are, were used of "
                             f"{listed(few)}")  # fmt: skip
        if self.config.validation_fraction > 0:
            without = (counts("validation") == 0).nonzero().flatten()
            if len(without):
                notes.append(f"no validation images were held out of {listed(without)}: too few "
                             "images, or all of one group")  # fmt: skip
        return notes

    @property
    def _drawn(self) -> Drawn | None:
        kind = self._info.drawn
        return None if kind is None else Drawn(kind, self.seed, len(self))

    def _domain(self, experience: int) -> str:
        if self._drawn is not None:
            words = self._drawn.words(experience, self.spec.height * self.spec.width)
            return f"experience {experience + 1}: {words}"
        domains = self._info.domains
        assert domains is not None
        level = " or ".join(map(str, self.domain_groups[experience]))
        return f"experience {experience + 1}: {domains.words.format(level)}"

    def labels(self, experience: int) -> tuple[int, ...]:
        """The labels of an experience, ascending; all of them in a stream of domains."""
        if self.domain_groups:
            return tuple(range(len(self.class_order)))
        first = sum(len(group) for group in self.class_groups[:experience])
        return tuple(range(first, first + len(self.class_groups[experience])))

    def targets(self, split: Split, experience: int) -> Tensor:
        """(N,) labels of one experience's images, without touching the images.

        Raises:
            InputError: see `tensors`.
        """
        part = self._part(split)
        return part.data.labels[self._members(part, experience)]

    def tensors(self, split: Split, experience: int) -> LabelledImages:
        """One experience's uint8 images, in the data set's order, with the stream's labels.

        Raises:
            InputError: there is no such split, or the data cannot be read.
        """
        part = self._part(split)
        chosen = part.data.select(self._members(part, experience))
        if self._drawn is None:
            return chosen
        return LabelledImages(self._drawn.changed(chosen.images, experience), chosen.labels)

    def _members(self, part: _Part, experience: int) -> Tensor:
        """(N,) True for the images of an experience: where domains are drawn, for all."""
        return part.experience >= 0 if self._drawn else part.experience == experience

    @cached_property
    def streams(self) -> Streams:
        """The Avalanche streams; items are normalised images, labels, and the task label 0.

        Raises:
            InputError: the data cannot be read, or do not allow the split.
        """
        from clbench.benchmarks.avalanche import make_scenario

        present: list[Split] = ["train", "test"]
        if self.has_validation:
            present.insert(1, "validation")
        scenario = make_scenario(
            {
                split: [TensorImages(self.tensors(split, k), self.spec) for k in range(len(self))]
                for split in present
            }
        )
        return Streams(*(scenario.streams.get(split) for split in Streams._fields))

    @property
    def _info(self) -> BenchmarkInfo:
        return table.info(self.name)

    @cached_property
    def _dataset(self) -> DatasetInfo:
        return self.entry or _entry_of(self.config, self._info)

    def _part(self, split: Split) -> _Part:
        if split not in self._parts:
            raise InputError(
                f"{self.name} has no split {split!r}: expected one of {', '.join(self._parts)}; "
                "a validation split needs a validation_fraction above 0, or a folder val/"
            )
        return self._parts[split]

    @cached_property
    def _parts(self) -> dict[str, _Part]:
        position = torch.tensor(self.class_order).argsort()
        train, test = (
            LabelledImages(part.images, position[part.labels])
            for part in (self.data.train, self.data.test)
        )
        of_train, of_test = self._experiences(0, train), self._experiences(1, test)
        config, own = self.config, self.data.train.labels
        # Drawn by the data set's own labels: a shuffled class order keeps the same images.
        strata = own * len(self) + of_train if self.domain_groups else own
        held = self._held_out(strata)
        kept = ~held
        few = splits.keep_per_class(
            own[kept], config.train_per_class, generator(self.seed, "subset")
        )
        kept[kept.clone()] = few
        if config.balance == "undersample":
            groups = of_train if self.domain_groups else torch.zeros_like(own)
            kept = splits.undersample(own, groups, kept, generator(self.seed, "balance"))
        result = {"train": _Part(train, _where(kept, of_train)), "test": _Part(test, of_test)}
        if config.validation_fraction > 0:
            result["validation"] = _Part(train, _where(held, of_train))
            self._check_validation(result["validation"])
        elif self.data.validation is not None:
            own_part = self.data.validation
            images = LabelledImages(own_part.images, position[own_part.labels])
            result["validation"] = _Part(images, self._experiences(2, images))
        for split, part in result.items():
            self._check_domains(split, part)
        return result

    def _held_out(self, strata: Tensor) -> Tensor:
        """(N,) True for the training images that are held out; images of one group together."""
        fraction, draw = self.config.validation_fraction, generator(self.seed, "validation")
        spec = self.data.spec

        def name(stratum: int) -> str:
            return spec.class_name(stratum // len(self) if self.domain_groups else stratum)

        if fraction > 0 and COLUMN in self.data.columns:
            groups = self.data.columns[COLUMN][0]
            return splits.hold_out_groups(strata, groups, fraction, draw)
        return splits.hold_out(strata, fraction, draw, name)

    def _check_validation(self, part: _Part) -> None:
        if self._drawn is not None:
            return  # Every image is in every experience, turned or permuted.
        for k in range(len(self)):
            if not bool((part.experience == k).any()):
                shown = self.data.spec.class_names
                names = [shown[c] if shown else str(c) for c in self.class_groups[k]]
                raise InputError(
                    f"validation_fraction: expected validation images in every experience, found "
                    f"none of {splits.listed(names)}, which have too few images or groups; lower "
                    "--num-experiences, or leave --validation-fraction out"
                )

    def _experiences(self, column: int, part: LabelledImages) -> Tensor:
        """(N,) the experience of each image: by its label, or by its domain."""
        groups = self.domain_groups
        values = part.labels
        domains = self._info.domains
        if self._drawn is not None:
            return torch.zeros_like(values)
        if domains is None:
            groups = tuple(self.labels(k) for k in range(len(self)))
        else:
            values = self._column(domains.column)[column]
        found = torch.full_like(values, -1)
        for k, group in enumerate(groups):
            found[torch.isin(values, torch.tensor(group))] = k
        return found

    def _column(self, name: str) -> tuple[Tensor, Tensor]:
        if name not in self.data.columns:
            there = ", ".join(self.data.columns) or "none"
            raise InputError(f"{self.name}: expected data with a column {name!r}, found {there}")
        return self.data.columns[name]

    def _check_domains(self, split: str, part: _Part) -> None:
        if not self.domain_groups or self._drawn is not None:
            return
        for k in range(len(self)):
            num = part.data.labels[part.experience == k].bincount(minlength=len(self.class_order))
            if int(num.min()) == 0:
                named = zip(self.spec.class_names, num.tolist(), strict=True)
                found = ", ".join(f"{count} {name}" for name, count in named)
                raise InputError(
                    f"{self._domain(k)}: expected {split} images of every class, found {found}; "
                    "lower --num-experiences to join levels"
                )


def _where(chosen: Tensor, experience: Tensor) -> Tensor:
    return torch.where(chosen, experience, -torch.ones_like(experience))


def make_benchmark(config: BenchmarkConfig, root: Path | None = None, seed: int = 0) -> Benchmark:
    """The benchmark that ``config`` describes, under one seed; opens no image.

    Raises:
        InputError: no such benchmark, more experiences than classes, an image size or an option
            that does not suit it.
    """
    info = table.info(config.name)
    entry = _entry_of(config, info)
    _check_options(config, info)
    if entry.num_validation and config.validation_fraction > 0:
        raise InputError(
            f"validation_fraction: {config.name} has a validation stream of its own, "
            f"{entry.num_validation:,} images; leave --validation-fraction out"
        )
    class_order = ordering.class_order(config, entry, seed)
    groups, domains = _dealt(config, info, class_order)
    resolved = config.replace(
        num_experiences=len(groups),
        image_size=entry.shape[1] if entry.scalable else None,
        class_order=ordering.written(class_order, config),
    )
    return Benchmark(resolved, root, seed, class_order, groups, domains, entry)


_Groups = tuple[tuple[int, ...], ...]


def _dealt(
    config: BenchmarkConfig, info: BenchmarkInfo, order: tuple[int, ...]
) -> tuple[_Groups, _Groups]:
    """The classes of each experience, and its levels where it has domains.

    Raises:
        InputError: more experiences than classes or levels.
    """
    num = config.num_experiences or info.num_experiences
    if info.drawn is not None:
        return (order,) * (num or 1), tuple((k,) for k in range(num or 1))
    if info.domains is not None:
        levels = info.domains.levels
        levels = levels if config.domain_order == "easy_first" else levels[::-1]
        domains = splits.deal(levels, num, "level")
        return (order,) * len(domains), domains
    if info.class_counts and num in (None, len(info.class_counts)):
        return splits.deal_by(order, info.class_counts), ()
    return splits.deal(order, num), ()


def _entry_of(config: BenchmarkConfig, info: BenchmarkInfo) -> DatasetInfo:
    name = with_options(
        info.dataset,
        images_in=config.images_in,
        group_pattern=config.group_pattern,
        allow_repeats=config.allow_repeats,
    )
    return dataset_info(name).at(config.image_size)


def _check_options(config: BenchmarkConfig, info: BenchmarkInfo) -> None:
    """Refuse options that the stream would leave without effect."""
    if info.domains is None and config.domain_order != "easy_first":
        has = "draws its domains from the seed" if info.drawn else "deals out classes"
        raise InputError(
            f"domain_order: {info.name} {has} and has no levels to order; leave it out"
        )
    if info.domains is None and info.drawn is None:
        return
    for option in ("shuffle_classes", "class_order"):
        if getattr(config, option):
            raise InputError(
                f"{option}: every experience of {info.name} has all classes; leave it out"
            )
