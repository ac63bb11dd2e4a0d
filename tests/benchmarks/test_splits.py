from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clbench.benchmarks import splits
from clbench.errors import InputError
from clbench.seeding import generator


@given(num_classes=st.integers(1, 30), data=st.data())
def test_no_class_is_dropped_and_sizes_differ_by_one_at_most(
    num_classes: int, data: st.DataObject
) -> None:
    order = tuple(data.draw(st.permutations(range(num_classes))))
    num = data.draw(st.integers(1, num_classes))
    groups = splits.deal(order, num)
    assert sum(groups, ()) == order and len(groups) == num
    sizes = [len(group) for group in groups]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize("num", [0, 11])
def test_more_experiences_than_classes(num: int) -> None:
    with pytest.raises(InputError, match=rf"expected 1 to 10, .* found {num}$"):
        splits.deal(tuple(range(10)), num)


def test_held_out_images_are_spread_over_the_class() -> None:
    labels = torch.tensor([0] * 1000 + [1] * 500)
    held = splits.hold_out(labels, 0.2, generator(0, "x"))
    assert (held[:1000].sum(), held[1000:].sum()) == (200, 100)
    # Binomial(10 groups of 100 with 20 each): a block, or every fifth, would show at once.
    per_hundred = held[:1000].view(10, 100).sum(1)
    assert 8 < per_hundred.min() < per_hundred.max() < 34


@pytest.mark.parametrize(("fraction", "num"), [(0.01, 0), (0.99, 10)])
def test_fraction_that_leaves_nothing(fraction: float, num: int) -> None:
    with pytest.raises(InputError, match=f"validation_fraction: .* which holds out {num}$"):
        splits.hold_out(torch.zeros(10, dtype=torch.int64), fraction, generator(0))


def test_keep_per_class() -> None:
    labels = torch.arange(4).repeat(25)
    kept = splits.keep_per_class(labels, 7, generator(0))
    assert labels[kept].bincount().tolist() == [7] * 4
    assert splits.keep_per_class(labels, None, generator(0)).all()
    assert splits.keep_per_class(labels, 25, generator(0)).all()
    with pytest.raises(InputError, match="train_per_class: expected at most 25, .* found 26"):
        splits.keep_per_class(labels, 26, generator(0))
