"""The order in which a stream brings the classes of its data set."""

from __future__ import annotations

import csv

import torch

from clbench.config import BenchmarkConfig
from clbench.data import DatasetInfo
from clbench.errors import InputError
from clbench.seeding import generator


def class_order(config: BenchmarkConfig, entry: DatasetInfo, seed: int) -> tuple[int, ...]:
    """The data set's class numbers in the order of the stream.

    Raises:
        InputError: an order that has not each class once, or two orders.
    """
    num = entry.num_classes
    if config.class_order is None:
        order = torch.arange(num)
        if config.shuffle_classes:
            order = torch.randperm(num, generator=generator(seed, "class_order"))
        return tuple(order.tolist())
    if config.shuffle_classes:
        raise InputError("class_order: expected no --shuffle-classes beside it; leave one out")
    # A name that has a comma is put in quotation marks.
    (words,) = csv.reader([config.class_order], skipinitialspace=True)
    order_ = tuple(_number(word.strip(), entry) for word in words)
    missing = sorted(set(range(num)) - set(order_))
    twice = sorted({c for c in order_ if order_.count(c) > 1})
    if missing or twice:
        what = (
            f"class {_shown(twice[0], entry)} twice"
            if twice
            else (f"no class {_shown(missing[0], entry)}")
        )
        raise InputError(
            f"class_order: expected each of the {num} classes of {entry.name} once, found {what}"
        )
    return order_


def written(order: tuple[int, ...], config: BenchmarkConfig) -> str | None:
    """How a resolved configuration says ``order``: None where nobody asked for another."""
    if config.class_order is None or order == tuple(range(len(order))):
        return None
    return ",".join(map(str, order))


def _number(word: str, entry: DatasetInfo) -> int:
    # Digits may be names, too; there they mean the same.
    if word in entry.class_names:
        return entry.class_names.index(word)
    if word.isascii() and word.isdigit() and int(word) < entry.num_classes:
        return int(word)
    names = f" or a name as {entry.class_names[0]!r}" if entry.class_names else ""
    raise InputError(
        f"class_order: expected numbers 0 to {entry.num_classes - 1}{names}, joined by commas, "
        f"found {word!r}"
    )


def _shown(number: int, entry: DatasetInfo) -> str:
    name = entry.class_names[number] if entry.class_names else ""
    return f"{number} ({name})" if name and name != str(number) else str(number)
