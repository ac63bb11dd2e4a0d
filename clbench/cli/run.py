"""``clbench run``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.names import STRATEGIES, completer
from clbench.cli.options import (
    DATA_ROOT,
    DISTILLATION,
    JSON,
    LEARNER,
    LOOP,
    MACHINE,
    MEMORY,
    QUIET,
    STREAM,
    TRAJECTORY,
    TRAJECTORY_HEADING,
    Command,
    Option,
    Setting,
    attach,
    flag,
    set_training_settings,
    under,
)

if TYPE_CHECKING:
    from clbench.report import RunReport

STRATEGY = Setting(
    "--strategy", "strategy", str, "Strategy (clbench list strategies).", "dam_replay",
    complete=STRATEGIES,
)  # fmt: skip
BASELINE = Option(
    ["--baseline"],
    multiple=True,
    metavar="NAME",
    heading="Strategy",
    shell_complete=completer(STRATEGIES),
    help="Run this strategy too, under the same seed and settings, and show both side by side; "
    "may be given several times.  [default: none]",
)
EVALUATE = Option(
    ["--evaluate"],
    default=None,
    metavar="NAME,...",
    heading="Evaluation of the last memory",
    help="cross-architecture, architecture-search, or both with a comma: see clbench evaluate.  "
    "[default: none]",
)
EVALUATION = [
    Setting("--networks-evaluated", "evaluation.networks", str,
            "Networks for cross-architecture, joined by commas.",
            "mlp,convnet,lenet,alexnet,vgg11,resnet18"),
    Setting("--num-networks-evaluated", "evaluation.num_networks", int,
            "Fresh ones of each, per set.", 3),
    Setting("--search-space", "evaluation.space", str, "cnn54 or convnet720.", "cnn54"),
    Setting("--search-candidates", "evaluation.num_candidates", int,
            "So many architectures, drawn by the seed.", None, "all"),
    Setting("--search-full-epochs", "evaluation.full_epochs", int,
            "Epochs of each on all training images, for the true ranking; 0 leaves it out.", 0),
]  # fmt: skip
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Run directory to make; with --baseline, the folder of one for each strategy.  "
    "[default: the first free of runs/BENCHMARK/STRATEGY-seedN, -2, -3, ...]",
)
CONFIG = Option(
    ["--config"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="JSON of a configuration, as config.json of a run; options given beside it win.",
)
TENSORBOARD = Option(
    ["--tensorboard/--no-tensorboard"],
    default=True,
    heading="Output",
    help="Write TensorBoard events.  [default: yes]",
)
NO_CACHE = flag("--no-cache", "Distil anew instead of taking sets that were distilled before.")


@click.command(cls=Command)
@under("Strategy", [STRATEGY])
@attach(BASELINE)
@under("Strategy", MACHINE)
@under("Stream", STREAM)
@under("Learner", LEARNER)
@under("Memory", MEMORY)
@attach(LOOP)
@under("Distillation", DISTILLATION)
@under(TRAJECTORY_HEADING, TRAJECTORY)
@under("Training on memory alone (*_gdumb)", set_training_settings("set"))
@attach(EVALUATE)
@under("Evaluation of the last memory", EVALUATION)
@attach(OUTPUT, CONFIG, DATA_ROOT, TENSORBOARD, NO_CACHE, QUIET, JSON)
def command(
    baseline: tuple[str, ...],
    loop: str | None,
    evaluate: str | None,
    output: Path | None,
    config: Path | None,
    data_root: Path | None,
    tensorboard: bool,
    no_cache: bool,
    quiet: bool,
    json: bool,
    **values: Any,
) -> None:
    r"""Run a strategy on a stream and measure what it forgets.

    A learner meets the experiences of a stream one after the other and is tested on all of them
    after each. What it may keep of the past is the memory: real images, or images distilled from
    them, at equal bytes.

    \b
    Examples:
      clbench run --strategy dam_replay --baseline random_replay
      clbench run --benchmark split_mnist --data-root ~/data --seed 1
      clbench run --strategy dm_gdumb --network convnet --set-epochs 300
      clbench run --memory-bytes 15680 --packing 2 --baseline random_replay
      clbench run --strategy pad_replay --memory-bytes 78400 --num-updates 100
      clbench run --evaluate cross-architecture --set-epochs 100
      clbench run --config runs/split_mnist5k/dam_replay-seed0/config.json
    """
    from clbench.cli.places import new_directory

    # Before the other imports, which take seconds.
    chosen = None if output is None else new_directory(output, output)

    from clbench.cli.build_config import build_config
    from clbench.cli.display import print_json
    from clbench.cli.results import print_reports
    from clbench.cli.running import places, run_all
    from clbench.config import RunConfig

    values |= {f"evaluation__{name}": True for name in _asked(evaluate)}
    first = build_config(RunConfig(), values, file=config, loop=loop)
    configs = [first, *(first.replace(strategy=name) for name in baseline)]
    folder, folders = places(configs, chosen)
    reports = run_all(
        configs,
        folders,
        chosen=output,
        data_root=data_root,
        cache=not no_cache,
        tensorboard=tensorboard,
        quiet=quiet,
    )
    if len(reports) > 1:
        _write_side_by_side(reports, folder)
    if json:
        shown = [report.to_dict() for report in reports]
        return print_json(shown if baseline else shown[0])
    if not quiet:
        print_reports(reports, folders)
        _hints(folder, folders, tensorboard)
    return None


def _asked(evaluate: str | None) -> list[str]:
    from clbench.errors import InputError

    offered = ("cross-architecture", "architecture-search")
    names = [name.strip() for name in (evaluate or "").split(",") if name.strip()]
    for name in names:
        if name not in offered:
            raise InputError(f"--evaluate: expected {' or '.join(offered)}, found {name!r}")
    return [name.replace("-", "_") for name in names]


def _write_side_by_side(reports: list[RunReport], folder: Path) -> None:
    from clbench.cli.compare import write_comparison
    from clbench.comparison import compare

    write_comparison(compare(reports), folder / "comparison")


def _hints(folder: Path, folders: list[Path], tensorboard: bool) -> None:
    if len(folders) > 1:
        click.echo(f"comparison:  {folder / 'comparison'}")
    for one in folders:
        click.echo(f"figures:     {one / 'figures'}")
    if tensorboard:
        from clbench.tracking import CUSTOM_SCALARS_ADDRESS, SCALARS_ADDRESS

        click.echo(f"TensorBoard: tensorboard --logdir {shlex.quote(str(folder))}")
        click.echo(f"             unsmoothed at {SCALARS_ADDRESS}")
        click.echo(f"             in one chart at {CUSTOM_SCALARS_ADDRESS}")
    above = folder if folder.parent == Path() else folder.parent
    click.echo(f"more runs:   clbench compare {shlex.quote(str(above))}")
