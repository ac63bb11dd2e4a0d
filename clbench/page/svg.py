"""A figure of matplotlib as SVG inside a page: in the page's colours, its ids unique."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from clbench.figures.style import FAINT, INK, PALETTE, settle

SERIES = (*PALETTE[:-1], "#010101", "#6b3fa0", "#8a5a2b", "#7a8000")
"""Colours to draw with; in a page each is the variable of its place, ``--c0`` and so on."""

_GRID = "#e4e4e4"
_VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    _GRID: "--grid",
    **{colour.lower(): f"--c{i}" for i, colour in enumerate(SERIES)},
}
_COLOUR = re.compile("#[0-9a-f]{6}")
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FAMILY = re.compile(r"font-family: [^;]*;? ?")
_SHORTENED = ("d", "x", "y", "width", "height")
# Fixed, so that the ids of clip paths and markers are the same every time.
_SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "clbench"}


@dataclass(frozen=True)
class Drawing:
    """A figure for a page.

    Attributes:
        box: its viewBox.
        content: what stands inside the svg element.
    """

    box: str
    content: Markup


def to_svg(figure: Figure, name: str) -> Drawing:
    """Return a figure as SVG for a page.

    Text stays text and takes the page's fonts; colours of clbench's style become variables of the
    page, so that it can be dark.

    Args:
        figure: drawn in clbench's style with `SERIES`.
        name: begins the ids in it, which are thereby unique in a page.
    """
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        patch.set_visible(False)
    written = io.StringIO()
    with mpl.rc_context(_SETTINGS):
        settle(figure)
        figure.savefig(written, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    _strip(root)
    ids = _ids(root, name)
    for element in root.iter():
        _settle(element, ids)
    # The serialiser escapes every text and attribute.
    inside = "".join(ElementTree.tostring(part, encoding="unicode") for part in root)
    return Drawing(root.attrib["viewBox"], Markup(inside))


def _strip(root: ElementTree.Element) -> None:
    """Drop descriptions and style sheets, which would hold for the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("metadata", "style"):
                parent.remove(child)
            child.tail = None
        if parent.text and not parent.text.strip():
            parent.text = None


def _ids(root: ElementTree.Element, name: str) -> dict[str, str]:
    """Id that something refers to -> a short one of this figure alone."""
    wanted: dict[str, str] = {}
    for element in root.iter():
        for key, value in element.attrib.items():
            found = _REFERENCE.findall(value)
            if key.endswith("href"):
                found.append(value.removeprefix("#"))
            for one in found:
                wanted.setdefault(one, f"{name}-{len(wanted)}")
    return wanted


def _settle(element: ElementTree.Element, ids: dict[str, str]) -> None:
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        if key == "id":
            if value in ids:
                element.set("id", ids[value])
        elif key.endswith("href"):
            element.set("href", f"#{ids[value.removeprefix('#')]}")
        elif key == "style":
            plain = _FAMILY.sub("", value)
            element.set("style", _COLOUR.sub(_variable, plain).replace(": ", ":").rstrip("; "))
        elif key == "transform":
            if not value.startswith("rotate(-0 "):
                element.set("transform", _NUMBER.sub(_short, value))
        else:
            short = _NUMBER.sub(_short, value) if key in _SHORTENED else value
            short = _REFERENCE.sub(lambda m: f"url(#{ids[m[1]]})", short)
            element.set(key, " ".join(short.split()))


def _variable(match: re.Match[str]) -> str:
    name = _VARIABLES.get(match[0])
    return f"var({name})" if name else match[0]


def _short(match: re.Match[str]) -> str:
    return f"{float(match[0]):.1f}".removesuffix(".0")
