"""What is made of a run's last memory once the stream is over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from clbench.config import RunConfig
from clbench.errors import InputError
from clbench.evaluation import EVALUATIONS, Evaluation, Laboratory, Result
from clbench.evaluation.trials import Divergences, OnTrial
from clbench.sets import DistilledSet
from clbench.types import ImageSpec


def with_training(config: RunConfig) -> RunConfig:
    """Return the configuration whose evaluations train networks as the run says."""
    training = {"training": config.set_training.to_dict()}
    settings = {
        name: chosen.updated(training) if hasattr(chosen, "training") else chosen
        for name, chosen in config.evaluations.items()
    }
    return config.replace(evaluations=settings)


def check(config: RunConfig, spec: ImageSpec, remembers: bool) -> None:
    """Refuse before the stream begins what could not be done after it.

    Raises:
        InputError: an evaluation of the memory of a strategy without one, or of no memory at all;
            whatever an evaluation refuses.
    """
    if config.evaluations and not remembers:
        raise InputError(
            f"evaluate: expected a strategy with a memory, found {config.strategy}; "
            "`clbench list strategies` shows them"
        )
    for name, evaluation in _wanted(config).items():
        if not EVALUATIONS.find(name).of_sets:
            raise InputError(
                f"evaluate: expected an evaluation of sets, found {name}; "
                f"`clbench evaluate {name}` does it"
            )
        evaluation.check(spec, config.seed)


def evaluate_memory(
    memory: DistilledSet,
    laboratory: Laboratory,
    config: RunConfig,
    *,
    on_phase: Callable[[str], OnTrial],
) -> tuple[dict[str, Result], dict[str, list[str]]]:
    """Return what the evaluations find that ``config`` asks for, and what diverged, by name.

    Args:
        memory: the last one; labels are the data set's own class numbers, as everywhere here.
        laboratory: the stream's images, all experiences together.
        config: the run's.
        on_phase: called with an evaluation's name; what it returns hears of its trainings.
    """
    found, diverged = {}, {}
    for name, evaluation in _wanted(config).items():
        heard = Divergences(on_phase(name))
        found[name] = evaluation.run(laboratory.replace(on_trial=heard), {"memory": memory})
        if heard.lines:
            diverged[name] = heard.lines
    return found, diverged


def _wanted(config: RunConfig) -> Mapping[str, Evaluation]:
    chosen = config.evaluations.items()
    return {name: EVALUATIONS.find(name).make(settings) for name, settings in chosen}


def outcomes_directory(use_cache: bool | Path) -> Path | None:
    """Return where outcomes of trials are kept: the user's cache, a directory, or nowhere."""
    from clbench.evaluation.trials import default_directory

    if isinstance(use_cache, Path):
        return use_cache
    return default_directory() if use_cache else None
