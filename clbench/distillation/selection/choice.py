"""Which real images: at random, or by herding."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clbench.codecs.protocol import Codec
from clbench.types import ImageSpec, LabelledImages, positions_by_class

IMAGES_AT_ONCE = 256  # whose pixels become floats together


def chosen_images(real: LabelledImages, index: Tensor, codec: Codec) -> LabelledImages:
    """Return the images at ``index`` in the codec's grid; uint8 stays uint8."""
    chosen = real.select(index)
    return LabelledImages(codec.reduced(chosen.images), chosen.labels)


def learnable_images(real: LabelledImages, index: Tensor, codec: Codec) -> LabelledImages:
    """Return the images at ``index`` in the codec's grid, to be learnt from there.

    Where the codec is coarse they are not rounded yet: a pixel between two levels is one that a
    small step can move to either.
    """
    chosen = real.select(index)
    if codec.coarse:
        chosen = chosen.as_floats()
    return LabelledImages(codec.reduced(chosen.images), chosen.labels)


def random_index(
    labels: Tensor, num: int | Mapping[int, int], generator: torch.Generator
) -> Tensor:
    """Return positions of random entries of each class, classes ascending.

    Args:
        labels: (N,) of all entries.
        num: of each class, or class -> number.
        generator: draws as much whatever the numbers, so that fewer are the first of more.
    """
    parts = []
    for c, members in positions_by_class(labels.cpu()).items():
        order = torch.randperm(len(members), generator=generator)
        parts.append(members[order[: num if isinstance(num, int) else num[c]]])
    return torch.cat(parts)


def herding_index(real: LabelledImages, spec: ImageSpec, counts: Mapping[int, int]) -> Tensor:
    """Return positions of the first picks of each class, classes ascending."""
    parts = []
    for c, members in positions_by_class(real.hard_labels).items():
        parts.append(members[herd(_unit_length(real, spec, members), counts[c])])
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
    taken = torch.zeros(len(features_ND), device=features_ND.device)
    squared = torch.cat([(part**2).sum(1) for part in features_ND.split(IMAGES_AT_ONCE)])
    picks = []
    for k in range(num):
        # argmin |mean - (sum + f) / (k+1)|^2, the constant part left out
        score = squared - features_ND @ (2 * ((k + 1) * mean - picked_sum))
        best = int((score + taken).argmin())
        picks.append(best)
        taken[best] = float("inf")
        picked_sum = picked_sum + features_ND[best]
    return torch.tensor(picks, device=features_ND.device)
