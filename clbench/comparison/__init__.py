"""Many reports side by side: groups over seeds, sections, paired tests, tables and figures."""

from clbench.comparison.compare import compare
from clbench.comparison.dictionaries import to_dict
from clbench.comparison.documents import to_latex, to_markdown
from clbench.comparison.drawing import comparison_drawings, comparison_figures
from clbench.comparison.loading import Runs, load_runs
from clbench.comparison.records import (
    Comparison,
    Contest,
    Group,
    Section,
    Summary,
    Versus,
    Worth,
)
from clbench.comparison.sections import DIVISIONS
from clbench.comparison.spreadsheets import to_csv, to_runs_csv
from clbench.comparison.terminal import render_table

__all__ = [
    "DIVISIONS",
    "Comparison",
    "Contest",
    "Group",
    "Runs",
    "Section",
    "Summary",
    "Versus",
    "Worth",
    "compare",
    "comparison_drawings",
    "comparison_figures",
    "load_runs",
    "render_table",
    "to_csv",
    "to_dict",
    "to_latex",
    "to_markdown",
    "to_runs_csv",
]
