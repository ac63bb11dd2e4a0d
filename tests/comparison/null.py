"""How often a comparison finds a difference where there is none.

    python -m tests.comparison.null --draws 2000

Each draw makes two sets of seeds of one strategy (or thirteen, for Holm's correction over twelve
rows) whose accuracies come from one normal distribution, with the mean and the spread of real runs
of random_replay on Split MNIST, and hands them to the functions that `clbench compare` tests with.
Expected: with n pairs the sign-flip test rejects at 5 % with the largest probability k / 2**n that
is at most 0.05, since its p-values are multiples of 2 / 2**n.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from clbench.measuring.statistics import holm, sign_flip_p

LEVEL = 0.05
MEAN, SPREAD = 0.848, 0.005  # six seeds of random_replay with 1,960 bytes: 84.8 +- 0.5
ROWS, PAIRS_OF_ROWS = 12, 12


def attainable(pairs: int) -> float:
    """The probability that p is at most `LEVEL` under the null hypothesis, without ties."""
    least = 2 / 2**pairs
    return least * int(LEVEL / least)


def one_test(pairs: int, draws: int, rng: np.random.Generator) -> float:
    """Share of draws in which two sets of seeds of one strategy differ at `LEVEL`."""
    values = rng.normal(MEAN, SPREAD, (draws, 2, pairs))
    return float(np.mean([sign_flip_p(one - other) <= LEVEL for one, other in values]))


def family(rows: int, pairs: int, draws: int, rng: np.random.Generator) -> float:
    """Share of draws in which any of so many rows differs from one baseline, by Holm's p."""
    values = rng.normal(MEAN, SPREAD, (draws, rows + 1, pairs))
    return float(
        np.mean(
            [
                min(holm([sign_flip_p(row - sets[0]) for row in sets[1:]])) <= LEVEL
                for sets in values
            ]
        )
    )


def main() -> None:
    """Simulate and print: what, the share of false positives, and the bounds it should keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    checks: list[tuple[str, Callable[[], float], float, float]] = [
        (
            f"6 pairs, p (attainable {100 * attainable(6):.1f} %)",
            lambda: one_test(6, arguments.draws, rng),
            0.02,
            0.045,
        ),
        (
            f"10 pairs, p (attainable {100 * attainable(10):.1f} %)",
            lambda: one_test(10, arguments.draws, rng),
            0.03,
            0.07,
        ),
        (
            f"{ROWS} rows of {PAIRS_OF_ROWS} pairs, any p after Holm",
            lambda: family(ROWS, PAIRS_OF_ROWS, arguments.draws, rng),
            0.0,
            0.06,
        ),
    ]
    for what, simulate, low, high in checks:
        found = simulate()
        kept = "as expected" if low <= found <= high else "NOT as expected"
        print(
            f"{what}: {100 * found:.1f} % of {arguments.draws:,} draws, {kept} "
            f"({100 * low:g} to {100 * high:g} %)"
        )


if __name__ == "__main__":
    main()
