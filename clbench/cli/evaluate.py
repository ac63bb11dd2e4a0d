"""``clbench evaluate``: a command for every row of the table of evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clbench.cli.group import Group
from clbench.cli.options import (
    DATA_ROOT,
    JSON,
    QUIET,
    TRAIN_ANEW,
    Command,
    Option,
    attach,
    option_of,
    run_options,
)
from clbench.cli.sets import DATA_SET, WORKERS
from clbench.evaluation.table import EVALUATIONS, EvaluationInfo
from clbench.fields import settings_of

SCORE = "set"
SETTINGS = "settings__"  # before the name of an option of the evaluation's own
SETS = click.Argument(
    ["sets"], nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SET..."
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Directory to make.  [default: the first free of evaluations/KIND-NAME, -2, -3, ...]",
)
TENSORBOARD = Option(
    ["--tensorboard/--no-tensorboard"],
    default=True,
    heading="Output",
    help="Write TensorBoard events.  [default: yes]",
)


class _Evaluations(Group):
    """What is no subcommand's name is a set to be scored."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = bool(args) and args[0] in ("-h", "--help")
        return super().parse_args(ctx, args if asks_for_help else self._named(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, self._named(args))

    def _named(self, args: list[str]) -> list[str]:
        return args if args and args[0] in self.commands else [SCORE, *args]


@click.group(cls=_Evaluations)
def command() -> None:
    r"""Score a distilled set, train on full data, search architectures.

    Without a subcommand's name, `clbench evaluate SET...` is `clbench evaluate set SET...`.

    \b
    Examples:
      clbench evaluate sets/mnist5k-datadam-ipc10-seed0.safetensors
      clbench evaluate offline --data-set mnist5k --recipe modern
      clbench evaluate cross-architecture sets/*.safetensors
      clbench evaluate architecture-search sets/datadam.safetensors --space cnn54
    """


def _add(name: str, row: EvaluationInfo) -> None:
    """Add the command of one row, its options read off its settings."""

    @attach(*_what(row), *_settings(row))
    @attach(*run_options("seed", "device", heading="Machine"))
    @attach(*_where(row), DATA_ROOT, QUIET, JSON)
    def run_one(**values: Any) -> None:
        from clbench.cli.evaluations import evaluate_and_show

        evaluate_and_show(name, values)

    run_one.__doc__ = f"{row.summary}\n{row.help}"
    title = name.replace("_", "-")
    hint = "" if row.of_sets else "a set is scored by clbench evaluate SET"
    command.add_command(click.command(title, cls=Command, hint=hint)(run_one))


def _what(row: EvaluationInfo) -> list[click.Parameter]:
    if row.of_sets:
        return [SETS]
    fields = ("image_size", "normalisation", "images_in", "group_pattern", "allow_repeats")
    return [DATA_SET, *run_options(*(f"benchmark.{name}" for name in fields), heading="Data")]


def _settings(row: EvaluationInfo) -> list[Option]:
    found = [setting for setting in settings_of(row.settings) if setting.flag]
    options = [option_of(setting, SETTINGS + setting.path.replace(".", "__")) for setting in found]
    if row.presets:
        options.append(
            Option(
                ["--recipe"],
                type=click.Choice(list(row.presets)),
                default=next(iter(row.presets)),
                heading=found[-1].heading,
                help="Preset of the options above, whose defaults are the first one's; options "
                f"given beside it win.  [default: {next(iter(row.presets))}]",
            )
        )
    return options


def _where(row: EvaluationInfo) -> list[Option]:
    workers = [WORKERS, TRAIN_ANEW] if row.of_sets else []
    return [*workers, *([OUTPUT, TENSORBOARD] if row.keeps_report else [])]


for _name, _row in EVALUATIONS.loaded()[0].items():
    _add(_name, _row)
