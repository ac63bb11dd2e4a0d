"""What an evaluation is: settings in, a result out that is shown, drawn, tracked and reported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from clbench.evaluation.trials import CPU, Bench, OnTrial
from clbench.measuring.metrics import majority_of_two
from clbench.sets import DistilledSet
from clbench.training import Epoch
from clbench.types import ImageSpec, LabelledImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OnEpoch = Callable[[int, int, Epoch], None]
"""Called with the number of epochs done, their total, and what the last one saw."""

Draw = Callable[[], "Figure"]
"""Draws a figure when it is called, so that one that fails costs nothing else."""


@dataclass(frozen=True, eq=False)
class Laboratory:
    """Where evaluations are made: the data, and how networks are trained.

    Attributes:
        real: training images of the data set, uint8.
        test: its test images, which choose nothing.
        spec: what they look like.
        seed: decides weights, order, augmentation and every random set.
        device: where networks are trained.
        workers: see `Bench`.
        directory: root of the `clbench.store.store.Store` that keeps outcomes; None keeps none.
        checkpoint: file that keeps a long training after every epoch; where it is there, the
            training goes on from it. None keeps nothing.
        on_trial: hears of every training that is done.
        on_epoch: hears of every epoch of a long training.
        title: of the data set, for figures.
    """

    real: LabelledImages
    test: LabelledImages
    spec: ImageSpec
    seed: int = 0
    device: torch.device = CPU
    workers: int = 1
    directory: Path | None = None
    checkpoint: Path | None = None
    on_trial: OnTrial | None = None
    on_epoch: OnEpoch | None = None
    title: str = ""

    def replace(self, **changes: Any) -> Laboratory:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def bench(
        self, sets: Mapping[str, LabelledImages], validation: LabelledImages | None = None
    ) -> Bench:
        """Return where trials on ``sets`` are made."""
        return Bench(
            sets, self.test, self.spec, self.device, self.workers, self.directory, validation
        )

    @property
    def majority_share(self) -> float | None:
        """Share of the larger class among the test images; None unless there are two classes."""
        return majority_of_two(self.test.hard_labels.numpy())


@dataclass(frozen=True)
class Shown:
    """What people see of a result.

    Attributes:
        title: of the table, behind the name of the data.
        columns: of the table, the first one text.
        rows: cells as text.
        lines: what stands below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[str] = ()


class Result(Protocol):
    """What came of an evaluation."""

    def to_dict(self) -> Any:
        """Return plain values for a report, the same in every run of one command."""
        ...

    def measured(self) -> dict[str, Any]:
        """Return seconds and what follows from them: what differs between two runs."""
        ...

    def drawings(self, laboratory: Laboratory) -> dict[str, Draw]:
        """Return by name what draws a figure."""
        ...

    def scalars(self) -> dict[str, Sequence[float]]:
        """Return curves by name, as TensorBoard shows them; a number is a curve of one point."""
        ...

    def shown(self) -> Shown:
        """Return the table, and what a reader must know."""
        ...


class Evaluation(Protocol):
    """One evaluation with its settings."""

    def check(self, spec: ImageSpec, seed: int) -> None:
        """Refuse before any work what could not be done.

        Raises:
            InputError: a network that does not fit the images, a number out of range.
        """
        ...

    def run(self, laboratory: Laboratory, sets: Mapping[str, DistilledSet]) -> Result:
        """Evaluate ``sets``, by name; none where it is of the data set alone.

        Raises:
            InputError: see `check`; sets that cannot be evaluated.
        """
        ...
