from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from clbench import config
from clbench.cli.build_config import build_config
from clbench.config import (
    BenchmarkConfig,
    CrossArchitectureSettings,
    DifficultySettings,
    DistillationConfig,
    ExpertSettings,
    LearnerConfig,
    MatchingSettings,
    MemoryConfig,
    NetworkConfig,
    RunConfig,
    SetTrainingConfig,
    TrajectorySettings,
)
from clbench.distillation import DISTILLERS
from clbench.distillation.kernel.settings import KernelSettings
from clbench.errors import InputError
from clbench.fields import Config, late, nested, setting
from tests.distilling import distillation

ALL = [
    value
    for value in vars(config).values()
    if isinstance(value, type) and issubclass(value, config.Config) and value is not config.Config
]

CHANGED = RunConfig(
    strategy="naive",
    seed=2**63 - 1,
    device="cpu",
    benchmark=BenchmarkConfig("split_kmnist", 3, True, 0.1, 100),
    learner=LearnerConfig(NetworkConfig("convnet", 32, 2, "batch", "sigmoid", "max"), "adam"),
    memory=MemoryConfig(3, 10_000, "tiles:factor=2"),
    distillation=distillation(
        "pad",
        network=NetworkConfig(norm="none"),
        num_updates=30,
        soft_labels=False,
        experts={"num_experts": 7, "epochs": 3},
        start={"momentum": 0.0},
    ),
    set_training=SetTrainingConfig(epochs=5),
    evaluations={"cross_architecture": CrossArchitectureSettings("mlp", num_networks=2)},
)


def test_all_configurations_are_known_here() -> None:
    assert len(ALL) == 18


@pytest.mark.parametrize("kind", ALL)
def test_defaults_go_through_json(kind: Any) -> None:
    assert kind.from_dict({}) == kind()
    assert kind.from_dict(json.loads(json.dumps(kind().to_dict()))) == kind()


def test_every_changed_field_goes_through_json() -> None:
    values = json.loads(json.dumps(CHANGED.to_dict()))
    assert RunConfig.from_dict(values) == CHANGED != RunConfig()
    # A strategy without settings of its own has no `method`.
    assert set(values) == {f.name for f in dataclasses.fields(RunConfig)} - {"method"}
    assert values["benchmark"]["train_per_class"] == 100


@dataclasses.dataclass(frozen=True)
class _Grown(Config):
    """Had one field when runs were made with it, and two now."""

    old: int = setting(1, "As it was.")
    new: str = late(setting("same", "Came later."))


@dataclasses.dataclass(frozen=True)
class _Around(Config):
    inner: _Grown = nested(_Grown())


def test_a_late_field_leaves_the_fingerprints_of_older_runs_as_they_were() -> None:
    assert _Around().to_dict() == {"inner": {"old": 1}}
    changed = _Around(_Grown(2, "other"))
    assert changed.to_dict() == {"inner": {"old": 2, "new": "other"}}
    assert [_Around.from_dict(c.to_dict()) for c in (_Around(), changed)] == [_Around(), changed]
    kept = KernelSettings().to_dict()
    assert "soft_labels" not in kept and "soft_labels" in KernelSettings(soft_labels=True).to_dict()


def test_whole_numbers_serve_as_floats() -> None:
    found = LearnerConfig.from_dict({"learning_rate": 1})
    assert found.learning_rate == 1.0 and isinstance(found.learning_rate, float)


@pytest.mark.parametrize("kind", ALL)
def test_unknown_fields_are_named(kind: Any) -> None:
    with pytest.raises(InputError, match=f"{kind.__name__}: expected fields .* found 'imges'"):
        kind.from_dict({"imges": 1})


def test_the_nearest_field_is_told() -> None:
    with pytest.raises(InputError, match="found 'epoch'; did you mean 'epochs'?"):
        LearnerConfig.from_dict({"epoch": 1})


