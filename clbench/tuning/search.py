"""Two rounds: every candidate under one seed, then the best few under more.

Every strategy has the same candidates, seeds and rounds, so that none wins by a longer search. What
was tried is kept, in the order tried: a search that was stopped goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from clbench.errors import InputError
from clbench.store.files import write_json
from clbench.store.reading import read_json

SCHEMA = 1


@dataclass(frozen=True)
class Candidate:
    """What is tried.

    Attributes:
        strategy: name of the strategy.
        settings: option -> value, both as on the command line.
    """

    strategy: str
    settings: Mapping[str, str]

    @property
    def title(self) -> str:
        """The settings in one line."""
        words = ", ".join(f"{name} {value}" for name, value in self.settings.items())
        return words or "defaults"


@dataclass(frozen=True)
class Trial:
    """One run on the validation stream.

    Attributes:
        candidate: what was tried.
        seed: of the run.
        accuracy: average accuracy over the validation stream after the last experience, 0..1;
            None where the candidate was refused.
        num_bytes: memory after the last experience.
        num_images: images held then.
        seconds: wall time of the run.
        refused: why the candidate cannot be used, or its run diverged; else "".
    """

    candidate: Candidate
    seed: int
    accuracy: float | None = None
    num_bytes: int = 0
    num_images: int = 0
    seconds: float = 0.0
    refused: str = ""


@dataclass(frozen=True)
class Standing:
    """What is known of one candidate: its trials, in the order of their seeds."""

    candidate: Candidate
    trials: tuple[Trial, ...]

    @property
    def accuracy(self) -> float | None:
        """Mean over the trials; None where one was refused."""
        found = [trial.accuracy for trial in self.trials]
        return None if not found or None in found else fmean(a for a in found if a is not None)


@dataclass
class Tried:
    """All trials so far, kept in a file.

    Attributes:
        path: written after every trial; None keeps nothing.
        about: what all trials share; another file's trials are refused.
        trials: in the order tried.
    """

    path: Path | None
    about: Mapping[str, Any]
    trials: list[Trial] = field(default_factory=list)

    @staticmethod
    def opened(path: Path, about: Mapping[str, Any]) -> Tried:
        """Return what ``path`` keeps of an earlier search, or nothing.

        Raises:
            InputError: a file of something else, or of a search on another stream or budget.
        """
        if not path.exists():
            return Tried(path, about)
        try:
            values = read_json(path)
            trials = [_trial(one) for one in values["trials"]]
            schema, before = values["schema"], values["about"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: expected what `clbench tune` wrote, found something else ({error}); "
                "remove it or choose another --output"
            ) from None
        if schema != SCHEMA or before != json.loads(json.dumps(about)):
            raise InputError(
                f"{path}: expected a search with the same options, found another one; "
                "choose another --output"
            )
        return Tried(path, about, trials)

    def find(self, candidate: Candidate, seed: int) -> Trial | None:
        """Return the trial of a candidate under a seed; None where it was not tried."""
        for trial in self.trials:
            if trial.candidate == candidate and trial.seed == seed:
                return trial
        return None

    def add(self, trial: Trial) -> None:
        """Keep one more."""
        self.trials.append(trial)
        if self.path is not None:
            write_json(
                self.path,
                {
                    "schema": SCHEMA,
                    "about": self.about,
                    "trials": [asdict(one) for one in self.trials],
                },
            )

    def standing(self, candidate: Candidate, seeds: Sequence[int]) -> Standing:
        """Return what is known of a candidate under some seeds."""
        found = [self.find(candidate, seed) for seed in seeds]
        return Standing(candidate, tuple(trial for trial in found if trial is not None))


def _trial(values: Mapping[str, Any]) -> Trial:
    rest = {name: value for name, value in values.items() if name != "candidate"}
    found = values["candidate"]
    trial = Trial(Candidate(found["strategy"], dict(found["settings"])), **rest)
    if not (trial.accuracy is None or 0 <= trial.accuracy <= 1):
        raise ValueError(f"accuracy {trial.accuracy}")
    for value in (trial.seed, trial.num_bytes, trial.num_images):
        if type(value) is not int:
            raise ValueError(f"expected a whole number, found {value!r:.40}")
    words = (trial.refused, trial.candidate.strategy, *trial.candidate.settings.values())
    if not all(isinstance(word, str) for word in words) or not trial.seconds >= 0:
        raise ValueError("expected text and a time, found others")
    return trial


class Proposals(Protocol):
    """Where the candidates of one strategy come from.

    Attributes:
        strategy: whose.
        num: how many there are.
    """

    strategy: str
    num: int

    def propose(self) -> Candidate:
        """Return the next candidate."""
        ...

    def tell(self, trial: Trial) -> None:
        """Hear what the candidate that was proposed last came to."""
        ...


class Listed:
    """Proposals that are known before."""

    def __init__(self, strategy: str, candidates: Sequence[Candidate]) -> None:
        """Propose them in their order; ``strategy`` is that of all."""
        self.strategy, self.num = strategy, len(candidates)
        self._left = iter(candidates)

    def propose(self) -> Candidate:
        """Return the next one."""
        return next(self._left)

    def tell(self, trial: Trial) -> None:
        """Learn nothing: what comes next is known."""


def search(
    proposals: Sequence[Proposals],
    measure: Callable[[Candidate, int], Trial],
    tried: Tried,
    *,
    first_seed: int,
    seeds: int,
    finalists: int,
    on_trial: Callable[[Trial, int, int], None],
) -> dict[str, list[Standing]]:
    """Try every candidate, and the best of each strategy again.

    Args:
        proposals: of each strategy.
        measure: runs one.
        tried: trials that are there are not made again.
        first_seed: the seed of the first round.
        seeds: seeds of a finalist, counted from ``first_seed``.
        finalists: of each strategy.
        on_trial: hears of each trial, its number and how many there are at most.

    Returns:
        Strategy -> candidates, finalists first by their mean, then the others; best first.
    """
    total = sum(one.num + min(finalists, one.num) * (seeds - 1) for one in proposals)
    number, every = 0, range(first_seed, first_seed + seeds)

    def trial_of(candidate: Candidate, seed: int) -> Trial:
        nonlocal number
        number += 1
        trial = tried.find(candidate, seed)
        if trial is None:
            trial = measure(candidate, seed)
            tried.add(trial)
        on_trial(trial, number, total)
        return trial

    found: dict[str, list[Standing]] = {}
    for one in proposals:
        mine: list[Candidate] = []
        for _ in range(one.num):
            candidate = one.propose()
            one.tell(trial_of(candidate, first_seed))
            mine += [] if candidate in mine else [candidate]
        # By the first seed alone, also where a search goes on that knows more.
        ranked = _ranked([tried.standing(candidate, every[:1]) for candidate in mine])
        sound = [standing for standing in ranked if standing.accuracy is not None]
        chosen = [standing.candidate for standing in sound[:finalists]]
        for candidate in chosen:
            for seed in every[1:]:
                trial_of(candidate, seed)
        final = _ranked([tried.standing(candidate, every) for candidate in chosen])
        rest = [standing for standing in ranked if standing.candidate not in chosen]
        found[one.strategy] = [*final, *rest]
    return found


def _ranked(standings: Sequence[Standing]) -> list[Standing]:
    """Best first; refused ones last; equal ones in the order given."""
    return sorted(standings, key=lambda one: (one.accuracy is None, -(one.accuracy or 0.0)))
