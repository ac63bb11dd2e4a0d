"""The table of benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

from clbench import plugins

GROUP = "clbench.benchmarks"


@dataclass(frozen=True)
class BenchmarkInfo:
    """One entry of the table of benchmarks.

    Attributes:
        name: key of the table.
        title: one line for people.
        dataset: key of the table of data sets whose classes the stream deals out.
        epochs: passes over each experience where the learner's configuration names none; more on
            small sets, so that a learner takes at least about a hundred steps per experience.
    """

    name: str
    title: str
    dataset: str
    epochs: int = 1


BENCHMARKS: dict[str, BenchmarkInfo] = {
    entry.name: entry
    for entry in (
        BenchmarkInfo("split_mnist5k", "Split MNIST, 5,000 embedded digits", "mnist5k", 10),
        BenchmarkInfo("split_mnist", "Split MNIST", "mnist"),
        BenchmarkInfo("split_fashion_mnist", "Split Fashion-MNIST", "fashion_mnist"),
        BenchmarkInfo("split_kmnist", "Split KMNIST", "kmnist"),
    )
}


def names() -> list[str]:
    """All benchmarks, third parties' included."""
    return plugins.names(BENCHMARKS, GROUP)


def info(name: str) -> BenchmarkInfo:
    """The entry of one benchmark.

    Raises:
        InputError: no such benchmark.
    """
    return plugins.find(name, BENCHMARKS, GROUP, BenchmarkInfo)
