"""Sets against networks."""

from __future__ import annotations

import json

import pytest
import torch

from clbench.codecs import parse
from clbench.codecs.pixels import RAW
from clbench.coded import CodedImages
from clbench.config import CrossArchitectureSettings, NetworkConfig, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation import EVALUATIONS, Laboratory, evaluate_set, rivals
from clbench.seeding import derive
from clbench.types import ImageSpec, LabelledImages
from tests.distilling import as_set

CPU = torch.device("cpu")
TRAINING = SetTrainingConfig(epochs=15, batch_size=16, learning_rate=0.05)
NETWORKS = ("mlp", "cnn")


def shuffled(images: LabelledImages) -> LabelledImages:
    """The same images under labels that teach nothing."""
    return LabelledImages(images.images, images.labels.roll(1))


@pytest.fixture
def small(tiny_images: LabelledImages) -> LabelledImages:
    return tiny_images.select(torch.arange(16))


def crossed(sets, real: LabelledImages, spec: ImageSpec, **more):
    given = {"networks": ",".join(NETWORKS), "training": TRAINING, "num_networks": 2, **more}
    evaluation = EVALUATIONS["cross_architecture"].make(CrossArchitectureSettings(**given))
    evaluation.check(spec, 0)
    named = {name: as_set(images) for name, images in sets.items()}
    return evaluation.run(Laboratory(real, real, spec), named)


def test_each_cell_is_the_score_of_fresh_networks(small, tiny_images, tiny_spec) -> None:
    found = crossed({"ours": small}, tiny_images, tiny_spec)
    assert found.sets == ("ours", "random real") and len(found.networks) == 2
    seeds = [derive(0, "evaluation", k) for k in range(2)]
    for label, name in zip(found.networks, NETWORKS, strict=True):
        network = NetworkConfig(name)
        alone = evaluate_set(
            small, tiny_images, tiny_spec, network, TRAINING, seeds=seeds, device=CPU
        )
        assert found.scores["ours"][label].values == alone.values
    assert found.num_bytes == {"ours": small.num_bytes, "random real": small.num_bytes}


def test_a_set_that_teaches_nothing_is_named(small, tiny_images, tiny_spec) -> None:
    found = crossed({"bad": shuffled(small)}, tiny_images, tiny_spec)
    assert found.exceptions() == [("bad", network) for network in found.networks]
    assert found.to_dict()["not_above_random"] == [list(pair) for pair in found.exceptions()]
    json.dumps(found.to_dict(), allow_nan=False)


def test_networks_that_learnt_nothing_are_named(small, tiny_images, tiny_spec) -> None:
    assert crossed({"ours": small}, tiny_images, tiny_spec).learnt_nothing == ()
    still = TRAINING.replace(epochs=1, learning_rate=1e-9)
    found = crossed({"ours": small}, tiny_images, tiny_spec, networks="cnn", training=still)
    network = found.networks[0]
    assert found.learnt_nothing == (("ours", network, 2), ("random real", network, 2))
    assert found.to_dict()["learnt_nothing"][0] == ["ours", network, 2]


def test_random_sets_are_drawn_afresh_and_full_data_stand_below(
    small, tiny_images, tiny_spec
) -> None:
    found = crossed(
        {"ours": small}, tiny_images, tiny_spec, full_epochs=2, full_networks=NETWORKS[0]
    )
    first, second = (
        rivals.real_set(
            tiny_images, tiny_spec, method="random", num_bytes=small.num_bytes, codec=RAW, seed=0,
            draw=k,
        )
        for k in range(2)
    )  # fmt: skip
    assert first.streams != second.streams and first.num_bytes == small.num_bytes
    assert found.sets[-1] == rivals.FULL
    assert list(found.scores[rivals.FULL]) == [found.networks[0]]
    assert found.num_bytes[rivals.FULL] == tiny_images.num_bytes


def test_sets_of_several_sizes_have_each_a_rival_of_its_bytes(tiny_images, tiny_spec) -> None:
    sets = {
        "small": tiny_images.select(torch.arange(8)),
        "large": tiny_images.select(torch.arange(16)),
    }
    found = crossed(sets, tiny_images, tiny_spec)
    sizes = [sets["small"].num_bytes, sets["large"].num_bytes]
    assert found.sets[2:] == tuple(f"random real, {size:,} bytes" for size in sizes)
    assert [found.num_bytes[row] for row in found.sets[2:]] == sizes


def test_packed_sets_stand_beside_packed_real_ones(tiny_images, tiny_spec) -> None:
    index = torch.cat([torch.arange(4) + 20 * c for c in range(4)])
    codec = parse("tiles:factor=2")
    packed = CodedImages.of(tiny_images.select(index), codec, tiny_spec.shape)
    found = crossed({"ours": packed}, tiny_images, tiny_spec)
    assert found.sets[1:] == ("random real", "random real, tiles:factor=2")
    assert set(found.num_bytes.values()) == {4 * 64}


def test_where_no_raw_image_fits_there_is_no_raw_rival(tiny_images, tiny_spec) -> None:
    index = torch.cat([torch.arange(4) + 20 * c for c in range(4)])
    codec = parse("levels:side=4,levels=2")
    small = CodedImages.of(tiny_images.select(index), codec, tiny_spec.shape)
    found = crossed({"ours": small}, tiny_images, tiny_spec)
    assert found.sets[1:] == ("random real, levels:side=4,levels=2",)
    assert 0 < found.num_bytes[found.sets[1]] <= small.num_bytes


def test_what_makes_no_sense_is_refused(small, tiny_images, tiny_spec) -> None:
    with pytest.raises(InputError, match="at least one set"):
        crossed({}, tiny_images, tiny_spec)
    with pytest.raises(InputError, match="taken by random images"):
        crossed({"random real": small}, tiny_images, tiny_spec)
    with pytest.raises(InputError, match="none twice"):
        crossed({"a": small}, tiny_images, tiny_spec, networks="mlp,mlp")
    with pytest.raises(InputError, match="num_networks"):
        crossed({"a": small}, tiny_images, tiny_spec, num_networks=0)


def test_a_set_cannot_pass_for_the_full_data(small, tiny_images, tiny_spec) -> None:
    with pytest.raises(InputError, match="full data"):
        crossed({"full data": small}, tiny_images, tiny_spec)
