"""What commands write and print."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import click
import pytest

from clbench import networks
from clbench.cli import running
from clbench.cli.options import TABLES
from clbench.coded import CodedImages
from clbench.data import DATASETS
from clbench.distillation import Update
from clbench.evaluation import EVALUATIONS
from clbench.report import RunReport
from clbench.strategies import STRATEGIES
from tests import telling
from tests.cli.conftest import SMALL_DISTILLATION, SMALL_EVALUATION, SMALL_STREAM, Invoke

RUN = ["run", *SMALL_STREAM, "--images-per-class", "2", "--num-experiences", "2"]
TILES = ["--codec", "tiles:factor=2"]
SILENT = ["--quiet", "--no-tensorboard"]


def test_run_beside_its_baseline(invoke: Invoke):
    done = invoke(
        *RUN, *SMALL_DISTILLATION, "--baseline", "random_replay", "--codec", "tiles:factor=2"
    )
    assert done.exit_code == 0, done.stderr
    folder = Path("runs/split_mnist5k/dam_replay-vs-random_replay-seed0")
    reports = [RunReport.load(folder / name) for name in ("dam_replay", "random_replay")]
    assert [r.config["strategy"] for r in reports] == ["dam_replay", "random_replay"]
    assert reports[0].memory[-1]["num_bytes"] == reports[1].memory[-1]["num_bytes"] == 20 * 784
    for report in reports:
        assert report.config["memory"]["codec"] == "tiles:factor=2"
        assert report.class_groups[0] == [0, 1, 2, 3, 4]
        assert f"{100 * report.metrics['average_accuracy']:.1f}" in done.stdout
    assert "dam_replay - random_replay" in done.stdout and "15,680" in done.stdout
    assert f"tensorboard --logdir {folder}\n" in done.stdout
    for tab in ("scalars", "custom_scalars"):
        address = f"http://localhost:6006/?smoothing=0#{tab}&_smoothingWeight=0\n"
        assert address in done.stdout, "TensorBoard would bend curves of a few points"
    assert list((folder / "dam_replay").glob("events.*"))
    for name in ("forgetting_curves.png", "average_accuracy.png", "comparison.md", "index.html"):
        assert (folder / "comparison" / name).stat().st_size > 0
    page = (folder / "comparison" / "index.html").read_text()
    assert page.count('src="data:image/') == 2, "what both memories hold"
    assert "dam_replay: experience 2 of 2: average accuracy" in done.stderr
    # What is left to do after one seed is a command that plans these runs under six.
    hint = done.stdout.splitlines().index("One seed cannot tell a gain from chance; six can:")
    words = shlex.split(done.stdout.splitlines()[hint + 1])
    assert {"--codec", "--distill-width", "strategy=dam_replay,random_replay"} <= set(words)
    planned = invoke(*words[1:], "--dry-run")
    assert planned.exit_code == 0, planned.stderr
    assert "12 runs left" in planned.stdout


def test_what_no_option_makes_has_no_sweep_to_copy(invoke: Invoke):
    Path("odd.json").write_text(json.dumps({"distillation": {"network": {"width": None}}}))
    arguments = ["--strategy", "random_replay", "--baseline", "naive", "--config", "odd.json"]
    done = invoke(*RUN, *arguments, "--no-tensorboard")
    assert done.exit_code == 0, done.stderr
    assert "One seed cannot tell a gain from chance" in done.stdout
    assert "clbench sweep" not in done.stdout, "it would make other runs than these"


def test_run_as_json_prints_nothing_else_and_never_overwrites(invoke: Invoke):
    arguments = [*RUN, "--strategy", "random_replay", "--json", "--no-tensorboard", "--quiet"]
    first, second = invoke(*arguments), invoke(*arguments)
    folder = Path("runs/split_mnist5k/random_replay-seed0")
    report = RunReport.load(folder)
    assert json.loads(first.stdout) == report.to_dict() and first.stderr == ""
    again = RunReport.load(folder.with_name("random_replay-seed0-2"))
    assert again.accuracy_matrix == report.accuracy_matrix
    assert json.loads(second.stdout)["memory"] == report.memory
    assert not list(folder.glob("events.*"))


def test_a_runs_configuration_runs_it_again(invoke: Invoke):
    assert invoke(*RUN, "--strategy", "naive", "-o", "a", *SILENT, "--seed", "4").exit_code == 0
    done = invoke("run", "--config", "a/config.json", "-o", "b", *SILENT)
    assert done.exit_code == 0 and done.stdout == ""
    assert RunReport.load(Path("a")).config == RunReport.load(Path("b")).config
    assert invoke("compare", "a", "b", "-o", "c").stdout.count("Left out 1 that repeat") == 1


@pytest.mark.parametrize(("num", "sets"), [(1, "1 distilled set "), (2, "2 distilled sets ")])
def test_a_run_tells_what_it_took_from_the_cache(invoke: Invoke, num: int, sets: str):
    arguments = [*RUN, *SMALL_DISTILLATION, "--seed", "7", "--num-experiences", str(num)]
    first, second = (invoke(*arguments, "--no-tensorboard").stdout for _ in range(2))
    assert "from the cache" not in first and f"{sets}taken from the cache" in second
    assert "TensorBoard" not in second


def test_a_refused_run_leaves_its_place_free(invoke: Invoke):
    bad = invoke(*RUN, "--strategy", "naive", "-o", "a", "--norm", "instance")
    assert bad.exit_code == 2 and Path("a/status.json").exists()
    assert invoke(*RUN, "--strategy", "naive", "-o", "a", *SILENT).exit_code == 0


def test_compare_two_strategies_over_seeds(invoke: Invoke):
    assert invoke(*RUN, "--strategy", "naive", "--quiet", "--no-tensorboard").exit_code == 0
    report = RunReport.load(Path("runs/split_mnist5k/naive-seed0"))
    for strategy, seed in (("naive", 1), ("random_replay", 0), ("random_replay", 1)):
        config = {**report.config, "strategy": strategy, "seed": seed}
        other = dataclasses.replace(report, config=config)
        other.save(Path(f"runs/split_mnist5k/{strategy}-seed{seed}/report.json"))
    done = invoke("compare", "runs", "--baseline", "random_replay", "-o", "all")
    assert done.exit_code == 0, done.stderr
    for name in ("forgetting_curves.png", "average_accuracy.png"):
        assert (Path("all") / name).stat().st_size > 0
    written = json.loads(Path("all/comparison.json").read_text())
    seeds = {group["strategy"]: group["seeds"] for group in written["groups"]}
    assert seeds == {"naive": [0, 1], "random_replay": [0, 1]}
    assert "Left out" not in done.stdout and "Differences to random_replay" in done.stdout
    as_json = invoke("compare", "runs", "--json", "--baseline", "random_replay")
    assert json.loads(as_json.stdout) == written
    markdown = invoke("compare", "runs", "--markdown", "--baseline", "random_replay").stdout
    assert markdown == Path("all/comparison.md").read_text()


def test_distill_writes_set_picture_and_result(invoke: Invoke):
    arguments = ["distill", *SMALL_DISTILLATION, *SMALL_EVALUATION, "--images-per-class", "1"]
    done = invoke(*arguments, *TILES, "-o", "out/set.safetensors", "--seed", "7")
    assert done.exit_code == 0, done.stderr
    made, metadata = CodedImages.load(Path("out/set.safetensors"))
    assert made.images.images.shape == (40, 1, 28, 28) and made.codec.name == "tiles:factor=2"
    assert metadata["data"] == "mnist5k" and metadata["seed"] == "7"
    assert json.loads(metadata["distillation"])["network"]["width"] == 4
    assert json.loads(metadata["environment"])["versions"]["torch"]
    result = json.loads(Path("out/set.json").read_text())
    scores = {row["name"]: row for row in result["scores"]}
    assert list(scores) == ["datadam", "random real", "random real, tiles:factor=2"]
    assert {row["num_bytes"] for row in scores.values()} == {7840}
    assert {row["num_networks"] for row in scores.values()} == {2}
    assert Path("out/set.png").read_bytes()[:4] == b"\x89PNG"
    again = invoke(*arguments, *TILES, "--seed", "7", "--json", "--quiet")
    repeated = json.loads(again.stdout)
    assert [r["accuracies"] for r in repeated["scores"]] == [
        r["accuracies"] for r in result["scores"]
    ]


def test_a_set_of_so_many_bytes(invoke: Invoke):
    levels = ["--codec", "levels:side=14,levels=2"]
    arguments = ["distill", "--distiller", "herding", "--memory-bytes", "1000", *levels, "--json"]
    done = invoke(*arguments, *SMALL_EVALUATION, "--quiet")
    assert done.exit_code == 0, done.stderr
    made, _ = CodedImages.load(Path("sets/mnist5k-herding-1000bytes-seed0.safetensors"))
    assert 900 < made.num_bytes <= 1000 and min(made.per_class.values()) > 5
    rows = json.loads(done.stdout)["scores"]
    # No raw image of each class fits into 1,000 bytes: real images of the codec are the rival.
    assert [row["codec"] for row in rows] == ["levels:side=14,levels=2"] * 2
    assert all(900 < row["num_bytes"] <= 1000 for row in rows)


def test_distill_shows_and_keeps_the_curves(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    telling.register(monkeypatch)
    shown: list[tuple[str, float, float, str]] = []
    monkeypatch.setattr(
        "clbench.cli.display.ProgressLine.show", lambda self, *what: shown.append(what)
    )
    arguments = ["distill", "--distiller", "telling", "--images-per-class", "2", "--no-evaluate"]
    done = invoke(*arguments, "--tensorboard", "-o", "out/set.safetensors")
    assert done.exit_code == 0, done.stderr
    result = json.loads(Path("out/set.json").read_text())
    assert result["losses"] == list(telling.LOSSES) and result["notes"] == []
    assert result["scalars"] == {"step_size": [0.03, 0.015, 0.03 / 3]}
    assert result["distil_seconds"] >= telling.SAVED
    assert result["num_bytes"] == 20 * (784 + 10)
    made, metadata = CodedImages.load(Path("out/set.safetensors"))
    assert made.grid.labels.shape == (20, 10) and float(metadata["distil_seconds"]) >= telling.SAVED
    phases = list(dict.fromkeys(what[0] for what in shown))
    assert phases == ["training experts for mnist5k", "distilling mnist5k"]
    assert [what[1:3] for what in shown] == [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]
    (events,) = Path("out/set.events").iterdir()
    assert events.name.startswith("events.out.tfevents.") and "out/set.events" in done.stdout


def test_distill_writes_no_events_unasked_and_never_among_others(invoke: Invoke):
    arguments = ["distill", "--distiller", "random", "--images-per-class", "1", "--no-evaluate"]
    assert invoke(*arguments, "-o", "a.safetensors").exit_code == 0
    assert not list(Path().glob("*.events"))
    Path("b.events").mkdir()
    Path("b.events/theirs").touch()
    done = invoke(*arguments, "--tensorboard", "-o", "b.safetensors")
    assert done.exit_code == 0 and "b.events-2" in done.stdout
    assert [path.name for path in Path("b.events").iterdir()] == ["theirs"]


@pytest.mark.parametrize("command", ["distill", "run"])
def test_json_is_alone_on_standard_output_beside_options_without_effect(
    invoke: Invoke, command: str
):
    arguments = {
        "distill": ["--distiller", "random", "--no-evaluate"],
        "run": [*SMALL_STREAM, "--strategy", "random_replay", "--num-experiences", "1"],
    }[command]
    done = invoke(command, *arguments, "--num-networks", "2", "--json", "--no-tensorboard")
    assert done.exit_code == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    assert "--num-networks sets nothing" in done.stderr


def test_float32_sets_are_charged_and_random_gets_the_same_bytes(invoke: Invoke):
    arguments = ["--distiller", "random", "--codec", "float32", "--images-per-class", "8"]
    done = invoke("distill", *arguments, *SMALL_EVALUATION, "--json", "-o", "s.safetensors")
    rows = json.loads(done.stdout)["scores"]
    assert [row["num_bytes"] for row in rows] == [2 * 10 * 784 * 4] * 3
    assert [row["images_per_class"] for row in rows] == [2, 8, 2]


def test_evaluate_a_set_with_another_network(invoke: Invoke):
    file = "herding.safetensors"
    made = invoke("distill", "--distiller", "herding", "--no-evaluate", "-o", file, "--json")
    assert json.loads(made.stdout)["scores"] == []
    done = invoke("evaluate", file, "--evaluation-network", "mlp", *SMALL_EVALUATION, "--json")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == ["herding", "random real"]
    assert all(0 <= value <= 1 for row in rows for value in row["accuracies"])
    table = invoke("evaluate", file, *SMALL_EVALUATION).stdout
    assert "convnet trained on each set alone" in table and "78,400" in table


def test_list_networks_counts_for_any_image(invoke: Invoke):
    rows = json.loads(invoke("list", "networks", "--image", "3x32x32", "--json").stdout)["networks"]
    assert [row["name"] for row in rows] == list(networks.NETWORKS)
    assert {row["name"]: row["parameters"] for row in rows}["convnet"] == 320_010
    table = invoke("list", "networks").stdout
    assert "317,706" in table and "478,410" in table and "49,246,208" in table
    assert "does not fit" in invoke("list", "networks", "--image", "1x16x16").stdout


@pytest.mark.parametrize("kind", ["strategies", "benchmarks", "distillers", "evaluations", "data"])
def test_list_shows_every_name(invoke: Invoke, kind: str):
    expected = [name.replace("_", "-") for name in EVALUATIONS]
    if kind != "evaluations":
        expected = list(TABLES[kind].load())
    rows = json.loads(invoke("list", kind, "--json").stdout)[kind]
    assert [row["name"] for row in rows] == list(expected)
    assert all(name in invoke("list", kind).stdout for name in expected)


@pytest.mark.parametrize("arguments", [["list"], ["data", "list"]], ids=" ".join)
def test_lists_break_no_name_at_80_columns(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    text = click.unstyle(invoke(*arguments).stdout)
    assert max(map(len, text.splitlines())) <= 80
    expected = [*DATASETS, "60,000", "Kuzushiji-MNIST"]
    if arguments == ["list"]:
        expected += [*STRATEGIES, *networks.NETWORKS, "11,172,810", "convolutions"]
    assert not [name for name in expected if name not in text.split()]
    monkeypatch.setenv("COLUMNS", "100")
    wide = click.unstyle(invoke(*arguments).stdout)
    assert ("Rebuffi et al. 2017" in wide) == (arguments == ["list"])


def test_data_list_and_verify(invoke: Invoke):
    states = {k: v["files"] for k, v in json.loads(invoke("data", "list", "--json").stdout).items()}
    assert states["mnist5k"] == "embedded" and states["mnist"] == "missing"
    assert "mnist5k" in invoke("data", "list").stdout
    done = invoke("data", "verify")
    assert done.exit_code == 0 and done.stdout.startswith("ok") and "mnist_5k.csv.gz" in done.stdout


class Recorder:
    """Stands in for the line of progress."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, float, float, str]] = []
        self.written: list[str] = []

    def show(self, phase: str, done: float, total: float, detail: str = "") -> None:
        self.shown.append((phase, done, total, detail))

    def write(self, text: str) -> None:
        self.written.append(text)


