"""Options of the commands, read off the fields of the configuration and grouped in help.

A field says its flag, help, choices, default and the meaning of None (`clbench.fields`); here it
becomes a click option whose name is the field's dotted path with ``__`` for dots. An option of a
method's own setting is named ``method__FLAG``, because several methods may have that setting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from clbench.cli.group import RawHelp, set_debug
from clbench.config import RunConfig
from clbench.distillation.table import DISTILLERS
from clbench.evaluation.table import EVALUATIONS
from clbench.fields import Setting, settings_of
from clbench.strategies.table import STRATEGIES
from clbench.table import Lazy, Table

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

MOST_IN_SHORT_HELP = 32  # options; a command with more hides those that are not common
METHOD = "method__"
_EVERYTHING = "clbench.help_all"
# Table named by a field -> where it is; loaded when somebody presses Tab.
TABLES = {
    "codecs": Lazy("clbench.codecs.table:CODECS"),
    "benchmarks": Lazy("clbench.benchmarks.table:BENCHMARKS"),
    "data": Lazy("clbench.data.table:DATASETS"),
    "distillers": Lazy("clbench.distillation.table:DISTILLERS"),
    "spaces": Lazy("clbench.evaluation.spaces:SPACES"),
    "networks": Lazy("clbench.networks.table:NETWORKS"),
    "strategies": Lazy("clbench.strategies.table:STRATEGIES"),
    "trackers": Lazy("clbench.tracking.table:TRACKERS"),
}


class Option(click.Option):
    """An option that stands under a heading in help, in the short one where it is common."""

    def __init__(
        self, *args: Any, heading: str = "Options", common: bool = True, **extra: Any
    ) -> None:
        super().__init__(*args, **extra)
        self.heading, self.common = heading, common


class Command(RawHelp):
    """A command whose help lists its options under headings; has ``-h`` and ``--debug``.

    One of many options shows the common ones, and all with ``--help-all``. ``hint`` says what to do
    with an argument that is one too many.
    """

    def __init__(self, *args: Any, hint: str = "", **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.hint = hint and f"; {hint}"
        self.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        self.folds = len(self.params) > MOST_IN_SHORT_HELP
        if self.folds:
            self.params.append(
                Option(
                    ["--help-all"], is_flag=True, is_eager=True, expose_value=False,
                    callback=_show_everything, help="Show every option and exit.",
                )
            )  # fmt: skip
        self.params.append(
            Option(["--debug"], is_flag=True, expose_value=False, callback=set_debug, hidden=True)
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; an argument too many is named with what the command takes instead."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            found = error.message.partition("(")[2].rstrip(")")
            takes = [p.make_metavar(ctx) for p in self.params if isinstance(p, click.Argument)]
            expected = f"{' '.join(takes)} and options" if takes else "options only"
            text = f"expected {expected}, found {found!r} as well{self.hint}"
            raise click.UsageError(text, ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section per heading, in the order of first use."""
        few = self.folds and not ctx.meta.get(_EVERYTHING)
        sections: dict[str, list[tuple[str, str]]] = {}
        hidden = 0
        for param in self.get_params(ctx):
            # Arguments are explained in the text above the options.
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is None:
                continue
            if few and not getattr(param, "common", True):
                hidden += 1
                continue
            sections.setdefault(getattr(param, "heading", "Options"), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records, col_max=32)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"{hidden} more options: {ctx.command_path} --help-all")


