"""``clbench evaluate architecture-search``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.evaluations import COMMON_OPTIONS, SETS, Shown, evaluate_sets
from clbench.cli.names import completer
from clbench.cli.options import MACHINE, Command, Option, attach, set_training_settings, under

if TYPE_CHECKING:
    from clbench.cli.evaluations import LoadedSet
    from clbench.data import ImageData
    from clbench.evaluation import ArchitectureSearch
    from clbench.measuring.ranking import Correlation

SPACES = ("cnn54", "convnet720")
SPACE = Option(
    ["--space"],
    default="cnn54",
    metavar="NAME",
    heading="Search",
    shell_complete=completer(SPACES),
    help="cnn54 (the course report's basic CNNs) or convnet720 (depth, width, norm, activation "
    "and pooling of ConvNets).  [default: cnn54]",
)
CANDIDATES = Option(
    ["--candidates"],
    type=int,
    default=None,
    metavar="N",
    heading="Search",
    help="So many architectures, drawn from the space by the seed.  [default: all]",
)
NUM_NETWORKS = Option(
    ["--num-networks-evaluated"],
    type=int,
    default=1,
    metavar="N",
    heading="Search",
    help="Fresh networks per architecture and set; their mean ranks.  [default: 1]",
)
TOP_K = Option(
    ["--top-k"],
    type=click.IntRange(min=1),
    default=5,
    metavar="K",
    heading="Search",
    help="How many of the best are compared.  [default: 5]",
)
FULL_EPOCHS = Option(
    ["--full-epochs"],
    type=click.IntRange(min=0),
    default=5,
    metavar="N",
    heading="Full search",
    help="Epochs of the course recipe on the full data, by which the true ranking is known; 0 "
    "leaves it out, and with it the ranking quality.  [default: 5]",
)
FULL_NETWORKS = Option(
    ["--num-full-networks"],
    type=int,
    default=1,
    metavar="N",
    heading="Full search",
    help="Fresh networks per architecture on the full data.  [default: 1]",
)


@click.command("architecture-search", cls=Command)
@attach(SETS, SPACE, CANDIDATES, NUM_NETWORKS, TOP_K)
@under("Training on each set", set_training_settings("evaluation"))
@attach(FULL_EPOCHS, FULL_NETWORKS)
@under("Machine", MACHINE)
@attach(*COMMON_OPTIONS)
def architecture_search(
    sets: tuple[Path, ...],
    space: str,
    candidates: int | None,
    num_networks_evaluated: int,
    top_k: int,
    num_full_networks: int,
    **values: Any,
) -> None:
    r"""Search an architecture by training on small sets instead of the full data.

    Every candidate is trained on each set and ranked by held-out training images; the true ranking
    is that of test accuracies after training on the full data. Random and herded real images of
    equal bytes, and full data stopped at as many images as a set shows, stand in the same table.
    Networks that were trained once are never trained again.

    Architectures for digits were ranked best by short trainings without augmentation (the second
    example; docs/results).

    \b
    Examples:
      clbench evaluate architecture-search sets/datadam.safetensors
      clbench evaluate architecture-search set.safetensors \
          --evaluation-epochs 60 --evaluation-batch-size 10 \
          --evaluation-augmentation none --num-networks-evaluated 2
      clbench evaluate architecture-search set.safetensors --full-epochs 0
      clbench evaluate architecture-search set.safetensors \
          --space convnet720 --candidates 40
    """
    from clbench.evaluation import architecture_search as search
    from clbench.evaluation import spaces

    evaluate_sets(
        "architecture-search",
        sets,
        values,
        search,
        _shown,
        space=spaces.find(space),
        num_candidates=candidates,
        num_networks=num_networks_evaluated,
        num_full_networks=num_full_networks,
        top_k=top_k,
    )


def _shown(found: ArchitectureSearch, loaded: Mapping[str, LoadedSet], images: ImageData) -> Shown:
    from clbench.figures import search_figure

    captions = {
        proxy.name: f"Spearman {_value(proxy.quality.spearman)}" if proxy.quality else ""
        for proxy in found.proxies
    }
    scores = {proxy.name: proxy.scores for proxy in found.proxies}
    return Shown(
        f", {len(found.candidates)} architectures of {found.space}",
        _columns(found),
        _rows(found),
        _lines(found),
        lambda: search_figure(scores, found.truth, captions),
    )


def _lines(found: ArchitectureSearch) -> list[str]:
    lines = [
        f"best by {proxy.name}: {found.labels[proxy.chosen] if any(proxy.scores) else 'none'}"
        for proxy in found.proxies
    ]
    lines += [
        f"Spearman over random real images, {proxy.name}: {_value(proxy.over_random, '+')}"
        for proxy in found.proxies
        if proxy.over_random is not None
    ]
    agreements = {proxy.name: proxy.agreement for proxy in found.proxies}
    agreements["full data"] = found.truth_agreement
    told = [f"{name} {value:.2f}" for name, value in agreements.items() if value is not None]
    if told:
        lines.append(f"Spearman between single networks' rankings: {', '.join(told)}")
    return lines


def _value(correlation: Correlation, sign: str = "") -> str:
    value, low, high = correlation.value, correlation.low, correlation.high
    if value is None:
        return "none"
    if low is None or high is None:
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def _columns(found: ArchitectureSearch) -> list[str]:
    columns = ["ranked by", "bytes", "accuracy % of its best", "seconds"]
    if not found.truth:
        return columns
    quality = next(p.quality for p in found.proxies if p.quality is not None)
    return [*columns, "speed-up", "Spearman", "Kendall", f"top-{quality.top_k} overlap", "regret"]


def _rows(found: ArchitectureSearch) -> list[list[str]]:
    from clbench.cli.display import count, per_cent, seconds

    rows = []
    for proxy in found.proxies:
        row = [proxy.name, count(proxy.num_bytes)]
        # Networks that diverged score 0, and chance more: no score at all means that all did.
        row.append(per_cent(proxy.chosen_accuracy) if any(proxy.scores) else "diverged")
        row.append(seconds(proxy.seconds))
        quality, speed_up = proxy.quality, found.speed_up(proxy)
        if quality is not None:
            row += [
                "-" if speed_up is None else f"{speed_up:.1f}",
                _value(quality.spearman),
                _value(quality.kendall),
                f"{quality.top_k_overlap:.2f}",
                f"{100 * quality.regret:.2f}",
            ]
        rows.append(row)
    if found.truth:
        best = f"{100 * max(found.truth):.2f}"
        rows.append(["full data", "", best, seconds(found.truth_seconds), "1.0", *["-"] * 4])
    return rows
