"""Options are read off the fields of the configuration; help shows what a user needs first."""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import CompletionItem
from click.testing import CliRunner

from clbench.cli import options
from clbench.cli.build_config import build_config, with_flags, without_effect
from clbench.cli.group import COMMANDS, cli
from clbench.cli.options import METHOD, TABLES, evaluation_options, method_options, run_options
from clbench.config import DistillationConfig, MatchingSettings, NetworkConfig, RunConfig
from clbench.distillation.table import DISTILLERS, DistillerInfo
from clbench.errors import InputError
from clbench.evaluation.table import EVALUATIONS
from clbench.fields import Config, setting, settings_of
from clbench.strategies import STRATEGIES


def command(*names: str) -> click.Command:
    found: click.Command = cli
    for name in names:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None
        found = inner
    return found


def help_of(*arguments: str, flag: str = "--help-all") -> str:
    result = CliRunner().invoke(cli, [*arguments, flag], prog_name="clbench")
    assert result.exit_code == 0, result.output
    return result.output


def shown(default: object, none: str) -> str:
    if default is None:
        return none
    return {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default)


def test_run_has_an_option_with_its_default_for_every_field():
    text = " ".join(help_of("run").split())
    found = [s for s in settings_of(RunConfig()) if s.path != "distillation.distiller"]
    for name, row in DISTILLERS.items():
        found += list(row.settings_as_options(name))
    for name, row in EVALUATIONS.items():
        found += list(row.run_settings(name)) if row.of_sets else []
    differing = set()
    defaults: dict[str, object] = {}
    for one in found:
        if one.flag and defaults.setdefault(one.flag, one.default) != one.default:
            differing.add(one.flag)
    assert len(defaults) > 100
    for one in found:
        if not one.flag:
            continue
        assert re.search(rf"--{one.flag}[ /]", text), one.flag
        if one.flag not in differing:
            assert f"[default: {shown(one.default, one.none)}]" in text, one.flag
        assert one.default is not None or one.none, one.flag
    # What sets MTT, DATM and PAD apart, and KIP and FRePo.
    trajectories = {"growing-start", "data-scheduler", "mask-ratio", "soft-labels"}
    assert differing == {*trajectories, "kernel-kind", "kernel-num-updates"}
    assert text.count("[default: the method's own]") == 6


