"""``clbench data``: what is there, get it, check it."""

from __future__ import annotations

from pathlib import Path

import click

from clbench.cli.group import Failure, Group
from clbench.cli.names import DATASETS, completer
from clbench.cli.options import DATA_ROOT, JSON, QUIET, Command, attach

NAMES = click.Argument(["names"], nargs=-1, metavar="[NAME]...", shell_complete=completer(DATASETS))


@click.group(cls=Group)
def command() -> None:
    r"""List, fetch and verify data sets.

    \b
    Examples:
      clbench data list
      clbench data fetch mnist --data-root ~/data
      clbench data verify mnist

    The benchmark split_mnist5k needs no files at all.
    """


@command.command("list", cls=Command)
@attach(DATA_ROOT, JSON)
def list_data(data_root: Path | None, json: bool) -> None:
    """Show every data set and whether its files are there."""
    from clbench import data
    from clbench.cli.display import count, print_json, print_table, table

    infos = [data.info(name) for name in data.names()]
    states = [data.status(info.name, data_root) for info in infos]
    if json:
        rows = zip(infos, states, strict=True)
        return print_json({info.name: _facts(info, state) for info, state in rows})
    columns = ("name", "what", "files", "train", "test", "download")
    shown = table(columns, left=3, whole=columns[:1] + columns[2:])
    for info, state in zip(infos, states, strict=True):
        size = f"{info.download_bytes / 1e6:.0f} MB" if info.download_bytes else "-"
        numbers = map(count, (info.num_train, info.num_test))
        shown.add_row(info.name, info.title, state, *numbers, size)
    print_table(f"Data sets in {data.data_root(data_root)}", shown)
    return None


def _facts(info, state: str) -> dict[str, object]:  # type: ignore[no-untyped-def]
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

    \b
    Examples:
      clbench data fetch mnist
      clbench data fetch mnist kmnist --data-root ~/data
    """
    from clbench import data

    for name in _chosen(names):
        data.fetch(name, data_root, progress=not quiet)
        if not quiet:
            click.echo(f"{name}: {data.status(name, data_root)}")


@command.command(cls=Command)
@attach(NAMES, DATA_ROOT, QUIET)
def verify(names: tuple[str, ...], data_root: Path | None, quiet: bool) -> None:
    """Check the files of data sets against their checksums.

    Without a NAME all data sets that are there; exit code 2 when a file is missing or broken.
    """
    from clbench import data

    broken = []
    for name in _chosen(names):
        if not names and data.status(name, data_root) == "missing":
            continue
        for check in data.verify(name, data_root):
            if not check.ok:
                broken.append(check)
            if not quiet:
                click.echo(f"{'ok ' if check.ok else 'BAD'}  {check.file}: {check.message}")
    if broken:
        first = broken[0]
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise Failure(f"{first.file}: {first.message}{more}")
