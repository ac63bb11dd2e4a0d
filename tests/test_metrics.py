"""Metrics of the accuracy matrix against numbers worked by hand."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench import metrics
from clbench.types import InputError

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
