"""LwF on Split MNIST by Avalanche's own strategy, benchmark and network.

    python docs/results/lwf_in_avalanche.py DIR 0 1 2

DIR holds MNIST; then the seeds. Settings are those of Avalanche's published result (31 %): ten
epochs, SGD of step size 0.001, batches of 128, one hidden layer of 256, weight 1, temperature 1.
Prints the accuracy of all classes after each experience.
"""

from __future__ import annotations

import sys

from clbench.machine import compat

compat.prepare()

import torch  # noqa: E402
from avalanche.benchmarks import SplitMNIST  # noqa: E402
from avalanche.evaluation.metrics import accuracy_metrics  # noqa: E402
from avalanche.models import SimpleMLP  # noqa: E402
from avalanche.training import LwF  # noqa: E402
from avalanche.training.determinism.rng_manager import RNGManager  # noqa: E402
from avalanche.training.plugins import EvaluationPlugin  # noqa: E402


def accuracies(root: str, seed: int) -> list[float]:
    """Return the accuracy of the whole test stream after each experience."""
    RNGManager.set_random_seeds(seed)
    benchmark = SplitMNIST(5, return_task_id=False, dataset_root=root)
    network = SimpleMLP(10, hidden_size=256, hidden_layers=1, drop_rate=0)
    strategy = LwF(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.001),
        criterion=torch.nn.CrossEntropyLoss(),
        alpha=1,
        temperature=1,
        train_mb_size=128,
        train_epochs=10,
        evaluator=EvaluationPlugin(accuracy_metrics(stream=True), loggers=[]),
    )
    found = []
    for experience in benchmark.train_stream:
        strategy.train(experience)
        (accuracy,) = strategy.eval(benchmark.test_stream).values()
        found.append(accuracy)
    return found


for seed in map(int, sys.argv[2:]):
    print(seed, *(f"{100 * one:.1f}" for one in accuracies(sys.argv[1], seed)), flush=True)
