"""Which rows stand in one table: tests and corrections stay within a section."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clbench.comparison.budgets import condition, conditions
from clbench.comparison.grouping import STREAM, Cell, differing, label_fields
from clbench.comparison.notes import by_value
from clbench.errors import InputError

BENCHMARK = "benchmark.name"
CODEC = "memory.codec"
PROTOCOL = "protocol"
AUTO = "auto"
DIVISIONS = (AUTO, "benchmark", "learner", "bytes", "codec", PROTOCOL)
"""What rows can be divided by. Benchmark and learner always divide."""
_ORDER = "data.class_order"


@dataclass(frozen=True)
class Part:
    """The cells of one section, and what tells them apart from the other sections' ("" of one)."""

    heading: str
    cells: tuple[Cell, ...]


def check_divisions(names: Sequence[str]) -> None:
    """See that all are `DIVISIONS`.

    Raises:
        InputError: one of them is not.
    """
    wrong = [name for name in names if name not in DIVISIONS]
    if wrong or not names:
        raise InputError(
            f"--group-by: expected one or more of {', '.join(DIVISIONS)}, with commas between "
            f"them; found {wrong[0] if wrong else 'nothing'!r}"
        )


def one_protocol(cells: list[Cell], group_by: Sequence[str]) -> list[Cell]:
    """Return the cells, each benchmark of them with one protocol, or with protocols apart.

    A protocol is the data, the split and, under each seed, the order of the classes.

    Raises:
        InputError: the protocols of a benchmark differ, and ``group_by`` does not keep them apart.
    """
    if PROTOCOL not in group_by:
        fault = next(_faults(cells), None)
        if fault is not None:
            raise InputError(
                f"{fault}; rows of one benchmark must share test images, split and class order: "
                "compare them one by one, or keep them in separate tables with "
                f"--group-by {AUTO},{PROTOCOL}"
            )
        return cells
    return _orders_apart(cells)


def _faults(cells: Sequence[Cell]) -> Iterator[str]:
    """What differs within a benchmark, and between which rows."""
    for name in dict.fromkeys(cell.fields.get(BENCHMARK) for cell in cells):
        mine = [cell for cell in cells if cell.fields.get(BENCHMARK) == name]
        for field in differing(cell.fields for cell in mine):
            if field.startswith(STREAM):
                values = ((c.label, str(c.fields[field])[:60]) for c in mine if field in c.fields)
                yield f"{field} differs: {by_value(values)}"
    for seed, found in _streams(cells):
        if len(found) > 1:
            values = ((label, text) for text, labels in found.items() for label in labels)
            yield f"the stream differs under seed {seed}: {by_value(values)}"


def _streams(cells: Sequence[Cell]) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """Each configured stream's (seed, classes and test images of the experiences -> labels)."""
    streams: dict[tuple[str, int], dict[str, list[str]]] = {}
    for cell in cells:
        configured = _configured(cell)
        for seed in cell.runs:
            found = streams.setdefault((configured, seed), {})
            found.setdefault(_told(cell, seed), []).append(cell.label)
    for (_, seed), found in streams.items():
        yield seed, found


def _configured(cell: Cell) -> str:
    return repr([(n, cell.fields[n]) for n in sorted(cell.fields) if n.startswith(STREAM)])


def _told(cell: Cell, seed: int) -> str:
    report = cell.runs[seed]
    classes = " | ".join(" ".join(map(str, group)) for group in report.class_groups)
    return f"classes {classes} with {', '.join(map(str, report.num_test))} test images"


def _orders_apart(cells: list[Cell]) -> list[Cell]:
    """Give cells whose streams differ under a seed a field that tells them apart."""
    kinds: list[tuple[str, dict[int, str]]] = []
    numbers: list[int] = []
    for cell in cells:
        own = {seed: _told(cell, seed) for seed in cell.runs}
        fits = (
            i
            for i, (configured, known) in enumerate(kinds)
            if configured == _configured(cell)
            and all(known.get(seed, text) == text for seed, text in own.items())
        )
        number = next(fits, len(kinds))
        if number == len(kinds):
            kinds.append((_configured(cell), {}))
        kinds[number][1].update(own)
        numbers.append(number)
    several = {n for n, (c, _) in enumerate(kinds) if [k for k, _ in kinds].count(c) > 1}
    if not several:
        return cells
    told = [f"{n + 1}, {next(iter(known.values()))}"[:80] for n, (_, known) in enumerate(kinds)]
    marked = [
        {**cell.fields, **({_ORDER: told[n]} if n in several else {})}
        for cell, n in zip(cells, numbers, strict=True)
    ]
    labels = label_fields([(c.strategy, fields) for c, fields in zip(cells, marked, strict=True)])
    return [
        replace(cell, fields=fields, label=label)
        for cell, fields, label in zip(cells, marked, labels, strict=True)
    ]


def parts(
    cells: Sequence[Cell], held: Mapping[str, float | None], group_by: Sequence[str]
) -> list[Part]:
    """Divide cells, which are in the order of the table, into sections.

    Stream and learner always divide. With ``auto`` so do budgets of bytes; and codecs where every
    codec has two strategies at least, since else each memory has the codec that suits it. Cells
    without memory are bounds: they stand in every section of their stream and learner.

    Args:
        cells: all cells.
        held: label -> bytes of the budget, None without memory.
        group_by: some of `DIVISIONS`.
    """
    names, found = conditions(cells), []
    for stream in dict.fromkeys(map(condition, cells)):
        mine = [cell for cell in cells if condition(cell) == stream]
        bounds = [cell for cell in mine if held[cell.label] is None]
        rows = [cell for cell in mine if held[cell.label] is not None]
        for told, section in _divided(rows, held, group_by) or [("", [])]:
            heading = ", ".join(filter(None, [names[stream], told]))
            found.append(Part(heading, (*section, *bounds)))
    return found


def _divided(
    rows: list[Cell], held: Mapping[str, float | None], group_by: Sequence[str]
) -> list[tuple[str, list[Cell]]]:
    by_bytes = AUTO in group_by or "bytes" in group_by
    sizes = list(dict.fromkeys(held[cell.label] for cell in rows)) if by_bytes else [None]
    found = []
    for size in sizes:
        alike = [cell for cell in rows if not by_bytes or held[cell.label] == size]
        told = f"{size:,.0f} bytes" if len(sizes) > 1 else ""
        codecs = list(dict.fromkeys(str(cell.fields.get(CODEC)) for cell in alike))
        if len(codecs) < 2 or not _divides(alike, codecs, group_by):
            found.append((told, alike))
            continue
        for codec in codecs:
            own = [cell for cell in alike if str(cell.fields.get(CODEC)) == codec]
            found.append((", ".join(filter(None, [told, f"codec={codec}"])), own))
    return found if rows else []


def _divides(cells: list[Cell], codecs: list[str], group_by: Sequence[str]) -> bool:
    if "codec" in group_by or AUTO not in group_by:
        return "codec" in group_by
    strategies: dict[str, set[str]] = {codec: set() for codec in codecs}
    for cell in cells:
        strategies[str(cell.fields.get(CODEC))].add(cell.strategy)
    return all(len(found) > 1 for found in strategies.values())
