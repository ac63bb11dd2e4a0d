"""``clbench data``: what is there, get it, check it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import Failure, Group, say
from clbench.cli.options import (
    DATA_ROOT,
    JSON,
    QUIET,
    Command,
    Option,
    attach,
    completer,
    run_options,
)
from clbench.cli.sets import named

if TYPE_CHECKING:
    from clbench.data import DatasetInfo, ImageData, Prepared

MOST_CLASSES = 40  # rows of the table of a prepared data set
NAMES = click.Argument(["names"], nargs=-1, metavar="[NAME]...", shell_complete=completer("data"))


@click.group(cls=Group)
def command() -> None:
    r"""List, fetch, prepare and verify data sets.

    \b
    Examples:
      clbench data list
      clbench data fetch mnist --data-root ~/data
      clbench data verify mnist
      clbench data prepare mhist --from ~/Downloads/MHIST.zip

    The benchmark split_mnist5k needs no files at all.
    """


@command.command("list", cls=Command)
@attach(DATA_ROOT, JSON)
def list_data(data_root: Path | None, json: bool) -> None:
    """Show every data set and whether its files are there."""
    from clbench import data
    from clbench.cli.display import print_json, print_table, table
    from clbench.measuring.format import count

    infos = [data.info(name) for name in data.names()]
    states = [data.status(info.name, data_root) for info in infos]
    if json:
        rows = zip(infos, states, strict=True)
        return print_json({info.name: _facts(info, state) for info, state in rows})
    columns = ("name", "what", "files", "train", "test", "download")
    shown = table(columns, left=3, whole=columns[:1] + columns[2:])
    for info, state in zip(infos, states, strict=True):
        size = f"{info.download_bytes / 1e6:.0f} MB" if info.download_bytes else "-"
        size = "on request" if info.on_request else size
        numbers = map(count, (info.num_train, info.num_test))
        shown.add_row(info.name, info.title, state, *numbers, size)
    print_table(f"Data sets in {data.data_root(data_root)}", shown)
    return None


def _facts(info: DatasetInfo, state: str) -> dict[str, object]:
    return {
        "title": info.title,
        "files": state,
        "shape": list(info.shape),
        "num_classes": info.num_classes,
        "num_train": info.num_train,
        "num_test": info.num_test,
        "download_bytes": info.download_bytes,
        "source": info.source,
        "licence": info.licence,
    }


def _chosen(names: tuple[str, ...]) -> list[str]:
    from clbench import data

    return [data.info(name).name for name in names or data.names()]


@command.command(cls=Command)
@attach(NAMES, DATA_ROOT, QUIET)
def fetch(names: tuple[str, ...], data_root: Path | None, quiet: bool) -> None:
    r"""Download data sets (all of them without a NAME) and check them.

    A NAME is one of those that `clbench data list` shows. Files that are there already are kept.
    Of a data set that its authors give out on request only, this says how to get it.

    \b
    Examples:
      clbench data fetch mnist
      clbench data fetch mnist kmnist --data-root ~/data
    """
    from clbench import data

    for name in _chosen(names):
        how = data.info(name).on_request
        if how and not names and data.status(name, data_root) == "missing":
            # Nobody asked for this one by name.
            say(f"{name}: {how}")
            continue
        data.fetch(name, data_root, progress=not quiet)
        if not quiet:
            say(f"{name}: {data.status(name, data_root)}")


FROM = Option(
    ["--from", "source"],
    type=click.Path(path_type=Path),
    default=None,
    heading="Data",
    metavar="DIR_OR_ZIP",
    help="Folder or zip archive that its authors sent.  [default: what is in the data root]",
)
IMAGE_SIZE = Option(
    ["--image-size"],
    type=int,
    default=None,
    heading="Data",
    metavar="N",
    help="Side of the squares that images are decoded to.  [default: 128 of mhist, 64 of "
    "folder:PATH]",
)
OWN = run_options(
    "benchmark.images_in", "benchmark.group_pattern", "benchmark.allow_repeats", heading="Data"
)


@command.command(cls=Command)
@click.argument("name", shell_complete=completer("data"))
@attach(FROM, IMAGE_SIZE, *OWN, DATA_ROOT, QUIET, JSON)
def prepare(
    name: str,
    source: Path | None,
    image_size: int | None,
    data_root: Path | None,
    quiet: bool,
    json: bool,
    **own: Any,
) -> None:
    r"""Check a data set of image files, put it into the data root, and decode it once.

    NAME is mhist, or folder:PATH for images of your own, which stay where they are. Everything is
    checked before anything appears in the data root: table, labels against votes, every image.

    \b
    Examples:
      clbench data prepare mhist --from ~/Downloads/MHIST
      clbench data prepare mhist --from MHIST.zip --data-root ~/data
      clbench data prepare mhist --image-size 224
      clbench data prepare folder:~/cells
    """
    from clbench import data
    from clbench.cli.display import ProgressLine, print_json

    start, name = time.perf_counter(), named(name, own)
    with ProgressLine(not quiet) as line:

        def show(done: int, total: int) -> None:
            line.show(f"decoding {name}", done, total, "images")

        made = data.prepare(name, data_root, source, image_size, show)
    seconds = time.perf_counter() - start
    if json:
        return print_json(_prepared_facts(made, seconds))
    if not quiet:
        _print_prepared(made, seconds)
    return None


def _prepared_facts(made: Prepared, seconds: float) -> dict[str, Any]:
    found = made.data
    return {
        "name": found.name,
        "title": found.shown_as,
        "folder": str(made.folder),
        "copied": made.copied,
        "images": {split: _counts(found, split) for split in _splits(found)},
        "votes": _votes(found),
        "shape": list(found.spec.shape),
        "mean": list(found.spec.mean),
        "std": list(found.spec.std),
        "fingerprint": found.fingerprint,
        "cache": str(made.cache),
        "cache_bytes": made.cache.stat().st_size,
        "seconds": seconds,
        "notes": list(found.notes),
    }


def _splits(found: ImageData) -> list[str]:
    return ["train", "test", *([] if found.validation is None else ["validation"])]


def _counts(found: ImageData, split: str) -> dict[str, int]:
    labels = getattr(found, split).labels
    numbers = labels.bincount(minlength=found.spec.num_classes).tolist()
    return dict(zip(found.spec.class_names, numbers, strict=True))


def _votes(found: ImageData) -> dict[str, list[int]]:
    """Split -> images with 0, 1, ... votes; empty where nobody voted."""
    if "votes" not in found.columns:
        return {}
    both = zip(("train", "test"), found.columns["votes"], strict=True)
    return {split: votes.bincount(minlength=8).tolist() for split, votes in both}


def _print_prepared(made: Prepared, seconds: float) -> None:
    from clbench.cli.display import print_table, table
    from clbench.measuring.format import count
    from clbench.measuring.format import seconds as in_seconds

    facts = _prepared_facts(made, seconds)
    classes = made.data.spec.class_names
    parts = facts["images"]
    shown = table(("class", *parts), left=1)
    for name in classes[:MOST_CLASSES]:
        shown.add_row(name, *(count(numbers[name]) for numbers in parts.values()))
    if len(classes) > MOST_CLASSES:
        shown.add_row(f"{len(classes) - MOST_CLASSES:,} more", *("" for _ in parts))
    shown.add_row("all", *(count(sum(numbers.values())) for numbers in parts.values()))
    print_table(facts["title"], shown)
    if facts["votes"]:
        histogram = table(("votes for SSA", *map(str, range(8))))
        for split, numbers in facts["votes"].items():
            histogram.add_row(split, *map(count, numbers))
        print_table("Images by annotators' votes, of 7", histogram)
    size = " x ".join(map(str, facts["shape"]))
    say(f"files:  {made.folder}{'  (copied)' if made.copied else ''}")
    say(f"images: {size}, {facts['cache_bytes'] / 1e6:,.1f} MB decoded in {made.cache}")
    say(f"time:   {in_seconds(seconds)} s")
    for note in facts["notes"]:
        say(f"note:   {note}")


@command.command(cls=Command)
@attach(NAMES, *OWN, DATA_ROOT, QUIET)
def verify(names: tuple[str, ...], data_root: Path | None, quiet: bool, **own: Any) -> None:
    """Check the files of data sets against their checksums.

    Without a NAME all data sets that are there; exit code 2 when a file is missing or broken.
    """
    from clbench import data

    broken = []
    for name in _chosen(tuple(named(name, own) for name in names)):
        if not names and data.status(name, data_root) == "missing":
            continue
        for check in data.verify(name, data_root):
            if not check.ok:
                broken.append(check)
            if not quiet:
                say(f"{'ok ' if check.ok else 'BAD'}  {check.file}: {check.message}")
    if broken:
        first = broken[0]
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise Failure(f"{first.file}: {first.message}{more}")
