"""Many reports side by side: groups over seeds, paired tests, tables and figures."""

from clbench.comparison.compare import compare
from clbench.comparison.loading import Runs, load_runs
from clbench.comparison.records import Comparison, Contest, Group, Summary, Versus
from clbench.comparison.rendering import (
    comparison_drawings,
    comparison_figures,
    render_table,
    to_dict,
    to_markdown,
)

__all__ = [
    "Comparison",
    "Contest",
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
