"""Soft labels in one byte an entry, for any labels."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import torch
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from clbench.soft_labels import STEP, read_labels, rounded_labels, written_labels

LOGITS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.floats(-40, 40, width=32),
)


@given(LOGITS)
def test_what_is_read_back_is_written_to_the_same_bytes(logits: np.ndarray) -> None:
    labels = torch.from_numpy(logits).softmax(1)
    levels = written_labels(labels)
    read = read_labels(levels)
    assert levels.dtype == torch.uint8 and levels.shape == labels.shape
    assert torch.equal(read.argmax(1), labels.argmax(1)), "no label changes its class"
    torch.testing.assert_close(read.sum(1), torch.ones(len(read)))
    assert torch.equal(written_labels(read), levels)
    assert torch.equal(rounded_labels(read), read)


@given(LOGITS)
def test_likely_entries_are_near(logits: np.ndarray) -> None:
    labels = torch.from_numpy(logits).double().softmax(1).float()
    ratio = rounded_labels(labels) / labels
    top = labels.max(1, keepdim=True).values
    seen = labels > 1e-4 * top
    # Half a step (a whole one where two are equal), and what the sum of the row moves by.
    assert float((ratio[seen].log().abs()).max()) < 2.5 * STEP


def test_by_hand() -> None:
    # ln(0.7 / 0.2) = 1.2528 and ln(0.7 / 0.1) = 1.9459: 25.06 and 38.92 steps.
    assert written_labels(torch.tensor([[0.2, 0.7, 0.1]])).tolist() == [[25, 0, 39]]
    assert written_labels(torch.tensor([[0.0, 1.0]])).tolist() == [[255, 0]]
    assert written_labels(torch.tensor([[0.5, 0.5]])).tolist() == [[0, 1]], "one is the largest"
    hard = torch.tensor([3, 1])
    assert rounded_labels(hard) is hard
