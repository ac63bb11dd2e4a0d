"""``clbench compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from clbench.cli.group import say
from clbench.cli.options import JSON, QUIET, Command, Option, attach, completer
from clbench.measuring.scores import AVERAGE, SCORES

if TYPE_CHECKING:
    from clbench.comparison import Comparison

BASELINE = Option(
    ["--baseline"],
    metavar="NAME",
    default=None,
    heading="Output",
    shell_complete=completer("strategies"),
    help="Strategy, or label of a row, that all others are tested against.  "
    "[default: the random memory of the same kind]",
)
METRIC = Option(
    ["--metric"],
    type=click.Choice(list(SCORES)),
    default=AVERAGE,
    metavar="NAME",
    heading="Output",
    help=f"What rows are ranked and tested by: {', '.join(SCORES)}.  [default: average_accuracy]",
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Folder for figures, comparison.md and comparison.json.  "
    "[default: the first free of comparisons/all, all-2, ...]",
)
MARKDOWN = Option(
    ["--markdown"],
    is_flag=True,
    default=False,
    heading="Output",
    help="Print the table as Markdown, and nothing else there.",
)


@click.command(cls=Command)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@attach(BASELINE, METRIC, OUTPUT, MARKDOWN, JSON, QUIET)
def command(
    runs: tuple[Path, ...],
    baseline: str | None,
    metric: str,
    output: Path | None,
    markdown: bool,
    json: bool,
    quiet: bool,
) -> None:
    r"""Compare finished runs: tables and figures.

    A RUN is a run directory, a report.json, or a folder with runs somewhere below it. Runs that
    differ in nothing but the seed make one row: mean and spread, and the difference to a baseline,
    paired by seed, with an exact test. Runs of several --memory-bytes give a winner for each
    budget, and a figure of accuracy over bytes.

    \b
    Examples:
      clbench compare runs/split_mnist5k
      clbench compare runs/split_mnist --baseline herding_replay -o vs-herding
      clbench compare runs/histology --metric balanced_accuracy
      clbench compare runs/a runs/b --markdown > table.md
    """
    from clbench.cli.display import console, print_json
    from clbench.cli.group import Failure
    from clbench.cli.places import new_directory
    from clbench.comparison import compare, load_runs, render_table, to_dict, to_markdown

    if not runs:
        raise Failure("expected at least one RUN, found none; see clbench compare --help")
    if markdown and json:
        raise Failure("expected --markdown or --json, found both; leave one of them out")
    kept, repeated = load_runs(runs).without_repeats()
    comparison = compare(kept, baseline=baseline, metric=metric)
    folder = new_directory(output, Path("comparisons") / "all")
    written = write_comparison(comparison, folder)
    if json:
        return print_json(to_dict(comparison))
    if markdown:
        return say(to_markdown(comparison).rstrip("\n"))
    if not quiet:
        render_table(comparison, console())
        if repeated:
            say(f"Left out {repeated} that repeat another run to the last digit.")
        for path in written:
            say(f"written: {path}")
    return None


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write comparison.md, comparison.json and figures into ``folder``; their paths.

    A figure that fails costs a line on standard error.
    """
    from clbench.comparison import comparison_drawings, to_dict, to_markdown
    from clbench.figures import save_figures
    from clbench.store.files import write_bytes, write_json
    from clbench.store.plain import readable

    write_bytes(folder / "comparison.md", readable(to_markdown(comparison)).encode())
    write_json(folder / "comparison.json", to_dict(comparison))
    drawings = comparison_drawings(comparison)
    for note in save_figures(drawings, folder):
        say(f"note: {note}", err=True)
    pictures = [folder / f"{stem}.png" for stem in drawings]
    written = [picture for picture in pictures if picture.exists()]
    return [*written, folder / "comparison.md", folder / "comparison.json"]
