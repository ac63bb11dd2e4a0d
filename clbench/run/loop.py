"""The composition root: a learner meets the experiences of a stream one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

import clbench
from clbench import seeding, strategies
from clbench.benchmarks import Benchmark, make_benchmark
from clbench.coded import CodedImages
from clbench.config import RunConfig
from clbench.errors import Diverged
from clbench.evaluation import Laboratory, Result
from clbench.evaluation.protocol import Draw
from clbench.machine.allocator import keep_freed_memory
from clbench.machine.device import resolve_device
from clbench.machine.steps import may_stop
from clbench.measuring.cost import Stopwatch, environment
from clbench.report import RunReport
from clbench.run import evaluations
from clbench.run.books import of_experience, partial_of, report_of
from clbench.run.class_numbers import in_own_numbers
from clbench.run.directory import RunDirectory
from clbench.run.forecast import forecast
from clbench.run.measuring import Measuring
from clbench.run.preparation import check, decode, with_own_choices
from clbench.run.progress import NullProgress, RunProgress, Telling
from clbench.run.watch import TrainingWatch
from clbench.sets import DistilledSet
from clbench.store.fingerprint import name_of
from clbench.store.under_way import Clock
from clbench.tracking import Tracker, Trackers
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

    The same configuration on the same machine gives the same report but for ``measured``, in one go
    or in several: a run that was stopped goes on after the last experience that it had learnt when
    it is started again with the same ``output``.

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
    with ExitStack() as stack:
        tracker = stack.enter_context(closing(Trackers(*trackers)))
        asked = name_of(config.to_dict())
        directory = stack.enter_context(closing(RunDirectory(output, asked)))
        config = strategies.resolved(config)
        benchmark = make_benchmark(config.benchmark, data_root, config.seed)
        config = with_own_choices(config, benchmark)
        watcher = progress or NullProgress()
        decode(benchmark, watcher)
        device = resolve_device(config.device)
        directory.take_up(_work(config, benchmark))
        surroundings = environment(device)
        keep_freed_memory()
        parts = Parts(benchmark, device, watcher, tracker, directory, use_cache)
        with (
            directory.recorded(config.to_dict(), surroundings),
            seeding.global_seed(config.seed, "run"),
        ):
            loop = Loop(config, parts)
            loop.resume()
            loop.learn()
            loop.evaluate_memory()
            report = report_of(loop, surroundings)
            names = benchmark.data.spec.class_names
            for note in directory.report(report, loop.remembered(), names, loop.drawings):
                watcher.note(note)
            for name, result in loop.results.items():
                tracker.on_evaluation(name, result, loop.drawn[name])
            tracker.on_end(report)
    return report


def _work(config: RunConfig, benchmark: Benchmark) -> str:
    """Name of what a checkpoint belongs to: other versions would go on with other numbers."""
    versions = {"clbench": clbench.__version__, "torch": torch.__version__}
    data = benchmark.data.fingerprint
    return name_of({"config": config.to_dict(), "data": data, "versions": versions})


@dataclass(frozen=True)
class Parts:
    """What a run works with.

    Attributes:
        benchmark: the stream.
        device: where everything is computed.
        progress: hears how far the run has come.
        tracker: hears of every event.
        directory: what is written.
        use_cache: see `run`.
    """

    benchmark: Benchmark
    device: torch.device
    progress: RunProgress
    tracker: Trackers
    directory: RunDirectory
    use_cache: bool | Path


class Loop:
    """One run under way."""

    def __init__(self, config: RunConfig, parts: Parts) -> None:
        """Make memory and learner; nothing is learnt yet.

        Raises:
            InputError: whatever could not be done later.
        """
        self.config, self.parts = config, parts
        self.benchmark, self.device = parts.benchmark, parts.device
        self.clock = Stopwatch(parts.device)
        spec = parts.benchmark.spec
        self.telling = Telling(parts.progress, parts.tracker, parts.benchmark.class_order)
        self.memory = strategies.make_memory(
            config,
            spec,
            device=parts.device,
            cache=parts.use_cache,
            on_update=self.telling.distilling,
        )
        check(config, parts.benchmark, self.memory)
        self.strategy = strategies.build(
            config,
            spec,
            device=parts.device,
            memory=self.memory,
            plugins=[TrainingWatch(parts.progress)],
        )
        self.measuring = Measuring(
            config, parts.benchmark, parts.device, self.clock, parts.progress
        )
        self.num_learnt = 0  # experiences, before this process went on
        self._kept = Clock()
        self.results: Mapping[str, Result] = {}
        self.diverged: Mapping[str, list[str]] = {}
        self.drawn: dict[str, Mapping[str, Draw]] = {}

    @property
    def drawings(self) -> dict[str, Draw]:
        """The figures of all evaluations."""
        return {name: draw for drawn in self.drawn.values() for name, draw in drawn.items()}

    @property
    def resumable(self) -> bool:
        """Whether the learner's state is all known: a third party's may have more."""
        own = strategies.STRATEGIES.find(self.config.strategy).make is None
        return own or "state_dict" in vars(type(self.strategy))

    def state(self, num_learnt: int, *, within: bool = False) -> dict[str, Any]:
        """Between two experiences, or after a step of one, this is all there is."""
        learner = self.strategy.state_within if within else self.strategy.state_dict
        return {
            "num_learnt": num_learnt,
            "within": within,
            "learner": learner(),
            "memory": None if self.memory is None else self.memory.state_dict(),
            "measuring": self.measuring.state_dict(),
            "seconds": self.clock.state_dict(),
            "randomness": seeding.global_state(),
            "tracker": self.parts.tracker.position(),
        }

    def resume(self) -> None:
        """Go on from what this very run left in its directory, if it did."""
        state = self.parts.directory.state
        for note in self.parts.directory.notes:
            self.parts.progress.note(note)
        if state is None or not self.resumable:
            return
        self.num_learnt = state["num_learnt"]
        self.strategy.load_state_dict(state["learner"])
        if state["within"]:
            self.strategy.go_on_within(state["learner"])
        if self.memory is not None:
            self.memory.load_state_dict(state["memory"])
        self.measuring.load_state_dict(state["measuring"])
        self.clock.load_state_dict(state["seconds"])
        seeding.set_global_state(state["randomness"])
        self.parts.tracker.on_resume(state["tracker"])
        where = (
            f"in experience {self.num_learnt + 1}"
            if state["within"]
            else (f"after experience {self.num_learnt}")
        )
        self.parts.progress.note(f"goes on {where}")

    def learn(self) -> None:
        """Go through the stream; test on everything after each experience."""
        groups = [list(group) for group in self.benchmark.class_groups]
        progress = self.parts.progress
        self.parts.tracker.on_start(self.config.to_dict(), groups)
        progress.start(len(groups))
        for line in forecast(self.config, self.benchmark, self.memory, self.device):
            progress.note(line)
        if not self.measuring.untrained:
            self.measuring.before(self.strategy.model)
        for k, experience in enumerate(self.benchmark.streams.train):
            self.telling.experience = k
            if k < self.num_learnt:
                progress.phase("train", 0)
                self.strategy.skip(experience)
                continue
            if self._is_resumable_within:
                self.strategy.on_step = partial(self._stepped, k)
            try:
                with self.clock.phase("train"):
                    self.strategy.train(experience, eval_streams=[])
                self.measuring.after_experience(self.strategy.model)
            except Diverged as error:
                self.parts.directory.partial(partial_of(self))
                raise Diverged(of_experience(k, str(error))) from None
            self._publish(k)

    def _publish(self, k: int) -> None:
        found, memory = self.measuring, self.remembered()
        if memory is not None:
            self.parts.directory.memory(k, memory)
        self.parts.directory.partial(partial_of(self))
        self.parts.tracker.on_experience_end(
            k,
            found.matrix,
            found.untrained,
            found.num_test,
            found.confusion or None,
            memory,
            self.benchmark.data.spec.class_names,
        )
        if self.resumable and self.parts.directory.path is not None:
            self.parts.directory.reached(self.state(k + 1))
            self._kept.written()
        learnt = sum(found.matrix[k][: k + 1]) / (k + 1)
        held = "" if self.memory is None else f", memory {self.memory.records[-1].num_bytes} bytes"
        text = f"experience {k + 1} of {len(found.test)}: average accuracy {100 * learnt:.1f} %"
        self.parts.progress.note(f"{text}{held}")

    @property
    def _is_resumable_within(self) -> bool:
        own = strategies.STRATEGIES.find(self.config.strategy).make is None
        return own and self.parts.directory.path is not None

    def _stepped(self, k: int, last: bool) -> None:
        """After a step of experience ``k``: every half minute, and before a stop, keep the state.

        Also before long work of another kind (``last``), which keeps a state of its own.
        """
        if self._kept.is_due or (last and self._kept.is_worth_it):
            self.parts.directory.reached(self.state(k, within=True))
            self._kept.written()
        may_stop()

    def evaluate_memory(self) -> None:
        """Find out what else the configuration wants to know of the last memory."""
        memory = self.remembered()
        if memory is None or not self.config.evaluations:
            return
        train = [self.benchmark.tensors("train", k) for k in range(len(self.benchmark))]
        laboratory = Laboratory(
            self._in_own_numbers(LabelledImages.concatenate(train)),
            self._in_own_numbers(LabelledImages.concatenate(self.measuring.test)),
            self.benchmark.data.spec,
            seed=self.config.seed,
            device=self.device,
            directory=evaluations.outcomes_directory(self.parts.use_cache),
            title=self.benchmark.data.shown_as,
        )
        with self.clock.phase("memory"):
            self.results, self.diverged = evaluations.evaluate_memory(
                DistilledSet(memory), laboratory, self.config, on_phase=self.telling.trials
            )
        self.drawn = {name: result.drawings(laboratory) for name, result in self.results.items()}

    def remembered(self) -> CodedImages | None:
        """Return the memory in the data set's own class numbers; None without memory."""
        if self.memory is None:
            return None
        return self.memory.stored().relabelled(torch.tensor(self.benchmark.class_order))

    def _in_own_numbers(self, held: LabelledImages) -> LabelledImages:
        return in_own_numbers(held, self.benchmark.class_order)
