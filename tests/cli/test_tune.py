"""``clbench tune codec`` as a user types it, on a tiny stream."""

import importlib
import json
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_STREAM

SEARCH = ["tune", "codec", "--memory-bytes", "4000", "--seeds", "2", "--finalists", "1", "-o", "t"]
CODECS = ["--candidate", "levels:side=7,levels=2", "--candidate", "png"]


def test_the_best_on_the_validation_stream_is_named_with_its_options(invoke):
    result = invoke(*SEARCH, *CODECS, *SMALL_STREAM, "--strategy", "random_replay")
    assert result.exit_code == 0, result.output
    kept = json.loads(Path("t/tuning.json").read_text())
    trials = kept["trials"]
    assert [t["candidate"]["settings"]["codec"] for t in trials] == [
        "levels:side=7,levels=2",
        "png",
        "levels:side=7,levels=2",
    ]
    assert [t["seed"] for t in trials] == [0, 0, 1]
    assert 0 < trials[0]["num_bytes"] <= 4000
    table = Path("t/tuning.md").read_text()
    assert "| random_replay | codec levels:side=7,levels=2 | 2 |" in table
    assert "random_replay: --codec levels:side=7,levels=2" in result.output


def test_the_same_command_goes_on(invoke):
    command = [*SEARCH, *CODECS, *SMALL_STREAM, "--strategy", "random_replay"]
    assert invoke(*command).exit_code == 0
    before = Path("t/tuning.json").read_text()
    assert invoke(*command).exit_code == 0
    assert Path("t/tuning.json").read_text() == before, "nothing is run again, seconds and all"
    other = invoke(*command, "--epochs", "2")
    assert other.exit_code == 2 and "a search with the same options" in other.output


def test_another_option_varies_with_the_codec(invoke):
    vary = ["--vary", "kernel-num-updates=1,2", "--vary", "code-current=no"]
    result = invoke(
        *SEARCH, *CODECS[:2], *SMALL_STREAM, "--strategy", "kip_replay", *vary, "--json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    tried = [t["candidate"]["settings"] for t in found["trials"]]
    assert [t["kernel-num-updates"] for t in tried[:2]] == ["1", "2"]
    assert found["best"]["kip_replay"]["code-current"] == "no"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "Missing option '--strategy'"),
        (["--strategy", "kip"], "unknown strategy 'kip'"),
        (["--strategy", "kip_replay", "--candidate", "levls"], "did you mean 'levels'?"),
        (["--strategy", "kip_replay", "--vary", "ridge"], "expected OPTION=VALUE,VALUE"),
        (["--strategy", "kip_replay", "--vary", "kernel-rige=1"], "did you mean 'kernel-ridge'?"),
        (["--strategy", "kip_replay", "--vary", "kernel-ridge=low"], "'low' is not a valid float"),
        (["--strategy", "kip_replay", "--vary", "kernel-ridge=-1"], "ridge: expected"),
        (["--strategy", "kip_replay", "--vary", "output=x"], "expected an option of"),
        (["--strategy", "kip_replay", "--seeds", "0"], "Invalid value for '--seeds'"),
    ],
)
def test_what_cannot_be_tried_is_one_line_before_any_run(invoke, given, expected):
    result = invoke("tune", "codec", "--memory-bytes", "1960", *given)
    assert result.exit_code == 2
    (line,) = result.stderr.strip().splitlines()
    assert expected in line


