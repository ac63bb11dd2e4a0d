"""Three layers whose stock CPU kernels take most of a ConvNet's time, computed another way.

Same functions, same gradients, twice differentiable (tests compare them with the stock layers);
elsewhere than on a CPU, and while a tracer counts operations, the stock kernels run. Measured on
one core, 100 maps of 32 x 32 x 32:
`avg_pool2d` 57 ms forward and 50 ms backward in float32, 2.4 and 2.2 ms here. Instance norm is
the stock kernel but for its second derivative, for which autograd takes some forty passes over the
maps; matching trajectories spent half of its time there.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.grad import conv2d_input

_UPPER_HALF = -(2**16)
_TWICE = 2**16 + 1  # times this, an int32 holds a 16-bit number in both halves


def _stock(x: Tensor) -> bool:
    return x.device.type != "cpu" or torch.jit.is_tracing()


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        ctx.shape = x.shape
        even = x[:, :, : h // 2 * 2, : w // 2 * 2]
        if x.dtype == torch.bfloat16:
            even = even.float()  # torch adds short rows faster in float32; sums are rounded below
        rows = even.contiguous().view(n, c, h // 2, 2, w // 2 * 2)
        sums = (rows[:, :, :, 0] + rows[:, :, :, 1]).to(x.dtype)
        return _sums_of_neighbours(sums).mul_(0.25).to(x.dtype).view(n, c, h // 2, w // 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _Spread.apply(grads[0], ctx.shape)


def _sums_of_neighbours(x: Tensor) -> Tensor:
    """Return the sums of pairs in the last dimension, those of bfloat16 in float32."""
    if x.dtype != torch.bfloat16:
        pairs = x.view(*x.shape[:-1], -1, 2)
        return pairs[..., 0] + pairs[..., 1]
    # A bfloat16 is the upper half of a float32, and an int32 holds two.
    pairs = x.view(torch.int32)
    one = pairs.bitwise_left_shift(16).view(torch.float32)
    return one.add_(pairs.bitwise_and_(_UPPER_HALF).view(torch.float32))


class _Spread(torch.autograd.Function):
    """The adjoint of `_Pool`, and it the adjoint's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: torch.Size) -> Tensor:
        quarter = (x * 0.25).contiguous()
        n, c, h, w = quarter.shape
        if quarter.dtype == torch.float32:
            # A complex number is two neighbours: torch writes both at once, and copies whole rows.
            row = torch.view_as_real(torch.complex(quarter, quarter)).view(n, c, h, 1, 2 * w)
            full = torch.cat([row, row], 3).view(n, c, 2 * h, 2 * w)
        elif quarter.dtype == torch.bfloat16:
            bits = quarter.flatten().view(torch.uint16).to(torch.int32)
            row = bits.mul_(_TWICE).view(torch.bfloat16).view(n, c, h, 1, 2 * w)
            full = torch.cat([row, row], 3).view(n, c, 2 * h, 2 * w)
        else:
            full = quarter.repeat_interleave(2, 3).repeat_interleave(2, 2)
        pad = (0, shape[3] - 2 * w, 0, shape[2] - 2 * h)
        return F.pad(full, pad) if any(pad) else full

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _Pool.apply(grads[0]), None


class AvgPool2(nn.Module):
    """`torch.nn.AvgPool2d(2)`."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H // 2, W // 2)."""
        return F.avg_pool2d(x, 2) if _stock(x) else _Pool.apply(x)


class _ThinConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        grad = grads[0]
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = conv2d_input(x.shape, weight, grad, padding=ctx.padding)
        columns = F.unfold(x, weight.shape[2:], padding=ctx.padding)
        flat = grad.flatten(2)
        total = torch.float64 if x.dtype == torch.float64 else torch.float32
        grad_weight = torch.bmm(flat, columns.transpose(1, 2)).sum(0, dtype=total)
        grad_bias = flat.sum(2).sum(0, dtype=total)
        return grad_x, grad_weight.view_as(weight).to(weight), grad_bias.to(weight), None


