"""What a run writes down: its books while it goes on, its report in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clbench.benchmarks import Benchmark, splits
from clbench.config import RunConfig
from clbench.measuring.cost import forward_flops, peak_memory_bytes
from clbench.measuring.metrics import MOST_CONFUSED
from clbench.memory import DistillationRecord, DistilledMemory, ImageMemory
from clbench.report import RunReport
from clbench.strategies import STRATEGIES
from clbench.strategies.compose import current_codec
from clbench.strategies.table import RESERVOIRS

if TYPE_CHECKING:
    from clbench.run.loop import Loop


def partial_of(loop: Loop) -> dict[str, Any]:
    """Return what was measured so far."""
    found = loop.measuring
    return {
        "config": loop.config.to_dict(),
        "class_groups": [list(group) for group in loop.benchmark.class_groups],
        "num_test": found.num_test,
        "untrained_accuracy": found.untrained,
        "accuracy_matrix": found.matrix,
        "validation_matrix": found.validation_matrix or None,
        "confusion_matrix": found.confusion,
        "recall": found.recall,
        "memory": _memory_records(loop),
    }


def report_of(loop: Loop, surroundings: dict[str, Any]) -> RunReport:
    """Return the report of the finished run."""
    found = loop.measuring
    return RunReport(
        config=loop.config.to_dict(),
        environment=surroundings,
        data=_describe(loop.benchmark, len(found.validation) > 0),
        class_groups=[list(group) for group in loop.benchmark.class_groups],
        num_test=found.num_test,
        accuracy_matrix=found.matrix,
        untrained_accuracy=found.untrained,
        confusion_matrix=found.confusion,
        recall=found.recall,
        metrics=found.metrics(),
        memory=_memory_records(loop),
        distillation=[_curves(record) for record in _distillations(loop.memory)],
        validation_matrix=found.validation_matrix or None,
        flops=_flops(loop),
        evaluations=_evaluations(loop),
        notes=[
            *loop.benchmark.notes,
            *_notes(loop.config, loop.memory, loop.benchmark),
            *_note_of_confusion(loop.benchmark.spec.num_classes),
        ],
        measured=_measured(loop),
    )


def _evaluations(loop: Loop) -> dict[str, Any]:
    """What a report says of the evaluations, networks that diverged among it."""
    found = {name: result.to_dict() for name, result in loop.results.items()}
    for name, lines in loop.diverged.items():
        if isinstance(found[name], dict):
            found[name]["diverged_networks"] = lines
    return found


def _memory_records(loop: Loop) -> list[dict[str, Any]]:
    if loop.memory is None:
        return []
    own = loop.benchmark.class_order
    records = []
    for record in loop.memory.records:
        values = dict(vars(record))  # asdict would copy every class's numbers once more
        for name in ("per_class", "bytes_per_class"):
            values[name] = {str(own[c]): num for c, num in values[name].items()}
        records.append(values)
    return records


def _flops(loop: Loop) -> dict[str, float]:
    forward = forward_flops(loop.strategy.model, loop.benchmark.spec.shape)
    return {
        "train": 3 * forward * loop.strategy.num_trained_images,
        "distil": sum(d.flops for d in _distillations(loop.memory)),
        "evaluate": forward * loop.measuring.num_evaluated,
    }


def _measured(loop: Loop) -> dict[str, Any]:
    memory = loop.memory
    filling = sum(memory.seconds) if memory is not None else 0.0
    saved = memory.seconds_saved if isinstance(memory, DistilledMemory) else 0.0
    wall = loop.clock.total_seconds
    measured = {name: result.measured() for name, result in loop.results.items()}
    seconds = {
        "train": loop.clock.seconds["train"] - filling,
        # Filling the memory: distilling, and writing what was distilled.
        "distil": filling + saved,
        "evaluate": loop.clock.seconds["evaluate"],
        # What the run would have taken without a cache, and what it took.
        "total": wall + saved,
        "wall": wall,
    }
    coding = {}
    if memory is not None:
        spent = {"encode": memory.encode_seconds, "decode": memory.decode_seconds}
        coding = {"memory_seconds": spent}
    return {
        "seconds": seconds,
        **coding,
        "peak_memory_bytes": peak_memory_bytes(loop.device),
        "from_cache": sum(d.from_cache for d in _distillations(memory)),
        **({"evaluations": measured} if measured else {}),
    }


def of_experience(k: int, text: str) -> str:
    """Return a line with the experience it is about, counted from 1."""
    return f"experience {k + 1}: {text}"


def _curves(record: DistillationRecord) -> dict[str, Any]:
    values = record.to_dict()
    return {name: values[name] for name in ("losses", "scalars", "flops")}


def _distillations(memory: ImageMemory | None) -> list[DistillationRecord]:
    return memory.distillations if isinstance(memory, DistilledMemory) else []


def _describe(benchmark: Benchmark, validation: bool) -> dict[str, Any]:
    splits: list[Any] = ["train", "validation", "test"] if validation else ["train", "test"]
    counts = {
        f"num_{split}": [len(benchmark.targets(split, k)) for k in range(len(benchmark))]
        for split in splits
    }
    data = benchmark.data
    title = {"title": data.title} if data.title else {}
    names = {"class_names": list(data.spec.class_names)} if data.spec.class_names else {}
    return {"name": data.name, **title, "fingerprint": data.fingerprint, **counts, **names}


def _note_of_confusion(num_classes: int) -> list[str]:
    if num_classes <= MOST_CONFUSED:
        return []
    return [
        f"no confusion matrix of {num_classes:,} classes is kept ({MOST_CONFUSED} at most); recall "
        "has each class"
    ]


def _small_classes(memory: ImageMemory, names: tuple[str, ...]) -> list[str]:
    """Say which classes have fewer images than their share holds."""
    num = memory.images_per_share
    if num is None or not isinstance(memory, DistilledMemory) or not memory.records:
        return []
    held = memory.records[-1].per_class
    small = [c for c, n in held.items() if memory.num_seen.get(c, 0) < num and n < num]
    if not small:
        return []
    which = splits.listed([names[c] if names else str(c) for c in small])
    return [
        f"{len(small)} of {len(held)} classes have fewer images than the {num} that their share of "
        f"the memory holds ({which}); the rest of it stays unused"
    ]


def _notes(config: RunConfig, memory: ImageMemory | None, stream: Benchmark) -> list[str]:
    notes, benchmark = [], config.benchmark
    if benchmark.train_per_class is not None:
        notes.append(f"only {benchmark.train_per_class} training images of each class were used")
    if benchmark.validation_fraction > 0:
        share = f"{100 * benchmark.validation_fraction:g} %"
        notes.append(f"{share} of the training images were held out for validation")
    if memory is None:
        return notes
    if config.memory.capacity_bytes is not None:
        num = memory.images_per_share
        if num is not None:
            held = f"{config.memory.capacity_bytes} bytes of memory hold {num} images per class"
            notes.append(held)
    notes += _small_classes(memory, stream.spec.class_names)
    seen_through = current_codec(config, memory)
    if seen_through is not None:
        notes.append(f"current training images passed through the codec {seen_through.name}")
    if STRATEGIES.find(config.strategy).memory in RESERVOIRS:
        notes.append(
            "the reservoir is full from the first experience on, other memories grow with the "
            "classes; both hold the same bytes at the end"
        )
    for k, record in enumerate(_distillations(memory)):
        notes += [of_experience(k, note) for note in record.notes]
    return notes
