"""What an accuracy matrix says: pure functions of R.

R is T x T; R[i][j] is the accuracy (0..1) on experience j after learning experience i, both counted
from 0 in the code and from 1 in the formulas. Entries above the diagonal are accuracies on
experiences not yet learnt. r is the accuracy of the untrained network on each experience, length T.

Where a metric is undefined (anything that needs two experiences, on a stream of one) its function
raises `InputError`, and `all_metrics` leaves it out: nothing here returns nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clbench.errors import InputError

Array = npt.NDArray[np.float64]
Matrix = Sequence[Sequence[float]] | npt.NDArray[Any]
Vector = Sequence[float] | npt.NDArray[Any]


def _matrix(R: Matrix) -> Array:
    try:
        matrix = np.asarray(R, dtype=np.float64)
    except ValueError:
        raise InputError("expected a square accuracy matrix, found uneven rows") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise InputError(f"expected a square accuracy matrix, found shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError("expected an accuracy matrix of numbers, found nan or infinity")
    return matrix


def _several(R: Matrix, name: str) -> Array:
    matrix = _matrix(R)
    if len(matrix) < 2:
        raise InputError(f"{name} needs at least 2 experiences, found 1")
    return matrix


def _vector(values: Vector, length: int, name: str) -> Array:
    vector = np.asarray(values, dtype=np.float64)
    if vector.shape != (length,):
        raise InputError(f"{name}: expected {length} values, found shape {vector.shape}")
    return vector


def average_accuracy(R: Matrix) -> float:
    """Accuracy after the whole stream, averaged over experiences.

    A_T = 1/T sum_j R[T,j] (ACC of Lopez-Paz & Ranzato, "Gradient Episodic Memory", NeurIPS 2017).
    """
    return float(_matrix(R)[-1].mean())


def average_accuracy_curve(R: Matrix) -> list[float]:
    """A_t after each experience, over the experiences learnt so far, length T.

    A_t = 1/t sum_{j<=t} R[t,j] (Chaudhry et al., "Riemannian Walk", ECCV 2018, section 3.1).
    """
    return [float(row[: t + 1].mean()) for t, row in enumerate(_matrix(R))]


def average_incremental_accuracy(R: Matrix) -> float:
    """Mean of the average accuracies along the stream.

    1/T sum_t A_t (Rebuffi et al., "iCaRL", CVPR 2017, section 4.1).
    """
    return float(np.mean(average_accuracy_curve(R)))


def forgetting_curve(R: Matrix, j: int) -> list[float]:
    """Forgetting of experience j (from 0) after each later one, length T - 1 - j.

    f_j^k = max_{i<k} R[i,j] - R[k,j], k = j+1..T (Chaudhry et al. 2018, equation 3). Negative where
    later experiences helped. The maximum runs over all earlier rows, also those before j was
    learnt, as in the paper.
    """
    column = _matrix(R)[:, j]
    best = np.maximum.accumulate(column)
    return [float(best[k - 1] - column[k]) for k in range(j + 1, len(column))]


def forgetting_per_experience(R: Matrix) -> list[float]:
    """f_j^T of every experience but the last, length T - 1.

    f_j^T = max_{i<T} R[i,j] - R[T,j] (Chaudhry et al. 2018, equation 3). Empty for T = 1.
    """
    matrix = _matrix(R)
    if len(matrix) < 2:
        return []
    return [float(f) for f in matrix[:-1, :-1].max(axis=0) - matrix[-1, :-1]]


def forgetting(R: Matrix) -> float:
    """Mean forgetting after the whole stream.

    F_T = 1/(T-1) sum_{j<T} f_j^T (Chaudhry et al. 2018, equation 3; also FACIL, Mammoth, PyCIL).
    """
    _several(R, "forgetting")
    return float(np.mean(forgetting_per_experience(R)))


def mean_forgetting_curve(R: Matrix) -> list[float]:
    """F_t after each experience from the second on, length T - 1.

    F_t = 1/(t-1) sum_{j<t} f_j^t (Chaudhry et al. 2018, equation 3).
    """
    matrix = _matrix(R)
    return [forgetting(matrix[:t, :t]) for t in range(2, len(matrix) + 1)]


def forgetting_initial(R: Matrix) -> float:
    """Mean forgetting as Avalanche 0.6 counts it: from the moment of learning, not from the best.

    1/(T-1) sum_{j<T} (R[j,j] - R[T,j]) (avalanche.evaluation.metrics.Forgetting: initial - last).
    """
    matrix = _several(R, "forgetting_initial")
    return float((np.diag(matrix) - matrix[-1])[:-1].mean())


def bwt(R: Matrix) -> float:
    """Backward transfer: what learning later experiences did to earlier ones.

    BWT = 1/(T-1) sum_{j<T} (R[T,j] - R[j,j]) (Lopez-Paz & Ranzato 2017, equation 3).
    """
    return -forgetting_initial(R)


def fwt(R: Matrix, untrained: Vector) -> float:
    """Forward transfer: accuracy on an experience just before it is learnt, over chance.

    FWT = 1/(T-1) sum_{j>1} (R[j-1,j] - r_j) (Lopez-Paz & Ranzato 2017, equation 4).
    """
    matrix = _several(R, "fwt")
    r = _vector(untrained, len(matrix), "untrained")
    return float((np.diag(matrix, 1) - r[1:]).mean())


def learning_accuracy(R: Matrix) -> float:
    """Accuracy on each experience just after learning it (plasticity).

    LA = 1/T sum_j R[j,j] (Riemer et al., "Learning to Learn without Forgetting", ICLR 2019).
    """
    return float(np.diag(_matrix(R)).mean())


def weighted_average_accuracy(R: Matrix, num_test: Vector) -> float:
    """Accuracy after the whole stream, every test image counted once.

    sum_j n_j R[T,j] / sum_j n_j, n_j the test images of experience j: the plain accuracy over the
    whole test set, which differs from A_T where experiences are of unequal size.
    """
    matrix = _matrix(R)
    n = _vector(num_test, len(matrix), "num_test")
    if (n < 0).any() or n.sum() <= 0:
        raise InputError("num_test: expected counts of test images, not all 0")
    return float(matrix[-1] @ n / n.sum())


def all_metrics(R: Matrix, untrained: Vector, num_test: Vector) -> dict[str, float]:
    """Every metric of R that is defined; with T = 1 those that need two experiences are absent.

    Args:
        R: T x T accuracies in 0..1.
        untrained: r, length T.
        num_test: test images of each experience, length T.

    Raises:
        InputError: shapes that do not fit together, or numbers that are not finite.
    """
    metrics = {
        "average_accuracy": average_accuracy(R),
        "average_incremental_accuracy": average_incremental_accuracy(R),
        "weighted_average_accuracy": weighted_average_accuracy(R, num_test),
        "learning_accuracy": learning_accuracy(R),
    }
    if len(R) > 1:
        metrics |= {
            "forgetting": forgetting(R),
            "forgetting_initial": forgetting_initial(R),
            "bwt": bwt(R),
            "fwt": fwt(R, untrained),
        }
    return metrics


def _confusion(confusion: Matrix) -> Array:
    counts = _matrix(confusion)
    if (counts < 0).any() or counts.sum() <= 0:
        raise InputError("expected a confusion matrix of counts, found negative ones or none")
    return counts


def accuracy(confusion: Matrix) -> float:
    """Right predictions over all, from a K x K confusion matrix (rows true, columns predicted).

    trace(M) / sum(M).
    """
    counts = _confusion(confusion)
    return float(np.trace(counts) / counts.sum())


def balanced_accuracy(confusion: Matrix) -> float:
    """Mean recall of the classes that occur, from a K x K confusion matrix (rows true).

    mean_c M[c,c] / sum_k M[c,k] over classes with test images (Brodersen et al., "The Balanced
    Accuracy and Its Posterior Distribution", ICPR 2010).
    """
    counts = _confusion(confusion)
    totals = counts.sum(axis=1)
    present = totals > 0
    return float((np.diag(counts)[present] / totals[present]).mean())


POSITIVE = 1
"""The class that two-class metrics call positive: what is looked for (SSA, of MHIST)."""


def _two_classes(confusion: Matrix, name: str) -> Array:
    counts = _confusion(confusion)
    if len(counts) != 2:
        raise InputError(f"{name} needs 2 classes, found {len(counts)}")
    if (counts.sum(axis=1) == 0).any():
        raise InputError(f"{name} needs test images of both classes, found none of one")
    return counts


def sensitivity(confusion: Matrix) -> float:
    """Share of the positive images that are found, from a 2 x 2 confusion matrix (rows true).

    TP / (TP + FN) = M[1,1] / sum_k M[1,k]: the recall of class 1.
    """
    counts = _two_classes(confusion, "sensitivity")
    return float(counts[POSITIVE, POSITIVE] / counts[POSITIVE].sum())


def specificity(confusion: Matrix) -> float:
    """Share of the negative images that are left alone, from a 2 x 2 confusion matrix (rows true).

    TN / (TN + FP) = M[0,0] / sum_k M[0,k]: the recall of class 0.
    """
    counts = _two_classes(confusion, "specificity")
    return float(counts[1 - POSITIVE, 1 - POSITIVE] / counts[1 - POSITIVE].sum())


def majority_share(confusion: Matrix) -> float:
    """Accuracy of always saying the largest class: what an accuracy has to beat.

    max_c sum_k M[c,k] / sum(M).
    """
    counts = _confusion(confusion)
    return float(counts.sum(axis=1).max() / counts.sum())


def majority_of_two(labels: Vector) -> float | None:
    """Share of the larger class among the labels of two classes; None for any other number.

    Args:
        labels: N class numbers.
    """
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    return float(counts.max() / counts.sum()) if len(counts) == 2 else None


def roc_auc(scores: Vector, labels: Vector) -> float:
    """Area under the receiver operating characteristic, from a score for the positive class.

    The probability that a positive image scores above a negative one, ties counting half (Hanley &
    McNeil, "The Meaning and Use of the Area under a ROC Curve", Radiology 1982):
    (R_1 - n_1 (n_1 + 1) / 2) / (n_0 n_1), R_1 the sum of the ranks of the n_1 positive scores.

    Args:
        scores: N numbers, larger for more likely positive: the logit of class 1 less that of class
            0, or its probability. Any increasing function of them gives the same area.
        labels: N labels, 0 or 1.

    Raises:
        InputError: other labels, one class alone, lengths that differ, or scores that are nan.
    """
    from scipy.stats import rankdata

    truth = np.asarray(labels, dtype=np.float64)
    values = _vector(scores, len(truth), "scores")
    if not np.isin(truth, (0, 1)).all():
        raise InputError("labels: expected 0 and 1, found others")
    if np.isnan(values).any():
        raise InputError("scores: expected numbers, found nan")
    positive = truth == POSITIVE
    n1, n0 = int(positive.sum()), int((~positive).sum())
    if not n1 or not n0:
        raise InputError(f"roc_auc needs images of both classes, found {n0} and {n1}")
    above = rankdata(values)[positive].sum() - n1 * (n1 + 1) / 2
    return float(above / (n0 * n1))


UNEQUAL = 1.5
"""Test images of the largest class, over those of the smallest, from which accuracy misleads."""

MOST_CONFUSED = 300
"""Classes of the largest confusion matrix that is kept: one of 3,000 would take 30 MB of text."""


def unequal_class_metrics(confusion: Matrix) -> dict[str, float]:
    """What classes of unequal numbers of test images need beside accuracy.

    Args:
        confusion: K x K counts, rows true.

    Returns:
        name -> value: `two_class_metrics` of two classes, `unequal_recall_metrics` of more.

    Raises:
        InputError: not a confusion matrix.
    """
    counts = _confusion(confusion)
    if len(counts) == 2:
        return two_class_metrics(confusion)
    return unequal_recall_metrics(np.diag(counts), counts.sum(axis=1))


def unequal_recall_metrics(right: Vector, totals: Vector) -> dict[str, float]:
    """What more than two classes of unequal numbers of test images need beside accuracy.

    Args:
        right: right predictions of each class.
        totals: test images of each class.

    Returns:
        name -> value: `balanced_accuracy` wherever the numbers differ, `majority_share` too where
        the largest class has more than `UNEQUAL` times the images of the smallest.
    """
    counts = np.asarray(totals, dtype=np.float64)
    if not counts.all() or counts.max() == counts.min():
        return {}
    found = {"balanced_accuracy": float((np.asarray(right) / counts).mean())}
    if counts.max() > UNEQUAL * counts.min():
        found["majority_share"] = float(counts.max() / counts.sum())
    return found


def recall(right: Vector, totals: Vector) -> list[float | None]:
    """Share of each class's test images that are recognised; None for a class without any.

    M[c,c] / sum_k M[c,k]; the mean over classes is `balanced_accuracy`.

    Args:
        right: right predictions of each class, the diagonal of the confusion matrix.
        totals: test images of each class, its row sums.
    """
    pairs = zip(np.asarray(right).tolist(), np.asarray(totals).tolist(), strict=True)
    return [hits / total if total else None for hits, total in pairs]


def two_class_metrics(confusion: Matrix) -> dict[str, float]:
    """What two unbalanced classes need beside accuracy.

    Args:
        confusion: K x K counts, rows true.

    Returns:
        name -> value; empty unless there are two classes with test images of both.

    Raises:
        InputError: not a confusion matrix.
    """
    counts = _confusion(confusion)
    if len(counts) != 2 or (counts.sum(axis=1) == 0).any():
        return {}
    return {
        "balanced_accuracy": balanced_accuracy(confusion),
        "sensitivity": sensitivity(confusion),
        "specificity": specificity(confusion),
        "majority_share": majority_share(confusion),
    }
