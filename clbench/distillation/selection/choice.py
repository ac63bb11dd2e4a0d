"""Which real images: at random, or by herding."""

from __future__ import annotations

import torch
from torch import Tensor

from clbench.packing import pack
from clbench.types import ImageSpec, LabelledImages

IMAGES_AT_ONCE = 256  # whose pixels become floats together


def pack_selection(real: LabelledImages, index: Tensor, packing: int) -> LabelledImages:
    """The images at ``index`` (grouped by class) as slots; uint8 stays uint8."""
    chosen = real.select(index)
    if packing == 1:
        return chosen
    pixels = chosen.images.float() / 255 if chosen.images.dtype == torch.uint8 else chosen.images
    slots = LabelledImages(pack(pixels, packing), chosen.labels[:: packing**2], packing)
    return slots.quantised()


def random_index(labels: Tensor, num_per_class: int, generator: torch.Generator) -> Tensor:
    """Positions of ``num_per_class`` random entries of each class, classes ascending."""
    parts = []
    for c in labels.unique():
        members = (labels == c).nonzero().flatten().cpu()
        order = torch.randperm(len(members), generator=generator)
        parts.append(members[order[:num_per_class]])
    return torch.cat(parts)


def herding_index(real: LabelledImages, spec: ImageSpec, num_per_class: int) -> Tensor:
    """Positions of the first ``num_per_class`` picks of each class, classes ascending."""
    parts = []
    for c in real.hard_labels.unique():
        members = (real.hard_labels == c).nonzero().flatten()
        parts.append(members[herd(_unit_length(real, spec, members), num_per_class)])
    return torch.cat(parts)


def _unit_length(real: LabelledImages, spec: ImageSpec, members: Tensor) -> Tensor:
    """Normalised pixels scaled to unit length, (N, D), made a part at a time."""
    features = torch.empty(len(members), spec.image_bytes, device=real.images.device)
    for rows in torch.arange(len(members)).split(IMAGES_AT_ONCE):
        pixels = spec.normalise(real.images[members[rows]]).flatten(1)
        features[rows] = pixels / pixels.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return features


def herd(features_ND: Tensor, num: int) -> Tensor:
    """The first ``num`` picks of herding, as positions, in the order picked."""
    mean = features_ND.mean(0)
    picked_sum = torch.zeros_like(mean)
    free = torch.ones(len(features_ND), dtype=torch.bool, device=features_ND.device)
    squared = torch.cat([(part**2).sum(1) for part in features_ND.split(IMAGES_AT_ONCE)])
    picks = []
    for k in range(num):
        # argmin |mean - (sum + f) / (k+1)|^2, the constant part left out
        target = (k + 1) * mean - picked_sum
        score = squared - 2 * features_ND @ target
        score = torch.where(free, score, torch.full_like(score, float("inf")))
        best = int(score.argmin())
        picks.append(best)
        free[best] = False
        picked_sum = picked_sum + features_ND[best]
    return torch.tensor(picks, device=features_ND.device)
