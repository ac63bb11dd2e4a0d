"""``clbench compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import say
from clbench.cli.options import JSON, QUIET, Command, Option, attach, completer
from clbench.measuring.scores import AVERAGE, SCORES

if TYPE_CHECKING:
    from clbench.comparison import Comparison, Runs

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
GROUP_BY = Option(
    ["--group-by"],
    metavar="NAMES",
    default="auto",
    heading="Output",
    help="What divides the table into sections, each with its own tests: bytes, codec, protocol "
    "(other data or another split), with commas between them; benchmark and learner always do. "
    "auto: bytes, and codec where each has several strategies.  [default: auto]",
)
FORMAT = Option(
    ["--format"],
    type=click.Choice(["table", "csv", "runs-csv", "json", "markdown", "latex"]),
    default="table",
    metavar="NAME",
    heading="Output",
    help="What to print: table, csv (a line for each row), runs-csv (a line for each run), json, "
    "markdown or latex (booktabs).  [default: table]",
)
FIGURES = Option(
    ["--figures"],
    metavar="NAMES",
    default="png",
    heading="Output",
    help="Formats of the figures: png, svg, pdf, with commas between them.  [default: png]",
)
OUTPUT = Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Output",
    help="Folder for index.html, figures, comparison.md, .json, .csv, .tex, and runs.csv.  "
    "[default: the first free of comparisons/all, all-2, ...]",
)
MARKDOWN = Option(
    ["--markdown"],
    is_flag=True,
    default=False,
    heading="Output",
    help="The same as --format markdown.",
)


PAGE = "index.html"


@click.command(cls=Command)
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="RUN...")
@attach(BASELINE, METRIC, GROUP_BY, OUTPUT, FORMAT, FIGURES, MARKDOWN, JSON, QUIET)
def command(
    runs: tuple[Path, ...],
    output: Path | None,
    format: str,
    figures: str,
    markdown: bool,
    json: bool,
    quiet: bool,
    **how: Any,
) -> None:
    r"""Compare finished runs: tables and figures.

    A RUN is a run directory, a report.json, or a folder with runs somewhere below it. Runs that
    differ in nothing but the seed make one row: mean and spread, and the difference to a baseline,
    paired by seed, with an exact test. Rows of other bytes, another codec, learner or benchmark
    stand in sections of their own. Runs of several --memory-bytes give a winner for each budget,
    and a figure of accuracy over bytes. Runs of one benchmark with other data, another split or
    another class order are refused. The file index.html shows all of it on one page.

    \b
    Examples:
      clbench compare runs/split_mnist5k
      clbench compare runs/split_mnist --baseline herding_replay -o vs-herding
      clbench compare runs/split_mnist --group-by learner  (all bytes)
      clbench compare runs/histology --metric balanced_accuracy
      clbench compare runs/a runs/b --format latex --figures pdf > table.tex
    """
    from clbench.cli.display import console
    from clbench.cli.group import Failure
    from clbench.cli.places import new_directory
    from clbench.comparison import compare, load_runs, render_table

    if not runs:
        raise Failure("expected at least one RUN, found none; see clbench compare --help")
    wanted = _format(format, markdown, json)
    kinds = _formats_of_figures(figures)
    kept, repeated = load_runs(runs).without_repeats()
    how["group_by"] = _listed(how["group_by"])
    comparison = compare(kept, **how)
    folder = new_directory(output, Path("comparisons") / "all")
    written = write_comparison(comparison, folder, kinds, kept)
    if wanted != "table":
        return say(_texts(comparison)[wanted]().rstrip("\n"))
    if not quiet:
        render_table(comparison, console())
        if repeated:
            say(f"Left out {repeated} that repeat another run to the last digit.")
        for path in written:
            say(f"written: {path}")
    return None


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _format(wanted: str, markdown: bool, json: bool) -> str:
    from clbench.cli.group import Failure

    if markdown and json:
        raise Failure("expected --markdown or --json, found both; leave one of them out")
    named = "markdown" if markdown else "json" if json else wanted
    if wanted not in ("table", named):
        raise Failure(f"expected --format {wanted} or --{named}, found both; leave one of them out")
    return named


def _formats_of_figures(names: str) -> list[str]:
    from clbench.errors import InputError
    from clbench.figures import FORMATS

    found = _listed(names)
    wrong = [name for name in found if name not in FORMATS]
    if wrong or not found:
        expected = ", ".join(FORMATS)
        raise InputError(
            f"--figures: expected one or more of {expected}, with commas between them; "
            f"found {wrong[0] if wrong else names!r}"
        )
    return found


def _texts(comparison: Comparison) -> dict[str, Callable[[], str]]:
    """Format -> makes its text."""
    from clbench.comparison import to_csv, to_dict, to_latex, to_markdown, to_runs_csv
    from clbench.store.plain import readable, to_json

    return {
        "csv": lambda: to_csv(comparison),
        "runs-csv": lambda: to_runs_csv(comparison),
        "json": lambda: to_json(to_dict(comparison)) + "\n",
        "markdown": lambda: readable(to_markdown(comparison)),
        "latex": lambda: to_latex(comparison),
    }


FILES = {
    "markdown": "comparison.md",
    "json": "comparison.json",
    "csv": "comparison.csv",
    "latex": "comparison.tex",
    "runs-csv": "runs.csv",
}


def write_comparison(
    comparison: Comparison,
    folder: Path,
    figures: Sequence[str] = ("png",),
    runs: Runs | None = None,
) -> list[Path]:
    """Write tables in every format and figures into ``folder``; their paths.

    With the runs that it was made of, a page is written too. A figure or a page that fails costs a
    line on standard error.
    """
    from clbench.comparison import comparison_drawings
    from clbench.figures import save_figures
    from clbench.machine.beside import beside
    from clbench.store.files import write_bytes

    drawings = comparison_drawings(comparison)

    def tables_and_figures() -> list[str]:
        texts = _texts(comparison)
        for kind, name in FILES.items():
            write_bytes(folder / name, texts[kind]().encode())
        return save_figures(drawings, folder, figures)

    notes = beside(tables_and_figures)
    page = [] if runs is None else _write_page(comparison, folder / PAGE, runs)
    for note in notes():
        say(f"note: {note}", err=True)
    pictures = [folder / f"{stem}.{kind}" for stem in drawings for kind in figures]
    written = [picture for picture in pictures if picture.exists()]
    return [*written, *page, *(folder / name for name in FILES.values())]


def _write_page(comparison: Comparison, file: Path, runs: Runs) -> list[Path]:
    from clbench.figures import not_drawn
    from clbench.page import build_page
    from clbench.store.files import write_bytes

    try:
        write_bytes(file, build_page(comparison, runs).encode())
    except Exception as error:
        say(f"note: {not_drawn(PAGE, error)}", err=True)
        return []
    return [file]