def test_the_line_of_progress_names_phase_experience_and_loss(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "SECONDS_BETWEEN_DRAWINGS", 0.0)
    recorder = Recorder()
    line = running.RunLine(recorder, "dam_replay", quiet=False)  # type: ignore[arg-type]
    line.start(5)
    line.phase("evaluate", 5)
    line.phase("train", 100)
    line.advance(3)
    line.phase("distil", 10)
    line.on_distillation_update(0, Update(1, 10, 0.25))
    line.advance()
    line.on_distillation_update(0, Update(0, 0, 0.0, note="told by the run"))
    line.advance()
    line.note("learnt")
    phases = [phase for phase, *_ in recorder.shown]
    assert phases[0] == "dam_replay: testing the untrained network"
    assert recorder.shown[2] == ("dam_replay: training experience 1 of 5", 3, 100, "steps")
    assert recorder.shown[-1] == (
        "dam_replay: distilling experience 1 of 5", 2, 10, "updates, loss 0.25",
    )  # fmt: skip
    assert recorder.written == ["dam_replay: learnt"]
    line.phase("experts", 4)
    line.on_distillation_update(0, Update(1, 4, 2.5, "experts"))
    line.advance()
    assert recorder.shown[-1] == (
        "dam_replay: training experts for experience 1 of 5", 1, 4, "updates, loss 2.5",
    )  # fmt: skip


