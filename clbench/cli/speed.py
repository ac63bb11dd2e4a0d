"""``clbench speed``: how fast clbench is beside plain code, and what a stream takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from clbench.cli.group import Group, say
from clbench.cli.options import DATA_ROOT, QUIET, Command, Option, attach, run_options
from clbench.errors import InputError
from clbench.speed.table import ROWS, quick_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clbench.speed.paired import Conditions, Measured

DIFFERENT = 1  # exit code


class _RowsByDefault(Group):
    """A group whose command ``rows`` need not be named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``rows`` before options, and where there is nothing."""
        if not args or (args[0][:1] == "-" and args[0] not in ("-h", "--help")):
            args = ["rows", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what names no command as arguments of ``rows``."""
        if args and args[0] not in self.commands:
            return "rows", self.commands["rows"], args
        return super().resolve_command(ctx, args)


def _row_names(ctx: click.Context, param: click.Parameter, start: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in ROWS.names() if name.startswith(start)]


THREADS = Option(
    ["--threads"],
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    heading="Machine",
    help="Threads of torch.  [default: torch's own]",
)
JSON_FILE = Option(
    ["--json", "json_file"],
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    heading="Output",
    help="Write everything measured there, as JSON; - prints it on standard output, and nothing "
    "else there.",
)
FIGURE = Option(
    ["--figure"],
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    heading="Output",
    help="Draw it there, as png, svg or pdf.",
)
REPEATS = Option(
    ["--repeats"],
    type=click.IntRange(min=1),
    default=3,
    metavar="N",
    heading="Measuring",
    help="Measurements of each form; medians count.  [default: 3]",
)
STREAM = Option(
    ["--benchmark"],
    default="split_mnist5k",
    metavar="NAME",
    heading="Measuring",
    help="Whose images are trained on, distilled and coded.  [default: split_mnist5k]",
)


@click.group(cls=_RowsByDefault)
def command() -> None:
    r"""Measure how fast clbench is beside plain code, and predict what a stream takes.

    \b
    Examples:
      clbench speed                            same as clbench speed rows
      clbench speed learner decode --repeats 7
      clbench speed rows --help                the rows, and every option
      clbench speed scale --classes 100 --images-per-class 500 --size 32
    """


@command.command("rows", cls=Command)
@click.argument("rows", nargs=-1, metavar="[ROW]...", shell_complete=_row_names)
@attach(REPEATS, STREAM, *run_options("seed", heading="Measuring"), DATA_ROOT)
@attach(THREADS, *run_options("device", heading="Machine"), JSON_FILE, FIGURE, QUIET)
@click.pass_context
def measure_rows(ctx: click.Context, rows: tuple[str, ...], **values: Any) -> None:
    r"""Measure fast forms against plain ones of the same computation, in turn.

    A ROW is one of learner, matching, matching-loss, matching-accuracy, matching-floor,
    trajectories, trajectories-memory, offline-mlp, offline-convnet, offline-lenet, offline-cnn,
    encode, decode and start; without one, those that take about two minutes together. Both forms
    get the same images, weights and batches, and their outcomes are compared: where they differ
    the exit code is 1. Ratios are of speed, so above 1 clbench is the faster one; that of
    matching-floor is the share of arithmetic, 1 at most. Seconds depend on the machine and on what
    else it does; ratios hardly, because both forms are measured in turn.

    \b
    Examples:
      clbench speed
      clbench speed learner matching --repeats 7 --threads 1
      clbench speed learner --benchmark split_mnist --data-root ~/data
      clbench speed matching-accuracy --benchmark split_mnist --repeats 1
      clbench speed --json speed.json --figure speed.svg
    """
    import torch

    from clbench.cli.display import ProgressLine
    from clbench.machine.device import resolve_device
    from clbench.speed.paired import Conditions, measure

    chosen = list(dict.fromkeys(rows)) or quick_rows()
    for name in chosen:
        ROWS.find(name)
    refuse_what_is_there(values["json_file"], values["figure"])
    if values["threads"] is not None:
        torch.set_num_threads(values["threads"])
    conditions = Conditions(
        values["benchmark"],
        values["data_root"],
        resolve_device(values["device"] or "auto"),
        values["seed"] or 0,
    )
    found = []
    with ProgressLine(not values["quiet"]) as line:
        for number, name in enumerate(chosen, start=1):

            def show(done: int, total: int, name: str = name, number: int = number) -> None:
                line.show(f"{name}, row {number} of {len(chosen)}", done, total, "measurements")

            show(0, 2 * values["repeats"])
            found.append(measure(name, conditions, values["repeats"], show))
    write_json_file(_facts(found, conditions, values["repeats"]), values["json_file"])
    if not values["quiet"] and str(values["json_file"]) != "-":
        _print(found, conditions)
    if values["figure"] is not None:
        draw(_figure(found), values["figure"])
    different = [one.name for one in found if not one.is_same]
    if different:
        say(f"clbench: these ratios compare different outcomes: {', '.join(different)}", err=True)
        ctx.exit(DIFFERENT)


