"""What `clbench distill` and `clbench evaluate` share: options, the device, the table of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clbench.cli.names import DATASETS, completer
from clbench.cli.options import Decorator, Option, network_settings, set_training_settings, under

if TYPE_CHECKING:
    from clbench.cli.display import ProgressLine
    from clbench.config import RunConfig
    from clbench.data import ImageData
    from clbench.evaluation import SetScore
    from clbench.types import LabelledImages

EVALUATION = [
    *network_settings("evaluation-", "learner.network", {"name": "convnet"}, "that is trained"),
    *set_training_settings("evaluation"),
]
NUM_NETWORKS = Option(
    ["--num-networks-evaluated"],
    type=int,
    default=5,
    metavar="N",
    heading="Evaluation",
    help="Fresh networks trained on each set.  [default: 5]",
)
DATA_SET = Option(
    ["--data-set"],
    default="mnist5k",
    metavar="NAME",
    heading="Data",
    shell_complete=completer(DATASETS),
    help="Data set (clbench list data), or folder:PATH.  [default: mnist5k]",
)
evaluation_options: Decorator = under("Evaluation", EVALUATION)


def base_config() -> RunConfig:
    """Defaults of commands about sets: fresh networks are ConvNets, as in the field's protocol."""
    from clbench.config import LearnerConfig, NetworkConfig, RunConfig

    return RunConfig(learner=LearnerConfig(network=NetworkConfig("convnet")))


def load_images(
    data_set: str, config: RunConfig, data_root: Path | None, *, quiet: bool
) -> ImageData:
    """A data set at the configuration's size and normalisation; a first decoding can be seen."""
    from clbench import data
    from clbench.cli.display import ProgressLine

    wanted = config.benchmark
    with ProgressLine(not quiet) as line:

        def show(done: int, total: int) -> None:
            line.show("decoding", done, total, "images")

        images = data.load(data_set, data_root, not quiet, wanted.image_size, show)
    return images.normalised(wanted.normalisation)


def check_training(images: ImageData, config: RunConfig, num_networks: int) -> None:
    """Refuse before a set is made what could not be trained on it.

    Raises:
        InputError: no networks, or a network or an augmentation that does not fit the images.
    """
    from clbench import networks
    from clbench.distillation.augmentation import parse
    from clbench.errors import InputError

    if num_networks < 1:
        raise InputError(f"num_networks_evaluated: expected at least 1, found {num_networks}")
    networks.build(config.learner.network, images.spec, seed=0)
    parse(config.set_training.augmentation, images.spec)


def score_sets(
    sets: Mapping[str, LabelledImages],
    distil_seconds: Mapping[str, float],
    images: ImageData,
    config: RunConfig,
    line: ProgressLine,
    *,
    num_networks: int,
    workers: int | None,
    no_cache: bool,
) -> list[SetScore]:
    """Score sets beside random images as ``config`` says; progress on ``line``."""
    from clbench.cli.evaluations import say_trials
    from clbench.evaluation import beside_random, trials
    from clbench.machine.device import resolve_device

    line.show("training networks", 0, 1, "networks")
    return beside_random(
        sets,
        images.train,
        images.test,
        images.spec,
        network=config.learner.network,
        training=config.set_training,
        num_networks=num_networks,
        distil_seconds=distil_seconds,
        seed=config.seed,
        device=resolve_device(config.device),
        workers=workers or trials.default_workers(),
        directory=None if no_cache else trials.default_directory(),
        on_trial=say_trials(line),
    )


def print_scores(title: str, rows: Sequence[SetScore]) -> None:
    """One row per set."""
    from clbench.cli.display import cell, count, per_cent, print_table, seconds, table

    columns = ("set", "accuracy %", "std", "networks", "slots/class", "bytes", "distil s")
    made = table(columns)
    for row in rows:
        made.add_row(
            row.name,
            cell(per_cent(row.scores.mean), row.scores.num, row.num_diverged),
            per_cent(row.scores.std),
            str(row.scores.num),
            str(row.slots_per_class),
            count(row.num_bytes),
            seconds(row.distil_seconds),
        )
    print_table(title, made)


def say(text: str, quiet: bool) -> None:
    """Print a line unless told to be quiet."""
    if not quiet:
        click.echo(text)