def test_a_stopped_search_says_what_is_kept_and_goes_on(invoke, monkeypatch):
    command = [*SEARCH, *CODECS, *SMALL_STREAM, "--strategy", "random_replay"]
    # clbench.run is the function; here its module is meant.
    module = importlib.import_module("clbench.run")
    real, calls = module.run, []

    def stopped(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(module, "run", stopped)
    result = invoke(*command)
    assert result.exit_code == 130
    assert "t/tuning.json keeps 1 trials, and the same command goes on" in result.stderr
    assert invoke(*command).exit_code == 0
    assert len(calls) == 4, "one that was done is not done again"


def test_without_a_capacity_it_is_the_benchmarks_own(invoke):
    result = invoke(
        "tune", "codec", *CODECS[:2], *SMALL_STREAM, "--strategy", "random_replay",
        "--seeds", "1", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (trial,) = json.loads(result.stdout)["trials"]
    assert 0 < trial["num_bytes"] <= 1960
    assert Path("tunings/codec-split_mnist5k-random_replay-1960bytes/tuning.json").exists()
    # A search of settings with the same stream and memory is kept beside it.
    beside = invoke(
        "tune", "settings", *SMALL_STREAM, "--strategy", "random_replay", "--memory-bytes", "1960",
        "--trials", "1", "--seeds", "1", "--json",
    )  # fmt: skip
    assert beside.exit_code == 0, beside.output
    assert Path("tunings/settings-split_mnist5k-random_replay-1960bytes/tuning.json").exists()


SETTINGS = [
    "tune",
    "settings",
    "--memory-bytes",
    "1960",
    "--seeds",
    "1",
    "--trials",
    "3",
    "-o",
    "t",
]


class TestSettings:
    """``clbench tune settings``."""

    def test_each_strategy_is_tried_with_what_it_has(self, invoke):
        space = ["--space", "kernel-ridge=0.001..0.1:log", "--space", "epochs=1..2"]
        strategies = ["--strategy", "kip_replay", "--strategy", "random_replay"]
        updates = ["--kernel-num-updates", "1"]
        result = invoke(*SETTINGS, *SMALL_STREAM, *strategies, *space, *updates)
        assert result.exit_code == 0, result.output
        trials = json.loads(Path("t/tuning.json").read_text())["trials"]
        of = {t["candidate"]["strategy"]: [] for t in trials}
        for trial in trials:
            of[trial["candidate"]["strategy"]].append(set(trial["candidate"]["settings"]))
        assert of["kip_replay"] == [set(), {"kernel-ridge", "epochs"}, {"kernel-ridge", "epochs"}]
        assert of["random_replay"][0] == set() and {"epochs"} in of["random_replay"]
        assert {"kernel-ridge"} not in of["random_replay"]
        before = Path("t/tuning.json").read_text()
        assert invoke(*SETTINGS, *SMALL_STREAM, *strategies, *space, *updates).exit_code == 0
        assert Path("t/tuning.json").read_text() == before, "nothing is run again"

    def test_without_a_space_the_step_sizes_are_tried(self, invoke):
        arguments = [*SMALL_STREAM, "--strategy", "naive", "--trials", "2", "--json"]
        result = invoke(*SETTINGS, *arguments)
        assert result.exit_code == 0, result.output
        (first, second) = json.loads(result.stdout)["trials"]
        assert first["candidate"]["settings"] == {}
        assert 0.005 <= float(second["candidate"]["settings"]["learning-rate"]) <= 0.5

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (["kernel-ridge=0.1..1"], "expected an option that changes a run of random_replay"),
            (["learning-rate=1..0.1"], "learning-rate: expected a range LOW..HIGH"),
            (["learning-rate=-1..1"], "learning_rate: expected a number above 0"),
            (["lerning-rate=0.1..1"], "did you mean 'learning-rate'?"),
            (["epochs=0.5..1"], "'0.5' is not a valid integer"),
        ],
    )
    def test_a_space_that_is_none_is_one_line_before_any_run(self, invoke, given, expected):
        result = invoke(*SETTINGS, "--strategy", "random_replay", "--space", *given)
        assert result.exit_code == 2
        (line,) = result.stderr.strip().splitlines()
        assert expected in line


def test_a_data_set_with_a_validation_stream_of_its_own_needs_no_fraction() -> None:
    from clbench.cli.tuning_plan import _has_own

    assert _has_own({"benchmark__name": "split_pathmnist"})
    assert not _has_own({}) and not _has_own({"benchmark__name": "split_cifar10"})
