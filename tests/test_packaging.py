from __future__ import annotations

import configparser
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import clbench

ROOT = Path(__file__).resolve().parents[1]
MAPPED = ("strategies", "benchmarks")


@pytest.fixture(scope="module")
def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def _sources(pattern: str = "*.py") -> set[str]:
    """Where every module has to be once it is installed."""
    own = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "clbench").rglob(pattern)
        if not any((ROOT / "clbench" / name) in file.parents for name in MAPPED)
    }
    for name in MAPPED:
        own |= {
            "clbench/" + file.relative_to(ROOT).as_posix() for file in (ROOT / name).rglob(pattern)
        }
    return own


def test_package_list_equals_the_folders(settings: configparser.ConfigParser) -> None:
    listed = _lines(settings["options"]["packages"])
    folders = {str(Path(file).parent).replace("/", ".") for file in _sources()}
    assert listed == sorted(listed)
    assert set(listed) == folders
    assert all(
        Path(file).parent.joinpath("__init__.py").as_posix() in _sources() for file in _sources()
    )


@pytest.mark.parametrize("name", MAPPED)
def test_folder_is_reached_below_clbench_only(name: str) -> None:
    link = ROOT / "clbench" / name
    assert link.is_symlink() and str(link.readlink()) == f"../{name}"
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("ImportError: ")
    assert f"clbench.{name}" in done.stderr.splitlines()[-1]


@pytest.fixture
def without_links(tmp_path: Path) -> Path:
    """A tree as git writes it where core.symlinks is false: the links are text files."""
    (tmp_path / "clbench").mkdir()
    for name in ("__init__.py", "__init__.pyi"):
        shutil.copy(ROOT / "clbench" / name, tmp_path / "clbench")
    for name in MAPPED:
        (tmp_path / "clbench" / name).write_text(f"../{name}")
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    return tmp_path


def _python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("module", ["clbench", "clbench.strategies", "clbench.benchmarks"])
def test_a_checkout_without_links_says_what_to_do(without_links: Path, module: str) -> None:
    done = _python(without_links, f"import {module}")
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("ImportError: clbench/strategies: expected a link to ../strategies")
    assert "pip install -e ." in line and "git config core.symlinks true" in line


def test_an_editable_install_needs_no_links(without_links: Path) -> None:
    mapped = f"""
import importlib.util, sys

class Mapping:  # as setuptools writes it where clbench/strategies is no folder
    @staticmethod
    def find_spec(name, path=None, target=None):
        folder = name.removeprefix("clbench.")
        if folder in {MAPPED}:
            return importlib.util.spec_from_file_location(name, f"{{folder}}/__init__.py")

sys.meta_path.insert(0, Mapping)
import clbench.strategies, clbench.benchmarks
"""
    done = _python(without_links, mapped)
    assert done.returncode == 0, done.stderr


def test_versions_agree(settings: configparser.ConfigParser) -> None:
    assert settings["metadata"]["version"] == "attr: clbench.__version__"
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert cited is not None and cited[1] == clbench.__version__
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert clbench.__version__ in changes


def test_the_changelog_keeps_its_form() -> None:
    """Keep a Changelog: the newest first, and nothing but its kinds of change."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE)[0] == "[Unreleased]"
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= set(kinds)


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=;\[ ]", line)[0] for line in requirements}


def test_constraints_pin_what_is_required(settings: configparser.ConfigParser) -> None:
    constraints = _lines((ROOT / "constraints.txt").read_text())
    assert all(re.fullmatch(r"[a-z0-9_-]+==[0-9a-z.]+", line) for line in constraints)
    required = _names(_lines(settings["options"]["install_requires"]))
    test = _names(_lines(settings["options.extras_require"]["test"]))
    assert _names(constraints) == (required | test) - {"setuptools"}
    unbounded = [
        line
        for text in (
            settings["options"]["install_requires"],
            *settings["options.extras_require"].values(),
        )
        for line in _lines(text)
        if ">=" not in line
    ]
    assert unbounded == []


def test_readmes_commands_are_the_ones_that_are_checked() -> None:
    readme = (ROOT / "README.md").read_text().splitlines()
    script = (ROOT / ".ci" / "run").read_text()
    patterns = re.findall(r'grep -m1 -E ["\'](.+?)["\'] README\.md', script)
    commands = [next(line for line in readme if re.search(p, line)) for p in patterns]
    assert commands == [
        "pip install -c constraints.txt -e '.[test]' && pytest -n auto --dist loadfile"
    ]


def test_readme_installs_torch_and_torchvision_from_one_index() -> None:
    """A CPU-only torch and the registry's torchvision do not fit each other."""
    text = (ROOT / "README.md").read_text()
    builds = re.findall(r"`(pip install torch\S* .+)` \|$", text, re.MULTILINE)
    pins = _lines((ROOT / "constraints.txt").read_text())
    # Another version would be replaced by the next command, with the registry's build.
    both = " ".join(pin for pin in pins if re.match(r"torch(vision)?==", pin))
    assert builds == [
        f"pip install {both} --index-url https://download.pytorch.org/whl/cpu",
        f"pip install {both}",
    ]
    assert all(f"`{build}`" in (ROOT / "docs" / "install.md").read_text() for build in builds)
    assert text.index(builds[-1]) < text.index("pip install -c constraints.txt . && clbench run")


