"""How all figures look, and how they become files and arrays."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from clbench.store.files import write_bytes
from clbench.store.plain import readable

DPI = 150
# Okabe & Ito, "Color Universal Design", 2008, without yellow (too faint as a line on white).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
FORMATS = ("png", "svg", "pdf")
INK, FAINT = "#222222", "#8a8a8a"
_STYLE = {
    "font.size": 9.0,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "image.interpolation": "nearest",
    # Names of classes and folders are no formulas, whatever dollars they hold.
    "text.parse_math": False,
}


@contextmanager
def drawing(
    width: float, height: float, columns: int = 1, heights: Sequence[float] = (1.0,)
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A new figure in inches, its axes row by row, drawn in clbench's style.

    ``heights`` has one number for each row of axes: their heights in proportion.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI)
        figure.set_layout_engine("constrained", w_pad=0.09, h_pad=0.09)
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
        yield figure, list(axes.ravel())
        _make_readable(figure)


def _make_readable(figure: Figure) -> None:
    """Show every text as it is written, and what is not UTF-8 replaced: the font has no such."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            # Asking makes the texts, which otherwise are made when the style is gone.
            labels = [label.get_text() for label in axis.get_ticklabels()]
            if labels != [readable(label) for label in labels]:
                axis.set_ticklabels([readable(label) for label in labels])
    for text in figure.findobj(Text):
        text.set_parse_math(False)
        text.set_text(readable(text.get_text()))


def colours(count: int) -> list[Any]:
    """As many colours that stay apart; the palette while it lasts, then viridis."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return ordered_colours(count)


@dataclass(frozen=True)
class Look:
    """How a group is drawn; no two of the first 252 are alike, nor two neighbours in colour."""

    colour: str
    marker: str
    line: Any


def looks(count: int) -> list[Look]:
    """Return as many looks: palette colours, then the same with other lines and markers."""
    return [
        Look(
            PALETTE[i % len(PALETTE)],
            MARKERS[i % len(MARKERS)],
            LINES[i // len(PALETTE) % len(LINES)],
        )
        for i in range(count)
    ]


def legend_layout(labels: Sequence[str], width: float) -> tuple[list[str], int, float]:
    """Return labels in lines, columns and inches of height of a legend that fits its figure.

    Args:
        labels: its entries.
        width: of the figure in inches.
    """
    widest = max(12, int((width - 0.9) / _LETTER))
    ways = [_in_columns(labels, width, min(widest, most)) for most in (64, 44, 32)]
    return min(ways, key=lambda way: way[2])


def _in_columns(labels: Sequence[str], width: float, most: int) -> tuple[list[str], int, float]:
    """A legend of labels in lines of at most so many letters."""
    lines = [in_lines(label, most) for label in labels]
    longest = max((len(part) for text in lines for part in text.splitlines()), default=1)
    columns = max(1, min(len(labels), 4, int((width - 0.2) / (0.65 + _LETTER * longest))))
    each = -(-len(lines) // columns)
    rows = [lines[i : i + each] for i in range(0, len(lines), each)]
    height = max(sum(0.19 + 0.15 * text.count("\n") for text in column) for column in rows)
    return lines, columns, height + 0.1


_LETTER = 0.078  # inches, of the legend's font


def in_lines(text: str, most: int) -> str:
    """Return the text in lines of at most so many letters."""
    return "\n".join(textwrap.wrap(readable(text), most, break_long_words=True))


def ordered_colours(count: int) -> list[Any]:
    """Colours from early (dark) to late (light)."""
    # The last tenth of viridis is too light for a line on white.
    return [mpl.colormaps["viridis"](0.9 * i / max(1, count - 1)) for i in range(count)]


def numbers(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """The values with nan for all that is no finite number: None, as JSON has it, and infinity."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def learnt_axis(axes: Axes, count: int) -> None:
    """Let x count the experiences learnt, 1 to ``count``."""
    axes.set_xlabel("experiences learnt")
    axes.set_xlim(0.8, max(count, 2) + 0.2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12, min_n_ticks=1))