def test_the_main_job_is_a_fair_pair_and_says_what_more_bytes_give(invoke):
    """Nothing said of memory: the benchmark's own codec and bytes, and ten times as many."""
    result = invoke(
        "run", "--strategy", "kip_replay", "--baseline", "random_replay", "--epochs", "1",
        "--kernel-num-updates", "1", "--no-tensorboard", "-o", "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    reports = {
        name: RunReport.load(Path("out") / name)
        for name in ("kip_replay", "random_replay", "random_replay-10-times-the-bytes")
    }
    sizes = {name: report.config["memory"]["capacity_bytes"] for name, report in reports.items()}
    assert list(sizes.values()) == [1960, 1960, 19600]
    assert {report.config["memory"]["codec"] for report in reports.values()} == {
        "levels:side=14,levels=2"
    }
    larger = reports["random_replay-10-times-the-bytes"]
    accuracy = 100 * larger.metrics["average_accuracy"]
    num, size = larger.memory[-1]["num_images"], larger.memory[-1]["num_bytes"]
    assert (
        f"10 times the bytes: random_replay scores {accuracy:.1f} % with {num:,} images in "
        f"{size:,} bytes." in result.output
    )
    assert (Path("out") / "comparison" / "accuracy_over_bytes.png").exists()


@pytest.mark.parametrize(
    ("more", "there"), [([], False), (["--more-bytes", "2"], True), (["--more-bytes", "0"], False)]
)
def test_more_bytes_are_tried_when_asked_for(invoke, more, there):
    result = invoke(
        "run", "--strategy", "herding_replay", "--baseline", "random_replay", *SMALL_STREAM,
        "--images-per-class", "1", "--no-tensorboard", "-o", "out", *more,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    folder = Path("out") / "random_replay-2-times-the-bytes"
    assert folder.exists() == there == ("2 times the bytes: random_replay" in result.output)
    if there:
        assert RunReport.load(folder).memory[-1]["num_bytes"] == 2 * 7840
        compared = json.loads(Path("out/comparison/comparison.json").read_text())
        assert len(compared["groups"]) == 3 and len(compared["sections"]) == 1


def test_a_pair_is_shown_and_kept_whatever_comes_of_more_bytes(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    run_all, calls = running.run_all, []

    def stopped(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run_all(*arguments, **options)

    monkeypatch.setattr(running, "run_all", stopped)
    result = invoke(
        "run", "--strategy", "herding_replay", "--baseline", "random_replay", *SMALL_STREAM,
        "--images-per-class", "1", "--no-tensorboard", "-o", "out", "--more-bytes", "2",
    )  # fmt: skip
    assert result.exit_code == 130 and "average accuracy %" in result.stdout
    assert (Path("out") / "comparison" / "comparison.md").exists()
