"""What TensorBoard would read back from the event files."""

import io
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorboard
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from clbench import figures
from clbench.distillation import Update
from clbench.errors import InputError
from clbench.evaluation import Shown
from clbench.measuring import metrics
from clbench.report import RunReport
from clbench.tracking import (
    CUSTOM_SCALARS_ADDRESS,
    SCALARS_ADDRESS,
    NullTracker,
    TensorBoardTracker,
    Trackers,
    write_evaluation,
)
from clbench.types import LabelledImages
from tests.distilling import as_set

CONFIG = {
    "strategy": "dam_replay",
    "seed": 3,
    "memory": {"codec": "raw", "capacity_bytes": None},
    "benchmark": {"shuffle_classes": False},
    "learner": {"learning_rate": 0.01},
}
GROUPS = [[0, 1], [2, 3], [4]]
R = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.4, 0.85, 0.6]], dtype=np.float32)
UNTRAINED, NUM_TEST = np.array([0.1, 0.15, 0.05], dtype=np.float32), [100, 300, 100]


def learn(tracker, k: int) -> None:
    memory = LabelledImages(
        torch.full((k + 1, 1, 4, 4), 40 * k, dtype=torch.uint8), torch.arange(k + 1)
    )
    confusion = np.eye(5, dtype=np.int64)
    tracker.on_experience_end(
        k, R[: k + 1], UNTRAINED, NUM_TEST, confusion, as_set(memory).coded, ()
    )


def report(**changes) -> RunReport:
    values = {
        "config": CONFIG,
        "environment": {},
        "data": {},
        "class_groups": GROUPS,
        "num_test": NUM_TEST,
        "accuracy_matrix": R.tolist(),
        "untrained_accuracy": UNTRAINED.tolist(),
        "confusion_matrix": [],
        "metrics": metrics.all_metrics(R, UNTRAINED, NUM_TEST),
    }
    return RunReport(**{**values, **changes})


def test_what_goes_on_is_read_after_what_was_told(tmp_path: Path) -> None:
    """Also within one second, where names end in process numbers and counters."""
    position: dict[str, int] = {}
    for step in range(3):
        tracker = TensorBoardTracker(tmp_path)
        if step:
            tracker.on_resume(position)
        tracker.on_start(CONFIG, GROUPS)
        tracker._scalar("average_accuracy", 0.5, step)
        position = tracker.position()
        tracker._scalar("average_accuracy", 0.9, step + 1)  # told after the checkpoint
        tracker.close()
    assert len({name.split(".")[3] for name in position}) == 3
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("average_accuracy")]
    assert found == [(0, 0.5), (1, 0.5), (2, 0.5), (3, pytest.approx(0.9))]


def run(directory, **changes) -> EventAccumulator:
    tracker = TensorBoardTracker(directory)
    tracker.on_start(CONFIG, GROUPS)
    for k in range(3):
        for update in (1, 2):
            tracker.on_distillation_update(k, Update(update, 2, np.float32(k + 1 / update)))
        learn(tracker, k)
    tracker.on_end(report(**changes))
    tracker.close()
    return read(directory)


def read(directory) -> EventAccumulator:
    return EventAccumulator(str(directory), size_guidance={"images": 0, "tensors": 0}).Reload()


@pytest.fixture(scope="module")
def events(tmp_path_factory) -> EventAccumulator:
    return run(tmp_path_factory.mktemp("run"))


def scalars(events: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in events.Scalars(tag)}


def close_to(expected: dict[int, float]):
    return pytest.approx(expected, rel=1e-6)


def test_accuracy_begins_when_an_experience_has_been_learnt(events):
    for j in range(3):
        expected = {i + 1: R[i, j] for i in range(j, 3)}
        assert scalars(events, f"accuracy/experience_{j + 1}") == close_to(expected)


def test_accuracy_before_learning_is_a_curve_of_its_own(events):
    for j in range(3):
        expected = {0: UNTRAINED[j], **{i + 1: R[i, j] for i in range(j)}}
        assert scalars(events, f"untrained_accuracy/experience_{j + 1}") == close_to(expected)