class ThinConv2d(nn.Conv2d):
    """A convolution of few input channels: its weight's gradient is one matrix product."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, out_channels, H', W')."""
        if _stock(input) or not (self.weight.requires_grad and torch.is_grad_enabled()):
            return super().forward(input)
        x, weight, bias = input, self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(kind), weight.to(kind), bias.to(kind)  # type: ignore[union-attr]
        return _ThinConv.apply(x, weight, bias, self.padding[0])


class _InstanceNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        n, c, h, w = x.shape
        x = x.contiguous()
        out, mean, rstd = torch.ops.aten.native_group_norm(x, weight, bias, n, c, h * w, c, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        return (*_InstanceNormBackward.apply(grads[0], *ctx.saved_tensors), None)


class _InstanceNormBackward(torch.autograd.Function):
    """y = weight * z + bias, z = (x - mean) * rstd; all means over the m pixels of a map.

    With P(u) = u - mean(u) - z mean(u z) the gradients of x, weight, bias at g are
    weight * rstd * P(g), sum g z and sum g. `backward` differentiates the sum of their products
    with v, v_weight and v_bias; d z = rstd P(d x) and d rstd = -rstd^2 mean(z d x).
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        n, c, h, w = x.shape
        g = g.contiguous()
        ctx.save_for_backward(g, x, weight, mean, rstd)
        grads: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_group_norm_backward(
            g, x, mean, rstd, weight, n, c, h * w, c, [True, True, True]
        )
        return grads

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        g, x, weight, mean, rstd = ctx.saved_tensors
        v, v_weight, v_bias = grads
        n, c, h, w = x.shape
        kind = torch.float64 if x.dtype == torch.float64 else torch.float32
        column = (n, c, 1)
        r, weight = rstd.to(kind).view(column), weight.to(kind).view(1, c, 1)
        g, v, z = (t.reshape(n, c, h * w).to(kind) for t in (g, v, x))
        z = torch.addcmul(-mean.to(kind).view(column) * r, z, r)
        v_weight, v_bias = (t.to(kind).view(1, c, 1) for t in (v_weight, v_bias))
        mean_g, mean_v = g.mean(2, keepdim=True), v.mean(2, keepdim=True)
        g_z, v_z, v_g = _mean_product(g, z), _mean_product(v, z), _mean_product(v, g)
        inner = v_g - mean_v * mean_g - v_z * g_z  # mean of v P(g)
        scale = weight * r
        to_g = torch.addcmul(v_bias - scale * mean_v, v, scale)
        to_g.addcmul_(z, v_weight - scale * v_z)
        of_v, of_g = -scale * r * g_z, r * v_weight - scale * r * v_z
        of_z = -scale * r * inner - of_v * v_z - of_g * g_z
        to_x = torch.addcmul(-of_v * mean_v - of_g * mean_g, v, of_v)
        to_x.addcmul_(g, of_g).addcmul_(z, of_z)
        to_weight = (inner * r).sum((0, 2)) * (h * w)
        return to_g.view(x.shape).to(x), to_x.view(x.shape).to(x), to_weight.to(rstd), None, None


def _mean_product(a_NCM: Tensor, b_NCM: Tensor) -> Tensor:
    """(N, C, 1): mean over the pixels of the product."""
    n, c, m = a_NCM.shape
    rows, columns = a_NCM.reshape(n * c, 1, m), b_NCM.reshape(n * c, m, 1)
    return torch.bmm(rows, columns).view(n, c, 1) / m


class InstanceNorm2d(nn.GroupNorm):
    """`torch.nn.GroupNorm` with one group per channel."""

    def __init__(self, channels: int) -> None:
        """Scale and shift start at 1 and 0."""
        super().__init__(channels, channels)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        if _stock(input) or not torch.is_grad_enabled():
            return super().forward(input)
        normed: Tensor = _InstanceNorm.apply(input, self.weight, self.bias, self.eps)
        return normed
