"""Sphinx: ``sphinx-build docs docs/_build`` with the extra ``docs`` installed."""

from clbench import __version__

project = "clbench"
author = "clbench contributors"
copyright = "clbench contributors"
release = version = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# Links to source files lead somewhere in the repository, which is not part of the site.
suppress_warnings = ["myst.xref_missing"]

html_theme = "furo"
html_title = f"clbench {release}"
