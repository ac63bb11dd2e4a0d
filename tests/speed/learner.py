"""The learner's training: clbench against a bare tensor loop and against stock Avalanche.

    python -m tests.speed.learner --data-root DIR

Same data, network (MLP 2x400), optimiser and batches (64 current + 64 memory images, 10 random real
images per class remembered) in all three; images per second over experiences 2 to 5 of split MNIST,
one epoch each. Stock Avalanche is its own SplitMNIST with Naive and ReplayPlugin, all else by
default (its evaluator logs to nowhere). Run it on an idle machine: threads wait for each other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from clbench.benchmarks import make_benchmark
from clbench.config import BenchmarkConfig, RunConfig
from clbench.machine import compat
from clbench.machine.allocator import keep_freed_memory
from clbench.strategies import build, make_memory

CONFIG = RunConfig(strategy="random_replay", benchmark=BenchmarkConfig("split_mnist"), device="cpu")


def bare(benchmark) -> tuple[int, float]:
    """Plain PyTorch: index, normalise, join, step."""
    spec, learner = benchmark.spec, CONFIG.learner
    network = torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(784, 400),
        torch.nn.ReLU(),
        torch.nn.Linear(400, 400),
        torch.nn.ReLU(),
        torch.nn.Linear(400, 10),
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=learner.learning_rate)
    memory_x, memory_y, images, seconds = [], [], 0, 0.0
    for k in range(len(benchmark)):
        data = benchmark.tensors("train", k)
        start = time.perf_counter()
        if k:
            x_memory, y_memory = torch.cat(memory_x), torch.cat(memory_y)
        for index in torch.randperm(len(data)).split(learner.batch_size):
            x, y = spec.normalise(data.images[index]), data.labels[index]
            if k:
                draw = torch.randint(len(y_memory), (learner.memory_batch_size,))
                x, y = torch.cat([x, x_memory[draw]]), torch.cat([y, y_memory[draw]])
            loss = F.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            images += len(x) if k else 0
        seconds += time.perf_counter() - start if k else 0
        for c in data.classes:
            few = data.of_class(c)
            memory_x.append(spec.normalise(few.images[:10]))
            memory_y.append(few.labels[:10])
    return images, seconds


def ours(benchmark) -> tuple[int, float]:
    """`random_replay` as `clbench run` builds it."""
    memory = make_memory(CONFIG, benchmark.spec, device="cpu", cache=False, on_update=None)
    strategy = build(CONFIG, benchmark.spec, device="cpu", memory=memory)
    train = benchmark.streams.train
    strategy.train(train[0])
    before, start = strategy.num_trained_images, time.perf_counter()
    for experience in train[1:]:
        strategy.train(experience)
    return strategy.num_trained_images - before, time.perf_counter() - start


def stock(data_root: Path) -> tuple[int, float]:
    """Avalanche's own SplitMNIST, Naive and ReplayPlugin."""
    compat.prepare()
    from avalanche.benchmarks.classic import SplitMNIST
    from avalanche.models import SimpleMLP
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ClassBalancedBuffer
    from avalanche.training.supervised import Naive

    benchmark = SplitMNIST(5, fixed_class_order=list(range(10)), dataset_root=data_root)
    model = SimpleMLP(num_classes=10, hidden_size=400, hidden_layers=2, drop_rate=0)
    replay = ReplayPlugin(mem_size=100, storage_policy=ClassBalancedBuffer(100, False, 10))
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=CONFIG.learner.learning_rate),
        train_mb_size=64,
        plugins=[replay],
    )
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        strategy.train(benchmark.train_stream[0])
        images, start = 0, time.perf_counter()
        for experience in benchmark.train_stream[1:]:
            strategy.train(experience)
            images += len(experience.dataset) + 64 * -(-len(experience.dataset) // 64)
        return images, time.perf_counter() - start


def main() -> None:
    """Measure each three times, in turn, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, required=True, help="folder holding MNIST/raw")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed_memory()
    benchmark = make_benchmark(CONFIG.benchmark, arguments.data_root, 0)
    for split in range(len(benchmark)):
        benchmark.tensors("train", split)
    rates: dict[str, list[float]] = {"bare": [], "clbench": [], "stock": []}
    for _ in range(arguments.repeats):
        for name, measure in (
            ("bare", lambda: bare(benchmark)),
            ("clbench", lambda: ours(benchmark)),
            ("stock", lambda: stock(arguments.data_root)),
        ):
            images, seconds = measure()
            rates[name].append(images / seconds)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, value in medians.items():
        print(f"{name}: {value:,.0f} images per second")
    print(f"clbench / bare: {medians['clbench'] / medians['bare']:.2f}")
    print(f"clbench / stock: {medians['clbench'] / medians['stock']:.2f}")


if __name__ == "__main__":
    main()
