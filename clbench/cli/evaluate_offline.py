"""``clbench evaluate offline``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.evaluations import OUTPUT, TENSORBOARD
from clbench.cli.options import (
    DATA_ROOT,
    IMAGES,
    JSON,
    MACHINE,
    QUIET,
    Command,
    Option,
    attach,
    network_settings,
    set_training_settings,
    under,
)
from clbench.cli.sets import DATA_SET

if TYPE_CHECKING:
    from clbench.config import RunConfig
    from clbench.data import ImageData
    from clbench.evaluation import Epoch, Offline

RECIPES = ("course", "modern")
RECIPE = Option(
    ["--recipe"],
    type=click.Choice(RECIPES),
    default="course",
    heading="Training",
    help="Preset of the options below. course: batch 128, SGD 0.01, momentum 0.9, cosine, 20 "
    "epochs; modern: one cycle to 0.05, weight decay, label smoothing, augmentation, 20 epochs.  "
    "[default: course]",
)


@click.command("offline", cls=Command)
@attach(DATA_SET)
@under("Data", IMAGES)
@under("Network", network_settings("", "learner.network", {"name": "convnet"}, "that is trained"))
@attach(RECIPE)
@under("Training", set_training_settings("", of_recipe=True))
@under("Machine", MACHINE)
@attach(OUTPUT, DATA_ROOT, TENSORBOARD, QUIET, JSON)
def offline(
    data_set: str,
    recipe: str,
    output: Path | None,
    data_root: Path | None,
    tensorboard: bool,
    quiet: bool,
    json: bool,
    **values: Any,
) -> None:
    r"""Train a network on a full data set: the bound that memories are measured by.

    Tests once, after the last epoch. Keeps a checkpoint after every epoch, from which the same
    command goes on when it was stopped.

    \b
    Examples:
      clbench evaluate offline
      clbench evaluate offline --data-set mnist --recipe modern --data-root ~/data
      clbench evaluate offline --network mlp --epochs 5 -o evaluations/mlp
    """
    from clbench.cli.places import resumable_directory

    # Before the other imports, which take seconds.
    chosen = None if output is None else resumable_directory(output, output)

    from clbench.cli.build_config import build_config
    from clbench.cli.display import ProgressLine, print_json
    from clbench.cli.evaluations import provenance, resumable, say_where
    from clbench.cli.sets import base_config, load_images
    from clbench.data import short_name
    from clbench.evaluation import RECIPES, train_offline
    from clbench.machine.device import resolve_device

    config = build_config(base_config().replace(set_training=RECIPES[recipe]), values)
    device = resolve_device(config.device)
    images = load_images(data_set, config, data_root, quiet=quiet)
    name = f"{short_name(images.name)}-{config.learner.network.name}-{recipe}-seed{config.seed}"
    place = chosen or resumable_directory(None, Path("evaluations") / f"offline-{name}")
    checkpoint = place / "checkpoint.pt"
    what = f"{checkpoint} keeps the epochs that were done"
    epochs: list[Epoch] = []
    used = {
        "network": config.learner.network.to_dict(),
        "recipe": recipe,
        "training": config.set_training.to_dict(),
        "seed": config.seed,
    }
    with (
        ProgressLine(not quiet) as line,
        resumable(what),
        _divergence_kept(place, epochs, config, lambda: provenance(images, used)),
    ):

        def show(done: int, total: int, epoch: Epoch) -> None:
            epochs.append(epoch)
            detail = f"epochs, loss {epoch.loss:.4f}, {100 * epoch.accuracy:.1f} % right"
            line.show(f"training {config.learner.network.name}", done, total, detail)

        line.show(
            f"training {config.learner.network.name}", 0, config.set_training.epochs, "epochs"
        )
        found = train_offline(
            images.train,
            images.test,
            images.spec,
            config.learner.network,
            config.set_training,
            seed=config.seed,
            device=device,
            checkpoint=checkpoint,
            on_epoch=show,
        )
    result = {"kind": "offline", **provenance(images, used), "result": found.to_dict()}
    _write(place, result, found, config, images, tensorboard)
    checkpoint.unlink(missing_ok=True)
    if json:
        return print_json(result)
    if not quiet:
        _print(found, config, images, recipe)
        say_where(images, place, tensorboard)
    return None


@contextmanager
def _divergence_kept(
    place: Path,
    epochs: list[Epoch],
    config: RunConfig,
    provenance: Callable[[], dict[str, Any]],
) -> Iterator[None]:
    """Where a training diverges, write a report of the epochs before it, which has no accuracy.

    Raises:
        Diverged: again, with the option to change.
    """
    from clbench.errors import Diverged
    from clbench.store.files import write_json

    try:
        yield
    except Diverged as error:
        rate = config.set_training.learning_rate
        line = f"{str(error).partition(';')[0]}; lower --learning-rate (it is {rate:g})"
        found = {
            "accuracy": None,
            "loss": None,
            "train_losses": [epoch.loss for epoch in epochs],
            "train_accuracies": [epoch.accuracy for epoch in epochs],
        }
        report = {"kind": "offline", "diverged": line, **provenance(), "result": found}
        write_json(place / "report.json", report)
        # It leads nowhere else.
        (place / "checkpoint.pt").unlink(missing_ok=True)
        raise Diverged(f"{line}; the epochs before it are in {place / 'report.json'}") from None


def _write(
    place: Path,
    result: dict[str, Any],
    found: Offline,
    config: RunConfig,
    images: ImageData,
    tensorboard: bool,
) -> None:
    from clbench.cli.evaluations import majority_share, write_result
    from clbench.figures import offline_figure

    losses = [epoch.loss for epoch in found.epochs]
    accuracies = [epoch.accuracy for epoch in found.epochs]
    title = f"{config.learner.network.name} on {images.shown_as}"
    share = majority_share(images)
    write_result(
        place,
        result,
        drawn={
            "offline": lambda: offline_figure(
                losses,
                accuracies,
                test_accuracy=found.accuracy,
                title=title,
                majority_share=share,
            )
        },
        tables={"result": (("", "value"), _rows(found))},
        curves={"train_loss": losses, "train_accuracy": accuracies},
        tensorboard=tensorboard,
    )


def _rows(found: Offline) -> list[tuple[str, str]]:
    from clbench.cli.display import count, seconds

    return [
        ("test accuracy %", f"{100 * found.accuracy:.2f}"),
        ("test loss", f"{found.loss:.4f}"),
        ("training loss, last epoch", f"{found.epochs[-1].loss:.4f}"),
        ("epochs", count(len(found.epochs))),
        ("parameters", count(found.num_parameters)),
        ("FLOPs of an image", f"{found.forward_flops:.3e}"),
        ("the same, course report's counting", f"{found.report_flops:.3e}"),
        ("FLOPs of the training", f"{found.train_flops:.3e}"),
        ("seconds of training", seconds(found.seconds)),
    ]


def _print(found: Offline, config: RunConfig, images: ImageData, recipe: str) -> None:
    from clbench.cli.display import print_table, table

    made = table(("", "value"))
    for row in _rows(found):
        made.add_row(*row)
    name = config.learner.network.name
    print_table(f"{name} trained on all of {images.shown_as}, recipe {recipe}", made)
