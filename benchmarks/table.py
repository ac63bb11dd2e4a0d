"""The table of benchmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from clbench.data import field_table, medmnist_table, prefixes
from clbench.data.own_names import is_own
from clbench.table import Table


@dataclass(frozen=True)
class Domains:
    """By what the images of a domain-incremental stream are dealt to experiences.

    Attributes:
        column: of `clbench.data.ImageData.columns`.
        levels: its values, from easy to hard.
        words: what a level means, ``{}`` standing for it.
    """

    column: str
    levels: tuple[int, ...]
    words: str


@dataclass(frozen=True)
class BenchmarkInfo:
    """One entry of the table of benchmarks.

    Attributes:
        name: key of the table.
        title: one line for people.
        dataset: key of the table of data sets whose classes the stream deals out.
        epochs: passes over each experience where the learner's configuration names none; more on
            small sets, so that a learner takes at least about a hundred steps per experience.
        codec: of a memory whose configuration names neither a codec nor images of a class.
        memory_bytes: its capacity where the configuration names no capacity either; None for the
            bytes of ten raw images of each class.
        domains: every experience has all classes and some of these domains; None deals out the
            classes instead.
        drawn: every experience has all images, changed in a way that the seed draws, see
            `clbench.benchmarks.drawn`; None changes none.
        num_experiences: where the configuration names none; None is 5, or as many as there are
            classes or levels where they are fewer.
        class_counts: classes of each experience where nobody asks for another number of
            experiences; empty deals them as evenly as they go.
        augmentation: of the learner's images where its configuration names none.
    """

    name: str
    title: str
    dataset: str
    epochs: int = 1
    domains: Domains | None = None
    codec: str = "raw"
    memory_bytes: int | None = None
    drawn: Literal["permuted", "rotated"] | None = None
    num_experiences: int | None = None
    class_counts: tuple[int, ...] = ()
    augmentation: str = "none"


# What the field adds to images of objects: a random crop, or a flip.
_OBJECTS = "crop_flip"
_LEAST_STEPS, _BATCH_IMAGES = 100, 64


def _enough_epochs(num_train: int, num_experiences: int) -> int:
    """Passes that make about a hundred steps of 64 images an experience, at least one."""
    return max(1, math.ceil(_LEAST_STEPS * _BATCH_IMAGES * num_experiences / num_train))


_MEDICAL = tuple(
    BenchmarkInfo(
        f"split_{name}",
        f"Split {row.title}",
        name,
        _enough_epochs(row.num_train, min(5, row.num_classes)),
    )
    for name, row in medmnist_table.ROWS.items()
)
_CHAIN = "chain:mnist+svhn+fashion_mnist"


BENCHMARKS: Table[BenchmarkInfo] = Table(
    {
        entry.name: entry
        for entry in (
            # So few bytes that a better memory shows (docs/results).
            BenchmarkInfo(
                "split_mnist5k",
                "Split MNIST, 5,000 embedded digits",
                "mnist5k",
                10,
                codec="levels:side=14,levels=2",
                memory_bytes=1960,
            ),
            BenchmarkInfo("split_mnist", "Split MNIST", "mnist"),
            BenchmarkInfo("split_fashion_mnist", "Split Fashion-MNIST", "fashion_mnist"),
            BenchmarkInfo("split_kmnist", "Split KMNIST", "kmnist"),
            BenchmarkInfo("split_mhist", "Split MHIST, one class after the other", "mhist", 10),
            BenchmarkInfo(
                "mhist_agreement",
                "MHIST, both classes, by how far annotators agree",
                "mhist",
                20,
                Domains("agreement", (7, 6, 5, 4), "{} of 7 annotators agree"),
            ),
            BenchmarkInfo("split_cifar10", "Split CIFAR-10", "cifar10", augmentation=_OBJECTS),
            BenchmarkInfo(
                "split_cifar100",
                "Split CIFAR-100",
                "cifar100",
                _enough_epochs(field_table.ROWS["cifar100"].num_train, 10),
                num_experiences=10,
                augmentation=_OBJECTS,
            ),
            BenchmarkInfo(
                "cifar100_superclasses",
                "CIFAR-100's 20 superclasses, one class of each after the other",
                "cifar100_coarse",
                domains=Domains("member", (0, 1, 2, 3, 4), "class {} of each superclass"),
                augmentation=_OBJECTS,
            ),
            BenchmarkInfo("split_svhn", "Split SVHN", "svhn"),
            BenchmarkInfo("split_emnist", "Split EMNIST, digits and letters", "emnist"),
            BenchmarkInfo(
                "split_tiny_imagenet",
                "Split Tiny ImageNet",
                "tiny_imagenet",
                num_experiences=10,
                augmentation=_OBJECTS,
            ),
            BenchmarkInfo(
                "permuted_mnist",
                "MNIST, pixels in another order in each experience",
                "mnist",
                drawn="permuted",
                num_experiences=10,
            ),
            BenchmarkInfo(
                "rotated_mnist",
                "MNIST, turned further in each experience",
                "mnist",
                drawn="rotated",
                num_experiences=10,
            ),
            BenchmarkInfo(
                "mnist_svhn_fashion",
                "MNIST, then SVHN, then Fashion-MNIST",
                _CHAIN,
                class_counts=(10, 10, 10),
            ),
            *_MEDICAL,
        )
    },
    group="clbench.benchmarks",
    kind=BenchmarkInfo,
    what="benchmark",
)


def names() -> list[str]:
    """All benchmarks, third parties' included."""
    return BENCHMARKS.names()


def info(name: str) -> BenchmarkInfo:
    """The entry of one benchmark; ``folder:PATH`` is one over images of the user's own.

    ``chain:A+B`` is one over data sets in turn, ``hf:NAME`` one over one of Hugging Face's,
    ``generated:...`` one over images that are made.

    Raises:
        InputError: no such benchmark.
    """
    if is_own(name):
        # How many images there are is not known here; this is meant for thousands.
        return BenchmarkInfo(name, "classes of the user's own images", name, 10)
    if name.startswith(prefixes.CHAIN):
        from clbench.data import chain

        counts = tuple(part.num_classes for part in chain.parts_of(name))
        return BenchmarkInfo(name, "data sets in turn", name, class_counts=counts)
    if name.startswith(prefixes.HUB):
        return BenchmarkInfo(name, "classes of a Hugging Face data set", name, 10)
    if name.startswith(prefixes.GENERATED):
        return BenchmarkInfo(name, "generated classes", name)
    return BENCHMARKS.find(name)
