"""Single quantities read from a report."""

from __future__ import annotations

from collections.abc import Mapping

from clbench.report import RunReport


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
