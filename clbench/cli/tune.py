"""``clbench tune``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import Group, Interrupted, say
from clbench.cli.option_values import OptionValues, choices
from clbench.cli.options import (
    DATA_ROOT,
    DISTIL_ANEW,
    JSON,
    QUIET,
    Command,
    Option,
    attach,
    completer,
    method_options,
    preset_option,
    run_options,
)
from clbench.config import RunConfig

if TYPE_CHECKING:
    from clbench.tuning.search import Candidate, Standing, Trial, Tried

FRACTION = 0.1  # of the training images, where --validation-fraction does not say
STRATEGY = Option(
    ["--strategy"],
    multiple=True,
    required=True,
    metavar="NAME",
    heading="Search",
    shell_complete=completer("strategies"),
    help="Strategy to find a codec for; give several, and each has the same search.",
)
CANDIDATE = Option(
    ["--candidate"],
    multiple=True,
    metavar="CODEC",
    heading="Search",
    shell_complete=completer("codecs"),
    help="Codec to try; may be given several times.  [default: a dozen for grey or for colour "
    "images]",
)
VARY = Option(
    ["--vary"],
    multiple=True,
    metavar="OPTION=V,V,...",
    heading="Search",
    help="Try every codec with each of these values of another option, as "
    "kernel-ridge=0.01,0.1; may be given several times.",
)
FINALISTS = Option(
    ["--finalists"],
    type=click.IntRange(1),
    default=3,
    heading="Search",
    help="Candidates of each strategy that are tried under more seeds.  [default: 3]",
)
SEEDS = Option(
    ["--seeds"],
    type=click.IntRange(1),
    default=3,
    heading="Search",
    help="Seeds of a finalist, from --seed on.  [default: 3]",
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Folder of tuning.json and tuning.md; a search that was stopped there goes on.  "
    "[default: tunings/BENCHMARK-STRATEGIES-CAPACITY]",
)


@click.group(cls=Group)
def command() -> None:
    r"""Choose settings on the validation stream.

    \b
    Example:
      clbench tune codec --strategy dam_replay --strategy random_replay
    """


@command.command("codec", cls=Command)
@attach(STRATEGY, CANDIDATE, VARY, FINALISTS, SEEDS)
@attach(*run_options("seed", "device", heading="Search"))
@attach(*run_options("benchmark", "learner"))
@attach(*run_options("memory", but=["memory.codec"]), preset_option())
@attach(*run_options("distillation", but=["distillation.distiller"]), *method_options())
@attach(*run_options("set_training"))
@attach(OUTPUT, DATA_ROOT, DISTIL_ANEW, QUIET, JSON)
@click.pass_context
def codec(ctx: click.Context, **values: Any) -> None:
    r"""Find the codec that serves each memory best at equal bytes.

    Part of the training images of every class is held out; each candidate is run on the rest and
    scored on what was held out. No test image has a say. All strategies have the same candidates
    and seeds. Everything that was tried is written down, and the same command goes on with a search
    that was stopped.

    \b
    Examples:
      clbench tune codec --strategy random_replay --strategy kip_replay
      clbench tune codec --strategy dam_replay --candidate raw --candidate png
      clbench tune codec --strategy kip_replay --memory-bytes 7840 \
          --candidate levels:side=14,levels=2 --vary kernel-ridge=0.01,0.1
    """
    from clbench.cli.display import ProgressLine, print_json

    plan = _Plan(ctx, values)
    quiet = values["quiet"]
    with ProgressLine(not quiet) as line:

        def told(trial: Trial, number: int, total: int) -> None:
            if not quiet:
                line.write(f"{number}/{total}  {_in_words(trial)}")
            line.show("tuning", number, total)

        try:
            found = plan.search(told)
        except KeyboardInterrupt:
            num = len(plan.tried.trials)
            raise Interrupted(
                f"interrupted; {plan.folder / 'tuning.json'} keeps {num} trials, and the same "
                "command goes on"
                if num
                else "interrupted; nothing was tried yet, and the same command begins again"
            ) from None
    text = _markdown(found, plan.tried)
    _write(plan.folder / "tuning.md", text)
    if values["json"]:
        return print_json(_result(found, plan))
    if not quiet:
        _show(found)
        for name in ("tuning.md", "tuning.json"):
            say(f"written: {plan.folder / name}")
    return None


class _Plan:
    """What a search tries, and where it is kept."""

    tried: Tried

    def __init__(self, ctx: click.Context, values: dict[str, Any]) -> None:
        from clbench.tuning.search import Tried

        self._ctx, self._values = ctx, values
        fixed = {name: value for name, value in values.items() if "__" in name}
        fixed |= {name: values[name] for name in ("seed", "device")}
        if fixed.get("benchmark__validation_fraction") in (None, 0):
            fixed["benchmark__validation_fraction"] = FRACTION
        sizes = ("memory__capacity_bytes", "memory__images_per_class")
        if all(fixed[size] is None for size in sizes):
            # A candidate names a codec, and would lose the benchmark's own capacity with it.
            fixed[sizes[0]] = _own_capacity(fixed["benchmark__name"])
        self.fixed = fixed
        self.seed = RunConfig().seed if values["seed"] is None else values["seed"]
        strategies = list(dict.fromkeys(values["strategy"]))
        base = [self._config({**fixed, "strategy": name}) for name in strategies]
        self.folder = values["output"] or _default_folder(base)
        self.candidates = self._candidates(strategies, base[0])
        about = {
            "fixed": {name: value for name, value in fixed.items() if value is not None},
            "loop": values["loop"],
        }
        self.tried = Tried.opened(self.folder / "tuning.json", about)

    def _config(self, values: dict[str, Any]) -> RunConfig:
        from clbench.cli.build_config import build_config

        return build_config(RunConfig(), values, loop=self._values["loop"])

    def _candidates(self, strategies: Sequence[str], config: RunConfig) -> list[Candidate]:
        from clbench.benchmarks import make_benchmark
        from clbench.codecs.table import canonical
        from clbench.tuning.candidates import default_candidates
        from clbench.tuning.search import Candidate

        lines = [canonical(line) for line in self._values["candidate"]]
        if not lines:
            made = make_benchmark(config.benchmark, self._values["data_root"], self.seed)
            lines = default_candidates(made.data.spec)
        varied = dict(choices(text, "--vary") for text in self._values["vary"])
        for name, texts in varied.items():
            for text in texts:
                self._read(name, text)
        found = [
            Candidate(strategy, {"codec": line, **dict(zip(varied, chosen, strict=True))})
            for strategy in strategies
            for line in dict.fromkeys(lines)
            for chosen in product(*varied.values())
        ]
        for candidate in found:
            self.config_of(candidate, self.seed)
        return found

    def _read(self, option: str, text: str) -> tuple[str, Any]:
        """The name and the value of an option that varies."""
        return OptionValues(self._ctx, "--vary").read(option, text)

    def config_of(self, candidate: Candidate, seed: int) -> RunConfig:
        """Return the run of a candidate."""
        values = {**self.fixed, "strategy": candidate.strategy, "seed": seed}
        for option, text in candidate.settings.items():
            if option == "codec":
                values["memory__codec"] = text
            else:
                name, value = self._read(option, text)
                values[name] = value
        return self._config(values)

    def search(self, on_trial: Any) -> dict[str, list[Standing]]:
        """Try all candidates."""
        from clbench.tuning.search import search

        return search(
            self.candidates,
            self._measure,
            self.tried,
            first_seed=self.seed,
            seeds=self._values["seeds"],
            finalists=self._values["finalists"],
            on_trial=on_trial,
        )

    def _measure(self, candidate: Candidate, seed: int) -> Trial:
        from clbench.cli.running import pass_over_solvers
        from clbench.errors import Diverged, InputError

        pass_over_solvers()
        from clbench.measuring.metrics import average_accuracy
        from clbench.run import run
        from clbench.tuning.search import Trial

        config = self.config_of(candidate, seed)
        try:
            report = run(
                config,
                data_root=self._values["data_root"],
                use_cache=not self._values["no_cache"],
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


def _own_capacity(benchmark: str | None) -> int | None:
    from clbench import benchmarks

    return benchmarks.info(benchmark or RunConfig().benchmark.name).memory_bytes


def _default_folder(configs: Sequence[RunConfig]) -> Path:
    from clbench.data import short_name

    memory = configs[0].memory
    size = "" if memory.images_per_class is None else f"-ipc{memory.images_per_class}"
    if memory.capacity_bytes is not None:
        size = f"-{memory.capacity_bytes}bytes"
    names = "-".join(config.strategy for config in configs)
    return Path("tunings") / f"{short_name(configs[0].benchmark.name)}-{names}{size}"


def _in_words(trial: Trial) -> str:
    head = f"{trial.candidate.strategy}  {trial.candidate.title}  seed {trial.seed}:"
    if trial.accuracy is None:
        return f"{head} refused: {trial.refused}"
    return (
        f"{head} {100 * trial.accuracy:.1f} % with {trial.num_images:,} images in "
        f"{trial.num_bytes:,} bytes, {trial.seconds:.0f} s"
    )


_COLUMNS = ("strategy", "tried", "seeds", "validation %", "images", "bytes")


def _rows(found: dict[str, list[Standing]]) -> list[list[str]]:
    return [
        [
            name,
            standing.candidate.title,
            str(len(standing.trials)),
            *_outcome(standing),
        ]
        for name, standings in found.items()
        for standing in standings
    ]


def _outcome(standing: Standing) -> list[str]:
    if standing.accuracy is None:
        return ["refused", "-", "-"]
    first = standing.trials[0]
    return [f"{100 * standing.accuracy:.1f}", f"{first.num_images:,}", f"{first.num_bytes:,}"]


def _show(found: dict[str, list[Standing]]) -> None:
    from clbench.cli.display import print_table, table

    made = table(_COLUMNS, left=2)
    for row in _rows(found):
        made.add_row(*row)
    print_table("Average accuracy on the validation stream; best first, finalists above", made)
    for name, best in _best(found).items():
        say(f"{name}: {_as_options(best)}")


def _best(found: dict[str, list[Standing]]) -> dict[str, Candidate]:
    """Strategy -> its best candidate; without those that were all refused."""
    first = {name: standings[0] for name, standings in found.items()}
    return {name: one.candidate for name, one in first.items() if one.accuracy is not None}


def _as_options(candidate: Candidate) -> str:
    return " ".join(
        f"--{option} {shlex.quote(value)}" for option, value in candidate.settings.items()
    )


def _markdown(found: dict[str, list[Standing]], tried: Tried) -> str:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|:---|:---|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join(row) + " |" for row in _rows(found)]
    refused = {
        f"- {trial.candidate.strategy}, {trial.candidate.title}: {trial.refused}"
        for trial in tried.trials
        if trial.refused
    }
    best = [f"- {name}: `{_as_options(one)}`" for name, one in _best(found).items()]
    parts = [lines, best, sorted(refused)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _write(path: Path, text: str) -> None:
    from clbench.store.files import write_bytes
    from clbench.store.plain import readable

    write_bytes(path, readable(text).encode())


def _result(found: dict[str, list[Standing]], plan: _Plan) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "best": {name: dict(one.settings) for name, one in _best(found).items()},
        "trials": [asdict(trial) for trial in plan.tried.trials],
    }
