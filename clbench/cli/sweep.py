"""``clbench sweep``: a grid of runs on this machine, or on a cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
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
    TENSORBOARD,
    Command,
    Option,
    attach,
    flag,
    method_options,
    preset_option,
    run_options,
    strategy_options,
)
from clbench.config import RunConfig
from clbench.sweep.plan import Grid, combinations, directory_name, grids_of, read_plan
from clbench.sweep.states import Planned, State

if TYPE_CHECKING:
    from clbench.cli.display import ProgressLine
    from clbench.sweep.executor import Executor


class _Bytes(click.ParamType):
    """Bytes as a number, or as 500M or 2GB."""

    name = "bytes"

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        from clbench.store.eviction import parse_size

        found = parse_size(str(value))
        if not found:
            self.fail(f"expected a number of bytes, as 500M or 2GB, found {value!r}", param, ctx)
        return found


ROWS = "runs that differ in their seeds"

VARY = Option(
    ["--vary"],
    multiple=True,
    metavar="OPTION=V,V,...",
    heading="Grid",
    help="An axis of the grid, as seed=0,1,2; with a semicolon between values that hold commas; "
    "may be given several times, and beside a plan.",
)
WORKERS = Option(
    ["--workers"],
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    heading="Machine",
    help="Runs at once.  [default: as many as there are cores for]",
)
EXECUTOR = Option(
    ["--executor"],
    type=click.Choice(["local", "ray"]),
    default=None,
    heading="Machine",
    help="Who makes the runs: processes of this machine, or Ray (pip install 'clbench[ray]').  "
    "[default: local]",
)
RAY_ADDRESS = Option(
    ["--ray-address"],
    metavar="HOST:PORT",
    default=None,
    heading="Machine",
    help="Cluster of Ray that this machine belongs to, or auto; implies --executor ray.  "
    "[default: RAY_ADDRESS, else Ray starts here]",
)
CORES = Option(
    ["--cores-per-run"],
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    heading="Machine",
    help="Cores of each run, the threads it computes with; results agree to the last byte for one "
    "number only.  [default: 1, or the cores that --workers leaves each]",
)
GPUS = Option(
    ["--gpus-per-run"],
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="X",
    heading="Machine",
    help="GPUs of each run, also a part of one, as 0.25; with Ray.  [default: 0]",
)
MEMORY = Option(
    ["--memory-per-run"],
    type=_Bytes(),
    metavar="BYTES",
    default=None,
    heading="Machine",
    help="Main memory of each run, as 2GB: no node gets more runs than fit; with Ray.  "
    "[default: not counted]",
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Folder of the sweep; one that is there is gone on with, or extended.  "
    "[default: sweeps/NAME of the plan]",
)
DRY = flag("--dry-run", "Show what would be run, and about how long it would take.")
RETRY = flag("--retry", "Run again what failed or diverged before.")


ADOPT = Option(
    ["--adopt"],
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    heading="Grid",
    help="Copy finished runs below DIR that the grid asks for, instead of making them again; may "
    "be given several times.",
)


class _RunByDefault(Group):
    """A group whose command ``run`` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before arguments that name no command."""
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_RunByDefault)
def command() -> None:
    r"""Run a grid of settings, here or on a cluster, and compare what comes of it.

    \b
    Examples:
      clbench sweep plan.toml                  same as clbench sweep run plan.toml
      clbench sweep --vary seed=0,1,2 --vary strategy=random_replay,dam_replay
      clbench sweep plan.toml --dry-run        what it would cost
      clbench sweep plan.toml --ray-address HOST:6379 --cores-per-run 2
      clbench sweep status sweeps/plan         from another terminal
    """


class _OneValueEach(Command):
    """A command of which no option is given twice: the values of an axis are given otherwise."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        repeated = [one for one in order if order.count(one) > 1 and not one.multiple]
        if repeated:
            name = repeated[0].opts[0]
            axis = name.lstrip("-")
            raise click.UsageError(
                f"expected {name} once, found it {order.count(repeated[0])} times; "
                f"--vary {axis}=VALUE,VALUE makes an axis of it",
                ctx,
            )
        return super().parse_args(ctx, args)


