"""Experts against torch's own loop, and their cache: nothing twice, nothing that does not fit."""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import clbench
from clbench import networks
from clbench.config import ExpertConfig, NetworkConfig
from clbench.distillation import Update, trajectories
from clbench.distillation.augmentation import augment
from clbench.distillation.difficulty import el2n, selected
from clbench.distillation.trajectories import SOURCES, Trajectories, fingerprint, make_trajectories
from clbench.errors import InputError
from clbench.seeding import derive, generator
from clbench.store import fingerprint as software
from clbench.types import ImageSpec, LabelledImages

CPU = torch.device("cpu")
SPEC = ImageSpec(1, 8, 8, 4, (0.35,), (0.25,), ("a", "b", "c", "d"), "color_crop_scale")
NETWORK = NetworkConfig("convnet", width=4, depth=1, norm="instance")
CONFIG = ExpertConfig(
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
    train, score = trajectories.train, trajectories.el2n

    def counted_train(*arguments: Any) -> Any:
        calls.append("expert")
        return train(*arguments)

    def counted_score(*arguments: Any, **named: Any) -> Any:
        calls.append("difficulty")
        return score(*arguments, **named)

    monkeypatch.setattr(trajectories, "train", counted_train)
    monkeypatch.setattr(trajectories, "el2n", counted_score)
    return calls


def made(
    real: LabelledImages, directory: Path | None = None, config: ExpertConfig = CONFIG, **options
) -> Trajectories:
    options = {"data_scheduler": True, "precision": "float32", "on_update": None, **options}
    return make_trajectories(
        real, SPEC, NETWORK, config, device=CPU, directory=directory, **options
    )


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

    monkeypatch.setattr(trajectories, "selected", recorded)
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
    assert not list(tmp_path.rglob("expert_*"))


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
    names = sorted(file.name for file in tmp_path.glob("*/*"))
    assert names == ["difficulty.safetensors", "expert_0.safetensors", "expert_1.safetensors"]


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
    assert sorted(file.stem for file in tmp_path.glob("*/expert*")) == ["expert_0", "expert_1"]
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
    (file,) = tmp_path.glob(f"*/{broken}.safetensors")
    whole = file.read_bytes()
    other = "expert_0" if broken == "difficulty" else "difficulty"
    swapped = file.with_name(f"{other}.safetensors").read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content == "cut" else swapped)
    with pytest.warns(UserWarning, match=f"broken file .*{broken}"):
        second = made(tiny_images, tmp_path)
    assert torch.equal(first.weights, second.weights)
    assert trained[3:] == [broken.partition("_")[0]]
    made(tiny_images, tmp_path)
    assert len(trained) == 4


def test_a_file_of_other_shape_is_broken(
    tiny_images: LabelledImages, tmp_path: Path, trained: list[str]
) -> None:
    shelf = trajectories._Shelf(tmp_path)
    shelf.write("expert_0", torch.zeros(3, 2), [0.5], 1.0)
    with pytest.warns(UserWarning, match=r"expected \(3, 4\), found \(3, 2\)"):
        assert shelf.read("expert_0", (3, 4)) is None
    assert shelf.seconds_saved == 0 and shelf.read("expert_0", (3, 2)) is not None


def test_an_unwritable_directory_costs_a_warning(
    tiny_images: LabelledImages, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("no directory")
    with pytest.warns(UserWarning, match="not cached") as caught:
        weights = made(tiny_images, file).weights
    assert len(caught) == 3 and all("not cached" in str(w.message) for w in caught)
    assert torch.equal(weights, made(tiny_images).weights)


def named(real: LabelledImages, **changes: Any) -> str:
    settings: dict[str, Any] = {
        "spec": SPEC,
        "network": NETWORK,
        "config": CONFIG,
        "data_scheduler": True,
        "precision": "float32",
        "device": CPU,
    }
    return fingerprint(real, **{**settings, **changes})


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
            {"config": CONFIG.replace(**{name: value})}
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
    assert name == named(tiny_images, config=CONFIG.replace(num_experts=9))
    explicit = CONFIG.replace(augmentation=SPEC.augmentation)
    assert name == named(tiny_images, config=explicit)
    changes = {
        "num_difficulty_networks": 9,
        "difficulty_epochs": 2,
        "initial_ratio": 0.5,
        "addition_end": 0.5,
    }
    unscheduled = named(tiny_images, data_scheduler=False)
    assert unscheduled == named(tiny_images, config=CONFIG.replace(**changes), data_scheduler=False)


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
    monkeypatch.setattr(software, "_sources", lambda modules, files: "changed")
    names.add(named(tiny_images))
    assert len(names) == 6


def test_every_module_an_expert_uses_counts() -> None:
    """What the counted modules import is counted too, or known to change no weights."""
    harmless = {"config", "errors", "packing", "table", "measuring/cost", "distillation/protocol"}
    harmless |= {"store/files", "store/fingerprint"}
    root = Path(clbench.__file__).parent
    for path in (path for source in SOURCES for path in root.glob(f"{source}.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clbench")):
                continue
            parent = (node.module or "").removeprefix("clbench").strip(".").replace(".", "/")
            used = [parent] if parent else [alias.name for alias in node.names]
            for name in used:
                counted = name in SOURCES or name.startswith("networks")
                assert counted or name in harmless, f"{path} imports {name}"
