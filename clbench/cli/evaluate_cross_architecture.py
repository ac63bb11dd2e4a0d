"""``clbench evaluate cross-architecture``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.evaluations import NO_CACHE, OUTPUT, SETS, TENSORBOARD, WORKERS
from clbench.cli.options import (
    DATA_ROOT,
    JSON,
    MACHINE,
    QUIET,
    Command,
    Option,
    attach,
    set_training_settings,
    under,
)
from clbench.cli.sets import NUM_NETWORKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clbench.evaluation import CrossArchitecture

BACKBONES = "mlp,convnet,lenet,alexnet,vgg11,resnet18"
NETWORKS = Option(
    ["--networks"],
    default=BACKBONES,
    metavar="NAME,...",
    heading="Evaluation",
    help=f"Networks that are trained (clbench list networks).  [default: {BACKBONES}]",
)
FULL_EPOCHS = Option(
    ["--full-epochs"],
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    heading="Full data",
    help="Train one of each network on the full data too, for so many epochs of the course "
    "recipe (clbench evaluate offline).  [default: 0, none]",
)
FULL_NETWORKS = Option(
    ["--full-networks"],
    default=None,
    metavar="NAME,...",
    heading="Full data",
    help="Only these on the full data.  [default: all]",
)


@click.command("cross-architecture", cls=Command)
@attach(SETS, NETWORKS, NUM_NETWORKS)
@under("Evaluation", set_training_settings("evaluation"))
@attach(FULL_EPOCHS, FULL_NETWORKS)
@under("Machine", MACHINE)
@attach(WORKERS, OUTPUT, DATA_ROOT, TENSORBOARD, NO_CACHE, QUIET, JSON)
def cross_architecture(
    sets: tuple[Path, ...],
    networks: str,
    num_networks_evaluated: int,
    full_epochs: int,
    full_networks: str | None,
    workers: int | None,
    output: Path | None,
    data_root: Path | None,
    tensorboard: bool,
    no_cache: bool,
    quiet: bool,
    json: bool,
    **values: Any,
) -> None:
    r"""Train networks that a set was not distilled with on that set.

    Takes sets of one data set (files of `clbench distill`, or run directories, whose last memory
    is the set). Random real images of equal bytes stand beside them, under the same seeds and the
    same protocol. Networks that were trained once are never trained again.

    \b
    Examples:
      clbench evaluate cross-architecture sets/datadam.safetensors
      clbench evaluate cross-architecture dm.safetensors datadam.safetensors
      clbench evaluate cross-architecture set.safetensors --networks mlp,vgg11
      clbench evaluate cross-architecture runs/mine --full-epochs 2
    """
    from clbench.cli.build_config import build_config
    from clbench.cli.display import ProgressLine, print_json
    from clbench.cli.evaluations import (
        KEPT_TRIALS,
        about_sets,
        load_sets,
        majority_share,
        provenance,
        resumable,
        say_trials,
        say_where,
        write_result,
    )
    from clbench.cli.places import new_directory
    from clbench.cli.sets import base_config
    from clbench.data import short_name
    from clbench.device import resolve_device
    from clbench.evaluation import RECIPES, named, trials
    from clbench.evaluation import cross_architecture as evaluate

    config = build_config(base_config(), values)
    device = resolve_device(config.device)
    loaded, images = load_sets(sets, data_root)
    place = new_directory(
        output, Path("evaluations") / f"cross-architecture-{short_name(images.name)}"
    )
    chosen = named(networks)
    with ProgressLine(not quiet) as line, resumable(KEPT_TRIALS):
        line.show("training networks", 0, 1, "networks")
        found = evaluate(
            {name: one.images for name, one in loaded.items()},
            images.train,
            images.test,
            images.spec,
            networks=chosen,
            training=config.set_training,
            num_networks=num_networks_evaluated,
            full=RECIPES["course"].replace(epochs=full_epochs) if full_epochs else None,
            full_networks=None if full_networks is None else named(full_networks),
            seed=config.seed,
            device=device,
            workers=workers or trials.default_workers(),
            directory=None if no_cache else trials.default_directory(),
            on_trial=say_trials(line),
        )
    used = {"training": config.set_training.to_dict(), "seed": config.seed}
    used |= {"num_networks": num_networks_evaluated, "full_epochs": full_epochs}
    result = {
        "kind": "cross-architecture",
        **provenance(images, used),
        "sets": about_sets(loaded),
        "result": found.to_dict(),
        "measured": found.measured(),
    }
    labels = {name: one.distilled_with for name, one in loaded.items()}
    drawn = _drawn(found, labels, majority_share(images))
    rows = {"accuracy": (("set", "bytes", *found.networks), _rows(found))}
    write_result(place, result, drawn=drawn, tables=rows, tensorboard=tensorboard)
    if json:
        return print_json(result)
    if not quiet:
        _print(found, images.shown_as)
        say_where(images, place, tensorboard)
    return None


def _drawn(
    found: CrossArchitecture, distilled_with: dict[str, str], share: float | None
) -> dict[str, Figure]:
    from clbench.figures import cross_architecture_figure

    def label(row: str) -> str:
        network = distilled_with.get(row)
        return f"{row}, by {network}" if network else row

    scores = {
        label(row): {network: list(s.values) for network, s in found.scores[row].items()}
        for row in found.sets
    }
    figure = cross_architecture_figure(scores, found.networks, majority_share=share)
    return {"cross_architecture": figure}


def _rows(found: CrossArchitecture) -> list[list[str]]:
    from clbench.cli.display import count, mean_and_deviation

    rows = []
    for row in found.sets:
        cells = [found.scores[row].get(network) for network in found.networks]
        shown = ["-" if scores is None else mean_and_deviation(scores) for scores in cells]
        rows.append([row, count(found.num_bytes[row]), *shown])
    return rows


def _print(found: CrossArchitecture, data_name: str) -> None:
    from clbench.cli.display import print_table, table

    made = table(("set", "bytes", *found.networks))
    for row in _rows(found):
        made.add_row(*row)
    print_table(f"{data_name}: accuracy % of networks trained on each set alone", made)
    below = found.exceptions()
    if below:
        pairs = ", ".join(f"{network} on {name}" for name, network in below)
        click.echo(f"not above random real images of equal bytes: {pairs}")
    else:
        click.echo("every network learns more from the sets than from random images of equal bytes")
