"""Experts against torch's own loop, and their cache: nothing twice, nothing that does not fit."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import clbench
from clbench import networks
from clbench.config import ExpertSettings, NetworkConfig
from clbench.distillation import OnUpdate, Update
from clbench.distillation.augmentation import augment
from clbench.distillation.difficulty.el2n import el2n
from clbench.distillation.expert import Expert
from clbench.distillation.trajectories import experts
from clbench.distillation.trajectories.experts import (
    KIND,
    Experts,
    Trajectories,
    make_trajectories,
)
from clbench.distillation.trajectories.scheduler import selected
from clbench.errors import InputError
from clbench.machine.steps import postponed
from clbench.seeding import derive, generator
from clbench.store import under_way
from clbench.store.sources import sources_of
from clbench.store.store import Store
from clbench.store.tensors import pack_tensors
from clbench.types import ImageSpec, LabelledImages

CPU = torch.device("cpu")
SPEC = ImageSpec(1, 8, 8, 4, (0.35,), (0.25,), ("a", "b", "c", "d"), "color_crop_scale")
NETWORK = NetworkConfig("convnet", width=4, depth=1, norm="instance")
CONFIG = ExpertSettings(
    num_experts=2,
    epochs=2,
    snapshots_per_epoch=2,
    batch_size=16,
    learning_rate=0.1,
    num_difficulty_networks=2,
    difficulty_epochs=1,
)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been trained so far, in order."""
    calls: list[str] = []
    course, score = experts.Course, experts.el2n

    def counted_course(*arguments: Any) -> Any:
        calls.append("expert")
        return course(*arguments)

    def counted_score(*arguments: Any, **named: Any) -> Any:
        calls.append("difficulty")
        return score(*arguments, **named)

    monkeypatch.setattr(experts, "Course", counted_course)
    monkeypatch.setattr(experts, "el2n", counted_score)
    return calls


def wanted(real: LabelledImages, **changes: Any) -> Experts:
    settings: dict[str, Any] = {
        "spec": SPEC,
        "network": NETWORK,
        "settings": CONFIG,
        "data_scheduler": True,
        "precision": "float32",
        "device": CPU,
    }
    return Experts(real, **{**settings, **changes})


def made(
    real: LabelledImages,
    place: Path | None = None,
    config: ExpertSettings = CONFIG,
    on_update: OnUpdate | None = None,
    **changes: Any,
) -> Trajectories:
    these = wanted(real, settings=config, **changes)
    store = None if place is None else Store(place)
    return make_trajectories(these, store=store, on_update=on_update)


def kept(place: Path) -> list[str]:
    """What is kept of the experts of one fingerprint, in alphabetical order."""
    names = [entry.name.partition(".") for entry in Store(place).entries()]
    assert len({fingerprint for fingerprint, _, _ in names}) <= 1
    return sorted(what for _, _, what in names)


def plain_trajectory(
    real: LabelledImages, k: int, snapshot_steps: list[int], operations: str
) -> torch.Tensor:
    """Expert k of two epochs by torch's own SGD."""
    network = networks.build(NETWORK, SPEC, seed=derive(0, "expert", k, "weights")).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    images, rng = SPEC.normalise(real.images), generator(0, "expert", k, "batches")
    augmentation = generator(0, "expert", k, "augmentation")

    def flat() -> torch.Tensor:
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    snapshots, step = [flat()], 0
    for _ in range(2):
        for index in torch.randperm(len(real), generator=rng).split(16):
            optimizer.zero_grad()
            batch = augment(images[index], operations, augmentation)
            F.cross_entropy(network(batch), real.labels[index]).backward()
            optimizer.step()
            step += 1
            if step in snapshot_steps:
                snapshots.append(flat())
    return torch.stack(snapshots)


@pytest.mark.parametrize("operations", ["none", "crop_scale"])
def test_trajectories_are_those_of_plain_sgd(tiny_images: LabelledImages, operations: str) -> None:
    real = tiny_images.select(torch.arange(75))  # five steps an epoch, the last of 11 images
    config = CONFIG.replace(augmentation=operations)
    weights = made(real, config=config, data_scheduler=False).weights
    # Ten steps, four snapshots: 2.5, 5, 7.5 and 10, halves to even.
    expected = torch.stack([plain_trajectory(real, k, [2, 5, 8, 10], operations) for k in range(2)])
    assert weights.shape == expected.shape and weights.dtype == torch.float32
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-5)


