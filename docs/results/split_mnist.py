"""Distilled against real memories on Split MNIST: the runs behind docs/results/README.md.

    python docs/results/split_mnist.py --data-root DIR --output runs/results --learner mlp
    clbench compare runs/results/mlp

Random, herding, DM and DataDAM memories, raw or in tiles of factor 2, replayed or trained on alone,
under six seeds. A finished run is never repeated, so the command can be stopped
and started again, or started several times at once for different seeds (one thread each).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import clbench
from clbench.config import (
    BenchmarkConfig,
    DistillationConfig,
    LearnerConfig,
    MemoryConfig,
    NetworkConfig,
    RunConfig,
    SetTrainingConfig,
)

LEARNERS = {
    "mlp": NetworkConfig("mlp", width=400, depth=2),
    "convnet": NetworkConfig("convnet", width=32, depth=3, norm="instance"),
    "lenet": NetworkConfig("lenet"),
    "convnet128": NetworkConfig("convnet", width=128, depth=3, norm="instance"),
}
MATCHING = NetworkConfig("convnet", width=32, depth=3, norm="instance")
MEMORIES = ("random", "herding", "dm", "dam")


def configuration(
    learner: str, strategy: str, codec: str, seed: int, images_per_class: int, set_epochs: int
) -> RunConfig:
    """Everything but the memory is the same for all."""
    return RunConfig(
        strategy=strategy,
        seed=seed,
        device="cpu",
        benchmark=BenchmarkConfig("split_mnist"),
        learner=LearnerConfig(network=LEARNERS[learner]),
        memory=MemoryConfig(images_per_class=images_per_class, codec=codec),
        distillation=DistillationConfig(network=MATCHING),
        set_training=SetTrainingConfig(epochs=set_epochs),
    )


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--learner", choices=LEARNERS, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(6))
    parser.add_argument("--bounds", action="store_true", help="naive and cumulative too")
    parser.add_argument("--memory", nargs="+", default=MEMORIES)
    parser.add_argument("--training", nargs="+", default=["replay", "gdumb"])
    parser.add_argument("--codec", nargs="+", default=["raw", "tiles:factor=2"])
    parser.add_argument("--images-per-class", type=int, default=10)
    parser.add_argument("--set-epochs", type=int, default=300, help="of *_gdumb")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        (f"{memory}_{training}", codec)
        for training in arguments.training
        for codec in arguments.codec
        for memory in arguments.memory
    ]
    bounds = [("naive", "raw"), ("cumulative", "raw")] if arguments.bounds else []
    for seed in arguments.seeds:
        for strategy, codec in bounds + rows:
            name = f"{strategy}-{codec.replace(':', '-')}-seed{seed}"
            place = arguments.output / arguments.learner / name
            if (place / "report.json").exists():
                continue
            sizes = (arguments.images_per_class, arguments.set_epochs)
            config = configuration(arguments.learner, strategy, codec, seed, *sizes)
            report = clbench.run(config, data_root=arguments.data_root, output=place)
            accuracy = 100 * report.metrics["average_accuracy"]
            print(f"{arguments.learner} {name}: average accuracy {accuracy:.2f} %", flush=True)


if __name__ == "__main__":
    main()
