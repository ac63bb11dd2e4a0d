"""Whatever users get wrong: exit code 2, one clear line, no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result

from clbench.cli import running
from clbench.coded import CodedImages
from clbench.machine.stopping import stoppable
from clbench.types import LabelledImages
from tests.cli.conftest import SMALL_DISTILLATION, SMALL_EVALUATION, SMALL_STREAM, Invoke
from tests.platforms import SIGNALS, heeding, posix_signals

RUN = ["run", *SMALL_STREAM, "--strategy", "random_replay", "--no-tensorboard"]
DISTILL = ["distill", *SMALL_DISTILLATION, *SMALL_EVALUATION]


def assert_one_line(result: Result, *words: str, code: int = 2) -> None:
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("clbench: error: "), result.stderr
    missing = [word for word in words if word not in lines[0]]
    assert not missing, lines[0]
    assert result.stdout == ""


CASES = {
    # unknown names
    "strategy": ([*RUN, "--strategy", "dam_reply"], ["dam_reply", "dam_replay"]),
    "baseline": ([*RUN, "--baseline", "randm_replay"], ["randm_replay", "random_replay"]),
    "baseline twice": ([*RUN, "--baseline", "random_replay"], ["--baseline", "twice"]),
    "benchmark": ([*RUN, "--benchmark", "split_mnst"], ["split_mnst", "split_mnist"]),
    "network": ([*RUN, "--network", "convnett"], ["convnett", "convnet"]),
    "distill network": (
        [*RUN, "--strategy", "dm_replay", "--distill-network", "x"], ["'x'", "convnet"],
    ),
    "distiller": ([*DISTILL, "--distiller", "damm"], ["damm", "datadam"]),
    "data set": ([*DISTILL, "--data-set", "mnist5"], ["mnist5", "mnist5k"]),
    "augmentation": ([*RUN, "--augmentation", "blur"], ["blur", "crop"]),
    "command": (["rum"], ["rum"]),
    "option": ([*RUN, "--epoch-count", "3"], ["--epoch-count", "clbench run --help"]),
    "kind of list": (["list", "nets"], ["nets", "networks"]),
    "data to verify": (["data", "verify", "mnst"], ["mnst", "mnist"]),
    # numbers
    "zero epochs": ([*RUN, "--epochs", "0"], ["epochs", "at least 1", "0"]),
    "negative batch": ([*RUN, "--batch-size", "-3"], ["batch_size", "at least 1", "-3"]),
    "negative images": ([*RUN, "--images-per-class", "-1"], ["images_per_class", "-1"]),
    "unknown codec": ([*RUN, "--codec", "levls:side=4,levels=2"], ["did you mean 'levels'"]),
    "unknown parameter": (
        [*RUN, "--codec", "jpeg:qualty=4"], ["did you mean 'quality'", "qualty=4"],
    ),
    "no parameter": ([*RUN, "--codec", "levels:side=4"], ["levels to be given"]),
    "quality out of range": ([*DISTILL, "--codec", "avif:quality=200"], ["from 1 to 95", "200"]),
    "a flag of before": ([*RUN, "--packing", "2"], ["--packing", "--codec tiles:factor=2"]),
    "another of before": ([*DISTILL, "--storage", "float32"], ["--storage", "--codec float32"]),
    "zero width": ([*RUN, "--width", "0"], ["width", "0"]),
    "zero experiences": ([*RUN, "--num-experiences", "0"], ["num_experiences", "0"]),
    "negative seed": ([*RUN, "--seed", "-1"], ["seed", "-1"]),
    "not a number": ([*RUN, "--epochs", "many"], ["--epochs", "many"]),
    "nan": ([*RUN, "--learning-rate", "nan"], ["learning_rate", "nan"]),
    "zero networks": (
        [*DISTILL, "--num-networks-evaluated", "0"], ["num_networks", "at least 1", "0"],
    ),
    "no classes": (["list", "networks", "--num-classes", "0"], ["--num-classes", "0"]),
    "image size": (["list", "networks", "--image", "28x28"], ["3x32x32", "28x28"]),
    # what does not fit
    "too many experiences": ([*RUN, "--num-experiences", "11"], ["num_experiences", "10", "11"]),
    "side beyond pixels": (
        [*DISTILL, "--codec", "levels:side=29,levels=2"], ["side of 1 to 28", "29"],
    ),
    "factor beyond pixels": ([*RUN, "--codec", "tiles:factor=29"], ["factor of 1 to 28", "29"]),
    "bytes for nothing": (
        [*RUN, "--memory-bytes", "100", "--codec", "raw"], ["capacity_bytes", "7,840", "100"],
    ),
    "bytes for no picture": (
        [*RUN, "--memory-bytes", "500", "--codec", "png"], ["capacity_bytes", "codec png", "500"],
    ),
    "bytes for no set": (
        [*DISTILL, "--memory-bytes", "100", "--codec", "png"], ["capacity_bytes", "codec png"],
    ),
    "images and bytes": (
        [*RUN, "--images-per-class", "1", "--memory-bytes", "7840"],
        ["--images-per-class", "--memory-bytes"],
    ),
    "option of another network": ([*RUN, "--pooling", "max"], ["pooling", "mlp"]),
    "too deep": ([*RUN, "--network", "convnet", "--depth", "9"], ["depth", "at most 5", "9"]),
    "no maps to match": (
        [*DISTILL, "--distill-network", "mlp", "--images-per-class", "1"], ["convnet", "MLP"],
    ),
    # files
    "no data": (
        [*RUN, "--benchmark", "split_mnist", "--data-root", "/dev/null/data"],
        ["mnist", "/dev/null/data"],
    ),
    "no config": ([*RUN, "--config", "none.json"], ["none.json"]),
    "broken config": ([*RUN, "--config", "broken"], ["broken", "JSON"]),
    "config of a list": ([*RUN, "--config", "list"], ["object", "list"]),
    "unknown field": ([*RUN, "--config", "field"], ["epoch", "epochs"]),
    "field of another type": ([*RUN, "--config", "type"], ["seed", "'one'"]),
    "section of another type": ([*RUN, "--config", "section"], ["learner"]),
    "output is a file": ([*RUN, "--output", "broken"], ["broken", "file"]),
    "output below a file": ([*RUN, "--output", "broken/run"], ["broken", "file"]),
    "output in use": ([*RUN, "--output", "full"], ["full", "precious"]),
    "set below a file": ([*DISTILL, "-o", "broken/a.safetensors"], ["broken", "file"]),
    "set of another name": ([*DISTILL, "-o", "a.png"], ["a.png", ".safetensors"]),
    "set that is there": ([*DISTILL, "-o", "there.safetensors"], ["there.safetensors", "remove"]),
    "corrupt set": (["evaluate", "there.safetensors"], ["there.safetensors", "clbench distill"]),
    "missing set": (["evaluate", "gone.safetensors"], ["gone.safetensors"]),
    "nothing to evaluate": (["evaluate"], ["SET"]),
    "nothing to compare": (["compare"], ["RUN"]),
    "no runs": (["compare", "full"], ["report.json"]),
    "missing run": (["compare", "gone"], ["gone"]),
    "broken report": (["compare", "reports"], ["report.json"]),
    "report of another schema": (["compare", "schema.json"], ["schema", "99"]),
    "two formats": (["compare", "full", "--json", "--markdown"], ["--json", "--markdown"]),
    "comparison below a file": (["compare", "full", "-o", "broken/c"], ["report.json"]),
}  # fmt: skip


@pytest.fixture
def files(invoke: Invoke) -> None:
    Path("broken").write_text('{"seed": 1')
    Path("list").write_text("[1]")
    Path("field").write_text('{"learner": {"epoch": 3}}')
    Path("type").write_text('{"seed": "one"}')
    Path("section").write_text('{"learner": 3}')
    Path("there.safetensors").write_bytes(b"not a set")
    Path("schema.json").write_text(json.dumps({"schema": 99}))
    for folder, name, text in (("full", "precious", "x"), ("reports", "report.json", '{"a"')):
        Path(folder).mkdir()
        (Path(folder) / name).write_text(text)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_told_in_one_line(invoke: Invoke, files: None, case: str):
    arguments, words = CASES[case]
    result = invoke(*arguments)
    assert_one_line(result, *words)
    assert Path("full/precious").read_text() == "x" and Path("broken").read_text() == '{"seed": 1'


def test_cuda_where_there_is_none(invoke: Invoke):

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert_one_line(invoke(*RUN, "--device", "cuda"), "CUDA", "cpu")
    assert_one_line(invoke(*DISTILL, "--device", "cuda"), "CUDA", "cpu")


def test_a_set_of_other_data_is_refused(invoke: Invoke):

    from tests.distilling import save_set

    images = LabelledImages(torch.zeros(1, 1, 28, 28, dtype=torch.uint8), torch.tensor([0]))
    save_set(images, "anonymous.safetensors")
    save_set(images, "other.safetensors", {"data": "mnist5k", "fingerprint": "0123456789"})
    assert_one_line(invoke("evaluate", "anonymous.safetensors"), "no data set")
    assert_one_line(invoke("evaluate", "other.safetensors"), "01234567", "--data-root")


def test_debug_shows_the_traceback(invoke: Invoke):
    from clbench.errors import InputError

    for arguments in (["--debug", *RUN, "--epochs", "0"], [*RUN, "--epochs", "0", "--debug"]):
        result = invoke(*arguments)
        assert isinstance(result.exception, InputError)


def test_an_interrupted_run_says_what_is_left(invoke: Invoke, monkeypatch: pytest.MonkeyPatch):
    def interrupt(self: running.RunLine, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running.RunLine, "note", interrupt)
    result = invoke(*RUN, "-o", "run")
    assert_one_line(result, "run/partial.json", "the same command goes on", code=130)
    assert "what was distilled so far" not in result.stderr, "random images are not distilled"
    distilling = [*RUN, "--strategy", "dam_replay", *SMALL_DISTILLATION, "--images-per-class", "2"]
    kept, again = "cache keeps what was distilled so far", "the same command goes on"
    assert_one_line(invoke(*distilling), kept, again, code=130)
    assert json.loads(Path("run/status.json").read_text())["status"] == "interrupted"
    assert_one_line(invoke(*RUN, "--seed", "1", "-o", "run"), "of other settings", "remove")


@contextmanager
def running_naive(folder: Path, ready: str) -> Iterator[subprocess.Popen[bytes]]:
    """A long run, once a file matches ``ready``; it ends with the block, whatever happens there.

    It heeds all signals, also where the tests themselves ignore one: a shell's background job
    ignores SIGINT.
    """
    command = [sys.executable, "-m", "clbench", "run", "--strategy", "naive", "--epochs", "100000"]
    with heeding(*SIGNALS):
        process = subprocess.Popen([*command, "-o", str(folder)], stderr=subprocess.PIPE)
    with process:
        try:
            deadline = time.monotonic() + 120
            while not list(folder.glob(ready)):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
            yield process
        finally:
            process.kill()


def stopped_by(process: subprocess.Popen[bytes], name: str) -> list[str]:
    """Lines on standard error of a process that was sent a signal."""
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    return errors.decode().splitlines()


@posix_signals
@pytest.mark.parametrize("name", SIGNALS)
def test_a_run_stopped_by_a_signal_is_an_interrupted_one(tmp_path: Path, name: str) -> None:
    with running_naive(tmp_path / "run", "events*") as process:
        assert "interrupted" in stopped_by(process, name)[-1]
        assert process.returncode == 128 + getattr(signal, name)
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["status"] == "interrupted"


@posix_signals
def test_a_run_stopped_during_the_imports(tmp_path: Path) -> None:
    with running_naive(tmp_path / "run", ".claim") as process:
        lines = stopped_by(process, "SIGHUP")
        assert process.returncode == 129
    assert lines == ["clbench: error: interrupted; nothing was written"]
    assert not (tmp_path / "run").exists()


@posix_signals
def test_a_stop_in_the_start_of_a_compiled_module(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: running.RunLine, num: int = 1) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr(running.RunLine, "advance", stopped)
    assert_one_line(invoke(*RUN, "-o", "run"), "interrupted", code=143)


@posix_signals
def test_the_second_signal_ends_at_once_and_an_ignored_one_stays_so() -> None:
    with heeding(*SIGNALS):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with stoppable() as stopping:
            os.kill(os.getpid(), signal.SIGHUP)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(1)
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
            assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        assert stopping.exit_code(130) == 143
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_a_run_interrupted_at_once_leaves_its_place_free(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(self: running.RunLine, num: int = 1) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(running.RunLine, "advance", interrupt)
        result = invoke(*RUN, "-o", "run")
        assert_one_line(result, "had not learnt an experience yet", code=130)
        assert result.stderr.endswith("; the same command starts it anew\n")
    assert invoke(*RUN, "-o", "run", "--quiet").exit_code == 0
    assert_one_line(invoke(*RUN, "-o", "run", "--fresh"), "run", "remove")


def test_an_interrupted_distillation_leaves_nothing(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
):
    from clbench.distillation.selection.distiller import RandomSelection

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RandomSelection, "distill", interrupt)
    result = invoke("distill", *SMALL_EVALUATION, "--distiller", "random")
    assert_one_line(result, "interrupted; nothing is kept", code=130)
    assert not list(Path().rglob("*.safetensors"))


def test_an_interrupted_distillation_goes_on(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    from clbench.distillation import unfinished
    from clbench.distillation.matching.updates import MatchingUpdates

    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr(unfinished, "WORTH_KEEPING_SECONDS", 0.0)
    arguments = [*DISTILL, "--no-evaluate", "--images-per-class", "1", "--json"]
    whole = json.loads(invoke(*arguments, "--no-cache", "-o", "whole.safetensors").stdout)
    update, done = MatchingUpdates._update, []

    def stopped(*values: Any) -> float:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(1)
        return update(*values)

    monkeypatch.setattr(MatchingUpdates, "_update", stopped)
    result = invoke(*arguments, "-o", "set.safetensors")
    assert_one_line(result, "kept in the cache; the same command goes on there", code=130)
    assert not Path("set.safetensors").exists()
    monkeypatch.setattr(MatchingUpdates, "_update", lambda *v: done.append(1) or update(*v))
    rest = json.loads(invoke(*arguments, "-o", "set.safetensors").stdout)
    assert len(done) == len(whole["losses"]) == 2 and rest["losses"] == whole["losses"]
    ours, expected = (CodedImages.load(Path(f"{n}.safetensors"))[0] for n in ("set", "whole"))
    assert ours.grid.equals(expected.grid)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--strategy", "nope"], ["nope", "dam_replay"]),
        (["run", "--epochs"], ["--epochs"]),
    ],
)
def test_the_program_itself_leaves_with_2(tmp_path: Path, arguments: list[str], words: list[str]):
    done = subprocess.run(
        [sys.executable, "-m", "clbench", *arguments], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("clbench: error: ") and all(w in done.stderr for w in words)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_memory_that_ran_out_is_one_line(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(self: running.RunLine, num: int = 1) -> None:
        raise error

    monkeypatch.setattr(running.RunLine, "advance", fail)
    assert_one_line(invoke(*RUN, "-o", "run"), "expected more memory than there is", "--batch-size")
    assert json.loads(Path("run/status.json").read_text())["status"] == "failed"
