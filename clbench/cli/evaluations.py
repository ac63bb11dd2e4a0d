"""What the subcommands of `clbench evaluate` share: sets to read, options, what they write."""

from __future__ import annotations

import json as json_format
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import Interrupted
from clbench.cli.options import DATA_ROOT, JSON, QUIET, Option, flag
from clbench.cli.stopping import terminable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clbench.cli.display import ProgressLine
    from clbench.data import ImageData
    from clbench.evaluation import Outcome, Trial
    from clbench.types import LabelledImages

SETS = click.Argument(
    ["sets"], nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SET..."
)
WORKERS = Option(
    ["--workers"],
    type=click.IntRange(min=1),
    default=None,
    metavar="N",
    heading="Machine",
    help="Networks trained at once on a CPU, each on its share of the cores.  "
    "[default: as many as there are cores]",
)
NO_CACHE = flag("--no-cache", "Train anew what was trained before.")
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

COMMON_OPTIONS = (WORKERS, OUTPUT, DATA_ROOT, TENSORBOARD, NO_CACHE, QUIET, JSON)
COMMON = tuple(option.name or "" for option in COMMON_OPTIONS)


@dataclass(frozen=True)
class LoadedSet:
    """A set and where it comes from.

    Attributes:
        name: of the file, or of the run directory.
        images: the set, in the data set's own class numbers.
        distil_seconds: what making it took.
        origin: name and fingerprint of the data set.
        distilled_with: name of the network it was matched in; "" where there was none.
        normalisation: whose moments the pixels were normalised by.
    """

    name: str
    images: LabelledImages
    distil_seconds: float
    origin: tuple[str, str]
    distilled_with: str
    normalisation: Any


def load_sets(
    paths: Sequence[Path], data_root: Path | None
) -> tuple[dict[str, LoadedSet], ImageData]:
    """Sets that `clbench distill` wrote, or what runs remembered in the end; and their data set.

    Args:
        paths: files, or run directories.
        data_root: where the data set is looked for.

    Raises:
        InputError: a file or a directory that is neither, sets of several data sets, or other
            data under their name here.
    """
    from clbench import data
    from clbench.errors import InputError

    read = [_read_run(path) if path.is_dir() else _read_set(path) for path in paths]
    origins = {one.origin for one in read}
    kinds = {(one.images.images.shape[-1], one.normalisation) for one in read}
    if len(origins) > 1 or not all(next(iter(origins))):
        found = ", ".join(sorted(f"{name or 'no data set'} {mark[:8]}" for name, mark in origins))
        raise InputError(
            f"expected sets that `clbench distill` made of one data set, found {found}"
        )
    if len(kinds) > 1:
        found = ", ".join(sorted(f"{size} pixels, {moments}" for size, moments in kinds))
        raise InputError(f"expected sets of one image size and normalisation, found {found}")
    (name, fingerprint), (size, normalisation) = origins.pop(), kinds.pop()
    images = data.load(name, data_root, image_size=size).normalised(normalisation)
    if images.fingerprint != fingerprint:
        raise InputError(
            f"{paths[0]}: distilled from {name} with fingerprint {fingerprint[:8]}, but the data "
            f"here have {images.fingerprint[:8]}; choose their folder with --data-root"
        )
    return _by_name(read, paths), images


