"""Write tables and the figure of accuracy over bytes from the study's runs; no number is typed.

    clbench compare study/runs --format runs-csv > runs.csv
    python docs/results/tables.py runs.csv

``study_runs.csv`` keeps the runs without their seconds, which say how busy the machine was. Without
a file the command writes the tables anew from what is kept.

A table stands between a comment that says what it shows and <!-- end -->:

    <!-- table: benchmark=split_mnist network=mlp bytes=1960 rows=random_replay,kip_replay
         over=random_replay tested=kip_replay -->

A row may name its codec, as random_replay[raw]. Cells are the mean and the standard deviation over
seeds of the score after the last experience, in per cent, with the number of seeds where it is not
six; the best is bold, a single seed only beside its like. ``seeds=0,1,2`` takes some of them alone.
``over`` adds the difference of ``tested`` rows (all) to that row, paired by seed: points (95 %
t-interval), p of the exact sign-flip test.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from clbench.figures import Panel, accuracy_over_bytes_figure
from clbench.figures.style import save_figure
from clbench.measuring.statistics import mean_interval, sign_flip_p
from clbench.store.files import write_bytes

HERE = Path(__file__).parent
RUNS = HERE / "study_runs.csv"
PAGES = (
    HERE / "README.md",
    HERE / "field.md",
    HERE.parent / "bytes.md",
    HERE.parents[1] / "README.md",
)
TABLE = re.compile(r"(<!-- table: (?P<wanted>[^>]*) -->\n).*?(?=<!-- end -->)", re.DOTALL)
SEEDS = 6  # of most rows
FIGURE = HERE / "accuracy_over_bytes.png"
CURVES = ("kip", "herding", "dam", "frepo", "dm", "random")  # of the figure, as replayed
CURVES_OF = {"benchmark": "split_mnist", "network": "mlp", "codec": "levels:side=14,levels=2"}
NAMES = {
    "random": "random real", "herding": "herded real", "dm": "DM", "dam": "DataDAM", "kip": "KIP",
    "frepo": "FRePo", "pad": "PAD", "reservoir": "reservoir",
}  # fmt: skip

Scores = Mapping[int, float]


class Runs:
    """Scores by the settings that tell rows apart."""

    def __init__(self, file: Path) -> None:
        """Read what ``compare --format runs-csv`` wrote."""
        with file.open(newline="", encoding="utf-8") as lines:
            self._rows = [(_settings(row), row) for row in csv.DictReader(lines)]

    def scores(self, metric: str, **wanted: str) -> Scores:
        """Seed -> score, 0..1, of the runs with these settings; a run may lack a setting."""
        found: dict[int, float] = {}
        for settings, row in self._rows:
            if all(settings.get(name, value) == value for name, value in wanted.items()):
                seed = int(row["seed"])
                if seed in found:
                    raise SystemExit(f"two runs with seed {seed} of {wanted}: name more settings")
                found[seed] = float(row[metric])
        return found

    def sizes(self, **wanted: str) -> list[str]:
        """Return the capacities, ascending, of the runs with these settings."""
        found = {
            settings["capacity_bytes"]
            for settings, _ in self._rows
            if all(settings.get(name) == value for name, value in wanted.items())
        }
        return sorted(found, key=int)


def _settings(row: Mapping[str, str]) -> dict[str, str]:
    parts = [part.partition("=") for part in row["label"].split(", ")[1:]]
    named = {name: value for name, _, value in parts}
    own = {"strategy": row["strategy"], "benchmark": row["benchmark"]}
    return {**named, **own}


def table(runs: Runs, wanted: str) -> str:
    """Return one table; ``wanted`` is what its comment says."""
    asked = dict(part.split("=", 1) for part in wanted.split())
    rows, sizes = _listed(asked.pop("rows")), asked.pop("bytes").split(",")
    over, metric = asked.pop("over", None), asked.pop("metric", "score")
    seeds = asked.pop("seeds", "")
    tested = _listed(asked.pop("tested", ",".join(rows)))
    cells = {
        (row, size): _of(runs.scores(metric, capacity_bytes=size, **asked, **_told(row)), seeds)
        for row in dict.fromkeys([*rows, *([over] if over else [])])
        for size in sizes
    }
    best = {size: _best([cells[row, size] for row in rows]) for size in sizes}
    lines = [["memory", *(f"{int(size):,} bytes" for size in sizes)]]
    for row in rows:
        texts = []
        for size in sizes:
            scores = cells[row, size]
            text = _cell(scores)
            texts.append(f"**{text}**" if scores and _mean(scores) == best[size] else text)
        lines.append([_name(row), *texts])
    for row in tested if over else ():
        if row != over:
            told = [_difference(cells[row, size], cells[over or "", size]) for size in sizes]
            if any(told):
                lines.append([f"{_name(row)} - {_name(over or '')}", *told])
    rule = ["---"] * len(lines[0])
    return "".join(f"| {' | '.join(line)} |\n" for line in (lines[0], rule, *lines[1:]))


def _of(scores: Scores, seeds: str) -> Scores:
    return {s: one for s, one in scores.items() if not seeds or str(s) in seeds.split(",")}


def _listed(rows: str) -> list[str]:
    return re.split(r",(?![^\[]*\])", rows)


def _told(row: str) -> dict[str, str]:
    """The settings that a row's name stands for."""
    strategy, _, codec = row.rstrip("]").partition("[")
    return {"strategy": strategy} | ({"codec": codec} if codec else {})