def refuse_what_is_there(json_file: Path | None, figure: Path | None) -> None:
    """Refuse a file that is there, or a figure of another kind, before the work begins.

    Raises:
        InputError: one of both.
    """
    for option, path in (("--json", json_file), ("--figure", figure)):
        if path is not None and path.exists():
            raise InputError(
                f"{option} {path}: expected a new file, found one; remove it or choose another name"
            )
    if figure is not None and figure.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(
            f"--figure {figure}: expected a name that ends in .png, .svg or .pdf, found "
            f"{figure.suffix or 'none of them'!r}; choose one"
        )


def write_json_file(content: dict[str, Any], path: Path | None) -> None:
    """Write JSON to a file, or for ``-`` on standard output; None writes nothing."""
    from clbench.cli.display import print_json
    from clbench.store.files import write_json

    if path is None:
        return
    if str(path) == "-":
        print_json(content)
    else:
        write_json(path, content)


def draw(figure: Figure, path: Path) -> None:
    """Write a figure."""
    from clbench.figures.style import save_figure

    save_figure(figure, path)


def surroundings(device: Any) -> dict[str, Any]:
    """Return where it was measured, and how busy that was (load averages; None if unknown)."""
    import os

    from clbench.measuring.cost import environment

    load = list(os.getloadavg()) if hasattr(os, "getloadavg") else None
    return {"environment": environment(device), "load_averages": load}


def in_words(about: dict[str, Any]) -> str:
    """Return the line that says where it was measured."""
    found = about["environment"]
    versions = ", ".join(f"{name} {found['versions'][name]}" for name in ("clbench", "torch"))
    load = about["load_averages"]
    busy = "" if load is None else f", load average {load[0]:.1f}"
    machine = found["processor"] if found["device"] == "cpu" else found["device"]
    python = found["python"]
    threads = "1 thread" if found["num_threads"] == 1 else f"{found['num_threads']} threads"
    return f"{versions}, Python {python}; {machine}, {threads}{busy}"


def _facts(found: list[Measured], conditions: Conditions, repeats: int) -> dict[str, Any]:
    return {
        **surroundings(conditions.device),
        "benchmark": conditions.benchmark,
        "seed": conditions.seed,
        "repeats": repeats,
        "rows": [one.to_dict() for one in found],
    }


