from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from clbench.seeding import derive, generator, global_seed


def _numbers(draw: torch.Generator | None = None) -> list[float]:
    return torch.rand(4, generator=draw).tolist()


def test_derived_seeds_are_pinned() -> None:
    # SHA-256 of "0" and of "3/memory/2", first 8 bytes, halved: changing them changes every run.
    assert derive(0) == 3456079177858693020
    assert derive(3, "memory", 2) == 2987515547351424140


def test_streams_of_one_seed_are_apart() -> None:
    names: list[tuple[str | int, ...]] = [(), ("a",), ("b",), ("a", 0), ("a", 1)]
    seeds = {derive(seed, *name) for seed in range(50) for name in names}
    assert len(seeds) == 250 and all(0 <= seed < 2**63 for seed in seeds)
    assert _numbers(generator(0, "a")) == _numbers(generator(0, "a"))
    assert _numbers(generator(0, "a")) != _numbers(generator(0, "b"))
    assert _numbers(generator(0, "a")) != _numbers(generator(1, "a"))


def test_global_seed_seeds_all_and_puts_all_back() -> None:
    def draw() -> tuple[list[float], float, float]:
        return _numbers(), random.random(), float(np.random.rand())

    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    expected = draw()
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    with global_seed(7, "x"):
        inside = draw()
    assert draw() == expected
    with global_seed(7, "x"):
        assert draw() == inside
    with global_seed(7, "y"):
        assert all(a != b for a, b in zip(draw(), inside, strict=True))


def test_global_seed_puts_back_after_an_error() -> None:
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    states = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1]
    with pytest.raises(KeyError), global_seed(7):
        torch.rand(1), random.random(), np.random.rand()
        raise KeyError
    assert torch.equal(torch.random.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()
