"""MHIST and images of one's own, as users type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clbench.cli.running import RunLine
from clbench.report import RunReport
from tests.cli.conftest import SMALL_EVALUATION, Invoke
from tests.cli.test_errors import assert_one_line
from tests.data import pictures
from tests.data.pictures import tree

QUICK = ["--width", "8", "--depth", "1", "--epochs", "1", "--images-per-class", "1"]
QUICK += ["--strategy", "random_replay", "--no-tensorboard"]
PETS = {"train/cat": 4, "train/dog": 3, "train/emu": 3, "test/cat": 2, "test/dog": 1, "test/emu": 1}


def test_fetch_says_how_to_get_it(invoke: Invoke):
    done = invoke("data", "fetch", "mhist")
    assert_one_line(done, "https://bmirds.github.io/MHIST", "clbench data prepare mhist --from DIR")
    from clbench.data import DATASETS

    # All but the embedded one.
    missing = invoke("data", "list", "--json").stdout.count('"files": "missing"')
    assert missing == len(DATASETS) - 1
    assert "on request" in invoke("data", "list").stdout


def test_fetching_everything_does_not_stop_at_it(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    from clbench import data

    fetched: list[str] = []
    real = data.fetch
    monkeypatch.setattr(data, "fetch", lambda name, *a, **k: fetched.append(name))
    done = invoke("data", "fetch")
    assert done.exit_code == 0 and fetched == [n for n in data.DATASETS if n != "mhist"]
    assert "mhist: its authors give it out on request" in done.stdout
    monkeypatch.setattr(data, "fetch", real)
    pictures.mhist(Path("root"))
    done = invoke("data", "fetch", "mhist", "--data-root", "root")
    assert done.exit_code == 0 and done.stdout == "mhist: present\n"


def test_prepare_shows_what_there_is(invoke: Invoke):
    pictures.mhist(Path("sent"))
    arguments = ["data", "prepare", "mhist", "--data-root", "root", "--image-size", "16"]
    done = invoke(*arguments, "--from", "sent")
    assert done.exit_code == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["class", "train", "test"] in lines
    assert ["HP", "2", "2"] in lines and ["SSA", "2", "2"] in lines
    assert ["votes", "for", "SSA", *"01234567"] in lines
    assert ["train", *"10011001"] in lines
    for text in ("subset (8 of 3,152 images)", "(copied)", "3 x 16 x 16", "MB decoded in", "time:"):
        assert text in done.stdout
    assert "MHIST\n" not in done.stdout
    again = invoke(*arguments, "--json")
    facts = json.loads(again.stdout)
    assert facts["images"] == {part: {"HP": 2, "SSA": 2} for part in ("train", "test")}
    assert facts["votes"]["test"] == [1, 0, 0, 1, 1, 0, 0, 1] and not facts["copied"]
    file = Path(facts["cache"])
    assert facts["cache_bytes"] == file.stat().st_size
    # Behind the pixels stand a line of JSON and the store's own.
    assert 0 < file.stat().st_size - 8 * 3 * 16 * 16 < 600
    assert invoke(*arguments, "--quiet").stdout == ""
    verified = invoke("data", "verify", "mhist", "--data-root", "root")
    assert verified.exit_code == 0 and verified.stdout.count("ok ") == 3


def test_prepare_refuses_in_one_line(invoke: Invoke):
    folder = pictures.mhist(Path("sent"))
    (folder / "images" / "b.png").write_bytes(b"x")
    (folder / "images" / "d.png").write_bytes(b"x")
    arguments = ["data", "prepare", "mhist", "--data-root", "root"]
    assert_one_line(invoke(*arguments, "--from", "sent"), "images/b.png", "(and 1 more)")
    assert_one_line(invoke(*arguments, "--from", "gone"), "gone", "folder or a zip archive")
    assert_one_line(invoke(*arguments), "https://bmirds.github.io/MHIST")
    assert_one_line(invoke("data", "prepare", "mnist"), "needs no preparing")
    assert_one_line(invoke("data", "prepare", "mhst"), "mhst", "'mhist'")
    assert_one_line(invoke(*arguments, "--image-size", "2"), "8 to 1024", "2")


@pytest.mark.parametrize(
    ("benchmark", "groups"), [("split_mhist", [[0], [1]]), ("mhist_agreement", [[0, 1], [0, 1]])]
)
def test_streams_of_histology(invoke: Invoke, benchmark: str, groups: list[list[int]]):
    pictures.mhist(Path("root"))
    done = invoke(
        "run", "--benchmark", benchmark, "--data-root", "root", "--image-size", "16", *QUICK,
        "--normalisation", "imagenet", "--balance", "undersample", "--num-experiences", "2",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    report = RunReport.load(Path(f"runs/{benchmark}/random_replay-seed0"))
    assert report.class_groups == groups
    assert report.config["benchmark"]["normalisation"] == "imagenet"
    for text in ("subset (8 of 3,152 images)", "always the largest class %", "sensitivity %"):
        assert text in done.stdout
    again = invoke("run", "--config", f"runs/{benchmark}/random_replay-seed0/config.json",
                   "--data-root", "root", "-o", "again", "--quiet", "--no-tensorboard")  # fmt: skip
    assert again.exit_code == 0, again.stderr
    assert RunReport.load(Path("again")).accuracy_matrix == report.accuracy_matrix


def test_classes_of_ones_own_images(invoke: Invoke):
    tree(Path("pets"), PETS)
    done = invoke("run", "--benchmark", "folder:pets", "--image-size", "12", *QUICK)
    assert done.exit_code == 0, done.stderr
    report = RunReport.load(Path("runs/folder-pets/random_replay-seed0"))
    assert report.class_groups == [[0], [1], [2]] and report.num_test == [2, 1, 1]
    assert report.data["num_train"] == [4, 3, 3] and report.data["name"] == "folder:pets"
    assert report.config["benchmark"]["image_size"] == 12
    assert report.config["learner"]["epochs"] == 1
    more = invoke("run", "--benchmark", "folder:pets", *QUICK, "--num-experiences", "4")
    assert_one_line(more, "num_experiences", "1 to 3", "4")
    compared = invoke("compare", "runs/folder-pets", "--json", "-o", "c")
    assert compared.exit_code == 0, compared.stderr


def test_a_table_of_ones_own_and_a_distilled_set(invoke: Invoke):
    tree(Path("pets"), PETS)
    rows = [f"{file.as_posix()},{file.parent.name}" for file in sorted(Path("pets").rglob("*.png"))]
    Path("list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    arguments = ["--data-set", "folder:list.csv", "--image-size", "12", "--images-per-class", "1"]
    done = invoke("distill", *arguments, "--distiller", "random", *SMALL_EVALUATION,
                  "--evaluation-depth", "2")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    (result,) = Path("sets").glob("folder-list-random-ipc1-seed0.json")
    found = json.loads(result.read_text())
    assert found["num_images"] == 3 and found["num_bytes"] == 3 * 3 * 12 * 12
    (made,) = map(str, Path("sets").glob("*.safetensors"))
    scored = invoke("evaluate", made, *SMALL_EVALUATION, "--evaluation-depth", "2", "--json")
    assert json.loads(scored.stdout)[0]["num_bytes"] == found["num_bytes"]
    brief = ["--networks", "mlp", "--num-networks-evaluated", "1", "--evaluation-epochs", "1"]
    crossed = invoke("evaluate", "cross-architecture", made, *brief, "--workers", "1")
    assert crossed.exit_code == 0, crossed.stderr
    assert "no split was given" in crossed.stdout
    assert Path("evaluations/cross-architecture-folder-list/report.json").exists()
    brief = ["--data-set", "folder:list.csv", "--image-size", "12", "--network", "mlp"]
    full = invoke("evaluate", "offline", *brief, "--epochs", "1", "--normalisation", "imagenet")
    assert full.exit_code == 0 and "no split was given" in full.stdout, full.stderr
    assert any("no split was given" in note for note in found["notes"])
    assert "no split was given" in done.stdout


@pytest.mark.parametrize(
    ("benchmark", "words"),
    [
        ("folder:", ["folder:PATH"]),
        ("folder:gone", ["gone", "found nothing"]),
        ("folder:pets/train/cat", ["found none that end in"]),
        ("folder:pets/train/cat/0.png", ["ends in .csv"]),
    ],
)
def test_what_is_no_folder_of_classes(invoke: Invoke, benchmark: str, words: list[str]):
    tree(Path("pets"), PETS)
    assert_one_line(invoke("run", "--benchmark", benchmark, *QUICK), *words)


def test_options_that_do_not_fit(invoke: Invoke):
    run = ["run", *QUICK]
    assert_one_line(invoke(*run, "--image-size", "32"), "image_size", "mnist5k", "28", "32")
    assert_one_line(invoke(*run, "--normalisation", "imagenet"), "3 channels", "found 1")
    assert_one_line(invoke(*run, "--domain-order", "hard_first"), "domain_order", "split_mnist5k")


def test_ones_own_images_are_prepared_and_verified(invoke: Invoke):
    tree(Path("pets"), PETS)
    done = invoke("data", "prepare", "folder:pets", "--image-size", "12")
    assert done.exit_code == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["class", "train", "test"] in lines
    assert ["cat", "4", "2"] in lines and ["dog", "3", "1"] in lines
    assert "votes" not in done.stdout and "(copied)" not in done.stdout
    assert invoke("data", "verify", "folder:pets").exit_code == 0
    Path("pets/train/dog/1.png").write_bytes(b"x")
    done = invoke("data", "verify", "folder:pets", "--quiet")
    assert_one_line(done, "pets/train/dog/1.png", "expected a PNG or JPEG")


def test_what_all_runs_must_tell_is_told_once(invoke: Invoke):
    pictures.mhist(Path("root"))
    arguments = ["run", "--benchmark", "split_mhist", "--data-root", "root", "--image-size", "16"]
    done = invoke(*arguments, *QUICK, "--baseline", "naive", "--baseline", "herding_replay")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("not the published data set") == 1
    assert "\nNote: not the published" in done.stdout and "random_replay - naive" in done.stdout
    (figure,) = Path("runs/split_mhist").rglob("comparison/accuracy_of_all.png")
    assert figure.stat().st_size > 0
    more = invoke(*arguments, *QUICK, "--baseline", "naive", "--baseline", "herding_replay",
                  "--baseline", "cumulative")  # fmt: skip
    assert more.exit_code == 0 and "random_replay - naive" not in more.stdout


def test_the_first_decoding_is_seen(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    seen = []
    monkeypatch.setattr(RunLine, "phase", lambda self, name, total: seen.append((name, total)))
    pictures.mhist(Path("root"))
    arguments = ["run", "--benchmark", "split_mhist", "--data-root", "root", "--image-size", "20"]
    assert invoke(*arguments, *QUICK, "-o", "first").exit_code == 0
    assert ("decode", 8) in seen
    seen.clear()
    assert invoke(*arguments, *QUICK, "-o", "second").exit_code == 0
    assert seen and "decode" not in [name for name, _ in seen]
