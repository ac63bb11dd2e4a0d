"""Trials: one fresh network, trained on one set and tested; in parallel, and never twice.

Every evaluation is a list of trials. A trial's outcome depends on nothing but what it says, so it
is kept on disk under that name: an evaluation that was stopped goes on where it was, and two
evaluations share what they have in common.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from clbench import networks
from clbench.distillation.augmentation import parse
from clbench.errors import Diverged, InputError
from clbench.machine.allocator import keep_freed_memory
from clbench.machine.parent import end_with_the_parent
from clbench.networks.settings import NetworkConfig
from clbench.seeding import generator
from clbench.store.files import cache_dir
from clbench.store.fingerprint import identity, name_of, software
from clbench.store.sources import sources_of
from clbench.store.store import Store
from clbench.store.under_way import UnderWay
from clbench.training import Training, accuracy, finish, predict_logits
from clbench.training.settings import SetTrainingConfig
from clbench.types import ImageSpec, LabelledImages

CPU = torch.device("cpu")
KIND = "trials"  # of entries in the store


@dataclass(frozen=True)
class Trial:
    """One network to be trained.

    Attributes:
        set_name: which of the sets it learns.
        network: its architecture.
        training: how it is trained.
        seed: its weights, order and augmentation.
    """

    set_name: str
    network: NetworkConfig
    training: SetTrainingConfig
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Attributes:
        accuracy: share of right test images after the last epoch, 0..1.
        loss: mean cross-entropy of the test images.
        train_loss: mean cross-entropy of the last epoch's training images.
        seconds: wall time of the training, when it was done.
        validation_accuracy: share of right validation images; None where there are none.
        from_cache: it was done before.
        diverged: why the network is none, in one line; its accuracies are then 0, so that it comes
            last wherever something is chosen, and its losses nan.
    """

    accuracy: float
    loss: float
    train_loss: float
    seconds: float
    validation_accuracy: float | None = None
    from_cache: bool = field(default=False, compare=False)
    diverged: str = ""

    def to_json(self) -> bytes:
        """Return the values that are kept.

        Raises:
            ValueError: one is not finite.
        """
        values = asdict(self)
        del values["from_cache"]
        if self.diverged:
            values |= {"loss": None, "train_loss": None}
        return json.dumps(values, allow_nan=False).encode()

    @staticmethod
    def from_json(content: bytes) -> Outcome:
        """Return what `to_json` wrote, as an outcome from the cache.

        Raises:
            ValueError: accuracies that are not in 0..1, losses that are not finite, a negative
                time, or no outcome at all; says what was expected and found.
        """
        try:
            found = Outcome(**json.loads(content), from_cache=True)
            if found.diverged and isinstance(found.diverged, str):
                found = replace(found, loss=math.nan, train_loss=math.nan)
        except (TypeError, RecursionError):
            raise ValueError("expected the fields of an outcome, found others") from None
        limits = {
            "accuracy": (0.0, 1.0),
            "loss": (-math.inf, math.inf),
            "train_loss": (-math.inf, math.inf),
            "seconds": (0.0, math.inf),
            "validation_accuracy": (0.0, 1.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(found, name)
            if name == "validation_accuracy" and value is None:
                continue
            if found.diverged and name in ("loss", "train_loss"):
                continue
            number = isinstance(value, float) and math.isfinite(value)
            if not number or not low <= value <= high:
                raise ValueError(
                    f"{name}: expected a finite number of {low:g}..{high:g}, found {value!r:.40}"
                )
        return found


OnTrial = Callable[[int, int, Trial, Outcome], None]
"""Called with the number of trials done, their total, and the trial just done with its outcome."""


@dataclass(frozen=True)
class Bench:
    """Where trials are made.

    Attributes:
        sets: name to training set; hard or soft labels, packed or not.
        test: images that every network is tested on.
        spec: what the images look like.
        device: where networks are trained.
        workers: processes on a CPU, each with an equal share of the threads; 1 trains here, as a
            GPU always does.
        directory: root of the `Store` that keeps outcomes; None keeps none.
        validation: images by which something may be chosen.
    """

    sets: Mapping[str, LabelledImages]
    test: LabelledImages
    spec: ImageSpec
    device: torch.device = CPU
    workers: int = 1
    directory: Path | None = None
    validation: LabelledImages | None = None

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise InputError(f"workers: expected at least 1, found {self.workers}")

    def run(self, trials: Sequence[Trial], on_trial: OnTrial | None = None) -> list[Outcome]:
        """The outcomes in the order of the trials; those on disk are read, the others made.

        Raises:
            InputError: a network or an augmentation that does not fit the images, before any work.
        """
        shelf = _Shelf(self, [trial.network for trial in trials])
        for trial in trials:
            parse(trial.training.augmentation, self.spec)
        # Equal trials are one piece of work.
        places: dict[Trial, list[int]] = {}
        for position, trial in enumerate(trials):
            places.setdefault(trial, []).append(position)
        outcomes: dict[Trial, Outcome] = {}
        done = 0
        with _threads(max(1, torch.get_num_threads() // self._num_processes)):
            for trial, outcome in self._outcomes(list(places), shelf):
                outcomes[trial] = outcome
                done += len(places[trial])
                if on_trial is not None:
                    on_trial(done, len(trials), trial, outcome)
        return [outcomes[trial] for trial in trials]

    @property
    def _num_processes(self) -> int:
        return 1 if self.device.type == "cuda" else self.workers

    def _outcomes(self, trials: Sequence[Trial], shelf: _Shelf) -> Iterator[tuple[Trial, Outcome]]:
        missing = []
        for trial in trials:
            found = shelf.read(trial)
            if found is None:
                missing.append(trial)
            else:
                yield trial, found
        make = self._here if self._num_processes == 1 or len(missing) < 2 else self._in_processes
        for trial, outcome in make({trial: shelf.name(trial) for trial in missing}):
            shelf.write(trial, outcome)
            yield trial, outcome

    def _here(self, names: Mapping[Trial, str]) -> Iterator[tuple[Trial, Outcome]]:
        keep_freed_memory()
        for trial, name in names.items():
            yield trial, self.make(trial, name)

    def _in_processes(self, trials: Mapping[Trial, str]) -> Iterator[tuple[Trial, Outcome]]:
        context = multiprocessing.get_context("spawn")
        wanted = {trial.set_name for trial in trials}
        sets = {name: data for name, data in self.sets.items() if name in wanted}
        inside = replace(self, sets=sets, workers=1)
        before = {child.pid for child in multiprocessing.active_children()}
        pool = ProcessPoolExecutor(
            min(self._num_processes, len(trials)),
            mp_context=context,
            initializer=_start_worker,
            initargs=(_Packed.of(inside), torch.get_num_threads()),
        )
        try:
            waiting = {pool.submit(_make, trial, name): trial for trial, name in trials.items()}
            for future in as_completed(waiting):
                yield waiting[future], future.result()
            pool.shutdown()
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                if child.pid not in before:
                    child.terminate()
            if isinstance(error, BrokenProcessPool):
                raise InputError(WORKER_ENDED) from None
            raise

    def make(self, trial: Trial, name: str = "") -> Outcome:
        """Train and test one network in this process; goes on where it was stopped.

        Args:
            trial: what to do.
            name: under which the work on the way is kept; "" keeps none.
        """
        store = Store(self.directory) if name and self.directory is not None else None
        with UnderWay(store, name, ("training",)) as kept:
            return self._made(trial, kept)

    def _made(self, trial: Trial, kept: UnderWay) -> Outcome:
        data, spec, device = self.sets[trial.set_name], self.spec, self.device
        network = networks.build(trial.network, spec, seed=trial.seed)
        validation = None
        try:
            training = Training(
                network,
                data,
                spec,
                trial.training,
                generator=generator(trial.seed, "set_training"),
                device=device,
            )
            if kept.state is not None:
                training.load_state_dict(kept.state["training"])
            losses = finish(
                training,
                on_step=lambda: kept.reached(lambda: {"training": training.state_dict()}),
            )
            seconds = kept.seconds
            logits = predict_logits(network, self.test, spec, device)
            if not logits.isfinite().all():
                raise Diverged("testing: expected finite outputs, found others")
        except Diverged as error:
            # One network that is none must not cost the others.
            none = None if self.validation is None else 0.0
            return Outcome(0.0, math.nan, math.nan, kept.seconds, none, diverged=str(error))
        labels = self.test.hard_labels.cpu()
        right = float((logits.argmax(1) == labels).double().mean())
        loss = float(F.cross_entropy(logits, labels))
        if self.validation is not None:
            validation = accuracy(network, self.validation, spec, device)
        return Outcome(right, loss, losses[-1], seconds, validation)


class Divergences:
    """Hears of trials and lists the networks that diverged."""

    def __init__(self, on_trial: OnTrial | None = None) -> None:
        """Pass every trial on to ``on_trial``."""
        self._on_trial = on_trial
        self._found: dict[tuple[str, str], list[str]] = {}

    def __call__(self, done: int, total: int, trial: Trial, outcome: Outcome) -> None:
        """Hear of one trial."""
        if outcome.diverged:
            key = (trial.network.name, trial.set_name.partition(" #")[0])
            self._found.setdefault(key, []).append(outcome.diverged.partition(";")[0])
        if self._on_trial is not None:
            self._on_trial(done, total, trial, outcome)

    @property
    def lines(self) -> list[str]:
        """One for each kind of network and set: how many, and how one of them did."""
        return [
            f"{network} on {name} ({len(whys)}): {min(whys)}"
            for (network, name), whys in sorted(self._found.items())
        ]


def default_directory() -> Path:
    """Return the root of the store that keeps outcomes unless somebody says otherwise."""
    return cache_dir()


def default_workers() -> int:
    """As many processes as this one may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Shelf:
    """Outcomes in the store, by the name of all that they depend on."""

    def __init__(self, bench: Bench, configs: Sequence[NetworkConfig]) -> None:
        directory, spec = bench.directory, bench.spec
        self._store = None if directory is None else Store(directory)
        # Third parties' networks count as well as ours; building them checks that they fit.
        built = {c: type(networks.build(c, spec, seed=0)) for c in dict.fromkeys(configs)}
        if self._store is None:
            return
        self._device = bench.device
        self._sources = {config: _sources(kind) for config, kind in built.items()}
        self._sets = {name: identity(data) for name, data in bench.sets.items()}
        self._common = {
            "test": identity(bench.test),
            "validation": identity(bench.validation),
            "spec": asdict(spec),
        }

    def name(self, trial: Trial) -> str:
        """Of all that the outcome depends on; "" where nothing is kept."""
        if self._store is None:
            return ""
        work = {
            **self._common,
            "set": self._sets[trial.set_name],
            "network": trial.network.to_dict(),
            "software": software(self._device, self._sources[trial.network]),
            "training": trial.training.to_dict(),
            "seed": trial.seed,
        }
        return name_of(work)

    def read(self, trial: Trial) -> Outcome | None:
        if self._store is None:
            return None
        name = self.name(trial)
        content = self._store.read(KIND, name)
        if content is None:
            return None
        try:
            return Outcome.from_json(content)
        except ValueError as error:
            place = self._store.path_of(KIND, name)
            warnings.warn(f"{place}: not to be believed ({error}); made again", stacklevel=2)
            return None

    def write(self, trial: Trial, outcome: Outcome) -> None:
        if self._store is None:
            return
        try:
            content = outcome.to_json()
        except ValueError as error:
            warnings.warn(f"outcome not cached: {error}", stacklevel=2)
            return
        self._store.write(KIND, self.name(trial), content)


def _sources(network: type) -> list[str]:
    """What computes an outcome; a third party's network counts as well as ours."""
    return sorted({*sources_of(__name__), *sources_of(network.__module__)})


@contextmanager
def _threads(num: int) -> Iterator[None]:
    """Compute with so many threads: their number may change the last bits, and the name."""
    before = torch.get_num_threads()
    torch.set_num_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class _Packed:
    """A bench as it travels to a worker: arrays, which need no shared memory."""

    sets: dict[str, tuple[Any, Any]]
    test: tuple[Any, Any]
    validation: tuple[Any, Any] | None
    spec: ImageSpec
    directory: Path | None

    @staticmethod
    def of(bench: Bench) -> _Packed:
        def arrays(data: LabelledImages) -> tuple[Any, Any]:
            return data.images.cpu().numpy(), data.labels.cpu().numpy()

        sets = {name: arrays(data) for name, data in bench.sets.items()}
        validation = bench.validation
        held_out = None if validation is None else arrays(validation)
        return _Packed(sets, arrays(bench.test), held_out, bench.spec, bench.directory)

    def unpacked(self) -> Bench:
        def images(values: tuple[Any, Any]) -> LabelledImages:
            return LabelledImages(torch.tensor(values[0]), torch.tensor(values[1]))

        sets = {name: images(values) for name, values in self.sets.items()}
        validation = None if self.validation is None else images(self.validation)
        test, directory = images(self.test), self.directory
        return Bench(sets, test, self.spec, directory=directory, validation=validation)


_worker: Bench | None = None


WORKER_ENDED = (
    "expected every worker to finish, found one that was killed, most likely for want of memory; "
    "the networks trained so far are kept, and the same command with fewer --workers goes on"
)


def _start_worker(packed: _Packed, num_threads: int) -> None:
    end_with_the_parent()
    # Ctrl-C reaches the whole group of processes; the parent decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(num_threads)
    keep_freed_memory()
    global _worker
    _worker = packed.unpacked()


def _make(trial: Trial, name: str) -> Outcome:
    assert _worker is not None
    return _worker.make(trial, name)
