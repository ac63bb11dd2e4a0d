"""Metrics of the accuracy matrix against numbers worked by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.errors import InputError
from clbench.measuring import metrics

R = [
    [0.9, 0.2, 0.1],
    [0.7, 0.8, 0.3],
    [0.4, 0.85, 0.6],
]
UNTRAINED = [0.1, 0.15, 0.05]
NUM_TEST = [100, 300, 100]


def test_every_metric_of_a_matrix_worked_by_hand():
    found = metrics.all_metrics(R, UNTRAINED, NUM_TEST)
    expected = {
        "average_accuracy": (0.4 + 0.85 + 0.6) / 3,
        "average_incremental_accuracy": (0.9 + 0.75 + 1.85 / 3) / 3,
        "weighted_average_accuracy": (40 + 255 + 60) / 500,
        "learning_accuracy": (0.9 + 0.8 + 0.6) / 3,
        "forgetting": (0.5 - 0.05) / 2,
        "forgetting_initial": (0.5 - 0.05) / 2,
        "bwt": (-0.5 + 0.05) / 2,
        "fwt": ((0.2 - 0.15) + (0.3 - 0.05)) / 2,
    }
    assert found == pytest.approx(expected)
    assert all(type(value) is float for value in found.values())


def test_forgetting_starts_from_the_best_and_avalanches_from_the_first():
    risen = [[0.5, 0, 0], [0.9, 0.9, 0], [0.6, 0.7, 0.9]]
    assert metrics.forgetting_per_experience(risen) == pytest.approx([0.3, 0.2])
    assert metrics.forgetting(risen) == pytest.approx(0.25)
    assert metrics.forgetting_initial(risen) == pytest.approx((-0.1 + 0.2) / 2)


def test_curves_along_the_stream():
    assert metrics.average_accuracy_curve(R) == pytest.approx([0.9, 0.75, 1.85 / 3])
    assert metrics.forgetting_curve(R, 0) == pytest.approx([0.2, 0.5])
    assert metrics.forgetting_curve(R, 1) == pytest.approx([-0.05])
    assert metrics.forgetting_curve(R, 2) == []
    assert metrics.mean_forgetting_curve(R) == pytest.approx([0.2, 0.225])


def test_one_experience_leaves_out_what_needs_two():
    found = metrics.all_metrics([[0.75]], [0.5], [8])
    assert found == {
        "average_accuracy": 0.75,
        "average_incremental_accuracy": 0.75,
        "weighted_average_accuracy": 0.75,
        "learning_accuracy": 0.75,
    }
    assert metrics.forgetting_per_experience([[0.75]]) == []
    assert metrics.mean_forgetting_curve([[0.75]]) == []
    for function in (metrics.forgetting, metrics.forgetting_initial, metrics.bwt):
        with pytest.raises(InputError, match="at least 2 experiences, found 1"):
            function([[0.75]])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.1, 0.2]], "square"),
        ([], "square"),
        ([[0.1], [0.2, 0.3]], "uneven rows"),
        ([[math.nan]], "found nan"),
    ],
)
def test_what_is_no_accuracy_matrix_is_refused(matrix, message):
    with pytest.raises(InputError, match=message):
        metrics.average_accuracy(matrix)


def test_vectors_of_the_wrong_length_and_empty_test_sets_are_refused():
    with pytest.raises(InputError, match="untrained: expected 3 values"):
        metrics.fwt(R, [0.1])
    with pytest.raises(InputError, match="num_test: expected counts"):
        metrics.weighted_average_accuracy(R, [0, 0, 0])


def test_confusion_matrices():
    confusion = [[8, 2, 0], [1, 1, 0], [0, 0, 0]]
    assert metrics.accuracy(confusion) == pytest.approx(9 / 12)
    assert metrics.balanced_accuracy(confusion) == pytest.approx((0.8 + 0.5) / 2)
    with pytest.raises(InputError, match="counts"):
        metrics.accuracy([[0, 0], [0, 0]])


@st.composite
def matrices(draw):
    size = draw(st.integers(2, 6))
    accuracy = st.floats(0, 1, width=32)
    return np.array([[draw(accuracy) for _ in range(size)] for _ in range(size)])


@given(matrices())
def test_relations_between_metrics(matrix):
    size = len(matrix)
    found = metrics.all_metrics(matrix, np.zeros(size), np.full(size, 7))
    assert found["bwt"] == -found["forgetting_initial"]
    assert found["forgetting"] >= found["forgetting_initial"] - 1e-12
    assert found["weighted_average_accuracy"] == pytest.approx(found["average_accuracy"])
    assert metrics.mean_forgetting_curve(matrix)[-1] == pytest.approx(found["forgetting"])
    last = [metrics.forgetting_curve(matrix, j)[-1] for j in range(size - 1)]
    assert last == pytest.approx(metrics.forgetting_per_experience(matrix))
    json.dumps(found, allow_nan=False)


@given(matrices())
def test_lists_and_arrays_agree(matrix):
    zeros, ones = [0.0] * len(matrix), [1] * len(matrix)
    as_lists = metrics.all_metrics(matrix.tolist(), zeros, ones)
    assert as_lists == metrics.all_metrics(matrix, np.array(zeros), np.array(ones))


# 10 of 12 negatives left alone, 3 of 6 positives found.
TWO = [[10, 2], [3, 3]]


def test_two_unbalanced_classes_by_hand() -> None:
    assert metrics.sensitivity(TWO) == pytest.approx(3 / 6)
    assert metrics.specificity(TWO) == pytest.approx(10 / 12)
    assert metrics.majority_share(TWO) == pytest.approx(12 / 18)
    assert metrics.two_class_metrics(TWO) == {
        "balanced_accuracy": pytest.approx((3 / 6 + 10 / 12) / 2),
        "sensitivity": pytest.approx(0.5),
        "specificity": pytest.approx(10 / 12),
        "majority_share": pytest.approx(2 / 3),
    }


def test_unequal_classes_of_any_number() -> None:
    three = [[4, 0, 0], [3, 3, 0], [2, 0, 8]]  # of 4, 6 and 10 images
    assert metrics.unequal_class_metrics(three) == {
        "balanced_accuracy": pytest.approx((1 + 0.5 + 0.8) / 3),
        "majority_share": pytest.approx(10 / 20),
    }
    slightly = [[4, 0, 0], [0, 6, 0], [0, 3, 3]]
    assert metrics.unequal_class_metrics(slightly) == {
        "balanced_accuracy": pytest.approx((1 + 1 + 0.5) / 3)
    }
    assert metrics.unequal_class_metrics([[6, 0, 0], [0, 6, 0], [0, 3, 3]]) == {}, "equal"
    assert metrics.unequal_class_metrics([[4, 0, 0], [0, 0, 0], [0, 0, 9]]) == {}
    assert metrics.recall([4, 3, 0], [4, 6, 0]) == [1.0, 0.5, None]
    assert metrics.unequal_class_metrics(TWO) == metrics.two_class_metrics(TWO)


def test_the_published_majority_of_mhist() -> None:
    assert metrics.majority_share([[617, 0], [360, 0]]) == pytest.approx(0.632, abs=5e-4)


def test_two_class_metrics_of_other_confusions() -> None:
    assert metrics.two_class_metrics([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) == {}
    assert metrics.two_class_metrics([[4, 1], [0, 0]]) == {}
    with pytest.raises(InputError, match="sensitivity needs 2 classes, found 3"):
        metrics.sensitivity([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    with pytest.raises(InputError, match="specificity needs test images of both classes"):
        metrics.specificity([[4, 1], [0, 0]])


def test_area_under_the_curve_by_hand() -> None:
    # Pairs (negative, positive): of 2 x 2, 0.8 beats both, 0.35 beats 0.1 but not 0.4.
    assert metrics.roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == pytest.approx(0.75)
    assert metrics.roc_auc([1.0, 1.0, 1.0], [0, 1, 1]) == 0.5, "ties count half"
    assert metrics.roc_auc([3, 2, 1], [0, 1, 1]) == 0.0


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30).filter(
        lambda pairs: len({label for _, label in pairs}) == 2
    )
)
def test_area_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = zip(*pairs, strict=True)
    positive = [score for score, label in pairs if label]
    negative = [score for score, label in pairs if not label]
    won = sum((p > n) + 0.5 * (p == n) for p in positive for n in negative)
    area = metrics.roc_auc(scores, [int(label) for label in labels])
    assert area == pytest.approx(won / (len(positive) * len(negative)))
    increasing = [math.exp(score) for score in scores]
    assert metrics.roc_auc(increasing, [int(label) for label in labels]) == pytest.approx(area)
    flipped = metrics.roc_auc([-score for score in scores], [int(label) for label in labels])
    assert flipped == pytest.approx(1 - area)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [0, 0], "images of both classes, found 2 and 0"),
        ([1.0, 2.0], [0, 2], "expected 0 and 1"),
        ([1.0], [0, 1], "scores: expected 2 values"),
        ([1.0, math.nan], [0, 1], "found nan"),
    ],
)
def test_areas_that_do_not_exist(scores: list[float], labels: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        metrics.roc_auc(scores, labels)


def test_the_majority_of_two_classes_and_of_no_other_number() -> None:
    assert metrics.majority_of_two([0, 1, 1, 0, 1]) == pytest.approx(3 / 5)
    assert metrics.majority_of_two([7, 2]) == 0.5
    assert metrics.majority_of_two([0, 1, 2]) is None and metrics.majority_of_two([1, 1]) is None
