"""``clbench evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.options import DATA_ROOT, JSON, MACHINE, QUIET, Command, attach, under
from clbench.cli.sets import NUM_NETWORKS, evaluation_options

if TYPE_CHECKING:
    from clbench.data import ImageData
    from clbench.types import LabelledImages


@click.command(cls=Command)
@click.argument("sets", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SET...")
@attach(NUM_NETWORKS)
@evaluation_options
@under("Evaluation", MACHINE)
@attach(DATA_ROOT, QUIET, JSON)
def command(
    sets: tuple[Path, ...],
    num_networks_evaluated: int,
    data_root: Path | None,
    quiet: bool,
    json: bool,
    **values: Any,
) -> None:
    r"""Score a distilled set with fresh networks.

    Takes sets that `clbench distill` wrote, all of one data set; random real images of equal bytes
    stand beside them. Networks other than the one that a set was distilled with show whether it
    serves them too.

    \b
    Examples:
      clbench evaluate sets/mnist5k-datadam-ipc10-seed0.safetensors
      clbench evaluate dm.safetensors datadam.safetensors --evaluation-network mlp
    """
    from clbench.cli.build_config import build_config
    from clbench.cli.display import ProgressLine, print_json
    from clbench.cli.sets import base_config, make_judge, print_scores
    from clbench.device import resolve_device

    config = build_config(base_config(), values)
    device = resolve_device(config.device)
    loaded, images = _load(sets, data_root)
    sizes = sorted({(made.num_bytes, f) for made, _ in loaded for f in (1, made.packing)})
    with ProgressLine(not quiet) as line:
        judge = make_judge(images, config, num_networks_evaluated, device, line.show)
        rows = [
            judge.score(path.stem, made, seconds)
            for path, (made, seconds) in zip(sets, loaded, strict=True)
        ]
        rows += [judge.score_random(size, packing) for size, packing in sizes]
    if json:
        return print_json([row.to_dict() for row in rows])
    if not quiet:
        network = config.learner.network.name
        print_scores(f"{images.name}: {network} trained on each set alone", rows)
    return None


def _load(
    paths: tuple[Path, ...], data_root: Path | None
) -> tuple[list[tuple[LabelledImages, float]], ImageData]:
    from clbench import data
    from clbench.types import InputError, LabelledImages

    read = [LabelledImages.load(path) for path in paths]
    origins = {(meta.get("data", ""), meta.get("fingerprint", "")) for _, meta in read}
    if len(origins) > 1 or not all(next(iter(origins))):
        found = ", ".join(sorted(f"{name or 'no data set'} {mark[:8]}" for name, mark in origins))
        raise InputError(
            f"expected sets that `clbench distill` made of one data set, found {found}"
        )
    name, fingerprint = origins.pop()
    images = data.load(name, data_root)
    if images.fingerprint != fingerprint:
        raise InputError(
            f"{paths[0]}: distilled from {name} with fingerprint {fingerprint[:8]}, but the data "
            f"here have {images.fingerprint[:8]}; choose their folder with --data-root"
        )
    return [(made, float(meta["distil_seconds"])) for made, meta in read], images
