"""Does a set serve networks that it was not distilled with? A matrix of sets against networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation import rivals
from clbench.evaluation.trials import CPU, Laboratory, OnTrial, Outcome, Trial
from clbench.seeding import derive
from clbench.types import ImageSpec, LabelledImages, Scores

_NAMES = ("mlp", "convnet", "lenet", "alexnet", "vgg11", "resnet18")
BACKBONES = tuple(NetworkConfig(name) for name in _NAMES)


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
    """

    sets: tuple[str, ...]
    networks: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Scores]]
    num_bytes: Mapping[str, int]
    seconds: Mapping[str, Mapping[str, float]]
    learnt_nothing: tuple[tuple[str, str, int], ...] = ()
    diverged: tuple[tuple[str, str, int], ...] = ()

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
        """Networks of a cell that diverged."""
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


def cross_architecture(
    sets: Mapping[str, LabelledImages],
    real: LabelledImages,
    test: LabelledImages,
    spec: ImageSpec,
    *,
    networks: Sequence[NetworkConfig] = BACKBONES,
    training: SetTrainingConfig | None = None,
    num_networks: int = 5,
    full: SetTrainingConfig | None = None,
    full_networks: Sequence[NetworkConfig] | None = None,
    seed: int = 0,
    device: torch.device = CPU,
    workers: int = 1,
    directory: Path | None = None,
    on_trial: OnTrial | None = None,
) -> CrossArchitecture:
    """Train every network on every set, on random real images of equal bytes, on the full data.

    The protocol is that of the distilled sets (`SetTrainingConfig`); all rows see the same initial
    weights. Random images are drawn afresh for each network.

    Args:
        sets: name to set; several give a heat map of what was distilled with what.
        real: training images of the data set, uint8.
        test: its test images.
        spec: what they look like.
        networks: columns.
        training: of every network on a small set.
        num_networks: fresh networks per cell.
        full: training on the full data, one network per column; None leaves that row out.
        full_networks: columns that the full data are learnt by; None takes all.
        seed: decides weights, order, augmentation and the random sets.
        device: where networks are trained.
        workers: see `Laboratory`.
        directory: see `Laboratory`.
        on_trial: hears of every training that is done.

    Raises:
        InputError: no sets, no or repeated networks, a name that is taken, a network that does
            not fit, no networks to train.
    """
    names = _column_names(networks)
    training = training or SetTrainingConfig()
    inputs = rivals.Rows(sets, real, spec, num_networks, seed)
    trials: dict[tuple[str, str], list[Trial]] = {}
    for row, drawn in inputs.rows.items():
        for name, network in zip(names, networks, strict=True):
            trials[row, name] = [
                Trial(drawn[k], network, training, derive(seed, "evaluation", k))
                for k in range(num_networks)
            ]
    if full is not None:
        for name, network in zip(names, networks, strict=True):
            if full_networks is None or network in full_networks:
                first = derive(seed, "evaluation", 0)
                trials[rivals.FULL, name] = [Trial(rivals.FULL, network, full, first)]
    laboratory = Laboratory(inputs.sets, test, spec, device, workers, directory)
    flat = [trial for cell in trials.values() for trial in cell]
    outcomes = iter(laboratory.run(flat, on_trial))
    results = {cell: [next(outcomes) for _ in trials[cell]] for cell in trials}
    return _table(results, names, inputs, spec.num_classes, full is not None)


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
    full: bool,
) -> CrossArchitecture:
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
    return CrossArchitecture(rows, names, scores, num_bytes, seconds, tuple(idle), tuple(lost))


def _guesses(loss: float, num_classes: int) -> bool:
    """Whether a training loss is that of equal odds for every class, ln K, within one per cent."""
    return not loss < 0.99 * math.log(num_classes)
