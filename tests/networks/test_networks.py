"""Networks: sizes known by hand, seeds, features, and what each norm may and may not mix."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from clbench.config import NetworkConfig
from clbench.errors import InputError
from clbench.networks import NETWORKS, ConvNet, build, num_parameters
from clbench.types import ImageSpec

MNIST = ImageSpec(1, 28, 28, 10, (0.1307,), (0.3081,))
COLOUR = ImageSpec(3, 32, 32, 7, (0.5,) * 3, (0.25,) * 3)
LARGE = ImageSpec(3, 64, 64, 2, (0.5,) * 3, (0.25,) * 3)
SPECS = {"1x28x28": MNIST, "3x32x32": COLOUR, "3x64x64": LARGE}


def images(spec: ImageSpec, num: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(num, *spec.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (NetworkConfig("convnet"), 317_706),
        (NetworkConfig("mlp"), 478_410),
        (NetworkConfig("lenet"), 61_706),
        # conv weights and biases, the linear layer of 192 * 4 * 4 inputs
        (
            NetworkConfig("alexnet"),
            (25 + 1) * 128
            + (128 * 25 + 1) * 192
            + (192 * 9 + 1) * 256
            + (256 * 9 + 1) * 192
            + (192 * 9 + 1) * 192
            + (192 * 16 + 1) * 10,
        ),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_parameter_counts_are_those_worked_out_by_hand(config: NetworkConfig, expected: int):
    assert num_parameters(build(config, MNIST, seed=0)) == expected


def test_convnet_costs_what_fvcore_counted_for_the_papers_network():
    from fvcore.nn import FlopCountAnalysis

    network = build(NetworkConfig("convnet"), MNIST, seed=0).eval()
    analysis = FlopCountAnalysis(network, torch.zeros(1, 1, 28, 28))
    analysis.unsupported_ops_warnings(False)
    assert analysis.total() == pytest.approx(4.925e7, rel=1e-3)


@pytest.mark.parametrize("shape", SPECS)
@pytest.mark.parametrize("name", NETWORKS)
def test_forward_is_the_classifier_of_the_embedding(name: str, shape: str):
    spec = SPECS[shape]
    narrow = 16 if NETWORKS[name].width else None
    network = build(NetworkConfig(name, width=narrow), spec, seed=0).eval()
    x = images(spec, 2)
    logits = network(x)
    assert logits.shape == (2, spec.num_classes)
    assert network.embed(x).shape == (2, network.classifier.in_features)
    torch.testing.assert_close(logits, network.classifier(network.embed(x)))
    assert not torch.allclose(logits[0], logits[1])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_offered_variant_learns_from_its_input(name: str):
    info = NETWORKS[name]
    narrow = 8 if info.width else None
    variants = [NetworkConfig(name, narrow, norm=norm) for norm in info.norms]
    variants += [NetworkConfig(name, narrow, activation=a) for a in info.activations]
    variants += [NetworkConfig(name, narrow, pooling=p) for p in info.poolings]
    for config in variants:
        network = build(config, MNIST, seed=0)
        network(images(MNIST, 3)).logsumexp(1).sum().backward()
        gradients = [p.grad for p in network.parameters()]
        assert all(g is not None and g.isfinite().all() for g in gradients), config
        assert all(p.abs().sum() > 0 for p in gradients[:1] if p is not None), config


def test_seed_alone_decides_the_weights():
    config = NetworkConfig("convnet", width=8)
    first = build(config, MNIST, seed=3).state_dict()
    torch.manual_seed(99)
    torch.rand(5)
    again = build(config, MNIST, seed=3).state_dict()
    other = build(config, MNIST, seed=4).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["blocks.0.0.weight"], other["blocks.0.0.weight"])


@pytest.mark.parametrize("name", NETWORKS)
def test_building_leaves_the_global_generators_alone(name: str):
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = torch.rand(1).item(), random.random(), np.random.rand()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    build(NetworkConfig(name, width=8 if NETWORKS[name].width else None), MNIST, seed=0)
    assert (torch.rand(1).item(), random.random(), np.random.rand()) == expected


def test_features_are_the_maps_before_pooling_and_agree_with_forward():
    network = build(NetworkConfig("convnet", width=8, norm="batch"), MNIST, seed=0).eval()
    assert isinstance(network, ConvNet)
    x = images(MNIST, 4)
    maps, embedding = network.features(x)
    assert [tuple(m.shape) for m in maps] == [(4, 8, s, s) for s in (32, 16, 8)]
    assert all((m >= 0).all() for m in maps)
    assert embedding.shape == (4, 8 * 4 * 4)
    torch.testing.assert_close(torch.nn.functional.avg_pool2d(maps[-1], 2).flatten(1), embedding)
    torch.testing.assert_close(network.embed(x), embedding, rtol=0, atol=0)
    torch.testing.assert_close(network.classifier(embedding), network(x), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["convnet", "resnet18", "vgg11"])
@pytest.mark.parametrize(("norm", "alone"), [("instance", True), ("batch", False)])
def test_instance_norm_sees_one_image_and_batch_norm_the_batch(name: str, norm, alone: bool):
    network = build(NetworkConfig(name, width=8, norm=norm), MNIST, seed=0).train()
    x = images(MNIST, 5)
    together = network(x)[0]
    apart = network(torch.cat([x[:1], images(MNIST, 4, seed=7)]))[0]
    assert torch.allclose(together, apart, atol=1e-5) is alone


def test_instance_norm_is_per_channel_and_layer_norm_per_image():
    maps = torch.rand(2, 8, 6, 6)
    x = images(COLOUR, 2)
    for norm, dims in {"instance": (2, 3), "layer": (1, 2, 3)}.items():
        network = build(NetworkConfig("convnet", width=8, norm=norm), COLOUR, seed=0)
        conv, layer = network.blocks[0][0], network.blocks[0][1]
        maps = conv(x)
        expected = (maps - maps.mean(dims, keepdim=True)) / maps.std(
            dims, keepdim=True, correction=0
        )
        torch.testing.assert_close(layer(maps), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", [(16, 24), (33, 20), (128, 128)])
def test_convnet_takes_images_of_any_size(size: tuple[int, int]):
    spec = ImageSpec(2, *size, 3, (0.0,) * 2, (1.0,) * 2)
    network = build(NetworkConfig("convnet", width=4, depth=4), spec, seed=0)
    assert network(images(spec, 2)).shape == (2, 3)
    assert network.classifier.in_features == 4 * (size[0] // 16) * (size[1] // 16)


@pytest.mark.parametrize(
    ("config", "spec", "words"),
    [
        (NetworkConfig("convnett"), MNIST, ["convnett", "did you mean 'convnet'?", "resnet18"]),
        (NetworkConfig("lenet", width=3), MNIST, ["width", "lenet", "none"]),
        (NetworkConfig("resnet18", depth=3), MNIST, ["depth", "width, norm, activation"]),
        (NetworkConfig("alexnet", norm="batch"), MNIST, ["norm", "alexnet", "batch"]),
        (NetworkConfig("mlp", norm="instance"), MNIST, ["none, batch, layer", "instance"]),
        (NetworkConfig("mlp", pooling="max"), MNIST, ["pooling", "width, depth, norm"]),
        (NetworkConfig("convnet", depth=6), MNIST, ["depth", "at most 5", "28x28", "found 6"]),
        (NetworkConfig("convnet", width=6, norm="group"), MNIST, ["multiple of 4", "6"]),
        (NetworkConfig("vgg11"), ImageSpec(3, 16, 16, 2, (0.5,) * 3, (0.5,) * 3), ["32x32", "16"]),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(config, spec, words: list[str]):
    with pytest.raises(InputError) as error:
        build(config, spec, seed=0)
    assert all(word in str(error.value) for word in words), error.value
    assert "\n" not in str(error.value)


def test_a_value_a_network_has_anyway_is_not_an_error():
    assert num_parameters(build(NetworkConfig("lenet", norm="none"), MNIST, seed=0)) == 61_706
