"""Names of images of the user's own: ``folder:PATH``, and how they are to be read.

What a folder does not say itself, options say: ``--images-in``, ``--group-pattern`` and
``--allow-repeats``. They become part of the data set's name, ``folder:PATH?images-in=image``, so
that a report or a distilled set names exactly the images that it was made from.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from clbench.errors import InputError

PREFIX = "folder:"
_OPTION = r"(?:images-in|group-pattern|allow-repeats)=[^/&?]*"
_OPTIONS = re.compile(rf"\?({_OPTION}(?:&{_OPTION})*)\Z")


@dataclass(frozen=True)
class OwnOptions:
    """How images of the user's own are to be read.

    Attributes:
        images_in: the sub-folder of a class's folder that holds its images; None takes images
            wherever they lie below, and asks where there seem to be masks.
        group_pattern: a regular expression; its first capture group, looked for in a path below
            the root, names the patient (or slide, or site) that an image comes from.
        allow_repeats: the same file may be in two parts of the split.
    """

    images_in: str | None = None
    group_pattern: str | None = None
    allow_repeats: bool = False

    @property
    def is_given(self) -> bool:
        """Whether anything is asked for."""
        return self != OwnOptions()


def is_own(name: str) -> bool:
    """Whether ``name`` names images of the user's own."""
    return name.startswith(PREFIX)


def place(name: str) -> Path:
    """The path in ``folder:PATH``.

    Raises:
        InputError: there is none.
    """
    path = _OPTIONS.sub("", name.removeprefix(PREFIX))
    if not path:
        raise InputError(f"expected {PREFIX}PATH, a folder or a CSV of images, found {name!r}")
    return Path(path).expanduser()


def options_of(name: str) -> OwnOptions:
    """The options in ``folder:PATH?OPTION=VALUE&OPTION=VALUE``."""
    found = _OPTIONS.search(name)
    given = [] if found is None else [part.split("=", 1) for part in found[1].split("&")]
    texts = {key.replace("-", "_"): unquote(text, errors="surrogateescape") for key, text in given}
    allow = texts.pop("allow_repeats", "no") == "yes"
    return OwnOptions(**texts, allow_repeats=allow)


def with_options(
    name: str,
    *,
    images_in: str | None = None,
    group_pattern: str | None = None,
    allow_repeats: bool = False,
) -> str:
    """The name of the same images, read by these options too; see `OwnOptions`.

    Raises:
        InputError: options for a data set that is no folder of the user's own.
    """
    asked = OwnOptions(images_in, group_pattern, allow_repeats)
    if not asked.is_given:
        return name
    if not is_own(name):
        fields = [field.name for field in dataclasses.fields(asked)]
        first = next(field for field in fields if getattr(asked, field) not in (None, False))
        raise InputError(
            f"{first}: expected images of your own ({PREFIX}PATH), found {name}; leave it out"
        )
    before = options_of(name)
    settled = {
        "images-in": asked.images_in or before.images_in,
        "group-pattern": asked.group_pattern or before.group_pattern,
        "allow-repeats": "yes" if asked.allow_repeats or before.allow_repeats else None,
    }
    texts = [
        f"{key}={quote(text, safe='', errors='surrogateescape')}"
        for key, text in settled.items()
        if text is not None
    ]
    return f"{_OPTIONS.sub('', name)}?{'&'.join(texts)}"


def short_name(name: str) -> str:
    """A name that can be part of a file's: ``folder:a/b/cells.csv`` is ``folder-cells``."""
    return f"folder-{place(name).resolve().stem}" if is_own(name) else name