def test_snapshots_and_experts_differ(tiny_images: LabelledImages) -> None:
    weights = made(tiny_images).weights
    assert weights.shape[:2] == (2, 5) and not weights.requires_grad
    assert len({tuple(w.tolist()) for w in weights.flatten(0, 1)}) == 10


def test_augmentation_and_scheduler_change_the_weights(tiny_images: LabelledImages) -> None:
    plain = CONFIG.replace(augmentation="none")
    for first, second in (
        (made(tiny_images), made(tiny_images, config=plain)),
        (made(tiny_images), made(tiny_images, data_scheduler=False)),
    ):
        assert torch.equal(first.weights[:, 0], second.weights[:, 0])
        assert not torch.isclose(first.weights[:, 1:], second.weights[:, 1:]).all()


def test_experts_learn(tiny_images: LabelledImages) -> None:
    losses: list[float] = []
    made(
        tiny_images,
        config=CONFIG.replace(epochs=6),
        data_scheduler=False,
        on_update=lambda u: losses.append(u.loss),
    )
    assert losses[11] < losses[0] / 2 and losses[23] < losses[12] / 2


def test_more_snapshots_than_batches_make_a_step_each(tiny_images: LabelledImages) -> None:
    config = CONFIG.replace(num_experts=1, epochs=1, snapshots_per_epoch=7, batch_size=100)
    weights = made(tiny_images, config=config).weights[0]
    assert len({tuple(w.tolist()) for w in weights}) == 8


def test_the_scheduler_chooses_anew_at_every_snapshot(
    tiny_images: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, list[int]]] = []
    scores = el2n(tiny_images, SPEC, NETWORK, CONFIG, device=CPU, precision="float32")

    def recorded(scores_N: torch.Tensor, labels: torch.Tensor, progress: float, c: Any) -> Any:
        assert torch.equal(scores_N, scores)
        index = selected(scores_N, labels, progress, c)
        seen.append((progress, index.tolist()))
        return index

    monkeypatch.setattr(experts, "selected", recorded)
    made(tiny_images, config=CONFIG.replace(num_experts=1, snapshots_per_epoch=5))
    assert [progress for progress, _ in seen] == [s / 10 for s in range(10)]
    # 20 images a class; 0.75 + 0.25 * progress / 0.3 of them up to 0.3, then 1, 0.9, 0.8.
    per_class = [15, 17, 18, 20, 18, 18, 16, 16, 16, 16]
    assert [len(index) for _, index in seen] == [4 * n for n in per_class]


def test_progress_counts_all_experts(tiny_images: LabelledImages) -> None:
    heard: list[Update] = []
    made(tiny_images, on_update=heard.append)
    # Two networks of five steps judge difficulty before.
    assert [(u.number, u.total) for u in heard if u.phase == "difficulty"] == [(5, 10), (10, 10)]
    assert all(math.isfinite(u.loss) for u in heard)
    heard = [u for u in heard if u.phase != "difficulty"]
    assert [u.number for u in heard] == list(range(1, 9))
    assert {(u.total, u.phase, u.seconds_saved) for u in heard} == {(8, "experts", 0.0)}
    assert all(math.isfinite(u.loss) and u.loss > 0 for u in heard)


def test_bfloat16_keeps_float32_weights(tiny_images: LabelledImages) -> None:
    low, full = made(tiny_images, precision="bfloat16"), made(tiny_images)
    assert low.weights.dtype == torch.float32 and not torch.equal(low.weights, full.weights)
    assert not torch.equal(low.weights[:, 1:], low.weights[:, 1:].bfloat16().float())


