"""What docs/ and the README say runs as it stands."""

from __future__ import annotations

import configparser
import dataclasses
import doctest
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from torch.nn.utils import parameters_to_vector

from clbench import benchmarks, data, strategies
from clbench.cli.build_config import build_config
from clbench.cli.group import cli
from clbench.config import BenchmarkConfig, RunConfig
from clbench.distillation import DISTILLERS, DistillationConfig, Job, make_distiller
from clbench.measuring.metrics import all_metrics, two_class_metrics
from clbench.networks import NETWORKS
from clbench.report import RunReport

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
EXTENDING = DOCS / "extending.md"
SHELL = ("bash", "sh", "console", "shell")


def blocks(page: Path, *languages: str) -> list[str]:
    """The fenced code blocks of a page in any of these languages."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [code for language, code in found if language in languages]


def unrolled(block: str) -> list[str]:
    """Its lines, once for every value of the loops they stand in."""
    loops = dict(re.findall(r"^\s*for (\w+) in (.+); do$", block, re.MULTILINE))
    lines = [line.strip() for line in block.splitlines()]
    for name, values in loops.items():
        lines = [
            re.sub(rf"\${name}\b", value, line)
            for line in lines
            for value in (values.split() if f"${name}" in line else [""])
        ]
    return lines


def commands(page: Path) -> list[list[str]]:
    """The arguments of every ``clbench`` command that a page quotes."""
    found = []
    for block in blocks(page, *SHELL):
        for line in unrolled(block.replace("\\\n", " ")):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] == ["clbench"]:
                ends = [i for i, word in enumerate(words) if word in ("|", ">", "&&", ";", "&")]
                found.append(words[1 : min(ends, default=len(words))])
    return found


def named(pages: list[Path], find: Any) -> list[Any]:
    """One pytest parameter for everything that ``find`` finds on a page."""
    return [
        pytest.param(page, item, id=f"{page.relative_to(ROOT)}: {item}"[:100])
        for page in pages
        for item in find(page)
    ]


def test_stock_avalanche_example(session_cache: Path) -> None:
    script = DOCS / "example_stock_avalanche.py"
    assert len(script.read_text().splitlines()) <= 30
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CLBENCH_CACHE": str(session_cache),
    }
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for num in (20, 40, 60, 80, 100):
        assert f"memory: {num} images, {num * 784} bytes" in done.stdout
    accuracy = [line for line in done.stdout.splitlines() if "Top1_Acc_Stream" in line][-1]
    # Without replay a class-incremental learner knows the last two classes at most: 0.2.
    assert float(accuracy.split("=")[1]) > 0.4


def test_the_example_is_quoted_as_it_stands() -> None:
    script = (DOCS / "example_stock_avalanche.py").read_text()
    assert script in blocks(DOCS / "avalanche.md", "python")


def test_the_packages_tour_runs_in_five_seconds(one_thread: None) -> None:
    import clbench.run.loop  # noqa: F401  (Avalanche's import is not the tour's to answer for)

    start = time.process_time()
    result = doctest.testmod(clbench)
    seconds = time.process_time() - start
    assert result.failed == 0 and result.attempted > 20
    assert seconds < 5


def test_the_block_on_measuring_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from clbench.run import run

    monkeypatch.chdir(tmp_path)
    stream = BenchmarkConfig("split_mnist5k", train_per_class=20)
    config = RunConfig(strategy="random_replay", benchmark=stream)
    report = run(config, output=Path("runs/split_mnist5k/dam_replay-seed0"))
    capsys.readouterr()
    (code,) = blocks(DOCS / "measuring.md", "python")
    exec(code, {})
    assert (
        capsys.readouterr().out
        == f"{report.metrics['average_accuracy']} {report.memory[-1]['num_bytes']}\n"
    )


def test_the_page_on_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    """Its blocks in one namespace, as the cells of a notebook."""
    monkeypatch.chdir(tmp_path)
    cells: dict[str, Any] = {}
    for code in blocks(DOCS / "python.md", "python"):
        exec(code, cells)
    assert set(cells["table"]["strategy"]) == {"dam_replay", "random_replay"}
    assert (tmp_path / "set.safetensors").exists() and cells["one"].data == "mnist5k"


def test_the_notebooks_cells_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    one_thread: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With fewer images and epochs; its outputs are kept, so that readers need no kernel."""
    cells = json.loads((DOCS / "notebook.ipynb").read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in cells[2:] if cell["cell_type"] == "code")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names: dict[str, Any] = {}
    for source in sources:
        quick = source.replace("train_per_class=100", "train_per_class=20").replace("=32", "=8")
        exec(quick.replace("width=16", "width=4").replace("epochs=4", "epochs=1"), names)
    assert "20 images, 15,680 bytes" in capsys.readouterr().out
    assert set(names["table"]["strategy"]) == {"dam_replay", "random_replay", "naive"}
    assert names["figure"].axes and len(names["reports"]) == 3


