"""TensorBoard's view of a run.

The x-axis (step) of every chart is the number of experiences learnt: 0 is the untrained network,
1 the moment after the first experience; names count experiences from 1 likewise. The one exception
is ``distillation/experience_k/...``, whose step is the update: of the images for ``loss``,
``images`` and the distiller's other curves, of the networks it learns from for ``expert_loss``. The
learner's metrics at step t, ``averages/...``, are those of the stream's first t experiences. All
shares are in 0..1, as in a report; pictures say per cent.

``accuracy/experience_k`` begins at step k, when experience k has been learnt, so what happens to
the curve is forgetting. What the network scores before that, from step 0 to k - 1, is
``untrained_accuracy/experience_k``, where a rise is forward transfer. In one curve, TensorBoard's
smoothing would mix the low points before with the high one after, and draw a rise where the
accuracy falls.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from clbench import figures
from clbench.coded import CodedImages
from clbench.distillation import Update
from clbench.errors import InputError
from clbench.evaluation.protocol import Result
from clbench.measuring import metrics
from clbench.measuring.metrics import Matrix, Vector
from clbench.report import RunReport
from clbench.store.plain import readable
from clbench.tracking import curves
from clbench.tracking.protocol import Drawings

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

# Events reach the disk at the latest after so many seconds, so that a long distillation can be
# watched; after each experience they are flushed anyway.
FLUSH_SECONDS = 5

MOST_WAIT = 2.0

_UNSET = "default"  # what a setting of None is shown as
# The table of the HPARAMS tab has room for five settings, by itself the first of the alphabet.
_SHOWN_FIRST = {
    "strategy",
    "seed",
    "memory.images_per_class",
    "memory.capacity_bytes",  # one of the two is set
    "memory.codec",
    "learner.network.name",
}

# TensorBoard smooths curves by 0.6, which bends one measurement per experience out of shape. Its
# Time Series tab reads the amount from the address's query, Scalars and Custom Scalars from its
# fragment, which also chooses the tab.
SCALARS_ADDRESS = "http://localhost:6006/?smoothing=0#scalars&_smoothingWeight=0"
CUSTOM_SCALARS_ADDRESS = "http://localhost:6006/?smoothing=0#custom_scalars&_smoothingWeight=0"

# TensorBoard also leaves the extremes outside of a chart, among them the worst forgetting. No
# address and no layout switches that off, but a layout's title is read beside the switch.
_LAYOUT = {
    "Continual learning (Smoothing 0: open as #custom_scalars&_smoothingWeight=0; "
    "untick Ignore outliers)": {
        "accuracy on each experience": ["Multiline", [r"^accuracy/experience_\d+$"]],
        "forgetting of each experience": ["Multiline", [r"^forgetting/experience_\d+$"]],
        "average accuracy": [
            "Multiline",
            [r"^averages/average_accuracy$", r"^averages/average_incremental_accuracy$"],
        ],
        "average forgetting": ["Multiline", [r"^averages/forgetting$"]],
        "transfer": ["Multiline", [r"^averages/bwt$", r"^averages/fwt$"]],
        "recall of each class": ["Multiline", [r"^recall/.*$"]],
        "accuracy before an experience is learnt": [
            "Multiline",
            [r"^untrained_accuracy/experience_\d+$"],
        ],
    },
    "Distillation": {
        "loss of each experience": ["Multiline", [r"^distillation/experience_\d+/loss$"]],
    },
}


def summary_writer(directory: Path) -> SummaryWriter:
    """A writer that never imports tensorflow.

    TensorBoard takes tensorflow for its file operations wherever it is installed, at the price of
    seconds and screens of messages, unless a module of this name exists: its own switch for builds
    without tensorflow. Somebody who has tensorflow loaded already keeps it.
    """
    if "tensorflow" not in sys.modules:
        name = "tensorboard.compat.notf"
        sys.modules.setdefault(name, ModuleType(name))
    from torch.utils.tensorboard import SummaryWriter

    _silence_writers()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return SummaryWriter(str(directory), flush_secs=FLUSH_SECONDS)
    except OSError as error:
        raise InputError(
            f"expected a folder for TensorBoard that can be written, found {directory} ({error}); "
            "choose another"
        ) from None


def _silence_writers() -> None:
    """Show no traceback of a thread that writes events: the next event raises what it raised."""
    before = threading.excepthook

    def show(failed: threading.ExceptHookArgs) -> None:
        if (
            not isinstance(failed.exc_value, OSError)
            or "event_file_writer" not in type(failed.thread).__module__
        ):
            before(failed)

    show.clbench = True  # type: ignore[attr-defined]
    if not hasattr(before, "clbench"):
        threading.excepthook = show


class TensorBoardTracker:
    """Writes event files while the run goes on; `close` joins the writer's thread."""

    def __init__(self, directory: Path) -> None:
        """Open an event file in ``directory``, which is made where it is missing.

        Raises:
            InputError: the folder cannot be written.
        """
        self._directory, self._resumed = directory, False
        self._writer: SummaryWriter | None = summary_writer(directory)
        self._class_groups: Sequence[Sequence[int]] = ()
        self._hparams: dict[str, Any] = {}
        self._told = set[str]()  # tags of this run's scalars

    @property
    def _open_writer(self) -> SummaryWriter:
        if self._writer is None:
            raise RuntimeError("this tracker was closed")
        return self._writer

    def position(self) -> dict[str, int]:
        """Bytes of each event file."""
        self._open_writer.flush()
        return {file.name: file.stat().st_size for file in self._event_files()}

    def on_resume(self, position: dict[str, int]) -> None:
        """Cut off what a killed run had told after ``position``, so that no point stands twice."""
        own = self._own_file
        for file in self._event_files():
            size = position.get(file.name)
            if size is not None:
                os.truncate(file, min(size, file.stat().st_size))
            elif file != own:
                file.unlink()
        self._go_on_after(max(map(_second, position), default=0))
        self._resumed = True

    def _go_on_after(self, second: int) -> None:
        """Write to a file of a later second: TensorBoard reads event files in the order of names.

        Where the clock has gone back by more than `MOST_WAIT` seconds nothing is waited for.
        """
        own = self._own_file
        if _second(own.name) > second:
            return
        self.close()
        own.unlink(missing_ok=True)
        wait = second + 1 - time.time()
        if 0 < wait <= MOST_WAIT:
            time.sleep(wait)
        self._writer = summary_writer(self._directory)

    @property
    def _own_file(self) -> Path:
        writer: Any = self._open_writer.file_writer
        return self._directory / Path(writer.event_writer._file_name).name

    def _event_files(self) -> list[Path]:
        return sorted(self._directory.glob("events.out.tfevents.*"))

    def on_start(self, config: dict[str, Any], class_groups: Sequence[Sequence[int]]) -> None:
        """Layout, configuration as text, and the hyper-parameters of the run."""
        writer = self._open_writer
        self._class_groups = class_groups
        flat = dict(curves.flatten(config))
        self._hparams = {name: _hparam(value) for name, value in flat.items()}
        if self._resumed:
            return  # told before
        writer.add_custom_scalars(_LAYOUT)
        writer.add_text("configuration", markdown_table(("setting", "value"), flat.items()), 0)
        groups = {str(k + 1): " ".join(map(str, group)) for k, group in enumerate(class_groups)}
        writer.add_text("classes", markdown_table(("experience", "classes"), groups.items()), 0)
        self._write_hparams(_metric_names(len(class_groups)), ended=False)
        writer.flush()

    def on_distillation_update(self, k: int, update: Update) -> None:
        """Loss, other curves and images, at the update."""
        for name, value, step in curves.of_update(k, update):
            self._scalar(name, value, step)
        if not update.number or update.phase != "distil":
            return
        folder = f"distillation/experience_{k + 1}"
        if update.images is not None and len(update.images):
            title = f"Distilled images after update {update.number}"
            images = update.images
            self._image(
                f"{folder}/images",
                lambda: figures.memory_figure(images, title=title),
                update.number,
            )

    def on_experience_end(
        self,
        k: int,
        R_so_far: Matrix,
        untrained: Vector,
        num_test: Vector,
        confusion: Matrix | None,
        memory: CodedImages | None,
        class_names: Sequence[str],
    ) -> None:
        """Scalars and images of the stream so far, at step ``k + 1``; then a flush."""
        for name, value, step in curves.of_experience(k, R_so_far, untrained, num_test, memory):
            self._scalar(name, value, step)
        for name, value, step in curves.of_recalls(k, confusion, self._class_groups, class_names):
            self._scalar(name, value, step)
        R = np.asarray(R_so_far, dtype=np.float64)[: k + 1]
        self._image("accuracy_curves", lambda: self._curves_figure(R[:, : k + 1]), k + 1)
        self._image("accuracy_matrix", lambda: self._accuracy_figure(R), k + 1)
        if confusion is not None:
            self._image(
                "confusion_matrix",
                lambda: figures.confusion_figure(confusion, class_names=class_names),
                k + 1,
            )
        if memory is not None and len(memory):
            self._image(
                "memory",
                lambda: figures.memory_figure(
                    memory.images, class_names=class_names, num_bytes=memory.num_bytes
                ),
                k + 1,
            )
        self._open_writer.flush()

    def on_evaluation(self, name: str, result: Result, drawings: Drawings) -> None:
        """Its figures, and its scalars, at the last step."""
        step = len(self._class_groups)
        for title, draw in drawings.items():
            self._image(f"memory/{readable(title)}", draw, step)
        for tag, value, _ in curves.of_evaluation(result, step):
            self._scalar(tag, value, step)

    def on_end(self, report: RunReport) -> None:
        """Metrics only the report has, and the mark that the run succeeded.

        The HPARAMS tab shows each metric's last value in this run.
        """
        num = len(report.class_groups)
        told = {*self._told, *(curves.AVERAGES + name for name in _metric_names(num))}
        for tag, value, step in curves.of_report(report.metrics, num, told):
            self._scalar(tag, value, step)
        self._write_hparams(report.metrics, ended=True)
        self._open_writer.flush()

    def close(self) -> None:
        """Flush, close the file and end the writer's thread; a second call does nothing."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _scalar(self, tag: str, value: float, step: int) -> None:
        self._told.add(tag)
        # Doubles of Python only: float32 of numpy is dropped by some writers.
        self._open_writer.add_scalar(tag, float(value), step)

    def _curves_figure(self, R: Matrix) -> Figure:
        """Draw what is forgotten within whole axes: TensorBoard's charts cut extremes off."""
        groups = self._class_groups[: len(R)]
        return figures.forgetting_curves_figure(
            R, class_groups=groups if len(groups) == len(R) else None
        )

    def _accuracy_figure(self, R: Matrix) -> Figure:
        groups = self._class_groups if len(self._class_groups) == np.shape(R)[1] else None
        return figures.accuracy_matrix_figure(R, class_groups=groups)

    def _image(self, tag: str, draw: Callable[[], Figure], step: int) -> None:
        try:
            pixels = figures.figure_to_array(draw())
        except Exception as error:  # no figure is worth a run
            return warnings.warn(f"TensorBoard: {figures.not_drawn(tag, error)}", stacklevel=3)
        self._open_writer.add_image(tag, pixels, step, dataformats="HWC")

    def _write_hparams(self, metric_names: Mapping[str, Any] | Sequence[str], ended: bool) -> None:
        # `SummaryWriter.add_hparams` would open a run of its own beside this one. The first two
        # summaries announce the run as soon as it starts; the third says that it succeeded.
        from torch.utils.tensorboard.summary import hparams

        make: Any = hparams
        tags = [curves.AVERAGES + name for name in metric_names]
        experiment, start, end = make(self._hparams, dict.fromkeys(tags, 0.0))
        writer: Any = self._open_writer.file_writer
        for summary in (end,) if ended else (self._telling_first(experiment), start):
            writer.add_summary(summary)

    def _telling_first(self, announcement: Any) -> Any:
        """The announcement with a mark on what to show first, where TensorBoard knows the mark."""
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        content = announcement.value[0].metadata.plugin_data
        data = HParamsPluginData.FromString(content.content)
        for info in data.experiment.hparam_infos:
            if "differs" in info.DESCRIPTOR.fields_by_name:
                is_set = self._hparams[info.name] != _UNSET
                info.differs = info.name in _SHOWN_FIRST and is_set
        content.content = data.SerializeToString()
        return announcement


def _second(name: str) -> int:
    """When an event file was opened, from its name: events.out.tfevents.SECOND.HOST.PID.NUMBER."""
    return int(name.split(".")[3])


def _metric_names(num_experiences: int) -> list[str]:
    """What will be measured on a stream of so many experiences."""
    count = max(1, num_experiences)
    return list(metrics.all_metrics(np.zeros((count, count)), [0.0] * count, [1] * count))


def _hparam(value: Any) -> str | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _UNSET if value is None else readable(str(value))
    return float(value)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of text as TensorBoard shows it; None stands as "default"."""

    def cell(value: Any) -> str:
        text = _UNSET if value is None else str(value)
        return readable(text).replace("|", "\\|").replace("\n", " ")

    lines = [header, ["---"] * len(header), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
