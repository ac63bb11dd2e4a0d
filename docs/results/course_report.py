"""The course report's MNIST table again: report | its recipe, ours | best, ours.

    python docs/results/course_report.py --data-root DIR --output OUT

Every finished step is kept below OUT (trainings in the cache of trials), so the command can be
stopped and started again. The report's condensation draws 100 networks, which takes hours without a
GPU; --num-networks takes fewer, and the table says so. Steps may be named to do only these.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import clbench
from clbench import data, networks
from clbench.config import (
    ArchitectureSearchSettings,
    DistillationConfig,
    MatchingSettings,
    NetworkConfig,
    OfflineSettings,
    SetSettings,
    SetTrainingConfig,
    TrajectorySettings,
)
from clbench.data import ImageData
from clbench.evaluation import RECIPES
from clbench.figures import comparison_bars_figure, save_figure
from clbench.machine.allocator import keep_freed_memory
from clbench.measuring.cost import forward_flops
from clbench.sets import DistilledSet
from clbench.store.files import write_bytes, write_json
from clbench.types import ImageSpec, LabelledImages

CONVNET, VGG11 = NetworkConfig("convnet"), NetworkConfig("vgg11")
# The report's training on a condensed set; momentum and cosine as in its training on full data.
COURSE = SetTrainingConfig(
    epochs=20, batch_size=10, learning_rate=0.01, weight_decay=0.0, schedule="cosine",
    augmentation="none",
)  # fmt: skip
BEST = SetTrainingConfig()
# As many steps from a fifth of the images, for the deep.
BEST_SHORT = BEST.replace(epochs=60, batch_size=20)
# The protocol that ranks, README, "Architecture search".
RANKING = BEST.replace(epochs=60, batch_size=10, augmentation="none")
WIDE = NetworkConfig("convnet", width=64, depth=3, norm="instance")
# Name of a set -> distillation; those of the course take its own networks, K of them.
DATADAM = DistillationConfig("datadam", WIDE)
SETS: dict[str, DistillationConfig] = {
    "course-real": DATADAM.with_preset("course"),
    "course-noise": DATADAM.with_preset("course").replace(initialisation="noise"),
    "course-pad": DATADAM.with_preset("course_pad"),
    "best-real": DATADAM.replace(settings=MatchingSettings(num_networks=320)),
    "best-noise": DATADAM.replace(
        settings=MatchingSettings(num_networks=240), initialisation="noise"
    ),
    "best-pad": DistillationConfig(
        "pad", WIDE, settings=TrajectorySettings(start=MatchingSettings(num_networks=320))
    ),
}


@dataclass(frozen=True)
class Row:
    """One line of the table; steps that it needs, or None where there is nothing to compare."""

    title: str
    report: str
    same: str | None
    best: str | None


ROWS = (
    Row("full data, ConvNet-3", "99.42", "full-course", "full-best"),
    Row("condensed, from real images", "88.42", "score-course-real", "score-best-real"),
    Row("condensed, from noise", "9.58", "score-course-noise", "score-best-noise"),
    Row("VGG11 on the condensed set", "87.12", "vgg-course-real", "vgg-best-real"),
    Row("best of 54 architectures, on the set", "70.38", "search-course-real", "search-best-real"),
    Row("its PAD, from easy images; ours PAD", "90.66", "score-course-pad", "score-best-pad"),
)


class Work:
    """The steps, each done once."""

    def __init__(self, images: ImageData, output: Path, num_networks: int, trained: int) -> None:
        self.images, self.output = images, output
        self.num_networks, self.trained = num_networks, trained

    def steps(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Name -> what does it."""
        found: dict[str, Callable[[], dict[str, Any]]] = {
            "full-course": lambda: self._full("course"),
            "full-best": lambda: self._full("modern"),
        }
        for name in SETS:
            course = name.startswith("course")
            training, short = (COURSE, COURSE) if course else (BEST, BEST_SHORT)
            slow = short.replace(learning_rate=0.001)
            found[f"score-{name}"] = lambda n=name, t=training: self._score(n, CONVNET, t)
            if name.endswith("real"):
                found[f"vgg-{name}"] = lambda n=name, t=slow: self._score(n, VGG11, t)
                ranking, final = (COURSE, None) if course else (RANKING, BEST)
                found[f"search-{name}"] = lambda n=name, r=ranking, f=final: self._search(n, r, f)
        return found

    def do(self, name: str, step: Callable[[], dict[str, Any]]) -> None:
        """Do a step unless its result is there."""
        place = self.output / f"{name}.json"
        if not place.exists():
            write_json(place, step())
        print(f"{name}: {json.loads(place.read_text())['shown']}", flush=True)

    def _full(self, recipe: str) -> dict[str, Any]:
        settings = OfflineSettings(CONVNET, RECIPES[recipe])
        found = clbench.evaluate("offline", settings=settings, images=self.images, device="cpu")
        shown = f"{100 * found.accuracy:.2f}"
        return {"shown": shown, "values": [found.accuracy], **found.to_dict()}

    def _set(self, name: str) -> DistilledSet:
        place = self.output / f"{name}.safetensors"
        if not place.exists():
            config = SETS[name]
            if name.startswith("course"):
                settings = config.settings.replace(num_networks=self.num_networks)
                config = config.replace(settings=settings)
            clbench.distil(self.images, config, device="cpu", output=place)
        return clbench.load_set(place, check=False)

    def _score(
        self, name: str, network: NetworkConfig, training: SetTrainingConfig
    ) -> dict[str, Any]:
        settings = SetSettings(self.trained, network, training)
        one = self._set(name)
        found = clbench.evaluate("set", {"set": one}, settings, images=self.images, device="cpu")
        ours, random = (row.scores for row in found.rows[:2])
        shown = f"{100 * ours.mean:.1f} ± {100 * ours.std:.1f} (random {100 * random.mean:.1f})"
        return {
            "shown": shown,
            "values": list(ours.values),
            "random": list(random.values),
            "grey_levels_from_real": grey_levels_from_real(one.images, self.images.train),
        }

    def _search(
        self, name: str, ranking: SetTrainingConfig, final: SetTrainingConfig | None
    ) -> dict[str, Any]:
        """Ranked by one training each; the chosen one trained by ``final``, where given."""
        settings = ArchitectureSearchSettings("cnn54", training=ranking, full_epochs=0)
        found = clbench.evaluate(
            "architecture_search", {"set": self._set(name)}, settings, images=self.images,
            device="cpu",
        )  # fmt: skip
        ours = found.proxies[0]
        if final is None:
            accuracy = ours.chosen_accuracy
            scores: dict[str, Any] = {"shown": f"{100 * accuracy:.1f}", "values": [accuracy]}
        else:
            scores = self._score(name, found.candidates[ours.chosen], final)
        scores["shown"] += f", {found.labels[ours.chosen]}"
        return {**scores, **found.to_dict()}