def test_measuring_names_every_field_and_metric() -> None:
    text = (DOCS / "measuring.md").read_text()
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    fields = {field.name for field in dataclasses.fields(RunReport)}
    of_matrix = set(all_metrics([[1.0, 0.0], [0.5, 1.0]], [0.1, 0.1], [5, 5]))
    assert named == fields | of_matrix | set(two_class_metrics([[3, 1], [1, 3]])) | {"auc"}


def test_papers_shows_the_presets_of_the_loop() -> None:
    """The table of the three loops says what the presets are; the others are named."""
    page = (DOCS / "papers.md").read_text()
    text = page.partition("### The three loops")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", text.partition("##")[0], re.MULTILINE))
    shown_loops = ("amortised", "paper", "course")
    presets = {name for row in DISTILLERS.values() for name in row.presets}
    assert presets == {*shown_loops, "course_pad", *(f"pad_cifar10_ipc{n}" for n in (1, 10, 50))}
    assert all(f"`--loop {name}`" in page for name in ("course_pad", "pad_cifar10_ipc1"))
    bases = [DistillationConfig().with_preset(loop).settings for loop in shown_loops]
    for name, cells in rows.items():
        for cell, config in zip(cells.split(" | "), bases, strict=True):
            value = getattr(config, name)
            value = config.networks(coarse=False) if name == "num_networks" else value
            shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value:,g}"
            assert cell.partition(", at")[0] == shown, (name, cell)
    assert len(rows) == 6


def test_the_blocks_on_avalanche_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks(DOCS / "avalanche.md", "python")[1:]:
        exec(code, names)
    assert names["distilled"].max_size == names["tiles"].max_size == 100 * 3 * 32 * 32
    assert names["reservoir"].max_size == 300_000


MISFIT = """
import torch
for name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, name):
        raise RuntimeError(f"operator torchvision::{name} does not exist")
"""


def test_what_mends_a_torchvision_built_for_another_torch(tmp_path: Path) -> None:
    """The table on avalanche.md; what brings Avalanche needs the real torchvision."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(MISFIT)
    text = (DOCS / "avalanche.md").read_text()
    rows = dict(re.findall(r"^\| `(.*import.*)` \| (works|fails)", text, re.MULTILINE))
    assert sorted(rows.values()) == ["fails", "fails", "works", "works"]
    for script, result in rows.items():
        paths = [str(ROOT)] if "clbench.memory" in script else [str(tmp_path), str(ROOT)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment
        )
        assert done.returncode == (result == "fails"), (script, done.stderr[-500:])
        if result == "fails":
            (error,) = blocks(DOCS / "avalanche.md", "text")
            assert done.stderr.endswith(error)


def links(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub and MyST make links of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize(("page", "link"), named(PAGES, links))
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists() and target.is_relative_to(ROOT.resolve())
    if anchor:
        assert anchor in anchors(target)


def test_every_page_is_in_the_table_of_contents() -> None:
    text = (DOCS / "index.md").read_text()
    trees = re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    entries = {line for tree in trees for line in tree.splitlines() if line[:1].isalpha()}
    found = [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]
    pages = {page.relative_to(DOCS).with_suffix("").as_posix() for page in found}
    assert pages - {"index"} == entries


@pytest.fixture(scope="module")
def layers() -> list[str]:
    """The contract of setup.cfg, highest layer first; whether one may be missing is no matter."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    text = settings["importlinter:contract:layers"]["layers"]
    return [re.sub(r"[()]", "", line) for line in text.split("\n") if line]


