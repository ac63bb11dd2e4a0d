"""Spaces, and searches in them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from clbench import networks
from clbench.config import ArchitectureSearchSettings, NetworkConfig, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation import (
    EVALUATIONS,
    SPACES,
    ArchitectureSearch,
    Laboratory,
    Space,
    rivals,
    spaces,
)
from clbench.types import ImageSpec, LabelledImages
from tests.distilling import as_set

TRAINING = SetTrainingConfig(epochs=10, batch_size=16, learning_rate=0.05)
# One that can learn and two that cannot: a hidden layer of one unit tells no four classes apart.
CANDIDATES = [
    NetworkConfig("cnn", width=2, depth=1, hidden=1),
    NetworkConfig("cnn", width=16, depth=1, hidden=32),
    NetworkConfig("cnn", width=2, depth=2, hidden=1),
]
SMALL = Space("small", "", "", ("width", "depth", "hidden"), lambda: list(CANDIDATES))
FULL = 60  # epochs of one step each: the course recipe takes batches of 128


@pytest.mark.parametrize(("name", "size"), [("cnn54", 54), ("convnet720", 720)])
def test_the_spaces_are_as_large_as_they_say(name: str, size: int) -> None:
    space = SPACES[name]
    every = space.candidates()
    assert len(every) == len(set(every)) == len({space.label(c) for c in every}) == size


def test_every_drawn_candidate_can_be_built() -> None:
    digits = ImageSpec(1, 28, 28, 10, (0.13,), (0.31,))
    for space in SPACES.values():
        for candidate in spaces.draw(space, 12, seed=1):
            logits = networks.build(candidate, digits, seed=0)(torch.zeros(2, *digits.shape))
            assert logits.shape == (2, 10)


def test_candidates_are_drawn_by_the_seed_and_keep_their_order() -> None:
    space = SPACES["cnn54"]
    every, some = space.candidates(), spaces.draw(space, 9, seed=3)
    assert some == spaces.draw(space, 9, seed=3) != spaces.draw(space, 9, seed=4)
    assert [c for c in every if c in some] == some
    assert spaces.draw(space, None, seed=0) == every
    for num in (1, 55):
        with pytest.raises(InputError, match="2 to 54"):
            spaces.draw(space, num, seed=0)
    with pytest.raises(InputError, match="cnn54, convnet720"):
        spaces.find("moon")


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ArchitectureSearch]:
    """Search the small space."""
    monkeypatch.setitem(SPACES, "small", SMALL)

    def search(sets, real: LabelledImages, test: LabelledImages, spec: ImageSpec, **more):
        on_trial = more.pop("on_trial", None)
        given = {"full_epochs": 0, "training": TRAINING, **more}
        settings = ArchitectureSearchSettings(space="small", top_k=1, **given)
        evaluation = EVALUATIONS["architecture_search"].make(settings)
        evaluation.check(spec, 0)
        named = {name: as_set(images) for name, images in sets.items()}
        return evaluation.run(Laboratory(real, test, spec, on_trial=on_trial), named)

    return search


def test_the_one_that_can_learn_is_found(searched, tiny_images, tiny_spec) -> None:
    small = tiny_images.select(torch.arange(16))
    found = searched(
        {"ours": small}, tiny_images, tiny_images, tiny_spec, full_epochs=FULL, num_networks=2
    )
    assert [proxy.name for proxy in found.proxies] == [
        "ours", "random real", "herding real", "full data, stopped at equal images",
    ]  # fmt: skip
    ours = found.proxies[0]
    assert ours.chosen == 1 and max(found.truth) == found.truth[1]
    assert ours.quality is not None and ours.quality.regret == 0
    assert ours.quality.top_k_overlap == 1 and ours.chosen_accuracy > 0.8
    assert [p.num_bytes for p in found.proxies[:3]] == [small.num_bytes] * 3
    assert found.truth_agreement is None and ours.agreement is not None
    random = found.proxies[1]
    assert random.quality is not None and random.over_random is None
    assert ours.over_random is not None and ours.over_random.value == pytest.approx(
        ours.quality.spearman.value - random.quality.spearman.value
    )
    result = found.to_dict()
    assert result["proxies"][0]["over_random"]["value"] == ours.over_random.value
    assert result["proxies"][0]["chosen"] == "width 16, depth 1, hidden 32"
    assert "seconds" not in json.dumps(result, allow_nan=False)
    assert found.measured()["speed_up"]["ours"] == found.truth_seconds / ours.seconds


def test_without_full_training_there_is_no_quality(searched, tiny_images, tiny_spec) -> None:
    found = searched({"ours": tiny_images}, tiny_images, tiny_images, tiny_spec, num_candidates=2)
    assert found.truth == () and len(found.candidates) == 2
    assert all(p.quality is None and found.speed_up(p) is None for p in found.proxies)


def test_nothing_is_chosen_by_test_images(searched, tiny_images, tiny_spec) -> None:
    """Other test images change what is reported of the choice, never the choice."""
    wrong = LabelledImages(tiny_images.images, tiny_images.labels.roll(1))
    small = {"ours": tiny_images.select(torch.arange(16))}
    right_way = searched(small, tiny_images, tiny_images, tiny_spec)
    other_way = searched(small, tiny_images, wrong, tiny_spec)
    for one, other in zip(right_way.proxies, other_way.proxies, strict=True):
        assert (one.scores, one.chosen) == (other.scores, other.chosen)
        assert one.chosen_accuracy > other.chosen_accuracy


def test_lucky_weights_do_not_make_a_ranking_look_good(searched, tiny_images, tiny_spec) -> None:
    """Ways of ranking share their initial weights; full trainings have others."""
    seeds: dict[str, set[int]] = {}

    def remember(done: int, of: int, trial, outcome) -> None:
        seeds.setdefault(trial.set_name.split(" #")[0], set()).add(trial.seed)

    small = {"ours": tiny_images.select(torch.arange(16))}
    found = searched(
        small, tiny_images, tiny_images, tiny_spec, full_epochs=FULL, num_networks=2,
        num_full_networks=2, on_trial=remember,
    )  # fmt: skip
    assert found.truth_agreement is not None and found.proxies[0].agreement is not None
    full = seeds.pop(rivals.FULL)
    assert len(full) == 2 and all(len(found) == 2 for found in seeds.values())
    assert seeds["ours"] == seeds["random real"] == seeds["herding real"]
    assert not full & seeds["ours"]


def test_rivals_see_no_image_that_ranks(tiny_images) -> None:
    held_out, rest = rivals.split(tiny_images, 0.1, seed=0)
    assert (len(held_out), len(rest)) == (8, 72)
    seen = {image.numpy().tobytes() for image in rest.images}
    assert not any(image.numpy().tobytes() in seen for image in held_out.images)


def test_the_rival_in_time_sees_as_many_images(tiny_images, tiny_spec) -> None:
    from clbench.evaluation.architecture_search import EARLY, _plans

    small = tiny_images.select(torch.arange(4))
    where = Laboratory(tiny_images, tiny_images, tiny_spec)
    settings = ArchitectureSearchSettings(training=TRAINING)
    plan = _plans({"ours": as_set(small)}, tiny_images, where, settings)[EARLY]
    assert len(plan.sets[0]) * plan.training.epochs == len(small) * TRAINING.epochs == 40
    many = _plans({"ours": as_set(tiny_images)}, tiny_images, where, settings)[EARLY]
    assert len(many.sets[0]) * many.training.epochs == 80 * TRAINING.epochs


def test_what_makes_no_sense_is_refused(searched, tiny_images, tiny_spec) -> None:
    with pytest.raises(InputError, match="taken by a rival"):
        searched({"random real": tiny_images}, tiny_images, tiny_images, tiny_spec)
    with pytest.raises(InputError, match="num_networks: expected at least 1"):
        searched({"a": tiny_images}, tiny_images, tiny_images, tiny_spec, num_networks=0)
    with pytest.raises(InputError, match="at least one set"):
        searched({}, tiny_images, tiny_images, tiny_spec)