def grey_levels_from_real(made: LabelledImages, real: LabelledImages) -> list[float]:
    """Of each image to the nearest real one: root mean square over pixels, 0 to 255."""
    ours, theirs = (data.images.flatten(1).float() for data in (made, real))
    # Without the shortcut through products, which is off by a tenth of a grey level.
    nearest = torch.cdist(ours, theirs, compute_mode="donot_use_mm_for_euclid_dist")
    pixels = made.images[0].numel()
    return [float(distance) / pixels**0.5 for distance in nearest.min(1).values]


def flops() -> list[tuple[str, float, float]]:
    """(network, the report's figure, ours by its counting)."""
    digits = data.info("mnist").spec
    histology = ImageSpec(3, 128, 128, 2, (0.5,) * 3, (0.5,) * 3)
    seven = NetworkConfig("convnet", width=128, depth=7)
    found = []
    for title, config, spec, report in (
        ("ConvNet-3, 1 x 28 x 28", CONVNET, digits, 4.96e7),
        ("ConvNet-7, 3 x 128 x 128", seven, histology, 8.81e8),
    ):
        network = networks.build(config, spec, seed=0)
        found.append((title, report, forward_flops(network, spec.shape, report_counting=True)))
    return found


def table(output: Path, num_networks: int) -> str:
    """The table in Markdown, of what is done."""

    def cell(step: str | None) -> str:
        place = output / f"{step}.json"
        return json.loads(place.read_text())["shown"] if step and place.exists() else "-"

    lines = ["| result, accuracy % | report | its recipe, ours | best, ours |", "|---|---|---|---|"]
    lines += [f"| {r.title} | {r.report} | {cell(r.same)} | {cell(r.best)} |" for r in ROWS]
    lines += ["", "| FLOPs | report | ours by its counting | off by |", "|---|---|---|---|"]
    for title, report, ours in flops():
        lines.append(
            f"| {title} | {report:.3g} | {ours:.4g} | {100 * abs(ours / report - 1):.2f} % |"
        )
    if num_networks != 100:
        lines += ["", f"Condensed with {num_networks} networks where the report takes 100."]
    return "\n".join(lines) + "\n"


def figure(output: Path) -> None:
    """Bars of what is done, the report's numbers beside them."""
    groups: dict[str, Sequence[float]] = {}
    for row in ROWS:
        groups[f"{row.title}: report"] = [float(row.report) / 100]
        for label, step in (("its recipe", row.same), ("best", row.best)):
            place = output / f"{step}.json"
            if step and place.exists():
                groups[f"{row.title}: {label}"] = json.loads(place.read_text())["values"]
    save_figure(
        comparison_bars_figure(groups, title="Course report and clbench, MNIST"),
        output / "course_report.png",
    )


def main() -> None:
    """Do what is missing and write table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--num-networks", type=int, default=100, help="K of the course's loop")
    parser.add_argument("--trained", type=int, default=5, help="networks trained on each set")
    parser.add_argument("steps", nargs="*", help="only these")
    arguments = parser.parse_args()
    keep_freed_memory()
    images = data.load("mnist", arguments.data_root)
    work = Work(images, arguments.output, arguments.num_networks, arguments.trained)
    steps = work.steps()
    unknown = set(arguments.steps) - set(steps)
    if unknown:
        parser.error(f"expected steps of {', '.join(steps)}, found {', '.join(sorted(unknown))}")
    for name, step in steps.items():
        if not arguments.steps or name in arguments.steps:
            work.do(name, step)
    written = table(arguments.output, arguments.num_networks)
    write_bytes(arguments.output / "course_report.md", written.encode())
    figure(arguments.output)
    print(written)


if __name__ == "__main__":
    main()