def _show_everything(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_EVERYTHING] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def completer(table: str) -> Complete:
    """Return a click ``shell_complete`` callback that offers the names of a table."""

    def complete(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
        found = TABLES[table].load()
        names = found.names() if isinstance(found, Table) else list(found)
        return [CompletionItem(name) for name in names if name.startswith(start)]

    return complete


def option_of(setting: Setting, name: str | None = None) -> Option:
    """Return the click option of a setting; absent on the command line means None.

    Args:
        setting: a field of a configuration.
        name: of the value that the command receives; None is the setting's path.
    """
    shown = setting.none if setting.default is None else str(setting.default)
    extra: dict[str, Any] = {}
    declaration = f"--{setting.flag}"
    if setting.kind is bool:
        declaration = f"{declaration}/--no-{setting.flag}"
        shown = shown if setting.default is None else "yes" if setting.default else "no"
        if not isinstance(setting.default, bool):
            shown = setting.none
    elif isinstance(setting.kind, tuple):
        extra["type"] = click.Choice(setting.kind)
    else:
        extra["type"] = setting.kind
        extra["metavar"] = setting.unit.upper() or {int: "N", float: "X"}.get(setting.kind, "NAME")
    if setting.table:
        extra["shell_complete"] = completer(setting.table)
    return Option(
        [declaration, name or setting.path.replace(".", "__")],
        default=None,
        heading=setting.heading or "Options",
        common=setting.common,
        help=f"{setting.help}  [default: {shown}]",
        **extra,
    )


def run_options(
    *paths: str, base: RunConfig | None = None, but: Iterable[str] = (), heading: str = ""
) -> list[Option]:
    """Return options of fields of a `RunConfig`.

    Args:
        paths: dotted; a configuration stands for all its fields.
        base: its values are the defaults shown; None is `RunConfig`'s own.
        but: paths left out.
        heading: in help; "" is the configuration's own.
    """
    every = [setting for setting in settings_of(base or RunConfig()) if setting.flag]
    chosen = [
        replace(setting, heading=heading or setting.heading)
        for path in paths
        for setting in every
        if f"{setting.path}.".startswith(f"{path}.") and setting.path not in but
    ]
    return [option_of(setting) for setting in chosen]


def method_options() -> list[Option]:
    """Return an option for every setting that a distiller brings, third parties' included.

    Methods that share a flag share the option; where their defaults differ, help says so.
    """
    rows, _ = DISTILLERS.loaded()
    found: dict[str, list[Setting]] = {}
    for name, row in rows.items():
        for setting in row.settings_as_options(name):
            found.setdefault(setting.flag, []).append(setting)
    options = []
    for flag, settings in found.items():
        shown = settings[0]
        if len({repr(setting.default) for setting in settings}) > 1:
            shown = replace(shown, default=None, none="the method's own")
        options.append(option_of(shown, METHOD + flag.replace("-", "_")))
    return options


def strategy_options() -> list[Option]:
    """Return an option for every setting that a strategy brings, third parties' included."""
    rows, _ = STRATEGIES.loaded()
    return [
        option_of(setting, METHOD + setting.flag.replace("-", "_"))
        for row in rows.values()
        for setting in row.settings_as_options()
    ]


def evaluation_options() -> list[Option]:
    """Return the options of every evaluation that a run can do, third parties' included."""
    rows, _ = EVALUATIONS.loaded()
    return [
        option_of(setting, f"evaluations__{name}__{setting.path}")
        for name, row in rows.items()
        if row.of_sets
        for setting in row.run_settings(name)
    ]


def preset_option() -> Option:
    """Return ``--loop``: the presets that distillers bring."""
    rows, _ = DISTILLERS.loaded()
    presets = list(dict.fromkeys(name for row in rows.values() for name in row.presets))
    return Option(
        ["--loop"],
        type=click.Choice(presets),
        metavar="NAME",
        default=None,
        heading="Distillation",
        help="Preset of the options below: amortised (ours, fast), paper (DataDAM's published "
        "code), course (networks trained between updates), course_pad (the same from easy images, "
        "deep layers only), pad_cifar10_ipcN (PAD's table for CIFAR-10, for a GPU); options given "
        "beside it win.  [default: amortised]",
    )


def attach(*options: click.Parameter) -> Decorator:
    """Give these options, in this order, to a command function."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        kept = getattr(function, "__click_params__", [])
        # click reads the list from its end, as decorators apply from the bottom up.
        function.__click_params__ = [*kept, *reversed(options)]  # type: ignore[attr-defined]
        return function

    return decorate


def flag(declaration: str, help: str, **extra: Any) -> Option:
    """Return an on/off option of the output."""
    return Option([declaration], is_flag=True, default=False, heading="Output", help=help, **extra)


def workers_option(what: str) -> Option:
    """Return ``--workers``: how many of ``what`` go on at once."""
    return Option(
        ["--workers"],
        type=click.IntRange(min=1),
        default=None,
        metavar="N",
        heading="Machine",
        help=f"{what}, each on its share of the cores.  [default: as many as there are cores]",
    )


DATA_ROOT = Option(
    ["--data-root"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Data",
    help="Folder of the data sets.  [default: CLBENCH_DATA, else a cache; clbench data list "
    "names it]",
)
QUIET = flag("--quiet", "No progress, no table.")
JSON = flag(
    "--json", "Print the result as JSON on standard output, and nothing else there.", common=False
)
DISTIL_ANEW = flag(
    "--no-cache", "Distil anew instead of taking sets that were distilled before.", common=False
)
TRAIN_ANEW = flag("--no-cache", "Train anew what was trained before.", common=False)
TENSORBOARD = Option(
    ["--tensorboard/--no-tensorboard"],
    default=True,
    heading="Output",
    common=False,
    help="Write TensorBoard events.  [default: yes]",
)
