"""The composition root: stream, memory, learner and measurement of one run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clbench import benchmarks, data, distillation, networks, seeding, strategies
from clbench.benchmarks import Benchmark, make_benchmark
from clbench.config import RunConfig
from clbench.distillation import Update
from clbench.distillation.augmentation import parse
from clbench.errors import Diverged, InputError
from clbench.evaluation.trials import OnTrial
from clbench.machine.allocator import keep_freed_memory
from clbench.machine.device import resolve_device
from clbench.measuring.cost import Stopwatch, environment, forward_flops, peak_memory_bytes
from clbench.measuring.metrics import all_metrics, roc_auc, two_class_metrics
from clbench.memory import DistillationRecord, DistilledMemory, ImageMemory
from clbench.report import RunReport
from clbench.run import evaluations
from clbench.run.directory import RunDirectory
from clbench.run.evaluations import Evaluations
from clbench.run.forecast import forecast
from clbench.run.progress import NullProgress, RunProgress
from clbench.run.watch import TrainingWatch
from clbench.tracking import Tracker, Trackers
from clbench.training import predict_logits
from clbench.types import LabelledImages


def run(
    config: RunConfig,
    *,
    data_root: Path | None = None,
    output: Path | None = None,
    progress: RunProgress | None = None,
    trackers: Sequence[Tracker] = (),
    use_cache: bool | Path = True,
) -> RunReport:
    """Run a strategy on a benchmark under one seed and measure everything.

    The same configuration on the same machine gives the same report but for ``measured``.

    Args:
        config: what to run.
        data_root: where data sets are looked for, see `clbench.data.data_root`.
        output: run directory to write, see `RunDirectory`; None writes nothing.
        progress: hears how far the run has come.
        trackers: hear of every event; closed at the end, whatever happens.
        use_cache: take distilled sets from the user's cache, or from a directory, when the very
            same work was done before, and put them there; an interrupted run that is started anew
            loses none.

    Raises:
        InputError: anything in the configuration that does not fit, before any work; missing data;
            an output that cannot be written.
        Diverged: a loss, a weight or a pixel is nan or infinite; the directory says "diverged" and
            keeps ``partial.json``.
        KeyboardInterrupt: passed on; the directory says "interrupted" and keeps ``partial.json``.
    """
    with closing(Trackers(*trackers)) as tracker:
        strategies.find_strategy(config.strategy)
        benchmark = make_benchmark(config.benchmark, data_root, config.seed)
        config = _resolved(config, benchmark)
        watcher = progress or NullProgress()
        _decode(benchmark, data_root, watcher)
        device = resolve_device(config.device)
        directory = RunDirectory(output)
        surroundings = environment(device)
        keep_freed_memory()
        with (
            directory.recorded(config.to_dict(), surroundings),
            seeding.global_seed(config.seed, "run"),
        ):
            session = _Session(config, benchmark, device, watcher, tracker, directory, use_cache)
            session.learn()
            session.evaluate_memory(use_cache)
            report = session.report(surroundings)
            found = session.evaluations
            memory, names = session.remembered(), session.class_names
            for note in directory.report(report, memory, names, found.figures):
                watcher.note(note)
            for name, figure in found.drawn():
                tracker.on_evaluation(name, figure)
            tracker.on_end(report)
    return report


class _Session:
    """One run under way."""

    def __init__(
        self,
        config: RunConfig,
        benchmark: Benchmark,
        device: torch.device,
        progress: RunProgress,
        tracker: Tracker,
        directory: RunDirectory,
        use_cache: bool | Path,
    ) -> None:
        self.config, self.benchmark, self.device = config, benchmark, device
        self.progress, self.tracker, self.directory = progress, tracker, directory
        self.clock = Stopwatch(device)
        self.spec = benchmark.spec
        self.class_names = benchmark.data.spec.class_names
        self.experience = 0
        self._told: tuple[tuple[int, str], int] = ((-1, ""), 0)
        self.memory = strategies.make_memory(
            config, self.spec, device=device, cache=use_cache, on_update=self._distilling
        )
        _check(config, benchmark, self.memory)
        self.strategy = strategies.build(
            config, self.spec, device=device, memory=self.memory, plugins=[TrainingWatch(progress)]
        )
        experiences = range(len(benchmark))
        self.test = [benchmark.tensors("test", k) for k in experiences]
        self.validation: list[LabelledImages] = []
        if config.benchmark.validation_fraction > 0:
            self.validation = [benchmark.tensors("validation", k) for k in experiences]
        self.matrix: list[list[float]] = []
        self.validation_matrix: list[list[float]] = []
        self.num_evaluated = 0
        self.untrained: list[float] = []
        self.confusion: list[list[int]] = []
        self.margins: list[tuple[Tensor, Tensor]] = []
        self.evaluations = Evaluations()

    def learn(self) -> None:
        """Go through the stream; test on everything after each experience."""
        groups = [list(group) for group in self.benchmark.class_groups]
        self.tracker.on_start(self.config.to_dict(), groups)
        self.progress.start(len(groups))
        for line in forecast(self.config, self.benchmark, self.memory, self.device):
            self.progress.note(line)
        self.progress.phase("evaluate", len(groups))
        self.untrained, self.confusion = self._evaluate(self.test)
        for k, experience in enumerate(self.benchmark.streams.train):
            self.experience = k
            try:
                with self.clock.phase("train"):
                    self.strategy.train(experience, eval_streams=[])
                self.progress.phase("evaluate", len(self.test) + len(self.validation))
                row, self.confusion = self._evaluate(self.test)
            except Diverged as error:
                self.directory.partial(self._partial())
                raise Diverged(_of_experience(k, str(error))) from None
            self.matrix.append(row)
            if self.validation:
                self.validation_matrix.append(self._evaluate(self.validation)[0])
            self._publish(k)

    def evaluate_memory(self, use_cache: bool | Path) -> None:
        """What else the configuration wants to know of the last memory."""
        memory = self.remembered()
        if memory is None:
            return
        experiences = range(len(self.benchmark))
        train = [self.benchmark.tensors("train", k) for k in experiences]

        def phase(name: str) -> OnTrial:
            return lambda done, total, trial, outcome: self._tried(name, done, total)

        with self.clock.phase("memory"):
            self.evaluations = evaluations.evaluate_memory(
                memory,
                self._in_own_numbers(LabelledImages.concatenate(train)),
                self._in_own_numbers(LabelledImages.concatenate(self.test)),
                self.benchmark.data.spec,
                self.config,
                device=self.device,
                use_cache=use_cache,
                on_phase=phase,
            )

    def _tried(self, name: str, done: int, total: int) -> None:
        told, before = self._told
        if told != (-1, name):
            self.progress.phase(name, total)
            before = 0
        self.progress.advance(done - before)
        self._told = ((-1, name), done)

    def _publish(self, k: int) -> None:
        row, memory = self.matrix[k], self.remembered()
        if memory is not None:
            self.directory.memory(k, memory)
        self.directory.partial(self._partial())
        self.tracker.on_experience_end(
            k, self.matrix, self.untrained, self._num_test, self.confusion, memory, self.class_names
        )
        learnt = sum(row[: k + 1]) / (k + 1)
        held = "" if self.memory is None else f", memory {self.memory.records[-1].num_bytes} bytes"
        text = (
            f"experience {k + 1} of {len(self.test)}: average accuracy {100 * learnt:.1f} %{held}"
        )
        self.progress.note(text)

    def _distilling(self, update: Update) -> None:
        if update.number:
            self._show_progress(update)
        if update.note:
            self.progress.note(_of_experience(self.experience, update.note))
        if update.images is not None:
            update = dataclasses.replace(update, images=self._in_own_numbers(update.images))
        self.tracker.on_distillation_update(self.experience, update)

    def _show_progress(self, update: Update) -> None:
        """Work that came from a cache is told in leaps, so that the first number may be any."""
        under_way, done = self._told
        if under_way != (self.experience, update.phase) or update.number <= done:
            self.progress.phase(update.phase, update.total)
            done = 0
        self.progress.advance(update.number - done)
        self._told = ((self.experience, update.phase), update.number)

    def _evaluate(self, parts: list[LabelledImages]) -> tuple[list[float], list[list[int]]]:
        """Accuracy on each part, and the confusion matrix of all in the data set's own numbers."""
        num_classes = self.spec.num_classes
        own = torch.tensor(self.benchmark.class_order)
        counts = torch.zeros(num_classes**2, dtype=torch.int64)
        row: list[float] = []
        with self.clock.phase("evaluate"):
            for data in parts:
                logits = predict_logits(self.strategy.model, data, self.spec, self.device)
                if not logits.isfinite().all():
                    raise Diverged(self._outputs_diverged())
                predicted = logits.argmax(1)
                if parts is self.test:
                    self._keep_margins(logits, data.labels, first=not row)
                row.append(float((predicted == data.labels).double().mean()))
                cells = own[data.labels] * num_classes + own[predicted]
                counts += torch.bincount(cells, minlength=num_classes**2)
                self.num_evaluated += len(data)
                self.progress.advance()
        return row, counts.view(num_classes, num_classes).tolist()

    def _outputs_diverged(self) -> str:
        alone = strategies.find_strategy(self.config.strategy).training == "gdumb"
        trained = self.config.set_training if alone else self.config.learner
        option = "--set-learning-rate" if alone else "--learning-rate"
        return (
            "testing: expected finite outputs of the learner, found others; lower "
            f"{option} (it is {trained.learning_rate:g})"
        )

    def _keep_margins(self, logits: Tensor, labels: Tensor, *, first: bool) -> None:
        """Keep by how much class 1 of two is preferred, for all test images of this moment."""
        if self.spec.num_classes != 2:
            return
        positive = self.benchmark.class_order.index(1)
        margins = logits[:, positive] - logits[:, 1 - positive]
        before = [] if first else self.margins
        self.margins = [*before, (margins, (labels == positive).long())]

    def _auc(self) -> dict[str, float]:
        if not two_class_metrics(self.confusion):
            return {}
        scores, labels = (torch.cat(parts) for parts in zip(*self.margins, strict=True))
        if not scores.isfinite().all():
            return {"auc": math.nan}
        return {"auc": roc_auc(scores.double().numpy(), labels.numpy())}

    def remembered(self) -> LabelledImages | None:
        """The memory in the data set's own class numbers, ascending; None without memory."""
        return None if self.memory is None else self._in_own_numbers(self.memory.contents())

    def _in_own_numbers(self, held: LabelledImages) -> LabelledImages:
        own = torch.tensor(self.benchmark.class_order)
        labels: Tensor = (
            own[held.labels] if held.labels.ndim == 1 else held.labels[:, own.argsort()]
        )
        renamed = LabelledImages(held.images, labels, held.packing)
        return renamed.select(renamed.hard_labels.argsort(stable=True))

    @property
    def _num_test(self) -> list[int]:
        return [len(data) for data in self.test]

    def _partial(self) -> dict[str, Any]:
        return {
            "config": self.config.to_dict(),
            "class_groups": [list(group) for group in self.benchmark.class_groups],
            "num_test": self._num_test,
            "untrained_accuracy": self.untrained,
            "accuracy_matrix": self.matrix,
            "validation_matrix": self.validation_matrix or None,
            "confusion_matrix": self.confusion,
            "memory": self._memory_records(),
        }

    def report(self, surroundings: dict[str, Any]) -> RunReport:
        """The finished run."""
        distillations = _distillations(self.memory)
        return RunReport(
            config=self.config.to_dict(),
            environment=surroundings,
            data=_describe(self.benchmark, len(self.validation) > 0),
            class_groups=[list(group) for group in self.benchmark.class_groups],
            num_test=self._num_test,
            accuracy_matrix=self.matrix,
            untrained_accuracy=self.untrained,
            confusion_matrix=self.confusion,
            metrics={
                **all_metrics(self.matrix, self.untrained, self._num_test),
                **two_class_metrics(self.confusion),
                **self._auc(),
            },
            memory=self._memory_records(),
            distillation=[_curves(record) for record in distillations],
            validation_matrix=self.validation_matrix or None,
            flops=self._flops(),
            evaluations=self.evaluations.results,
            notes=[*self.benchmark.notes, *_notes(self.config, self.memory)],
            measured=self._measured(),
        )

    def _memory_records(self) -> list[dict[str, Any]]:
        if self.memory is None:
            return []
        own = self.benchmark.class_order
        records = []
        for record in self.memory.records:
            per_class = {str(own[c]): num for c, num in record.per_class.items()}
            records.append({**dataclasses.asdict(record), "per_class": per_class})
        return records

    def _flops(self) -> dict[str, float]:
        forward = forward_flops(self.strategy.model, self.spec.shape)
        return {
            "train": 3 * forward * self.strategy.num_trained_images,
            "distil": sum(d.flops for d in _distillations(self.memory)),
            "evaluate": forward * self.num_evaluated,
        }

    def _measured(self) -> dict[str, Any]:
        distillations = _distillations(self.memory)
        filling = sum(self.memory.seconds) if self.memory is not None else 0.0
        distil = sum(d.seconds for d in distillations) if distillations else filling
        wall = self.clock.total_seconds
        seconds = {
            "train": self.clock.seconds["train"] - filling,
            "distil": distil,
            "evaluate": self.clock.seconds["evaluate"],
            # What the run would have taken without a cache, and what it took.
            "total": wall - filling + distil,
            "wall": wall,
        }
        return {
            "seconds": seconds,
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "from_cache": sum(d.from_cache for d in distillations),
            **({"evaluations": self.evaluations.measured} if self.evaluations.measured else {}),
        }


