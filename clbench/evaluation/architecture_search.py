"""Does a small set choose among architectures as the whole data set would, and how much sooner?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from clbench.distillation.augmentation import parse
from clbench.errors import InputError
from clbench.evaluation import rivals
from clbench.evaluation.protocol import Draw, Laboratory, Shown
from clbench.evaluation.settings import COURSE, ArchitectureSearchSettings
from clbench.evaluation.spaces import draw, find
from clbench.evaluation.trials import Outcome, Trial
from clbench.figures import search_figure
from clbench.measuring.format import count, per_cent, seconds
from clbench.measuring.ranking import (
    Correlation,
    RankingQuality,
    agreement,
    ranking_quality,
    spearman_lead,
)
from clbench.networks.settings import NetworkConfig
from clbench.seeding import derive
from clbench.sets import DistilledSet
from clbench.training.settings import SetTrainingConfig
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

    def drawings(self, laboratory: Laboratory) -> dict[str, Draw]:
        """Return one panel per way to rank."""
        captions = {
            proxy.name: f"Spearman {_value(proxy.quality.spearman)}" if proxy.quality else ""
            for proxy in self.proxies
        }
        scores = {proxy.name: proxy.scores for proxy in self.proxies}
        return {"architecture_search": lambda: search_figure(scores, self.truth, captions)}

    def scalars(self) -> dict[str, Sequence[float]]:
        """Return the accuracy of each way's choice, and its Spearman correlation where known."""
        found: dict[str, Sequence[float]] = {}
        for proxy in self.proxies:
            found[f"architecture_search/{proxy.name}/chosen_accuracy"] = [proxy.chosen_accuracy]
            value = None if proxy.quality is None else proxy.quality.spearman.value
            if value is not None:
                found[f"architecture_search/{proxy.name}/spearman"] = [value]
        return found

    def shown(self) -> Shown:
        """Return one row per way to rank."""
        title = f", {len(self.candidates)} architectures of {self.space}"
        return Shown(title, _columns(self), _rows(self), _lines(self))


@dataclass(frozen=True)
class ArchitectureSearches:
    """Train every candidate on every set, on its rivals and on the full data; compare rankings.

    The rivals of the first set: random and herded real images of its bytes, and the full data,
    stopped when as many images have been seen as a training on the set sees (equal time, without
    a clock). Every way ranks by a tenth of the training images, which no rival and no full
    training sees (a distilled set may have been made of them); the truth is the test accuracy
    after full training, and nothing is chosen by test images.
    """

    settings: ArchitectureSearchSettings

    def check(self, spec: ImageSpec, seed: int) -> None:
        """See `Evaluation.check`."""
        draw(find(self.settings.space), self.settings.num_candidates, seed=seed)
        parse(self.settings.training.augmentation, spec)

    def run(self, laboratory: Laboratory, sets: Mapping[str, DistilledSet]) -> ArchitectureSearch:
        """See `Evaluation.run`."""
        settings, seed = self.settings, laboratory.seed
        space = find(settings.space)
        candidates = draw(space, settings.num_candidates, seed=seed)
        validation, rest = rivals.split(laboratory.real, VALIDATION_SHARE, seed=seed)
        plans = _plans(sets, rest, laboratory, settings)
        if settings.full_epochs:
            full = COURSE.replace(epochs=settings.full_epochs)
            plans[rivals.FULL] = _Plan([rest] * settings.num_full_networks, full, "evaluation")
        results = _results(plans, candidates, laboratory, validation)
        truth = results.pop(rivals.FULL, [])
        means = tuple(_test_accuracy(cell) for cell in truth)
        random = rivals.title("random", next(iter(sets.values())).coded.codec)
        rival = _scores(results[random])
        judge = _Judge(means, settings.top_k, seed)
        proxies = [
            judge.proxy(name, cells, plans[name], None if name == random else rival)
            for name, cells in results.items()
        ]
        return ArchitectureSearch(
            space.name,
            tuple(candidates),
            tuple(space.label(candidate) for candidate in candidates),
            tuple(proxies),
            means,
            _agreement(truth, lambda outcome: outcome.accuracy),
            _seconds(truth),
        )


def _results(
    plans: Mapping[str, _Plan],
    candidates: Sequence[NetworkConfig],
    laboratory: Laboratory,
    validation: LabelledImages,
) -> dict[str, list[list[Outcome]]]:
    """Name of a plan -> candidate -> one outcome per network."""
    bench = laboratory.bench(
        {f"{name} #{k}": data for name, plan in plans.items() for k, data in plan.distinct()},
        validation,
    )
    trials = [
        Trial(
            f"{name} #{plan.place(k)}",
            candidate,
            plan.training,
            derive(laboratory.seed, plan.stream, k),
        )
        for name, plan in plans.items()
        for candidate in candidates
        for k in range(len(plan.sets))
    ]
    outcomes = iter(bench.run(trials, laboratory.on_trial))
    return {
        name: [[next(outcomes) for _ in plan.sets] for _ in candidates]
        for name, plan in plans.items()
    }


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
    num_bytes: int | None = None  # None: those of the pixels

    def place(self, k: int) -> int:
        """The first network that learns the same set."""
        return next(i for i, data in enumerate(self.sets) if data is self.sets[k])

    def distinct(self) -> list[tuple[int, LabelledImages]]:
        return [(k, data) for k, data in enumerate(self.sets) if self.place(k) == k]