def smoothed(values: list[float], weight: float = 0.6) -> list[float]:
    """What TensorBoard draws: an exponential mean of the curve so far, corrected for its start."""
    mean, drawn = 0.0, []
    for n, value in enumerate(values, 1):
        mean = weight * mean + (1 - weight) * value
        drawn.append(mean / (1 - weight**n))
    return drawn


@pytest.mark.parametrize("untrained", [0.0, 0.4])
def test_what_is_forgotten_falls_even_where_curves_are_smoothed(tmp_path, untrained):
    matrix = np.array([[1.0, 0.0, 0.0], [0.92, 0.95, 0.0], [0.84, 0.6, 0.9]])
    tracker = TensorBoardTracker(tmp_path)
    tracker.on_start(CONFIG, GROUPS)
    for k in range(3):
        start = np.full(3, untrained)
        tracker.on_experience_end(k, matrix[: k + 1], start, NUM_TEST, None, None, ())
    tracker.close()
    events = read(tmp_path)
    for j in (1, 2):
        curve = scalars(events, f"accuracy/experience_{j}")
        assert list(curve) == sorted(curve)
        drawn = smoothed(list(curve.values()))
        assert drawn == sorted(drawn, reverse=True) and drawn[0] > drawn[-1]


def test_forgetting_starts_at_the_experience_after(events):
    assert scalars(events, "forgetting/experience_1") == close_to({2: 0.2, 3: 0.5})
    assert scalars(events, "forgetting/experience_2") == close_to({3: -0.05})
    assert "forgetting/experience_3" not in events.Tags()["scalars"]


def test_metrics_appear_as_they_become_defined(events):
    assert scalars(events, "averages/average_accuracy") == close_to({1: 0.9, 2: 0.75, 3: 1.85 / 3})
    assert scalars(events, "averages/bwt") == close_to({2: -0.2, 3: -0.225})
    assert scalars(events, "averages/fwt") == close_to({2: 0.05, 3: 0.15})
    incremental = {1: 0.9, 2: 0.825, 3: (0.9 + 0.75 + 1.85 / 3) / 3}
    assert scalars(events, "averages/average_incremental_accuracy") == close_to(incremental)
    assert scalars(events, "memory_bytes") == {1: 16, 2: 32, 3: 48}


def test_every_final_metric_of_the_report_is_the_last_value_of_its_chart(events):
    for name, value in report().metrics.items():
        tag = f"averages/{name}"
        assert scalars(events, tag)[3] == pytest.approx(value, rel=1e-6)
        assert len(events.Scalars(tag)) == len(scalars(events, tag)), "one value per step"


def test_what_only_the_report_measures_is_added_at_the_end(tmp_path):
    events = run(tmp_path, metrics={"balanced_accuracy": 0.4, "bwt": -0.225})
    assert scalars(events, "averages/balanced_accuracy") == close_to({3: 0.4})
    assert set(scalars(events, "averages/bwt")) == {2, 3}


def test_distillation_loss_over_updates(events):
    assert scalars(events, "distillation/experience_2/loss") == close_to({1: 2.0, 2: 1.5})


