"""The table of evaluations: every row keeps the protocol, a third party's too."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from clbench.config import NetworkConfig, RunConfig, SetTrainingConfig
from clbench.errors import InputError
from clbench.evaluation import EVALUATIONS, EvaluationInfo, Laboratory, Shown
from clbench.evaluation.protocol import Draw, Evaluation, Result
from clbench.fields import Config, at_least, setting
from clbench.figures import confusion_figure
from clbench.report import RunReport
from clbench.run import run
from clbench.sets import DistilledSet
from clbench.store.store import Store
from clbench.tracking import NullTracker, TensorBoardTracker
from clbench.tracking.protocol import Drawings
from clbench.types import ImageSpec, LabelledImages
from tests import tiny_stream
from tests.distilling import as_set

TRAINING = SetTrainingConfig(epochs=2, batch_size=16).to_dict()
NETWORK = NetworkConfig("cnn", width=4, depth=1, hidden=8).to_dict()
# What makes each evaluation short on tiny images.
SMALL: dict[str, dict[str, Any]] = {
    "set": {"num_networks": 2, "network": NETWORK, "training": TRAINING},
    "offline": {"network": NETWORK, "training": TRAINING},
    "cross_architecture": {"networks": "mlp,cnn", "num_networks": 2, "training": TRAINING},
    "architecture_search": {"space": "few", "full_epochs": 1, "training": TRAINING},
}


@pytest.fixture(autouse=True)
def _few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    from clbench.evaluation import SPACES, Space

    few = [NetworkConfig("cnn", width=width, depth=1, hidden=4) for width in (2, 3, 4)]
    monkeypatch.setitem(SPACES, "few", Space("few", "", "", ("width",), lambda: list(few)))


def made(name: str) -> Evaluation:
    row = EVALUATIONS.find(name)
    return row.make(row.settings.updated(SMALL[name]))


def sets_of(name: str, images: LabelledImages) -> dict[str, DistilledSet]:
    small = as_set(images.select(torch.arange(16)), distilled_with="convnet")
    return {"ours": small} if EVALUATIONS.find(name).of_sets else {}


def evaluated(name: str, images: LabelledImages, spec: ImageSpec, **more: Any) -> Result:
    return made(name).run(Laboratory(images, images, spec, **more), sets_of(name, images))


def methods(protocol: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if name[0] != "_"]


def test_there_is_a_small_version_of_every_row() -> None:
    assert list(SMALL) == list(EVALUATIONS)


@pytest.mark.parametrize("name", SMALL)
def test_every_row_keeps_the_protocol(name: str, tiny_images, tiny_spec) -> None:
    evaluation = made(name)
    assert all(callable(getattr(evaluation, method)) for method in methods(Evaluation))
    evaluation.check(tiny_spec, 0)
    found = evaluated(name, tiny_images, tiny_spec)
    assert all(callable(getattr(found, method)) for method in methods(Result))
    content = found.to_dict()
    assert content and json.loads(json.dumps(content, allow_nan=False)) == content
    assert json.loads(json.dumps(found.measured(), allow_nan=False)) == found.measured()
    for tag, values in found.scalars().items():
        assert tag and len(values) and all(isinstance(value, float) for value in values)
    shown = found.shown()
    assert shown.title and shown.rows
    assert {len(row) for row in shown.rows} == {len(shown.columns)}
    assert all(isinstance(cell, str) for row in (shown.columns, *shown.rows) for cell in row)
    assert all(isinstance(line, str) for line in shown.lines)
    drawings = found.drawings(Laboratory(tiny_images, tiny_images, tiny_spec))
    assert all(isinstance(draw(), Figure) for draw in drawings.values())


@pytest.mark.parametrize("name", SMALL)
def test_every_row_finds_the_same_twice(name: str, tiny_images, tiny_spec) -> None:
    one, other = (evaluated(name, tiny_images, tiny_spec, seed=3).to_dict() for _ in range(2))
    for content in (one, other):
        if isinstance(content, dict):
            content.pop("seconds", None)
    assert one == other


@pytest.mark.parametrize("name", SMALL)
def test_every_row_tells_of_its_work_and_keeps_it(
    name: str, tiny_images, tiny_spec, tmp_path: Path
) -> None:
    heard: list[tuple[int, int]] = []

    def hear(done: int, total: int, *_: object) -> None:
        heard.append((done, total))

    if EVALUATIONS.find(name).of_sets:
        evaluated(name, tiny_images, tiny_spec, directory=tmp_path, on_trial=hear)
        assert {entry.kind for entry in Store(tmp_path).entries()} == {"trials"}
    else:
        place = tmp_path / "checkpoint.pt"
        evaluated(name, tiny_images, tiny_spec, checkpoint=place, on_epoch=hear)
        assert place.exists()
    assert heard and heard[-1][0] == heard[-1][1]


@pytest.mark.parametrize("name", SMALL)
def test_every_row_refuses_what_does_not_fit(name: str, tiny_spec) -> None:
    row = EVALUATIONS.find(name)
    training = {"training": {"augmentation": "blur"}}
    with pytest.raises(InputError, match="blur"):
        row.make(row.settings.updated({**SMALL[name], **training})).check(tiny_spec, 0)


@pytest.mark.parametrize("name", SMALL)
def test_every_rows_settings_go_through_json(name: str) -> None:
    settings = EVALUATIONS.find(name).settings.updated(SMALL[name])
    values = json.loads(json.dumps(settings.to_dict(), allow_nan=False))
    assert type(settings).from_dict(values) == settings


@dataclass(frozen=True)
class MineSettings(Config):
    """A third party's."""

    offset: int = setting(1, "What is added.")

    def _validate(self) -> None:
        at_least(self, 0, "offset")