def _print(found: list[Measured], conditions: Conditions) -> None:
    from clbench.cli.display import print_table, table

    columns = ("row", "clbench", "beside", "ratio", "repeats", "aim", "", "clbench's rate", "same")
    shown = table(columns, left=3, whole=("row", "ratio", "repeats"))
    for one in found:
        info = one.info
        spread = f"{one.ratios[0]:.3g} to {one.ratios[-1]:.3g}"
        middle = sorted(one.fast_rates)[len(one.fast_rates) // 2]
        same = f"{info.differs} {'equal' if one.difference == 0 else f'+-{one.difference:.1g}'}"
        shown.add_row(
            one.name,
            info.fast,
            info.plain,
            f"{one.ratio:.3g}",
            spread,
            f"{info.aim:g}",
            "met" if one.meets_aim else "missed",
            f"{middle:,.3g} {info.unit}" if middle < 1000 else f"{middle:,.0f} {info.unit}",
            same if one.is_same else f"NO: {info.differs} differ by {one.difference:.1g}",
        )
    print_table("Speed of clbench over that of plain code: medians", shown)
    say(in_words(surroundings(conditions.device)))


def _figure(found: list[Measured]) -> Figure:
    from clbench.figures.speed import Bar, speed_figure

    bars = [Bar(one.name, one.ratio, one.ratios[0], one.ratios[-1], one.info.aim) for one in found]
    return speed_figure(bars, "Speed of clbench over that of plain code")


def _number(flag: str, default: int, help: str, **extra: Any) -> Option:
    return Option(
        [flag],
        type=click.IntRange(min=1),
        default=default,
        metavar="N",
        help=f"{help}  [default: {default}]",
        **extra,
    )


CLASSES = _number("--classes", 100, "Classes of the stream.", heading="Stream")
IMAGES = _number("--images-per-class", 500, "Training images of each.", heading="Stream")
TESTS = Option(
    ["--test-per-class"],
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    heading="Stream",
    help="Test images of each.  [default: a fifth of the training images]",
)
SIZE = Option(
    ["--size"],
    type=click.IntRange(8, 1024),
    default=32,
    metavar="PIXELS",
    heading="Stream",
    help="Side of an image.  [default: 32]",
)
CHANNELS = Option(
    ["--channels"],
    type=click.Choice(["1", "3"]),
    default="3",
    heading="Stream",
    help="Colours of an image.  [default: 3]",
)
EXPERIENCES = _number(
    "--experiences", 10, "Experiences that the classes are dealt to.", heading="Stream"
)
NETWORK = run_options("learner.network.name", heading="Learning")
EPOCHS = _number("--epochs", 1, "Passes over each experience.", heading="Learning")
REMEMBERED = _number(
    "--memory-per-class", 10, "Images remembered of each class, in raw pixels.", heading="Learning"
)
NETWORKS = _number("--num-networks", 80, "Networks that DataDAM draws.", heading="Learning")


MEASURED = Option(
    ["--measured"],
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    heading="Measuring",
    help="Take the runs that --json wrote there before, instead of measuring anew.",
)


@command.command(cls=Command)
@attach(CLASSES, IMAGES, TESTS, SIZE, CHANNELS, EXPERIENCES, MEASURED)
@attach(*NETWORK, EPOCHS, REMEMBERED, NETWORKS, *run_options("seed", heading="Learning"))
@attach(THREADS, *run_options("device", heading="Machine"), JSON_FILE, FIGURE, QUIET)
def scale(**values: Any) -> None:
    r"""Measure how cost grows with a stream, and predict what a large one takes here.

    random_replay and dam_replay run on small streams of generated images, each run in a process
    of its own: more classes, more images of a class, more experiences, larger images, one after
    the other. Exponents of growth are fitted (1 is linear), and so are the costs of this machine:
    seconds of a step, of an operation, of a test, bytes of what is held. From these constants come
    seconds and peak memory of the stream asked about. That takes some minutes; DataDAM is measured
    with one network, and costs as much for each. A stream of more than the memory of this machine
    is predicted all the same.

    \b
    Examples:
      clbench speed scale
      clbench speed scale --classes 100 --images-per-class 500 --size 32
      clbench speed scale --classes 1000 --images-per-class 1300 --size 64 \
          --test-per-class 50 --experiences 10 --json here.json
      clbench speed scale --measured here.json --classes 200 --size 64
      clbench speed scale --network resnet18 --figure growth.svg
    """
    import torch

    from clbench.cli.display import ProgressLine
    from clbench.machine.device import resolve_device
    from clbench.speed import scale as fits
    from clbench.speed.sizes import Learning, Stream

    refuse_what_is_there(values["json_file"], values["figure"])
    if values["threads"] is not None:
        torch.set_num_threads(values["threads"])
    device = resolve_device(values["device"] or "auto")
    stream = Stream(
        values["classes"],
        values["images_per_class"],
        values["size"],
        values["experiences"],
        values["test_per_class"] or 0,
        int(values["channels"]),
    )
    learning = Learning(
        "random_replay",
        values["learner__network__name"] or "mlp",
        values["epochs"],
        values["memory_per_class"],
        values["num_networks"],
        device.type,
        values["seed"] or 0,
    )
    fits.check(stream, learning)
    if values["measured"] is not None:
        points = fits.read_points(values["measured"], learning)
    else:
        with ProgressLine(not values["quiet"]) as line:

            def show(done: int, total: int, what: str) -> None:
                line.show(f"measuring {what}", done, total, "runs")

            points = fits.measure_points(learning, torch.get_num_threads(), on_point=show)
    found = fits.fitted(stream, learning, points)
    about = {**surroundings(device), "learning": vars(learning), **found.to_dict()}
    write_json_file(about, values["json_file"])
    if not values["quiet"] and str(values["json_file"]) != "-":
        _print_scale(found, about)
    if values["figure"] is not None:
        draw(_growth_figure(found), values["figure"])


def _print_scale(found: Any, about: dict[str, Any]) -> None:
    from clbench.cli.display import print_table, table
    from clbench.measuring.format import seconds as in_seconds

    costs = ("train", "fill", "evaluate", "rest", "total", "memory")
    shown = table(("strategy", "what grows", *costs), left=2)
    for strategy, axis in dict.fromkeys((one.strategy, one.axis) for one in found.growths):
        mine = {o.what: o for o in found.growths if (o.strategy, o.axis) == (strategy, axis)}
        cells = [f"{mine[w].exponent:.2f}{'!' * mine[w].more_than_linear}" for w in costs]
        shown.add_row(strategy, axis, *cells)
    print_table("Exponents of growth: 1 is in proportion, 0 does not grow", shown)
    for sentence in found.more_than_linear:
        say(sentence)
    seconds = table(("strategy", *costs[:5], "peak memory", "error of the fit"))
    for prediction, constants in zip(found.predictions, found.constants, strict=True):
        each = [in_seconds(prediction.seconds[phase]) for phase in costs[:4]]
        memory = f"{prediction.memory_bytes / 2**30:.2f} GiB"
        errors = [100 * constants.errors[what] for what in ("total", "memory")]
        wrong = "{:.0f} % of seconds, {:.0f} % of memory".format(*errors)
        seconds.add_row(prediction.strategy, *each, in_seconds(prediction.total), memory, wrong)
    print_table(f"Predicted seconds of {found.predictions[0].stream.in_words}", seconds)
    say(in_words(about))


def _growth_figure(found: Any) -> Figure:
    from clbench.figures.speed import Curve, growth_figure

    labels = {"total": "seconds", "memory": "MiB above the start"}
    curves = [
        Curve(
            one.strategy,
            one.axis,
            labels[one.what],
            one.exponent,
            one.values,
            tuple(c / 2**20 for c in one.costs) if one.what == "memory" else one.costs,
        )
        for one in found.growths
        if one.what in labels
    ]
    return growth_figure(curves)