def leaves(config: object, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, type and value of every field that holds no configuration."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, hints[field.name], value


def choices_in(hint: Any) -> tuple[str, ...]:
    parts = (hint, *typing.get_args(hint))
    found = [typing.get_args(p) for p in parts if typing.get_origin(p) is typing.Literal]
    return found[0] if found else ()


# The strategy names the distiller of a run; its settings and evaluations have names of their own.
ELSEWHERE = ("distillation.distiller", "distillation.settings.", "evaluations", "method")
FIELDS = [leaf for leaf in leaves(RunConfig()) if not leaf[0].startswith(ELSEWHERE)]


@pytest.mark.parametrize(("path", "hint", "default"), FIELDS, ids=[path for path, *_ in FIELDS])
def test_an_option_has_choices_and_value_of_its_field(path: str, hint: Any, default: Any):
    name, choices = path.replace(".", "__"), choices_in(hint)
    (option,) = [option for option in command("run").params if option.name == name]
    assert isinstance(option.type, click.Choice) == bool(choices)
    assert not choices or tuple(option.type.choices) == choices  # type: ignore[attr-defined]
    if default is not None:
        assert build_config(RunConfig(), {name: default}) == RunConfig()
    others = [*choices, *([not default] if isinstance(default, bool) else [])]
    for value in others:
        made = build_config(RunConfig(), {name: value})
        assert {p: v for p, _, v in leaves(made)} == {
            **{p: v for p, _, v in leaves(RunConfig())}, path: value,
        }  # fmt: skip


@pytest.mark.parametrize("name", DISTILLERS)
def test_every_setting_of_a_method_is_an_option(name: str):
    row, config = DISTILLERS[name], DistillationConfig(name)
    found = {one.path: one for one in row.settings_as_options(name)}
    known = {option.name: option for option in method_options()}
    assert list(found) == [path for path, *_ in leaves(row.settings)]
    for path, hint, default in leaves(row.settings):
        option = known[METHOD + found[path].flag.replace("-", "_")]
        choices = choices_in(hint)
        assert isinstance(option.type, click.Choice) == bool(choices)
        assert not choices or tuple(option.type.choices) == choices
        if default is not None:
            assert with_flags(config, {found[path].flag.replace("-", "_"): default}) == config


def test_presets_are_those_of_the_distillers(monkeypatch: pytest.MonkeyPatch):
    preset = {"initialisation": "noise", "settings": {"steps": 100}}
    theirs = DistillerInfo(
        lambda config: None, "foo", "ours", settings=FooSettings(), presets={"long": preset},
        prefix="foo",
    )  # fmt: skip
    monkeypatch.setitem(DISTILLERS, "foo", theirs)
    choice = options.preset_option().type
    assert isinstance(choice, click.Choice)
    assert set(choice.choices) == {one for row in DISTILLERS.values() for one in row.presets}
    for name, row in DISTILLERS.items():
        for one in row.presets:
            assert DistillationConfig(name).with_preset(one).distiller == name
    values = {"strategy": "foo_replay", "method__foo_decay": 0.5}
    made = build_config(RunConfig(), values, loop="long").distillation
    assert made.settings == FooSettings(100, 0.5) and made.initialisation == "noise"
    with pytest.raises(InputError, match="--loop: expected a preset of datadam"):
        build_config(RunConfig(), {}, loop="long")


def test_short_help_shows_the_twenty_options_most_used():
    def flags(text: str) -> set[str]:
        return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", text, re.MULTILINE)) - {
            "help",
            "help-all",
        }

    few, every = flags(help_of("run", flag="--help")), flags(help_of("run"))
    assert 18 <= len(few) <= 22 and few < every and len(every) > 100
    assert {"strategy", "baseline", "seed", "benchmark", "images-per-class", "output"} <= few
    text = " ".join(help_of("run", flag="-h").split())
    assert re.search(r"\d+ more options: clbench run --help-all", text)


def test_no_flag_is_there_twice():
    for names in (["run"], ["distill"], *(["evaluate", n] for n in EVALUATED)):
        found = [f for p in command(*names).params if isinstance(p, click.Option) for f in p.opts]
        assert len(found) == len(set(found)), names


@pytest.mark.parametrize("name", [name for name in TABLES if name != "spaces"])
def test_completion_offers_the_names_of_a_table(name: str):
    complete = options.completer(name)
    found = complete(click.Context(cli), click.Argument(["x"]), "")
    table = TABLES[name].load()
    assert [item.value for item in found] == table.names()
    assert table.names()[: len(table)] == list(table)
    assert len(table.names()) == len(table) or name == "strategies"  # kip_mir and the like
    assert all(isinstance(item, CompletionItem) for item in found)


def test_nothing_given_is_the_default_configuration():
    assert build_config(RunConfig(), {"seed": None, "memory__codec": None}) == RunConfig()


def test_options_win_over_preset_over_file(tmp_path: Path):
    file = tmp_path / "config.json"
    settings = {"num_networks": 7, "batch_real": 9}
    for distillation in (settings, {"settings": settings}):
        file.write_text(json.dumps({"seed": 3, "distillation": distillation}))
        base = build_config(RunConfig(), {}, file=file)
        own = base.distillation.own(MatchingSettings)
        assert (base.seed, own.num_networks, own.batch_real) == (3, 7, 9)
        values = {"method__num_networks": 11, "seed": 4}
        made = build_config(RunConfig(), values, file=file, loop="paper")
        own = made.distillation.own(MatchingSettings)
        assert (made.seed, own.num_networks, own.batch_real) == (4, 11, 256)
        assert own.resample and own.updates_per_network == 1
        assert made.distillation.network.norm == "batch"