def _decode(benchmark: Benchmark, data_root: Path | None, progress: RunProgress) -> None:
    """Decode image files that were never decoded before, where somebody can see it."""
    name = benchmarks.info(benchmark.config.name).dataset
    if not data.info(name).scalable:
        return

    def show(done: int, total: int) -> None:
        if done == 1:
            progress.phase("decode", total)
        progress.advance()

    data.load(name, data_root, image_size=benchmark.config.image_size, on_image=show)


def _resolved(config: RunConfig, benchmark: Benchmark) -> RunConfig:
    """The configuration with the benchmark's own choices filled in, as the report keeps it."""
    config = config.replace(benchmark=benchmark.config)
    if config.learner.epochs is not None:
        return config
    epochs = benchmarks.info(config.benchmark.name).epochs
    return config.replace(learner=config.learner.replace(epochs=epochs))


def _of_experience(k: int, text: str) -> str:
    return f"experience {k + 1}: {text}"


def _curves(record: DistillationRecord) -> dict[str, Any]:
    values = record.to_dict()
    return {name: values[name] for name in ("losses", "scalars", "flops")}


def _distillations(memory: ImageMemory | None) -> list[DistillationRecord]:
    return memory.distillations if isinstance(memory, DistilledMemory) else []


def _check(config: RunConfig, benchmark: Benchmark, memory: ImageMemory | None) -> None:
    """What can only be known once the data is there, before hours of work depend on it."""
    spec, experts = benchmark.spec, config.distillation.trajectory.experts
    for part in (config.distillation, experts, config.set_training):
        parse(part.augmentation, spec)
    evaluations.check(config, spec, memory is not None)
    if memory is None:
        return
    filled_by = strategies.find_strategy(config.strategy).memory
    if isinstance(memory, DistilledMemory) and distillation.info(str(filled_by)).needs_network:
        networks.build(config.distillation.network, spec, seed=0)
    # Where classes come back, what is there when they first come decides.
    first = range(1 if benchmark.domain_groups else len(benchmark))
    labels = torch.cat([benchmark.targets("train", k) for k in first])
    counts = labels.bincount(minlength=spec.num_classes)
    wanted = memory.images_per_class * memory.packing**2
    fewest = int(counts.argmin())
    if wanted > int(counts[fewest]):
        raise InputError(
            f"memory: expected at most {int(counts[fewest])} images per class, the training images "
            f"of class {benchmark.class_order[fewest]}; found {memory.images_per_class} slots of "
            f"{memory.packing**2}; lower --images-per-class or --packing"
        )


