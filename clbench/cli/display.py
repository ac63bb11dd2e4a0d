"""What commands print: tables on standard output, one moving line of progress on standard error."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from clbench.cli.group import say
from clbench.store.plain import readable, to_json

if TYPE_CHECKING:
    from clbench.evaluation.protocol import Shown

# What a progress line says of the phases of a distillation.
DISTILLATION_PHASES = {
    "difficulty": "judging difficulty for",
    "experts": "training experts for",
    "start": "matching distributions for",
    "distil": "distilling",
}
PLAIN_WIDTH = 140  # files and pipes have no width; tables must not be cut there


class PlainConsole(Console):
    """Shows text as it is: brackets are no markup, control characters no commands."""

    def __init__(self, **options: Any) -> None:
        """Take the options of `rich.console.Console`."""
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """See `rich.console.Console.render_str`."""
        return super().render_str(readable(text), **options)


def console() -> Console:
    """Standard output; as wide as the terminal, or wide enough for every table."""
    out = PlainConsole()
    return out if out.is_terminal else PlainConsole(width=PLAIN_WIDTH)


def table(columns: Sequence[str], *, left: int = 1, whole: Sequence[str] = ()) -> Table:
    """A table whose first ``left`` columns are text and the others numbers.

    In a narrow terminal the columns named in ``whole`` keep their width and the others wrap.
    """
    made = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for position, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if position < left else "right"
        made.add_column(name, justify=justify, overflow="fold", no_wrap=name in whole)
    return made


def print_table(title: str, made: Table) -> None:
    """A heading, which would wrap at a narrow table's width if it were its own, and the table."""
    out = console()
    out.print(title, style="bold")
    out.print(made)


def print_json(content: Any) -> None:
    """JSON on standard output, as `clbench.store.files.write_json` writes it."""
    click.echo(to_json(content))


def print_shown(heading: str, shown: Shown) -> None:
    """Print an evaluation's table and what stands below it."""
    made = table(shown.columns)
    for row in shown.rows:
        made.add_row(*row)
    print_table(f"{heading}{shown.title}", made)
    for text in shown.lines:
        say(text)


class ProgressLine:
    """One line on standard error that shows the phase under way; silent where nobody looks.

    A context manager. Nothing is drawn when ``wanted`` is false or standard error is no terminal.
    """

    def __init__(self, wanted: bool = True) -> None:
        err = PlainConsole(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            refresh_per_second=4,
            disable=not (wanted and err.is_terminal),
        )
        self._silent = self._progress.disable
        self._task: TaskID | None = None
        self._phase = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def write(self, text: str) -> None:
        """A line on standard error that stays, above the moving one."""
        self._progress.console.print(text, soft_wrap=True)

    def show(self, phase: str, done: float, total: float, detail: str = "") -> None:
        """Move to ``done`` of ``total``; another ``phase`` starts the line anew."""
        if self._silent:
            return
        phase, detail = readable(phase), readable(detail)
        if self._task is None or phase != self._phase:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task, self._phase = self._progress.add_task(phase, detail=""), phase
        self._progress.update(self._task, completed=done, total=total, detail=detail)
