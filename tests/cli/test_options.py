"""Options agree with the configuration they stand for."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from clbench import config as configuration
from clbench.cli import names, options
from clbench.cli import run as run_command
from clbench.cli.build_config import LOOPS, build_config
from clbench.cli.distill import DISTILLER
from clbench.cli.group import COMMANDS, cli
from clbench.cli.run import STRATEGY
from clbench.cli.sets import EVALUATION, base_config
from clbench.config import RunConfig
from clbench.errors import InputError

RUN = [
    STRATEGY,
    *options.STREAM,
    *options.LEARNER,
    *options.MEMORY,
    *options.DISTILLATION,
    *options.TRAJECTORY,
    *options.set_training_settings("set"),
    *run_command.EVALUATION,
    *options.MACHINE,
]


def field_of(config: object, path: str) -> object:
    for name in path.split("."):
        config = getattr(config, name)
    return config


def leaves(config: object, prefix: str = "") -> set[str]:
    found = set()
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found |= leaves(value, f"{prefix}{field.name}.")
        else:
            found.add(prefix + field.name)
    return found


@pytest.mark.parametrize(
    ("setting", "base"),
    [(s, RunConfig()) for s in RUN] + [(s, base_config()) for s in [*EVALUATION, DISTILLER]],
    ids=lambda value: getattr(value, "flag", ""),
)
def test_a_documented_default_is_the_configurations_own(setting: options.Setting, base: RunConfig):
    actual = field_of(base, setting.field)
    assert setting.default == actual and type(setting.default) is type(actual)
    assert setting.default is not None or setting.none


def test_run_has_an_option_for_every_field():
    # The strategy names the distiller of a run; --evaluate asks for both evaluations.
    elsewhere = {f"evaluation.{name}" for name in ("cross_architecture", "architecture_search")}
    assert {s.field for s in RUN} == leaves(RunConfig()) - {"distillation.distiller"} - elsewhere
    assert len({s.flag for s in RUN}) == len(RUN)


def test_choices_are_those_of_the_configuration():
    for setting in RUN:
        *path, name = setting.field.split(".")
        owner = type(field_of(RunConfig(), ".".join(path))) if path else RunConfig
        hint = typing.get_type_hints(owner)[name]
        parts = (hint, *typing.get_args(hint))
        literal = [typing.get_args(p) for p in parts if typing.get_origin(p) is typing.Literal]
        if literal:
            assert setting.kind == literal[0], setting.flag
        else:
            assert not isinstance(setting.kind, tuple), setting.flag
    assert set(LOOPS) == set(typing.get_args(configuration.Loop))
    assert list(options.LOOP.type.choices) == list(LOOPS)  # type: ignore[attr-defined]


def test_names_for_completion_are_those_of_the_tables():
    from clbench.benchmarks import BENCHMARKS
    from clbench.data import DATASETS
    from clbench.distillation import DISTILLERS
    from clbench.networks import NETWORKS
    from clbench.strategies import STRATEGIES

    assert set(names.STRATEGIES) == set(STRATEGIES)
    assert set(names.BENCHMARKS) == set(BENCHMARKS)
    assert set(names.NETWORKS) == set(NETWORKS)
    assert set(names.DISTILLERS) == set(DISTILLERS)
    assert set(names.DATASETS) == set(DATASETS)


def test_nothing_given_is_the_default_configuration():
    assert build_config(RunConfig(), {"seed": None, "memory__packing": None}) == RunConfig()


def test_options_win_over_preset_over_file(tmp_path: Path):
    file = tmp_path / "config.json"
    file.write_text('{"seed": 3, "distillation": {"num_networks": 7, "batch_real": 9}}')
    base = build_config(RunConfig(), {}, file=file)
    assert (base.seed, base.distillation.num_networks, base.distillation.batch_real) == (3, 7, 9)
    values = {"distillation__num_networks": 11, "seed": 4}
    made = build_config(RunConfig(), values, file=file, loop="paper")
    assert (made.seed, made.distillation.num_networks) == (4, 11)
    assert made.distillation.batch_real == 256 and made.distillation.network.norm == "batch"
    assert made.distillation.resample and made.distillation.updates_per_network == 1


def test_the_amortised_preset_is_the_default():
    assert build_config(RunConfig(), {}, loop="amortised") == RunConfig()


def test_the_course_preset_trains_networks_between_updates():
    made = build_config(RunConfig(), {}, loop="course").distillation
    assert (made.num_networks, made.updates_per_network, made.network_steps) == (100, 10, 50)


def test_a_preset_of_the_loop_leaves_trajectory_matching_alone(tmp_path: Path):
    file = tmp_path / "config.json"
    experts = {"num_experts": 7, "epochs": 4}
    trajectory = {"num_updates": 30, "mask_ratio": 0.5, "experts": experts}
    file.write_text(json.dumps({"distillation": {"batch_real": 9, "trajectory": trajectory}}))
    values = {"distillation__trajectory__experts__epochs": 3}
    made = build_config(RunConfig(), values, file=file, loop="amortised").distillation
    assert made.batch_real == RunConfig().distillation.batch_real
    assert (made.trajectory.num_updates, made.trajectory.mask_ratio) == (30, 0.5)
    assert (made.trajectory.experts.num_experts, made.trajectory.experts.epochs) == (7, 3)
    assert made.trajectory.step_size == RunConfig().distillation.trajectory.step_size


def test_what_a_method_decides_is_shown_as_its_own():
    shown = {setting.flag: setting.option("any").help or "" for setting in options.TRAJECTORY}
    for flag in ("--growing-start", "--data-scheduler", "--mask-ratio", "--soft-labels"):
        assert shown[flag].endswith("[default: the method's own]")
    assert shown["--learn-step-size"].endswith("[default: yes]")
    given = {"distillation__trajectory__soft_labels": False}
    assert build_config(RunConfig(), given).distillation.trajectory.soft_labels is False


def test_images_per_class_on_the_command_line_replaces_bytes_in_the_file(tmp_path: Path):
    file = tmp_path / "config.json"
    file.write_text('{"memory": {"capacity_bytes": 7840}}')
    assert build_config(RunConfig(), {}, file=file).memory.capacity_bytes == 7840
    made = build_config(RunConfig(), {"memory__images_per_class": 3}, file=file).memory
    assert (made.images_per_class, made.capacity_bytes) == (3, None)


def test_another_network_forgets_the_sizes_of_the_first():
    made = build_config(RunConfig(), {"distillation__network__name": "vgg11"})
    assert made.distillation.network == configuration.NetworkConfig("vgg11")
    same = build_config(RunConfig(), {"distillation__network__name": "convnet"})
    assert same == RunConfig()


def test_another_network_in_the_file_does_so_too(tmp_path: Path):
    file = tmp_path / "config.json"
    file.write_text('{"distillation": {"network": {"name": "vgg11", "width": 8}}}')
    made = build_config(RunConfig(), {}, file=file).distillation.network
    assert made == configuration.NetworkConfig("vgg11", width=8)
    file.write_text('{"distillation": {"network": {"width": 8}}}')
    made = build_config(RunConfig(), {}, file=file).distillation.network
    assert made == RunConfig().distillation.network.replace(width=8)


def test_images_and_bytes_exclude_each_other():
    values = {"memory__images_per_class": 1, "memory__capacity_bytes": 7840}
    with pytest.raises(InputError, match="--images-per-class or --memory-bytes"):
        build_config(RunConfig(), values)


EVALUATIONS = ("set", "offline", "cross-architecture", "architecture-search")


@pytest.mark.parametrize(
    "command", ["run", "distill", *(f"evaluate {name}" for name in EVALUATIONS)]
)
def test_help_shows_headings_defaults_and_examples(command: str):
    result = CliRunner().invoke(cli, [*command.split(), "-h"])
    assert result.exit_code == 0
    assert "Examples:\n" in result.output and "\\b" not in result.output
    text = " ".join(result.output.split())
    assert text.count("[default:") >= 10
    trajectory = options.TRAJECTORY_HEADING
    headings = {"run": ["Stream", "Learner", "Memory", trajectory]}
    headings["distill"] = ["Distillation", trajectory]
    headings["evaluate offline"] = ["Network", "Training", "Machine"]
    headings["evaluate architecture-search"] = ["Search", "Training on each set", "Full search"]
    for heading in headings.get(command, ["Evaluation"]):
        assert f"\n{heading}:\n" in result.output


HELPS = [
    *([name] for name in COMMANDS),
    *(["data", name] for name in ("list", "fetch", "prepare", "verify")),
    *(["cache", name] for name in ("list", "clear", "path")),
]
HELPS += [["evaluate", name] for name in EVALUATIONS]


@pytest.mark.parametrize("arguments", [[], *HELPS], ids=" ".join)
def test_help_fits_80_columns(arguments: list[str]):
    text = CliRunner().invoke(cli, [*arguments, "--help"], terminal_width=80).output
    assert not [line for line in text.splitlines() if len(line) > 80]


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_of_an_option_names_only_options_of_its_command(arguments: list[str]):
    command: click.Command = cli
    for name in arguments:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    shown = [option for option in command.params if isinstance(option, click.Option)]
    offered = {flag for option in shown for flag in (*option.opts, *option.secondary_opts)}
    named = {flag for o in shown for flag in re.findall(r"--[a-z][a-z-]*", o.help or "")}
    assert named <= offered
