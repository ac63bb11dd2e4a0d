"""DM and DataDAM against the papers' plain loop, and what must hold whatever the loop."""

from __future__ import annotations

import pytest
import torch

from clbench import networks
from clbench.config import DifficultySettings, DistillationConfig, NetworkConfig
from clbench.distillation import Workload, make_distiller
from clbench.distillation.difficulty import el2n
from clbench.distillation.matching import statistics as statistics_module
from clbench.distillation.matching import updates
from clbench.distillation.matching.statistics import attention, class_means, statistics
from clbench.speed.plain_matching import attention_map, plain_distill
from clbench.types import ImageSpec, LabelledImages
from tests import distilling
from tests.distilling import distillation

SPEC = ImageSpec(1, 12, 12, 3, (0.2,), (0.3,))
RANDOM = DistillationConfig("random")


def blobs(num_per_class: int = 30, channels: int = 1) -> LabelledImages:
    """Three classes, each a bright square in its own corner, with noise."""
    g = torch.Generator().manual_seed(0)
    images = torch.rand(3 * num_per_class, channels, 12, 12, generator=g) * 0.3
    labels = torch.arange(3).repeat(num_per_class)
    for c, (row, column) in enumerate([(0, 0), (0, 6), (6, 3)]):
        images[labels == c, :, row : row + 6, column : column + 6] += 0.6
    return LabelledImages((images * 255).to(torch.uint8), labels)


def config(**changes) -> DistillationConfig:
    settings = {
        "network": NetworkConfig("convnet", width=8, depth=3, norm="instance"),
        "num_networks": 4,
        "updates_per_network": 1,
        "batch_real": 10,
        "precision": "float32",
        "learning_rate": 20.0,
    }
    return distillation(**{**settings, **changes})


def distil(c: DistillationConfig, *, num: int = 2, seen=None, **of_job) -> LabelledImages:
    return distilling.distil(c, blobs(), SPEC, images_per_class=num, on_update=seen, **of_job)


@pytest.mark.parametrize("distiller", ["dm", "datadam"])
@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("power", [1.0, 4.0])
def test_fast_form_equals_the_papers_loop(distiller: str, norm: str, power: float) -> None:
    network = NetworkConfig("convnet", width=8, depth=3, norm=norm)
    c = config(
        distiller=distiller,
        network=network,
        resample=True,
        attention_power=power,
        mmd_weight=1.0 if distiller == "dm" else 0.01,
    )
    expected = plain_distill(blobs(), SPEC, c, 2, torch.Generator().manual_seed(7))
    found = distil(c, seed=7)
    torch.testing.assert_close(found.images, expected, rtol=1e-3, atol=1e-4)
    start = distil(RANDOM, seed=7)
    moved = (found.images - start.images.float() / 255).abs().max()
    assert moved > 0.01, "the images must have moved for the comparison to mean anything"


def test_amortised_loop_computes_real_statistics_once_per_network(monkeypatch) -> None:
    calls = []
    original = updates.statistics_in_passes
    monkeypatch.setattr(updates, "statistics_in_passes", lambda *a: calls.append(1) or original(*a))
    distil(config(num_networks=3, updates_per_network=5))
    assert len(calls) == 3
    calls.clear()
    distil(config(num_networks=3, updates_per_network=5, resample=True))
    assert len(calls) == 15
    calls.clear()
    distil(config(num_networks=3, updates_per_network=5, network_steps=2))
    assert len(calls) == 15, "a network that has moved needs new statistics"


@pytest.mark.parametrize("distiller", ["dm", "datadam"])
@pytest.mark.parametrize("codec", ["raw", "tiles:factor=2"])
def test_loss_falls(distiller: str, codec: str) -> None:
    losses: list[float] = []
    weight = 1.0 if distiller == "dm" else 0.01
    c = config(
        distiller=distiller,
        num_networks=60,
        mmd_weight=weight,
        learning_rate=5.0,
        augmentation="none",
        initialisation="noise",
    )
    distil(c, codec=codec, seen=lambda update: losses.append(update.loss))
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.5 * sum(losses[:10])


def test_noise_ends_near_its_class() -> None:
    c = config(num_networks=150, initialisation="noise", learning_rate=50.0, augmentation="none")
    images = distil(c).images
    means = torch.stack([blobs().of_class(k).images.float().mean(0) / 255 for k in range(3)])
    for position, image in enumerate(images):
        distances = ((means - image) ** 2).sum((1, 2, 3))
        assert int(distances.argmin()) == position // 2


