"""What version 0.1 wrote stays readable: its configurations and reports, kept in tests/kept/0.1."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from clbench.comparison import compare, load_runs
from clbench.config import (
    BenchmarkConfig,
    DifficultySettings,
    DistillationConfig,
    LearnerConfig,
    MemoryConfig,
    NetworkConfig,
    RunConfig,
    SetTrainingConfig,
)
from clbench.errors import InputError
from clbench.evaluation.settings import ArchitectureSearchSettings, CrossArchitectureSettings
from clbench.report import RunReport
from clbench.strategies import read_config
from tests.distilling import changed, distillation

KEPT = Path(__file__).parent.parent / "kept" / "0.1"
NARROW = NetworkConfig("convnet", width=4, depth=3, norm="instance")
JUDGES = DifficultySettings(difficulty_epochs=1)
# What the command line was told: --num-networks 2 --distill-width 4 --num-updates 2 and so on.
DISTILLATIONS = {
    "dam_replay": distillation("datadam", network=NARROW, num_networks=2, difficulty=JUDGES),
    "pad_gdumb": distillation(
        "pad",
        network=NARROW,
        num_updates=2,
        experts={"num_experts": 1, "epochs": 10, "difficulty_epochs": 1},
        start={"num_networks": 2, "difficulty": JUDGES},
    ),
    "random_replay": DistillationConfig("random", network=NARROW),
    # Nothing is distilled, so the default distiller stands there.
    "naive": distillation("datadam", network=NARROW, num_networks=2, difficulty=JUDGES),
}


def expected(strategy: str, **changes: Any) -> RunConfig:
    return RunConfig(
        strategy=strategy,
        benchmark=BenchmarkConfig("split_mnist5k", num_experiences=5, train_per_class=20),
        learner=LearnerConfig(epochs=1, augmentation="none"),
        memory=MemoryConfig(images_per_class=1, codec="raw"),
        distillation=DISTILLATIONS[strategy],
        set_training=SetTrainingConfig(epochs=1),
    ).replace(**changes)


def older(strategy: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((KEPT / strategy / "config.json").read_text())
    return values


def report(strategy: str) -> RunReport:
    return RunReport.load(KEPT / strategy)


@pytest.mark.parametrize("strategy", DISTILLATIONS)
def test_a_configuration_of_0_1_is_one_of_today(strategy: str) -> None:
    values = older(strategy)
    assert values == report(strategy).config and "settings" not in values["distillation"]
    read = read_config(values)
    assert read == expected(strategy)
    assert read_config(json.loads(json.dumps(read.to_dict()))) == read


@pytest.mark.parametrize("strategy", DISTILLATIONS)
def test_a_report_of_0_1_stands_in_one_row_with_one_of_today(strategy: str) -> None:
    old = report(strategy)
    new = dataclasses.replace(old, config=expected(strategy, seed=1).to_dict())
    comparison = compare([old, new])
    assert [(group.label, group.seeds) for group in comparison.groups] == [(strategy, (0, 1))]


def test_runs_of_0_1_are_compared() -> None:
    comparison = compare(load_runs([KEPT]))
    assert sorted(group.label for group in comparison.groups) == sorted(DISTILLATIONS)
    assert all(group.seeds == (0,) for group in comparison.groups)


def without(values: dict[str, Any], path: str) -> dict[str, Any]:
    """``values`` without what is at a dotted path."""
    *parents, last = path.split(".")
    left = place = copy.deepcopy(values)
    for name in parents:
        place = place[name]
    del place[last]
    return left


@pytest.mark.parametrize(
    ("strategy", "path", "now"),
    [
        ("naive", "device", {"device": "auto"}),
        ("naive", "evaluation", {}),
        ("naive", "benchmark.image_size", {}),
        ("naive", "benchmark.train_per_class", {"benchmark": {"train_per_class": None}}),
        ("naive", "learner.network.hidden", {}),
        ("naive", "learner.epochs", {"learner": {"epochs": None}}),
        ("random_replay", "memory.images_per_class", {"memory": {"images_per_class": None}}),
        ("random_replay", "set_training.label_smoothing", {}),
        ("dam_replay", "distillation.images_per_pass", {}),
        ("dam_replay", "distillation.matched_layers", {}),
        ("dam_replay", "distillation.num_networks",
         {"distillation": {"settings": {"num_networks": None}}}),
        ("dam_replay", "distillation.network.width",
         {"distillation": {"network": {"width": 32}}}),
        # Before there were trajectories.
        ("dam_replay", "distillation.trajectory",
         {"distillation": {"settings": {"difficulty": {"difficulty_epochs": None}}}}),
        ("pad_gdumb", "distillation.trajectory.num_updates",
         {"distillation": {"settings": {"num_updates": 100}}}),
        ("pad_gdumb", "distillation.trajectory.matched_start", {}),
        ("pad_gdumb", "distillation.trajectory.mask_ratio", {}),
        ("pad_gdumb", "distillation.trajectory.experts.addition_end", {}),
        ("pad_gdumb", "distillation.num_networks",
         {"distillation": {"settings": {"start": {"num_networks": None}}}}),
    ],
)  # fmt: skip
def test_a_field_that_an_older_report_lacks_is_its_default(
    strategy: str, path: str, now: dict[str, Any]
) -> None:
    lacking = without(older(strategy), path)
    wanted = expected(strategy).updated(now)
    assert read_config(lacking) == wanted
    old = dataclasses.replace(report(strategy), config=lacking)
    new = dataclasses.replace(old, config=wanted.replace(seed=1).to_dict())
    (group,) = compare([old, new]).groups
    assert group.seeds == (0, 1)


def test_what_a_method_was_told_otherwise_is_kept() -> None:
    """None stood for the method's own; a value is a value."""
    values = older("pad_gdumb")
    told = {
        "growing_start": False,
        "data_scheduler": False,
        "mask_ratio": 0.0,
        "soft_labels": False,
    }
    values["distillation"]["trajectory"] |= told
    assert read_config(values).distillation == changed(DISTILLATIONS["pad_gdumb"], **told)


