"""Files that anybody may have written: an `InputError`, or what they say, and never more."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.cli.build_config import read_config_file
from clbench.comparison import compare, to_dict, to_markdown
from clbench.config import RunConfig
from clbench.errors import InputError
from clbench.report import RunReport
from clbench.sets import load_set
from clbench.store.reading import MOST_DEPTH, parse_json, read_limited
from clbench.strategies import read_config
from tests.comparison.test_comparison import make
from tests.hostile.fuzz import FUZZ, broken

REPORT = make("dam_replay").to_dict() | {"environment": {"versions": {"torch": "2"}, "threads": 1}}


@given(broken(REPORT))
@FUZZ
def test_reports(tmp_path_factory: pytest.TempPathFactory, values: Any) -> None:
    file = tmp_path_factory.mktemp("r") / "report.json"
    file.write_text(json.dumps(values))
    try:
        report = RunReport.load(file)
        comparison = compare([report, make("random_replay")])
    except InputError as error:
        assert "\n" not in str(error)
        return
    to_markdown(comparison)
    json.dumps(to_dict(comparison))
    report.to_frame()


@given(broken(RunConfig().to_dict()))
@FUZZ
def test_configurations(values: Any) -> None:
    try:
        read_config(values)
    except InputError as error:
        assert "\n" not in str(error)


@given(st.binary(max_size=200))
@FUZZ
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("b")
    for name, read in (
        ("report.json", RunReport.load),
        ("config.json", read_config_file),
        ("config.toml", read_config_file),
        ("set.safetensors", load_set),
    ):
        file = folder / name
        file.write_bytes(content)
        try:
            read(file)
        except InputError as error:
            assert "\n" not in str(error)
    assert {file.name for file in folder.iterdir()} <= {
        "report.json", "config.json", "config.toml", "set.safetensors",
    }  # fmt: skip


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "text",
    [DEEP, '{"seed": ' + "9" * 5000 + "}", '{"seed": NaN}', '{"a": {"b": ' * 90 + "1", "", "[1"],
)
def test_json_that_is_none_for_us(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(InputError, match="expected the JSON of a configuration"):
        read_config_file(file)
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(InputError, match="expected a clbench report"):
        RunReport.load(tmp_path)


def test_brackets_in_text_are_no_levels() -> None:
    value = {"a": '[{"' * MOST_DEPTH, "b": [[1]]}
    assert parse_json(json.dumps(value)) == value


def test_folders_and_large_files_are_not_read(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_config_file(tmp_path)
    with pytest.raises(InputError):
        load_set(tmp_path)
    (tmp_path / "large").write_bytes(bytes(100))
    with pytest.raises(ValueError, match="at most 99 bytes, found 100"):
        read_limited(tmp_path / "large", 99)
    assert read_limited(tmp_path / "large", 100) == bytes(100)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes: Windows has none")
def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    for file in (tmp_path / "pipe.json", Path("/dev/zero")):
        with pytest.raises(InputError, match="found a folder or a device"):
            read_config_file(file)
        with pytest.raises(InputError, match="found a folder or a device"):
            load_set(file)


def test_toml_is_read(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('strategy = "dm_replay"\n[learner]\nlearning_rate = 0.1\n')
    assert read_config_file(file) == {"strategy": "dm_replay", "learner": {"learning_rate": 0.1}}
    file.write_text("strategy = [")
    with pytest.raises(InputError, match="expected the TOML of a configuration"):
        read_config_file(file)
