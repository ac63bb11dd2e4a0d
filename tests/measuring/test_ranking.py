"""How well one ranking foretells another."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from clbench.errors import InputError
from clbench.measuring.ranking import agreement, ranking_quality, spearman_lead

SCORES = st.lists(st.integers(0, 50), min_size=3, max_size=12, unique=True)


def quality(proxy, truth, **more):
    return ranking_quality(proxy, truth, rng=np.random.default_rng(0), **more)


def test_worked_by_hand() -> None:
    # Ranks 1 2 3 4 against 2 1 3 4: squared rank differences sum to 2, one of six pairs discords.
    found = quality([0.1, 0.2, 0.3, 0.4], [0.72, 0.71, 0.8, 0.9], top_k=2)
    assert found.spearman.value == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.kendall.value == pytest.approx((5 - 1) / 6)
    assert (found.top_k_overlap, found.regret, found.chosen) == (1.0, 0.0, 3)


def test_regret_is_what_choosing_by_the_proxy_costs() -> None:
    found = quality([0.9, 0.5, 0.6], [0.80, 0.95, 0.85], top_k=1)
    assert found.chosen == 0 and found.regret == pytest.approx(0.15)
    assert found.top_k_overlap == 0.0


@settings(max_examples=20)
@given(
    st.integers(3, 12).flatmap(
        lambda n: st.tuples(*2 * [st.lists(st.integers(0, 5), min_size=n, max_size=n)])
    )
)
def test_correlations_are_scipys_ties_included(scores: tuple[list[int], list[int]]) -> None:
    found = quality(*scores)
    for ours, theirs in ((found.spearman, stats.spearmanr), (found.kendall, stats.kendalltau)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = theirs(*scores).statistic
        assert ours.value is None if np.isnan(value) else ours.value == pytest.approx(value)


def test_the_interval_is_narrow_where_there_are_many() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(size=200)
    found = quality(truth + rng.normal(size=200), truth).spearman
    assert found.low is not None and found.high is not None and found.value is not None
    assert found.low < found.value < found.high and found.high - found.low < 0.25


@settings(max_examples=12)
@given(SCORES)
def test_a_perfect_proxy_and_a_reversed_one(scores: list[int]) -> None:
    perfect, reverse = quality(scores, scores), quality(scores, [-s for s in scores])
    assert perfect.spearman.value == pytest.approx(1) and perfect.regret == 0
    assert perfect.top_k_overlap == 1 and perfect.kendall.value == pytest.approx(1)
    assert reverse.spearman.value == pytest.approx(-1)
    assert reverse.regret == max(scores) - min(scores)


@settings(max_examples=12)
@given(SCORES, st.randoms(use_true_random=False))
def test_only_the_order_of_the_proxy_counts(scores: list[int], random) -> None:
    truth = random.sample(scores, len(scores))
    plain, bent = quality(scores, truth), quality([s**3 + 7 for s in scores], truth)
    assert plain == bent
    low, high = plain.spearman.low, plain.spearman.high
    assert low is not None and high is not None and -1 <= low <= high <= 1


def test_a_proxy_that_ties_all_has_no_correlation() -> None:
    found = quality([0.5, 0.5, 0.5], [0.1, 0.2, 0.3])
    assert found.spearman.value is None and found.kendall.low is None and found.chosen == 0


@pytest.mark.parametrize("bad", [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, np.nan], [1.0, 2.0])])
def test_what_cannot_be_ranked_is_refused(bad) -> None:
    with pytest.raises(InputError, match="scores: expected"):
        quality(*bad)


def lead(proxy, rival, truth):
    return spearman_lead(proxy, rival, truth, rng=np.random.default_rng(0))


@settings(max_examples=12)
@given(SCORES, st.randoms(use_true_random=False))
def test_a_lead_is_the_difference_of_two_correlations(scores: list[int], random) -> None:
    ours, rival = (random.sample(scores, len(scores)) for _ in range(2))
    found = lead(ours, rival, scores)
    one, other = (stats.spearmanr(each, scores).statistic for each in (ours, rival))
    assert found.value == pytest.approx(one - other)
    assert lead(ours, ours, scores).value == 0
    assert lead(ours, [0] * len(scores), scores).value is None


def test_what_two_proxies_share_widens_no_lead() -> None:
    """The noise of the truth is common to both, so it cancels in the pairs."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=54)
    good = truth + 0.6 * rng.normal(size=54)
    worse = good + 0.3 * rng.normal(size=54)
    found, alone = lead(good, worse, truth), quality(worse, truth).spearman
    assert found.low is not None and found.high is not None
    assert alone.low is not None and alone.high is not None
    assert found.high - found.low < 0.7 * (alone.high - alone.low)


def test_scores_that_cannot_be_compared_are_refused() -> None:
    for lists in (([1, 2], [1, 2], [1]), ([1, 2], [1, float("nan")], [1, 2])):
        with pytest.raises(InputError, match="scores"):
            lead(*lists)


def test_agreement_is_the_mean_over_pairs() -> None:
    rows = [[1, 2, 3, 4], [2, 1, 3, 4], [4, 3, 2, 1]]
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([stats.spearmanr(rows[i], rows[j]).statistic for i, j in pairs])
    assert agreement(rows) == pytest.approx(expected)
    assert agreement(rows[:1]) is None and agreement([[1, 2], [3, 3]]) is None
