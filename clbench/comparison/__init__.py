"""Many reports side by side: groups over seeds, paired tests, tables and figures."""

from clbench.comparison.compare import Comparison, Group, Summary, Versus, compare
from clbench.comparison.loading import Runs, load_runs
from clbench.comparison.rendering import (
    comparison_drawings,
    comparison_figures,
    render_table,
    to_dict,
    to_markdown,
)

__all__ = [
    "Comparison",
    "Group",
    "Runs",
    "Summary",
    "Versus",
    "compare",
    "comparison_drawings",
    "comparison_figures",
    "load_runs",
    "render_table",
    "to_dict",
    "to_markdown",
]
