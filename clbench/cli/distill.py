"""``clbench distill``."""

from __future__ import annotations

import json as json_format
import shlex
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.evaluations import NO_CACHE, WORKERS, resumable
from clbench.cli.names import DISTILLERS
from clbench.cli.options import (
    DATA_ROOT,
    DISTILLATION,
    IMAGES,
    IMAGES_PER_CLASS,
    JSON,
    LOOP,
    MACHINE,
    QUIET,
    STORAGE,
    TRAJECTORY,
    TRAJECTORY_HEADING,
    Command,
    Option,
    Setting,
    attach,
    under,
)
from clbench.cli.sets import DATA_SET, NUM_NETWORKS, evaluation_options

if TYPE_CHECKING:
    import torch

    from clbench.cli.display import ProgressLine
    from clbench.config import RunConfig
    from clbench.data import ImageData
    from clbench.distillation import Update
    from clbench.distillation.updates import UpdateLog
    from clbench.types import LabelledImages

DISTILLER = Setting(
    "--distiller", "distillation.distiller", str, "Distiller (clbench list distillers).",
    "datadam", complete=DISTILLERS,
)  # fmt: skip
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
@under("Set", [*IMAGES, DISTILLER, IMAGES_PER_CLASS, *STORAGE, *MACHINE])
@attach(LOOP)
@under("Distillation", DISTILLATION)
@under(TRAJECTORY_HEADING, TRAJECTORY)
@attach(EVALUATE, NUM_NETWORKS)
@evaluation_options
@attach(WORKERS, OUTPUT, DATA_ROOT, TENSORBOARD, NO_CACHE, QUIET, JSON)
def command(
    data_set: str,
    loop: str | None,
    evaluate: bool,
    num_networks_evaluated: int,
    workers: int | None,
    output: Path | None,
    data_root: Path | None,
    tensorboard: bool,
    no_cache: bool,
    quiet: bool,
    json: bool,
    **values: Any,
) -> None:
    r"""Distil a data set into a few images and score them.

    Writes the set with its provenance (safetensors), a picture of it (png) and the result (json),
    side by side. Scores are accuracies of fresh networks trained on the set alone, always after
    the last epoch, beside those of random real images of equal bytes.

    \b
    Examples:
      clbench distill --images-per-class 10 --packing 2
      clbench distill --data-set mnist --distiller dm -o dm.safetensors
      clbench distill --loop paper --num-networks 500 --distill-width 64
      clbench distill --initialisation noise --no-evaluate --seed 1
      clbench distill --distiller pad --tensorboard
    """
    from clbench.cli.places import new_directory, new_file

    # Before the other imports, which take seconds.
    chosen = None if output is None else new_file(output, Path("set.safetensors"))

    from clbench.cli.build_config import build_config
    from clbench.cli.display import ProgressLine, print_json
    from clbench.cli.sets import (
        base_config,
        check_training,
        load_images,
        print_scores,
        say,
        score_sets,
    )
    from clbench.data import short_name
    from clbench.machine.device import resolve_device

    config = build_config(base_config(), values, loop=loop)
    device = resolve_device(config.device)
    images = load_images(data_set, config, data_root, quiet=quiet)
    name = f"{short_name(images.name)}-{config.distillation.distiller}"
    name += f"-ipc{config.memory.images_per_class}"
    default = Path("sets") / f"{name}-seed{config.seed}.safetensors"
    path = chosen or new_file(None, default)
    events = new_directory(None, path.with_suffix(".events")) if tensorboard else None
    with ProgressLine(not quiet) as line:
        check_training(images, config, num_networks_evaluated)
        made, log, seconds = _distil(images, config, device, line, events, keep=not no_cache)
        failed = _save(made, path, images, config, seconds)
        rows = []
        if evaluate:
            distiller = config.distillation.distiller
            with resumable(f"{path} is written", f"`clbench evaluate {path}` scores it"):
                rows = score_sets(
                    {distiller: made}, {distiller: seconds}, images, config, line,
                    num_networks=num_networks_evaluated, workers=workers, no_cache=no_cache,
                )  # fmt: skip
    notes = [*images.notes, *log.notes, *failed]
    result = {
        **_provenance(images, config, seconds),
        "num_slots": len(made),
        "num_bytes": made.num_bytes,
        "scores": [row.to_dict() for row in rows],
        "losses": log.losses,
        "scalars": log.scalars,
        "notes": notes,
    }
    _write_result(path.with_suffix(".json"), result)
    if json:
        return print_json(result)
    if rows and not quiet:
        print_scores(f"{images.shown_as}: networks trained on each set alone", rows)
    say(f"set:     {path}  ({len(made)} slots, {made.num_bytes:,} bytes, {seconds:.1f} s)", quiet)
    if not failed:
        say(f"picture: {path.with_suffix('.png')}", quiet)
    say(f"result:  {path.with_suffix('.json')}", quiet)
    if events is not None:
        say(f"events:  {events}  (tensorboard --logdir {shlex.quote(str(events))})", quiet)
    for note in notes:
        say(f"note:    {note}", quiet)
    return None


