"""``clbench distill``."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import say
from clbench.cli.options import (
    DATA_ROOT,
    JSON,
    QUIET,
    TRAIN_ANEW,
    Command,
    Option,
    attach,
    method_options,
    option_of,
    preset_option,
    run_options,
)
from clbench.cli.sets import DATA_SET, WORKERS
from clbench.config import MemoryConfig, RunConfig
from clbench.evaluation.settings import SetSettings
from clbench.fields import settings_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clbench.cli.display import ProgressLine
    from clbench.data import ImageData
    from clbench.distillation import Update
    from clbench.distillation.updates import UpdateLog
    from clbench.evaluation import Laboratory
    from clbench.evaluation.set_score import SetTable
    from clbench.sets import DistilledSet

SETTINGS = "settings__"  # before the name of an option of the evaluation's own
EVALUATION = [
    option_of(setting, SETTINGS + setting.path.replace(".", "__"))
    for setting in settings_of(SetSettings())
]
EVALUATE = Option(
    ["--evaluate/--no-evaluate"],
    default=True,
    heading="Evaluation",
    help="Score the set with fresh networks.  [default: yes]",
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="File to write.  [default: sets/DATA-DISTILLER-ipcN-seedN.safetensors]",
)

KEPT_UPDATES = ("what was done is kept in the cache",)
NOTHING_KEPT = ("nothing is kept", "the same command begins again")

TENSORBOARD = Option(
    ["--tensorboard/--no-tensorboard"],
    default=False,
    heading="Output",
    help="Write TensorBoard events of the distillation beside the set, into SET.events.  "
    "[default: no]",
)


@click.command(cls=Command)
@attach(DATA_SET)
@attach(
    *run_options(
        "benchmark.image_size",
        "benchmark.normalisation",
        "benchmark.images_in",
        "benchmark.group_pattern",
        "benchmark.allow_repeats",
        "distillation.distiller",
        "memory.images_per_class",
        "memory.capacity_bytes",
        "memory.codec",
        "seed",
        "device",
        base=RunConfig(memory=MemoryConfig().settled()),
        heading="Set",
    )
)
@attach(preset_option())
@attach(*run_options("distillation", but=["distillation.distiller"]), *method_options())
@attach(EVALUATE, *EVALUATION)
@attach(WORKERS, OUTPUT, DATA_ROOT, TENSORBOARD, TRAIN_ANEW, QUIET, JSON)
def command(**values: Any) -> None:
    r"""Distil a data set into a few images and score them.

    Writes the set with its provenance (safetensors), a picture of it (png) and the result (json),
    side by side. Scores are accuracies of fresh networks trained on the set alone, always after
    the last epoch, beside those of random real images of equal bytes.

    \b
    Examples:
      clbench distill --images-per-class 10 --codec tiles:factor=2
      clbench distill --data-set mnist --distiller dm -o dm.safetensors
      clbench distill --loop paper --num-networks 500 --distill-width 64
      clbench distill --initialisation noise --no-evaluate --seed 1
      clbench distill --distiller pad --tensorboard
    """
    from clbench.cli.places import new_directory, new_file

    output = values.pop("output")
    # Before the other imports, which take seconds.
    chosen = None if output is None else new_file(output, Path("set.safetensors"))

    from clbench.cli.sets import load_images, named
    from clbench.data import short_name

    quiet = values["quiet"]
    config, settings = _configured(values)
    wanted = config.benchmark
    images = load_images(
        named(values["data_set"], values),
        wanted.image_size,
        wanted.normalisation,
        values["data_root"],
        quiet=quiet,
    )
    name = f"{short_name(images.name)}-{config.distillation.distiller}"
    capacity = config.memory.capacity_bytes
    name += f"-ipc{config.memory.images_per_class}" if capacity is None else f"-{capacity}bytes"
    path = chosen or new_file(None, Path("sets") / f"{name}-seed{config.seed}.safetensors")
    events = new_directory(None, path.with_suffix(".events")) if values["tensorboard"] else None
    result, notes = _made(images, config, settings, path, events, values)
    if values["json"]:
        from clbench.cli.display import print_json

        return print_json(result)
    num, size = result["num_images"], result["num_bytes"]
    say(
        f"set:     {path}  ({num} images, {size:,} bytes, {result['distil_seconds']:.1f} s)",
        quiet=quiet,
    )
    if path.with_suffix(".png").exists():
        say(f"picture: {path.with_suffix('.png')}", quiet=quiet)
    say(f"result:  {path.with_suffix('.json')}", quiet=quiet)
    if events is not None:
        from clbench.tracking import SCALARS_ADDRESS

        say(f"events:  {events}  (tensorboard --logdir {shlex.quote(str(events))})", quiet=quiet)
        say(f"         unsmoothed at {SCALARS_ADDRESS}", quiet=quiet)
    for note in notes:
        say(f"note:    {note}", quiet=quiet)
    return None


def _configured(values: dict[str, Any]) -> tuple[RunConfig, SetSettings]:
    from clbench.cli.build_config import build_config, tree_of, without_effect

    own = {name for name in values if name.startswith(SETTINGS)}
    given = {name.removeprefix(SETTINGS): values.pop(name) for name in own}
    settings = SetSettings().updated(tree_of({k: v for k, v in given.items() if v is not None}))
    named = {name: value for name, value in values.items() if "__" in name}
    named |= {name: values[name] for name in ("seed", "device")}
    config = build_config(RunConfig(), named, loop=values["loop"])
    config = config.replace(memory=config.memory.settled())
    for option in without_effect([config.distillation], named):
        method = config.distillation.distiller
        if not values["quiet"]:
            text = f"note: {option} sets nothing here: {method} has no such setting"
            say(text, err=True)
    return config, settings


def _made(
    images: ImageData,
    config: RunConfig,
    settings: SetSettings,
    path: Path,
    events: Path | None,
    values: dict[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """Distil, write and score the set; what its JSON says, and what a reader must know."""
    from clbench import api
    from clbench.cli.display import ProgressLine, print_shown
    from clbench.cli.evaluations import resumable
    from clbench.distillation.updates import UpdateLog
    from clbench.evaluation.set_score import SetScores
    from clbench.store.files import write_json

    laboratory, evaluation = _laboratory(images, config, values), SetScores(settings)
    table: SetTable | None = None
    with ProgressLine(not values["quiet"]) as line:
        if values["evaluate"]:
            evaluation.check(images.spec, config.seed)
        log = UpdateLog()
        made = _distil(images, config, path, events, log, line, keep=not values["no_cache"])
        failed = _picture(made, path, images, config)
        if values["evaluate"]:
            here = laboratory(line)
            with resumable(f"{path} is written", f"`clbench evaluate {path}` scores it"):
                table = evaluation.run(here, {config.distillation.distiller: made})
    notes = [*images.notes, *log.notes, *failed]
    result = {
        **api.provenance(made, config.distillation, config.memory, config.seed),
        "num_images": len(made.coded),
        "num_bytes": made.coded.num_bytes,
        "scores": [] if table is None else table.to_dict(),
        "losses": log.losses,
        "scalars": log.scalars,
        "notes": notes,
    }
    write_json(path.with_suffix(".json"), result)
    if table is not None and not (values["quiet"] or values["json"]):
        print_shown(images.shown_as, table.shown())
    return result, notes


def _laboratory(
    images: ImageData, config: RunConfig, values: dict[str, Any]
) -> Callable[[ProgressLine], Laboratory]:
    from clbench.cli.evaluations import laboratory_of, say_trials

    made = laboratory_of(images, {**values, "seed": config.seed, "device": config.device})
    return lambda line: made.replace(on_trial=say_trials(line))


def _distil(
    images: ImageData,
    config: RunConfig,
    path: Path,
    events: Path | None,
    log: UpdateLog,
    line: ProgressLine,
    *,
    keep: bool,
) -> DistilledSet:
    from clbench import api
    from clbench.cli.evaluations import resumable
    from clbench.distillation import DISTILLERS
    from clbench.tracking import NullTracker, TensorBoardTracker, Tracker

    works_long = DISTILLERS.find(config.distillation.distiller).needs_network
    kept = KEPT_UPDATES if keep and works_long else NOTHING_KEPT
    tracker: Tracker = NullTracker() if events is None else TensorBoardTracker(events)

    def listen(update: Update) -> None:
        _show(line, images.shown_as, update)
        tracker.on_distillation_update(0, update)

    log.on_update = listen
    _say_if_long(images, config, line)
    with closing(tracker), resumable(*kept):
        return api.distil(
            images,
            config.distillation,
            config.memory,
            seed=config.seed,
            device=config.device,
            output=path,
            on_update=log,
            keep=keep,
        )


def _say_if_long(images: ImageData, config: RunConfig, line: ProgressLine) -> None:
    from clbench import api, distillation
    from clbench.distillation.pace import distilling_rate
    from clbench.machine.device import resolve_device
    from clbench.measuring.cost import long_work

    wanted, spec = config.distillation, images.spec
    needs_network = distillation.DISTILLERS.find(wanted.distiller).needs_network
    if resolve_device(config.device).type == "cuda" or not needs_network:
        return
    share = api.share_of(config.memory, spec)
    num = min(spec.num_classes * share.num_images, len(images.train))
    work = distillation.Workload(
        len(images.train), spec.num_classes, num, coarse=share.codec.coarse
    )
    distiller = distillation.make_distiller(wanted)
    rate = partial(distilling_rate, distiller, wanted, spec)
    shorter = "--image-size, --distill-width, --num-networks or --num-updates"
    told = long_work("distilling", distiller.flops(spec, work), rate, shorter)
    if told is not None:
        line.write(f"note: {told}")


def _show(line: ProgressLine, name: str, update: Update) -> None:
    from clbench.cli.display import DISTILLATION_PHASES

    what = DISTILLATION_PHASES[update.phase]
    if update.number:
        detail = f"updates, loss {update.loss:.4g}"
        line.show(f"{what} {name}", update.number, update.total, detail)


def _picture(made: DistilledSet, path: Path, images: ImageData, config: RunConfig) -> list[str]:
    """Draw the set beside it; a sentence where that failed."""
    from clbench.figures import memory_figure, save_figures

    title = f"{config.distillation.distiller} of {images.shown_as}"
    names, num_bytes = images.spec.class_names, made.coded.num_bytes

    def draw() -> Figure:
        return memory_figure(made.images, class_names=names, title=title, num_bytes=num_bytes)

    return save_figures({path.stem: draw}, path.parent)
