"""``clbench list``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clbench.cli.group import in_one_line, say
from clbench.cli.options import DATA_ROOT, JSON, Command, Option, attach, completer

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from clbench.table import Table

WIDTH_WITH_SOURCES = 100
NUM_MEASURED = 100  # images of each class
MEASURED = ("bytes/image", "encode ms", "decode ms")
NOTES = {
    "strategies": "A method that replays also takes another memory: kip_mir is MIR on KIP's images."
}
KINDS = ("strategies", "benchmarks", "networks", "distillers", "codecs", "evaluations", "data")
Row = dict[str, Any]


@click.command(cls=Command)
@click.argument("kind", required=False, type=click.Choice(KINDS))
@attach(
    Option(
        ["--image"],
        default="1x28x28",
        metavar="CxHxW",
        help="Image size that networks are counted for.  [default: 1x28x28]",
    ),
    Option(["--num-classes"], type=int, default=10, metavar="N", help="Classes.  [default: 10]"),
    Option(
        ["--data-set"],
        default=None,
        metavar="NAME",
        shell_complete=completer("data"),
        help="With codecs: measure the bytes of its training images, 100 of each class.",
    ),
    DATA_ROOT,
    JSON,
)
def command(kind: str | None, json: bool, **values: Any) -> None:
    r"""Show strategies, benchmarks, networks, distillers, codecs, evaluations and data sets.

    Networks come with their parameters and the FLOPs of one image (fvcore; a multiply-add is one).
    Where each comes from is shown in terminals of 100 columns and by --json.

    \b
    Examples:
      clbench list
      clbench list networks --image 3x32x32
      clbench list codecs --data-set mnist5k
      clbench list strategies --json
    """
    from clbench.cli.display import print_json, print_table
    from clbench.errors import InputError

    image, num_classes, data_set = values["image"], values["num_classes"], values["data_set"]
    shape = _shape(image, num_classes)
    if data_set is not None and kind != "codecs":
        raise InputError(
            f"--data-set: expected `clbench list codecs`, found `clbench list {kind or ''}`; it "
            "measures codecs alone"
        )
    found = {name: ROWS[name](shape, num_classes) for name in ([kind] if kind else KINDS)}
    if data_set is not None:
        _measure(found["codecs"], data_set, values["data_root"])
    if json:
        return print_json(found)
    for name, rows in found.items():
        title = f"networks ({image}, {num_classes} classes)" if name == "networks" else name
        if data_set is not None:
            title = f"codecs, {NUM_MEASURED} training images of each class of {data_set}"
        print_table(title, _table(rows))
        if name in NOTES:
            say(NOTES[name])
    return None


def _shape(text: str, num_classes: int) -> tuple[int, int, int]:
    from clbench.errors import InputError

    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"--image: expected channels x height x width, as 3x32x32, found {text!r}")
    if num_classes < 2:
        raise InputError(f"--num-classes: expected at least 2, found {num_classes}")
    channels, height, width = map(int, parts)
    return channels, height, width


def _table(rows: list[Row]) -> RichTable:
    from clbench.cli.display import console, table

    # Citations are long; in a narrow terminal they would break the words of every column.
    sources = console().width >= WIDTH_WITH_SOURCES
    columns = [name for name in rows[0] if sources or name != "source"]
    numbers = ("parameters", "FLOPs", "classes", "train", "test", *MEASURED)
    left = sum(name not in numbers for name in columns)
    made = table(columns, left=left, whole=("name", *numbers))
    for row in rows:
        cells = [row[name] for name in columns]
        made.add_row(*(_cell(v) for v in cells))
    return made


def _cell(value: Any) -> str:
    from clbench.measuring.format import count

    if isinstance(value, float) and value < 1000:
        return f"{value:.2f}"
    return count(value) if isinstance(value, int | float) else str(value)


def _loaded(table: Table[Any]) -> dict[str, Any]:
    """The entries that load; one that does not costs a line on standard error, nothing else."""
    entries, faults = table.loaded()
    for fault in faults:
        say(f"warning: {in_one_line(fault)}", err=True)
    return entries


def _networks(shape: tuple[int, int, int], num_classes: int) -> list[Row]:
    from clbench import networks
    from clbench.config import NetworkConfig
    from clbench.errors import InputError
    from clbench.measuring.cost import forward_flops
    from clbench.types import ImageSpec

    channels, height, width = shape
    moments = (0.5,) * channels
    spec = ImageSpec(channels, height, width, num_classes, moments, moments)
    rows = []
    for info in _loaded(networks.NETWORKS).values():
        row: Row = {"name": info.name, "what": info.summary, "source": info.source}
        row["options"] = networks.options(info)
        try:
            module = networks.build(NetworkConfig(info.name), spec, seed=0)
            row["parameters"] = networks.num_parameters(module)
            row["FLOPs"] = forward_flops(module, shape)
        except InputError:
            row["parameters"] = row["FLOPs"] = "does not fit"
        rows.append(row)
    return rows


def _distillers(shape: tuple[int, int, int], num_classes: int) -> list[Row]:
    from clbench import distillation

    infos = _loaded(distillation.DISTILLERS)
    return [
        {"name": name, "what": info.summary, "source": info.source} for name, info in infos.items()
    ]


def _codecs(shape: tuple[int, int, int], num_classes: int) -> list[Row]:
    from clbench.codecs import CODECS

    return [
        {
            "name": name,
            "what": info.summary,
            "takes": ", ".join(f"{p.name} ({p.low:g} to {p.high:g})" for p in info.parameters),
            "example": info.example or name,
            "source": info.source,
        }
        for name, info in _loaded(CODECS).items()
    ]


def _measure(rows: list[Row], data_set: str, data_root: Path | None) -> None:
    """Add bytes and milliseconds of one image, written as each row's example."""
    import time

    from clbench import data
    from clbench.codecs import parse
    from clbench.errors import InputError

    found = data.load(data_set, data_root)
    train, shape = found.train, found.spec.shape
    for row in rows:
        del row["what"], row["takes"], row["source"]
        try:
            codec = parse(row["example"])
            codec.check(shape)
        except InputError:
            row |= dict.fromkeys(MEASURED, "does not fit")
            continue
        num = size = encoding = decoding = 0.0
        for c in train.classes:
            images = train.of_class(c).images[:NUM_MEASURED]
            start = time.perf_counter()
            stream = codec.encode(codec.reduced(images))
            middle = time.perf_counter()
            codec.decode(stream, shape)
            encoding, decoding = encoding + middle - start, decoding + time.perf_counter() - middle
            num, size = num + len(images), size + len(stream)
        values = (size / num, 1000 * encoding / num, 1000 * decoding / num)
        row |= {name: round(value, 2) for name, value in zip(MEASURED, values, strict=True)}


