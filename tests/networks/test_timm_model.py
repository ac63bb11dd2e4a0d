"""Architectures of timm, where it is installed."""

from __future__ import annotations

import sys

import pytest
import torch

from clbench.errors import InputError
from clbench.machine.compat import prepare
from clbench.networks import NetworkConfig, build
from clbench.types import ImageSpec

SPEC = ImageSpec(3, 32, 32, 5, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def _timm() -> None:
    prepare()
    pytest.importorskip("timm")


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"^timm:resnet10t: needs .* 'clbench\[timm\]'$"):
        build(NetworkConfig("timm:resnet10t"), SPEC, seed=0)


@pytest.mark.usefixtures("_timm")
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_of_timm(name: str, channels: int) -> None:
    spec = ImageSpec(channels, 32, 32, 5, (0.5,) * channels, (0.25,) * channels)
    network = build(NetworkConfig(f"timm:{name}"), spec, seed=3).eval()
    images = torch.rand(2, *spec.shape, generator=torch.Generator().manual_seed(0))
    logits = network(images)
    assert logits.shape == (2, 5)
    torch.testing.assert_close(logits, network.model(images), msg="the same as timm's own forward")
    again = build(NetworkConfig(f"timm:{name}"), spec, seed=3).eval()
    assert again(images).equal(logits), "weights depend on the seed alone"
    numbers = [id(p) for p in network.parameters()]
    assert len(numbers) == len(set(numbers)), "the classifier is counted once"


@pytest.mark.usefixtures("_timm")
def test_models_that_are_none_or_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"unknown to timm .*did you mean timm:resnet18\?"):
        build(NetworkConfig("timm:resnet81"), SPEC, seed=0)
    with pytest.raises(InputError, match="width: timm:test_resnet has no such option"):
        build(NetworkConfig("timm:test_resnet", width=8), SPEC, seed=0)