def test_hooks_before_a_commit_are_steps_of_the_check_script() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    entries = re.findall(r"^ +entry: (.+)$", hooks, re.MULTILINE)
    steps = re.findall(r"^step (\w.+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert entries == steps
    assert "repo: local" in hooks and "http" not in hooks, "hooks fetch nothing"
    assert hooks.count("language: system") == len(entries)


def test_check_script_is_executable_bash() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


def test_a_release_takes_the_changes_of_its_version_alone() -> None:
    section = runpy.run_path(str(ROOT / ".ci" / "changes"))["section"]
    text = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- c\n\n"
    text += "## [0.1.1] - 2026-01-02\n\n- b\n\n"
    text += "## [0.1.0] - 2026-01-01\n\n- a\n\n[0.1.0]: https://example.org\n"
    assert [section(text, v) for v in ("0.1.1", "0.1.0", "0.1", "0.2.0")] == ["- b", "- a", "", ""]
    assert section((ROOT / "CHANGELOG.md").read_text(), "Unreleased").startswith("### Added")


def test_a_tag_of_another_version_is_no_release() -> None:
    """Asked before anything is built, so that dist/ is left as it was."""
    done = subprocess.run(
        ["bash", ROOT / ".ci" / "release", "v99.0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"tag v99.0: expected v{clbench.__version__}, the version in")


def test_the_release_workflow_runs_the_scripts_that_people_run() -> None:
    import yaml  # of fvcore

    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    steps = [step.get("run", "") for step in flow["jobs"]["build"]["steps"]]
    scripts = [words[1] for step in steps if (words := step.split())[:1] == ["bash"]]
    assert scripts == [".ci/run", ".ci/release"]
    for script in scripts:
        assert subprocess.run(["bash", "-n", ROOT / script], check=False).returncode == 0
    assert flow["jobs"]["publish"]["needs"] == "build"


def test_containers_take_the_pinned_pytorch() -> None:
    """Each line of the Dockerfile that reads constraints.txt finds both packages there."""
    text = (ROOT / "Dockerfile").read_text()
    (pattern,) = re.findall(r"grep -E '(.+?)' constraints.txt", text)
    pins = _lines((ROOT / "constraints.txt").read_text())
    assert [re.split("==", pin)[0] for pin in pins if re.match(pattern, pin)] == [
        "torch",
        "torchvision",
    ]
    copied = re.findall(r"^COPY (\S+) ", text, re.MULTILINE)
    assert copied == ["constraints.txt", "."]
    left_out = _lines((ROOT / ".dockerignore").read_text())
    assert not {"clbench", "strategies", "benchmarks", "README.md", "setup.cfg"} & set(left_out)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel made from it, of a copy of the tree."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "tree", symlinks=True, ignore=_ignored)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", "."],
        cwd=folder / "tree",
        check=True,
        capture_output=True,
    )
    return folder / "dist"


def _ignored(folder: str, names: list[str]) -> set[str]:
    everywhere = (".git", "__pycache__", "_cache", ".egg-info")
    at_the_top = ("runs", "data", "venv", "dist", "build") if Path(folder) == ROOT else ()
    return {name for name in names if name.endswith(everywhere + at_the_top)}


def test_wheel_from_the_sdist_holds_everything(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(n).decode() for n in names if n.endswith("/METADATA"))
        (points,) = (archive.read(n).decode() for n in names if n.endswith("/entry_points.txt"))
    assert {name for name in names if name.endswith(".py")} == _sources()
    stubs = _sources("*.pyi")
    assert {name for name in names if name.endswith(".pyi")} == stubs, "packages load by them"
    assert "clbench/__init__.pyi" in stubs and "clbench/py.typed" in names
    assert {name.partition("/")[0] for name in names} == {
        "clbench",
        f"clbench-{clbench.__version__}.dist-info",
    }
    assert "clbench = clbench.cli:main" in points
    headers = message_from_string(metadata)
    assert headers["Version"] == clbench.__version__
    assert headers["License-Expression"] == "MIT" or headers["License"] == "MIT"


def test_sdist_holds_what_the_tests_need(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for file in ("README.md", "CHANGELOG.md", "CITATION.cff", "LICENSE", "constraints.txt"):
        assert file in names
    assert {"strategies/__init__.py", "benchmarks/__init__.py", "tests/conftest.py"} <= names


def test_module_runs_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clbench", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert clbench.__version__ in done.stdout