def test_unknown_field_deep_inside() -> None:
    with pytest.raises(InputError, match="NetworkConfig: .* found 'wdth'"):
        RunConfig.from_dict({"learner": {"network": {"wdth": 1}}})


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (RunConfig, {"seed": "1"}),
        (RunConfig, {"seed": True}),
        (RunConfig, {"seed": 1.5}),
        (RunConfig, {"benchmark": "split_mnist"}),
        (MemoryConfig, {"images_per_class": "many"}),
        (BenchmarkConfig, {"shuffle_classes": 1}),
        (NetworkConfig, {"width": "64"}),
        (LearnerConfig, {"learning_rate": "0.1"}),
    ],
)
def test_wrong_types_are_refused(kind: Any, values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(InputError, match=f"^{name}: expected"):
        kind.from_dict(values)


@pytest.mark.parametrize(
    ("kind", "field", "bad", "good"),
    [
        (BenchmarkConfig, "num_experiences", 0, 1),
        (BenchmarkConfig, "validation_fraction", 1.0, 0.99),
        (BenchmarkConfig, "validation_fraction", -0.1, 0.0),
        (BenchmarkConfig, "train_per_class", 0, 1),
        (NetworkConfig, "width", 0, 1),
        (NetworkConfig, "norm", "batchnorm", "batch"),
        (NetworkConfig, "activation", "gelu", "relu"),
        (NetworkConfig, "pooling", "mean", "avg"),
        (LearnerConfig, "optimizer", "adamw", "adam"),
        (LearnerConfig, "learning_rate", 0.0, 1e-9),
        (LearnerConfig, "learning_rate", float("nan"), 1.0),
        (LearnerConfig, "momentum", -0.1, 0.0),
        (LearnerConfig, "batch_size", 0, 1),
        (LearnerConfig, "memory_batch_size", -1, 1),
        (SetTrainingConfig, "epochs", 0, 1),
        (SetTrainingConfig, "weight_decay", float("inf"), 0.0),
        (LearnerConfig, "learning_rate", 1e39, 1e38),
        (DistillationConfig, "initialisation", "zeros", "noise"),
        (MatchingSettings, "num_networks", 0, 1),
        (MatchingSettings, "network_steps", -1, 0),
        (MatchingSettings, "attention_power", 0.0, 4.0),
        (MatchingSettings, "images_per_pass", 0, 1),
        (DistillationConfig, "precision", "float16", "bfloat16"),
        (DifficultySettings, "num_difficulty_networks", 0, 1),
        (DifficultySettings, "learning_rate", 0.0, 0.1),
        (ExpertSettings, "num_experts", 0, 1),
        (ExpertSettings, "snapshots_per_epoch", 0, 1),
        (ExpertSettings, "initial_ratio", 1.5, 1.0),
        (ExpertSettings, "addition_end", 0.0, 0.1),
        (ExpertSettings, "seed", -1, 0),
        (TrajectorySettings, "student_steps", 0, 1),
        (TrajectorySettings, "batch_synthetic", 0, 1),
        (TrajectorySettings, "mask_ratio", 1.0, 0.75),
        (TrajectorySettings, "initial_last_start", 1, 2),
        (TrajectorySettings, "last_start", 10, 9),
        (TrajectorySettings, "step_size", 0.0, 0.1),
        (TrajectorySettings, "learning_rate", 0.0, 0.02),
        (TrajectorySettings, "decay", "linear", "none"),
        (TrajectorySettings, "matched_start", "real", "dm"),
        (MemoryConfig, "images_per_class", 0, 1),
        (MemoryConfig, "capacity_bytes", -5, 1),
        (RunConfig, "seed", -1, 0),
        (RunConfig, "seed", 2**63, 2**63 - 1),
        (RunConfig, "device", "tpu", "cuda"),
    ],
)
def test_ranges(kind: Any, field: str, bad: Any, good: Any) -> None:
    with pytest.raises(InputError, match=f"^{field}: expected .*found") as caught:
        kind(**{field: bad})
    assert "\n" not in str(caught.value)
    assert getattr(kind(**{field: good}), field) == good


def test_the_last_start_leaves_the_expert_snapshots_to_come() -> None:
    experts = ExpertSettings(epochs=2, snapshots_per_epoch=3)
    there = experts.num_snapshots(100)
    TrajectorySettings(last_start=4, expert_snapshots=3, experts=experts).check_snapshots(there)
    with pytest.raises(InputError, match=r"last_start: .* at most 6, .* found 7"):
        TrajectorySettings(last_start=5, expert_snapshots=3).check_snapshots(there)


def test_small_experiences_are_shown_as_often_as_large_ones() -> None:
    experts = ExpertSettings()
    assert [experts.num_epochs(n) for n in (60_000, 12_000, 800, 10**6)] == [1, 3, 38, 1]
    assert [experts.num_difficulty_epochs(n) for n in (60_000, 12_000, 800)] == [1, 1, 15]
    assert {experts.num_snapshots(n) for n in (60_000, 800)} == {10}
    assert ExpertSettings(epochs=4, snapshots_per_epoch=3).num_snapshots(60_000) == 12
    assert ExpertSettings(snapshots_per_epoch=3).num_snapshots(15_000) == 6


def test_a_distillation_has_the_settings_of_its_method() -> None:
    """With defaults of the method's row, and no others."""
    for name, row in DISTILLERS.items():
        assert DistillationConfig(name).settings == row.settings
        assert DistillationConfig.from_dict({"distiller": name}).settings == row.settings
        assert DistillationConfig().updated({"distiller": name}).settings == row.settings
    with pytest.raises(InputError, match="settings: expected MatchingSettings of dm, found 'Traj"):
        DistillationConfig("dm", settings=TrajectorySettings())
    with pytest.raises(InputError, match="unknown distiller 'datadan'.* mean 'datadam'"):
        DistillationConfig("datadan")
    with pytest.raises(AssertionError, match="datadam has other settings"):
        DistillationConfig().own(TrajectorySettings)


def test_another_distiller_keeps_what_both_know_and_loses_nothing_unsaid() -> None:
    shared = NetworkConfig("convnet", width=8)
    mine = distillation("datadam", network=shared, num_networks=3)
    assert mine.for_distiller("datadam") is mine
    assert mine.for_distiller("dm") == distillation("dm", network=shared, num_networks=3)
    assert mine.for_distiller("random") == DistillationConfig("random", network=shared)
    with pytest.raises(InputError, match="found MatchingSettings of datadam with num_networks"):
        mine.for_distiller("pad")
    plain = DistillationConfig(network=shared)
    assert plain.for_distiller("pad") == DistillationConfig("pad", network=shared)
    # mtt has defaults of its own: what was changed goes along, what was not does not.
    deep = distillation("pad", num_updates=7, experts={"epochs": 9})
    assert deep.for_distiller("mtt") == distillation("mtt", num_updates=7, experts={"epochs": 9})


def test_a_preset_is_laid_over_the_defaults() -> None:
    mine = distillation("datadam", num_networks=3, initialisation="noise")
    assert mine.with_preset("amortised") == DistillationConfig("datadam")
    paper = mine.with_preset("paper")
    assert paper.network.norm == "batch" and paper.own(MatchingSettings).num_networks == 20000
    # One of the start leaves the trajectories as they were told.
    pad = distillation("pad", num_updates=7, num_networks=3).with_preset("course")
    settings, course = pad.own(TrajectorySettings), mine.with_preset("course")
    assert (pad.network, settings.start) == (course.network, course.settings)
    assert settings == TrajectorySettings(num_updates=7, start=settings.start)
    with pytest.raises(InputError, match=r"--loop: expected a preset of datadam .*, found 'pad_ci"):
        mine.with_preset("pad_cifar10_ipc1")
    with pytest.raises(InputError, match=r"--loop: expected a preset of random \(none\)"):
        DistillationConfig("random").with_preset("paper")


def test_replacing_checks_anew() -> None:
    assert MemoryConfig().replace(images_per_class=2).images_per_class == 2
    assert MemoryConfig(codec="levels:levels=2, side=4").codec == "levels:side=4,levels=2"
    with pytest.raises(InputError, match="images_per_class"):
        MemoryConfig().replace(images_per_class=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        MemoryConfig().codec = "png"  # type: ignore[misc]


@pytest.mark.parametrize("images_per_class", [1, 10, 50])
def test_cifar10_presets_are_the_papers_loop(images_per_class: int) -> None:
    chosen = build_config(
        RunConfig(strategy="pad_replay"), {}, loop=f"pad_cifar10_ipc{images_per_class}"
    )
    t = chosen.distillation.own(TrajectorySettings)
    assert (t.learning_rate, t.decay, t.matched_start) == (1000.0, "none", "none")
    assert not t.normalise_gradient
    assert (t.student_steps, t.expert_snapshots, t.batch_synthetic) == (80, 2, None)
    assert (t.first_start, t.num_updates) == (0, 10000)
    assert (t.experts.learning_rate, t.experts.num_experts, t.experts.epochs) == (0.01, 100, 100)


@pytest.mark.parametrize(
    ("given", "codec", "images", "size"),
    [
        ({}, "png", None, 1960),
        ({"capacity_bytes": 500}, "png", None, 500),
        ({"codec": "raw"}, "raw", 10, None),
        ({"images_per_class": 3}, "raw", 3, None),
        ({"images_per_class": 3, "codec": "webp"}, "webp:quality=100", 3, None),
    ],
)
def test_a_memory_takes_of_its_benchmark_what_is_not_given(given, codec, images, size):
    found = MemoryConfig(**given).settled("png", 1960)
    assert (found.codec, found.images_per_class, found.capacity_bytes) == (codec, images, size)
    assert found.settled() == found
    plain = MemoryConfig().settled()
    assert (plain.codec, plain.images_per_class, plain.capacity_bytes) == ("raw", 10, None)