def test_other_curves_experts_and_images_of_a_distillation(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    made = LabelledImages(torch.rand(4, 1, 8, 8), torch.eye(2).repeat(2, 1))
    for number in (1, 2):
        tracker.on_distillation_update(1, Update(number, 2, 3.0 / number, "experts"))
    for number in (1, 2, 3):
        images = made if number > 1 else None
        more = {"step_size": np.float32(0.5 / number)}
        tracker.on_distillation_update(1, Update(number, 3, 1.0, scalars=more, images=images))
    tracker.on_distillation_update(1, Update(0, 0, 0.0, note="a note alone has no place in charts"))
    tracker.close()
    events, folder = read(tmp_path), "distillation/experience_2"
    tags = set(events.Tags()["scalars"])
    assert tags == {f"{folder}/{n}" for n in ("loss", "step_size", "expert_loss")}
    assert scalars(events, f"{folder}/expert_loss") == close_to({1: 3.0, 2: 1.5})
    assert scalars(events, f"{folder}/step_size") == close_to({1: 0.5, 2: 0.25, 3: 0.5 / 3})
    assert scalars(events, f"{folder}/loss") == {1: 1.0, 2: 1.0, 3: 1.0}
    assert events.Tags()["images"] == [f"{folder}/images"]
    shown = events.Images(f"{folder}/images")
    assert [image.step for image in shown] == [2, 3]
    with Image.open(io.BytesIO(shown[0].encoded_image_string)) as image:
        assert np.asarray(image).std() > 1


def test_images_at_every_step(events):
    shown = {"accuracy_curves", "accuracy_matrix", "confusion_matrix", "memory"}
    assert set(events.Tags()["images"]) == shown
    for tag in events.Tags()["images"]:
        images = events.Images(tag)
        assert [image.step for image in images] == [1, 2, 3]
        with Image.open(io.BytesIO(images[-1].encoded_image_string)) as image:
            assert image.size == (images[-1].width, images[-1].height)
            assert np.asarray(image).std() > 1


def test_configuration_as_a_table(events):
    (event,) = events.Tensors("configuration/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert text.splitlines()[:2] == ["| setting | value |", "| --- | --- |"]
    assert "| strategy | dam_replay |" in text
    assert "| memory.codec | raw |" in text
    assert "| memory.capacity_bytes | default |" in text
    (event,) = events.Tensors("classes/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert text.splitlines()[0] == "| experience | classes |" and "| 2 | 2 3 |" in text


def test_layout_gathers_all_curves_in_one_chart_each(events):
    import re

    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {chart.title: chart for category in layout.category for chart in category.chart}
    title = layout.category[0].title
    assert "Smoothing 0" in title and "untick Ignore outliers" in title
    assert CUSTOM_SCALARS_ADDRESS.partition("#")[2] in title
    tags = events.Tags()["scalars"]

    def shown(title: str) -> set[str]:
        patterns = charts[title].multiline.tag
        return {tag for tag in tags if any(re.match(pattern, tag) for pattern in patterns)}

    assert shown("accuracy on each experience") == {f"accuracy/experience_{j}" for j in (1, 2, 3)}
    assert shown("forgetting of each experience") == {f"forgetting/experience_{j}" for j in (1, 2)}
    assert shown("transfer") == {"averages/bwt", "averages/fwt"}
    before = {f"untrained_accuracy/experience_{j}" for j in (1, 2, 3)}
    assert shown("accuracy before an experience is learnt") == before
    losses = {f"distillation/experience_{j}/loss" for j in (1, 2, 3)}
    assert shown("loss of each experience") == losses
    averages = {"averages/average_accuracy", "averages/average_incremental_accuracy"}
    assert shown("average accuracy") == averages
    assert shown("average forgetting") == {"averages/forgetting"}, "not on one axis with accuracy"
    assert shown("recall of each class") == {f"recall/{c}" for c in range(5)}
    assert events.PluginTagToContent("custom_scalars")


def test_the_addresses_switch_smoothing_off_in_every_tab():
    """Time Series reads the query, Scalars and Custom Scalars the fragment; 0.6 otherwise."""
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin

    tabs = {SCALARS_ADDRESS: ScalarsPlugin, CUSTOM_SCALARS_ADDRESS: CustomScalarsPlugin}
    for address, plugin in tabs.items():
        tab = plugin.plugin_name
        assert address == f"http://localhost:6006/?smoothing=0#{tab}&_smoothingWeight=0"
    with zipfile.ZipFile(Path(tensorboard.__file__).parent / "webfiles.zip") as pages:
        assert b'"_smoothingWeight"' in pages.read("index.js"), "TensorBoard reads another name"


def hparams(events: EventAccumulator) -> dict[str, HParamsPluginData]:
    return {
        tag: HParamsPluginData.FromString(content)
        for tag, content in events.PluginTagToContent("hparams").items()
    }


def test_hparams_name_settings_and_metrics_in_the_same_run(events):
    found = hparams(events)
    start = found["_hparams_/session_start_info"].session_start_info.hparams
    assert start["strategy"].string_value == "dam_replay"
    assert start["memory.codec"].string_value == "raw"
    assert start["learner.learning_rate"].number_value == 0.01
    assert start["memory.capacity_bytes"].string_value == "default"
    assert start["benchmark.shuffle_classes"].string_value == "False"
    experiment = found["_hparams_/experiment"].experiment
    first = {info.name for info in experiment.hparam_infos if info.differs}
    assert first == {"strategy", "seed", "memory.codec"}, "TensorBoard's table begins with these"
    assert {info.name.tag for info in experiment.metric_infos} == {
        f"averages/{name}" for name in report().metrics
    }
    assert found["_hparams_/session_end_info"].session_end_info.status == 1  # STATUS_SUCCESS
    files = list(Path(events.path).iterdir())
    assert [path.is_file() for path in files] == [True], "one file, no run beside"


def test_a_run_that_stopped_has_no_success(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.on_start(CONFIG, GROUPS)
    tracker.close()
    assert set(hparams(read(tmp_path))) == {
        "_hparams_/experiment",
        "_hparams_/session_start_info",
    }


def test_everything_can_be_read_while_the_run_goes_on(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.on_start(CONFIG, GROUPS)
    learn(tracker, 0)
    assert scalars(read(tmp_path), "averages/average_accuracy") == close_to({1: 0.9})
    learn(tracker, 1)
    assert scalars(read(tmp_path), "averages/average_accuracy") == close_to({1: 0.9, 2: 0.75})
    tracker.close()


def test_a_stream_of_one_experience_without_memory(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.on_start(CONFIG, [[0, 1]])
    tracker.on_experience_end(0, [[0.75]], [0.5], [8], None, None, ())
    tracker.on_end(report(class_groups=[[0, 1]], metrics={"average_accuracy": 0.75}))
    tracker.close()
    events = read(tmp_path)
    assert scalars(events, "averages/average_accuracy") == {1: 0.75}
    absent = {"averages/bwt", "averages/fwt", "averages/forgetting", "memory_bytes"}
    assert not absent & set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["accuracy_curves", "accuracy_matrix"]


def test_closing_ends_the_thread_and_may_be_repeated(tmp_path):
    before = threading.active_count()
    tracker = TensorBoardTracker(tmp_path)
    assert threading.active_count() > before
    tracker.close()
    tracker.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        tracker.on_distillation_update(0, Update(1, 1, 0.5))


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="expected a folder for TensorBoard"):
        TensorBoardTracker(tmp_path / "taken" / "run")


def test_process_exits_even_unclosed_and_tensorflow_stays_out(tmp_path):
    """A tensorflow that shouts on import stands in for the real one; nor is pyplot needed."""
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake" / "tensorflow.py").write_text("raise SystemExit('tensorflow imported')")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "fake")!r})
from pathlib import Path
from clbench.distillation import Update
from clbench.tracking import TensorBoardTracker
tracker = TensorBoardTracker(Path({str(tmp_path / "run")!r}))
tracker.on_start({CONFIG!r}, {GROUPS!r})
tracker.on_distillation_update(0, Update(1, 1, 0.5))
assert "tensorflow" not in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - start < 50


class Evaluated:
    """The result of an evaluation of the last memory."""

    def to_dict(self):
        return {}

    def measured(self):
        return {}

    def drawings(self, laboratory):
        return {"bars": bars}

    def scalars(self):
        return {"mine/accuracy": [0.5, 0.75], "mine/other": [0.25]}

    def shown(self):
        return Shown("", ("set",), [["memory"]])


def bars():
    return figures.comparison_bars_figure({"memory": [0.5]})


def test_an_evaluation_stands_at_the_last_step(tmp_path):
    tracker = TensorBoardTracker(tmp_path)
    tracker.on_start(CONFIG, GROUPS)
    for k in range(3):
        learn(tracker, k)

    def fails():
        raise ValueError("no luck")

    with pytest.warns(UserWarning, match="no luck"):
        tracker.on_evaluation("mine", Evaluated(), {"bars": bars, "bad": fails})
    tracker.close()
    events = read(tmp_path)
    assert scalars(events, "memory/mine/accuracy") == close_to({3: 0.75})
    assert scalars(events, "memory/mine/other") == close_to({3: 0.25})
    assert [image.step for image in events.Images("memory/bars")] == [3]
    assert "memory/bad" not in events.Tags()["images"]


@pytest.mark.parametrize("name", ["s", "$x^{$", "caf\udce9"])
def test_the_events_of_an_evaluation_can_be_read_back_whatever_the_set_is_called(tmp_path, name):
    columns, rows = ("set", "accuracy"), [[name, "75.0"]]
    curves = {f"cross/{name}": [0.5, None, 0.75]}
    write_evaluation(
        tmp_path, drawn={"bars": bars}, tables={"result": (columns, rows)}, curves=curves
    )
    events = read(tmp_path)
    (tag,) = events.Tags()["scalars"]
    assert tag.startswith("cross/") and scalars(events, tag) == close_to({1: 0.5, 3: 0.75})
    assert events.Tags()["images"] == ["bars"] and "result/text_summary" in events.Tags()["tensors"]


class Recorder(NullTracker):
    def __init__(self, fails: bool = False) -> None:
        self.heard: list[tuple] = []
        self.fails = fails

    def on_start(self, config, class_groups):
        self.heard.append(("start", config, class_groups))

    def on_distillation_update(self, k, update):
        self.heard.append(("update", k, update))

    def on_experience_end(self, k, *rest):
        self.heard.append(("experience", k, len(rest)))

    def on_evaluation(self, name, result, drawings):
        self.heard.append(("evaluation", name, result, drawings))

    def on_end(self, report):
        self.heard.append(("end", report))

    def close(self):
        self.heard.append(("close",))
        if self.fails:
            raise OSError("disk full")


def test_several_trackers_hear_everything_and_are_all_closed():
    first, second = Recorder(fails=True), Recorder()
    trackers = Trackers(first, NullTracker(), second)
    final = report()
    trackers.on_start(CONFIG, GROUPS)
    trackers.on_distillation_update(0, Update(1, 1, 0.5))
    learn(trackers, 0)
    found, drawings = Evaluated(), {"bars": bars}
    trackers.on_evaluation("mine", found, drawings)
    trackers.on_end(final)
    with pytest.warns(UserWarning, match="Recorder failed .OSError: disk full.; the run goes on"):
        trackers.close()
    assert first.heard == second.heard
    kinds = [event[0] for event in first.heard]
    assert kinds == ["start", "update", "experience", "evaluation", "end", "close"]
    assert first.heard[2] == ("experience", 0, 6)
    assert first.heard[3] == ("evaluation", "mine", found, drawings)
    Trackers().close()


class Breaks(Recorder):
    """Cannot be told of the first experience."""

    def on_experience_end(self, k, *rest):
        super().on_experience_end(k, *rest)
        raise ConnectionError("no answer\nfrom the server")


def test_a_tracker_that_fails_is_left_out():
    broken, sound = Breaks(), Recorder()
    trackers = Trackers(broken, sound)
    trackers.on_start(CONFIG, GROUPS)
    with pytest.warns(UserWarning, match="Breaks failed .ConnectionError: no answer from the"):
        learn(trackers, 0)
    trackers.on_end(report())
    trackers.close()
    assert [event[0] for event in broken.heard] == ["start", "experience", "close"]
    assert [event[0] for event in sound.heard] == ["start", "experience", "end", "close"]


def test_a_tracker_may_refuse_before_the_work_begins():
    class Refuses(NullTracker):
        def on_start(self, config, class_groups):
            raise InputError("expected another folder")

    with pytest.raises(InputError, match="another folder"):
        Trackers(Refuses()).on_start(CONFIG, GROUPS)