def _by_name(read: Sequence[LoadedSet], paths: Sequence[Path]) -> dict[str, LoadedSet]:
    from clbench.errors import InputError

    names = [one.name for one in read]
    if len(set(names)) < len(names):
        names = [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise InputError("expected every SET once, found one twice")
    return dict(zip(names, read, strict=True))


def _read_set(path: Path) -> LoadedSet:
    from clbench.types import LabelledImages

    images, meta = LabelledImages.load(path)
    origin = (meta.get("data", ""), meta.get("fingerprint", ""))
    used = json_format.loads(meta.get("distillation", "{}"))
    seconds = float(meta.get("distil_seconds", 0.0))
    moments = meta.get("normalisation", "dataset")
    return LoadedSet(path.stem, images, seconds, origin, _network_of(used), moments)


def _read_run(directory: Path) -> LoadedSet:
    from clbench.errors import InputError
    from clbench.report import RunReport
    from clbench.types import LabelledImages

    report = RunReport.load(directory)
    last = directory / "memory" / f"exp_{len(report.class_groups) - 1}.safetensors"
    if not last.exists():
        raise InputError(f"{directory}: expected a run with a memory, found one without ({last})")
    images, _ = LabelledImages.load(last)
    seconds = float((report.measured.get("seconds") or {}).get("distil", 0.0))
    origin = (str(report.data["name"]), str(report.data["fingerprint"]))
    used = report.config["distillation"] if any(d["losses"] for d in report.distillation) else {}
    moments = report.config["benchmark"].get("normalisation", "dataset")
    return LoadedSet(directory.name, images, seconds, origin, _network_of(used), moments)


def _network_of(distillation: Mapping[str, Any]) -> str:
    matched = distillation.get("distiller") not in (None, "random", "herding")
    return str(distillation["network"]["name"]) if matched and "network" in distillation else ""


def say_trials(line: ProgressLine) -> Callable[[int, int, Trial, Outcome], None]:
    """Progress of trials on one line, with the last one's accuracy."""

    def show(done: int, total: int, trial: Trial, outcome: Outcome) -> None:
        name = trial.set_name.split(" #")[0]
        what = "diverged" if outcome.diverged else f"{100 * outcome.accuracy:.1f} %"
        detail = f"networks; {trial.network.name} on {name}: {what}"
        line.show("training networks", done, total, detail)

    return show


@contextmanager
def resumable(kept: str, then: str = "the same command goes on there") -> Iterator[None]:
    """Ctrl-C and SIGTERM say what is kept and how to go on.

    Raises:
        Interrupted: in their place.
    """
    with terminable():
        try:
            yield
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {kept}; {then}") from None


KEPT_TRIALS = "the networks that were trained are kept in the cache"


@dataclass(frozen=True)
class Shown:
    """What people see of an evaluation.

    Attributes:
        title: of the table, behind the name of the data.
        columns, rows: the table.
        lines: what stands below it.
        draw: makes a figure of it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    lines: Sequence[str]
    draw: Callable[[], Figure]


def evaluate_sets(
    kind: str,
    paths: Sequence[Path],
    values: dict[str, Any],
    evaluate: Callable[..., Any],
    show: Callable[[Any, Mapping[str, LoadedSet], ImageData], Shown],
    **special: Any,
) -> None:
    """Do all that evaluations of sets have in common: read, evaluate, write, print.

    Args:
        kind: name of the evaluation, in file names too.
        paths: sets and run directories.
        values: of the options, `COMMON` and the configuration's among them.
        evaluate: of `clbench.evaluation`.
        show: makes of its outcome what people see.
        special: arguments of this evaluation alone; plain ones are part of the report.
    """
    from clbench.cli.places import new_directory

    output = values.pop("output")
    # Before the other imports, which take seconds.
    chosen = None if output is None else new_directory(output, output)

    from clbench.cli.build_config import build_config
    from clbench.cli.display import ProgressLine, print_json, print_table, table
    from clbench.cli.sets import base_config
    from clbench.data import short_name
    from clbench.evaluation import RECIPES, trials
    from clbench.machine.device import resolve_device

    common = {name: values.pop(name) for name in COMMON if name != "output"}
    full_epochs = values.pop("full_epochs")
    config = build_config(base_config(), values)
    device = resolve_device(config.device)
    loaded, images = load_sets(paths, common["data_root"])
    default = Path("evaluations") / f"{kind}-{short_name(images.name)}"
    place = chosen or new_directory(None, default)
    with ProgressLine(not common["quiet"]) as line, resumable(KEPT_TRIALS):
        line.show("training networks", 0, 1, "networks")
        found = evaluate(
            {name: one.images for name, one in loaded.items()},
            images.train,
            images.test,
            images.spec,
            training=config.set_training,
            full=RECIPES["course"].replace(epochs=full_epochs) if full_epochs else None,
            seed=config.seed,
            device=device,
            workers=common["workers"] or trials.default_workers(),
            directory=None if common["no_cache"] else trials.default_directory(),
            on_trial=(heard := trials.Divergences(say_trials(line))),
            **special,
        )
    plain = {k: v for k, v in special.items() if v is None or isinstance(v, (int, float, str))}
    training = {"training": config.set_training.to_dict(), "seed": config.seed}
    result = {
        "kind": kind,
        **provenance(images, {**training, "full_epochs": full_epochs, **plain}),
        "sets": about_sets(loaded),
        "result": found.to_dict(),
        "measured": found.measured(),
    }
    if heard.lines:
        result["diverged_networks"] = heard.lines
    shown = show(found, loaded, images)
    name = kind.replace("-", "_")
    write_result(
        place,
        result,
        drawn={name: shown.draw},
        tables={name: (shown.columns, shown.rows)},
        tensorboard=common["tensorboard"],
    )
    if common["json"]:
        return print_json(result)
    if not common["quiet"]:
        made = table(shown.columns)
        for row in shown.rows:
            made.add_row(*row)
        print_table(f"{images.shown_as}{shown.title}", made)
        for text in shown.lines:
            click.echo(text)
        say_diverged(heard.lines, "--evaluation-learning-rate")
        say_where(images, place, common["tensorboard"])
    return None


def write_result(
    directory: Path,
    result: Mapping[str, Any],
    *,
    drawn: Mapping[str, Callable[[], Figure]],
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]],
    curves: Mapping[str, Sequence[float]] | None = None,
    tensorboard: bool,
) -> None:
    """Write ``report.json``, then ``figures/*.png`` and TensorBoard's events where wanted.

    A figure that fails costs a line on standard error.
    """
    from clbench.figures import save_figures
    from clbench.store.files import write_json
    from clbench.tracking import write_evaluation

    write_json(directory / "report.json", result)
    for note in save_figures(drawn, directory / "figures"):
        click.echo(f"note: {note}", err=True)
    if tensorboard:
        write_evaluation(directory, drawn=drawn, tables=tables, curves=curves or {})


def say_diverged(lines: Sequence[str], option: str) -> None:
    """Name the networks that diverged: they have no part in a mean and come last in a ranking."""
    for text in lines:
        click.echo(f"diverged:    {text}; lower {option}")


def say_where(images: ImageData, directory: Path, tensorboard: bool) -> None:
    """The last lines of every evaluation."""
    say_notes(images)
    click.echo(f"report:      {directory / 'report.json'}")
    click.echo(f"figures:     {directory / 'figures'}")
    if tensorboard:
        from clbench.tracking import SCALARS_ADDRESS

        click.echo(f"TensorBoard: tensorboard --logdir {shlex.quote(str(directory))}")
        click.echo(f"             unsmoothed at {SCALARS_ADDRESS}")


def say_notes(images: ImageData) -> None:
    """What a reader of any number must know of the data."""
    for note in images.notes:
        click.echo(f"note:        {note}")
    share = majority_share(images)
    if share is not None:
        click.echo(f"note:        always the larger class: {100 * share:.1f} %")


def majority_share(images: ImageData) -> float | None:
    """Of the larger class among the test images; None unless there are two classes."""
    from clbench.measuring.metrics import majority_of_two

    return majority_of_two(images.test.hard_labels.numpy())


def provenance(images: ImageData, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a report of an evaluation begins with."""
    from clbench.measuring.cost import environment

    return {
        "data": {
            "name": images.name,
            "title": images.shown_as,
            "fingerprint": images.fingerprint,
            "notes": list(images.notes),
        },
        "config": dict(config),
        "environment": environment(),
    }


def about_sets(sets: Mapping[str, LoadedSet]) -> dict[str, Any]:
    """What a report says of the sets that were evaluated."""
    return {
        name: {
            "num_slots": len(one.images),
            "packing": one.images.packing,
            "num_bytes": one.images.num_bytes,
            "distil_seconds": one.distil_seconds,
            "distilled_with": one.distilled_with or None,
        }
        for name, one in sets.items()
    }