@command.command("run", cls=_OneValueEach)
@click.argument("plan", required=False, type=click.Path(path_type=Path))
@attach(VARY, DRY, RETRY, ADOPT, WORKERS, EXECUTOR, RAY_ADDRESS, CORES, GPUS, MEMORY)
@attach(*run_options("strategy", "seed", heading="Grid"), *run_options("device", heading="Machine"))
@attach(*run_options("benchmark", "learner", "memory"), preset_option())
@attach(*run_options("distillation", but=["distillation.distiller"]), *method_options())
@attach(*strategy_options())
@attach(*run_options("set_training"))
@attach(OUTPUT, DATA_ROOT, TENSORBOARD, DISTIL_ANEW, QUIET, JSON)
@click.pass_context
def run_command(ctx: click.Context, **values: Any) -> None:
    r"""Run every combination of a grid that was not run before.

    PLAN is a TOML file with tables of options of clbench run, without their dashes: [fixed] for
    all runs, [vary] with a list for each axis, [[override]] with where and set for some of them,
    [[exclude]] for combinations that are not wanted. Options given beside it hold for all runs.

    A finished run is never repeated; what was stopped goes on; what failed or diverged is listed,
    and run again with --retry. The same folder with a larger grid is extended, also while another
    sweep works on it. At the end all runs are compared, in the folder comparison.

    With --executor ray, Ray makes the runs, on this machine or on the cluster that --ray-address
    names. Nodes share no files: each needs the same clbench and, below the same --data-root, the
    data; a run's directory comes back when it ends or is stopped.

    \b
    Examples:
      clbench sweep run --vary strategy=random_replay,herding_replay --vary seed=0,1,2
      clbench sweep run plan.toml --workers 4 -o sweeps/bytes
      clbench sweep run plan.toml --ray-address auto --gpus-per-run 0.25 --memory-per-run 4GB
      clbench sweep run plan.toml --vary "codec=raw;levels:side=14,levels=2" --dry-run

    \b
    A plan:
      [fixed]
      benchmark = "split_mnist"
      [vary]
      strategy = ["random_replay", "kip_replay"]
      memory-bytes = [1960, 7840]
      seed = [0, 1, 2]
      [[override]]
      where = { strategy = "kip_replay" }
      set = { kernel-num-updates = 30 }
    """
    from clbench.cli.running import pass_over_solvers
    from clbench.sweep import states

    pass_over_solvers()
    planned = _planned(ctx, values)
    folder = values["output"] or Path("sweeps") / (values["plan"].stem if values["plan"] else "all")
    planned = states.under_known_names(folder, planned)
    if values["adopt"] and not values["dry_run"]:
        _adopt(folder, planned, values)
    found = states.states(folder, [one.name for one in planned])
    with closing(_executor(folder, values)) as executor:
        if values["dry_run"]:
            return _price(planned, found, executor, values)
        states.remember(folder, planned)
        again = states.ENDED_BADLY if values["retry"] else ()
        todo = ("waiting", "unfinished", *again)
        left = [one for one in planned if found[one.name].status in todo]
        if left:
            _make(executor, left, len(planned), folder, values["quiet"])
    return _finish(folder, planned, values)


def _adopt(folder: Path, planned: Sequence[Planned], values: Mapping[str, Any]) -> None:
    from clbench.sweep.adopting import adopt

    num = adopt(folder, planned, values["adopt"], values["data_root"])
    if not values["quiet"]:
        say(f"{num} finished runs of the grid copied into {folder / 'runs'}", err=True)


def _executor(folder: Path, values: Mapping[str, Any]) -> Executor:
    from clbench.sweep.executor import Settings, Share, make_executor

    address = values["ray_address"]
    name = values["executor"] or ("ray" if address else "local")
    settings = Settings(1, values["data_root"], not values["no_cache"], values["tensorboard"])
    share = Share(
        values["workers"],
        values["cores_per_run"],
        values["gpus_per_run"],
        values["memory_per_run"],
        address,
    )
    return make_executor(name, folder, settings, share)


