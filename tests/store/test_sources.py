"""What counts for work that is kept: its own method's code and what it shares, and no more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import clbench
from clbench.store.sources import sources_of

ROOT = Path(clbench.__file__).parent
# Prints the names of the same work for each tree that it is given, torch imported once for all.
NAMES = """
import importlib, json, sys, torch

def names():
    from clbench.distillation import DISTILLERS, DistillationConfig, Job, make_distiller
    from clbench.distillation.trajectories.experts import Experts
    from clbench.distillation.trajectories.settings import PAD
    from clbench.distillation.work import work_name
    from clbench.types import ImageSpec, LabelledImages

    spec = ImageSpec(1, 8, 8, 2, (0.5,), (0.25,), ("a", "b"), "crop")
    real = LabelledImages(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 0, 1, 1]))
    network, device = DistillationConfig("pad").network, torch.device("cpu")
    for name in DISTILLERS:
        config = DistillationConfig(name)
        job = Job.equal(real, spec, 1, torch.Generator().manual_seed(0))
        yield name, work_name(config, type(make_distiller(config)), job)
    yield "experts", Experts(real, spec, network, PAD.experts, True, "auto", device).fingerprint

for place in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "clbench"]:
        del sys.modules[name]
    sys.path.insert(0, place)
    importlib.invalidate_caches()
    print(json.dumps(dict(names())))
    assert sys.modules["clbench"].__file__.startswith(place)
"""
MATCHING, TRAJECTORIES = {"dm", "datadam"}, {"mtt", "datm", "pad"}
KERNEL, BPTT = {"kip", "frepo"}, {"bptt"}
SELECTION, EXPERTS = {"random", "herding"}, {"experts"}
ALL = MATCHING | TRAJECTORIES | KERNEL | BPTT | SELECTION | EXPERTS


def comment(*files: str) -> Callable[[Path], None]:
    """Change files without changing what they do."""

    def change(tree: Path) -> None:
        for file in files:
            with (tree / file).open("a") as opened:
                opened.write("# one more line\n")

    return change


def field(method: str, before: str) -> Callable[[Path], None]:
    """Give a method's settings one more field, and its folder one more file."""

    def change(tree: Path) -> None:
        folder = tree / "distillation" / method
        settings = folder / "settings.py"
        text = settings.read_text()
        assert text.count(f"    {before}") == 1
        settings.write_text(text.replace(f"    {before}", f"    one_more: int = 1\n    {before}"))
        (folder / "one_more.py").write_text('"""One more file."""\n')

    return change


def no_field(tree: Path) -> None:
    folder = tree / "distillation" / "selection"
    with (folder / "settings.py").open("a") as opened:
        opened.write("\n    one_more: int = 1\n")
    (folder / "one_more.py").write_text('"""One more file."""\n')


# What is changed -> how, which names must change, and which must not.
CHANGES: dict[str, tuple[Callable[[Path], None], set[str], set[str]]] = {
    "nothing": (comment(), set(), ALL),
    "settings of trajectories": (
        field("trajectories", "against_memory: bool"), TRAJECTORIES, MATCHING | SELECTION,
    ),
    "settings of kernels": (field("kernel", "num_updates: int"), KERNEL, ALL - KERNEL),
    # Trajectories start from matched images.
    "settings of matching": (
        field("matching", "num_networks: int"), MATCHING | TRAJECTORIES | BPTT, SELECTION,
    ),
    "settings of selection": (no_field, SELECTION, ALL - SELECTION),
    "code of trajectories": (
        comment("distillation/trajectories/distance.py"), TRAJECTORIES, ALL - TRAJECTORIES,
    ),
    "code of matching": (
        comment("distillation/matching/updates.py"), MATCHING | TRAJECTORIES | BPTT,
        SELECTION | EXPERTS,
    ),
    "code of kernels": (comment("distillation/kernel/kernels.py"), KERNEL, ALL - KERNEL),
    "code of selection": (comment("distillation/selection/choice.py"), ALL - EXPERTS, set()),
    "networks": (comment("networks/convnet.py"), ALL - SELECTION, SELECTION),
    "what all share": (comment("types.py"), ALL, set()),
    "code of another codec": (comment("codecs/levels.py", "codecs/pillow.py"), set(), ALL),
    "what changes no number": (
        comment("errors.py", "fields.py", "store/store.py", "measuring/cost.py", "cli/run.py",
                "distillation/table.py", "distillation/unfinished.py"),
        set(), ALL,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The names of the same work in this tree ("here") and in a changed copy for each change."""
    places = {"here": ROOT.parent}
    for what, (change, _, _) in CHANGES.items():
        places[what] = tmp_path_factory.mktemp("tree")
        ignored = shutil.ignore_patterns("__pycache__")
        change(Path(shutil.copytree(ROOT, places[what] / "clbench", ignore=ignored)))
    command = [sys.executable, "-c", NAMES, *map(str, places.values())]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    return dict(zip(places, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_renames_the_work_that_it_may_change(
    what: str, named: dict[str, dict[str, str]]
) -> None:
    _, renamed, kept = CHANGES[what]
    here, there = named["here"], named[what]
    assert set(here) == ALL
    different = {name for name in ALL if here[name] != there[name]}
    assert renamed <= different, "work of other code would be taken for the same"
    assert not kept & different, "work would be done again for nothing"


def folders(module: str) -> set[str]:
    """Folders of the distillation that a module's sources lie in."""
    inside = ROOT / "distillation"
    files = [Path(file) for file in sources_of(module)]
    return {file.parent.name for file in files if file.is_relative_to(inside)} - {"distillation"}


def test_methods_count_for_those_that_use_them() -> None:
    name = "clbench.distillation.{}.distiller".format
    assert folders(name("selection")) == {"selection"}
    assert folders(name("matching")) == {"selection", "difficulty", "matching"}
    assert folders(name("kernel")) == {"selection", "difficulty", "kernel"}
    assert folders(name("trajectories")) == {
        "selection", "difficulty", "matching", "trajectories",
    }  # fmt: skip


def test_sources_are_files_sorted_and_each_once() -> None:
    found = sources_of("clbench.distillation.trajectories.distiller")
    assert list(found) == sorted(set(found)) and all(Path(file).is_file() for file in found)
    for file in ("types.py", "codecs/pixels.py", "machine/device.py", "networks/convnet.py"):
        assert str(ROOT / file) in found, file
    assert not [file for file in found if {"store", "cli", "measuring"} & set(Path(file).parts)]


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A third party's package with one method."""
    package = tmp_path / "their_methods"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "method.py").write_text(
        "import json\nimport their_methods.parts as parts\nfrom .near import thing\n\n"
        "def late():\n    from clbench.types import ImageSpec\n    from . import later\n"
    )
    for name in ("parts", "near", "later", "unused"):
        (package / f"{name}.py").write_text("import missing_altogether\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


def test_a_third_partys_own_files_count(theirs: Path) -> None:
    """Relative imports and those inside functions too; other distributions have versions."""
    found = sources_of("their_methods.method")
    assert {Path(file).name for file in found if file.startswith(str(theirs))} >= {
        "method.py", "parts.py", "near.py", "later.py",
    }  # fmt: skip
    assert str(ROOT / "types.py") in found
    assert not [file for file in found if "json" in Path(file).parts]


@pytest.mark.parametrize("module", ["__main__", "no.such.module", "builtins", "torch._C"])
def test_what_has_no_source_counts_nothing(module: str) -> None:
    assert not [file for file in sources_of(module) if "clbench" in Path(file).parts]