def _describe(benchmark: Benchmark, validation: bool) -> dict[str, Any]:
    splits: list[Any] = ["train", "validation", "test"] if validation else ["train", "test"]
    counts = {
        f"num_{split}": [len(benchmark.targets(split, k)) for k in range(len(benchmark))]
        for split in splits
    }
    data = benchmark.data
    title = {"title": data.title} if data.title else {}
    return {"name": data.name, **title, "fingerprint": data.fingerprint, **counts}


def _notes(config: RunConfig, memory: ImageMemory | None) -> list[str]:
    notes, benchmark = [], config.benchmark
    if benchmark.train_per_class is not None:
        notes.append(f"only {benchmark.train_per_class} training images of each class were used")
    if benchmark.validation_fraction > 0:
        share = f"{100 * benchmark.validation_fraction:g} %"
        notes.append(f"{share} of the training images were held out for validation")
    if memory is None:
        return notes
    if config.memory.capacity_bytes is not None:
        num = memory.images_per_class
        notes.append(f"{config.memory.capacity_bytes} bytes of memory hold {num} slots per class")
    if strategies.find_strategy(config.strategy).memory == "reservoir":
        notes.append(
            "the reservoir is full from the first experience on, other memories grow with the "
            "classes; both hold the same bytes at the end"
        )
    for k, record in enumerate(_distillations(memory)):
        notes += [_of_experience(k, note) for note in record.notes]
    return notes
