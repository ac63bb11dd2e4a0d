from __future__ import annotations

import random

import pytest
import torch

from clbench.data import TensorImages, tensors_of
from clbench.machine.compat import prepare
from clbench.types import ImageSpec, LabelledImages

prepare()
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute  # noqa: E402
from avalanche.benchmarks.utils.transform_groups import TransformGroups  # noqa: E402


def _wrap(images: TensorImages) -> AvalancheDataset:
    return AvalancheDataset([images], data_attributes=[DataAttribute(images.targets, "targets")])


def _same(found: LabelledImages | None, dataset: AvalancheDataset, spec: ImageSpec) -> None:
    """The fast way gives what indexing one by one gives, in the same order."""
    assert found is not None and len(found) == len(dataset)
    normalised = spec.normalise(found.images)
    for position in range(len(dataset)):
        image, label = dataset[position][:2]
        torch.testing.assert_close(normalised[position], image)
        assert found.labels[position].item() == label


def test_items_are_normalised(tiny_images: LabelledImages, tiny_spec: ImageSpec) -> None:
    dataset = TensorImages(tiny_images, tiny_spec)
    image, label = dataset[5]
    assert image.dtype == torch.float32 and label == tiny_images.labels[5].item()
    expected = (tiny_images.images[5].float() / 255 - 0.35) / 0.25
    torch.testing.assert_close(image, expected)
    assert dataset.targets == tiny_images.labels.tolist()


def test_untouched_data_are_not_copied(tiny_images: LabelledImages, tiny_spec: ImageSpec) -> None:
    found = tensors_of(_wrap(TensorImages(tiny_images, tiny_spec)))
    assert found is not None and found.images.data_ptr() == tiny_images.images.data_ptr()


@pytest.mark.parametrize("seed", range(8))
def test_any_tree_of_subsets_and_concatenations(
    seed: int, tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    draw = random.Random(seed)
    leaves = [
        TensorImages(tiny_images.select(torch.tensor(draw.sample(range(80), 12))), tiny_spec)
        for _ in range(3)
    ]
    trees = [_wrap(leaf) for leaf in leaves]
    for _ in range(6):
        first, second = draw.choice(trees), draw.choice(trees)
        if draw.random() < 0.5:
            trees.append(first.concat(second))
        else:
            trees.append(first.subset(draw.choices(range(len(first)), k=7)))
    for tree in trees:
        _same(tensors_of(tree), tree, tiny_spec)
        _same(tensors_of(tree.train()), tree, tiny_spec)


def test_float_and_bytes_mix_to_float(tiny_images: LabelledImages, tiny_spec: ImageSpec) -> None:
    as_float = LabelledImages(tiny_images.images.float() / 255, tiny_images.labels)
    both = _wrap(TensorImages(tiny_images, tiny_spec)).concat(
        _wrap(TensorImages(as_float, tiny_spec))
    )
    found = tensors_of(both)
    assert found is not None and found.images.dtype == torch.float32
    torch.testing.assert_close(found.images[:80], found.images[80:])


def test_soft_labels_only_where_all_are_soft(
    tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    soft_labels = torch.nn.functional.one_hot(tiny_images.labels, 4).float()
    soft = _wrap(TensorImages(LabelledImages(tiny_images.images, soft_labels), tiny_spec))
    hard = _wrap(TensorImages(tiny_images, tiny_spec))
    all_soft, mixed = tensors_of(soft.concat(soft)), tensors_of(soft.concat(hard))
    assert all_soft is not None and all_soft.labels.shape == (160, 4)
    assert mixed is not None and mixed.labels.tolist() == tiny_images.labels.tolist() * 2


def test_none_where_something_else_lies_below(
    tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    leaf = TensorImages(tiny_images, tiny_spec)
    other = torch.utils.data.TensorDataset(tiny_images.images.float(), tiny_images.labels)
    assert tensors_of(other) is None
    assert tensors_of(AvalancheDataset([other])) is None
    assert tensors_of(_wrap(leaf).concat(AvalancheDataset([other]))) is None
    assert tensors_of(AvalancheDataset([])) is None


def test_none_where_a_transformation_would_be_bypassed(
    tiny_images: LabelledImages, tiny_spec: ImageSpec
) -> None:
    plain = _wrap(TensorImages(tiny_images, tiny_spec))
    groups = TransformGroups({"train": lambda image: image + 1, "eval": None})
    changed = AvalancheDataset([plain], transform_groups=groups)
    assert tensors_of(changed) is None
    assert tensors_of(changed.subset([1, 2])) is None
    assert tensors_of(changed.freeze_transforms()) is None
    nothing = TransformGroups({"train": None, "eval": None})
    assert tensors_of(AvalancheDataset([plain], transform_groups=nothing)) is not None