@command.command("status", cls=Command)
@click.argument("folder", type=click.Path(path_type=Path))
@attach(JSON)
def status(folder: Path, json: bool) -> None:
    r"""Show what a sweep has done, does, and has left.

    Also while it goes on: runs under way are listed with the experience that they are in, and the
    time to go is that of their rows so far. A run on another node shows what it sent last.

    \b
    Example:
      clbench sweep status sweeps/plan
    """
    from clbench.cli.display import print_json
    from clbench.sweep import states

    rows = states.remembered(folder)
    found = states.states(folder, rows)
    if json:
        return print_json(states.as_dict(found, rows))
    _show(found, rows)
    return None


def _planned(ctx: click.Context, values: Mapping[str, Any]) -> list[Planned]:
    """Every run of the grid, each once.

    Raises:
        InputError: options, values or combinations that are none.
    """
    from clbench.errors import InputError

    grids = read_plan(values["plan"]) if values["plan"] else grids_of({})
    axes = dict(choices(text, "--vary") for text in values["vary"])
    grids = [Grid(g.fixed, {**g.vary, **axes}, g.overrides, g.exclude) for g in grids]
    if not any(grid.vary or grid.fixed for grid in grids):
        raise InputError("expected a PLAN or --vary, found neither; see clbench sweep run --help")
    reader = OptionValues(ctx, "plan:", ("strategy", "seed", "device", "loop"))
    for grid in grids:
        _check_conditions(grid, reader)
    own = {name: value for name, value in values.items() if "__" in name and value is not None}
    for name in ("strategy", "seed", "device", "loop"):
        if values[name] is not None:
            own[name] = values[name]
    made: dict[str, Planned] = {}
    for options, varied in combinations(grids):
        one = _one(reader, options, varied, own)
        made.setdefault(one.name.rpartition("-")[2], one)
    if not made:
        raise InputError("expected combinations to run, found none that is not excluded")
    return list(made.values())


def _check_conditions(grid: Grid, reader: OptionValues) -> None:
    """Refuse options and values that no run can have, which would exclude nothing, silently."""
    for table in (*(override.where for override in grid.overrides), *grid.exclude):
        for option, wanted in table.items():
            for value in wanted if isinstance(wanted, list) else [wanted]:
                reader.read(option, value)


def _one(
    reader: OptionValues,
    options: Mapping[str, Any],
    varied: Mapping[str, Any],
    own: Mapping[str, Any],
) -> Planned:
    from clbench import strategies
    from clbench.cli.build_config import build_config
    from clbench.store.fingerprint import name_of

    read = {option: reader.read(option, value) for option, value in options.items()}
    values = {**own, **dict(read.values())}
    strategy = values.get("strategy") or RunConfig().strategy
    if strategies.STRATEGIES.find(strategy).memory is None:
        # Two runs without memory that differ in its bytes are one.
        values = {name: v for name, v in values.items() if not name.startswith("memory__")}
        varied = {o: v for o, v in varied.items() if not read[o][0].startswith("memory__")}
    loop = values.pop("loop", None)
    config = build_config(RunConfig(), values, loop=loop)
    strategies.resolved(config)
    name = directory_name(varied, name_of(config.to_dict()))
    words = [str(v) if o == "strategy" else f"{o}={v}" for o, v in varied.items() if o != "seed"]
    return Planned(name, " ".join(words) or config.strategy, config)


def _price(
    planned: Sequence[Planned],
    found: Mapping[str, State],
    executor: Executor,
    values: Mapping[str, Any],
) -> None:
    from clbench.cli.display import print_json, print_table, table
    from clbench.measuring.format import count
    from clbench.sweep.pricing import price_rows

    workers = executor.at_once()
    rows = price_rows(planned, found, values["data_root"], executor.settings.num_threads)
    left = sum(row.num_left * row.seconds for row in rows)
    if values["json"]:
        priced = [row.to_dict() for row in rows]
        return print_json({"rows": priced, "seconds_left": left / workers, "workers": workers})
    made = table([ROWS, "runs", "left", "seconds each", "from"])
    for row in rows:
        made.add_row(
            row.row, count(row.num), count(row.num_left), f"{row.seconds:,.0f}", row.origin
        )
    print_table("What the grid takes", made)
    total = sum(row.num_left for row in rows)
    say(f"{count(total)} runs left: about {_span(left / workers)} with {workers} at once")
    return None


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _make(
    executor: Executor, left: Sequence[Planned], total: int, folder: Path, quiet: bool
) -> None:
    """Make the runs that are left, with a line of progress."""
    from clbench.cli.display import ProgressLine

    with ProgressLine(not quiet) as line:
        try:
            _follow(executor, left, total, folder, None if quiet else line)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted; {folder} keeps what was done, and the same command goes on"
            ) from None


