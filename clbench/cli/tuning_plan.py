"""What a search of ``clbench tune`` tries, how one candidate is measured, and where it is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.option_values import OptionValues
from clbench.config import RunConfig

if TYPE_CHECKING:
    from clbench.tuning.search import Candidate, Proposals, Standing, Trial, Tried

FRACTION = 0.1  # of the training images, where --validation-fraction does not say
_SIZES = ("memory__capacity_bytes", "memory__images_per_class")


class Plan:
    """One search.

    Attributes:
        values: the command's options.
        fixed: option name -> value of every candidate.
        seed: of the first round.
        strategies: names, each once.
        folder: of tuning.json and tuning.md.
        tried: every trial so far; there after `open`.
    """

    tried: Tried

    def __init__(self, ctx: click.Context, values: dict[str, Any], *, where: str) -> None:
        """Read the options; nothing is tried yet.

        Args:
            ctx: of the command.
            values: of its options.
            where: begins messages about an option of the search, as "--vary".
        """
        self._reader, self.values = OptionValues(ctx, where), values
        fixed = {name: value for name, value in values.items() if "__" in name}
        fixed |= {name: values[name] for name in ("seed", "device")}
        if fixed.get("benchmark__validation_fraction") in (None, 0) and not _has_own(fixed):
            fixed["benchmark__validation_fraction"] = FRACTION
        if all(fixed[size] is None for size in _SIZES):
            # A candidate names a codec, and would lose the benchmark's own capacity with it.
            fixed[_SIZES[0]] = _own_capacity(fixed["benchmark__name"])
        self.fixed = fixed
        self.seed = RunConfig().seed if values["seed"] is None else values["seed"]
        self.strategies = list(dict.fromkeys(values["strategy"]))
        self.base = [self._config({**fixed, "strategy": name}) for name in self.strategies]
        self.folder = values["output"] or _default_folder(ctx.info_name or "search", self.base)

    def open(self, **about: Any) -> None:
        """Take up what the folder keeps of the same search.

        Args:
            **about: what its trials share beside the fixed options.

        Raises:
            InputError: another search is kept there.
        """
        from clbench.tuning.search import Tried

        fixed = {name: value for name, value in self.fixed.items() if value is not None}
        shared = {"fixed": fixed, "loop": self.values["loop"], **about}
        self.tried = Tried.opened(self.folder / "tuning.json", shared)

    def read(self, option: str, text: str) -> tuple[str, Any]:
        """Return the name and the value of an option given as text.

        Raises:
            InputError: no such option, or no such value.
        """
        return self._reader.read(option, text)

    def config_of(self, candidate: Candidate, seed: int) -> RunConfig:
        """Return the run of a candidate.

        Raises:
            InputError: values that no run can have.
        """
        values = {**self.fixed, "strategy": candidate.strategy, "seed": seed}
        for option, text in candidate.settings.items():
            # `tune codec` has no option of that name: what it tries are the codecs.
            codec = option == "codec"
            name, value = ("memory__codec", text) if codec else self.read(option, text)
            values[name] = value
            if name in _SIZES:
                values |= {other: None for other in _SIZES if other != name}
        return self._config(values)

    def _config(self, values: dict[str, Any]) -> RunConfig:
        from clbench import strategies
        from clbench.cli.build_config import build_config

        if strategies.STRATEGIES.find(values["strategy"]).memory is None:
            values = {name: v for name, v in values.items() if not name.startswith("memory__")}
        return build_config(RunConfig(), values, loop=self.values["loop"])

    def search(
        self, proposals: Sequence[Proposals], on_trial: Callable[[Trial, int, int], None]
    ) -> dict[str, list[Standing]]:
        """Try all that is proposed."""
        from clbench.tuning.search import search

        return search(
            proposals,
            self._measure,
            self.tried,
            first_seed=self.seed,
            seeds=self.values["seeds"],
            finalists=self.values["finalists"],
            on_trial=on_trial,
        )

    def _measure(self, candidate: Candidate, seed: int) -> Trial:
        from clbench.cli.running import pass_over_solvers
        from clbench.errors import Diverged, InputError

        pass_over_solvers()
        from clbench.measuring.metrics import average_accuracy
        from clbench.run import run
        from clbench.tuning.search import Trial

        try:
            report = run(
                self.config_of(candidate, seed),
                data_root=self.values["data_root"],
                use_cache=not self.values["no_cache"],
            )
        except (InputError, Diverged) as error:
            return Trial(candidate, seed, refused=str(error))
        assert report.validation_matrix is not None
        memory = report.memory[-1] if report.memory else {"num_bytes": 0, "num_images": 0}
        return Trial(
            candidate,
            seed,
            accuracy=average_accuracy(report.validation_matrix),
            num_bytes=memory["num_bytes"],
            num_images=memory["num_images"],
            seconds=float(report.measured["seconds"]["total"]),
        )


def _has_own(fixed: dict[str, Any]) -> bool:
    """Whether the data set has a validation stream of its own."""
    from clbench import benchmarks, data

    name = benchmarks.info(fixed.get("benchmark__name") or RunConfig().benchmark.name).dataset
    if data.is_own(name):
        options = ("images_in", "group_pattern", "allow_repeats")
        asked = {option: fixed.get(f"benchmark__{option}") for option in options}
        given = {option: value for option, value in asked.items() if value is not None}
        name = data.with_options(name, **given)
    return data.info(name).num_validation > 0


def _own_capacity(benchmark: str | None) -> int | None:
    from clbench import benchmarks

    return benchmarks.info(benchmark or RunConfig().benchmark.name).memory_bytes


def _default_folder(kind: str, configs: Sequence[RunConfig]) -> Path:
    from clbench.data import short_name

    memory = configs[0].memory
    size = "" if memory.images_per_class is None else f"-ipc{memory.images_per_class}"
    if memory.capacity_bytes is not None:
        size = f"-{memory.capacity_bytes}bytes"
    names = "-".join(config.strategy for config in configs)
    return Path("tunings") / f"{kind}-{short_name(configs[0].benchmark.name)}-{names}{size}"