def test_starts_where_it_is_told() -> None:
    """A step too small to see leaves the start as it was."""
    still = {"num_networks": 1, "learning_rate": 1e-12}
    herded = distil(DistillationConfig("herding")).images.float() / 255
    torch.testing.assert_close(
        distil(config(initialisation="herding", **still)).images, herded, rtol=0, atol=1e-5
    )
    drawn = distil(RANDOM, seed=0).images.float() / 255
    torch.testing.assert_close(distil(config(**still)).images, drawn, rtol=0, atol=1e-5)
    assert not torch.equal(herded, drawn)


def test_same_seed_same_images_other_seed_others() -> None:
    a, b, other = distil(config(), seed=3), distil(config(), seed=3), distil(config(), seed=4)
    assert torch.equal(a.images, b.images)
    assert not torch.equal(a.images, other.images)


def test_global_generator_is_neither_read_nor_moved() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    a = distil(config(network_steps=1, updates_per_network=2))
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert torch.equal(a.images, distil(config(network_steps=1, updates_per_network=2)).images)


def test_result_is_storable() -> None:
    found = distil(config(learning_rate=1e4))
    assert found.images.min() >= 0 and found.images.max() <= 1
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]


def test_course_loop_trains_its_network(monkeypatch) -> None:
    weights = []
    original = updates.statistics  # of the synthetic images, once an update

    def watch(network, *rest):
        weights.append(network.classifier.weight.clone())
        return original(network, *rest)

    monkeypatch.setattr(updates, "statistics", watch)
    distil(config(num_networks=1, updates_per_network=3, network_steps=2))
    assert len(weights) == 3
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


def test_attention_and_class_means_by_hand() -> None:
    f = torch.tensor([[[[3.0, 0.0]], [[-1.0, 3.0]]]])  # sums |3|+|-1| = 4, 0+3 = 3; norm 5
    torch.testing.assert_close(attention(f, 1.0), torch.tensor([[0.8, 0.6]]))
    torch.testing.assert_close(attention(f, 2.0), attention_map(f, 2.0))
    means = class_means(torch.tensor([[1.0], [3.0], [10.0]]), torch.tensor([0, 0, 1]), 2)
    assert means.flatten().tolist() == [2.0, 10.0]


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "leaky_relu"])
def test_absolute_values_are_left_out_where_no_map_is_below_zero(activation, monkeypatch) -> None:
    network = NetworkConfig("convnet", width=8, depth=3, activation=activation)
    made = networks.build(network, SPEC, seed=0)
    lowest = min(m.min().item() for m in made.features(torch.randn(5, 1, 12, 12))[0])
    assert made.nonnegative_maps == (lowest >= 0)
    found = distil(config(network=network)).images
    monkeypatch.setattr(
        statistics_module, "attention", lambda f, power, nonnegative: attention(f, power)
    )
    assert torch.equal(distil(config(network=network)).images, found)


def test_flops_follow_the_loop() -> None:
    def flops(**changes) -> float:
        distiller = make_distiller(config(**changes))
        return distiller.flops(SPEC, Workload(num_real=90, num_classes=3, num_images=6))

    once, paper = flops(updates_per_network=5), flops(updates_per_network=5, resample=True)
    real_batch = 3 * 10
    assert paper / once == pytest.approx((5 * real_batch + 5 * 12) / (real_batch + 5 * 12))
    assert flops(num_networks=8) == 2 * flops(num_networks=4)


def test_easy_images_are_those_of_low_el2n(monkeypatch) -> None:
    scores = torch.rand(len(blobs()), generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(el2n, "el2n", lambda *args, **options: scores)
    made = distil(config(initialisation="easy", learning_rate=1e-9), num=3).quantised()
    for c in range(3):
        mine = (blobs().labels == c).nonzero().flatten()
        easiest = mine[scores[mine].argsort()[:3]]
        assert torch.equal(made.of_class(c).images, blobs().images[easiest])


def test_easy_start_runs_and_draws_nothing() -> None:
    judges = DifficultySettings(num_difficulty_networks=1, difficulty_epochs=2)
    easy = config(initialisation="easy", difficulty=judges)
    one, other = distil(easy), distil(easy)
    assert torch.equal(one.images, other.images)
    assert not torch.equal(one.images, distil(config(initialisation="real")).images)


def test_deep_layers_only() -> None:
    network = networks.build(config().network, SPEC, seed=0)
    images = SPEC.normalise(blobs().images)
    found = {}
    for layers in ("all", "deep"):
        c = config(matched_layers=layers)
        found[layers] = statistics(network, images, blobs().labels, 3, c)
    # Three layers: attention of the first two and the embedding; of these the first is shallow.
    assert len(found["all"]) == 3
    for of_deep, of_all in zip(found["deep"], found["all"][1:], strict=True):
        torch.testing.assert_close(of_deep, of_all)
