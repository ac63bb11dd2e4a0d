"""What `clbench distill` and `clbench evaluate` share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.cli.options import Option, completer, workers_option

if TYPE_CHECKING:
    from clbench.data import ImageData

DATA_SET = Option(
    ["--data-set"],
    default="mnist5k",
    metavar="NAME",
    heading="Data",
    shell_complete=completer("data"),
    help="Data set (clbench list data), or folder:PATH.  [default: mnist5k]",
)
WORKERS = workers_option("Networks trained at once on a CPU")


def named(data_set: str, values: Mapping[str, Any]) -> str:
    """The data set's name with the options of images of the user's own that a command was given.

    Raises:
        InputError: options for another data set.
    """
    from clbench.data import with_options

    names = ("images_in", "group_pattern", "allow_repeats")
    found = {name: values.get(f"benchmark__{name}") for name in names}
    return with_options(data_set, **{k: v for k, v in found.items() if v is not None})


def load_images(
    data_set: str,
    image_size: int | None,
    normalisation: str,
    data_root: Path | None,
    *,
    quiet: bool,
) -> ImageData:
    """A data set at this size and normalisation; a first decoding can be seen."""
    from clbench import data
    from clbench.cli.display import ProgressLine

    with ProgressLine(not quiet) as line:

        def show(done: int, total: int) -> None:
            line.show("decoding", done, total, "images")

        images = data.load(data_set, data_root, not quiet, image_size, show)
    return images.normalised("imagenet" if normalisation == "imagenet" else "dataset")
