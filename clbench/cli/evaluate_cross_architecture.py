"""``clbench evaluate cross-architecture``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.evaluations import (
    COMMON_OPTIONS,
    SETS,
    Shown,
    evaluate_sets,
    majority_share,
)
from clbench.cli.options import MACHINE, Command, Option, attach, set_training_settings, under
from clbench.cli.sets import NUM_NETWORKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clbench.cli.evaluations import LoadedSet
    from clbench.data import ImageData
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
@attach(*COMMON_OPTIONS)
def cross_architecture(
    sets: tuple[Path, ...],
    networks: str,
    num_networks_evaluated: int,
    full_networks: str | None,
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
    from clbench.evaluation import cross_architecture as evaluate
    from clbench.evaluation import named

    evaluate_sets(
        "cross-architecture",
        sets,
        values,
        evaluate,
        _shown,
        networks=named(networks),
        num_networks=num_networks_evaluated,
        full_networks=None if full_networks is None else named(full_networks),
    )


def _shown(found: CrossArchitecture, loaded: Mapping[str, LoadedSet], images: ImageData) -> Shown:
    from clbench.cli.display import learnt_nothing

    below = found.exceptions()
    pairs = ", ".join(f"{network} on {name}" for name, network in below)
    told = "every network learns more from the sets than from random images of equal bytes"
    if below:
        told = f"not above random real images of equal bytes: {pairs}"
    lines = [told, *learnt_nothing(found.learnt_nothing, "--evaluation-learning-rate")]
    labels = {name: one.distilled_with for name, one in loaded.items()}
    return Shown(
        ": accuracy % of networks trained on each set alone",
        ("set", "bytes", *found.networks),
        _rows(found),
        lines,
        lambda: _drawn(found, labels, majority_share(images)),
    )


def _drawn(found: CrossArchitecture, distilled_with: dict[str, str], share: float | None) -> Figure:
    from clbench.figures import cross_architecture_figure

    def label(row: str) -> str:
        network = distilled_with.get(row)
        return f"{row}, by {network}" if network else row

    scores = {
        label(row): {network: list(s.values) for network, s in found.scores[row].items()}
        for row in found.sets
    }
    return cross_architecture_figure(scores, found.networks, majority_share=share)


def _rows(found: CrossArchitecture) -> list[list[str]]:
    from clbench.cli.display import cell, count, mean_and_deviation

    rows = []
    for row in found.sets:
        shown = []
        for network in found.networks:
            scores = found.scores[row].get(network)
            text = "-" if scores is None or not scores.num else mean_and_deviation(scores)
            lost = found.num_diverged(row, network)
            shown.append(cell(text, scores.num if scores else 0, lost))
        rows.append([row, count(found.num_bytes[row]), *shown])
    return rows