def test_a_diverging_expert_is_refused(tiny_images: LabelledImages, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lower the experts' learning_rate"):
        made(tiny_images, tmp_path, CONFIG.replace(learning_rate=1e30))
    assert kept(tmp_path) == ["difficulty"]


def test_the_cache_changes_nothing(
    tiny_images: LabelledImages, tmp_path: Path, trained: list[str]
) -> None:
    heard: list[Update] = []
    without = made(tiny_images, on_update=heard.append)
    first = made(tiny_images, tmp_path)
    assert trained == ["difficulty", "expert", "expert"] * 2
    found: list[Update] = []
    second = made(tiny_images, tmp_path, on_update=found.append)
    assert len(trained) == 6
    assert torch.equal(without.weights, first.weights)
    assert torch.equal(without.weights, second.weights)
    assert without.seconds_saved == first.seconds_saved == 0 < second.seconds_saved
    assert [(u.number, u.total, u.loss) for u in found] == [
        (u.number, u.total, u.loss) for u in heard if u.number in (4, 8)
    ]
    assert 0 < found[0].seconds_saved < found[1].seconds_saved == second.seconds_saved
    assert kept(tmp_path) == ["difficulty", "expert_0", "expert_1"]


@pytest.mark.parametrize("how", ["at any moment", "after a step"])
def test_work_goes_on_in_the_middle(
    how: str, tiny_images: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two networks that judge of five steps each, then two experts of ten."""
    without = made(tiny_images)
    steps, step = [], Expert.step
    if how == "at any moment":
        monkeypatch.setattr(under_way, "EVERY_SECONDS", -1.0)

    def counted(self: Expert) -> torch.Tensor:
        steps.append(self)
        if len(steps) in (3, 9, 13, 14, 27):
            if how == "at any moment":
                raise KeyboardInterrupt
            assert postponed()
        return step(self)

    monkeypatch.setattr(Expert, "step", counted)
    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            made(tiny_images, tmp_path)
    again = made(tiny_images, tmp_path)
    assert torch.equal(again.weights, without.weights)
    assert len(steps) == 30 + (5 if how == "at any moment" else 0)
    assert kept(tmp_path) == ["difficulty", "expert_0", "expert_1"]


def test_more_experts_only_add(
    tiny_images: LabelledImages, tmp_path: Path, trained: list[str]
) -> None:
    two = made(tiny_images, tmp_path)
    four = made(tiny_images, tmp_path, CONFIG.replace(num_experts=4))
    assert trained == ["difficulty"] + ["expert"] * 4
    one = made(tiny_images, tmp_path, CONFIG.replace(num_experts=1))
    assert len(trained) == 5
    assert torch.equal(four.weights[:2], two.weights) and torch.equal(one.weights, two.weights[:1])
    assert torch.equal(made(tiny_images, None, CONFIG.replace(num_experts=4)).weights, four.weights)


def test_an_interrupted_run_goes_on_where_it_was(
    tiny_images: LabelledImages, tmp_path: Path, trained: list[str]
) -> None:
    config = CONFIG.replace(num_experts=3)

    def interrupt(update: Update) -> None:
        if update.phase == "experts" and update.number == 10:  # within the third
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(tiny_images, tmp_path, config, on_update=interrupt)
    assert kept(tmp_path) == ["difficulty", "expert_0", "expert_1"]
    heard: list[Update] = []
    resumed = made(tiny_images, tmp_path, config, on_update=heard.append)
    assert trained == ["difficulty"] + ["expert"] * 3 + ["expert"]
    assert [u.number for u in heard] == [4, 8, 9, 10, 11, 12]
    assert torch.equal(resumed.weights, made(tiny_images, None, config).weights)


@pytest.mark.parametrize("broken", ["difficulty", "expert_1"])
@pytest.mark.parametrize("content", ["cut", "other"])
def test_a_broken_file_is_made_anew(
    tiny_images: LabelledImages, tmp_path: Path, trained: list[str], broken: str, content: str
) -> None:
    first = made(tiny_images, tmp_path)
    store, fingerprint = Store(tmp_path), wanted(tiny_images).fingerprint
    file = store.path_of(KIND, f"{fingerprint}.{broken}")
    whole = file.read_bytes()
    other = "expert_0" if broken == "difficulty" else "difficulty"
    swapped = store.path_of(KIND, f"{fingerprint}.{other}").read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content == "cut" else swapped)
    with pytest.warns(UserWarning, match=f"{broken}: not to be believed"):
        second = made(tiny_images, tmp_path)
    assert torch.equal(first.weights, second.weights)
    assert trained[3:] == [broken.partition("_")[0]]
    made(tiny_images, tmp_path)
    assert len(trained) == 4


@pytest.mark.parametrize(
    ("tensors", "about", "said"),
    [
        ({"expert_1": torch.zeros(3, 2)}, {}, r"expected .*5, \d+.*, found \(3, 2\)"),
        ({"expert_1": None}, {"seconds": -1.0}, "expected finite numbers"),
        ({"expert_1": None}, {"losses": 3}, "not iterable"),
        ({"expert_0": None}, {}, "expert_1"),
        ({"expert_1": torch.nan}, {}, "expected finite numbers"),
    ],
)
def test_whole_entries_of_something_else_are_made_anew(
    tiny_images: LabelledImages,
    tmp_path: Path,
    trained: list[str],
    tensors: dict[str, Any],
    about: dict[str, Any],
    said: str,
) -> None:
    """A tensor given as None is the right one, as a number one that is full of it."""
    first = made(tiny_images, tmp_path)
    right = first.weights[1]
    ((name, content),) = tensors.items()
    if not isinstance(content, torch.Tensor):
        content = right if content is None else torch.full_like(right, content)
    described = {"losses": [0.5] * 4, "seconds": 1.0, **about}
    entry = f"{wanted(tiny_images).fingerprint}.expert_1"
    Store(tmp_path).write(KIND, entry, pack_tensors({name: content}, described))
    with pytest.warns(UserWarning, match=rf"expert_1: not to be believed \(.*{said}"):
        second = made(tiny_images, tmp_path)
    assert torch.equal(first.weights, second.weights) and trained[3:] == ["expert"]
    made(tiny_images, tmp_path)
    assert len(trained) == 4


def test_an_unwritable_directory_costs_a_warning(
    tiny_images: LabelledImages, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("no directory")
    with pytest.warns(UserWarning, match="cannot be kept") as caught:
        weights = made(tiny_images, file).weights
    assert len(caught) == 3 and all("cannot be kept" in str(w.message) for w in caught)
    assert torch.equal(weights, made(tiny_images).weights)


def named(real: LabelledImages, **changes: Any) -> str:
    return wanted(real, **changes).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"network": NETWORK.replace(width=8)},
        {"data_scheduler": False},
        {"precision": "bfloat16"},
        {"spec": ImageSpec(1, 8, 8, 4, (0.36,), (0.25,), (), "color_crop_scale")},
        {"spec": ImageSpec(1, 8, 8, 4, (0.35,), (0.25,), (), "color_crop")},
        {"spec": ImageSpec(1, 8, 8, 5, (0.35,), (0.25,), (), "color_crop_scale")},
        *(
            {"settings": CONFIG.replace(**{name: value})}
            for name, value in {
                "epochs": 3,
                "snapshots_per_epoch": 1,
                "batch_size": 8,
                "learning_rate": 0.2,
                "augmentation": "crop",
                "num_difficulty_networks": 1,
                "difficulty_epochs": 2,
                "initial_ratio": 0.5,
                "addition_end": 0.4,
                "seed": 1,
            }.items()
        ),
    ],
    ids=str,
)
def test_what_matters_changes_the_name(tiny_images: LabelledImages, change: dict[str, Any]) -> None:
    assert named(tiny_images) != named(tiny_images, **change)


def test_what_does_not_matter_leaves_the_name(tiny_images: LabelledImages) -> None:
    name = named(tiny_images)
    assert len(name) == 64
    assert name == named(tiny_images, settings=CONFIG.replace(num_experts=9))
    explicit = CONFIG.replace(augmentation=SPEC.augmentation)
    assert name == named(tiny_images, settings=explicit)
    changes = {
        "num_difficulty_networks": 9,
        "difficulty_epochs": 2,
        "initial_ratio": 0.5,
        "addition_end": 0.5,
    }
    unscheduled = named(tiny_images, data_scheduler=False)
    assert unscheduled == named(
        tiny_images, settings=CONFIG.replace(**changes), data_scheduler=False
    )


def test_data_and_software_are_part_of_the_name(
    tiny_images: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = tiny_images.images.clone(), tiny_images.labels.clone()
    images[0, 0, 0, 0] ^= 1
    labels[0] = 3
    names = {
        named(tiny_images),
        named(LabelledImages(images, tiny_images.labels)),
        named(LabelledImages(tiny_images.images, labels)),
    }
    monkeypatch.setattr(torch, "__version__", "0")
    names.add(named(tiny_images))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    names.add(named(tiny_images))
    monkeypatch.setattr(experts, "sources_of", lambda module: (__file__,))
    names.add(named(tiny_images))
    assert len(names) == 6


def test_every_module_an_expert_uses_counts() -> None:
    """What is loaded by the time that experts can be trained counts, or changes no weights."""
    harmless = re.compile(
        r"clbench(\.(codecs(\.table)?|config|errors|fields|table|(store|measuring|machine)\b.*))?|clbench\.distillation"
        r"(\.(settings|table|updates|(selection|kernel|bptt)(\.settings)?|difficulty|matching|trajectories))?"
    )
    module = "clbench.distillation.trajectories.experts"
    code = f"import sys, {module}; from clbench.networks import ConvNet; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    root = Path(clbench.__file__).parent.parent
    for name in done.stdout.split():
        if name.partition(".")[0] == "clbench" and not harmless.fullmatch(name):
            place = root / name.replace(".", "/")
            files = {str(place.with_suffix(".py")), str(place / "__init__.py")}
            assert files & set(sources_of(module)), f"{name} is used and does not count"
