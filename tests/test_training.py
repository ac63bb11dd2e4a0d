"""The supervised loop on small sets, and the evaluation of sets by fresh networks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clbench import networks
from clbench.config import NetworkConfig, SetTrainingConfig
from clbench.evaluation import evaluate_set
from clbench.seeding import generator
from clbench.training import accuracy, batches, train_on_set
from clbench.types import ImageSpec, LabelledImages

CPU = torch.device("cpu")
NETWORK = NetworkConfig("mlp", width=32, depth=1)
CONFIG = SetTrainingConfig(epochs=40, batch_size=16, learning_rate=0.1, augmentation="none")


def trained(data: LabelledImages, spec: ImageSpec, config: SetTrainingConfig = CONFIG):
    network = networks.build(NETWORK, spec, seed=1)
    losses = train_on_set(network, data, spec, config, generator=generator(0, "order"), device=CPU)
    return network, losses


def test_learns(tiny_images: LabelledImages, tiny_spec: ImageSpec) -> None:
    network, losses = trained(tiny_images, tiny_spec)
    assert len(losses) == 40 and losses[-1] < 0.1 * losses[0]
    assert accuracy(network, tiny_images, tiny_spec, CPU) == 1.0


def test_equals_a_plain_loop(tiny_images: LabelledImages, tiny_spec: ImageSpec) -> None:
    config = SetTrainingConfig(epochs=4, batch_size=32, learning_rate=0.05, augmentation="none")
    network, losses = trained(tiny_images, tiny_spec, config)
    plain = networks.build(NETWORK, tiny_spec, seed=1)
    rng, expected = generator(0, "order"), []
    x = tiny_spec.normalise(tiny_images.images)
    velocity = [torch.zeros_like(p) for p in plain.parameters()]
    for epoch in range(4):
        rate, total = (0.05 if epoch < 2 else 0.005), 0.0
        for index in torch.randperm(len(x), generator=rng).split(32):
            with torch.autocast("cpu", torch.bfloat16, torch.cpu._is_avx512_bf16_supported()):
                logits = plain(x[index])
            loss = torch.nn.functional.cross_entropy(logits.float(), tiny_images.labels[index])
            gradients = torch.autograd.grad(loss, list(plain.parameters()))
            with torch.no_grad():
                for p, v, g in zip(plain.parameters(), velocity, gradients, strict=True):
                    v.mul_(0.9).add_(g + 5e-4 * p)
                    p.sub_(rate * v)
            total += float(loss) * len(index)
        expected.append(total / len(x))
    assert losses == pytest.approx(expected, rel=1e-3)


@given(num=st.integers(1, 60), size=st.integers(2, 20))
def test_no_batch_of_one_image(num: int, size: int) -> None:
    pieces = batches(torch.arange(num), size)
    assert torch.equal(torch.cat(pieces), torch.arange(num))
    assert all(len(piece) == size for piece in pieces[:-1])
    assert len(pieces[-1]) in range(2, size + 2) or num == 1


def test_batch_norm_of_hidden_units_takes_what_is_left_over(
    tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    network = networks.build(NETWORK.replace(norm="batch"), tiny_spec, seed=1)
    config = SetTrainingConfig(epochs=2, batch_size=4)
    five = tiny_images.select(torch.arange(5))
    train_on_set(network, five, tiny_spec, config, generator=generator(0, "order"), device=CPU)


def test_soft_labels_of_certainty_equal_hard_ones(
    tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    soft = torch.nn.functional.one_hot(tiny_images.labels, 4).float()
    _, hard_losses = trained(tiny_images, tiny_spec)
    _, soft_losses = trained(LabelledImages(tiny_images.images, soft), tiny_spec)
    assert soft_losses == pytest.approx(hard_losses, rel=1e-3, abs=1e-4)


def test_augmentation_changes_the_course(tiny_images: LabelledImages, tiny_spec: ImageSpec) -> None:
    _, plain = trained(tiny_images, tiny_spec)
    _, augmented = trained(tiny_images, tiny_spec, CONFIG.replace(augmentation="auto"))
    assert plain != augmented


def test_evaluation_is_reproducible_and_one_network_per_seed(
    tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    few = tiny_images.select(torch.arange(0, 80, 10))

    def scores(seeds):
        config = CONFIG.replace(epochs=5)
        return evaluate_set(
            few, tiny_images, tiny_spec, NETWORK, config, seeds=seeds, device=CPU
        ).values

    assert scores([0, 1, 2]) == scores([0, 1, 2])
    assert scores([2])[0] == scores([0, 1, 2])[2]
    assert len(set(scores([0, 1, 2, 3, 4]))) > 1
