"""The paper's plain loop, written down as it reads; the fast form in the source must agree.

DataDAM (Sajedi et al. 2023), algorithm 1: every iteration draws a network, real images of every
class, one augmentation per class, and moves the synthetic images of all classes by one step. Class
by class, layer by layer, in float32, with stock layers; slow on purpose.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench import networks
from clbench.config import DistillationConfig, MatchingSettings, NetworkConfig
from clbench.distillation.augmentation import draw, parse
from clbench.types import ImageSpec, LabelledImages

CPU = torch.device("cpu")


def stock_convnet(config: NetworkConfig, spec: ImageSpec, seed: int) -> nn.ModuleList:
    """Return the same weights as `clbench.networks.build` draws, in stock torch layers."""
    fast: Any = networks.build(config, spec, seed=seed)
    blocks: list[nn.Module] = []
    for conv, norm, activation in fast.blocks:
        stock = nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=conv.padding)
        stock.load_state_dict(conv.state_dict())
        blocks.append(nn.Sequential(stock, norm, activation))
    return nn.ModuleList(blocks)


def stock_features(blocks: nn.ModuleList, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the map of each layer, (N, C_l, H_l, W_l), and the embedding (N, D)."""
    maps: list[Tensor] = []
    x = images
    for block in blocks:
        maps.append(block(x))
        x = F.avg_pool2d(maps[-1], 2)
    return maps, x.flatten(1)


def attention_map(f: Tensor, p: float) -> Tensor:
    """Return attention over places (N, H W), of length 1 (DataDAM, equation 2)."""
    a = f.abs().pow(p).sum(1).flatten(1)
    return a / a.norm(dim=1, keepdim=True).clamp_min(1e-12)


def plain_loss(
    blocks: nn.ModuleList, real: list[Tensor], synthetic: list[Tensor], config: DistillationConfig
) -> Tensor:
    """Return the loss; lists hold one batch per class, and all go forward together."""
    real_maps, real_embedding = stock_features(blocks, torch.cat(real))
    maps, embedding = stock_features(blocks, torch.cat(synthetic))
    settings = config.own(MatchingSettings)
    loss = torch.zeros((), device=real_embedding.device)
    real_at = synthetic_at = 0
    for real_c, synthetic_c in zip(real, synthetic, strict=True):
        r = slice(real_at, real_at + len(real_c))
        s = slice(synthetic_at, synthetic_at + len(synthetic_c))
        real_at, synthetic_at = r.stop, s.stop
        if config.distiller == "datadam":
            for layer in range(len(maps) - 1):
                a_real = attention_map(real_maps[layer][r], settings.attention_power).mean(0)
                a_syn = attention_map(maps[layer][s], settings.attention_power).mean(0)
                loss = loss + ((a_real.detach() - a_syn) ** 2).sum()
        difference = real_embedding[r].mean(0).detach() - embedding[s].mean(0)
        loss = loss + settings.mmd_weight * (difference**2).sum()
    return loss


def plain_distill(
    real: LabelledImages,
    spec: ImageSpec,
    config: DistillationConfig,
    images_per_class: int,
    generator: torch.Generator,
    device: torch.device = CPU,
) -> Tensor:
    """Distil from real images; return them on the 0..1 scale, classes ascending, on the CPU.

    Args:
        real: images with hard labels.
        spec: what they look like.
        config: of DM or DataDAM; one update for each of its networks.
        images_per_class: synthetic ones.
        generator: the only source of randomness.
        device: where to compute.
    """
    operations, settings = parse(config.augmentation, spec), config.own(MatchingSettings)
    members = {c: (real.labels == c).nonzero().flatten() for c in real.classes}

    def sample(c: int, num: int) -> Tensor:
        order = torch.randperm(len(members[c]), generator=generator)[:num]
        return spec.normalise(real.images[members[c][order]].to(device))

    synthetic = [sample(c, images_per_class).requires_grad_() for c in real.classes]
    optimizer = torch.optim.SGD(synthetic, lr=settings.learning_rate, momentum=settings.momentum)
    low = spec.normalise(torch.zeros(1, spec.channels, 1, 1, device=device))
    high = spec.normalise(torch.ones(1, spec.channels, 1, 1, device=device))
    for _ in range(settings.networks(coarse=False)):
        seed = int(torch.randint(2**62, (1,), generator=generator))
        blocks = stock_convnet(config.network, spec, seed)
        blocks.to(device).train().requires_grad_(False)
        parameters = draw(operations, len(members), (spec.height, spec.width), generator)
        real_batches, synthetic_batches = [], []
        for position, c in enumerate(real.classes):
            batch = sample(c, settings.batch_real)
            group = torch.full((len(batch),), position, device=device)
            real_batches.append(parameters(batch, group))
            group = torch.full((images_per_class,), position, device=device)
            synthetic_batches.append(parameters(synthetic[position], group))
        loss = plain_loss(blocks, real_batches, synthetic_batches, config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for images in synthetic:
                images.clamp_(low, high)
    return spec.denormalise(torch.cat(synthetic).detach()).clamp(0, 1).cpu()