def _distil(
    images: ImageData,
    config: RunConfig,
    device: torch.device,
    line: ProgressLine,
    events: Path | None,
    *,
    keep: bool,
) -> tuple[LabelledImages, UpdateLog, float]:
    from clbench.distillation import make_distiller
    from clbench.distillation.updates import UpdateLog
    from clbench.errors import Diverged
    from clbench.machine.allocator import keep_freed_memory
    from clbench.seeding import generator
    from clbench.tracking import NullTracker, TensorBoardTracker, Tracker

    keep_freed_memory()
    distiller = make_distiller(config.distillation, keep=keep)
    kept = KEPT_UPDATES if getattr(distiller, "keep", False) else NOTHING_KEPT
    tracker: Tracker = NullTracker() if events is None else TensorBoardTracker(events)

    def listen(update: Update) -> None:
        _show(line, images.shown_as, update)
        tracker.on_distillation_update(0, update)

    log = UpdateLog(listen)
    _say_if_long(images, config, device, line)
    with closing(tracker), resumable(*kept):
        start = time.perf_counter()
        made = distiller.distill(
            images.train,
            images.spec,
            images_per_class=config.memory.images_per_class,
            packing=config.memory.packing,
            generator=generator(config.seed, "distillation"),
            device=device,
            on_update=log,
        )
        seconds = time.perf_counter() - start + log.seconds_saved
    if not made.is_finite:
        raise Diverged(
            "distilling: expected finite pixels and labels, found others; lower the step sizes of "
            "the distillation (--image-learning-rate)"
        )
    return _stored(made, config.memory.storage), log, seconds


def _say_if_long(
    images: ImageData, config: RunConfig, device: torch.device, line: ProgressLine
) -> None:
    from clbench import distillation, networks
    from clbench.measuring.cost import long_work

    wanted, spec = config.distillation, images.spec
    if device.type == "cuda" or not distillation.info(wanted.distiller).needs_network:
        return
    num = spec.num_classes * config.memory.images_per_class * config.memory.packing**2
    work = distillation.Workload(len(images.train), spec.num_classes, num)
    flops = distillation.make_distiller(wanted).flops(spec, work)
    network = networks.build(wanted.network, spec, seed=0)
    shorter = "--image-size, --distill-width, --num-networks or --num-updates"
    told = long_work("distilling", flops, network, spec.shape, shorter)
    if told is not None:
        line.write(f"note: {told}")


def _show(line: ProgressLine, name: str, update: Update) -> None:
    from clbench.cli.display import DISTILLATION_PHASES

    what = DISTILLATION_PHASES[update.phase]
    if update.number:
        detail = f"updates, loss {update.loss:.4g}"
        line.show(f"{what} {name}", update.number, update.total, detail)


def _stored(made: LabelledImages, storage: str) -> LabelledImages:
    import torch

    from clbench.types import LabelledImages

    if storage == "uint8":
        return made.quantised()
    if made.images.dtype == torch.float32:
        return made
    return LabelledImages(made.images.float() / 255, made.labels, made.packing)


def _provenance(images: ImageData, config: RunConfig, seconds: float) -> dict[str, Any]:
    from clbench.measuring.cost import environment

    return {
        "data": images.name,
        "fingerprint": images.fingerprint,
        "normalisation": config.benchmark.normalisation,
        "seed": config.seed,
        "memory": config.to_dict()["memory"],
        "distillation": config.to_dict()["distillation"],
        "distil_seconds": seconds,
        "environment": environment(),
    }


def _save(
    made: LabelledImages, path: Path, images: ImageData, config: RunConfig, seconds: float
) -> list[str]:
    """Write the set, then its picture; a sentence where the picture failed."""
    from clbench.figures import memory_figure, save_figures

    metadata = {
        key: value if isinstance(value, str) else json_format.dumps(value)
        for key, value in _provenance(images, config, seconds).items()
    }
    made.save(path, metadata)
    title = f"{config.distillation.distiller} of {images.shown_as}"
    names = images.spec.class_names
    picture = {path.stem: lambda: memory_figure(made, class_names=names, title=title)}
    return save_figures(picture, path.parent)


def _write_result(path: Path, result: dict[str, Any]) -> None:
    from clbench.store.files import write_json

    write_json(path, result)
