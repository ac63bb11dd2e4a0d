"""The fast CPU layers are the stock layers: values, gradients, second gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clbench.networks.fast_cpu import AvgPool2, InstanceNorm2d, ThinConv2d


def pairs() -> list[tuple[nn.Module, nn.Module, int]]:
    thin = ThinConv2d(2, 5, 3, padding=3)
    stock = nn.Conv2d(2, 5, 3, padding=3)
    stock.load_state_dict(thin.state_dict())
    norm, group = InstanceNorm2d(3), nn.GroupNorm(3, 3)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([0.5, -1.0, 2.0]))
        norm.bias.copy_(torch.tensor([0.1, 0.0, -0.3]))
    group.load_state_dict(norm.state_dict())
    return [(AvgPool2(), nn.AvgPool2d(2), 3), (thin, stock, 2), (norm, group, 3)]


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3)])
def test_values_and_gradients(which: int, size: tuple[int, int]) -> None:
    fast, stock, channels = pairs()[which]
    fast, stock = fast.double(), stock.double()
    x = torch.randn(3, channels, *size, dtype=torch.float64, requires_grad=True)
    a, b = fast(x), stock(x)
    torch.testing.assert_close(a, b)
    upstream = torch.randn_like(b)
    for of_fast, of_stock in zip(
        torch.autograd.grad(a, [x, *fast.parameters()], upstream),
        torch.autograd.grad(b, [x, *stock.parameters()], upstream),
        strict=True,
    ):
        torch.testing.assert_close(of_fast, of_stock)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_pooling_spreads_single_precision_to_the_last_bit(
    size: tuple[int, int], order: torch.memory_format
) -> None:
    x = torch.randn(3, 4, *size, requires_grad=True)
    upstream = torch.randn(3, 4, size[0] // 2, size[1] // 2).to(memory_format=order)
    found, stock = (
        torch.autograd.grad(pool(x), x, upstream)[0] for pool in (AvgPool2(), nn.AvgPool2d(2))
    )
    assert torch.equal(found, stock) and found.count_nonzero() > 0


@pytest.mark.parametrize("size", [(28, 28), (7, 9), (2, 3), (1, 4)])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_pooling_rounds_half_precision_as_its_arithmetic_does(
    size: tuple[int, int], order: torch.memory_format
) -> None:
    x = torch.randn(3, 4, *size).bfloat16().to(memory_format=order).requires_grad_()
    with torch.no_grad():
        x[0, 0, 0, 0] = torch.inf
        x[0, 0, 0, 1] = -0.0
        x[0, 1, 0, :2] = torch.tensor([3e38, 3e38])
    height, width = size[0] // 2 * 2, size[1] // 2 * 2
    rows = x[:, :, 0:height:2, :width] + x[:, :, 1:height:2, :width]
    expected = (rows[..., 0::2] + rows[..., 1::2]) * 0.25
    found = AvgPool2()(x)
    assert found.dtype == torch.bfloat16 and torch.equal(found, expected)
    upstream = torch.randn_like(expected).to(memory_format=order)
    (spread,) = torch.autograd.grad(found, x, upstream)
    (plain,) = torch.autograd.grad(expected, x, upstream)
    assert spread.dtype == torch.bfloat16 and torch.equal(spread, plain)
    assert found.numel() == 0 or spread.count_nonzero() > 0


@pytest.mark.parametrize("which", [0, 1, 2])
def test_twice_differentiable(which: int) -> None:
    layer, _, channels = pairs()[which]
    layer = layer.double()
    x = torch.randn(2, channels, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


def test_norms_second_gradients_of_all_its_inputs() -> None:
    fast, stock, channels = pairs()[2]
    x = torch.randn(4, channels, 5, 6, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn_like(x)
    second = []
    for layer in (fast.double(), stock.double()):
        inputs = [x, *layer.parameters()]
        loss = (layer(x).tanh() * upstream).sum()
        first = torch.autograd.grad(loss, inputs, create_graph=True)
        second.append(torch.autograd.grad(sum(g.square().sum() for g in first), inputs))
    for of_fast, of_stock in zip(*second, strict=True):
        torch.testing.assert_close(of_fast, of_stock)


def test_norm_gives_the_stock_values_under_autocast() -> None:
    fast, stock, channels = pairs()[2]
    x = torch.randn(4, channels, 8, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(fast(x), stock(x))


def test_bfloat16_autocast_is_as_near_as_stock() -> None:
    fast, stock, channels = pairs()[1]
    x = torch.randn(40, channels, 12, 12)
    exact = torch.autograd.grad(stock(x).square().sum(), stock.weight)[0]
    errors = []
    for layer in (fast, stock):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x)
        gradient = torch.autograd.grad(y.float().square().sum(), layer.weight)[0]
        errors.append(float((gradient - exact).norm() / exact.norm()))
    assert errors[0] < 2 * errors[1] + 1e-3


def test_batches_of_frozen_weights_take_the_stock_path() -> None:
    fast, stock, channels = pairs()[1]
    fast.requires_grad_(False)
    x = torch.randn(2, channels, 6, 6, requires_grad=True)
    assert "ThinConv" not in type(fast(x).grad_fn).__name__
    torch.testing.assert_close(fast(x), stock(x))