def _evaluations(shape: tuple[int, int, int], num_classes: int) -> list[Row]:
    from clbench import evaluation

    infos = _loaded(evaluation.EVALUATIONS)
    return [{"name": name.replace("_", "-"), "what": info.summary} for name, info in infos.items()]


def _data(shape: tuple[int, int, int], num_classes: int) -> list[Row]:
    from clbench import data

    infos = _loaded(data.DATASETS).values()
    return [
        {
            "name": info.name,
            "what": info.title,
            "source": info.source,
            "images": "x".join(map(str, info.shape)),
            "classes": info.num_classes,
            "train": info.num_train,
            "test": info.num_test,
        }
        for info in infos
    ]


def _strategies(shape: tuple[int, int, int], num_classes: int) -> list[Row]:
    from clbench import strategies

    infos = _loaded(strategies.STRATEGIES).values()
    return [{"name": info.name, "what": info.summary} for info in infos]


def _benchmarks(shape: tuple[int, int, int], num_classes: int) -> list[Row]:
    from clbench import benchmarks

    infos = _loaded(benchmarks.BENCHMARKS).values()
    return [{"name": info.name, "what": info.title, "data": info.dataset} for info in infos]


ROWS: dict[str, Callable[[tuple[int, int, int], int], list[Row]]] = {
    "strategies": _strategies,
    "benchmarks": _benchmarks,
    "networks": _networks,
    "distillers": _distillers,
    "codecs": _codecs,
    "evaluations": _evaluations,
    "data": _data,
}
