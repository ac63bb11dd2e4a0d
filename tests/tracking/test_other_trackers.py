"""Weights & Biases and MLflow, without network: what they kept is what TensorBoard would show."""

from __future__ import annotations

import json
import struct
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clbench.config import RunConfig
from clbench.distillation import Update
from clbench.errors import InputError
from clbench.run import NullProgress, run
from clbench.tracking import TRACKERS, Tracker, TrackerInfo, curves
from tests import tiny_stream
from tests.tracking.test_tensorboard import (
    CONFIG,
    GROUPS,
    NUM_TEST,
    UNTRAINED,
    Evaluated,
    R,
    learn,
    report,
)


def told(tracker: Tracker) -> None:
    """A run of three experiences, as TensorBoard's tests tell it."""
    tracker.on_start(CONFIG, GROUPS)
    for k in range(3):
        tracker.on_distillation_update(k, Update(1, 2, 0.5, scalars={"norm": 2.0}))
        learn(tracker, k)
    tracker.on_evaluation("mine", Evaluated(), {})
    tracker.on_end(report())
    tracker.close()


def expected() -> set[tuple[str, float, int]]:
    points: set[tuple[str, float, int]] = set()
    for k in range(3):
        points |= set(curves.of_update(k, Update(1, 2, 0.5, scalars={"norm": 2.0})))
        points |= set(curves.of_experience(k, R[: k + 1], UNTRAINED, NUM_TEST, None))
        points |= set(curves.of_recalls(k, np.eye(5, dtype=np.int64), GROUPS, ()))
    return points | {("memory/mine/accuracy", 0.75, 3), ("memory/mine/other", 0.25, 3)}


def test_the_curves_by_hand() -> None:
    points = dict(((name, step), value) for name, value, step in expected())
    assert points["untrained_accuracy/experience_1", 0] == pytest.approx(0.1)
    assert points["accuracy/experience_1", 3] == pytest.approx(0.4)
    assert points["untrained_accuracy/experience_3", 2] == pytest.approx(0.3)
    assert points["forgetting/experience_1", 3] == pytest.approx(0.5)
    assert points["averages/average_accuracy", 2] == pytest.approx(0.75)
    assert points["distillation/experience_2/norm", 1] == 2.0
    assert ("accuracy/experience_2", 1) not in points
    assert points["recall/4", 3] == 1 and ("recall/4", 2) not in points, "not met before"


def test_recall_of_each_class_by_hand() -> None:
    """Two of four 0s, one of one 1 and nine of ten 2s; class 2 comes with experience 2."""
    confusion = [[2, 1, 1], [0, 1, 0], [1, 0, 9]]
    groups, names = [[1, 0], [2]], ("a/b", "c\x1b", "d")
    first = [("averages/balanced_accuracy", 0.75, 1), ("recall/c\ufffd", 1.0, 1)]
    assert list(curves.of_recalls(0, confusion, groups, names)) == [*first, ("recall/a_b", 0.5, 1)]
    second = {name: value for name, value, _ in curves.of_recalls(1, confusion, groups, names)}
    assert second["averages/balanced_accuracy"] == pytest.approx((0.5 + 1 + 0.9) / 3)
    assert second["recall/d"] == 0.9
    assert list(curves.of_recalls(0, None, groups, names)) == []


def test_many_classes_have_the_mean_of_their_recalls_alone() -> None:
    count = curves.MOST_CURVES + 1
    confusion = np.diag(np.arange(1, count + 1))
    found = list(curves.of_recalls(0, confusion, [range(count)], ()))
    assert found == [("averages/balanced_accuracy", 1.0, 1)]


