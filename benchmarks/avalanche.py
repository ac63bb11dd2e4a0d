"""From tensors to an Avalanche scenario: the only module here that imports Avalanche.

`class_incremental_benchmark` is not used: it drops classes where the number of experiences does not
divide theirs, reseeds PyTorch, and keeps the whole data set alive behind every experience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clbench.data import TensorImages
from clbench.machine.compat import prepare


def make_scenario(streams: Mapping[str, Sequence[TensorImages]]) -> Any:
    """An Avalanche `CLScenario` with one experience for each data set.

    Args:
        streams: name of the stream -> its data sets in order.

    Returns:
        the scenario; experiences know their classes, earlier ones and later ones, and their items
        end in the task label 0.
    """
    prepare()
    from avalanche.benchmarks import benchmark_from_datasets, with_classes_timeline

    return with_classes_timeline(
        benchmark_from_datasets(
            **{
                name: [_dataset(images) for images in experiences]
                for name, experiences in streams.items()
            }
        )
    )


def _dataset(images: TensorImages) -> Any:
    from avalanche.benchmarks.utils import (
        ConstantSequence,
        DataAttribute,
        TaskAwareSupervisedClassificationDataset,
    )

    return TaskAwareSupervisedClassificationDataset(
        [images],
        data_attributes=[
            DataAttribute(images.targets, "targets"),
            # Avalanche's strategies take an item's last element for its task.
            DataAttribute(
                ConstantSequence(0, len(images)), "targets_task_labels", use_in_getitem=True
            ),
        ],
    )