def log_axis(axes: Axes) -> None:
    """Let y be logarithmic with plain numbers: powers of ten would be formulas."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def log_x(axes: Axes) -> None:
    """Let x be logarithmic with plain numbers; what is drawn already decides how far it goes.

    See `spread`: so at least one number stands at it.
    """
    axes.set_xscale("log")
    # Otherwise matplotlib first sets limits of its own, and warns where they are equal.
    axes.set_autoscalex_on(False)
    found = axes.dataLim.minposx, axes.dataLim.xmax
    low, high = spread(*found, axes.get_xmargin()) if np.isfinite(found).all() else (1.0, 10.0)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low > 200 else (1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda x, _: plain_number(x))
    axes.xaxis.set_minor_formatter(NullFormatter())


def spread(low: float, high: float, margin: float = 0.08) -> tuple[float, float]:
    """Return the ends of a logarithmic axis for numbers from ``low`` to ``high``.

    It goes from half to twice their middle at least: what costs the same differs by rounding, and
    an axis as narrow as that cannot be drawn. ``margin`` is the room at both ends, a share.
    """
    if high < 4 * low:
        middle = math.sqrt(low * high)
        low, high = middle / 2, 2 * middle
    room = (high / low) ** margin
    return low / room, high * room


def plain_number(value: float) -> str:
    """Return a number of a logarithmic axis, as 0.2, 5,000 or 2e10; no formula."""
    if value >= 1e7:
        digits, power = f"{value:.0e}".split("e")
        return f"{digits}e{int(power)}"
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def per_cent(axes: Axes, label: str) -> None:
    """Let y run over 0..100 %."""
    axes.set_ylim(-3, 103)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel(label)
    axes.grid(True)


def majority_line(axes: Axes, share: float | None, *, upright: bool = False) -> None:
    """What always saying the larger class has, as a dashed line; None draws nothing."""
    if share is None:
        return
    draw = axes.axvline if upright else axes.axhline
    label = f"always the largest class, {100 * share:.1f} %"
    draw(100 * share, color=FAINT, linestyle="--", linewidth=1.2, label=label)


def wide_enough(width: float, title: str) -> float:
    """``width`` in inches, or what the title of a small heat map needs if that is more."""
    return max(width, 0.9 + 0.1 * len(title))


def note(axes: Axes, text: str, y: float, coordinates: Any, up: float) -> None:
    """Write ``text`` at the right edge, ``up`` points above ``y``."""
    written = axes.annotate(
        text,
        (1, y),
        xycoords=coordinates,
        xytext=(0, up),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=FAINT,
        # A line may pass behind.
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.5},
        zorder=5,
    )
    # A long one must not make the panel narrow.
    written.set_in_layout(False)


def write_cell(axes: Axes, row: int, column: int, text: str, colour: str, size: float) -> None:
    """Write ``text`` into a heat map's cell, ``size`` in points."""
    axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def figure_to_array(figure: Figure) -> npt.NDArray[np.uint8]:
    """The figure's pixels, (H, W, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    with mpl.rc_context(_STYLE):
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure atomically, in the one of `FORMATS` that the name ends with; else as PNG.

    The same figure becomes the same bytes: no dates, and names in SVG drawn from a fixed salt. Text
    is outlines in SVG, and its fonts are within a PDF.
    """
    kind = path.suffix[1:] if path.suffix[1:] in FORMATS else "png"
    dates: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    fixed: dict[str, Any] = {"svg.hashsalt": "clbench", "svg.fonttype": "path", "pdf.fonttype": 42}
    content = io.BytesIO()
    with mpl.rc_context({**_STYLE, **fixed}):
        settle(figure)
        figure.savefig(content, format=kind, dpi=DPI, metadata=dates.get(kind))
    write_bytes(path, content.getvalue())


def settle(figure: Figure) -> None:
    """Lay the figure out once for all formats; by itself it does so twice for each."""
    engine = figure.get_layout_engine()
    if engine is not None:
        FigureCanvasAgg(figure)
        engine.execute(figure)
        figure.set_layout_engine(None)


def save_figures(
    drawings: Mapping[str, Callable[[], Figure]], folder: Path, formats: Sequence[str] = ("png",)
) -> list[str]:
    """Draw and write ``folder/NAME.png`` for each; no failure stops the others or the caller.

    Args:
        drawings: name -> draws the figure.
        folder: where to.
        formats: some of `FORMATS`.

    Returns:
        A sentence on each figure that could not be drawn or written.
    """
    notes = []
    for name, draw in drawings.items():
        try:
            figure = draw()
            for kind in formats:
                save_figure(figure, folder / f"{name}.{kind}")
        except Exception as error:
            notes.append(not_drawn(name, error))
    return notes


def seeds_in_words(numbers: Iterable[int]) -> str:
    """Return the numbers of seeds, as "n = 6" or "n = 3 to 6"."""
    found = sorted(set(numbers))
    return f"n = {found[0]}" if len(found) == 1 else f"n = {found[0]} to {found[-1]}"


def lines_in_words(numbers: Iterable[int]) -> str:
    """Return what lines and bands show, of rows with these numbers of seeds."""
    found = set(numbers)
    if max(found) == 1:
        return "lines: one seed, so without bands"
    return f"lines: means; bands: 95 % interval, {seeds_in_words(found)}"


def not_drawn(name: str, error: Exception) -> str:
    """A sentence on a figure that failed."""
    why = " ".join(f"{type(error).__name__}: {error}".split())
    return f"the figure {name} could not be drawn ({readable(why)}); the numbers are complete"
