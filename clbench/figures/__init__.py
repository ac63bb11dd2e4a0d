"""Figures of runs and comparisons.

Every function returns a `matplotlib.figure.Figure` of its own; no global state of pyplot is touched
and no window is opened. Colours stay apart for colour-blind readers: Okabe and Ito's palette for
kinds of things, cividis and viridis for ordered ones. Accuracies come in 0..1 and are shown in per
cent.
"""

from clbench.figures.classes import confusion_figure, memory_figure
from clbench.figures.evaluations import (
    cross_architecture_figure,
    offline_figure,
    search_figure,
)
from clbench.figures.groups import (
    comparison_bars_figure,
    comparison_curves_figure,
    section_bars_figure,
    section_curves_figure,
)
from clbench.figures.stream import (
    accuracy_matrix_figure,
    distillation_figure,
    forgetting_curves_figure,
)
from clbench.figures.style import FORMATS, figure_to_array, not_drawn, save_figure, save_figures
from clbench.figures.tradeoffs import (
    Panel,
    Point,
    accuracy_over_bytes_figure,
    accuracy_over_compute_figure,
)

__all__ = [
    "FORMATS",
    "Panel",
    "Point",
    "accuracy_matrix_figure",
    "accuracy_over_bytes_figure",
    "accuracy_over_compute_figure",
    "comparison_bars_figure",
    "comparison_curves_figure",
    "confusion_figure",
    "cross_architecture_figure",
    "distillation_figure",
    "figure_to_array",
    "forgetting_curves_figure",
    "memory_figure",
    "not_drawn",
    "offline_figure",
    "save_figure",
    "save_figures",
    "search_figure",
    "section_bars_figure",
    "section_curves_figure",
]
