"""Which real images a distillation starts from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clbench.codecs.protocol import Codec
from clbench.distillation.difficulty.el2n import easiest
from clbench.distillation.difficulty.settings import DifficultySettings
from clbench.distillation.problem import Problem
from clbench.distillation.selection.choice import herding_index, learnable_images, random_index
from clbench.distillation.settings import DistillationConfig
from clbench.types import ImageSpec, LabelledImages


def start_index(
    config: DistillationConfig,
    real: LabelledImages,
    spec: ImageSpec,
    counts: Mapping[int, int],
    difficulty: DifficultySettings,
    generator: torch.Generator,
) -> Tensor:
    """Return positions of real images, classes ascending, as ``config.initialisation`` says.

    Args:
        config: "herding", "easy" (lowest EL2N), or random ones: of "noise" their number counts.
        real: images of an experience, where they are computed with.
        spec: of the outside world.
        counts: class -> images wanted of it.
        difficulty: how the networks that find easy images are trained.
        generator: draws random ones.
    """
    if config.initialisation == "herding":
        return herding_index(real, spec, counts)
    if config.initialisation == "easy":
        problem = Problem.make(real, spec, None, real.images.device)
        own = problem.own_counts(counts)
        return easiest(problem.images, problem.spec, config, difficulty, own)
    return random_index(real.hard_labels, counts, generator).to(real.images.device)


def start_images(
    config: DistillationConfig,
    real: LabelledImages,
    spec: ImageSpec,
    counts: Mapping[int, int],
    codec: Codec,
    generator: torch.Generator,
) -> LabelledImages:
    """Return the images at `start_index` in the codec's grid, or uniform noise in their places.

    Args:
        config: see `start_index`, as of all but ``codec``; EL2N's networks are the default ones.
        real: images of an experience.
        spec: of the outside world.
        counts: class -> images wanted of it.
        codec: whose grid is learnt.
        generator: draws them.
    """
    index = start_index(config, real, spec, counts, DifficultySettings(), generator)
    chosen = learnable_images(real, index, codec)
    if config.initialisation == "noise":
        noise = torch.rand(chosen.images.shape, generator=generator)
        return LabelledImages(noise, chosen.hard_labels.cpu())
    return chosen
