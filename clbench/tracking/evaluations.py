"""TensorBoard's view of an evaluation: figures, one table as text, curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench import figures
from clbench.store.plain import readable
from clbench.tracking.tensorboard import markdown_table, summary_writer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_evaluation(
    directory: Path,
    *,
    drawn: Mapping[str, Callable[[], Figure]],
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]],
    curves: Mapping[str, Sequence[float | None]],
) -> None:
    """Write an event file into ``directory``, which is made where it is missing.

    Args:
        directory: of the events.
        drawn: tag -> draws a figure; one that fails is left out.
        tables: tag -> (header, rows) of a table of text.
        curves: tag -> values at steps 1, 2, ...; None where one is missing

    Raises:
        InputError: the folder cannot be written.
    """
    writer: Any = summary_writer(directory)
    try:
        for tag, draw in drawn.items():
            # Who writes the files says what failed.
            with suppress(Exception):
                writer.add_image(
                    readable(tag), figures.figure_to_array(draw()), 0, dataformats="HWC"
                )
        for tag, (header, rows) in tables.items():
            writer.add_text(readable(tag), markdown_table(header, rows), 0)
        for tag, values in curves.items():
            for step, value in enumerate(values, 1):
                if value is None:
                    continue
                writer.add_scalar(readable(tag), float(value), step)
    finally:
        writer.close()
