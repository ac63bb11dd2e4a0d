"""Single quantities read from a report."""

from __future__ import annotations

from collections.abc import Mapping

from clbench.errors import InputError
from clbench.measuring import metrics
from clbench.measuring.scores import AVERAGE, SCORES
from clbench.report import RunReport


def score(report: RunReport, metric: str) -> float:
    """Return one of `SCORES`.

    Raises:
        InputError: the report does not hold it.
    """
    if metric == AVERAGE:
        return metrics.average_accuracy(report.accuracy_matrix)
    value = report.metrics.get(metric)
    if value is None:
        known = [name for name in SCORES if name == AVERAGE or name in report.metrics]
        strategy = report.config.get("strategy")
        raise InputError(
            f"--metric: expected one that every run holds, found {metric}, which {strategy} with "
            f"seed {report.config.get('seed')} has not; it has {', '.join(known)}"
        )
    return float(value)


def final_memory_bytes(report: RunReport) -> float | None:
    """Bytes of the memory after the last experience; None where nothing is remembered."""
    if not report.memory:
        return None
    return float(report.memory[-1]["num_bytes"]) or None


def total_seconds(report: RunReport) -> float | None:
    """Wall seconds of the run; None where the report holds none."""
    seconds = report.measured.get("seconds")
    total = seconds.get("total") if isinstance(seconds, Mapping) else None
    return None if total is None else float(total)


def used_networks(report: RunReport) -> bool:
    """Whether filling the memory took networks; drawing images at random takes none."""
    return any(entry.get("losses") or entry.get("flops") for entry in report.distillation)