@dataclass(frozen=True)
class MineResult:
    """Images counted, and what the laboratory held."""

    value: int
    classes: tuple[int, ...]
    real: int

    def to_dict(self) -> dict[str, Any]:
        return {"value": self.value, "classes": list(self.classes), "real": self.real}

    def measured(self) -> dict[str, Any]:
        return {"seconds": 0.5}

    def drawings(self, laboratory: Laboratory) -> dict[str, Draw]:
        return {"counted": lambda: confusion_figure([[self.value, 0], [0, 1]])}

    def scalars(self) -> dict[str, Sequence[float]]:
        return {"mine/value": [float(self.value)]}

    def shown(self) -> Shown:
        return Shown(": counted", ("set", "images"), [["memory", str(self.value)]], ["a line"])


@dataclass(frozen=True)
class Mine:
    """Counts images; refuses an offset of 99."""

    settings: MineSettings

    def check(self, spec: ImageSpec, seed: int) -> None:
        if self.settings.offset == 99:
            raise InputError("offset: expected another number, found 99")

    def run(self, laboratory: Laboratory, sets: Mapping[str, DistilledSet]) -> MineResult:
        (one,) = sets.values()
        num = len(one.images) + self.settings.offset
        return MineResult(num, one.images.classes, len(laboratory.real))


class Ear(NullTracker):
    """Keeps what it hears of evaluations."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Result, Drawings]] = []

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        self.heard.append((name, result, drawings))


@pytest.fixture
def _mine(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_stream.register(monkeypatch)
    row = EvaluationInfo(Mine, "Count.", MineSettings())  # type: ignore[arg-type]
    monkeypatch.setitem(EVALUATIONS, "mine", row)


def config(strategy: str = "random_replay", **settings: Any) -> RunConfig:
    return tiny_stream.config(strategy, evaluations={"mine": MineSettings(**settings)})


@pytest.mark.usefixtures("_mine")
def test_a_third_partys_evaluation_is_part_of_a_run(tmp_path: Path) -> None:
    ear, place = Ear(), tmp_path / "run"
    trackers = (ear, TensorBoardTracker(place))
    report = run(config(offset=2), output=place, trackers=trackers, use_cache=False)
    num = 3 * tiny_stream.NUM_CLASSES
    expected = {
        "value": num + 2,
        "classes": list(range(tiny_stream.NUM_CLASSES)),
        "real": tiny_stream.NUM_CLASSES * tiny_stream.NUM_TRAIN,
    }
    assert report.evaluations == {"mine": expected}
    assert report.measured["evaluations"] == {"mine": {"seconds": 0.5}}
    kept = RunReport.load(place)
    assert kept.evaluations == report.evaluations
    assert kept.config["evaluations"] == {"mine": {"offset": 2}}
    assert RunConfig.from_dict(kept.config).evaluations == {"mine": MineSettings(2)}
    assert (place / "figures" / "counted.png").stat().st_size > 0
    ((name, result, drawings),) = ear.heard
    assert (name, result) == ("mine", MineResult(num + 2, tuple(expected["classes"]), 240))
    assert list(drawings) == ["counted"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(place), size_guidance={"images": 0}).Reload()
    (scalar,) = events.Scalars("memory/mine/value")
    assert (scalar.step, scalar.value) == (3, num + 2)
    assert "memory/counted" in events.Tags()["images"]


@pytest.mark.usefixtures("_mine")
def test_what_a_run_cannot_evaluate_is_refused_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 99"):
        run(config(offset=99), output=tmp_path, use_cache=False)
    with pytest.raises(InputError, match="expected a strategy with a memory, found naive"):
        run(config("naive"), output=tmp_path, use_cache=False)
    offline = {"offline": EVALUATIONS.find("offline").settings}
    with pytest.raises(InputError, match="expected an evaluation of sets, found offline"):
        run(config().replace(evaluations=offline), output=tmp_path, use_cache=False)
    with pytest.raises(InputError, match="unknown evaluation 'moon'"):
        RunConfig.from_dict({"evaluations": {"moon": {}}})
    assert not list(tmp_path.rglob("exp_*"))


@pytest.mark.usefixtures("_mine")
def test_a_third_partys_evaluation_has_options_of_its_own() -> None:
    from clbench.cli.build_config import build_config
    from clbench.cli.options import evaluation_options

    (option,) = [option for option in evaluation_options() if "--mine-offset" in option.opts]
    assert option.help == "What is added.  [default: 1]"
    made = build_config(RunConfig(), {option.name or "": 4})
    assert made.evaluations == {"mine": MineSettings(4)}
