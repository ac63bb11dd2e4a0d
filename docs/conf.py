"""Sphinx: ``sphinx-build -W docs docs/_build`` with the extra ``docs`` installed."""

from __future__ import annotations

import dataclasses
from typing import Any

from sphinx.util.rst import escape

from clbench import __version__
from clbench.fields import Config

project = "clbench"
author = "clbench contributors"
copyright = "clbench contributors"
release = version = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# Links to source files lead somewhere in the repository, which is not part of the site.
suppress_warnings = ["myst.xref_missing"]

nb_execution_mode = "off"  # the notebook's outputs are kept in it; a test runs its cells
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
maximum_signature_line_length = 90
default_role = "code"  # single backticks name objects, as in the docstrings' own style

html_theme = "furo"
html_title = f"clbench {release}"


def _settings(kind: type[Config]) -> list[str]:
    """Return a line of RST for each field that carries its help."""
    lines = []
    for field in dataclasses.fields(kind):
        about = field.metadata.get("clbench")
        if about is None or not about.help:
            continue
        default = f"``{field.default}``"
        if field.default is None and about.none:
            default = escape(about.none)
        what = escape(about.help.format(whose="").strip())
        lines.append(f"* ``{field.name}``: {what} Default: {default}.")
    return lines


def _describe(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Append what a configuration's fields say of themselves to its docstring."""
    if what == "class" and issubclass(obj, Config) and dataclasses.is_dataclass(obj):
        found = _settings(obj)
        lines += ["", "**Settings**", "", *found, ""] if found else []


def _sign(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str, returned: str
) -> tuple[str, str | None] | None:
    """Drop the signature of a configuration: its settings are listed below."""
    return ("", None) if what == "class" and issubclass(obj, Config) else None


def setup(app: Any) -> None:
    """Let configurations show their fields."""
    app.connect("autodoc-process-docstring", _describe)
    app.connect("autodoc-process-signature", _sign)
