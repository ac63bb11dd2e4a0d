"""Does a set serve networks that it was not distilled with? A matrix of sets against networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clbench import networks
from clbench.distillation.augmentation import parse
from clbench.errors import InputError
from clbench.evaluation import rivals
from clbench.evaluation.protocol import Draw, Laboratory, Shown
from clbench.evaluation.settings import COURSE, CrossArchitectureSettings
from clbench.evaluation.trials import Outcome, Trial
from clbench.figures import cross_architecture_figure
from clbench.measuring.format import cell, count, mean_and_deviation
from clbench.networks.settings import NetworkConfig
from clbench.seeding import derive
from clbench.sets import DistilledSet
from clbench.types import ImageSpec, Scores


@dataclass(frozen=True)
class CrossArchitecture:
    """Accuracies of networks trained on each set alone.

    Attributes:
        sets: row names: the sets, random real images of equal bytes, the full data where wanted.
        networks: column names.
        scores: row name -> column name -> one accuracy per network; a column may be missing from
            the row of the full data.
        num_bytes: row name -> bytes of the set.
        seconds: row name -> column name -> mean wall time of a training.
        learnt_nothing: (row, column, how many networks) where networks ended as they began: their
            last training loss is that of guessing. The protocol does not suit them (too large a
            step, too few epochs), and their accuracy says nothing of the set.
        diverged: (row, column, how many networks) whose loss or weights became nan or infinite;
            they have no part in ``scores``, whose cell is empty where all of them did.
        distilled_with: row name -> the network that it was matched in, where there was one.
    """

    sets: tuple[str, ...]
    networks: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Scores]]
    num_bytes: Mapping[str, int]
    seconds: Mapping[str, Mapping[str, float]]
    learnt_nothing: tuple[tuple[str, str, int], ...] = ()
    diverged: tuple[tuple[str, str, int], ...] = ()
    distilled_with: Mapping[str, str] = field(default_factory=dict)

    def exceptions(self) -> list[tuple[str, str]]:
        """(set, network) of sets whose mean is not above any real one's of at most its bytes."""
        random = [name for name in self.sets if name.startswith("random real")]
        own = [name for name in self.sets if name not in (*random, rivals.FULL)]
        return [
            (name, network)
            for name in own
            for network in self.networks
            if not self.scores[name][network].mean > self._best(self._beside(name, random), network)
        ]

    def _best(self, rows: Sequence[str], network: str) -> float:
        means = [self.scores[row][network].mean for row in rows]
        return max((mean for mean in means if not math.isnan(mean)), default=-math.inf)

    def num_diverged(self, row: str, network: str) -> int:
        """Return the networks of a cell that diverged."""
        return sum(num for r, n, num in self.diverged if (r, n) == (row, network))

    def _beside(self, name: str, random: Sequence[str]) -> list[str]:
        size = self.num_bytes[name]
        fitting = [r for r in random if self.num_bytes[r] <= size]
        largest = max((self.num_bytes[r] for r in fitting), default=0)
        return [r for r in fitting if self.num_bytes[r] == largest] or list(random)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON, without seconds."""
        rows = {}
        for name in self.sets:
            rows[name] = {
                network: {
                    "accuracy_mean": scores.mean,
                    "accuracy_std": scores.std if scores.num > 1 else None,
                    "accuracies": list(scores.values),
                }
                for network, scores in self.scores[name].items()
            }
        more = {"diverged": [list(cell) for cell in self.diverged]} if self.diverged else {}
        return {
            **more,
            "networks": list(self.networks),
            "num_bytes": dict(self.num_bytes),
            "scores": rows,
            "not_above_random": [list(pair) for pair in self.exceptions()],
            "learnt_nothing": [list(cell) for cell in self.learnt_nothing],
        }

    def measured(self) -> dict[str, Any]:
        """Seconds of a training: what differs between two runs."""
        return {"seconds": {row: dict(cells) for row, cells in self.seconds.items()}}

    def drawings(self, laboratory: Laboratory) -> dict[str, Draw]:
        """Return the heat map."""
        scores = {
            self._label(row): {network: list(s.values) for network, s in self.scores[row].items()}
            for row in self.sets
        }
        share = laboratory.majority_share
        return {
            "cross_architecture": lambda: cross_architecture_figure(
                scores, self.networks, majority_share=share
            )
        }

    def _label(self, row: str) -> str:
        network = self.distilled_with.get(row)
        return f"{row}, by {network}" if network else row

    def scalars(self) -> dict[str, Sequence[float]]:
        """Return the mean accuracy of each cell."""
        return {
            f"cross_architecture/{row}/{network}": [scores.mean]
            for row, cells in self.scores.items()
            for network, scores in cells.items()
            if scores.num
        }

    def shown(self) -> Shown:
        """Return one row per set, one column per network."""
        below = self.exceptions()
        pairs = ", ".join(f"{network} on {name}" for name, network in below)
        line = "every network learns more from the sets than from random images of equal bytes"
        if below:
            line = f"not above random real images of equal bytes: {pairs}"
        rows = []
        for row in self.sets:
            texts = []
            for network in self.networks:
                scores = self.scores[row].get(network)
                text = "-" if scores is None or not scores.num else mean_and_deviation(scores)
                lost = self.num_diverged(row, network)
                texts.append(cell(text, scores.num if scores else 0, lost))
            rows.append([row, count(self.num_bytes[row]), *texts])
        return Shown(
            ": accuracy % of networks trained on each set alone",
            ("set", "bytes", *self.networks),
            rows,
            [line, *self._idle()],
        )

    def _idle(self) -> list[str]:
        if not self.learnt_nothing:
            return []
        found = ", ".join(
            f"{network} on {name} ({num})" for name, network, num in self.learnt_nothing
        )
        return [
            f"learnt nothing (loss that of guessing): {found}; try another learning rate of the "
            "training on a set (--evaluation-learning-rate, in a run --set-learning-rate) or more "
            "epochs"
        ]


@dataclass(frozen=True)
class CrossArchitectures:
    """Train every network on every set, on random real images of equal bytes, on the full data.

    The protocol is that of the distilled sets (`SetTrainingConfig`); all rows see the same initial
    weights. Random images are drawn afresh for each network.
    """

    settings: CrossArchitectureSettings

    def check(self, spec: ImageSpec, seed: int) -> None:
        """See `Evaluation.check`."""
        for network in named(self.settings.networks):
            networks.build(network, spec, seed=0)
        parse(self.settings.training.augmentation, spec)

    def run(self, laboratory: Laboratory, sets: Mapping[str, DistilledSet]) -> CrossArchitecture:
        """See `Evaluation.run`."""
        settings, seed = self.settings, laboratory.seed
        columns = named(settings.networks)
        names = _column_names(columns)
        inputs = rivals.Rows(sets, laboratory, settings.num_networks)
        trials: dict[tuple[str, str], list[Trial]] = {}
        for row, drawn in inputs.rows.items():
            for name, network in zip(names, columns, strict=True):
                trials[row, name] = [
                    Trial(drawn[k], network, settings.training, derive(seed, "evaluation", k))
                    for k in range(settings.num_networks)
                ]
        full = settings.full_epochs > 0
        if full:
            trials |= self._on_full_data(names, columns, derive(seed, "evaluation", 0))
        flat = [trial for cell in trials.values() for trial in cell]
        outcomes = iter(laboratory.bench(inputs.sets).run(flat, laboratory.on_trial))
        results = {cell: [next(outcomes) for _ in trials[cell]] for cell in trials}
        labels = {name: one.distilled_with for name, one in sets.items() if one.distilled_with}
        return _table(results, names, inputs, laboratory.spec.num_classes, labels)

    def _on_full_data(
        self, names: Sequence[str], columns: Sequence[NetworkConfig], seed: int
    ) -> dict[tuple[str, str], list[Trial]]:
        """One network per column; ``full_networks`` says which columns."""
        recipe, only = COURSE.replace(epochs=self.settings.full_epochs), self.settings.full_networks
        wanted = columns if only is None else named(only)
        return {
            (rivals.FULL, name): [Trial(rivals.FULL, network, recipe, seed)]
            for name, network in zip(names, columns, strict=True)
            if network in wanted
        }


def named(names: str) -> tuple[NetworkConfig, ...]:
    """Networks with their own defaults, from names joined by commas."""
    return tuple(NetworkConfig(name.strip()) for name in names.split(",") if name.strip())


def _column_names(networks: Sequence[NetworkConfig]) -> tuple[str, ...]:
    names = tuple(network_label(network) for network in networks)
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"networks: expected at least one and none twice, found {', '.join(names) or 'none'}"
        )
    return names


def network_label(network: NetworkConfig) -> str:
    """A network in one short word: its name and what differs from its defaults."""
    values = network.to_dict()
    more = [f"{field} {value}" for field, value in values.items() if value and field != "name"]
    return network.name + (f" ({', '.join(more)})" if more else "")


def _table(
    results: Mapping[tuple[str, str], Sequence[Outcome]],
    names: tuple[str, ...],
    inputs: rivals.Rows,
    num_classes: int,
    distilled_with: Mapping[str, str],
) -> CrossArchitecture:
    full = any(row == rivals.FULL for row, _ in results)
    rows = (*inputs.rows, *((rivals.FULL,) if full else ()))
    scores: dict[str, dict[str, Scores]] = {row: {} for row in rows}
    seconds: dict[str, dict[str, float]] = {row: {} for row in rows}
    idle, lost = [], []
    for (row, name), outcomes in results.items():
        sound = [outcome for outcome in outcomes if not outcome.diverged]
        scores[row][name] = Scores(tuple(outcome.accuracy for outcome in sound))
        if len(sound) < len(outcomes):
            lost.append((row, name, len(outcomes) - len(sound)))
        seconds[row][name] = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
        if stuck := sum(_guesses(outcome.train_loss, num_classes) for outcome in sound):
            idle.append((row, name, stuck))
    num_bytes = {row: inputs.num_bytes[row] for row in rows}
    return CrossArchitecture(
        rows, names, scores, num_bytes, seconds, tuple(idle), tuple(lost), distilled_with
    )


def _guesses(loss: float, num_classes: int) -> bool:
    """Whether a training loss is that of equal odds for every class, ln K, within one per cent."""
    return not loss < 0.99 * math.log(num_classes)
