"""Compute of rows, and whether distilling pays."""

from __future__ import annotations

import dataclasses

import pytest

from clbench.comparison import compare
from tests.comparison.test_comparison import group, make, printed


def runs(strategy, accuracy, *, train=10.0, distil=0.0, flops=1.0, size=2000, gain=0.0, **settings):
    """Six seeds of these seconds and 1e9 operations; ``gain`` is what each seed has more."""
    found = []
    for seed in range(6):
        report = make(
            strategy,
            seed,
            accuracy + 0.002 * seed + gain * seed,
            num_bytes=size,
            memory__capacity_bytes=size,
            **settings,
        )
        seconds = {"train": train, "distil": distil, "total": 99.0}
        found.append(
            dataclasses.replace(
                report,
                measured={"seconds": seconds},
                flops={"train": 1e9, "distil": (flops - 1) * 1e9, "evaluate": 5e9},
            )
        )
    return found


def test_compute_is_training_and_distilling():
    comparison = compare(runs("dam_replay", 0.8, distil=5.0, flops=3.0))
    dam = group(comparison, "dam_replay")
    assert dam.compute_seconds.mean == 15.0, "neither evaluation nor anything else"
    assert dam.compute_flops.mean == pytest.approx(3e9)
    # R = [[1, 0], [A - 0.1, A + 0.1]]: its diagonal is 1 and A + 0.1, and A is 0.805 in the mean.
    assert dam.learning_accuracy.mean == pytest.approx((1 + 0.905) / 2)
    row = next(line for line in printed(comparison).splitlines() if " dam_replay" in line)
    assert row.split()[-2:] == ["15.0", "3.0e9"]
    lacking = [dataclasses.replace(r, flops={}, measured={}) for r in runs("dam_replay", 0.8)]
    assert group(compare(lacking), "dam_replay").compute_flops is None
    assert "FLOPs  " not in printed(compare(lacking))


def test_distilling_pays_where_no_real_memory_reaches_it():
    reports = runs("dam_replay", 0.80, distil=10.0, flops=3.0) + runs("random_replay", 0.70)
    reports += runs("herding_replay", 0.75, distil=2.0, flops=2.0)
    (worth,) = compare(reports).costs
    assert worth.pays is True
    assert (worth.distilled, worth.rival, worth.elsewhere) == ("dam_replay", "herding_replay", None)
    assert worth.sentence == (
        "2,000 bytes: distilling pays: dam_replay scores 80.5 % with 1.5 times the operations and "
        "1.7 times the seconds of herding_replay, the best real memory (75.5 %; difference +5.0 "
        "points, 95 % interval +5.0 to +5.0)"
    )


def test_distilling_does_not_pay_where_a_real_memory_reaches_it_with_less():
    reports = runs("dam_replay", 0.80, distil=10.0, flops=3.0) + runs("random_replay", 0.81)
    reports += runs("herding_replay", 0.85, distil=5.0, flops=2.0)
    (worth,) = compare(reports).costs
    assert worth.pays is False
    assert worth.rival == "random_replay", "the cheapest that reaches it, not the best"
    assert "random_replay, real, scores 81.5 % with 0.33 times the operations" in worth.sentence


def test_it_is_open_where_seeds_or_clocks_do_not_agree():
    spread = runs("dam_replay", 0.70, flops=3.0, gain=0.03) + runs("random_replay", 0.75)
    (worth,) = compare(spread).costs
    assert group(compare(spread), "dam_replay").versus.difference.low < 0
    assert worth.pays is None and "it is open whether distilling pays" in worth.sentence
    slower = runs("dam_replay", 0.80, flops=3.0) + runs("random_replay", 0.81, train=40.0)
    (worth,) = compare(slower).costs
    assert worth.pays is None, "fewer operations, more seconds"
    (alone,) = compare(runs("dam_replay", 0.8)).costs
    assert alone.pays is None and alone.rival is None
    assert compare(runs("random_replay", 0.8)).costs == ()


def test_more_bytes_or_more_epochs_that_buy_the_same_for_less_are_named():
    reports = runs("dam_replay", 0.80, distil=10.0, flops=3.0) + runs("random_replay", 0.70)
    more_epochs = runs("random_replay", 0.95, train=15.0, flops=1.0, learner__epochs=3)
    worth = next(w for w in compare([*reports, *more_epochs]).costs)
    assert worth.elsewhere == "random_replay, epochs=3"
    larger = runs("random_replay", 0.82, size=8000)
    comparison = compare([*reports, *more_epochs, *larger])
    worth = next(w for w in comparison.costs if w.num_bytes == 2000)
    assert worth.elsewhere == "random_replay, capacity_bytes=8000, epochs=default", (
        "own learner first"
    )
    assert "reaches 82.5 % with 0.33 times the operations and 0.5 times the" in worth.sentence
    dear = runs("random_replay", 0.82, size=8000, flops=9.0)
    worth = next(w for w in compare([*reports, *dear]).costs if w.num_bytes == 2000)
    assert worth.elsewhere is None and worth.sentence.endswith("reaches it with less")
    assert "Cost: " in printed(comparison)
