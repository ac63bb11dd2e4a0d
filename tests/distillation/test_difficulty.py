"""EL2N against a plain loop; PAD's scheduler against its table and what must always hold."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from clbench import networks
from clbench.config import ExpertSettings, NetworkConfig
from clbench.distillation.difficulty.el2n import el2n
from clbench.distillation.trajectories.scheduler import selected, share
from clbench.seeding import derive, generator
from clbench.types import ImageSpec, LabelledImages

CPU = torch.device("cpu")
NETWORK = NetworkConfig("convnet", width=4, depth=1, norm="instance")
CONFIG = ExpertSettings(
    batch_size=16,
    learning_rate=0.1,
    augmentation="none",
    num_difficulty_networks=2,
    difficulty_epochs=1,
    initial_ratio=0.75,
    addition_end=0.3,
    seed=3,
)


def plain_el2n(real: LabelledImages, spec: ImageSpec) -> torch.Tensor:
    """Definition 2.2 image by image, networks trained by torch's own SGD."""
    images, scores = spec.normalise(real.images), torch.zeros(len(real))
    for j in range(2):
        network = networks.build(NETWORK, spec, seed=derive(3, "difficulty", j, "weights")).train()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        order = torch.randperm(len(real), generator=generator(3, "difficulty", j, "batches"))
        for index in order.split(16):
            optimizer.zero_grad()
            F.cross_entropy(network(images[index]), real.labels[index]).backward()
            optimizer.step()
        for n in range(len(real)):
            p = network(images[n : n + 1]).softmax(1)[0].tolist()
            p[int(real.labels[n])] -= 1
            scores[n] += sum(x * x for x in p) ** 0.5 / 2
    return scores


def test_el2n_is_the_papers(tiny_spec: ImageSpec, tiny_images: LabelledImages) -> None:
    scores = el2n(tiny_images, tiny_spec, NETWORK, CONFIG, device=CPU, precision="float32")
    assert scores.dtype == torch.float32 and scores.device == CPU
    torch.testing.assert_close(scores, plain_el2n(tiny_images, tiny_spec), rtol=1e-4, atol=1e-5)


def test_a_wrong_label_is_hardest(tiny_spec: ImageSpec, tiny_images: LabelledImages) -> None:
    labels = tiny_images.labels.clone()
    labels[10] = (labels[10] + 1) % 4
    real = LabelledImages(tiny_images.images, labels)
    # Twenty steps instead of five: what is mislabelled is known by then.
    config = CONFIG.replace(batch_size=4)
    scores = el2n(real, tiny_spec, NETWORK, config, device=CPU, precision="float32")
    assert int(scores.argmax()) == 10
    assert scores[10] > 1 > 2 * scores.median()
    assert float(scores.min()) >= 0 and float(scores.max()) <= 2**0.5


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0.0, (0.0, 0.75)),
        (0.15, (0.0, 0.875)),
        (0.3, (0.0, 1.0)),
        (0.39, (0.0, 1.0)),
        (0.4, (0.1, 1.0)),
        (0.59, (0.1, 1.0)),
        (0.6, (0.2, 1.0)),
        (0.99, (0.2, 1.0)),
    ],
)
def test_shares_of_the_paper(progress: float, expected: tuple[float, float]) -> None:
    assert share(progress, CONFIG) == pytest.approx(expected)


def test_late_additions_and_drops_go_together() -> None:
    config = CONFIG.replace(initial_ratio=0.5, addition_end=1.0)
    assert share(0.5, config) == pytest.approx((0.1, 0.75))
    assert share(0.8, config) == pytest.approx((0.2, 0.9))


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        # Difficulty is 9 - position: position 9 is the easiest of ten.
        (0.0, [2, 3, 4, 5, 6, 7, 8, 9]),
        (0.15, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (0.3, list(range(10))),
        (0.4, list(range(9))),
        (0.6, list(range(8))),
    ],
)
def test_positions_by_hand(progress: float, expected: list[int]) -> None:
    scores = 9.0 - torch.arange(10)
    labels = torch.zeros(10, dtype=torch.int64)
    assert selected(scores, labels, progress, CONFIG).tolist() == expected


def test_every_class_has_its_own_order() -> None:
    # Class 1 is harder throughout; a common order would leave most of it out.
    labels = torch.tensor([0, 1] * 4)
    scores = torch.tensor([0.4, 1.4, 0.3, 1.3, 0.2, 1.2, 0.1, 1.1])
    assert selected(scores, labels, 0.0, CONFIG).tolist() == [2, 3, 4, 5, 6, 7]


def test_of_equally_hard_images_the_earlier_is_easier() -> None:
    scores, labels = torch.zeros(8), torch.zeros(8, dtype=torch.int64)
    assert selected(scores, labels, 0.0, CONFIG).tolist() == [0, 1, 2, 3, 4, 5]
    assert selected(scores, labels, 0.7, CONFIG).tolist() == [2, 3, 4, 5, 6, 7]


settings = st.builds(
    lambda ratio, end: CONFIG.replace(initial_ratio=ratio, addition_end=end),
    st.floats(0.001, 1.0),
    st.floats(0.001, 1.0),
)
progresses = st.floats(0, 1, exclude_max=True)


@given(config=settings, first=progresses, second=progresses)
def test_shares_only_grow(config: ExpertSettings, first: float, second: float) -> None:
    first, second = sorted((first, second))
    (low_1, high_1), (low_2, high_2) = share(first, config), share(second, config)
    assert 0 <= low_1 <= low_2 <= 0.2 and config.initial_ratio <= high_1 <= high_2 <= 1
    assert low_2 < high_2


@given(
    config=settings,
    progress=progresses,
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
def test_selection_is_a_share_of_every_class(
    config: ExpertSettings, progress: float, sizes: list[int], seed: int
) -> None:
    sizes[-1] += 1
    labels = torch.cat([torch.full((n,), c) for c, n in enumerate(sizes)])
    scores = torch.rand(len(labels), generator=torch.Generator().manual_seed(seed))
    index = selected(scores, labels, progress, config)
    assert index.tolist() == sorted(set(index.tolist()))
    low, high = share(progress, config)
    for c, n in enumerate(sizes):
        ranks = scores[labels == c].argsort().argsort()
        chosen = torch.zeros(len(labels), dtype=torch.bool)
        chosen[index] = True
        kept = sorted(ranks[chosen[labels == c]].tolist())
        if n:
            assert kept == list(range(kept[0], kept[-1] + 1))
            assert abs(len(kept) - (high - low) * n) <= 1 and abs(kept[0] - low * n) <= 0.5