class TestMlflow:
    """Kept in a database of its own."""

    @pytest.fixture(autouse=True)
    def _own_store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        mlflow = pytest.importorskip("mlflow", reason="needs pip install 'clbench[mlflow]'")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "tests")
        mlflow.set_tracking_uri(None)

    def found(self) -> list[Any]:
        from mlflow import MlflowClient

        client = MlflowClient()
        (experiment,) = [e for e in client.search_experiments() if e.name == "tests"]
        return list(client.search_runs([experiment.experiment_id]))

    def test_curves_settings_and_pictures(self, tmp_path: Path) -> None:
        from mlflow import MlflowClient

        told(TRACKERS.find("mlflow").opened(tmp_path / "r", "dam on tiny\x1b[2J"))
        (kept,) = self.found()
        assert kept.info.status == "FINISHED" and kept.info.run_name == "dam on tiny\ufffd[2J"
        assert kept.data.params["memory.codec"] == "raw" and kept.data.params["seed"] == "3"
        client = MlflowClient()
        drawn = [
            (name, round(metric.value, 6), metric.step)
            for name in kept.data.metrics
            for metric in client.get_metric_history(kept.info.run_id, name)
        ]
        held = set(drawn)
        assert len(drawn) == len(held), "one value per step"
        assert {(name, round(value, 6), step) for name, value, step in expected()} <= held
        pictures = client.list_artifacts(kept.info.run_id, "memory")
        assert [Path(one.path).name for one in pictures] == [
            f"experience_{k}.png" for k in (1, 2, 3)
        ]

    def test_no_name_of_a_class_ends_the_tracking(self, tmp_path: Path) -> None:
        tracker = TRACKERS.find("mlflow").opened(tmp_path, "a")
        tracker.on_start(CONFIG, [[0, 1, 2]])
        names = ("10 % (grey)", "..", "Fuß")
        accuracy = [[0.5]]
        tracker.on_experience_end(0, accuracy, [0.1], [3], np.eye(3), None, names)  # type: ignore[arg-type]
        tracker.close()
        (kept,) = self.found()
        recalls = {name for name in kept.data.metrics if name.startswith("recall/")}
        assert recalls == {"recall/10 _ _grey_", "recall/_", "recall/Fuß"}

    def test_a_run_that_is_stopped_goes_on_in_the_same_one(self, tmp_path: Path) -> None:
        first = TRACKERS.find("mlflow").opened(tmp_path, "a")
        first.on_start(CONFIG, GROUPS)
        learn(first, 0)
        position = first.position()  # type: ignore[attr-defined]
        first.close()
        assert self.found()[0].info.status == "KILLED"
        second = TRACKERS.find("mlflow").opened(tmp_path, "a")
        second.on_resume(position)  # type: ignore[attr-defined]
        second.on_start(CONFIG, GROUPS)
        learn(second, 1)
        second.on_end(report())
        second.close()
        (kept,) = self.found()
        assert kept.info.status == "FINISHED" and kept.data.metrics["accuracy/experience_2"] > 0


def records(file: Path) -> Iterator[bytes]:
    """What a .wandb file holds: after 7 bytes, LevelDB's log of blocks of 32,768 bytes."""
    content, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        if at + 7 + size > len(content):
            return  # wandb's own process still writes the rest
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or its last part
            yield whole
            whole = b""


def whole(file: Path, kind: Any) -> list[Any]:
    """The file's records, once wandb's own process has written the last one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [kind.FromString(one) for one in records(file)]
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.1)
    raise AssertionError("wandb wrote no end within a minute")


class TestWandb:
    """Offline: kept below the run's directory."""

    @pytest.fixture(autouse=True)
    def _offline(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("WANDB_MODE", "offline")

    def test_curves_settings_and_summary(self, tmp_path: Path) -> None:
        from wandb.proto import wandb_internal_pb2

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told(TRACKERS.find("wandb").opened(tmp_path / "r", "dam on tiny"))
        (file,) = (tmp_path / "r" / "wandb").glob("offline-run-*/run-*.wandb")
        held, config = set[tuple[str, float, int]](), {}
        for record in whole(file, wandb_internal_pb2.Record):
            config |= {item.key: item.value_json for item in record.run.config.update}
            row = {
                item.key or ".".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            for name, value in row.items():
                of_update = name.startswith("distillation/")
                step = f"{name.rpartition('/')[0]}/update" if of_update else "experience"
                if isinstance(value, (float, int)) and step in row:
                    held.add((name, round(value, 6), row[step]))
        assert {(name, round(value, 6), step) for name, value, step in expected()} <= held
        assert json.loads(config["memory.codec"]) == "raw"


class Counting(NullProgress):
    """Stops in the second experience."""

    def phase(self, name: str, total: int) -> None:
        self.num = getattr(self, "num", 0) + (name == "train")
        if self.num == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_tracked_run_is_the_same_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(name, reason=f"needs pip install 'clbench[{name}]'")
    tiny_stream.register(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("WANDB_MODE", "offline")
    config: RunConfig = tiny_stream.config("random_replay")
    plain = run(config).to_dict()
    make = TRACKERS.find(name).opened
    with pytest.raises(KeyboardInterrupt):
        run(
            config, output=tmp_path / "r", trackers=[make(tmp_path / "r", "t")], progress=Counting()
        )
    tracked = run(config, output=tmp_path / "r", trackers=[make(tmp_path / "r", "t")]).to_dict()
    del plain["measured"], tracked["measured"]
    assert tracked == plain


def test_one_that_is_not_installed_says_what_to_do(tmp_path: Path) -> None:
    row = TrackerInfo(lambda place, name: None, "none", package="no_such_package", extra="none")  # type: ignore[arg-type,return-value]
    with pytest.raises(InputError, match=r"pip install 'clbench\[none\]'"):
        row.opened(tmp_path, "x")
    with pytest.raises(InputError, match="did you mean 'wandb'"):
        TRACKERS.find("wandd")
