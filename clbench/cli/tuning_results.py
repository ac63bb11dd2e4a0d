"""What a search of ``clbench tune`` found, in words and tables."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from clbench.cli.group import say

if TYPE_CHECKING:
    from clbench.tuning.search import Candidate, Standing, Trial

Found = Mapping[str, Sequence["Standing"]]


def in_words(trial: Trial) -> str:
    """Return what a trial came to."""
    head = f"{trial.candidate.strategy}  {trial.candidate.title}  seed {trial.seed}:"
    if trial.accuracy is None:
        return f"{head} refused: {trial.refused}"
    return (
        f"{head} {100 * trial.accuracy:.1f} % with {trial.num_images:,} images in "
        f"{trial.num_bytes:,} bytes, {trial.seconds:.0f} s"
    )


_COLUMNS = ("strategy", "tried", "seeds", "validation %", "images", "bytes", "seconds")


def _rows(found: Found) -> list[list[str]]:
    return [
        [
            name,
            standing.candidate.title,
            str(len(standing.trials)),
            *_outcome(standing),
        ]
        for name, standings in found.items()
        for standing in standings
    ]


def _outcome(standing: Standing) -> list[str]:
    if standing.accuracy is None:
        return ["refused", "-", "-", "-"]
    first = standing.trials[0]
    return [
        f"{100 * standing.accuracy:.1f}",
        f"{first.num_images:,}",
        f"{first.num_bytes:,}",
        f"{fmean(trial.seconds for trial in standing.trials):.0f}",
    ]


def show(found: Found) -> None:
    """Print the table, and the options of each strategy's best."""
    from clbench.cli.display import print_table, table

    made = table(_COLUMNS, left=2)
    for row in _rows(found):
        made.add_row(*row)
    print_table("Average accuracy on the validation stream; best first, finalists above", made)
    for name, best in _best(found).items():
        say(f"{name}: {_as_options(best)}")


def _best(found: Found) -> dict[str, Candidate]:
    """Strategy -> its best candidate; without those that were all refused."""
    first = {name: standings[0] for name, standings in found.items()}
    return {name: one.candidate for name, one in first.items() if one.accuracy is not None}


def _as_options(candidate: Candidate) -> str:
    words = (f"--{option} {shlex.quote(value)}" for option, value in candidate.settings.items())
    return " ".join(words) or "its defaults"


def markdown(found: Found, trials: Sequence[Trial]) -> str:
    """Return the table, the best options and what was refused, as Markdown."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|:---|:---|---:|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join(row) + " |" for row in _rows(found)]
    refused = {
        f"- {trial.candidate.strategy}, {trial.candidate.title}: {trial.refused}"
        for trial in trials
        if trial.refused
    }
    best = [f"- {name}: `{_as_options(one)}`" for name, one in _best(found).items()]
    parts = [lines, best, sorted(refused)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def write(path: Path, text: str) -> None:
    """Write a page, whatever the names in it."""
    from clbench.store.files import write_bytes
    from clbench.store.plain import readable

    write_bytes(path, readable(text).encode())


def result(found: Found, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the best settings of each strategy and all trials, for JSON."""
    return {
        "best": {name: dict(one.settings) for name, one in _best(found).items()},
        "trials": [asdict(trial) for trial in trials],
    }
