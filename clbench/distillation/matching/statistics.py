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


def attention(map_NCHW: Tensor, power: float) -> Tensor:
    """Attention map (N, H*W): sum over channels of |f|^power, unit length per image."""
    f = map_NCHW.abs() if power == 1 else map_NCHW.abs() ** power
    return F.normalize(f.sum(1).flatten(1).float(), dim=1)


def class_means(values_ND: Tensor, group: Tensor, num: int) -> Tensor:
    """Mean of the rows of each group, (num, D)."""
    sums = torch.zeros(num, values_ND.shape[1], device=values_ND.device)
    counts = torch.bincount(group, minlength=num).clamp_min(1)
    return sums.index_add(0, group, values_ND) / counts[:, None]


def statistics(
    network: Network, images_NCHW: Tensor, group: Tensor, num: int, config: DistillationConfig
) -> list[Tensor]:
    """Class means of the attention of every layer but the last, then of the embedding.

    The last layer's attention is left out as in the authors' code: the embedding speaks for it.
    "deep" leaves out the shallow half of the layers as well. DM wants the embedding alone, so any
    network serves it.
    """
    if config.distiller == "datadam":
        settings = config.own(MatchingSettings)
        maps, embedding = network.features(images_NCHW)
        first = len(maps) // 2 if settings.matched_layers == "deep" else 0
        maps = maps[first:-1]
        values = [*(attention(m, settings.attention_power) for m in maps), embedding.float()]
    else:
        values = [network.embed(images_NCHW).float()]
    return [class_means(v, group, num) for v in values]


def statistics_in_passes(
    network: Network,
    images_NCHW: Tensor,
    group: Tensor,
    num: int,
    config: DistillationConfig,
    size: int,
) -> list[Tensor]:
    """`statistics`, at most ``size`` images in the network at a time; without gradients."""
    if len(images_NCHW) <= size:
        return statistics(network, images_NCHW, group, num, config)
    sums: list[Tensor] = []
    for index in torch.arange(len(group), device=group.device).split(size):
        part = statistics(network, images_NCHW[index], group[index], num, config)
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
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in network.modules()):
        return sys.maxsize
    elements = [0]

    def count(part: nn.Module, inputs: object, output: Tensor) -> None:
        elements[0] += output.numel()

    leaves = [part for part in network.modules() if not list(part.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    with torch.no_grad():
        network(torch.zeros(1, *spec.shape, device=device))
    for hook in hooks:
        hook.remove()
    return max(1, BYTES_OF_ACTIVATIONS // (4 * elements[0]))


def matching_loss(real: list[Tensor], synthetic: list[Tensor], mmd_weight: float) -> Tensor:
    """Return L (see `clbench.distillation.matching.distiller`) of two lists of `statistics`."""
    *sam, mmd = [((r - s) ** 2).sum() for r, s in zip(real, synthetic, strict=True)]
    return torch.stack([*sam, mmd_weight * mmd]).sum()