def test_the_amortised_preset_is_the_default():
    assert build_config(RunConfig(), {}, loop="amortised") == RunConfig()


def test_the_course_preset_trains_networks_between_updates():
    made = build_config(RunConfig(), {}, loop="course").distillation.own(MatchingSettings)
    assert (made.num_networks, made.updates_per_network, made.network_steps) == (100, 10, 50)


def test_a_preset_of_the_start_leaves_trajectory_matching_alone(tmp_path: Path):
    file = tmp_path / "config.json"
    experts = {"num_experts": 7, "epochs": 4}
    trajectory = {"num_updates": 30, "mask_ratio": 0.5, "experts": experts}
    older = {"batch_real": 9, "trajectory": trajectory}
    newer = {"settings": {**trajectory, "start": {"batch_real": 9}}}
    for distillation in (older, {"distiller": "pad", **newer}):
        file.write_text(json.dumps({"strategy": "pad_replay", "distillation": distillation}))
        values = {"method__expert_epochs": 3}
        made = build_config(RunConfig(), values, file=file, loop="amortised").distillation.settings
        assert made.start == MatchingSettings()
        assert (made.num_updates, made.mask_ratio) == (30, 0.5)
        assert (made.experts.num_experts, made.experts.epochs) == (7, 3)


def test_a_preset_of_another_method_is_refused():
    with pytest.raises(InputError, match=r"--loop: expected a preset of datadam .* found 'pad_"):
        build_config(RunConfig(), {}, loop="pad_cifar10_ipc1")


def test_a_flag_sets_every_field_that_it_names():
    values = {"strategy": "pad_replay", "method__difficulty_epochs": 5, "method__num_networks": 3}
    made = build_config(RunConfig(), values).distillation.settings
    assert (made.experts.difficulty_epochs, made.start.difficulty.difficulty_epochs) == (5, 5)
    assert made.start.num_networks == 3


def test_flags_without_effect_are_named():
    values = {"method__num_updates": 5, "method__num_networks": 3, "method__resample": None}
    datadam, pad, random = (DistillationConfig(name) for name in ("datadam", "pad", "random"))
    assert without_effect([datadam], values) == ["--num-updates"]
    assert without_effect([datadam, pad], values) == []
    assert without_effect([random], values) == ["--num-updates", "--num-networks"]


@dataclass(frozen=True)
class FooSettings(Config):
    steps: int = setting(2, "How often.")
    decay: float | None = setting(None, "How fast.", none="never")


def test_a_third_partys_settings_are_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    row = DistillerInfo(lambda config: None, "foo", "ours", settings=FooSettings(), prefix="fo")
    monkeypatch.setitem(DISTILLERS, "foo_bar", row)
    found = {option.opts[0]: option for option in method_options()}
    assert found["--foo-bar-steps"].help == "How often.  [default: 2]"
    assert found["--foo-bar-decay"].help == "How fast.  [default: never]"
    assert STRATEGIES.find("fo_gdumb").memory == "foo_bar"
    name = found["--foo-bar-steps"].name
    made = build_config(RunConfig(), {"strategy": "fo_replay", name: 5}).distillation
    assert made == DistillationConfig("foo_bar", settings=FooSettings(5))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(RunConfig("fo_replay", distillation=made).to_dict()))
    assert build_config(RunConfig(), {}, file=file).distillation == made


def test_images_per_class_on_the_command_line_replaces_bytes_in_the_file(tmp_path: Path):
    file = tmp_path / "config.json"
    file.write_text('{"memory": {"capacity_bytes": 7840}}')
    assert build_config(RunConfig(), {}, file=file).memory.capacity_bytes == 7840
    made = build_config(RunConfig(), {"memory__images_per_class": 3}, file=file).memory
    assert (made.images_per_class, made.capacity_bytes) == (3, None)


