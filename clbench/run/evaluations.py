"""What is made of a run's last memory once the stream is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from clbench import networks
from clbench.config import RunConfig
from clbench.errors import InputError
from clbench.evaluation import (
    RECIPES,
    ArchitectureSearch,
    CrossArchitecture,
    architecture_search,
    cross_architecture,
    named,
    spaces,
)
from clbench.evaluation.trials import Divergences, OnTrial, default_directory
from clbench.figures import cross_architecture_figure, search_figure
from clbench.types import ImageSpec, LabelledImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CROSS, SEARCH = "cross_architecture", "architecture_search"


@dataclass(frozen=True)
class Evaluations:
    """What was found out.

    Attributes:
        results: name -> plain values, the same in every run of one command.
        measured: name -> seconds and what follows from them.
        figures: name -> draws a figure of it.
    """

    results: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Callable[[], Figure]] = field(default_factory=dict)

    def drawn(self) -> Iterator[tuple[str, Figure]]:
        """The figures that can be drawn, with their names."""
        for name, draw in self.figures.items():
            # One that fails costs the run nothing; who writes the files says so.
            with suppress(Exception):
                yield name, draw()


def check(config: RunConfig, spec: ImageSpec, remembers: bool) -> None:
    """Refuse before the stream begins what could not be done after it.

    Raises:
        InputError: an evaluation of the memory of a strategy without one; a network that does not
            fit the images; no such space, or too many candidates.
    """
    wanted = config.evaluation
    if not (wanted.cross_architecture or wanted.architecture_search):
        return
    if not remembers:
        raise InputError(
            f"evaluate: expected a strategy with a memory, found {config.strategy}; "
            "`clbench list strategies` shows them"
        )
    if wanted.cross_architecture:
        for network in named(wanted.networks):
            networks.build(network, spec, seed=0)
    if wanted.architecture_search:
        spaces.draw(spaces.find(wanted.space), wanted.num_candidates, seed=config.seed)


def evaluate_memory(
    memory: LabelledImages,
    real: LabelledImages,
    test: LabelledImages,
    spec: ImageSpec,
    config: RunConfig,
    *,
    device: torch.device,
    use_cache: bool | Path,
    on_phase: Callable[[str], OnTrial],
) -> Evaluations:
    """The evaluations that ``config`` asks for; none at all is an answer too.

    Args:
        memory: the last memory; labels are the data set's own class numbers, as everywhere here.
        real: the stream's training images, all experiences together.
        test: its test images.
        spec: what they look like.
        config: the run's.
        device: where networks are trained.
        use_cache: keep outcomes in the user's cache, or in a directory.
        on_phase: called with an evaluation's name; what it returns hears of its trainings.
    """
    wanted, found = config.evaluation, Evaluations()
    directory = use_cache if isinstance(use_cache, Path) else default_directory()
    common: dict[str, Any] = {
        "training": config.set_training,
        "seed": config.seed,
        "device": device,
        "directory": directory if use_cache else None,
    }
    heard = {name: Divergences(on_phase(name)) for name in (CROSS, SEARCH)}
    if wanted.cross_architecture:
        crossed = cross_architecture(
            {"memory": memory},
            real,
            test,
            spec,
            networks=named(wanted.networks),
            num_networks=wanted.num_networks,
            on_trial=heard[CROSS],
            **common,
        )
        _keep(found, CROSS, crossed, lambda: _crossed_figure(crossed))
    if wanted.architecture_search:
        searched = architecture_search(
            {"memory": memory},
            real,
            test,
            spec,
            spaces.find(wanted.space),
            num_candidates=wanted.num_candidates,
            full=RECIPES["course"].replace(epochs=wanted.full_epochs)
            if wanted.full_epochs
            else None,
            on_trial=heard[SEARCH],
            **common,
        )
        scores = {proxy.name: proxy.scores for proxy in searched.proxies}
        _keep(found, SEARCH, searched, lambda: search_figure(scores, searched.truth, {}))
    for name, result in found.results.items():
        if heard[name].lines:
            result["diverged_networks"] = heard[name].lines
    return found


def _keep(
    found: Evaluations,
    name: str,
    outcome: CrossArchitecture | ArchitectureSearch,
    draw: Callable[[], Figure],
) -> None:
    found.results[name] = outcome.to_dict()
    found.measured[name] = outcome.measured()
    found.figures[name] = draw


def _crossed_figure(found: CrossArchitecture) -> Figure:
    scores = {
        row: {network: list(s.values) for network, s in found.scores[row].items()}
        for row in found.sets
    }
    return cross_architecture_figure(scores, found.networks, title="Networks trained on memory")
