"""Training on full data: clbench's loop against bare PyTorch on tensors.

    python -m tests.speed.offline --data-set mnist --data-root DIR
    python -m tests.speed.offline --noise 3x128x128 --networks convnet7 --images 256

The same network, optimiser, batches of 128 and precision in both; the bare loop has its images
normalised beforehand and sums nothing up. Both in turn, medians; run it on an idle machine.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from clbench import data, networks
from clbench.config import NetworkConfig
from clbench.evaluation import RECIPES
from clbench.machine.allocator import keep_freed_memory
from clbench.machine.device import autocast
from clbench.seeding import generator
from clbench.training import Training
from clbench.types import ImageSpec, LabelledImages

CPU = torch.device("cpu")
RECIPE = RECIPES["course"]
NETWORKS = {
    "mlp": NetworkConfig("mlp"),
    "lenet": NetworkConfig("lenet"),
    "cnn": NetworkConfig("cnn"),
    "convnet": NetworkConfig("convnet"),
    "convnet7": NetworkConfig("convnet", depth=7),
}
DIGITS = ["mlp", "lenet", "cnn", "convnet"]


def bare(images: LabelledImages, spec: ImageSpec, config: NetworkConfig) -> float:
    """Seconds of an epoch."""
    network = networks.build(config, spec, seed=0)
    x, y = spec.normalise(images.images), images.labels
    optimizer = torch.optim.SGD(
        network.parameters(), lr=RECIPE.learning_rate, momentum=RECIPE.momentum
    )
    start = time.perf_counter()
    for index in torch.randperm(len(x)).split(RECIPE.batch_size):
        with autocast("auto", CPU):
            logits = network(x[index])
        loss = F.cross_entropy(logits.float(), y[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def ours(images: LabelledImages, spec: ImageSpec, config: NetworkConfig) -> float:
    """Seconds of an epoch."""
    network = networks.build(config, spec, seed=0)
    training = Training(network, images, spec, RECIPE, generator=generator(0, "speed"), device=CPU)
    start = time.perf_counter()
    training.epoch()
    return time.perf_counter() - start


def noise(shape: str, num: int) -> tuple[LabelledImages, ImageSpec]:
    """So many uint8 images of two classes, and what they look like."""
    channels, height, width = map(int, shape.split("x"))
    spec = ImageSpec(channels, height, width, 2, (0.5,) * channels, (0.3,) * channels)
    rng = generator(0, "noise")
    pixels = torch.randint(256, (num, *spec.shape), generator=rng, dtype=torch.uint8)
    return LabelledImages(pixels, torch.arange(num) % 2), spec


def main() -> None:
    """Measure each network's epoch in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-set", default="mnist5k")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--images", type=int, default=4000, help="in an epoch")
    parser.add_argument(
        "--noise", metavar="CxHxW", help="two classes of noise instead of a data set"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=DIGITS)
    arguments = parser.parse_args()
    keep_freed_memory()
    if arguments.noise:
        images, spec = noise(arguments.noise, arguments.images)
    else:
        loaded = data.load(arguments.data_set, arguments.data_root)
        images = loaded.train.select(torch.arange(min(arguments.images, len(loaded.train))))
        spec = loaded.spec
    for name in arguments.networks:
        seconds: dict[str, list[float]] = {"bare": [], "ours": []}
        for _ in range(arguments.repeats):
            seconds["bare"].append(bare(images, spec, NETWORKS[name]))
            seconds["ours"].append(ours(images, spec, NETWORKS[name]))
        medians = {key: statistics.median(values) for key, values in seconds.items()}
        print(
            f"{name}: {len(images) / medians['ours']:,.0f} images a second, "
            f"{medians['ours'] / medians['bare']:.2f} times the bare loop's seconds"
        )


if __name__ == "__main__":
    main()