def test_another_network_forgets_the_sizes_of_the_first():
    made = build_config(RunConfig(), {"distillation__network__name": "vgg11"})
    assert made.distillation.network == NetworkConfig("vgg11")
    same = build_config(RunConfig(), {"distillation__network__name": "convnet"})
    assert same == RunConfig()


def test_another_network_in_the_file_does_so_too(tmp_path: Path):
    file = tmp_path / "config.json"
    file.write_text('{"distillation": {"network": {"name": "vgg11", "width": 8}}}')
    made = build_config(RunConfig(), {}, file=file).distillation.network
    assert made == NetworkConfig("vgg11", width=8)
    file.write_text('{"distillation": {"network": {"width": 8}}}')
    made = build_config(RunConfig(), {}, file=file).distillation.network
    assert made == RunConfig().distillation.network.replace(width=8)


def test_images_and_bytes_exclude_each_other():
    values = {"memory__images_per_class": 1, "memory__capacity_bytes": 7840}
    with pytest.raises(InputError, match="--images-per-class or --memory-bytes"):
        build_config(RunConfig(), values)


def test_evaluations_of_a_run_are_options():
    names = {option.opts[0] for option in evaluation_options()}
    assert {"--networks-evaluated", "--num-networks-evaluated", "--search-space"} <= names
    values = {
        "evaluations__architecture_search": {},
        "evaluations__architecture_search__num_candidates": 5,
    }
    made = build_config(RunConfig(), values).evaluations
    search = EVALUATIONS["architecture_search"].run_defaults()
    assert made == {"architecture_search": search.replace(num_candidates=5)}
    assert search.full_epochs == 0


def test_fields_of_a_part_can_be_chosen():
    names = [option.name for option in run_options("memory", but=["memory.codec"])]
    fields = ("images_per_class", "capacity_bytes", "real_share", "code_current")
    assert names == [f"memory__{name}" for name in fields]


EVALUATED = ("set", "offline", "cross-architecture", "architecture-search")


@pytest.mark.parametrize("name", ["run", "distill", *(f"evaluate {one}" for one in EVALUATED)])
def test_help_shows_headings_defaults_and_examples(name: str):
    arguments = name.split()
    folds = getattr(command(*arguments), "folds", False)
    assert folds == (name in ("run", "distill"))
    output = help_of(*arguments, flag="--help-all" if folds else "-h")
    assert "Examples:\n" in output and "\\b" not in output
    assert " ".join(output.split()).count("[default:") >= 10
    trajectory = "Trajectory matching (pad, datm, mtt)"
    headings = {"run": ["Stream", "Learner", "Memory", trajectory]}
    headings["distill"] = ["Distillation", trajectory]
    headings["evaluate offline"] = ["Network", "Training", "Machine"]
    headings["evaluate architecture-search"] = ["Search", "Training on each set", "Full search"]
    for heading in headings.get(name, ["Evaluation"]):
        assert f"\n{heading}:\n" in output


HELPS = [
    *([name] for name in COMMANDS),
    *(["data", name] for name in ("list", "fetch", "prepare", "verify")),
    *(["cache", name] for name in ("list", "clear", "path")),
    *(["evaluate", name] for name in EVALUATED),
]


@pytest.mark.parametrize("arguments", [[], *HELPS], ids=" ".join)
def test_help_fits_80_columns(arguments: list[str]):
    text = CliRunner().invoke(cli, [*arguments, "--help"], terminal_width=80).output
    assert not [line for line in text.splitlines() if len(line) > 80]


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
def test_help_of_an_option_names_only_options_of_its_command(arguments: list[str]):
    listed = [o for o in command(*arguments).params if isinstance(o, click.Option)]
    offered = {flag for option in listed for flag in (*option.opts, *option.secondary_opts)}
    named = {flag for o in listed for flag in re.findall(r"--[a-z][a-z-]*", o.help or "")}
    assert named <= offered
