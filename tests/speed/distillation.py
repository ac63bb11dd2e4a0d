"""DataDAM: the amortised loop of the source against the paper's plain loop, in equal time.

    python -m tests.speed.distillation --seconds 120 --data-root DIR

Same data, same network size, same machine, one process. Prints image updates per second of both,
their ratio, and the accuracy of fresh networks trained on what each made in that time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from clbench.config import DistillationConfig, MatchingSettings, SetTrainingConfig
from clbench.data import load
from clbench.distillation import Job, make_distiller
from clbench.evaluation import evaluate_set
from clbench.machine.allocator import keep_freed_memory
from clbench.seeding import generator
from clbench.types import LabelledImages
from tests.distillation.reference import plain_distill
from tests.distilling import changed

CPU = torch.device("cpu")


class _Clock:
    """Counts updates and says when the time is up."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.updates, self.start = seconds, 0, time.perf_counter()

    def __call__(self, *_: object) -> bool:
        self.updates += 1
        return time.perf_counter() - self.start >= self.seconds

    @property
    def rate(self) -> float:
        return self.updates / (time.perf_counter() - self.start)


def plain(
    data, config: DistillationConfig, num: int, seconds: float
) -> tuple[LabelledImages, float]:
    """The paper's loop until the time is up; its set and its updates per second."""
    clock = _Clock(seconds)
    settings = changed(config, num_networks=10**6, batch_real=256)
    images = plain_distill(
        data.train, data.spec, settings, num, generator(0, "speed"), on_iteration=clock
    )
    labels = torch.tensor(data.train.classes).repeat_interleave(num)
    return LabelledImages(images, labels), clock.rate


def fast(
    data, config: DistillationConfig, num: int, seconds: float
) -> tuple[LabelledImages, float]:
    """The default loop with as many networks as fit into the time."""

    def distil(num_networks: int) -> tuple[LabelledImages, _Clock]:
        clock = _Clock(seconds)
        settings = changed(config, num_networks=num_networks)
        job = Job.equal(data.train, data.spec, num, generator(0, "speed")).replace(on_update=clock)
        result = make_distiller(settings).distill(job)
        return result, clock

    updates_per_network = config.own(MatchingSettings).updates_per_network
    rate = distil(5)[1].rate
    result, clock = distil(max(1, int(0.95 * seconds * rate / updates_per_network)))
    return result, clock.rate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--data-set", default="mnist5k")
    parser.add_argument("--images-per-class", type=int, default=10)
    parser.add_argument("--num-networks", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=300)
    arguments = parser.parse_args()
    keep_freed_memory()
    data, config = load(arguments.data_set, arguments.data_root), DistillationConfig()
    protocol = SetTrainingConfig(epochs=arguments.epochs)
    rates = {}
    for name, loop in (("plain", plain), ("fast", fast)):
        made, rates[name] = loop(data, config, arguments.images_per_class, arguments.seconds)
        scores = evaluate_set(
            made.quantised(),
            data.test,
            data.spec,
            config.network,
            protocol,
            seeds=range(arguments.num_networks),
            device=CPU,
        )
        print(
            f"{name}: {rates[name]:.2f} image updates per second, "
            f"accuracy {100 * scores.mean:.2f} % of {scores.num} networks"
        )
    print(f"ratio fast / plain: {rates['fast'] / rates['plain']:.1f}")


if __name__ == "__main__":
    main()
