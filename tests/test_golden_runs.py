"""All strategies on one tiny stream: numbers that must not drift, and what must hold beside them.

A change of a golden number argues for itself in the commit that makes it.
"""

from __future__ import annotations

import pytest

from clbench.report import RunReport
from clbench.run import run
from clbench.strategies import STRATEGIES
from tests import tiny_stream

SEEDS = (0, 1)
TOLERANCE = 0.03  # 7 of the 240 test images of two seeds; other processors round otherwise

# Mean over SEEDS of average accuracy and forgetting after three experiences of two classes.
GOLDEN = {
    "naive": (0.333, 1.000),
    "cumulative": (0.992, 0.000),
    "random_replay": (0.979, 0.031),
    "random_gdumb": (0.713, 0.163),
    "reservoir_replay": (0.979, 0.031),
    "reservoir_gdumb": (0.708, 0.125),
    "herding_replay": (0.988, 0.019),
    "herding_gdumb": (0.842, 0.075),
    "dm_replay": (0.988, 0.019),
    "dm_gdumb": (0.792, 0.119),
    "dam_replay": (1.000, 0.000),
    "dam_gdumb": (0.858, 0.063),
    "kip_replay": (1.000, 0.000),
    "kip_gdumb": (0.913, 0.050),
    "frepo_replay": (0.992, 0.013),
    "frepo_gdumb": (0.796, 0.131),
    "pad_replay": (0.996, 0.006),
    "pad_gdumb": (0.871, 0.088),
    "bptt_replay": (0.992, 0.013),
    "bptt_gdumb": (0.779, 0.094),
    "er_ace": (0.979, 0.031),
    "derpp": (0.996, 0.000),
    "agem": (0.592, 0.613),
    "mir": (0.988, 0.019),
    "ewc": (0.342, 0.988),
    "si": (0.333, 1.000),
    "lwf": (0.333, 1.000),
    "icarl": (0.979, 0.000),
    "bic": (0.867, 0.138),
}

_runs: dict[str, list[RunReport]] = {}


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[RunReport]]:
    """Every strategy's reports; computed once for all tests here."""
    tiny_stream.register(monkeypatch)
    for name in STRATEGIES:
        if name not in _runs:
            configs = [tiny_stream.config(name, seed=seed) for seed in SEEDS]
            _runs[name] = [run(config, use_cache=False) for config in configs]
    return _runs


def mean(reports: list[RunReport], metric: str) -> float:
    return sum(report.metrics[metric] for report in reports) / len(reports)


def test_the_table_is_whole() -> None:
    assert set(GOLDEN) == set(STRATEGIES)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_numbers(name: str, runs: dict[str, list[RunReport]]) -> None:
    accuracy, forgetting = GOLDEN[name]
    assert mean(runs[name], "average_accuracy") == pytest.approx(accuracy, abs=TOLERANCE)
    assert mean(runs[name], "forgetting") == pytest.approx(forgetting, abs=2 * TOLERANCE)


def test_a_naive_learner_knows_the_last_experience_only(runs: dict[str, list[RunReport]]) -> None:
    for report in runs["naive"]:
        for k, row in enumerate(report.accuracy_matrix):
            assert row[k] > 0.95
            assert all(value < 0.05 for j, value in enumerate(row) if j != k)


def test_replay_stands_between_naive_and_cumulative(runs: dict[str, list[RunReport]]) -> None:
    naive, cumulative = (mean(runs[n], "average_accuracy") for n in ("naive", "cumulative"))
    for name, info in STRATEGIES.items():
        if info.training == "replay" and info.method is None:
            found = mean(runs[name], "average_accuracy")
            assert naive + 0.4 < found <= cumulative + 0.02, name


def test_distilling_pays_on_a_memory_alone(runs: dict[str, list[RunReport]]) -> None:
    random, dm, dam = (
        mean(runs[f"{n}_gdumb"], "average_accuracy") for n in ("random", "dm", "dam")
    )
    assert random < dm < dam
    kip, frepo = (mean(runs[f"{n}_gdumb"], "average_accuracy") for n in ("kip", "frepo"))
    assert random < min(kip, frepo)


def test_bytes_at_the_end_differ_by_soft_labels_alone(runs: dict[str, list[RunReport]]) -> None:
    for name, info in STRATEGIES.items():
        image = 64 + (6 if info.memory in ("pad", "bptt") else 0)
        for report in runs[name]:
            assert (not report.memory) == (info.memory is None)
            if name == "derpp":
                (last,) = (entry["num_bytes"] for entry in report.memory[-1:])
                assert last == 6 * 3 * image // (image + 6) * (image + 6), "logits are charged"
                continue
            assert all(entry["num_bytes"] == 6 * 3 * image for entry in report.memory[-1:]), name


def test_all_start_from_the_same_network(runs: dict[str, list[RunReport]]) -> None:
    for position in range(len(SEEDS)):
        reports = [runs[name][position] for name in STRATEGIES]
        assert len({tuple(report.untrained_accuracy) for report in reports}) == 1
    untrained = [report.untrained_accuracy for report in runs["naive"]]
    assert untrained[0] != untrained[1]


def test_the_first_experience_is_the_same_without_and_with_replay(
    runs: dict[str, list[RunReport]],
) -> None:
    for position in range(len(SEEDS)):
        rows = {
            tuple(runs[name][position].accuracy_matrix[0])
            for name, info in STRATEGIES.items()
            if info.training != "gdumb" and name != "icarl"  # whose loss is another
        }
        assert len(rows) == 1


def test_replay_and_gdumb_of_one_seed_share_their_memory(runs: dict[str, list[RunReport]]) -> None:
    for memory in ("dm", "dam", "pad"):
        for replay, gdumb in zip(runs[f"{memory}_replay"], runs[f"{memory}_gdumb"], strict=True):
            assert replay.distillation == gdumb.distillation
            assert all(entry["losses"] for entry in replay.distillation)
