"""What of real and synthetic images is brought together, and the loss; see `Matching`."""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench.distillation.matching.settings import MatchingSettings
from clbench.distillation.settings import DistillationConfig
from clbench.networks import Network
from clbench.types import ImageSpec

BYTES_OF_ACTIVATIONS = 2**31
# Of the largest map of the images that pass a CPU's network together, for each thread, and at most.
# Larger maps fall out of the cache, and from 32 MiB on glibc maps each anew, page by page (see
# `clbench.machine.allocator`): 640 real digits took 1.4 (width 32) to 2 times (128) as long.
BYTES_OF_A_MAP, MOST_BYTES_OF_A_MAP = 2**23, 3 * 2**23


def attention(map_NCHW: Tensor, power: float, *, nonnegative: bool = False) -> Tensor:
    """Attention map (N, H*W): sum over channels of |f|^power, unit length per image.

    Where f is ``nonnegative``, the absolute value is left out, which is a pass over all maps and
    two for its gradient.
    """
    f = map_NCHW if nonnegative else map_NCHW.abs()
    f = f if power == 1 else f**power
    return F.normalize(f.sum(1).flatten(1).float(), dim=1)


def class_means(values_ND: Tensor, group: Tensor, num: int) -> Tensor:
    """Mean of the rows of each group, (num, D)."""
    sums = torch.zeros(num, values_ND.shape[1], device=values_ND.device)
    counts = torch.bincount(group, minlength=num).clamp_min(1)
    return sums.index_add(0, group, values_ND) / counts[:, None]


def statistics(
    network: Network,
    images_NCHW: Tensor,
    group: Tensor,
    num: int,
    config: DistillationConfig,
    at_once: int = sys.maxsize,
) -> list[Tensor]:
    """Class means of the attention of every layer but the last, then of the embedding.

    The last layer's attention is left out as in the authors' code: the embedding speaks for it.
    "deep" leaves out the shallow half of the layers as well. DM wants the embedding alone, so any
    network serves it. ``at_once`` images go through the network together, which changes nothing
    but the time.
    """
    parts = [_values(network, part, config) for part in images_NCHW.split(at_once)]
    values = parts[0] if len(parts) == 1 else [torch.cat(v) for v in zip(*parts, strict=True)]
    return [class_means(v, group, num) for v in values]


def _values(network: Network, images_NCHW: Tensor, config: DistillationConfig) -> list[Tensor]:
    """Return of each image what `statistics` averages, (N, D) each."""
    if config.distiller != "datadam":
        return [network.embed(images_NCHW).float()]
    settings = config.own(MatchingSettings)
    maps, embedding = network.features(images_NCHW)
    first = len(maps) // 2 if settings.matched_layers == "deep" else 0
    power, nonnegative = settings.attention_power, network.nonnegative_maps
    maps = maps[first:-1]
    return [*(attention(m, power, nonnegative=nonnegative) for m in maps), embedding.float()]


def statistics_in_passes(
    network: Network,
    images_NCHW: Tensor,
    group: Tensor,
    num: int,
    config: DistillationConfig,
    size: int,
    at_once: int = sys.maxsize,
) -> list[Tensor]:
    """`statistics`, at most ``size`` images in the network at a time; without gradients."""
    if len(images_NCHW) <= size:
        return statistics(network, images_NCHW, group, num, config, at_once)
    sums: list[Tensor] = []
    for index in torch.arange(len(group), device=group.device).split(size):
        part = statistics(network, images_NCHW[index], group[index], num, config, at_once)
        part = [share_of(index, group, num) * means for means in part]
        sums = [a + b for a, b in zip(sums, part, strict=True)] if sums else part
    return sums


def share_of(index: Tensor, group: Tensor, num: int) -> Tensor:
    """Which part of each class the images at ``index`` are, (num, 1)."""
    here = torch.bincount(group[index], minlength=num)
    return (here / torch.bincount(group, minlength=num).clamp_min(1))[:, None]


def images_that_fit(network: Network, spec: ImageSpec, device: torch.device) -> int:
    """How many images' activations take `BYTES_OF_ACTIVATIONS` in a network.

    One with batch norm takes all at once: their statistics are those of the whole batch.
    """
    if _sees_whole_batches(network):
        return sys.maxsize
    return max(1, BYTES_OF_ACTIVATIONS // (4 * sum(_map_sizes(network, spec, device))))


def images_at_once(network: Network, spec: ImageSpec, device: torch.device) -> int:
    """How many images go through a network together where that takes the least time.

    On a CPU as many as have a largest map of `BYTES_OF_A_MAP`, for each thread of torch; elsewhere,
    and with batch norm, all.
    """
    if device.type != "cpu" or _sees_whole_batches(network):
        return sys.maxsize
    most = min(BYTES_OF_A_MAP * torch.get_num_threads(), MOST_BYTES_OF_A_MAP)
    return max(1, most // (4 * max(_map_sizes(network, spec, device))))


def _sees_whole_batches(network: Network) -> bool:
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules())


def _map_sizes(network: Network, spec: ImageSpec, device: torch.device) -> list[int]:
    """Return how many numbers each layer makes of one image."""
    found: list[int] = []

    def count(part: nn.Module, inputs: object, output: Tensor) -> None:
        found.append(output.numel())

    leaves = [part for part in network.modules() if not list(part.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    with torch.no_grad():
        network(torch.zeros(1, *spec.shape, device=device))
    for hook in hooks:
        hook.remove()
    return found


def matching_loss(real: list[Tensor], synthetic: list[Tensor], mmd_weight: float) -> Tensor:
    """Return L (see `clbench.distillation.matching.distiller`) of two lists of `statistics`."""
    *sam, mmd = [((r - s) ** 2).sum() for r, s in zip(real, synthetic, strict=True)]
    return torch.stack([*sam, mmd_weight * mmd]).sum()