def _plans(
    sets: Mapping[str, DistilledSet],
    real: LabelledImages,
    laboratory: Laboratory,
    settings: ArchitectureSearchSettings,
) -> dict[str, _Plan]:
    training, num_networks = settings.training, settings.num_networks
    spec, seed = laboratory.spec, laboratory.seed
    coded = {name: one.coded for name, one in sets.items()}
    num_bytes = {name: one.num_bytes for name, one in coded.items()}
    plans = {
        name: _Plan([one.images] * num_networks, training, num_bytes=num_bytes[name])
        for name, one in sets.items()
    }
    size = rivals.sizes(list(coded.values()), len(real.classes))[0][0]
    codec = next(iter(coded.values())).codec
    for method in ("random", "herding"):
        drawn = [
            rivals.real_set(
                real, spec, method=method, num_bytes=size, codec=codec, seed=seed, draw=k
            )
            for k in range(num_networks)
        ]
        name = rivals.title(method, codec)
        if name in plans:
            raise InputError(f"sets: the name {name!r} is taken by a rival; rename the set")
        # Herding draws nothing: its sets are equal, and so is the work.
        images = [one.images for one in drawn]
        images = images if method == "random" else images[:1] * num_networks
        plans[name] = _Plan(images, training, num_bytes=drawn[0].num_bytes)
    first = next(iter(sets.values()))
    # One pass over as many images as a training on the set sees.
    seen = len(first.images) * training.epochs
    part = rivals.subset(real, seen, seed=seed)
    epochs = max(1, round(seen / len(part)))
    once = training.replace(
        epochs=epochs, schedule="cosine", batch_size=min(training.batch_size, 128)
    )
    plans[EARLY] = _Plan([part] * num_networks, once)
    return plans


@dataclass(frozen=True)
class _Judge:
    """What rankings are held to."""

    truth: tuple[float, ...]
    top_k: int
    seed: int

    def proxy(
        self,
        name: str,
        cells: Sequence[Sequence[Outcome]],
        plan: _Plan,
        random: tuple[float, ...] | None,
    ) -> Proxy:
        scores = _scores(cells)
        chosen = int(np.argmax(scores))
        quality = lead = None
        if self.truth:
            rng = np.random.default_rng(derive(self.seed, "bootstrap"))
            quality = ranking_quality(scores, self.truth, rng=rng, top_k=self.top_k)
            if random is not None:
                lead = spearman_lead(scores, random, self.truth, rng=rng)
        accuracy = _test_accuracy(cells[chosen])
        num_bytes = plan.num_bytes or plan.sets[0].num_bytes
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


def _lines(found: ArchitectureSearch) -> list[str]:
    lines = [
        f"best by {proxy.name}: {found.labels[proxy.chosen] if any(proxy.scores) else 'none'}"
        for proxy in found.proxies
    ]
    lines += [
        f"Spearman over random real images, {proxy.name}: {_value(proxy.over_random, '+')}"
        for proxy in found.proxies
        if proxy.over_random is not None
    ]
    agreements = {proxy.name: proxy.agreement for proxy in found.proxies}
    agreements["full data"] = found.truth_agreement
    told = [f"{name} {value:.2f}" for name, value in agreements.items() if value is not None]
    if told:
        lines.append(f"Spearman between single networks' rankings: {', '.join(told)}")
    return lines


def _value(correlation: Correlation, sign: str = "") -> str:
    value, low, high = correlation.value, correlation.low, correlation.high
    if value is None:
        return "none"
    if low is None or high is None:
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def _columns(found: ArchitectureSearch) -> list[str]:
    columns = ["ranked by", "bytes", "accuracy % of its best", "seconds"]
    if not found.truth:
        return columns
    quality = next(p.quality for p in found.proxies if p.quality is not None)
    return [*columns, "speed-up", "Spearman", "Kendall", f"top-{quality.top_k} overlap", "regret"]


def _rows(found: ArchitectureSearch) -> list[list[str]]:
    rows = []
    for proxy in found.proxies:
        row = [proxy.name, count(proxy.num_bytes)]
        # Networks that diverged score 0, and chance more: no score at all means that all did.
        row.append(per_cent(proxy.chosen_accuracy) if any(proxy.scores) else "diverged")
        row.append(seconds(proxy.seconds))
        quality, speed_up = proxy.quality, found.speed_up(proxy)
        if quality is not None:
            row += [
                "-" if speed_up is None else f"{speed_up:.1f}",
                _value(quality.spearman),
                _value(quality.kendall),
                f"{quality.top_k_overlap:.2f}",
                f"{100 * quality.regret:.2f}",
            ]
        rows.append(row)
    if found.truth:
        best = f"{100 * max(found.truth):.2f}"
        rows.append(["full data", "", best, seconds(found.truth_seconds), "1.0", *["-"] * 4])
    return rows
