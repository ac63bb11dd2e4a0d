"""The tests of a comparison keep their level where there is no difference, and find one there is.

`python -m tests.comparison.null --draws 2000` is the longer simulation.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

from clbench.measuring.statistics import sign_flip_p
from tests.comparison import null


def within(share: float, expected: float, draws: int) -> bool:
    """Four standard errors: a right test fails once in 16,000 seeds, and the seed is fixed."""
    return abs(share - expected) <= 4 * (expected * (1 - expected) / draws) ** 0.5


@pytest.mark.parametrize(("pairs", "expected"), [(6, 0.03125), (10, 50 / 1024)])
def test_two_sets_of_seeds_of_one_strategy_seldom_differ(pairs: int, expected: float) -> None:
    assert null.attainable(pairs) == expected
    share = null.one_test(pairs, 1000, np.random.default_rng(0))
    assert within(share, expected, 1000), share


def test_holm_keeps_the_family_of_twelve_rows() -> None:
    share = null.family(null.ROWS, null.PAIRS_OF_ROWS, 150, np.random.default_rng(0))
    assert share <= 0.06 + 2 * (0.06 * 0.94 / 150) ** 0.5
    loose = np.random.default_rng(0).normal(0, 1, (150, 12, 12))
    uncorrected = np.mean([min(map(sign_flip_p, rows)) <= 0.05 for rows in loose])
    assert uncorrected > 0.3, "twelve tests without a correction would reject far more often"


def test_a_difference_of_two_deviations_is_found() -> None:
    rng = np.random.default_rng(0)
    p = [sign_flip_p(rng.normal(2, 1, 8)) for _ in range(100)]
    assert np.mean(np.array(p) <= 0.05) > 0.9


def test_the_simulation_prints_what_it_expects(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["null", "--draws", "20"])
    null.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all("% of 20 draws" in line for line in lines)