def _name(row: str) -> str:
    strategy, _, codec = row.rstrip("]").partition("[")
    memory, _, kind = strategy.rpartition("_")
    name = NAMES[memory] if kind in ("replay", "gdumb") else f"`{strategy}`"
    return f"{name}, `{codec}`" if codec else name


def _mean(scores: Scores) -> float:
    return float(np.mean(list(scores.values()))) if scores else -1.0


def _best(every: list[Scores]) -> float:
    """The highest mean; that of one seed only where there are no others."""
    several = [scores for scores in every if len(scores) > 1]
    return max(_mean(scores) for scores in several or every)


def _cell(scores: Scores) -> str:
    if not scores:
        return "not run"
    values = 100 * np.array(list(scores.values()))
    spread = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
    few = "" if len(values) == SEEDS else f" ({len(values)} seed{'s' * (len(values) > 1)})"
    return f"{values.mean():.1f}{spread}{few}"


def _difference(mine: Scores, theirs: Scores) -> str:
    seeds = [seed for seed in mine if seed in theirs]
    if not seeds:
        return ""
    differences = [mine[seed] - theirs[seed] for seed in seeds]
    mean, low, high = (100 * value for value in mean_interval(differences))
    if len(seeds) == 1:
        return f"{mean:+.1f}"
    p = sign_flip_p(differences, np.random.default_rng(0))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f}), {p:.3f}"


def written(page: Path, runs: Runs) -> str:
    """Return the page with its tables made anew."""
    text = page.read_text("utf-8")
    return TABLE.sub(lambda found: found[1] + table(runs, found["wanted"]), text)


def figure(runs: Runs) -> Figure:
    """Return accuracy over the bytes that the first table's memories take."""
    curves: dict[str, dict[float, list[float]]] = {}
    for memory in CURVES:
        found = curves.setdefault(NAMES[memory], {})
        for size in runs.sizes(strategy=f"{memory}_replay", **CURVES_OF):
            wanted = {"strategy": f"{memory}_replay", "capacity_bytes": size, **CURVES_OF}
            taken = runs.scores("memory_bytes", **wanted)
            scores = runs.scores("score", **wanted)
            found[float(np.median(list(taken.values())))] = list(scores.values())
    wanted = {name: CURVES_OF[name] for name in ("benchmark", "network")}
    bounds = {
        name: list(runs.scores("score", strategy=name, **wanted).values())
        for name in ("naive", "cumulative")
    }
    return accuracy_over_bytes_figure({"": Panel(curves, bounds)})


def keep(file: Path) -> None:
    """Take over the runs of ``file`` without their seconds."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [
            {name: value for name, value in row.items() if not name.endswith("_seconds")}
            for row in csv.DictReader(lines)
        ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(RUNS, text.getvalue().encode())


def main() -> None:
    """Write what differs."""
    if len(sys.argv) > 1:
        keep(Path(sys.argv[1]))
    runs = Runs(RUNS)
    for page in PAGES:
        text = written(page, runs)
        if text != page.read_text("utf-8"):
            write_bytes(page, text.encode())
            print(f"written: {page}", file=sys.stderr)
    save_figure(figure(runs), FIGURE)


if __name__ == "__main__":
    main()
