"""Intervals and tests against numbers worked by hand and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clbench.errors import InputError
from clbench.measuring.statistics import cohens_d_paired, holm, mean_interval, sign_flip_p


def test_interval_worked_by_hand():
    # t(0.975, 2) = 4.302653; s = 1; half width 4.302653 / sqrt(3) = 2.484138
    assert mean_interval([1, 2, 3]) == pytest.approx((2, 2 - 2.484138, 2 + 2.484138), abs=1e-6)
    # t(0.95, 2) = 2.919986
    assert mean_interval([1, 2, 3], level=0.9)[2] == pytest.approx(2 + 2.919986 / math.sqrt(3))


def test_interval_of_one_value_has_no_ends():
    mean, low, high = mean_interval([0.25])
    assert mean == 0.25
    assert math.isnan(low)
    assert math.isnan(high)


def test_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [mean_interval(rng.normal(3, 2, 5)) for _ in range(2000)]
    covered = np.mean([low <= 3 <= high for _, low, high in intervals])
    # Binomial standard error 0.005.
    assert covered == pytest.approx(0.95, abs=0.02)


def test_sign_flip_worked_by_hand():
    assert sign_flip_p([1, 1, 1, 1, 1, 1]) == 2 / 64
    # Sums of +-1 +-2 +-3: 6, 4, 2, 0 and their negatives, 0 twice; observed 4: +-6, +-4.
    assert sign_flip_p([-1, 2, 3]) == 4 / 8
    assert sign_flip_p([0.0, 0.0]) == 1
    assert sign_flip_p([5]) == 1


def test_sign_flip_is_not_misled_by_rounding():
    # In exact arithmetic 8 of the 16 patterns of (.1, .2, .3, .2) reach |.4|, in doubles fewer.
    differences = [0.1, 0.2, 0.3, -0.2]
    as_integers = [1, 2, 3, -2]
    assert sign_flip_p(differences) == sign_flip_p(as_integers)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=9))
def test_sign_flip_agrees_with_scipy(differences):
    reference = stats.permutation_test(
        (np.array(differences), np.zeros(len(differences))),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_flip_p(differences) == pytest.approx(reference.pvalue)


def test_many_pairs_need_a_generator_and_then_come_close_to_the_exact_value():
    differences = np.random.default_rng(1).normal(0.3, 1, 20)
    exact = sign_flip_p(differences)
    with pytest.raises(InputError, match="pass rng"):
        sign_flip_p([*differences, 0.0])
    # A difference of 0 changes no sum, so the exact p-value stays.
    drawn = sign_flip_p([*differences, 0.0], np.random.default_rng(2))
    assert drawn == pytest.approx(exact, abs=0.02)
    assert sign_flip_p(np.ones(30), np.random.default_rng(2)) == 1 / 10_000


def test_holm_worked_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_raw_and_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    for raw, value in zip(p_values, adjusted, strict=True):
        assert raw <= value <= min(1, raw * len(p_values)) + 1e-15
    order = np.argsort(p_values, kind="stable")
    assert list(np.array(adjusted)[order]) == sorted(adjusted)


def test_effect_size():
    assert cohens_d_paired([1, 2, 3]) == pytest.approx(2)
    assert cohens_d_paired([0.1 + 0.2, 0.3, 0.3]) is None
    assert cohens_d_paired([0.0, 0.0]) is None
    assert cohens_d_paired([4.0]) is None


@pytest.mark.parametrize("values", [[], [math.nan], [[1.0, 2.0]]])
def test_values_that_are_none_are_refused(values):
    for function in (mean_interval, sign_flip_p, cohens_d_paired):
        with pytest.raises(InputError, match="expected at least one number"):
            function(values)


def test_levels_and_p_values_out_of_range_are_refused():
    with pytest.raises(InputError, match="level"):
        mean_interval([1.0, 2.0], level=95)
    with pytest.raises(InputError, match=r"numbers in 0\.\.1"):
        holm([1.5])
