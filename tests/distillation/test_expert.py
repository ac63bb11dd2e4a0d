"""One network under training: its batches, and that no tensor it gave away is written to."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from clbench.config import ExpertSettings, NetworkConfig
from clbench.distillation.expert import Batches, Expert
from clbench.distillation.flat import FlatNetwork
from clbench.types import ImageSpec, LabelledImages


def batches(num: int, size: int, seed: int = 0) -> Batches:
    return Batches(num, size, torch.Generator().manual_seed(seed))


@given(num=st.integers(1, 40), size=st.integers(1, 50))
def test_a_pass_holds_every_position_once(num: int, size: int) -> None:
    b = batches(num, size)
    for _ in range(2):
        parts = [b.next() for _ in range(-(-num // size))]
        assert sorted(torch.cat(parts).tolist()) == list(range(num))
        assert [len(p) for p in parts[:-1]] == [size] * (len(parts) - 1)


def test_passes_are_in_different_order() -> None:
    b = batches(50, 50)
    assert not torch.equal(b.next(), b.next())


def test_only_what_is_allowed_is_drawn() -> None:
    b = batches(10, 3)
    b.restrict(torch.tensor([2, 5, 7, 9]))
    first, second, third = b.next(), b.next(), b.next()
    assert sorted(torch.cat([first, second]).tolist()) == [2, 5, 7, 9]
    assert len(second) == 1 and set(third.tolist()) <= {2, 5, 7, 9}


def test_a_change_within_a_pass_repeats_nothing_and_forgets_nothing() -> None:
    b = batches(10, 2)
    b.restrict(torch.arange(5))
    seen = b.next().tolist()
    b.restrict(torch.arange(10))
    rest = [b.next() for _ in range(4)]
    assert sorted(seen + torch.cat(rest).tolist()) == list(range(10))
    assert max(seen) < 5


def test_old_weights_stay_and_new_ones_differ(
    tiny_spec: ImageSpec, tiny_images: LabelledImages
) -> None:
    flat = FlatNetwork(NetworkConfig("mlp", width=6, depth=1), tiny_spec, torch.device("cpu"))
    expert = Expert(
        flat, tiny_images, ExpertSettings(batch_size=16), "expert", 0, precision="float32"
    )
    before, copy = expert.weights, expert.weights.clone()
    loss = expert.step()
    assert torch.equal(before, copy) and not torch.equal(expert.weights, copy)
    assert not (loss.requires_grad or expert.weights.requires_grad or before.requires_grad)
