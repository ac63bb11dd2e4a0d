"""What a reader of a comparison must know before believing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.comparison.budgets import CAPACITY, SAME_BYTES, condition, memory_sizes
from clbench.comparison.grouping import METHOD, Cell, differing

# Six pairs are the fewest whose two-sided sign-flip test can fall below 0.05: 2 / 2**6 = 0.031.
FEWEST_PAIRS = 6
LEVEL = 0.05
FEWEST_SEEDS = 3
FILLED = 0.9  # at least, of the bytes given, for memories of the same given bytes to be equal


def _listed(labels: Sequence[str]) -> str:
    few = [f"[{label}]" for label in labels[:3]]
    return " ".join(few) + (f" and {len(labels) - 3} more" if len(labels) > 3 else "")


def by_value(pairs: Iterable[tuple[str, str]]) -> str:
    """Return ``value: [label] [label]; value: [label]`` of (label, value)."""
    found: dict[str, list[str]] = {}
    for label, value in pairs:
        found.setdefault(value, []).append(label)
    return "; ".join(f"{value}: {_listed(labels)}" for value, labels in found.items())


def comparability(cells: Sequence[Cell], held: Mapping[str, float | None]) -> Iterator[str]:
    """Differences that make rows incomparable: bytes within a budget.

    Rows that were given the same bytes may fill them unequally by more than others may differ.
    """
    for stream in dict.fromkeys(map(condition, cells)):
        mine = [cell for cell in cells if condition(cell) == stream]
        for budget in dict.fromkeys(held[cell.label] for cell in mine):
            sizes = {c.label: memory_sizes(c) for c in mine if held[c.label] == budget}
            found = [size for several in sizes.values() for size in several]
            given = {_given(c) for c in mine if c.label in sizes and sizes[c.label]}
            if len(given) == 1 and FILLED * max(given) <= min(found) <= max(found) <= max(given):
                continue
            if found and max(found) > SAME_BYTES * min(found):
                known = [(label, _span(several)) for label, several in sizes.items() if several]
                yield f"bytes of memory after the last experience differ: {by_value(known)}"


def _given(cell: Cell) -> float:
    """The bytes that a memory was allowed; 0 where it was told by images."""
    given = cell.fields.get(CAPACITY[0])
    return float(given) if isinstance(given, int | float) else 0.0  # reports may hold anything


def _span(sizes: Sequence[float]) -> str:
    return f"{sizes[0]:,.0f}" if len(sizes) == 1 else f"{sizes[0]:,.0f} to {sizes[-1]:,.0f}"


def few_seeds(cells: Sequence[Cell]) -> Iterator[str]:
    """Groups too small for their spread to mean much."""
    for count in range(1, FEWEST_SEEDS):
        labels = [cell.label for cell in cells if len(cell.runs) == count]
        if labels:
            seeds = "1 seed" if count == 1 else f"{count} seeds"
            yield f"only {seeds}, fewer than {FEWEST_SEEDS}: {_listed(labels)}"


def weak_tests(pairs: Mapping[str, int]) -> Iterator[str]:
    """Tests that cannot reach 0.05, from label -> number of pairs."""
    for count in range(1, FEWEST_PAIRS):
        labels = [label for label, number in pairs.items() if number == count]
        if labels:
            seeds = "1 common seed" if count == 1 else f"{count} common seeds"
            least = 2 / 2**count
            yield f"with {seeds} p cannot fall below {least:g}: {_listed(labels)}"


def weak_family(pairs: Mapping[str, int], heading: str = "") -> Iterator[str]:
    """A section's correction by Holm that no result can survive, from label -> number of pairs."""
    num_tests, most = len(pairs), max(pairs.values(), default=0)
    if num_tests < 2 or most < FEWEST_PAIRS or num_tests * 2 / 2**most <= LEVEL:
        return
    enough = next(n for n in range(most, 64) if num_tests * 2 / 2**n <= LEVEL)
    where = f"{heading}: " if heading else ""
    yield (
        f"{where}with {num_tests} tests of at most {most} pairs the smallest p after Holm's "
        "correction "
        f"is {num_tests * 2 / 2**most:.3f}; {enough} common seeds could reach {LEVEL:g}"
    )


def without_baseline(labels: Sequence[str]) -> Iterator[str]:
    """Groups that no baseline matches."""
    if labels:
        yield (
            "not tested, for want of a baseline of the same section and seeds: " + _listed(labels)
        )


def majority(cells: Sequence[Cell]) -> Iterator[str]:
    """What always saying the larger of two classes has, which every accuracy is to be held to."""
    shares = [
        (cell.label, f"{100 * share:.1f} %")
        for cell in cells
        for share in dict.fromkeys(r.metrics.get("majority_share") for r in cell.runs.values())
        if share is not None
    ]
    if shares:
        yield f"share of the larger class among all test images: {by_value(shares)}"


def method_settings(cells: Sequence[Cell]) -> Iterator[str]:
    """How the methods' own settings differ."""
    for name in differing(cell.fields for cell in cells):
        if name.startswith(METHOD):
            values = ((c.label, str(c.fields[name])) for c in cells if name in c.fields)
            yield f"{name} differs: {by_value(values)}"


def _environment_fields(environment: Mapping[str, Any]) -> dict[str, Any]:
    versions = environment.get("versions")
    flat = {f"{k} version": v for k, v in versions.items()} if isinstance(versions, dict) else {}
    names = ("python", "processor", "commit", "dirty", "num_threads", "device")
    return {**{name: environment.get(name) for name in names}, **flat}


def surroundings(cells: Sequence[Cell]) -> Iterator[str]:
    """Differences between the machines and versions of the runs, and results from a cache."""
    runs = [(cell.label, report) for cell in cells for report in cell.runs.values()]
    fields = [_environment_fields(report.environment) for _, report in runs]
    for name in differing(fields):
        found = dict.fromkeys(str(values.get(name)) for values in fields)
        yield f"runs differ in their {name}: {', '.join(found)}"
    cached = dict.fromkeys(label for label, r in runs if r.measured.get("from_cache"))
    if cached:
        yield (
            "sets read from the cache count with the seconds that distilling them had taken: "
            + _listed(list(cached))
        )


def unfinished(folders: Sequence[Path]) -> Iterator[str]:
    """Runs that could not take part."""
    if folders:
        names = _listed([str(folder) for folder in folders])
        yield f"{len(folders)} without a report, left out (running, failed, interrupted): {names}"


def diverged(folders: Sequence[Path]) -> Iterator[str]:
    """Runs whose numbers are none."""
    if folders:
        names = _listed([str(folder) for folder in folders])
        yield f"{len(folders)} diverged, left out (their status.json says where): {names}"


def reported(cells: Sequence[Cell]) -> Iterator[str]:
    """The runs' own notes, each once."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        for note in dict.fromkeys(n for r in cell.runs.values() for n in r.notes):
            found.setdefault(note, []).append(cell.label)
    for note, labels in found.items():
        yield f"{note.rstrip('.')}: {_listed(labels)}"
