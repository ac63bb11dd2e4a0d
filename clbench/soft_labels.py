"""Soft labels: in one byte an entry, and of a class that stays theirs.

An entry is written as how far its logarithm lies below the largest one's, in steps of `STEP` nats
and 255 of them at most. The largest entry alone is 0, so that a label's class is never lost. What
is written is read back to the same bytes.

Legend of shape suffixes: N labels, K classes.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

STEP = 0.05  # nats; ours: 255 of them reach down to 3e-6 of the largest entry


def written_labels(labels_NK: Tensor) -> Tensor:
    """Return soft labels (N, K) float as (N, K) uint8."""
    logarithms = labels_NK.double().clamp_min(1e-300).log()
    top = logarithms.max(1, keepdim=True).values
    levels = ((top - logarithms) / STEP).round().clamp(1, 255).to(torch.uint8)
    levels.scatter_(1, labels_NK.argmax(1, keepdim=True), 0)
    return levels


def read_labels(levels_NK: Tensor) -> Tensor:
    """Return float32 soft labels, rows of which sum to 1, of what `written_labels` gave."""
    return (-STEP * levels_NK.double()).softmax(1).float()


def rounded_labels(labels_N: Tensor) -> Tensor:
    """Return labels as they are read back; hard ones as they are."""
    return read_labels(written_labels(labels_N)) if labels_N.ndim == 2 else labels_N


def nearly_hard(labels_N: Tensor, num_classes: int, own: float) -> Tensor:
    """Return logits (N, K) whose own class has a probability of ``own``, all others alike."""
    sure = math.log(own / (1 - own) * max(1, num_classes - 1))
    return sure * F.one_hot(labels_N, num_classes).float()


def keep_class(logits_NK: Tensor, labels_N: Tensor, least: float) -> Tensor:
    """Return logits whose own class has a probability of ``least``: memory counts images by it."""
    own = labels_N[:, None]
    others = logits_NK.scatter(1, own, -math.inf).logsumexp(1, keepdim=True)
    lowest = others + math.log(least / (1 - least))
    return logits_NK.scatter(1, own, torch.maximum(logits_NK.gather(1, own), lowest))
