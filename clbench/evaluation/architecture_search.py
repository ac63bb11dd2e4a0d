"""Does a small set choose among architectures as the whole data set would, and how much sooner?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation import rivals
from clbench.evaluation.spaces import Space, draw
from clbench.evaluation.trials import CPU, Laboratory, OnTrial, Outcome, Trial
from clbench.measuring.ranking import (
    Correlation,
    RankingQuality,
    agreement,
    ranking_quality,
    spearman_lead,
)
from clbench.seeding import derive
from clbench.types import ImageSpec, LabelledImages

EARLY = "full data, stopped at equal images"
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Proxy:
    """One way to rank the candidates.

    Attributes:
        name: the set's, or that of a rival.
        scores: mean accuracy of each candidate trained so on the validation images, 0..1: what
            ranks them.
        seconds: wall time of all its trainings, one after the other.
        quality: of its ranking; None where there is no full training to compare with.
        over_random: its Spearman correlation minus that of random real images of equal bytes; None
            for these, and without a quality.
        agreement: mean Spearman correlation between the rankings by single networks; None where one
            network ranks.
        chosen: position of the candidate that it puts first.
        chosen_accuracy: test accuracy of that candidate, trained so.
        num_bytes: of the set.
    """

    name: str
    scores: tuple[float, ...]
    seconds: float
    quality: RankingQuality | None
    over_random: Correlation | None
    agreement: float | None
    chosen: int
    chosen_accuracy: float
    num_bytes: int


@dataclass(frozen=True)
class ArchitectureSearch:
    """The outcome of a search.

    Attributes:
        space: name of the space.
        candidates: what was tried.
        labels: each in a few words.
        proxies: ways to rank them, the sets first.
        truth: mean test accuracy of each trained on the full data; empty where that was left out.
        truth_agreement: as a proxy's: how far chance decides the truth itself.
        truth_seconds: wall time of these trainings, one after the other.
    """

    space: str
    candidates: tuple[NetworkConfig, ...]
    labels: tuple[str, ...]
    proxies: tuple[Proxy, ...]
    truth: tuple[float, ...]
    truth_agreement: float | None
    truth_seconds: float

    def speed_up(self, proxy: Proxy) -> float | None:
        """Seconds of the full search per second of the proxy's; None without a full search."""
        if not self.truth or not proxy.seconds:
            return None
        return self.truth_seconds / proxy.seconds

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON, without seconds."""
        proxies = [
            {
                "name": proxy.name,
                "num_bytes": proxy.num_bytes,
                "chosen": self.labels[proxy.chosen],
                "chosen_accuracy": proxy.chosen_accuracy,
                "quality": None if proxy.quality is None else proxy.quality.to_dict(),
                "over_random": None if proxy.over_random is None else asdict(proxy.over_random),
                "agreement": proxy.agreement,
                "scores": list(proxy.scores),
            }
            for proxy in self.proxies
        ]
        return {
            "space": self.space,
            "candidates": list(self.labels),
            "proxies": proxies,
            "full_scores": list(self.truth),
            "full_agreement": self.truth_agreement,
        }

    def measured(self) -> dict[str, Any]:
        """Seconds, and speed beside the full search: what differs between two runs."""
        return {
            "seconds": {proxy.name: proxy.seconds for proxy in self.proxies},
            "speed_up": {proxy.name: self.speed_up(proxy) for proxy in self.proxies},
            "full_seconds": self.truth_seconds,
        }


def architecture_search(
    sets: Mapping[str, LabelledImages],
    real: LabelledImages,
    test: LabelledImages,
    spec: ImageSpec,
    space: Space,
    *,
    num_candidates: int | None = None,
    training: SetTrainingConfig | None = None,
    full: SetTrainingConfig | None = None,
    num_networks: int = 1,
    num_full_networks: int = 1,
    top_k: int = 5,
    seed: int = 0,
    device: torch.device = CPU,
    workers: int = 1,
    directory: Path | None = None,
    on_trial: OnTrial | None = None,
) -> ArchitectureSearch:
    """Train every candidate on every set, on its rivals and on the full data, and compare rankings.

    The rivals of the first set: random and herded real images of its bytes, and the full data,
    stopped when as many images have been seen as a training on the set sees (equal time, without
    a clock). Every way ranks by a tenth of the training images, which no rival and no full
    training sees (a distilled set may have been made of them); the truth is the test accuracy
    after full training, and nothing is chosen by test images.

    Args:
        sets: name to set.
        real: training images of the data set, uint8.
        test: its test images.
        spec: what they look like.
        space: the candidates.
        num_candidates: so many drawn from the space; None tries all.
        training: of every candidate on a small set.
        full: of every candidate on the full data; None leaves out what needs it.
        num_networks: fresh networks per candidate and proxy; their mean ranks.
        num_full_networks: fresh networks per candidate on the full data.
        top_k: see `RankingQuality`.
        seed: decides candidates, weights, order and the random sets.
        device: where networks are trained.
        workers: see `Laboratory`.
        directory: see `Laboratory`.
        on_trial: hears of every training that is done.

    Raises:
        InputError: no sets, a number out of range, or a candidate that does not fit the images.
    """
    if min(num_networks, num_full_networks) < 1:
        raise InputError("num_networks: expected at least 1 network per candidate, found 0")
    training = training or SetTrainingConfig()
    candidates = draw(space, num_candidates, seed=seed)
    validation, rest = rivals.split(real, VALIDATION_SHARE, seed=seed)
    plans = _plans(sets, rest, spec, training, num_networks, seed)
    if full is not None:
        plans[rivals.FULL] = _Plan([rest] * num_full_networks, full, "evaluation")
    laboratory = Laboratory(
        {f"{name} #{k}": data for name, plan in plans.items() for k, data in plan.distinct()},
        test, spec, device, workers, directory, validation,
    )  # fmt: skip
    trials = [
        Trial(f"{name} #{plan.place(k)}", candidate, plan.training, derive(seed, plan.stream, k))
        for name, plan in plans.items()
        for candidate in candidates
        for k in range(len(plan.sets))
    ]
    outcomes = iter(laboratory.run(trials, on_trial))
    results = {
        name: [[next(outcomes) for _ in plan.sets] for _ in candidates]
        for name, plan in plans.items()
    }
    truth = results.pop(rivals.FULL, [])
    means = tuple(_test_accuracy(cell) for cell in truth)
    random = rivals.title("random", next(iter(sets.values())).packing)
    rival = _scores(results[random])
    return ArchitectureSearch(
        space.name,
        tuple(candidates),
        tuple(space.label(candidate) for candidate in candidates),
        tuple(
            _proxy(
                name,
                cells,
                plans[name].sets[0].num_bytes,
                None if name == random else rival,
                means,
                top_k,
                seed,
            )
            for name, cells in results.items()
        ),
        means,
        _agreement(truth, lambda outcome: outcome.accuracy),
        _seconds(truth),
    )


@dataclass(frozen=True)
class _Plan:
    """What the k-th network of each candidate learns, and how.

    Its weights and order come from a stream of randomness. The ways of ranking share theirs, so
    that they differ by what is learnt alone; full trainings have another, for lucky initial weights
    that both share would make the ranking look better than it is.
    """

    sets: Sequence[LabelledImages]
    training: SetTrainingConfig
    stream: str = "proxy"

    def place(self, k: int) -> int:
        """The first network that learns the same set."""
        return next(i for i, data in enumerate(self.sets) if data is self.sets[k])

    def distinct(self) -> list[tuple[int, LabelledImages]]:
        return [(k, data) for k, data in enumerate(self.sets) if self.place(k) == k]


def _plans(
    sets: Mapping[str, LabelledImages],
    real: LabelledImages,
    spec: ImageSpec,
    training: SetTrainingConfig,
    num_networks: int,
    seed: int,
) -> dict[str, _Plan]:
    plans = {name: _Plan([data] * num_networks, training) for name, data in sets.items()}
    size, packing = rivals.sizes(list(sets.values()))[0][0], next(iter(sets.values())).packing
    for method in ("random", "herding"):
        drawn = [
            rivals.real_set(
                real, spec, method=method, num_bytes=size, packing=packing, seed=seed, draw=k
            )
            for k in range(num_networks)
        ]
        name = rivals.title(method, packing)
        if name in plans:
            raise InputError(f"sets: the name {name!r} is taken by a rival; rename the set")
        # Herding draws nothing: its sets are equal, and so is the work.
        plans[name] = _Plan(drawn if method == "random" else drawn[:1] * num_networks, training)
    first = next(iter(sets.values()))
    # One pass over as many images as a training on the set sees.
    seen = len(first.decoded()) * training.epochs
    part = rivals.subset(real, seen, seed=seed)
    epochs = max(1, round(seen / len(part)))
    once = training.replace(
        epochs=epochs, schedule="cosine", batch_size=min(training.batch_size, 128)
    )
    plans[EARLY] = _Plan([part] * num_networks, once)
    return plans


def _proxy(
    name: str,
    cells: Sequence[Sequence[Outcome]],
    num_bytes: int,
    random: tuple[float, ...] | None,
    truth: Sequence[float],
    top_k: int,
    seed: int,
) -> Proxy:
    scores = _scores(cells)
    chosen = int(np.argmax(scores))
    quality = lead = None
    if truth:
        rng = np.random.default_rng(derive(seed, "bootstrap"))
        quality = ranking_quality(scores, truth, rng=rng, top_k=top_k)
        if random is not None:
            lead = spearman_lead(scores, random, truth, rng=rng)
    accuracy = _test_accuracy(cells[chosen])
    return Proxy(
        name, scores, _seconds(cells), quality, lead, _agreement(cells, _validated), chosen,
        accuracy, num_bytes,
    )  # fmt: skip


def _agreement(
    cells: Sequence[Sequence[Outcome]], score: Callable[[Outcome], float]
) -> float | None:
    return agreement([[score(outcome) for outcome in row] for row in zip(*cells, strict=True)])


def _scores(cells: Sequence[Sequence[Outcome]]) -> tuple[float, ...]:
    return tuple(sum(_validated(o) for o in cell) / len(cell) for cell in cells)


def _validated(outcome: Outcome) -> float:
    assert outcome.validation_accuracy is not None
    return outcome.validation_accuracy


def _test_accuracy(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.accuracy for outcome in outcomes) / len(outcomes)


def _seconds(cells: Sequence[Sequence[Outcome]]) -> float:
    return sum(outcome.seconds for cell in cells for outcome in cell)