def _follow(
    executor: Executor,
    left: Sequence[Planned],
    total: int,
    folder: Path,
    line: ProgressLine | None,
) -> None:
    from clbench.sweep.states import place_of, state_of

    start, before = time.monotonic(), total - len(left)
    doing = f"sweep: {executor.where()}"
    if line is not None:
        line.show(doing, before, total, "runs")
    for done, ended in enumerate(executor.run(left), 1):
        if line is None:
            continue
        name = ended.planned.name
        to_go = (time.monotonic() - start) / done * (len(left) - done)
        line.show(doing, before + done, total, f"runs; about {_span(to_go)} to go")
        outcome = _outcome(state_of(place_of(folder, name)), ended.why)
        line.write(f"{before + done}/{total}  {name}: {outcome}")


def _outcome(state: State, why: str) -> str:
    if state.status == "done" and state.accuracy is not None:
        return f"{100 * state.accuracy:.1f} %, {state.seconds:.0f} s"
    return f"{state.status}: {why or state.why}"


def _finish(folder: Path, planned: Sequence[Planned], values: Mapping[str, Any]) -> None:
    """Compare what is done, and say what is not."""
    from clbench.cli.compare import write_comparison
    from clbench.cli.display import console, print_json
    from clbench.comparison import compare, load_runs, render_table
    from clbench.sweep import states

    found = states.states(folder, [one.name for one in planned])
    rows = {one.name: one.row for one in planned}
    written: list[Path] = []
    if any(state.status == "done" for state in found.values()):
        kept, _ = load_runs([folder / "runs"]).without_repeats()
        # A plan may vary the split, on purpose.
        comparison = compare(kept, group_by=("auto", "protocol"))
        written = write_comparison(comparison, folder / "comparison", runs=kept)
        if not values["quiet"] and not values["json"]:
            render_table(comparison, console())
    if values["json"]:
        return print_json(states.as_dict(found, rows))
    if not values["quiet"]:
        for path in written:
            say(f"written: {path}")
    _complain(found, values["quiet"])
    return None


def _complain(found: Mapping[str, State], quiet: bool) -> None:
    """List what did not end well."""
    bad = {name: s for name, s in found.items() if s.status in ("failed", "diverged")}
    for name, state in bad.items():
        say(f"{state.status}: {name}: {state.why}", err=True)
    if bad:
        say(f"{len(bad)} of {len(found)} runs did not end well; --retry runs them again", err=True)


def _show(found: Mapping[str, State], rows: Mapping[str, str]) -> None:
    from statistics import fmean

    from clbench.cli.display import print_table, table
    from clbench.sweep.states import counted, seconds_left

    by_row: dict[str, list[State]] = {}
    for name, state in found.items():
        by_row.setdefault(rows[name], []).append(state)
    # Few and narrow numbers: in a terminal of 60 columns the name keeps half of them.
    made = table([ROWS, "done", "accuracy %", "seconds"])
    for row, held in by_row.items():
        done = [state for state in held if state.status == "done"]
        scores = [state.accuracy for state in done if state.accuracy is not None]
        mean = f"{100 * fmean(scores):.1f}" if scores else "-"
        each = f"{fmean(state.seconds for state in done):,.0f}" if done else "-"
        made.add_row(row, f"{len(done)} of {len(held)}", mean, each)
    numbers = ", ".join(f"{num} {status}" for status, num in counted(found).items())
    to_go = seconds_left(found, rows)
    left = f"; about {_span(to_go)} to go" if to_go else ""
    print_table(f"{numbers}{left}", made)
    for name, state in found.items():
        if state.status == "running":
            say(f"running: {name}: {state.reached}")
    _complain(found, quiet=False)
