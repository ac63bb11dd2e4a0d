"""``clbench run``."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import say
from clbench.cli.options import (
    DATA_ROOT,
    DISTIL_ANEW,
    JSON,
    QUIET,
    TENSORBOARD,
    Command,
    Option,
    attach,
    completer,
    evaluation_options,
    flag,
    method_options,
    preset_option,
    run_options,
    strategy_options,
)
from clbench.config import RunConfig

if TYPE_CHECKING:
    from clbench.evaluation.protocol import Shown
    from clbench.report import RunReport

MORE = 10  # times the bytes
BASELINE = Option(
    ["--baseline"],
    multiple=True,
    metavar="NAME",
    heading="Strategy",
    shell_complete=completer("strategies"),
    help="Run this strategy too, under the same seed and settings, and show both side by side; "
    "may be given several times.  [default: none]",
)
EVALUATE = Option(
    ["--evaluate"],
    default=None,
    metavar="NAME,...",
    heading="Evaluation of the last memory",
    help="set, cross-architecture, architecture-search, or several with commas: see clbench "
    "evaluate.  "
    "[default: none]",
)
MORE_BYTES = Option(
    ["--more-bytes"],
    type=click.IntRange(0),
    default=None,
    metavar="N",
    heading="Strategy",
    common=False,
    help="With --baseline: run the first baseline also with N times the bytes, and say what it "
    "scores; 0: do not.  [default: 10 where no memory option is given, else 0]",
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Run directory to make; with --baseline, the folder of one for each strategy.  "
    "[default: the first free of runs/BENCHMARK/STRATEGY-seedN, -2, -3, ...]",
)
RESUME = Option(
    ["--resume"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    common=False,
    help="Go on with the unfinished run in this directory, whose settings hold.",
)
FRESH = flag(
    "--fresh",
    "Begin anew. Otherwise the same command goes on with the run that it left unfinished.",
)
CONFIG = Option(
    ["--config"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="JSON or TOML of (part of) a configuration, as config.json of a run; options given beside "
    "it win.",
)


TRACKER = Option(
    ["--tracker"],
    multiple=True,
    metavar="NAME",
    heading="Output",
    common=False,
    shell_complete=completer("trackers"),
    help="Also send the run to wandb or mlflow (pip install 'clbench[wandb]', 'clbench[mlflow]'); "
    "may be given twice. Their own variables say where: WANDB_PROJECT, WANDB_MODE, "
    "MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME.",
)


@click.command(cls=Command)
@attach(*run_options("strategy", heading="Strategy"), BASELINE, MORE_BYTES)
@attach(*run_options("seed", "device", heading="Strategy"))
@attach(*run_options("benchmark", "learner", "memory"), preset_option())
@attach(*run_options("distillation", but=["distillation.distiller"]), *method_options())
@attach(*strategy_options())
@attach(*run_options("set_training"), EVALUATE, *evaluation_options())
@attach(OUTPUT, RESUME, FRESH, CONFIG, DATA_ROOT, TENSORBOARD, TRACKER)
@attach(DISTIL_ANEW, QUIET, JSON)
def command(**values: Any) -> None:
    r"""Run a strategy on a stream and measure what it forgets.

    A learner meets the experiences of a stream one after the other and is tested on all of them
    after each. What it may keep of the past is the memory: real images, or images distilled from
    them, at equal bytes.

    \b
    Examples:
      clbench run --strategy dam_replay --baseline random_replay
      clbench run --benchmark split_mnist --data-root ~/data --seed 1
      clbench run --strategy dm_gdumb --network convnet --set-epochs 300
      clbench run --memory-bytes 1960 --codec levels:side=14,levels=2
      clbench run --strategy pad_replay --memory-bytes 78400 --num-updates 100
      clbench run --evaluate cross-architecture --set-epochs 100
      clbench run --config runs/split_mnist5k/dam_replay-seed0/config.json
      clbench run --resume runs/split_mnist/dam_replay-seed0
    """
    from clbench.cli.places import run_directory

    known = values["resume"] is not None
    output = _to_go_on_with(values) if known else values["output"]
    # Before the other imports, which take seconds.
    chosen = None if output is None else run_directory(output)

    from clbench.cli.display import print_json
    from clbench.cli.running import places, run_all

    quiet, tensorboard = values["quiet"], values["tensorboard"]
    configs = _configs(values)
    folder, folders = places(configs, chosen, fresh=values["fresh"], known=known)

    run_these = partial(
        run_all,
        chosen=output,
        data_root=values["data_root"],
        cache=not values["no_cache"],
        tensorboard=tensorboard,
        quiet=quiet,
        others=values["tracker"],
    )
    reports, tables = run_these(configs, folders)
    shown = not quiet and not values["json"]
    if shown:
        _print_tables(reports, tables)
    factor = _factor(values)
    larger: list[RunReport] = []
    try:
        if factor and reports[1].memory:
            one = _with_more_bytes(reports[1], factor)
            folders = [*folders, folder / f"{one.strategy}-{factor}-times-the-bytes"]
            larger, _ = run_these([one], folders[-1:])
    finally:
        # What comes of more bytes costs the pair nothing.
        if len(reports) > 1:
            _write_side_by_side([*reports, *larger], folders, folder)
    if values["json"]:
        found = [report.to_dict() for report in reports]
        return print_json(found if values["baseline"] else found[0])
    if shown:
        for report in larger:
            say(_what_more_bytes_give(report, factor))
        if len(configs) > 1:
            _say_that_one_seed_tells_little(configs, values["data_root"])
        _hints(folder, folders, tensorboard)
    return None


def _print_tables(reports: list[RunReport], tables: list[tuple[str, Shown]]) -> None:
    from clbench.cli.display import print_shown
    from clbench.cli.results import print_reports

    print_reports(reports)
    for title, table in tables:
        print_shown(title, table)


def _to_go_on_with(values: dict[str, Any]) -> Path:
    """Directory of the run to go on with; its configuration is what is run."""
    from clbench.errors import InputError

    directory: Path = values["resume"]
    for other in ("output", "config", "baseline", "fresh"):
        if values[other]:
            raise InputError(f"--resume: expected no --{other} beside it, found one; leave it out")
    config = directory / "config.json"
    if not config.is_file():
        raise InputError(
            f"--resume {directory}: expected the directory of a run, with its config.json, found "
            "none; see clbench run --output"
        )
    values["config"] = config
    return directory


def _factor(values: dict[str, Any]) -> int:
    """How many times the bytes the first baseline gets in a run of its own; 0 for none."""
    if not values["baseline"]:
        return 0
    if values["more_bytes"] is not None:
        return int(values["more_bytes"])
    sizes = ("images_per_class", "capacity_bytes", "codec")
    given = values["config"] or any(values[f"memory__{name}"] is not None for name in sizes)
    return 0 if given else MORE


def _with_more_bytes(report: RunReport, factor: int) -> RunConfig:
    from clbench.strategies import read_config

    config = read_config(report.config)
    size = factor * int(report.memory[-1]["num_bytes"])
    if config.memory.capacity_bytes is not None:
        size = factor * config.memory.capacity_bytes
    return config.replace(memory=config.memory.replace(capacity_bytes=size))


def _what_more_bytes_give(report: RunReport, factor: int) -> str:
    from clbench.measuring import metrics

    name, memory = report.config["strategy"], report.memory[-1]
    accuracy = 100 * metrics.average_accuracy(report.accuracy_matrix)
    return (
        f"{factor} times the bytes: {name} scores {accuracy:.1f} % with {memory['num_images']:,} "
        f"images in {memory['num_bytes']:,} bytes."
    )


def _say_that_one_seed_tells_little(configs: list[RunConfig], data_root: Path | None) -> None:
    """What the pair does not show, and the command that would, where options make it."""
    from clbench.comparison.notes import FEWEST_PAIRS
    from clbench.page import command_of

    say("One seed cannot tell a gain from chance; six can:")
    seed = configs[0].seed
    made = command_of(configs[0].replace(seed=0))
    if made is None:
        return say("             the same under six seeds, then clbench compare")
    names = ",".join(dict.fromkeys(config.strategy for config in configs))
    seeds = ",".join(str(seed + more) for more in range(FEWEST_PAIRS))
    words = ["clbench", "sweep", "--vary", f"strategy={names}", "--vary", f"seed={seeds}"]
    words += made[4:]  # behind `clbench run --strategy NAME`
    if data_root is not None:
        words += ["--data-root", str(data_root)]
    say(f"             {shlex.join(words)}")
    return None


def _configs(values: dict[str, Any]) -> list[RunConfig]:
    """One configuration for the strategy, one for each baseline."""
    from clbench.cli.build_config import build_config, without_effect
    from clbench.strategies import distiller_of

    own = {name: value for name, value in values.items() if "__" in name}
    own |= {name: values[name] for name in ("strategy", "seed", "device")}
    own = _of_asked(own, values["evaluate"])
    asked = [own, *({**own, "strategy": name} for name in values["baseline"])]
    configs = [
        build_config(
            RunConfig(), one, file=values["config"], loop=_loop(one, asked, values["loop"])
        )
        for one in asked
    ]
    distillations = [c.distillation for c in configs if distiller_of(c.strategy) is not None]
    names = [config.strategy for config in configs]
    idle = () if values["quiet"] else without_effect(distillations, own, strategies=names)
    for option in idle:
        say(f"note: {option} sets nothing here: no strategy has this setting", err=True)
    return configs


def _loop(values: dict[str, Any], asked: list[dict[str, Any]], loop: str | None) -> str | None:
    """The preset, but for a strategy without it where another one has it."""
    from clbench.distillation.table import DISTILLERS
    from clbench.strategies import distiller_of

    def has(one: dict[str, Any]) -> bool:
        distiller = distiller_of(one["strategy"] or RunConfig().strategy)
        return distiller is not None and loop in DISTILLERS.find(distiller).presets

    return None if not has(values) and any(map(has, asked)) else loop


def _of_asked(values: dict[str, Any], evaluate: str | None) -> dict[str, Any]:
    """The values, with those of evaluations that are asked for alone, which are then done."""
    from clbench.errors import InputError
    from clbench.evaluation.table import EVALUATIONS

    offered = [name for name, row in EVALUATIONS.loaded()[0].items() if row.of_sets]
    names = [name.strip().replace("-", "_") for name in (evaluate or "").split(",")]
    for name in filter(None, names):
        if name not in offered:
            shown = " or ".join(one.replace("_", "-") for one in offered)
            raise InputError(f"--evaluate: expected {shown}, found {name.replace('_', '-')!r}")
    own = {name: value for name, value in values.items() if not name.startswith("evaluations__")}
    for name in filter(None, names):
        prefix = f"evaluations__{name}__"
        own |= {key: value for key, value in values.items() if key.startswith(prefix)}
        own[f"evaluations__{name}"] = {}
    return own


def _write_side_by_side(reports: list[RunReport], folders: list[Path], folder: Path) -> None:
    from clbench.cli.compare import write_comparison
    from clbench.comparison import Runs, compare

    # One table and one figure: what more bytes give belongs beside what the pair has.
    comparison = compare(reports, group_by=("learner",))
    places = [one / "report.json" for one in folders[: len(reports)]]
    write_comparison(comparison, folder / "comparison", runs=Runs(tuple(places), tuple(reports)))


def _hints(folder: Path, folders: list[Path], tensorboard: bool) -> None:
    if len(folders) > 1:
        from clbench.cli.compare import PAGE

        say(f"comparison:  {folder / 'comparison' / PAGE}")
    for one in folders:
        say(f"figures:     {one / 'figures'}")
    if tensorboard:
        from clbench.tracking import CUSTOM_SCALARS_ADDRESS, SCALARS_ADDRESS

        say(f"TensorBoard: tensorboard --logdir {shlex.quote(str(folder))}")
        say(f"             unsmoothed at {SCALARS_ADDRESS}")
        say(f"             in one chart at {CUSTOM_SCALARS_ADDRESS}")
        say("             untick Ignore outliers there: it leaves the worst values outside")
    above = folder if folder.parent == Path() else folder.parent
    say(f"more runs:   clbench compare {shlex.quote(str(above))}")