def test_concepts_shows_the_layers(layers: list[str]) -> None:
    section = (DOCS / "concepts.md").read_text().partition("\n## Layers\n")[2]
    block = "```text\n" + "\n".join(layers) + "\n```"
    assert block in section, f"setup.cfg has other layers; paste into concepts.md:\n\n{block}\n"


def test_the_code_map_names_every_room(layers: list[str]) -> None:
    rooms = {name.strip() for layer in layers for name in layer.split("|")}
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("\n## Code map\n")[2]
    cells = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    mapped = [name for cell in cells for name in re.findall(r"`(\w+)/?`", cell)]
    assert len(mapped) == len(set(mapped))
    assert set(mapped) == rooms, f"not in the map or not in the layers: {set(mapped) ^ rooms}"


def parsed(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Parse a command line without running it: the command's path and its parameters."""
    command: click.Command | None = cli
    context: click.Context | None = None
    name: str | None = "clbench"
    rest = list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        context = click.Context(command, parent=context, info_name=name)
        name, command, rest = command.resolve_command(context, rest)
    assert command is not None and name is not None
    context = command.make_context(name, rest, parent=context)
    return context.command_path.removeprefix("clbench "), context.params


@pytest.mark.parametrize(("page", "arguments"), named(PAGES, commands))
def test_a_quoted_command_would_run(page: Path, arguments: list[str]) -> None:
    if page == EXTENDING:
        return  # names and options of its own; its commands are run below
    try:
        command, values = parsed(arguments)
    except click.exceptions.Exit as left:  # --help, --version
        assert left.exit_code == 0
        return
    own = {k: v for k, v in values.items() if "__" in k or k in ("strategy", "seed", "device")}
    own = {k: v for k, v in own.items() if not k.startswith(("settings__", "evaluations__"))}
    baselines = values["baseline"] if command == "run" else ()
    if command in ("tune codec", "tune settings"):
        own["strategy"], *baselines = own["strategy"]
    config = build_config(RunConfig(), own, loop=values.get("loop"))
    for name in (config.strategy, *baselines):
        strategies.STRATEGIES.find(name)
    for name in (config.learner.network.name, config.distillation.network.name):
        NETWORKS.find(name)
    benchmarks.info(config.benchmark.name)
    make_distiller(config.distillation)
    names = (values.get("data_set"), values.get("name"), *values.get("names", ()))
    for name in names:
        # Images of a reader's own are not here.
        assert name is None or data.is_own(name) or data.info(name).name == name


@pytest.fixture
def one_thread() -> Iterator[None]:
    """What is tiny takes many times longer where threads wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Iterator[Path]:
    """The distribution of extending.md, installed, in an empty working directory."""
    site, work = tmp_path / "site", tmp_path / "work"
    for code in blocks(EXTENDING, "python", "toml"):
        file = site / code.partition("\n")[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code)
    (site / "clbench_extras" / "__init__.py").touch()
    project = tomllib.loads((site / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(site))
    _forget("clbench.cli.run", "clbench.cli.distill", "clbench.cli.evaluate")
    yield site
    _forget("clbench_extras", "clbench.cli.run", "clbench.cli.distill", "clbench.cli.evaluate")


def _forget(*names: str) -> None:
    """Let modules be imported anew: a command's options are read off the tables at its import."""
    for name in [m for m in sys.modules if any(f"{m}.".startswith(f"{n}.") for n in names)]:
        del sys.modules[name]


def test_every_group_of_entry_points_is_shown(extras: Path) -> None:
    project = tomllib.loads((extras / "pyproject.toml").read_text())["project"]
    groups = set(project["entry-points"])
    assert groups == {
        f"clbench.{table}"
        for table in (
            "distillers",
            "datasets",
            "benchmarks",
            "networks",
            "codecs",
            "strategies",
            "evaluations",
        )
    }
    listed = re.findall(r"^\| `(clbench\.\w+)` \|", EXTENDING.read_text(), re.MULTILINE)
    assert set(listed) == groups


def output(*arguments: str) -> str:
    """What a command prints; it must end well."""
    done = CliRunner().invoke(cli, arguments, prog_name="clbench")
    assert done.exit_code == 0, f"{arguments}: {done.output}\n{done.exception!r}"
    return done.output


def test_the_extensions_work(extras: Path) -> None:
    shown = {arguments[0]: output(*arguments) for arguments in commands(EXTENDING)}
    assert "means_replay" in shown["list"] and "mas" in shown["list"]
    assert "brightness of each set" in shown["evaluate"]
    assert "--group-means-sharpen X" in output("run", "--help-all")
    reports = {
        path.parent.name: json.loads(path.read_text()) for path in Path("runs").rglob("report.json")
    }
    accuracy = {name: report["metrics"]["average_accuracy"] for name, report in reports.items()}
    assert set(reports) == {
        "means_replay",
        "random_replay",
        "mas",
        "dam_replay-seed0",
        "random_replay-seed0",
    }
    assert min(accuracy["means_replay"], accuracy["random_replay"]) > accuracy["mas"] > 0.1
    assert reports["means_replay"]["memory"] == reports["random_replay"]["memory"]
    (means,) = Path("runs").glob("*/*/means_replay/memory/exp_4.safetensors")
    (random,) = Path("runs").glob("*/*/random_replay/memory/exp_4.safetensors")
    assert means.read_bytes() != random.read_bytes()
    assert reports["mas"]["memory"] == []
    own = [reports[n]["config"]["distillation"]["settings"] for n in ("means_replay",)]
    assert own == [{"sharpen": 0.0, "largest": 50}]
    assert 0 < reports["dam_replay-seed0"]["evaluations"]["brightness"]["memory"] < 1
    (result,) = Path("sets").glob("*.json")
    made = json.loads(result.read_text())
    assert made["distillation"]["settings"] == {"sharpen": 0.2, "largest": None}
    scores = {row["name"]: row["accuracy_mean"] for row in made["scores"]}
    assert set(scores) == {"group_means", "random real"} and min(scores.values()) > 0.3


def test_the_shown_strategy_holds_weights_back(extras: Path) -> None:
    weights = {}
    for name in ("naive", "mas"):
        config = RunConfig(strategy=name, benchmark=BenchmarkConfig("split_digits8x8", 5))
        benchmark = benchmarks.make_benchmark(config.benchmark)
        learner = strategies.build(config, benchmark.spec)
        for experience in benchmark.streams.train[:2]:
            weights[f"{name} before"] = parameters_to_vector(learner.model.parameters()).detach()
            learner.train(experience, eval_streams=[])
        weights[name] = parameters_to_vector(learner.model.parameters()).detach()
    torch.testing.assert_close(weights["mas before"], weights["naive before"])
    moved = {n: float((weights[n] - weights[f"{n} before"]).norm()) for n in ("naive", "mas")}
    assert moved["mas"] < moved["naive"]


def test_the_shown_distiller_averages_its_groups(extras: Path) -> None:
    digits = data.load("digits8x8")
    rng = torch.Generator().manual_seed(0)
    made = make_distiller(DistillationConfig("group_means")).distill(
        Job.equal(digits.train, digits.spec, 1, rng)
    )
    assert made.classes == tuple(range(10)) and made.images.shape == (10, 1, 8, 8)
    zeros = digits.train.of_class(0).images.float() / 255
    torch.testing.assert_close(made.images[0].mean(), zeros.mean(), rtol=0.02, atol=0)


def test_the_shown_data_set_says_the_truth_about_itself(extras: Path) -> None:
    digits, info = data.load("digits8x8"), data.info("digits8x8")
    assert (len(digits.train), len(digits.test)) == (info.num_train, info.num_test)
    pixels = digits.train.images / 255
    assert float(pixels.mean()) == pytest.approx(info.mean[0], abs=5e-5)
    assert float(pixels.std()) == pytest.approx(info.std[0], abs=5e-5)


def test_the_shown_tracker_hears_every_experience(
    extras: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(extras / "watch.py"))
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"after experience {k}" for k in range(1, 6)
    ]


def test_every_promise_names_a_test_that_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (DOCS / "reliability.md").read_text())
    assert len(named) > 10
    for file, name in named:
        content = (ROOT / file).read_text()
        assert not name or f"def {name}(" in content, (file, name)
