"""The table of benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    name: str
    title: str
    dataset: str
    epochs: int = 1
    domains: Domains | None = None
    codec: str = "raw"
    memory_bytes: int | None = None


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

    Raises:
        InputError: no such benchmark.
    """
    if is_own(name):
        # How many images there are is not known here; this is meant for thousands.
        return BenchmarkInfo(name, "classes of the user's own images", name, 10)
    return BENCHMARKS.find(name)