@pytest.mark.parametrize("strategy", ["dam_replay", "random_replay", "naive"])
def test_settings_of_another_method_had_no_say(strategy: str) -> None:
    values = older(strategy)
    values["distillation"]["trajectory"] |= {"num_updates": 7, "soft_labels": False}
    values["distillation"]["trajectory"]["experts"]["num_experts"] = 5
    if strategy == "random_replay":
        values["distillation"]["num_networks"] = 9
    assert read_config(values) == expected(strategy)


def test_a_strategy_brings_its_distiller_in_either_form() -> None:
    """In 0.1 the distiller that stood there was another one: the default of all strategies."""
    for strategy in ("dam_replay", "pad_gdumb", "random_replay"):
        assert older(strategy)["distillation"]["distiller"] == "datadam"
    values = expected("dam_replay").to_dict() | {"strategy": "dm_gdumb"}
    found = read_config(values).distillation
    assert found == DISTILLATIONS["dam_replay"].for_distiller("dm"), "they share their settings"
    values["strategy"] = "pad_gdumb"
    assert read_config(values).distillation == DistillationConfig("pad", network=NARROW)


def test_evaluations_of_0_1_have_known_fields_only() -> None:
    with pytest.raises(InputError, match="evaluation: expected fields .*found 'architekture'"):
        read_config({"evaluation": {"architekture": True}})


def test_evaluations_of_0_1() -> None:
    values = older("dam_replay")
    values["evaluation"] |= {"networks": "mlp,lenet", "num_networks": 2, "num_candidates": 4}
    assert read_config(values).evaluations == {}, "none was wanted"
    values["evaluation"]["cross_architecture"] = True
    cross = {"cross_architecture": CrossArchitectureSettings("mlp,lenet", num_networks=2)}
    assert read_config(values).evaluations == cross
    values["evaluation"]["architecture_search"] = True
    search = ArchitectureSearchSettings("cnn54", num_candidates=4, full_epochs=0)
    assert read_config(values).evaluations == {**cross, "architecture_search": search}
    assert read_config(values).replace(evaluations={}) == expected("dam_replay")


def test_evaluations_of_the_last_memory_part_no_runs() -> None:
    """They come after all that is compared, in either form."""
    old = report("dam_replay")
    wanted = {"cross_architecture": CrossArchitectureSettings("mlp", num_networks=2)}
    new = expected("dam_replay", seed=1, evaluations=wanted)
    values = older("dam_replay") | {"seed": 2}
    values["evaluation"] |= {"architecture_search": True}
    configs = [old.config, new.to_dict(), values]
    (group,) = compare([dataclasses.replace(old, config=c) for c in configs]).groups
    assert group.seeds == (0, 1, 2)


def test_part_of_a_configuration_is_laid_over_a_base() -> None:
    base = expected("pad_gdumb")
    flat = {"distillation": {"num_networks": 5, "trajectory": {"experts": {"num_experts": 4}}}}
    found = read_config(flat, base)
    settings = found.distillation.to_dict()["settings"]
    assert found.strategy == "pad_gdumb" and settings["num_updates"] == 2
    assert (settings["start"]["num_networks"], settings["experts"]["num_experts"]) == (5, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strategy": 3}, "strategy: expected a name"),
        ({"strategy": "dam_repaly"}, "did you mean 'dam_replay'"),
        ({"distillation": 5}, "distillation: expected"),
        ({"distillation": {"num_netwroks": 5}}, "DistillationConfig: .* found 'num_netwroks'"),
        ({"distillation": {"num_networks": "5"}}, "num_networks: expected a whole number"),
        ({"distillation": {"settings": 5}}, "settings: expected"),
        ({"distillation": {"settings": {"nope": 5}}}, "MatchingSettings: .* found 'nope'"),
        ({"strategy": "pad_replay", "distillation": {"trajectory": {"nope": 5}}},
         "TrajectorySettings: .* found 'nope'"),
        ({"strategy": "pad_replay", "distillation": {"trajectory": {"experts": {"nope": 5}}}},
         "ExpertSettings: .* found 'nope'"),
        ({"strategy": "naive", "distillation": {"distiller": "datadma"}}, "did you mean 'datadam'"),
        ({"evaluations": 5}, "evaluations: expected"),
        ({"evaluations": {"cross": {}}}, "unknown evaluation 'cross'"),
        # Of another shape than any version wrote.
        ({"distillation": {"trajectory": 5}}, "trajectory: expected"),
        ({"strategy": "pad_replay", "distillation": {"trajectory": 5}}, "trajectory: expected"),
        ({"distillation": {"trajectory": {"experts": 5}}}, "experts: expected"),
        ({"strategy": "naive", "distillation": {"distiller": 3}}, "distiller: expected"),
        ({"strategy": "naive", "distillation": {"distiller": ["pad"]}}, "distiller: expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_a_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_config(values)
    assert "\n" not in str(caught.value)
