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


def compute_seconds(report: RunReport) -> float | None:
    """Wall seconds of training and of filling the memory; None where the report lacks them."""
    seconds = report.measured.get("seconds")
    return _sum(seconds) if isinstance(seconds, Mapping) else None


def compute_flops(report: RunReport) -> float | None:
    """Operations of training and of filling the memory; None where the report lacks them."""
    return _sum(report.flops)


def _sum(parts: Mapping[str, float | None]) -> float | None:
    train = parts.get("train")
    return None if train is None else float(train) + float(parts.get("distil") or 0.0)


def used_networks(report: RunReport) -> bool:
    """Whether filling the memory took networks; drawing images at random takes none."""
    return any(entry.get("losses") or entry.get("flops") for entry in report.distillation)
