"""Small sets beside random real images of equal bytes, under one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clbench import networks
from clbench.distillation.augmentation import parse
from clbench.evaluation import rivals
from clbench.evaluation.protocol import Draw, Laboratory, Shown
from clbench.evaluation.settings import SetSettings
from clbench.evaluation.trials import Trial
from clbench.measuring.format import cell, count, per_cent, seconds
from clbench.seeding import derive
from clbench.sets import DistilledSet
from clbench.types import ImageSpec, Scores


@dataclass(frozen=True)
class SetScore:
    """How well networks do that saw nothing but one kind of set.

    Attributes:
        name: of the set.
        scores: accuracy on the test images, one per network that did not diverge.
        images_per_class: of the class that has fewest.
        codec: what the set is stored by.
        num_bytes: what the set is charged.
        distil_seconds: what making it took; 0 of real images.
        num_diverged: networks whose loss or weights became nan or infinite.
    """

    name: str
    scores: Scores
    images_per_class: int
    codec: str
    num_bytes: int
    distil_seconds: float
    num_diverged: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON; std is None for a single network."""
        more = {"num_diverged": self.num_diverged} if self.num_diverged else {}
        return {
            **more,
            "name": self.name,
            "accuracy_mean": self.scores.mean,
            "accuracy_std": self.scores.std if self.scores.num > 1 else None,
            "num_networks": self.scores.num,
            "accuracies": list(self.scores.values),
            "images_per_class": self.images_per_class,
            "codec": self.codec,
            "num_bytes": self.num_bytes,
            "distil_seconds": self.distil_seconds,
        }


@dataclass(frozen=True)
class SetTable:
    """Scores of sets, the random real images beside each size of them among them.

    Attributes:
        rows: the sets first.
        network: that was trained on them.
    """

    rows: tuple[SetScore, ...]
    network: str

    def to_dict(self) -> list[dict[str, Any]]:
        """Return one dictionary per row."""
        return [row.to_dict() for row in self.rows]

    def measured(self) -> dict[str, Any]:
        """Return nothing: seconds of distilling belong to the sets."""
        return {}

    def drawings(self, laboratory: Laboratory) -> dict[str, Draw]:
        """Return no figure: a table says it all."""
        return {}

    def scalars(self) -> dict[str, Sequence[float]]:
        """Return the mean accuracy of each row."""
        return {f"set/{row.name}": [row.scores.mean] for row in self.rows}

    def shown(self) -> Shown:
        """Return one row per set."""
        columns = ("set", "accuracy %", "std", "networks", "images/class", "bytes", "distil s")
        rows = [
            [
                row.name,
                cell(per_cent(row.scores.mean), row.scores.num, row.num_diverged),
                per_cent(row.scores.std),
                str(row.scores.num),
                str(row.images_per_class),
                count(row.num_bytes),
                seconds(row.distil_seconds),
            ]
            for row in self.rows
        ]
        return Shown(f": {self.network} trained on each set alone", columns, rows)


@dataclass(frozen=True)
class SetScores:
    """Train fresh networks on every set, and on random real images of its bytes and codec.

    Random images are drawn afresh for every network, so that their spread holds the
    luck of the draw, not only that of the weights. Where the data set has fewer images than fit,
    all are taken.
    """

    settings: SetSettings

    def check(self, spec: ImageSpec, seed: int) -> None:
        """See `Evaluation.check`."""
        networks.build(self.settings.network, spec, seed=0)
        parse(self.settings.training.augmentation, spec)

    def run(self, laboratory: Laboratory, sets: Mapping[str, DistilledSet]) -> SetTable:
        """See `Evaluation.run`."""
        settings, seed = self.settings, laboratory.seed
        inputs = rivals.Rows(sets, laboratory, settings.num_networks)
        trials = [
            Trial(name, settings.network, settings.training, derive(seed, "evaluation", k))
            for names in inputs.rows.values()
            for k, name in enumerate(names)
        ]
        outcomes = iter(laboratory.bench(inputs.sets).run(trials, laboratory.on_trial))
        rows = []
        for row, names in inputs.rows.items():
            first = inputs.coded[names[0]]
            fewest = min(first.per_class.values())
            found = [next(outcomes) for _ in names]
            scores = Scores(tuple(outcome.accuracy for outcome in found if not outcome.diverged))
            spent = sets[row].distil_seconds if row in sets else 0.0
            lost, num_bytes = len(found) - scores.num, inputs.num_bytes[row]
            rows.append(SetScore(row, scores, fewest, first.codec.name, num_bytes, spent, lost))
        return SetTable(tuple(rows), settings.network.name)
