"""``clbench evaluate``: the score of a set, and what stands around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from clbench.cli.evaluate_cross_architecture import cross_architecture
from clbench.cli.evaluate_offline import offline
from clbench.cli.evaluate_search import architecture_search
from clbench.cli.evaluations import NO_CACHE, SETS, WORKERS
from clbench.cli.group import Group
from clbench.cli.options import DATA_ROOT, JSON, MACHINE, QUIET, Command, attach, under
from clbench.cli.sets import NUM_NETWORKS, evaluation_options

SCORE = "set"


class _Evaluations(Group):
    """What is no subcommand's name is a set to be scored."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks_for_help = bool(args) and args[0] in ("-h", "--help")
        return super().parse_args(ctx, args if asks_for_help else self._named(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, self._named(args))

    def _named(self, args: list[str]) -> list[str]:
        return args if args and args[0] in self.commands else [SCORE, *args]


@click.group(cls=_Evaluations)
def command() -> None:
    r"""Score a distilled set, train on full data, search architectures.

    Without a subcommand's name, `clbench evaluate SET...` is `clbench evaluate set SET...`.

    \b
    Examples:
      clbench evaluate sets/mnist5k-datadam-ipc10-seed0.safetensors
      clbench evaluate offline --data-set mnist5k --recipe modern
      clbench evaluate cross-architecture sets/*.safetensors
      clbench evaluate architecture-search sets/datadam.safetensors --space cnn54
    """


@command.command(SCORE, cls=Command)
@attach(SETS, NUM_NETWORKS)
@evaluation_options
@under("Machine", MACHINE)
@attach(WORKERS, DATA_ROOT, NO_CACHE, QUIET, JSON)
def score(
    sets: tuple[Path, ...],
    num_networks_evaluated: int,
    workers: int | None,
    data_root: Path | None,
    no_cache: bool,
    quiet: bool,
    json: bool,
    **values: Any,
) -> None:
    r"""Score a distilled set with fresh networks.

    Takes sets that `clbench distill` wrote, or run directories, whose last memory is the set; all
    of one data set. Random real images of equal bytes stand beside them. Networks that were trained
    once are never trained again.

    \b
    Examples:
      clbench evaluate sets/mnist5k-datadam-ipc10-seed0.safetensors
      clbench evaluate dm.safetensors datadam.safetensors --evaluation-network mlp
      clbench evaluate runs/split_mnist5k/dam_replay-seed0
    """
    from clbench.cli.build_config import build_config
    from clbench.cli.display import ProgressLine, print_json
    from clbench.cli.evaluations import KEPT_TRIALS, load_sets, resumable, say_notes
    from clbench.cli.sets import base_config, print_scores, score_sets

    config = build_config(base_config(), values)
    loaded, images = load_sets(sets, data_root)
    with ProgressLine(not quiet) as line, resumable(KEPT_TRIALS):
        rows = score_sets(
            {name: one.images for name, one in loaded.items()},
            {name: one.distil_seconds for name, one in loaded.items()},
            images,
            config,
            line,
            num_networks=num_networks_evaluated,
            workers=workers,
            no_cache=no_cache,
        )
    if json:
        return print_json([row.to_dict() for row in rows])
    if not quiet:
        network = config.learner.network.name
        print_scores(f"{images.shown_as}: {network} trained on each set alone", rows)
        say_notes(images)
    return None


command.add_command(offline)
command.add_command(cross_architecture)
command.add_command(architecture_search)
