"""`clbench evaluate` and `clbench run --evaluate` as users type them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clbench.evaluation import EVALUATIONS, RECIPES, Bench
from clbench.report import RunReport
from clbench.training import Training
from tests.cli.conftest import SMALL_STREAM, Invoke

CROSS = ["evaluate", "cross-architecture"]
SEARCH = ["evaluate", "architecture-search"]
BRIEF = ["--evaluation-epochs", "2", "--num-networks-evaluated", "1", "--workers", "1"]
OFFLINE = ["evaluate", "offline", "--network", "mlp", "--width", "8", "--epochs", "2"]
RUN = ["run", *SMALL_STREAM, "--images-per-class", "2", "--num-experiences", "2", "--quiet"]


@pytest.fixture
def made(invoke: Invoke) -> str:
    arguments = ["distill", "--distiller", "herding", "--images-per-class", "2", "--no-evaluate"]
    assert invoke(*arguments, "-o", "set.safetensors", "--quiet").exit_code == 0
    return "set.safetensors"


def report_of(folder: str) -> dict:
    return json.loads(Path(folder, "report.json").read_text())


def test_cross_architecture_writes_table_figure_events_and_report(invoke: Invoke, made: str):
    done = invoke(*CROSS, made, "--networks", "mlp,cnn", "--full-epochs", "1", *BRIEF,
                  "--full-networks", "mlp", "--no-cache")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    folder = "evaluations/cross-architecture-mnist5k"
    report = report_of(folder)
    assert report["kind"] == "cross-architecture" and report["data"]["name"] == "mnist5k"
    scores = report["result"]["scores"]
    assert list(scores) == ["set", "random real", "full data"]
    assert list(scores["full data"]) == ["mlp"] and set(scores["set"]) == {"mlp", "cnn"}
    for row in ("set", "random real"):
        assert f"{100 * scores[row]['cnn']['accuracy_mean']:.1f}" in done.stdout
    assert report["sets"]["set"]["num_bytes"] == 20 * 784 and "15,680" in done.stdout
    assert ["set", "cnn", 1] in report["result"]["learnt_nothing"]
    assert "cnn on set (1)" in done.stdout and "--evaluation-learning-rate" in done.stdout
    assert Path(folder, "figures/cross_architecture.png").stat().st_size > 0
    assert list(Path(folder).glob("events.*")) and f"tensorboard --logdir {folder}" in done.stdout
    assert "http://localhost:6006/?smoothing=0#scalars&_smoothingWeight=0\n" in done.stdout


def test_a_score_is_that_of_cross_architecture_and_trains_nothing_again(
    invoke: Invoke, made: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "own"))
    rows = json.loads(
        invoke("evaluate", made, "--evaluation-network", "mlp", *BRIEF, "--json").stdout
    )
    monkeypatch.setattr(Bench, "make", lambda *_: pytest.fail("trained again"))
    crossed = invoke(*CROSS, made, "--networks", "mlp", *BRIEF, "--json", "--no-tensorboard")
    scores = json.loads(crossed.stdout)["result"]["scores"]
    assert [row["name"] for row in rows] == ["set", "random real"]
    for row in rows:
        assert row["accuracies"] == scores[row["name"]]["mlp"]["accuracies"]
        assert row["images_per_class"] == 2 and row["num_bytes"] == 20 * 784


def test_an_interrupted_score_of_a_new_set_says_that_the_set_is_there(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    def stopped(self, trial, name):
        raise KeyboardInterrupt

    monkeypatch.setattr(Bench, "make", stopped)
    arguments = ["distill", "--distiller", "herding", "--images-per-class", "2", *BRIEF]
    done = invoke(*arguments, "--no-cache", "-o", "new.safetensors")
    assert done.exit_code == 130 and Path("new.safetensors").exists()
    assert "new.safetensors is written; `clbench evaluate new.safetensors` scores" in done.stderr


def test_the_same_command_trains_nothing_again(
    invoke: Invoke, made: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "own"))
    arguments = [*CROSS, made, "--networks", "mlp", *BRIEF, "--json", "--no-tensorboard"]
    first = json.loads(invoke(*arguments).stdout)
    monkeypatch.setattr(Bench, "make", lambda *_: pytest.fail("trained again"))
    second = json.loads(invoke(*arguments, "-o", "again").stdout)
    assert first == second == report_of("again")


def test_an_interrupted_evaluation_keeps_its_networks(
    invoke: Invoke, made: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "own"))
    arguments = [*CROSS, made, "--networks", "mlp", *BRIEF, "--no-tensorboard"]
    make, trials = Bench.make, []

    def stopped(self, trial, name):
        if trials:
            raise KeyboardInterrupt
        trials.append(trial)
        return make(self, trial, name)

    monkeypatch.setattr(Bench, "make", stopped)
    done = invoke(*arguments)
    assert done.exit_code == 130 and "kept in the cache; the same command goes on" in done.stderr
    assert not Path("evaluations").exists()
    seen = []
    monkeypatch.setattr(Bench, "make", lambda s, t, n: seen.append(t) or make(s, t, n))
    assert invoke(*arguments).exit_code == 0 and len(seen) == 1 and seen != trials


def test_architecture_search_tells_the_ranking(invoke: Invoke, made: str):
    done = invoke(
        *SEARCH,
        made,
        "--candidates",
        "3",
        "--full-epochs",
        "1",
        *BRIEF,
        "--top-k",
        "2",
        "--num-networks-evaluated",
        "2",
    )
    assert done.exit_code == 0, done.stderr
    report = report_of("evaluations/architecture-search-mnist5k")
    result, measured = report["result"], report["measured"]
    assert len(result["candidates"]) == len(result["full_scores"]) == 3
    names = [proxy["name"] for proxy in result["proxies"]]
    assert names[0] == "set" and "random real" in names and "herding real" in names
    assert all(-1 <= p["quality"]["spearman"]["value"] <= 1 for p in result["proxies"])
    assert set(measured["seconds"]) == set(names) and measured["full_seconds"] > 0
    for text in (
        "top-2 overlap",
        "Spearman",
        "speed-up",
        f"best by set: {result['proxies'][0]['chosen']}",
        "Spearman over random real images, set: ",
        "Spearman between single networks' rankings: ",
    ):
        assert text in done.stdout
    assert Path("evaluations/architecture-search-mnist5k/figures/architecture_search.png").exists()


def test_a_search_without_the_full_one(invoke: Invoke, made: str):
    arguments = [*SEARCH, made, "--candidates", "2", "--full-epochs", "0", *BRIEF]
    done = invoke(*arguments, "--no-tensorboard")
    assert done.exit_code == 0 and "Spearman" not in done.stdout
    assert report_of("evaluations/architecture-search-mnist5k")["result"]["full_scores"] == []


def test_offline_writes_curves_and_costs(invoke: Invoke):
    done = invoke(*OFFLINE)
    assert done.exit_code == 0, done.stderr
    folder = "evaluations/offline-mnist5k-mlp-course-seed0"
    result = report_of(folder)["result"]
    assert (
        len(result["train_losses"]) == 2
        and result["num_parameters"] == 784 * 8 + 8 + 8 * 8 + 8 + 90
    )
    assert f"{100 * result['accuracy']:.2f}" in done.stdout
    assert not Path(folder, "checkpoint.pt").exists() and list(Path(folder).glob("events.*"))
    again = invoke(*OFFLINE, "--no-tensorboard", "--json")
    assert report_of(f"{folder}-2") == json.loads(again.stdout)
    assert json.loads(again.stdout)["result"]["train_losses"] == result["train_losses"]


def test_an_interrupted_training_goes_on(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    whole = json.loads(invoke(*OFFLINE, "--json", "-o", "whole").stdout)["result"]
    epoch = Training.epoch

    def stopped(self, on_step):
        if self.num_epochs == 1:
            raise KeyboardInterrupt
        return epoch(self, on_step)

    monkeypatch.setattr(Training, "epoch", stopped)
    done = invoke(*OFFLINE, "-o", "part")
    assert done.exit_code == 130 and "part/checkpoint.pt keeps the epochs" in done.stderr
    monkeypatch.setattr(Training, "epoch", epoch)
    other = invoke(*OFFLINE, "-o", "part", "--momentum", "0.5")
    assert other.exit_code == 2 and "other settings" in other.stderr
    rest = json.loads(invoke(*OFFLINE, "-o", "part", "--json").stdout)["result"]
    same = ("accuracy", "loss", "train_losses", "train_accuracies")
    assert [rest[name] for name in same] == [whole[name] for name in same]


def test_the_recipe_is_a_preset_and_options_win(invoke: Invoke):
    arguments = [*OFFLINE, "--recipe", "modern", "--learning-rate", "0.1", "--json"]
    training = json.loads(invoke(*arguments).stdout)["config"]["training"]
    modern = RECIPES["modern"].to_dict()
    assert training == {**modern, "epochs": 2, "learning_rate": 0.1}


def test_a_runs_memory_is_a_set(invoke: Invoke):
    run = ["--strategy", "herding_replay", "--epochs", "1", "--no-tensorboard", "-o", "run"]
    assert invoke(*RUN, *run).exit_code == 0
    brief = ["--evaluation-network", "mlp", "--evaluation-epochs", "1"]
    rows = json.loads(
        invoke("evaluate", "run", *brief, "--num-networks-evaluated", "1", "--json").stdout
    )
    assert rows[0]["name"] == "run" and rows[0]["num_bytes"] == 20 * 784
    done = invoke(*CROSS, "run", "--networks", "mlp", *BRIEF, "--json", "--no-tensorboard")
    assert json.loads(done.stdout)["sets"]["run"]["num_images"] == 20


def test_a_run_evaluates_its_memory(invoke: Invoke):
    asked = ["--evaluate", "cross-architecture,architecture-search", "--search-candidates", "2"]
    brief = [
        "--set-epochs",
        "1",
        "--num-networks-evaluated",
        "1",
        "--networks-evaluated",
        "mlp,lenet",
        "--epochs",
        "1",
    ]
    arguments = ["run", *SMALL_STREAM, "--images-per-class", "1", "--num-experiences", "1"]
    done = invoke(*arguments, "--strategy", "herding_replay", *asked, *brief, "-o", "run")
    assert done.exit_code == 0, done.stderr
    report = RunReport.load(Path("run"))
    crossed = report.evaluations["cross_architecture"]
    assert set(crossed["scores"]["memory"]) == set(crossed["networks"]) == {"mlp", "lenet"}
    assert set(report.measured["evaluations"]) == {"cross_architecture", "architecture_search"}
    assert "memory: accuracy % of networks trained on each set alone" in done.stdout
    assert "memory, 2 architectures of cnn54" in done.stdout
    assert "lenet on memory (1)" in done.stdout and "--set-learning-rate" in done.stdout
    for name in ("cross_architecture", "architecture_search"):
        assert Path("run/figures", f"{name}.png").stat().st_size > 0


ERRORS = {
    "no such subcommand's file": ([*CROSS, "gone.safetensors"], ["gone.safetensors"]),
    "a folder that is no run": ([*CROSS, "."], ["report.json", "clbench run"]),
    "unknown network": ([*CROSS, "set.safetensors", "--networks", "moon"], ["moon", "convnet"]),
    "no network": ([*CROSS, "set.safetensors", "--networks", ","], ["networks", "none"]),
    "network twice": ([*CROSS, "set.safetensors", "--networks", "mlp,mlp"], ["none twice"]),
    "set twice": ([*CROSS, "set.safetensors", "set.safetensors"], ["found one twice"]),
    "unknown space": ([*SEARCH, "set.safetensors", "--space", "moon"], ["cnn54", "moon"]),
    "too many candidates": ([*SEARCH, "set.safetensors", "--candidates", "99"], ["2 to 54", "99"]),
    "no workers": ([*SEARCH, "set.safetensors", "--workers", "0"], ["--workers"]),
    "unknown recipe": (["evaluate", "offline", "--recipe", "moon"], ["course", "modern"]),
    "unknown evaluation": (["run", "--evaluate", "moon"], ["cross-architecture", "moon"]),
    "evaluation without memory": (
        [*RUN, "--strategy", "naive", "--evaluate", "cross-architecture"], ["memory", "naive"],
    ),
    "run without memory": (["evaluate", "set", "naive"], ["without"]),
    "output in use": ([*OFFLINE, "-o", "naive"], ["naive", "checkpoint"]),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_errors_are_one_line(case: str, invoke: Invoke, made: str):
    if "naive" in ERRORS[case][0]:
        assert invoke(*RUN, "--strategy", "naive", "--no-tensorboard", "-o", "naive").exit_code == 0
    done = invoke(*ERRORS[case][0])
    assert done.exit_code == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    for text in ERRORS[case][1]:
        assert text in done.stderr


def test_names_in_help_are_those_of_the_tables(invoke: Invoke):
    assert set(invoke_names(invoke, "offline", "--recipe")) == set(RECIPES)
    shown = " ".join(invoke("evaluate", "cross-architecture", "--help").stdout.split())
    assert f"[default: {EVALUATIONS['cross_architecture'].settings.networks}]" in shown


def invoke_names(invoke: Invoke, command: str, option: str) -> list[str]:
    """The names that an option offers in help, ``--option [one|two]``."""
    text = invoke("evaluate", command, "--help").stdout
    (found,) = re.findall(rf"{option} \[([a-z|]+)\]", text)
    return found.split("|")


def test_every_evaluation_is_a_command(invoke: Invoke):
    shown = invoke("evaluate", "--help").stdout.partition("\nCommands:\n")[2]
    for name, row in EVALUATIONS.items():
        title = name.replace("_", "-")
        (line,) = [line for line in shown.splitlines() if line.split()[:1] == [title]]
        summary = line.split(None, 1)[1].removesuffix("...").strip()
        assert summary and row.summary.startswith(summary)
        told = " ".join(invoke("evaluate", title, "--help").stdout.split())
        assert row.summary in told


def test_help_lists_the_subcommands_and_a_set_needs_none(invoke: Invoke):
    shown = invoke("evaluate", "--help").stdout
    for name in ("offline", "cross-architecture", "architecture-search", "set"):
        assert name in shown
    assert "SET" in invoke("evaluate").stderr


def test_an_interrupt_while_figures_are_drawn_keeps_the_report(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("clbench.figures.save_figures", stopped)
    done = invoke(*OFFLINE, "-o", "part")
    assert done.exit_code == 130 and "part/report.json holds the result" in done.stderr
    assert report_of("part")["result"]["accuracy"] > 0
