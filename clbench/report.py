"""RunReport: the one record of a run; numbers are quoted from here, everything else is a view."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clbench.errors import InputError
from clbench.report_fields import check_fields
from clbench.store.files import write_json
from clbench.store.reading import read_json

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = 1


@dataclass(frozen=True)
class RunReport:
    """Everything a run found out. Two runs of one command agree in all but ``measured``.

    A number that is not finite (a loss that diverged) is null in the file, and None once loaded.

    Attributes:
        config: the resolved `RunConfig` as a dictionary.
        environment: python, platform, versions of the libraries, commit, dirty flag,
            threads, device.
        data: data set name, fingerprint (SHA-256 over images and labels), counts per split,
            names of the classes.
        class_groups: for each experience its classes, in the data set's own numbering.
        num_test: test images of each experience, length T.
        accuracy_matrix: R, T x T, accuracy in 0..1 on experience j after learning i.
        untrained_accuracy: r, length T, accuracy of the untrained network.
        validation_matrix: R on the validation stream, or None where none was asked for.
        confusion_matrix: K x K counts after the last experience, rows true, columns predicted,
            in the data set's own numbering; empty where there are too many classes
            (`clbench.measuring.metrics.MOST_CONFUSED`).
        metrics: name -> value (see `clbench.measuring.metrics`), None where it is no number.
        memory: one entry per experience: num_images, num_bytes, per_class {class: images},
            bytes_per_class, decoded_bytes; reports of before codecs have num_slots.
        distillation: one entry per experience: losses (per update), scalars (name -> curve; absent
            from reports of before there were any), flops; empty without distiller.
        flops: name -> floating-point operations of train, distil, evaluate.
        evaluations: name -> outcome of what else was made of the last memory (see
            `clbench.config.EvaluationConfig`).
        notes: what a reader must know (a fallback taken, a subset used), one sentence each.
        measured: seconds (train, distil, evaluate, total), memory_seconds, peak_memory_bytes,
            from_cache; the only part that differs between two runs of one command.
        recall: share of each class's test images that are recognised after the last experience,
            0..1, length K in the data set's own numbering, None of a class without test images;
            empty in reports of before there was any.
    """

    config: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]
    class_groups: list[list[int]]
    num_test: list[int]
    accuracy_matrix: list[list[float]]
    untrained_accuracy: list[float]
    confusion_matrix: list[list[int]]
    metrics: dict[str, float | None]
    memory: list[dict[str, Any]] = field(default_factory=list)
    distillation: list[dict[str, Any]] = field(default_factory=list)
    validation_matrix: list[list[float]] | None = None
    flops: dict[str, float] = field(default_factory=dict)
    evaluations: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    recall: list[float | None] = field(default_factory=list)
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, ready for JSON."""
        return dataclasses.asdict(self)

    def to_frame(self) -> DataFrame:
        """Return a pandas table of one row: strategy, benchmark, seed, metrics, bytes, seconds."""
        import pandas

        benchmark = self.config.get("benchmark") or {}
        row: dict[str, Any] = {
            "strategy": self.config.get("strategy"),
            "benchmark": benchmark.get("name"),
            "seed": self.config.get("seed"),
            **self.metrics,
            "memory_bytes": self.memory[-1]["num_bytes"] if self.memory else None,
        }
        measured = self.measured.get("seconds") or {}
        row |= {f"{name}_seconds": value for name, value in measured.items()}
        return pandas.DataFrame([row])

    def save(self, path: Path) -> None:
        """Write ``path`` atomically; nan and infinity become null."""
        write_json(path, self.to_dict())

    @staticmethod
    def load(path: Path) -> RunReport:
        """Read a report, or the ``report.json`` of a run directory.

        Raises:
            InputError: no such file, not JSON, or not a report of this schema.
        """
        file = path / "report.json" if path.is_dir() else path
        try:
            values = read_json(file)
            found = values.pop("schema", None)
            if found != SCHEMA:
                raise InputError(f"{file}: expected report schema {SCHEMA}, found {found!r:.40}")
            report = RunReport(**values)
            check_fields(report)
            return report
        except FileNotFoundError:
            raise InputError(
                f"no report at {file}; expected a run directory or a report.json that "
                "`clbench run` wrote"
            ) from None
        except InputError:
            raise
        except (OSError, ValueError, TypeError, AttributeError) as error:
            why = " ".join(str(error).split())[:120]
            raise InputError(
                f"{file}: expected a clbench report, found something else ({why})"
            ) from None
